#include "filters/udp/udp_proxy/udp_proxy.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/log.h"
#include "core/base/xxhash.h"
#include "core/proxy/lane_proxy.h"
#include "core/stream/metadata.h"

namespace weir::filters::udp_proxy {

using stats::Type;
using stream::AccessLogType;

namespace {

constexpr stats::Definition kDefinitions[] = {
    {"downstream_sess_total", Type::kCounter},
    {"downstream_sess_no_route", Type::kCounter},
    {"downstream_sess_rx_bytes", Type::kCounter},
    {"downstream_sess_rx_datagrams", Type::kCounter},
    {"downstream_sess_rx_errors", Type::kCounter},
    {"downstream_sess_tx_bytes", Type::kCounter},
    {"downstream_sess_tx_datagrams", Type::kCounter},
    {"downstream_sess_tx_errors", Type::kCounter},
    {"idle_timeout", Type::kCounter},
    {"downstream_sess_host_gone", Type::kCounter},
    {"downstream_sess_active", Type::kGauge},
};
const stats::GroupKind kKind{"udp", "envoy_udp_prefix", kDefinitions};

constexpr stats::Definition kClusterDefinitions[] = {
    {"udp.sess_rx_datagrams", Type::kCounter}, {"udp.sess_rx_datagrams_dropped", Type::kCounter},
    {"udp.sess_rx_errors", Type::kCounter},    {"udp.sess_tx_datagrams", Type::kCounter},
    {"udp.sess_tx_errors", Type::kCounter},
};
const stats::GroupKind kClusterKind{"cluster", "envoy_cluster_name", kClusterDefinitions};

constexpr size_t kFirstTable = 64;
constexpr Duration kSilence = 10s;
// Of sessions whose clients' datagrams come here no more: those that wait for an answer, and those that have had as
// many as they have asked for.
constexpr Duration kLastAnswer = 5s;
constexpr Duration kAfterAnswers = 1s;

bool set_option(int fd, int level, int name) {
  const int on = 1;
  return setsockopt(fd, level, name, &on, sizeof on) == 0;
}

// Towards a host, non-blocking. `original`: where it sends from instead, which is no address of this machine.
Result<int> open_upstream(const net::Address& to, const net::BindOptions& bind, const net::Address* original,
                          bool gro) {
  sockaddr_storage storage;
  socklen_t length = to.to_sockaddr(storage);
  const int fd = socket(storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return unavailable(strerror(errno));
  const auto fail = [fd](std::string_view text) {
    const Status status = unavailable(text);
    close(fd);
    return status;
  };
  if (gro) net::enable_gro(fd);
  if (original != nullptr) {
    const bool ipv6 = original->family() == net::Family::kIpv6;
    if (!(ipv6 ? set_option(fd, IPPROTO_IPV6, IPV6_TRANSPARENT) : set_option(fd, IPPROTO_IP, IP_TRANSPARENT)))
      return fail(std::string(strerror(errno)) + "; use_original_src_ip needs root or CAP_NET_ADMIN");
  }
  const net::Address& source = original != nullptr ? *original : bind.source;
  if (original != nullptr || (!bind.empty() && to.is_ip())) {
    if (Status status = net::bind_towards(fd, to, net::SocketOption::Kind::kDatagram, bind, source); !status.ok())
      return fail(message_of(status));
  }
  if (connect(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return fail(strerror(errno));
  return fd;
}

bool serves(const lb::HostSet& hosts, const lb::HostEntry& entry) {
  return entry.health == lb::Health::kHealthy || entry.health == lb::Health::kDegraded ||
         hosts.panicking(entry.priority);
}

// Name servers name the addresses of a name in another order each time.
bool leads_to(const lb::HostEntry& entry, const net::Address& address) {
  if (entry.addresses == nullptr) return entry.address() == address;
  return std::find(entry.addresses->begin(), entry.addresses->end(), address) != entry.addresses->end();
}

stream::Value number(uint64_t value) { return stream::Value::of_number(static_cast<double>(value)); }

void put_counts(stream::Metadata& metadata, std::string_view space, const Counts& counts) {
  metadata.set(space, "bytes_received", number(counts.rx_bytes));
  metadata.set(space, "bytes_sent", number(counts.tx_bytes));
  metadata.set(space, "datagrams_received", number(counts.rx_datagrams));
  metadata.set(space, "datagrams_sent", number(counts.tx_datagrams));
  metadata.set(space, "errors_sent", number(counts.tx_errors));
}

}  // namespace

Stats::Stats(stats::Store& store, const std::string& prefix) : group(store.group(kKind, prefix)) {
  size_t next = 0;
  for (stats::Counter* counter : {&sess_total, &no_route, &rx_bytes, &rx_datagrams, &rx_errors, &tx_bytes,
                                  &tx_datagrams, &tx_errors, &idle_timeout, &host_gone}) {
    *counter = group->counter(next++);
  }
  sess_active = group->gauge(next++);
}

ClusterStats::ClusterStats(stats::Store& store, const std::string& cluster)
    : group(store.group(kClusterKind, cluster)) {
  size_t next = 0;
  for (stats::Counter* counter : {&rx_datagrams, &rx_datagrams_dropped, &rx_errors, &tx_datagrams, &tx_errors})
    *counter = group->counter(next++);
}

// --- Session -------------------------------------------------------------------------------------------------------

Session::Session(UdpProxy& owner, const net::Address& peer, const net::Address& local, uint64_t hash)
    : owner_(owner), peer_(peer), local_(local), hash_(hash) {}

Session::~Session() { WEIR_ASSERT(fd_ < 0); }

Status Session::open(upstream::ClusterLocal& cluster, const Target& target, lb::HostIndex place) {
  const Settings& settings = *owner_.settings_;
  const lb::HostEntry& entry = cluster.hosts()->host(place);
  net::Address client = peer_;
  client.set_port(0);
  const Result<int> fd = open_upstream(entry.address(), cluster.current()->spec.bind,
                                       settings.original_source ? &client : nullptr, settings.upstream.gro);
  if (!fd.ok()) return fd.status();
  fd_ = *fd;
  cluster_ = &cluster;
  pin_ = cluster.pin();
  cluster_stats_ = target.stats;
  host_ = entry.host;
  host_address_ = entry.address();
  place_ = place;
  hosts_version_ = cluster.hosts_version();
  cluster.begin_session(*host_, place_);
  event::Lane& lane = owner_.lane_;
  lane.poller().add_level(fd_, *this);
  start_ = last_ = lane.now();
  start_wall_ = lane.wall_now();
  next_log_ = settings.log_interval > Duration::zero() && !settings.session_logs.empty()
                  ? start_ + settings.log_interval
                  : MonoTime::max();
  arm();
  settings.stats->sess_total.inc();
  settings.stats->sess_active.inc();
  ++owner_.sessions_total_;
  return absl::OkStatus();
}

Duration Session::patience() const {
  const Duration usual = owner_.settings_->idle_timeout;
  if (!owner_.leaving_) [[likely]]
    return usual;
  return std::min(usual, counts_.rx_datagrams > counts_.tx_datagrams ? kLastAnswer : kAfterAnswers);
}

void Session::arm() { owner_.lane_.arm(*this, std::min(last_ + patience(), next_log_)); }

// Set once for many datagrams: whether one has come meanwhile shows when it is due.
void Session::on_timer() {
  const MonoTime now = owner_.lane_.now();
  if (now >= last_ + patience()) {
    if (!owner_.leaving_) {
      owner_.settings_->stats->idle_timeout.inc();
      ++owner_.idle_timeouts_;
    }
    end();
    return;
  }
  if (now >= next_log_) {
    log(AccessLogType::kUdpPeriodic);
    next_log_ = now + owner_.settings_->log_interval;
  }
  arm();
}

bool Session::check_host() {
  const lb::HostSet* hosts = cluster_->current() != nullptr ? cluster_->hosts() : nullptr;
  if (hosts == nullptr) return false;
  const size_t count = hosts->hosts().size();
  // Most have kept their places; else it is looked for.
  lb::HostIndex place = place_ < count && hosts->host(place_).host == host_ ? place_ : 0;
  while (place < count && hosts->host(place).host != host_) ++place;
  if (place >= count) return false;
  const lb::HostEntry& entry = hosts->host(place);
  if (!serves(*hosts, entry) || !leads_to(entry, host_address_)) return false;
  place_ = place;
  hosts_version_ = cluster_->hosts_version();
  return true;
}

void Session::end(bool now) {
  if (fd_ >= 0) {
    cancel();
    owner_.take_out(*this);
    if (owner_.run_.session == this) owner_.run_ = {};
    log(AccessLogType::kUdpSessionEnd);
    owner_.lane_.poller().remove(fd_);
    close(fd_);
    fd_ = -1;
    owner_.settings_->stats->sess_active.dec();
    cluster_->end_session(*host_, place_);
    owner_.host_.give_descriptor_back();
    pin_.reset();
  }
  if (now) {
    dispose();
  } else {
    owner_.lane_.defer_delete(*this);
  }
}

void Session::dispose() { owner_.slab_.destroy(this); }

void Session::on_ready(uint32_t) {
  if (fd_ < 0) return;
  const Settings& settings = *owner_.settings_;
  uint32_t datagrams = 0;
  uint64_t bytes = 0;
  const auto outcome =
      owner_.host_.reader().read_connected(fd_, settings.upstream, batch_, [&](const net::Datagrams& one) {
        datagrams += one.count();
        bytes += one.bytes.size();
        owner_.host_.send(peer_, local_, one, hash_);
      });
  // So many at a time as come at a time.
  batch_ = outcome.taken == batch_ ? static_cast<uint8_t>(std::min<unsigned>(batch_ * 2u, net::DatagramReader::kMost))
                                   : static_cast<uint8_t>(std::max(1u, outcome.taken));
  if (outcome.error != 0 && outcome.error != EAGAIN) cluster_stats_->rx_errors.inc();
  if (outcome.too_large != 0) cluster_stats_->rx_datagrams_dropped.add(outcome.too_large);
  if (datagrams == 0) return;
  last_ = owner_.lane_.now();
  counts_.tx_datagrams += datagrams;
  counts_.tx_bytes += bytes;
  if (owner_.leaving_) [[unlikely]]
    arm();
  owner_.counts_.tx_datagrams += datagrams;
  owner_.counts_.tx_bytes += bytes;
  cluster_stats_->rx_datagrams.add(datagrams);
  pin_->stats->cx_rx_bytes_total.add(bytes);
  settings.stats->tx_datagrams.add(datagrams);
  settings.stats->tx_bytes.add(bytes);
}

void Session::log(AccessLogType type) {
  if (owner_.settings_->session_logs.empty()) return;
  event::Lane& lane = owner_.lane_;
  stream::StreamInfo info;
  info.start = start_;
  info.start_wall = start_wall_;
  info.end = lane.now();
  info.stream_id = proxy::LaneProxy::of(lane).next_id();
  info.random = lane.random().next();
  info.downstream_remote = info.downstream_direct_remote = peer_;
  info.downstream_local = owner_.local_with_port(local_);
  info.bytes_received = counts_.rx_bytes;
  info.bytes_sent = counts_.tx_bytes;
  const upstream::ClusterSpec& spec = pin_->spec;
  info.upstream.cluster = spec.stat_name;
  if (spec.name != spec.stat_name) info.upstream.cluster_raw = spec.name;
  info.upstream.cluster_metadata = spec.metadata != nullptr ? &spec.metadata->root() : nullptr;
  info.upstream.remote = host_address_;
  info.upstream.host_text = host_->text();
  info.upstream.host_name = host_->hostname();
  if ((stream::wanted_records() & stream::kConnectionRecords) != 0) info.upstream.local = net::bound_address(fd_);
  Arena arena(lane.arenas());
  stream::Metadata metadata(arena);
  constexpr std::string_view kSpace = "udp.proxy.session";
  metadata.set(kSpace, "cluster_name", stream::Value::of_string(spec.name));
  put_counts(metadata, kSpace, counts_);
  info.metadata = &metadata;
  const stream::LogSubject subject{info, nullptr, nullptr, nullptr, {}, type};
  for (const auto& one : owner_.settings_->session_logs) one->log(subject, lane);
}

// --- UdpProxy ------------------------------------------------------------------------------------------------------

UdpProxy::UdpProxy(std::shared_ptr<const Settings> settings, filter::DatagramHost& host)
    : settings_(std::move(settings)),
      host_(host),
      lane_(host.lane()),
      seed_(lane_.random().next()),
      table_(kFirstTable),
      start_(lane_.now()),
      start_wall_(lane_.wall_now()) {}

UdpProxy::~UdpProxy() {
  while (Session* session = all_.front()) session->end(true);
  log();
}

void UdpProxy::on_leaving() {
  leaving_ = true;
  for (Session* session : table_) {
    for (; session != nullptr; session = session->next_) session->arm();
  }
}

net::Address UdpProxy::local_with_port(const net::Address& local) const {
  net::Address whole = local.empty() ? host_.local() : local;
  whole.set_port(host_.local().port());
  return whole;
}

filter::UdpFilter::Verdict UdpProxy::on_datagrams(const net::Address& peer, const net::Address& local,
                                                  const net::Datagrams& datagrams) {
  Session* session = settings_->per_packet ? session_of_packet(peer, local) : session_for(peer, local);
  if (session == nullptr) return Verdict::kTaken;
  const uint32_t count = datagrams.count();
  const size_t bytes = datagrams.bytes.size();
  session->last_ = lane_.now();
  session->counts_.rx_datagrams += count;
  session->counts_.rx_bytes += bytes;
  counts_.rx_datagrams += count;
  counts_.rx_bytes += bytes;
  settings_->stats->rx_datagrams.add(count);
  settings_->stats->rx_bytes.add(bytes);
  if (run_.session != session || run_.count == net::DatagramReader::kMost || datagrams.size != 0) send_run();
  if (datagrams.size != 0) {
    sent(*session, count, bytes, net::ConnectedSender::send(session->fd_, datagrams));
    return Verdict::kTaken;
  }
  run_.session = session;
  run_.pieces[run_.count++] = {const_cast<char*>(datagrams.bytes.data()), bytes};
  run_.bytes += bytes;
  return Verdict::kTaken;
}

void UdpProxy::on_receive_failed() {
  settings_->stats->rx_errors.inc();
  ++rx_errors_;
}

// `sender`: the session's hash, which tells those of one client apart that have different hosts, and those of the
// filter before, whose seed was another one.
bool UdpProxy::on_send_failed(const net::Address& to, const net::Address& from, uint64_t sender, uint32_t datagrams) {
  Session* session = find(sender, to, from, nullptr);
  if (session == nullptr) return false;
  session->counts_.tx_errors += datagrams;
  settings_->stats->tx_errors.add(datagrams);
  counts_.tx_errors += datagrams;
  return true;
}

void UdpProxy::send_run() {
  if (run_.count != 0)
    sent(*run_.session, run_.count, run_.bytes, net::ConnectedSender::send(run_.session->fd_, run_.pieces, run_.count));
  run_.session = nullptr;
  run_.count = 0;
  run_.bytes = 0;
}

void UdpProxy::sent(Session& session, uint32_t datagrams, size_t bytes, const net::ConnectedSender::Outcome& outcome) {
  if (outcome.failed != 0) [[unlikely]]
    session.cluster_stats_->tx_errors.add(outcome.failed);
  session.cluster_stats_->tx_datagrams.add(datagrams - outcome.failed);
  if (outcome.failed == 0) session.pin_->stats->cx_tx_bytes_total.add(bytes);
}

const Target* UdpProxy::route(const net::Address& peer, const net::Address& local) {
  if (settings_->matcher == nullptr) return &settings_->targets.front();
  facts_.downstream_remote = facts_.downstream_direct_remote = peer;
  facts_.downstream_local = local_with_port(local);
  const match::Tree::Result found = settings_->matcher->evaluate({.info = &facts_});
  return found.matched() ? &settings_->targets[found.action] : nullptr;
}

upstream::ClusterLocal* UdpProxy::choose(const net::Address& peer, const net::Address& local, const Target*& target,
                                         lb::HostIndex& place) {
  target = route(peer, local);
  upstream::ClusterLocal* cluster =
      target != nullptr ? upstream::LaneClusters::of(lane_).find(target->cluster) : nullptr;
  if (cluster == nullptr) {
    settings_->stats->no_route.inc();
    ++no_route_;
    return nullptr;
  }
  lb::PickInput input;
  if (settings_->hash_by != HashBy::kNothing) {
    char text[net::Address::kMaxText];
    input.has_hash = true;
    input.hash = settings_->hash_by == HashBy::kKey ? settings_->hash : xxhash64(peer.ip_to_text(text));
  }
  upstream::Member member{cluster, {}, 0};
  if (cluster->aggregates()) [[unlikely]]
    member = cluster->choose_member(input);
  if (member.cluster != nullptr) {
    input.target = member.target;
    place = member.cluster->pick_host(input);
    if (place != lb::kNoHost) return member.cluster;
    cluster = member.cluster;
  }
  cluster->stats().cx_none_healthy.inc();
  return nullptr;
}

bool UdpProxy::goes_on(Session& session) {
  if (session.hosts_version_ == session.cluster_->hosts_version() || session.check_host()) [[likely]]
    return true;
  settings_->stats->host_gone.inc();
  if (run_.session == &session) send_run();
  session.end();
  return false;
}

Session* UdpProxy::session_for(const net::Address& peer, const net::Address& local) {
  Session* session = run_.session;
  uint64_t hash = 0;
  if (session == nullptr || session->peer_ != peer || session->local_ != local) {
    hash = hash_of(peer, local, nullptr);
    session = find(hash, peer, local, nullptr);
  }
  if (session != nullptr) {
    hash = session->hash_;
    if (goes_on(*session)) [[likely]]
      return session;
  }
  const Target* target = nullptr;
  lb::HostIndex place = lb::kNoHost;
  upstream::ClusterLocal* cluster = choose(peer, local, target, place);
  return cluster != nullptr ? make(peer, local, hash, *cluster, *target, place) : nullptr;
}

Session* UdpProxy::session_of_packet(const net::Address& peer, const net::Address& local) {
  const Target* target = nullptr;
  lb::HostIndex place = lb::kNoHost;
  upstream::ClusterLocal* cluster = choose(peer, local, target, place);
  if (cluster == nullptr) return nullptr;
  const lb::Host* host = cluster->hosts()->host(place).host.get();
  const uint64_t hash = hash_of(peer, local, host);
  // A host that is a name may have another address by now.
  if (Session* session = find(hash, peer, local, host); session != nullptr && goes_on(*session)) return session;
  return make(peer, local, hash, *cluster, *target, place);
}

Session* UdpProxy::make(const net::Address& peer, const net::Address& local, uint64_t hash,
                        upstream::ClusterLocal& cluster, const Target& target, lb::HostIndex place) {
  const upstream::ClusterStats& stats = cluster.stats();
  if (!host_.take_descriptor()) {
    stats.cx_overflow.inc();
    return nullptr;
  }
  if (!cluster.take_session()) {
    host_.give_descriptor_back();
    stats.cx_overflow.inc();
    return nullptr;
  }
  Session* session = slab_.make(*this, peer, local, hash);
  if (const Status opened = session->open(cluster, target, place); !opened.ok()) {
    cluster.give_session_back();
    host_.give_descriptor_back();
    stats.cx_connect_fail.inc();
    if (lane_.now() >= silent_until_) {
      silent_until_ = lane_.now() + kSilence;
      WEIR_LOG(kWarning, "upstream", "cluster %s: no socket for a session with %s: %s",
               cluster.current()->spec.name.c_str(), cluster.hosts()->host(place).host->text().c_str(),
               message_of(opened).c_str());
    }
    slab_.destroy(session);
    return nullptr;
  }
  insert(*session);
  return session;
}

uint64_t UdpProxy::hash_of(const net::Address& peer, const net::Address& local, const lb::Host* host) const {
  struct Key {
    uint8_t peer[16];
    uint8_t local[16];
    const lb::Host* host;
    uint32_t scope;
    uint32_t port;
  } key{};
  memcpy(key.peer, peer.ip_bytes(), peer.ip_size());
  memcpy(key.local, local.ip_bytes(), local.ip_size());
  key.host = host;
  key.scope = peer.scope_id();
  key.port = peer.port();
  return xxhash64({reinterpret_cast<const char*>(&key), sizeof key}, seed_);
}

Session* UdpProxy::find(uint64_t hash, const net::Address& peer, const net::Address& local,
                        const lb::Host* host) const {
  for (Session* one = table_[hash & (table_.size() - 1)]; one != nullptr; one = one->next_) {
    if (one->hash_ == hash && one->peer_ == peer && one->local_ == local &&
        (host == nullptr || one->host_.get() == host))
      return one;
  }
  return nullptr;
}

void UdpProxy::insert(Session& session) {
  if (count_ >= table_.size()) {
    std::vector<Session*> larger(table_.size() * 2);
    for (Session* one : table_) {
      while (one != nullptr) {
        Session* next = one->next_;
        Session*& place = larger[one->hash_ & (larger.size() - 1)];
        one->next_ = place;
        place = one;
        one = next;
      }
    }
    table_ = std::move(larger);
  }
  Session*& place = table_[session.hash_ & (table_.size() - 1)];
  session.next_ = place;
  place = &session;
  all_.push_back(session);
  ++count_;
}

void UdpProxy::take_out(Session& session) {
  Session** at = &table_[session.hash_ & (table_.size() - 1)];
  while (*at != &session) at = &(*at)->next_;
  *at = session.next_;
  --count_;
}

void UdpProxy::log() {
  if (settings_->proxy_logs.empty()) return;
  stream::StreamInfo info;
  info.start = start_;
  info.start_wall = start_wall_;
  info.end = lane_.now();
  info.stream_id = proxy::LaneProxy::of(lane_).next_id();
  info.downstream_local = host_.local();
  info.bytes_received = counts_.rx_bytes;
  info.bytes_sent = counts_.tx_bytes;
  Arena arena(lane_.arenas());
  stream::Metadata metadata(arena);
  constexpr std::string_view kSpace = "udp.proxy.proxy";
  put_counts(metadata, kSpace, counts_);
  metadata.set(kSpace, "errors_received", number(rx_errors_));
  metadata.set(kSpace, "no_route", number(no_route_));
  metadata.set(kSpace, "session_total", number(sessions_total_));
  metadata.set(kSpace, "idle_timeout", number(idle_timeouts_));
  info.metadata = &metadata;
  const stream::LogSubject subject{info};
  for (const auto& one : settings_->proxy_logs) one->log(subject, lane_);
}

}  // namespace weir::filters::udp_proxy
