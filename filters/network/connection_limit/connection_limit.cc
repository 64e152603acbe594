// envoy.filters.network.connection_limit: so many connections of a filter chain at the same time, over all workers.
#include <algorithm>
#include <atomic>
#include <string>

#include "core/filter/config_translator.h"
#include "core/filter/duration.h"
#include "core/filter/register.h"
#include "envoy/extensions/filters/network/connection_limit/v3/connection_limit.pb.h"

namespace weir::filters::connection_limit {
namespace {

namespace pb = envoy::extensions::filters::network::connection_limit::v3;
using filter::Action;

struct Config {
  int64_t max = 0;
  Duration delay{};
  runtime::RuntimeFlag enabled{.default_value = true};
  stats::Counter limited;
  stats::Gauge active;
  mutable std::atomic<int64_t> connections{0};  // all lanes count here, once at each end of a connection

  static Result<std::shared_ptr<const Config>> from_proto(const pb::ConnectionLimit& proto,
                                                          filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    if (!proto.has_max_connections()) scope.error("max_connections", "is required: how many there may be");
    config->max = static_cast<int64_t>(std::min<uint64_t>(proto.max_connections().value(), INT64_MAX));
    config->delay = filter::to_duration(proto.delay());
    if (proto.has_runtime_enabled()) config->enabled = scope.translator().runtime_flag(proto.runtime_enabled());
    const std::string prefix = "connection_limit." + proto.stat_prefix() + ".";
    config->limited = scope.store().counter(prefix + "limited_connections");
    config->active = scope.store().gauge(prefix + "active_connections");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

// One per connection. [worker] What was refused waits for its delay, unread and not counted as active.
class Filter final : public filter::NetworkFilter, private event::Timer {
 public:
  Filter(const Config& config, event::Lane& lane) : config_(config), lane_(lane) {}

  Action on_new_connection(filter::ConnectionHost& host) override {
    if (!config_.enabled.get(lane_.slots())) return Action::kContinue;
    if (config_.connections.fetch_add(1, std::memory_order_relaxed) < config_.max) {
      counted_ = true;
      config_.active.inc();
      return Action::kContinue;
    }
    config_.connections.fetch_sub(1, std::memory_order_relaxed);
    config_.limited.inc();
    connection_ = &host.connection();
    if (config_.delay > Duration::zero()) {
      connection_->block_read(net::ReadBlock::kRefused);
      lane_.arm_in(*this, config_.delay);
    } else {
      connection_->close();
    }
    return Action::kDone;
  }
  Action on_data(filter::ConnectionHost&, Slices&, bool) override {
    return connection_ != nullptr ? Action::kDone : Action::kContinue;
  }
  void on_drain(filter::ConnectionHost&) override {
    if (connection_ != nullptr) connection_->close();
  }
  void on_closed(filter::ConnectionHost&, net::CloseReason) override {
    cancel();
    if (!counted_) return;
    config_.active.dec();
    config_.connections.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  void on_timer() override { connection_->close(); }

  const Config& config_;
  event::Lane& lane_;
  net::Connection* connection_ = nullptr;  // of one that was refused
  bool counted_ = false;
};

}  // namespace
}  // namespace weir::filters::connection_limit

namespace weir::plugins {
void network_filter_connection_limit(filter::RegistryBuilder& registry) {
  using namespace filters::connection_limit;
  registry.add(filter::describe_network_filter<Config, Filter>("envoy.filters.network.connection_limit"));
}
}  // namespace weir::plugins
