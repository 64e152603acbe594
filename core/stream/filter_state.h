// Filter state: named, typed objects that filters leave for other filters, for matchers and for the log. Names are
// interned when configuration is built, so that a look-up compares numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/arena.h"
#include "core/net/address.h"

namespace weir::stream {

struct ConnectionInfo;
struct StreamInfo;

// A name of filter state. Interned for the life of the process.
class FilterStateName {
 public:
  FilterStateName() = default;
  // [main]
  explicit FilterStateName(std::string_view text);
  std::string_view text() const { return text_ != nullptr ? std::string_view(*text_) : std::string_view(); }
  bool operator==(const FilterStateName&) const = default;

 private:
  const std::string* text_ = nullptr;
};

// What a plugin says of a type of its own. Null functions: the object has no such form.
struct FilterStateType {
  std::string_view name;
  // The unstructured form, for %FILTER_STATE(name:PLAIN)% and matchers of strings. False: nothing was appended.
  bool (*append_plain)(const void* object, std::string& out) = nullptr;
  // The structured form, a JSON value.
  bool (*append_json)(const void* object, std::string& out) = nullptr;
  // One field of it, unstructured.
  bool (*append_field)(const void* object, std::string_view field, std::string& out) = nullptr;
  // Before the memory goes; null: nothing to do.
  void (*destroy)(void* object) = nullptr;
};

class FilterStateValue {
 public:
  enum class Kind : uint8_t { kString, kUnsigned, kBool, kAddress, kOpaque };

  static FilterStateValue of_string(std::string_view text);
  static FilterStateValue of_unsigned(uint64_t number);
  static FilterStateValue of_bool(bool value);
  // The address is the caller's until set() has copied it.
  static FilterStateValue of_address(const net::Address& address);
  // `object` lies in memory that lives as long as the filter state (its arena); destroy() is called once, when the
  // object is replaced or the state ends.
  static FilterStateValue of_object(void* object, const FilterStateType& type);

  Kind kind() const { return kind_; }
  std::string_view string() const { return {text_, size_}; }
  uint64_t number() const { return number_; }
  bool boolean() const { return number_ != 0; }
  const net::Address& address() const { return *address_; }
  // nullptr unless the value is an object of this type.
  void* object(const FilterStateType& type) const {
    return kind_ == Kind::kOpaque && type_ == &type ? object_ : nullptr;
  }

  // The published forms. False: it has none, and nothing was appended.
  bool append_plain(std::string& out) const;
  bool append_json(std::string& out) const;
  bool append_field(std::string_view field, std::string& out) const;

 private:
  friend class FilterState;
  Kind kind_ = Kind::kBool;
  uint32_t size_ = 0;
  const FilterStateType* type_ = nullptr;
  union {
    const char* text_;
    uint64_t number_ = 0;
    const net::Address* address_;
    void* object_;
  };
};

// How long an object lives: until the filters run again (an internal redirect), the request or the connection ends.
enum class LifeSpan : uint8_t { kFilterChain, kRequest, kConnection };
// Whether it goes along to upstream connections: not, to the next one, or to all that follow.
enum class UpstreamSharing : uint8_t { kNone, kOnce, kTransitive };

// The objects of one stream or of one connection. [worker]
class FilterState {
 public:
  struct Options {
    LifeSpan life_span = LifeSpan::kFilterChain;
    bool read_only = false;
    UpstreamSharing sharing = UpstreamSharing::kNone;
  };
  struct Entry {
    FilterStateName name;
    FilterStateValue value;
    Options options;
    Entry* next;
    // Memory for the copy of a text, kept when the value is replaced: a connection that lives for ever must not grow
    // with its requests.
    char* room = nullptr;
    uint32_t room_bytes = 0;
  };
  enum class Set : uint8_t {
    kDone,
    kReadOnly,       // the name is taken by an object that may not be replaced
    kOtherLifeSpan,  // or by one that lives shorter or longer
  };

  // `connection`: of the stream; it keeps what outlives requests. nullptr: this is a connection's own, or the stream
  // has none, and then what should outlive it lives as long as this.
  FilterState(Arena& arena, ConnectionInfo* connection) : arena_(arena), connection_(connection) {}
  ~FilterState() {
    destroy_if([](const Entry&) { return true; });
  }
  FilterState(const FilterState&) = delete;
  FilterState& operator=(const FilterState&) = delete;

  // Copies the value, but for an opaque object, which stays the caller's to destroy if the answer is not kDone.
  Set set(FilterStateName name, const FilterStateValue& value, const Options& options);
  // The connection's objects count as the stream's. nullptr: there is none of that name.
  const Entry* find(FilterStateName name) const noexcept;
  // Ends what lives as long as the filter chain.
  void end_filter_chain() {
    destroy_if([](const Entry& entry) { return entry.options.life_span == LifeSpan::kFilterChain; });
  }
  // Of this level alone, the latest first.
  const Entry* entries() const { return entries_; }
  // Where the objects of a filter live that sets them with that life span.
  Arena& arena_for(LifeSpan life_span);

 private:
  template <class Predicate>
  void destroy_if(Predicate&& predicate) {
    for (Entry** at = &entries_; *at != nullptr;) {
      if (!predicate(**at)) {
        at = &(*at)->next;
        continue;
      }
      destroy((*at)->value);
      *at = (*at)->next;
    }
  }
  static void destroy(FilterStateValue& value);
  void assign(Entry& entry, const FilterStateValue& value);
  Entry* find_own(FilterStateName name) const noexcept;
  const Entry* find_in_connection(FilterStateName name) const noexcept;

  Arena& arena_;
  ConnectionInfo* connection_;
  Entry* entries_ = nullptr;
};

// The stream's object of that name, or its connection's; nullptr if there is none.
const FilterStateValue* find_filter_state(const StreamInfo& info, FilterStateName name) noexcept;

}  // namespace weir::stream
