// One operation many times, for callgrind: codec_bench WHAT [ROUNDS]. Divide the instructions of the inner functions by
// the rounds. WHAT: parse-small parse-browser encode-small encode-browser response-parse response-encode
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/http/h1/codec.h"

namespace {

using namespace weir;
using namespace weir::http;

constexpr std::string_view kSmall = "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: wrk/4.1\r\nAccept: */*\r\n\r\n";

constexpr std::string_view kBrowser =
    "GET /assets/js/app.3f2a1c9d.js?v=20240117&lang=en HTTP/1.1\r\n"
    "Host: www.example-shop.com\r\n"
    "Connection: keep-alive\r\n"
    "sec-ch-ua: \"Not_A Brand\";v=\"8\", \"Chromium\";v=\"120\", \"Google Chrome\";v=\"120\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
    "Safari/537.36\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-User: ?1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Referer: https://www.example-shop.com/category/shoes?page=3&sort=price\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n"
    "If-None-Match: W/\"5f2c-18d1a7b3c40\"\r\n"
    "Cookie: session=8f14e45fceea167a5a36dedd4bea2543; _ga=GA1.2.1234567890.1700000000; theme=dark; consent=1\r\n\r\n";

constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Wed, 17 Jan 2024 10:00:00 GMT\r\nContent-Type: text/html; "
    "charset=utf-8\r\n"
    "Content-Length: 0\r\nConnection: keep-alive\r\nVary: Accept-Encoding\r\nETag: \"5f2c-18d1a7b3c40\"\r\n"
    "Cache-Control: public, max-age=3600\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: SAMEORIGIN\r\n"
    "Strict-Transport-Security: max-age=31536000\r\nLast-Modified: Tue, 16 Jan 2024 09:00:00 GMT\r\nAccept-Ranges: "
    "bytes\r\n\r\n";

// The stream is built anew per message, as the proxy does it.
struct Side final : h1::ServerCodec::Events, h1::ClientCodec::Events {
  HeaderMap& begin_request() override { return *map; }
  void on_request_head(const h1::RequestHead&, BlockRef) override {}
  void on_request_data(Slices& data, bool) override { bytes += data.size(); }
  HeaderMap& begin_trailers() override { return *map; }
  void on_request_trailers(HeaderMap&) override {}
  void on_parse_error(h1::ParseError, int) override { std::abort(); }
  HeaderMap& begin_response(int) override { return *map; }
  void on_informational(HeaderMap&, const h1::ResponseHead&, BlockRef) override {}
  void on_response_head(const h1::ResponseHead&, BlockRef) override {}
  void on_response_data(Slices& data, bool) override { bytes += data.size(); }
  void on_response_trailers(HeaderMap&) override {}
  void on_parse_error(h1::ParseError) override { std::abort(); }
  HeaderMap* map = nullptr;
  size_t bytes = 0;
};

struct World {
  ArenaPool arenas;
  BlockPool blocks;
  h1::Settings settings;
  Side side;
  h1::ServerCodec server{side, blocks, settings};
  h1::ClientCodec client{side, blocks, settings};
};

Slices input_of(World& world, std::string_view text) {
  Slices in;
  in.append_copy(text, world.blocks);
  return in;
}

[[gnu::noinline]] void parse_request(World& world, const Slices& input) {
  Arena arena(world.arenas);
  HeaderMap map(arena);
  world.side.map = &map;
  Slices in;
  in.append(Slice(input.front().block, input.front().data, input.front().size));
  world.server.receive(in);
  if (!world.server.request_complete()) std::abort();
  world.server.next_message();
}

[[gnu::noinline]] void parse_response(World& world, const Slices& input) {
  Arena arena(world.arenas);
  HeaderMap map(arena);
  world.side.map = &map;
  Slices in;
  in.append(Slice(input.front().block, input.front().data, input.front().size));
  world.client.expect_response({});
  world.client.receive(in);
  if (!world.client.response_complete()) std::abort();
}

[[gnu::noinline]] void encode_request(World& world, const HeaderMap& map) {
  Slices out;
  if (h1::encode_request_head(map, {}, out, world.blocks) != h1::EncodeError::kNone) std::abort();
}

[[gnu::noinline]] void encode_response(World& world, const HeaderMap& map) {
  Slices out;
  if (h1::encode_response_head(map, {}, out, world.blocks) != h1::EncodeError::kNone) std::abort();
}

}  // namespace

int main(int count, char** arguments) {
  std::string_view what = count > 1 ? arguments[1] : "parse-small";
  int rounds = count > 2 ? std::atoi(arguments[2]) : 1000;
  World world;
  bool response = what.starts_with("response");
  std::string_view text = response ? kResponse : what == "parse-small" || what == "encode-small" ? kSmall : kBrowser;
  Slices input = input_of(world, text);
  Arena arena(world.arenas);
  HeaderMap map(arena);
  world.side.map = &map;
  if (what.find("encode") != std::string_view::npos) {
    Slices in;
    input.copy_refs_to(in);
    if (response) {
      world.client.expect_response({});
      world.client.receive(in);
      for (int i = 0; i < rounds; ++i) encode_response(world, map);
    } else {
      world.server.receive(in);
      for (int i = 0; i < rounds; ++i) encode_request(world, map);
    }
  } else {
    for (int i = 0; i < rounds; ++i) response ? parse_response(world, input) : parse_request(world, input);
  }
  std::printf("%.*s: %d rounds, %zu bytes each\n", static_cast<int>(what.size()), what.data(), rounds, text.size());
  return 0;
}
