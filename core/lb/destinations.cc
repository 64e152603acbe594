#include "core/lb/destinations.h"

#include <string_view>
#include <unordered_map>

namespace weir::lb {
namespace {

class Destinations final : public Table {
 public:
  explicit Destinations(const BuildInput& input) {
    places_.reserve(input.usable.size());
    for (HostIndex index : input.usable) places_.emplace(input.hosts[index].host->text(), index);
  }
  HostIndex pick(const PickInput& input, LaneView&, LaneState&) const noexcept override {
    const auto at = places_.find(input.name);
    return at != places_.end() ? at->second : kNoHost;
  }

 private:
  std::unordered_map<std::string_view, HostIndex> places_;  // names are those of the hosts
};

}  // namespace

const PolicyDescriptor& destination_policy() {
  static const PolicyDescriptor kDescriptor = [] {
    PolicyDescriptor descriptor;
    descriptor.name = "by destination";
    descriptor.build = [](const BuildInput& input, const void*) -> std::unique_ptr<const Table> {
      return std::make_unique<Destinations>(input);
    };
    return descriptor;
  }();
  return kDescriptor;
}

}  // namespace weir::lb
