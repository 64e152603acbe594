// One request and its response: the headers, the facts, the arena, and the chain of filters that runs over them. The
// connection manager (or a headless caller, or a test) is its host and speaks to the wire; the terminal filter answers.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/event/lane.h"
#include "core/filter/chain_config.h"
#include "core/filter/direction.h"
#include "core/filter/flow_control.h"
#include "core/filter/http_filter.h"
#include "core/http/header_map.h"
#include "core/stream/filter_state.h"
#include "core/stream/metadata.h"
#include "core/stream/stream_info.h"

namespace weir::filter {

// Who is on the other side of the chain's first filter. [worker] None of these may destroy the stream before they
// return.
class StreamHost {
 public:
  // The facts of the downstream connection, made on first use; nullptr: there is no connection.
  virtual stream::ConnectionInfo* connection_info() { return nullptr; }
  // The response after the filters. Headers once (informational ones before it, any number), then data, then trailers.
  virtual void send_informational(http::HeaderMap& headers) = 0;
  virtual void send_headers(http::HeaderMap& headers, bool end) = 0;
  virtual void send_data(Slices& data, bool end) = 0;  // may hold unseen slices
  virtual void send_trailers(http::HeaderMap& trailers) = 0;
  // The response cannot be finished: the peer must notice (no final chunk, a reset).
  virtual void abort_response() = 0;
  // A local reply is about to run through the response filters: last chance to shape it (local_reply_config).
  virtual void prepare_local_reply(http::HeaderMap& /*headers*/, Slices& /*body*/) {}
  // A body is larger than the filter that wants to see all of it may keep: a 413 (of the request) or a 500 follows.
  virtual void on_body_too_large(bool /*response*/) {}
  // The rest of the request's data may come as unseen slices.
  virtual void leave_request_unseen() {}
  // Whether send_data() had better be given unseen slices: it has to read what it encrypts.
  virtual bool takes_unseen() const { return true; }
  // A response to HEAD has the fields of one to GET, and no body.
  virtual bool asked_for_head_only() const { return false; }
  // The per-route configuration of a filter, nullptr if there is none: of the most specific level that has one, and of
  // all levels.
  virtual const void* route_config(RouteKey) const { return nullptr; }
  virtual RouteLevels route_configs(RouteKey) const { return {}; }
  // The cluster that the route leads to, as it is now; empty: to none. Valid as long as the stream and its headers.
  virtual std::string_view route_cluster() const { return {}; }
  // A filter has changed what routes are chosen by: the request takes the one that it would have taken like this. Which
  // filters it has stays as it is.
  virtual void choose_route_again() {}
  // While on: a client that will send no more has left, and the stream ends. Else it may have closed its half of the
  // connection, and wait for the answer.
  virtual void end_with_client(bool /*on*/) {}
  // What filters hold of bodies under way beside their bytes (the state of a coder). May: so much more is in what the
  // streams of one connection may hold together. Hold: so much more is held, or less, until the stream ends.
  virtual bool may_hold_state(uint64_t /*bytes*/) const { return true; }
  virtual void hold_state(int64_t /*change*/) {}
  // So many bytes of the request wait in the chain, where the client may have others that wait; `collects`: until there
  // are more. False: there is no room for more until Stream::look_for_room().
  virtual bool keeps_request(size_t /*bytes*/, bool /*collects*/) { return true; }
  // The request stops being read while blocked.
  virtual void on_request_flow(bool /*blocked*/) {}

 protected:
  ~StreamHost() = default;
};

class Stream final : private FlowControl::Reader {
 public:
  Stream(event::Lane& lane, StreamHost& host);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // --- For filters ---------------------------------------------------------------------------------------------
  event::Lane& lane() { return lane_; }
  Arena& arena() { return arena_; }
  stream::StreamInfo& info() { return info_; }
  const stream::StreamInfo& info() const { return info_; }
  // What filters tell each other, and the log. Made on first use, in the arena; nobody pays who does not ask.
  stream::Metadata& dynamic_metadata();
  stream::FilterState& filter_state();
  http::HeaderMap& request_headers() { return request_headers_; }
  const http::HeaderMap& request_headers() const { return request_headers_; }
  http::HeaderMap& response_headers() { return response_headers_; }
  const http::HeaderMap& response_headers() const { return response_headers_; }
  http::HeaderMap* request_trailers() { return request_trailers_; }
  http::HeaderMap* response_trailers() { return response_trailers_; }
  bool response_started() const { return response_started_; }
  // By reply_local: response_headers() is that answer's, and what the terminal filter still brings is dropped.
  bool answered_locally() const { return replied_locally_ || reply_pending_; }

  // Answers instead of the upstream. The reply runs from the answering filter towards the client, through the filters
  // that were entered before it and have not seen a response yet; the answering filter gets no hook any more but
  // on_complete. Once the response has left the chain, it is aborted instead, for it can no longer be right. `details`
  // and `body` must outlive the stream (static, arena, or pinned configuration). `add` is called with the reply's
  // headers before the filters see them. Always returns kDone, so that a hook can end with it.
  //
  // In a hook, the filter whose hook runs is the answering one. Elsewhere (timers, callouts) a filter says who it is
  // with `by`. Without that nobody is (a deadline, a limit): every filter entered sees the reply.
  using AddHeaders = void (*)(http::HeaderMap& headers, Stream& stream, const void* user);
  Action reply_local(int code, std::string_view details, std::string_view body = {}, AddHeaders add = nullptr,
                     const void* user = nullptr);
  Action reply_local(const HttpFilter& by, int code, std::string_view details, std::string_view body = {},
                     AddHeaders add = nullptr, const void* user = nullptr);
  // Ends the stream without a (complete) answer.
  Action abort(std::string_view details);

  // For the filter whose hook is running, and its direction. Call it before returning kPause.
  Resume resume_handle();
  // For the filter whose headers hook is running: collect the whole body for my data hook.
  void buffer_body(uint32_t limit);
  // The same, but a body that is longer goes to the data hook as soon as `limit` bytes (or more) have come, without its
  // end; the hook is called for the rest as that comes.
  void buffer_start_of_body(uint32_t limit);
  // For the filter whose headers hook is running: the body of this direction is none of its business. Its data hook is
  // not called on this stream, nor is the body collected that its descriptor asks for; its trailers hook is. What
  // nobody looks at may go from socket to socket.
  void leave_body_alone();
  // For the filter whose trailers hook is running: these bytes go to the following filters, and the trailers after
  // them, also when the hook pauses. Empties `data`.
  void inject_data(Slices& data);
  // The route's configuration for the filter whose hook is running: the most specific one, for filters whose levels
  // replace each other, or every level's, for those that add them up.
  template <class T>
  const T* route_config() const {
    return static_cast<const T*>(host_.route_config(running_route_key()));
  }
  template <class T>
  RouteConfigs<T> route_configs() const {
    return RouteConfigs<T>(host_.route_configs(running_route_key()));
  }

  // A pointer that the filters of one kind share on this stream, to agree on something; nullptr at first. `key`: the
  // address of something of that kind. What it points at belongs in arena().
  void*& shared(const void* key);

  StreamHost& host() { return host_; }
  FlowControl& request_flow() { return request_flow_; }
  FlowControl& response_flow() { return response_flow_; }
  // Bytes that the chain may hold per direction before it blocks the reader.
  void set_buffer_limit(uint32_t bytes) { buffer_limit_ = bytes; }
  uint32_t buffer_limit() const { return buffer_limit_; }
  // Bytes that wait in the chain, of both directions.
  size_t waiting_bytes() const { return request_.waiting_bytes() + response_.waiting_bytes(); }

  // --- For the host --------------------------------------------------------------------------------------------
  // Makes the filters of `config` that `enabled` names (bit per position). Before any request event.
  void make_chain(const HttpChainConfig& config, uint64_t enabled);
  bool has_chain() const { return chain_ != nullptr; }
  void request_arrived(bool end);
  // The request consists of its headers, said before request_arrived() so that a reply in its place knows it too.
  void request_has_no_body() { request_finished_ = true; }
  void request_data_arrived(Slices& data, bool end);
  void request_trailers_arrived();
  http::HeaderMap& make_request_trailers();
  http::HeaderMap& make_response_trailers();
  // StreamHost::keeps_request() may have another answer.
  void look_for_room() { request_.update_flow(); }
  // Keeps the bytes that header views point into.
  void hold(BlockRef block);
  // The request begins anew in its own place (an internal redirect): the filters that there are see on_complete and die
  // with the stream, and the host makes another chain for request_headers() as they are now. Outside hooks, once the
  // whole request has come and before any response has entered the chain.
  void restart();
  // Ends everything: filters see on_complete. They die, last to first, with the stream, which its owner destroys at the
  // end of the turn: a filter may be on the stack now. Idempotent.
  void complete();
  bool completed() const { return completed_; }
  bool response_finished() const { return response_finished_; }
  bool request_finished() const { return request_finished_; }
  // A hook of this stream is on the stack.
  bool running() const { return request_.in_hook() || response_.in_hook(); }

  // --- For the terminal filter (and local replies) ---------------------------------------------------------------
  // Past the filters, and written before it returns.
  void respond_informational(http::HeaderMap& headers);
  // The response starts its way back through the filters. The map is response_headers().
  void respond_headers(bool end);
  void respond_data(Slices& data, bool end);
  void respond_trailers();  // the map is make_response_trailers()
  // Whether respond_data() takes unseen slices: nobody looks at the response's data or holds it. Only after
  // respond_headers(): a filter may have paused there.
  bool takes_unseen_response() const { return response_.only_passes_data() && host_.takes_unseen(); }
  // The terminal filter does not look at the request's data any more, but passes it on to a connection.
  void leave_request_unseen() {
    if (request_.only_passes_data_to_last()) host_.leave_request_unseen();
  }
  // The upstream failed after respond_headers.
  void respond_abort(std::string_view details);

 private:
  friend class Resume;
  friend class Direction;
  struct Reply {
    int code = 0;
    std::string_view details;
    std::string_view body;
    AddHeaders add = nullptr;
    const void* user = nullptr;
    size_t from = 0;  // the first step of the response's way that may see it
  };
  // A chain that a restart has left behind.
  struct Past {
    const HttpChainConfig* chain;
    char* filters;
    uint64_t made;
    Past* next;
  };
  struct Shared {
    const void* key;
    void* value;
    Shared* next;
  };

  HttpFilter& filter(size_t position) { return *reinterpret_cast<HttpFilter*>(filters_ + chain_->offset(position)); }
  size_t running_position() const {
    return running_ != nullptr ? running_->running_position()
                               : static_cast<size_t>(completing_ - chain_->offsets(false));
  }
  RouteKey running_route_key() const;
  size_t position_of(const HttpFilter& filter) const;
  void resume(size_t position, bool response);
  void inject_data(size_t position, bool response, Slices& data);
  void pass_on(size_t position, bool response, Slices& data);
  Action reply(const Reply& reply);
  void send_pending_reply();
  void complete_filters();
  static void destroy_filters(const HttpChainConfig& chain, char* filters, uint64_t made);
  // For the directions: what leaves at the far end, and limits.
  void leave_headers(bool response, bool end);
  void leave_data(bool response, Slices& data, bool end);
  void leave_trailers(bool response);
  void body_too_large(bool response);
  // No direction takes further events: about to be answered, aborted or over.
  bool stopped() const { return completed_ || reply_pending_ || aborted_; }
  void stopped_changed();
  void on_flow(FlowControl& flow, bool blocked) override;

  event::Lane& lane_;
  StreamHost& host_;
  const HttpChainConfig* chain_ = nullptr;
  char* filters_ = nullptr;
  uint64_t made_ = 0;  // filters of this stream, by position
  uint32_t buffer_limit_ = 1024 * 1024;
  Direction* running_ = nullptr;          // whose hook is the innermost on the stack
  const uint32_t* completing_ = nullptr;  // the offset of the filter whose on_complete runs
  uint8_t replies_ = 0;                   // local replies sent
  bool completed_ : 1 = false;
  bool aborted_ : 1 = false;
  bool reply_pending_ : 1 = false;
  bool replied_locally_ : 1 = false;
  bool response_started_ : 1 = false;    // headers went into the response chain
  bool response_committed_ : 1 = false;  // headers left the chain
  bool response_finished_ : 1 = false;
  bool request_finished_ : 1 = false;  // the whole request has entered the chain
  Direction request_;
  Direction response_;
  http::HeaderMap* request_trailers_ = nullptr;
  http::HeaderMap* response_trailers_ = nullptr;
  Reply reply_;
  Shared* shared_ = nullptr;
  Past* past_ = nullptr;
  FlowControl request_flow_;
  FlowControl response_flow_;
  static constexpr size_t kHeldBlocks = 4;
  BlockRef blocks_[kHeldBlocks];
  uint8_t block_count_ = 0;
  std::vector<BlockRef> more_blocks_;
  stream::StreamInfo info_;
  Arena arena_;
  http::HeaderMap request_headers_;
  http::HeaderMap response_headers_;
  static constexpr size_t kArenaBytes = 2048;
  alignas(16) char arena_memory_[kArenaBytes];
};

inline void Resume::inject_data(Slices& data) {
  if (stream_ != nullptr) stream_->inject_data(position_, response_, data);
}

inline void Resume::pass_on(Slices& data) {
  if (stream_ != nullptr) stream_->pass_on(position_, response_, data);
}

inline void Resume::resume() {
  if (Stream* stream = stream_) {
    stream_ = nullptr;
    stream->resume(position_, response_);
  }
}

}  // namespace weir::filter
