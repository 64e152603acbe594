#include "core/route/host_index.h"

#include <string>

#include "core/http/chars.h"

namespace weir::route {

std::string_view without_port(std::string_view host) noexcept {
  size_t colon = host.rfind(':');
  if (colon == std::string_view::npos) return host;
  // Inside brackets, or one of several colons without any: part of an IPv6 address.
  if (host.find(']', colon) != std::string_view::npos) return host;
  if (!host.starts_with('[') && host.find(':') != colon) return host;
  for (char c : host.substr(colon + 1)) {
    if (c < '0' || c > '9') return host;
  }
  return host.substr(0, colon);
}

uint64_t HostIndex::hash_forwards(std::string_view lower) {
  StepHash hash;
  for (char c : lower) hash.step(c);
  return hash.value();
}

uint64_t HostIndex::hash_backwards(std::string_view lower) {
  StepHash hash;
  for (size_t i = lower.size(); i > 0; --i) hash.step(lower[i - 1]);
  return hash.value();
}

HostIndex::Added HostIndex::add(std::string_view domain, uint32_t owner, uint32_t& other) {
  if (domain.empty()) return Added::kEmpty;
  if (domain == "*") {
    if (any_ != kNone) {
      other = any_;
      return Added::kDuplicate;
    }
    any_ = owner;
    return Added::kYes;
  }
  const bool suffix = domain.starts_with('*');
  const bool prefix = !suffix && domain.ends_with('*');
  std::string text(suffix ? domain.substr(1) : prefix ? domain.substr(0, domain.size() - 1) : domain);
  if (text.find('*') != std::string::npos) return Added::kBadWildcard;
  for (char& c : text) c = http::to_lower(c);
  TextTable& table = suffix ? suffixes_ : prefix ? prefixes_ : exact_;
  const uint64_t hash = suffix ? hash_backwards(text) : prefix ? hash_forwards(text) : hash_text(text);
  other = table.find(text, hash);
  if (other != kNone) return Added::kDuplicate;
  table.add(text, hash, owner);
  return Added::kYes;
}

// The longest text of the table that the host ends with (Backwards), or begins with, and is not the whole of it.
template <bool Backwards>
uint32_t HostIndex::find_longest(const TextTable& table, std::string_view host) noexcept {
  uint32_t longest = kNone;
  if (table.empty()) return longest;
  StepHash hash;
  for (size_t size = 0; size < host.size(); ++size) {
    if (table.may_have(size)) {
      const uint32_t owner = table.find_folded(host.substr(Backwards ? host.size() - size : 0, size), hash.value());
      if (owner != kNone) longest = owner;
    }
    hash.step(http::to_lower(host[Backwards ? host.size() - 1 - size : size]));
  }
  return longest;
}

uint32_t HostIndex::find_wildcard(std::string_view host) const noexcept {
  if (const uint32_t owner = find_longest<true>(suffixes_, host); owner != kNone) return owner;
  if (const uint32_t owner = find_longest<false>(prefixes_, host); owner != kNone) return owner;
  return any_;
}

}  // namespace weir::route
