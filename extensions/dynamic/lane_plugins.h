// What plugins have on each lane: the table of their handles, and the mailbox through which other threads reach its
// streams. Made at a lane's first use and never destroyed, so that posting needs no lane to be alive: there is one per
// lane number, and old numbers stay unknown to it whichever lane comes next.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "core/event/lane.h"
#include "extensions/dynamic/handle_table.h"

namespace weir::extensions::dynamic {

class LanePlugins final : private event::Pollable {
 public:
  // nullptr: the lane's number is beyond what handles can name, or another lane of that number has streams. [worker]
  static LanePlugins* of(event::Lane& lane);
  // What `handle` names, if it lives on the calling thread. [any]
  static Filter* find(weir_stream handle);
  // [any]
  static int32_t post(weir_stream handle, uint64_t token);

  HandleTable& handles() { return handles_; }

 private:
  struct Letter {
    weir_stream stream;
    uint64_t token;
  };
  explicit LanePlugins(uint32_t worker);
  static LanePlugins* attach(event::Lane& lane);
  void on_ready(uint32_t ready) override;

  HandleTable handles_;
  int wake_fd_;
  std::mutex mutex_;
  std::vector<Letter> letters_;
};

}  // namespace weir::extensions::dynamic
