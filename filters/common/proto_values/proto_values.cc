#include "filters/common/proto_values/proto_values.h"

#include <google/protobuf/struct.pb.h>

#include <utility>
#include <vector>

namespace weir::filters {

stream::Value value_of(const google::protobuf::Value& message, Arena& arena) {
  using Message = google::protobuf::Value;
  switch (message.kind_case()) {
    case Message::kBoolValue:
      return stream::Value::of_bool(message.bool_value());
    case Message::kNumberValue:
      return stream::Value::of_number(message.number_value());
    case Message::kStringValue:
      return stream::Value::of_string(arena.copy_or_empty(message.string_value()));
    case Message::kListValue: {
      const auto& from = message.list_value().values();
      const auto count = static_cast<size_t>(from.size());
      auto* items = static_cast<stream::Value*>(arena.allocate(count * sizeof(stream::Value), alignof(stream::Value)));
      for (size_t i = 0; i < count; ++i) new (items + i) stream::Value(value_of(from[static_cast<int>(i)], arena));
      return stream::Value::of_list({items, count});
    }
    case Message::kStructValue:
      return value_of(message.struct_value(), arena);
    default:
      return {};
  }
}

stream::Value value_of(const google::protobuf::Struct& message, Arena& arena) {
  std::vector<stream::Field> fields;
  for (const auto& [key, value] : message.fields())
    fields.push_back({arena.copy_or_empty(key), value_of(value, arena)});
  return stream::make_struct(std::move(fields), arena);
}

}  // namespace weir::filters
