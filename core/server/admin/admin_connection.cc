#include "core/server/admin/admin_connection.h"

#include <charconv>
#include <utility>

#include "core/http/date.h"
#include "core/stream/stream_info.h"

namespace weir::admin {
namespace {

using http::HeaderId;

// Bytes of an answer handed over per turn, so that other work of main gets its share.
constexpr size_t kPieceBytes = 256 * 1024;
// So much goes back to the system one page at a time.
constexpr size_t kLargeBytes = 1024 * 1024;
// How long a client may take to read the last bytes after we have closed our side.
constexpr Duration kLinger = 1s;

}  // namespace

AdminConnection::AdminConnection(AdminServer& server, int fd, const net::Address& remote)
    : server_(server), connection_(server.lane_, fd, remote), codec_(*this, server.lane_.blocks(), server.h1_) {
  connection_.set_handler(*this);
}

AdminConnection::~AdminConnection() {
  if (work_ != nullptr) work_->connection = nullptr;
  drop_body();
}

void AdminConnection::drop_body() {
  server_.waiting_bytes_ -= body_.size();
  body_sent_ = chunk_ = in_chunk_ = 0;
  const auto body = std::make_shared<LongText>(std::move(body_));
  if (body->size() >= kLargeBytes && server_.options_.background != nullptr)
    server_.options_.background->submit([body] {}, [] {});
}

void AdminConnection::start() {
  server_.lane_.arm_in(idle_, server_.options_.idle_timeout);
  connection_.start(true);
}

bool AdminConnection::close_if_idle() {
  bool idle = phase_ == Phase::kSent || (phase_ == Phase::kReceiving && !exchange_.has_value() && codec_.idle());
  if (!idle || !connection_.in().empty() || !connection_.open() || connection_.closing()) return false;
  connection_.close();
  return true;
}

bool AdminConnection::close_if_waiting() {
  if (phase_ != Phase::kReceiving || !connection_.open() || connection_.closing()) return false;
  connection_.close();
  return true;
}

void AdminConnection::on_data(Slices& in, bool end) {
  if (phase_ != Phase::kReceiving) return;
  codec_.receive(in);
  if (phase_ == Phase::kReceiving && (end || connection_.peer_ended())) codec_.on_eof();
  if (phase_ == Phase::kReady) {
    answer();
  } else if (phase_ == Phase::kReceiving && (end || connection_.peer_ended())) {
    connection_.close(net::CloseReason::kRemote);
  }
}

AdminConnection::Exchange& AdminConnection::exchange() {
  if (!exchange_.has_value()) {
    exchange_.emplace(server_.lane_.arenas());
    exchange_->start = server_.lane_.now();
    exchange_->start_wall = server_.lane_.wall_now();
  }
  return *exchange_;
}

http::HeaderMap& AdminConnection::begin_request() { return exchange().request; }

void AdminConnection::on_request_head(const http::h1::RequestHead& head, BlockRef owner) {
  exchange_->head = std::move(owner);
  exchange_->wire.add_received_head(head.head_bytes);
  exchange_->http_10 = head.version == http::h1::Version::kHttp10;
  if (head.body == http::h1::BodyKind::kLength && head.content_length > server_.options_.max_body_bytes) {
    refuse(413, "the body is too large\n");
  } else if (head.end_stream) {
    phase_ = Phase::kReady;
  } else if (head.expect_continue) {
    const size_t before = connection_.out().size();
    codec_.encode_continue(connection_.out());
    exchange_->wire.add_sent_head(connection_.out().size() - before);
    connection_.flush_later();
  }
}

void AdminConnection::on_request_data(Slices& data, bool end_stream) {
  exchange_->wire.received += codec_.take_wire_bytes();
  if (exchange_->request_body.size() + data.size() > server_.options_.max_body_bytes)
    return refuse(413, "the body is too large\n");
  exchange_->request_body += data.to_string();
  if (end_stream) phase_ = Phase::kReady;
}

http::HeaderMap& AdminConnection::begin_trailers() { return exchange_->trailers; }

void AdminConnection::on_request_trailers(http::HeaderMap&) {
  exchange_->wire.received += codec_.take_wire_bytes();
  phase_ = Phase::kReady;
}

void AdminConnection::on_parse_error(http::h1::ParseError error, int suggested_status) {
  // A head that is refused: it and what has come behind it.
  if (exchange().wire.received == 0) exchange_->wire.add_received_head(connection_.in().size());
  refuse(suggested_status, std::string(http::h1::error_name(error)) + "\n");
}

// Without any endpoint; the connection ends.
void AdminConnection::refuse(int status, std::string text) {
  codec_.stop();
  AdminResponse response;
  response.fail(status, std::move(text));
  response.close = true;
  send(std::move(response));
}

void AdminConnection::answer() {
  AdminResponse response;
  bool unix_socket = connection_.local().family() == net::Family::kUnix;
  server_.answer(exchange_->request, exchange_->request_body, unix_socket, response);
  if (response.prepare == nullptr && response.work == nullptr) {
    limit(response);
    return send(std::move(response));
  }
  phase_ = Phase::kWorking;
  connection_.block_read(net::ReadBlock::kHandler);
  idle_.cancel();
  work_ = std::make_shared<Work>(Work{std::move(response), this});
  prepare();
}

void AdminConnection::prepare() {
  AdminResponse& response = work_->response;
  if (response.prepare != nullptr && response.prepare()) return server_.lane_.at_next_turn(next_turn_);
  if (response.work == nullptr) return finish_work();
  if (server_.options_.background != nullptr) return start_work();
  response.work(response);
  finish_work();
}

void AdminConnection::limit(AdminResponse& response) const {
  if (server_.waiting_bytes_ > 0 &&
      server_.waiting_bytes_ + response.body_bytes() > server_.options_.max_waiting_bytes) {
    response.fail(503, "too much is waiting for slow readers; try again\n");
  }
}

void AdminConnection::start_work() {
  server_.options_.background->submit([work = work_] { work->response.work(work->response); },
                                      [work = work_] {
                                        if (work->connection != nullptr) work->connection->finish_work();
                                      });
}

void AdminConnection::finish_work() {
  const std::shared_ptr<Work> work = std::exchange(work_, nullptr);
  if (!connection_.open()) return;
  limit(work->response);
  send(std::move(work->response));
}

void AdminConnection::send(AdminResponse response) {
  phase_ = Phase::kSending;
  connection_.block_read(net::ReadBlock::kHandler);
  if (response.close) codec_.close_after_response();
  body_.take(std::move(response.body));
  body_.take(std::move(response.long_body));
  status_ = response.status;
  server_.waiting_bytes_ += body_.size();

  char number[24];
  http::HeaderMap& headers = exchange().response;
  auto add_number = [&](HeaderId id, uint64_t value) {
    headers.add_copy(id, {number, std::to_chars(number, number + sizeof(number), value).ptr});
  };
  char date[http::kDateBytes];
  http::format_date(
      std::chrono::duration_cast<std::chrono::seconds>(server_.lane_.wall_now().time_since_epoch()).count(), date);
  add_number(HeaderId::kStatus, static_cast<uint64_t>(response.status));
  headers.add_copy(HeaderId::kContentType, response.content_type);
  add_number(HeaderId::kContentLength, body_.size());
  headers.add(HeaderId::kCacheControl, "no-cache, max-age=0");
  headers.add(HeaderId::kXContentTypeOptions, "nosniff");
  headers.add_copy(HeaderId::kDate, {date, sizeof(date)});
  headers.add(HeaderId::kServer, "weir");
  for (const auto& [name, value] : response.headers) headers.add_copy(name, value);
  const size_t before = connection_.out().size();
  if (codec_.encode_response_head(headers, body_.empty(), connection_.out()) != http::h1::EncodeError::kNone) {
    connection_.close();
    return;
  }
  exchange_->wire.add_sent_head(connection_.out().size() - before);
  server_.lane_.arm_in(idle_, server_.options_.idle_timeout);
  progress_ = connection_.bytes_written();
  send_piece();
}

void AdminConnection::send_piece() {
  if (!body_.empty()) {
    Slices data;  // the body stays until all is written
    for (const auto chunks = body_.chunks(); chunk_ < chunks.size() && data.size() < kPieceBytes;) {
      const auto piece = std::string_view(chunks[chunk_]).substr(in_chunk_, kPieceBytes - data.size());
      data.append(Slice::of_static(piece));
      in_chunk_ += piece.size();
      if (in_chunk_ == chunks[chunk_].size()) ++chunk_, in_chunk_ = 0;
    }
    body_sent_ += data.size();
    const size_t before = connection_.out().size();
    if (codec_.encode_data(data, body_sent_ == body_.size(), connection_.out()) != http::h1::EncodeError::kNone) {
      connection_.close();
      return;
    }
    exchange_->wire.sent += connection_.out().size() - before;
  }
  connection_.notify_when_drained();
  connection_.flush_later();
}

void AdminConnection::on_drained() {
  if (phase_ != Phase::kSending) return;
  if (body_sent_ == body_.size()) return finish();
  server_.lane_.at_next_turn(next_turn_);
}

void AdminConnection::finish() {
  write_access_log();
  phase_ = Phase::kSent;
  drop_body();
  exchange_.reset();
  if (!codec_.keep_alive() || !codec_.request_complete() || connection_.peer_ended()) {
    connection_.close_after_flush(kLinger);
    return;
  }
  server_.lane_.arm_in(idle_, server_.options_.idle_timeout);
  // Requests that are waiting already are not answered in one go.
  server_.lane_.at_next_turn(next_turn_);
}

void AdminConnection::on_next_turn() {
  if (!connection_.open()) return;
  if (phase_ == Phase::kWorking) {
    prepare();
  } else if (phase_ == Phase::kSending) {
    send_piece();
  } else if (phase_ == Phase::kSent) {
    codec_.next_message();
    phase_ = Phase::kReceiving;
    connection_.unblock_read(net::ReadBlock::kHandler);
  }
}

void AdminConnection::on_idle() {
  if (phase_ == Phase::kSending && connection_.bytes_written() != progress_) {
    progress_ = connection_.bytes_written();
    server_.lane_.arm_in(idle_, server_.options_.idle_timeout);
    return;
  }
  connection_.close();
}

void AdminConnection::on_closed(net::CloseReason) {
  idle_.cancel();
  server_.lane_.defer_delete(*this);
}

void AdminConnection::dispose() { server_.erase(*this); }

void AdminConnection::write_access_log() {
  if (server_.options_.access_logs.empty()) return;
  stream::StreamInfo info;
  info.start_wall = exchange_->start_wall;
  info.start = exchange_->start;
  info.end = server_.lane_.now();
  info.protocol = exchange_->http_10 ? stream::Protocol::kHttp10 : stream::Protocol::kHttp11;
  info.response_code = static_cast<uint16_t>(status_);
  info.bytes_received = exchange_->request_body.size();
  info.bytes_sent = body_sent_;
  info.wire = exchange_->wire;
  info.downstream_remote = info.downstream_direct_remote = connection_.remote();
  info.downstream_local = connection_.local();
  stream::LogSubject subject{.info = info, .request = &exchange_->request, .response = &exchange_->response};
  subject.type = stream::AccessLogType::kDownstreamEnd;
  for (const auto& log : server_.options_.access_logs) log->log(subject, server_.lane_);
}

}  // namespace weir::admin
