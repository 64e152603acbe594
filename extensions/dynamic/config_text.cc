#include "extensions/dynamic/config_text.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>

namespace weir::extensions::dynamic {
namespace {

Result<std::string> json_of(const google::protobuf::Message& message) {
  std::string text;
  auto status = google::protobuf::util::MessageToJsonString(message, &text);
  if (!status.ok()) return invalid("cannot be written as JSON: " + status.message().as_string());
  return text;
}

}  // namespace

Result<std::string> config_text(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kStringValue:
      return value.string_value();
    case google::protobuf::Value::kNullValue:
    case google::protobuf::Value::KIND_NOT_SET:
      return std::string();
    default:
      return json_of(value);
  }
}

Result<std::string> config_text(const google::protobuf::Any& any) {
  if (any.type_url().empty()) return std::string();
  google::protobuf::StringValue string;
  if (any.UnpackTo(&string)) return string.value();
  google::protobuf::BytesValue bytes;
  if (any.UnpackTo(&bytes)) return bytes.value();
  google::protobuf::Value value;
  if (any.UnpackTo(&value)) return config_text(value);
  google::protobuf::Struct fields;
  if (any.UnpackTo(&fields)) return json_of(fields);
  return json_of(any);
}

}  // namespace weir::extensions::dynamic
