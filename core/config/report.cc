#include "core/config/report.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include <algorithm>

namespace weir::config {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void Report::add(const std::string& path, const std::string& message, Severity severity) {
  // A field that is not supported is met by the walk over all fields and by whoever reads it.
  for (const Diagnostic& known : diagnostics_.items()) {
    if (known.path == path && known.message == message) return;
  }
  Position position = positions_.find(path);
  Diagnostic diagnostic;
  diagnostic.file = std::string(position.file);
  diagnostic.line = position.line;
  diagnostic.column = position.column;
  diagnostic.path = path;
  diagnostic.severity = severity;
  diagnostic.message = message;
  diagnostics_.add(std::move(diagnostic));
}

void Report::check_fields(const Message& message, const std::string& path,
                          std::initializer_list<std::string_view> implemented,
                          std::initializer_list<std::string_view> accepted) {
  std::vector<const FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    std::string_view name = field->name();
    if (std::find(implemented.begin(), implemented.end(), name) != implemented.end()) continue;
    std::string place = path.empty() ? std::string(name) : path + "." + std::string(name);
    if (std::find(accepted.begin(), accepted.end(), name) != accepted.end()) {
      warning(place, "accepted, but has no effect in weir yet");
    } else {
      error(place, "not supported by weir yet");
    }
  }
}

std::unique_ptr<Message> Report::unpack(const google::protobuf::Any& any, const std::string& path) {
  std::string_view url = any.type_url();
  if (url.empty()) {
    error(path, "must have an @type");
    return nullptr;
  }
  std::string name(url.substr(url.rfind('/') + 1));
  const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) {
    error(path, "unknown type " + name);
    return nullptr;
  }
  std::unique_ptr<Message> message(google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (!message->ParseFromString(any.value())) {
    error(path, "the bytes are not a " + name);
    return nullptr;
  }
  return message;
}

uint64_t fingerprint(const Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&coded);
  }
  return std::hash<std::string>{}(bytes);
}

}  // namespace weir::config
