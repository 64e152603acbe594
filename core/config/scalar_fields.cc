// The part of MessageBuilder that turns one text into one value of a scalar or enum field.
#include <google/protobuf/descriptor.pb.h>

#include <limits>

#include "core/config/field_hints.h"
#include "core/config/message_builder.h"
#include "core/config/rules.h"
#include "core/config/scalars.h"
#include "core/config/suggest.h"

namespace weir::config {
namespace {

// What a field takes: of its type, unless a rule says less.
std::string range_text(const google::protobuf::FieldDescriptor& field, uint64_t min_magnitude, uint64_t max) {
  std::string ruled = allowed_range(field);
  if (ruled.starts_with("at most ") && min_magnitude == 0) {
    ruled.replace(0, 8, "0 to ");
  }
  return !ruled.empty()
             ? ruled
             : (min_magnitude == 0 ? "0" : "-" + std::to_string(min_magnitude)) + " to " + std::to_string(max);
}

}  // namespace

bool MessageBuilder::integer(const FieldDescriptor& field, const Event& value, uint64_t min_magnitude, uint64_t max,
                             int64_t& out) {
  const IntegerResult result = parse_integer(value.value, min_magnitude, max, yaml_ && value.plain);
  const std::string allowed = result.fault == NumberFault::kNone ? "" : range_text(field, min_magnitude, max);
  const std::string shown_value = secret_ > 0 ? "the value" : shown(value.value);
  switch (result.fault) {
    case NumberFault::kNone:
      break;
    case NumberFault::kNotANumber:
      error(value.place, shown_value + " is not a whole number", found_text(value), allowed,
            parse_duration(value.value) ? "write the number alone" : template_hint(value.value));
      return false;
    case NumberFault::kFraction:
      error(value.place, shown_value + " is not a whole number", found_text(value), allowed, "drop the fraction");
      return false;
    case NumberFault::kNegative:
      error(value.place, shown_value + " is negative; allowed is " + allowed, found_text(value), allowed);
      return false;
    case NumberFault::kTooSmall:
    case NumberFault::kTooLarge:
      error(value.place, shown_value + " is out of range; allowed is " + allowed, found_text(value), allowed);
      return false;
  }
  if (result.was_octal && result.magnitude > 7 && field.name() != "mode") {
    report(Severity::kWarning, value.place, index_.current_path(),
           shown_value + " is read as octal and means " + std::to_string(result.magnitude), found_text(value), "",
           "write it without the leading zero, or with 0o");
  }
  out = static_cast<int64_t>(result.negative ? 0 - result.magnitude : result.magnitude);
  return true;
}

bool MessageBuilder::enumerator(const FieldDescriptor& field, const Event& value, int& number) {
  const google::protobuf::EnumDescriptor& type = *field.enum_type();
  if (const auto* exact = type.FindValueByName(std::string(value.value))) {
    number = exact->number();
    return true;
  }
  for (int i = 0; i < type.value_count(); ++i) {
    if (edit_distance(value.value, type.value(i)->name(), 0) == 0) {  // in any case
      number = type.value(i)->number();
      return true;
    }
  }
  const IntegerResult parsed = parse_integer(value.value, 1U << 31, (1U << 31) - 1, false);
  if (parsed.fault == NumberFault::kNone) {
    number = static_cast<int>(parsed.negative ? 0 - parsed.magnitude : parsed.magnitude);
    if (type.FindValueByNumber(number) != nullptr) {
      return true;
    }
  }
  EnumNames names = enum_names(type, value.value);
  error(value.place, (secret_ > 0 ? "the value" : shown(value.value)) + " is not one of " + names.allowed,
        found_text(value), names.allowed, std::move(names.hint));
  return false;
}

bool MessageBuilder::scalar(Message& out, const FieldDescriptor& field, const Event& value, bool add) {
  const google::protobuf::Reflection& reflection = *out.GetReflection();
  if (value.kind != EventKind::kScalar) {
    const bool text = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    const bool name = field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM;
    const bool truth = field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL;
    // {{ x }} reads as a mapping whose key is one.
    const Event inside = cursor_.next();
    const bool is_template = value.kind == EventKind::kMappingStart && inside.kind == EventKind::kMappingStart;
    wrong_kind(value,
               text    ? "a text"
               : name  ? "a name"
               : truth ? "true or false"
                       : "a number",
               is_template ? "if this is a template, fill it in before weir reads the file" : "");
    if (inside.kind != EventKind::kMappingEnd && inside.kind != EventKind::kSequenceEnd) {
      cursor_.skip(inside);
      cursor_.skip(value);
    }
    return false;
  }
  const std::string shown_value = secret_ > 0 ? "the value" : shown(value.value);
  int64_t number = 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      if (!integer(field, value, uint64_t{1} << 31, (uint64_t{1} << 31) - 1, number)) {
        return false;
      }
      const auto v = static_cast<int32_t>(number);
      add ? reflection.AddInt32(&out, &field, v) : reflection.SetInt32(&out, &field, v);
      return true;
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      if (!integer(field, value, 0, std::numeric_limits<uint32_t>::max(), number)) {
        return false;
      }
      const auto v = static_cast<uint32_t>(number);
      add ? reflection.AddUInt32(&out, &field, v) : reflection.SetUInt32(&out, &field, v);
      return true;
    }
    case FieldDescriptor::CPPTYPE_INT64:
      if (!integer(field, value, uint64_t{1} << 63, (uint64_t{1} << 63) - 1, number)) {
        return false;
      }
      add ? reflection.AddInt64(&out, &field, number) : reflection.SetInt64(&out, &field, number);
      return true;
    case FieldDescriptor::CPPTYPE_UINT64: {
      if (!integer(field, value, 0, std::numeric_limits<uint64_t>::max(), number)) {
        return false;
      }
      const auto v = static_cast<uint64_t>(number);
      add ? reflection.AddUInt64(&out, &field, v) : reflection.SetUInt64(&out, &field, v);
      return true;
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT: {
      const std::optional<double> parsed = parse_double(value.value);
      if (!parsed) {
        const bool percent = value.value.ends_with('%') && parse_double(value.value.substr(0, value.value.size() - 1));
        error(value.place, shown_value + " is not a number", found_text(value), "a number such as 1.5",
              percent ? "leave out the %" : template_hint(value.value));
        return false;
      }
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
        add ? reflection.AddDouble(&out, &field, *parsed) : reflection.SetDouble(&out, &field, *parsed);
      } else {
        const auto v = static_cast<float>(*parsed);
        add ? reflection.AddFloat(&out, &field, v) : reflection.SetFloat(&out, &field, v);
      }
      return true;
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      const std::optional<bool> parsed = parse_bool(value.value, yaml_ && value.plain);
      if (!parsed) {
        std::string hint = template_hint(value.value);
        if (value.value == "1" || value.value == "0") {
          hint = value.value == "1" ? "write true" : "write false";
        } else if (const std::optional<bool> word = yaml_ ? parse_bool(value.value, true) : std::nullopt) {
          hint = *word ? "write true, without quotes" : "write false, without quotes";
        }
        error(value.place, shown_value + " is neither true nor false", found_text(value), "true, false",
              std::move(hint));
        return false;
      }
      add ? reflection.AddBool(&out, &field, *parsed) : reflection.SetBool(&out, &field, *parsed);
      return true;
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      int enum_number = 0;
      if (!enumerator(field, value, enum_number)) {
        return false;
      }
      add ? reflection.AddEnumValue(&out, &field, enum_number) : reflection.SetEnumValue(&out, &field, enum_number);
      return true;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string text(value.value);
      if (field.type() == FieldDescriptor::TYPE_BYTES) {
        std::optional<std::string> bytes = parse_base64(value.value);
        if (!bytes) {
          error(value.place, "this is not base64", found_text(value), "base64",
                field.name() == "inline_bytes" ? "use inline_string for text" : "");
          return false;
        }
        text = std::move(*bytes);
      }
      add ? reflection.AddString(&out, &field, std::move(text)) : reflection.SetString(&out, &field, std::move(text));
      return true;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return false;
}

}  // namespace weir::config
