#include "core/route/hash_policy.h"

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include "core/base/xxhash.h"
#include "core/http/chars.h"
#include "core/match/query_parameter_matcher.h"
#include "core/match/stream_matchers.h"

namespace weir::route {
namespace {

// The text of an object that is none. Keeps its room; one per thread.
thread_local std::string plain_form;

// What a cookie's path or attribute may hold (RFC 6265 section 4.1.1).
bool is_attribute_text(std::string_view text) {
  return http::all_chars(text, http::kFieldChar) && text.find(';') == std::string_view::npos;
}

std::string_view query_of(const http::HeaderMap& request) {
  std::string_view path = request.path();
  path = path.substr(0, path.find('#'));
  const size_t mark = path.find('?');
  return mark != std::string_view::npos ? path.substr(mark + 1) : std::string_view();
}

}  // namespace

std::unique_ptr<const HashPolicies> HashPolicies::build(std::vector<HashPolicySpec> specs, ErrorSink& errors) {
  if (specs.empty()) return nullptr;
  auto out = std::make_unique<HashPolicies>();
  for (size_t i = 0; i < specs.size(); ++i) {
    ErrorSink::At at(errors, "hash_policy", static_cast<int64_t>(i));
    out->policies_.push_back(build_one(std::move(specs[i]), errors));
  }
  return out;
}

HashPolicies::Policy HashPolicies::build_one(HashPolicySpec spec, ErrorSink& errors) {
  Policy policy;
  policy.kind = spec.kind;
  policy.terminal = spec.terminal;
  switch (spec.kind) {
    case Kind::kHeader: {
      ErrorSink::At header(errors, "header");
      policy.header = http::HeaderName(spec.name);
      // The host of a request is kept under :authority, whatever the protocol.
      if (policy.header.id() == http::HeaderId::kHost) policy.header = http::HeaderName(http::HeaderId::kAuthority);
      if (!spec.rewrite) break;
      ErrorSink::At at(errors, "regex_rewrite");
      Result<match::RegexRewrite> rewrite = match::RegexRewrite::build(*spec.rewrite);
      if (!errors.add_if_field_error(rewrite.status())) policy.rewrite = std::move(*rewrite);
      break;
    }
    case Kind::kCookie: {
      ErrorSink::At cookie(errors, "cookie");
      check_cookie(spec, errors);
      policy.makes_cookie = spec.ttl.has_value();
      if (spec.ttl && *spec.ttl > Duration::zero())
        policy.attributes += "; Max-Age=" + std::to_string(std::chrono::ceil<std::chrono::seconds>(*spec.ttl).count());
      if (!spec.path.empty()) policy.attributes += "; Path=" + spec.path;
      for (const HashPolicySpec::Attribute& one : spec.attributes)
        policy.attributes += "; " + one.name + (one.value.empty() ? "" : "=" + one.value);
      policy.attributes += "; HttpOnly";
      policy.name = std::move(spec.name);
      break;
    }
    case Kind::kFilterState:
      policy.filter_state = stream::FilterStateName(spec.name);
      break;
    case Kind::kQueryParameter:
      policy.name = std::move(spec.name);
      break;
    case Kind::kSourceIp:
    case Kind::kNothing:
      break;
  }
  return policy;
}

void HashPolicies::check_cookie(const HashPolicySpec& spec, ErrorSink& errors) {
  const auto check = [&](std::string_view field, bool right, std::string_view text, std::string_view rule) {
    if (right) return;
    ErrorSink::At at(errors, field);
    errors.add("\"" + std::string(text) + "\" " + std::string(rule));
  };
  check("name", http::is_token(spec.name), spec.name, "is not the name of a cookie");
  check("path", is_attribute_text(spec.path), spec.path, "has a ; or a control character");
  if (spec.ttl && *spec.ttl < Duration::zero()) {
    ErrorSink::At at(errors, "ttl");
    errors.add("must not be negative");
  }
  for (size_t i = 0; i < spec.attributes.size(); ++i) {
    ErrorSink::At at(errors, "attributes", static_cast<int64_t>(i));
    check("name", http::is_token(spec.attributes[i].name), spec.attributes[i].name, "is not the name of an attribute");
    check("value", is_attribute_text(spec.attributes[i].value), spec.attributes[i].value,
          "has a ; or a control character");
  }
}

std::optional<uint64_t> HashPolicies::hash(const http::HeaderMap& request, const stream::StreamInfo& info, Arena& arena,
                                           const NewCookie** cookies) const noexcept {
  std::optional<uint64_t> all;
  for (const Policy& policy : policies_) {
    // As published: what came before is rotated, so that two policies of one value do not cancel each other out.
    if (const auto one = policy.hash(request, info, arena, cookies)) all = all ? std::rotl(*all, 1) ^ *one : *one;
    if (policy.terminal && all) break;
  }
  return all;
}

std::optional<uint64_t> HashPolicies::Policy::hash(const http::HeaderMap& request, const stream::StreamInfo& info,
                                                   Arena& arena, const NewCookie** cookies) const noexcept {
  switch (kind) {
    case Kind::kHeader:
      return hash_header(request, arena);
    case Kind::kCookie: {
      std::string_view value = match::find_cookie(request, name);
      if (value.empty()) {
        if (!makes_cookie || cookies == nullptr) return std::nullopt;
        value = make_cookie(info, arena, cookies);
      }
      return xxhash64(value);
    }
    case Kind::kSourceIp: {
      if (!info.downstream_remote.is_ip()) return std::nullopt;
      char text[net::Address::kMaxText];
      return xxhash64(info.downstream_remote.ip_to_text(text));
    }
    case Kind::kQueryParameter: {
      const std::string_view value = match::find_query_parameter(query_of(request), name);
      if (value.data() == nullptr) return std::nullopt;
      return xxhash64(value);
    }
    case Kind::kFilterState: {
      const stream::FilterStateValue* value = stream::find_filter_state(info, filter_state);
      if (value == nullptr) return std::nullopt;
      plain_form.clear();
      if (!value->append_plain(plain_form)) return std::nullopt;
      return xxhash64(plain_form);
    }
    case Kind::kNothing:
      break;
  }
  return std::nullopt;
}

std::optional<uint64_t> HashPolicies::Policy::hash_header(const http::HeaderMap& request, Arena& arena) const noexcept {
  const auto rewritten = [&](std::string_view value) { return rewrite ? rewrite->rewrite(value, arena) : value; };
  const size_t count = request.count(header);
  if (count == 0) return std::nullopt;
  if (count == 1) return xxhash64(rewritten(request.get(header)));
  // Several lines of one name, in whatever order: their hash is that of the sorted values, one after another.
  auto* values = static_cast<std::string_view*>(arena.allocate(count * sizeof(std::string_view)));
  size_t found = 0;
  size_t size = 0;
  request.for_each([&](const http::HeaderEntry& entry) {
    const bool same = header.id() != http::HeaderId::kNone ? entry.id == header.id()
                                                           : entry.id == header.id() && entry.name() == header.text();
    if (!same || found == count) return;
    values[found] = rewritten(entry.value());
    size += values[found++].size();
  });
  std::sort(values, values + found);
  auto* text = static_cast<char*>(arena.allocate(size));
  char* at = text;
  for (const std::string_view value : std::span(values, found)) at = std::copy(value.begin(), value.end(), at);
  return xxhash64({text, size});
}

// The same for all requests of one connection, so that it does not matter which of those that race sets it.
std::string_view HashPolicies::Policy::make_cookie(const stream::StreamInfo& info, Arena& arena,
                                                   const NewCookie** cookies) const {
  char text[2 * net::Address::kMaxText];
  size_t size = info.downstream_direct_remote.to_text(text).size();
  size += info.downstream_local.to_text(text + size).size();
  uint64_t hash = xxhash64({text, size});
  char hex[16];
  for (char& digit : hex) {
    hash = std::rotl(hash, 4);
    digit = "0123456789abcdef"[hash & 15];
  }
  const std::string_view value = arena.copy({hex, sizeof hex});
  *cookies =
      arena.make<NewCookie>(NewCookie{arena.concat(arena.concat(name, "=\"", value), "\"", attributes), *cookies});
  return value;
}

}  // namespace weir::route
