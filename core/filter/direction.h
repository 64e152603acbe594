// One direction of a stream's way through its filters, and what waits on it. Requests and responses run through the
// same code: a step of travel is position n for requests and size-1-n for responses.
//
// Invariant: a filter sees headers, then data, then trailers, in order and each byte once, whatever pauses where. What
// arrives at a step that waits is queued there; flow control stops the source when too much is queued. Invariant: no
// hook runs inside another one of the same direction, or bytes could overtake those that the outer hook looks at.
#pragma once

#include <cstdint>

#include "core/base/block.h"
#include "core/filter/chain_config.h"
#include "core/filter/flow_control.h"

namespace weir::filter {

class Stream;

class Direction {
 public:
  Direction(Stream& stream, bool response) : stream_(stream), response_(response) {}
  ~Direction();
  Direction(const Direction&) = delete;
  Direction& operator=(const Direction&) = delete;

  // `made`: the filters of this stream, by position.
  void set_chain(const HttpChainConfig& chain, uint64_t made);

  // As if no event had come, and without a chain.
  void restart();

  // Events that enter at a step. Never from within a hook of this direction.
  void headers(size_t from, bool end) {
    move_headers(from, end);
    settle();
  }
  void data(size_t from, Slices& data, bool end) {
    move_data(from, data, end);
    settle();
  }
  void trailers(size_t from) {
    move_trailers(from);
    settle();
  }
  // The filter at this position continues; if a hook of this direction is running, as soon as that has returned.
  void resume(size_t position);
  // The filter whose headers hook runs wants the whole body.
  // `part`: as much of it as the limit says will do.
  void want_whole_body(size_t position, uint32_t limit, bool part = false);
  // The filter whose headers hook runs does not want to see the body.
  void leave_body_alone();
  // Bytes ahead of the trailers whose hook runs.
  void inject(Slices& data);
  // Bytes behind those that the paused filter at this position holds.
  void inject_paused(size_t position, Slices& data);
  // The same, and all that it holds moves on while it stays paused.
  void pass_on_paused(size_t position, Slices& data);
  // Steps entered so far: the first step that has not seen the headers.
  size_t entered() const { return hook_ == Hook::kHeaders ? step() + 1 : entered_; }
  // Stops the source, or lets it go on, by what waits.
  void update_flow();
  // Forgets what waits (a local reply replaces it, or the stream is over).
  void drop_waiting();
  bool waiting() const { return held_ != 0; }
  size_t waiting_bytes() const { return waiting_bytes_; }
  // Data passes without being looked at or held; the other one: on its way to the terminal filter of requests.
  bool only_passes_data() const { return held_ == 0 && (data_mask_ | whole_mask_) == 0; }
  bool only_passes_data_to_last() const {
    return held_ == 0 && ((data_mask_ | whole_mask_) & ~filter_bit(chain_->size() - 1)) == 0;
  }
  // A hook of this direction is on the stack.
  bool in_hook() const { return hook_ != Hook::kNone; }
  // Of the filter whose hook is on the stack.
  size_t running_position() const { return position_of(step()); }
  bool is_response() const { return response_; }
  // Whether the stream takes no further events: the filter after the running one is not to be called then.
  void set_stopped(bool stopped) { interrupted_ = stopped ? kInterrupted : 0; }

 private:
  // kThrough: nothing happened but that all hooks ran.
  enum class Verdict : uint8_t { kThrough, kGoOn, kWait, kStop };
  enum class Hook : uint8_t { kNone, kHeaders, kData, kTrailers };
  // What waits at one step; made when something first does.
  struct Hold {
    bool paused = false;
    bool whole_body = false;    // collecting
    bool part_will_do = false;  // `limit` bytes are enough
    bool headers_held = false;  // seen here, not passed on
    bool held_end = false;
    bool queue_end = false;
    bool trailers_waiting = false;  // not seen here
    bool trailers_held = false;     // seen here, not passed on
    uint32_t limit = 0;
    Slices held;   // seen here, not passed on
    Slices queue;  // not seen here
  };

  size_t position_of(size_t step) const { return response_ ? chain_->size() - 1 - step : step; }
  size_t step_of(size_t position) const { return response_ ? chain_->size() - 1 - position : position; }
  // Of the filter that runs, or ran last.
  size_t step() const { return static_cast<size_t>(at_ - offsets_); }
  bool is_held(size_t step) const { return (held_ & filter_bit(step)) != 0; }
  Hold& hold(size_t step);
  void destroy_holds();
  FlowControl& flow();
  void move_headers(size_t from, bool end);
  void move_data(size_t from, Slices& data, bool end);
  void move_trailers(size_t from);
  void pump(size_t step);
  void settle() {
    if (resumed_ != 0) [[unlikely]]
      continue_resumed();
  }
  void continue_resumed();
  void enqueue(size_t step, Slices& data, bool end);
  bool has_room(bool collects);
  // What is left of a way: the first bit of `rest` is the step of `at`.
  struct Steps {
    const uint32_t* at;  // into offsets_
    uint64_t rest;
    void skip_to_first();
  };
  Steps steps_of(uint64_t mask, size_t from) const;
  // Run the hooks of the filters that are left, in order, until one has not simply continued or something is to be done
  // after it. That one is step(), and its verdict the result.
  Verdict run_headers_hooks(Steps& left, bool end);
  Verdict run_data_hooks(Steps& left, Slices& data, bool end);
  Verdict run_trailers_hooks(Steps& left);
  Verdict run_data_hook(size_t step, Slices& data, bool end);
  template <class Call>
  Verdict run(Hook hook, Steps& left, Call call);
  Verdict verdict_of(Action action);

  Stream& stream_;
  const HttpChainConfig* chain_ = nullptr;
  uint64_t headers_mask_ = 0;
  uint64_t data_mask_ = 0;
  uint64_t trailers_mask_ = 0;
  uint64_t whole_mask_ = 0;
  uint64_t held_ = 0;     // steps with something waiting
  uint64_t resumed_ = 0;  // paused steps that may go on when the running hook has returned
  Hold** holds_ = nullptr;
  size_t waiting_bytes_ = 0;
  const uint32_t* offsets_ = nullptr;  // of the filters, by step
  const uint32_t* at_ = nullptr;       // the one of the filter that runs
  Hook hook_ = Hook::kNone;            // on the stack
  // Set by whatever makes the next filter wait although the one that runs continues: the one thing to look at between
  // two of them.
  static constexpr uint8_t kInterrupted = 0x80;  // beside an Action
  uint8_t interrupted_ = 0;
  bool resumed_itself_ = false;  // the running filter: the pause that it returns is none
  uint8_t entered_ = 0;
  bool headers_end_ = false;
  bool counted_ = false;  // the host has been told of what waits
  const bool response_;
};

}  // namespace weir::filter
