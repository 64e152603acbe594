#include "test/support/chaos_filter.h"

#include "test/support/descriptor.h"

namespace weir::test {

using filter::Action;

ChaosFilter::ChaosFilter(const ChaosConfig& config)
    : config_(config), random_(config.seed * 1'000'003 + ++config.record->streams) {
  ++config_.record->live;
  if (config_.keep_bodies) {
    config_.record->request_body.clear();
    config_.record->response_body.clear();
  }
}

ChaosFilter::~ChaosFilter() {
  --config_.record->live;
  expect(completed_ || !request_.headers, "destroyed without on_complete");
}

void ChaosFilter::expect(bool condition, const char* what) {
  if (!condition && config_.record->violations.size() < 20) config_.record->violations.emplace_back(what);
}

void ChaosFilter::Side::on_timer() {
  if (std::exchange(answer_later, false) && filter.stream_ != nullptr) {
    ++filter.config_.record->answered;
    filter.answered_ = true;
    resume.cancel();
    filter.stream_->reply_local(filter, 418, "chaos_reply", "chaos\n");
    return;
  }
  filter.go_on(*this);
}

void ChaosFilter::go_on(Side& side) {
  if (!side.resume) return;  // gone on already
  give(side);
  side.resume.resume();
}

// While paused: what is kept, or the beginning of it if something follows that the rest can go with.
void ChaosFilter::give(Side& side) {
  if (side.kept.empty() || (!side.ended && roll(50))) return;
  ++config_.record->injected;
  auto size = static_cast<uint32_t>(side.kept.size());
  Slices some;
  side.kept.move_front(side.ended ? size : 1 + random_.below(size), some);
  side.resume.inject_data(some);
}

// What every hook ends with.
Action ChaosFilter::act(filter::Stream& stream, Side& side) {
  const ChaosConfig::Record& record = *config_.record;
  Side& other = &side == &request_ ? response_ : request_;
  if (other.resume && !other.answer_later && roll(10)) go_on(other);
  if (roll_mille(config_.answer_per_mille)) {
    if (roll(50)) {
      ++record.answered;
      answered_ = true;
      return stream.reply_local(418, "chaos_reply", "chaos\n");
    }
    side.answer_later = true;
  } else if (roll_mille(config_.abort_per_mille)) {
    ++record.aborted;
    return stream.abort("chaos_abort");
  }
  if (!side.answer_later && !roll(config_.pause_percent)) return Action::kContinue;
  ++record.paused;
  side.resume = stream.resume_handle();
  if (!side.answer_later && roll(20)) {  // decided at once
    side.resume.resume();
    return Action::kPause;
  }
  auto longest = static_cast<uint32_t>(config_.longest_pause.count() / 1000) + 1;
  stream.lane().arm_in(side, std::chrono::microseconds(random_.below(longest)));
  return Action::kPause;
}

Action ChaosFilter::headers(filter::Stream& stream, Side& side, bool end) {
  stream_ = &stream;
  expect(!side.headers, "headers twice");
  expect(!completed_, "headers after on_complete");
  expect(!answered_, "headers after an answer of its own");
  side.headers = true;
  side.ended = end;
  if (!config_.keep_bodies && roll(config_.leave_percent)) {
    side.left_alone = true;
    stream.leave_body_alone();
  }
  return act(stream, side);
}

Action ChaosFilter::data(filter::Stream& stream, Side& side, Slices& data, bool end, std::string& body) {
  expect(side.headers, "data before headers");
  expect(!side.left_alone, "data of a body that was left alone");
  expect(!side.ended, "data after the end");
  expect(!side.trailers, "data after trailers");
  expect(!side.resume, "data while paused");
  expect(!completed_, "data after on_complete");
  expect(!answered_, "data after an answer of its own");
  expect(end || !data.empty(), "no data and no end");
  side.ended = end;
  if (config_.keep_bodies) body += data.to_string();
  Slices all = std::move(side.kept);
  all.append_all(data);
  size_t passed = all.size();
  if (!end && roll(config_.split_percent)) passed = random_.below(static_cast<uint32_t>(all.size()) + 1);
  Action action = act(stream, side);
  // Of the last piece something may be kept only during a pause.
  if (side.resume && roll(config_.split_percent)) passed = random_.below(static_cast<uint32_t>(all.size()) + 1);
  if (passed < all.size()) ++config_.record->split;
  all.move_front(passed, data);
  side.kept = std::move(all);
  return action;
}

Action ChaosFilter::trailers(filter::Stream& stream, Side& side) {
  expect(side.headers, "trailers before headers");
  expect(!side.ended, "trailers after the end");
  expect(!side.resume, "trailers while paused");
  expect(!completed_, "trailers after on_complete");
  expect(!answered_, "trailers after an answer of its own");
  side.ended = true;
  side.trailers = true;
  Action action = act(stream, side);
  if (!side.kept.empty() && (!side.resume || roll(50))) {
    ++config_.record->injected;
    stream.inject_data(side.kept);
  }
  return action;
}

Action ChaosFilter::on_request_headers(filter::Stream& stream, http::HeaderMap&, bool end) {
  return headers(stream, request_, end);
}
Action ChaosFilter::on_request_data(filter::Stream& stream, Slices& bytes, bool end) {
  return data(stream, request_, bytes, end, config_.record->request_body);
}
Action ChaosFilter::on_request_trailers(filter::Stream& stream, http::HeaderMap&) { return trailers(stream, request_); }
Action ChaosFilter::on_response_headers(filter::Stream& stream, http::HeaderMap&, bool end) {
  expect(request_.headers, "response hook without a request hook");
  return headers(stream, response_, end);
}
Action ChaosFilter::on_response_data(filter::Stream& stream, Slices& bytes, bool end) {
  return data(stream, response_, bytes, end, config_.record->response_body);
}
Action ChaosFilter::on_response_trailers(filter::Stream& stream, http::HeaderMap&) {
  return trailers(stream, response_);
}

void ChaosFilter::on_complete(filter::Stream&) {
  expect(!completed_, "on_complete twice");
  completed_ = true;
}

const filter::HttpFilterDescriptor& chaos_descriptor() {
  static const filter::HttpFilterDescriptor descriptor = describe_for_test<ChaosConfig, ChaosFilter>("weir.test.chaos");
  return descriptor;
}

filter::HttpFilterEntry chaos_entry(std::shared_ptr<const ChaosConfig> config, std::string name) {
  return {.descriptor = &chaos_descriptor(), .config = std::move(config), .name = std::move(name)};
}

}  // namespace weir::test
