#include "core/server/dns_cache.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/lb/by_name.h"
#include "core/server/dns_members.h"

namespace weir::server {

using upstream::NameOutcome;

// One name with its port. Its first answer is waited for by those who asked; the query timeout is theirs, not the
// resolver's: an answer that comes later still counts.
class DnsCache::Name final : private dns::TrackedName::Observer, private event::Timer {
 public:
  Name(DnsCache& cache, std::string key, std::string host, uint16_t port)
      : cache_(cache),
        key_(std::move(key)),
        host_(std::move(host)),
        port_(port),
        used_at_(cache.lane_.now()),
        tracked_(cache.lane_, cache.resolver_, host_, cache.spec_.family, cache.spec_.refresh,
                 dns::TrackedName::OnNone::kKeep, *this) {}

  const std::string& host() const { return host_; }
  uint16_t port() const { return port_; }
  dns::TrackedName& tracked() { return tracked_; }
  const dns::TrackedName& tracked() const { return tracked_; }
  bool known() const { return !tracked_.in_order().empty(); }
  // Somebody has asked, and waited until it was known or was not.
  bool settled() const { return settled_; }
  bool awaited() const { return !waiting_.empty(); }
  void wait(Answer answer) {
    waiting_.push_back(std::move(answer));
    ++cache_.waiting_;
    if (!armed() && cache_.spec_.query_timeout > Duration::zero())
      cache_.lane_.arm_in(*this, cache_.spec_.query_timeout);
  }
  void touch() { used_at_ = cache_.lane_.now(); }
  // `uses`: as Owner::uses() tells; 0: it has no hosts. True: nobody has used it for as long as it may be kept.
  bool is_stale(uint64_t uses) {
    if (uses == UINT64_MAX || std::exchange(uses_, uses) != uses) touch();
    return !awaited() && cache_.lane_.now() - used_at_ >= cache_.spec_.host_ttl;
  }
  MonoTime used_at() const { return used_at_; }
  void adopt(const Name& other) {
    tracked_.adopt(other.tracked_);
    shown_ = other.shown_;
    settled_ = other.settled_;
    used_at_ = other.used_at_;
  }
  // They wait no longer than they would have there.
  void take_over_waiting(Name& other) {
    for (Answer& answer : other.take_waiting()) wait(std::move(answer));
    if (other.armed()) cache_.lane_.arm(*this, other.deadline());
    other.cancel();
  }
  // The cache ends.
  void fail_waiting() {
    for (Answer& answer : take_waiting()) answer(NameOutcome::kFailed);
  }

 private:
  void on_asking(const dns::TrackedName&) override { cache_.stats_.query_attempt.inc(); }
  void on_answer(const dns::TrackedName&, const dns::Answer& answer, bool) override {
    const bool found = answer.complete() && !answer.addresses.empty();
    (found ? cache_.stats_.query_success : cache_.stats_.query_failure).inc();
    cancel();
    const bool changed = std::exchange(shown_, tracked_.in_order()) != tracked_.in_order();
    if (changed) {
      cache_.stats_.address_changed.inc();
      cache_.owner_.on_names(cache_);
    }
    settle();
    if (!known() && cache_.spec_.forget_failures) cache_.remove(key_);
  }
  void on_timer() override {
    cache_.stats_.query_timeout.inc();
    settle();
  }
  std::vector<Answer> take_waiting() {
    cache_.waiting_ -= waiting_.size();
    return std::exchange(waiting_, {});
  }
  void settle() {
    settled_ = true;
    std::vector<Answer> answers = take_waiting();
    cache_.show_pending();
    if (answers.empty()) return;
    if (known()) {
      cache_.owner_.when_published(std::move(answers));
    } else {
      for (Answer& answer : answers) answer(NameOutcome::kFailed);
    }
  }

  DnsCache& cache_;
  const std::string key_, host_;
  const uint16_t port_;
  MonoTime used_at_;
  uint64_t uses_ = 0;
  bool settled_ = false;
  std::vector<Answer> waiting_;
  std::vector<net::Address> shown_;
  dns::TrackedName tracked_;
};

namespace {

constexpr stats::Definition kDefinitions[] = {
    {"dns_query_attempt", stats::Type::kCounter},
    {"dns_query_success", stats::Type::kCounter},
    {"dns_query_failure", stats::Type::kCounter},
    {"dns_query_timeout", stats::Type::kCounter},
    {"host_address_changed", stats::Type::kCounter},
    {"host_added", stats::Type::kCounter},
    {"host_removed", stats::Type::kCounter},
    {"host_overflow", stats::Type::kCounter},
    {"dns_rq_pending_overflow", stats::Type::kCounter},
    {"num_hosts", stats::Type::kGauge},
    {"circuit_breakers.rq_pending_open", stats::Type::kGauge},
};
const stats::GroupKind kKind{"dns_cache", "", kDefinitions};

}  // namespace

DnsCache::Stats::Stats(stats::Store& store, const std::string& name) : group(store.group(kKind, name)) {
  size_t next = 0;
  for (stats::Counter* counter : {&query_attempt, &query_success, &query_failure, &query_timeout, &address_changed,
                                  &added, &removed, &overflow, &pending_overflow})
    *counter = group->counter(next++);
  for (stats::Gauge* gauge : {&hosts, &pending_open}) *gauge = group->gauge(next++);
}

DnsCache::DnsCache(event::Lane& lane, dns::ResolverSource& resolvers, stats::Store& store,
                   const config::DnsCacheSpec& spec, Owner& owner)
    : lane_(lane), spec_(spec), resolver_(resolvers.get(spec.resolver)), stats_(store, spec.name), owner_(owner) {}

void DnsCache::Burial::on_timer() { owner_.gone_.clear(); }

// Answers are for other lanes, and reach them at a later turn: whoever ends this cache is not called.
DnsCache::~DnsCache() {
  for (const auto& [key, name] : names_) name->fail_waiting();
  gone_.clear();
  names_.clear();
  stats_.hosts.set(0);
  stats_.pending_open.set(0);
}

void DnsCache::adopt(DnsCache& before) {
  const bool asks_the_same = before.spec_.family == spec_.family && before.spec_.resolver == spec_.resolver;
  for (const auto& [key, name] : before.names_) {
    if (names_.size() >= spec_.max_hosts) break;
    if (name->known() && asks_the_same) {
      add(key, name->host(), name->port()).adopt(*name);
    } else if (name->awaited()) {
      add(key, name->host(), name->port()).take_over_waiting(*name);
    }
  }
}

void DnsCache::start() {
  for (const config::DnsCacheSpec::Name& name : spec_.preresolve) {
    std::string key = lb::name_key(name.host, name.port);
    if (!names_.contains(key)) add(key, key.substr(0, key.rfind(':')), name.port);
  }
  // The one before has set the gauges, too, when it ended.
  stats_.hosts.set(names_.size());
  show_pending();
  for (const auto& [key, name] : names_) name->tracked().start();
  lane_.arm_in(*this, std::clamp<Duration>(spec_.host_ttl / 8, 10ms, 10s));
}

DnsCache::Name& DnsCache::add(const std::string& key, const std::string& host, uint16_t port) {
  Name& name = *names_.emplace(key, std::make_unique<Name>(*this, key, host, port)).first->second;
  stats_.added.inc();
  stats_.hosts.set(names_.size());
  return name;
}

void DnsCache::remove(const std::string& key) {
  const auto at = names_.find(key);
  if (at == names_.end()) return;
  const bool had_hosts = at->second->known();
  gone_.push_back(std::move(at->second));
  names_.erase(at);
  stats_.removed.inc();
  stats_.hosts.set(names_.size());
  if (!burial_.armed()) lane_.arm(burial_, lane_.now());
  if (had_hosts) owner_.on_names(*this);
}

bool DnsCache::evict_one() {
  const auto worse = [](const auto& one, const auto& other) { return one.second->used_at() < other.second->used_at(); };
  auto oldest = names_.end();
  for (auto at = names_.begin(); at != names_.end(); ++at) {
    const Name& name = *at->second;
    if (name.known() || name.awaited() || !name.settled()) continue;
    if (oldest == names_.end() || worse(*at, *oldest)) oldest = at;
  }
  if (oldest == names_.end()) return false;
  remove(std::string(oldest->first));
  return true;
}

void DnsCache::show_pending() { stats_.pending_open.set(waiting_ >= spec_.max_pending.value_or(UINT32_MAX) ? 1 : 0); }

void DnsCache::find(std::string_view host, uint16_t port, Answer answer) {
  if (port == 0 || !config::host_name_fault(host).empty()) {
    answer(NameOutcome::kNoName);
    return;
  }
  const std::string key = lb::name_key(host, port);
  auto at = names_.find(key);
  if (at != names_.end() && at->second->settled()) {
    Name& name = *at->second;
    name.touch();
    if (name.known()) {
      std::vector<Answer> answers;
      answers.push_back(std::move(answer));
      owner_.when_published(std::move(answers));
    } else {
      answer(NameOutcome::kFailed);
    }
    return;
  }
  if (waiting_ >= spec_.max_pending.value_or(UINT32_MAX)) {
    stats_.pending_overflow.inc();
    answer(NameOutcome::kTooMany);
    return;
  }
  if (at != names_.end()) {
    at->second->touch();
    at->second->wait(std::move(answer));
    show_pending();
    return;
  }
  if (names_.size() >= spec_.max_hosts && !evict_one()) {
    stats_.overflow.inc();
    answer(NameOutcome::kCacheFull);
    return;
  }
  Name& name = add(key, std::string(host), port);
  name.wait(std::move(answer));
  show_pending();
  name.tracked().start();
}

std::vector<config::EndpointSpec> DnsCache::endpoints(bool by_address, const net::AddressOrder& order) const {
  std::vector<config::EndpointSpec> out;
  for (const auto& [key, name] : names_) {
    if (!name->known()) continue;
    config::EndpointSpec endpoint;
    endpoint.name = endpoint.hostname = name->host();
    endpoint.port = name->port();
    if (by_address) {
      for (const net::Address& address : name->tracked().addresses()) {
        endpoint.address = address;
        endpoint.address.set_port(name->port());
        out.push_back(endpoint);
      }
      continue;
    }
    endpoint.addresses = net::in_turn(name->tracked().in_order(), order, kLogicalAddresses);
    for (net::Address& address : endpoint.addresses) address.set_port(name->port());
    endpoint.address = endpoint.addresses.front();
    out.push_back(std::move(endpoint));
  }
  return out;
}

// Names that nobody uses.
void DnsCache::on_timer() {
  const std::map<std::string, uint64_t> uses = owner_.uses(*this);
  std::vector<std::string> stale;
  for (const auto& [key, name] : names_) {
    const auto at = uses.find(key);
    if (name->is_stale(at != uses.end() ? at->second : 0)) stale.push_back(key);
  }
  for (const std::string& key : stale) remove(key);
  lane_.arm_in(*this, std::clamp<Duration>(spec_.host_ttl / 8, 10ms, 10s));
}

}  // namespace weir::server
