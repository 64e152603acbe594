#include "core/stream/metadata.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace weir::stream {
namespace {

constexpr size_t kFirstFields = 4;

// The field of a struct that grows in the arena. Its room follows from its size (the next power of two, four at least),
// so the struct needs no more than its Value. A new field is null, and its key a copy.
Field* field_of(Value& value, std::string_view key, Arena& arena) {
  size_t size = value.fields().size();
  Field* fields = const_cast<Field*>(value.fields().data());  // the arena's, never anybody's configuration
  Field* at = std::lower_bound(fields, fields + size, key,
                               [](const Field& field, std::string_view wanted) { return field.key < wanted; });
  if (at != fields + size && at->key == key) return at;
  size_t index = static_cast<size_t>(at - fields);
  if (size == 0 || (size >= kFirstFields && std::has_single_bit(size))) {
    size_t room = std::max(kFirstFields, size * 2);
    Field* grown = static_cast<Field*>(arena.allocate(room * sizeof(Field), alignof(Field)));
    std::copy(fields, fields + size, grown);
    fields = grown;
  }
  std::copy_backward(fields + index, fields + size, fields + size + 1);
  fields[index] = {arena.copy_or_empty(key), Value()};
  value = Value::of_struct({fields, size + 1});
  return &fields[index];
}

}  // namespace

Field* Metadata::name_space(std::string_view name) {
  Field* field = field_of(root_, name, *arena_);
  if (field->value.kind() != Value::Kind::kStruct) field->value = Value::of_struct({});
  return field;
}

void Metadata::set(std::string_view name, std::string_view key, const Value& value) {
  Value copy = copy_into(value, *arena_);
  field_of(name_space(name)->value, key, *arena_)->value = copy;
}

void Metadata::set_all(std::string_view name, const Value& fields) {
  if (fields.kind() != Value::Kind::kStruct) return;
  Field* to = name_space(name);
  for (const Field& field : fields.fields()) {
    Value copy = copy_into(field.value, *arena_);
    field_of(to->value, field.key, *arena_)->value = copy;
  }
}

const Metadata::Typed* Metadata::find_typed(std::string_view name) const noexcept {
  for (const Typed* at = typed_; at != nullptr; at = at->next) {
    if (at->name_space == name) return at;
  }
  return nullptr;
}

void Metadata::set_typed(std::string_view name, std::string_view type, std::string_view bytes) {
  Typed* at = typed_;
  while (at != nullptr && at->name_space != name) at = at->next;
  if (at == nullptr) at = typed_ = arena_->make<Typed>(Typed{arena_->copy_or_empty(name), {}, {}, typed_});
  at->type = arena_->copy_or_empty(type);
  at->bytes = arena_->copy_or_empty(bytes);
}

void Metadata::merge(std::string_view name, const Value& fields) {
  if (fields.kind() != Value::Kind::kStruct) return;
  Field* to = name_space(name);
  for (const Field& field : fields.fields()) {
    Value copy = copy_into(field.value, *arena_);
    Field* member = field_of(to->value, field.key, *arena_);
    member->value = member->value.kind() == Value::Kind::kNull ? copy : stream::merge(member->value, copy, *arena_);
  }
}

}  // namespace weir::stream
