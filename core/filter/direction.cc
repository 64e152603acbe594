#include "core/filter/direction.h"

#include <algorithm>
#include <utility>

#include "core/event/activity.h"
#include "core/filter/registry.h"
#include "core/filter/stream.h"

namespace weir::filter {
namespace {

uint64_t reversed(uint64_t mask, size_t size) {
  uint64_t result = 0;
  for (size_t i = 0; i < size; ++i) {
    if ((mask & filter_bit(i)) != 0) result |= filter_bit(size - 1 - i);
  }
  return result;
}

// The bits of `mask` from `from` on.
uint64_t from_step(uint64_t mask, size_t from) { return from < 64 ? (mask << from) >> from : 0; }
unsigned first(uint64_t mask) { return static_cast<unsigned>(__builtin_clzll(mask)); }
unsigned last(uint64_t mask) { return 63 - static_cast<unsigned>(__builtin_ctzll(mask)); }
uint64_t all_before_first(uint64_t mask) { return mask == 0 ? ~uint64_t{0} : ~(~uint64_t{0} >> first(mask)); }

void describe_hook(const HttpFilterEntry& entry, bool response, unsigned hook, event::ActivityText& text) {
  constexpr std::string_view kParts[] = {"", "_headers", "_data", "_trailers"};
  text.add("filter ").add(entry.name).add(" (").add(entry.descriptor->name).add("), on_");
  text.add(response ? "response" : "request").add(kParts[hook]);
}

}  // namespace

void Direction::restart() {
  drop_waiting();
  destroy_holds();
  holds_ = nullptr;
  chain_ = nullptr;
  offsets_ = at_ = nullptr;
  interrupted_ = 0;
  entered_ = 0;
  headers_end_ = resumed_itself_ = false;
}

Direction::~Direction() { destroy_holds(); }

void Direction::destroy_holds() {
  if (holds_ == nullptr) return;
  for (size_t i = 0; i < chain_->size(); ++i) {
    if (holds_[i] != nullptr) holds_[i]->~Hold();
  }
}

void Direction::set_chain(const HttpChainConfig& chain, uint64_t made) {
  chain_ = &chain;
  const HttpChainConfig::Route& route = response_ ? chain.response_route() : chain.request_route();
  uint64_t mine = made == chain.all_mask() || !response_ ? made : reversed(made, chain.size());
  offsets_ = chain.offsets(response_);
  headers_mask_ = (route.headers | route.whole_body) & mine;
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
  held_ |= filter_bit(step);
  interrupted_ = kInterrupted;
  return *holds_[step];
}

void Direction::want_whole_body(size_t position, uint32_t limit, bool part) {
  Hold& at = hold(step_of(position));
  at.whole_body = true;
  at.part_will_do = part;
  at.limit = limit;
}

void Direction::leave_body_alone() {
  if (WEIR_BUG(hook_ != Hook::kHeaders)) return;  // what it has seen of the body may hang together with the rest
  data_mask_ &= ~filter_bit(step());
  whole_mask_ &= ~filter_bit(step());
}

FlowControl& Direction::flow() { return response_ ? stream_.response_flow() : stream_.request_flow(); }

void Direction::inject(Slices& data) {
  if (data.empty()) return;
  if (WEIR_BUG(hook_ != Hook::kTrailers)) {
    stream_.abort("filter_injected_out_of_place");
    return;
  }
  Hold& at = hold(step());
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
  if (WEIR_BUG(!paused || holds_[step]->headers_held || hook_ != Hook::kNone)) {
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
    Hold*& at = holds_[last(rest)];
    at->~Hold();
    at = nullptr;
  }
  held_ = 0;
  resumed_ = 0;
  waiting_bytes_ = 0;
  flow().unblock(FlowReason::kChainBuffer);
}

Direction::Steps Direction::steps_of(uint64_t mask, size_t from) const {
  return {offsets_ + from, from < 64 ? mask << from : 0};
}

inline void Direction::Steps::skip_to_first() {
  unsigned skipped = first(rest);
  at += skipped;
  rest <<= skipped;
}

// The way through all filters of a chain is this loop, so that each of them costs little more than its call.
template <class Call>
[[gnu::always_inline]] inline Direction::Verdict Direction::run(Hook hook, Steps& left, Call call) {
  WEIR_ASSERT(hook_ == Hook::kNone && left.rest != 0);
  Stream& stream = stream_;
  Direction* outer = std::exchange(stream.running_, this);
  const event::ActivityScope doing(
      [](const void* subject, event::ActivityText& text) {
        const auto& direction = *static_cast<const Direction*>(subject);
        if (direction.chain_ == nullptr || direction.running_position() >= direction.chain_->size()) return;
        describe_hook(direction.chain_->entry(direction.running_position()), direction.response_,
                      static_cast<unsigned>(direction.hook_), text);
      },
      this);
  hook_ = hook;
  Steps steps = left;
  uint8_t outcome = 0;
  if (!has_first(steps.rest)) steps.skip_to_first();
  while (true) {
    at_ = steps.at;
    outcome = static_cast<uint8_t>(call(*reinterpret_cast<HttpFilter*>(stream.filters_ + *steps.at)));
    outcome |= interrupted_;
    if (outcome != 0) [[unlikely]]
      break;
    ++steps.at;
    steps.rest <<= 1;
    if (has_first(steps.rest)) continue;
    if (steps.rest == 0) break;
    steps.skip_to_first();
  }
  hook_ = Hook::kNone;
  stream.running_ = outer;
  if (outcome == 0) [[likely]]
    return Verdict::kThrough;
  left = {steps.at + 1, steps.rest << 1};
  if (hook == Hook::kHeaders) entered_ = static_cast<uint8_t>(step() + 1);
  return verdict_of(static_cast<Action>(outcome & ~kInterrupted));
}

// What comes of a hook that has returned something else than kContinue, or interrupted the way.
Direction::Verdict Direction::verdict_of(Action action) {
  set_stopped(stream_.stopped());
  const bool resumed_itself = std::exchange(resumed_itself_, false);
  if (interrupted_ != 0) {
    stream_.send_pending_reply();
    return Verdict::kStop;
  }
  switch (action) {
    case Action::kContinue:
      return Verdict::kGoOn;
    case Action::kPause:
      if (resumed_itself) return Verdict::kGoOn;
      hold(step()).paused = true;
      interrupted_ = 0;
      return Verdict::kWait;
    case Action::kDone:
      break;
  }
  // kDone was said, but nothing was answered: end the stream rather than let it hang.
  (void)WEIR_BUG(true);
  stream_.abort("filter_done_without_answer");
  return Verdict::kStop;
}

[[gnu::always_inline]] inline Direction::Verdict Direction::run_headers_hooks(Steps& steps, bool end) {
  Stream& stream = stream_;
  if (response_) {
    return run(Hook::kHeaders, steps, [&stream, end](HttpFilter& filter) {
      return filter.on_response_headers(stream, stream.response_headers_, end);
    });
  }
  return run(Hook::kHeaders, steps, [&stream, end](HttpFilter& filter) {
    return filter.on_request_headers(stream, stream.request_headers_, end);
  });
}

[[gnu::always_inline]] inline Direction::Verdict Direction::run_data_hooks(Steps& steps, Slices& data, bool end) {
  auto run_with = [&](auto hook) __attribute__((always_inline)) {
    return run(Hook::kData, steps, [this, hook, &stream = stream_, &data, end](HttpFilter& filter) {
      Action action = (filter.*hook)(stream, data, end);
      if (data.empty()) [[unlikely]]
        interrupted_ = kInterrupted;  // kept: the next one gets it later
      return action;
    });
  };
  return response_ ? run_with(&HttpFilter::on_response_data) : run_with(&HttpFilter::on_request_data);
}

Direction::Verdict Direction::run_data_hook(size_t step, Slices& data, bool end) {
  Steps one = steps_of(data_mask_ & filter_bit(step), step);
  return one.rest != 0 ? run_data_hooks(one, data, end) : Verdict::kGoOn;
}

Direction::Verdict Direction::run_trailers_hooks(Steps& steps) {
  return run(Hook::kTrailers, steps, [&](HttpFilter& filter) {
    return response_ ? filter.on_response_trailers(stream_, *stream_.response_trailers_)
                     : filter.on_request_trailers(stream_, *stream_.request_trailers_);
  });
}

void Direction::move_headers(size_t from, bool end) {
  headers_end_ = end;
  const uint64_t whole = end ? 0 : whole_mask_;
  for (Steps left = steps_of(headers_mask_, from); left.rest != 0;) {
    if (whole != 0) interrupted_ = kInterrupted;
    Verdict verdict = run_headers_hooks(left, end);
    if (verdict == Verdict::kThrough) break;
    const size_t step = this->step();
    if (verdict == Verdict::kStop) return;
    if ((whole & whole_mask_ & filter_bit(step)) != 0 && !(is_held(step) && holds_[step]->whole_body)) {
      want_whole_body(position_of(step), chain_->whole_body_limit(response_, position_of(step)));
    }
    if (!is_held(step)) [[likely]]
      continue;
    interrupted_ = 0;
    Hold& at = *holds_[step];
    if (end) at.whole_body = false;
    if (at.paused || at.whole_body) {
      at.headers_held = true;
      return;
    }
    held_ &= ~filter_bit(step);
  }
  entered_ = static_cast<uint8_t>(chain_->size());
  stream_.leave_headers(response_, end);
}

void Direction::move_data(size_t from, Slices& data, bool end) {
  const uint64_t waiting = from_step(held_, from);
  for (Steps left = steps_of(data_mask_ & all_before_first(waiting), from); left.rest != 0;) {
    Verdict verdict = run_data_hooks(left, data, end);
    if (verdict == Verdict::kThrough) break;
    if (verdict == Verdict::kStop) return;
    if (verdict == Verdict::kWait) {
      Hold& at = *holds_[step()];
      waiting_bytes_ += data.size();
      at.held.append_all(data);
      at.held_end = end;
      update_flow();
      return;
    }
    if (data.empty() && !end) return;  // the filter kept it all
  }
  if (waiting != 0) {
    enqueue(first(waiting), data, end);
  } else {
    stream_.leave_data(response_, data, end);
  }
}

void Direction::move_trailers(size_t from) {
  const uint64_t waiting = from_step(held_, from);
  for (Steps left = steps_of(trailers_mask_ & all_before_first(waiting), from); left.rest != 0;) {
    Verdict verdict = run_trailers_hooks(left);
    if (verdict == Verdict::kThrough) break;
    if (verdict == Verdict::kStop) return;
    if (is_held(step())) {  // paused, or injected bytes go first
      holds_[step()]->trailers_held = true;
      pump(step());
      return;
    }
  }
  if (waiting != 0) {
    size_t step = first(waiting);
    holds_[step]->trailers_waiting = true;
    pump(step);
  } else {
    stream_.leave_trailers(response_);
  }
}

void Direction::enqueue(size_t step, Slices& data, bool end) {
  Hold& at = *holds_[step];
  waiting_bytes_ += data.size();
  at.queue.append_all(data);
  at.queue_end |= end;
  if (at.whole_body && at.queue.size() > at.limit && !at.part_will_do) {
    stream_.body_too_large(response_);
    return;
  }
  update_flow();
  pump(step);
}

void Direction::update_flow() {
  // A body that a filter collects is bounded by that filter's limit: counted here, it would wait for itself.
  size_t bytes = waiting_bytes_;
  bool collects = false;
  for (uint64_t rest = held_; rest != 0; rest &= rest - 1) {
    const Hold& at = *holds_[last(rest)];
    if (!at.whole_body) continue;
    bytes -= at.queue.size();
    collects = true;
  }
  if (bytes > stream_.buffer_limit() || !has_room(collects)) {
    flow().block(FlowReason::kChainBuffer);
  } else if (bytes <= stream_.buffer_limit() / 2) {
    flow().unblock(FlowReason::kChainBuffer);
  }
}

// Beside the other requests of the same client. Of short ones nobody hears.
bool Direction::has_room(bool collects) {
  constexpr size_t kShort = 16 * 1024;
  const bool counts = !response_ && waiting_bytes_ > kShort;
  if (!counts && !counted_) return true;
  counted_ = counts;
  return stream_.host().keeps_request(counts ? waiting_bytes_ : 0, collects);
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
      const bool enough = at.part_will_do && at.queue.size() >= at.limit;
      if (!at.queue_end && !at.trailers_waiting && !enough) return;
      at.whole_body = false;
      Slices body = take(at.queue);
      bool end = std::exchange(at.queue_end, false);
      if (run_data_hook(step, body, end) == Verdict::kStop) return;
      keep(body, end);
    } else if (at.headers_held) {
      at.headers_held = false;
      move_headers(step + 1, headers_end_);
    } else if (!at.held.empty() || at.held_end) {
      Slices passed = take(at.held);
      move_data(step + 1, passed, std::exchange(at.held_end, false));
    } else if (at.trailers_held) {
      at.trailers_held = false;
      held_ &= ~filter_bit(step);
      move_trailers(step + 1);
    } else if (!at.queue.empty() || at.queue_end) {
      Slices body = take(at.queue);
      bool end = std::exchange(at.queue_end, false);
      Verdict verdict = run_data_hook(step, body, end);
      if (verdict == Verdict::kStop) return;
      if (verdict == Verdict::kWait) {
        keep(body, end);
      } else if (!body.empty() || end) {
        move_data(step + 1, body, end);
      }
    } else if (at.trailers_waiting) {
      at.trailers_waiting = false;
      Steps one = steps_of(trailers_mask_ & filter_bit(step), step);
      if (one.rest != 0 && run_trailers_hooks(one) == Verdict::kStop) return;
      at.trailers_held = true;
    } else {
      held_ &= ~filter_bit(step);
    }
    if (stream_.stopped()) return;
  }
  update_flow();
}

void Direction::resume(size_t position) {
  size_t step = step_of(position);
  if (in_hook() && this->step() == step) {
    resumed_itself_ = true;
    interrupted_ = kInterrupted;
    return;
  }
  if (!is_held(step) || !holds_[step]->paused) return;
  resumed_ |= filter_bit(step);
  if (!in_hook()) continue_resumed();
}

// Those nearest to the far end first: their bytes are the older ones.
void Direction::continue_resumed() {
  while (resumed_ != 0) {
    size_t step = last(resumed_);
    resumed_ &= ~filter_bit(step);
    holds_[step]->paused = false;
    pump(step);
  }
}

}  // namespace weir::filter
