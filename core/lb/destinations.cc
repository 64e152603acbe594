#include "core/lb/destinations.h"

#include <string_view>
#include <unordered_map>

namespace weir::lb {

size_t AddressHash::operator()(const net::Address& address) const noexcept {
  const std::string_view ip(reinterpret_cast<const char*>(address.ip_bytes()), address.ip_size());
  return std::hash<std::string_view>()(ip) * 65599 + address.port();
}

namespace {

class Destinations final : public Table {
 public:
  explicit Destinations(const BuildInput& input) {
    for (HostIndex index : input.usable) places_.emplace(input.hosts[index].host->address(), index);
  }
  HostIndex pick(const PickInput& input, LaneView&, LaneState&) const noexcept override {
    if (input.destination == nullptr) return kNoHost;
    const auto at = places_.find(*input.destination);
    return at != places_.end() ? at->second : kNoHost;
  }

 private:
  std::unordered_map<net::Address, HostIndex, AddressHash> places_;
};

}  // namespace

const PolicyDescriptor& destination_policy() {
  static const PolicyDescriptor policy = [] {
    PolicyDescriptor made;
    made.name = "envoy.load_balancing_policies.cluster_provided";
    made.build = [](const BuildInput& input, const void*) { return std::make_unique<Destinations>(input); };
    return made;
  }();
  return policy;
}

}  // namespace weir::lb
