#include "core/http/header_map.h"

#include <algorithm>

#include "core/http/chars.h"

namespace weir::http {
namespace {
constexpr uint32_t kNowhere = ~uint32_t{0};

bool is_named(const HeaderEntry& entry, const HeaderName& name) {
  if (entry.removed || entry.id != name.id()) return false;
  return entry.id != HeaderId::kNone || entry.name() == name.text();
}
}  // namespace

std::string_view HeaderMap::get_far(HeaderId id) const {
  uint32_t at = find_index(id);
  return at != kNowhere ? entries_[at].value() : std::string_view();
}

std::string_view HeaderMap::get_by_text(std::string_view lower_case) const {
  for (uint32_t i = 0; i < used_; ++i) {
    const HeaderEntry& entry = entries_[i];
    if (entry.name_size == lower_case.size() && entry.id == HeaderId::kNone && !entry.removed &&
        entry.name() == lower_case) {
      return entry.value();
    }
  }
  return {};
}

uint32_t HeaderMap::find_index(HeaderId id) const {
  uint8_t first = first_[static_cast<size_t>(id)];
  if (first == kAbsent) return kNowhere;
  if (first != kFar) return first;
  for (uint32_t i = kFar; i < used_; ++i) {
    if (entries_[i].id == id && !entries_[i].removed) return i;
  }
  return kNowhere;
}

uint32_t HeaderMap::find_index(const HeaderName& name) const {
  if (name.id() != HeaderId::kNone) return find_index(name.id());
  for (uint32_t i = 0; i < used_; ++i) {
    if (is_named(entries_[i], name)) return i;
  }
  return kNowhere;
}

std::string_view HeaderMap::get_all(const HeaderName& name, Arena& arena) const {
  uint32_t first = find_index(name);
  if (first == kNowhere) return {};
  size_t total = entries_[first].value_size;
  bool several = false;
  for (uint32_t i = first + 1; i < used_; ++i) {
    if (!is_named(entries_[i], name)) continue;
    total += 1 + entries_[i].value_size;
    several = true;
  }
  if (!several) return entries_[first].value();
  char* text = arena.allocate_bytes(total);
  char* at = text;
  for (uint32_t i = first; i < used_; ++i) {
    if (!is_named(entries_[i], name)) continue;
    if (i != first) *at++ = ',';
    std::memcpy(at, entries_[i].value_data, entries_[i].value_size);
    at += entries_[i].value_size;
  }
  return {text, total};
}

size_t HeaderMap::count(const HeaderName& name) const {
  uint32_t first = find_index(name);
  if (first == kNowhere) return 0;
  size_t found = 1;
  for (uint32_t i = first + 1; i < used_; ++i) found += is_named(entries_[i], name) ? 1 : 0;
  return found;
}

int HeaderMap::status_code() const {
  std::string_view text = status();
  if (text.size() != 3) return 0;
  int code = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return 0;
    code = code * 10 + (c - '0');
  }
  return code;
}

void HeaderMap::add_copy(std::string_view any_case_name, std::string_view value) {
  HeaderId id = find_header_id_folded(any_case_name);
  if (id != HeaderId::kNone) {
    add_copy(id, value);
    return;
  }
  char* name = arena_->allocate_bytes(any_case_name.size());
  std::transform(any_case_name.begin(), any_case_name.end(), name, to_lower);
  push(id, {name, any_case_name.size()}, arena_->copy_or_empty(value));
}

void HeaderMap::set_value(uint32_t index, std::string_view value) {
  entries_[index].value_data = value.data() != nullptr ? value.data() : "";
  entries_[index].value_size = static_cast<uint32_t>(value.size());
}

void HeaderMap::replace_first(HeaderId id, std::string_view value) {
  uint32_t at = find_index(id);
  WEIR_ASSERT(at != kNowhere);
  set_value(at, value);
}

void HeaderMap::set(HeaderId id, std::string_view value) {
  uint32_t at = find_index(id);
  if (at == kNowhere) {
    push(id, name_of(id), value);
    return;
  }
  set_value(at, value);
  for (uint32_t i = at + 1; i < used_; ++i) {
    if (entries_[i].id == id && !entries_[i].removed) {
      entries_[i].removed = 1;
      --live_;
    }
  }
}

void HeaderMap::set(const HeaderName& name, std::string_view value) {
  uint32_t at = find_index(name);
  if (at == kNowhere) {
    push(name.id(), name.text(), value);
    return;
  }
  set_value(at, value);
  remove_from(at + 1, name);
}

// Copies the name too: the object that holds it may be a temporary.
void HeaderMap::push_copy(const HeaderName& name, std::string_view value) {
  push(name.id(), name.id() != HeaderId::kNone ? name_of(name.id()) : arena_->copy_or_empty(name.text()), value);
}

void HeaderMap::set_copy(const HeaderName& name, std::string_view value) {
  value = arena_->copy_or_empty(value);
  if (find_index(name) == kNowhere)
    push_copy(name, value);
  else
    set(name, value);
}

void HeaderMap::append_value(const HeaderName& name, std::string_view value, std::string_view delimiter) {
  uint32_t at = find_index(name);
  if (at == kNowhere) {
    push_copy(name, arena_->copy_or_empty(value));
    return;
  }
  set_value(at, arena_->concat(entries_[at].value(), delimiter, value));
}

// Marks every entry of `name` from `index` on; the caller sees to first_.
size_t HeaderMap::remove_from(uint32_t index, const HeaderName& name) {
  size_t gone = 0;
  for (uint32_t i = index; i < used_; ++i) {
    if (!is_named(entries_[i], name)) continue;
    entries_[i].removed = 1;
    ++gone;
  }
  live_ -= static_cast<uint32_t>(gone);
  return gone;
}

size_t HeaderMap::remove(HeaderId id) {
  uint32_t at = find_index(id);
  if (at == kNowhere) return 0;
  size_t gone = 0;
  for (uint32_t i = at; i < used_; ++i) {
    if (entries_[i].id != id || entries_[i].removed) continue;
    entries_[i].removed = 1;
    ++gone;
  }
  live_ -= static_cast<uint32_t>(gone);
  first_[static_cast<size_t>(id)] = kAbsent;
  return gone;
}

size_t HeaderMap::remove(const HeaderName& name) {
  return name.id() != HeaderId::kNone ? remove(name.id()) : remove_from(0, name);
}

void HeaderMap::rebuild_after_removal(size_t gone) {
  live_ -= static_cast<uint32_t>(gone);
  index_entries();
}

void HeaderMap::index_entries() {
  first_.fill(kAbsent);
  for (uint32_t i = 0; i < used_; ++i) {
    const HeaderEntry& entry = entries_[i];
    if (entry.removed || entry.id == HeaderId::kNone) continue;
    uint8_t& first = first_[static_cast<size_t>(entry.id)];
    if (first == kAbsent) first = i < kFar ? static_cast<uint8_t>(i) : kFar;
  }
}

void HeaderMap::grow() {
  // Names that are added and removed again and again must not grow the map.
  if (live_ <= room_ / 2) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < used_; ++i) {
      if (!entries_[i].removed) entries_[kept++] = entries_[i];
    }
    used_ = kept;
    index_entries();
    return;
  }
  auto* fresh = static_cast<HeaderEntry*>(arena_->allocate(sizeof(HeaderEntry) * room_ * 2, alignof(HeaderEntry)));
  std::memcpy(fresh, entries_, sizeof(HeaderEntry) * used_);
  entries_ = fresh;
  room_ *= 2;
}

size_t HeaderMap::byte_size() const {
  size_t total = 0;
  for_each([&](const HeaderEntry& entry) { total += size_t{entry.name_size} + entry.value_size; });
  return total;
}

void HeaderMap::clear() {
  entries_ = inline_entries_;
  room_ = kInlineEntries;
  used_ = 0;
  live_ = 0;
  received_ = nullptr;
  first_.fill(kAbsent);
}

void HeaderMap::copy_to(HeaderMap& to) const {
  if (received_ != nullptr) {
    ReceivedHead head = *received_;
    head.text = to.arena_->copy_or_empty(head.text);
    to.set_received(head);
  }
  for_each([&](const HeaderEntry& entry) {
    if (entry.id != HeaderId::kNone) {
      to.add_copy(entry.id, entry.value());
    } else {
      to.push(entry.id, to.arena_->copy_or_empty(entry.name()), to.arena_->copy_or_empty(entry.value()));
    }
  });
}

void HeaderMap::copy_views_to(HeaderMap& to) const {
  to.received_ = received_;
  for_each([&](const HeaderEntry& entry) { to.push(entry.id, entry.name(), entry.value()); });
}

std::string HeaderMap::to_string() const {
  std::string text;
  for_each(
      [&](const HeaderEntry& entry) { text.append(entry.name()).append(": ").append(entry.value()).append("\n"); });
  return text;
}

}  // namespace weir::http
