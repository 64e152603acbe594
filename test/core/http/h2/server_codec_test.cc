// The server codec, against bytes that the test makes itself.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "test/core/http/h2/wire.h"

namespace weir::http::h2::test {
namespace {

TEST(H2Server, BeginsWithItsSettingsAndReadsRequestsHoweverTheyAreCut) {
  const std::string bytes =
      hello() + request(1, kEndHeaders) + frame(kData, 0, 1, "hel") + frame(kData, kEndStream, 1, "lo") + request(3);
  for (size_t step : {size_t{1}, size_t{7}, bytes.size()}) {
    Server server;
    for (size_t at = 0; at < bytes.size(); at += step) server.receive(std::string_view(bytes).substr(at, step));
    EXPECT_EQ(server.body, "hello");
    EXPECT_EQ(server.stream(0).head.to_string(), ":method: GET\n:scheme: https\n:path: /\n:authority: a.example\n");
    EXPECT_TRUE(server.log.starts_with("1 head; 1 data ")) << server.log;
    EXPECT_TRUE(server.log.ends_with("end; 3 head end")) << server.log;
    const std::vector<Frame> out = server.frames();
    ASSERT_GE(out.size(), 3u);
    EXPECT_EQ(out[0].type, kSettings);
    EXPECT_EQ(out[0].flags, 0);
    EXPECT_EQ(Server::last(out, kSettings)->flags, 1);
    ASSERT_NE(Server::last(out, kWindowUpdate), nullptr);
    EXPECT_EQ(Server::last(out, kWindowUpdate)->code(), 24u * 1024 * 1024 - 65535);
  }
}

TEST(H2Server, WritesHeadDataAndTrailers) {
  Server server;
  server.receive(hello() + request(1));
  server.flush();
  HeaderMap map(server.stream().arena);
  map.add(HeaderId::kStatus, "200");
  map.add(HeaderId::kConnection, "close");
  map.add(HeaderId::kContentType, "text/plain");
  ASSERT_TRUE(server.codec.send_response_head(server.stream(), map, false));
  ASSERT_TRUE(server.send(server.stream(), "hello", false));
  HeaderMap trailers(server.stream().arena);
  trailers.add(HeaderId::kGrpcStatus, "0");
  ASSERT_TRUE(server.codec.send_trailers(server.stream(), trailers));
  const std::vector<Frame> out = server.frames();
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0].type, kHeaders);
  EXPECT_EQ(out[0].flags, kEndHeaders);
  EXPECT_EQ(out[0].payload.find("close"), std::string::npos);
  EXPECT_EQ(out[1].type, kData);
  EXPECT_EQ(out[1].payload, "hello");
  EXPECT_EQ(out[1].flags, 0);
  EXPECT_EQ(out[2].type, kHeaders);
  EXPECT_EQ(out[2].flags, kEndHeaders | kEndStream);
  EXPECT_EQ(server.log, "1 head end; 1 complete");
}

TEST(H2Server, KeepsToContentLengthOfWhatItSends) {
  Server server;
  server.receive(hello() + request(1) + request(3));
  HeaderMap map(server.stream().arena);
  map.add(HeaderId::kStatus, "200");
  map.add(HeaderId::kContentLength, "3");
  EXPECT_FALSE(server.codec.send_response_head(server.stream(), map, true));
  ASSERT_TRUE(server.codec.send_response_head(server.stream(), map, false));
  EXPECT_FALSE(server.send(server.stream(), "four", true));
  ASSERT_TRUE(server.codec.send_response_head(server.stream(1), map, false));
  EXPECT_FALSE(server.send(server.stream(1), "2!", true));
}

// RFC 9110 8.6: answers without content have none. Clients of HTTP/2 take it for an error.
TEST(H2Server, LeavesOutTheLengthOfWhatHasNone) {
  std::vector<std::string> written;
  for (bool with_length : {false, true}) {
    Server server;
    server.receive(hello() + request(1));
    server.flush();
    HeaderMap map(server.stream().arena);
    map.add(HeaderId::kStatus, "103");
    if (with_length) map.add(HeaderId::kContentLength, "5");
    ASSERT_TRUE(server.codec.send_informational(server.stream(), map));
    map.set(HeaderId::kStatus, "204");
    ASSERT_TRUE(server.codec.send_response_head(server.stream(), map, true));
    std::string all;
    for (const Frame& frame : server.frames()) all += frame.payload + '|';
    written.push_back(all);
  }
  EXPECT_EQ(std::count(written[0].begin(), written[0].end(), '|'), 2);
  EXPECT_EQ(written[1], written[0]);
}

TEST(H2Server, RefusesHeadsThatMayNotBeWritten) {
  Server server;
  server.receive(hello() + request(1));
  for (std::string_view value : {std::string_view("a\r\nb"), std::string_view("a\nb"), std::string_view("a\0b", 3)}) {
    HeaderMap map(server.stream().arena);
    map.add(HeaderId::kStatus, "200");
    map.add(HeaderId::kVia, value);
    EXPECT_FALSE(server.codec.send_response_head(server.stream(), map, true));
  }
  HeaderMap upper(server.stream().arena);
  upper.add(HeaderId::kStatus, "200");
  upper.add(HeaderId::kNone, "X-Upper", "1");
  EXPECT_FALSE(server.codec.send_response_head(server.stream(), upper, true));
}

TEST(H2Server, RefusesHeadsThatTheLibraryWouldDrop) {
  Server server;
  server.receive(hello() + request(1));
  const std::string large(1024 * 1024, 'x');
  HeaderMap map(server.stream().arena);
  map.add(HeaderId::kStatus, "200");
  map.add(HeaderId::kVia, large);
  EXPECT_FALSE(server.codec.send_informational(server.stream(), map));
  EXPECT_FALSE(server.codec.send_response_head(server.stream(), map, true));
  EXPECT_FALSE(server.codec.send_response_head(server.stream(), map, false));
  map.set(HeaderId::kVia, std::string_view(large).substr(4096));
  EXPECT_TRUE(server.codec.send_response_head(server.stream(), map, false));
  HeaderMap trailers(server.stream().arena);
  trailers.add(HeaderId::kVia, large);
  EXPECT_FALSE(server.codec.send_trailers(server.stream(), trailers));
}

// Whatever place the byte has: values are looked at in words.
TEST(H2Server, LooksAtEveryByteOfAValueThatItWrites) {
  Server server;
  server.receive(hello() + request(1));
  for (int c = 0; c < 256; ++c) {
    const bool allowed = (c >= 0x20 && c != 0x7f) || c == '\t';
    for (size_t place = 1; place < 19; ++place) {
      std::string value(20, 'v');
      value[place == 9 ? 10 : 9] = '\xfe';
      value[place] = static_cast<char>(c);
      HeaderMap map(server.stream().arena);
      map.add(HeaderId::kStatus, "103");
      map.add(HeaderId::kLink, value);
      EXPECT_EQ(server.codec.send_informational(server.stream(), map), allowed) << c << " at " << place;
    }
    server.frames();
  }
}

TEST(H2Server, CrumbsOfACookieAreOneField) {
  Server server({.max_head_bytes = 1000, .max_header_count = 6});
  std::string block = get_block();
  for (int i = 0; i < 10; ++i) block += field("cookie", "a=b");
  server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block + field("x", "y")));
  // Each has a size, however little is in it.
  block = get_block();
  for (int i = 0; i < 40; ++i) block += field("cookie", "");
  server.receive(frame(kHeaders, kEndStream | kEndHeaders, 3, block));
  EXPECT_EQ(server.log, "1 head end; 3 head http2.request_headers_too_large end");
}

TEST(H2Server, JoinsCookiesAndTakesHostForAuthority) {
  Server server;
  server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1,
                                 std::string("\x82\x86\x84") + field("host", "b.example:") + field("cookie", "a=1") +
                                     field("cookie", "b=2")));
  EXPECT_EQ(server.stream().head.to_string(),
            ":method: GET\n:scheme: http\n:path: /\ncookie: a=1; b=2\n:authority: b.example\n");
}

TEST(H2Server, JoinsCookiesOfRefusedRequestsToo) {
  Server server;
  server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1,
                                 std::string("\x82\x86\x84") + field(":authority", "a.:example") +
                                     field("cookie", "a=1") + field("cookie", "b=2")));
  EXPECT_EQ(server.log, "1 head http2.invalid_authority end");
  EXPECT_EQ(server.stream().head.get(HeaderId::kCookie), "a=1; b=2");
}

TEST(H2Server, AnswersWhatServersOfHttp1MayMisunderstand) {
  const struct {
    std::string block;
    std::string_view found;
  } cases[] = {
      {get_block("user@a.example"), "http2.invalid_authority"},
      {get_block() + field("host", "b.example"), "http2.host_mismatch"},
      {std::string("\x82\x87") + field(":path", "/a#b") + field(":authority", "a"), "http2.invalid_path"},
      {std::string("\x82\x84") + field(":scheme", "ftp") + field(":authority", "a"), "http2.invalid_scheme"},
      {field(":method", "CONNECT") + field(":authority", "a.example"), "http2.invalid_authority"},
  };
  for (const auto& [block, found] : cases) {
    Server server({.stream_errors = true});
    server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block));
    EXPECT_NE(server.log.find(found), std::string::npos) << server.log << " instead of " << found;
  }
}

TEST(H2Server, MalformedRequestsEndTheStreamOrTheConnection) {
  const std::string blocks[] = {
      get_block() + field("connection", "close"),
      get_block() + field("transfer-encoding", "chunked"),
      get_block() + field("te", "gzip"),
      get_block() + field("X-Upper", "1"),
      get_block() + field("x", "a\r\nb"),
      get_block() + field(":path", "/again"),
      field("x", "1") + get_block(),
      std::string("\x82\x87") + field(":authority", "a"),
      get_block() + field(":status", "200"),
  };
  for (const std::string& block : blocks) {
    const std::string bytes = hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block);
    Server gentle({.stream_errors = true});
    gentle.receive(bytes + request(3));
    EXPECT_NE(gentle.log.find("1 peer_error PROTOCOL_ERROR http2."), std::string::npos) << gentle.log;
    EXPECT_TRUE(gentle.log.ends_with("3 head end")) << gentle.log;
    const std::vector<Frame> out = gentle.frames();
    const Frame* reset = Server::last(out, kReset);
    ASSERT_NE(reset, nullptr);
    EXPECT_EQ(reset->code(), 1u);
    EXPECT_EQ(gentle.codec.counts().messaging_errors, 1u);

    Server strict;
    strict.receive(bytes + request(3));
    EXPECT_TRUE(strict.codec.failed());
    EXPECT_NE(strict.log.find("; failed http2."), std::string::npos) << strict.log;
    EXPECT_EQ(strict.log.find("3 head"), std::string::npos) << strict.log;
    const std::vector<Frame> last = strict.frames();
    const Frame* goaway = Server::last(last, kGoaway);
    ASSERT_NE(goaway, nullptr);
    EXPECT_EQ(goaway->code(4), 1u);
  }
}

TEST(H2Server, ContentLengthIsHeldAgainstTheData) {
  Server server({.stream_errors = true});
  server.receive(hello() + frame(kHeaders, kEndHeaders, 1, get_block() + field("content-length", "3")) +
                 frame(kData, kEndStream, 1, "four"));
  EXPECT_EQ(Server::last(server.frames(), kReset)->code(), 1u);
  EXPECT_EQ(server.log, "1 head length=3; 1 peer_error PROTOCOL_ERROR http2.violation.of.messaging.rule");
  EXPECT_EQ(server.codec.counts().messaging_errors, 1u);
}

TEST(H2Server, AHeadBeyondTheLimitIsAnsweredAndTheNextOneIsRead) {
  Server server({.max_head_bytes = 200});
  std::string block = get_block();
  for (int i = 0; i < 3; ++i) block += field("x-long", std::string(100, 'x'));
  server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block) + request(3));
  EXPECT_EQ(server.log, "1 head http2.request_headers_too_large end; 3 head end");
  EXPECT_EQ(server.codec.counts().header_overflows, 1u);
}

TEST(H2Server, AResetThatIsReceivedEndsTheStream) {
  Server server;
  server.receive(hello() + request(1, kEndHeaders) + frame(kData, 0, 1, "x") + frame(kReset, 0, 1, number(8, 4)) +
                 frame(kData, 0, 1, "y"));
  EXPECT_EQ(server.log, "1 head; 1 data 1; 1 peer_reset CANCEL");
  EXPECT_EQ(server.codec.open_streams(), 0u);
}

// What comes behind it in the same piece is for nobody.
TEST(H2Server, AStreamThatIsResetByItsDataHasNoTrailers) {
  Server server;
  server.reset_at_data = true;
  server.receive(hello() + request(1, kEndHeaders) + frame(kData, 0, 1, "x") +
                 frame(kHeaders, kEndStream | kEndHeaders, 1, field("x-sum", "1")) +
                 frame(kHeaders, kEndStream | kEndHeaders, 3, get_block()));
  EXPECT_EQ(server.log, "1 head; 1 data 1; 3 head end");
  const auto frames = server.frames();
  const Frame* reset = Server::last(frames, kReset);
  ASSERT_NE(reset, nullptr);
  EXPECT_EQ(reset->code(), 2u);
}

TEST(H2Server, AfterAnEarlyAnswerTheRestOfTheRequestIsNotWanted) {
  Server server;
  server.receive(hello() + request(1, kEndHeaders));
  server.answer(server.stream(), "200", false);
  ASSERT_TRUE(server.send(server.stream(), "early", true));
  server.codec.reset_after_end(server.stream());
  const std::vector<Frame> out = server.frames();
  ASSERT_GE(out.size(), 3u);
  EXPECT_EQ(out[out.size() - 2].type, kData);
  EXPECT_EQ(out[out.size() - 2].payload, "early");
  EXPECT_EQ(out.back().type, kReset);
  EXPECT_EQ(out.back().code(), 0u);
  EXPECT_EQ(server.log, "1 head; 1 complete");
}

TEST(H2Server, EndsInTwoSteps) {
  Server server;
  server.receive(hello() + request(1));
  server.flush();
  server.codec.announce_shutdown();
  std::vector<Frame> out = server.frames();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].type, kGoaway);
  EXPECT_EQ(out[0].code(), 0x7fffffffu);
  server.receive(request(3));
  server.codec.shut_down();
  out = server.frames();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].code(), 3u);
  server.receive(request(5));
  EXPECT_EQ(server.log, "1 head end; 3 head end");
  server.answer(server.stream(0), "200", true);
  server.answer(server.stream(1), "200", true);
  EXPECT_FALSE(server.codec.finished());
  server.flush();
  EXPECT_TRUE(server.codec.finished());
  EXPECT_FALSE(server.codec.failed());
}

TEST(H2Server, WrongPrefacesAndFramesFail) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), std::string(kPrefaceStart) + "XX\r\n\r\n",
        hello() + frame(kData, 0, 0, "x"), hello() + frame(kSettings, 0, 1, ""), hello() + frame(kPing, 0, 0, "short"),
        hello() + frame(kData, 0, 1, "x"), hello() + frame(kPush, 0, 1, number(2, 4)),
        hello() + frame(kWindowUpdate, 0, 0, number(0, 4)), hello() + number(20000, 3) + std::string(6, '\0'),
        hello() + frame(kHeaders, kEndHeaders, 2, get_block())}) {
    Server server;
    server.receive(bytes);
    const std::vector<Frame> out = server.frames();
    EXPECT_TRUE(server.codec.failed()) << server.log;
    EXPECT_NE(server.log.find("failed http2."), std::string::npos) << server.log;
    ASSERT_FALSE(out.empty());
    EXPECT_EQ(out.back().type, kGoaway);
    EXPECT_NE(out.back().code(4), 0u);
  }
}

TEST(H2Server, ExtendedConnectIsAnUpgrade) {
  Server server({.allow_connect = true});
  const std::string block =
      field(":method", "CONNECT") + field(":protocol", "websocket") + "\x87\x84" + field(":authority", "a.example");
  server.receive(hello() + frame(kHeaders, kEndHeaders, 1, block) + frame(kData, 0, 1, "early"));
  EXPECT_EQ(server.log, "1 head end upgrade; 1 data 5");
  EXPECT_EQ(server.stream().head.get(HeaderId::kUpgrade), "websocket");
  EXPECT_EQ(server.stream().head.get(HeaderId::kConnection), "upgrade");
  EXPECT_EQ(server.stream().head.method(), "GET");
  HeaderMap ok(server.stream().arena);
  ok.add(HeaderId::kStatus, "200");
  EXPECT_FALSE(server.codec.send_response_head(server.stream(), ok, false));
  ok.set(HeaderId::kStatus, "101");
  server.flush();
  ASSERT_TRUE(server.codec.send_response_head(server.stream(), ok, false));
  const std::vector<Frame> out = server.frames();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].payload, "\x88");  // :status 200 of the static table

  Server closed;
  closed.receive(hello() + frame(kHeaders, kEndHeaders, 1, block));
  EXPECT_TRUE(closed.codec.failed());
}

}  // namespace
}  // namespace weir::http::h2::test
