// Access log to a file (or a FIFO, or a device): envoy.access_loggers.file.
#include "core/filter/registry.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "extensions/access_loggers/common/log_format.h"

namespace weir::extensions::access_loggers {
namespace {

using Proto = envoy::extensions::access_loggers::file::v3::FileAccessLog;

// No value: errors were reported.
std::optional<LineFormat> format_of(const Proto& proto, filter::FactoryScope& scope) {
// The deprecated fields are in most published configurations.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  switch (proto.access_log_format_case()) {
    case Proto::kFormat:
      return make_text_format(proto.format(), false, scope.below("format"));
    // The published difference is whether numbers are printed as texts; weir prints numbers in both.
    case Proto::kJsonFormat:
      return make_json_format(proto.json_format(), false, scope.below("json_format"));
    case Proto::kTypedJsonFormat:
      return make_json_format(proto.typed_json_format(), false, scope.below("typed_json_format"));
    case Proto::kLogFormat:
      return make_format(proto.log_format(), scope.below("log_format"));
    case Proto::ACCESS_LOG_FORMAT_NOT_SET:
      break;
  }
  return std::nullopt;
}

bool wants_default(const Proto& proto) {
  if (proto.access_log_format_case() == Proto::ACCESS_LOG_FORMAT_NOT_SET) return true;
  return proto.access_log_format_case() == Proto::kFormat && proto.format().empty();
#pragma GCC diagnostic pop
}

// Nothing is made after an error was reported.
Result<std::shared_ptr<const stream::AccessLogger>> make(const google::protobuf::Message& message,
                                                         filter::FactoryScope& scope) {
  const auto& proto = static_cast<const Proto&>(message);
  if (proto.path().empty()) scope.error("path", "must not be empty");
  std::optional<LineFormat> format;
  if (!wants_default(proto)) {
    format = format_of(proto, scope);
    if (!format.has_value()) return nullptr;
  }
  if (proto.path().empty()) return nullptr;
  auto file = stream::LogWriter::process().file(proto.path(), scope.store());
  if (!file.ok()) {
    scope.error("path", message_of(file.status()));
    return nullptr;
  }
  return format.has_value() ? make_logger(std::move(*file), std::move(*format)) : make_logger(std::move(*file));
}

}  // namespace
}  // namespace weir::extensions::access_loggers

namespace weir::plugins {

void access_logger_file(filter::RegistryBuilder& registry) {
  filter::AccessLoggerDescriptor logger;
  logger.name = "envoy.access_loggers.file";
  logger.type = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
  logger.make_logger = extensions::access_loggers::make;
  registry.add(std::move(logger));
}

}  // namespace weir::plugins
