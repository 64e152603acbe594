// What faces clients that nobody vouches for. What an edge listener is, faces_clients() of model.cc says.
#include <absl/strings/str_split.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <set>

#include "core/config/lint/rules.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/matching/common_inputs/network/v3/network_inputs.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"

namespace weir::config::lint {
namespace {

namespace route_v3 = envoy::config::route::v3;
using google::protobuf::Message;

bool is_zero(const google::protobuf::Duration& duration) { return duration.seconds() == 0 && duration.nanos() == 0; }

constexpr std::string_view kRbac = "envoy.extensions.filters.http.rbac.";

// Whether a filter decides by the path who may do what. RBAC may look at other things alone; that is looked into.
bool authorizes_by_path(const HttpManager& manager) {
  class Paths final : public Visitor {
   public:
    bool message(const Message& message, const std::string&) override {
      if (const auto* permission =
              google::protobuf::DynamicCastToGenerated<envoy::config::rbac::v3::Permission>(&message)) {
        found = found || permission->has_url_path() || permission->header().name() == ":path";
      }
      return !found;
    }
    bool found = false;
  };
  for (const auto& filter : manager.hcm->http_filters()) {
    std::string_view type = type_name(filter.typed_config());
    if (type.starts_with("envoy.extensions.filters.http.ext_authz.") ||
        type.starts_with("envoy.extensions.filters.http.jwt_authn."))
      return true;
    if (!type.starts_with(kRbac)) continue;
    Paths paths;
    visit(filter.typed_config(), "", paths);
    if (paths.found) return true;
  }
  return false;
}

// Whether some route is told from others by its path.
bool routes_by_path(const Model& model, const HttpManager& manager) {
  using route_v3::RouteMatch;
  for (const RouteTable& table : model.tables()) {
    if (table.manager != &manager) continue;
    for (const auto& host : table.routes->virtual_hosts()) {
      for (const auto& route : host.routes()) {
        const RouteMatch& match = route.match();
        const bool everything =
            match.path_specifier_case() == RouteMatch::kPrefix && (match.prefix() == "/" || match.prefix().empty());
        if (!everything && !match.has_connect_matcher()) return true;
      }
    }
  }
  return false;
}

bool has_limit_key(const google::protobuf::Struct& layer) {
  for (const auto& [key, value] : layer.fields()) {
    if (key.find("connection_limit") != std::string::npos || key.find("max_connections") != std::string::npos ||
        (value.has_struct_value() && has_limit_key(value.struct_value())))
      return true;
  }
  return false;
}

bool limits_connections(const Model& model, const envoy::config::listener::v3::Listener& listener) {
  for (const auto& monitor : model.bootstrap().overload_manager().resource_monitors()) {
    if (type_name(monitor.typed_config()).starts_with("envoy.extensions.resource_monitors.downstream_connections."))
      return true;
  }
  for (const auto& layer : model.bootstrap().layered_runtime().layers()) {
    if (layer.has_static_layer() && has_limit_key(layer.static_layer())) return true;
    if (layer.has_disk_layer() || layer.has_rtds_layer()) return true;  // it may be there
  }
  auto limited = [](const auto& chain) {
    return std::any_of(chain.filters().begin(), chain.filters().end(), [](const auto& filter) {
      return type_name(filter.typed_config()).starts_with("envoy.extensions.filters.network.connection_limit.");
    });
  };
  const auto& chains = listener.filter_chains();
  return std::all_of(chains.begin(), chains.end(), limited) &&
         (!listener.has_default_filter_chain() || limited(listener.default_filter_chain()));
}

// The two messages for CORS have these fields in common.
template <class Policy>
void say_if_open(const Policy& policy, const std::string& path, Findings& findings) {
  if (!policy.allow_credentials().value()) return;
  for (int i = 0; i < policy.allow_origin_string_match_size(); ++i) {
    const auto& origin = policy.allow_origin_string_match(i);
    const std::string& regex = origin.safe_regex().regex();
    // A star in any kind of text is what examples write for every site, and what those that read it take it for.
    const bool star = origin.exact() == "*" || origin.prefix() == "*" || origin.suffix() == "*" ||
                      origin.contains() == "*" || regex == "*" || regex == "\\*";
    constexpr std::string_view kOfAll = "https://";
    const bool any = star || (origin.has_prefix() && kOfAll.starts_with(origin.prefix())) ||
                     (origin.has_contains() && kOfAll.find(origin.contains()) != std::string_view::npos) ||
                     regex == ".*" || regex == ".+" || regex == "^.*$";
    if (!any) continue;
    findings.add(path + ".allow_origin_string_match[" + std::to_string(i) + "]",
                 "every site may read answers with the visitor's cookies, for allow_credentials is set",
                 "name the sites that may, or leave allow_credentials out");
  }
}

template <class Visit>
void for_each_edge(const Model& model, Visit visit) {
  for (const HttpManager& manager : model.managers()) {
    if (manager.edge) visit(manager);
  }
}

}  // namespace

void admin_exposed(const Model& model, Findings& findings) {
  if (!model.bootstrap().admin().has_address()) return;
  const auto& address = model.bootstrap().admin().address();
  if (stays_on_this_machine(address)) return;
  // A port that is not there, or could not be read, is no part of where it is.
  const bool has_port = address.socket_address().port_value() != 0;
  findings.add("admin.address",
               (has_port ? address_text(address) : address.socket_address().address()) +
                   ": whoever can reach it may read the configuration and stop the server",
               "use 127.0.0.1, or a Unix socket");
}

void edge_connection_limit(const Model& model, Findings& findings) {
  std::set<std::string> done;
  for_each_edge(model, [&](const HttpManager& manager) {
    if (!done.insert(manager.listener_path).second || limits_connections(model, *manager.listener)) return;
    findings.add(manager.listener_path,
                 "only the process's file descriptors limit how many connections clients may open, and with them the "
                 "memory that they take",
                 "set a limit with the downstream_connections monitor of overload_manager");
  });
}

void edge_request_headers_timeout(const Model& model, Findings& findings) {
  for_each_edge(model, [&](const HttpManager& manager) {
    const Hcm& hcm = *manager.hcm;
    const bool headers = hcm.has_request_headers_timeout() && !is_zero(hcm.request_headers_timeout());
    const bool request = hcm.has_request_timeout() && !is_zero(hcm.request_timeout());
    if (headers || request) return;
    const bool idle = !hcm.has_stream_idle_timeout() || !is_zero(hcm.stream_idle_timeout());
    findings.add(manager.path,
                 std::string("request_headers_timeout is not set: a client that sends its headers a byte at a time "
                             "holds a connection ") +
                     (idle ? "for all of stream_idle_timeout" : "for ever"),
                 "set request_headers_timeout: 10s");
  });
}

void edge_idle_timeout(const Model& model, Findings& findings) {
  for_each_edge(model, [&](const HttpManager& manager) {
    const Hcm& hcm = *manager.hcm;
    if (hcm.has_stream_idle_timeout() && is_zero(hcm.stream_idle_timeout())) {
      findings.add(manager.path + ".stream_idle_timeout", "0 means never: a request whose peer has gone is kept",
                   "set the longest silence that is normal, 300s is the default");
    }
    const auto& common = hcm.common_http_protocol_options();
    if (common.has_idle_timeout() && is_zero(common.idle_timeout())) {
      findings.add(manager.path + ".common_http_protocol_options.idle_timeout",
                   "0 means never: idle connections are kept until the client closes them",
                   "set a time, 3600s is the default");
    }
  });
}

void edge_concurrent_streams(const Model& model, Findings& findings) {
  for_each_edge(model, [&](const HttpManager& manager) {
    const Hcm& hcm = *manager.hcm;
    if (hcm.http2_protocol_options().has_max_concurrent_streams()) return;
    bool http2 = hcm.codec_type() == Hcm::HTTP2;
    if (hcm.codec_type() == Hcm::AUTO && manager.tls != nullptr) {
      const auto& alpn = manager.tls->common_tls_context().alpn_protocols();
      http2 = std::any_of(alpn.begin(), alpn.end(), [](const std::string& names) {
        const std::vector<std::string> all = absl::StrSplit(names, ',');
        return std::find(all.begin(), all.end(), "h2") != all.end();
      });
    }
    if (!http2) return;
    findings.add(manager.path,
                 "http2_protocol_options.max_concurrent_streams is not set: one connection may carry 1024 requests at "
                 "a time",
                 "set 100");
  });
}

void edge_remote_address(const Model& model, Findings& findings) {
  for_each_edge(model, [&](const HttpManager& manager) {
    if (manager.hcm->has_use_remote_address()) return;
    findings.add(manager.path,
                 "use_remote_address is not set: a client may write into x-forwarded-for whose address it has, and set "
                 "the x-envoy- headers that change time-outs and retries",
                 "set use_remote_address: true, or false if trusted proxies are in front");
  });
}

void edge_underscores(const Model& model, Findings& findings) {
  using envoy::config::core::v3::HttpProtocolOptions;
  for_each_edge(model, [&](const HttpManager& manager) {
    const auto& common = manager.hcm->common_http_protocol_options();
    if (common.headers_with_underscores_action() != HttpProtocolOptions::ALLOW) return;
    findings.add(manager.path,
                 "header names with underscores pass: servers that read x_user as x-user can be told what the proxy "
                 "has checked or removed",
                 "set common_http_protocol_options.headers_with_underscores_action: REJECT_REQUEST");
  });
}

void edge_path_normalization(const Model& model, Findings& findings) {
  for_each_edge(model, [&](const HttpManager& manager) {
    const Hcm& hcm = *manager.hcm;
    const bool authorizes = authorizes_by_path(manager);
    // Whoever writes `false` has thought of it; where access depends on it, it is said nevertheless.
    const bool chosen = hcm.has_normalize_path() && !authorizes;
    std::string missing;
    if (!hcm.normalize_path().value() && !chosen) missing = "normalize_path: true";
    auto also = [&](const char* setting) { missing += (missing.empty() ? "" : ", ") + std::string(setting); };
    if (authorizes && !hcm.merge_slashes()) also("merge_slashes: true");
    const auto slashes = hcm.path_with_escaped_slashes_action();
    if (authorizes && (slashes == Hcm::IMPLEMENTATION_SPECIFIC_DEFAULT || slashes == Hcm::KEEP_UNCHANGED))
      also("path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT");
    if (missing.empty() || (!authorizes && !routes_by_path(model, manager))) return;
    findings.add(manager.path,
                 std::string("/a/../admin and //admin are not /admin for ") +
                     (authorizes ? "the filters that authorise" : "the routes") + ", but may be for the servers behind",
                 "set " + missing);
  });
}

// Rules stand in filters of requests and of upgrades, in routes and in virtual hosts.
void rbac_spoofed_address(const Model& model, Findings& findings) {
  class Addresses final : public Visitor {
   public:
    bool message(const Message& message, const std::string&) override {
      using envoy::extensions::matching::common_inputs::network::v3::SourceIPInput;
      const auto* principal = google::protobuf::DynamicCastToGenerated<envoy::config::rbac::v3::Principal>(&message);
      if (principal != nullptr && principal->has_remote_ip()) what = "remote_ip";
      if (google::protobuf::DynamicCastToGenerated<SourceIPInput>(&message) != nullptr) what = "SourceIPInput";
      return what == nullptr;
    }
    const char* what = nullptr;
  };
  class Filters final : public Visitor {
   public:
    explicit Filters(Findings& findings) : findings_(findings) {}
    bool message(const Message& message, const std::string& path) override {
      // What it configures is ignored.
      const auto* outer = google::protobuf::DynamicCastToGenerated<route_v3::FilterConfig>(&message);
      if (outer != nullptr && outer->disabled()) return false;
      if (google::protobuf::DynamicCastToGenerated<envoy::extensions::filters::http::rbac::v3::RBAC>(&message) ==
          nullptr)
        return true;
      Addresses addresses;
      visit(message, "", addresses);
      if (addresses.what == nullptr) return false;
      findings_.add(path, std::string(addresses.what) + " comes from x-forwarded-for, which any client may write",
                    "set use_remote_address: true, or xff_num_trusted_hops if trusted proxies are in front");
      return false;
    }

   private:
    Findings& findings_;
  };
  Filters filters(findings);
  for (const HttpManager& manager : model.managers()) {
    const Hcm& hcm = *manager.hcm;
    // With trusted hops or a detection of its own somebody has thought of where the address comes from.
    if (!manager.public_ || hcm.use_remote_address().value() || hcm.xff_num_trusted_hops() > 0 ||
        hcm.original_ip_detection_extensions_size() > 0)
      continue;
    visit(hcm, manager.path, filters);
  }
}

void cors_any_origin(const Model& model, Findings& findings) {
  class Policies final : public Visitor {
   public:
    explicit Policies(Findings& findings) : findings_(findings) {}
    bool message(const Message& message, const std::string& path) override {
      namespace cors_v3 = envoy::extensions::filters::http::cors::v3;
      if (const auto* of_route = google::protobuf::DynamicCastToGenerated<route_v3::CorsPolicy>(&message))
        say_if_open(*of_route, path, findings_);
      if (const auto* of_filter = google::protobuf::DynamicCastToGenerated<cors_v3::CorsPolicy>(&message))
        say_if_open(*of_filter, path, findings_);
      return true;
    }

   private:
    Findings& findings_;
  };
  Policies policies(findings);
  visit_listeners(model, policies);
}

}  // namespace weir::config::lint
