#include "core/filter/stream.h"

#include <charconv>

#include "core/filter/registry.h"

namespace weir::filter {

// Marks that a hook of this stream is on the stack, and whose: an answer given inside it is sent when the outermost
// hook has returned.
class Stream::Running {
 public:
  Running(Stream& stream, size_t position, bool response)
      : stream_(stream), position_(stream.running_position_), response_(stream.running_response_) {
    stream_.running_position_ = static_cast<uint8_t>(position);
    stream_.running_response_ = response;
    ++stream_.depth_;
  }
  ~Running() {
    --stream_.depth_;
    stream_.running_position_ = position_;
    stream_.running_response_ = response_;
  }

 private:
  Stream& stream_;
  uint8_t position_;
  bool response_;
};

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
  for (uint64_t rest = made_; rest != 0;) {
    size_t position = 63 - static_cast<size_t>(__builtin_clzll(rest));
    rest &= ~(uint64_t{1} << position);
    filter(position).~HttpFilter();
  }
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
  for (uint64_t rest = made_; rest != 0; rest &= rest - 1) {
    size_t position = static_cast<size_t>(__builtin_ctzll(rest));
    const HttpFilterEntry& entry = config.entry(position);
    entry.descriptor->construct(filters_ + config.offset(position), entry.config.get());
  }
  request_.set_chain(config, made_);
  response_.set_chain(config, made_);
}

uint32_t Stream::running_filter_id() const { return chain_->entry(running_position_).id; }

bool Stream::is_running(size_t position, bool response) const {
  return depth_ > 0 && running_position_ == position && running_response_ == response;
}

Action Stream::call_headers(size_t position, bool response, bool end) {
  Running running(*this, position, response);
  return response ? filter(position).on_response_headers(*this, response_headers_, end)
                  : filter(position).on_request_headers(*this, request_headers_, end);
}

Action Stream::call_data(size_t position, bool response, Slices& data, bool end) {
  Running running(*this, position, response);
  return response ? filter(position).on_response_data(*this, data, end)
                  : filter(position).on_request_data(*this, data, end);
}

Action Stream::call_trailers(size_t position, bool response) {
  Running running(*this, position, response);
  return response ? filter(position).on_response_trailers(*this, *response_trailers_)
                  : filter(position).on_request_trailers(*this, *request_trailers_);
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

Resume Stream::resume_handle() { return Resume(*this, running_position_, running_response_); }

void Stream::buffer_body(uint32_t limit) {
  (running_response_ ? response_ : request_).want_whole_body(running_position_, limit);
}

void Stream::resume(size_t position, bool response) {
  if (stopped() || (!response && replied_locally_)) return;
  (response ? response_ : request_).resume(position);
}

void Stream::body_too_large(bool response) {
  if (response) {
    reply_local(500, "response_payload_too_large", "response body too large\n");
  } else {
    reply_local(413, "request_payload_too_large", "request body too large\n");
  }
}

// --- The response ------------------------------------------------------------------------------------------------

void Stream::respond_informational() {
  if (stopped() || replied_locally_ || response_started_) return;
  host_.send_informational(response_headers_);
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
  info_.details = details;
  request_.drop_waiting();
  response_.drop_waiting();
  host_.abort_response();
  return Action::kDone;
}

Action Stream::reply_local(int code, std::string_view details, std::string_view body) {
  return reply_local(code, details, body, nullptr, nullptr);
}

Action Stream::reply_local(int code, std::string_view details, std::string_view body, AddHeaders add,
                           const void* user) {
  if (stopped()) return Action::kDone;
  if (response_committed_) return abort(details);
  reply_ = Reply{code, details, body, add, user};
  reply_pending_ = true;
  if (depth_ == 0) send_pending_reply();
  return Action::kDone;
}

void Stream::send_pending_reply() {
  if (!reply_pending_ || depth_ > 0) return;
  reply_pending_ = false;
  uint8_t number = ++replies_;
  // Filters that have not seen this stream's response yet, from the one that answered towards the client.
  size_t from;
  if (response_started_) {
    from = response_.entered();
  } else {
    size_t entered = request_.entered();
    from = chain_ != nullptr ? chain_->size() - entered : 0;
  }
  replied_locally_ = true;
  response_started_ = true;
  request_.drop_waiting();
  response_.drop_waiting();
  request_flow_.unblock(FlowReason::kChainBuffer);

  info_.details = reply_.details;
  response_headers_.clear();
  char* status = arena_.allocate_bytes(3);
  std::to_chars(status, status + 3, reply_.code);
  response_headers_.add(http::HeaderId::kStatus, {status, 3});
  if (reply_.add != nullptr) reply_.add(response_headers_, *this, reply_.user);
  Slices body;
  body.append(Slice::of_static(reply_.body));
  host_.prepare_local_reply(response_headers_, body);
  bool no_body = body.empty();
  if (!no_body) {
    char* length = arena_.allocate_bytes(20);
    auto result = std::to_chars(length, length + 20, body.size());
    response_headers_.set(http::HeaderId::kContentLength, {length, static_cast<size_t>(result.ptr - length)});
    if (!response_headers_.contains(http::HeaderId::kContentType)) {
      response_headers_.add(http::HeaderId::kContentType, "text/plain");
    }
  } else if (reply_.code >= 200 && reply_.code != 204 && reply_.code != 304) {
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
  request_flow_.set_reader(nullptr);
  response_flow_.set_reader(nullptr);
  request_.drop_waiting();
  response_.drop_waiting();
  if (chain_ == nullptr) return;
  for (uint64_t rest = made_ & chain_->complete_mask(); rest != 0; rest &= rest - 1) {
    size_t position = static_cast<size_t>(__builtin_ctzll(rest));
    Running running(*this, position, false);
    filter(position).on_complete(*this);
  }
}

void Stream::on_flow(FlowControl&, bool blocked) { host_.on_request_flow(blocked); }

}  // namespace weir::filter
