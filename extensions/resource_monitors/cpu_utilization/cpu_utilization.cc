// envoy.resource_monitors.cpu_utilization: the share of the processors that is busy, of the machine or of the control
// group's quota, smoothed.
#include <algorithm>
#include <charconv>
#include <utility>

#include "core/base/time.h"
#include "core/filter/register.h"
#include "core/filter/resource_monitor.h"
#include "envoy/extensions/resource_monitors/cpu_utilization/v3/cpu_utilization.pb.h"
#include "extensions/resource_monitors/common/system_files.h"

namespace weir::extensions::resource_monitors {
namespace {

namespace pb = envoy::extensions::resource_monitors::cpu_utilization::v3;

// Busy time and all time so far, in one unit.
struct Times {
  double busy = 0;
  double all = 0;
};

// The first line of /proc/stat: "cpu  user nice system idle iowait irq softirq steal ...".
Result<Times> host_times() {
  const std::string text = read_small_file("/proc/stat").value_or("");
  if (!text.starts_with("cpu ")) return unavailable("cannot read /proc/stat");
  std::string_view line(text);
  line = line.substr(4, line.find('\n') - 4);
  Times times;
  for (int i = 0; i < 8 && !line.empty(); ++i) {
    while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    uint64_t value = 0;
    auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc()) break;
    line.remove_prefix(static_cast<size_t>(end - line.data()));
    times.all += static_cast<double>(value);
    if (i != 3 && i != 4) times.busy += static_cast<double>(value);  // neither idle nor waiting
  }
  return times;
}

class GroupTimes {
 public:
  GroupTimes()
      : group_(find_control_group(read_small_file("/proc/self/cgroup").value_or(""), "/sys/fs/cgroup", "cpu",
                                  "cpu.stat", "cpu.cfs_quota_us")) {}
  // In seconds; all: those that the quota allowed.
  Result<Times> read() {
    if (group_.directory.empty()) return unavailable("the process is in no control group that counts CPU time");
    double used = 0, processors = 0;
    if (group_.unified) {
      const std::string stat = read_small_file(group_.directory + "/cpu.stat").value_or("");
      constexpr std::string_view kUsage = "usage_usec ";
      const size_t at = stat.find(kUsage);
      const auto usage =
          at != std::string::npos ? leading_number(std::string_view(stat).substr(at + kUsage.size())) : std::nullopt;
      if (!usage) return unavailable("cannot read " + group_.directory + "/cpu.stat");
      used = static_cast<double>(*usage) / 1e6;
      const std::string max = read_small_file(group_.directory + "/cpu.max").value_or("");
      const auto quota = leading_number(max);
      const size_t space = max.find(' ');
      const auto period =
          space != std::string::npos ? leading_number(std::string_view(max).substr(space + 1)) : std::nullopt;
      if (quota && period && *period > 0) processors = static_cast<double>(*quota) / static_cast<double>(*period);
    } else {
      const auto usage = leading_number(read_small_file("/sys/fs/cgroup/cpuacct/cpuacct.usage").value_or(""));
      const auto quota = leading_number(read_small_file(group_.directory + "/cpu.cfs_quota_us").value_or(""));
      const auto period = leading_number(read_small_file(group_.directory + "/cpu.cfs_period_us").value_or(""));
      if (!usage) return unavailable("cannot read /sys/fs/cgroup/cpuacct/cpuacct.usage");
      used = static_cast<double>(*usage) / 1e9;
      if (quota && period && *period > 0) processors = static_cast<double>(*quota) / static_cast<double>(*period);
    }
    if (processors <= 0) return unavailable("the control group has no quota; mode HOST tells how busy the machine is");
    const MonoTime now = system_clock().mono_now();
    if (last_ != MonoTime()) all_ += std::chrono::duration<double>(now - last_).count() * processors;
    last_ = now;
    return Times{used, all_};
  }

 private:
  const ControlGroup group_;
  MonoTime last_{};
  double all_ = 0;
};

class Monitor final : public filter::ResourceMonitor {
 public:
  explicit Monitor(bool container) : container_(container) {}
  Result<double> pressure() override {
    auto times = container_ ? group_.read() : host_times();
    if (!times.ok()) return times.status();
    const Times before = last_;
    last_ = *times;
    if (!std::exchange(begun_, true) || times->all <= before.all) return smoothed_;
    const double share = std::clamp((times->busy - before.busy) / (times->all - before.all), 0.0, 1.0);
    // Moments of much work are no overload: what counts is the weighted mean of the last readings.
    constexpr double kWeight = 0.05;
    smoothed_ += kWeight * (share - smoothed_);
    return smoothed_;
  }

 private:
  const bool container_;
  GroupTimes group_;
  bool begun_ = false;
  Times last_;
  double smoothed_ = 0;
};

class Config final : public filter::ResourceMonitorConfig {
 public:
  explicit Config(bool container) : container_(container) {}
  static Result<std::shared_ptr<const filter::ResourceMonitorConfig>> from_proto(const pb::CpuUtilizationConfig& proto,
                                                                                 filter::FactoryScope&) {
    return std::make_shared<const Config>(proto.mode() == pb::CpuUtilizationConfig::CONTAINER);
  }
  std::unique_ptr<filter::ResourceMonitor> make() const override { return std::make_unique<Monitor>(container_); }

 private:
  const bool container_;
};

}  // namespace
}  // namespace weir::extensions::resource_monitors

namespace weir::plugins {
void resource_monitor_cpu_utilization(filter::RegistryBuilder& registry) {
  registry.add(filter::describe_extension<extensions::resource_monitors::Config>(
      filter::kResourceMonitorKind, "envoy.resource_monitors.cpu_utilization"));
}
}  // namespace weir::plugins
