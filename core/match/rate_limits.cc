#include "core/match/rate_limits.h"

#include <algorithm>
#include <charconv>

#include "core/http/query.h"
#include "core/stream/metadata.h"

namespace weir::match {
namespace {

// The value of an entry; data() is nullptr if there is none.
struct Value {
  const DescriptorFacts& facts;

  std::string_view operator()(const DescriptorAction::GenericKey& key) const { return text(key.value); }
  std::string_view operator()(const DescriptorAction::SourceCluster&) const {
    return facts.local_cluster.empty() ? std::string_view("") : facts.local_cluster;
  }
  std::string_view operator()(const DescriptorAction::DestinationCluster&) const {
    return facts.cluster.empty() ? std::string_view() : facts.cluster;
  }
  std::string_view operator()(const DescriptorAction::RemoteAddress&) const {
    const net::Address& remote = facts.subject.info.downstream_remote;
    if (!remote.is_ip()) return {};
    char text[net::Address::kMaxText];
    return facts.arena.copy_or_empty(remote.ip_to_text(text));
  }
  std::string_view operator()(const DescriptorAction::MaskedRemoteAddress& mask) const {
    const net::Address& remote = facts.subject.info.downstream_remote;
    if (!remote.is_ip()) return {};
    int bits = remote.family() == net::Family::kIpv4 ? mask.v4_bits : mask.v6_bits;
    char text[net::Address::kMaxText + 4];
    char* end = text + remote.masked(bits).ip_to_text(text).size();
    *end++ = '/';
    end = std::to_chars(end, text + sizeof text, bits).ptr;
    return facts.arena.copy_or_empty({text, static_cast<size_t>(end - text)});
  }
  std::string_view operator()(const DescriptorAction::RequestHeader& header) const {
    return headers().get(header.name);  // the first, as published: more of them are no other key
  }
  std::string_view operator()(const DescriptorAction::QueryParameter& parameter) const {
    const std::string_view value = http::find_decoded_parameter(query(), parameter.name);
    return value.data() != nullptr ? facts.arena.copy_or_empty(value) : value;
  }
  std::string_view operator()(const DescriptorAction::MetadataValue& of) const {
    const stream::StreamInfo& info = facts.subject.info;
    const stream::Value* root = of.of_route                ? info.route_metadata
                                : info.metadata != nullptr ? &info.metadata->root()
                                                           : nullptr;
    const stream::Value* value = root != nullptr ? root->find(of.path) : nullptr;
    if (value != nullptr && value->kind() == stream::Value::Kind::kString && !value->string().empty()) {
      return value->string();
    }
    return or_none(of.otherwise);
  }
  std::string_view operator()(const DescriptorAction::HeadersMatch& match) const {
    bool all = std::all_of(match.headers.begin(), match.headers.end(),
                           [&](const HeaderMatcher& one) { return one.matches(headers()); });
    return all == match.expect ? text(match.value) : std::string_view();
  }
  std::string_view operator()(const DescriptorAction::QueryMatches& match) const {
    bool all = std::all_of(match.parameters.begin(), match.parameters.end(),
                           [query = query()](const QueryParameterMatcher& one) { return one.matches_decoded(query); });
    return all == match.expect ? text(match.value) : std::string_view();
  }

  static std::string_view or_none(const std::string& text) { return text.empty() ? std::string_view() : text; }
  std::string_view text(const DescriptorAction::Text& value) const {
    if (value.format == nullptr) return value.text;
    const std::string_view printed = stream::print(*value.format, facts.subject, facts.arena);
    return printed.empty() ? or_none(value.otherwise) : printed;
  }
  const http::HeaderMap& headers() const { return *facts.subject.request; }
  std::string_view query() const {
    std::string_view path = headers().path();
    path = path.substr(0, path.find('#'));
    size_t question = path.find('?');
    return question != std::string_view::npos ? path.substr(question + 1) : std::string_view();
  }
};

bool may_be_absent(const DescriptorAction& action) {
  if (const auto* header = std::get_if<DescriptorAction::RequestHeader>(&action.what)) return header->skip_if_absent;
  if (const auto* value = std::get_if<DescriptorAction::MetadataValue>(&action.what)) return value->skip_if_absent;
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

std::optional<uint32_t> RateLimit::count(const DescriptorFacts& facts) const noexcept {
  if (hits_format == nullptr) return hits;
  const std::string_view text = stream::print(*hits_format, facts.subject, facts.arena);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good = error == std::errc() && end == text.data() + text.size() && number >= 0 && number <= kMaxHits;
  return good ? std::optional<uint32_t>(static_cast<uint32_t>(number)) : std::nullopt;
}

}  // namespace weir::match
