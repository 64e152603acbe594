#include "core/grpc/stream.h"

#include <string>
#include <utility>

#include "core/stream/grpc_status.h"
#include "core/upstream/lane_clusters.h"

namespace weir::grpc {

using http::HeaderId;
using proxy::HeadlessFailure;
using proxy::HeadlessStream;
using Origin = Status::Origin;

namespace {

Status made_here(Code code, Origin origin, std::string_view message) {
  Status status;
  status.code = code;
  status.origin = origin;
  status.message = message;
  return status;
}

Status status_of(HeadlessFailure failure, std::string_view detail) {
  std::string message(failure_text(failure));
  if (!detail.empty()) message.append(": ").append(detail);
  switch (failure) {
    case HeadlessFailure::kNone:
      return {};
    case HeadlessFailure::kNoCluster:
    case HeadlessFailure::kOverflow:
      return made_here(Code::kUnavailable, Origin::kHere, message);
    case HeadlessFailure::kNoHost:
    case HeadlessFailure::kNoConnection:
      return made_here(Code::kUnavailable, Origin::kNoConnection, message);
    case HeadlessFailure::kBroken:
      return made_here(Code::kUnavailable, Origin::kReset, message);
    case HeadlessFailure::kRefused:
      return made_here(Code::kUnavailable, Origin::kRefused, message);
    case HeadlessFailure::kTimeout:
      return made_here(Code::kDeadlineExceeded, Origin::kHere, message);
    case HeadlessFailure::kProtocolError:
      return made_here(Code::kInternal, Origin::kReset, message);
    case HeadlessFailure::kUnsendable:
      return made_here(Code::kInternal, Origin::kHere, message);
    case HeadlessFailure::kRequestTooLarge:
    case HeadlessFailure::kResponseTooLarge:
      return made_here(Code::kResourceExhausted, Origin::kHere, message);
  }
  return {};
}

}  // namespace

// --- The request ---------------------------------------------------------------------------------------------------

Status Stream::start(event::Lane& lane, const Service& service, std::string_view method, const Options& options,
                     Slices* only) {
  cancel();
  in_.set_limit(service.max_message);
  one_response_ = options.one_response;
  responded_ = false;
  upstream::LaneClusters* clusters = upstream::LaneClusters::find_on(lane);
  const Duration timeout = options.timeout > Duration::zero() ? options.timeout : service.timeout;
  HeadlessFailure failure;
  stream_ = HeadlessStream::open(lane, clusters != nullptr ? clusters->find(service.cluster) : nullptr,
                                 {.timeout = timeout,
                                  .buffer_limit = options.buffer_limit,
                                  .came_in = stream::Protocol::kHttp2,
                                  .timeout_from_start = true},
                                 failure);
  if (stream_ == nullptr) return status_of(failure, {});
  if (stream_->cluster().protocol == upstream::HttpProtocol::kHttp1) {
    const Status status = made_here(Code::kInternal, Origin::kHere,
                                    "cluster " + stream_->cluster().name + " speaks HTTP/1.1; gRPC needs HTTP/2");
    cancel();
    return status;
  }
  write_head(service, method, options, timeout);
  if (only != nullptr) {
    Slices framed;
    frame(*only, framed, lane.blocks());
    stream_->send_data(framed, true);
  }
  failure = stream_->start(this, false);
  if (failure == HeadlessFailure::kNone) return {};
  stream_ = nullptr;
  return status_of(failure, {});
}

void Stream::write_head(const Service& service, std::string_view method, const Options& options, Duration timeout) {
  http::HeaderMap& head = stream_->request_headers();
  Arena& arena = stream_->arena();
  head.add(HeaderId::kMethod, "POST");
  head.add(HeaderId::kScheme, stream_->cluster().transports.encrypts ? "https" : "http");
  head.add(HeaderId::kPath, arena.copy(method));
  head.add(HeaderId::kAuthority, arena.copy(service.authority));
  head.add(HeaderId::kTe, "trailers");
  head.add(HeaderId::kContentType, "application/grpc");
  if (timeout > Duration::zero()) head.add(HeaderId::kGrpcTimeout, encode_timeout(timeout, arena));
  if (service.tells_internal) head.add(HeaderId::kXEnvoyInternal, "true");
  if (service.metadata.empty()) return;
  const stream::StreamInfo nothing;
  const stream::LogSubject nobody{nothing};
  const stream::LogSubject& subject = options.subject != nullptr ? *options.subject : nobody;
  for (const stream::HeaderValue& each : service.metadata) each.apply(head, subject, arena);
}

void Stream::send(Slices& message) {
  if (stream_ == nullptr) {
    message.clear();
    return;
  }
  Slices framed;
  frame(message, framed, stream_->lane().blocks());
  stream_->send_data(framed, false);
}

void Stream::close() {
  if (stream_ == nullptr) return;
  Slices none;
  stream_->send_data(none, true);
}

void Stream::pause(bool paused) {
  if (stream_ != nullptr) stream_->pause_response(paused);
}

void Stream::cancel() {
  if (HeadlessStream* stream = std::exchange(stream_, nullptr)) stream->cancel();
  in_.clear();
}

// --- The response --------------------------------------------------------------------------------------------------

void Stream::on_headers(HeadlessStream&, const http::HeaderMap& headers, bool end) {
  const int http = headers.status_code();
  if (end) return finish(read_status(headers, http), &headers);
  if (http != 200) {
    stream_->cancel();
    return finish(status_of_http(http), nullptr);
  }
  const std::string_view type = headers.get(HeaderId::kContentType);
  if (!stream::is_grpc_type(type)) {
    return give_up(Code::kUnknown, Origin::kHttp,
                   "the server has answered with the content-type \"" + std::string(type.substr(0, 100)) +
                       "\" instead of application/grpc");
  }
  on_metadata(headers);
}

void Stream::on_data(HeadlessStream& stream, Slices& data, bool end) {
  in_.add(data, stream.lane().blocks());
  // A message may be answered with cancel(), or with another call.
  while (stream_ == &stream) {
    Slices message;
    switch (in_.next(message)) {
      case Deframer::Next::kMessage:
        if (std::exchange(responded_, true) && one_response_)
          return give_up(Code::kInternal, Origin::kHere, "the server has answered with more than one message");
        on_message(message);
        break;
      case Deframer::Next::kMore:
        if (!end) return;
        return give_up(
            in_.partial() ? Code::kInternal : Code::kUnknown, Origin::kHttp,
            in_.partial() ? "the response ends within a message" : "the server has ended the call without a status");
      case Deframer::Next::kTooLarge:
        return give_up(Code::kResourceExhausted, Origin::kHere, "a message is longer than max_receive_message_length");
      case Deframer::Next::kCompressed:
        return give_up(Code::kInternal, Origin::kHere, "a message is compressed, which was not offered");
      case Deframer::Next::kBadFlag:
        return give_up(Code::kInternal, Origin::kHere, "a message has a flag that is none");
    }
  }
}

void Stream::on_trailers(HeadlessStream&, const http::HeaderMap& trailers) {
  if (in_.partial()) return give_up(Code::kInternal, Origin::kHttp, "the response ends within a message");
  finish(read_status(trailers, 200), &trailers);
}

void Stream::on_failed(HeadlessFailure failure, std::string_view detail) {
  Status status = status_of(failure, detail);
  status.unseen = stream_->unseen();
  finish(status, nullptr);
}

void Stream::give_up(Code code, Origin origin, std::string_view message) {
  stream_->cancel();
  finish(made_here(code, origin, message), nullptr);
}

// Nothing of this is looked at once it has told.
void Stream::finish(const Status& status, const http::HeaderMap* trailers) {
  stream_ = nullptr;
  in_.clear();
  on_end(status, trailers);
}

}  // namespace weir::grpc
