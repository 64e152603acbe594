#include "core/proxy/listener.h"

namespace weir::proxy {
namespace {

using stats::Type;
using stats::Unit;

constexpr stats::Definition kDefinitions[] = {
    {"downstream_cx_total", Type::kCounter},
    {"downstream_cx_destroy", Type::kCounter},
    {"downstream_cx_overflow", Type::kCounter},
    {"downstream_cx_overload_reject", Type::kCounter},
    {"downstream_global_cx_overflow", Type::kCounter},
    {"downstream_pre_cx_timeout", Type::kCounter},
    {"downstream_cx_transport_socket_connect_timeout", Type::kCounter},
    {"no_filter_chain_match", Type::kCounter},
    {"downstream_cx_active", Type::kGauge},
    {"downstream_pre_cx_active", Type::kGauge},
    {"downstream_cx_length_ms", Type::kHistogram, Unit::kMilliseconds},
};

const stats::GroupKind kKind{"listener", "envoy_listener_address", kDefinitions};

constexpr stats::Definition kUdpDefinitions[] = {{"udp.downstream_rx_datagram_dropped", Type::kCounter}};
const stats::GroupKind kUdpKind{"listener", "envoy_listener_address", kUdpDefinitions};

}  // namespace

ListenerStats::ListenerStats(stats::Store& store, const std::string& name) : group(store.group(kKind, name)) {
  size_t next = 0;
  for (stats::Counter* counter : {&cx_total, &cx_destroy, &cx_overflow, &cx_overload_reject, &global_cx_overflow,
                                  &pre_cx_timeout, &cx_transport_socket_connect_timeout, &no_filter_chain_match}) {
    *counter = group->counter(next++);
  }
  for (stats::Gauge* gauge : {&cx_active, &pre_cx_active}) *gauge = group->gauge(next++);
  cx_length_ms = group->histogram(next++);
}

UdpListenerStats::UdpListenerStats(stats::Store& store, const std::string& name)
    : group(store.group(kUdpKind, name)), rx_datagram_dropped(group->counter(0)) {}

}  // namespace weir::proxy
