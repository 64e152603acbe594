// Sends everything to the first host, in the order of their addresses, that this request has not tried yet.
// Configuration: none, or "last" to begin at the other end.
#include <algorithm>
#include <vector>
#include <weir/sdk/load_balancer.hpp>

namespace {

struct Config {
  bool last = false;
  static weir::sdk::Result<Config> parse(std::string_view text) {
    if (!text.empty() && text != "last")
      return weir::sdk::Error{"'" + std::string(text) + "': allowed are nothing and \"last\""};
    return Config{text == "last"};
  }
};

class FirstHost : public weir::sdk::LoadBalancer<FirstHost, Config> {
 public:
  FirstHost(const Config& config, const weir::sdk::Endpoints& endpoints) {
    for (uint32_t place = 0; place < endpoints.size(); ++place) order_.push_back(place);
    std::sort(order_.begin(), order_.end(),
              [&](uint32_t a, uint32_t b) { return endpoints[a].address < endpoints[b].address; });
    if (config.last) std::reverse(order_.begin(), order_.end());
  }

  uint32_t pick(const weir::sdk::PickInput& input) const noexcept {
    for (uint32_t place : order_) {
      if (!input.excluded(place)) return place;
    }
    return order_.empty() ? weir::sdk::kNoEndpoint : order_.front();
  }

 private:
  std::vector<uint32_t> order_;
};

}  // namespace

WEIR_PLUGIN_EXPORT("weir.examples.first_host_lb/1", FirstHost)
