// Frames of a server through the client's codec, which has sent three requests. The first byte chooses options, the
// second seeds the cuts. Checked besides crashes: the same events however the bytes are cut, and no line break in any
// field.
#include <cstdint>
#include <random>
#include <string>

#include "test/fuzz/http2_recorder.h"

namespace {

using namespace weir;
using namespace weir::http;
using fuzz::Http2Recorder;
using fuzz::require;

class Client final : public Http2Recorder, public h2::ClientCodec::Events {
 public:
  explicit Client(const h2::Options& options) : codec(*this, blocks, options) {}
  ~Client() { codec.stop(); }

  void request(std::string_view method, bool end) {
    auto& exchange = make();
    HeaderMap map(exchange.arena);
    map.add(HeaderId::kMethod, method);
    map.add(HeaderId::kScheme, "http");
    map.add(HeaderId::kAuthority, "a:1");
    map.add(HeaderId::kPath, "/");
    require(codec.send_request_head(exchange, map, end), "a request is not sent");
  }

  HeaderMap& begin_response(h2::Stream& stream, int status) override {
    return status < 200 && status != 101 ? of(stream).interim : of(stream).head;
  }
  void on_informational(h2::Stream& stream, const h2::ResponseHead& head) override {
    require(head.status / 100 == 1, "not informational");
    of(stream).text += " informational";
    of(stream).interim.clear();
  }
  void on_response_head(h2::Stream& stream, const h2::ResponseHead& head) override {
    auto& exchange = of(stream);
    fuzz::check_fields(exchange.head);
    exchange.text += " head " + std::to_string(head.status) + (head.end ? " end\n" : "\n") + fields(exchange.head);
  }
  void on_response_data(h2::Stream& stream, Slices& data, bool end) override { Http2Recorder::data(stream, data, end); }
  HeaderMap& begin_trailers(h2::Stream& stream) override { return of(stream).trailers; }
  void on_response_trailers(h2::Stream& stream, HeaderMap& trailers) override {
    fuzz::check_fields(trailers);
    of(stream).text += " trailers " + fields(trailers);
  }
  void on_stream_closed(h2::Stream& stream, const h2::StreamEnd& end) override { closed(stream, end); }
  void on_stream_flow(h2::Stream&, bool) override {}
  void on_ping_answered() override {}
  void on_goaway(int32_t, h2::ErrorCode) override { left = true; }
  void on_settings() override {}
  void on_connection_error(h2::Error error) override {
    failure = std::string("failed ") + std::string(error_name(error));
  }
  void want_flush() override {}

  h2::ClientCodec codec;
};

std::string run(std::string_view text, const h2::Options& options, std::mt19937_64* cuts) {
  Client client(options);
  client.request("GET", true);
  client.request("HEAD", true);
  client.request("POST", false);
  Slices out;
  client.codec.flush(out, 1 << 20);
  std::string all(9, '\0');
  all[3] = 4;  // SETTINGS
  all += text;
  fuzz::feed(client.codec, client.blocks, all, cuts);
  client.codec.flush(out, 1 << 20);
  return client.told();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 20000) return 0;
  h2::Options options;
  options.stream_errors = (data[0] & 1) != 0;
  if ((data[0] & 8) != 0) {
    options.max_head_bytes = 100;
    options.max_header_count = 6;
    options.stream_window = options.connection_window = 65535;
  }
  std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::mt19937_64 random(data[1]);
  const std::string whole = run(text, options, nullptr);
  for (const char* word : {"outbound", "stray", fuzz::Http2Recorder::kAfterGoaway}) {
    if (whole.find(word) != std::string::npos) return 0;
  }
  const std::string cut = run(text, options, &random);
  require(whole == cut, "cutting changed the events", whole, cut);
  return 0;
}
