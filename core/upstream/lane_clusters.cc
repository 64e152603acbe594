#include "core/upstream/lane_clusters.h"

#include <algorithm>

#include "core/upstream/destination.h"

namespace weir::upstream {

using event::SlotId;
using event::SlotKind;

ClusterLocal::ClusterLocal(LaneClusters& owner, ClusterPart part)
    : demand(*this, owner.lane(), part),
      owner_(owner),
      part_(part),
      recalls_{{{owner.lane(), part, LimitKind::kConnections, connections},
                {owner.lane(), part, LimitKind::kPending, pending},
                {owner.lane(), part, LimitKind::kRequests, requests},
                {owner.lane(), part, LimitKind::kRetries, retries}}} {}

ClusterLocal& ClusterLocal::high_priority() {
  if (high_ == nullptr) [[unlikely]] {
    high_ = std::make_unique<ClusterLocal>(owner_, ClusterPart{part_.cluster, Priority::kHigh});
    high_->other_ = this;
    high_->set_cluster(cluster_);
    high_->set_hosts(hosts_);
    other_ = high_.get();
  }
  return *high_;
}

event::Pin<lb::HostSet> ClusterLocal::pin_hosts() const {
  return owner_.lane().slots().pin<lb::HostSet>(SlotId{SlotKind::kHostSet, part_.cluster});
}

event::Pin<Cluster> ClusterLocal::pin() const {
  return owner_.lane().slots().pin<Cluster>(SlotId{SlotKind::kCluster, part_.cluster});
}

void ClusterLocal::set_cluster(const Cluster* cluster) {
  if (cluster != nullptr) {
    // Statistics of another name: the connections that the old ones count do not keep them alive for long.
    // And connections that are made in another way, in plain text perhaps, are used no more.
    if (cluster_ != nullptr &&
        (cluster_->stats != cluster->stats ||
         cluster_->spec.transports.fingerprint != cluster->spec.transports.fingerprint ||
         cluster_->spec.protocol != cluster->spec.protocol || cluster_->spec.bind != cluster->spec.bind ||
         (cluster->spec.protocol != HttpProtocol::kHttp1 && cluster_->spec.h2 != cluster->spec.h2)))
      for_each_pool([](ConnPool& pool) { pool.retire_connections(); });
    h1_ = cluster->spec.h1;
    PriorityLimits& limits = cluster->limits->of(part_.priority);
    free_retries_ = &limits.free_retries;
    if (connections.limit() != &limits.connections) {
      uint32_t lane = owner_.lane().index();
      auto attach = [&](Lease& lease, SharedLimit& limit) {
        lease.attach(std::shared_ptr<SharedLimit>(cluster->limits, &limit), lane);  // all of a cluster live together
      };
      attach(connections, limits.connections);
      attach(pending, limits.pending);
      attach(requests, limits.requests);
      attach(retries, limits.retries);
      attach(waiting_retries, limits.waiting_retries);
    } else {
      for (Lease* lease : {&connections, &pending, &requests, &retries, &waiting_retries}) lease->look_again();
    }
  }
  cluster_ = cluster;
  aggregate_ = nullptr;
  if (high_ != nullptr) high_->set_cluster(cluster);
  if (cluster == nullptr) set_hosts(nullptr);
}

void ClusterLocal::set_hosts(const lb::HostSet* hosts) {
  if (!found_.empty()) leave_found(hosts);
  std::vector<Place> before = std::move(places_);
  std::vector<lb::LaneView::PerHost> counts = std::move(per_host_);
  places_.clear();
  per_host_.clear();
  in_all_ = {};
  if (hosts != nullptr) {
    places_.resize(hosts->hosts().size());
    per_host_.resize(hosts->hosts().size());
    // Hosts are the same objects in both versions; pools and counts move with them.
    std::vector<std::pair<const lb::Host*, size_t>> index;
    index.reserve(before.size());
    const lb::HostSet* old = hosts_;
    for (size_t i = 0; i < before.size(); ++i) index.emplace_back(old->host(static_cast<uint32_t>(i)).host.get(), i);
    std::sort(index.begin(), index.end());
    for (size_t i = 0; i < places_.size(); ++i) {
      const lb::Host* host = hosts->host(static_cast<uint32_t>(i)).host.get();
      if (!found_.empty()) {
        if (auto found = found_.find(host->text()); found != found_.end()) {  // it is this host: leave_found()
          places_[i].pool = std::move(found->second.pool);
          places_[i].pool->set_entry(hosts->host(static_cast<uint32_t>(i)));
          per_host_[i].own = host->active_on(owner_.lane().index());
          found_.erase(found);
          continue;
        }
      }
      auto at = std::lower_bound(index.begin(), index.end(), std::pair<const lb::Host*, size_t>(host, 0));
      if (at == index.end() || at->first != host) {
        per_host_[i].own = host->active_on(owner_.lane().index());
        continue;  // a pool that drains on does so: a fresh one serves a host that came back
      }
      places_[i].pool = std::move(before[at->second].pool);
      if (places_[i].pool != nullptr) places_[i].pool->set_entry(hosts->host(static_cast<uint32_t>(i)));
      per_host_[i] = counts[at->second];
    }
  }
  if (hosts != nullptr) lb_states_.resize(hosts->lane_states());
  for (const lb::LaneView::PerHost& one : per_host_) in_all_.own += one.own;
  hosts_ = hosts;
  ++hosts_version_;
  if (high_ != nullptr) high_->set_hosts(hosts);
  // Those whose last waiter gave up, or whose last request ended behind its connection.
  std::erase_if(leaving_, [](const auto& pool) { return pool->empty(); });
  for (Place& place : before) {
    if (place.pool != nullptr) leave(std::move(place.pool));
  }
}

void ClusterLocal::on_pool_maybe_empty(ConnPool& pool) {
  if (!pool.empty()) return;
  if (pool.base_ != nullptr) {
    pool.base_->drop_variant(pool);
    return;
  }
  auto at = std::find_if(leaving_.begin(), leaving_.end(), [&](auto& other) { return other.get() == &pool; });
  if (at != leaving_.end()) leaving_.erase(at);
}

uint32_t ClusterLocal::index_of(const lb::Host& host) const {
  for (size_t i = 0; i < places_.size(); ++i) {
    // By host: a host that left and came back has a new pool, and its counts go on.
    if (hosts_->host(static_cast<uint32_t>(i)).host.get() == &host) return static_cast<uint32_t>(i);
  }
  return lb::kNoHost;
}

bool ClusterLocal::take_session() {
  if (connections.acquire()) return true;
  recall(LimitKind::kConnections).ask();
  return false;
}

void ClusterLocal::give_session_back() {
  connections.release();
  if (starving()) {
    feed_starving();
    demand.give_what_is_free();
  }
}

void ClusterLocal::begin_session(lb::Host& host, uint32_t place) {
  host.totals.cx_total.inc();
  host.totals.cx_active.inc();
  host.add_active(owner_.lane().index(), 1);
  if (place != lb::kNoHost) set_own(place, per_host_[place].own + 1);
}

void ClusterLocal::end_session(lb::Host& host, uint32_t place) {
  host.totals.cx_active.dec();
  host.add_active(owner_.lane().index(), -1);
  if (place >= places_.size() || hosts_->host(place).host.get() != &host) place = index_of(host);
  if (place != lb::kNoHost) set_own(place, host.active_on(owner_.lane().index()));
  give_session_back();
}

[[gnu::always_inline]] inline lb::HostIndex ClusterLocal::pick_index(const lb::PickInput& input) {
  if (hosts_ == nullptr) return lb::kNoHost;
  event::Lane& lane = owner_.lane();
  lb::LaneView view(lane.index(), hosts_->hosts(), per_host_, lane.now().time_since_epoch().count(), lane.random(),
                    &in_all_);
  const lb::HostIndex index = hosts_->pick(input, view, lb_states_.data());
  if (view.panicked && cluster_ != nullptr) [[unlikely]]
    stats().lb_healthy_panic.inc();
  return index;
}

lb::HostIndex ClusterLocal::pick_host(const lb::PickInput& input) { return pick_index(input); }

ConnPool* ClusterLocal::pick(const lb::PickInput& input) {
  const lb::HostIndex index = pick_index(input);
  if (index == lb::kNoHost) [[unlikely]]
    return find_destination(input.name);
  Place& place = places_[index];
  if (place.pool == nullptr) [[unlikely]] {
    place.pool = std::make_unique<ConnPool>(owner_.lane(), *this, hosts_->host(index).host);
    place.pool->set_entry(hosts_->host(index));
  }
  place.pool->set_place(index);
  return place.pool.get();
}

// The request does not wait for main: this lane connects to a host of its own making, which becomes everybody's when
// main has heard of it.
ConnPool* ClusterLocal::find_destination(std::string_view text) {
  if (cluster_ == nullptr || cluster_->spec.original == nullptr) return nullptr;
  const auto known = found_.find(text);
  if (known != found_.end()) {
    if (owner_.lane().now() - known->second.told > 1s) tell_main(known->second);
    return known->second.pool.get();
  }
  const net::Address address = parse_destination(text);
  if (address.empty()) return nullptr;
  if (found_.size() >= kMostFound) {
    std::erase_if(found_, [](const auto& one) { return one.second.pool->empty_with_variants(); });
    if (found_.size() >= kMostFound) return nullptr;
  }
  event::Lane& lane = owner_.lane();
  const auto lanes = static_cast<uint32_t>(std::max<size_t>(lane.index() + 1, lane.siblings().size()));
  std::string name(text);
  auto host = std::make_shared<lb::Host>(address, name, std::string(), lanes);
  Found& found = found_[std::move(name)];
  found.pool = std::make_unique<ConnPool>(lane, *this, std::move(host));
  found.pool->set_place(lb::kNoHost);
  tell_main(found);
  return found.pool.get();
}

void ClusterLocal::tell_main(Found& found) {
  found.told = owner_.lane().now();
  if (owner_.lane().siblings().empty()) return;
  event::Lane* main = owner_.lane().siblings().front();
  main->post([main, cluster = part_.cluster, host = found.pool->shared_host()]() mutable {
    LaneClusters* there = LaneClusters::find_on(*main);
    if (there != nullptr && there->found_hosts() != nullptr)
      there->found_hosts()->on_host_found(cluster, std::move(host));
  });
}

// Of an address for which another lane's host was published this lane's leaves; all do if there are no hosts any more.
void ClusterLocal::leave_found(const lb::HostSet* hosts) {
  if (hosts == nullptr || cluster_ == nullptr || cluster_->spec.original == nullptr) {
    for (auto& [text, found] : found_) leave(std::move(found.pool));
    found_.clear();
    return;
  }
  for (const lb::HostEntry& entry : hosts->hosts()) {
    const auto at = found_.find(entry.host->text());
    if (at == found_.end() || &at->second.pool->host() == entry.host.get()) continue;
    leave(std::move(at->second.pool));
    found_.erase(at);
  }
}

void ClusterLocal::leave(std::unique_ptr<ConnPool> pool) {
  pool->for_each_variant([](ConnPool& one) {
    one.drain();
    one.base_ = nullptr;
  });
  if (auto variants = std::move(pool->variants_)) {
    for (auto& [key, one] : variants->pools) {
      if (!one->empty()) leaving_.push_back(std::move(one));
    }
  }
  if (!pool->empty()) leaving_.push_back(std::move(pool));
}

Aggregate& ClusterLocal::aggregate() {
  if (aggregate_ == nullptr) aggregate_ = std::make_unique<Aggregate>(owner_);
  aggregate_->refresh(cluster_->spec);
  return *aggregate_;
}

Member ClusterLocal::choose_member(const lb::PickInput& input) {
  Member member = aggregate().choose(input);
  if (member.cluster != nullptr && priority() == Priority::kHigh) member.cluster = &member.cluster->high_priority();
  return member;
}

bool ClusterLocal::has_other_hosts(std::span<const lb::Host* const> tried) const {
  if (aggregate_ != nullptr) [[unlikely]]
    return aggregate_->has_other_hosts(tried);
  // Those of another name or address are no substitute.
  if (cluster_ != nullptr && cluster_->asked_by_name) return false;
  // Whether those of a subset were all tried is not known.
  if (hosts_ == nullptr || hosts_->divided()) return false;
  for (const lb::HostEntry& entry : hosts_->hosts()) {
    const bool usable = entry.health == lb::Health::kHealthy || entry.health == lb::Health::kDegraded ||
                        hosts_->panicking(entry.priority);
    if (usable && std::find(tried.begin(), tried.end(), entry.host.get()) == tried.end()) return true;
  }
  return false;
}

inline void ClusterLocal::set_own(uint32_t place, int32_t requests) {
  in_all_.own += requests - per_host_[place].own;
  per_host_[place].own = requests;
  if (other_ != nullptr && place < other_->per_host_.size()) [[unlikely]] {
    other_->in_all_.own += requests - other_->per_host_[place].own;
    other_->per_host_[place].own = requests;
  }
}

void ClusterLocal::begin_request(ConnPool& pool, const ClusterStats& stats) {
  stats.rq_active.inc();
  pool.host().totals.rq_active.inc();
  ++pool.requests_;
  pool.host().add_active(owner_.lane().index(), 1);
  if (pool.place() < places_.size() && hosts_->host(pool.place()).host.get() == &pool.host())
    set_own(pool.place(), per_host_[pool.place()].own + 1);
}

void ClusterLocal::end_request(ConnPool& pool, const ClusterStats& stats) {
  stats.rq_active.dec();
  pool.host().totals.rq_active.dec();
  --pool.requests_;
  pool.host().add_active(owner_.lane().index(), -1);
  uint32_t place = pool.place();
  if (place >= places_.size() || hosts_->host(place).host.get() != &pool.host()) place = index_of(pool.host());
  if (place != lb::kNoHost) set_own(place, pool.host().active_on(owner_.lane().index()));
}

Lease& ClusterLocal::lease(LimitKind kind) {
  switch (kind) {
    case LimitKind::kConnections:
      return connections;
    case LimitKind::kPending:
      return pending;
    case LimitKind::kRequests:
      return requests;
    default:
      return retries;
  }
}

bool ClusterLocal::shed_one() {
  // One of each pool in turn, and of each the one that has been idle longest.
  for (size_t i = 0; i < places_.size(); ++i) {
    if (++shed_from_ >= places_.size()) shed_from_ = 0;
    ConnPool* pool = places_[shed_from_].pool.get();
    bool shed = false;
    if (pool != nullptr) pool->for_each_variant([&](ConnPool& one) { shed = shed || one.shed_idle(); });
    if (shed) return true;
  }
  for (auto& [text, found] : found_) {
    bool shed = false;
    found.pool->for_each_variant([&](ConnPool& one) { shed = shed || one.shed_idle(); });
    if (shed) return true;
  }
  return false;
}

void ClusterLocal::shed_idle(uint32_t wanted) {
  for (; wanted > 0 && shed_one(); --wanted) connections.release();
}

void ClusterLocal::feed_starving() {
  // Those without any connection first.
  while (!starving_.empty()) {
    ConnPool* pool = first_hungry();
    if (pool == nullptr) pool = starving_.front();
    if (!pool->open_missing()) return;
  }
}

ConnPool* ClusterLocal::first_hungry() {
  ConnPool* first = nullptr;
  starving_.for_each([&](ConnPool& pool) {
    if (first == nullptr && pool.hungry()) first = &pool;
  });
  return first;
}

bool ClusterLocal::refuse_hopeless() {
  if (!hopeless()) return false;
  while (ConnPool* pool = starving_.front()) {
    pool->starving_node_.unlink();
    if (pool->hungry()) pool->fail_waiters(ResetReason::kOverflow);
  }
  return true;
}

LaneClusters::LaneClusters(event::Lane& lane) : lane_(lane) {
  lane.set_local(event::LocalKey::kUpstream, this);
  lane.slots().observe(SlotKind::kCluster, this);
  lane.slots().observe(SlotKind::kHostSet, this);
}

LaneClusters::~LaneClusters() {
  lane_.slots().observe(SlotKind::kCluster, nullptr);
  lane_.slots().observe(SlotKind::kHostSet, nullptr);
  lane_.set_local(event::LocalKey::kUpstream, nullptr);
}

ClusterLocal* LaneClusters::first_use(uint32_t index) {
  const auto* cluster = lane_.slots().current<Cluster>({SlotKind::kCluster, index});
  if (cluster == nullptr) return nullptr;
  if (index >= clusters_.size()) clusters_.resize(index + 1);
  clusters_[index] = std::make_unique<ClusterLocal>(*this, ClusterPart{index, Priority::kDefault});
  clusters_[index]->set_cluster(cluster);
  clusters_[index]->set_hosts(lane_.slots().current<lb::HostSet>({SlotKind::kHostSet, index}));
  return clusters_[index].get();
}

ClusterLocal* LaneClusters::find_part(ClusterPart part) {
  ClusterLocal* local = part.cluster < clusters_.size() ? clusters_[part.cluster].get() : nullptr;
  return local != nullptr && part.priority == Priority::kHigh ? local->high_.get() : local;
}

ClusterLocal* LaneClusters::find_by_name(std::string_view name) {
  if (!asked_by_name_) [[unlikely]] {
    asked_by_name_ = true;
    for (uint32_t i = 0; i < lane_.slots().size(SlotKind::kCluster); ++i) {
      const auto* cluster = lane_.slots().current<Cluster>({SlotKind::kCluster, i});
      if (cluster != nullptr) by_name_.try_emplace(cluster->spec.name, i);
    }
  }
  auto at = by_name_.find(name);
  return at != by_name_.end() ? find({SlotKind::kCluster, at->second}) : nullptr;
}

void LaneClusters::on_slot_changed(SlotId id, const event::Versioned*, const event::Versioned* after) {
  ++changes_;
  ClusterLocal* local = id.index < clusters_.size() ? clusters_[id.index].get() : nullptr;
  if (id.kind == SlotKind::kHostSet) {
    if (local != nullptr) local->set_hosts(static_cast<const lb::HostSet*>(after));
    return;
  }
  const auto* cluster = static_cast<const Cluster*>(after);
  if (local != nullptr) local->set_cluster(cluster);
  if (cluster != nullptr && asked_by_name_) by_name_.try_emplace(cluster->spec.name, id.index);
}

void LaneClusters::give_back(ClusterPart part, LimitKind kind, uint32_t wanted) {
  ClusterLocal* local = find_part(part);
  if (local == nullptr) return;
  if (kind == LimitKind::kConnections) local->shed_idle(wanted);
  local->lease(kind).recall();
}

template <class Visit>
void LaneClusters::for_each_local(Visit&& visit) {
  for (auto& cluster : clusters_) {
    if (cluster == nullptr) continue;
    visit(*cluster);
    if (cluster->high_ != nullptr) visit(*cluster->high_);
  }
}

void LaneClusters::close_idle() {
  for_each_local([](ClusterLocal& local) { local.shed_idle(UINT32_MAX); });
}

void LaneClusters::shut_down() {
  for_each_local([](ClusterLocal& local) { local.for_each_pool([](ConnPool& pool) { pool.shut_down(); }); });
}

}  // namespace weir::upstream
