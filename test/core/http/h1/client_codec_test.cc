// Flow through the client's codec: requests out, connection reuse, early and late bytes. What is refused is in
// test/conformance/http1/responses.txt.
#include <gtest/gtest.h>

#include <string>

#include "core/http/h1/parser.h"
#include "test/core/http/h1/transcript.h"

namespace weir::http::h1::test {
namespace {

using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class ClientCodecTest : public testing::Test {
 protected:
  std::string request(std::string_view method, bool end_stream, Fields fields = {}) {
    HeaderMap map(arena_);
    map.add_copy(HeaderId::kMethod, method);
    map.add_copy(HeaderId::kPath, "/p");
    map.add_copy(HeaderId::kAuthority, "h:1");
    for (auto [name, value] : fields) map.add_copy(name, value);
    Slices out;
    error_ = client_.codec.encode_request_head(map, end_stream, out);
    return out.to_string();
  }
  std::string send(std::string_view text, bool end_stream) {
    Slices data;
    append_alone(data, text, client_.blocks);
    Slices out;
    error_ = client_.codec.encode_data(data, end_stream, out);
    return out.to_string();
  }
  void receive(std::string_view text) {
    append_alone(in_, text, client_.blocks);
    client_.codec.receive(in_);
    client_.flush();
  }

  ClientRecorder client_;
  Slices in_;
  ArenaPool pool_;
  Arena arena_{pool_};
  EncodeError error_ = EncodeError::kNone;
};

TEST_F(ClientCodecTest, Framing) {
  EXPECT_EQ(request("GET", true, {{"accept", "*/*"}, {"host", "other"}}),
            "GET /p HTTP/1.1\r\nhost: h:1\r\naccept: */*\r\n\r\n");
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(client_.codec.reusable());
  EXPECT_EQ(request("POST", true), "POST /p HTTP/1.1\r\nhost: h:1\r\ncontent-length: 0\r\n\r\n");
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(request("POST", false), "POST /p HTTP/1.1\r\nhost: h:1\r\ntransfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(send("abc", true), "3\r\nabc\r\n0\r\n\r\n");
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(request("PUT", false, {{"transfer-encoding", "chunked"}, {"content-length", "3"}}),
            "PUT /p HTTP/1.1\r\nhost: h:1\r\ncontent-length: 3\r\n\r\n");
  EXPECT_EQ(send("abc", true), "abc");
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(client_.codec.reusable());
}

// RFC 9110 7.8
TEST_F(ClientCodecTest, NoSwitchToWhatNobodyAskedFor) {
  const auto answered = [](std::string_view asked, std::string_view answer) {
    RequestKind kind{.is_upgrade = true, .protocol = upgrade_protocol(asked)};
    ResponseHead head;
    ArenaPool pool;
    Arena arena(pool);
    HeaderMap map(arena);
    return parse_response_head("HTTP/1.1 101 x\r\n" + std::string(answer) + "\r\n", Settings(), kind, map, head);
  };
  EXPECT_EQ(answered("websocket", "upgrade: websocket\r\n"), ParseError::kNone);
  EXPECT_EQ(answered("websocket", "Upgrade: WebSocket\r\n"), ParseError::kNone);
  EXPECT_EQ(answered("websocket", ""), ParseError::kUnexpectedUpgrade);
  EXPECT_EQ(answered("websocket", "upgrade: h2c\r\n"), ParseError::kUnexpectedUpgrade);
  EXPECT_EQ(answered("websocket", "upgrade: websockets\r\n"), ParseError::kUnexpectedUpgrade);
  EXPECT_EQ(answered("h2c, websocket", "upgrade: h2c\r\n"), ParseError::kNone);

  request("GET", false, {{"connection", "upgrade"}, {"upgrade", "x"}});
  receive("HTTP/1.1 101 Switching Protocols\r\nUpgrade: y\r\n\r\n");
  EXPECT_EQ(client_.error, ParseError::kUnexpectedUpgrade);
}

TEST_F(ClientCodecTest, RefusesWhatItCannotFrame) {
  EXPECT_EQ(request("POST", false, {{"content-length", "3"}, {"content-length", "3"}}), "");
  EXPECT_EQ(error_, EncodeError::kInvalidContentLength);
  EXPECT_EQ(request("POST", false, {{"content-length", "+3"}}), "");
  EXPECT_EQ(error_, EncodeError::kInvalidContentLength);
  EXPECT_EQ(request("POST", true, {{"content-length", "3"}}), "");
  EXPECT_EQ(error_, EncodeError::kBodyTooShort);
  EXPECT_EQ(request("POST", false, {{"content-length", "3"}}).substr(0, 4), "POST");
  EXPECT_EQ(request("GET", true), "");
  EXPECT_EQ(error_, EncodeError::kWrongState);
  EXPECT_EQ(send("abcd", false), "");
  EXPECT_EQ(error_, EncodeError::kBodyTooLong);
}

TEST_F(ClientCodecTest, AnEarlyResponseLeavesTheConnectionUnusable) {
  request("POST", false);
  receive("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(client_.codec.response_complete());
  EXPECT_FALSE(client_.codec.request_complete());
  EXPECT_FALSE(client_.codec.reusable());
}

TEST_F(ClientCodecTest, ReuseAsThePeerSays) {
  request("GET", true);
  receive("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(client_.codec.reusable());
}

TEST_F(ClientCodecTest, ReuseAsTheOwnerSays) {
  client_.codec.close_after_response();
  EXPECT_EQ(request("GET", true), "GET /p HTTP/1.1\r\nhost: h:1\r\nconnection: close\r\n\r\n");
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(client_.codec.reusable());
}

// RFC 9110 10.1.4. Whoever set TE need not know of which protocol the connection is.
TEST_F(ClientCodecTest, TeIsNamedInConnection) {
  const std::string head = "GET /p HTTP/1.1\r\nhost: h:1\r\n";
  EXPECT_EQ(request("GET", true, {{"te", "trailers"}}), head + "te: trailers\r\nconnection: te\r\n\r\n");
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(client_.codec.reusable());
  EXPECT_EQ(request("GET", true, {{"te", "trailers"}, {"connection", "x, TE"}}),
            head + "te: trailers\r\nconnection: x, TE\r\n\r\n");
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(request("GET", true, {{"te", "trailers"}, {"connection", "upgrade"}, {"upgrade", "websocket"}}),
            head + "te: trailers\r\nconnection: upgrade\r\nupgrade: websocket\r\nconnection: te\r\n\r\n");
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  client_.codec.close_after_response();
  EXPECT_EQ(request("GET", true, {{"te", "trailers"}}), head + "te: trailers\r\nconnection: close, te\r\n\r\n");
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(client_.codec.reusable());
}

// What asks for nothing, added by a rule, say: the body keeps its framing.
TEST_F(ClientCodecTest, UpgradeAloneIsAFieldLikeAnother) {
  EXPECT_EQ(request("POST", false, {{"upgrade", "x"}}),
            "POST /p HTTP/1.1\r\nhost: h:1\r\nupgrade: x\r\ntransfer-encoding: chunked\r\n\r\n");
}

TEST_F(ClientCodecTest, NoReuseAfterASecondFieldThatSaysClose) {
  request("GET", true, {{"connection", "te"}, {"connection", "close"}});
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(client_.codec.reusable());
}

// An operator's header, say. RFC 9112 9.6.
TEST_F(ClientCodecTest, NoReuseAfterARequestThatSaysClose) {
  EXPECT_EQ(request("GET", true, {{"connection", "te, Close"}}),
            "GET /p HTTP/1.1\r\nhost: h:1\r\nconnection: te, Close\r\n\r\n");
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(client_.codec.reusable());
}

TEST_F(ClientCodecTest, Http10PeersAreReusedIfTheySaySo) {
  request("GET", true);
  receive("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(client_.codec.reusable());
  request("GET", true);
  receive("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(client_.codec.reusable());
}

TEST_F(ClientCodecTest, SurplusBytesCannotAnswerTheNextRequest) {
  request("GET", true);
  append_alone(in_, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 Poison\r\nContent-Length: 0\r\n\r\n",
               client_.blocks);
  client_.codec.receive(in_);
  EXPECT_EQ(client_.complete(), 1u);
  EXPECT_EQ(client_.error, ParseError::kUnexpectedData);
  EXPECT_FALSE(client_.codec.reusable());
}

TEST_F(ClientCodecTest, BytesOnAnIdleConnection) {
  receive("HTTP/1.1 408 Timeout\r\n\r\n");
  EXPECT_EQ(client_.error, ParseError::kUnexpectedData);
}

TEST_F(ClientCodecTest, EofOnAnIdleConnectionIsNoError) {
  request("GET", true);
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  client_.codec.on_eof();
  EXPECT_EQ(client_.error, ParseError::kNone);
  EXPECT_FALSE(client_.codec.reusable());
}

// RFC 9112 9.8: without a length, what was cut off is not whole.
TEST_F(ClientCodecTest, ABodyUntilTheEndThatWasCutOff) {
  request("GET", true);
  receive("HTTP/1.1 200 OK\r\n\r\npart of it");
  client_.codec.on_eof(/*cut_off=*/true);
  EXPECT_EQ(client_.error, ParseError::kPrematureEof);
  EXPECT_FALSE(client_.last().ended);
}

TEST_F(ClientCodecTest, KnowsWhetherAResponseHasStarted) {
  request("GET", true);
  EXPECT_FALSE(client_.codec.response_started());
  receive("H");
  EXPECT_TRUE(client_.codec.response_started());
  receive("TTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(client_.codec.response_started());
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  request("GET", true);
  EXPECT_FALSE(client_.codec.response_started());
}

TEST_F(ClientCodecTest, TooManyInformational) {
  request("GET", true);
  for (int i = 0; i < 40; ++i) receive("HTTP/1.1 103 Early Hints\r\n\r\n");
  EXPECT_EQ(client_.error, ParseError::kTooManyInformational);
}

TEST_F(ClientCodecTest, TunnelAfterUpgrade) {
  EXPECT_EQ(request("GET", false, {{"connection", "upgrade"}, {"upgrade", "x"}}),
            "GET /p HTTP/1.1\r\nhost: h:1\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
  EXPECT_EQ(send("early", false), "");
  EXPECT_EQ(error_, EncodeError::kWrongState);
  receive("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nserver speaks");
  EXPECT_TRUE(client_.codec.in_tunnel());
  EXPECT_EQ(client_.last().body, "server speaks");
  EXPECT_EQ(send("client speaks", false), "client speaks");
  EXPECT_EQ(send("", true), "");
  receive("still");
  client_.codec.on_eof();
  EXPECT_EQ(client_.last().body, "server speaksstill");
  EXPECT_TRUE(client_.last().ended);
  EXPECT_FALSE(client_.codec.reusable());
}

TEST_F(ClientCodecTest, Connect) {
  EXPECT_EQ(request("CONNECT", false), "CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n\r\n");
  receive("HTTP/1.1 200 OK\r\n\r\nbytes");
  EXPECT_TRUE(client_.codec.in_tunnel());
  EXPECT_EQ(send("x", false), "x");
}

TEST_F(ClientCodecTest, PausedBodyStaysInTheInput) {
  request("GET", true);
  client_.codec.pause();
  receive("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(client_.text, "");
  client_.codec.unpause();
  client_.codec.receive(in_);
  EXPECT_EQ(client_.last().body, "hi");
}

// RFC 9112 6.3
TEST(ClientCodecOptions, ChunkedWithLength) {
  for (bool allowed : {false, true}) {
    Settings settings;
    settings.options.allow_chunked_length = allowed;
    ClientRecorder client(settings);
    client.codec.expect_response({});
    Slices in;
    append_alone(in,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                 client.blocks);
    client.codec.receive(in);
    client.flush();
    EXPECT_EQ(client.text, allowed ? "response 200 chunked close\n:status: 200\ntransfer-encoding: chunked\n\ndata "
                                     "hello\nend\n"
                                   : "error http1.length_and_encoding\n");
    EXPECT_FALSE(client.codec.reusable());
  }
}

}  // namespace
}  // namespace weir::http::h1::test
