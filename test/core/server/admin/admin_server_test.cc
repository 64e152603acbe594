#include "core/http/header_map.h"
#include "test/core/server/admin/fake_source.h"

namespace weir::admin {
namespace {

constexpr size_t kBig = 40'000'000;

std::string big_body() {
  std::string body;
  body.reserve(kBig);
  while (body.size() < kBig) body += "0123456789abcdef" + std::to_string(body.size()) + "\n";
  body.resize(kBig);
  return body;
}

class AdminServerTest : public AdminTest {
 protected:
  void add_more() override {
    server_->add("/big", {.help = "big"},
                 [](const AdminRequest&, AdminResponse& response) { response.body = big_body(); });
    server_->add("/long", {.help = "as big"}, [](const AdminRequest&, AdminResponse& response) {
      const std::string body = big_body();
      for (size_t at = 0; at < body.size(); at += 1000)
        response.long_body.append(std::string_view(body).substr(at, 1000));
    });
    server_->add("/echo", {.access = Access::kReadOrChange, .help = "echo"},
                 [](const AdminRequest& request, AdminResponse& response) {
                   for (const auto& [name, value] : request.parameters) response.body += name + "=" + value + ";";
                   response.body += std::to_string(request.body.size());
                 });
    server_->add("/sliced", {.help = "sliced"}, [this](const AdminRequest&, AdminResponse& response) {
      response.body = "done";
      response.prepare = [this, held = held_] { return ++slices_ < wanted_slices_; };
    });
  }

  int slices_ = 0;
  int wanted_slices_ = 3;
  std::shared_ptr<int> held_ = std::make_shared<int>();
};

TEST_F(AdminServerTest, LongReadingLeavesTurnsForOthers) {
  start();
  EXPECT_EQ(get("/sliced"), "done");
  EXPECT_EQ(slices_, 3);

  wanted_slices_ = 1'000'000'000;
  auto first = connect();
  first->send("GET /sliced HTTP/1.1\r\nhost: [::1]\r\n\r\nGET /ready HTTP/1.1\r\nhost: [::1]\r\n\r\n");
  EXPECT_EQ(get("/ready"), "LIVE\n");
  EXPECT_GT(slices_, 3);
  wanted_slices_ = 0;
  EXPECT_EQ(body_of(first->response()), "done");
  EXPECT_EQ(body_of(first->response()), "LIVE\n");
}

TEST_F(AdminServerTest, ClosingEndsLongReading) {
  start();
  wanted_slices_ = 1'000'000'000;
  auto client = connect();
  client->send("GET /sliced HTTP/1.1\r\nhost: [::1]\r\n\r\n");
  while (slices_ <= 3) lane_.turn();
  server_.reset();
  EXPECT_EQ(held_.use_count(), 1);
}

TEST_F(AdminServerTest, HeadersOfAnAnswer) {
  start();
  std::string response = exchange("GET", "/ready");
  EXPECT_EQ(status_of(response), 200);
  for (const char* line :
       {"content-type: text/plain; charset=UTF-8\r\n", "content-length: 5\r\n",
        "cache-control: no-cache, max-age=0\r\n", "x-content-type-options: nosniff\r\n", "\r\ndate: "}) {
    EXPECT_NE(response.find(line), std::string::npos) << line << response;
  }
}

TEST_F(AdminServerTest, ChangesOnlyByPost) {
  start();
  for (const char* path : {"/quitquitquit", "/healthcheck/fail", "/healthcheck/ok", "/reset_counters", "/reopen_logs",
                           "/drain_listeners"}) {
    std::string response = exchange("GET", path);
    EXPECT_EQ(status_of(response), 405) << path;
    EXPECT_NE(response.find("\r\nallow: POST\r\n"), std::string::npos) << response;
  }
  EXPECT_EQ(source_.actions_, "");
  EXPECT_EQ(get("/quitquitquit"),
            "/quitquitquit changes state: use POST\n  curl -X POST http://127.0.0.1/quitquitquit\n");
  std::string read_only = exchange("POST", "/stats");
  EXPECT_EQ(status_of(read_only), 405);
  EXPECT_NE(read_only.find("\r\nallow: GET, HEAD\r\n"), std::string::npos);
  EXPECT_EQ(status_of(exchange("OPTIONS", "/stats")), 405);
  EXPECT_EQ(status_of(exchange("DELETE", "/quitquitquit")), 405);
  EXPECT_EQ(post("/healthcheck/fail"), "OK\n");
  EXPECT_EQ(post("/healthcheck/ok"), "OK\n");
  EXPECT_EQ(post("/reopen_logs"), "OK\n");
  std::string quit = exchange("POST", "/quitquitquit");
  EXPECT_EQ(body_of(quit), "OK\n");
  EXPECT_NE(quit.find("connection: close"), std::string::npos);
  EXPECT_EQ(post("/drain_listeners"), "OK\n");
  EXPECT_EQ(post("/drain_listeners?graceful"), "OK\n");
  EXPECT_EQ(post("/drain_listeners?graceful&skip_exit"), "OK\n");
  EXPECT_EQ(status_of(exchange("POST", "/drain_listeners?skip_exit")), 400);
  EXPECT_EQ(post("/reset_counters?filter=x"), "unknown parameter \"filter\"; /reset_counters takes none\n");
  EXPECT_EQ(post("/drain_listeners?inboundonly"), "OK\n");
  EXPECT_EQ(post("/drain_listeners?inboundonly&graceful"), "OK\n");
  EXPECT_EQ(source_.actions_, "fail ok reopen shutdown stop drain drain-and-keep inbound-stop inbound-drain ");
}

TEST_F(AdminServerTest, BrowsersOfOtherSitesAreRefused) {
  start({.allowed_hosts = {"edge.internal"}});
  auto with_host = [&](const std::string& path, const std::string& host) {
    auto client = connect();
    client->send("GET " + path + " HTTP/1.1\r\nhost: " + host + "\r\n\r\n");
    return status_of(client->response());
  };
  EXPECT_EQ(with_host("/stats", "rebound.example:9901"), 403);
  EXPECT_EQ(with_host("/none", "rebound.example"), 403);
  EXPECT_EQ(with_host("/ready", "any.example"), 200);
  EXPECT_EQ(with_host("/stats", "edge.internal:9901"), 200);
  EXPECT_EQ(with_host("/stats", "localhost:9901"), 200);
  EXPECT_EQ(status_of(exchange("POST", "/quitquitquit", "origin: http://evil.example\r\n")), 403);
  EXPECT_EQ(status_of(exchange("POST", "/quitquitquit", "sec-fetch-site: cross-site\r\n")), 403);
  EXPECT_EQ(status_of(exchange("GET", "/stats", "origin: http://evil.example\r\n")), 403);
  EXPECT_EQ(source_.actions_, "");
  EXPECT_EQ(status_of(exchange("POST", "/quitquitquit", "origin: http://127.0.0.1\r\nsec-fetch-site: same-origin\r\n")),
            200);
}

TEST_F(AdminServerTest, UnknownPathsNameTheNearest) {
  start();
  std::string response = exchange("GET", "/stat");
  EXPECT_EQ(status_of(response), 404);
  EXPECT_EQ(
      body_of(response),
      "/stat: no such endpoint; nearest: /stats, /stats/prometheus, /stats/recentlookups\n/help lists all endpoints\n");
  EXPECT_EQ(get("/cluster/"), "/cluster/: no such endpoint; nearest: /clusters\n/help lists all endpoints\n");
  EXPECT_EQ(get("/prometheus").substr(0, 60), "/prometheus: no such endpoint; nearest: /stats/prometheus\n/h");
  EXPECT_EQ(get("/zzzzzzzzzzzz"), "/zzzzzzzzzzzz: no such endpoint\n/help lists all endpoints\n");
}

TEST_F(AdminServerTest, ErrorsAreJsonForThoseWhoWantIt) {
  start();
  std::string unknown = exchange("GET", "/stat?format=json");
  EXPECT_EQ(status_of(unknown), 404);
  EXPECT_NE(unknown.find("content-type: application/json\r\n"), std::string::npos);
  EXPECT_EQ(body_of(unknown),
            "{\"error\":\"/stat: no such endpoint; nearest: /stats, /stats/prometheus, /stats/recentlookups\\n/help "
            "lists all endpoints\"}\n");
  EXPECT_EQ(
      body_of(exchange("GET", "/reset_counters?format=json")).find("{\"error\":\"/reset_counters changes state: "), 0u);
  EXPECT_EQ(get("/clusters?format=xml"), "format: \"xml\" is not one of text, json\n");
}

TEST_F(AdminServerTest, AllowPaths) {
  start({.allow_path = [](std::string_view path) { return path == "/ready"; }});
  EXPECT_EQ(status_of(exchange("GET", "/ready")), 200);
  EXPECT_EQ(status_of(exchange("GET", "/stats")), 403);
}

TEST_F(AdminServerTest, ParametersComeFromQueryAndForm) {
  start();
  EXPECT_EQ(get("/echo?a=1&b"), "a=1;b=;0");
  EXPECT_EQ(body_of(exchange("POST", "/echo?a=1", "content-type: application/x-www-form-urlencoded\r\n", "c=%26")),
            "a=1;c=&;5");
  EXPECT_EQ(body_of(exchange("POST", "/echo", "content-type: text/plain\r\n", "c=3")), "3");
}

TEST_F(AdminServerTest, PipelinedRequestsAreAnsweredInOrder) {
  start();
  auto client = connect();
  std::string requests;
  for (int i = 0; i < 200; ++i) requests += "GET /echo?" + std::to_string(i) + " HTTP/1.1\r\nhost: [::1]\r\n\r\n";
  client->send(requests);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(body_of(client->response()), std::to_string(i) + "=;0");
  client->send(
      "POST /echo HTTP/1.1\r\nhost: [::1]\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHEAD /ready "
      "HTTP/1.1\r\nhost: [::1]\r\n\r\n");
  EXPECT_EQ(body_of(client->response()), "3");
  EXPECT_NE(client->response(true).find("content-length: 5"), std::string::npos);
  client->send("GET /ready HTTP/1.1\r\nhost: [::1]\r\nconnection: close\r\n\r\n");
  EXPECT_EQ(body_of(client->all()), "LIVE\n");
}

TEST_F(AdminServerTest, OldAndHalfClosedClients) {
  start();
  EXPECT_EQ(body_of(answer_to("GET /ready HTTP/1.0\r\n\r\n")), "LIVE\n");
  auto half = connect();
  half->send("GET /big HTTP/1.1\r\nhost: [::1]\r\n\r\n");
  half->end();
  EXPECT_EQ(body_of(half->all()).size(), kBig);
}

TEST_F(AdminServerTest, RequestsInSingleBytes) {
  start();
  auto client = connect();
  for (char c : std::string("POST /echo HTTP/1.1\r\nhost: [::1]\r\ncontent-length: 2\r\n\r\nab")) {
    client->send(std::string(1, c));
    lane_.turn();
  }
  EXPECT_EQ(body_of(client->response()), "2");
}

TEST_F(AdminServerTest, ExpectedContinueComesBeforeTheBody) {
  start();
  auto client = connect();
  client->send("POST /echo HTTP/1.1\r\nhost: [::1]\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
  EXPECT_EQ(client->response().substr(0, 25), "HTTP/1.1 100 Continue\r\n\r\n");
  client->send("ab");
  EXPECT_EQ(body_of(client->response()), "2");
}

TEST_F(AdminServerTest, OversizedAndGarbageRequests) {
  start();
  auto status = [&](const std::string& bytes) {
    auto client = connect();
    client->send(bytes);
    return status_of(client->response());
  };
  EXPECT_EQ(status("GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\nhost: [::1]\r\n\r\n"), 414);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nhost: [::1]\r\nx: " + std::string(20'000, 'a') + "\r\n\r\n"), 431);
  EXPECT_EQ(status("POST /echo HTTP/1.1\r\nhost: [::1]\r\ncontent-length: 100000000\r\n\r\n"), 413);
  EXPECT_EQ(status("POST /echo HTTP/1.1\r\nhost: [::1]\r\ntransfer-encoding: chunked\r\n\r\n20000\r\n" +
                   std::string(0x20000, 'a') + "\r\n0\r\n\r\n"),
            413);
  EXPECT_EQ(status("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status("CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n"), 403);
  EXPECT_EQ(
      status("POST /echo HTTP/1.1\r\nhost: [::1]\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
      400);
  auto cut = connect();
  cut->send("GET /ready HTT");
  cut->end();
  EXPECT_EQ(status_of(cut->all()), 400);
  auto silent = connect();
  silent->end();
  EXPECT_EQ(silent->all(), "");
  EXPECT_EQ(get("/ready"), "LIVE\n");
}

// A reader that takes 40 MB slowly gets every byte, while others are served, and the answer is let go afterwards.
TEST_F(AdminServerTest, ASlowReaderOfABigAnswerDelaysNobody) {
  start();
  for (std::string path : {"/big", "/long"}) {
    auto slow = connect(4096);
    slow->send("GET " + path + " HTTP/1.1\r\nhost: [::1]\r\n\r\n");
    for (int i = 0; i < 20; ++i) EXPECT_EQ(get("/ready"), "LIVE\n");
    EXPECT_TRUE(body_of(slow->response()) == big_body());
    slow->send("GET /ready HTTP/1.1\r\nhost: [::1]\r\n\r\n");
    EXPECT_EQ(body_of(slow->response()), "LIVE\n");
  }
}

TEST_F(AdminServerTest, WhatWaitsForSlowReadersIsBounded) {
  start({.max_waiting_bytes = kBig + 1000});
  auto slow = connect(4096);
  slow->send("GET /big HTTP/1.1\r\nhost: [::1]\r\n\r\n");
  EXPECT_TRUE(slow->read_more());
  for (std::string path : {"/big", "/long"})
    EXPECT_EQ(body_of(exchange("GET", path)), "too much is waiting for slow readers; try again\n");
  EXPECT_EQ(get("/ready"), "LIVE\n");
}

TEST_F(AdminServerTest, IdleAndStalledConnectionsEnd) {
  start({.idle_timeout = 60s});
  auto idle = connect(), dripping = connect(), stalled = connect(4096), reading = connect(4096);
  dripping->send("GET /rea");
  for (auto* client : {&stalled, &reading}) (*client)->send("GET /big HTTP/1.1\r\nhost: [::1]\r\n\r\n");
  lane_.turns(50);
  lane_.advance(59s);
  dripping->send("d");  // a drop now and then is no progress
  lane_.turns(5);
  EXPECT_EQ(server_->connections(), 4u);
  lane_.advance(1s);
  EXPECT_EQ(idle->all(), "");
  EXPECT_EQ(dripping->all(), "");
  EXPECT_EQ(server_->connections(), 2u);
  // Whoever reads something within the time is no case for it (much, for the kernel has buffers of its own).
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(reading->read_more());
  lane_.advance(60s);
  EXPECT_EQ(server_->connections(), 1u);
  EXPECT_LT(stalled->all().size(), kBig);
  EXPECT_TRUE(body_of(reading->response()) == big_body());
}

TEST_F(AdminServerTest, IdleConnectionsMakeRoomForNewOnes) {
  start({.max_connections = 3});
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 10; ++i) {
    idle.push_back(connect());
    idle.back()->send("GET /ready HTTP/1.1\r\nhost: [::1]\r\n\r\n");
    EXPECT_EQ(body_of(idle.back()->response()), "LIVE\n");
  }
  EXPECT_EQ(idle[0]->all(), "");
}

TEST_F(AdminServerTest, BusyConnectionsAreLimited) {
  start({.max_connections = 2});
  auto one = connect(4096), two = connect(4096);
  one->send("GET /big HTTP/1.1\r\nhost: [::1]\r\n\r\n");
  two->send("GET /big HTTP/1.1\r\nhost: [::1]\r\n\r\n");
  EXPECT_TRUE(one->read_more());
  EXPECT_TRUE(two->read_more());
  EXPECT_EQ(status_of(connect()->all()), 503);
}

TEST_F(AdminServerTest, ManyClientsAtOnce) {
  start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(connect());
  for (int round = 0; round < 50; ++round) {
    for (size_t i = 0; i < clients.size(); ++i)
      clients[i]->send("GET /echo?x=" + std::to_string(i) + " HTTP/1.1\r\nhost: [::1]\r\n\r\n");
    for (size_t i = 0; i < clients.size(); ++i)
      EXPECT_EQ(body_of(clients[i]->response()), "x=" + std::to_string(i) + ";0");
  }
}

TEST_F(AdminServerTest, UnixSocketsNeedNoHost) {
  start();
  auto path = *net::Address::from_unix("@weir-admin-test-" + std::to_string(getpid()));
  ASSERT_TRUE(server_->listen(path).ok());
  Client client(lane_, path);
  client.send("GET /server_info HTTP/1.1\r\nhost: any.example\r\n\r\n");
  EXPECT_EQ(status_of(client.response()), 200);
}

class CountingLogger final : public stream::AccessLogger {
 public:
  void log(const stream::LogSubject& subject, event::Lane&) const override {
    lines += std::string(subject.request->path()) + " " + std::to_string(subject.info.response_code) + " " +
             std::to_string(subject.info.bytes_sent) + "\n";
  }
  mutable std::string lines;
};

TEST_F(AdminServerTest, AccessLog) {
  auto logger = std::make_shared<CountingLogger>();
  start({.access_logs = {logger}});
  get("/ready");
  get("/none?x");
  EXPECT_EQ(logger->lines.substr(0, 36), "/ready 200 5\n/none?x 404 " + logger->lines.substr(25, 11));
}

}  // namespace
}  // namespace weir::admin
