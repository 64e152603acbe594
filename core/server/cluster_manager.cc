#include "core/server/cluster_manager.h"

#include <algorithm>
#include <span>
#include <unordered_map>
#include <utility>

#include "core/base/log.h"
#include "core/lb/by_name.h"
#include "core/server/change_plan.h"

namespace weir::server {

using event::SlotId;
using event::SlotKind;

namespace {

// Clusters whose gauges are brought up to date in one turn.
constexpr size_t kRefreshSlice = 200;

// Grows whenever somebody uses the host.
uint64_t uses_of(const lb::Host::Totals& totals) {
  return totals.rq_total.value() + totals.rq_error.value() + totals.cx_total.value();
}

}  // namespace

ClusterManager::ClusterManager(event::Lane& main, event::Publisher& publisher, stats::Store& store,
                               dns::ResolverSource& resolvers, uint32_t lanes, size_t most_named_hosts)
    : main_(main),
      publisher_(publisher),
      store_(store),
      resolvers_(resolvers),
      lanes_(lanes),
      most_named_hosts_(most_named_hosts),
      added_(store.counter("cluster_manager.cluster_added")),
      modified_(store.counter("cluster_manager.cluster_modified")),
      updated_(store.counter("cluster_manager.cluster_updated")),
      removed_(store.counter("cluster_manager.cluster_removed")),
      active_(store.gauge("cluster_manager.active_clusters")),
      warming_(store.gauge("cluster_manager.warming_clusters")),
      soon_(*this),
      patience_(*this),
      cleanup_(*this) {
  upstream::NameService* names = this;
  main_.set_local(event::LocalKey::kNames, names);
  if (upstream::LaneClusters* lane = upstream::LaneClusters::find_on(main_)) lane->set_found_hosts(this);
}

ClusterManager::~ClusterManager() {
  if (!stopped_) stop_hearing();
}

// Of what lanes ask for and find.
void ClusterManager::stop_hearing() {
  main_.set_local(event::LocalKey::kNames, nullptr);
  if (upstream::LaneClusters* lane = upstream::LaneClusters::find_on(main_)) lane->set_found_hosts(nullptr);
  stopped_ = true;
}

void ClusterManager::apply(std::vector<config::ClusterTranslation> clusters, const std::vector<std::string>& gone,
                           event::Publisher::Batch& batch, event::Publisher::Batch& last) {
  if (warmer_ == nullptr) {
    for (auto& [name, entry] : named_) entry->awaited = false;
  }
  apply_caches(clusters, gone);
  // What the others are made by comes first.
  if (const auto local = std::find_if(clusters.begin(), clusters.end(),
                                      [this](const auto& one) { return zones_.is_local(one.spec.name); });
      local != clusters.end())
    std::iter_swap(clusters.begin(), local);
  // Statistics that no cluster of that name will describe any more: what is under way counts itself down in them, the
  // members are main's. Before all others, because a name may pass from one cluster to another.
  for (const config::ClusterTranslation& from : clusters) {
    const auto at = clusters_.find(from.spec.name);
    if (at == clusters_.end() || at->second.spec.stat_name == from.spec.stat_name) continue;
    at->second.stats->clear_main_gauges();
    at->second.host_fingerprint = 0;
  }
  for (const std::string& name : gone) clusters_.at(name).stats->clear_main_gauges();
  for (const config::ClusterTranslation& from : clusters) {
    const std::string& name = from.spec.name;
    auto [it, fresh] = clusters_.try_emplace(name);
    Entry& entry = it->second;
    if (fresh) {
      // Both slots have the same index (configuration.h).
      publisher_.intern(SlotKind::kHostSet, name);
      entry.slot = publisher_.intern(SlotKind::kCluster, name);
      added_.inc();
      active_.inc();
    }
    const ClusterFacts was{entry.spec_fingerprint, entry.host_fingerprint};
    const ClusterFacts is{from.spec_fingerprint, from.host_fingerprint};
    const ClusterEffect effect = effect_of(fresh ? nullptr : &was, &is);
    if (effect.settings) {
      if (!fresh) modified_.inc();
      if (fresh || entry.spec.stat_name != from.spec.stat_name) {
        entry.stats = std::make_shared<upstream::ClusterStats>(store_, from.spec.stat_name);
      }
      if (entry.limits == nullptr) {
        entry.limits = std::make_shared<upstream::ClusterLimits>(from.spec.breakers, lanes_, from.spec.high_breakers);
      } else {
        entry.limits->set(from.spec.breakers);
        entry.limits->high.set(from.spec.high_breakers);
      }
      entry.spec = from.spec;
      entry.spec_fingerprint = from.spec_fingerprint;
      entry.with_members.set(entry.slot, std::make_unique<upstream::Cluster>(from.spec, entry.stats, entry.limits));
    }
    if (effect.change != Change::kNone && !from.aggregates.empty()) {
      entry.host_fingerprint = from.host_fingerprint;
      entry.next = std::make_shared<const config::ClusterTranslation>(from);
      entry.awaited = false;
      if (std::exchange(entry.keeps_members, false)) entry.dns.reset();  // those never come
      aggregates_.try_emplace(it->first, &entry);
    } else if (effect.hosts) {
      entry.host_fingerprint = from.host_fingerprint;
      entry.next = nullptr;
      aggregates_.erase(it->first);
      set_members(entry, from, batch);
      if (entry.dns != nullptr || entry.dynamic != nullptr) {
        named_.try_emplace(it->first, &entry);
      } else {
        named_.erase(it->first);
      }
    }
    if (!entry.keeps_members && entry.next == nullptr) batch.append(std::exchange(entry.with_members, {}));
  }
  for (const std::string& name : gone) {
    const auto it = clusters_.find(name);
    last.remove(SlotId{SlotKind::kHostSet, it->second.slot.index});
    last.remove(it->second.slot);
    removed_.inc();
    active_.dec();
    named_hosts_ -= it->second.named_hosts;
    originals_.erase(it->second.slot.index);
    named_.erase(it->first);
    aggregates_.erase(it->first);
    clusters_.erase(it);
  }
  publish_aggregates(batch);
  drop_unused_caches();
  note_local();
  remake_by_zone(batch);
  arm_patience();
  if (warmer_ != nullptr) publish_in({});  // who warmed may be gone
}

// --- Names that requests bring --------------------------------------------------------------------------------------

void ClusterManager::apply_caches(const std::vector<config::ClusterTranslation>& clusters,
                                  const std::vector<std::string>& gone) {
  // Of all clusters that will be, and of those that may go on as they are until they can be what they will.
  std::vector<const config::DnsCacheSpec*> specs;
  const std::set<std::string_view> leaving(gone.begin(), gone.end());
  for (const config::ClusterTranslation& from : clusters) {
    if (from.dynamic) specs.push_back(&from.dynamic->cache);
  }
  for (const auto& [name, entry] : named_) {
    if (entry->dynamic != nullptr && !leaving.contains(name)) specs.push_back(&entry->dynamic->dynamic->cache);
  }
  std::map<std::string, std::unique_ptr<DnsCache>> before = std::exchange(caches_, {});
  for (const config::DnsCacheSpec* one : specs) {
    const config::DnsCacheSpec& spec = *one;
    std::unique_ptr<DnsCache>& cache = caches_[spec.name];
    if (cache != nullptr) continue;
    const auto at = before.find(spec.name);
    if (at != before.end() && at->second->spec().fingerprint == spec.fingerprint &&
        at->second->spec().max_pending == spec.max_pending) {
      cache = std::move(at->second);
      before.erase(at);
      continue;
    }
    DnsCache::Owner& owner = *this;
    cache = std::make_unique<DnsCache>(main_, resolvers_, store_, spec, owner);
    if (at != before.end()) cache->adopt(*at->second);
    before.erase(spec.name);  // its gauges are the new one's
    cache->start();
  }
  for (auto& [name, entry] : named_) {
    const auto at = entry->dynamic != nullptr ? caches_.find(entry->dynamic->dynamic->cache.name) : caches_.end();
    entry->cache = at != caches_.end() ? at->second.get() : nullptr;
    if (entry->cache != nullptr) changed_.emplace(name);
  }
  if (!changed_.empty()) publish_in({});
}

void ClusterManager::drop_unused_caches() {
  if (!std::exchange(may_be_unused_, false)) return;
  std::set<const DnsCache*> used;
  for (const auto& [name, entry] : named_) used.insert(entry->cache);
  std::erase_if(caches_, [&used](const auto& one) { return !used.contains(one.second.get()); });
}

void ClusterManager::find(std::string_view cache, std::string_view host, uint16_t port, Answer answer) {
  const auto at = caches_.find(std::string(cache));
  if (at == caches_.end()) {
    answer(upstream::NameOutcome::kNoName);
  } else {
    at->second->find(host, port, std::move(answer));
  }
}

void ClusterManager::on_names(DnsCache& cache) {
  for (const auto& [name, entry] : named_) {
    if (entry->cache == &cache) changed_.emplace(name);
  }
  publish_in({});
}

void ClusterManager::when_published(std::vector<DnsCache::Answer> answers) {
  for (DnsCache::Answer& answer : answers) answers_.push_back(std::move(answer));
  publish_in({});
}

std::map<std::string, uint64_t> ClusterManager::uses(const DnsCache& cache) {
  std::map<std::string, uint64_t> out;
  for (const auto& [name, entry] : named_) {
    if (entry->cache != &cache) continue;
    for (const lb::HostEntry& host : hosts(*entry)) {
      const lb::Host::Totals& totals = host.host->totals;
      uint64_t& sum = out[lb::name_key_of(host)];
      if (sum == UINT64_MAX) continue;
      if (totals.rq_active.value() > 0) {
        sum = UINT64_MAX;
      } else {
        sum += uses_of(totals);
      }
    }
  }
  return out;
}

void ClusterManager::set_members(Entry& entry, const config::ClusterTranslation& from, event::Publisher::Batch& batch) {
  if (from.dns.has_value()) {
    set_named(entry, from, batch);
    return;
  }
  entry.dns.reset();
  entry.keeps_members = entry.awaited = entry.too_many = false;
  forget_names(entry);
  if (from.spec.original == nullptr) forget_found(entry);
  if (from.dynamic) {
    entry.dynamic = std::make_shared<const config::ClusterTranslation>(from);
    entry.cache = caches_.at(from.dynamic->cache.name).get();
    publish_named(entry, batch);
    return;
  }
  named_hosts_ -= std::exchange(entry.named_hosts, 0);
  if (from.spec.original != nullptr) {
    entry.original = true;
    originals_[entry.slot.index] = from.spec.name;
    entry.cleanup_interval = from.cleanup_interval;
    entry.subset_stats = nullptr;
    entry.made = {from.policy, from.policy_config, from.host_options, {}};
    publish_found(entry, batch);
  } else {
    publish_hosts(entry, from, from.endpoints, batch);
  }
  entry.stats->update_success.inc();
}

void ClusterManager::set_named(Entry& entry, const config::ClusterTranslation& from, event::Publisher::Batch& batch) {
  DnsMembers::Owner& owner = *this;
  auto members = std::make_unique<DnsMembers>(
      main_, resolvers_, std::make_shared<const config::ClusterTranslation>(from), entry.stats, owner);
  if (entry.dns != nullptr) members->adopt(*entry.dns);
  entry.dns = std::move(members);
  const upstream::Cluster* before = published(entry.slot);
  entry.keeps_members = entry.unsettled() && serves(entry);
  // Where requests say which host they want, a changed listener's may not do so any more: it waits, too.
  const bool wanted = entry.keeps_members && before->asked_by_name && before->spec.members.empty();
  entry.awaited = entry.unsettled() && (!entry.keeps_members || wanted) && entry.dns->warms();
  // By the clock: reading a large configuration may have taken most of the time since the turn began.
  entry.waits_until = entry.unsettled() ? main_.clock().mono_now() + longest_warming_ : MonoTime::max();
  if (entry.keeps_members) {
    if (const lb::HostSet* set = newest(entry)) show_members(entry, *set);  // possibly in other statistics
  } else {
    forget_names(entry);
    forget_found(entry);
    publish_named(entry, batch);
  }
  entry.dns->start();
}

void ClusterManager::forget_names(Entry& entry) {
  may_be_unused_ = may_be_unused_ || entry.cache != nullptr;
  entry.dynamic = nullptr;
  entry.cache = nullptr;
}

void ClusterManager::forget_found(Entry& entry) {
  entry.original = false;
  originals_.erase(entry.slot.index);
  entry.found.clear();
  entry.next_cleanup = MonoTime::max();
}

// --- Members as name servers tell them ------------------------------------------------------------------------------

void ClusterManager::on_members(DnsMembers& members) {
  changed_.insert(members.from().spec.name);
  publish_in({});
}

void ClusterManager::publish_in(Duration delay) {
  const MonoTime when = main_.now() + delay;
  if (!soon_.armed() || when < soon_.deadline()) main_.arm(soon_, when);
}

// What many clusters were told in one turn is one batch.
void ClusterManager::publish_members() {
  event::Publisher::Batch batch;
  const std::set<std::string> changed = std::exchange(changed_, {});
  // First the one that others are made by.
  for (const bool local : {true, false}) {
    for (const std::string& name : changed) {
      const auto at = clusters_.find(name);
      if (zones_.is_local(name) != local || at == clusters_.end()) continue;
      Entry& entry = at->second;
      if (entry.original) publish_found(entry, batch);
      if (entry.dns == nullptr && entry.cache == nullptr) continue;
      if (entry.keeps_members && entry.waits()) {
        if (entry.cache != nullptr) publish_named(entry, batch);  // requests bring names until then
        continue;
      }
      if (std::exchange(entry.keeps_members, false)) {
        forget_names(entry);
        forget_found(entry);
        batch.append(std::exchange(entry.with_members, {}));
      }
      publish_named(entry, batch);
    }
  }
  publish_aggregates(batch);
  drop_unused_caches();
  remake_by_zone(batch);
  if (!answers_.empty()) {
    publisher_.publish(std::move(batch), [answers = std::exchange(answers_, {})]() mutable {
      for (DnsCache::Answer& answer : answers) answer(upstream::NameOutcome::kKnown);
    });
  } else if (!batch.empty()) {
    publisher_.publish(std::move(batch));
  }
  if (event::Task task = std::exchange(warmer_, nullptr)) task();
}

bool ClusterManager::warming() const {
  return std::any_of(named_.begin(), named_.end(), [](const auto& one) { return one.second->warms(); });
}

bool ClusterManager::warming(std::string_view cluster) const {
  const auto at = named_.find(cluster);
  return at != named_.end() && at->second->warms();
}

event::Publisher::Batch* ClusterManager::with_members(std::string_view cluster) {
  if (const auto at = aggregates_.find(cluster); at != aggregates_.end()) return &at->second->with_members;
  const auto at = named_.find(cluster);
  return at != named_.end() && at->second->keeps_members ? &at->second->with_members : nullptr;
}

void ClusterManager::when_warmer(event::Task task) { warmer_ = std::move(task); }

void ClusterManager::arm_patience() {
  MonoTime next = MonoTime::max();
  for (const auto& [name, entry] : named_) {
    if (entry->unsettled()) next = std::min(next, entry->waits_until);
  }
  if (next == MonoTime::max()) {
    patience_.cancel();
  } else {
    main_.arm(patience_, next);
  }
}

void ClusterManager::lose_patience() {
  for (auto& [name, entry] : named_) {
    if (!entry->unsettled() || entry->waits_until > main_.now()) continue;
    entry->waits_until = MonoTime::max();
    if (!entry->keeps_members && !entry->awaited) continue;
    WEIR_LOG(kWarning, "upstream", "cluster %s: no answer for some of its names yet; not waited for any longer",
             entry->spec.name.c_str());
    entry->awaited = false;
    if (entry->keeps_members) changed_.emplace(name);  // what is known serves from here on
  }
  publish_members();
  arm_patience();
}

void ClusterManager::stop() {
  soon_.cancel();
  patience_.cancel();
  cleanup_.cancel();
  warmer_ = nullptr;
  answers_.clear();
  stop_hearing();
  for (auto& [name, entry] : named_) {
    entry->dns.reset();
    entry->cache = nullptr;
  }
  named_.clear();
  aggregates_.clear();
  caches_.clear();
}

bool ClusterManager::refresh_stats(StatsRound& round) const {
  auto next = clusters_.upper_bound(round.after);
  for (size_t i = 0; i < kRefreshSlice && next != clusters_.end(); ++i, ++next) {
    const Entry& entry = next->second;
    entry.stats->show(*entry.limits, entry.spec);
    const bool warms = entry.unsettled();
    entry.stats->warming_state.set(warms ? 1 : 0);
    round.warming += warms ? 1 : 0;
  }
  if (next != clusters_.end()) {
    round.after = std::prev(next)->first;
    return true;
  }
  warming_.set(round.warming);
  return false;
}

// --- Hosts that lanes find -----------------------------------------------------------------------------------------

void ClusterManager::on_host_found(uint32_t cluster, std::shared_ptr<lb::Host> host) {
  const auto name = originals_.find(cluster);
  if (name == originals_.end()) return;
  Entry& entry = clusters_.at(name->second);
  if (entry.found.contains(host->text())) return;  // lanes hear of it soon
  if (entry.found.size() >= kMostFoundHosts) {
    entry.stats->update_failure.inc();
    if (!std::exchange(entry.too_many, true)) {
      WEIR_LOG(kWarning, "upstream",
               "cluster %s: clients have asked for more than %zu destinations at a time; those above are reached, and "
               "not shown",
               entry.spec.name.c_str(), kMostFoundHosts);
    }
    return;
  }
  std::string text = host->text();
  entry.found.emplace(std::move(text), Entry::Found{std::move(host), 0});
  changed_.insert(entry.spec.name);
  // Tables grow with what is in them: the more there are, the more are put in at a time.
  const Duration delay = std::min<Duration>(100ms, entry.found.size() * 50us);
  publish_in(delay);
  if (entry.next_cleanup == MonoTime::max()) {
    entry.next_cleanup = main_.now() + entry.cleanup_interval;
    arm_cleanup();
  }
}

void ClusterManager::publish_found(Entry& entry, event::Publisher::Batch& batch) {
  std::vector<lb::HostEntry> members;
  members.reserve(entry.found.size());
  for (const auto& [text, found] : entry.found) members.emplace_back().host = found.host;
  auto set = zones_.make(std::move(members), entry.made, entry.spec, store_);
  show_members(entry, *set);
  show_figures(entry, nullptr, *set);
  show_subsets(entry, *set);
  entry.stats->membership_change.inc();
  updated_.inc();
  batch.set(SlotId{SlotKind::kHostSet, entry.slot.index}, std::move(set));
}

void ClusterManager::arm_cleanup() {
  MonoTime next = MonoTime::max();
  for (const auto& [index, name] : originals_) next = std::min(next, clusters_.at(name).next_cleanup);
  if (next == MonoTime::max()) {
    cleanup_.cancel();
  } else {
    main_.arm(cleanup_, next);
  }
}

// What nobody has used for an interval, and nobody uses now, is forgotten.
void ClusterManager::clean_up() {
  event::Publisher::Batch batch;
  for (const auto& [index, name] : originals_) {
    Entry& entry = clusters_.at(name);
    if (entry.next_cleanup > main_.now()) continue;
    bool gone = false;
    for (auto it = entry.found.begin(); it != entry.found.end();) {
      Entry::Found& found = it->second;
      const uint64_t before = std::exchange(found.uses, uses_of(found.host->totals));
      const bool idle = before == found.uses && found.host->active() == 0;
      it = idle ? entry.found.erase(it) : std::next(it);
      gone = gone || idle;
    }
    if (gone) publish_found(entry, batch);
    if (entry.found.size() < kMostFoundHosts) entry.too_many = false;
    entry.next_cleanup = entry.found.empty() ? MonoTime::max() : main_.now() + entry.cleanup_interval;
  }
  if (!batch.empty()) publisher_.publish(std::move(batch));
  arm_cleanup();
}

const lb::HostSet* ClusterManager::newest(const Entry& entry) const {
  return static_cast<const lb::HostSet*>(publisher_.newest(SlotId{SlotKind::kHostSet, entry.slot.index}));
}

std::span<const lb::HostEntry> ClusterManager::hosts(const Entry& entry) const {
  const lb::HostSet* set = newest(entry);
  return set != nullptr ? set->hosts() : std::span<const lb::HostEntry>();
}

void ClusterManager::publish_named(Entry& entry, event::Publisher::Batch& batch) {
  // One that has both is to have the names of `dns` later on.
  const bool dynamic = entry.dynamic != nullptr;
  const config::ClusterTranslation& from = dynamic ? *entry.dynamic : entry.dns->from();
  std::vector<config::EndpointSpec> endpoints;
  if (dynamic) endpoints = entry.cache->endpoints(from.dynamic->by_address, from.order);
  const size_t count = dynamic ? endpoints.size() : entry.dns->count();
  const bool fits = count <= entry.named_hosts || named_hosts_ - entry.named_hosts + count <= most_named_hosts_;
  if (!fits) {
    entry.stats->update_failure.inc();
    if (!std::exchange(entry.too_many, true)) {
      WEIR_LOG(kError, "upstream",
               "cluster %s: its names have %zu addresses; clusters of names may have %zu hosts together, so that it "
               "keeps the %zu that it had",
               entry.spec.name.c_str(), count, most_named_hosts_, hosts(entry).size());
    }
    if (newest(entry) == nullptr) publish_hosts(entry, from, {}, batch);
    return;
  }
  entry.too_many = false;
  named_hosts_ += count - entry.named_hosts;
  entry.named_hosts = count;
  if (!dynamic) endpoints = entry.dns->endpoints();
  publish_hosts(entry, from, endpoints, batch);
}

void ClusterManager::show_members(const Entry& entry, const lb::HostSet& set) const {
  entry.stats->membership_total.set(set.hosts().size());
  entry.stats->membership_healthy.set(set.healthy());
  entry.stats->membership_degraded.set(set.degraded());
}

void ClusterManager::show_subsets(Entry& entry, const lb::HostSet& set) {
  const std::vector<std::string> names = set.subset_names();
  std::set<std::string> now(names.begin(), names.end());
  if (entry.subset_stats != nullptr) {
    const lb::SubsetStats& stats = *entry.subset_stats;
    for (const std::string& name : now) stats.created.add(entry.subsets.contains(name) ? 0 : 1);
    for (const std::string& name : entry.subsets) stats.removed.add(now.contains(name) ? 0 : 1);
    stats.active.set(now.size());
    stats.single_host_duplicate.set(set.subset_duplicates());
  }
  entry.subsets = std::move(now);
}

void ClusterManager::show_figures(Entry& entry, const lb::Figures* figures, const lb::HostSet& set) const {
  if (figures == nullptr) {
    entry.figures = nullptr;
    return;
  }
  entry.figures = store_.group(figures->kind, entry.spec.stat_name);
  const std::vector<uint64_t> values = set.figures(*figures);
  for (size_t i = 0; i < values.size(); ++i) entry.figures->gauge(i).set(values[i]);
}

// Of what is published: its members may have come before it was named.
void ClusterManager::note_local() {
  const auto at = clusters_.find(zones_.local());
  if (at == clusters_.end()) {
    zones_.forget();
  } else if (const lb::HostSet* set = newest(at->second); set != nullptr && !zones_.known()) {
    zones_.note(*set);
  }
}

// Those that were made by what is not so any more.
void ClusterManager::remake_by_zone(event::Publisher::Batch& batch) {
  if (remade_ == zones_.changes()) return;
  bool all = true;
  for (auto& [name, entry] : clusters_) {
    if (zones_.is_up_to_date(entry.made, name)) continue;
    const lb::HostSet* set = newest(entry);
    if (set == nullptr) {
      all = false;  // it is published with this batch: the next time
      continue;
    }
    const std::span<const lb::HostEntry> hosts = set->hosts();
    batch.set(SlotId{SlotKind::kHostSet, entry.slot.index},
              zones_.make({hosts.begin(), hosts.end()}, entry.made, entry.spec, store_));
  }
  if (all) remade_ = zones_.changes();
}

void ClusterManager::publish_hosts(Entry& entry, const config::ClusterTranslation& from,
                                   const std::vector<config::EndpointSpec>& endpoints, event::Publisher::Batch& batch) {
  // By address and hostname; true: it is a member already, for an endpoint that is named twice is one host.
  std::unordered_map<std::string, std::pair<std::shared_ptr<lb::Host>, bool>> known;
  auto key_of = [](std::string_view text, std::string_view hostname) {
    return std::string(text).append(" ").append(hostname);
  };
  for (const lb::HostEntry& member : hosts(entry))
    known[key_of(member.host->text(), member.host->hostname())].first = member.host;
  const size_t before = known.size();
  std::vector<lb::HostEntry> members;
  members.reserve(endpoints.size());
  const bool logical = from.dynamic.has_value() ? !from.dynamic->by_address : from.dns.has_value() && from.dns->logical;
  for (const config::EndpointSpec& endpoint : endpoints) {
    // A logical host is the same whatever its address is.
    std::string text = logical ? endpoint.name + ":" + std::to_string(endpoint.port) : endpoint.address.to_string();
    auto& [host, is_member] = known[key_of(text, endpoint.hostname)];
    if (std::exchange(is_member, true)) continue;
    if (host == nullptr) {
      host = std::make_shared<lb::Host>(endpoint.address, std::move(text), endpoint.hostname, lanes_);
    }
    members.push_back(
        {host, endpoint.place, endpoint.weight, endpoint.priority, endpoint.health, endpoint.metadata,
         endpoint.addresses.empty() ? nullptr : std::make_shared<const std::vector<net::Address>>(endpoint.addresses)});
  }
  // The same hosts at another address are no change of membership.
  const bool same =
      (from.dns.has_value() || from.dynamic.has_value()) && known.size() == before && members.size() == before;
  // Before the last group of that name goes: what it counts goes on.
  auto subset_stats =
      from.subsets != nullptr ? std::make_shared<const lb::SubsetStats>(store_, entry.spec.stat_name) : nullptr;
  entry.subset_stats = std::move(subset_stats);
  entry.made = {from.policy, from.policy_config, from.host_options, {from.subsets, entry.subset_stats}};
  auto set = zones_.make(std::move(members), entry.made, entry.spec, store_);
  show_members(entry, *set);
  show_figures(entry, from.policy->figures, *set);
  show_subsets(entry, *set);
  if (!same) entry.stats->membership_change.inc();
  updated_.inc();
  batch.set(SlotId{SlotKind::kHostSet, entry.slot.index}, std::move(set));
}

}  // namespace weir::server
