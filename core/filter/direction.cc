#include "core/filter/direction.h"

#include <algorithm>

#include "core/filter/stream.h"

namespace weir::filter {
namespace {

uint64_t reversed(uint64_t mask, size_t size) {
  uint64_t result = 0;
  for (; mask != 0; mask &= mask - 1) result |= uint64_t{1} << (size - 1 - static_cast<size_t>(__builtin_ctzll(mask)));
  return result;
}

// The bits of `mask` from `from` on.
uint64_t from_step(uint64_t mask, size_t from) { return from < 64 ? (mask >> from) << from : 0; }
size_t lowest(uint64_t mask) { return static_cast<size_t>(__builtin_ctzll(mask)); }

}  // namespace

Direction::~Direction() {
  if (holds_ == nullptr) return;
  for (size_t i = 0; i < chain_->size(); ++i) {
    if (holds_[i] != nullptr) holds_[i]->~Hold();
  }
}

void Direction::set_chain(const HttpChainConfig& chain, uint64_t made) {
  chain_ = &chain;
  const HttpChainConfig::Route& route = response_ ? chain.response_route() : chain.request_route();
  uint64_t mine = made == chain.all_mask() || !response_ ? made : reversed(made, chain.size());
  headers_mask_ = route.headers & mine;
  data_mask_ = route.data & mine;
  trailers_mask_ = route.trailers & mine;
  whole_mask_ = route.whole_body & mine;
}

Direction::Hold& Direction::hold(size_t step) {
  if (holds_ == nullptr) {
    size_t count = chain_->size();
    holds_ = static_cast<Hold**>(stream_.arena().allocate(count * sizeof(Hold*), alignof(Hold*)));
    std::fill(holds_, holds_ + count, nullptr);
  }
  if (holds_[step] == nullptr) holds_[step] = stream_.arena().make<Hold>();
  held_ |= uint64_t{1} << step;
  return *holds_[step];
}

void Direction::want_whole_body(size_t position, uint32_t limit) {
  Hold& at = hold(step_of(position));
  at.whole_body = true;
  at.limit = limit;
}

FlowControl& Direction::flow() { return response_ ? stream_.response_flow() : stream_.request_flow(); }

void Direction::inject(Slices& data) {
  if (data.empty()) return;
  if (WEIR_BUG(hook_ == kNoHook || (hook_ & kTrailersHook) == 0)) {
    stream_.abort("filter_injected_out_of_place");
    return;
  }
  Hold& at = hold(hook_ & kStepBits);
  waiting_bytes_ += data.size();
  at.held.append_all(data);
}

void Direction::inject_paused(size_t position, Slices& data) {
  size_t step = step_of(position);
  if (data.empty()) return;
  if (!is_held(step) || !holds_[step]->paused) {
    if (stream_.answered_locally()) return;  // the answer has taken the place of what the filter held
    (void)WEIR_BUG(true);
    stream_.abort("filter_injected_out_of_place");
    return;
  }
  Hold& at = *holds_[step];
  if (at.headers_held && headers_end_) {  // the message had no body: now it has one
    headers_end_ = false;
    at.held_end = true;
  }
  waiting_bytes_ += data.size();
  at.held.append_all(data);
  update_flow();
}

void Direction::pass_on_paused(size_t position, Slices& data) {
  size_t step = step_of(position);
  bool paused = is_held(step) && holds_[step]->paused;
  if (!paused && stream_.answered_locally()) return;  // the answer has taken the place of what the filter held
  if (WEIR_BUG(!paused || holds_[step]->headers_held || hook_ != kNoHook)) {
    stream_.abort("filter_passed_out_of_place");
    return;
  }
  Hold& at = *holds_[step];
  waiting_bytes_ -= at.held.size();
  Slices passed;
  passed.append_all(at.held);
  passed.append_all(data);
  update_flow();
  if (!passed.empty()) this->data(step + 1, passed, false);
}

void Direction::drop_waiting() {
  for (uint64_t rest = held_; rest != 0; rest &= rest - 1) {
    Hold*& at = holds_[lowest(rest)];
    at->~Hold();
    at = nullptr;
  }
  held_ = 0;
  resumed_ = 0;
  waiting_bytes_ = 0;
  flow().unblock(FlowReason::kChainBuffer);
}

// Around every hook: whose it is, and what comes of its verdict.
template <class Call>
Direction::Verdict Direction::run(uint16_t hook, Call call) {
  WEIR_ASSERT(hook_ == kNoHook);
  size_t step = hook & kStepBits;
  size_t position = position_of(step);
  Stream::Running outer = stream_.running_;
  stream_.running_ = {static_cast<uint8_t>(position), response_};
  hook_ = hook;
  Action action = call(stream_.filter(position));
  bool resumed = (hook_ & kResumed) != 0;
  hook_ = kNoHook;
  stream_.running_ = outer;
  if (stream_.stopped()) [[unlikely]] {
    stream_.send_pending_reply();
    return Verdict::kStop;
  }
  switch (action) {
    case Action::kContinue:
      return Verdict::kGoOn;
    case Action::kPause:
      if (resumed) return Verdict::kGoOn;
      hold(step).paused = true;
      return Verdict::kWait;
    case Action::kDone:
      break;
  }
  // kDone was said, but nothing was answered: end the stream rather than let it hang.
  (void)WEIR_BUG(true);
  stream_.abort("filter_done_without_answer");
  return Verdict::kStop;
}

Direction::Verdict Direction::run_headers_hook(size_t step, bool end) {
  return run(static_cast<uint16_t>(step), [&](HttpFilter& filter) {
    return response_ ? filter.on_response_headers(stream_, stream_.response_headers_, end)
                     : filter.on_request_headers(stream_, stream_.request_headers_, end);
  });
}
Direction::Verdict Direction::run_data_hook(size_t step, Slices& data, bool end) {
  return run(static_cast<uint16_t>(step), [&](HttpFilter& filter) {
    return response_ ? filter.on_response_data(stream_, data, end) : filter.on_request_data(stream_, data, end);
  });
}
Direction::Verdict Direction::run_trailers_hook(size_t step) {
  return run(static_cast<uint16_t>(step | kTrailersHook), [&](HttpFilter& filter) {
    return response_ ? filter.on_response_trailers(stream_, *stream_.response_trailers_)
                     : filter.on_request_trailers(stream_, *stream_.request_trailers_);
  });
}

void Direction::move_headers(size_t from, bool end) {
  headers_end_ = end;
  for (uint64_t rest = from_step(headers_mask_ | whole_mask_, from); rest != 0; rest &= rest - 1) {
    size_t step = lowest(rest);
    entered_ = static_cast<uint8_t>(step + 1);
    Verdict verdict = Verdict::kGoOn;
    if (!end && (whole_mask_ >> step) & 1) {
      want_whole_body(position_of(step), chain_->whole_body_limit(response_, position_of(step)));
    }
    if ((headers_mask_ >> step) & 1) verdict = run_headers_hook(step, end);
    if (verdict == Verdict::kStop) return;
    if (!is_held(step)) [[likely]]
      continue;
    Hold& at = *holds_[step];
    if (end) at.whole_body = false;
    if (at.paused || at.whole_body) {
      at.headers_held = true;
      return;
    }
    held_ &= ~(uint64_t{1} << step);
  }
  entered_ = static_cast<uint8_t>(chain_->size());
  stream_.leave_headers(response_, end);
}

void Direction::move_data(size_t from, Slices& data, bool end) {
  for (uint64_t rest = from_step(data_mask_ | held_, from); rest != 0; rest &= rest - 1) {
    size_t step = lowest(rest);
    if (is_held(step)) {
      enqueue(step, data, end);
      return;
    }
    Verdict verdict = run_data_hook(step, data, end);
    if (verdict == Verdict::kStop) return;
    if (verdict == Verdict::kWait) {
      Hold& at = *holds_[step];
      waiting_bytes_ += data.size();
      at.held.append_all(data);
      at.held_end = end;
      update_flow();
      return;
    }
    if (data.empty() && !end) return;  // the filter kept it all
  }
  stream_.leave_data(response_, data, end);
}

void Direction::move_trailers(size_t from) {
  for (uint64_t rest = from_step(trailers_mask_ | held_, from); rest != 0; rest &= rest - 1) {
    size_t step = lowest(rest);
    if (is_held(step)) {
      holds_[step]->trailers_waiting = true;
      pump(step);
      return;
    }
    if (run_trailers_hook(step) == Verdict::kStop) return;
    if (is_held(step)) {  // paused, or injected bytes go first
      holds_[step]->trailers_held = true;
      pump(step);
      return;
    }
  }
  stream_.leave_trailers(response_);
}

void Direction::enqueue(size_t step, Slices& data, bool end) {
  Hold& at = *holds_[step];
  waiting_bytes_ += data.size();
  at.queue.append_all(data);
  at.queue_end |= end;
  if (at.whole_body && at.queue.size() > at.limit) {
    stream_.body_too_large(response_);
    return;
  }
  // A whole body is bounded by its own limit; only a paused filter stops the source.
  if (!at.whole_body) update_flow();
  pump(step);
}

void Direction::update_flow() {
  // A body that a filter collects is bounded by that filter's limit: counted here, it would wait for itself.
  size_t bytes = waiting_bytes_;
  for (uint64_t rest = held_; rest != 0; rest &= rest - 1) {
    const Hold& at = *holds_[lowest(rest)];
    if (at.whole_body) bytes -= at.queue.size();
  }
  if (bytes > stream_.buffer_limit()) {
    flow().block(FlowReason::kChainBuffer);
  } else if (bytes <= stream_.buffer_limit() / 2) {
    flow().unblock(FlowReason::kChainBuffer);
  }
}

// Moves on what waits at a step, in order, until something pauses there or nothing is left. What moves may end the
// stream or bring an answer, and what waits is then gone: `at` is looked at only while the step is held.
void Direction::pump(size_t step) {
  Hold& at = *holds_[step];
  auto take = [this](Slices& from) {
    Slices taken;
    waiting_bytes_ -= from.size();
    taken.append_all(from);
    return taken;
  };
  auto keep = [this, &at](Slices& body, bool end) {
    waiting_bytes_ += body.size();
    at.held.append_all(body);
    at.held_end = end;
  };
  while (is_held(step) && !at.paused) {
    if (at.whole_body) {
      if (!at.queue_end && !at.trailers_waiting) return;
      at.whole_body = false;
      Slices body = take(at.queue);
      bool end = std::exchange(at.queue_end, false);
      if ((data_mask_ >> step) & 1 && run_data_hook(step, body, end) == Verdict::kStop) return;
      keep(body, end);
    } else if (at.headers_held) {
      at.headers_held = false;
      move_headers(step + 1, headers_end_);
    } else if (!at.held.empty() || at.held_end) {
      Slices passed = take(at.held);
      move_data(step + 1, passed, std::exchange(at.held_end, false));
    } else if (at.trailers_held) {
      at.trailers_held = false;
      held_ &= ~(uint64_t{1} << step);
      move_trailers(step + 1);
    } else if (!at.queue.empty() || at.queue_end) {
      Slices body = take(at.queue);
      bool end = std::exchange(at.queue_end, false);
      Verdict verdict = Verdict::kGoOn;
      if ((data_mask_ >> step) & 1) verdict = run_data_hook(step, body, end);
      if (verdict == Verdict::kStop) return;
      if (verdict == Verdict::kWait) {
        keep(body, end);
      } else if (!body.empty() || end) {
        move_data(step + 1, body, end);
      }
    } else if (at.trailers_waiting) {
      at.trailers_waiting = false;
      if ((trailers_mask_ >> step) & 1 && run_trailers_hook(step) == Verdict::kStop) return;
      at.trailers_held = true;
    } else {
      held_ &= ~(uint64_t{1} << step);
    }
    if (stream_.stopped()) return;
  }
  update_flow();
}

void Direction::resume(size_t position) {
  size_t step = step_of(position);
  if (hook_ != kNoHook && (hook_ & kStepBits) == step) {
    hook_ |= kResumed;
    return;
  }
  if (!is_held(step) || !holds_[step]->paused) return;
  resumed_ |= uint64_t{1} << step;
  if (hook_ == kNoHook) continue_resumed();
}

// Those nearest to the far end first: their bytes are the older ones.
void Direction::continue_resumed() {
  while (resumed_ != 0) {
    size_t step = 63 - static_cast<size_t>(__builtin_clzll(resumed_));
    resumed_ &= ~(uint64_t{1} << step);
    holds_[step]->paused = false;
    pump(step);
  }
}

}  // namespace weir::filter
