#include "core/server/process_settings.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/log_format.h"
#include "core/config/address_config.h"
#include "core/config/shared_messages.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"

namespace weir::server {

using config::Report;

namespace {

WatchdogLimits read_watchdog(const envoy::config::bootstrap::v3::Watchdog& proto) {
  WatchdogLimits limits;
  if (proto.has_miss_timeout()) limits.miss = config::to_duration(proto.miss_timeout());
  if (proto.has_megamiss_timeout()) limits.mega_miss = config::to_duration(proto.megamiss_timeout());
  if (proto.has_kill_timeout()) limits.kill = config::to_duration(proto.kill_timeout());
  if (proto.has_max_kill_timeout_jitter()) limits.kill_jitter = config::to_duration(proto.max_kill_timeout_jitter());
  if (proto.has_multikill_timeout()) limits.multikill = config::to_duration(proto.multikill_timeout());
  limits.multikill_share = proto.multikill_threshold().value() / 100;
  return limits;
}

// As the inside of a JSON string, and so that nothing in it is a flag if `literal`.
void append_json_pattern(const std::string& text, bool literal, std::string& out) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escaped;
      continue;
    } else if (literal && c == '%') {
      out += '%';
    }
    out += c;
  }
}

// A line of the process log that is an object, its members sorted by name.
std::string json_log_pattern(const google::protobuf::Struct& format, const std::string& path, Report& report) {
  const std::map<std::string, google::protobuf::Value> members(format.fields().begin(), format.fields().end());
  std::string out = "{";
  for (const auto& [name, value] : members) {
    const std::string at = path + "." + name;
    const std::string& text = value.string_value();
    if (value.kind_case() != google::protobuf::Value::kStringValue) {
      report.error(at, "must be a text, as %j");
      continue;
    }
    for (size_t i = text.find('%'); i != std::string::npos && i + 1 < text.size(); i = text.find('%', i + 2)) {
      if (text[i + 1] == 'v' || text[i + 1] == '_')
        report.error(at,
                     std::string("%") + text[i + 1] + " may hold what is no JSON; %j is the same text as JSON has it");
    }
    out += out.size() == 1 ? "\"" : ",\"";
    append_json_pattern(name, true, out);
    out += "\":\"";
    append_json_pattern(text, false, out);
    out += '"';
  }
  return out + "}";
}

}  // namespace

void read_admin(const envoy::config::bootstrap::v3::Admin& proto, filter::FactoryScope& scope, Report& report,
                AdminPlan& out) {
  if (proto.has_address()) {
    out.address = config::translate_address(proto.address(), scope.at("address"), report);
    config::read_listen_options(proto.address(), out.listen);
  }
  for (int i = 0; i < proto.socket_options_size(); ++i) {
    config::translate_socket_option(
        proto.socket_options(i), config::FieldReport{report, scope.path()}.item("socket_options", i), out.listen.more);
  }
  std::erase_if(out.listen.more,
                [](const net::SocketOption& one) { return one.kind == net::SocketOption::Kind::kDatagram; });
  auto allowed = std::make_shared<std::vector<match::StringMatcher>>();
  for (int i = 0; i < proto.allow_paths_size(); ++i) {
    const config::FieldReport at{report, scope.at("allow_paths[" + std::to_string(i) + "]")};
    if (auto one = config::translate(proto.allow_paths(i), at)) allowed->push_back(std::move(*one));
  }
  if (proto.allow_paths_size() > 0) {
    out.allows_path = [allowed = std::move(allowed)](std::string_view path) {
      return std::any_of(allowed->begin(), allowed->end(), [path](const auto& one) { return one.matches(path); });
    };
  }
  out.profile_path = proto.profile_path();
  out.access_logs = scope.translator().access_loggers(proto.access_log(), scope, "access_log");
  if (proto.access_log_path().empty()) return;
  google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog> older;
  envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path(proto.access_log_path());
  envoy::config::accesslog::v3::AccessLog& log = *older.Add();
  log.set_name("envoy.access_loggers.file");
  log.mutable_typed_config()->PackFrom(file);
  const Report::AsOne text(report, scope.at("access_log_path"));
  for (auto& one : scope.translator().access_loggers(older, scope, "access_log_path"))
    out.access_logs.push_back(std::move(one));
}

WatchdogPlan read_watchdogs(const envoy::config::bootstrap::v3::Bootstrap& bootstrap) {
  WatchdogPlan plan;
  if (bootstrap.has_watchdogs()) {
    plan.main = read_watchdog(bootstrap.watchdogs().main_thread_watchdog());
    plan.workers = read_watchdog(bootstrap.watchdogs().worker_watchdog());
  } else {
    plan.main = plan.workers = read_watchdog(bootstrap.watchdog());
  }
  return plan;
}

std::string read_log_format(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const Options& options,
                            Report& report) {
  if (!bootstrap.application_log_config().has_log_format()) return {};
  const auto& format = bootstrap.application_log_config().log_format();
  std::string path = "application_log_config.log_format";
  if (!options.log_format.empty())
    report.error(path, "is said twice: the command line has --log-format; leave one of them out");
  std::string pattern;
  if (format.has_json_format()) {
    path += ".json_format";
    pattern = json_log_pattern(format.json_format(), path, report);
  } else {
    path += ".text_format";
    pattern = format.text_format();
  }
  auto compiled = log::LineFormat::compile(pattern, options.log_format_escaped);
  if (!compiled.ok()) report.error(path, message_of(compiled.status()));
  return pattern;
}

void read_bootstrap_extensions(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, Report& report) {
  constexpr std::string_view kInternalListener = "envoy.extensions.bootstrap.internal_listener.v3.InternalListener";
  for (int i = 0; i < bootstrap.bootstrap_extensions_size(); ++i) {
    const std::string path = "bootstrap_extensions[" + std::to_string(i) + "].typed_config";
    const auto message = report.unpack(bootstrap.bootstrap_extensions(i).typed_config(), path);
    if (message != nullptr && message->GetTypeName() != kInternalListener)
      report.error(path, message->GetTypeName() + " is no extension of the process here; allowed is " +
                             std::string(kInternalListener));
  }
}

}  // namespace weir::server
