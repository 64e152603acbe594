// The structure of routes and filters.
#include <absl/strings/ascii.h>
#include <google/protobuf/message.h>

#include <map>
#include <string>
#include <vector>

#include "core/config/lint/regex_shape.h"
#include "core/config/lint/route_cover.h"
#include "core/config/lint/rules.h"
#include "core/config/suggest.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"

namespace weir::config::lint {
namespace {

namespace route_v3 = envoy::config::route::v3;
using google::protobuf::Message;

constexpr std::string_view kRouter = "envoy.extensions.filters.http.router.";

std::string route_path(const RouteTable& table, int host, int route) {
  return table.host_path(host) + ".routes[" + std::to_string(route) + "]";
}

std::string match_text(const route_v3::RouteMatch& match) {
  switch (match.path_specifier_case()) {
    case route_v3::RouteMatch::kPrefix:
      return "prefix " + shown(match.prefix());
    case route_v3::RouteMatch::kPath:
      return "path " + shown(match.path());
    case route_v3::RouteMatch::kPathSeparatedPrefix:
      return "path_separated_prefix " + shown(match.path_separated_prefix());
    case route_v3::RouteMatch::kSafeRegex:
      return "safe_regex " + shown(match.safe_regex().regex());
    default:
      return "the same match";
  }
}

// Calls visit(name, path) for every cluster that the table names.
template <class Visit>
void for_each_cluster_name(const RouteTable& table, Visit visit) {
  for (int h = 0; h < table.routes->virtual_hosts_size(); ++h) {
    const auto& host = table.routes->virtual_hosts(h);
    for (int r = 0; r < host.routes_size(); ++r) {
      const auto& action = host.routes(r).route();
      const std::string path = route_path(table, h, r) + ".route";
      if (!action.cluster().empty()) visit(action.cluster(), path + ".cluster");
      for (int c = 0; c < action.weighted_clusters().clusters_size(); ++c) {
        const auto& one = action.weighted_clusters().clusters(c);
        if (!one.name().empty())
          visit(one.name(), path + ".weighted_clusters.clusters[" + std::to_string(c) + "].name");
      }
    }
  }
}

}  // namespace

void duplicate_domain(const Model& model, Findings& findings) {
  for (const RouteTable& table : model.tables()) {
    std::map<std::string, std::string> seen;  // domain -> virtual host
    for (int h = 0; h < table.routes->virtual_hosts_size(); ++h) {
      const auto& host = table.routes->virtual_hosts(h);
      for (int d = 0; d < host.domains_size(); ++d) {
        std::string domain = host.domains(d);
        absl::AsciiStrToLower(&domain);
        auto [first, fresh] = seen.try_emplace(domain, host.name());
        if (fresh) continue;
        findings.add(table.host_path(h) + ".domains[" + std::to_string(d) + "]",
                     shown(host.domains(d)) + " is a domain of virtual host " + shown(first->second) + " too",
                     "each domain may stand once");
      }
    }
  }
}

void unknown_cluster(const Model& model, Findings& findings) {
  if (model.dynamic_clusters()) return;
  for (const RouteTable& table : model.tables()) {
    if (table.routes->has_validate_clusters() && !table.routes->validate_clusters().value()) continue;
    for_each_cluster_name(table, [&](const std::string& name, const std::string& path) {
      if (model.cluster(name) != nullptr) return;
      NearestName nearest(name);
      for (const ClusterEntry& entry : model.clusters()) nearest.offer(entry.cluster->name());
      findings.add(path, shown(name) + " is not a cluster of this file",
                   nearest.best().empty() ? "add it to static_resources.clusters"
                                          : "did you mean " + shown(nearest.best()) + "?");
    });
  }
}

void unreachable_route(const Model& model, Findings& findings) {
  for (const RouteTable& table : model.tables()) {
    for (int h = 0; h < table.routes->virtual_hosts_size(); ++h) {
      const auto& host = table.routes->virtual_hosts(h);
      if (host.has_matcher()) continue;  // its routes are elsewhere
      EarlierRoutes earlier;
      for (int r = 0; r < host.routes_size(); ++r) {
        const std::vector<size_t> takers = earlier.covering(host.routes(r).match());
        earlier.add(host.routes(r).match());
        if (takers.empty()) continue;
        std::string who;
        for (const size_t taker : takers) {
          const auto number = static_cast<int>(taker);
          const std::string place = findings.place(route_path(table, h, number));
          who += (who.empty() ? "routes[" : " and routes[") + std::to_string(number) + "] (" +
                 match_text(host.routes(number).match()) + (place.empty() ? "" : ", " + place) + ")";
        }
        const bool one = takers.size() == 1;
        findings.add(route_path(table, h, r),
                     "no request gets here: " + who + (one ? " takes" : " together take") + " all of them first",
                     std::string("put this one in front of ") + (one ? "it" : "them") + ", or remove it");
      }
    }
  }
}

// What stands in a request line begins with a slash, but for OPTIONS * and CONNECT, and its query is no part of the
// path.
void impossible_path(const Model& model, Findings& findings) {
  for (const RouteTable& table : model.tables()) {
    for (int h = 0; h < table.routes->virtual_hosts_size(); ++h) {
      const auto& host = table.routes->virtual_hosts(h);
      for (int r = 0; r < host.routes_size(); ++r) {
        const route_v3::RouteMatch& match = host.routes(r).match();
        const bool whole = match.path_specifier_case() == route_v3::RouteMatch::kPath;
        if (!whole && match.path_specifier_case() != route_v3::RouteMatch::kPrefix) continue;
        const std::string& path = whole ? match.path() : match.prefix();
        const std::string place = route_path(table, h, r) + (whole ? ".match.path" : ".match.prefix");
        if (!path.empty() && path[0] != '/' && path[0] != '*') {
          findings.add(place, shown(path) + " is the beginning of no path: they begin with a slash",
                       "write " + shown("/" + path));
        } else if (const size_t end = path.find_first_of("?#"); end != std::string::npos) {
          findings.add(place, shown(path) + " matches no path: they end where the query begins",
                       "write " + shown(path.substr(0, end)) + ", and match the rest with query_parameters");
        }
      }
    }
  }
}

void weight_zero(const Model& model, Findings& findings) {
  for (const RouteTable& table : model.tables()) {
    for (int h = 0; h < table.routes->virtual_hosts_size(); ++h) {
      const auto& host = table.routes->virtual_hosts(h);
      for (int r = 0; r < host.routes_size(); ++r) {
        const auto& weighted = host.routes(r).route().weighted_clusters();
        if (!weighted.runtime_key_prefix().empty()) continue;  // the weights are elsewhere
        for (int c = 0; c < weighted.clusters_size(); ++c) {
          if (weighted.clusters(c).weight().value() != 0) continue;
          findings.add(route_path(table, h, r) + ".route.weighted_clusters.clusters[" + std::to_string(c) + "]",
                       "weight is " + std::string(weighted.clusters(c).has_weight() ? "0" : "not set, which is 0") +
                           ": " + shown(weighted.clusters(c).name()) + " gets no request",
                       "give it a weight, or remove it");
        }
      }
    }
  }
}

void regex_for_literal(const Model& model, Findings& findings) {
  class Regexes final : public Visitor {
   public:
    explicit Regexes(Findings& findings) : findings_(findings) {}
    bool message(const Message& message, const std::string& path) override {
      if (const auto* match = google::protobuf::DynamicCastToGenerated<route_v3::RouteMatch>(&message)) {
        if (match->has_safe_regex()) route(match->safe_regex().regex(), path);
      } else if (const auto* text =
                     google::protobuf::DynamicCastToGenerated<envoy::type::matcher::v3::StringMatcher>(&message)) {
        if (text->has_safe_regex()) string(text->safe_regex().regex(), path);
      }
      return true;
    }

   private:
    void route(const std::string& regex, const std::string& path) {
      const RegexShape shape = shape_of(regex);
      if (shape.shape == Shape::kPrefix) say(path, regex, "prefix: " + shown(shape.text));
      if (shape.shape == Shape::kSegments) say(path, regex, "path_separated_prefix: " + shown(shape.text));
      if (shape.shape == Shape::kExact) say(path, regex, "path: " + shown(shape.text));
    }
    void string(const std::string& regex, const std::string& path) {
      const RegexShape shape = shape_of(regex);
      const char* field = shape.shape == Shape::kPrefix     ? "prefix"
                          : shape.shape == Shape::kSuffix   ? "suffix"
                          : shape.shape == Shape::kContains ? "contains"
                          : shape.shape == Shape::kExact    ? "exact"
                                                            : nullptr;
      if (field != nullptr) say(path, regex, field + std::string(": ") + shown(shape.text));
    }
    void say(const std::string& path, const std::string& regex, const std::string& instead) {
      findings_.add(path + ".safe_regex", shown(regex) + " is tried on every request and says no more than " + instead,
                    "write that");
    }
    Findings& findings_;
  };
  Regexes regexes(findings);
  const auto& resources = model.bootstrap().static_resources();
  for (int i = 0; i < resources.listeners_size(); ++i)
    visit(resources.listeners(i), "static_resources.listeners[" + std::to_string(i) + "]", regexes);
}

void filter_order(const Model& model, Findings& findings) {
  for (const HttpManager& manager : model.managers()) {
    const auto& filters = manager.hcm->http_filters();
    int router = -1;
    for (int i = 0; i < filters.size() && router < 0; ++i) {
      if (type_name(filters[i].typed_config()).starts_with(kRouter)) router = i;
    }
    // Other filters may end a chain, too (a discovered one may be anything): only what is certain is said.
    if (filters.empty()) {
      findings.add(manager.path, "there is no HTTP filter, so that nothing answers", "add the router");
    } else if (router >= 0 && router + 1 < filters.size()) {
      const std::string& name = filters[router + 1].name();
      findings.add(manager.path + ".http_filters[" + std::to_string(router) + "]",
                   "the router is the end of the chain: " + shown(name) + " behind it would never run", "put it last");
    }
  }
}

}  // namespace weir::config::lint
