// Flow through the server's codec: events, pausing, pipelining, tunnels, responses. What is refused is in
// test/conformance/http1.
#include <gtest/gtest.h>

#include <string>

#include "test/core/http/h1/transcript.h"

namespace weir::http::h1::test {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

class ServerCodecTest : public testing::Test {
 protected:
  void receive(std::string_view text) {
    append_alone(in_, text, server_.blocks);
    server_.codec.receive(in_);
    server_.flush();
  }
  std::string respond(std::string_view status, bool end_stream,
                      std::initializer_list<std::pair<std::string_view, std::string_view>> fields = {}) {
    HeaderMap map(arena_);
    map.add_copy(HeaderId::kStatus, status);
    for (auto [name, value] : fields) map.add_copy(name, value);
    Slices out;
    error_ = server_.codec.encode_response_head(map, end_stream, out);
    return out.to_string();
  }
  std::string send(std::string_view text, bool end_stream) {
    Slices data;
    append_alone(data, text, server_.blocks);
    Slices out;
    error_ = server_.codec.encode_data(data, end_stream, out);
    return out.to_string();
  }

  static Settings settings() {
    Settings settings;
    settings.options.accept_http_10 = true;
    return settings;
  }
  ServerRecorder server_{settings()};
  Slices in_;
  ArenaPool pool_;
  Arena arena_{pool_};
  EncodeError error_ = EncodeError::kNone;
};

TEST_F(ServerCodecTest, StopsBehindACompleteRequest) {
  server_.auto_next = false;
  receive(std::string(kGet) + "GET /2 HTTP/1.1\r\nHost: b\r\n\r\n");
  EXPECT_EQ(server_.streams.size(), 1u);
  EXPECT_EQ(in_.to_string(), "GET /2 HTTP/1.1\r\nHost: b\r\n\r\n");
  EXPECT_TRUE(server_.codec.request_complete());
  EXPECT_FALSE(server_.codec.idle());
  server_.codec.next_message();
  EXPECT_TRUE(server_.codec.idle());
  server_.codec.receive(in_);
  EXPECT_EQ(server_.streams.size(), 2u);
  EXPECT_TRUE(in_.empty());
}

TEST_F(ServerCodecTest, TheHeadOutlivesTheInput) {
  receive("GET /path HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(in_.empty());
  EXPECT_TRUE(server_.last().owner);
  EXPECT_EQ(server_.last().headers.path(), "/path");
}

TEST_F(ServerCodecTest, PausesFromWithinEvents) {
  server_.on_head = [&] { server_.codec.pause(); };
  receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(in_.to_string(), "hello");
  receive("");
  EXPECT_EQ(in_.to_string(), "hello");
  server_.codec.unpause();
  server_.codec.receive(in_);
  EXPECT_TRUE(in_.empty());
  EXPECT_EQ(server_.last().body, "hello");
  EXPECT_TRUE(server_.last().ended);
}

TEST_F(ServerCodecTest, APauseBetweenDataAndTrailersHoldsTheTrailers) {
  server_.on_data = [&](Slices&, bool) { server_.codec.pause(); };
  receive("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n");
  EXPECT_EQ(server_.last().body, "hello");
  EXPECT_FALSE(server_.last().ended);
  EXPECT_EQ(in_.to_string(), "X: y\r\n\r\n");
  server_.codec.unpause();
  server_.codec.receive(in_);
  EXPECT_TRUE(server_.last().ended);
  EXPECT_EQ(server_.last().trailers.to_string(), "x: y\n");
}

TEST_F(ServerCodecTest, StopsForGood) {
  server_.on_head = [&] { server_.codec.stop(); };
  receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  std::string before = server_.text;
  receive("more");
  server_.codec.unpause();
  server_.codec.next_message();
  receive(kGet);
  server_.codec.on_eof();
  EXPECT_EQ(server_.text, before);
}

TEST_F(ServerCodecTest, StopWithinDataHoldsBackTheError) {
  server_.on_data = [&](Slices&, bool) { server_.codec.stop(); };
  receive("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX");
  EXPECT_EQ(server_.error, ParseError::kNone);
}

TEST_F(ServerCodecTest, BodiesAreNotCopied) {
  receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  std::string part(50000, 'x');
  append_alone(in_, part, server_.blocks);
  const char* where = in_.front().data;
  const char* seen = nullptr;
  server_.on_data = [&](Slices& data, bool) { seen = data.front().data; };
  server_.codec.receive(in_);
  EXPECT_EQ(seen, where);
}

TEST_F(ServerCodecTest, EndOfFile) {
  server_.codec.on_eof();
  EXPECT_EQ(server_.text, "");
  receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
  server_.codec.on_eof();
  EXPECT_EQ(server_.error, ParseError::kPrematureEof);
}

TEST_F(ServerCodecTest, EndOfFileWithinAHead) {
  receive("GET");
  EXPECT_FALSE(server_.codec.idle());
  server_.codec.on_eof();
  EXPECT_EQ(server_.error, ParseError::kPrematureEof);
}

TEST_F(ServerCodecTest, FramingOfResponses) {
  receive(kGet);
  EXPECT_EQ(respond("200", false, {{"x-a", "b"}}), "HTTP/1.1 200 OK\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n");
  EXPECT_TRUE(server_.codec.response_started());
  EXPECT_EQ(respond("200", true), "");
  EXPECT_EQ(error_, EncodeError::kWrongState);
  EXPECT_EQ(send("hello", false), "5\r\nhello\r\n");
  EXPECT_EQ(send("", false), "");
  EXPECT_EQ(send("0123456789", true), "a\r\n0123456789\r\n0\r\n\r\n");
  EXPECT_TRUE(server_.codec.response_complete());
  EXPECT_TRUE(server_.codec.keep_alive());
  EXPECT_EQ(send("x", true), "");
  EXPECT_EQ(error_, EncodeError::kWrongState);

  receive(kGet);
  EXPECT_EQ(respond("404", true), "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  EXPECT_TRUE(server_.codec.response_complete());
  receive(kGet);
  EXPECT_EQ(respond("200", true, {{"content-length", "0"}}), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  receive(kGet);
  EXPECT_EQ(respond("200", false, {{"transfer-encoding", "gzip"}, {"content-length", "3"}}),
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n");
  EXPECT_EQ(send("abcd", true), "");
  EXPECT_EQ(error_, EncodeError::kBodyTooLong);
  EXPECT_EQ(send("ab", true), "ab");
  EXPECT_EQ(error_, EncodeError::kBodyTooShort);
  EXPECT_FALSE(server_.codec.response_complete());
}

TEST_F(ServerCodecTest, ResponsesWithoutContent) {
  receive("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(respond("200", false, {{"content-length", "5"}}), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
  EXPECT_EQ(send("hello", true), "");
  EXPECT_EQ(error_, EncodeError::kNone);
  EXPECT_TRUE(server_.codec.response_complete());
  receive("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(respond("200", true), "HTTP/1.1 200 OK\r\n\r\n");
  receive(kGet);
  EXPECT_EQ(respond("204", true, {{"content-length", "0"}}), "HTTP/1.1 204 No Content\r\n\r\n");
  receive(kGet);
  EXPECT_EQ(respond("304", true, {{"content-length", "9"}}), "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n");
  EXPECT_TRUE(server_.codec.keep_alive());
}

TEST_F(ServerCodecTest, ConnectionLines) {
  receive("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(respond("200", true), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  EXPECT_FALSE(server_.codec.keep_alive());
}

TEST_F(ServerCodecTest, ConnectionCloseByTheOwnerOrTheResponse) {
  receive(kGet);
  EXPECT_EQ(respond("200", true, {{"connection", "x, Close"}}),
            "HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 0\r\n\r\n");
  EXPECT_FALSE(server_.codec.keep_alive());
}

TEST_F(ServerCodecTest, CloseAfterResponse) {
  receive(kGet);
  server_.codec.close_after_response();
  EXPECT_EQ(respond("200", true), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  EXPECT_FALSE(server_.codec.keep_alive());
}

TEST_F(ServerCodecTest, Http10Clients) {
  receive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(respond("200", true), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n");
  EXPECT_TRUE(server_.codec.keep_alive());
  receive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  HeaderMap hints(arena_);
  hints.add(HeaderId::kStatus, "103");
  Slices out;
  EXPECT_EQ(server_.codec.encode_informational(hints, out), EncodeError::kNone);
  server_.codec.encode_continue(out);
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(respond("200", false), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
  EXPECT_EQ(send("hello", false), "hello");
  EXPECT_EQ(send("", true), "");
  EXPECT_TRUE(server_.codec.response_complete());
  EXPECT_FALSE(server_.codec.keep_alive());
}

TEST_F(ServerCodecTest, Informational) {
  receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
  HeaderMap hints(arena_);
  hints.add(HeaderId::kStatus, "103");
  hints.add(HeaderId::kLink, "</a>");
  Slices out;
  EXPECT_EQ(server_.codec.encode_informational(hints, out), EncodeError::kNone);
  server_.codec.encode_continue(out);
  EXPECT_EQ(out.to_string(), "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
  respond("103", true);
  EXPECT_EQ(error_, EncodeError::kWrongState);
  respond("200", true);
  EXPECT_EQ(error_, EncodeError::kNone);
  EXPECT_EQ(server_.codec.encode_informational(hints, out), EncodeError::kWrongState);
}

TEST_F(ServerCodecTest, Trailers) {
  receive(kGet);
  respond("200", false);
  HeaderMap trailers(arena_);
  trailers.add_copy("grpc-status", "0");
  trailers.add_copy("content-length", "7");
  trailers.add_copy("transfer-encoding", "chunked");
  Slices out;
  EXPECT_EQ(server_.codec.encode_trailers(trailers, out), EncodeError::kNone);
  EXPECT_EQ(out.to_string(), "0\r\ngrpc-status: 0\r\n\r\n");
  EXPECT_TRUE(server_.codec.response_complete());
  EXPECT_EQ(server_.codec.encode_trailers(trailers, out), EncodeError::kWrongState);
}

TEST_F(ServerCodecTest, ConnectTunnel) {
  server_.auto_next = false;
  receive("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nearly");
  EXPECT_EQ(in_.to_string(), "early");
  EXPECT_EQ(respond("200", false, {{"content-length", "5"}}), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_TRUE(server_.codec.in_tunnel());
  server_.codec.receive(in_);
  receive("\r\n\r\nGET");
  EXPECT_EQ(server_.last().body, "early\r\n\r\nGET");
  EXPECT_EQ(send("\r\nx", false), "\r\nx");
  server_.codec.on_eof();
  EXPECT_TRUE(server_.last().ended);
  EXPECT_EQ(send("more", true), "more");
  EXPECT_FALSE(server_.codec.keep_alive());
}

TEST_F(ServerCodecTest, SwitchingProtocols) {
  server_.auto_next = false;
  receive("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  EXPECT_EQ(respond("101", false, {{"connection", "upgrade"}, {"upgrade", "x"}}),
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
  receive("opaque");
  EXPECT_EQ(server_.last().body, "opaque");
}

TEST_F(ServerCodecTest, ARefusedTunnelIsAnOrdinaryResponse) {
  server_.auto_next = false;
  receive("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
  EXPECT_EQ(respond("403", true), "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
  EXPECT_FALSE(server_.codec.in_tunnel());
  server_.codec.next_message();
  receive(kGet);
  respond("101", false, {{"upgrade", "x"}});
  EXPECT_EQ(error_, EncodeError::kWrongState);
}

TEST_F(ServerCodecTest, ARepliedParseErrorStillEncodes) {
  receive("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
  EXPECT_EQ(server_.error, ParseError::kInvalidHost);
  EXPECT_EQ(respond("400", true), "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  EXPECT_FALSE(server_.codec.keep_alive());
}

// --- Options ---

struct Configured {
  explicit Configured(const Options& options) : server({.limits = {}, .options = options}) {}
  std::string receive(std::string_view text) {
    append_alone(in, text, server.blocks);
    server.codec.receive(in);
    server.flush();
    return std::exchange(server.text, {});
  }
  ServerRecorder server;
  Slices in;
};

// RFC 9112 6.3
TEST(ServerCodecOptions, ChunkedWithLength) {
  constexpr std::string_view kBoth =
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nX-A: "
      "b\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  EXPECT_EQ(Configured({}).receive(kBoth), "error http1.length_and_encoding\n");
  Options allowed;
  allowed.allow_chunked_length = true;
  allowed.accept_http_10 = true;
  Configured one(allowed);
  EXPECT_EQ(one.receive(kBoth),
            "request chunked close\n:method: POST\n:path: /\n:authority: a\ntransfer-encoding: chunked\nx-a: "
            "b\n\ndata hello\nend\n");
  EXPECT_FALSE(one.server.codec.keep_alive());
  // Everything else that two readers could read in two ways stays refused.
  constexpr std::string_view kRefused[][2] = {
      {"Content-Length: 3\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", "duplicate_content_length"},
      {"Content-Length: 3, 3\r\nTransfer-Encoding: chunked\r\n", "duplicate_content_length"},
      {"Content-Length: +3\r\nTransfer-Encoding: chunked\r\n", "invalid_content_length"},
      {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
       "invalid_transfer_encoding"},
      {"Content-Length: 3\r\nTransfer-Encoding: chunked, chunked\r\n", "invalid_transfer_encoding"},
      {"Content-Length: 3\r\nTransfer-Encoding: chunked, identity\r\n", "invalid_transfer_encoding"},
      {"Content-Length: 3\r\nTransfer-Encoding: gzip, chunked\r\n", "unsupported_transfer_encoding"},
      {"Content-Length: 3\r\nTransfer-Encoding: \vchunked\r\n", "invalid_value"},
      {"Content-Length: 3\r\nTransfer-Encoding : chunked\r\n", "space_before_colon"},
      {"Content-Length: 3\r\nTransfer-Encoding:\r\n chunked\r\n", "obs_fold"},
  };
  for (auto [fields, error] : kRefused) {
    const std::string head = "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n0\r\n\r\n";
    EXPECT_EQ(Configured(allowed).receive(head), "error http1." + std::string(error) + "\n") << fields;
  }
  EXPECT_EQ(Configured(allowed).receive("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
                                        "chunked\r\n\r\n0\r\n\r\n"),
            "error http1.encoding_in_http_10\n");
  EXPECT_EQ(Configured(allowed).receive("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 0\r\nTransfer-Encoding: "
                                        "chunked\r\n\r\n"),
            "error http1.connect_with_body\n");
}

TEST(ServerCodecOptions, DefaultHost) {
  Options options;
  options.default_host = "d.example:81";
  EXPECT_EQ(Configured(options).receive("GET / HTTP/1.0\r\n\r\n"), "error http1.http_10_refused\n");
  options.accept_http_10 = true;
  auto authority = [&](std::string_view request) {
    Configured one(options);
    one.receive(request);
    return std::string(one.server.last().headers.authority());
  };
  EXPECT_EQ(authority("GET / HTTP/1.0\r\n\r\n"), "d.example:81");
  EXPECT_EQ(authority("GET / HTTP/1.0\r\nHost: h\r\n\r\n"), "h");
  EXPECT_EQ(authority("GET / HTTP/1.0\r\nHost:\r\n\r\n"), "");  // said to be empty
  EXPECT_EQ(authority("GET http://t/ HTTP/1.0\r\n\r\n"), "t");
  EXPECT_EQ(Configured(options).receive("GET / HTTP/1.1\r\n\r\n"), "error http1.missing_host\n");
}

// Only where it is certain what follows.
TEST(ServerCodecOptions, GoesOnAfterAnInvalidRequest) {
  constexpr std::string_view kNoHost =
      "POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
  Options options;
  EXPECT_EQ(Configured(options).receive(kNoHost), "error http1.missing_host\n");
  options.keep_open_after_invalid = true;
  Configured one(options);
  std::string text = one.receive(kNoHost);
  EXPECT_TRUE(text.starts_with("request length=3 keep invalid http1.missing_host\n")) << text;
  EXPECT_NE(text.find("data abc\nend\nrequest none end keep\n"), std::string::npos) << text;
  EXPECT_EQ(one.server.complete(), 2u);
  for (std::string_view uncertain :
       {"POST /1 HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "GET /1 HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n",
        "GET /1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET /1 HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    Configured other(options);
    EXPECT_NE(other.receive(uncertain).find("error "), std::string::npos) << uncertain;
    EXPECT_TRUE(other.server.codec.stopped()) << uncertain;
  }
}

}  // namespace
}  // namespace weir::http::h1::test
