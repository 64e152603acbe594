#include "core/filter/stream.h"

#include <algorithm>
#include <utility>

#include "core/event/activity.h"
#include "core/filter/registry.h"
#include "core/stream/grpc_status.h"

namespace weir::filter {

Stream::Stream(event::Lane& lane, StreamHost& host)
    : lane_(lane),
      host_(host),
      request_(*this, false),
      response_(*this, true),
      arena_(lane.arenas(), arena_memory_, kArenaBytes),
      request_headers_(arena_),
      response_headers_(arena_) {
  request_flow_.set_reader(this);
}

Stream::~Stream() {
  WEIR_ASSERT(completed_ || chain_ == nullptr);
  if (chain_ != nullptr) destroy_filters(*chain_, filters_, made_);
  for (const Past* past = past_; past != nullptr; past = past->next)
    [[unlikely]] destroy_filters(*past->chain, past->filters, past->made);
  if (info_.filter_state != nullptr) [[unlikely]]
    info_.filter_state->~FilterState();
}

void Stream::destroy_filters(const HttpChainConfig& chain, char* filters, uint64_t made) {
  for (uint64_t rest = made & chain.destroy_mask(); rest != 0; rest &= rest - 1) {
    size_t position = 63 - static_cast<size_t>(__builtin_ctzll(rest));
    chain.entry(position).descriptor->destroy(*reinterpret_cast<HttpFilter*>(filters + chain.offset(position)));
  }
}

stream::Metadata& Stream::dynamic_metadata() {
  if (info_.metadata == nullptr) info_.metadata = arena_.make<stream::Metadata>(arena_);
  return *info_.metadata;
}

stream::FilterState& Stream::filter_state() {
  if (info_.filter_state == nullptr) {
    info_.connection = host_.connection_info();
    info_.filter_state = arena_.make<stream::FilterState>(arena_, info_.connection);
  }
  return *info_.filter_state;
}

void Stream::hold(BlockRef block) {
  if (block_count_ > 0 && blocks_[block_count_ - 1].get() == block.get()) return;
  if (block_count_ < kHeldBlocks) {
    blocks_[block_count_++] = std::move(block);
  } else {
    more_blocks_.push_back(std::move(block));
  }
}

http::HeaderMap& Stream::make_request_trailers() {
  if (request_trailers_ == nullptr) request_trailers_ = arena_.make<http::HeaderMap>(arena_);
  return *request_trailers_;
}

http::HeaderMap& Stream::make_response_trailers() {
  if (response_trailers_ == nullptr) response_trailers_ = arena_.make<http::HeaderMap>(arena_);
  return *response_trailers_;
}

void Stream::make_chain(const HttpChainConfig& config, uint64_t enabled) {
  WEIR_ASSERT(chain_ == nullptr);
  chain_ = &config;
  made_ = enabled & config.all_mask();
  filters_ = static_cast<char*>(arena_.allocate(config.bytes(), config.alignment()));
  for_each_filter(made_, config.places(), [this](const HttpChainConfig::Place* place) {
    place->construct(filters_ + place->offset, place->config);
  });
  request_.set_chain(config, made_);
  response_.set_chain(config, made_);
}

RouteKey Stream::running_route_key() const {
  WEIR_ASSERT(running() || completed_);
  const HttpFilterEntry& entry = chain_->entry(running_position());
  return {entry.id, entry.descriptor->route_kind};
}

size_t Stream::position_of(const HttpFilter& filter) const {
  for (size_t position = 0; position < chain_->size(); ++position) {
    if (filters_ + chain_->offset(position) == reinterpret_cast<const char*>(&filter)) return position;
  }
  (void)WEIR_BUG(true);  // a filter of another stream
  return 0;
}

void Stream::request_arrived(bool end) {
  request_finished_ = end;
  request_.headers(0, end);
}

void Stream::request_data_arrived(Slices& data, bool end) {
  if (end) request_finished_ = true;
  if (stopped() || replied_locally_) {
    data.clear();  // an answered request is read to its end and forgotten
    return;
  }
  request_.data(0, data, end);
}

void Stream::request_trailers_arrived() {
  request_finished_ = true;
  if (!stopped() && !replied_locally_) request_.trailers(0);
}

void*& Stream::shared(const void* key) {
  for (Shared* at = shared_; at != nullptr; at = at->next) {
    if (at->key == key) return at->value;
  }
  shared_ = arena_.make<Shared>(Shared{key, nullptr, shared_});
  return shared_->value;
}

Resume Stream::resume_handle() {
  WEIR_ASSERT(running());
  return Resume(*this, static_cast<uint8_t>(running_->running_position()), running_->is_response());
}

void Stream::buffer_body(uint32_t limit) {
  WEIR_ASSERT(running());
  running_->want_whole_body(running_->running_position(), limit);
}

void Stream::buffer_start_of_body(uint32_t limit) {
  WEIR_ASSERT(running());
  running_->want_whole_body(running_->running_position(), limit, true);
}

void Stream::leave_body_alone() {
  WEIR_ASSERT(running());
  running_->leave_body_alone();
}

void Stream::inject_data(Slices& data) {
  WEIR_ASSERT(running());
  if (!stopped()) running_->inject(data);
  data.clear();
}

void Stream::inject_data(size_t position, bool response, Slices& data) {
  if (!stopped() && (response || !replied_locally_)) (response ? response_ : request_).inject_paused(position, data);
  data.clear();
}

void Stream::pass_on(size_t position, bool response, Slices& data) {
  if (!stopped() && (response || !replied_locally_)) (response ? response_ : request_).pass_on_paused(position, data);
  data.clear();
}

void Stream::resume(size_t position, bool response) {
  if (stopped() || (!response && replied_locally_)) return;
  (response ? response_ : request_).resume(position);
}

void Stream::body_too_large(bool response) {
  host_.on_body_too_large(response);
  // The chain answers, not the filter that collects (nor one whose hook may be running).
  if (response) {
    reply({.code = 500, .details = "response_payload_too_large", .body = "response body too large\n"});
  } else {
    reply({.code = 413, .details = "request_payload_too_large", .body = "request body too large\n"});
  }
}

// --- The response ------------------------------------------------------------------------------------------------

void Stream::respond_informational(http::HeaderMap& headers) {
  if (stopped() || replied_locally_ || response_started_) return;
  host_.send_informational(headers);
}

void Stream::respond_headers(bool end) {
  if (stopped() || replied_locally_) return;
  response_started_ = true;
  response_.headers(1, end);  // step 0 is the terminal filter itself
}

void Stream::respond_data(Slices& data, bool end) {
  if (stopped() || replied_locally_) {
    data.clear();
    return;
  }
  response_.data(1, data, end);
}

void Stream::respond_trailers() {
  if (!stopped() && !replied_locally_) response_.trailers(1);
}

void Stream::respond_abort(std::string_view details) {
  if (!stopped() && !replied_locally_) abort(details);
}

void Stream::leave_headers(bool response, bool end) {
  if (!response) return;
  response_committed_ = true;
  if (end) response_finished_ = true;
  host_.send_headers(response_headers_, end);
}

void Stream::leave_data(bool response, Slices& data, bool end) {
  if (!response) {
    data.clear();
    return;
  }
  if (end) response_finished_ = true;
  host_.send_data(data, end);
}

void Stream::leave_trailers(bool response) {
  if (!response) return;
  response_finished_ = true;
  host_.send_trailers(*response_trailers_);
}

Action Stream::abort(std::string_view details) {
  if (completed_ || aborted_) return Action::kDone;
  aborted_ = true;
  reply_pending_ = false;  // given in the hook that runs: too late
  stopped_changed();
  info_.details = details;
  request_.drop_waiting();
  response_.drop_waiting();
  host_.abort_response();
  return Action::kDone;
}

Action Stream::reply_local(int code, std::string_view details, std::string_view body, AddHeaders add,
                           const void* user) {
  return reply({code, details, body, add, user, running() ? chain_->size() - running_position() : 0});
}

Action Stream::reply_local(const HttpFilter& by, int code, std::string_view details, std::string_view body,
                           AddHeaders add, const void* user) {
  return reply({code, details, body, add, user, chain_->size() - position_of(by)});
}

Action Stream::reply(const Reply& reply) {
  if (stopped()) return Action::kDone;
  if (response_committed_) return abort(reply.details);
  reply_ = reply;
  reply_pending_ = true;
  stopped_changed();
  send_pending_reply();
  return Action::kDone;
}

void Stream::send_pending_reply() {
  if (!reply_pending_ || running()) return;
  reply_pending_ = false;
  stopped_changed();
  uint8_t number = ++replies_;
  // Towards the client from the answering filter, the last one that the request has entered, or the last one that has
  // seen a response: whichever is nearest to the client.
  size_t from = reply_.from;
  if (response_started_) {
    from = std::max(from, response_.entered());
  } else if (chain_ != nullptr) {
    from = std::max(from, chain_->size() - request_.entered());
  }
  replied_locally_ = true;
  response_started_ = true;
  request_.drop_waiting();
  response_.drop_waiting();
  // What both peers still send is dropped on arrival: nothing holds it back any more.
  request_flow_.release();
  response_flow_.release();

  info_.details = reply_.details;
  info_.response_code = static_cast<uint16_t>(reply_.code);
  response_headers_.clear();
  response_headers_.add(http::HeaderId::kStatus, arena_.number(static_cast<uint64_t>(reply_.code)));
  if (reply_.add != nullptr) reply_.add(response_headers_, *this, reply_.user);
  Slices body;
  body.append(Slice::of_static(reply_.body));
  host_.prepare_local_reply(response_headers_, body);
  // To CONNECT 200 would say that the tunnel is there.
  if (stream::is_grpc_type(request_headers_.get(http::HeaderId::kContentType)) &&
      request_headers_.method() != "CONNECT") [[unlikely]] {
    stream::answer_as_grpc(response_headers_, body.empty() ? std::string_view() : body.front().view(), arena_);
    body.clear();
  }
  const int code = response_headers_.status_code();   // the host may have another one
  info_.response_code = static_cast<uint16_t>(code);  // for the filters to print
  const bool bodiless = code == 204 || code == 304;
  if (bodiless || code == 205) body.clear();  // RFC 9110 15.3.6: 205 says that its content is empty
  bool no_body = body.empty() || host_.asked_for_head_only();
  if (!body.empty()) {
    response_headers_.set(http::HeaderId::kContentLength, arena_.number(body.size()));
    if (!response_headers_.contains(http::HeaderId::kContentType)) {
      response_headers_.add(http::HeaderId::kContentType, "text/plain");
    }
  } else if (code >= 200 && !bodiless) {
    response_headers_.set(http::HeaderId::kContentLength, "0");
  }
  if (chain_ == nullptr) {
    leave_headers(true, no_body);
    if (!no_body && !stopped()) leave_data(true, body, true);
    return;
  }
  response_.headers(from, no_body);
  // A response hook may have answered in the place of this answer.
  if (!no_body && !stopped() && number == replies_) response_.data(from, body, true);
}

void Stream::complete() {
  if (completed_) return;
  completed_ = true;
  reply_pending_ = false;
  stopped_changed();
  request_flow_.set_reader(nullptr);
  response_flow_.set_reader(nullptr);
  request_.drop_waiting();
  response_.drop_waiting();
  complete_filters();
}

void Stream::restart() {
  WEIR_CHECK(!running() && !response_started_ && !stopped() && !replied_locally_);
  complete_filters();
  if (chain_ != nullptr) past_ = arena_.make<Past>(Past{chain_, filters_, made_, past_});
  chain_ = nullptr;
  filters_ = nullptr;
  made_ = 0;
  shared_ = nullptr;
  request_.restart();
  response_.restart();
  for (FlowReason reason :
       {FlowReason::kUpstreamConnecting, FlowReason::kUpstreamFull, FlowReason::kReplayFull, FlowReason::kFilter})
    request_flow_.unblock(reason);
  response_flow_.set_reader(nullptr);
  response_headers_.clear();
  response_trailers_ = nullptr;
}

void Stream::complete_filters() {
  if (chain_ == nullptr) return;
  Direction* outer = std::exchange(running_, nullptr);
  const event::ActivityScope doing(
      [](const void* subject, event::ActivityText& text) {
        const auto& ended = *static_cast<const Stream*>(subject);
        if (ended.completing_ == nullptr) return;
        const HttpFilterEntry& entry = ended.chain_->entry(ended.running_position());
        text.add("filter ").add(entry.name).add(" (").add(entry.descriptor->name).add("), on_complete");
      },
      this);
  for_each_filter(made_ & chain_->complete_mask(), chain_->offsets(false), [this](const uint32_t* at) {
    completing_ = at;
    reinterpret_cast<HttpFilter*>(filters_ + *at)->on_complete(*this);
  });
  running_ = outer;
}

void Stream::stopped_changed() {
  request_.set_stopped(stopped());
  response_.set_stopped(stopped());
}

void Stream::on_flow(FlowControl&, bool blocked) { host_.on_request_flow(blocked); }

}  // namespace weir::filter
