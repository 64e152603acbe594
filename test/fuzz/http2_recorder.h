// What a codec of HTTP/2 tells of a connection, as a text for each stream: the same however the bytes were cut.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "core/http/h2/client_codec.h"
#include "core/http/h2/server_codec.h"
#include "test/fuzz/input.h"

namespace weir::fuzz {

class Http2Exchange final : public http::h2::Stream {
 public:
  explicit Http2Exchange(ArenaPool& pool) : arena(pool), head(arena), interim(arena), trailers(arena) {}
  Arena arena;
  http::HeaderMap head;
  http::HeaderMap interim;
  http::HeaderMap trailers;
  std::string text;
  std::string body;
  bool body_ended = false;
};

class Http2Recorder {
 public:
  // A peer that leaves and has nothing open is not read any further. When that is noticed depends on the cuts.
  static constexpr const char* kAfterGoaway = " after GOAWAY";
  std::string told() const {
    std::string all;
    for (const auto& exchange : exchanges) {
      all += "stream: " + exchange->text + "\n";
      // How much of a body is passed on before the connection fails depends on the cuts.
      if (!failure.empty()) continue;
      all += "body " + std::to_string(exchange->body.size()) + ": " + exchange->body +
             (exchange->body_ended ? " end\n" : "\n");
    }
    return all + failure + (left && (!failure.empty() || begun_after) ? kAfterGoaway : "");
  }
  Http2Exchange& make() {
    begun_after = begun_after || left;
    return *exchanges.emplace_back(std::make_unique<Http2Exchange>(arenas));
  }
  static Http2Exchange& of(http::h2::Stream& stream) { return static_cast<Http2Exchange&>(stream); }
  void data(http::h2::Stream& stream, Slices& data, bool end) {
    require(!data.empty() || end, "an event without data");
    of(stream).body += data.to_string();
    of(stream).body_ended = end;
  }
  void closed(http::h2::Stream& stream, const http::h2::StreamEnd& end) {
    of(stream).text += " closed " + std::to_string(static_cast<int>(end.cause));
    of(stream).text += error_name(end.error);
    // How much of a malformed message was passed on before that was seen depends on the cuts.
    if (end.error != http::h2::Error::kNone) of(stream).body.clear();
  }

  // A fuzzed map may be large: what does not matter to cuts is left out.
  static std::string fields(const http::HeaderMap& map) { return map.to_string().substr(0, 2000); }

  BlockPool blocks;
  ArenaPool arenas;
  std::deque<std::unique_ptr<Http2Exchange>> exchanges;
  std::string failure;
  bool left = false;         // GOAWAY has come
  bool begun_after = false;  // a stream, once it had left
};

// All bytes at once, or in pieces as `cuts` has them.
template <class Codec>
void feed(Codec& codec, BlockPool& blocks, std::string_view bytes, std::mt19937_64* cuts) {
  while (!bytes.empty()) {
    const size_t piece = cuts != nullptr ? std::min<size_t>(bytes.size(), 1 + (*cuts)() % 40) : bytes.size();
    Slices in;
    in.append_copy(bytes.substr(0, piece), blocks);
    codec.receive(in);
    bytes.remove_prefix(piece);
  }
}

// No value that leaves a codec can break a head of HTTP/1.
inline void check_fields(const http::HeaderMap& map) {
  map.for_each([&](const http::HeaderEntry& entry) {
    for (std::string_view part : {entry.name(), entry.value()}) {
      require(part.find('\r') == std::string_view::npos && part.find('\n') == std::string_view::npos &&
                  part.find('\0') == std::string_view::npos,
              "a line break in a field", map.to_string());
    }
  });
}

}  // namespace weir::fuzz
