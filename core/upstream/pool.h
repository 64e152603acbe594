// Connections of one lane to one host, most recently used first, and the requests that wait for one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/intrusive_list.h"
#include "core/event/lane.h"
#include "core/filter/transport_socket.h"
#include "core/lb/host.h"
#include "core/upstream/client_connection.h"
#include "core/upstream/cluster.h"
#include "core/upstream/connection_race.h"
#include "core/upstream/recall.h"
#include "core/upstream/upstream_stream.h"

namespace weir::upstream {

class ClusterLocal;
class ConnPool;

// What the users of a pool want to speak, where that is not what is configured.
enum class Speaks : uint8_t {
  kAsConfigured,
  kHttp1,
  kHttp2,
  kRaw,  // among hosts of HTTP/2, bytes as they are need connections of their own
};

// Of a request that came in a protocol, to a cluster whose hosts are spoken to in this way.
inline Speaks speaks_of(HttpProtocol configured, bool raw, stream::Protocol came_in) {
  if (configured == HttpProtocol::kHttp1) return Speaks::kAsConfigured;
  if (raw) return Speaks::kRaw;
  return configured == HttpProtocol::kDownstream && came_in == stream::Protocol::kHttp2 ? Speaks::kHttp2
                                                                                        : Speaks::kAsConfigured;
}

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
  // The same for who does not want a connection any more: one that still waits is counted.
  void cancel();

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
  const net::Address& address() const { return race_.has_addresses() ? race_.address() : host_->address(); }
  // How often every one of the addresses has refused.
  uint32_t round() const { return race_.round(); }
  // What its connections are to speak: never kDownstream.
  HttpProtocol protocol_on(const Cluster& cluster) const;
  // Its connections go to other addresses than the host's, so that the host's text says nothing of where.
  bool has_addresses() const { return race_.has_addresses(); }
  // What the host set says of the host. An address that has let in when another did not is kept, as long as it is among
  // those.
  void set_entry(const lb::HostEntry& entry);
  // Of the host; nullptr: none.
  const stream::StaticMetadata* metadata() const { return metadata_.get(); }
  // Its metadata says that it is one (lb::is_canary()).
  bool canary() const { return canary_; }
  // For requests that want something else of the connections than what is configured; made when there is none. Of a
  // pool that pick() returned.
  ConnPool& variant(const filter::UpstreamTransportOptions& options, Speaks speaks = Speaks::kAsConfigured) {
    if (options.empty() && speaks == Speaks::kAsConfigured) [[likely]]
      return *this;
    return find_variant(options, speaks);
  }
  size_t variant_count() const { return variants_ != nullptr ? variants_->pools.size() : 0; }
  // Idle connections close now, the others after their request; new ones may be opened.
  void retire_connections();
  // The host left the cluster, or the cluster is gone. Idle connections close now, the others when nobody waits any
  // more; those who do get new ones where that is needed.
  void drain();
  // Every connection closes now; what runs is reset.
  void shut_down();
  // Nothing refers to the pool any more, closed connections that are still to be destroyed included; nor do requests
  // whose connection may have gone before their filters have let go of the response.
  bool empty() const { return objects_ == 0 && requests_ == 0 && waiters_.empty() && outside_ == 0; }
  // The same of its variants, which go with it.
  bool empty_with_variants() const;
  uint32_t connections() const { return connections_; }
  // How many requests the next connection is expected to carry at a time.
  uint32_t room_of_new() const { return room_of_new_; }
  // How many it is to be given at most, by what others have refused.
  uint32_t takes() const { return takes_; }
  // The host's index in the lane's host set, as of the last pick: a hint.
  uint32_t place() const { return place_; }
  void set_place(uint32_t place) { place_ = place; }

 private:
  friend class ClusterLocal;
  friend class ClientConnection;
  friend class ConnectionRace;
  friend class H1Connection;
  friend class H2Connection;
  friend class Waiter;
  using List = IntrusiveList<ClientConnection, &ClientConnection::node_>;
  ClientConnection* idle_unused();
  // visit(pool) for this and its variants.
  template <class Visit>
  void for_each_variant(Visit&& visit) {
    visit(*this);
    if (variants_ == nullptr) return;
    for (auto& [key, pool] : variants_->pools) visit(*pool);
  }
  ConnPool& find_variant(const filter::UpstreamTransportOptions& options, Speaks speaks);
  void drop_variant(ConnPool& pool);
  // Of one connection; an empty one: bytes are what they are.
  std::unique_ptr<net::Transport> make_transport(const Cluster& cluster, HttpProtocol protocol,
                                                 event::Pin<filter::UpstreamTransport>& pin, Slices& first,
                                                 bool& possible);
  UpstreamStream* take_idle(const Waiter& waiter, UpstreamEvents& events);
  // The first that a connection which has come free can serve; nullptr: none.
  Waiter* waiter_for(const ClientConnection& connection);
  // False: refused; it is not in the queue.
  bool enqueue(Waiter& waiter);
  // The queue was full; the other lanes have answered.
  bool request_again(Waiter& waiter);
  // So many waiters can be served by so many connections that are not up yet.
  uint32_t served_by(uint32_t connections) const {
    return static_cast<uint32_t>(std::min<uint64_t>(uint64_t{connections} * room_of_new_, UINT32_MAX));
  }
  // Waiters for whom no connection is on its way, slow ones left out.
  uint32_t missing() const {
    if (takes_none_ && connections_ > 0) return 0;
    const uint32_t on_its_way = served_by(connecting_count_ - race_.slow());
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
  void give_up(ClientConnection& connection);
  void on_connected(ClientConnection& connection);
  // A connection is free again.
  void on_idle(ClientConnection& connection);
  // A connection that never came up; the waiters it was for fail, unless there is another address to try.
  void on_connect_failed(const ClientConnection& connection, ResetReason reason, std::string_view detail);
  void on_gone(ClientConnection& connection);
  void fail_waiters(ResetReason reason);
  void fail(Waiter& waiter, ResetReason reason, std::string_view detail = {});
  void serve(ClientConnection& connection);
  // Nobody uses it: it waits for somebody.
  void rest(ClientConnection& connection);

  // --- Connections that carry many requests at a time (pool_multiplexed.cc). Those with room are in idle_, too.
  // Begins requests for as many waiters as it has room for.
  void share(ClientConnection& connection);
  UpstreamStream& start(ClientConnection& connection, UpstreamEvents& events);
  void list_by_room(ClientConnection& connection);
  void on_stream_over(ClientConnection& connection);
  // The peer has said how many requests it takes at a time.
  void on_room_changed(ClientConnection& connection);
  // So many it takes, by what it has refused: new ones begin with as many.
  void on_takes(ClientConnection& connection, uint32_t requests);
  // False: nobody is to use it.
  bool share_changed(ClientConnection& connection);
  // How many requests the next connection will carry at a time, as far as that can be known.
  void expect_room(uint32_t room);
  // It is up, and what it speaks is known.
  void on_agreed(ClientConnection& connection);
  // For waiters that it could not serve.
  void make_up();
  // It takes no request any more, and ends with those that it has.
  void retire(ClientConnection& connection);

  event::Lane& lane_;
  ClusterLocal& cluster_;
  std::shared_ptr<lb::Host> host_;
  ConnectionRace race_{*this};
  List idle_;  // most recent first
  List busy_;
  List connecting_;
  IntrusiveList<Waiter, &Waiter::node_> waiters_;
  uint32_t place_ = 0;
  uint32_t connections_ = 0;  // open or connecting
  uint32_t objects_ = 0;      // those and the closed ones whose turn is not over
  uint32_t requests_ = 0;     // between ClusterLocal::begin_request() and end_request()
  uint32_t connecting_count_ = 0;
  uint32_t waiting_count_ = 0;
  uint32_t room_of_new_ = 1;  // requests at a time on a connection that is not up yet
  uint32_t takes_ = UINT32_MAX;
  uint32_t opened_ = 0;         // connections ever
  uint32_t opened_before_ = 0;  // when the other lanes were asked
  uint32_t outside_ = 0;        // waiters that are not in the queue yet
  bool draining_ = false;
  bool canary_ = false;
  bool knows_room_ = false;                                 // from a connection that was up
  bool takes_none_ = false;                                 // the server says so for now; others would hear the same
  ListNode starving_node_;                                  // while connections are missing that the limit refuses
  std::shared_ptr<const stream::StaticMetadata> metadata_;  // of the host
  // Pools for the same host whose connections are asked for other names, or speak something else.
  struct Variants {
    std::unordered_map<std::string, std::unique_ptr<ConnPool>> pools;
    size_t sweep_at = 16;  // as many of them are looked at for those that nobody uses
  };
  std::unique_ptr<Variants> variants_;  // null: there were none
  // Of a variant.
  struct Names {
    Names(const filter::UpstreamTransportOptions& options, Speaks speaks);
    const std::string server_name;
    const std::vector<std::string> texts;
    const std::vector<std::string_view> expected;  // of texts
    const std::vector<std::string> protocols;
    const std::vector<std::string_view> offered;  // of protocols
    const std::unique_ptr<const stream::ProxyHeader> client;
    const Speaks speaks;
    const std::string key;
  };
  std::unique_ptr<const Names> names_;
  ConnPool* base_ = nullptr;  // null: of the others, or it has gone
};

}  // namespace weir::upstream
