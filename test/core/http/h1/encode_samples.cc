// Writes messages with the encoders for h11_test.py, which reads them with an independent implementation. Output: per
// message a line "KIND BYTES", then that many bytes. What each must say is known to the script.
#include <cstdio>
#include <string>
#include <string_view>

#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/http/h1/codec.h"

namespace {

using namespace weir;
using namespace weir::http;

class Nobody final : public h1::ServerCodec::Events, public h1::ClientCodec::Events {
 public:
  explicit Nobody(Arena& arena) : map_(arena) {}
  HeaderMap& begin_request() override { return fresh(); }
  void on_request_head(const h1::RequestHead&, BlockRef owner) override { owner_ = std::move(owner); }
  void on_request_data(Slices&, bool) override {}
  HeaderMap& begin_trailers() override { return fresh(); }
  void on_request_trailers(HeaderMap&) override {}
  void on_parse_error(h1::ParseError, int) override { std::abort(); }
  HeaderMap& begin_response(int) override { return fresh(); }
  void on_informational(HeaderMap&, const h1::ResponseHead&, BlockRef) override {}
  void on_response_head(const h1::ResponseHead&, BlockRef) override {}
  void on_response_data(Slices&, bool) override {}
  void on_response_trailers(HeaderMap&) override {}
  void on_parse_error(h1::ParseError) override { std::abort(); }

 private:
  HeaderMap& fresh() {
    map_.clear();
    return map_;
  }
  HeaderMap map_;
  BlockRef owner_;
};

struct Bench {
  ArenaPool pool;
  Arena arena{pool};
  BlockPool blocks;
  Nobody nobody{arena};
  h1::Settings settings;
};

void check(h1::EncodeError error) {
  if (error != h1::EncodeError::kNone) std::abort();
}

void print(const char* kind, const Slices& out) {
  std::string text = out.to_string();
  std::printf("%s %zu\n", kind, text.size());
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Slices body_of(Bench& bench, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + i % 26);
  Slices data;
  data.append_copy(text, bench.blocks);
  return data;
}

// `body`: bytes in two pieces; `length`: declare them; `trailers`: end with some.
void request(const char* kind, std::string_view method, size_t body, bool length, bool trailers, bool proper_case) {
  Bench bench;
  bench.settings.options.proper_case = proper_case;
  h1::ClientCodec codec(bench.nobody, bench.blocks, bench.settings);
  HeaderMap map(bench.arena);
  map.add(HeaderId::kMethod, method);
  map.add(HeaderId::kPath, "/some/path?q=1");
  map.add(HeaderId::kAuthority, "example.com:8080");
  map.add(HeaderId::kUserAgent, "weir-test/1");
  map.add_copy("X-Own-Field", "a value; with=\"things\"");
  map.add(HeaderId::kAccept, "");
  if (length) map.add_copy(HeaderId::kContentLength, std::to_string(2 * body));
  Slices out;
  check(codec.encode_request_head(map, body == 0 && !trailers, out));
  if (body > 0) {
    Slices first = body_of(bench, body);
    Slices second = body_of(bench, body);
    check(codec.encode_data(first, false, out));
    check(codec.encode_data(second, !trailers, out));
  }
  if (trailers) {
    HeaderMap end(bench.arena);
    end.add_copy("x-checksum", "123");
    check(codec.encode_trailers(end, out));
  }
  print(kind, out);
}

void response(const char* kind, std::string_view incoming, std::string_view status, size_t body, bool length) {
  Bench bench;
  bench.settings.options.accept_http_10 = true;
  h1::ServerCodec codec(bench.nobody, bench.blocks, bench.settings);
  Slices in;
  in.append(Slice::of_static(incoming));
  codec.receive(in);
  HeaderMap map(bench.arena);
  map.add(HeaderId::kStatus, status);
  map.add(HeaderId::kServer, "weir");
  map.add(HeaderId::kSetCookie, "a=b");
  map.add(HeaderId::kSetCookie, "c=d");
  if (length) map.add_copy(HeaderId::kContentLength, std::to_string(body));
  Slices out;
  if (status == "200" && length) codec.encode_continue(out);
  check(codec.encode_response_head(map, body == 0, out));
  if (body > 0) {
    Slices data = body_of(bench, body);
    check(codec.encode_data(data, true, out));
  }
  print(kind, out);
}

}  // namespace

int main() {
  request("get", "GET", 0, false, false, false);
  request("get-proper", "GET", 0, false, false, true);
  request("post-empty", "POST", 0, false, false, false);
  request("post-length", "POST", 700, true, false, false);
  request("post-chunked", "POST", 700, false, false, false);
  request("post-chunked-large", "POST", 70000, false, false, true);
  request("post-trailers", "POST", 20, false, true, false);
  constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  response("response-length", kGet, "200", 5000, true);
  response("response-chunked", kGet, "200", 5000, false);
  response("response-empty", kGet, "404", 0, false);
  response("response-204", kGet, "204", 0, false);
  response("response-304", kGet, "304", 0, false);
  response("response-close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200", 10, false);
  response("response-head", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "200", 10, true);
  response("response-http10", "GET / HTTP/1.0\r\n\r\n", "200", 10, false);
  return 0;
}
