#include "core/server/change_report.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <type_traits>

#include "core/config/diagnostics.h"
#include "core/stats/escape.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weir::server {
namespace {

constexpr size_t kFields = 50;  // of one thing

const char* word(Change change) {
  switch (change) {
    case Change::kAdded:
      return "added";
    case Change::kRemoved:
      return "removed";
    case Change::kChanged:
      return "changed";
    case Change::kNone:
      break;
  }
  return "unchanged";
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += i + 1 == names.size() ? " and " : ", ";
    out += names[i];
  }
  return out;
}

std::string counted(size_t n, const char* noun) {
  std::string text = std::to_string(n) + " " + noun;
  return n == 1 ? text : text + "s";
}

template <class Key, class Facts>
const Facts* find(const std::map<Key, Facts>& all, const std::type_identity_t<Key>& key) {
  auto at = all.find(key);
  return at != all.end() ? &at->second : nullptr;
}

bool inside(const std::string& path, const std::string& parent) {
  return path.starts_with(parent) &&
         (path.size() == parent.size() || path[parent.size()] == '.' || path[parent.size()] == '[');
}

// Splits what differs in a listener into its own fields and those of its routes.
std::vector<FieldChange> fields_of_listener(const google::protobuf::Message& before,
                                            const google::protobuf::Message& after, const std::string& only_below,
                                            const std::vector<std::string>& not_below, size_t& more) {
  std::vector<FieldChange> out;
  size_t beyond = 0;
  more = 0;
  for (FieldChange& change : diff_fields(before, after, SIZE_MAX, beyond)) {
    const bool left_out = std::any_of(not_below.begin(), not_below.end(),
                                      [&](const std::string& path) { return inside(change.path, path); });
    if (left_out || (!only_below.empty() && !inside(change.path, only_below))) continue;
    if (out.size() == kFields) {
      ++more;
      continue;
    }
    if (!only_below.empty()) change.path.erase(0, std::min(change.path.size(), only_below.size() + 1));
    out.push_back(std::move(change));
  }
  return out;
}

std::string change_text(const FieldChange& change) {
  std::string text = change.path.empty() ? "" : change.path + ": ";
  if (change.before.empty()) return text + "+ " + change.after;
  if (change.after.empty()) return text + "- " + change.before;
  if (change.before == change.after) return text + "differs, and is not shown";  // a secret, or far into a long text
  return text + change.before + " -> " + change.after;
}

void put(std::string& out, const char* name, std::string_view value) {
  out += '"';
  out += name;
  out += "\": \"";
  stats::append_escaped(out, value, stats::Escape::kJson);
  out += '"';
}

}  // namespace

ChangeReport::ChangeReport(const Plan& plan, const Inventory& before,
                           const envoy::config::bootstrap::v3::Bootstrap& before_proto, const Inventory& after,
                           const envoy::config::bootstrap::v3::Bootstrap& after_proto)
    : before_(before_proto), after_(after_proto) {
  add_listeners(plan, before, after);
  add_routes(plan, before, after);
  add_clusters(plan);
  add_secrets(plan, before, after);
  add_transports(plan, after);
  if (plan.runtime) add_bootstrap_field("runtime", "layered_runtime", "swapped, nothing drains");
  if (plan.cluster_manager) add_bootstrap_field("clusters", "cluster_manager", "swapped, nothing drains");
  for (const std::string& name : plan.start_only)
    add_bootstrap_field("bootstrap", name, "needs a restart: it is read at start only");
}

void ChangeReport::add_listeners(const Plan& plan, const Inventory& before, const Inventory& after) {
  for (const auto& [name, effect] : plan.listeners) {
    const ListenerFacts* was = find(before.listeners, name);
    const ListenerFacts* is = find(after.listeners, name);
    ReportedChange change{"listener", name, effect.change, "", effect.drains};
    if (is == nullptr) {
      change.effect = "stops listening on " + was->address.to_string() + "; all its connections drain";
    } else if (was == nullptr) {
      change.effect = "listens on " + is->address.to_string();
    } else {
      if (effect.rebinds) change.effect = "listens on " + is->address.to_string() + " anew; ";
      change.effect +=
          effect.drains.empty()
              ? "swapped, nothing drains"
              : joined(effect.drains) + (effect.drains.size() == 1 ? " drains its" : " drain their") + " connections";
      std::vector<std::string> routes;
      for (const auto* side : {&before, &after}) {
        for (const auto& [slot, facts] : side->routes) {
          if (facts.listener == name) routes.push_back(facts.path);
        }
      }
      change.fields =
          fields_of_listener(before_.static_resources().listeners(was->index),
                             after_.static_resources().listeners(is->index), "", routes, change.more_fields);
    }
    if (!effect.refused.empty()) {
      change.effect = "refused: " + is->address.to_string() + ": " + std::string(effect.refused);
      refused_ = true;
    }
    changes_.push_back(std::move(change));
  }
}

void ChangeReport::add_routes(const Plan& plan, const Inventory& before, const Inventory& after) {
  for (const auto& [key, what] : plan.routes) {
    const RouteFacts* was = find(before.routes, key);
    const RouteFacts* is = find(after.routes, key);
    const RouteFacts& either = is != nullptr ? *is : *was;
    // The tables of a listener that comes or goes go without saying.
    const bool listener_stays = before.listeners.contains(either.listener) && after.listeners.contains(either.listener);
    if (!listener_stays) continue;
    const bool stays = was != nullptr && is != nullptr;
    ReportedChange change{"routes", either.shown, what,
                          !stays                    ? "with its chain"
                          : was->chain != is->chain ? "for new connections, with their chain"
                                                    : "swapped, nothing drains"};
    if (!either.name.empty()) change.name += " (" + either.name + ")";
    if (stays) {
      const int old_index = before.listeners.at(either.listener).index;
      const int new_index = after.listeners.at(either.listener).index;
      change.fields =
          fields_of_listener(before_.static_resources().listeners(old_index),
                             after_.static_resources().listeners(new_index), is->path, {}, change.more_fields);
      if (change.fields.empty()) change.effect += "; what its files or variables hold differs";
    }
    changes_.push_back(std::move(change));
  }
}

void ChangeReport::add_clusters(const Plan& plan) {
  const bool drains = std::any_of(plan.listeners.begin(), plan.listeners.end(),
                                  [](const auto& one) { return !one.second.drains.empty(); });
  for (const auto& [name, effect] : plan.clusters) {
    ReportedChange change{"cluster", name, effect.change, "from now on"};
    if (effect.change == Change::kRemoved) {
      change.effect = drains ? "when all that drains has ended" : "requests that run finish; idle connections close";
    } else if (effect.change == Change::kChanged) {
      change.effect = effect.settings ? "settings and hosts swapped, nothing drains"
                                      : "hosts swapped; connections to hosts that are gone close when idle";
      const auto& old_list = before_.static_resources().clusters();
      const auto& new_list = after_.static_resources().clusters();
      const auto was = static_cast<int>(effect.was);
      const auto is = static_cast<int>(effect.is);
      if (was < old_list.size() && is < new_list.size())  // else it is one that weir makes by itself
        change.fields = diff_fields(old_list[was], new_list[is], kFields, change.more_fields);
    }
    changes_.push_back(std::move(change));
  }
}

namespace {

// With its kind, where there is another one of the name: "s (validation_context)".
std::string name_of_secret(const config::SecretKey& key, const Inventory& before, const Inventory& after) {
  for (const Inventory* inventory : {&before, &after}) {
    for (const auto& [other, facts] : inventory->secrets) {
      if (other.name == key.name && other.kind != key.kind) {
        using envoy::extensions::transport_sockets::tls::v3::Secret;
        return key.name + " (" + std::string(Secret::descriptor()->FindFieldByNumber(key.kind)->name()) + ")";
      }
    }
  }
  return key.name;
}

}  // namespace

void ChangeReport::add_secrets(const Plan& plan, const Inventory& before, const Inventory& after) {
  for (const auto& [key, what] : plan.secrets) {
    ReportedChange change{"secret", name_of_secret(key, before, after), what, "swapped, nothing drains"};
    const SecretFacts* was = find(before.secrets, key);
    const SecretFacts* is = find(after.secrets, key);
    if (was != nullptr && is != nullptr) {
      change.fields = diff_fields(before_.static_resources().secrets(was->index),
                                  after_.static_resources().secrets(is->index), kFields, change.more_fields);
      if (change.fields.empty()) change.effect += "; what its files or variables hold differs";
    }
    changes_.push_back(std::move(change));
  }
}

// Those that come and go do so with their chains and clusters.
void ChangeReport::add_transports(const Plan& plan, const Inventory& after) {
  for (const auto& [slot, what] : plan.transports) {
    if (what != Change::kChanged) continue;
    const std::string& owner = find(after.transports, slot)->owner;
    const bool drains = std::any_of(plan.listeners.begin(), plan.listeners.end(), [&](const auto& one) {
      return owner == "listener " + one.first && !one.second.drains.empty();
    });
    // Of a cluster, connections that were made in another way carry no new requests.
    const bool retires = std::any_of(plan.clusters.begin(), plan.clusters.end(), [&](const auto& one) {
      return owner == "cluster " + one.first && one.second.settings;
    });
    changes_.push_back({"transport socket", "of " + owner, what,
                        drains    ? "for new connections"
                        : retires ? "for new connections; idle ones close, busy ones behind what they carry"
                                  : "for new connections; those that are open stay"});
  }
}

void ChangeReport::add_bootstrap_field(const char* kind, const std::string& name, const char* effect) {
  const auto* field = before_.GetDescriptor()->FindFieldByName(name);
  const auto& reflection = *before_.GetReflection();
  auto set = [&](const auto& proto) {
    return field->is_repeated() ? reflection.FieldSize(proto, field) > 0 : reflection.HasField(proto, field);
  };
  ReportedChange change{kind, name,
                        !set(before_)  ? Change::kAdded
                        : !set(after_) ? Change::kRemoved
                                       : Change::kChanged,
                        effect};
  envoy::config::bootstrap::v3::Bootstrap one = before_, other = after_;
  for (auto* side : {&one, &other}) {
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    reflection.ListFields(*side, &fields);
    for (const auto* rest : fields) {
      if (rest != field) reflection.ClearField(side, rest);
    }
  }
  change.fields = diff_fields(one, other, kFields, change.more_fields);
  changes_.push_back(std::move(change));
}

std::string ChangeReport::summary() const {
  size_t changes = 0, restart = 0, chains = 0;
  for (const ReportedChange& change : changes_) {
    const bool at_start = std::string_view(change.kind) == "bootstrap";
    (at_start ? restart : changes)++;
    chains += change.drains.size();
  }
  std::string text = changes == 0  ? "a reload changes nothing"
                     : chains == 0 ? counted(changes, "change") + ", nothing drains"
                                   : counted(changes, "change") + ", " + counted(chains, "filter chain") +
                                         (chains == 1 ? " drains" : " drain");
  if (refused_) text = "a reload is refused, and changes nothing";
  if (restart > 0) text += "; " + std::to_string(restart) + (restart == 1 ? " needs" : " need") + " a restart";
  return text + "\n";
}

std::string ChangeReport::text() const {
  size_t kinds = 9, names = 0;
  for (const ReportedChange& change : changes_) {
    kinds = std::max(kinds, std::string_view(change.kind).size());
    names = std::max(names, change.name.size());
  }
  names = std::min<size_t>(names, 40);
  std::string out;
  for (const ReportedChange& change : changes_) {
    std::string line = change.kind;
    line.resize(kinds + 2, ' ');
    std::string name = change.name;
    if (name.size() < names) name.resize(names, ' ');
    std::string what = word(change.change);
    what.resize(9, ' ');
    out += line + name + "  " + what + change.effect + "\n";
    for (const FieldChange& field : change.fields) out += "  " + change_text(field) + "\n";
    if (change.more_fields > 0) out += "  and " + counted(change.more_fields, "more field") + "\n";
  }
  return out + summary();
}

std::string ChangeReport::json() const {
  std::string out = "{\"changes\": [";
  bool drains = false;
  for (const ReportedChange& change : changes_) {
    if (out.back() != '[') out += ',';
    out += "\n {";
    put(out, "kind", change.kind);
    out += ", ";
    put(out, "name", change.name);
    out += ", ";
    put(out, "change", word(change.change));
    out += ", ";
    put(out, "effect", change.effect);
    out += ", \"drains\": [";
    for (const std::string& chain : change.drains) {
      if (out.back() != '[') out += ", ";
      out += '"';
      stats::append_escaped(out, chain, stats::Escape::kJson);
      out += '"';
    }
    drains = drains || (!refused_ && !change.drains.empty());
    out += "], \"fields\": [";
    for (const FieldChange& field : change.fields) {
      out += out.back() == '[' ? "{" : ", {";
      put(out, "path", field.path);
      out += ", ";
      put(out, "before", field.before);
      out += ", ";
      put(out, "after", field.after);
      out += '}';
    }
    out += "], \"more_fields\": " + std::to_string(change.more_fields) + "}";
  }
  return out + "],\n \"drains\": " + (drains ? "true" : "false") + ", \"refused\": " + (refused_ ? "true" : "false") +
         "}\n";
}

}  // namespace weir::server
