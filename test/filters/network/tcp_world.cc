#include "test/filters/network/tcp_world.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <utility>

#include "filters/network/tcp_proxy/config.h"

namespace weir::test {
namespace {

using SetState = std::function<void(stream::FilterState&)>;

// Stands in front and leaves something in the filter state.
class Before final : public filter::NetworkFilter {
 public:
  explicit Before(const SetState& set) : set_(set) {}
  filter::Action on_new_connection(filter::ConnectionHost& host) override {
    set_(host.info().make_filter_state());
    return filter::Action::kContinue;
  }
  filter::Action on_data(filter::ConnectionHost&, Slices&, bool) override { return filter::Action::kContinue; }

 private:
  const SetState& set_;
};

const filter::NetworkFilterDescriptor& before_descriptor() {
  static const filter::NetworkFilterDescriptor descriptor = [] {
    filter::NetworkFilterDescriptor made;
    made.make = [](const filter::ConfigPtr& config, event::Lane&) -> std::unique_ptr<filter::NetworkFilter> {
      return std::make_unique<Before>(*static_cast<const SetState*>(config.get()));
    };
    return made;
  }();
  return descriptor;
}

}  // namespace

WorldOptions network_filter(const google::protobuf::Message& config) {
  std::shared_ptr<google::protobuf::Message> copy(config.New());
  copy->CopyFrom(config);
  return {.network_filters = [copy](PluginScope& plugins, stats::Store&, const auto&) {
    const auto* descriptor = PluginScope::registry().network_filter(copy->GetTypeName());
    return std::vector<proxy::NetworkFilterEntry>{{descriptor, plugins.network_filter(*copy)}};
  }};
}

WorldOptions tcp_proxy(const std::function<void(TcpProxyConfig&)>& configure, WorldOptions options, SetState before) {
  TcpProxyConfig proto;
  proto.set_stat_prefix("t");
  proto.set_cluster("c");
  if (configure) configure(proto);
  if (options.log_format.empty()) options.log_format = kTcpLog;
  options.network_filters = [proto, before = std::move(before)](PluginScope& plugins, stats::Store& store,
                                                                const std::shared_ptr<stream::AccessLogger>& logger) {
    std::vector<proxy::NetworkFilterEntry> entries;
    if (before) entries.push_back({&before_descriptor(), std::make_shared<SetState>(before)});
    auto settings = filters::tcp_proxy::read_settings(proto, plugins.scope());
    settings->stats = std::make_unique<filters::tcp_proxy::Stats>(store, "t");
    settings->access_logs.push_back(logger);
    entries.push_back({PluginScope::registry().network_filter(proto.GetTypeName()), settings});
    return entries;
  };
  return options;
}

bool pump(ProxyWorld& world, Peer& from, std::string_view bytes, Peer* to, std::string& received) {
  for (int idle = 0; idle < 50;) {
    const ssize_t n = bytes.empty() ? 0 : send(from.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
    world.settle(2);
    const std::string part = to != nullptr ? to->receive() : std::string();
    received += part;
    idle = n > 0 || !part.empty() ? 0 : idle + 1;
  }
  return bytes.empty();
}

}  // namespace weir::test
