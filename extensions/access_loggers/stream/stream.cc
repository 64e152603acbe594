// Access logs to standard output and standard error: envoy.access_loggers.stdout, envoy.access_loggers.stderr.
#include "core/filter/registry.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "extensions/access_loggers/common/log_format.h"

namespace weir::extensions::access_loggers {
namespace {

using LoggerResult = Result<std::shared_ptr<const stream::AccessLogger>>;

template <class Proto>
LoggerResult make(const google::protobuf::Message& message, filter::FactoryScope& scope, const char* path) {
  const auto& proto = static_cast<const Proto&>(message);
  std::optional<LineFormat> format;
  if (proto.has_log_format()) {
    format = make_format(proto.log_format(), scope.below("log_format"));
    if (!format.has_value()) return nullptr;  // reported
  }
  auto file = stream::LogWriter::process().file(path, scope.store());
  if (!file.ok()) {
    scope.error("", message_of(file.status()));
    return nullptr;
  }
  return format.has_value() ? make_logger(std::move(*file), std::move(*format)) : make_logger(std::move(*file));
}

}  // namespace
}  // namespace weir::extensions::access_loggers

namespace weir::plugins {

void access_logger_stream(filter::RegistryBuilder& registry) {
  using envoy::extensions::access_loggers::stream::v3::StderrAccessLog;
  using envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;
  filter::AccessLoggerDescriptor out;
  out.name = "envoy.access_loggers.stdout";
  out.type = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
  out.make_logger = [](const google::protobuf::Message& message, filter::FactoryScope& scope) {
    return extensions::access_loggers::make<StdoutAccessLog>(message, scope, "/dev/stdout");
  };
  registry.add(std::move(out));
  filter::AccessLoggerDescriptor err;
  err.name = "envoy.access_loggers.stderr";
  err.type = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog";
  err.make_logger = [](const google::protobuf::Message& message, filter::FactoryScope& scope) {
    return extensions::access_loggers::make<StderrAccessLog>(message, scope, "/dev/stderr");
  };
  registry.add(std::move(err));
}

}  // namespace weir::plugins
