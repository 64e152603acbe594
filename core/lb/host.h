// Hosts and host sets as balancing policies see them. Main owns membership and health and publishes a host set together
// with the table a policy built from it; lanes only read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/net/address.h"
#include "core/stats/store.h"
#include "core/stream/metadata.h"

namespace weir::lb {

constexpr uint32_t kMaxLanes = 256;

// One endpoint, the same object in every host set version that names its address: counts and pools carry on over
// updates. [any] for the counts, [immutable] otherwise.
class Host {
 public:
  Host(net::Address address, std::string text, std::string hostname, uint32_t lanes)
      : address_(std::move(address)), text_(std::move(text)), hostname_(std::move(hostname)), lanes_(lanes) {
    first_cell_ = stats::reserve_cells(kCells);
    uint32_t next = first_cell_;
    for (stats::Counter* counter : {&totals.cx_total, &totals.cx_connect_fail, &totals.rq_total, &totals.rq_success,
                                    &totals.rq_error, &totals.rq_timeout}) {
      *counter = stats::Counter(next++);
    }
    totals.cx_active = stats::Gauge(next++);
    totals.rq_active = stats::Gauge(next++);
  }
  ~Host() {
    delete[] active_.load(std::memory_order_relaxed);
    stats::release_cells(first_cell_, kCells);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const net::Address& address() const { return address_; }
  const std::string& text() const { return text_; }  // "10.0.0.1:80"
  const std::string& hostname() const {
    return hostname_;
  }  // of the endpoint, for host rewriting and SNI; may be empty

  // Requests (or L4 connections) in flight, counted by each lane for itself.
  void add_active(uint32_t lane, int32_t change) {
    LaneCount* lanes = active_.load(std::memory_order_acquire);
    if (lanes == nullptr) [[unlikely]]
      lanes = first_use();
    auto& count = lanes[lane].value;
    count.store(count.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
  }
  int32_t active_on(uint32_t lane) const {
    const LaneCount* lanes = active_.load(std::memory_order_acquire);
    return lanes != nullptr ? lanes[lane].value.load(std::memory_order_relaxed) : 0;
  }
  int32_t active() const {
    const LaneCount* lanes = active_.load(std::memory_order_acquire);
    int32_t sum = 0;
    for (uint32_t i = 0; lanes != nullptr && i < lanes_; ++i) sum += lanes[i].value.load(std::memory_order_relaxed);
    return sum;
  }

  // Totals for /clusters. [worker] writes its own cells.
  struct Totals {
    stats::Counter cx_total, cx_connect_fail, rq_total, rq_success, rq_error, rq_timeout;
    stats::Gauge cx_active, rq_active;
  };
  Totals totals;

 private:
  static constexpr uint32_t kCells = 8;
  struct alignas(64) LaneCount {
    std::atomic<int32_t> value{0};
  };
  // Several lanes may come at once.
  LaneCount* first_use() {
    auto* made = new LaneCount[lanes_];
    LaneCount* there = nullptr;
    if (active_.compare_exchange_strong(there, made, std::memory_order_acq_rel)) return made;
    delete[] made;
    return there;
  }

  const net::Address address_;
  const std::string text_;
  const std::string hostname_;
  const uint32_t lanes_;
  std::atomic<LaneCount*> active_{nullptr};  // null: never used; a cache line for each lane
  uint32_t first_cell_;
};

enum class Health : uint8_t { kHealthy, kDegraded, kUnhealthy, kDraining };

struct Locality {
  std::string region, zone, sub_zone;
  uint32_t weight = 0;  // where localities are weighed; 0: it gets no requests there
};

struct HostEntry {
  std::shared_ptr<Host> host;
  std::shared_ptr<const Locality> place;  // shared by those that are there; nullptr: not told
  uint32_t weight = 1;
  uint32_t priority = 0;
  Health health = Health::kHealthy;
  std::shared_ptr<const stream::StaticMetadata> metadata = nullptr;  // of the endpoint; null: none
  // Of a host that is a name (LOGICAL_DNS): where connections are opened from this version on, while those that are
  // open stay. The first counts, the others are for when it does not let anybody in. Null: the host's address. Never
  // empty.
  std::shared_ptr<const std::vector<net::Address>> addresses = nullptr;

  const net::Address& address() const { return addresses != nullptr ? addresses->front() : host->address(); }
  const Locality& locality() const {
    static const Locality kNowhere;
    return place != nullptr ? *place : kNowhere;
  }
};

// As published: `canary: true` below envoy.lb of its metadata.
inline bool is_canary(const stream::Value& metadata) {
  const stream::Value* labels = metadata.find("envoy.lb");
  const stream::Value* canary = labels != nullptr ? labels->find("canary") : nullptr;
  return canary != nullptr && canary->kind() == stream::Value::Kind::kBool && canary->boolean();
}

}  // namespace weir::lb
