// From filter_chain_match and filter_chain_matcher to what chooses the chain of a connection. [main]
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/field_report.h"
#include "core/proxy/listener.h"

namespace envoy::config::listener::v3 {
class FilterChainMatch;
class Listener;
}  // namespace envoy::config::listener::v3

namespace weir::config {

// An empty result: faults were reported.
std::optional<proxy::ChainMatch> translate(const envoy::config::listener::v3::FilterChainMatch& message,
                                           const FieldReport& at);

// How chains are chosen, for a spec whose chains are those of the message, in its order, the default chain behind them.
// `at`: the listener.
void translate_chain_choice(const envoy::config::listener::v3::Listener& message, const FieldReport& at,
                            proxy::ListenerSpec& spec);

// What tells each chain from all others of its listener, whatever stands beside it: its name, or what it matches.
std::vector<std::string> chain_keys(const envoy::config::listener::v3::Listener& message);
inline constexpr std::string_view kDefaultChainKey = "default";  // of the default_filter_chain

}  // namespace weir::config
