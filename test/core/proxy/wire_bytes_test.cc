// The sizes that access logs print, against the bytes that were seen on the sockets.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/stream/formatter.h"
#include "test/core/proxy/proxy_world.h"

namespace weir::proxy {
namespace {

using test::ProxyWorld;
using Lines = std::vector<std::string>;

constexpr std::string_view kDownstream =
    "%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_HEADER_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% "
    "%DOWNSTREAM_HEADER_BYTES_SENT%";
constexpr std::string_view kUpstream =
    "%UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_HEADER_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED% "
    "%UPSTREAM_HEADER_BYTES_RECEIVED%";

test::WorldOptions logging(std::string_view format) { return {.log_format = std::string(format)}; }

size_t head_of(const std::string& message) { return message.find("\r\n\r\n") + 4; }

std::string sizes(const std::string& first, const std::string& second) {
  return std::to_string(first.size()) + " " + std::to_string(head_of(first)) + " " + std::to_string(second.size()) +
         " " + std::to_string(head_of(second));
}

constexpr std::string_view kChunkedRequest =
    "POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    "3;extension=\"x\"\r\nabc\r\n4\r\ndefg\r\n0\r\nx-sum: 7\r\n\r\n";
constexpr std::string_view kChunkedResponse =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-end: 1\r\n\r\n";

TEST(WireBytes, OfChunkedBodiesWithTrailers) {
  for (size_t cut : {size_t{1000}, size_t{1}, size_t{7}}) {  // how many bytes come at a time
    ProxyWorld down(logging(kDownstream));
    ProxyWorld up(logging(kUpstream));
    for (ProxyWorld* world : {&down, &up}) {
      auto client = world->connect();
      auto send = [&](test::Peer& peer, std::string_view text) {
        for (; !text.empty(); text.remove_prefix(std::min(cut, text.size()))) {
          peer.send(text.substr(0, cut));
          world->settle();
        }
      };
      send(*client, kChunkedRequest);
      auto server = world->upstream().accept();
      const std::string forwarded = server->receive();
      send(*server, kChunkedResponse);
      const std::string answer = client->receive();
      EXPECT_TRUE(answer.ends_with("x-end: 1\r\n\r\n")) << answer;
      EXPECT_EQ(world->log(), Lines{world == &down ? sizes(std::string(kChunkedRequest), answer)
                                                   : sizes(forwarded, std::string(kChunkedResponse))});
    }
  }
}

TEST(WireBytes, OfEachOfSeveralRequestsOnOneConnection) {
  ProxyWorld world(logging(std::string(kDownstream) + " " + std::string(kUpstream)));
  auto client = world.connect();
  const std::string first = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
  const std::string second = "GET /two HTTP/1.1\r\nhost: a\r\n\r\n";
  const std::string answers[] = {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                                 "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"};
  client->send(first + second);  // pipelined
  world.settle();
  auto server = world.upstream().accept();
  Lines expected;
  for (int i = 0; i < 2; ++i) {
    const std::string forwarded = server->receive();
    server->send(answers[i]);
    world.settle();
    expected.push_back(sizes(i == 0 ? first : second, client->receive()) + " " + sizes(forwarded, answers[i]));
  }
  EXPECT_EQ(world.log(), expected);
}

// What was sent to a host that failed counts too.
TEST(WireBytes, OfAllAttempts) {
  test::WorldOptions options = logging(kUpstream);
  options.upstreams = 2;
  options.virtual_host = [](route::VirtualHostSpec& host) {
    route::RetryPolicySpec& policy = host.routes[0].forward.retry.emplace();
    policy.retry_on = "5xx";
    policy.num_retries = 1;
  };
  ProxyWorld world(std::move(options));
  auto client = world.connect();
  client->send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  world.settle();
  const std::string failure = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
  const std::string success = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
  auto server = world.upstream(0).accept();
  const std::string once = server->receive();
  server->send(failure);
  world.settle();
  world.advance(std::chrono::seconds(1));
  auto other = world.upstream(1).accept();
  const std::string twice = other->receive();
  other->send(success);
  world.settle();
  const size_t received = failure.size() + success.size();
  EXPECT_EQ(world.log(),
            Lines{std::to_string(once.size() + twice.size()) + " " + std::to_string(once.size() + twice.size()) + " " +
                  std::to_string(received) + " " + std::to_string(received - 2)});
}

TEST(WireBytes, OfHeadsThatAreRefusedOrNeverComplete) {
  for (std::string_view bytes :
       {"GET / HTTP/1.1\r\nhost: a\r\nbad header: x\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n"}) {
    ProxyWorld world(logging("%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_HEADER_BYTES_RECEIVED%"));
    auto client = world.connect();
    client->send(bytes);
    world.settle();
    client->half_close();
    world.settle();
    const std::string size = std::to_string(bytes.size());
    EXPECT_EQ(world.log(), Lines{size + " " + size});
  }
}

TEST(HeaderBytes, AreNamesAndValuesWithoutTheirPunctuation) {
  ProxyWorld world(logging("%REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%"));
  auto client = world.connect();
  client->send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  world.settle();
  auto server = world.upstream().accept();
  server->send(kChunkedResponse);
  world.settle();
  ASSERT_EQ(world.log().size(), 1u);
  const std::string line = world.log()[0];
  const size_t request = std::stoul(line);
  const size_t response = std::stoul(line.substr(line.find(' ')));
  // ":method" "GET", ":path" "/", ":authority" "a", ":scheme" "http" and what the proxy adds.
  EXPECT_GE(request, 10u + 6u + 11u + 11u);
  EXPECT_GE(response, std::string_view(":status200serverdate").size());
  EXPECT_TRUE(line.ends_with(" 6")) << line;  // "x-end" "1"
}

TEST(UpstreamLocalAddress, IsThatOfTheConnection) {
  ProxyWorld world(logging("%UPSTREAM_LOCAL_ADDRESS%"));
  auto client = world.connect();
  std::unique_ptr<test::Peer> server;
  for (int i = 0; i < 2; ++i) {  // the second request on the same connection
    client->send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    world.settle();
    if (i == 0) server = world.upstream().accept();
    server->send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    world.settle();
    sockaddr_in peer{};
    socklen_t size = sizeof(peer);
    ASSERT_EQ(getpeername(server->fd(), reinterpret_cast<sockaddr*>(&peer), &size), 0);
    ASSERT_EQ(world.log().size(), static_cast<size_t>(i) + 1);
    EXPECT_EQ(world.log().back(), "127.0.0.1:" + std::to_string(ntohs(peer.sin_port)));
  }
}

}  // namespace
}  // namespace weir::proxy
