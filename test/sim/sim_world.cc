#include "test/sim/sim_world.h"

#include <algorithm>
#include <cstdlib>

#include "core/base/assert.h"
#include "core/route/route_table.h"
#include "envoy/extensions/filters/http/buffer/v3/buffer.pb.h"
#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "test/support/pass_through.h"

namespace weir::sim {

using event::SlotId;
using event::SlotKind;

void CountingLogger::log(const stream::LogSubject& subject, event::Lane&) const {
  const stream::StreamInfo& info = subject.info;
  for (std::string_view text :
       {info.details, info.route_name, info.virtual_host, info.filter_chain_name, info.upstream.host_text,
        info.upstream.host_name, info.upstream.cluster, info.upstream.failure_reason}) {
    for (char c : text) bytes += static_cast<unsigned char>(c);
  }
  auto read = [this](const http::HeaderMap* map) {
    if (map == nullptr) return;
    map->for_each([this](const http::HeaderEntry& entry) {
      for (char c : entry.name()) bytes += static_cast<unsigned char>(c);
      for (char c : entry.value()) bytes += static_cast<unsigned char>(c);
    });
  };
  read(subject.request);
  read(subject.response);
  read(subject.response_trailers);
  ++lines;
  ++details[std::string(info.details)];
  std::string id(subject.request->get(http::HeaderName("x-sim-id")));
  // Garbled requests have the number 0, or what became of it; a head that could not be read ends where it was wrong.
  if (!id.empty() && id.find_first_not_of("0123456789") == std::string::npos && id != "0" &&
      !subject.request->contains(http::HeaderName("x-sim-garbled"))) {
    const uint64_t number = std::strtoull(id.c_str(), nullptr, 10);
    ++logged[number];
    if (info.details != "via_upstream") ended_here.insert(number);
  }
}

SimWorld::SimWorld(uint64_t seed)
    : random_(seed), seed_(seed), network_(random_.next()), bugs_before_(static_cast<int64_t>(bugs_found())) {
  for (uint32_t i = 0; i < 3; ++i) {
    workers_.push_back(std::make_unique<server::Worker>(
        event::Lane::Options{.index = i, .clock = &clock_, .random_seed = seed * 3 + i + 1}));
  }
  std::vector<event::Lane*> lanes;
  for (auto& worker : workers_) lanes.push_back(&worker->lane());
  auto loads = std::make_shared<proxy::LaneLoads>(std::vector<event::Lane*>{lanes[1], lanes[2]});
  for (auto& worker : workers_) {
    worker->attach(loads);
    worker->listeners().set_update_plan({.time = 20s, .gradual = random_.below(2) == 0, .close_at_end = true});
  }
  publisher_ = std::make_unique<event::Publisher>(lanes);
  resolvers_ = std::make_unique<dns::CaresResolvers>(*lanes[0], store_);
  cluster_manager_ = std::make_unique<server::ClusterManager>(*lanes[0], *publisher_, store_, *resolvers_, 3);
  listener_manager_ = std::make_unique<server::ListenerManager>(*publisher_, store_, 2, inherited_);
  uint32_t faults = random_.below(3) == 0 ? 0 : random_.below(200);
  for (uint32_t i = 0; i < 5; ++i)
    servers_.push_back(std::make_unique<SimServer>(random_.next(), faults, server_violations_));
  for (const char* name : {"c0", "c1", "c2"}) {
    ClusterState& cluster = clusters_[name];
    cluster.spec.name = cluster.spec.stat_name = name;
    for (size_t s = 0; s < servers_.size(); ++s) {
      if (random_.below(2) == 0) cluster.servers.push_back(s);
    }
    for (const char* suffix : {"", "_alt"})
      kept_statistics_.push_back(std::make_shared<upstream::ClusterStats>(store_, std::string(name) + suffix));
  }
  for (const char* suffix : {"", "_alt"}) {
    kept_statistics_.push_back(std::make_shared<proxy::ConnectionManagerStats>(store_, std::string("sim") + suffix));
    kept_statistics_.push_back(std::make_shared<proxy::ListenerStats>(store_, std::string("in") + suffix));
  }
  event::Publisher::Batch batch;
  publish_clusters(batch);
  publish_routes(batch);
  publish_listeners(batch);
  publisher_->publish(std::move(batch));
  for (int i = 0; i < 3; ++i) step_lanes();
}

SimWorld::~SimWorld() {
  if (!workers_.empty()) cluster_manager_->stop();
  for (auto& worker : workers_) worker->wind_down();
  for (auto& worker : workers_) {
    for (int i = 0; i < 4; ++i) worker->lane().turn(Duration::zero());
  }
  publisher_.reset();
  while (workers_.size() > 1) workers_.pop_back();
  workers_.clear();
}

uint16_t SimWorld::port() const {
  auto found = listener_manager_->listeners().find("in");
  return found != listener_manager_->listeners().end() ? found->second.sockets.front()->address.port() : uint16_t{1};
}

// --- Configuration -------------------------------------------------------------------------------------------------

std::shared_ptr<const filter::HttpChainConfig> SimWorld::make_chain() {
  std::vector<filter::HttpFilterEntry> filters;
  bool harsh = random_.below(4) == 0;
  for (uint32_t i = 0, count = random_.below(5); i < count; ++i) {
    switch (random_.below(6)) {
      case 0: {
        envoy::extensions::filters::http::buffer::v3::Buffer buffer;
        buffer.mutable_max_request_bytes()->set_value(random_.below(2) == 0 ? 1'000'000 : 1 + random_.below(5000));
        filters.push_back(plugins_.http_filter(buffer));
        break;
      }
      case 1: {
        envoy::extensions::filters::http::header_mutation::v3::HeaderMutation mutation;
        auto* request = mutation.mutable_mutations()->add_request_mutations()->mutable_append()->mutable_header();
        request->set_key("x-added");
        request->set_value("%DOWNSTREAM_REMOTE_ADDRESS%");
        mutation.mutable_mutations()->add_response_mutations()->set_remove("server");
        filters.push_back(plugins_.http_filter(mutation));
        break;
      }
      case 2:
        filters.push_back(test::five_pass_through_filters()[random_.below(5)]);
        break;
      default: {
        auto config = std::make_shared<test::ChaosConfig>();
        config->seed = random_.next();
        config->pause_percent = random_.below(60);
        config->split_percent = random_.below(60);
        config->longest_pause = random_.below(4) == 0 ? Duration(500ms) : Duration(5ms);
        if (harsh) {
          config->answer_per_mille = random_.below(30);
          config->abort_per_mille = random_.below(20);
        }
        chaos_.push_back(config);
        filters.push_back(test::chaos_entry(config));
      }
    }
  }
  filters.push_back(plugins_.http_filter(envoy::extensions::filters::http::router::v3::Router()));
  auto chain = filter::HttpChainConfig::build(std::move(filters));
  WEIR_CHECK(chain.ok());
  return *chain;
}

void SimWorld::publish_listeners(event::Publisher::Batch& batch) {
  std::vector<config::ListenerTranslation> listeners;
  if (listening_) {
    auto manager = std::make_shared<proxy::ConnectionManagerConfig>();
    manager->stat_prefix = random_.below(2) == 0 ? "sim" : "sim_alt";
    manager->stats = std::make_unique<proxy::ConnectionManagerStats>(store_, manager->stat_prefix);
    manager->http2_stats = std::make_unique<proxy::Http2Stats>(store_);
    manager->chain = make_chain();
    manager->route_table = publisher_->intern(SlotKind::kRouteTable, "routes");
    manager->access_logs.push_back(logger_);
    manager->buffer_limit = random_.below(2) == 0 ? 1024 * 1024 : 1000 + random_.below(60'000);
    manager->stream_idle_timeout = 30s;
    manager->request_headers_timeout = random_.below(2) == 0 ? 0s : 10s;
    manager->request_timeout = random_.below(3) == 0 ? Duration(1s) : Duration(0);
    manager->idle_timeout = random_.below(3) == 0 ? 0s : random_.below(2) == 0 ? 2s : 100s;
    manager->max_connection_duration = random_.below(4) == 0 ? Duration(3s) : Duration(0);
    manager->max_requests_per_connection = random_.below(4) == 0 ? 1 + random_.below(3) : 0;
    manager->delayed_close_timeout = random_.below(4) == 0 ? 0s : 1s;
    manager->proxy_100_continue = random_.below(4) == 0;
    if (random_.below(4) != 0) manager->upgrades.push_back({.type = "sim"});
    if (random_.below(4) != 0) manager->upgrades.push_back({.type = "CONNECT"});
    manager->h1.options.preserve_case = random_.below(3) == 0;
    manager->always_set_request_id_in_response = random_.below(2) == 0;
    proxy::FilterChain chain;
    chain.name = "chain";
    chain.fingerprint = ++versions_;
    chain.filters.push_back({.descriptor = test::PluginScope::registry().network_filter(
                                 "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                             .config = manager});
    config::ListenerTranslation listener;
    listener.spec.name = "in";
    listener.spec.chains.push_back(std::move(chain));
    listener.spec.accepts_per_turn = 1 + random_.below(16);
    listener.address = *net::Address::from_ip("127.0.0.1", 0);
    listener.options.reuse_port = seed_ % 4 != 0;
    listener.stat_name = random_.below(2) == 0 ? "in" : "in_alt";
    listener.fingerprint = ++versions_;
    listeners.push_back(std::move(listener));
  }
  server::ListenerManager::Changes changes;
  event::Publisher::Batch removed;
  Status applied = listener_manager_->apply(std::move(listeners), changes, removed, removed);
  WEIR_CHECK(applied.ok());
  for (auto& [name, changed] : changes) batch.append(std::move(changed));
  batch.append(std::move(removed));
}

void SimWorld::publish_clusters(event::Publisher::Batch& batch) {
  std::vector<config::ClusterTranslation> translations;
  std::vector<std::string> gone;
  for (auto& [name, cluster] : clusters_) {
    if (!cluster.present) {
      if (cluster_manager_->clusters().contains(name)) gone.push_back(name);
      continue;
    }
    config::ClusterTranslation translation;
    translation.spec = cluster.spec;
    translation.policy = test::PluginScope::registry().lb_policy(
        cluster.least_request ? "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest"
                              : "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin");
    for (size_t server : cluster.servers) {
      config::EndpointSpec endpoint;
      endpoint.address = *net::Address::from_ip("127.0.0.1", servers_[server]->port());
      endpoint.weight = 1 + random_.below(3);
      translation.endpoints.push_back(std::move(endpoint));
    }
    translation.spec_fingerprint = cluster.spec_version;
    translation.host_fingerprint = cluster.host_version;
    translations.push_back(std::move(translation));
  }
  event::Publisher::Batch last;
  cluster_manager_->apply(std::move(translations), gone, batch, last);
  batch.append(std::move(last));
  for (const auto& [name, entry] : cluster_manager_->clusters()) {
    if (std::find(limits_.begin(), limits_.end(), entry.limits) == limits_.end()) limits_.push_back(entry.limits);
  }
}

void SimWorld::publish_routes(event::Publisher::Batch& batch) {
  route::RouteTableSpec table;
  table.name = "routes";
  route::VirtualHostSpec host;
  host.name = "all";
  host.domains = {"*"};
  auto forward = [&](const std::string& path) -> route::RouteSpec& {
    route::RouteSpec route;
    route.name = path;
    route.match.path = path;
    host.routes.push_back(std::move(route));
    return host.routes.back();
  };
  {
    route::RouteSpec& route = forward("connect");
    route.match.path_kind = route::PathKind::kConnect;
    route.match.path.clear();
    route.forward.cluster = "c0";
    if (random_.below(5) == 0) {
      route.action = route::ActionKind::kDirectResponse;
      route.direct_response = std::make_unique<route::DirectResponseSpec>();
      route.direct_response->body = "direct\n";
    }
  }
  forward("/up/0/").forward.cluster = "c0";
  {
    route::RouteSpec& route = forward("/up/1/");
    route.forward.cluster = "c1";
    route.forward.retry.emplace();
    route.forward.retry->retry_on = "5xx,reset,connect-failure";
    route.forward.retry->num_retries = 1 + random_.below(3);
    if (random_.below(2) == 0) route.forward.retry->per_try_timeout = 100ms;
  }
  {
    route::RouteSpec& route = forward("/up/2/");
    for (const char* name : {"c0", "c1", "c2"}) {
      route::WeightedClusterSpec weighted;
      weighted.name = name;
      weighted.weight = 1 + random_.below(3);
      route.forward.weighted_clusters.push_back(std::move(weighted));
    }
    if (random_.below(2) == 0) route.forward.idle_timeout = 5s;
  }
  forward("/up/3/").forward.cluster = random_.below(2) == 0 ? "c2" : "missing";
  {
    route::RouteSpec& route = forward("/up/4/");
    route.forward.cluster = "c2";
    route.forward.timeout = random_.below(2) == 0 ? Duration(50ms) : Duration(2s);
    route.forward.max_stream_duration = 10s;
  }
  route::RouteSpec& direct = forward("/direct/");
  direct.action = route::ActionKind::kDirectResponse;
  direct.direct_response = std::make_unique<route::DirectResponseSpec>();
  direct.direct_response->body = "direct\n";
  table.virtual_hosts.push_back(std::move(host));
  auto built = route::RouteTable::build(std::move(table), [this](std::string_view name) {
    publisher_->intern(SlotKind::kHostSet, name);
    return publisher_->intern(SlotKind::kCluster, name);
  });
  WEIR_CHECK(built.ok());
  batch.set(publisher_->intern(SlotKind::kRouteTable, "routes"), std::move(*built));
}

void SimWorld::update() {
  ++updates_;
  event::Publisher::Batch batch;
  for (uint32_t i = 0, count = 1 + random_.below(3); i < count; ++i) {
    auto it = clusters_.begin();
    std::advance(it, random_.below(static_cast<uint32_t>(clusters_.size())));
    ClusterState& cluster = it->second;
    switch (random_.below(9)) {
      case 0:
      case 1:
      case 2:
        cluster.servers.clear();
        for (size_t s = 0; s < servers_.size(); ++s) {
          if (random_.below(2) == 0) cluster.servers.push_back(s);
        }
        cluster.least_request = random_.below(2) == 0;
        ++cluster.host_version;
        break;
      case 3:
        cluster.spec.breakers.max_connections = random_.below(2) == 0 ? 1 + random_.below(4) : 1024;
        cluster.spec.breakers.max_requests = random_.below(2) == 0 ? 1 + random_.below(8) : 1024;
        cluster.spec.breakers.max_pending_requests = random_.below(2) == 0 ? 1 + random_.below(4) : 1024;
        cluster.spec.max_requests_per_connection = random_.below(2) == 0 ? 1 + random_.below(3) : 0;
        cluster.spec.buffer_limit = random_.below(2) == 0 ? 1024 * 1024 : 500 + random_.below(50'000);
        cluster.spec.idle_timeout = random_.below(2) == 0 ? Duration(1h) : Duration(500ms);
        cluster.spec.breakers.has_retry_budget = random_.below(2) == 0;
        cluster.spec.stat_name = cluster.spec.name + (random_.below(2) == 0 ? "" : "_alt");
        ++cluster.spec_version;
        break;
      case 4:
        cluster.present = !cluster.present;
        ++cluster.spec_version;
        ++cluster.host_version;
        break;
      case 5:
        publish_routes(batch);
        break;
      case 6:
        listening_ = random_.below(8) != 0;
        publish_listeners(batch);
        break;
      default: {
        SimServer& server = *servers_[random_.below(static_cast<uint32_t>(servers_.size()))];
        random_.below(3) == 0 ? server.go_away() : server.come_back();
      }
    }
  }
  publish_clusters(batch);
  publisher_->publish(std::move(batch));
}

// --- Running -------------------------------------------------------------------------------------------------------

void SimWorld::step_lanes() {
  size_t order[] = {0, 1, 2};
  for (size_t i = 2; i > 0; --i) std::swap(order[i], order[random_.below(static_cast<uint32_t>(i) + 1)]);
  for (size_t i : order) {
    if (random_.below(5) != 0) workers_[i]->lane().turn(Duration::zero());
  }
}

bool SimWorld::step_peers() {
  bool moved = false;
  for (auto& client : clients_) {
    if (random_.below(4) != 0) moved |= client->step(clock_.mono_now());
  }
  for (auto& server : servers_) {
    if (random_.below(4) != 0) moved |= server->step();
  }
  std::erase_if(clients_, [](const auto& client) { return client->done(); });
  return network_.step() || moved;
}

void SimWorld::advance_clock(bool moved) {
  idle_rounds_ = moved ? 0 : idle_rounds_ + 1;
  uint32_t dice = random_.below(1000);
  if (idle_rounds_ > 40) {
    clock_.advance(500ms);
  } else if (dice < 300) {
    clock_.advance(1ms);
  } else if (dice < 330) {
    clock_.advance(20ms);
  } else if (dice < 333) {
    clock_.advance(random_.below(4) == 0 ? 4s : 300ms);
  }
}

void SimWorld::run(uint32_t clients) {
  uint32_t started = 0;
  uint32_t update_one_in = 20 + random_.below(300);
  while (started < clients || !clients_.empty()) {
    if (started < clients && clients_.size() < 12 && random_.below(3) == 0) {
      clients_.push_back(std::make_unique<SimClient>(random_.next(), port(), shared_));
      ++started;
    }
    bool moved = step_peers();
    step_lanes();
    advance_clock(moved);
    if (random_.below(update_one_in) == 0) update();
    if (!shared_.violations.empty() || !server_violations_.empty()) {
      shared_.violations.push_back("at that time: " + describe_state());
      return;
    }
  }
}

// For whoever looks for the reason of a violation.
std::string SimWorld::describe_state() const {
  std::string text;
  for (const std::string& violation : shared_.violations) {
    size_t at = violation.find("waiting for ");
    if (at == std::string::npos) continue;
    uint64_t id = std::strtoull(violation.c_str() + at + 12, nullptr, 10);
    text += "request " + std::to_string(id) + (logger_->logged.contains(id) ? " was logged; " : " was not logged; ");
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    server::Worker& worker = *workers_[i];
    text += "lane " + std::to_string(i) + ": " + std::to_string(worker.listeners().connection_count()) +
            " downstream, " + std::to_string(worker.clusters().connection_count()) + " upstream, " +
            std::to_string(proxy::LaneProxy::of(worker.lane()).streams().live()) + " streams; ";
  }
  store_.visit([&](const stats::Sample& sample) {
    if (sample.type != stats::Type::kHistogram && sample.value != 0)
      text += std::string(sample.name) + "=" + std::to_string(sample.value) + " ";
  });
  return text;
}

void SimWorld::check_gauges(std::vector<std::string>& wrong) {
  std::map<std::string, uint64_t> counters;
  store_.visit([&](const stats::Sample& sample) {
    std::string name(sample.name);
    if (sample.type == stats::Type::kGauge && sample.value != 0) {
      wrong.push_back(name + " is " + std::to_string(static_cast<int64_t>(sample.value)));
    }
    if (sample.type == stats::Type::kCounter) counters[name] = sample.value;
  });
  uint64_t requests = 0;
  for (const auto& [name, value] : counters) {
    if (name.starts_with("http.sim") && name.ends_with(".downstream_rq_total")) requests += value;
  }
  if (requests != logger_->lines)
    wrong.push_back(std::to_string(requests) + " requests and " + std::to_string(logger_->lines) + " log lines");
  for (const char* thing :
       {"cluster.c0.upstream_cx", "cluster.c0_alt.upstream_cx", "cluster.c1.upstream_cx", "cluster.c1_alt.upstream_cx",
        "cluster.c2.upstream_cx", "cluster.c2_alt.upstream_cx", "http.sim.downstream_cx", "http.sim_alt.downstream_cx",
        "listener.in.downstream_cx", "listener.in_alt.downstream_cx"}) {
    std::string name(thing);
    if (counters[name + "_total"] != counters[name + "_destroy"]) {
      wrong.push_back(name + "_total is " + std::to_string(counters[name + "_total"]) + ", " + name + "_destroy " +
                      std::to_string(counters[name + "_destroy"]));
    }
  }
}

// What a client has sent in a tunnel before it ended its side is there before the server sees an end.
void SimWorld::check_tunnels(std::vector<std::string>& wrong) {
  std::map<uint64_t, bool> whole;  // a request that was tried again has reached several servers
  for (const auto& server : servers_) {
    for (const auto& [id, all] : server->tunnels()) whole[id] |= all;
  }
  for (const auto& [id, all] : whole) {
    if (!all && shared_.sent_all.contains(id) && !logger_->ended_here.contains(id))
      wrong.push_back("the server's end of tunnel " + std::to_string(id) + " came too early");
  }
}

std::vector<std::string> SimWorld::drain_and_check() {
  std::vector<std::string> wrong = shared_.violations;
  wrong.insert(wrong.end(), server_violations_.begin(), server_violations_.end());
  for (auto& client : clients_) client->leave();
  clients_.clear();
  network_.set_calm();
  for (int i = 0; i < 200; ++i) {
    network_.step();
    for (auto& server : servers_) server->step();
    step_lanes();
  }
  event::Publisher::Batch batch;
  listening_ = false;
  publish_listeners(batch);
  for (auto& [name, cluster] : clusters_) cluster.present = false;
  publish_clusters(batch);
  batch.remove(publisher_->intern(SlotKind::kRouteTable, "routes"));
  publisher_->publish(std::move(batch));
  for (int i = 0; i < 400; ++i) {
    if (i == 200) check_tunnels(wrong);  // who takes nothing for a minute is cut off from here on
    network_.step();
    for (auto& server : servers_) server->step();
    step_lanes();
    clock_.advance(i < 200 ? Duration(50ms) : Duration(30s));
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    server::Worker& worker = *workers_[i];
    std::string lane = "lane " + std::to_string(i) + ": ";
    auto expect_zero = [&](uint64_t value, const char* what) {
      if (value != 0) wrong.push_back(lane + std::to_string(value) + " " + what);
    };
    expect_zero(worker.listeners().connection_count(), "downstream connections");
    expect_zero(worker.clusters().connection_count(), "upstream connections");
    expect_zero(proxy::LaneProxy::of(worker.lane()).streams().live(), "streams");
    expect_zero(worker.lane().slots().pins(), "pins");
    expect_zero(worker.lane().slots().retired(), "replaced versions");
    if (i > 0)
      expect_zero(static_cast<uint64_t>(worker.listeners().loads().loads[i - 1].connections.load()),
                  "connections in its load");
    size_t own = worker.lane().read_block().capacity();  // the one block that a lane keeps
    if (worker.lane().blocks().live_bytes() > own)
      wrong.push_back(lane + std::to_string(worker.lane().blocks().live_bytes()) + " bytes in blocks");
  }
  if (publisher_->live_versions() != 0) wrong.push_back(std::to_string(publisher_->live_versions()) + " live versions");
  check_gauges(wrong);
  for (const auto& [id, count] : logger_->logged) {
    if (count != 1) wrong.push_back("request " + std::to_string(id) + " logged " + std::to_string(count) + " times");
  }
  for (uint64_t id : shared_.answered) {
    if (!logger_->logged.contains(id)) wrong.push_back("request " + std::to_string(id) + " answered and not logged");
  }
  for (const auto& chaos : chaos_) {
    wrong.insert(wrong.end(), chaos->record->violations.begin(), chaos->record->violations.end());
    if (chaos->record->live != 0) wrong.push_back(std::to_string(chaos->record->live) + " filters alive");
  }
  if (static_cast<int64_t>(bugs_found()) != bugs_before_) wrong.push_back("WEIR_BUG was met");
  // What lanes have leased and not used is theirs until they go.
  for (auto& worker : workers_) worker->wind_down();
  cluster_manager_->stop();
  publisher_.reset();
  while (workers_.size() > 1) workers_.pop_back();
  workers_.clear();
  for (const auto& limits : limits_) {
    for (const auto* limit : {&limits->connections, &limits->pending, &limits->requests, &limits->retries}) {
      if (limit->taken() != 0) wrong.push_back("a circuit breaker's count is " + std::to_string(limit->taken()));
    }
  }
  servers_.clear();
  if (network_.open_descriptors() != 0)
    wrong.push_back(std::to_string(network_.open_descriptors()) + " sockets were never closed");
  return wrong;
}

}  // namespace weir::sim
