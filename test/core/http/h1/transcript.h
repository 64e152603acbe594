// Drives a codec and writes down what it reports, so that two deliveries of the same bytes can be compared as texts.
// Adjacent data events count as one: how bytes are cut must make no other difference.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/http/h1/codec.h"
#include "core/http/header_map.h"

namespace weir::http::h1::test {

// What a stream holds per message.
struct Stream {
  explicit Stream(ArenaPool& pool) : arena(pool), headers(arena), trailers(arena) {}
  Arena arena;
  HeaderMap headers;
  HeaderMap trailers;
  BlockRef owner;
  std::string body;
  bool head_seen = false;
  bool ended = false;
};

class Recorder {
 public:
  Stream& fresh() {
    streams.push_back(std::make_unique<Stream>(arenas_));
    return *streams.back();
  }
  Stream& last() { return *streams.back(); }
  void note(std::string_view line) {
    flush();
    text.append(line).append("\n");
  }
  void note_data(const Slices& data, bool end_stream) {
    last().body += data.to_string();
    pending_ += data.to_string();
    if (end_stream) {
      note("end");
      last().ended = true;
    }
  }
  void note_trailers(const HeaderMap& trailers) {
    note("trailers\n" + trailers.to_string() + "end");
    last().ended = true;
  }
  void flush() {
    if (pending_.empty()) return;
    text += "data " + pending_ + "\n";
    pending_.clear();
  }
  size_t complete() const {
    size_t count = 0;
    for (const auto& stream : streams) count += stream->ended ? 1 : 0;
    return count;
  }
  std::string bodies() const {
    std::string all;
    for (const auto& stream : streams) all += stream->body;
    return all;
  }

  std::string text;
  ParseError error = ParseError::kNone;
  int suggested = 0;
  BlockPool blocks;  // outlives the streams, which hold blocks

 private:
  ArenaPool arenas_;
  std::string pending_;

 public:
  std::vector<std::unique_ptr<Stream>> streams;
};

inline std::string framing_text(BodyKind body, uint64_t length, bool end_stream, bool keep_alive) {
  static constexpr const char* kKinds[] = {"none", "length", "chunked", "until_close", "tunnel"};
  std::string text = kKinds[static_cast<int>(body)];
  if (body == BodyKind::kLength) text += "=" + std::to_string(length);
  if (end_stream) text += " end";
  text += keep_alive ? " keep" : " close";
  return text;
}

// A server that answers nothing and takes the next request at once.
class ServerRecorder final : public Recorder, public ServerCodec::Events {
 public:
  explicit ServerRecorder(const Settings& settings = {}) : settings_(settings), codec(*this, blocks, settings_) {}

  HeaderMap& begin_request() override { return fresh().headers; }
  void on_request_head(const RequestHead& head, BlockRef owner) override {
    last().owner = std::move(owner);
    last().head_seen = true;
    std::string line = head.version == Version::kHttp10 ? "request 1.0 " : "request ";
    line += framing_text(head.body, head.content_length, head.end_stream, head.keep_alive);
    if (head.expect_continue) line += " expect";
    if (head.upgrade) line += " upgrade";
    if (head.is_connect) line += " connect";
    if (head.absolute_form) line += " absolute";
    if (head.invalid != ParseError::kNone) line += " invalid " + std::string(error_name(head.invalid));
    note(line + "\n" + last().headers.to_string());
    last().ended = head.end_stream;
    if (on_head) on_head();
    if (head.end_stream) next();
  }
  void on_request_data(Slices& data, bool end_stream) override {
    note_data(data, end_stream);
    if (on_data) on_data(data, end_stream);
    if (end_stream) next();
  }
  HeaderMap& begin_trailers() override { return last().trailers; }
  void on_request_trailers(HeaderMap& trailers) override {
    note_trailers(trailers);
    next();
  }
  void on_parse_error(ParseError why, int suggested_status) override {
    note("error " + std::string(error_name(why)));
    error = why;
    suggested = suggested_status;
  }
  void next() {
    if (auto_next && codec.request_complete()) codec.next_message();
  }

 private:
  Settings settings_;

 public:
  bool auto_next = true;
  std::function<void()> on_head;
  std::function<void(Slices&, bool)> on_data;
  ServerCodec codec;
};

// A client that has sent one request of the given kind.
class ClientRecorder final : public Recorder, public ClientCodec::Events {
 public:
  explicit ClientRecorder(const Settings& settings = {}) : settings_(settings), codec(*this, blocks, settings_) {}

  HeaderMap& begin_response(int) override { return fresh().headers; }
  void on_informational(HeaderMap&, const ResponseHead& head, BlockRef owner) override {
    last().owner = std::move(owner);
    note("informational " + std::to_string(head.status) + "\n" + last().headers.to_string());
  }
  void on_response_head(const ResponseHead& head, BlockRef owner) override {
    last().owner = std::move(owner);
    last().head_seen = true;
    note("response " + std::to_string(head.status) + " " +
         framing_text(head.body, head.content_length, head.end_stream, head.keep_alive) + "\n" +
         last().headers.to_string());
    last().ended = head.end_stream;
  }
  void on_response_data(Slices& data, bool end_stream) override { note_data(data, end_stream); }
  HeaderMap& begin_trailers() override { return last().trailers; }
  void on_response_trailers(HeaderMap& trailers) override { note_trailers(trailers); }
  void on_parse_error(ParseError why) override {
    note("error " + std::string(error_name(why)));
    error = why;
  }

 private:
  Settings settings_;

 public:
  ClientCodec codec;
};

// Appends `text` as a slice in a block of its own and of exactly its size, so that ASan sees every byte read too far.
inline void append_alone(Slices& in, std::string_view text, BlockPool& blocks) {
  if (text.empty()) return;
  BlockRef block = blocks.take_exact(text.size());
  std::memcpy(block->data(), text.data(), text.size());
  block->set_used(text.size());
  const char* begin = block->data();
  in.append(Slice(std::move(block), begin, text.size()));
}

// Feeds `text` in pieces that end at `cuts` (rising positions). What is left unconsumed stays in `in`.
template <class Codec>
void feed(Codec& codec, std::string_view text, const std::vector<size_t>& cuts, Slices& in, BlockPool& blocks) {
  size_t begin = 0;
  for (size_t i = 0; i <= cuts.size(); ++i) {
    size_t end = i < cuts.size() ? cuts[i] : text.size();
    append_alone(in, text.substr(begin, end - begin), blocks);
    begin = end;
    codec.receive(in);
  }
}

inline std::vector<size_t> every_byte(std::string_view text) {
  std::vector<size_t> cuts;
  for (size_t i = 1; i < text.size(); ++i) cuts.push_back(i);
  return cuts;
}

inline std::vector<size_t> random_cuts(std::string_view text, std::mt19937_64& random) {
  std::vector<size_t> cuts;
  size_t mean = 1 + random() % 40;
  for (size_t at = 1 + random() % mean; at < text.size(); at += 1 + random() % mean) cuts.push_back(at);
  return cuts;
}

// The transcript of a connection that receives `text`, then end of file; and what was left over.
struct Outcome {
  std::string text;
  std::string left;
  ParseError error = ParseError::kNone;
  int suggested = 0;
  size_t complete = 0;
  std::string bodies;
  bool idle = false;  // between messages
};

inline Outcome run_server(std::string_view text, const std::vector<size_t>& cuts, const Settings& settings) {
  ServerRecorder server(settings);
  Slices in;
  feed(server.codec, text, cuts, in, server.blocks);
  server.flush();
  return {server.text,       in.to_string(),  server.error,       server.suggested,
          server.complete(), server.bodies(), server.codec.idle()};
}

inline Outcome run_client(std::string_view text, const std::vector<size_t>& cuts, const Settings& settings,
                          RequestKind kind, bool eof) {
  ClientRecorder client(settings);
  client.codec.expect_response(kind);
  Slices in;
  feed(client.codec, text, cuts, in, client.blocks);
  if (eof) client.codec.on_eof();
  client.flush();
  return {client.text,
          in.to_string(),
          client.error,
          0,
          client.complete(),
          client.bodies(),
          client.codec.response_complete()};
}

}  // namespace weir::http::h1::test
