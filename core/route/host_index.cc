#include "core/route/host_index.h"

#include <algorithm>

#include "core/http/chars.h"
#include "core/route/text_hash.h"

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

const HostIndex::Table::Item* HostIndex::Table::find(std::string_view any_case, uint64_t hash) const noexcept {
  if (slots.empty()) return nullptr;
  const size_t mask = slots.size() - 1;
  for (size_t at = hash & mask; slots[at] != 0; at = (at + 1) & mask) {
    const Item& item = items[slots[at] - 1];
    if (item.hash == hash && http::equals_ignoring_case(any_case, item.text)) return &item;
  }
  return nullptr;
}

void HostIndex::Table::add(std::string text, uint64_t hash, uint32_t owner) {
  if (sizes.size() <= text.size()) sizes.resize(text.size() + 1);
  sizes[text.size()] = true;
  items.push_back({std::move(text), hash, owner});
  auto place = [this](uint32_t item) {
    const size_t mask = slots.size() - 1;
    size_t at = items[item].hash & mask;
    while (slots[at] != 0) at = (at + 1) & mask;
    slots[at] = item + 1;
  };
  if (items.size() * 2 <= slots.size()) {
    place(static_cast<uint32_t>(items.size() - 1));
    return;
  }
  slots.assign(std::max<size_t>(4, slots.size() * 2), 0);
  for (uint32_t i = 0; i < items.size(); ++i) place(i);
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
  Table& table = suffix ? suffixes_ : prefix ? prefixes_ : exact_;
  const uint64_t hash = suffix ? hash_backwards(text) : hash_forwards(text);
  if (const Table::Item* same = table.find(text, hash); same != nullptr) {
    other = same->owner;
    return Added::kDuplicate;
  }
  table.add(std::move(text), hash, owner);
  return Added::kYes;
}

uint32_t HostIndex::find(std::string_view host) const noexcept {
  // One pass forwards finds the exact name and, on the way, the longest "prefix*".
  uint32_t best_prefix = kNone;
  if (!exact_.items.empty() || !prefixes_.items.empty()) {
    StepHash hash;
    for (size_t i = 0; i < host.size(); ++i) {
      if (prefixes_.has_size(i)) {
        if (const Table::Item* item = prefixes_.find(host.substr(0, i), hash.value())) best_prefix = item->owner;
      }
      hash.step(http::to_lower(host[i]));
    }
    if (const Table::Item* item = exact_.find(host, hash.value())) return item->owner;
  }
  if (!suffixes_.items.empty()) {
    uint32_t best_suffix = kNone;
    StepHash hash;
    for (size_t size = 0; size < host.size(); ++size) {
      if (suffixes_.has_size(size)) {
        const Table::Item* item = suffixes_.find(host.substr(host.size() - size), hash.value());
        if (item != nullptr) best_suffix = item->owner;
      }
      hash.step(http::to_lower(host[host.size() - 1 - size]));
    }
    if (best_suffix != kNone) return best_suffix;
  }
  return best_prefix != kNone ? best_prefix : any_;
}

}  // namespace weir::route
