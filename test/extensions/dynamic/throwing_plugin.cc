// A filter over the SDK that throws in the hook named by its configuration.
#include <stdexcept>
#include <weir/sdk/http_filter.hpp>

namespace {

struct Config {
  std::string where;
  static weir::sdk::Result<Config> parse(std::string_view text) {
    if (text == "parse") throw std::runtime_error("parse");
    return Config{std::string(text)};
  }
};

class Throwing : public weir::sdk::HttpFilter<Throwing, Config> {
 public:
  Throwing(weir_stream handle, const Config& config) : HttpFilter(handle, config) { at("create"); }

  weir::sdk::Action on_request_headers(weir::sdk::Request&) {
    at("request_headers");
    if (config().where == "timer") {
      stream().arm_timer(7, 1);
      return weir::sdk::Action::kPause;
    }
    if (config().where == "posted") {
      stream().poster().post(1);
      return weir::sdk::Action::kPause;
    }
    return weir::sdk::Action::kContinue;
  }
  weir::sdk::Action on_request_data(weir::sdk::Body&) { return at("request_data"); }
  weir::sdk::Action on_request_trailers(weir::sdk::Headers&) { return at("request_trailers"); }
  weir::sdk::Action on_response_headers(weir::sdk::Response&) { return at("response_headers"); }
  weir::sdk::Action on_response_data(weir::sdk::Body&) { return at("response_data"); }
  weir::sdk::Action on_response_trailers(weir::sdk::Headers&) { return at("response_trailers"); }
  void on_timer(uint32_t) { at("timer"); }
  void on_posted(uint64_t) { at("posted"); }
  void on_complete() { at("complete"); }

 private:
  weir::sdk::Action at(std::string_view where) {
    if (where == config().where) throw std::runtime_error("thrown on purpose");
    return weir::sdk::Action::kContinue;
  }
};

}  // namespace

WEIR_PLUGIN_EXPORT("weir.test.throwing/1", Throwing)
