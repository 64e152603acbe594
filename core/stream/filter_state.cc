#include "core/stream/filter_state.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "core/stats/escape.h"
#include "core/stream/metadata.h"
#include "core/stream/stream_info.h"

namespace weir::stream {

using Kind = FilterStateValue::Kind;

FilterStateName::FilterStateName(std::string_view text) {
  static std::unordered_set<std::string> names;  // [main] only; nodes stay where they are
  text_ = &*names.emplace(text).first;
}

FilterStateValue FilterStateValue::of_string(std::string_view text) {
  FilterStateValue value;
  value.kind_ = Kind::kString;
  value.size_ = static_cast<uint32_t>(text.size());
  value.text_ = text.data();
  return value;
}

FilterStateValue FilterStateValue::of_unsigned(uint64_t number) {
  FilterStateValue value;
  value.kind_ = Kind::kUnsigned;
  value.number_ = number;
  return value;
}

FilterStateValue FilterStateValue::of_bool(bool boolean) {
  FilterStateValue value;
  value.kind_ = Kind::kBool;
  value.number_ = boolean ? 1 : 0;
  return value;
}

FilterStateValue FilterStateValue::of_address(const net::Address& address) {
  FilterStateValue value;
  value.kind_ = Kind::kAddress;
  value.address_ = &address;
  return value;
}

FilterStateValue FilterStateValue::of_object(void* object, const FilterStateType& type) {
  FilterStateValue value;
  value.kind_ = Kind::kOpaque;
  value.type_ = &type;
  value.object_ = object;
  return value;
}

namespace {

void append_number(uint64_t number, std::string& out) {
  char buffer[20];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
}

}  // namespace

bool FilterStateValue::append_plain(std::string& out) const {
  switch (kind_) {
    case Kind::kString:
      out += string();
      return true;
    case Kind::kUnsigned:
      append_number(number_, out);
      return true;
    case Kind::kBool:
      out += boolean() ? "true" : "false";
      return true;
    case Kind::kAddress: {
      char buffer[net::Address::kMaxText];
      out += address_->to_text(buffer);
      return true;
    }
    case Kind::kOpaque:
      return type_->append_plain != nullptr && type_->append_plain(object_, out);
  }
  return false;
}

bool FilterStateValue::append_json(std::string& out) const {
  switch (kind_) {
    case Kind::kBool:
      return append_plain(out);
    case Kind::kString:
    case Kind::kUnsigned:  // 64-bit numbers are strings in the published JSON mapping
    case Kind::kAddress: {
      out += '"';
      size_t from = out.size();
      append_plain(out);
      stats::escape_tail(out, from, stats::Escape::kJson);
      out += '"';
      return true;
    }
    case Kind::kOpaque:
      return type_->append_json != nullptr && type_->append_json(object_, out);
  }
  return false;
}

bool FilterStateValue::append_field(std::string_view field, std::string& out) const {
  if (kind_ == Kind::kAddress && address_->is_ip()) {
    if (field == "ip") {
      char buffer[net::Address::kMaxText];
      out += address_->ip_to_text(buffer);
      return true;
    }
    if (field == "port") {
      append_number(address_->port(), out);
      return true;
    }
  }
  return kind_ == Kind::kOpaque && type_->append_field != nullptr && type_->append_field(object_, field, out);
}

FilterState::Entry* FilterState::find_own(FilterStateName name) const noexcept {
  Entry* entry = entries_;
  while (entry != nullptr && entry->name != name) entry = entry->next;
  return entry;
}

const FilterState::Entry* FilterState::find(FilterStateName name) const noexcept {
  const Entry* entry = find_own(name);
  return entry != nullptr ? entry : find_in_connection(name);
}

const FilterState::Entry* FilterState::find_in_connection(FilterStateName name) const noexcept {
  const FilterState* state = connection_ != nullptr ? connection_->filter_state : nullptr;
  return state != nullptr ? state->find_own(name) : nullptr;
}

Arena& FilterState::arena_for(LifeSpan life_span) {
  return life_span == LifeSpan::kConnection && connection_ != nullptr ? connection_->make_filter_state().arena_
                                                                      : arena_;
}

FilterState::Set FilterState::set(FilterStateName name, const FilterStateValue& value, const Options& options) {
  const bool of_connection = options.life_span == LifeSpan::kConnection;
  if (of_connection && connection_ != nullptr) {
    if (find_own(name) != nullptr) return Set::kOtherLifeSpan;
    return connection_->make_filter_state().set(name, value, options);
  }
  if (!of_connection && find_in_connection(name) != nullptr) return Set::kOtherLifeSpan;
  Entry* entry = find_own(name);
  if (entry == nullptr) {
    entry = arena_.make<Entry>(Entry{name, {}, options, entries_});
    entries_ = entry;
  } else {
    if (entry->options.life_span != options.life_span) return Set::kOtherLifeSpan;
    if (entry->options.read_only || options.read_only) return Set::kReadOnly;
    entry->options = options;
  }
  assign(*entry, value);
  return Set::kDone;
}

void FilterState::assign(Entry& entry, const FilterStateValue& value) {
  FilterStateValue kept = value;
  if (value.kind_ == Kind::kString) {
    if (value.size_ > entry.room_bytes) {
      entry.room_bytes = std::bit_ceil(value.size_);
      entry.room = arena_.allocate_bytes(entry.room_bytes);
    }
    kept.text_ = entry.room != nullptr ? entry.room : "";
    if (value.size_ > 0) std::memmove(entry.room, value.text_, value.size_);
  }
  if (value.kind_ == Kind::kAddress) {
    if (entry.value.kind_ == Kind::kAddress) {
      *const_cast<net::Address*>(entry.value.address_) = value.address();
      return;
    }
    kept.address_ = arena_.make<net::Address>(value.address());
  }
  destroy(entry.value);
  entry.value = kept;
}

void FilterState::destroy(FilterStateValue& value) {
  // Unix addresses own their path.
  if (value.kind_ == Kind::kAddress) const_cast<net::Address*>(value.address_)->~Address();
  if (value.kind_ == Kind::kOpaque && value.type_->destroy != nullptr) value.type_->destroy(value.object_);
}

struct ConnectionInfo::Owned {
  explicit Owned(ArenaPool& arenas) : arena(arenas) {}
  Arena arena;
  FilterState state{arena, nullptr};
  std::optional<Metadata> metadata;
  std::string protocols;
  std::string ja3;
  std::string ja4;
};

ConnectionInfo::ConnectionInfo(ArenaPool& arenas) : arenas(arenas) {}
ConnectionInfo::~ConnectionInfo() = default;

ConnectionInfo::Owned& ConnectionInfo::owned() {
  if (owned_ == nullptr) owned_ = std::make_unique<Owned>(arenas);
  return *owned_;
}

FilterState& ConnectionInfo::make_filter_state() {
  if (filter_state == nullptr) filter_state = &owned().state;
  return *filter_state;
}

Metadata& ConnectionInfo::make_metadata() {
  std::optional<Metadata>& metadata = owned().metadata;
  if (!metadata) {
    metadata.emplace(owned().arena);
    listener_filter_metadata = &metadata->root();
  }
  return *metadata;
}

Metadata* ConnectionInfo::metadata() const {
  return owned_ != nullptr && owned_->metadata ? &*owned_->metadata : nullptr;
}

void ConnectionInfo::set_application_protocols(std::span<const std::string> names) {
  std::string& text = owned().protocols;
  text.clear();
  for (const std::string& name : names) text += (text.empty() ? "'" : ",'") + name + "'";
  application_protocols = text;
}

void ConnectionInfo::set_client_fingerprints(std::string ja3_digits, std::string ja4_text) {
  owned().ja3 = std::move(ja3_digits);
  owned().ja4 = std::move(ja4_text);
  ja3 = owned().ja3;
  ja4 = owned().ja4;
}

const FilterStateValue* find_filter_state(const StreamInfo& info, FilterStateName name) noexcept {
  const FilterState* state = info.filter_state;
  if (state == nullptr && info.connection != nullptr) state = info.connection->filter_state;
  const FilterState::Entry* entry = state != nullptr ? state->find(name) : nullptr;
  return entry != nullptr ? &entry->value : nullptr;
}

}  // namespace weir::stream
