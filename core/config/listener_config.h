// From envoy.config.listener.v3.Listener to proxy::ListenerSpec, without sockets. [main]
#pragma once

#include <string>
#include <vector>

#include "core/filter/factory.h"
#include "core/proxy/listener.h"

namespace google::protobuf {
template <typename Element>
class RepeatedPtrField;
}
namespace envoy::config::listener::v3 {
class Listener;
}

namespace weir::config {

struct ListenerTranslation {
  proxy::ListenerSpec spec;  // sockets, stats and limit are the caller's to fill in
  net::Address address;
  net::ListenOptions options;
  std::vector<net::ListenAddress> more_addresses;
  std::string stat_name;
  uint64_t fingerprint = 0;  // of everything but the routes, which live in slots of their own
  // Of its text (PositionIndex::digests_of), routes included, if that says everything: 0 if files or variables were
  // read.
  uint64_t text = 0;
  bool unchanged = false;  // stands for one of the configuration in force: it has a name, an address and no chains
};

// The names of all listeners of a configuration, in their order. One without a name gets its address for one, with
// "#2" and so on behind it where that is the name of another: of several with port 0, say.
std::vector<std::string> listener_names(
    const google::protobuf::RepeatedPtrField<envoy::config::listener::v3::Listener>& listeners);

// Faults go to the scope's report; the result is to be used only if there were none. The scope's path is that of the
// message.
ListenerTranslation translate_listener(const envoy::config::listener::v3::Listener& proto, std::string name,
                                       filter::FactoryScope& scope);

}  // namespace weir::config
