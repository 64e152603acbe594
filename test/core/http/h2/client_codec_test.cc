// The client codec, against the server codec and against bytes that the test makes itself.
#include "core/http/h2/client_codec.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "test/core/http/h2/wire.h"

namespace weir::http::h2::test {
namespace {

class Client final : public Notes, public ClientCodec::Events {
 public:
  explicit Client(const Options& options = {}) : options_(options), codec(*this, blocks, options_) {}
  ~Client() { codec.stop(); }

  Exchange& open(std::string_view method, bool end, std::string_view upgrade = {}) {
    exchanges.push_back(std::make_unique<Exchange>(arenas));
    Exchange& made = *exchanges.back();
    HeaderMap map(made.arena);
    map.add(HeaderId::kMethod, method);
    map.add(HeaderId::kScheme, "http");
    map.add(HeaderId::kAuthority, "a:80");
    map.add(HeaderId::kPath, "/p");
    map.add(HeaderId::kTe, "trailers");
    if (!upgrade.empty()) {
      map.add(HeaderId::kConnection, "upgrade");
      map.add(HeaderId::kUpgrade, upgrade);
    }
    opened = codec.send_request_head(made, map, end);
    return made;
  }
  void receive(std::string_view bytes) {
    Slices in;
    in.append_copy(bytes, blocks);
    codec.receive(in);
  }
  std::string flush() {
    Slices out;
    codec.flush(out, 1 << 20);
    return out.to_string();
  }

  HeaderMap& begin_response(Stream& stream, int status) override {
    auto& exchange = static_cast<Exchange&>(stream);
    return status < 200 && status != 101 ? exchange.more : exchange.head;
  }
  void on_informational(Stream& stream, const ResponseHead& head) override {
    note(stream, "informational " + std::to_string(head.status));
    static_cast<Exchange&>(stream).more.clear();
  }
  void on_response_head(Stream& stream, const ResponseHead& head) override {
    note(stream, "head " + std::to_string(head.status) + (head.end ? " end" : "") + (head.tunnel ? " tunnel" : ""));
  }
  void on_response_data(Stream& stream, Slices& data, bool end) override {
    note(stream, "data " + data.to_string() + (end ? " end" : ""));
  }
  HeaderMap& begin_trailers(Stream& stream) override { return static_cast<Exchange&>(stream).trailers; }
  void on_response_trailers(Stream& stream, HeaderMap& trailers) override {
    note(stream, "trailers " + trailers.to_string());
  }
  void on_stream_closed(Stream& stream, const StreamEnd& end) override { note(stream, ending(end)); }
  void on_stream_flow(Stream& stream, bool above) override { note(stream, above ? "above" : "below"); }
  void on_ping_answered() override { log += "; pong"; }
  void on_goaway(int32_t last, ErrorCode code) override {
    log.append("; goaway " + std::to_string(last) + " ").append(error_code_name(code));
  }
  void on_settings() override { ++settings_seen; }
  void on_connection_error(Error error) override { log.append("; failed ").append(error_name(error)); }
  void want_flush() override {}

  std::vector<std::unique_ptr<Exchange>> exchanges;
  int settings_seen = 0;
  bool opened = false;

 private:
  const Options options_;

 public:
  ClientCodec codec;
};

// Until neither has more to say.
void talk(Client& client, Server& server) {
  for (int i = 0; i < 20; ++i) {
    const std::string up = client.flush();
    if (!up.empty()) server.receive(up);
    const std::string down = server.flush();
    if (!down.empty()) client.receive(down);
    if (up.empty() && down.empty()) return;
  }
  FAIL() << "they do not stop talking";
}

TEST(H2Client, SendsRequestsAndReadsResponses) {
  Client client;
  Server server;
  talk(client, server);
  EXPECT_EQ(client.settings_seen, 1);
  EXPECT_EQ(client.codec.peer_max_streams(), 1024u);
  Exchange& one = client.open("POST", false);
  ASSERT_TRUE(client.opened);
  Slices data;
  data.append_copy("question", client.blocks);
  ASSERT_TRUE(client.codec.send_data(one, data, false));
  HeaderMap trailers(one.arena);
  trailers.add(HeaderId::kNone, "x-sum", "1");
  ASSERT_TRUE(client.codec.send_trailers(one, trailers));
  client.open("GET", true);
  talk(client, server);
  EXPECT_EQ(server.log, "1 head; 3 head end; 1 data 8; 1 trailers 1");
  EXPECT_EQ(server.body, "question");
  EXPECT_EQ(server.stream(1).head.get(HeaderId::kTe), "trailers");

  HeaderMap early(server.stream(0).arena);
  early.add(HeaderId::kStatus, "103");
  ASSERT_TRUE(server.codec.send_informational(server.stream(0), early));
  server.answer(server.stream(0), "200", false);
  ASSERT_TRUE(server.send(server.stream(0), "answer", false));
  HeaderMap last(server.stream(0).arena);
  last.add(HeaderId::kGrpcStatus, "0");
  ASSERT_TRUE(server.codec.send_trailers(server.stream(0), last));
  server.answer(server.stream(1), "204", true);
  talk(client, server);
  EXPECT_EQ(client.log,
            "1 informational 103; 1 head 200; 3 head 204 end; 3 complete; 1 data answer; 1 trailers grpc-status: 0\n; "
            "1 complete");
  EXPECT_EQ(client.codec.open_streams(), 0u);
  EXPECT_EQ(server.codec.open_streams(), 0u);
}

// It says that it has not looked at what it has answered; however its bytes are cut, the answer is told first.
TEST(H2Client, DataBeforeAGoawayIsToldBeforeTheEnd) {
  Client client;
  client.open("GET", true);
  client.flush();
  const std::string none(8, '\0');  // last stream 0, NO_ERROR
  client.receive(frame(kSettings, 0, 0, "") + frame(kHeaders, kEndHeaders, 1, "\x88") + frame(kData, 0, 1, "hi") +
                 frame(kGoaway, 0, 0, none));
  EXPECT_EQ(client.log, "1 head 200; 1 data hi; goaway 0 NO_ERROR; 1 unprocessed REFUSED_STREAM");
}

TEST(H2Client, GoawayTellsWhatWasNotLookedAt) {
  Client client;
  Server server;
  client.open("GET", true);
  talk(client, server);
  server.codec.shut_down();
  client.open("GET", true);
  client.receive(server.flush());
  EXPECT_EQ(client.log, "; goaway 1 NO_ERROR");
  client.flush();
  client.receive("");
  EXPECT_EQ(client.log.substr(0, 40), "; goaway 1 NO_ERROR; 3 unprocessed REFUS");
  EXPECT_FALSE(client.codec.accepts_requests());
  client.open("GET", true);
  EXPECT_FALSE(client.opened);
}

TEST(H2Client, ARefusedStreamIsUnprocessed) {
  Client client;
  Server server;
  server.refuse = true;
  client.open("GET", true);
  talk(client, server);
  EXPECT_EQ(client.log, "1 unprocessed REFUSED_STREAM");
}

TEST(H2Client, ResetsAreHeardOnBothSides) {
  Client client;
  Server server;
  Exchange& one = client.open("GET", true);
  client.open("GET", true);
  talk(client, server);
  client.codec.reset(one, ErrorCode::kCancel);
  server.codec.reset(server.stream(1), ErrorCode::kInternalError);
  talk(client, server);
  EXPECT_EQ(server.log, "1 head end; 3 head end; 1 peer_reset CANCEL");
  EXPECT_EQ(client.log, "3 peer_reset INTERNAL_ERROR");
}

TEST(H2Client, AnUpgradeIsExtendedConnect) {
  Client client;
  Server server({.allow_connect = true});
  client.open("GET", false, "websocket");
  EXPECT_FALSE(client.opened);  // nobody has said yet that it may
  talk(client, server);
  Exchange& tunnel = client.open("GET", false, "websocket");
  ASSERT_TRUE(client.opened);
  talk(client, server);
  EXPECT_EQ(server.log, "1 head end upgrade");
  server.answer(server.stream(), "101", false);
  ASSERT_TRUE(server.send(server.stream(), "hi", false));
  Slices data;
  data.append_copy("ho", client.blocks);
  ASSERT_TRUE(client.codec.send_data(tunnel, data, true));
  talk(client, server);
  EXPECT_EQ(client.log, "1 head 101 tunnel; 1 data hi");
  EXPECT_EQ(tunnel.head.get(HeaderId::kUpgrade), "websocket");
  EXPECT_EQ(server.log, "1 head end upgrade; 1 data 2 end");
}

// Added by a rule, say.
TEST(H2Client, UpgradeAloneIsLeftOut) {
  Client client;
  Server server;
  Exchange made(client.arenas);
  HeaderMap map(made.arena);
  map.add(HeaderId::kMethod, "GET");
  map.add(HeaderId::kAuthority, "a");
  map.add(HeaderId::kPath, "/");
  map.add(HeaderId::kUpgrade, "x");
  ASSERT_TRUE(client.codec.send_request_head(made, map, true));
  talk(client, server);
  EXPECT_EQ(server.log, "1 head end");
  EXPECT_FALSE(server.stream().head.contains(HeaderId::kUpgrade));
  client.codec.stop();
}

// RFC 9113 8.2.2.
TEST(H2Client, IsToldNothingOfConnectionsOfHttp1) {
  Client client;
  Server server;
  Exchange& exchange = client.open("GET", true);
  talk(client, server);
  Exchange& stream = server.stream();
  const auto fill = [](HeaderMap& map) {
    for (HeaderId id : {HeaderId::kConnection, HeaderId::kUpgrade, HeaderId::kTransferEncoding, HeaderId::kTe,
                        HeaderId::kKeepAlive, HeaderId::kProxyConnection})
      map.add(id, "trailers");
    map.add(HeaderId::kGrpcStatus, "0");
  };
  HeaderMap head(stream.arena), trailers(stream.arena);
  head.add(HeaderId::kStatus, "200");
  fill(head);
  fill(trailers);
  ASSERT_TRUE(server.codec.send_response_head(stream, head, false));
  ASSERT_TRUE(server.codec.send_trailers(stream, trailers));
  talk(client, server);
  EXPECT_EQ(client.log, "1 head 200; 1 trailers grpc-status: 0\n; 1 complete");
  EXPECT_EQ(exchange.head.to_string(), ":status: 200\ngrpc-status: 0\n");
}

TEST(H2Client, PingsAreAnswered) {
  Client client;
  Server server;
  client.codec.ping();
  talk(client, server);
  server.codec.ping();
  talk(client, server);
  EXPECT_EQ(client.log, "; pong");
  EXPECT_EQ(server.log, "; pong");
}

TEST(H2Client, MalformedResponsesEndTheStream) {
  for (const std::string& block :
       {field("x", "1"), std::string("\x88") + field("connection", "close"), std::string("\x88") + field(":path", "/"),
        field(":status", "20x"), field(":status", "101")}) {
    Client client({.stream_errors = true});
    client.open("GET", true);
    client.flush();
    client.receive(settings() + frame(kHeaders, kEndHeaders, 1, block));
    EXPECT_NE(client.log.find("1 peer_error PROTOCOL_ERROR"), std::string::npos) << client.log;
  }
}

// They pass every window, and wait for whoever asked.
TEST(H2Client, EndlessInformationalHeadsEndTheStream) {
  Client client;
  client.open("GET", true);
  client.flush();
  const std::string early = frame(kHeaders, kEndHeaders, 1, field(":status", "103"));
  std::string bytes = settings();
  for (int i = 0; i < 32; ++i) bytes += early;
  client.receive(bytes);
  EXPECT_EQ(client.codec.open_streams(), 1u);
  client.log.clear();
  client.receive(early + early);
  EXPECT_EQ(client.log, "1 peer_error CANCEL http2.too_many_informational");
  EXPECT_EQ(client.codec.open_streams(), 0u);
  EXPECT_FALSE(client.codec.failed());
  const std::vector<Frame> sent = frames_of(client.flush());
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent.back().type, kReset);
  EXPECT_EQ(sent.back().code(), static_cast<uint32_t>(ErrorCode::kCancel));
}

TEST(H2Client, PushIsRefused) {
  Client client;
  client.open("GET", true);
  client.flush();
  client.receive(settings() + frame(kSettings, 1, 0, "") + frame(kPush, kEndHeaders, 1, number(2, 4) + get_block()));
  client.flush();
  EXPECT_NE(client.log.find("failed http2."), std::string::npos) << client.log;
}

}  // namespace
}  // namespace weir::http::h2::test
