// What a head becomes in the map. What is refused is in test/conformance/http1.
#include "core/http/h1/parser.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::http::h1::test {
namespace {

class ParserTest : public testing::Test {
 protected:
  ParseError request(std::string_view head) {
    map_.clear();
    info_ = {};
    return parse_request_head(head, settings_, map_, info_);
  }
  ParseError response(std::string_view head, RequestKind kind = {}) {
    map_.clear();
    response_ = {};
    return parse_response_head(head, settings_, kind, map_, response_);
  }

  ArenaPool pool_;
  Arena arena_{pool_};
  HeaderMap map_{arena_};
  Settings settings_;
  RequestHead info_;
  ResponseHead response_;
};

TEST_F(ParserTest, PseudoHeadersComeFirstWhereverHostStands) {
  std::string head = "GET /p?q HTTP/1.1\r\nUser-Agent: u\r\nX-Mixed-Case:  v  \r\nHost: a.b:80\r\nx-lower: w\r\n\r\n";
  ASSERT_EQ(request(head), ParseError::kNone);
  EXPECT_EQ(map_.to_string(),
            ":method: GET\n:path: /p?q\n:authority: a.b:80\nuser-agent: u\nx-mixed-case: v\nx-lower: w\n");
  EXPECT_FALSE(map_.contains(HeaderId::kHost));
  auto inside = [&](std::string_view text) {
    return text.data() >= head.data() && text.data() < head.data() + head.size();
  };
  EXPECT_TRUE(inside(map_.path()));
  EXPECT_TRUE(inside(map_.get(HeaderName("x-mixed-case"))));
  map_.for_each([&](const HeaderEntry& entry) {
    if (entry.name() == "x-lower") {
      EXPECT_TRUE(inside(entry.name()));
    }
    if (entry.name() == "x-mixed-case") {
      EXPECT_FALSE(inside(entry.name()));
    }
    if (entry.id != HeaderId::kNone) {
      EXPECT_EQ(entry.name_data, name_of(entry.id).data());
    }
  });
}

TEST_F(ParserTest, TargetForms) {
  ASSERT_EQ(request("GET HTTPS://A.b?x HTTP/1.1\r\nHost: a.B\r\n\r\n"), ParseError::kNone);
  EXPECT_EQ(map_.to_string(), ":method: GET\n:path: /?x\n:scheme: https\n:authority: A.b\n");
  EXPECT_TRUE(info_.absolute_form);
  ASSERT_EQ(request("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n"), ParseError::kNone);
  EXPECT_EQ(map_.path(), "/");
  ASSERT_EQ(request("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"), ParseError::kNone);
  EXPECT_EQ(map_.path(), "*");
  ASSERT_EQ(request("OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), ParseError::kNone);
  EXPECT_EQ(map_.path(), "/");
  ASSERT_EQ(request("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), ParseError::kNone);
  EXPECT_EQ(map_.to_string(), ":method: CONNECT\n:authority: a:443\n");
  EXPECT_TRUE(info_.is_connect);
  settings_.options.accept_http_10 = true;
  ASSERT_EQ(request("GET / HTTP/1.0\r\n\r\n"), ParseError::kNone);
  EXPECT_FALSE(map_.contains(HeaderId::kAuthority));
  ASSERT_EQ(request("GET http://a/ HTTP/1.0\r\n\r\n"), ParseError::kNone);
  EXPECT_EQ(map_.authority(), "a");
}

// RFC 3986 6.2.3: what follows sees one form.
TEST_F(ParserTest, AnEmptyPortIsNone) {
  for (const char* head : {"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET http://a:/ HTTP/1.1\r\nHost: a\r\n\r\n",
                           "GET http://a/ HTTP/1.1\r\nHost: a:\r\n\r\n"}) {
    ASSERT_EQ(request(head), ParseError::kNone) << head;
    EXPECT_EQ(map_.authority(), "a") << head;
  }
  EXPECT_EQ(request("CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n"), ParseError::kInvalidTarget);
}

TEST_F(ParserTest, KeepAlive) {
  settings_.options.accept_http_10 = true;
  auto keeps = [&](std::string_view version, std::string_view connection) {
    std::string head = "GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n" + std::string(connection) + "\r\n";
    EXPECT_EQ(request(head), ParseError::kNone) << head;
    return info_.keep_alive;
  };
  EXPECT_TRUE(keeps("1.1", ""));
  EXPECT_TRUE(keeps("1.1", "Connection: keep-alive\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: close\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: x, CLOSE ,y\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: x\r\nConnection: close\r\n"));
  EXPECT_TRUE(keeps("1.1", "Connection: closed\r\n"));
  EXPECT_TRUE(keeps("1.2", ""));
  EXPECT_FALSE(keeps("1.0", ""));
  EXPECT_TRUE(keeps("1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_FALSE(keeps("1.0", "Connection: keep-alive, close\r\n"));
}

TEST_F(ParserTest, UpgradeAndExpect) {
  ASSERT_EQ(request("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"),
            ParseError::kNone);
  EXPECT_TRUE(info_.upgrade);
  ASSERT_EQ(request("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"), ParseError::kNone);
  EXPECT_FALSE(info_.upgrade);
  ASSERT_EQ(request("POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\n"),
            ParseError::kNone);
  EXPECT_FALSE(info_.upgrade);
  ASSERT_EQ(request("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n"),
            ParseError::kNone);
  EXPECT_TRUE(info_.expect_continue);
  ASSERT_EQ(request("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"), ParseError::kNone);
  EXPECT_FALSE(info_.expect_continue);
  settings_.options.accept_http_10 = true;
  ASSERT_EQ(request("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
            ParseError::kNone);
  EXPECT_FALSE(info_.expect_continue);
}

TEST_F(ParserTest, Responses) {
  ASSERT_EQ(response("HTTP/1.1 404 Gone Fishing\r\nServer: s\r\nContent-Length: 3\r\n\r\n"), ParseError::kNone);
  EXPECT_EQ(map_.to_string(), ":status: 404\nserver: s\ncontent-length: 3\n");
  EXPECT_EQ(response_.status, 404);
  EXPECT_EQ(response_.body, BodyKind::kLength);
  EXPECT_EQ(response_.content_length, 3u);
  EXPECT_TRUE(response_.keep_alive);
  ASSERT_EQ(response("HTTP/1.1 200 OK\r\n\r\n"), ParseError::kNone);
  EXPECT_EQ(response_.body, BodyKind::kUntilClose);
  EXPECT_FALSE(response_.keep_alive);
  ASSERT_EQ(response("HTTP/1.1 200 OK\r\n\r\n", {.is_connect = true}), ParseError::kNone);
  EXPECT_EQ(response_.body, BodyKind::kTunnel);
  ASSERT_EQ(response("HTTP/1.1 101 Up\r\nupgrade: x\r\n\r\n", {.is_upgrade = true}), ParseError::kNone);
  EXPECT_EQ(response_.body, BodyKind::kTunnel);
  ASSERT_EQ(response("HTTP/1.1 100 Continue\r\n\r\n"), ParseError::kNone);
  EXPECT_FALSE(response_.end_stream);
  EXPECT_EQ(peek_status("HTTP/1.1 200 OK\r\n\r\n"), 200);
  EXPECT_EQ(peek_status("HTTP/1.1 2x0 OK\r\n\r\n"), 0);
}

// Heads that were not found by the scanner: nothing may be read beyond the end, whatever is missing.
TEST_F(ParserTest, EveryPrefixIsRefused) {
  std::string_view head =
      "GET http://h/p HTTP/1.1\r\nHost: h\r\nX-Unknown: 0123456789012345\r\nConnection: close\r\n\r\n";
  ASSERT_EQ(request(head), ParseError::kNone);
  for (size_t size = 0; size < head.size(); ++size) {
    std::string exact(head.substr(0, size));
    exact.shrink_to_fit();
    EXPECT_NE(request(exact), ParseError::kNone) << exact;
  }
  std::string_view answer = "HTTP/1.1 200 OK\r\nServer: s\r\nX-Unknown: 0123456789012345\r\n\r\n";
  for (size_t size = 0; size < answer.size(); ++size) {
    std::string exact(answer.substr(0, size));
    EXPECT_NE(response(exact), ParseError::kNone) << exact;
  }
}

TEST_F(ParserTest, MoreEntriesThanTheMapHasInline) {
  settings_.limits.max_header_count = 1000;
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 400; ++i) head += "X-N" + std::to_string(i) + ": " + std::to_string(i) + "\r\n";
  head += "Accept: last\r\n\r\n";
  ASSERT_EQ(request(head), ParseError::kNone);
  EXPECT_EQ(map_.size(), 404u);
  EXPECT_EQ(map_.get(HeaderId::kAccept), "last");
  EXPECT_EQ(map_.get(HeaderName("x-n399")), "399");
}

}  // namespace
}  // namespace weir::http::h1::test
