#include "core/match/rate_limits.h"

#include <algorithm>
#include <charconv>

namespace weir::match {
namespace {

// The value of an entry; data() is nullptr if there is none.
struct Value {
  const DescriptorFacts& facts;

  std::string_view operator()(const DescriptorAction::GenericKey& key) const { return key.value; }
  std::string_view operator()(const DescriptorAction::DestinationCluster&) const {
    return facts.cluster.empty() ? std::string_view() : facts.cluster;
  }
  std::string_view operator()(const DescriptorAction::RemoteAddress&) const {
    const net::Address& remote = facts.info.downstream_remote;
    if (!remote.is_ip()) return {};
    char text[net::Address::kMaxText];
    return facts.arena.copy_or_empty(remote.ip_to_text(text));
  }
  std::string_view operator()(const DescriptorAction::MaskedRemoteAddress& mask) const {
    const net::Address& remote = facts.info.downstream_remote;
    if (!remote.is_ip()) return {};
    int bits = remote.family() == net::Family::kIpv4 ? mask.v4_bits : mask.v6_bits;
    char text[net::Address::kMaxText + 4];
    char* end = text + remote.masked(bits).ip_to_text(text).size();
    *end++ = '/';
    end = std::to_chars(end, text + sizeof text, bits).ptr;
    return facts.arena.copy_or_empty({text, static_cast<size_t>(end - text)});
  }
  std::string_view operator()(const DescriptorAction::RequestHeader& header) const {
    return facts.headers.get_all(header.name, facts.arena);
  }
  std::string_view operator()(const DescriptorAction::QueryParameter& parameter) const {
    return find_query_parameter(query(), parameter.name);
  }
  std::string_view operator()(const DescriptorAction::HeadersMatch& match) const {
    bool all = std::all_of(match.headers.begin(), match.headers.end(),
                           [&](const HeaderMatcher& one) { return one.matches(facts.headers); });
    return all == match.expect ? std::string_view(match.value) : std::string_view();
  }
  std::string_view operator()(const DescriptorAction::QueryMatches& match) const {
    bool all = std::all_of(match.parameters.begin(), match.parameters.end(),
                           [query = query()](const QueryParameterMatcher& one) { return one.matches(query); });
    return all == match.expect ? std::string_view(match.value) : std::string_view();
  }

  std::string_view query() const {
    std::string_view path = facts.headers.path();
    path = path.substr(0, path.find('#'));
    size_t question = path.find('?');
    return question != std::string_view::npos ? path.substr(question + 1) : std::string_view();
  }
};

bool may_be_absent(const DescriptorAction& action) {
  if (const auto* header = std::get_if<DescriptorAction::RequestHeader>(&action.what)) return header->skip_if_absent;
  const auto* parameter = std::get_if<DescriptorAction::QueryParameter>(&action.what);
  return parameter != nullptr && parameter->skip_if_absent;
}

}  // namespace

Descriptor RateLimit::describe(const DescriptorFacts& facts,
                               std::span<DescriptorEntry, kMaxActions> room) const noexcept {
  size_t count = 0;
  for (const DescriptorAction& action : actions) {
    std::string_view value = std::visit(Value{facts}, action.what);
    if (value.data() != nullptr) {
      room[count++] = {action.key, value};
    } else if (!may_be_absent(action)) {
      return {};
    }
  }
  return room.first(count);
}

}  // namespace weir::match
