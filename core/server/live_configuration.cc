#include "core/server/live_configuration.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <malloc.h>

#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/base/huge_pages.h"
#include "core/base/log.h"
#include "core/config/proto_loader.h"
#include "core/config/report.h"
#include "core/server/change_report.h"
#include "core/stream/log_writer.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weir::server {
namespace {

constexpr Duration kLookAtRetired = 1s;

using envoy::config::bootstrap::v3::Bootstrap;

// Readers of statistics keep them as doubles: more digits than these would not come back.
constexpr uint64_t kVersionBits = (uint64_t{1} << 48) - 1;

uint64_t version_of(const Inventory& inventory) {
  uint64_t all = 0;
  auto name = [&](const std::string& text) { all = config::combine(all, std::hash<std::string>{}(text)); };
  auto number = [&](uint64_t value) { all = config::combine(all, value); };
  for (const auto& [key, facts] : inventory.listeners) name(key), number(facts.fingerprint);
  number(inventory.clusters->digest());
  for (const auto& [key, facts] : inventory.routes) name(key), number(facts.fingerprint);
  for (const auto& [key, facts] : inventory.secrets) name(key.name), number(facts.fingerprint);
  for (const auto& [key, facts] : inventory.transports) name(key), number(facts.fingerprint);
  number(inventory.runtime);
  number(inventory.cluster_manager);
  for (const auto& [key, fingerprint] : inventory.start_only) name(key), number(fingerprint);
  return all & kVersionBits;
}

// Whose they are; empty: not a cluster's, or not a listener's.
std::string_view owner_of(const TransportFacts& transport, std::string_view kind) {
  std::string_view owner = transport.owner;
  if (!owner.starts_with(kind)) return {};
  owner.remove_prefix(kind.size());
  return owner;
}
std::string_view cluster_of(const TransportFacts& transport) { return owner_of(transport, "cluster "); }
std::string_view listener_of(const TransportFacts& transport) { return owner_of(transport, "listener "); }

}  // namespace

LiveConfiguration::LiveConfiguration(event::Lane& lane, const Options& options, const filter::Registry& registry,
                                     stats::Store& store, event::Publisher& publisher, ClusterManager& clusters,
                                     ListenerManager& listeners, RuntimeManager& runtime)
    : lane_(lane),
      options_(options),
      registry_(registry),
      store_(store),
      publisher_(publisher),
      clusters_(clusters),
      listeners_(listeners),
      runtime_(runtime),
      route_slots_(publisher),
      version_(store.gauge("server.config_version")),
      update_time_(store.gauge("server.config_update_time")),
      listeners_warming_(store.gauge("listener_manager.total_listeners_warming")) {}

LiveConfiguration::~LiveConfiguration() = default;

void LiveConfiguration::retire_routes(const Plan& plan, const Inventory& next) {
  // Listeners that lead to them may be held back.
  const Duration held = !held_.empty() || clusters_.warming() ? ClusterManager::kLongestWarming : Duration{};
  const MonoTime end = lane_.clock().mono_now() + held + std::chrono::seconds(options_.drain_seconds) + 1s;
  const auto look_at = [&](const std::string& key) {
    const auto was = inventory_.routes.find(key);
    const auto is = next.routes.find(key);
    const std::string* goes_on = is != next.routes.end() ? &is->second.slot_name : nullptr;
    if (goes_on != nullptr) retired_.erase(*goes_on);
    if (was != inventory_.routes.end() && (goes_on == nullptr || was->second.slot_name != *goes_on))
      retired_[was->second.slot_name] = {end, was->second.use};
  };
  for (const auto& [key, change] : plan.routes) look_at(key);
  for (const std::string& key : plan.moved_routes) look_at(key);
  std::erase_if(replaced_, [this](const Retired& one) { return is_over(one); });
  for (const auto& [key, change] : plan.routes) {
    if (change != Change::kChanged) continue;
    const std::string& slot = inventory_.routes.at(key).slot_name;
    const event::Versioned* table = publisher_.newest(publisher_.intern(event::SlotKind::kRouteTable, slot));
    if (table != nullptr) replaced_.push_back({end, static_cast<const route::RouteTable*>(table)->in_use()});
  }
  if (!retired_.empty() && !armed()) lane_.arm_in(*this, kLookAtRetired);
}

bool LiveConfiguration::is_over(const Retired& one) const { return one.use.expired() || one.end <= lane_.now(); }

void LiveConfiguration::on_timer() {
  event::Publisher::Batch batch;
  std::erase_if(retired_, [&](const auto& one) {
    const bool over = is_over(one.second);
    if (over) batch.remove(publisher_.intern(event::SlotKind::kRouteTable, one.first));
    return over;
  });
  if (held_.empty()) take_gone(batch);
  if (!batch.empty()) publisher_.publish(std::move(batch));
  if (!retired_.empty() || !lingering_.empty()) lane_.arm_in(*this, kLookAtRetired);
}

void LiveConfiguration::linger(event::Publisher::Batch removals) {
  if (removals.empty()) return;
  Lingering one{{}, replaced_, std::move(removals)};
  for (const auto& [slot, retired] : retired_) one.until_gone.push_back(slot);
  lingering_.push_back(std::move(one));
  if (!armed()) lane_.arm_in(*this, kLookAtRetired);
}

void LiveConfiguration::take_gone(event::Publisher::Batch& batch) {
  if (lingering_.empty() || clusters_.leads_to_others()) return;
  std::erase_if(lingering_, [&](Lingering& one) {
    std::erase_if(one.until_gone, [this](const std::string& slot) { return !retired_.contains(slot); });
    std::erase_if(one.until_unused, [this](const Retired& table) { return is_over(table); });
    if (!one.until_gone.empty() || !one.until_unused.empty()) return false;
    batch.append(std::move(one.removals));
    return true;
  });
}

std::string LiveConfiguration::version() const {
  char text[16];
  snprintf(text, sizeof text, "%012llx", static_cast<unsigned long long>(version_of(inventory_)));
  return text;
}

bool LiveConfiguration::read_only_once() const {
  std::error_code ignored;
  return options_.config_path == "-" || std::filesystem::is_fifo(options_.config_path, ignored);
}

Update LiveConfiguration::load(Apply apply, Report report, event::Task applied) {
  Update update;
  const MonoTime start = system_clock().mono_now();
  if (loaded_ && read_only_once()) {
    config::Diagnostic fault;
    fault.file = options_.config_path == "-" ? "(standard input)" : options_.config_path;
    fault.message = kReadOnlyOnce;
    update.diagnostics.add(std::move(fault));
    update.result = Update::Result::kBadConfiguration;
    return update;
  }
  auto bootstrap = std::make_unique<Bootstrap>();
  config::PositionIndex positions;
  read_bootstrap(options_, *bootstrap, positions, update.diagnostics);
  update.read = system_clock().mono_now() - start;
  if (update.diagnostics.has_errors()) {
    find_faults(*bootstrap, positions, options_, registry_, update.diagnostics);  // all those of the file at once
    update.result = Update::Result::kBadConfiguration;
    return update;
  }
  build(std::move(bootstrap), positions, apply, report, std::move(applied), update, nullptr);
  return update;
}

Update LiveConfiguration::read_files_again() {
  Update update;
  build(std::make_unique<Bootstrap>(bootstrap()), config::PositionIndex(), Apply::kYes, Report::kNone, nullptr, update,
        &secrets_);
  update.kept = update.diagnostics.demoted();
  return update;
}

const Bootstrap& LiveConfiguration::bootstrap() {
  if (bootstrap_ == nullptr) {
    bootstrap_ = std::make_unique<Bootstrap>();
    WEIR_CHECK(bootstrap_->ParsePartialFromString(*packed_));
    pack_later();
  }
  return *bootstrap_;
}

std::shared_ptr<const std::string> LiveConfiguration::packed() {
  if (packed_ == nullptr) packed_ = std::make_shared<const std::string>(bootstrap_->SerializePartialAsString());
  return packed_;
}

// Listeners that get addresses which others leave change together with those.
void LiveConfiguration::tie(const Plan& plan, const Inventory& before, Leads& leads_to) {
  std::map<std::string, std::set<std::string>> at;  // listeners, by an address that they had or get
  for (const auto& [name, effect] : plan.listeners) {
    if (!effect.rebinds) continue;
    for (const Inventory* inventory : {&before, static_cast<const Inventory*>(&inventory_)}) {
      const auto listener = inventory->listeners.find(name);
      if (listener == inventory->listeners.end()) continue;
      for (const net::ListenAddress& one : listener->second.addresses()) {
        const bool any_port = one.address.is_ip() && one.address.port() == 0;
        if (!any_port) at[one.address.to_string()].insert(name);
      }
    }
  }
  for (bool more = true; more;) {
    more = false;
    for (const auto& [address, names] : at) {
      std::set<std::string> all;
      for (const std::string& name : names) all.insert(leads_to[name].begin(), leads_to[name].end());
      for (const std::string& name : names) {
        if (leads_to[name].size() == all.size()) continue;
        leads_to[name] = all;
        more = true;
      }
    }
  }
}

void LiveConfiguration::hold(ListenerManager::Changes changes, Leads& leads_to, event::Publisher::Batch removed,
                             event::Publisher::Batch gone) {
  // Clusters that an earlier reload removed, and this one has again.
  for (Lingering& one : lingering_) {
    one.removals.drop_removals([&](event::SlotId id) {
      const std::string name(publisher_.name_of(id));
      if (id.kind == event::SlotKind::kTransport) return inventory_.transports.contains(name);
      return clusters_.clusters().contains(name);
    });
  }
  const MonoTime until = lane_.clock().mono_now() + ClusterManager::kLongestWarming;
  std::map<std::string, MonoTime> held_until;
  for (auto& [listener, batch] : changes) {
    const auto before = held_until_.find(listener);
    const MonoTime end = before != held_until_.end() ? before->second : until;
    held_.emplace(listener, Held{std::move(batch), std::move(leads_to[listener]), end});
    held_until.emplace(listener, end);
  }
  held_until_ = std::move(held_until);
  held_last_.append(std::move(removed));
  linger(std::move(gone));
}

bool LiveConfiguration::waits(Held& held) const {
  if (held.until <= lane_.clock().mono_now()) return false;
  std::set<std::string>& leads_to = held.leads_to;
  // Who has members keeps them: nobody is asked for twice.
  const auto warms = [this](std::string_view name) {
    return name == kAnyCluster ? clusters_.warming() : clusters_.warming(name);
  };
  while (!leads_to.empty() && !warms(*leads_to.begin())) leads_to.erase(leads_to.begin());
  return !leads_to.empty();
}

void LiveConfiguration::publish(event::Publisher::Batch batch) {
  const bool all_wait = taking_over_ && clusters_.warming();
  for (auto at = held_.begin(); at != held_.end() && !all_wait;) {
    if (waits(at->second)) {
      ++at;
    } else {
      batch.append(std::move(at->second.changes));
      held_until_.erase(at->first);
      at = held_.erase(at);
    }
  }
  listeners_warming_.set(held_.size());
  event::Task applied;
  if (held_.empty()) {
    taking_over_ = false;
    published_.reset();
    listeners_.note_published();
    batch.append(std::exchange(held_last_, {}));
    take_gone(batch);
    if (!after_held_.empty()) {
      applied = [tasks = std::exchange(after_held_, {})]() mutable {
        for (event::Task& task : tasks) task();
      };
    }
  } else {
    note_what_is_published();
    clusters_.when_warmer([this] { publish({}); });
  }
  if (!batch.empty() || applied) publisher_.publish(std::move(batch), std::move(applied));
}

namespace {

// Of `now`, but what `as_before` says yes to as it is in `before`.
template <class Facts, class AsBefore>
void mix(const std::map<std::string, Facts>& before, std::map<std::string, Facts>& now, AsBefore as_before) {
  std::erase_if(now, [&](const auto& one) { return as_before(one.first, one.second); });
  for (const auto& one : before) {
    if (as_before(one.first, one.second)) now.insert(one);
  }
}

}  // namespace

void LiveConfiguration::note_what_is_published() {
  const auto waits = [this](const std::string& listener) {
    if (held_.contains(listener)) return true;
    const auto before = published_->listeners.find(listener);
    return before != published_->listeners.end() && held_last_.changes(before->second.slot);
  };
  Published next{inventory_, listeners_.listeners()};
  const Inventory& before = published_->inventory;
  const auto by_name = [&](const std::string& name, const auto&) { return waits(name); };
  mix(published_->listeners, next.listeners, by_name);
  mix(before.listeners, next.inventory.listeners, by_name);
  mix(before.routes, next.inventory.routes, [&](const auto&, const RouteFacts& one) { return waits(one.listener); });
  mix(before.transports, next.inventory.transports, [&](const auto&, const TransportFacts& one) {
    const std::string_view listener = listener_of(one);
    return !listener.empty() && waits(std::string(listener));
  });
  published_ = std::move(next);
}

struct LiveConfiguration::TakenBack {
  ~TakenBack() {
    if (owner != nullptr) owner->put_back(*this);
  }
  LiveConfiguration* owner;  // null: it is not put back
  Published applied;
  std::map<std::string, Held> held;
  event::Publisher::Batch held_last;
  std::map<std::string, Retired> retired;
};

std::unique_ptr<LiveConfiguration::TakenBack> LiveConfiguration::take_back() {
  if (!published_) return nullptr;
  std::unique_ptr<TakenBack> taken(new TakenBack{.owner = this,
                                                 .applied = {inventory_, listeners_.listeners()},
                                                 .held = std::exchange(held_, {}),
                                                 .held_last = std::exchange(held_last_, {}),
                                                 .retired = retired_});
  inventory_ = published_->inventory;
  listeners_.take_back(published_->listeners);
  for (const auto& [key, route] : inventory_.routes) retired_.erase(route.slot_name);
  return taken;
}

void LiveConfiguration::put_back(TakenBack& taken) {
  inventory_ = std::move(taken.applied.inventory);
  listeners_.put_back(std::move(taken.applied.listeners));
  held_ = std::move(taken.held);
  held_last_ = std::move(taken.held_last);
  retired_ = std::move(taken.retired);
}

void LiveConfiguration::note_closed(proxy::Which which, bool shared) {
  listeners_.note_closed(which, published_ ? &published_->listeners : nullptr, shared);
  if (held_.empty() || shared) return;
  if (Update update = read_files_again(); !update.ok())
    WEIR_LOG(kError, "server", "listeners that wait for clusters: %s", update.faults().c_str());
}

void LiveConfiguration::discard() {
  held_.clear();
  held_until_.clear();
  published_.reset();
  listeners_warming_.set(0);
  held_last_ = {};
  after_held_.clear();
}

void LiveConfiguration::when_published(event::Task task) {
  if (!held_.empty()) {
    after_held_.push_back(std::move(task));
  } else {
    publisher_.publish({}, std::move(task));
  }
}

void LiveConfiguration::pack_later() {
  if (!std::exchange(packing_, true)) lane_.post([this] { pack(); });
}

void LiveConfiguration::pack() {
  packing_ = false;
  packed();
  bootstrap_.reset();
  malloc_trim(0);
  collapse_to_huge_pages();
}

// What is in force goes on to be shown.
void LiveConfiguration::keep_start_only(Bootstrap& bootstrap) {
  const auto& reflection = *bootstrap.GetReflection();
  Bootstrap before = this->bootstrap();
  for (int i = 0; i < bootstrap.GetDescriptor()->field_count(); ++i) {
    const auto* field = bootstrap.GetDescriptor()->field(i);
    if (!is_reloaded(*field) && !field->real_containing_oneof()) reflection.SwapFields(&bootstrap, &before, {field});
  }
}

void LiveConfiguration::build(std::unique_ptr<Bootstrap> bootstrap, const config::PositionIndex& positions, Apply apply,
                              Report report, event::Task applied, Update& update, const config::SecretStore* keep) {
  const bool first = !loaded_;
  const MonoTime start = system_clock().mono_now();
  PublisherSlots slots(publisher_, route_slots_);
  std::unique_ptr<TakenBack> taken = apply == Apply::kYes ? take_back() : nullptr;
  // Who only looks wants to hear all that there is to say.
  const Inventory* in_force = !first && apply == Apply::kYes ? &inventory_ : nullptr;
  Configuration configuration = translate_bootstrap(*bootstrap, positions, options_, registry_, store_, slots,
                                                    update.diagnostics, in_force, own_node_.get(), keep);
  // Files that are read again are no other configuration, and one that is in force was let in.
  if (keep == nullptr) find_forbidden(*bootstrap, positions, options_, update.diagnostics);
  if (update.diagnostics.has_errors()) {
    update.result = Update::Result::kBadConfiguration;
    return;
  }
  Inventory inventory = inventory_of(configuration, *bootstrap, in_force);
  if (first) inventory_.start_only = inventory.start_only;
  update.plan = plan_changes(inventory_, inventory);
  const MonoTime built = system_clock().mono_now();
  update.built = built - start;
  // Against what was accepted last, whether it waited or not: that is what people know.
  std::optional<Inventory> accepted;
  const auto describe = [&](const Inventory& was, const Bootstrap& before, const Inventory& is,
                            const Bootstrap& after) {
    const ChangeReport changes = accepted ? ChangeReport(plan_changes(*accepted, is), *accepted, before, is, after)
                                          : ChangeReport(update.plan, was, before, is, after);
    update.changes_text = changes.text();
    update.changes_json = changes.json();
  };
  const bool wanted = report == Report::kChanges && !first;
  if (apply == Apply::kLook) {
    if (wanted) describe(inventory_, this->bootstrap(), inventory, *bootstrap);
    find_doubts(*bootstrap, positions, options_, Doubts::kAll, update.diagnostics);
    update.result = Update::Result::kLooked;
    return;
  }

  // Everything that can still fail comes before anything changes.
  if (Status opened = stream::LogWriter::process().open_all(); !opened.ok()) {
    update.result = Update::Result::kBadConfiguration;
    update.error = "access log: " + message_of(opened);
    return;
  }
  event::Publisher::Batch batch, removed, gone;
  ListenerManager::Changes leading;
  Published before{{}, listeners_.listeners()};
  if (Status bound = listeners_.apply(std::move(configuration.listeners), leading, batch, removed); !bound.ok()) {
    update.result = Update::Result::kCannotBind;
    update.error = message_of(bound);
    return;
  }
  // From here on nothing can fail.
  const bool took_back = taken != nullptr;
  if (took_back) {
    accepted = std::move(taken->applied.inventory);
    // Certificates of listeners that did not wait go behind those that did.
    taken->held_last.drop_removals([this](event::SlotId id) {
      return id.kind == event::SlotKind::kListener ||
             inventory_.transports.contains(std::string(publisher_.name_of(id)));
    });
    linger(std::move(taken->held_last));
    taken->owner = nullptr;
    taken.reset();
    listeners_.close_spare();
  }
  runtime_.apply(std::move(configuration.runtime), batch);
  clusters_.set_local(configuration.local_cluster, configuration.place);
  clusters_.set_patience(first && !taking_over_ ? ClusterManager::kLongestWarmingAtStart
                                                : ClusterManager::kLongestWarming);
  std::vector<std::string> leaving;
  for (const auto& [name, effect] : update.plan.clusters) {
    if (effect.change == Change::kRemoved) leaving.push_back(name);
  }
  clusters_.apply(std::move(configuration.clusters), leaving, batch, gone);
  for (StagedRoute& staged : configuration.routes) {
    if (!update.plan.routes.contains(staged.key) && !update.plan.moved_routes.contains(staged.key)) continue;
    leading[staged.listener].set(publisher_.intern(event::SlotKind::kRouteTable, staged.slot_name),
                                 std::move(staged.table));
  }
  for (StagedTransport& staged : configuration.transports) {
    if (!update.plan.transports.contains(staged.slot_name)) continue;
    // With another name to count under it is no update.
    if (update.plan.transports.at(staged.slot_name) == Change::kChanged &&
        inventory_.transports.at(staged.slot_name).updates == staged.facts.updates)
      staged.facts.updates->counter(0).inc();
    // With the cluster or the chain whose it is.
    event::Publisher::Batch* with = clusters_.with_members(cluster_of(staged.facts));
    if (with == nullptr) with = staged.listener.empty() ? &batch : &leading[staged.listener];
    with->set(publisher_.intern(event::SlotKind::kTransport, staged.slot_name), std::move(staged.version));
  }
  for (const auto& [slot, change] : update.plan.transports) {
    if (change != Change::kRemoved) continue;
    const std::string_view cluster = cluster_of(inventory_.transports.at(slot));
    event::Publisher::Batch* with = clusters_.with_members(cluster);
    if (with == nullptr) with = cluster.empty() ? &removed : &gone;
    with->remove(publisher_.intern(event::SlotKind::kTransport, slot));
  }
  retire_routes(update.plan, inventory);
  secrets_.apply(std::move(configuration.secrets));
  bool told = !wanted;
  if (first) {
    admin_ = std::move(configuration.admin);
    overload_ = std::move(configuration.overload);
    flush_ = std::move(configuration.flush);
    watchdog_ = configuration.watchdog;
    log_format_ = configuration.log_format;
  } else {
    if (!update.plan.start_only.empty()) {
      // Only the file says what is not applied.
      if (!std::exchange(told, true)) describe(inventory_, this->bootstrap(), inventory, *bootstrap);
      keep_start_only(*bootstrap);
    }
    inventory.start_only = std::move(inventory_.start_only);
  }
  // What was in force is described, and destroyed, when all else is done.
  const auto packed_before = std::exchange(packed_, nullptr);
  std::swap(inventory_, inventory);
  before.inventory = inventory;
  watched_ = std::move(configuration.watched);
  bootstrap_.swap(bootstrap);
  own_node_ = std::make_unique<envoy::config::core::v3::Node>(bootstrap_->node());
  if (own_node_->user_agent_name().empty()) own_node_->set_user_agent_name("weir");
  loaded_ = true;
  pack_later();
  // Files beside the configuration's own may have been touched, and nothing be new.
  if (first || !update.plan.empty()) loaded_at_ = system_clock().wall_now();
  version_.set(version_of(inventory_));
  update_time_.set(static_cast<uint64_t>(to_ms(loaded_at_.time_since_epoch())));
  const bool anything =
      first || took_back || !batch.empty() || !leading.empty() || !removed.empty() || !gone.empty() || !held_.empty();
  if (applied && anything) after_held_.push_back(std::move(applied));
  published_ = std::move(before);
  tie(update.plan, inventory, configuration.leads_to);
  hold(std::move(leading), configuration.leads_to, std::move(removed), std::move(gone));
  publish(std::move(batch));
  update.applied = system_clock().mono_now() - built;
  for (const auto& [listener, held] : held_) {
    std::vector<std::string>& clusters = update.waiting[listener];
    for (const std::string& name : held.leads_to) {
      if (name == kAnyCluster) {
        clusters.emplace_back("any cluster that is new");
      } else if (clusters_.warming(name)) {
        clusters.push_back(name);
      }
    }
  }
  if (!told) {
    if (bootstrap == nullptr) {
      bootstrap = std::make_unique<Bootstrap>();
      WEIR_CHECK(bootstrap->ParsePartialFromString(*packed_before));
    }
    describe(inventory, *bootstrap, inventory_, *bootstrap_);
  }
  // What only warns waits until the configuration is in force; one without a file was looked at when it had one.
  if (positions.size() > 0) find_doubts(*bootstrap_, positions, options_, Doubts::kSome, update.diagnostics);
}

}  // namespace weir::server
