// envoy.filters.network.echo: gives clients back what they send.
#include "core/filter/network_filter.h"
#include "core/filter/registry.h"
#include "envoy/extensions/filters/network/echo/v3/echo.pb.h"

namespace weir::filters::echo {
namespace {

// How long a client may take none of the last bytes.
constexpr Duration kFlushStall = 1min;

struct Settings {
  uint32_t buffer_limit;
};

class Echo final : public filter::NetworkFilter {
 public:
  Echo(const Settings& settings, event::Lane& lane) : settings_(settings), lane_(lane) {}
  filter::Action on_new_connection(filter::ConnectionHost& host) override {
    host.connection().set_watermarks(settings_.buffer_limit, settings_.buffer_limit / 2);
    return filter::Action::kContinue;
  }
  filter::Action on_data(filter::ConnectionHost& host, Slices& data, bool) override {
    net::Connection& connection = host.connection();
    if (!data.empty()) {
      connection.out().append_compact(data, lane_.blocks());
      connection.flush_later();
    }
    if (connection.peer_ended()) connection.close_after_flush(Duration::zero(), kFlushStall);
    return filter::Action::kContinue;
  }
  // A client that does not read is not read from.
  void on_above_high_watermark(filter::ConnectionHost& host) override {
    host.connection().block_read(net::ReadBlock::kWatermark);
  }
  void on_below_low_watermark(filter::ConnectionHost& host) override {
    host.connection().unblock_read(net::ReadBlock::kWatermark);
  }
  void on_drain(filter::ConnectionHost& host) override {
    host.connection().close_after_flush(Duration::zero(), kFlushStall);
  }

 private:
  const Settings& settings_;
  event::Lane& lane_;
};

}  // namespace
}  // namespace weir::filters::echo

namespace weir::plugins {

void network_filter_echo(filter::RegistryBuilder& registry) {
  using namespace filters::echo;
  filter::NetworkFilterDescriptor descriptor;
  descriptor.name = "envoy.filters.network.echo";
  descriptor.type = "envoy.extensions.filters.network.echo.v3.Echo";
  descriptor.terminal = true;
  descriptor.make = [](const filter::ConfigPtr& config, event::Lane& lane) -> std::unique_ptr<filter::NetworkFilter> {
    return std::make_unique<Echo>(*static_cast<const Settings*>(config.get()), lane);
  };
  descriptor.make_config = [](const google::protobuf::Message&,
                              filter::FactoryScope& scope) -> Result<filter::ConfigPtr> {
    return filter::ConfigPtr(std::make_shared<Settings>(Settings{scope.buffer_limit()}));
  };
  registry.add(std::move(descriptor));
}

}  // namespace weir::plugins
