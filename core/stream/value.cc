#include "core/stream/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "core/stats/escape.h"

namespace weir::stream {

using Kind = Value::Kind;

Value Value::of_bool(bool value) {
  Value out;
  out.kind_ = Kind::kBool;
  out.boolean_ = value;
  return out;
}

Value Value::of_number(double value) {
  Value out;
  out.kind_ = Kind::kNumber;
  out.number_ = value;
  return out;
}

Value Value::of_string(std::string_view text) {
  Value out;
  out.kind_ = Kind::kString;
  out.size_ = static_cast<uint32_t>(text.size());
  out.text_ = text.data();
  return out;
}

Value Value::of_list(std::span<const Value> items) {
  Value out;
  out.kind_ = Kind::kList;
  out.size_ = static_cast<uint32_t>(items.size());
  out.items_ = items.data();
  return out;
}

Value Value::of_struct(std::span<const Field> fields) {
  Value out;
  out.kind_ = Kind::kStruct;
  out.size_ = static_cast<uint32_t>(fields.size());
  out.fields_ = fields.data();
  return out;
}

const Value* Value::find(std::string_view key) const noexcept {
  if (kind_ != Kind::kStruct) return nullptr;
  const Field* end = fields_ + size_;
  const Field* at = std::lower_bound(fields_, end, key,
                                     [](const Field& field, std::string_view wanted) { return field.key < wanted; });
  return at != end && at->key == key ? &at->value : nullptr;
}

const Value* Value::find(std::span<const std::string> path) const noexcept {
  const Value* at = this;
  for (const std::string& key : path) {
    at = at->find(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

bool Value::operator==(const Value& other) const noexcept {
  if (kind_ != other.kind_ || size_ != other.size_) return false;
  switch (kind_) {
    case Kind::kNull:
      return true;
    case Kind::kBool:
      return boolean_ == other.boolean_;
    case Kind::kNumber:
      return number_ == other.number_;
    case Kind::kString:
      return string() == other.string();
    case Kind::kList:
      return std::equal(items_, items_ + size_, other.items_);
    case Kind::kStruct:
      return std::equal(fields_, fields_ + size_, other.fields_,
                        [](const Field& a, const Field& b) { return a.key == b.key && a.value == b.value; });
  }
  return false;
}

Value make_struct(std::vector<Field> fields, Arena& arena) {
  std::stable_sort(fields.begin(), fields.end(), [](const Field& a, const Field& b) { return a.key < b.key; });
  Field* out = static_cast<Field*>(arena.allocate(fields.size() * sizeof(Field), alignof(Field)));
  size_t count = 0;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i + 1 < fields.size() && fields[i + 1].key == fields[i].key) continue;
    out[count++] = fields[i];
  }
  return Value::of_struct({out, count});
}

// --- Copies: all arrays first, which need alignment, then the texts.

namespace {

struct Sizes {
  size_t arrays = 0;
  size_t texts = 0;
};

void measure(const Value& value, Sizes& sizes) {
  switch (value.kind()) {
    case Kind::kString:
      sizes.texts += value.string().size();
      break;
    case Kind::kList:
      sizes.arrays += value.items().size() * sizeof(Value);
      for (const Value& item : value.items()) measure(item, sizes);
      break;
    case Kind::kStruct:
      sizes.arrays += value.fields().size() * sizeof(Field);
      for (const Field& field : value.fields()) {
        sizes.texts += field.key.size();
        measure(field.value, sizes);
      }
      break;
    default:
      break;
  }
}

class Copier {
 public:
  Copier(char* arrays, char* texts) : arrays_(arrays), texts_(texts) {}

  Value copy(const Value& value) {
    switch (value.kind()) {
      case Kind::kString:
        return Value::of_string(copy(value.string()));
      case Kind::kList: {
        std::span<const Value> items = value.items();
        Value* to = take<Value>(items.size());
        for (size_t i = 0; i < items.size(); ++i) to[i] = copy(items[i]);
        return Value::of_list({to, items.size()});
      }
      case Kind::kStruct: {
        std::span<const Field> fields = value.fields();
        Field* to = take<Field>(fields.size());
        for (size_t i = 0; i < fields.size(); ++i) to[i] = {copy(fields[i].key), copy(fields[i].value)};
        return Value::of_struct({to, fields.size()});
      }
      default:
        return value;
    }
  }

 private:
  template <class T>
  T* take(size_t count) {
    T* at = reinterpret_cast<T*>(arrays_);
    arrays_ += count * sizeof(T);
    return at;
  }
  std::string_view copy(std::string_view text) {
    if (text.empty()) return "";
    char* at = texts_;
    std::memcpy(at, text.data(), text.size());
    texts_ += text.size();
    return {at, text.size()};
  }

  char* arrays_;
  char* texts_;
};

}  // namespace

size_t bytes_of(const Value& value) {
  Sizes sizes;
  measure(value, sizes);
  return sizes.arrays + sizes.texts;
}

Value copy_into(const Value& value, char* to) {
  Sizes sizes;
  measure(value, sizes);
  return Copier(to, to + sizes.arrays).copy(value);
}

Value copy_into(const Value& value, Arena& arena) {
  Sizes sizes;
  measure(value, sizes);
  char* to = static_cast<char*>(arena.allocate(sizes.arrays + sizes.texts, alignof(Field)));
  return Copier(to, to + sizes.arrays).copy(value);
}

Value with_members(const Value& base, const Value& over, Arena& arena) {
  const std::span<const Field> below = base.fields(), above = over.fields();
  auto* out = static_cast<Field*>(arena.allocate((below.size() + above.size()) * sizeof(Field), alignof(Field)));
  Field* end = out;
  size_t i = 0, k = 0;
  while (i < below.size() || k < above.size()) {
    if (k == above.size() || (i < below.size() && below[i].key < above[k].key)) {
      *end++ = below[i++];
    } else {
      if (i < below.size() && below[i].key == above[k].key) ++i;
      *end++ = above[k++];
    }
  }
  return Value::of_struct({out, end});
}

Value merge(const Value& base, const Value& over, Arena& arena) {
  if (base.kind() == Kind::kList && over.kind() == Kind::kList) {
    std::span<const Value> a = base.items(), b = over.items();
    Value* items = static_cast<Value*>(arena.allocate((a.size() + b.size()) * sizeof(Value), alignof(Value)));
    std::copy(b.begin(), b.end(), std::copy(a.begin(), a.end(), items));
    return Value::of_list({items, a.size() + b.size()});
  }
  if (base.kind() != Kind::kStruct || over.kind() != Kind::kStruct) return over;
  std::span<const Field> a = base.fields(), b = over.fields();
  Field* fields = static_cast<Field*>(arena.allocate((a.size() + b.size()) * sizeof(Field), alignof(Field)));
  size_t count = 0, i = 0, k = 0;
  while (i < a.size() && k < b.size()) {
    if (a[i].key < b[k].key) {
      fields[count++] = a[i++];
    } else if (b[k].key < a[i].key) {
      fields[count++] = b[k++];
    } else {
      fields[count++] = {a[i].key, merge(a[i].value, b[k].value, arena)};
      ++i;
      ++k;
    }
  }
  while (i < a.size()) fields[count++] = a[i++];
  while (k < b.size()) fields[count++] = b[k++];
  return Value::of_struct({fields, count});
}

// --- Printing

void append_json_number(double number, std::string& out) {
  // What JSON has no number for is a string in the published mapping.
  if (std::isnan(number)) {
    out += "\"NaN\"";
    return;
  }
  if (std::isinf(number)) {
    out += number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    return;
  }
  // Fifteen digits if they say it all, else seventeen.
  char buffer[32];
  char* end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::general, 15).ptr;
  double back = 0;
  std::from_chars(buffer, end, back);
  if (back != number) end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::general, 17).ptr;
  out.append(buffer, end);
}

void append_json(const Value& value, std::string& out) {
  switch (value.kind()) {
    case Kind::kNull:
      out += "null";
      return;
    case Kind::kBool:
      out += value.boolean() ? "true" : "false";
      return;
    case Kind::kNumber:
      append_json_number(value.number(), out);
      return;
    case Kind::kString:
      out += '"';
      stats::append_escaped(out, value.string(), stats::Escape::kJson);
      out += '"';
      return;
    case Kind::kList: {
      out += '[';
      const char* separator = "";
      for (const Value& item : value.items()) {
        out += separator;
        append_json(item, out);
        separator = ",";
      }
      out += ']';
      return;
    }
    case Kind::kStruct: {
      out += '{';
      const char* separator = "";
      for (const Field& field : value.fields()) {
        out += separator;
        out += '"';
        stats::append_escaped(out, field.key, stats::Escape::kJson);
        out += "\":";
        append_json(field.value, out);
        separator = ",";
      }
      out += '}';
      return;
    }
  }
}

void append_text(const Value& value, std::string& out) {
  if (value.kind() == Kind::kString) {
    out += value.string();
  } else {
    append_json(value, out);
  }
}

}  // namespace weir::stream
