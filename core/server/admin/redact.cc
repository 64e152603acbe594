#include "core/server/admin/redact.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "envoy/config/core/v3/base.pb.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/struct.pb.h"

namespace weir::admin {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr char kRedacted[] = "[redacted]";
constexpr int kMaxDepth = 200;

enum class Mode { kLook, kRedactAll };

void walk(Message& message, Mode mode, int depth);

bool secret_name(std::string_view name) {
  for (std::string_view part :
       {"password", "secret", "private_key", "credential", "api_key", "apikey", "hmac", "ticket_keys"}) {
    if (name.find(part) != std::string_view::npos) return true;
  }
  return name == "token" || name.ends_with("_token");
}

bool secret_field(const FieldDescriptor& field) {
  std::string_view name = field.name();
  std::string_view type = field.containing_type()->full_name();
  if (name == "secrets") return type.ends_with("GenericSecret");  // elsewhere: Secret messages, which are looked into
  if (name == "users" && type.ends_with("BasicAuth")) return true;
  // Say where a secret is, not what it is.
  if (name.ends_with("_config") || name.ends_with("_configs") || name.ends_with("_name")) return false;
  return secret_name(name);
}

// Of a DataSource, where the secret comes from is no secret.
bool source_of_secret(const FieldDescriptor& field) {
  return field.containing_type()->full_name() == "envoy.config.core.v3.DataSource" &&
         !field.name().starts_with("inline_");
}

std::string snake_case(std::string_view text) {
  std::string out;
  bool after_lower = false;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper && after_lower) out += '_';  // privateKey
    out += upper ? static_cast<char>(c - 'A' + 'a') : c == '-' ? '_' : c;
    after_lower = c >= 'a' && c <= 'z';
  }
  return out;
}

bool secret_header(std::string_view key) {
  std::string name = snake_case(key);
  return name == "authorization" || name == "proxy_authorization" || name == "cookie" || name == "set_cookie" ||
         secret_name(name);
}

void redact_any(google::protobuf::Any& any, Mode mode, int depth) {
  if (any.type_url().empty()) return;
  std::string type = any.type_url().substr(any.type_url().rfind('/') + 1);
  const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  std::unique_ptr<Message> inner;
  if (descriptor != nullptr)
    inner.reset(google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
  if (inner == nullptr || !inner->ParseFromString(any.value())) {
    google::protobuf::Struct note;
    (*note.mutable_fields())["type"].set_string_value(any.type_url());
    (*note.mutable_fields())["note"].set_string_value(
        "weir does not know this type and cannot tell what in it is secret");
    any.PackFrom(note);
    return;
  }
  walk(*inner, mode, depth + 1);
  any.set_value(inner->SerializeAsString());
}

// Its shape stays, so that who compares the two finds everything in its place.
void redact_value(google::protobuf::Value& value, int depth) {
  if (value.has_list_value() || value.has_struct_value()) return walk(value, Mode::kRedactAll, depth + 1);
  value.set_string_value(kRedacted);
}

void redact_struct(google::protobuf::Struct& all, Mode mode, int depth) {
  for (auto& [key, value] : *all.mutable_fields()) {
    if (mode == Mode::kRedactAll || secret_header(key)) {
      redact_value(value, depth);
    } else {
      walk(value, mode, depth + 1);
    }
  }
}

void redact_text(Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  if (!field.is_repeated()) return reflection.SetString(&message, &field, kRedacted);
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i)
    reflection.SetRepeatedString(&message, &field, i, kRedacted);
}

void walk_field(Message& message, const FieldDescriptor& field, Mode mode, int depth) {
  const Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    if (mode == Mode::kRedactAll) redact_text(message, field);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    if (!field.is_repeated()) return walk(*reflection.MutableMessage(&message, &field), mode, depth + 1);
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      walk(*reflection.MutableRepeatedMessage(&message, &field, i), mode, depth + 1);
    }
  }
}

// Generated messages only: their types are told by name.
void walk(Message& message, Mode mode, int depth) {
  if (depth > kMaxDepth) {
    message.Clear();
    return;
  }
  std::string_view type = message.GetDescriptor()->full_name();
  if (type == "google.protobuf.Any") return redact_any(static_cast<google::protobuf::Any&>(message), mode, depth);
  if (type == "google.protobuf.Value" && mode == Mode::kRedactAll) {
    auto& value = static_cast<google::protobuf::Value&>(message);
    if (!value.has_list_value() && !value.has_struct_value()) return value.set_string_value(kRedacted);
  }
  if (type == "google.protobuf.Struct")
    return redact_struct(static_cast<google::protobuf::Struct&>(message), mode, depth);
  if (type == "envoy.config.core.v3.HeaderValue" &&
      secret_header(static_cast<envoy::config::core::v3::HeaderValue&>(message).key())) {
    auto& header = static_cast<envoy::config::core::v3::HeaderValue&>(message);
    if (!header.value().empty()) header.set_value(kRedacted);
    if (!header.raw_value().empty()) header.set_raw_value(kRedacted);
    return;
  }
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  // The key of a map's entry stays in any case: a map with two equal keys is none.
  bool entry = message.GetDescriptor()->options().map_entry();
  for (const FieldDescriptor* field : fields) {
    if (entry && field->number() == 1) continue;
    if (mode == Mode::kRedactAll && source_of_secret(*field)) continue;
    walk_field(message, *field, mode == Mode::kRedactAll || secret_field(*field) ? Mode::kRedactAll : Mode::kLook,
               depth);
  }
}

}  // namespace

void redact(Message& message) { walk(message, Mode::kLook, 0); }

}  // namespace weir::admin
