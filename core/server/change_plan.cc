#include "core/server/change_plan.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/field_mask_util.h>

#include <algorithm>

#include "core/config/report.h"
#include "core/server/configuration.h"
#include "core/server/slot_name.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::server {
namespace {

// Calls visit(key, before, after) for every key of both, in order; nullptr: one of them does not have it.
template <class Key, class Facts, class Visit>
void for_each_pair(const std::map<Key, Facts>& before, const std::map<Key, Facts>& after, Visit visit) {
  auto a = before.begin();
  auto b = after.begin();
  while (a != before.end() || b != after.end()) {
    const bool first = b == after.end() || (a != before.end() && a->first < b->first);
    const bool second = a == before.end() || (b != after.end() && b->first < a->first);
    visit(first ? a->first : b->first, second ? nullptr : &a->second, first ? nullptr : &b->second);
    if (!second) ++a;
    if (!first) ++b;
  }
}

Change change_of(bool was, bool is, bool differs) {
  if (was && is) return differs ? Change::kChanged : Change::kNone;
  return was ? Change::kRemoved : Change::kAdded;
}

void plan_clusters(const ClusterTable& before, const ClusterTable& after, std::map<std::string, ClusterEffect>& plan) {
  std::vector<bool> stays(before.size());
  size_t staying = 0;
  size_t near = 0;
  for (size_t i = 0; i < after.size(); ++i) {
    const ClusterTable::Row& row = after.rows()[i];
    const size_t was = before.find(row.name, near);
    if (was != ClusterTable::kNone) {
      stays[was] = true;
      ++staying;
    }
    ClusterEffect effect = effect_of(was != ClusterTable::kNone ? &before.rows()[was].facts : nullptr, &row.facts);
    if (effect.change == Change::kNone) continue;
    effect.was = was;
    effect.is = i;
    plan.emplace(row.name, effect);
  }
  for (size_t i = 0; staying < before.size() && i < before.size(); ++i) {
    if (stays[i]) continue;
    ClusterEffect effect = effect_of(&before.rows()[i].facts, nullptr);
    effect.was = i;
    plan.emplace(before.rows()[i].name, effect);
  }
}

}  // namespace

ListenerFacts facts_of(const config::ListenerTranslation& from) {
  ListenerFacts facts;
  facts.fingerprint = from.fingerprint;
  facts.text = from.text;
  facts.address = from.address;
  facts.options = from.options;
  facts.more_addresses = from.more_addresses;
  for (const proxy::FilterChain& chain : from.spec.chains) {
    const size_t position = facts.chains.size();
    const std::string nameless =
        position == from.spec.default_chain ? "default chain" : "chain " + std::to_string(position);
    facts.chains.push_back({chain.name.empty() ? nameless : chain.name, chain.fingerprint});
  }
  return facts;
}

std::vector<net::ListenAddress> ListenerFacts::addresses() const {
  std::vector<net::ListenAddress> all = {{address, options}};
  all.insert(all.end(), more_addresses.begin(), more_addresses.end());
  return all;
}

bool is_reloaded(const google::protobuf::FieldDescriptor& field) {
  // Those of resolvers and binding are part of the clusters that have none of their own.
  return field.name() == "static_resources" || field.name() == "layered_runtime" || field.name() == "cluster_manager" ||
         field.name() == "typed_dns_resolver_config" || field.name() == "dns_resolution_config" ||
         field.name() == "use_tcp_for_dns_lookups";
}

Inventory inventory_of(const Configuration& configuration, const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                       const Inventory* in_force) {
  Inventory all;
  // Translations stand in the order of their messages.
  int index = 0;
  for (const auto& listener : configuration.listeners) {
    const std::string& name = listener.spec.name;
    auto& facts = all.listeners[name] = listener.unchanged ? in_force->listeners.at(name) : facts_of(listener);
    facts.index = index++;
    if (!listener.unchanged) continue;
    const std::string beginning = slot_name({name, ""});
    for (auto at = in_force->routes.lower_bound(beginning);
         at != in_force->routes.end() && at->first.starts_with(beginning); ++at)
      all.routes.insert(*at);
  }
  all.clusters = configuration.cluster_facts;
  for (const auto& route : configuration.routes) {
    all.routes[route.key] = {.fingerprint = route.fingerprint,
                             .chain = route.chain,
                             .slot_name = route.slot_name,
                             .use = route.use,
                             .shown = route.shown,
                             .name = route.config_name,
                             .listener = route.listener,
                             .path = route.path};
  }
  index = 0;
  for (const auto& secret : configuration.secrets) all.secrets[secret.key] = {index++, secret.fingerprint};
  for (const auto& staged : configuration.transports) all.transports[staged.slot_name] = staged.facts;

  std::vector<const google::protobuf::FieldDescriptor*> set;
  bootstrap.GetReflection()->ListFields(bootstrap, &set);
  for (const auto* field : set) {
    if (is_reloaded(*field)) continue;
    // Alone: the rest of the message may be large.
    envoy::config::bootstrap::v3::Bootstrap one;
    google::protobuf::FieldMask mask;
    mask.add_paths(field->name());
    google::protobuf::util::FieldMaskUtil::MergeMessageTo(bootstrap, mask, {}, &one);
    all.start_only[field->name()] = config::fingerprint(one);
  }
  if (bootstrap.has_layered_runtime()) all.runtime = config::fingerprint(bootstrap.layered_runtime());
  if (bootstrap.has_cluster_manager()) all.cluster_manager = config::fingerprint(bootstrap.cluster_manager());
  return all;
}

ListenerEffect effect_of(const ListenerFacts* before, const ListenerFacts* after) {
  ListenerEffect effect;
  effect.change = change_of(before != nullptr, after != nullptr,
                            before != nullptr && after != nullptr && before->fingerprint != after->fingerprint);
  if (effect.change == Change::kNone) return effect;
  if (after != nullptr) effect.rebinds = before == nullptr || before->addresses() != after->addresses();
  if (before == nullptr) return effect;
  for (const ListenerFacts::Chain& chain : before->chains) {
    const bool kept =
        after != nullptr && std::any_of(after->chains.begin(), after->chains.end(),
                                        [&](const auto& other) { return other.fingerprint == chain.fingerprint; });
    if (!kept) effect.drains.push_back(chain.label);
  }
  return effect;
}

namespace {

// Some socket of `after` cannot be opened beside one of `before`, nor be that one. `gives_up`: those that go on
// unchanged can be.
bool holds_address_of(const ListenerFacts& before, const ListenerFacts& after, bool gives_up) {
  for (const net::ListenAddress& was : before.addresses()) {
    for (const net::ListenAddress& is : after.addresses()) {
      if (was.options.datagrams != is.options.datagrams) continue;  // ports of UDP are others than those of TCP
      if (was.address != is.address || !was.options.bind_to_port || !is.options.bind_to_port) continue;
      if (is.address.is_ip() && is.address.port() == 0) continue;  // each gets one of its own
      const bool shared = was.address.is_ip() && was.options.reuse_port && is.options.reuse_port;
      if (!shared && !(gives_up && was.options == is.options)) return true;
    }
  }
  return false;
}

// Of a listener that opens sockets.
std::string_view refusal(const std::string& name, const ListenerFacts& is, const Inventory& before,
                         const Inventory& after) {
  for (const auto& [other, was] : before.listeners) {
    if (other == name) {
      if (address_is_held(was, is)) return kAddressIsHeld;
    } else if (holds_address_of(was, is, !after.listeners.contains(other))) {
      return kAddressIsAnothers;
    }
  }
  return {};
}

}  // namespace

bool address_is_held(const ListenerFacts& before, const ListenerFacts& after) {
  return holds_address_of(before, after, true);
}

ClusterEffect effect_of(const ClusterFacts* before, const ClusterFacts* after) {
  ClusterEffect effect;
  if (before != nullptr && after != nullptr) {
    effect.settings = before->settings != after->settings;
    effect.hosts = before->hosts != after->hosts;
  } else {
    effect.settings = effect.hosts = after != nullptr;
  }
  effect.change = change_of(before != nullptr, after != nullptr, effect.settings || effect.hosts);
  return effect;
}

Plan plan_changes(const Inventory& before, const Inventory& after) {
  Plan plan;
  for_each_pair(before.listeners, after.listeners, [&](const std::string& name, const auto* was, const auto* is) {
    ListenerEffect effect = effect_of(was, is);
    if (effect.rebinds) effect.refused = refusal(name, *is, before, after);
    if (effect.change != Change::kNone) plan.listeners.emplace(name, std::move(effect));
  });
  plan_clusters(*before.clusters, *after.clusters, plan.clusters);
  for_each_pair(before.routes, after.routes, [&](const std::string& name, const auto* was, const auto* is) {
    Change change = change_of(was != nullptr, is != nullptr,
                              was != nullptr && is != nullptr && was->fingerprint != is->fingerprint);
    if (change != Change::kNone) {
      plan.routes.emplace(name, change);
    } else if (was->chain != is->chain) {
      plan.moved_routes.insert(name);
    }
  });
  for_each_pair(before.secrets, after.secrets, [&](const config::SecretKey& key, const auto* was, const auto* is) {
    Change change = change_of(was != nullptr, is != nullptr,
                              was != nullptr && is != nullptr && was->fingerprint != is->fingerprint);
    if (change != Change::kNone) plan.secrets.emplace(key, change);
  });
  for_each_pair(before.transports, after.transports, [&](const std::string& name, const auto* was, const auto* is) {
    Change change = change_of(was != nullptr, is != nullptr,
                              was != nullptr && is != nullptr && was->fingerprint != is->fingerprint);
    if (change != Change::kNone) plan.transports.emplace(name, change);
  });
  for_each_pair(before.start_only, after.start_only, [&](const std::string& name, const auto* was, const auto* is) {
    if (was == nullptr || is == nullptr || *was != *is) plan.start_only.push_back(name);
  });
  plan.runtime = before.runtime != after.runtime;
  plan.cluster_manager = before.cluster_manager != after.cluster_manager;
  return plan;
}

std::string Plan::summary() const {
  size_t chains = 0;
  for (const auto& [name, effect] : listeners) chains += effect.drains.size();
  std::string text;
  auto count = [&](size_t n, const char* noun) {
    if (n == 0) return;
    if (!text.empty()) text += ", ";
    text += std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
  };
  count(listeners.size(), "listener");
  count(routes.size(), "route table");
  count(clusters.size(), "cluster");
  count(secrets.size(), "secret");
  count(transports.size(), "transport socket");
  if (runtime) text += text.empty() ? "runtime" : ", runtime";
  if (cluster_manager) text += text.empty() ? "cluster_manager" : ", cluster_manager";
  if (text.empty()) return "nothing changed";
  text += " changed";
  if (chains > 0)
    text += "; " + std::to_string(chains) + (chains == 1 ? " filter chain drains" : " filter chains drain");
  return text;
}

}  // namespace weir::server
