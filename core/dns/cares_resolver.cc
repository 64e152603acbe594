#include "core/dns/cares_resolver.h"

#include <ares.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "core/base/assert.h"
#include "core/base/log.h"

namespace weir::dns {
namespace {

using net::Address;
using net::Family;

constexpr int kSocketsPerTurn = 64;
constexpr uint16_t kPort = 53;

// Of interfaces that reach other machines. Both, if the kernel does not tell.
bool has_interface_of(Family family) {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return true;
  const int wanted = family == Family::kIpv4 ? AF_INET : AF_INET6;
  bool found = false;
  for (const ifaddrs* one = first; one != nullptr && !found; one = one->ifa_next) {
    found = one->ifa_addr != nullptr && one->ifa_addr->sa_family == wanted && (one->ifa_flags & IFF_LOOPBACK) == 0;
  }
  freeifaddrs(first);
  return found;
}

Outcome outcome_of(int status) {
  switch (status) {
    case ARES_SUCCESS:
      return Outcome::kFound;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
      return Outcome::kNone;
    case ARES_ETIMEOUT:
      return Outcome::kTimeout;
    default:
      return Outcome::kFailed;
  }
}

bool less(const Address& a, const Address& b) {
  return std::lexicographical_compare(a.ip_bytes(), a.ip_bytes() + a.ip_size(), b.ip_bytes(),
                                      b.ip_bytes() + b.ip_size());
}

// Once for the process, and never undone: it has nothing to give back on Linux.
int initialize_library() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

}  // namespace

// An event of the turn may still name it when the resolver has gone.
class CaresResolver::Sockets final : public event::Pollable, public event::Deferred {
 public:
  explicit Sockets(CaresResolver& owner) : owner_(&owner), fd_(epoll_create1(EPOLL_CLOEXEC)) {
    WEIR_CHECK(fd_ >= 0);
    owner.lane().poller().add_level(fd_, *this);
  }

  void watch(int socket, bool readable, bool writable) const {
    epoll_event event{};
    event.data.fd = socket;
    event.events = (readable ? uint32_t{EPOLLIN} : 0) | (writable ? uint32_t{EPOLLOUT} : 0);
    if (event.events == 0) {
      epoll_ctl(fd_, EPOLL_CTL_DEL, socket, nullptr);
    } else if (epoll_ctl(fd_, EPOLL_CTL_MOD, socket, &event) != 0) {
      WEIR_CHECK(epoll_ctl(fd_, EPOLL_CTL_ADD, socket, &event) == 0);
    }
  }
  void leave(event::Lane& lane) {
    owner_ = nullptr;
    ::close(fd_);
    lane.defer_delete(*this);
  }

 private:
  void on_ready(uint32_t) override {
    if (owner_ == nullptr) return;
    epoll_event events[kSocketsPerTurn];
    const int count = epoll_wait(fd_, events, kSocketsPerTurn, 0);
    for (int i = 0; i < count && owner_ != nullptr; ++i) {
      const uint32_t ready = events[i].events;
      const int socket = events[i].data.fd;
      owner_->process((ready & ~uint32_t{EPOLLOUT}) != 0 ? socket : ARES_SOCKET_BAD,
                      (ready & EPOLLOUT) != 0 ? socket : ARES_SOCKET_BAD);
    }
    if (owner_ != nullptr) owner_->schedule();
  }
  void dispose() override { delete this; }

  CaresResolver* owner_;
  const int fd_;
};

CaresResolver::CaresResolver(event::Lane& lane, ResolverOptions options, const ResolverStats& stats)
    : Resolver(lane, stats),
      options_(std::move(options)),
      hosts_(options_.hosts),
      sockets_(new Sockets(*this)),
      pace_(*this),
      soon_(*this) {}

CaresResolver::~CaresResolver() {
  channel_.reset();
  retired_.clear();
  sockets_->leave(lane());
}

CaresResolver::Channel::~Channel() {
  if (cares != nullptr) ares_destroy(cares);
}

void CaresResolver::retire() {
  if (channel_->under_way > 0 || processing_) {
    retired_.push_back(std::move(channel_));
  } else {
    channel_.reset();
  }
}

void CaresResolver::destroy_retired() {
  std::erase_if(retired_, [](const auto& channel) { return channel->under_way == 0; });
}

bool CaresResolver::open() {
  ares_options options{};
  options.flags = (options_.tcp_only ? ARES_FLAG_USEVC : 0) | (options_.no_search_domains ? ARES_FLAG_NOSEARCH : 0) |
                  (options_.edns0_payload != 0 ? ARES_FLAG_EDNS : 0);
  options.timeout = static_cast<int>(std::min<int64_t>(to_ms(options_.query_timeout), 3'600'000));
  options.tries = static_cast<int>(std::min<uint32_t>(options_.tries, 100));
  options.sock_state_cb = [](void* sockets, ares_socket_t socket, int readable, int writable) {
    static_cast<const Sockets*>(sockets)->watch(socket, readable != 0, writable != 0);
  };
  options.sock_state_cb_data = sockets_;
  options.ednspsz = static_cast<int>(options_.edns0_payload);
  std::string config = options_.system_config;
  options.resolvconf_path = config.data();
  char dns_alone[] = "b";  // hosts_ has been asked
  options.lookups = dns_alone;
  int set = ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF | ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
            ARES_OPT_SOCK_STATE_CB;
  set |= options_.rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE;
  if (options_.edns0_payload != 0) set |= ARES_OPT_EDNSPSZ;
  if (options_.no_search_domains) set |= ARES_OPT_DOMAINS;  // none
  struct stat file {};
  config_time_ = {};
  if (stat(config.c_str(), &file) == 0) config_time_ = {file.st_mtim.tv_sec, file.st_mtim.tv_nsec};
  int status = initialize_library();
  auto channel = std::make_unique<Channel>();
  if (status == ARES_SUCCESS) status = ares_init_options(&channel->cares, &options, set);
  if (status == ARES_SUCCESS && set_servers(channel->cares)) {
    complained_ = false;
    channel_ = std::move(channel);
    return true;
  }
  if (status == ARES_SUCCESS) {
    status = ARES_ENOMEM;
  } else {
    channel->cares = nullptr;
  }
  if (!std::exchange(complained_, true)) {
    WEIR_LOG(kError, "upstream", "names cannot be resolved: %s", ares_strerror(status));
  }
  return false;
}

bool CaresResolver::set_servers(ares_channeldata* cares) {
  if (options_.servers.empty()) return true;
  if (options_.servers_as_fallback) {
    ares_addr_port_node* system = nullptr;
    if (ares_get_servers_ports(cares, &system) != ARES_SUCCESS) return false;
    // What c-ares puts where the system names none: this machine alone.
    const bool none = system == nullptr || (system->next == nullptr && system->family == AF_INET &&
                                            system->addr.addr4.s_addr == htonl(INADDR_LOOPBACK));
    ares_free_data(system);
    if (!none) return true;
  }
  std::vector<ares_addr_port_node> nodes(options_.servers.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Address& server = options_.servers[i];
    ares_addr_port_node& node = nodes[i];
    node.next = i + 1 < nodes.size() ? &nodes[i + 1] : nullptr;
    node.family = server.family() == Family::kIpv4 ? AF_INET : AF_INET6;
    memcpy(&node.addr, server.ip_bytes(), server.ip_size());
    node.udp_port = node.tcp_port = server.port() != 0 ? server.port() : kPort;
  }
  return ares_set_servers_ports(cares, nodes.data()) == ARES_SUCCESS;
}

bool CaresResolver::outdated() const {
  struct stat file {};
  if (stat(options_.system_config.c_str(), &file) != 0) return false;  // it is being replaced
  return std::pair<int64_t, int64_t>(file.st_mtim.tv_sec, file.st_mtim.tv_nsec) != config_time_;
}

void CaresResolver::ask(const std::shared_ptr<Question>& question) {
  Answer known;
  known.addresses = hosts_.find(question->name(), question->family());
  if (!known.addresses.empty()) {
    known.outcome = Outcome::kFound;
    give(*question, std::move(known));
    return;
  }
  if (std::exchange(burst_at_, lane().now()) != lane().now()) burst_ = 0;
  if (held_back_.empty() && burst_ < kBurst) {
    ++burst_;
    send(question);
    return;
  }
  held_back_.push_back(question);
  if (!pace_.armed()) lane().arm_in(pace_, 1ms);
}

void CaresResolver::send_more() {
  for (uint32_t i = 0; i < kBurst && !held_back_.empty(); ++i) {
    const std::shared_ptr<Question> question = std::move(held_back_.front());
    held_back_.pop_front();
    send(question);
  }
  if (!held_back_.empty()) lane().arm_in(pace_, 1ms);
}

void CaresResolver::send(const std::shared_ptr<Question>& question) {
  if (channel_ != nullptr && retired_.size() < kMostRetired && outdated()) retire();
  if (channel_ == nullptr && !open()) {
    answered(*question, Answer{});
    return;
  }
  ares_addrinfo_hints hints{};
  hints.ai_flags = ARES_AI_NOSORT;  // sorting by RFC 6724 would open a socket for each address
  hints.ai_family = question->family() == Family::kIpv4 ? AF_INET : AF_INET6;
  hints.ai_socktype = SOCK_STREAM;
  ++channel_->under_way;
  auto* asked = new Asked{this, channel_.get(), question};
  ares_getaddrinfo(channel_->cares, question->name().c_str(), nullptr, &hints, on_done, asked);
  if (!soon_.armed()) lane().arm(soon_, lane().now());
}

void CaresResolver::on_done(void* argument, int status, int, ares_addrinfo* found) {
  const std::unique_ptr<Asked> asked(static_cast<Asked*>(argument));
  --asked->channel->under_way;
  // The resolver ends.
  if (status != ARES_EDESTRUCTION) asked->resolver->on_addresses(*asked->question, status, found);
  if (found != nullptr) ares_freeaddrinfo(found);
}

void CaresResolver::on_addresses(Question& question, int status, ares_addrinfo* found) {
  Answer answer;
  answer.outcome = outcome_of(status);
  if (answer.outcome == Outcome::kFound) {
    std::set<Address, bool (*)(const Address&, const Address&)> seen(less);
    std::optional<int> ttl;
    for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
      const Address address = Address::from_sockaddr(node->ai_addr, static_cast<socklen_t>(node->ai_addrlen));
      Address bare = address;
      bare.set_port(0);
      // Also what IPv6 records say of IPv4 (::ffff:10.0.0.1): of that family they were not asked.
      if (bare.family() != question.family() || !seen.insert(bare).second) continue;
      if (answer.addresses.size() == kMaxAddresses) {
        WEIR_LOG(kWarning, "upstream", "%s: only the first %zu of its addresses are used", question.name().c_str(),
                 kMaxAddresses);
        break;
      }
      answer.addresses.push_back(std::move(bare));
      ttl = ttl.has_value() ? std::min(*ttl, node->ai_ttl) : node->ai_ttl;
    }
    for (const ares_addrinfo_cname* alias = found->cnames; alias != nullptr && ttl.has_value(); alias = alias->next) {
      ttl = std::min(*ttl, alias->ttl);
    }
    // RFC 2181 section 8: with the top bit set it is 0.
    if (ttl.has_value() && *ttl > 0) answer.ttl = std::chrono::seconds(*ttl);
  } else if (!answer.answered()) {
    WEIR_LOG(kDebug, "upstream", "%s: %s", question.name().c_str(), ares_strerror(status));
  }
  give(question, std::move(answer));
}

void CaresResolver::give(Question& question, Answer answer) {
  if (options_.filter_unroutable && !answer.addresses.empty() && !has_interface_of(question.family())) {
    answer.addresses.clear();
    answer.ttl.reset();
  }
  if (answer.outcome == Outcome::kFound && answer.addresses.empty()) answer.outcome = Outcome::kNone;
  answered(question, std::move(answer));
}

void CaresResolver::process(int readable, int writable) {
  // Of those to which a socket does not belong only what has taken too long is looked for.
  processing_ = true;
  for (const auto& channel : retired_) ares_process_fd(channel->cares, readable, writable);
  if (channel_ != nullptr) ares_process_fd(channel_->cares, readable, writable);
  processing_ = false;
  destroy_retired();
}

void CaresResolver::schedule() {
  Duration next = Duration::max();
  const auto look_at = [&](const Channel& channel) {
    timeval wait{};
    if (ares_timeout(channel.cares, nullptr, &wait) == nullptr) return;
    next = std::min<Duration>(next, std::chrono::seconds(wait.tv_sec) + std::chrono::microseconds(wait.tv_usec));
  };
  for (const auto& channel : retired_) look_at(*channel);
  if (channel_ != nullptr) look_at(*channel_);
  if (next == Duration::max()) {
    cancel();
  } else {
    lane().arm_in(*this, std::max<Duration>(next, 1ms));
  }
}

void CaresResolver::on_timer() {
  process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  schedule();
}

std::shared_ptr<Resolver> CaresResolvers::get(const ResolverOptions& options) {
  std::erase_if(made_, [](const auto& one) { return one.second.expired(); });
  for (const auto& [other, resolver] : made_) {
    if (other == options) return resolver.lock();
  }
  auto made = std::make_shared<CaresResolver>(lane_, options, stats_);
  made_.emplace_back(options, made);
  return made;
}

}  // namespace weir::dns
