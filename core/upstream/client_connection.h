// One connection to a host as its pool sees it, whatever it speaks: how it comes up, what it counts, what is known of
// it, how it ends. What it speaks is h1_connection.h, until HTTP/2 was agreed on: then h2_connection.h has its bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/intrusive_list.h"
#include "core/event/lane.h"
#include "core/filter/transport_socket.h"
#include "core/net/connection.h"
#include "core/upstream/cluster.h"
#include "core/upstream/h2_connection.h"
#include "core/upstream/upstream_stream.h"

namespace weir::upstream {

class ConnPool;

class ClientConnection : public net::ConnectionHandler, public event::Deferred, protected event::Timer {
 public:
  bool ready() const { return !connection_.connecting() && connection_.open(); }
  // It takes no request any more, and closes when the last one is over.
  void close_when_idle() { last_request_ = true; }
  bool closes_when_idle() const { return last_request_; }
  // Closes now, whatever is under way.
  void shut() { h2_ == nullptr ? connection_.close() : h2_->close(); }
  // It carries many requests at a time.
  bool multiplexed() const { return h2_ != nullptr; }
  H2Connection& h2() { return *h2_; }
  // Requests under way, if it is multiplexed.
  uint32_t active() const { return h2_ != nullptr ? h2_->active() : 0; }
  // It may not become older than expires().
  bool ages() const { return ages_; }
  MonoTime expires() const { return expires_; }
  bool expired() const;
  // Nothing was ever asked of it: its peer may speak any protocol.
  bool unused() const { return requests_ == 0; }
  // Where it goes, and in which round of the pool's addresses it was opened.
  const net::Address& remote() const { return connection_.remote(); }
  uint32_t round() const { return round_; }
  ConnectionFacts facts_of_connection() const { return {id_, born_, connected_}; }

  // net::ConnectionHandler
  void on_connected() final;
  void on_closed(net::CloseReason reason) final;

 protected:
  ClientConnection(ConnPool& pool, event::Pin<Cluster> cluster);
  ~ClientConnection() = default;

  // The pool is told that it is up, and whom it was for.
  virtual void on_up() = 0;
  // It is gone, and so is what was asked on it. `detail`: what the transport says.
  virtual void fail_requests(net::CloseReason reason, std::string_view detail) = 0;
  void on_timer() override;
  // Of the socket, since the last time.
  void account_bytes();
  const ClusterStats& stats() const { return *cluster_->stats; }
  // A request is put on it. True: it takes no more. `cluster`: as it is now.
  bool begin_request(const Cluster* cluster) {
    ++requests_;
    const uint32_t max = cluster != nullptr ? cluster->spec.max_requests_per_connection : 0;
    if (max == 0 || requests_ < max) [[likely]]
      return false;
    begin_last_request();
    return true;
  }

  ConnPool& pool_;
  // The version it was opened under: what it counts up there it counts down there, whatever the cluster's statistics
  // are called by then.
  const event::Pin<Cluster> cluster_;
  event::Pin<filter::UpstreamTransport> transport_;  // what made that of the connection
  net::Connection connection_;
  uint32_t requests_ = 0;
  bool last_request_ = false;
  bool ages_ = false;
  const HttpProtocol speaks_;         // that its peer is to speak
  std::unique_ptr<H2Connection> h2_;  // null: HTTP/1, raw, or not known yet

 private:
  void begin_last_request();
  friend class H2Connection;
  friend class H2Stream;
  friend class ConnectionRace;
  friend class ConnPool;
  ListNode node_;  // in one of the pool's lists
  const uint64_t id_;
  MonoTime born_;
  MonoTime connected_{};
  MonoTime expires_ = MonoTime::max();  // with ages_
  uint64_t rx_accounted_ = 0;
  uint64_t tx_accounted_ = 0;
  const uint32_t round_;
  bool slow_ = false;  // the next address is tried beside it
  bool timed_out_ = false;
  bool has_share_ = true;  // of the cluster's limit; given up before the turn ends if another one needs it
};

}  // namespace weir::upstream
