// envoy.filters.listener.local_ratelimit: new connections of a listener take tokens from a bucket; without one they are
// closed, before anything is read.
#include <string>

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "envoy/extensions/filters/listener/local_ratelimit/v3/local_ratelimit.pb.h"
#include "filters/common/token_bucket/read_bucket.h"

namespace weir::filters::listener_local_ratelimit {
namespace {

namespace pb = envoy::extensions::filters::listener::local_ratelimit::v3;

struct Config {
  BucketSpec spec;
  mutable TokenBucket bucket;
  runtime::RuntimeFlag enabled{.default_value = true};
  stats::Counter limited;

  static Result<std::shared_ptr<const Config>> from_proto(const pb::LocalRateLimit& proto,
                                                          filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->spec = read_bucket(proto.token_bucket(), scope.below("token_bucket"));
    if (proto.has_runtime_enabled()) config->enabled = scope.translator().runtime_flag(proto.runtime_enabled());
    config->limited = scope.store().counter("listener_local_ratelimit." + proto.stat_prefix() + ".rate_limited");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

// One per connection. [worker]
class Filter final : public filter::ListenerFilter {
 public:
  explicit Filter(const Config& config) : config_(config) {}
  Verdict on_accept(filter::ConnectionHost& host, filter::ConnectionFacts&) override {
    event::Lane& lane = host.connection().lane();
    if (!config_.enabled.get(lane.slots()) || config_.bucket.take(config_.spec, lane.now())) return Verdict::kDone;
    config_.limited.inc();
    return Verdict::kReject;
  }
  Verdict inspect(std::string_view, bool, filter::ConnectionFacts&, size_t&) override { return Verdict::kDone; }

 private:
  const Config& config_;
};

}  // namespace
}  // namespace weir::filters::listener_local_ratelimit

namespace weir::plugins {
void listener_filter_local_ratelimit(filter::RegistryBuilder& registry) {
  using namespace filters::listener_local_ratelimit;
  registry.add(filter::describe_listener_filter<Config, Filter>("envoy.filters.listener.local_ratelimit"));
}
}  // namespace weir::plugins
