// envoy.filters.http.router: the terminal HTTP filter. What it does is core/proxy/router.h; here is its configuration.
#include "core/proxy/router.h"

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"

namespace weir::filters::router {

struct Config : proxy::RouterConfig {
  static Result<std::shared_ptr<const Config>> from_proto(
      const envoy::extensions::filters::http::router::v3::Router& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->suppress_envoy_headers = proto.suppress_envoy_headers();
    config->respect_expected_rq_timeout = proto.respect_expected_rq_timeout();
    for (const std::string& name : proto.strict_check_headers())
      config->strict_check_headers.push_back(http::HeaderName(name).id());
    config->upstream_logs = scope.translator().access_loggers(proto.upstream_log(), scope, "upstream_log");
    const auto& log_options = proto.upstream_log_options();
    config->log_on_stream = log_options.flush_upstream_log_on_upstream_stream();
    if (log_options.has_upstream_log_flush_interval()) {
      const auto& interval = log_options.upstream_log_flush_interval();
      config->log_interval = duration_of(interval.seconds(), interval.nanos());
      if (config->log_interval < 1ms)
        scope.error("upstream_log_options.upstream_log_flush_interval", "must be at least 0.001s");
    }
    if (!proto.upstream_http_filters().empty())
      config->upstream_filters = scope.translator().http_filters(
          proto.upstream_http_filters(), filter::ChainSide::kUpstream, scope, "upstream_http_filters");
    if (!config->upstream_logs.empty()) config->records = proxy::RouterConfig::kOwnLog;
    config->looks_at_orders = config->respect_expected_rq_timeout || !config->strict_check_headers.empty();
    if (config->upstream_logs.empty() && proto.has_upstream_log_options())
      scope.warning("upstream_log_options", "mean nothing without an upstream_log; add one, or remove these");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

class Filter final : public proxy::Router {
 public:
  static constexpr bool kTerminal = true;
  explicit Filter(const Config& config) : Router(config) {}
};

}  // namespace weir::filters::router

WEIR_HTTP_FILTER(router, "envoy.filters.http.router", weir::filters::router::Config, weir::filters::router::Filter)
