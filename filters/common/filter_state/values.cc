#include "filters/common/filter_state/values.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/arena.h"
#include "core/filter/config_translator.h"
#include "core/http/chars.h"
#include "envoy/extensions/filters/common/set_filter_state/v3/value.pb.h"

namespace weir::filters::filter_state {
namespace {

namespace pb = envoy::extensions::filters::common::set_filter_state::v3;

// The cluster that tcp_proxy connects to.
constexpr std::string_view kTcpProxyCluster = "envoy.tcp_proxy.cluster";
// Names that something here reads; and kinds of objects for names of one's own.
constexpr std::pair<std::string_view, Form> kKnown[] = {
    {"envoy.network.upstream_server_name", Form::kText},
    {"envoy.network.application_protocols", Form::kText},
    {"envoy.network.upstream_subject_alt_names", Form::kText},
    {kTcpProxyCluster, Form::kText},
    {"envoy.tcp_proxy.per_connection_idle_timeout_ms", Form::kNumber},
    {"envoy.upstream.dynamic_host", Form::kText},
    {"envoy.upstream.dynamic_port", Form::kNumber},
    {"envoy.string", Form::kText},
    {"envoy.hashable_string", Form::kText},
};

std::optional<Form> form_of(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kKnown), std::end(kKnown), [&](const auto& one) { return one.first == name; });
  return found != std::end(kKnown) ? std::optional(found->second) : std::nullopt;
}

}  // namespace

Values read_values(const Protos& protos, filter::FactoryScope& scope, std::string_view field) {
  Values values;
  for (int i = 0; i < protos.size(); ++i) {
    const pb::FilterStateValue& proto = protos.Get(i);
    const std::string at = std::string(field) + "[" + std::to_string(i) + "]";
    if (proto.object_key().empty()) scope.error(at + ".object_key", "must not be empty");
    const bool own = !proto.factory_key().empty();
    const std::optional<Form> form = form_of(own ? proto.factory_key() : proto.object_key());
    if (!form && (own || !proto.object_key().empty())) {
      std::string known;
      for (const auto& [name, kind] : kKnown) (known += known.empty() ? "" : ", ") += name;
      scope.error(at + (own ? ".factory_key" : ".object_key"),
                  own ? "\"" + proto.factory_key() + "\" is not one of " + known
                      : "\"" + proto.object_key() + "\" is not one of " + known +
                            "; with factory_key: envoy.string it may have any name");
    }
    if (!proto.has_format_string()) {
      scope.error(at + ".format_string", "is required");
      continue;
    }
    auto format =
        scope.translator().line_format(proto.format_string(), {.verbatim = true}, scope.at(at + ".format_string"));
    if (!format) continue;
    Value& value = values.emplace_back();
    value.name = stream::FilterStateName(proto.object_key());
    if (proto.object_key() == kTcpProxyCluster) scope.routes().may_lead_anywhere();
    value.form = form.value_or(Form::kText);
    value.format = std::move(*format);
    value.read_only = proto.read_only();
    value.skip_if_empty = proto.skip_if_empty();
  }
  return values;
}

void set_values(const Values& values, const stream::LogSubject& subject, stream::FilterState& state,
                stream::LifeSpan life_span, const stats::Counter& not_set) {
  for (const Value& value : values) {
    const std::string_view text = stream::print(value.format, subject, state.arena_for(life_span));
    if (value.skip_if_empty && text.empty()) continue;
    stream::FilterStateValue object = stream::FilterStateValue::of_string(text);
    if (value.form == Form::kNumber) {
      uint64_t number = 0;
      if (!http::parse_decimal(text, number)) {
        not_set.inc();
        continue;
      }
      object = stream::FilterStateValue::of_unsigned(number);
    }
    if (state.set(value.name, object, {.life_span = life_span, .read_only = value.read_only}) !=
        stream::FilterState::Set::kDone)
      not_set.inc();
  }
}

}  // namespace weir::filters::filter_state
