// Bytes of HTTP/2 that tests make themselves, and an owner of a server codec that notes what it hears.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/http/h2/server_codec.h"

namespace weir::http::h2::test {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline std::string number(uint32_t value, size_t bytes) {
  std::string text;
  for (size_t i = bytes; i-- > 0;) text += static_cast<char>(value >> (8 * i));
  return text;
}

inline std::string frame(uint8_t type, uint8_t flags, uint32_t id, const std::string& payload) {
  return number(static_cast<uint32_t>(payload.size()), 3) + static_cast<char>(type) + static_cast<char>(flags) +
         number(id, 4) + payload;
}
enum Type : uint8_t { kData, kHeaders, kPriority, kReset, kSettings, kPush, kPing, kGoaway, kWindowUpdate, kMore };
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kEndHeaders = 4;
constexpr uint8_t kPadded = 8;

// A field that is in no table (RFC 7541 6.2.2), short enough for lengths of one byte.
inline std::string field(std::string_view name, std::string_view value) {
  std::string text(1, '\0');
  text += static_cast<char>(name.size());
  text += name;
  text += static_cast<char>(value.size());
  return text.append(value);
}
// One that goes to the dynamic table (6.2.1), with a value of this length, 127 at least: "\xbe" is it again.
inline std::string long_field(std::string_view name, size_t size) {
  std::string text = "\x40" + std::string(1, static_cast<char>(name.size())) + std::string(name) + "\x7f";
  size_t rest = size - 0x7f;
  for (; rest >= 0x80; rest >>= 7) text += static_cast<char>(0x80 | (rest & 0x7f));
  return text + static_cast<char>(rest) + std::string(size, 'v');
}
// Of the static table: GET, https, /.
inline std::string get_block(std::string_view authority = "a.example") {
  return std::string("\x82\x87\x84") + field(":authority", authority);
}
inline std::string request(uint32_t id, uint8_t flags = kEndStream | kEndHeaders) {
  return frame(kHeaders, flags, id, get_block());
}
inline std::string settings() { return frame(kSettings, 0, 0, ""); }

struct Frame {
  uint8_t type;
  uint8_t flags;
  uint32_t id;
  std::string payload;
  uint32_t code(size_t at = 0) const {
    uint32_t value = 0;
    for (size_t i = at; i < at + 4 && i < payload.size(); ++i) value = value << 8 | static_cast<uint8_t>(payload[i]);
    return value;
  }
};

// Those that have come whole; `bytes` is the rest then.
inline std::vector<Frame> take_frames(std::string_view& bytes) {
  std::vector<Frame> all;
  while (bytes.size() >= 9) {
    auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])); };
    const size_t size = at(0) << 16 | at(1) << 8 | at(2);
    if (bytes.size() < 9 + size) break;
    all.push_back({static_cast<uint8_t>(at(3)), static_cast<uint8_t>(at(4)),
                   at(5) << 24 | at(6) << 16 | at(7) << 8 | at(8), std::string(bytes.substr(9, size))});
    bytes.remove_prefix(9 + size);
  }
  return all;
}

inline std::vector<Frame> frames_of(std::string_view bytes) {
  std::vector<Frame> all = take_frames(bytes);
  EXPECT_TRUE(bytes.empty()) << "what is written ends within a frame";
  return all;
}

class Exchange final : public Stream {
 public:
  explicit Exchange(ArenaPool& pool) : arena(pool), head(arena), trailers(arena), more(arena) {}
  Arena arena;
  HeaderMap head;
  HeaderMap trailers;
  HeaderMap more;  // 1xx
};

inline std::string ending(const StreamEnd& end) {
  constexpr std::string_view kNames[] = {"complete", "peer_reset", "peer_error", "unprocessed"};
  std::string text(kNames[static_cast<size_t>(end.cause)]);
  if (end.code != ErrorCode::kNoError) text.append(" ").append(error_code_name(end.code));
  if (end.error != Error::kNone) text.append(" ").append(error_name(end.error));
  return text;
}

// What both sides' tests note: one text, events one after another.
class Notes {
 public:
  BlockPool blocks;
  ArenaPool arenas;
  std::string log;

 protected:
  void note(const Stream& stream, const std::string& text) {
    if (!log.empty()) log += "; ";
    log += std::to_string(stream.id()) + " " + text;
  }
};

class Server final : public Notes, public ServerCodec::Events {
 public:
  explicit Server(const Options& options = {}) : options_(options), codec(*this, blocks, options_) {}
  ~Server() { codec.stop(); }

  void receive(std::string_view bytes) {
    Slices in;
    in.append_copy(bytes, blocks);
    codec.receive(in);
    EXPECT_TRUE(in.empty());
  }
  std::string flush(size_t most = 1 << 20) {
    Slices out;
    codec.flush(out, most);
    return out.to_string();
  }
  std::vector<Frame> frames() { return frames_of(flush()); }
  Exchange& stream(size_t index = 0) { return *streams.at(index); }
  // Of the last frame of this type; nullptr: there is none.
  static const Frame* last(const std::vector<Frame>& all, uint8_t type) {
    const Frame* found = nullptr;
    for (const Frame& each : all) {
      if (each.type == type) found = &each;
    }
    return found;
  }

  Stream* begin_request(HeaderMap*& fields) override {
    if (refuse) return nullptr;
    streams.push_back(std::make_unique<Exchange>(arenas));
    fields = &streams.back()->head;
    return streams.back().get();
  }
  void on_request_head(Stream& stream, const RequestHead& head) override {
    note(stream, "head");
    if (head.refusal != Refusal::kNone) log.append(" ").append(refusal_name(head.refusal));
    if (head.end_stream) log += " end";
    if (head.expect_continue) log += " expect";
    if (head.is_connect) log += " connect";
    if (head.upgrade) log += " upgrade";
    if (head.has_length) log += " length=" + std::to_string(head.content_length);
    if (answer_at_once) answer(stream, "200", true);
  }
  void on_request_data(Stream& stream, Slices& data, bool end) override {
    note(stream, "data " + std::to_string(data.size()) + (end ? " end" : ""));
    body += data.to_string();
    if (reset_at_data) codec.reset(stream, ErrorCode::kInternalError);
  }
  HeaderMap& begin_trailers(Stream& stream) override {
    EXPECT_TRUE(stream.attached());
    return static_cast<Exchange&>(stream).trailers;
  }
  void on_request_trailers(Stream& stream, HeaderMap& trailers) override {
    note(stream, "trailers " + std::to_string(trailers.size()));
  }
  void on_stream_closed(Stream& stream, const StreamEnd& end) override { note(stream, ending(end)); }
  void on_stream_flow(Stream& stream, bool above) override { note(stream, above ? "above" : "below"); }
  void on_ping_answered() override { log += "; pong"; }
  void on_goaway(ErrorCode code) override { log.append("; goaway ").append(error_code_name(code)); }
  void on_connection_error(Error error) override { log.append("; failed ").append(error_name(error)); }
  void want_flush() override {}

  void answer(Stream& stream, std::string_view status, bool end) {
    Exchange& exchange = static_cast<Exchange&>(stream);
    HeaderMap map(exchange.arena);
    map.add(HeaderId::kStatus, status);
    EXPECT_TRUE(codec.send_response_head(stream, map, end));
  }
  bool send(Stream& stream, std::string_view text, bool end) {
    Slices data;
    data.append_copy(text, blocks);
    return codec.send_data(stream, data, end);
  }

  std::vector<std::unique_ptr<Exchange>> streams;
  std::string body;
  bool refuse = false;
  bool answer_at_once = false;
  bool reset_at_data = false;

 private:
  const Options options_;

 public:
  ServerCodec codec;
};

inline std::string hello() { return std::string(kPreface) + settings(); }

}  // namespace weir::http::h2::test
