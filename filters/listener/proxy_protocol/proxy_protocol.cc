#include "filters/listener/proxy_protocol/proxy_protocol.h"

#include <map>
#include <new>
#include <optional>

#include "core/filter/register.h"
#include "core/stream/metadata.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"

namespace weir::filters::proxy_protocol {
namespace {

constexpr std::string_view kNamespace = "envoy.filters.listener.proxy_protocol";

// The object in the filter state. In the connection's arena.
using Values = std::map<std::string, std::string, std::less<>>;

const stream::FilterStateType kValuesType{
    .name = "envoy.network.proxy_protocol.tlv",
    .append_json =
        [](const void* object, std::string& out) {
          std::vector<stream::Field> fields;
          for (const auto& [key, value] : *static_cast<const Values*>(object))
            fields.push_back({key, stream::Value::of_string(value)});
          stream::append_json(stream::Value::of_struct(fields), out);
          return true;
        },
    .append_field =
        [](const void* object, std::string_view field, std::string& out) {
          const auto& values = *static_cast<const Values*>(object);
          auto at = values.find(field);
          if (at != values.end()) out += at->second;
          return at != values.end();
        },
    .destroy = [](void* object) { static_cast<Values*>(object)->~Values(); },
};

}  // namespace

filter::ListenerFilter::Verdict Filter::on_accept(filter::ConnectionHost& host, filter::ConnectionFacts&) {
  host_ = &host;
  return Verdict::kNeedMore;
}

// Of several TLVs of one type, the last counts. The others are not even stored: a header has room for 20,000.
void Filter::keep(const Header& header) {
  Values* values = nullptr;
  for (const TlvRule& rule : settings_.rules) {
    std::optional<std::string_view> value;
    std::string_view left = header.tlvs;
    for (stream::Tlv tlv; stream::next_tlv(left, tlv);) {
      if (tlv.type == rule.type) value = tlv.value;
    }
    if (!value) continue;
    if (!settings_.into_filter_state) {
      host_->info().make_metadata().set(rule.name_space, rule.key, stream::Value::of_string(*value));
      continue;
    }
    if (values == nullptr) {
      stream::FilterState& state = host_->info().make_filter_state();
      values = new (state.arena_for(stream::LifeSpan::kConnection).allocate(sizeof(Values), alignof(Values))) Values;
      const auto set = state.set(settings_.values, stream::FilterStateValue::of_object(values, kValuesType),
                                 {.life_span = stream::LifeSpan::kConnection});
      if (set != stream::FilterState::Set::kDone) {  // two of this filter, one after the other
        values->~Values();
        return;
      }
    }
    values->insert_or_assign(rule.key, std::string(*value));
  }
}

void Filter::keep_for_upstream(const Header& header) {
  if (!settings_.pass.any) return;
  stream::FilterState& state = host_->info().make_filter_state();
  auto* kept = state.arena_for(stream::LifeSpan::kConnection).make<stream::ProxyHeader>();
  kept->source = header.source;
  kept->destination = header.destination;
  std::string_view left = header.tlvs;
  for (stream::Tlv tlv; stream::next_tlv(left, tlv);) {
    if (!settings_.pass.types[tlv.type]) continue;
    const size_t size = 3 + tlv.value.size();
    kept->tlvs.append(header.tlvs, header.tlvs.size() - left.size() - size, size);
  }
  const auto set = state.set(settings_.header, stream::FilterStateValue::of_object(kept, stream::kProxyHeaderType),
                             {.life_span = stream::LifeSpan::kConnection, .sharing = stream::UpstreamSharing::kOnce});
  if (set != stream::FilterState::Set::kDone) kept->~ProxyHeader();
}

filter::ListenerFilter::Verdict Filter::inspect(std::string_view peeked, bool, filter::ConnectionFacts& facts,
                                                size_t& consume) {
  // Without a header connections are served only if that is allowed: then what looks like a version that is not is the
  // client's own bytes. Otherwise the header is read to say what is wrong.
  const Wanted look_for = settings_.allow_without ? settings_.allowed : Wanted{};
  Header header;
  const Parsed parsed = parse_header(peeked, look_for, header);
  if (parsed == Parsed::kAbsent) {
    (settings_.allow_without ? settings_.absent_allowed : settings_.absent_disallowed).inc();
    return settings_.allow_without ? Verdict::kDone : Verdict::kReject;
  }
  if (header.version != Version::kNone) {
    const bool first = header.version == Version::kV1;
    const VersionStats& stats = first ? settings_.v1 : settings_.v2;
    if (!(first ? settings_.allowed.v1 : settings_.allowed.v2)) {
      stats.disallowed.inc();
      return Verdict::kReject;
    }
    if (parsed == Parsed::kInvalid) {
      stats.error.inc();
      return Verdict::kReject;
    }
    if (parsed == Parsed::kHeader) stats.found.inc();
  }
  if (parsed == Parsed::kNotYet) {
    needed_ = header.needed;
    return Verdict::kNeedMore;
  }
  keep_for_upstream(header);
  if (!header.local) {
    facts.remote = std::move(header.source);
    facts.local_restored = !(header.destination == facts.local) || facts.local_restored;
    facts.local = std::move(header.destination);
  }
  keep(header);
  consume = header.size;
  return Verdict::kDone;
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

namespace pb = envoy::extensions::filters::listener::proxy_protocol::v3;
using ProxyProtocolConfig = envoy::config::core::v3::ProxyProtocolConfig;

VersionStats version_stats(stats::Store& store, const std::string& prefix) {
  return {store.counter(prefix + "found"), store.counter(prefix + "disallowed"), store.counter(prefix + "error")};
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::ProxyProtocol& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    for (const auto& rule : proto.rules()) {
      if (!rule.has_on_tlv_present()) continue;  // as published: nothing is done about it
      const auto& to = rule.on_tlv_present();
      config->rules.push_back({static_cast<uint8_t>(rule.tlv_type()),
                               to.metadata_namespace().empty() ? std::string(kNamespace) : to.metadata_namespace(),
                               to.key()});
    }
    if (proto.has_pass_through_tlvs()) {
      using Pass = envoy::config::core::v3::ProxyProtocolPassThroughTLVs;
      config->pass.any = true;
      config->pass.types.fill(proto.pass_through_tlvs().match_type() == Pass::INCLUDE_ALL);
      for (uint32_t type : proto.pass_through_tlvs().tlv_type()) config->pass.types[type & 0xff] = true;
    }
    config->into_filter_state = proto.tlv_location() == pb::ProxyProtocol::FILTER_STATE;
    config->allow_without = proto.allow_requests_without_proxy_protocol();
    for (int version : proto.disallowed_versions()) {
      (version == ProxyProtocolConfig::V1 ? config->allowed.v1 : config->allowed.v2) = false;
    }
    if (!config->allowed.v1 && !config->allowed.v2)
      scope.error("disallowed_versions", "there is no version left; without this filter no header is read");
    std::string prefix = "proxy_proto.";
    if (!proto.stat_prefix().empty()) prefix += proto.stat_prefix() + ".";
    stats::Store& store = scope.store();
    config->absent_allowed = store.counter(prefix + "not_found_allowed");
    config->absent_disallowed = store.counter(prefix + "not_found_disallowed");
    config->v1 = version_stats(store, prefix + "versions.v1.");
    config->v2 = version_stats(store, prefix + "versions.v2.");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::proxy_protocol

namespace weir::plugins {
void listener_filter_proxy_protocol(filter::RegistryBuilder& registry) {
  using namespace filters::proxy_protocol;
  registry.add(filter::describe_listener_filter<Config, Plugin>("envoy.filters.listener.proxy_protocol"));
}
}  // namespace weir::plugins
