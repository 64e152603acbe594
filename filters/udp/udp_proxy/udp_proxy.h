// Passes datagrams between clients and the hosts of clusters. What one client sends to one local address is a session,
// with a socket of its own towards its host: what comes back there goes to that client. Configuration is config.h's
// business.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/slab.h"
#include "core/event/lane.h"
#include "core/filter/udp_filter.h"
#include "core/match/matcher_tree.h"
#include "core/stats/store.h"
#include "core/stream/access_logger.h"
#include "core/stream/stream_info.h"
#include "core/upstream/lane_clusters.h"

namespace weir::filters::udp_proxy {

// `udp.<stat_prefix>.*`. [any]
struct Stats {
  Stats(stats::Store& store, const std::string& prefix);
  std::shared_ptr<stats::Group> group;
  stats::Counter sess_total, no_route, rx_bytes, rx_datagrams, rx_errors, tx_bytes, tx_datagrams, tx_errors,
      idle_timeout, host_gone;
  stats::Gauge sess_active;
};

// `cluster.<name>.udp.*`. [any]
struct ClusterStats {
  ClusterStats(stats::Store& store, const std::string& cluster);
  std::shared_ptr<stats::Group> group;
  stats::Counter rx_datagrams, rx_datagrams_dropped, rx_errors, tx_datagrams, tx_errors;
};

struct Target {
  event::SlotId cluster;
  std::shared_ptr<const ClusterStats> stats;
};

enum class HashBy : uint8_t { kNothing, kSourceIp, kKey };

// [immutable]
struct Settings {
  std::unique_ptr<const Stats> stats;
  std::vector<Target> targets;                 // one or more, as `matcher` numbers them
  std::unique_ptr<const match::Tree> matcher;  // null: the first target takes all
  Duration idle_timeout = 1min;
  HashBy hash_by = HashBy::kNothing;
  uint64_t hash = 0;  // of a key
  net::DatagramOptions upstream{.max_size = 1500, .gro = true};
  bool per_packet = false;       // each datagram has a host of its own
  bool original_source = false;  // hosts see the addresses of clients
  std::vector<std::shared_ptr<const stream::AccessLogger>> session_logs;
  std::vector<std::shared_ptr<const stream::AccessLogger>> proxy_logs;
  Duration log_interval{};  // between lines of a session that goes on; zero: one at its end
};

// Datagrams and bytes of a session, or of all.
struct Counts {
  uint64_t rx_datagrams = 0, rx_bytes = 0, tx_datagrams = 0, tx_bytes = 0, tx_errors = 0;
};

class UdpProxy;

// Of one client, one local address and one host. [worker]
class Session final : public event::Pollable, public event::Timer, public event::Deferred {
 public:
  Session(UdpProxy& owner, const net::Address& peer, const net::Address& local, uint64_t hash);
  ~Session();

  // Opens its socket. An error: it could not.
  Status open(upstream::ClusterLocal& cluster, const Target& target, lb::HostIndex place);
  // Takes it out, logs it, and destroys it when the turn ends, or (`now`) at once.
  void end(bool now = false);
  // Whether its host still serves.
  bool check_host();
  void on_ready(uint32_t ready) override;
  void dispose() override;

 private:
  friend class UdpProxy;
  void on_timer() override;
  void arm();
  // How long it may be silent.
  Duration patience() const;
  void log(stream::AccessLogType type);

  UdpProxy& owner_;
  const net::Address peer_;
  const net::Address local_;  // without a port; empty: that of the listener
  const uint64_t hash_;
  Session* next_ = nullptr;  // with the same place in the table
  ListNode node_;            // of all, those that have ended too
  upstream::ClusterLocal* cluster_ = nullptr;
  event::Pin<upstream::Cluster> pin_;
  std::shared_ptr<const ClusterStats> cluster_stats_;
  std::shared_ptr<lb::Host> host_;
  net::Address host_address_;
  lb::HostIndex place_ = lb::kNoHost;
  uint64_t hosts_version_ = 0;
  int fd_ = -1;  // -1: it has ended, or was never opened
  uint8_t batch_ = 1;
  MonoTime start_{};
  WallTime start_wall_{};
  MonoTime last_{};  // when a datagram came or went
  MonoTime next_log_{};
  Counts counts_;
};

// The filter of one listener's address on one lane. [worker]
class UdpProxy final : public filter::UdpFilter {
 public:
  UdpProxy(std::shared_ptr<const Settings> settings, filter::DatagramHost& host);
  ~UdpProxy() override;

  Verdict on_datagrams(const net::Address& peer, const net::Address& local, const net::Datagrams& datagrams) override;
  void on_batch_end() override { send_run(); }
  void on_receive_failed() override;
  bool on_send_failed(const net::Address& to, const net::Address& from, uint64_t sender, uint32_t datagrams) override;
  bool still_needed() const override { return count_ != 0; }
  void on_leaving() override;
  size_t sessions() const { return count_; }

 private:
  friend class Session;
  // Datagrams of one batch that follow each other to the same session.
  struct Run {
    Session* session = nullptr;
    unsigned count = 0;
    size_t bytes = 0;
    iovec pieces[net::DatagramReader::kMost];
  };
  // Whether its host still serves. False: it has ended.
  bool goes_on(Session& session);
  Session* session_for(const net::Address& peer, const net::Address& local);
  Session* session_of_packet(const net::Address& peer, const net::Address& local);
  const Target* route(const net::Address& peer, const net::Address& local);
  // nullptr: there is none, which is counted.
  upstream::ClusterLocal* choose(const net::Address& peer, const net::Address& local, const Target*& target,
                                 lb::HostIndex& place);
  Session* make(const net::Address& peer, const net::Address& local, uint64_t hash, upstream::ClusterLocal& cluster,
                const Target& target, lb::HostIndex place);
  uint64_t hash_of(const net::Address& peer, const net::Address& local, const lb::Host* host) const;
  Session* find(uint64_t hash, const net::Address& peer, const net::Address& local, const lb::Host* host) const;
  void insert(Session& session);
  void take_out(Session& session);
  void send_run();
  void sent(Session& session, uint32_t datagrams, size_t bytes, const net::ConnectedSender::Outcome& outcome);
  net::Address local_with_port(const net::Address& local) const;
  void log();

  const std::shared_ptr<const Settings> settings_;
  filter::DatagramHost& host_;
  event::Lane& lane_;
  const uint64_t seed_;  // of the table: peers choose their ports
  std::vector<Session*> table_;
  size_t count_ = 0;
  Slab<Session> slab_;
  IntrusiveList<Session, &Session::node_> all_;
  Run run_;
  stream::StreamInfo facts_;  // for the matcher
  const MonoTime start_;
  const WallTime start_wall_;
  Counts counts_;
  uint64_t sessions_total_ = 0, idle_timeouts_ = 0, no_route_ = 0, rx_errors_ = 0;
  MonoTime silent_until_{};
  bool leaving_ = false;
};

}  // namespace weir::filters::udp_proxy
