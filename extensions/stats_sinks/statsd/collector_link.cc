#include "extensions/stats_sinks/statsd/collector_link.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/base/assert.h"
#include "core/net/connection.h"
#include "core/upstream/pool.h"

namespace weir::extensions::statsd {
namespace {

// Handed over at a time, so that a connection holds little more than its watermark allows.
constexpr size_t kPieceBytes = size_t{64} * 1024;

uint64_t lines_in(std::string_view text) { return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n')); }

// As much of the text as fits, in whole lines.
std::string_view whole_lines(std::string_view text, size_t room) {
  if (text.size() <= room) return text;
  return text.substr(0, text.substr(0, room).rfind('\n') + 1);
}

}  // namespace

CollectorLink::~CollectorLink() { lose(); }

void CollectorLink::send(std::string_view lines) {
  confirm();
  const size_t held = waiting_.size() - start_ + (stream_ != nullptr ? stream_->connection().unsent() : 0);
  const std::string_view fits = whole_lines(lines, most_waiting_ - std::min(most_waiting_, held));
  counters_.dropped.add(lines_in(lines.substr(fits.size())));
  if (start_ > 0) {
    waiting_.erase(0, start_);
    start_ = 0;
  }
  waiting_ += fits;
  // A cluster that has gone takes its connection with it.
  if (stream_ != nullptr && find_cluster() == nullptr) lose();
  if (stream_ != nullptr) {
    push();
  } else if (has_waiting() && pool_ == nullptr && !event::Timer::armed()) {
    connect();
  }
}

upstream::ClusterLocal* CollectorLink::find_cluster() const {
  upstream::LaneClusters* clusters = upstream::LaneClusters::find_on(lane_);
  return clusters != nullptr ? clusters->find(slot_) : nullptr;
}

void CollectorLink::connect() {
  cluster_ = find_cluster();
  if (cluster_ == nullptr) {
    connect_later();
    return;
  }
  pin_ = cluster_->pin();
  lb::PickInput input;
  if (cluster_->aggregates()) {
    const upstream::Member member = cluster_->choose_member(input);
    if (member.cluster != nullptr) {
      cluster_ = member.cluster;
      pin_ = cluster_->pin();
    }
    input.target = member.target;
  }
  pool_ = cluster_->pick(input);
  if (pool_ == nullptr) {
    pin_->stats->cx_none_healthy.inc();
    connect_later();
    return;
  }
  const filter::UpstreamTransportOptions options;
  pool_ = &pool_->variant(options, upstream::speaks_of(pin_->spec.protocol, true, stream::Protocol::kNone));
  cluster_->begin_request(*pool_, *pin_->stats);
  waiter_.want_unused(true);
  waiter_.refuse_at_limit();
  upstream::UpstreamStream* ready = nullptr;
  switch (pool_->request(waiter_, *this, ready)) {
    case upstream::ConnPool::Start::kReady:
      on_ready(*ready);
      break;
    case upstream::ConnPool::Start::kWaiting:
      break;
    case upstream::ConnPool::Start::kOverflow:
      on_failed(upstream::ResetReason::kOverflow, {});
  }
}

// A collector that comes back is not met by all of its clients in the same moment.
void CollectorLink::connect_later() {
  const Duration pause = std::min(kFirstPause * (int64_t{1} << std::min<uint32_t>(failures_, 16)), kLongestPause);
  ++failures_;
  const auto half = static_cast<uint64_t>(pause.count() / 2);
  lane_.arm_in(*this, Duration(static_cast<int64_t>(half + lane_.random().next() % half)));
}

void CollectorLink::on_timer() {
  if (has_waiting()) connect();
}

void CollectorLink::on_ready(upstream::UpstreamStream& stream) {
  upstream::ClusterLocal::count_request(*pool_, *pin_->stats);
  pool_->host().totals.rq_success.inc();
  stream_ = &stream;
  stream.open_raw();
  push();
}

void CollectorLink::on_failed(upstream::ResetReason, std::string_view) {
  pool_->host().totals.rq_error.inc();
  end_attempt();
  connect_later();
}

http::HeaderMap& CollectorLink::begin_response(int) {
  WEIR_CHECK(stream_ == nullptr);
  std::abort();
}

// Collectors say nothing; one that does says it to nobody.
void CollectorLink::on_upstream_data(Slices& data, bool end) {
  data.clear();
  if (!end) return;
  lose();
  connect_later();
}

void CollectorLink::on_reset(upstream::ResetReason, std::string_view) {
  stream_ = nullptr;
  lose();
  connect_later();
}

void CollectorLink::on_request_flow(bool blocked) {
  if (blocked) return;
  confirm();
  push();
}

void CollectorLink::push() {
  if (!has_waiting() || stream_->above_high_watermark()) return;
  while (has_waiting() && stream_ != nullptr && !stream_->above_high_watermark()) {
    const std::string_view rest = std::string_view(waiting_).substr(start_);
    std::string_view piece = whole_lines(rest, kPieceBytes);
    if (piece.empty()) piece = rest.substr(0, rest.find('\n') + 1);
    in_flight_ += lines_in(piece);
    start_ += piece.size();
    Slices data;
    data.append_copy(piece, lane_.blocks());
    stream_->send_data(data, false);
  }
  if (!has_waiting()) {
    waiting_ = {};
    start_ = 0;
  }
  if (stream_ == nullptr) return;
  stream_->connection().flush();
  confirm();
}

void CollectorLink::confirm() {
  if (stream_ == nullptr || in_flight_ == 0 || !stream_->connection().open() || stream_->connection().unsent() > 0)
    return;
  counters_.sent.add(std::exchange(in_flight_, 0));
  failures_ = 0;
}

void CollectorLink::lose() {
  counters_.dropped.add(std::exchange(in_flight_, 0));
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->reset();
  end_attempt();
}

void CollectorLink::end_attempt() {
  waiter_.leave();
  if (pool_ == nullptr) return;
  cluster_->end_request(*pool_, *pin_->stats);
  pool_ = nullptr;
}

}  // namespace weir::extensions::statsd
