// Chains of HTTP filters: http_filters of connection managers and clusters, upstream_http_filters of routers.
#include <map>
#include <optional>

#include "core/config/translator.h"
#include "core/filter/chain_config.h"
#include "core/filter/registry.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace weir::config {
namespace {

using envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
using filter::ChainSide;
using filter::FactoryScope;

using HttpFilters = google::protobuf::RepeatedPtrField<HttpFilter>;

// The last filter ends the chain, and no other one does. `terminal`: of each filter whose type is known. `field`: of
// the filters.
void check_order(const HttpFilters& filters, ChainSide side, const std::string& field,
                 const std::vector<std::optional<bool>>& terminal, FactoryScope& scope) {
  const std::string last_one =
      side == ChainSide::kDownstream ? "envoy.filters.http.router" : "envoy.filters.http.upstream_codec";
  for (size_t i = 0; i + 1 < terminal.size(); ++i) {
    if (!terminal[i].value_or(false)) continue;
    const std::string& name = filters[static_cast<int>(i)].name();
    FactoryScope here = scope.below(field, static_cast<int>(i));
    if (terminal.back().value_or(false)) {
      here.error("", name + " ends the chain, as does the last filter; keep only the last");
    } else {
      here.error("", name + " ends the chain and must be the last filter; move it down");
      return;
    }
  }
  if (!terminal.back().value_or(true)) {
    const int last = static_cast<int>(terminal.size()) - 1;
    scope.below(field, last)
        .error("", filters[last].name() + " does not end the chain, and is the last filter; add " + last_one +
                       " behind it");
  }
}

// What serves the requests of a connection manager that names no filters: the published API allows that.
HttpFilters router_alone() {
  HttpFilters filters;
  HttpFilter& router = *filters.Add();
  router.set_name("envoy.filters.http.router");
  router.mutable_typed_config()->set_type_url("type.googleapis.com/envoy.extensions.filters.http.router.v3.Router");
  return filters;
}

// Routes address filters by name (typed_per_filter_config).
void check_names(const HttpFilters& filters, const std::string& field, FactoryScope& scope) {
  std::map<std::string_view, int> first;
  for (int i = 0; i < filters.size(); ++i) {
    auto [before, fresh] = first.try_emplace(filters[i].name(), i);
    if (fresh || filters[i].name().empty()) continue;
    scope.below(field, i).warning("name", field + "[" + std::to_string(before->second) +
                                              "] has this name too; a route's typed_per_filter_config speaks to both");
  }
}

// Empty: the filter may stand there.
std::string place_fault(const filter::HttpFilterDescriptor& descriptor, ChainSide side) {
  if (side == ChainSide::kDownstream) {
    return descriptor.downstream ? "" : " sends requests to upstreams, behind the router (upstream_http_filters)";
  }
  return descriptor.upstream ? ""
                             : " cannot stand between the router and an upstream; envoy.filters.http.header_mutation "
                               "and envoy.filters.http.buffer can";
}

}  // namespace

std::shared_ptr<const filter::HttpChainConfig> Translator::http_filters(
    const google::protobuf::RepeatedPtrField<HttpFilter>& filters, ChainSide side, FactoryScope& scope,
    std::string_view list) {
  const std::string field(list);
  if (filters.empty() && side == ChainSide::kDownstream) {
    const HttpFilters meant = router_alone();
    scope.warning(field, "there are none, so weir routes as if " + meant[0].name() +
                             " was the only one; write it down: - {name: " + meant[0].name() +
                             ", typed_config: {\"@type\": " + meant[0].typed_config().type_url() + "}}");
    return http_filters(meant, side, scope, list);
  }
  std::vector<filter::HttpFilterEntry> entries;
  std::vector<std::optional<bool>> terminal(static_cast<size_t>(filters.size()));
  size_t errors_before = scope.report().errors();
  bool incomplete = false;  // an entry is missing: its fault may have been said when the file was loaded
  for (int i = 0; i < filters.size(); ++i) {
    const HttpFilter& one = filters[i];
    auto here = scope.below(field, i);
    if (!one.has_typed_config()) {
      // Of config_discovery the table of fields has said that there is none.
      if (!one.has_config_discovery())
        here.error("typed_config", "must be set: the type of this message says which filter it is");
      incomplete = true;
      continue;
    }
    const filter::HttpFilterDescriptor* descriptor =
        scope.registry().http_filter(filter::type_of_url(one.typed_config().type_url()));
    if (descriptor == nullptr) {
      bool left_out = here.report().skip_unknown({.kind = "HTTP filter",
                                                  .name = one.name(),
                                                  .optional = one.is_optional(),
                                                  .may_skip = i + 1 != filters.size()},
                                                 one.typed_config(), here.at("typed_config"));
      incomplete |= !left_out;
      continue;
    }
    if (std::string fault = place_fault(*descriptor, side); !fault.empty()) {
      here.error("", one.name() + fault);
      incomplete = true;
      continue;
    }
    terminal[static_cast<size_t>(i)] = descriptor->terminal;
    auto message = here.report().unpack(one.typed_config(), here.at("typed_config"));
    if (message == nullptr) {
      incomplete = true;
      continue;
    }
    auto below = here.below("typed_config");
    below.set_plugin_name(one.name());
    auto built = below.made_by(descriptor->make_config, *message);
    if (!built) {
      incomplete = true;
      continue;
    }
    filter::HttpFilterEntry entry;
    entry.descriptor = descriptor;
    entry.config = std::move(*built);
    entry.name = one.name();
    entry.id = filter::Registry::intern_filter_name(one.name());
    entry.disabled = one.disabled();
    entries.push_back(std::move(entry));
  }
  check_order(filters, side, field, terminal, scope);
  check_names(filters, field, scope);
  if (incomplete || scope.report().errors() != errors_before) return nullptr;
  auto chain = filter::HttpChainConfig::build(std::move(entries));
  if (!chain.ok()) {
    scope.error("", message_of(chain.status()));
    return nullptr;
  }
  return std::move(*chain);
}

}  // namespace weir::config
