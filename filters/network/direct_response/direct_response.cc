// envoy.filters.network.direct_response: says what it was told to say, and closes.
#include <string>

#include "core/filter/network_filter.h"
#include "core/filter/registry.h"
#include "envoy/extensions/filters/network/direct_response/v3/config.pb.h"

namespace weir::filters::direct_response {
namespace {

namespace pb = envoy::extensions::filters::network::direct_response::v3;

constexpr size_t kMaxBytes = 1024 * 1024;
// How long a client may go on sending, so that the last bytes to it are not destroyed by a reset; and how long it may
// take none of them.
constexpr Duration kLinger = 1s;
constexpr Duration kFlushStall = 1min;

struct Settings {
  std::string response;
};

class DirectResponse final : public filter::NetworkFilter {
 public:
  explicit DirectResponse(const Settings& settings) : settings_(settings) {}
  filter::Action on_new_connection(filter::ConnectionHost& host) override {
    // The text outlives the connection, which pins its listener.
    host.connection().out().append(Slice::of_static(settings_.response));
    host.connection().close_after_flush(kLinger, kFlushStall);
    return filter::Action::kContinue;
  }
  filter::Action on_data(filter::ConnectionHost&, Slices& data, bool) override {
    data.clear();
    return filter::Action::kContinue;
  }

 private:
  const Settings& settings_;
};

}  // namespace
}  // namespace weir::filters::direct_response

namespace weir::plugins {

void network_filter_direct_response(filter::RegistryBuilder& registry) {
  using namespace filters::direct_response;
  filter::NetworkFilterDescriptor descriptor;
  descriptor.name = "envoy.filters.network.direct_response";
  descriptor.type = "envoy.extensions.filters.network.direct_response.v3.Config";
  descriptor.terminal = true;
  descriptor.make = [](const filter::ConfigPtr& config, event::Lane&) -> std::unique_ptr<filter::NetworkFilter> {
    return std::make_unique<DirectResponse>(*static_cast<const Settings*>(config.get()));
  };
  descriptor.make_config = [](const google::protobuf::Message& message,
                              filter::FactoryScope& scope) -> Result<filter::ConfigPtr> {
    const auto& proto = static_cast<const pb::Config&>(message);
    auto settings = std::make_shared<Settings>();
    if (proto.has_response()) {
      if (auto text = scope.read_source(proto.response(), "response", kMaxBytes)) settings->response = std::move(*text);
    }
    return filter::ConfigPtr(std::move(settings));
  };
  registry.add(std::move(descriptor));
}

}  // namespace weir::plugins
