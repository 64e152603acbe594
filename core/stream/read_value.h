// Values of google.protobuf.Value and Struct. Templates, so that who includes this needs no generated header but its
// own.
#pragma once

#include <new>
#include <utility>
#include <vector>

#include "core/base/arena.h"
#include "core/stream/value.h"

namespace weir::stream {

// With all texts in the arena. It nests as deep as the message, which protobuf limits.
template <class Struct>
Value read_struct(const Struct& from, Arena& arena);

template <class Message>
Value read_value(const Message& from, Arena& arena) {
  switch (from.kind_case()) {
    case Message::kBoolValue:
      return Value::of_bool(from.bool_value());
    case Message::kNumberValue:
      return Value::of_number(from.number_value());
    case Message::kStringValue:
      return Value::of_string(arena.copy_or_empty(from.string_value()));
    case Message::kListValue: {
      const auto& all = from.list_value().values();
      const auto count = static_cast<size_t>(all.size());
      auto* items = static_cast<Value*>(arena.allocate(count * sizeof(Value), alignof(Value)));
      for (size_t i = 0; i < count; ++i) new (items + i) Value(read_value(all[static_cast<int>(i)], arena));
      return Value::of_list({items, count});
    }
    case Message::kStructValue:
      return read_struct(from.struct_value(), arena);
    default:
      return {};
  }
}

template <class Struct>
Value read_struct(const Struct& from, Arena& arena) {
  std::vector<Field> fields;
  fields.reserve(from.fields().size());
  for (const auto& [key, value] : from.fields()) fields.push_back({arena.copy_or_empty(key), read_value(value, arena)});
  return make_struct(std::move(fields), arena);
}

}  // namespace weir::stream
