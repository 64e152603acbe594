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
  uint64_t fingerprint = 0;
  // Its routes hold what came from files or the environment, and may differ although the message does not.
  bool reads_outside = false;
  // The same as what is in force: only what identify_listener() fills in is there.
  bool unchanged = false;
};

// Name, address and fingerprint: cheap, and all that is needed to see whether there is anything to translate.
ListenerTranslation identify_listener(const envoy::config::listener::v3::Listener& proto, filter::FactoryScope& scope);

// Faults go to the scope's report; the result is to be used only if there were none. The scope's path is that of the
// message.
ListenerTranslation translate_listener(const envoy::config::listener::v3::Listener& proto, filter::FactoryScope& scope);

}  // namespace weir::config
