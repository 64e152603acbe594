#include "core/config/chain_choice_config.h"

#include <absl/strings/ascii.h>

#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/config/matcher_config.h"
#include "core/config/report.h"
#include "core/config/shared_messages.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "google/protobuf/wrappers.pb.h"

namespace weir::config {
namespace {

namespace listener_v3 = envoy::config::listener::v3;

constexpr std::string_view kAnyKey = "any";
constexpr std::string_view kNameKey = "name:";

template <class Ranges>
std::vector<match::AddressRange> ranges(const Ranges& messages, std::string_view field, const FieldReport& at) {
  std::vector<match::AddressRange> out;
  for (int i = 0; i < messages.size(); ++i) {
    if (auto range = translate(messages.Get(i), at.item(field, i))) out.push_back(*range);
  }
  return out;
}

void read_names(const listener_v3::FilterChainMatch& message, const FieldReport& at, proxy::ChainMatch& match) {
  for (int i = 0; i < message.server_names_size(); ++i) {
    std::string name = absl::AsciiStrToLower(message.server_names(i));
    const std::string rest = name.starts_with("*.") ? name.substr(2) : name;
    if (rest.empty() || rest.front() == '.' || rest.find('*') != std::string::npos) {
      at.item("server_names", i)
          .error("\"" + message.server_names(i) +
                 "\" is no server name; allowed are a whole name (a.example.com) and all names below one "
                 "(*.example.com); leave server_names out to match any");
      continue;
    }
    match.server_names.push_back(std::move(name));
  }
}

// Actions of a tree: names of chains.
class ChainNames final : public filter::MatcherActions {
 public:
  ChainNames(const listener_v3::Listener& message, filter::ConfigReport& report) : report_(report) {
    for (int i = 0; i < message.filter_chains_size(); ++i)
      positions_.emplace(message.filter_chains(i).name(), static_cast<uint32_t>(i));
  }
  std::optional<uint32_t> add(const google::protobuf::Any& action, std::string_view, const std::string& path) override {
    auto unpacked = report_.unpack(action, path);
    if (unpacked == nullptr) return std::nullopt;
    const auto* name = dynamic_cast<const google::protobuf::StringValue*>(unpacked.get());
    if (name == nullptr) {
      report_.error(path, unpacked->GetTypeName() +
                              " is no action here; allowed is google.protobuf.StringValue, with " +
                              "the name of a filter chain");
      return std::nullopt;
    }
    auto at = positions_.find(name->value());
    if (at != positions_.end()) return at->second;
    report_.error(path + ".value", "no filter chain of this listener is called \"" + name->value() + "\"");
    return std::nullopt;
  }

 private:
  filter::ConfigReport& report_;
  std::map<std::string, uint32_t> positions_;
};

// Chains are told apart by name then, and by nothing else.
void check_names(const listener_v3::Listener& message, const FieldReport& at) {
  std::map<std::string, int> first;
  for (int i = 0; i < message.filter_chains_size(); ++i) {
    const listener_v3::FilterChain& chain = message.filter_chains(i);
    const FieldReport here = at.item("filter_chains", i);
    if (chain.name().empty()) {
      here.error_at("name", "must not be empty: filter_chain_matcher finds chains by name");
    } else if (auto [other, fresh] = first.try_emplace(chain.name(), i); !fresh) {
      here.error_at("name", "\"" + chain.name() + "\" is the name of filter_chains[" + std::to_string(other->second) +
                                "] too; filter_chain_matcher finds chains by name");
    }
    if (chain.has_filter_chain_match() && chain.filter_chain_match().ByteSizeLong() != 0)
      here.error_at("filter_chain_match", "must not be set beside filter_chain_matcher, which decides alone");
  }
}

}  // namespace

std::optional<proxy::ChainMatch> translate(const listener_v3::FilterChainMatch& message, const FieldReport& at) {
  const size_t errors = at.report.errors();
  proxy::ChainMatch match;
  match.destination_port = static_cast<uint16_t>(message.destination_port().value());
  match.destinations = ranges(message.prefix_ranges(), "prefix_ranges", at);
  read_names(message, at, match);
  match.transport_protocol = message.transport_protocol();
  match.application_protocols.assign(message.application_protocols().begin(), message.application_protocols().end());
  for (int i = 0; i < message.application_protocols_size(); ++i) {
    if (message.application_protocols(i).empty()) at.item("application_protocols", i).error("must not be empty");
  }
  match.direct_sources = ranges(message.direct_source_prefix_ranges(), "direct_source_prefix_ranges", at);
  match.source =
      message.source_type() == listener_v3::FilterChainMatch::SAME_IP_OR_LOOPBACK ? proxy::ChainMatch::Source::kLocal
      : message.source_type() == listener_v3::FilterChainMatch::EXTERNAL          ? proxy::ChainMatch::Source::kExternal
                                                                                  : proxy::ChainMatch::Source::kAny;
  match.sources = ranges(message.source_prefix_ranges(), "source_prefix_ranges", at);
  for (uint32_t port : message.source_ports()) match.source_ports.push_back(static_cast<uint16_t>(port));
  if (at.report.errors() != errors) return std::nullopt;
  return match;
}

void translate_chain_choice(const listener_v3::Listener& message, const FieldReport& at, proxy::ListenerSpec& spec) {
  if (message.has_default_filter_chain()) spec.default_chain = static_cast<uint32_t>(message.filter_chains_size());
  if (message.has_filter_chain_matcher()) {
    check_names(message, at);
    ChainNames names(message, at.report);
    filter::MatcherOptions options;
    options.connection_only = true;
    spec.chain_matcher =
        translate_matcher(message.filter_chain_matcher(), names, options, at.below("filter_chain_matcher"));
    return;
  }
  std::vector<proxy::ChainMatch> matches;
  bool any = message.filter_chains_size() != 1;  // more than one, or the default alone
  for (int i = 0; i < message.filter_chains_size(); ++i) {
    const listener_v3::FilterChainMatch& one = message.filter_chains(i).filter_chain_match();
    auto match = translate(one, at.item("filter_chains", i).below("filter_chain_match"));
    if (!match) return;
    matches.push_back(std::move(*match));
    any = any || one.ByteSizeLong() != 0;
  }
  if (!any || matches.empty()) return;  // the first chain serves everybody
  proxy::ChainTable::Conflict conflict;
  spec.chain_table = proxy::ChainTable::build(matches, conflict);
  if (spec.chain_table != nullptr) return;
  if (conflict.too_large) {
    at.error_at("filter_chains",
                "their matches are too many: together more than " + std::to_string(proxy::ChainTable::kMaxEntries) +
                    " combinations of values; use filter_chain_matcher, or fewer values in each match");
    return;
  }
  const std::string& name = message.filter_chains(static_cast<int>(conflict.first)).name();
  at.item("filter_chains", static_cast<int>(conflict.second))
      .error_at("filter_chain_match", "a connection could match this and filter_chains[" +
                                          std::to_string(conflict.first) + "]" +
                                          (name.empty() ? "" : " (" + name + ")") +
                                          " equally well; no two chains may have all values of a match in common");
}

namespace {

// Names that look like keys of other kinds get a beginning of their own.
std::string key_of_name(const std::string& name) {
  const bool hexadecimal = name.size() == 16 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
  const bool other = hexadecimal || name == kDefaultChainKey || name == kAnyKey || name.starts_with(kNameKey);
  return other ? std::string(kNameKey) + name : name;
}

}  // namespace

std::vector<std::string> chain_keys(const listener_v3::Listener& message) {
  std::map<std::string, int> named;
  for (const listener_v3::FilterChain& chain : message.filter_chains()) ++named[chain.name()];
  std::vector<std::string> keys;
  for (const listener_v3::FilterChain& chain : message.filter_chains()) {
    const listener_v3::FilterChainMatch& match = chain.filter_chain_match();
    const bool unique = !chain.name().empty() && named[chain.name()] == 1;
    char text[17];
    snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(fingerprint(match)));
    keys.push_back(unique ? key_of_name(chain.name()) : match.ByteSizeLong() == 0 ? std::string(kAnyKey) : text);
  }
  return keys;
}

}  // namespace weir::config
