// From envoy.config.listener.v3.Listener to proxy::ListenerSpec, without sockets. [main]
#pragma once

#include <string>

#include "core/filter/factory.h"
#include "core/proxy/listener.h"

namespace envoy::config::listener::v3 {
class Listener;
}

namespace weir::config {

struct ListenerTranslation {
  proxy::ListenerSpec spec;  // sockets, stats and limit are the caller's to fill in
  net::Address address;
  net::ListenOptions options;
  std::string stat_name;
  uint64_t fingerprint = 0;  // of everything but the routes, which live in slots of their own
};

// The name of a listener is its address if the message has none.
std::string listener_name(const envoy::config::listener::v3::Listener& proto);

// Faults go to the scope's report; the result is to be used only if there were none. The scope's path is that of the
// message.
ListenerTranslation translate_listener(const envoy::config::listener::v3::Listener& proto, filter::FactoryScope& scope);

}  // namespace weir::config
