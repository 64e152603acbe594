// envoy.filters.http.grpc_http1_bridge: unary calls of gRPC for clients of HTTP/1, which see no trailers: the answer is
// held until its trailers have come, and these become headers.
#include <cstring>

#include "core/event/timer.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/grpc/frames.h"
#include "core/http/chars.h"
#include "core/http/parameters.h"
#include "core/stream/grpc_status.h"
#include "envoy/extensions/filters/http/grpc_http1_bridge/v3/config.pb.h"
#include "filters/http/common/grpc/call_stats.h"

namespace weir::filters::grpc_http1_bridge {
namespace {

namespace pb = envoy::extensions::filters::http::grpc_http1_bridge::v3;
using filter::Action;
using http::HeaderId;
using weir::grpc::FrameHead;
using weir::grpc::kFrameHeadBytes;

constexpr std::string_view kGrpc = "application/grpc";
constexpr std::string_view kProtobuf = "application/x-protobuf";

// [immutable]
struct Config {
  grpc::CallStats calls{grpc::CallStats::Options{}};
  bool upgrade_protobuf = false;
  bool ignore_query = false;

  static Result<std::shared_ptr<const Config>> from_proto(const pb::Config& proto, filter::FactoryScope&) {
    auto config = std::make_shared<Config>();
    config->upgrade_protobuf = proto.upgrade_protobuf_to_grpc();
    config->ignore_query = proto.ignore_query_parameters();
    return std::shared_ptr<const Config>(std::move(config));
  }
};

bool is_protobuf(std::string_view content_type) {
  return http::equals_ignoring_case(http::without_parameters(content_type), kProtobuf);
}

Slice frame_head(uint32_t length, BlockPool& blocks) {
  BlockRef block = blocks.take_exact(kFrameHeadBytes);
  weir::grpc::write_frame_head({0, length}, block->data());
  block->set_used(kFrameHeadBytes);
  const char* data = block->data();
  return Slice(std::move(block), data, kFrameHeadBytes);
}

// Takes the head off a body that is one message. False: it is something else, or compressed.
bool take_message(Slices& body) {
  if (body.size() < kFrameHeadBytes) return false;
  char bytes[kFrameHeadBytes];
  size_t have = 0;
  for (size_t i = 0; have < kFrameHeadBytes; ++i) {
    const std::string_view part = body.at(i).view().substr(0, kFrameHeadBytes - have);
    std::memcpy(bytes + have, part.data(), part.size());
    have += part.size();
  }
  if (weir::grpc::read_frame_head(bytes) != FrameHead{0, static_cast<uint32_t>(body.size() - kFrameHeadBytes)})
    return false;
  body.drop_front(kFrameHeadBytes);
  return true;
}

// One per stream. [worker]
class Filter final : public filter::HttpFilter, private event::Timer {
 public:
  explicit Filter(const Config& config) : config_(config) {}

  Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override {
    const std::string_view type = headers.get(HeaderId::kContentType);
    upgraded_ = config_.upgrade_protobuf && is_protobuf(type);
    call_seen_ = upgraded_ || stream::is_grpc_type(type);
    if (!call_seen_) {
      stream.leave_body_alone();
      return Action::kContinue;
    }
    const stream::Protocol protocol = stream.info().protocol;
    // Clients of gRPC-web get trailers over HTTP/1, too: at the end of the body, by the filter of that name.
    bridged_ = upgraded_ || (!stream.info().grpc_web &&
                             (protocol == stream::Protocol::kHttp10 || protocol == stream::Protocol::kHttp11));
    call_.begin(config_.calls, stream, headers.path());
    if (config_.ignore_query) {
      const std::string_view path = headers.path();
      if (const size_t query = path.find('?'); query != std::string_view::npos)
        headers.set(HeaderId::kPath, path.substr(0, query));
    }
    if (bridged_) headers.set(HeaderId::kTe, "trailers");
    if (upgraded_) return upgrade(stream, headers, end);
    stream.leave_body_alone();
    return Action::kContinue;
  }

  Action on_request_data(filter::Stream& stream, Slices& data, bool) override {
    if (framed_) return Action::kContinue;
    framed_ = true;
    stream.request_headers().set(HeaderId::kContentType, kGrpc);
    Slices framed;
    framed.append(frame_head(length_ > 0 ? length_ : static_cast<uint32_t>(data.size()), stream.lane().blocks()));
    framed.append_all(data);
    data = std::move(framed);
    return Action::kContinue;
  }

  Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override {
    if (call_seen_) call_.finish(stream, headers.get(HeaderId::kGrpcStatus));
    if (!bridged_ || !stream::is_grpc_type(headers.get(HeaderId::kContentType))) {
      bridged_ = false;
      stream.leave_body_alone();
      return Action::kContinue;
    }
    if (upgraded_) headers.set(HeaderId::kContentType, kProtobuf);
    if (upgraded_ && !end) stream.request_headers().set(HeaderId::kContentType, kProtobuf);  // see upgrade()
    if (end) {
      tell_status(headers, headers.get(HeaderId::kGrpcStatus));
    } else {
      stream.buffer_body(stream.buffer_limit());
    }
    return Action::kContinue;
  }

  // All of it, and the headers have not gone. If trailers follow, they are there.
  Action on_response_data(filter::Stream& stream, Slices& data, bool end) override {
    http::HeaderMap& headers = stream.response_headers();
    std::string_view status = headers.get(HeaderId::kGrpcStatus);
    if (!end && stream.response_trailers() != nullptr) {
      const http::HeaderMap& trailers = *stream.response_trailers();
      for (const HeaderId id : {HeaderId::kGrpcStatus, HeaderId::kGrpcMessage}) {
        if (trailers.contains(id)) headers.set(id, trailers.get(id));
      }
      status = headers.get(HeaderId::kGrpcStatus);
    }
    if (upgraded_) {
      stream.request_headers().set(HeaderId::kContentType, kGrpc);
      if (status.data() == nullptr) {
        status = fail(headers, "2", "the answer has no grpc-status");  // Unknown
      } else if (is_ok(status) && !take_message(data)) {
        status = fail(headers, "13", "the answer is not one message without compression");  // Internal
      }
      if (!is_ok(status)) data.clear();
    }
    tell_status(headers, status);
    headers.set(HeaderId::kContentLength, stream.arena().number(data.size()));
    return Action::kContinue;
  }

  Action on_response_trailers(filter::Stream& stream, http::HeaderMap& trailers) override {
    if (call_seen_) call_.finish(stream, trailers.get(HeaderId::kGrpcStatus));
    if (bridged_) trailers.clear();
    return Action::kContinue;
  }

  void on_complete(filter::Stream&) override {
    event::Timer::cancel();
    resume_.cancel();
  }

 private:
  static bool is_ok(std::string_view status) { return status == "0"; }
  // As HTTP says it. An answer without a status is passed on as it is.
  static void tell_status(http::HeaderMap& headers, std::string_view status) {
    if (status.data() != nullptr && !is_ok(status)) headers.set(HeaderId::kStatus, "503");
  }

  static std::string_view fail(http::HeaderMap& headers, std::string_view status, std::string_view message) {
    headers.set(HeaderId::kGrpcStatus, status);
    headers.set(HeaderId::kGrpcMessage, message);
    return status;
  }

  // The body becomes the payload of one frame, whose head has to go ahead of it. While a body is collected the request
  // is called what its client calls it: if there is too much of it, the client gets an error of HTTP.
  Action upgrade(filter::Stream& stream, http::HeaderMap& headers, bool end) {
    uint64_t length = 0;
    const bool known = http::parse_decimal(headers.get(HeaderId::kContentLength), length);
    headers.remove(HeaderId::kContentLength);
    if (end) {
      headers.set(HeaderId::kContentType, kGrpc);
      // An empty message. The pause ends at once: only a paused filter can give a body to a message without one.
      stream_ = &stream;
      resume_ = stream.resume_handle();
      stream.lane().arm_in(*this, Duration::zero());
      return Action::kPause;
    }
    if (known && length > 0 && length <= UINT32_MAX) {
      headers.set(HeaderId::kContentType, kGrpc);
      length_ = static_cast<uint32_t>(length);
    } else {
      stream.buffer_body(stream.buffer_limit());
    }
    return Action::kContinue;
  }

  void on_timer() override {
    Slices head;
    head.append(frame_head(0, stream_->lane().blocks()));
    resume_.inject_data(head);
    resume_.resume();
  }

  const Config& config_;
  grpc::Call call_;
  filter::Stream* stream_ = nullptr;  // while paused
  filter::Resume resume_;
  uint32_t length_ = 0;     // of the request's message, if it is known before the message is there
  bool call_seen_ = false;  // the request is a call of gRPC, or has become one
  bool upgraded_ = false;
  bool bridged_ = false;
  bool framed_ = false;
};

}  // namespace
}  // namespace weir::filters::grpc_http1_bridge

namespace weir::plugins {
void http_filter_grpc_http1_bridge(filter::RegistryBuilder& registry) {
  using namespace filters::grpc_http1_bridge;
  registry.add(filter::describe_http_filter<Config, Filter>("envoy.filters.http.grpc_http1_bridge"));
}
}  // namespace weir::plugins
