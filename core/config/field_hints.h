// What someone probably meant who wrote a field that is not there, or a value of the wrong kind. Texts only; nothing is
// decided here.
#pragma once
#include <google/protobuf/descriptor.h>

#include <span>
#include <string>
#include <string_view>

namespace weir::config {

// A message that is being read and the field of it that is, from the outside in. The innermost has no field.
struct OpenMessage {
  const google::protobuf::Descriptor* type;
  const google::protobuf::FieldDescriptor* field;
  bool for_list;  // a mapping that stands where a list of them belongs: it counts as its only item
};

// `key` is no field of the innermost message.
std::string unknown_field_hint(std::string_view key, std::span<const OpenMessage> open);

// By name, or by its name in camel case; nullptr: there is none.
const google::protobuf::FieldDescriptor* find_field(const google::protobuf::Descriptor& type, std::string_view name);

// Messages of which the API has the name alone: what is in one is no mistake, whatever it is.
bool is_left_empty(const google::protobuf::Descriptor& type);

// `text` is what stands where a message of that type is wanted; empty if there is nothing useful to say. The text is
// not repeated when `secret`.
std::string message_from_text_hint(const google::protobuf::Descriptor& type, std::string_view text, bool secret);

// What may be written for an enum, what is deprecated left out, and what was probably meant by `written`.
struct EnumNames {
  std::string allowed;
  std::string hint;
};
EnumNames enum_names(const google::protobuf::EnumDescriptor& type, std::string_view written);

// By name, and rather too many than too few: all this costs is a message that says a little less.
bool may_hold_secret(const google::protobuf::FieldDescriptor& field);

// People leave the placeholders of their templates in files that are loaded as they are.
std::string template_hint(std::string_view text);

}  // namespace weir::config
