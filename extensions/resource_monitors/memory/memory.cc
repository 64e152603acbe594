// envoy.resource_monitors.fixed_heap: what the program has of its heap, against a fixed size.
// envoy.resource_monitors.cgroup_memory: what its control group uses, against the group's limit or a lower one.
#include <malloc.h>

#include <algorithm>

#include "core/filter/register.h"
#include "core/filter/resource_monitor.h"
#include "envoy/extensions/resource_monitors/cgroup_memory/v3/cgroup_memory.pb.h"
#include "envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap.pb.h"
#include "extensions/resource_monitors/common/system_files.h"

namespace weir::extensions::resource_monitors {
namespace {

namespace heap_pb = envoy::extensions::resource_monitors::fixed_heap::v3;
namespace cgroup_pb = envoy::extensions::resource_monitors::cgroup_memory::v3;

class HeapMonitor final : public filter::ResourceMonitor {
 public:
  explicit HeapMonitor(uint64_t max) : max_(max) {}
  Result<double> pressure() override {
    const struct mallinfo2 heap = mallinfo2();
    return static_cast<double>(heap.uordblks + heap.hblkhd) / static_cast<double>(max_);
  }

 private:
  const uint64_t max_;
};

class HeapConfig final : public filter::ResourceMonitorConfig {
 public:
  explicit HeapConfig(uint64_t max) : max_(max) {}
  static Result<std::shared_ptr<const filter::ResourceMonitorConfig>> from_proto(const heap_pb::FixedHeapConfig& proto,
                                                                                 filter::FactoryScope&) {
    return std::make_shared<const HeapConfig>(proto.max_heap_size_bytes());
  }
  std::unique_ptr<filter::ResourceMonitor> make() const override { return std::make_unique<HeapMonitor>(max_); }

 private:
  const uint64_t max_;
};

class GroupMonitor final : public filter::ResourceMonitor {
 public:
  explicit GroupMonitor(uint64_t max) : max_(max) {
    group_ = find_control_group(read_small_file("/proc/self/cgroup").value_or(""), "/sys/fs/cgroup", "memory",
                                "memory.current", "memory.usage_in_bytes");
  }
  Result<double> pressure() override {
    if (group_.directory.empty()) return unavailable("the process is in no control group that counts memory");
    const char* usage_name = group_.unified ? "/memory.current" : "/memory.usage_in_bytes";
    const char* limit_name = group_.unified ? "/memory.max" : "/memory.limit_in_bytes";
    const auto usage = leading_number(read_small_file(group_.directory + usage_name).value_or(""));
    if (!usage) return unavailable("cannot read " + group_.directory + usage_name);
    // "max": none.
    const auto limit = leading_number(read_small_file(group_.directory + limit_name).value_or(""));
    uint64_t max = limit.value_or(UINT64_MAX);
    if (max_ != 0) max = std::min(max, max_);
    return max == 0 ? 1.0 : static_cast<double>(*usage) / static_cast<double>(max);
  }

 private:
  const uint64_t max_;  // 0: the group's limit alone
  ControlGroup group_;
};

class GroupConfig final : public filter::ResourceMonitorConfig {
 public:
  explicit GroupConfig(uint64_t max) : max_(max) {}
  static Result<std::shared_ptr<const filter::ResourceMonitorConfig>> from_proto(
      const cgroup_pb::CgroupMemoryConfig& proto, filter::FactoryScope&) {
    return std::make_shared<const GroupConfig>(proto.max_memory_bytes());
  }
  std::unique_ptr<filter::ResourceMonitor> make() const override { return std::make_unique<GroupMonitor>(max_); }

 private:
  const uint64_t max_;
};

}  // namespace
}  // namespace weir::extensions::resource_monitors

namespace weir::plugins {
void resource_monitor_memory(filter::RegistryBuilder& registry) {
  using namespace extensions::resource_monitors;
  registry.add(
      filter::describe_extension<HeapConfig>(filter::kResourceMonitorKind, "envoy.resource_monitors.fixed_heap"));
  registry.add(
      filter::describe_extension<GroupConfig>(filter::kResourceMonitorKind, "envoy.resource_monitors.cgroup_memory"));
}
}  // namespace weir::plugins
