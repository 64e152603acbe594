// The part of MessageBuilder for messages that JSON writes in a form of their own: durations, wrappers, structs.
#include <google/protobuf/struct.pb.h>

#include "core/config/message_builder.h"
#include "core/config/scalars.h"

namespace weir::config {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

const google::protobuf::FieldDescriptor& field_number(const google::protobuf::Message& message, int number) {
  return *message.GetDescriptor()->FindFieldByNumber(number);
}

}  // namespace

bool MessageBuilder::well_known(WellKnown kind, Message& out, const Event& first) {
  const bool mapping = first.kind == EventKind::kMappingStart;
  switch (kind) {
    case WellKnown::kAny:
      any(out, first);
      return true;
    case WellKnown::kStruct:
      if (!mapping) {
        wrong_kind(first, "a mapping");
        cursor_.skip(first);
      } else {
        struct_fields(out);
      }
      return true;
    case WellKnown::kValue:
      struct_value(out, first);
      return true;
    case WellKnown::kListValue:
      if (first.kind != EventKind::kSequenceStart) {
        wrong_kind(first, "a list");
        cursor_.skip(first);
      } else {
        list_value(out, first);
      }
      return true;
    // These may also be written as the message that they are: {seconds: 5}, {value: 3}.
    case WellKnown::kWrapper:
      if (!mapping) {
        scalar(out, field_number(out, 1), first, false);
      }
      return !mapping;
    case WellKnown::kDuration:
      if (!mapping) {
        duration(out, first);
      }
      return !mapping;
    case WellKnown::kTimestamp:
      if (!mapping) {
        timestamp(out, first);
      }
      return !mapping;
    case WellKnown::kFieldMask:
      if (!mapping) {
        field_mask(out, first);
      }
      return !mapping;
    case WellKnown::kTypedStruct:
    case WellKnown::kNone:
      break;
  }
  return false;
}

void MessageBuilder::duration(Message& out, const Event& value) {
  if (value.kind != EventKind::kScalar) {
    wrong_kind(value, "a duration");
    cursor_.skip(value);
    return;
  }
  const std::optional<Seconds> parsed = parse_duration(value.value);
  if (!parsed) {
    const std::string better = duration_hint(value.value);
    // Quoted even if it is one word: 5 is not a duration reads like a riddle.
    error(value.place, "\"" + std::string(value.value.substr(0, 40)) + "\" is not a duration", shown(value.value),
          "seconds with an s: 5s, 0.25s",
          !template_hint(value.value).empty()         ? template_hint(value.value)
          : better.empty() || !parse_duration(better) ? "write 5s, 0.25s"
                                                      : "write " + better);
    return;
  }
  out.GetReflection()->SetInt64(&out, &field_number(out, 1), parsed->seconds);
  out.GetReflection()->SetInt32(&out, &field_number(out, 2), parsed->nanos);
}

void MessageBuilder::timestamp(Message& out, const Event& value) {
  const std::optional<Seconds> parsed = value.kind == EventKind::kScalar ? parse_timestamp(value.value) : std::nullopt;
  if (!parsed) {
    error(value.place, found_text(value) + " is not a time", found_text(value), "RFC 3339",
          "write 2026-01-31T14:00:00Z");
    cursor_.skip(value);
    return;
  }
  out.GetReflection()->SetInt64(&out, &field_number(out, 1), parsed->seconds);
  out.GetReflection()->SetInt32(&out, &field_number(out, 2), parsed->nanos);
}

// "a.b,cD": JSON writes the paths in camel case; snake case is taken as well.
void MessageBuilder::field_mask(Message& out, const Event& value) {
  if (value.kind != EventKind::kScalar) {
    wrong_kind(value, "a text with the paths");
    cursor_.skip(value);
    return;
  }
  std::string path;
  const auto add = [&] {
    if (!path.empty()) {
      out.GetReflection()->AddString(&out, &field_number(out, 1), path);
    }
    path.clear();
  };
  for (const char c : value.value) {
    if (c == ',') {
      add();
    } else if (c >= 'A' && c <= 'Z') {
      path += {'_', static_cast<char>(c - 'A' + 'a')};
    } else if (c != ' ') {
      path += c;
    }
  }
  add();
}

// What plain YAML means inside of a struct follows the published loader and not YAML: whole numbers that fit 32 bits
// are numbers, larger ones and fractions stay texts (so that version: 1.0 equals the "1.0" that a control plane sends),
// and yes, no, on and off are booleans. JSON says itself what is a number.
void MessageBuilder::struct_value(Message& message, const Event& first) {
  auto& out = *google::protobuf::DynamicCastToGenerated<Value>(&message);
  if (first.kind != EventKind::kScalar && too_deep(first)) {
    return;
  }
  if (first.kind == EventKind::kMappingStart) {
    ++depth_;
    struct_fields(*out.mutable_struct_value());
    --depth_;
    return;
  }
  if (first.kind == EventKind::kSequenceStart) {
    ++depth_;
    list_value(*out.mutable_list_value(), first);
    --depth_;
    return;
  }
  if (!first.plain) {
    out.set_string_value(first.value.data(), first.value.size());
    return;
  }
  if (is_null(first.value)) {
    out.set_null_value(google::protobuf::NULL_VALUE);
    return;
  }
  if (const std::optional<bool> truth = parse_bool(first.value, yaml_)) {
    out.set_bool_value(*truth);
    return;
  }
  if (!yaml_) {
    // As a double, whatever its size: that is all that a struct can hold.
    out.set_number_value(parse_double(first.value).value_or(0));
    return;
  }
  const bool digits_only = first.value.find_first_of(".eE") == std::string_view::npos || first.value.starts_with("0x");
  const IntegerResult number = parse_integer(first.value, uint64_t{1} << 63, (uint64_t{1} << 63) - 1, true);
  if (digits_only && number.fault == NumberFault::kNone) {
    const double value =
        number.negative ? -static_cast<double>(number.magnitude) : static_cast<double>(number.magnitude);
    if (number.magnitude < (uint64_t{1} << 31) - 1) {
      out.set_number_value(value);
    } else {
      out.set_string_value((number.negative ? "-" : "") + std::to_string(number.magnitude));
    }
    return;
  }
  out.set_string_value(first.value.data(), first.value.size());
}

void MessageBuilder::struct_fields(Message& message) {
  auto& out = *google::protobuf::DynamicCastToGenerated<Struct>(&message);
  SeenKeys seen;
  MapWalk walk(*this);
  Event key;
  while (walk.next(key)) {
    const Place place = key.place;
    const std::string name(key.value);
    if (const Place* before = seen.add(name, place)) {
      if (!walk.merging()) {
        std::string path = index_.current_path();
        append_path_name(path, name);
        report(Severity::kError, place, path,
               "duplicate key; it is at line " + std::to_string(before->line) + " already", "", "", "keep one");
      }
      cursor_.skip(cursor_.next());
      continue;
    }
    const Event value = cursor_.next();
    index_.enter_key(name, value.kind == EventKind::kScalar ? value.place : place);
    struct_value((*out.mutable_fields())[name], value);
    index_.leave();
  }
}

void MessageBuilder::list_value(Message& message, const Event&) {
  auto& out = *google::protobuf::DynamicCastToGenerated<ListValue>(&message);
  for (uint32_t number = 0;; ++number) {
    const Event event = cursor_.next();
    if (event.kind == EventKind::kSequenceEnd || event.kind == EventKind::kFailed) {
      return;
    }
    index_.enter_item(number, event.place);
    struct_value(*out.add_values(), event);
    index_.leave();
  }
}

}  // namespace weir::config
