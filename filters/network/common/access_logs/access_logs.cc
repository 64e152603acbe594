#include "filters/network/common/access_logs/access_logs.h"

#include "core/filter/config_translator.h"
#include "core/filter/registry.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"

namespace weir::filters::access_logs {

std::vector<std::shared_ptr<const stream::AccessLogger>> read(
    const google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& messages,
    filter::FactoryScope& scope) {
  std::vector<std::shared_ptr<const stream::AccessLogger>> loggers;
  for (int i = 0; i < messages.size(); ++i) {
    const auto& one = messages.Get(i);
    auto here = scope.below("access_log", i);
    if (!one.has_typed_config()) {
      here.error("typed_config", "must be set: the type of this message says which access logger it is");
      continue;
    }
    const filter::AccessLoggerDescriptor* descriptor =
        scope.registry().access_logger(filter::type_of_url(one.typed_config().type_url()));
    if (descriptor == nullptr) {
      here.report().skip_unknown({.kind = "access logger", .name = one.name()}, one.typed_config(),
                                 here.at("typed_config"));
      continue;
    }
    auto message = here.report().unpack(one.typed_config(), here.at("typed_config"));
    if (message == nullptr) continue;
    auto below = here.below("typed_config");
    const size_t errors = below.report().errors();
    auto logger = descriptor->make_logger(*message, below);
    if (!logger.ok()) {
      below.failed(logger.status(), errors);
      continue;
    }
    if (one.has_filter()) {
      auto filter = here.translator().log_filter(one.filter(), here.at("filter"));
      if (filter == nullptr) continue;  // reported
      *logger = match::filtered(std::move(filter), std::move(*logger));
    }
    loggers.push_back(std::move(*logger));
  }
  return loggers;
}

}  // namespace weir::filters::access_logs
