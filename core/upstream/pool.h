// Connections of one lane to one host: HTTP/1 or raw, most recently used first, and the requests that wait for one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/intrusive_list.h"
#include "core/base/slab.h"
#include "core/event/lane.h"
#include "core/filter/transport_socket.h"
#include "core/http/h1/codec.h"
#include "core/lb/host.h"
#include "core/net/bulk_input.h"
#include "core/net/connection.h"
#include "core/upstream/cluster.h"
#include "core/upstream/recall.h"
#include "core/upstream/upstream_stream.h"

namespace weir::upstream {

class ClusterLocal;
class ConnPool;

// A request that waits for a connection; a member of the attempt. Destroying it leaves the queue.
class Waiter final : private RecallWaiter {
 public:
  explicit Waiter(UpstreamEvents& events) : events_(events) {}
  ~Waiter() { leave(); }
  bool waiting() const { return pool_ != nullptr; }
  // Wants a connection that has carried no request yet: its peer may speak any protocol. Before ConnPool::request().
  void want_unused(bool unused) { unused_ = unused; }
  // Is refused while max_connections is reached, rather than wait for a connection to come free: those of its kind last
  // for hours. Likewise before.
  void refuse_at_limit() { impatient_ = true; }
  void leave();

 private:
  friend class ConnPool;
  bool on_recalled() override;
  ListNode node_;  // in the pool's queue; not while the other lanes are asked for a place in it
  UpstreamEvents& events_;
  ConnPool* pool_ = nullptr;
  event::Pin<Cluster> cluster_;  // while it waits: whose gauge counts it
  bool unused_ = false;
  bool impatient_ = false;
};

// One connection to a host: HTTP/1, unless its first user opens it raw.
class H1Connection final : public net::ConnectionHandler,
                           public http::h1::ClientCodec::Events,
                           public UpstreamStream,
                           public event::Deferred,
                           private event::Timer {
 public:
  H1Connection(ConnPool& pool, event::Pin<Cluster> cluster);
  ~H1Connection() = default;

  // Takes the connection for one request. It must be idle.
  void attach(UpstreamEvents& events);
  bool ready() const { return !connection_.connecting() && connection_.open(); }
  void close_when_idle() { last_request_ = true; }
  // Of an idle connection: closes it.
  void shut() { connection_.close(); }

  // UpstreamStream
  [[nodiscard]] bool send_headers(const http::HeaderMap& headers, bool end) override;
  void open_raw() override;
  void send_data(Slices& data, bool end) override;
  void send_trailers(const http::HeaderMap& trailers) override;
  void reset() override;
  void leave_response_unseen() override { connection_.allow_unseen(true); }
  void pause_response(bool paused) override;
  bool above_high_watermark() const override { return connection_.above_high_watermark(); }
  net::Connection& connection() override { return connection_; }
  ConnectionFacts facts() const override { return {id_, born_, connected_}; }
  bool reused() const override { return requests_ > 1; }
  bool response_started() const override { return codec_.response_started(); }
  bool request_unsent() const override { return connection_.bytes_written() == tx_before_; }

 private:
  friend class ConnPool;
  // net::ConnectionHandler
  void on_connected() override;
  void on_data(Slices& in, bool end) override;
  uint64_t unseen_input() override { return raw_ ? bulk_.unseen_input() : codec_.body_left(); }
  void on_above_high_watermark() override;
  void on_below_low_watermark() override;
  void on_closed(net::CloseReason reason) override;
  // ClientCodec::Events
  http::HeaderMap& begin_response(int status) override { return events_->begin_response(status); }
  void on_informational(const http::h1::ResponseHead& head, BlockRef owner) override;
  void on_response_head(const http::h1::ResponseHead& head, BlockRef owner) override;
  void on_response_data(Slices& data, bool end) override;
  http::HeaderMap& begin_trailers() override { return events_->begin_response_trailers(); }
  void on_response_trailers(http::HeaderMap& trailers) override;
  void on_parse_error(http::h1::ParseError error) override;
  void on_timer() override;
  void dispose() override;

  void finish_request();
  void fail_active(ResetReason reason, std::string_view detail);
  void account_bytes();
  const ClusterStats& stats() const { return *cluster_->stats; }

  ConnPool& pool_;
  // The version it was opened under: what it counts up there it counts down there, whatever the cluster's statistics
  // are called by then.
  const event::Pin<Cluster> cluster_;
  event::Pin<filter::UpstreamTransport> transport_;  // what made that of the connection
  ListNode node_;                                    // in the pool's idle, busy or connecting list
  UpstreamEvents* events_ = nullptr;
  stream::WireBytes* wire_ = nullptr;  // of events_
  net::Connection connection_;
  http::h1::ClientCodec codec_;
  const uint64_t id_;
  MonoTime born_;
  MonoTime connected_{};
  uint64_t rx_accounted_ = 0;
  uint64_t tx_accounted_ = 0;
  uint64_t tx_before_ = 0;  // bytes written before the request in progress
  uint32_t requests_ = 0;
  const uint32_t round_;  // of the pool, when it was opened
  bool slow_ = false;     // the next address is tried beside it
  bool last_request_ = false;
  bool timed_out_ = false;
  bool tunnel_ = false;    // its bytes are opaque from here on, and each direction ends by itself
  bool raw_ = false;       // and were so from the beginning
  net::BulkInput bulk_;    // of a raw one
  bool has_share_ = true;  // of the cluster's limit; given up before the turn ends if another one needs it
};

class ConnPool final : private RecallWaiter {
 public:
  ConnPool(event::Lane& lane, ClusterLocal& cluster, std::shared_ptr<lb::Host> host);
  ~ConnPool();
  ConnPool(const ConnPool&) = delete;
  ConnPool& operator=(const ConnPool&) = delete;

  enum class Start : uint8_t {
    kReady,     // `stream` is set: on_ready is not called
    kWaiting,   // on_ready or on_failed follows, at a later turn
    kOverflow,  // a circuit breaker refused
  };
  Start request(Waiter& waiter, UpstreamEvents& events, UpstreamStream*& stream);

  event::Lane& lane() { return lane_; }
  ClusterLocal& cluster() { return cluster_; }
  lb::Host& host() { return *host_; }
  const lb::Host& host() const { return *host_; }
  const std::shared_ptr<lb::Host>& shared_host() const { return host_; }
  // Where the next connection goes: the host's address, unless the host set has others (lb::HostEntry::addresses).
  const net::Address& address() const {
    return addresses_ != nullptr ? (*addresses_)[next_address_] : host_->address();
  }
  // Its connections go to other addresses than the host's, so that the host's text says nothing of where.
  bool has_addresses() const { return addresses_ != nullptr; }
  // What the host set says of the host. An address that has let in when another did not is kept, as long as it is among
  // those.
  void set_entry(const lb::HostEntry& entry);
  // Of the host; nullptr: none.
  const stream::StaticMetadata* metadata() const { return metadata_.get(); }
  // For requests that want something else of the connections than what is configured; made when there is none. Of a
  // pool that pick() returned.
  ConnPool& variant(const filter::UpstreamTransportOptions& options);
  size_t variant_count() const { return variants_ != nullptr ? variants_->pools.size() : 0; }
  // Idle connections close now, the others after their request; new ones may be opened.
  void retire_connections();
  // The host left the cluster: the same, and no connection is kept any more.
  void drain();
  // Every connection closes now; what runs is reset.
  void shut_down();
  // Nothing refers to the pool any more, closed connections that are still to be destroyed included.
  bool empty() const { return objects_ == 0 && waiters_.empty() && outside_ == 0; }
  uint32_t connections() const { return connections_; }
  // The host's index in the lane's host set, as of the last pick: a hint.
  uint32_t place() const { return place_; }
  void set_place(uint32_t place) { place_ = place; }

 private:
  friend class ClusterLocal;
  friend class H1Connection;
  friend class Waiter;
  using List = IntrusiveList<H1Connection, &H1Connection::node_>;
  class Race final : public event::Timer {
   public:
    explicit Race(ConnPool& pool) : pool_(pool) {}
    void on_timer() override { pool_.race(); }

   private:
    ConnPool& pool_;
  };
  H1Connection* idle_unused();
  void set_addresses(std::shared_ptr<const std::vector<net::Address>> addresses);
  // visit(pool) for this and its variants.
  template <class Visit>
  void for_each_variant(Visit&& visit) {
    visit(*this);
    if (variants_ == nullptr) return;
    for (auto& [key, pool] : variants_->pools) visit(*pool);
  }
  void drop_variant(ConnPool& pool);
  // Of one connection; an empty one: bytes are what they are.
  std::unique_ptr<net::Transport> make_transport(const Cluster& cluster, event::Pin<filter::UpstreamTransport>& pin,
                                                 Slices& first, bool& possible);
  UpstreamStream* take_idle(const Waiter& waiter, UpstreamEvents& events);
  // The first that a connection which has come free can serve; nullptr: none.
  Waiter* waiter_for(const H1Connection& connection);
  // False: refused; it is not in the queue.
  bool enqueue(Waiter& waiter);
  // The queue was full; the other lanes have answered.
  bool request_again(Waiter& waiter);
  // Waiters for whom no connection is on its way, slow ones left out.
  uint32_t missing() const {
    const uint32_t on_its_way = connecting_count_ - slow_count_;
    return waiting_count_ > on_its_way ? waiting_count_ - on_its_way : 0;
  }
  // Waits, and has no connection that could come free.
  bool hungry() const { return connections_ == 0 && waiting_count_ > 0; }
  // Opens what is missing. False: the limit has no more; feed_starving() comes back to it.
  bool open_missing();
  bool open_connection();
  // False: nobody could give what is missing.
  bool ask_others();
  // The limit refused, and the other lanes have nothing idle: waits for what comes free here or there. False: nothing
  // ever will.
  bool wait_for_free();
  // The limit and the other lanes have no more: those that would wait for ever are refused, the others wait.
  void live_with_limit();
  // Fails those that do not wait, as far as connections are missing.
  void refuse_impatient();
  bool on_recalled() override;
  uint32_t shares_wanted() const override { return missing(); }
  // Closes the connection that has been idle longest; its share is the caller's. False: none is idle.
  bool shed_idle();
  // Closes a connection after its request, for somebody who has waited too long.
  void give_up(H1Connection& connection);
  void on_connected(H1Connection& connection);
  // A connection is free again.
  void on_idle(H1Connection& connection);
  // A connection that never came up; the waiters it was for fail, unless there is another address to try.
  void on_connect_failed(const H1Connection& connection, ResetReason reason, std::string_view detail);
  // The next connection goes elsewhere. False: every address was tried, or there is one alone.
  bool next_address(const H1Connection& failed);
  // Nobody has answered for kNextAddressAfter: another connection for each waiter goes to the next address, and the
  // first that is up wins (RFC 8305 section 5).
  void race();
  void on_race_won(const H1Connection& connection);
  void on_gone(H1Connection& connection);
  void fail_waiters(ResetReason reason);
  void fail(Waiter& waiter, ResetReason reason, std::string_view detail = {});
  void serve(H1Connection& connection);

  event::Lane& lane_;
  ClusterLocal& cluster_;
  std::shared_ptr<lb::Host> host_;
  std::shared_ptr<const std::vector<net::Address>> addresses_;  // null: the host's
  uint32_t next_address_ = 0;
  uint32_t refused_ = 0;  // addresses since a connection came up, or the list is this one
  uint32_t round_ = 0;    // how often every address has refused
  bool racing_ = false;   // several addresses are tried, and none has let in
  Race race_{*this};
  List idle_;  // most recent first
  List busy_;
  List connecting_;
  IntrusiveList<Waiter, &Waiter::node_> waiters_;
  uint32_t place_ = 0;
  uint32_t connections_ = 0;  // open or connecting
  uint32_t objects_ = 0;      // those and the closed ones whose turn is not over
  uint32_t connecting_count_ = 0;
  uint32_t slow_count_ = 0;  // of those
  uint32_t waiting_count_ = 0;
  uint32_t opened_ = 0;         // connections ever
  uint32_t opened_before_ = 0;  // when the other lanes were asked
  uint32_t outside_ = 0;        // waiters that are not in the queue yet
  bool draining_ = false;
  ListNode starving_node_;                                  // while connections are missing that the limit refuses
  std::shared_ptr<const stream::StaticMetadata> metadata_;  // of the host
  // Pools for the same host whose connections are asked for other names.
  struct Variants {
    std::unordered_map<std::string, std::unique_ptr<ConnPool>> pools;
    size_t sweep_at = 16;  // as many of them are looked at for those that nobody uses
  };
  std::unique_ptr<Variants> variants_;  // null: there were none
  // Of a variant.
  struct Names {
    explicit Names(const filter::UpstreamTransportOptions& options);
    const std::string server_name;
    const std::vector<std::string> texts;
    std::vector<std::string_view> expected;  // of texts
    const std::unique_ptr<const stream::ProxyHeader> client;
    const std::string key;
  };
  std::unique_ptr<const Names> names_;
  ConnPool* base_ = nullptr;  // null: of the others, or it has gone
};

}  // namespace weir::upstream
