// Frames of a client through the server's codec. The first byte chooses options, the second seeds the cuts. Checked
// besides crashes: the same events however the bytes are cut, no line break in any field, and that what is written back
// ends with a whole frame.
#include <cstdint>
#include <random>
#include <string>

#include "test/fuzz/http2_recorder.h"

namespace {

using namespace weir;
using namespace weir::http;
using fuzz::Http2Recorder;
using fuzz::require;

class Server final : public Http2Recorder, public h2::ServerCodec::Events {
 public:
  explicit Server(const h2::Options& options, bool answers) : codec(*this, blocks, options), answers_(answers) {}
  ~Server() { codec.stop(); }

  h2::Stream* begin_request(HeaderMap*& fields) override {
    auto& made = make();
    fields = &made.head;
    return &made;
  }
  void on_request_head(h2::Stream& stream, const h2::RequestHead& head) override {
    auto& exchange = of(stream);
    fuzz::check_fields(exchange.head);
    require(exchange.head.count(HeaderName(HeaderId::kCookie)) < 2, "cookies in crumbs", exchange.head.to_string());
    exchange.text += " head " + std::string(refusal_name(head.refusal)) + (head.end_stream ? " end\n" : "\n");
    exchange.text += fields(exchange.head);
    if (!answers_) return;
    HeaderMap response(exchange.arena);
    response.add(HeaderId::kStatus, "200");
    if (!codec.send_response_head(stream, response, false)) return;
    Slices data;
    data.append_copy("hello", blocks);
    (void)codec.send_data(stream, data, true);
    codec.reset_after_end(stream);
  }
  void on_request_data(h2::Stream& stream, Slices& data, bool end) override { Http2Recorder::data(stream, data, end); }
  HeaderMap& begin_trailers(h2::Stream& stream) override { return of(stream).trailers; }
  void on_request_trailers(h2::Stream& stream, HeaderMap& trailers) override {
    fuzz::check_fields(trailers);
    of(stream).text += " trailers " + fields(trailers);
  }
  void on_stream_closed(h2::Stream& stream, const h2::StreamEnd& end) override { closed(stream, end); }
  void on_stream_flow(h2::Stream&, bool) override {}
  void on_ping_answered() override {}
  void on_goaway(h2::ErrorCode) override { left = true; }
  void on_connection_error(h2::Error error) override {
    failure = std::string("failed ") + std::string(error_name(error));
  }
  void want_flush() override {}

  h2::ServerCodec codec;

 private:
  const bool answers_;
};

void check_frames(std::string_view bytes) {
  while (!bytes.empty()) {
    require(bytes.size() >= 9, "half a frame is written");
    auto at = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[i])); };
    const size_t size = 9 + (at(0) << 16 | at(1) << 8 | at(2));
    require(size <= bytes.size() && size <= 9 + 16384, "half a frame is written");
    bytes.remove_prefix(size);
  }
}

std::string run(std::string_view text, const h2::Options& options, bool answers, std::mt19937_64* cuts) {
  Server server(options, answers);
  std::string all = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  all.append(9, '\0');
  all[all.size() - 6] = 4;  // SETTINGS
  all += text;
  fuzz::feed(server.codec, server.blocks, all, cuts);
  Slices out;
  server.codec.flush(out, 1 << 20);
  check_frames(out.to_string());
  return server.told();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 20000) return 0;
  h2::Options options;
  options.stream_errors = (data[0] & 1) != 0;
  options.allow_connect = (data[0] & 2) != 0;
  const bool answers = (data[0] & 4) != 0;
  if ((data[0] & 8) != 0) {
    options.max_head_bytes = 100;
    options.max_header_count = 6;
    options.max_concurrent_streams = 2;
    options.stream_window = options.connection_window = 65535;
    options.max_outbound_control_frames = 5;
  }
  std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::mt19937_64 random(data[1]);
  const std::string whole = run(text, options, answers, nullptr);
  // What waits to be sent, and data that nobody took, are looked at when a piece has been read: the limits of these
  // depend on the cuts.
  for (const char* word : {"outbound", "stray", fuzz::Http2Recorder::kAfterGoaway}) {
    if (whole.find(word) != std::string::npos) return 0;
  }
  const std::string cut = run(text, options, answers, &random);
  if (cut.find("outbound") != std::string::npos) return 0;
  require(whole == cut, "cutting changed the events", whole, cut);
  return 0;
}
