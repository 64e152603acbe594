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

void Direction::drop_waiting() {
  for (uint64_t rest = held_; rest != 0; rest &= rest - 1) {
    Hold*& at = holds_[lowest(rest)];
    at->~Hold();
    at = nullptr;
  }
  held_ = 0;
  waiting_bytes_ = 0;
}

Direction::Verdict Direction::verdict(size_t step, uint8_t action) {
  bool resumed = std::exchange(resumed_inline_, false);
  if (stream_.stopped()) {
    stream_.send_pending_reply();
    return Verdict::kStop;
  }
  switch (static_cast<Action>(action)) {
    case Action::kContinue:
      return Verdict::kGoOn;
    case Action::kPause:
      if (resumed) return Verdict::kGoOn;
      hold(step).paused = true;
      return Verdict::kWait;
    case Action::kDone:
      // Said, but nothing was answered: end the stream rather than let it hang.
      if (!WEIR_BUG(true)) break;
      stream_.abort("filter_done_without_answer");
      return Verdict::kStop;
  }
  return Verdict::kStop;
}

Direction::Verdict Direction::run_headers_hook(size_t step, bool end) {
  return verdict(step, static_cast<uint8_t>(stream_.call_headers(position_of(step), response_, end)));
}
Direction::Verdict Direction::run_data_hook(size_t step, Slices& data, bool end) {
  return verdict(step, static_cast<uint8_t>(stream_.call_data(position_of(step), response_, data, end)));
}
Direction::Verdict Direction::run_trailers_hook(size_t step) {
  return verdict(step, static_cast<uint8_t>(stream_.call_trailers(position_of(step), response_)));
}

void Direction::headers(size_t from, bool end) {
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

void Direction::data(size_t from, Slices& data, bool end) {
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

void Direction::trailers(size_t from) {
  for (uint64_t rest = from_step(trailers_mask_ | held_, from); rest != 0; rest &= rest - 1) {
    size_t step = lowest(rest);
    if (is_held(step)) {
      holds_[step]->trailers_waiting = true;
      pump(step);
      return;
    }
    Verdict verdict = run_trailers_hook(step);
    if (verdict == Verdict::kStop) return;
    if (verdict == Verdict::kWait) {
      holds_[step]->trailers_held = true;
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
  FlowControl& flow = response_ ? stream_.response_flow() : stream_.request_flow();
  // A body that a filter collects is bounded by that filter's limit: counted here, it would wait for itself.
  size_t bytes = waiting_bytes_;
  for (uint64_t rest = held_; rest != 0; rest &= rest - 1) {
    const Hold& at = *holds_[lowest(rest)];
    if (at.whole_body) bytes -= at.queue.size();
  }
  if (bytes > stream_.buffer_limit()) {
    flow.block(FlowReason::kChainBuffer);
  } else if (bytes <= stream_.buffer_limit() / 2) {
    flow.unblock(FlowReason::kChainBuffer);
  }
}

// Moves on what waits at a step, in order, until something pauses there or nothing is left.
void Direction::pump(size_t step) {
  Hold& at = *holds_[step];
  auto take = [this](Slices& from) {
    Slices taken;
    waiting_bytes_ -= from.size();
    taken.append_all(from);
    return taken;
  };
  while (!at.paused && is_held(step)) {
    if (at.whole_body) {
      if (!at.queue_end && !at.trailers_waiting) return;
      at.whole_body = false;
      Slices body = take(at.queue);
      bool end = std::exchange(at.queue_end, false);
      Verdict verdict = Verdict::kGoOn;
      if ((data_mask_ >> step) & 1) verdict = run_data_hook(step, body, end);
      if (verdict == Verdict::kStop) return;
      waiting_bytes_ += body.size();
      at.held.append_all(body);
      at.held_end = end;
    } else if (at.headers_held) {
      at.headers_held = false;
      headers(step + 1, headers_end_);
    } else if (!at.held.empty() || at.held_end) {
      Slices passed = take(at.held);
      data(step + 1, passed, std::exchange(at.held_end, false));
    } else if (at.trailers_held) {
      at.trailers_held = false;
      held_ &= ~(uint64_t{1} << step);
      trailers(step + 1);
      return;
    } else if (!at.queue.empty() || at.queue_end) {
      Slices body = take(at.queue);
      bool end = std::exchange(at.queue_end, false);
      Verdict verdict = Verdict::kGoOn;
      if ((data_mask_ >> step) & 1) verdict = run_data_hook(step, body, end);
      if (verdict == Verdict::kStop) return;
      if (verdict == Verdict::kWait) {
        waiting_bytes_ += body.size();
        at.held.append_all(body);
        at.held_end = end;
        break;
      }
      if (!body.empty() || end) data(step + 1, body, end);
    } else if (at.trailers_waiting) {
      at.trailers_waiting = false;
      Verdict verdict = Verdict::kGoOn;
      if ((trailers_mask_ >> step) & 1) verdict = run_trailers_hook(step);
      if (verdict == Verdict::kStop) return;
      if (verdict == Verdict::kWait) {
        at.trailers_held = true;
        break;
      }
      held_ &= ~(uint64_t{1} << step);
      trailers(step + 1);
      return;
    } else {
      held_ &= ~(uint64_t{1} << step);
    }
    if (stream_.stopped()) return;
  }
  update_flow();
}

void Direction::resume(size_t position) {
  size_t step = step_of(position);
  if (stream_.is_running(position, response_)) {
    resumed_inline_ = true;
    return;
  }
  if (!is_held(step) || !holds_[step]->paused) return;
  holds_[step]->paused = false;
  pump(step);
}

}  // namespace weir::filter
