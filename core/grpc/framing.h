// Whole messages of gRPC within the data of an HTTP message, a frame each.
#pragma once

#include <cstdint>

#include "core/base/block.h"

namespace weir::grpc {

// Moves the message, framed, to the end of `out`.
void frame(Slices& message, Slices& out, BlockPool& pool);

// Takes messages out of data as it comes. Keeps no more than one message and what has come behind it: whoever feeds it
// stops when there are messages that nobody takes. [worker]
class Deframer {
 public:
  enum class Next : uint8_t {
    kMessage,
    kMore,        // of it has to come
    kTooLarge,    // it is longer than the limit
    kCompressed,  // which nobody has offered to understand
    kBadFlag,
  };
  explicit Deframer(uint32_t limit = 0) : limit_(limit) {}

  // Bytes of a message.
  void set_limit(uint32_t limit) { limit_ = limit; }
  // Empties `data`.
  void add(Slices& data, BlockPool& pool) { in_.append_compact(data, pool); }
  // Moves the next one to the end of `message`. After a fault there is no going on but clear().
  Next next(Slices& message);
  // Bytes are there that are no message yet.
  bool partial() const { return !in_.empty(); }
  void clear() { in_.clear(); }

 private:
  Slices in_;
  uint32_t limit_;
};

}  // namespace weir::grpc
