// Asks /etc/hosts and name servers through c-ares. Its sockets are waited for in an epoll instance of their own, inside
// the lane's: c-ares reads a little at a time and wants to be told again.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/dns/address_guard.h"
#include "core/dns/hosts_file.h"
#include "core/dns/resolver.h"

struct ares_channeldata;
struct ares_addrinfo;

namespace weir::dns {

struct ResolverOptions {
  std::vector<net::Address> servers;  // with ports (0: 53); empty: those of /etc/resolv.conf
  bool servers_as_fallback = false;   // only if /etc/resolv.conf names none
  bool tcp_only = false;
  bool no_search_domains = false;
  bool rotate = false;             // begin with another server each time
  AddressGuard guard = {};         // which addresses may be used
  bool filter_unroutable = false;  // leave out addresses of a family that no interface has
  uint32_t edns0_payload = 0;      // bytes; 0: no EDNS
  Duration query_timeout = 5s;     // of the first try; c-ares waits longer for later ones
  uint32_t tries = 4;              // of each server
  std::string system_config = "/etc/resolv.conf";
  std::string hosts = "/etc/hosts";
  bool operator==(const ResolverOptions&) const = default;
};

// [main] Asks at most kBurst questions in a millisecond; more wait for the next one.
class CaresResolver final : public Resolver, private event::Timer {
 public:
  static constexpr uint32_t kBurst = 100;

  CaresResolver(event::Lane& lane, ResolverOptions options, const ResolverStats& stats);
  ~CaresResolver() override;

 protected:
  bool permits(const net::Address& address) const override { return options_.guard.permits(address); }
  void ask(const std::shared_ptr<Question>& question) override;

 private:
  class Sockets;
  // Sends what was held back.
  class Pace final : public event::Timer {
   public:
    explicit Pace(CaresResolver& owner) : owner_(owner) {}
    void on_timer() override { owner_.send_more(); }

   private:
    CaresResolver& owner_;
  };
  // Behind what was sent in a turn: c-ares looks at everything that is open to say when it wants to be called.
  class Soon final : public event::Timer {
   public:
    explicit Soon(CaresResolver& owner) : owner_(owner) {}
    void on_timer() override { owner_.schedule(); }

   private:
    CaresResolver& owner_;
  };
  // One reading of the system's configuration.
  struct Channel {
    ares_channeldata* cares = nullptr;
    size_t under_way = 0;
    ~Channel();  // calls back for what is under way
  };
  // What c-ares keeps until it calls back.
  struct Asked {
    CaresResolver* resolver;
    Channel* channel;
    std::shared_ptr<Question> question;
  };
  // So many channels of earlier configurations may wait for their last answers.
  static constexpr size_t kMostRetired = 8;
  void send(const std::shared_ptr<Question>& question);
  void send_more();
  // False: c-ares could not be set up; it is tried again with the next question.
  bool open();
  // New questions need a new channel; the old one goes when nothing is under way in it.
  void retire();
  void destroy_retired();
  bool set_servers(ares_channeldata* cares);
  // The system's configuration is another one than when it was read.
  bool outdated() const;
  void process(int readable, int writable);
  // To when c-ares wants to be called next.
  void schedule();
  void on_timer() override;
  void give(Question& question, Answer answer);
  void on_addresses(Question& question, int status, ares_addrinfo* found);
  static void on_done(void* argument, int status, int timeouts, ares_addrinfo* found);

  const ResolverOptions options_;
  HostsFile hosts_;
  Sockets* sockets_;                  // deletes itself behind the turn in which it is no more needed
  std::unique_ptr<Channel> channel_;  // for new questions
  std::vector<std::unique_ptr<Channel>> retired_;
  std::pair<int64_t, int64_t> config_time_{};  // of the system's configuration: last change
  // A start with ten thousand names would be a burst that the answers to itself overflow the socket's buffer in.
  std::deque<std::shared_ptr<Question>> held_back_;
  Pace pace_;
  Soon soon_;
  MonoTime burst_at_{};
  uint32_t burst_ = 0;  // questions at that instant
  bool processing_ = false;
  bool complained_ = false;
};

// One resolver for each set of options, as long as somebody has it.
class ResolverSource {
 public:
  virtual ~ResolverSource() = default;
  virtual std::shared_ptr<Resolver> get(const ResolverOptions& options) = 0;
};

// [main]
class CaresResolvers final : public ResolverSource {
 public:
  CaresResolvers(event::Lane& lane, stats::Store& store) : lane_(lane), stats_(store) {}
  std::shared_ptr<Resolver> get(const ResolverOptions& options) override;

 private:
  event::Lane& lane_;
  const ResolverStats stats_;
  std::vector<std::pair<ResolverOptions, std::weak_ptr<Resolver>>> made_;
};

}  // namespace weir::dns
