// A load balancer in one class. DRAFT.
//
//   struct Config { static weir::sdk::Result<Config> parse(std::string_view text); };
//   class Nearest : public weir::sdk::LoadBalancer<Nearest, Config> {
//    public:
//     Nearest(const Config& config, const weir::sdk::Endpoints& endpoints);            // [main] copies what it needs
//     uint32_t pick(const weir::sdk::PickInput& input) const noexcept;                 // [worker]
//   };
//   WEIR_PLUGIN_EXPORT("com.example.nearest/1", Nearest)
//
// An object is one table: built whenever hosts or their health change, read by all workers at once, never written.
#pragma once

#include "weir/sdk/plugin.hpp"

namespace weir {
namespace sdk __attribute__((visibility("hidden"))) {

constexpr uint32_t kNoEndpoint = WEIR_NO_ENDPOINT;

struct Endpoint {
  std::string_view address, hostname, zone;
  uint32_t weight, health, priority;
};

// Valid during the constructor only.
class Endpoints {
 public:
  explicit Endpoints(const weir_endpoints& raw) : raw_(raw) {}
  uint32_t size() const { return raw_.count; }
  Endpoint operator[](uint32_t place) const {
    const auto& raw = *reinterpret_cast<const weir_endpoint*>(reinterpret_cast<const char*>(raw_.items) + size_t{place} * raw_.stride);
    return {internal::view(raw.address), internal::view(raw.hostname), internal::view(raw.zone), raw.weight, raw.health, raw.priority};
  }

 private:
  const weir_endpoints& raw_;
};

class PickInput {
 public:
  explicit PickInput(const weir_pick_input& raw) : raw_(raw) {}
  uint32_t attempt() const { return raw_.attempt; }
  bool has_hash() const { return raw_.has_hash != 0; }
  uint64_t hash() const { return raw_.hash; }
  uint64_t random() const { return raw_.random; }
  // A word of this worker's own, for a position in a rotation.
  uint64_t& lane_state() const { return *raw_.lane_state; }
  bool excluded(uint32_t place) const {
    for (uint32_t i = 0; i < raw_.excluded_count; ++i) {
      if (raw_.excluded[i] == place) return true;
    }
    return false;
  }
  int64_t in_flight(uint32_t place) const {
    int64_t requests = 0;
    api().pick_in_flight(raw_.pick, place, &requests);
    return requests;
  }

 private:
  const weir_pick_input& raw_;
};

template <class Derived, class ConfigType>
class LoadBalancer {
 public:
  using Config = ConfigType;
};

namespace internal {

template <class Derived>
struct LbThunks {
  using Config = typename Derived::Config;
  static int32_t config_create(weir_scope handle, weir_bytes name, weir_bytes text, void** out) noexcept {
    WEIR_SDK_TRY {
      ConfigScope scope(handle, view(name));
      Result<Config> made = parse<Config>(view(text), scope);
      if (!made) return refuse(handle, made.error());
      *out = new Config(std::move(*made));
      return WEIR_OK;
    }
    WEIR_SDK_CATCH_ALL(return refuse(handle, Error{"an exception was thrown while the configuration was read"});)
  }
  static void config_destroy(void* config) noexcept { delete static_cast<Config*>(config); }
  static int32_t build(void* config, const weir_endpoints* endpoints, void** table) noexcept {
    WEIR_SDK_TRY {
      *table = new Derived(*static_cast<const Config*>(config), Endpoints(*endpoints));
      return WEIR_OK;
    }
    WEIR_SDK_CATCH_ALL(log(LogLevel::kError, "building a table threw an exception"); return WEIR_FAILED;)
  }
  static uint32_t pick(const void* table, const weir_pick_input* input) noexcept {
    WEIR_SDK_TRY { return static_cast<const Derived*>(table)->pick(PickInput(*input)); }
    WEIR_SDK_CATCH_ALL(return kNoEndpoint;)
  }
  static void table_destroy(void* table) noexcept { delete static_cast<Derived*>(table); }
  static constexpr weir_load_balancer kTable = {sizeof(weir_load_balancer), 0, &config_create, &config_destroy, &build, &pick, &table_destroy};
};

template <class T>
concept IsLoadBalancer = requires(T* t) { []<class C>(LoadBalancer<T, C>*) {}(t); };

template <IsLoadBalancer T>
struct TableOf<T> {
  static constexpr const weir_http_filter* http_filter = nullptr;
  static constexpr const weir_load_balancer* load_balancer = &LbThunks<T>::kTable;
};

}  // namespace internal
}  // namespace sdk
}  // namespace weir
