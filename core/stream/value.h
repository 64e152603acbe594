// A tree of values as JSON knows them: what metadata consists of. A Value is a small handle; texts, items and fields
// live elsewhere (an arena, or a StaticMetadata) and are never changed through it. No protobuf here: core/config makes
// these from google.protobuf.Struct.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/arena.h"

namespace weir::stream {

struct Field;

class Value {
 public:
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kList, kStruct };

  Value() : number_(0) {}  // null
  static Value of_bool(bool value);
  static Value of_number(double value);
  static Value of_string(std::string_view text);
  static Value of_list(std::span<const Value> items);
  // Sorted by key, each key once.
  static Value of_struct(std::span<const Field> fields);

  Kind kind() const { return kind_; }
  // Each is for its own kind only.
  bool boolean() const { return boolean_; }
  double number() const { return number_; }
  std::string_view string() const { return {text_, size_}; }
  std::span<const Value> items() const { return {items_, size_}; }
  inline std::span<const Field> fields() const;

  // The member of a struct; nullptr if there is none, or if this is no struct.
  const Value* find(std::string_view key) const noexcept;
  // Step by step into structs; the value itself for an empty path.
  const Value* find(std::span<const std::string> path) const noexcept;

  bool operator==(const Value& other) const noexcept;

 private:
  Kind kind_ = Kind::kNull;
  bool boolean_ = false;
  uint32_t size_ = 0;
  union {
    double number_;
    const char* text_;
    const Value* items_;
    const Field* fields_;
  };
};
static_assert(sizeof(Value) == 16);

struct Field {
  std::string_view key;
  Value value;
};

inline std::span<const Field> Value::fields() const { return {fields_, size_}; }

// A struct of these fields in any order, in the arena; of several with one key the last counts.
Value make_struct(std::vector<Field> fields, Arena& arena);

// Bytes that a deep copy takes, and the copy: with its texts it lies in `to`, which has room for bytes_of() bytes and
// is aligned for pointers.
size_t bytes_of(const Value& value);
Value copy_into(const Value& value, char* to);
Value copy_into(const Value& value, Arena& arena);

// `over` on top of `base`, as published for filters that update metadata: structs are merged member by member, lists
// are appended, anything else is replaced. Shares what both have; nothing is copied but the spine.
Value merge(const Value& base, const Value& over, Arena& arena);

// The members of `over` in the place of those of `base`, and all others of that. Shares what both have.
Value with_members(const Value& base, const Value& over, Arena& arena);

// As the published JSON mapping has it: no spaces, members by key, whole numbers without a point.
void append_json(const Value& value, std::string& out);
void append_json_number(double number, std::string& out);
// A string as it is; anything else as JSON.
void append_text(const Value& value, std::string& out);

}  // namespace weir::stream
