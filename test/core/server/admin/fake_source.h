// A server to administrate, a thread with its main lane, and a client that sends raw bytes.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/runtime/layers.h"
#include "core/server/admin/endpoints.h"
#include "envoy/admin/v3/server_info.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::admin {

class FakeSource final : public AdminSource {
 public:
  FakeSource() {
    bootstrap_.mutable_node()->set_id("node-1");
    auto host = [](const char* ip, lb::Health health, uint32_t weight) {
      auto address = *net::Address::from_ip(ip, 80);
      lb::HostEntry entry;
      entry.host = std::make_shared<lb::Host>(address, address.to_string(), "a.example", 1);
      entry.health = health;
      entry.weight = weight;
      entry.region = "eu";
      return entry;
    };
    hosts_.push_back(host("10.0.0.1", lb::Health::kHealthy, 1));
    hosts_.push_back(host("10.0.0.2", lb::Health::kUnhealthy, 3));
    hosts_[0].host->totals.rq_total = store_.counter("test.rq_total");
    hosts_[0].host->totals.rq_total.add(7);
    addresses_.push_back(*net::Address::from_ip("127.0.0.1", 10000));
    addresses_.push_back(*net::Address::from_ip("::1", 10000));
  }

  ServerState state() const override { return state_; }
  std::string version() const override { return "abc/0.1.0/Clean/RELEASE/none"; }
  Duration uptime() const override { return 12s + 345ms; }
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap() const override { return bootstrap_; }
  WallTime bootstrap_loaded_at() const override { return WallTime(Duration(1'700'000'000'123'456'789)); }
  void fill_command_line(envoy::admin::v3::CommandLineOptions& out) const override {
    out.set_concurrency(2);
    out.set_config_yaml("secret: 1");
  }
  stats::Store& stats() override { return store_; }
  void for_each_cluster(const std::function<void(const ClusterView&)>& visit) const override {
    ClusterView cluster;
    cluster.name = "api";
    cluster.hosts = hosts_;
    cluster.default_priority.max_connections = 10;
    visit(cluster);
  }
  void for_each_listener(const std::function<void(const ListenerView&)>& visit) const override {
    visit({"web", addresses_});
  }
  void for_each_resource(ResourceKind kind, const std::function<void(const ResourceView&)>& visit) const override {
    if (kind == ResourceKind::kCluster) {
      for (const auto& cluster : bootstrap_.static_resources().clusters())
        visit({cluster.name(), cluster, bootstrap_loaded_at()});
    }
    if (kind == ResourceKind::kListener) {
      for (const auto& listener : bootstrap_.static_resources().listeners())
        visit({listener.name(), listener, bootstrap_loaded_at(), true, "7"});
    }
  }
  const runtime::Layers& runtime() const override { return runtime_; }
  bool modify_runtime(const std::vector<std::pair<std::string, std::string>>& texts) override {
    for (const auto& [key, text] : texts) {
      if (!runtime_.override_value(key, {text, {}})) return false;
    }
    return true;
  }
  void shutdown() override { actions_ += "shutdown "; }
  void fail_health_check(bool fail) override { actions_ += fail ? "fail " : "ok "; }
  void reopen_logs() override { actions_ += "reopen "; }

  stats::Store store_;
  runtime::Layers runtime_;
  ServerState state_ = ServerState::kLive;
  envoy::config::bootstrap::v3::Bootstrap bootstrap_;
  std::vector<lb::HostEntry> hosts_;
  std::vector<net::Address> addresses_;
  std::string actions_;
};

// A blocking client.
class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer = 0) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }
  ~Client() { close(fd_); }
  void send(const std::string& bytes) {
    [[maybe_unused]] ssize_t ignored = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void end() { shutdown(fd_, SHUT_WR); }
  // One response by its content-length; what follows stays. Empty: the connection ended.
  std::string response(bool head_only = false) {
    size_t end;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return std::exchange(buffer_, {});
    }
    size_t total = end + 4;
    size_t at = buffer_.find("content-length: ");
    if (!head_only && at < end) total += std::stoul(buffer_.substr(at + 16));
    while (buffer_.size() < total) {
      if (!read_more()) return std::exchange(buffer_, {});
    }
    std::string one = buffer_.substr(0, total);
    buffer_.erase(0, total);
    return one;
  }
  std::string all() {
    while (read_more()) {
    }
    return std::exchange(buffer_, {});
  }
  bool read_more(int patience_ms = 10'000) {
    pollfd wait{fd_, POLLIN, 0};
    if (poll(&wait, 1, patience_ms) != 1) return false;
    char bytes[16384];
    ssize_t n = recv(fd_, bytes, sizeof(bytes), 0);
    if (n > 0) buffer_.append(bytes, static_cast<size_t>(n));
    return n > 0;
  }
  int fd() const { return fd_; }

 private:
  int fd_;
  std::string buffer_;
};

class AdminTest : public testing::Test {
 protected:
  void start(AdminOptions options = {}) {
    lane_.enter();
    server_ = std::make_unique<AdminServer>(lane_, source_.store_, std::move(options));
    add_endpoints(*server_, source_);
    add_more();
    auto bound = server_->listen(*net::Address::from_ip("127.0.0.1", 0));
    ASSERT_TRUE(bound.ok()) << bound.status();
    port_ = bound->port();
    event::Lane::leave();
    thread_ = std::thread([this] { lane_.run(); });
  }
  virtual void add_more() {}
  void TearDown() override {
    if (!thread_.joinable()) return;
    lane_.stop();
    thread_.join();
    lane_.enter();
    server_.reset();
    event::Lane::leave();
  }
  std::string exchange(const std::string& method, const std::string& path, const std::string& headers = "",
                       const std::string& body = "") {
    Client client(port_);
    client.send(method + " " + path + " HTTP/1.1\r\nhost: 127.0.0.1\r\n" + headers +
                (body.empty() ? "" : "content-length: " + std::to_string(body.size()) + "\r\n") + "\r\n" + body);
    return client.response(method == "HEAD");
  }
  static std::string body_of(const std::string& response) {
    return response.substr(std::min(response.size(), response.find("\r\n\r\n") + 4));
  }
  static int status_of(const std::string& response) {
    return response.size() > 12 ? std::stoi(response.substr(9, 3)) : 0;
  }
  std::string get(const std::string& path) { return body_of(exchange("GET", path)); }
  std::string post(const std::string& path) { return body_of(exchange("POST", path)); }

  FakeSource source_;
  event::Lane lane_{{.index = 0}};
  std::unique_ptr<AdminServer> server_;
  std::thread thread_;
  uint16_t port_ = 0;
};

}  // namespace weir::admin
