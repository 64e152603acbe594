// envoy.filters.http.set_filter_state: puts values made of a request into its filter state.
#include "core/filter/http_filter.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.pb.h"
#include "filters/common/filter_state/values.h"

namespace weir::filters::set_filter_state {
namespace {

namespace pb = envoy::extensions::filters::http::set_filter_state::v3;

struct HttpConfig {
  filter_state::Values values;
  stats::Counter not_set;

  static Result<std::shared_ptr<const HttpConfig>> from_proto(const pb::Config& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<HttpConfig>();
    config->values = filter_state::read_values(proto.on_request_headers(), scope, "on_request_headers");
    config->not_set = scope.counter("set_filter_state.not_set");
    return std::shared_ptr<const HttpConfig>(std::move(config));
  }
};

// One per stream. [worker]
class HttpFilter final : public filter::HttpFilter {
 public:
  explicit HttpFilter(const HttpConfig& config) : config_(config) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) override {
    filter_state::set_values(config_.values, {stream.info(), &headers}, stream.filter_state(),
                             stream::LifeSpan::kFilterChain, config_.not_set);
    return filter::Action::kContinue;
  }

 private:
  const HttpConfig& config_;
};

}  // namespace
}  // namespace weir::filters::set_filter_state

namespace weir::plugins {
void http_filter_set_filter_state(filter::RegistryBuilder& registry) {
  using namespace filters::set_filter_state;
  registry.add(filter::describe_http_filter<HttpConfig, HttpFilter>("envoy.filters.http.set_filter_state"));
}
}  // namespace weir::plugins
