#include "core/config/overload_config.h"

#include <algorithm>
#include <set>

#include "core/config/shared_messages.h"
#include "core/filter/register.h"
#include "envoy/config/overload/v3/overload.pb.h"

namespace weir::config {
namespace {

namespace overload_v3 = envoy::config::overload::v3;
using proxy::OverloadAction;
using proxy::ScaledTimeout;
using proxy::ShedPoint;

constexpr std::pair<std::string_view, OverloadAction> kActions[] = {
    {"envoy.overload_actions.stop_accepting_requests", OverloadAction::kStopAcceptingRequests},
    {"envoy.overload_actions.disable_http_keepalive", OverloadAction::kDisableKeepalive},
    {"envoy.overload_actions.stop_accepting_connections", OverloadAction::kStopAcceptingConnections},
    {"envoy.overload_actions.reject_incoming_connections", OverloadAction::kRejectIncomingConnections},
    {"envoy.overload_actions.shrink_heap", OverloadAction::kShrinkHeap},
    {"envoy.overload_actions.reduce_timeouts", OverloadAction::kReduceTimeouts},
    {"envoy.overload_actions.reset_high_memory_stream", OverloadAction::kResetHighMemoryStream},
};

constexpr std::pair<std::string_view, ShedPoint> kPoints[] = {
    {"envoy.load_shed_points.tcp_listener_accept", ShedPoint::kListenerAccept},
    {"envoy.load_shed_points.http_connection_manager_decode_headers", ShedPoint::kDecodeHeaders},
    {"envoy.load_shed_points.hcm_ondata_creating_codec", ShedPoint::kBeforeCodec},
    {"envoy.load_shed_points.http1_server_abort_dispatch", ShedPoint::kHttp1AbortDispatch},
    {"envoy.load_shed_points.http2_server_go_away_on_dispatch", ShedPoint::kHttp2GoAway},
    {"envoy.load_shed_points.http2_server_go_away_and_close_on_dispatch", ShedPoint::kHttp2GoAwayAndClose},
};

template <class Table>
std::string names_of(const Table& table) {
  std::string all;
  for (const auto& [name, value] : table) (all += all.empty() ? "" : ", ") += name;
  return all;
}

template <class Table>
auto find(const Table& table, std::string_view name) {
  return std::find_if(std::begin(table), std::end(table), [&](const auto& one) { return one.first == name; });
}

class Reader {
 public:
  Reader(OverloadTranslation& out, filter::FactoryScope& scope) : out_(out), scope_(scope) {}

  void monitor(const overload_v3::ResourceMonitor& proto, int index) {
    const std::string at = "resource_monitors[" + std::to_string(index) + "]";
    if (position(proto.name()) < out_.monitors.size())
      scope_.error(at + ".name", "\"" + proto.name() + "\" is the name of another monitor too");
    auto config =
        filter::make_extension<filter::ResourceMonitorConfig>(filter::kResourceMonitorKind, proto, scope_, at);
    if (config != nullptr && config->max_connections() > 0) {
      for (const auto& other : out_.monitors) {
        if (other.config != nullptr && other.config->max_connections() > 0)
          scope_.error(at, "\"" + other.name + "\" limits the connections already");
      }
    }
    // Also a faulty one: what refers to it is not wrong for that.
    out_.monitors.push_back({proto.name(), std::move(config)});
  }

  std::vector<OverloadTrigger> triggers(const google::protobuf::RepeatedPtrField<overload_v3::Trigger>& protos,
                                        const std::string& path) {
    std::vector<OverloadTrigger> all;
    std::set<std::string> used;
    for (int i = 0; i < protos.size(); ++i) {
      const overload_v3::Trigger& proto = protos.Get(i);
      const std::string at = path + ".triggers[" + std::to_string(i) + "]";
      OverloadTrigger trigger;
      trigger.monitor = position(proto.name());
      if (trigger.monitor == out_.monitors.size()) {
        std::string known;
        for (const auto& monitor : out_.monitors) (known += known.empty() ? "" : ", ") += monitor.name;
        scope_.error(at + ".name", "\"" + proto.name() + "\" is no monitor of resource_monitors, which has " + known);
      }
      if (!used.insert(proto.name()).second)
        scope_.error(at + ".name", "\"" + proto.name() + "\" has a trigger here already");
      if (proto.has_scaled()) {
        trigger.from = proto.scaled().scaling_threshold();
        trigger.full = proto.scaled().saturation_threshold();
        if (trigger.from >= trigger.full)
          scope_.error(at + ".scaled", "scaling_threshold has to be below saturation_threshold");
      } else {
        trigger.from = trigger.full = proto.threshold().value();
      }
      all.push_back(trigger);
    }
    return all;
  }

  void action(const overload_v3::OverloadAction& proto, int index) {
    const std::string at = "actions[" + std::to_string(index) + "]";
    if (!names_.insert(proto.name()).second)
      scope_.error(at + ".name", "\"" + proto.name() + "\" is the name of another action too");
    const auto known = find(kActions, proto.name());
    std::vector<OverloadTrigger> on = triggers(proto.triggers(), at);
    if (known == std::end(kActions)) {
      scope_.error(at + ".name", "\"" + proto.name() + "\" is not one of " + names_of(kActions));
      return;
    }
    if (known->second == OverloadAction::kResetHighMemoryStream && out_.smallest_account == 0) {
      scope_.error(at + ".name",
                   proto.name() +
                       " needs buffer_factory_config.minimum_account_to_track_power_of_two (10 to 56): it says "
                       "how much a stream has to hold to be reset");
    }
    const bool reduces = known->second == OverloadAction::kReduceTimeouts;
    if (proto.has_typed_config() != reduces) {
      scope_.error(at + ".typed_config",
                   reduces ? "is required: a ScaleTimersOverloadActionConfig says which timeouts are reduced"
                           : "is for envoy.overload_actions.reduce_timeouts; " + proto.name() + " takes none");
    } else if (reduces) {
      timeouts(proto.typed_config(), at + ".typed_config");
    }
    out_.actions.push_back({proto.name(), known->second, std::move(on)});
  }

  void point(const overload_v3::LoadShedPoint& proto, int index) {
    const std::string at = "loadshed_points[" + std::to_string(index) + "]";
    if (!names_.insert(proto.name()).second)
      scope_.error(at + ".name", "\"" + proto.name() + "\" is the name of another point too");
    const auto known = find(kPoints, proto.name());
    std::vector<OverloadTrigger> on = triggers(proto.triggers(), at);
    if (known == std::end(kPoints)) {
      scope_.error(at + ".name", "\"" + proto.name() + "\" is not one of " + names_of(kPoints));
      return;
    }
    out_.points.push_back({proto.name(), known->second, std::move(on)});
  }

 private:
  using Config = overload_v3::ScaleTimersOverloadActionConfig;

  size_t position(std::string_view name) const {
    size_t at = 0;
    while (at < out_.monitors.size() && out_.monitors[at].name != name) ++at;
    return at;
  }

  void timeouts(const google::protobuf::Any& any, const std::string& path) {
    auto message = scope_.report().unpack(any, scope_.at(path));
    if (message == nullptr) return;
    if (message->GetDescriptor() != Config::descriptor()) {
      scope_.error(path, message->GetTypeName() + " is not a " + Config::descriptor()->full_name());
      return;
    }
    const auto& config = static_cast<const Config&>(*message);
    if (config.timer_scale_factors().empty()) scope_.error(path + ".timer_scale_factors", "must not be empty");
    for (int i = 0; i < config.timer_scale_factors_size(); ++i) {
      const auto& one = config.timer_scale_factors(i);
      const std::string at = path + ".timer_scale_factors[" + std::to_string(i) + "]";
      ScaledTimeout kind = ScaledTimeout::kCount;
      if (one.timer() == Config::HTTP_DOWNSTREAM_CONNECTION_IDLE) kind = ScaledTimeout::kConnectionIdle;
      if (one.timer() == Config::HTTP_DOWNSTREAM_STREAM_IDLE) kind = ScaledTimeout::kStreamIdle;
      if (one.timer() == Config::HTTP_DOWNSTREAM_CONNECTION_MAX) kind = ScaledTimeout::kConnectionMax;
      if (one.timer() == Config::TRANSPORT_SOCKET_CONNECT) kind = ScaledTimeout::kTransportConnect;
      if (kind == ScaledTimeout::kCount) continue;  // the table of fields has said so
      auto& reduction = out_.reductions[static_cast<size_t>(kind)];
      if (reduction.on) scope_.error(at + ".timer", "has an entry already");
      reduction.on = true;
      if (one.has_min_timeout()) {
        reduction.least = to_duration(one.min_timeout());
        if (reduction.least <= Duration::zero()) scope_.error(at + ".min_timeout", "must be above 0s");
      } else if (one.has_min_scale()) {
        reduction.share = one.min_scale().value() / 100;
      } else {
        scope_.error(at, "min_timeout or min_scale is required");
      }
    }
  }

  OverloadTranslation& out_;
  filter::FactoryScope& scope_;
  std::set<std::string> names_;
};

}  // namespace

OverloadTranslation translate_overload(const overload_v3::OverloadManager& proto, filter::FactoryScope& scope) {
  OverloadTranslation out;
  out.any = true;
  if (proto.has_refresh_interval()) {
    out.refresh_interval = to_duration(proto.refresh_interval());
    if (out.refresh_interval < 1ms) scope.error("refresh_interval", "must be at least 0.001s");
  }
  out.smallest_account = proto.buffer_factory_config().minimum_account_to_track_power_of_two();
  Reader reader(out, scope);
  for (int i = 0; i < proto.resource_monitors_size(); ++i) reader.monitor(proto.resource_monitors(i), i);
  for (int i = 0; i < proto.actions_size(); ++i) reader.action(proto.actions(i), i);
  for (int i = 0; i < proto.loadshed_points_size(); ++i) reader.point(proto.loadshed_points(i), i);
  return out;
}

}  // namespace weir::config
