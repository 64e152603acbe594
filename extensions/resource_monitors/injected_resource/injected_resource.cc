// envoy.resource_monitors.injected_resource: the pressure that somebody else writes into a file, for rehearsals.
#include <charconv>

#include "core/filter/register.h"
#include "core/filter/resource_monitor.h"
#include "envoy/extensions/resource_monitors/injected_resource/v3/injected_resource.pb.h"
#include "extensions/resource_monitors/common/system_files.h"

namespace weir::extensions::resource_monitors {
namespace {

namespace pb = envoy::extensions::resource_monitors::injected_resource::v3;

class Monitor final : public filter::ResourceMonitor {
 public:
  explicit Monitor(std::string path) : path_(std::move(path)) {}
  Result<double> pressure() override {
    const auto text = read_small_file(path_);
    if (!text) return unavailable("cannot read " + path_);
    double value = 0;
    auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || !(value >= 0 && value <= 1))
      return invalid(path_ + " holds no number between 0 and 1: \"" + text->substr(0, 40) + "\"");
    return value;
  }

 private:
  const std::string path_;
};

class Config final : public filter::ResourceMonitorConfig {
 public:
  explicit Config(std::string path) : path_(std::move(path)) {}
  static Result<std::shared_ptr<const filter::ResourceMonitorConfig>> from_proto(
      const pb::InjectedResourceConfig& proto, filter::FactoryScope& scope) {
    if (proto.filename().empty()) {
      scope.error("filename", "must not be empty: the file holds a number between 0 and 1");
      return nullptr;
    }
    return std::make_shared<const Config>(proto.filename());
  }
  std::unique_ptr<filter::ResourceMonitor> make() const override { return std::make_unique<Monitor>(path_); }

 private:
  const std::string path_;
};

}  // namespace
}  // namespace weir::extensions::resource_monitors

namespace weir::plugins {
void resource_monitor_injected_resource(filter::RegistryBuilder& registry) {
  registry.add(filter::describe_extension<extensions::resource_monitors::Config>(
      filter::kResourceMonitorKind, "envoy.resource_monitors.injected_resource"));
}
}  // namespace weir::plugins
