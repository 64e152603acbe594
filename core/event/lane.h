// A lane: one thread's event loop and everything that request work on it needs. Workers are lanes with listeners;
// main owns a lane too. A turn is: wait for readiness, dispatch, libuv work if any is due, timers, posted tasks, then
// the end-of-turn work (flushing, deferred destruction, released versions). Nothing in a callback destroys anything.
//
// The outer wait is weir's own edge-triggered epoll; libuv is embedded in it by its backend descriptor (the way its
// documentation describes) and serves wake-ups, signals, files, names and whatever plugins bring. ARCHITECTURE.md has
// the measurements.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/base/intrusive_list.h"
#include "core/base/random.h"
#include "core/base/time.h"
#include "core/event/pipe.h"
#include "core/event/poller.h"
#include "core/event/slot.h"
#include "core/event/timer.h"

struct uv_loop_s;

namespace weir::event {

using Task = absl::AnyInvocable<void()>;

// Something with work to do at the end of the turn (a connection with bytes to write). [worker]
class EndOfTurn {
 public:
  virtual void on_end_of_turn() = 0;
  bool end_of_turn_pending() const { return end_of_turn_node_.linked(); }

 protected:
  ~EndOfTurn() = default;

 private:
  friend class Lane;
  ListNode end_of_turn_node_;
};

// Something destroyed at the end of the turn, after all end-of-turn work. dispose() gives the memory back.
class Deferred {
 public:
  virtual void dispose() = 0;

 protected:
  ~Deferred() = default;

 private:
  friend class Lane;
  ListNode deferred_node_;
};

// State that an upper layer keeps on each lane. One index per owner, listed here so that a look-up is an array access.
enum class LocalKey : uint8_t { kStats, kNet, kUpstream, kProxy, kAccessLog, kDynamic, kNames, kTest, kCount };

class Lane {
 public:
  struct Options {
    uint32_t index = 0;        // 0 is main; workers count from 1
    Clock* clock = nullptr;    // nullptr: the system's
    uint64_t random_seed = 0;  // 0: from the kernel
  };
  explicit Lane(const Options& options);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  uint32_t index() const { return index_; }
  bool is_main() const { return index_ == 0; }
  // The lane whose turn runs on this thread, or nullptr.
  static Lane* current();
  bool on_thread() const { return current() == this; }

  // Runs turns until stop().
  void run();
  // One turn that waits at most `wait`; what the simulator and the tests drive.
  void turn(Duration wait);
  // [any] Ends run() after the turn in progress.
  void stop();
  // Makes this lane current() outside of run(): for building and tearing down on the same thread. [worker]
  void enter() { set_current(this); }
  static void leave() { set_current(nullptr); }

  // The instant at which the turn's events were fetched.
  MonoTime now() const { return now_; }
  WallTime wall_now() const { return wall_now_; }
  Clock& clock() { return clock_; }

  // The lanes that get the same configuration, main's first, this one among them; empty outside of a publisher's reach.
  // Set before their threads run; what may be done with the others is to post.
  std::span<Lane* const> siblings() const { return siblings_; }
  void set_siblings(std::vector<Lane*> lanes) { siblings_ = std::move(lanes); }

  // [any] Runs the task on this lane at a turn boundary, in order of posting per poster.
  void post(Task task);

  void at_end_of_turn(EndOfTurn& work) {
    if (!work.end_of_turn_node_.linked()) end_of_turn_.push_back(work);
  }
  // The same at the end of the next turn, which does not wait: for work that was cut off so that others get their turn.
  void at_next_turn(EndOfTurn& work) {
    if (!work.end_of_turn_node_.linked()) next_turn_.push_back(work);
  }
  void defer_delete(Deferred& object) {
    if (!object.deferred_node_.linked()) deferred_.push_back(object);
  }
  void arm(Timer& timer, MonoTime deadline) { timers_.arm(timer, deadline); }
  void arm_in(Timer& timer, Duration delay) { timers_.arm(timer, now_ + delay); }

  Poller& poller() { return poller_; }
  SlotTable& slots() { return slots_; }
  BlockPool& blocks() { return blocks_; }
  PipePool& pipes() { return pipes_; }
  ArenaPool& arenas() { return arenas_; }
  Random& random() { return random_; }
  uv_loop_s* uv() { return uv_.get(); }

  // The block that reads are lent: at least half of a standard block free and referred to by nobody else, or fresh.
  Block& read_block() {
    if (read_block_.get()->shared()) [[unlikely]]
      read_block_ = blocks_.take();
    else
      read_block_->set_used(0);
    return *read_block_.get();
  }
  BlockRef read_block_ref() const { return read_block_; }

  void* local(LocalKey key) const { return locals_[static_cast<size_t>(key)]; }
  void set_local(LocalKey key, void* state) { locals_[static_cast<size_t>(key)] = state; }

  // Where versions go whose last pin on this lane is gone (main's Publisher).
  using ReleaseSink = absl::AnyInvocable<void(std::vector<const Versioned*>)>;
  void set_release_sink(ReleaseSink sink) { release_sink_ = std::move(sink); }

  // [any] Turn counter and when the current turn began, for the watchdog.
  uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }
  int64_t turn_started_ns() const { return turn_started_ns_.load(std::memory_order_relaxed); }

 private:
  struct UvDeleter {
    void operator()(uv_loop_s* loop) const;
  };
  class UvBackend;
  static void set_current(Lane* lane);
  void read_clock();
  void run_posted();
  void end_turn();
  int wait_ms(Duration wait) const;

  const uint32_t index_;
  Clock& clock_;
  MonoTime now_;
  WallTime wall_now_;
  Poller poller_;
  std::unique_ptr<uv_loop_s, UvDeleter> uv_;
  std::unique_ptr<UvBackend> uv_backend_;
  TimerWheel timers_;
  BlockPool blocks_;
  PipePool pipes_;
  ArenaPool arenas_;
  SlotTable slots_;
  Random random_;
  BlockRef read_block_;
  IntrusiveList<EndOfTurn, &EndOfTurn::end_of_turn_node_> end_of_turn_;
  IntrusiveList<EndOfTurn, &EndOfTurn::end_of_turn_node_> next_turn_;
  IntrusiveList<Deferred, &Deferred::deferred_node_> deferred_;
  std::array<void*, static_cast<size_t>(LocalKey::kCount)> locals_{};
  ReleaseSink release_sink_;
  std::vector<Lane*> siblings_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> turns_{0};
  std::atomic<int64_t> turn_started_ns_{0};
};

}  // namespace weir::event

// Debug check that the caller is on the lane's thread.
#define WEIR_ON_LANE(lane) WEIR_ASSERT((lane).on_thread())
