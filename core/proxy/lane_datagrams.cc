#include "core/proxy/lane_datagrams.h"

#include <algorithm>
#include <utility>

#include "core/event/activity.h"

namespace weir::proxy {

namespace {
constexpr Duration kLookAgain = 1s;
// Where somebody waits for the end.
constexpr Duration kLookSoon = 50ms;
// At least, whatever the plan says: what was asked is answered within that, or not at all.
constexpr Duration kAnswersTake = 5s;
}  // namespace

DatagramDoor::DatagramDoor(event::Lane& lane, std::shared_ptr<const ListenSockets> sockets, int fd,
                           const net::DatagramOptions& options, net::DatagramReader& reader)
    : lane_(lane),
      sockets_(std::move(sockets)),
      reader_(reader),
      socket_(new net::DatagramSocket(lane, fd, sockets_->address, options, reader, *this)) {}

DatagramDoor::~DatagramDoor() { close(); }

void DatagramDoor::serve(std::shared_ptr<const UdpSpec> spec, std::shared_ptr<ConnectionLimit> limit,
                         const DrainPlan& plan) {
  if (left_ || closed()) return;  // it stays shut: its descriptor is closed, or about to be
  Serving before = std::move(serving_);
  limit_ = std::move(limit);
  socket_->set_options(spec->options);
  for (const UdpFilterEntry& entry : spec->filters) {
    std::unique_ptr<filter::UdpFilter> filter;
    for (size_t i = 0; before.spec != nullptr && i < before.filters.size() && filter == nullptr; ++i) {
      if (before.spec->filters[i].fingerprint == entry.fingerprint) filter = std::move(before.filters[i]);
    }
    serving_.filters.push_back(filter != nullptr ? std::move(filter) : entry.descriptor->make(entry.config, *this));
  }
  serving_.spec = std::move(spec);
  for (auto& filter : before.filters) {
    if (filter == nullptr) continue;
    filter->on_leaving();
    if (filter->still_needed()) leaving_.push_back({std::move(filter), lane_.now() + std::max(plan.time, kLookAgain)});
  }
  if (!leaving_.empty()) lane_.arm_in(*this, kLookAgain);
}

void DatagramDoor::on_timer() {
  std::erase_if(leaving_, [&](const Leaving& one) { return lane_.now() >= one.until || !one.filter->still_needed(); });
  if (!leaving_.empty()) {
    lane_.arm_in(*this, left_ ? kLookSoon : kLookAgain);
  } else if (left_) {
    close();
  }
}

void DatagramDoor::leave(const DrainPlan& plan, bool shared, std::atomic<int32_t>& waiting) {
  if (left_ || closed()) return;
  shared = shared && !sockets_->left_alone.load(std::memory_order_relaxed);
  // Filters still get what comes of that. Who shares the address with nobody keeps nobody from binding it.
  const bool open = socket_->stop_reading(shared) && (shared || sockets_->options.reuse_port);
  left_ = true;
  const MonoTime until = lane_.now() + std::max(plan.time, kAnswersTake);
  for (Leaving& one : leaving_) one.until = std::min(one.until, until);
  for (auto& filter : serving_.filters) leaving_.push_back({std::move(filter), until});
  serving_.filters.clear();
  if (!open) leaving_.clear();
  for (Leaving& one : leaving_) one.filter->on_leaving();
  std::erase_if(leaving_, [](const Leaving& one) { return !one.filter->still_needed(); });
  if (leaving_.empty()) {
    close();
    return;
  }
  waiting_ = &waiting;
  waiting_->fetch_add(1, std::memory_order_relaxed);
  lane_.arm_in(*this, kLookSoon);
}

void DatagramDoor::close() {
  cancel();
  if (!left_) socket_->stop_reading(true);
  left_ = true;
  serving_.filters.clear();
  leaving_.clear();
  socket_->shut();
  if (waiting_ != nullptr) std::exchange(waiting_, nullptr)->fetch_sub(1, std::memory_order_relaxed);
}

void DatagramDoor::on_datagrams(const net::Address& peer, const net::Address& local, const net::Datagrams& datagrams) {
  size_t number = 0;
  for (auto& filter : serving_.filters) {
    const event::ActivityScope doing(serving_.spec->filters[number++].descriptor->name);
    if (filter->on_datagrams(peer, local, datagrams) == filter::UdpFilter::Verdict::kTaken) return;
  }
}

void DatagramDoor::on_batch_end() {
  for (auto& filter : serving_.filters) filter->on_batch_end();
}

void DatagramDoor::on_dropped(uint64_t datagrams) {
  if (serving_.spec != nullptr) serving_.spec->stats->rx_datagram_dropped.add(datagrams);
}

void DatagramDoor::on_receive_failed() {
  for (auto& filter : serving_.filters) filter->on_receive_failed();
}

void DatagramDoor::on_send_failed(const net::Address& to, const net::Address& from, uint64_t sender,
                                  uint32_t datagrams) {
  for (auto& filter : serving_.filters) {
    if (filter->on_send_failed(to, from, sender, datagrams)) return;
  }
  for (Leaving& one : leaving_) {
    if (one.filter->on_send_failed(to, from, sender, datagrams)) return;
  }
}

bool DatagramDoor::take_descriptor() {
  if (limit_ == nullptr) return true;
  if (limit_->active.fetch_add(1, std::memory_order_relaxed) >= limit_->max) {
    limit_->active.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  limit_->sessions.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void DatagramDoor::give_descriptor_back() {
  if (limit_ == nullptr) return;
  limit_->sessions.fetch_sub(1, std::memory_order_relaxed);
  limit_->active.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace weir::proxy
