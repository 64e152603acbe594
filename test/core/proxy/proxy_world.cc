#include "test/core/proxy/proxy_world.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/net/socket.h"
#include "core/route/route_table.h"
#include "core/stream/formatter.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"

namespace weir::test {

using event::SlotKind;

namespace {

net::Address loopback(uint16_t port) { return *net::Address::from_ip("127.0.0.1", port); }

// The kernel must not hold small pieces back while the fake clock stands still.
void no_delay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

// --- Peer ----------------------------------------------------------------------------------------------------------

void Peer::send(std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    ASSERT_GT(n, 0) << "errno " << errno;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

std::string Peer::receive(size_t most) {
  std::string text;
  while (text.size() < most) {
    char buffer[16384];
    ssize_t n = recv(fd_, buffer, std::min(sizeof(buffer), most - text.size()), 0);
    if (n > 0) {
      text.append(buffer, static_cast<size_t>(n));
      continue;
    }
    if (n == 0) ended_ = true;
    if (n < 0 && errno != EAGAIN) reset_ = true;
    break;
  }
  return text;
}

std::string Peer::remote_address() const {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  EXPECT_EQ(getpeername(fd_, reinterpret_cast<sockaddr*>(&storage), &length), 0);
  return net::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length).to_string();
}

void Peer::half_close() { shutdown(fd_, SHUT_WR); }

void Peer::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Peer::reset() {
  linger option{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &option, sizeof(option));
  close();
}

// --- Upstream ------------------------------------------------------------------------------------------------------

Upstream::Upstream() : fd_(*net::open_listen_socket(loopback(0), {})), port_(net::bound_address(fd_).port()) {}

void Upstream::stop() {
  if (next_ >= 0) ::close(std::exchange(next_, -1));
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool Upstream::has_connection() {
  if (next_ < 0) next_ = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return next_ >= 0;
}

std::unique_ptr<Peer> Upstream::accept() {
  EXPECT_TRUE(has_connection());
  no_delay(next_);
  return std::make_unique<Peer>(std::exchange(next_, -1));
}

// --- ProxyWorld ----------------------------------------------------------------------------------------------------

class ProxyWorld::Logger final : public stream::AccessLogger {
 public:
  explicit Logger(const std::string& format)
      : format_(*stream::Format::compile(format, {})), custom_(!format.empty()) {}
  void log(const stream::LogSubject& subject, event::Lane&) const override {
    if (custom_) {
      format_.append(subject, lines.emplace_back());
      return;
    }
    std::string flags;
    for (int i = 0; i < static_cast<int>(stream::ResponseFlag::kCount); ++i) {
      auto flag = static_cast<stream::ResponseFlag>(i);
      if (!subject.info.flags.has(flag)) continue;
      flags += flags.empty() ? "" : ",";
      flags += stream::short_name(flag);
    }
    lines.push_back(std::to_string(subject.info.response_code) + " " + (flags.empty() ? "-" : flags) + " " +
                    std::string(subject.info.details));
  }
  mutable std::vector<std::string> lines;

 private:
  stream::Format format_;
  bool custom_;
};

ProxyWorld::ProxyWorld(WorldOptions options) : logger_(std::make_shared<Logger>(options.log_format)) {
  for (uint32_t i = 0; i < 2; ++i) {
    workers_.push_back(
        std::make_unique<server::Worker>(event::Lane::Options{.index = i, .clock = &clock_, .random_seed = i + 1}));
  }
  std::vector<event::Lane*> lanes = {&workers_[0]->lane(), &workers_[1]->lane()};
  auto loads = std::make_shared<proxy::LaneLoads>(std::vector<event::Lane*>{lanes[1]});
  for (auto& worker : workers_) worker->attach(loads);
  publisher_ = std::make_unique<event::Publisher>(lanes);
  resolvers_ = std::make_unique<dns::CaresResolvers>(*lanes[0], store_);
  clusters_ = std::make_unique<server::ClusterManager>(*lanes[0], *publisher_, store_, *resolvers_, 2);
  listeners_ = std::make_unique<server::ListenerManager>(*publisher_, store_, 1, inherited_);
  event::Publisher::Batch batch, last;
  for (std::string_view name : {"a", "b", "c"}) {  // as PluginScope numbers them
    publisher_->intern(SlotKind::kHostSet, name);
    publisher_->intern(SlotKind::kCluster, name);
  }

  config::ClusterTranslation cluster;
  cluster.spec.name = cluster.spec.stat_name = "c";
  if (options.cluster) options.cluster(cluster.spec);
  cluster.policy = options.policy;
  if (cluster.policy == nullptr)
    cluster.policy =
        PluginScope::registry().lb_policy("envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin");
  for (size_t i = 0; i < options.upstreams; ++i) {
    upstreams_.push_back(std::make_unique<Upstream>());
    cluster.endpoints.emplace_back().address = loopback(upstreams_.back()->port());
    if (options.host_metadata) cluster.endpoints.back().metadata = options.host_metadata(i);
  }
  cluster.spec_fingerprint = cluster.host_fingerprint = 1;
  std::vector<config::ClusterTranslation> clusters;
  clusters.push_back(std::move(cluster));
  clusters_->apply(std::move(clusters), {}, batch, last);

  route::RouteTableSpec table;
  table.name = "routes";
  route::VirtualHostSpec& host = table.virtual_hosts.emplace_back();
  host.name = "all";
  host.domains = {"*"};
  route::RouteSpec& route = host.routes.emplace_back();
  route.match.path = "/";
  route.forward.cluster = "c";
  if (options.virtual_host) options.virtual_host(host);
  auto built = route::RouteTable::build(
      std::move(table),
      [this](std::string_view name) {
        publisher_->intern(SlotKind::kHostSet, name);
        return publisher_->intern(SlotKind::kCluster, name);
      },
      nullptr, &store_);
  EXPECT_TRUE(built.ok());
  batch.set(publisher_->intern(SlotKind::kRouteTable, "routes"), std::move(*built));

  auto manager = std::make_shared<proxy::ConnectionManagerConfig>();
  manager->stat_prefix = "m";
  manager->stats = std::make_unique<proxy::ConnectionManagerStats>(store_, "m");
  manager->http2_stats = std::make_unique<proxy::Http2Stats>(store_);
  manager->chain =
      *filter::HttpChainConfig::build({plugins_.http_filter(envoy::extensions::filters::http::router::v3::Router())});
  manager->route_table = publisher_->intern(SlotKind::kRouteTable, "routes");
  manager->access_logs.push_back(logger_);
  if (options.manager) options.manager(*manager);
  proxy::FilterChain chain;
  chain.fingerprint = 1;
  if (options.network_filters) {
    chain.filters = options.network_filters(plugins_, store_, logger_);
    EXPECT_EQ(plugins_.error_texts(), std::vector<std::string>());
  } else {
    chain.filters.push_back({.descriptor = PluginScope::registry().network_filter(
                                 "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                             .config = manager});
  }
  std::vector<config::ListenerTranslation> listeners(1);
  listeners[0].spec.name = listeners[0].stat_name = "l";
  listeners[0].spec.chains.push_back(std::move(chain));
  listeners[0].address = loopback(0);
  listeners[0].fingerprint = 1;
  server::ListenerManager::Changes changes;
  EXPECT_TRUE(listeners_->apply(std::move(listeners), changes, batch, batch).ok());
  batch.append(std::move(changes.at("l")));
  publisher_->publish(std::move(batch));
  settle();
  if (options.upstreams > 1) {
    // A rotation begins anywhere: one request finds out where, and goes to the last host.
    workers_[1]->lane().enter();
    auto* local = workers_[1]->clusters().find(publisher_->intern(SlotKind::kCluster, "c"));
    while (local->pick({})->host().address().port() != upstreams_.back()->port()) {
    }
    event::Lane::leave();
  }
}

ProxyWorld::~ProxyWorld() {
  clusters_->stop();
  for (auto& worker : workers_) worker->wind_down();
  for (auto& worker : workers_) worker->lane().turn(Duration::zero());
  publisher_.reset();
  while (workers_.size() > 1) workers_.pop_back();
  workers_.clear();
}

std::unique_ptr<Peer> ProxyWorld::connect() {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  no_delay(fd);
  sockaddr_storage storage;
  socklen_t length = listeners_->listeners().at("l").sockets.front()->address.to_sockaddr(storage);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&storage), length), 0);
  auto peer = std::make_unique<Peer>(fd);
  int flags = SOCK_NONBLOCK;
  EXPECT_EQ(ioctl(fd, FIONBIO, &flags), 0);
  settle();
  return peer;
}

void ProxyWorld::drain(const proxy::DrainPlan& plan) {
  workers_[1]->lane().enter();
  workers_[1]->listeners().drain(plan);
  event::Lane::leave();
  settle();
}

void ProxyWorld::settle(int turns) {
  for (int i = 0; i < turns; ++i) {
    for (auto& worker : workers_) worker->lane().turn(Duration::zero());
  }
}

const std::vector<std::string>& ProxyWorld::log() const { return logger_->lines; }

int64_t ProxyWorld::stat(std::string_view name) {
  int64_t value = 0;
  store_.visit([&](const stats::Sample& sample) {
    if (sample.name == name) value = static_cast<int64_t>(sample.value);
  });
  return value;
}

}  // namespace weir::test
