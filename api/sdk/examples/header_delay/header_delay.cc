// Holds each request for a while, then lets it go on with a header that says so; marks the response too. Configuration:
// how many milliseconds, as a number. A route may say another number; a request may ask for less (x-delay-ms).
#include <charconv>
#include <weir/sdk/http_filter.hpp>

namespace {

// false: not a number of at most a minute.
bool read_ms(std::string_view text, uint32_t& ms) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  return error == std::errc() && end == text.data() + text.size() && ms <= 60'000;
}

struct Config {
  uint32_t delay_ms = 0;
  weir::sdk::Counter delayed;

  static weir::sdk::Result<Config> parse(std::string_view text, weir::sdk::ConfigScope& scope) {
    Config config;
    if (!read_ms(text, config.delay_ms)) {
      return weir::sdk::Error{"'" + std::string(text) + "' is no number of milliseconds; allowed are 0 to 60000"};
    }
    config.delayed = scope.counter("header_delay.delayed");
    return config;
  }
};

class HeaderDelay : public weir::sdk::HttpFilter<HeaderDelay, Config> {
 public:
  using HttpFilter::HttpFilter;

  weir::sdk::Action on_request_headers(weir::sdk::Request& request) {
    delay_ms_ = config().delay_ms;
    if (auto route = request.route_config()) read_ms(*route, delay_ms_);
    uint32_t wish;
    if (auto header = request.header("x-delay-ms"); header && read_ms(*header, wish) && wish < delay_ms_)
      delay_ms_ = wish;
    if (delay_ms_ == 0) return go_on(request);
    if (!request.arm_timer(0, delay_ms_)) return request.reply(503, "no timer\n");
    return weir::sdk::Action::kPause;
  }

  void on_timer(uint32_t) {
    stream().count(config().delayed);
    weir::sdk::Request request(stream().handle(), false);
    go_on(request);
    stream().resume_request();
  }

  weir::sdk::Action on_response_headers(weir::sdk::Response& response) {
    response.add_header("x-delayed-ms", std::to_string(delay_ms_));
    return weir::sdk::Action::kContinue;
  }

 private:
  weir::sdk::Action go_on(weir::sdk::Request& request) {
    request.remove_header("x-delay-ms");
    request.set_header("x-delayed-ms", std::to_string(delay_ms_));
    return weir::sdk::Action::kContinue;
  }
  uint32_t delay_ms_ = 0;
};

}  // namespace

WEIR_PLUGIN_EXPORT("weir.examples.header_delay/1", HeaderDelay)
