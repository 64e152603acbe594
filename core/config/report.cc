#include "core/config/report.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include "core/config/field_table.h"

#include "envoy/config/core/v3/base.pb.h"

namespace weir::config {

using google::protobuf::Message;

void Report::add(const std::string& path, const std::string& message, Severity severity) {
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

void Report::check(const Message& message, const std::string& path) { check_fields(message, path, *this); }

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
  check(*message, path);
  return message;
}

std::optional<std::string> Report::read_source(const Message& source, const std::string& path, SourceLimit limit) {
  const auto& proto = static_cast<const envoy::config::core::v3::DataSource&>(source);
  if (proto.has_watched_directory() && !proto.has_filename()) {
    error(path + ".watched_directory", "means something only beside filename: it says where to look for a new version");
  }
  SourceFault fault;
  auto content = read_data_source(proto, limit, fault);
  if (content.has_value()) {
    sources_.add(proto, *content);
  } else {
    error(fault.field.empty() ? path : path + "." + fault.field, fault.message);
    // What is wrong with the file now may be right with its next version.
    if (proto.has_watched_directory()) sources_.add_directory(proto.watched_directory().path());
  }
  return content;
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

uint64_t combine(uint64_t one, uint64_t other) { return one ^ (other + 0x9e3779b97f4a7c15 + (one << 6) + (one >> 2)); }

}  // namespace weir::config
