// A server to administrate, its main lane on a fake clock, driven by hand, and a client that sends raw bytes.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/runtime/layers.h"
#include "core/server/admin/endpoints.h"
#include "envoy/admin/v3/server_info.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "test/support/test_lane.h"

namespace weir::admin {

class FakeSource final : public AdminSource {
 public:
  class Snapshot final : public ConfigSnapshot {
   public:
    explicit Snapshot(const envoy::config::bootstrap::v3::Bootstrap& bootstrap) : bootstrap_(bootstrap) {}
    const envoy::config::bootstrap::v3::Bootstrap& bootstrap() override { return bootstrap_; }
    WallTime loaded_at() const override { return WallTime(Duration(1'700'000'000'123'456'789)); }
    void for_each_resource(ResourceKind kind, const std::function<void(const ResourceView&)>& visit) override {
      if (kind == ResourceKind::kCluster) {
        for (const auto& cluster : bootstrap_.static_resources().clusters())
          visit({cluster.name(), cluster, loaded_at()});
      }
      if (kind == ResourceKind::kListener) {
        for (const auto& listener : bootstrap_.static_resources().listeners())
          visit({listener.name(), listener, loaded_at(), true, "7"});
      }
    }

   private:
    const envoy::config::bootstrap::v3::Bootstrap bootstrap_;
  };

  FakeSource() {
    bootstrap_.mutable_node()->set_id("node-1");
    auto host = [](const char* ip, lb::Health health, uint32_t weight) {
      auto address = *net::Address::from_ip(ip, 80);
      lb::HostEntry entry;
      entry.host = std::make_shared<lb::Host>(address, address.to_string(), "a.example", 1);
      entry.health = health;
      entry.weight = weight;
      entry.place = std::make_shared<const lb::Locality>("eu");
      return entry;
    };
    hosts_.push_back(host("10.0.0.1", lb::Health::kHealthy, 1));
    hosts_.push_back(host("10.0.0.2", lb::Health::kUnhealthy, 3));
    const stream::Field canary{"canary", stream::Value::of_bool(true)};
    const stream::Field labels{"envoy.lb", stream::Value::of_struct({&canary, 1})};
    hosts_.back().metadata = std::make_shared<const stream::StaticMetadata>(stream::Value::of_struct({&labels, 1}));
    using stream::Value;
    const Value stages[] = {Value::of_string("a"), Value::of_number(1)};
    const stream::Field members[] = {{"stage", Value::of_list(stages)}};
    const stream::Field spaces[] = {{"envoy.lb", Value::of_struct(members)}};
    hosts_[0].metadata = std::make_shared<const stream::StaticMetadata>(Value::of_struct(spaces));
    hosts_[0].host->totals.rq_total = store_.counter("test.rq_total");
    hosts_[0].host->totals.rq_total.add(7);
    addresses_.push_back(*net::Address::from_ip("127.0.0.1", 10000));
    addresses_.push_back(*net::Address::from_ip("::1", 10000));
  }

  ServerState state() const override { return state_; }
  std::string version() const override { return "abc/0.1.0/Clean/RELEASE/none"; }
  std::optional<ReloadView> last_reload() const override { return reload_; }
  Duration uptime() const override { return 12s + 345ms; }
  const envoy::config::core::v3::Node& node() const override { return bootstrap_.node(); }
  std::shared_ptr<ConfigSnapshot> config_snapshot() const override { return std::make_shared<Snapshot>(bootstrap_); }
  void fill_command_line(envoy::admin::v3::CommandLineOptions& out) const override {
    out.set_concurrency(2);
    out.set_config_yaml("secret: 1");
  }
  stats::Reading read_stats() override { return stats::Reading(store_); }
  void reset_counters() override { store_.reset_counters(); }
  std::span<const stats::Tag> stats_tags() const override { return tags_; }
  bool next_clusters(std::string& after, const std::function<void(const ClusterView&)>& visit) const override {
    ClusterView cluster;
    cluster.name = after.empty() ? "api" : "web";
    cluster.hosts = hosts_;
    cluster.default_priority.max_connections = 10;
    visit(cluster);
    if (!after.empty() || !two_clusters_) return false;
    after = "api";
    return true;
  }
  void for_each_listener(const std::function<void(const ListenerView&)>& visit) const override {
    visit({"web", addresses_});
  }
  const runtime::Layers& runtime() const override { return runtime_; }
  bool modify_runtime(const std::vector<std::pair<std::string, std::string>>& texts) override {
    for (const auto& [key, text] : texts) {
      if (!runtime_.override_value(key, {text, {}})) return false;
    }
    return true;
  }
  void shutdown() override { actions_ += "shutdown "; }
  void drain_listeners(bool graceful, bool keep_accepting, bool inbound_only) override {
    if (inbound_only) actions_ += "inbound-";
    actions_ += graceful ? keep_accepting ? "drain-and-keep " : "drain " : "stop ";
  }
  void fail_health_check(bool fail) override { actions_ += fail ? "fail " : "ok "; }
  void reopen_logs() override { actions_ += "reopen "; }
  Status start_cpu_profile() override {
    if (profile_error_.ok()) {
      actions_ += "profile ";
      profiling_ = true;
    }
    return profile_error_;
  }
  std::function<Status()> stop_cpu_profile() override {
    if (!std::exchange(profiling_, false)) {
      actions_ += "no-profile ";
      return nullptr;
    }
    return [this] {
      actions_ += "write ";
      return profile_error_;
    };
  }

  stats::Store store_;
  runtime::Layers runtime_;
  ServerState state_ = ServerState::kLive;
  envoy::config::bootstrap::v3::Bootstrap bootstrap_;
  std::vector<lb::HostEntry> hosts_;
  std::vector<net::Address> addresses_;
  std::vector<stats::Tag> tags_;
  std::optional<ReloadView> reload_;
  std::string actions_;
  Status profile_error_;
  bool profiling_ = false;
  bool two_clusters_ = false;
};

// A client on the test's own thread: while it waits, the lane runs.
class Client {
 public:
  Client(test::TestLane& lane, const net::Address& to, int receive_buffer = 0) : lane_(lane) {
    sockaddr_storage storage;
    socklen_t length = to.to_sockaddr(storage);
    fd_ = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&storage), length), 0);
  }
  ~Client() { close(fd_); }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno != EAGAIN) return;
      if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
      if (!bytes.empty()) lane_.turn();
    }
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
  // False: the connection ended (or, after thousands of turns, nothing came).
  bool read_more() {
    for (int turns = 0; turns < 5000; ++turns) {
      lane_.turn();
      pollfd wait{fd_, POLLIN, 0};
      if (poll(&wait, 1, turns < 100 ? 0 : 1) != 1) continue;
      char bytes[16384];
      ssize_t n = recv(fd_, bytes, sizeof(bytes), 0);
      if (n > 0) buffer_.append(bytes, static_cast<size_t>(n));
      return n > 0;
    }
    ADD_FAILURE() << "nothing comes";
    return false;
  }

 private:
  test::TestLane& lane_;
  int fd_;
  std::string buffer_;
};

class AdminTest : public testing::Test {
 protected:
  void start(AdminOptions options = {}) {
    server_ = std::make_unique<AdminServer>(lane_, source_.store_, std::move(options));
    add_endpoints(*server_, source_);
    add_more();
    auto bound = server_->listen(*net::Address::from_ip("127.0.0.1", 0));
    ASSERT_TRUE(bound.ok()) << bound.status();
    address_ = *bound;
  }
  virtual void add_more() {}
  std::unique_ptr<Client> connect(int receive_buffer = 0) {
    return std::make_unique<Client>(lane_, address_, receive_buffer);
  }
  // The answer to these bytes on a connection of their own, up to its end.
  std::string answer_to(std::string_view bytes) {
    auto client = connect();
    client->send(bytes);
    return client->all();
  }
  std::string exchange(const std::string& method, const std::string& path, const std::string& headers = "",
                       const std::string& body = "") {
    auto client = connect();
    client->send(method + " " + path + " HTTP/1.1\r\nhost: 127.0.0.1\r\n" + headers +
                 (body.empty() ? "" : "content-length: " + std::to_string(body.size()) + "\r\n") + "\r\n" + body);
    return client->response(method == "HEAD");
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
  test::TestLane lane_{0};
  std::unique_ptr<AdminServer> server_;
  net::Address address_;
};

}  // namespace weir::admin
