#include "core/lb/by_name.h"

#include <absl/strings/ascii.h>

#include <map>
#include <utility>
#include <vector>

#include "core/base/text_map.h"

namespace weir::lb {
namespace {

class ByNameTable final : public Table {
 public:
  ByNameTable(const BuildInput& input, const ByName& config) {
    std::map<std::string, std::vector<HostIndex>> names;
    for (HostIndex index : input.usable) names[name_key_of(input.hosts[index])].push_back(index);
    hosts_.reserve(names.size());
    for (auto& [name, members] : names) {
      Entry& entry = hosts_[name];
      entry.first = members.front();
      if (config.within == nullptr || members.size() == 1) continue;
      const std::vector<double> shares(members.size(), 1.0 / static_cast<double>(members.size()));
      entry.table = config.within->build({input.hosts, members, shares}, config.config.get());
      if (entry.table == nullptr) continue;
      entry.state = states_;
      states_ += entry.table->lane_states();
    }
  }

  HostIndex pick(const PickInput& input, LaneView& view, LaneState& state) const noexcept override {
    const auto at = hosts_.find(input.name);
    if (at == hosts_.end()) return kNoHost;
    const Entry& entry = at->second;
    return entry.table != nullptr && !input.only_asks ? entry.table->pick(input, view, (&state)[entry.state])
                                                      : entry.first;
  }
  uint32_t lane_states() const override { return std::max<uint32_t>(1, states_); }

 private:
  struct Entry {
    HostIndex first = kNoHost;
    std::unique_ptr<const Table> table;  // null: that one
    uint32_t state = 0;
  };
  TextMap<Entry> hosts_;
  uint32_t states_ = 0;
};

PolicyDescriptor describe(std::string_view name) {
  PolicyDescriptor descriptor;
  descriptor.name = name;
  descriptor.build = [](const BuildInput&, const void*) { return std::unique_ptr<const Table>(); };
  return descriptor;
}

}  // namespace

const PolicyDescriptor& by_name() {
  static const PolicyDescriptor kDescriptor = [] {
    PolicyDescriptor descriptor = describe("by name");
    descriptor.build = [](const BuildInput& input, const void* config) -> std::unique_ptr<const Table> {
      static const ByName kSingle;
      return std::make_unique<ByNameTable>(input, config != nullptr ? *static_cast<const ByName*>(config) : kSingle);
    };
    return descriptor;
  }();
  return kDescriptor;
}

const PolicyDescriptor& no_policy() {
  static const PolicyDescriptor kDescriptor = describe("none");
  return kDescriptor;
}

std::string name_key(std::string_view host, uint16_t port) {
  std::string key;
  key.reserve(host.size() + 6);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  for (char c : host) key += absl::ascii_tolower(c);
  return key.append(":").append(std::to_string(port));
}

std::string name_key_of(const HostEntry& entry) { return name_key(entry.host->hostname(), entry.address().port()); }

}  // namespace weir::lb
