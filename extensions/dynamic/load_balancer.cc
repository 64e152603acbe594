#include "extensions/dynamic/load_balancer.h"

#include "core/base/log.h"
#include "core/event/lane.h"
#include "extensions/dynamic/host_api.h"

namespace weir::extensions::dynamic {
namespace {

constexpr size_t kMaxExcluded = 16;

class PluginTable final : public lb::Table {
 public:
  PluginTable(std::shared_ptr<const LbConfig> config, void* table, const lb::BuildInput& input)
      : config_(std::move(config)),
        table_(table),
        hosts_(input.hosts),
        usable_(input.usable.begin(), input.usable.end()) {}
  ~PluginTable() override { config_->hooks().table_destroy(table_); }

  lb::HostIndex pick(const lb::PickInput& input, lb::LaneView& view, lb::LaneState& state) const noexcept override {
    uint32_t excluded[kMaxExcluded];
    PickScope scope(view, usable_);
    weir_pick_input plugin_input{};
    plugin_input.struct_size = sizeof(plugin_input);
    plugin_input.attempt = input.attempt;
    plugin_input.hash = input.hash;
    plugin_input.has_hash = input.has_hash;
    plugin_input.excluded = excluded;
    plugin_input.excluded_count = places_of(input.excluded, excluded);
    plugin_input.random = view.random.next();
    plugin_input.lane_state = &state.position;
    plugin_input.pick = scope.handle();
    uint32_t place = config_->hooks().pick(table_, &plugin_input);
    if (place < usable_.size()) return usable_[place];
    if (place != WEIR_NO_ENDPOINT) config_->note_error("picked an endpoint that it was not given");
    return lb::kNoHost;
  }

 private:
  // Only retries have hosts to avoid, so a search is good enough.
  uint32_t places_of(std::span<const lb::Host* const> hosts, uint32_t* places) const {
    uint32_t count = 0;
    for (const lb::Host* host : hosts) {
      for (uint32_t place = 0; place < usable_.size() && count < kMaxExcluded; ++place) {
        if (hosts_[usable_[place]].host.get() == host) places[count++] = place;
      }
    }
    return count;
  }

  const std::shared_ptr<const LbConfig> config_;
  void* const table_;
  const std::span<const lb::HostEntry> hosts_;
  const std::vector<lb::HostIndex> usable_;
};

}  // namespace

Result<std::shared_ptr<const LbConfig>> LbConfig::make(const Module& module, std::string_view name,
                                                       std::string_view text) {
  if (!module.has_load_balancer) return invalid("module: " + module.id + " has no load balancer");
  std::shared_ptr<LbConfig> config(new LbConfig(module));
  ConfigScope scope(nullptr);
  int32_t made =
      module.load_balancer.config_create(scope.handle(), bytes_of(name), bytes_of(text), &config->plugin_config_);
  config->created_ = made == WEIR_OK;
  std::string errors;
  for (const ConfigScope::Error& error : scope.errors) {
    errors += (errors.empty() ? "config" : "; config") + std::string(error.field.empty() ? "" : ".") + error.field +
              ": " + error.message;
  }
  if (!errors.empty()) return invalid(errors);
  if (made != WEIR_OK) return invalid("config: " + module.id + " refused its configuration without saying why");
  return std::shared_ptr<const LbConfig>(std::move(config));
}

LbConfig::~LbConfig() {
  [[maybe_unused]] event::Lane* lane = event::Lane::current();
  WEIR_ASSERT(lane == nullptr || lane->is_main());
  if (created_) hooks().config_destroy(plugin_config_);
}

std::unique_ptr<const lb::Table> LbConfig::build(const lb::BuildInput& input) const {
  if (input.usable.empty()) return nullptr;
  std::vector<weir_endpoint> endpoints;
  endpoints.reserve(input.usable.size());
  for (lb::HostIndex index : input.usable) {
    const lb::HostEntry& host = input.hosts[index];
    static_assert(static_cast<int>(lb::Health::kDraining) == WEIR_DRAINING &&
                  static_cast<int>(lb::Health::kDegraded) == WEIR_DEGRADED);
    endpoints.push_back({bytes_of(host.host->text()), bytes_of(host.host->hostname()), bytes_of(host.locality().zone),
                         host.weight, static_cast<uint32_t>(host.health), host.priority, 0});
  }
  weir_endpoints list = {endpoints.data(), static_cast<uint32_t>(endpoints.size()), sizeof(weir_endpoint)};
  void* table = nullptr;
  if (hooks().build(plugin_config_, &list, &table) != WEIR_OK) {
    WEIR_LOG(kError, "dynamic", "%s: build failed for %zu endpoints; the cluster has no host", module_.id.c_str(),
             endpoints.size());
    return nullptr;
  }
  return std::make_unique<PluginTable>(shared_from_this(), table, input);
}

void LbConfig::note_error(const char* what) const {
  if (!logged_.exchange(true, std::memory_order_relaxed)) {
    WEIR_LOG(kError, "dynamic", "%s: %s; further ones are not logged", module_.id.c_str(), what);
  }
}

}  // namespace weir::extensions::dynamic
