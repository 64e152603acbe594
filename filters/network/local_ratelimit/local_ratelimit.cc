// envoy.filters.network.local_ratelimit: new connections of a filter chain take tokens from a bucket; without one they
// are closed.
#include <map>
#include <string>
#include <tuple>

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit.pb.h"
#include "filters/common/token_bucket/read_bucket.h"

namespace weir::filters::network_local_ratelimit {
namespace {

namespace pb = envoy::extensions::filters::network::local_ratelimit::v3;
using filter::Action;

// Filters with the same key and the same numbers take from one bucket, also over updates that keep one of them. [main]
std::shared_ptr<TokenBucket> shared_bucket(const std::string& key, const BucketSpec& spec) {
  using Key = std::tuple<std::string, uint32_t, uint32_t, int64_t>;
  static std::map<Key, std::weak_ptr<TokenBucket>> buckets;
  std::erase_if(buckets, [](const auto& entry) { return entry.second.expired(); });
  auto& known = buckets[{key, spec.max_tokens, spec.tokens_per_fill, spec.fill_interval.count()}];
  std::shared_ptr<TokenBucket> bucket = known.lock();
  if (bucket == nullptr) known = bucket = std::make_shared<TokenBucket>();
  return bucket;
}

struct Config {
  BucketSpec spec;
  std::shared_ptr<TokenBucket> bucket;
  runtime::RuntimeFlag enabled{.default_value = true};
  stats::Counter limited;

  static Result<std::shared_ptr<const Config>> from_proto(const pb::LocalRateLimit& proto,
                                                          filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->spec = read_bucket(proto.token_bucket(), scope.below("token_bucket"));
    config->bucket =
        proto.share_key().empty() ? std::make_shared<TokenBucket>() : shared_bucket(proto.share_key(), config->spec);
    if (proto.has_runtime_enabled()) config->enabled = scope.translator().runtime_flag(proto.runtime_enabled());
    config->limited = scope.store().counter("local_rate_limit." + proto.stat_prefix() + ".rate_limited");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

// One per connection. [worker]
class Filter final : public filter::NetworkFilter {
 public:
  Filter(const Config& config, event::Lane& lane) : config_(config), lane_(lane) {}

  Action on_new_connection(filter::ConnectionHost& host) override {
    if (!config_.enabled.get(lane_.slots()) || config_.bucket->take(config_.spec, lane_.now()))
      return Action::kContinue;
    config_.limited.inc();
    host.connection().close();
    return Action::kDone;
  }
  Action on_data(filter::ConnectionHost&, Slices&, bool) override { return Action::kContinue; }

 private:
  const Config& config_;
  event::Lane& lane_;
};

}  // namespace
}  // namespace weir::filters::network_local_ratelimit

namespace weir::plugins {
void network_filter_local_ratelimit(filter::RegistryBuilder& registry) {
  using namespace filters::network_local_ratelimit;
  registry.add(filter::describe_network_filter<Config, Filter>("envoy.filters.network.local_ratelimit"));
}
}  // namespace weir::plugins
