// A request of weir's own to a cluster: no client has sent it, and no filter sees it. It takes a host of the cluster's
// balancer and a connection of its pool, keeps to the cluster's limits and counts in its statistics, as any request
// does; it is not repeated. On any lane that has clusters: workers and main.
//
// HeadlessStream sends and tells piece by piece, in both directions at once; HeadlessCall, below, hands over a whole
// response. Copies of requests (mirror.h) are headless streams that nobody listens to.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/base/intrusive_list.h"
#include "core/event/lane.h"
#include "core/event/timer.h"
#include "core/http/header_map.h"
#include "core/stream/stream_info.h"
#include "core/upstream/lane_clusters.h"
#include "core/upstream/name_lookup.h"

namespace weir::proxy {

// Why there is no (complete) response.
enum class HeadlessFailure : uint8_t {
  kNone,
  kNoCluster,         // it is not there (any more)
  kNoHost,            // none can serve
  kOverflow,          // a limit of the cluster
  kNoConnection,      // refused, or not there in time
  kBroken,            // the connection, or the stream, ended before the response did
  kRefused,           // the same, and the server has not looked at the request
  kProtocolError,     // what came is no response
  kTimeout,           // of the whole exchange
  kUnsendable,        // the request's head cannot be written, or asks for a tunnel
  kRequestTooLarge,   // more of the request waits to be sent than may
  kResponseTooLarge,  // of HeadlessCall
};
std::string_view failure_text(HeadlessFailure failure);  // "no_host"

// [worker] Lives in the lane's store of them and destroys itself at the end of the turn in which its exchange is over:
// with the response's end, a failure, or cancel(). Whoever holds a pointer forgets it then.
class HeadlessStream final : public event::Deferred,
                             private upstream::UpstreamEvents,
                             private upstream::RecallWaiter,
                             private upstream::NameLookup,
                             private event::Timer {
 public:
  // Who listens. Nothing is told before start() has returned, and nothing after the end or cancel(), which any of these
  // may call. What they are given is good until the end of the turn at least, headers until that of the stream.
  class Reader {
   public:
    virtual void on_headers(HeadlessStream& stream, const http::HeaderMap& headers, bool end) = 0;  // no informational
    virtual void on_data(HeadlessStream& stream, Slices& data, bool end) = 0;
    virtual void on_trailers(HeadlessStream& stream, const http::HeaderMap& trailers) = 0;  // the end
    // The end. `detail`: what the transport or the codec says; mostly empty.
    virtual void on_failed(HeadlessFailure failure, std::string_view detail) = 0;
    // The connection holds as much of the request as it should, or takes more again.
    virtual void on_request_flow(bool /*blocked*/) {}

   protected:
    ~Reader() = default;
  };
  struct Options {
    Duration timeout{};                   // from the end of the request to that of the response; zero: none
    uint32_t buffer_limit = 1024 * 1024;  // bytes of the request's body that it may keep
    // Where the cluster speaks what its requests came in.
    stream::Protocol came_in = stream::Protocol::kHttp11;
    bool timeout_from_start = false;  // `timeout` counts from start() on
  };

  // nullptr: `failure` says why not, which is counted. `cluster` may be null: kNoCluster.
  static HeadlessStream* open(event::Lane& lane, upstream::ClusterLocal* cluster, const Options& options,
                              HeadlessFailure& failure);

  // To be filled in before start(), with method, path, authority and scheme, and nothing that asks for a tunnel, whose
  // directions end one by one (kUnsendable); what it views must live until then, and
  // for as long as the stream if it is not in arena().
  http::HeaderMap& request_headers() { return head_; }
  Arena& arena() { return arena_; }
  event::Lane& lane() { return lane_; }
  const upstream::ClusterSpec& cluster() const { return pin_->spec; }
  // Of one that has failed, until the end of the turn: its server says that it has not looked at it (RFC 9113 8.7), or
  // an old connection has ended before a byte of the answer (RFC 9112 9.3.1).
  bool unseen() const { return unseen_; }
  // Of a cluster whose hosts are found by what requests ask for: the name ("a.example:80") or the address that this one
  // goes to, copied. Without it that is what its head says: the header of an ORIGINAL_DST cluster, else the authority.
  // Before start().
  void ask_for(std::string_view host) { asked_for_ = arena_.copy(host); }
  // The request may go. `end`: it has no body, nor has one been sent ahead. `reader`: nullptr: nobody listens. Anything
  // but kNone: it is over already.
  [[nodiscard]] HeadlessFailure start(Reader* reader, bool end);
  // Empties `data`. After the stream's end these do nothing.
  void send_data(Slices& data, bool end);
  // The same bytes go elsewhere too.
  void send_copy(const Slices& data, bool end);
  void send_trailers(const http::HeaderMap& trailers);  // copied
  // Stops and continues the response's reading; also before there is a connection.
  void pause_response(bool paused);
  // Nobody wants it any more; nothing is told.
  void cancel();
  // Nobody listens any more, and no more will be sent: a request that is complete runs on, another one ends.
  void leave();

  ListNode node_;  // for its owner; unlinked when it is over

 private:
  friend class Slab<HeadlessStream>;
  HeadlessStream(event::Lane& lane, const upstream::Member& member, event::Pin<upstream::Cluster> pin,
                 const Options& options);
  ~HeadlessStream() override = default;
  void overflow();
  void connect();
  void choose_name(upstream::WantedName& name);
  void fail_without_host();
  void send();
  void request_finished();
  void sent_more();
  // Sends nothing more and wants nothing more.
  void stop();
  void count(int status);
  Reader* response_complete();
  void fail(HeadlessFailure failure, std::string_view detail);
  void finish();

  // UpstreamEvents
  stream::WireBytes& wire_bytes() override { return wire_; }
  void on_ready(upstream::UpstreamStream& stream) override;
  void on_failed(upstream::ResetReason reason, std::string_view detail) override;
  http::HeaderMap& begin_response(int status) override;
  void on_informational(http::HeaderMap&) override {}
  void on_upstream_headers(BlockRef owner, bool end) override;
  void on_upstream_data(Slices& data, bool end) override;
  http::HeaderMap& begin_response_trailers() override;
  void on_upstream_trailers() override;
  void on_reset(upstream::ResetReason reason, std::string_view detail) override;
  void on_request_flow(bool blocked) override;
  // RecallWaiter: for max_requests
  bool on_recalled() override;
  // NameLookup
  void on_name(upstream::NameOutcome outcome) override;
  void on_timer() override;
  void dispose() override;

  event::Lane& lane_;
  upstream::ClusterLocal& cluster_;
  const lb::Target target_;
  const event::Pin<upstream::Cluster> pin_;  // one version for the whole exchange: what counts up counts down
  const Options options_;
  const MonoTime start_;
  Reader* reader_ = nullptr;
  upstream::Waiter waiter_;
  upstream::ConnPool* pool_ = nullptr;
  upstream::UpstreamStream* stream_ = nullptr;
  stream::WireBytes wire_;
  Arena arena_;
  http::HeaderMap head_;
  http::HeaderMap response_;             // of each head in turn
  http::HeaderMap* trailers_ = nullptr;  // of the request
  http::HeaderMap* response_trailers_ = nullptr;
  BlockRef response_block_;     // what `response_` is views of
  Slices body_;                 // what the connection has not got yet
  std::string_view asked_for_;  // empty: what the head says
  HeadlessFailure failure_ = HeadlessFailure::kNone;
  bool starting_ : 1 = false;
  bool name_looked_up_ : 1 = false;
  bool request_share_ : 1 = false;
  bool head_sent_ : 1 = false;
  bool request_end_ : 1 = false;
  bool request_sent_ : 1 = false;  // all of it
  bool answered_ : 1 = false;      // its head has come, and is counted
  bool blocked_ : 1 = false;       // the connection holds as much as it should
  bool paused_ : 1 = false;        // the response
  bool finished_ : 1 = false;
  bool unseen_ : 1 = false;
};

// A request whose response is wanted as a whole. Part of whoever makes it; its destructor cancels. [worker]
class HeadlessCall : private HeadlessStream::Reader {
 public:
  HeadlessCall() = default;
  virtual ~HeadlessCall() { cancel(); }
  HeadlessCall(const HeadlessCall&) = delete;
  HeadlessCall& operator=(const HeadlessCall&) = delete;

  // As HeadlessStream::open(), and the stream is this call's. `response_limit`: bytes of the response's body.
  HeadlessStream* open(event::Lane& lane, upstream::ClusterLocal* cluster, const HeadlessStream::Options& options,
                       uint32_t response_limit, HeadlessFailure& failure);
  // Sends what open() has returned, with this body. Anything but kNone: it is over, and nothing will be told.
  [[nodiscard]] HeadlessFailure send(Slices& body);
  bool active() const { return stream_ != nullptr; }
  void cancel();

 protected:
  struct Response {
    const http::HeaderMap& headers;
    const Slices& body;
    const http::HeaderMap* trailers;  // null: none
  };
  // One of the two, once, at a later turn than send(); the call is not active any more. It may be destroyed within
  // them. The response is good until they return.
  virtual void on_response(const Response& response) = 0;
  virtual void on_failure(HeadlessFailure failure) = 0;
  // As HeadlessStream::unseen(); for on_failure().
  bool unseen() const { return unseen_; }

 private:
  void on_headers(HeadlessStream& stream, const http::HeaderMap& headers, bool end) override;
  void on_data(HeadlessStream& stream, Slices& data, bool end) override;
  void on_trailers(HeadlessStream& stream, const http::HeaderMap& trailers) override;
  void on_failed(HeadlessFailure failure, std::string_view detail) override;
  void complete(const http::HeaderMap* trailers);

  HeadlessStream* stream_ = nullptr;
  const http::HeaderMap* headers_ = nullptr;
  Slices body_;
  uint32_t limit_ = 0;
  bool unseen_ = false;
};

}  // namespace weir::proxy
