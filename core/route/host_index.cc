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

uint32_t HostIndex::find_wildcard(std::string_view host) const noexcept {
  if (!suffixes_.empty()) {
    uint32_t best_suffix = kNone;
    StepHash hash;
    for (size_t size = 0; size < host.size(); ++size) {
      if (suffixes_.may_have(size)) {
        const uint32_t owner = suffixes_.find_folded(host.substr(host.size() - size), hash.value());
        if (owner != kNone) best_suffix = owner;
      }
      hash.step(http::to_lower(host[host.size() - 1 - size]));
    }
    if (best_suffix != kNone) return best_suffix;
  }
  if (!prefixes_.empty()) {
    uint32_t best_prefix = kNone;
    StepHash hash;
    for (size_t size = 0; size < host.size(); ++size) {
      if (prefixes_.may_have(size)) {
        const uint32_t owner = prefixes_.find_folded(host.substr(0, size), hash.value());
        if (owner != kNone) best_prefix = owner;
      }
      hash.step(http::to_lower(host[size]));
    }
    if (best_prefix != kNone) return best_prefix;
  }
  return any_;
}

}  // namespace weir::route
