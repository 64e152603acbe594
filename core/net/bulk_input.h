// Whether a stream of bytes of unknown length is worth taking through pipes (Connection::allow_unseen): while it comes
// in large pieces. Small ones are cheaper to copy. [worker]
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::net {

class BulkInput {
 public:
  // So much came at once.
  void saw(size_t bytes) {
    if (bytes >= kLarge) {
      bulk_ = true;
    } else if (bytes < kSmall) {
      bulk_ = false;
    }
  }
  // As ConnectionHandler::unseen_input().
  uint64_t unseen_input() const { return bulk_ ? UINT64_MAX : 0; }

 private:
  static constexpr size_t kLarge = 64 * 1024;
  static constexpr size_t kSmall = 16 * 1024;
  bool bulk_ = false;
};

}  // namespace weir::net
