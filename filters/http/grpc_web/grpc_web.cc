// envoy.filters.http.grpc_web: calls of gRPC-web, as browsers make them, become calls of gRPC. The messages are the
// same; text is decoded and coded as it passes, and the trailers go to the end of the body.
#include <algorithm>
#include <cstring>
#include <optional>

#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/grpc/frames.h"
#include "core/http/chars.h"
#include "core/http/content_coding.h"
#include "core/http/parameters.h"
#include "core/stream/grpc_status.h"
#include "envoy/extensions/filters/http/grpc_web/v3/grpc_web.pb.h"
#include "filters/http/common/grpc/call_stats.h"
#include "filters/http/grpc_web/base64.h"

namespace weir::filters::grpc_web {
namespace {

namespace pb = envoy::extensions::filters::http::grpc_web::v3;
using filter::Action;
using http::CodedOutput;
using http::HeaderId;
using weir::grpc::FrameEvent;
using weir::grpc::kFrameHeadBytes;

constexpr std::string_view kGrpc = "application/grpc";
constexpr std::string_view kWeb = "application/grpc-web";
constexpr std::string_view kText = "-text";
constexpr std::string_view kProto = "+proto";
constexpr std::string_view kNotText = "the body is not base64, as application/grpc-web-text has it";

// Of a body that is no gRPC as grpc-message: who reads it wants to know who has answered, not the whole page.
constexpr size_t kMaxErrorBody = 4096;
constexpr size_t kMaxErrorText = 1024;

// [immutable]
struct Config {
  grpc::CallStats calls{grpc::CallStats::Options{.family = "grpc-web"}};

  static Result<std::shared_ptr<const Config>> from_proto(const pb::GrpcWeb&, filter::FactoryScope&) {
    return std::shared_ptr<const Config>(std::make_shared<Config>());
  }
};

bool begins_with(std::string_view text, std::string_view start) {
  return http::equals_ignoring_case(text.substr(0, start.size()), start);
}

struct WebType {
  bool text = false;
  std::string_view messages;  // "+proto"; empty: nothing is said, which means the same
};

// No value: it is none of gRPC-web.
std::optional<WebType> read_web_type(std::string_view type) {
  type = http::without_parameters(type);
  if (!begins_with(type, kWeb)) return std::nullopt;
  WebType web{false, type.substr(kWeb.size())};
  if (begins_with(web.messages, kText)) {
    web.text = true;
    web.messages.remove_prefix(kText.size());
  }
  if (!web.messages.empty() && web.messages.front() != '+') return std::nullopt;
  return web;
}

// One per stream. [worker]
class Filter final : public filter::HttpFilter {
 public:
  explicit Filter(const Config& config) : config_(config) {}

  Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) override {
    const std::string_view type = headers.get(HeaderId::kContentType);
    const std::optional<WebType> web = read_web_type(type);
    if (!web) {
      stream.leave_body_alone();
      return Action::kContinue;
    }
    web_ = stream.info().grpc_web = true;
    type_ = type;
    text_response_ = wants_text(headers, stream.arena(), web->text);
    call_.begin(config_.calls, stream, headers.path());
    headers.remove(HeaderId::kContentLength);  // of the text, or of what gRPC sends without a length
    headers.set(HeaderId::kContentType, web->messages.empty() || http::equals_ignoring_case(web->messages, kProto)
                                            ? kGrpc
                                            : stream.arena().concat(kGrpc, web->messages));
    headers.set(HeaderId::kTe, "trailers");
    if (!web->text) stream.leave_body_alone();
    return Action::kContinue;
  }

  Action on_request_data(filter::Stream& stream, Slices& data, bool end) override {
    Slices plain;
    bool good = true;
    {
      CodedOutput out(plain, stream.lane().blocks());
      for (size_t i = 0; good && i < data.slice_count(); ++i) good = decoder_.decode(data.at(i).view(), out);
    }
    if (!good || (end && !decoder_.between_groups())) return refuse(stream);
    data = std::move(plain);
    return Action::kContinue;
  }

  Action on_request_trailers(filter::Stream& stream, http::HeaderMap&) override {
    return decoder_.between_groups() ? Action::kContinue : refuse(stream);
  }

  Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override {
    if (web_) decide_response(stream, headers, end);
    if (response_ == Response::kAsItIs) stream.leave_body_alone();
    return Action::kContinue;
  }

  Action on_response_data(filter::Stream& stream, Slices& data, bool end) override {
    if (response_ == Response::kText) {
      encode(stream, data, end);
      return Action::kContinue;
    }
    if (response_ == Response::kErrorText) {  // all of it, and the headers have not gone
      if (!data.empty()) {
        std::string text = data.to_string();
        text.resize(std::min(text.size(), kMaxErrorText));
        stream.response_headers().set(HeaderId::kGrpcMessage, stream::encode_grpc_message(text, stream.arena()));
      }
      stream.response_headers().set(HeaderId::kContentLength, "0");
    }
    data.clear();
    return Action::kContinue;
  }

  Action on_response_trailers(filter::Stream& stream, http::HeaderMap& trailers) override {
    if (!web_) return Action::kContinue;
    call_.finish(stream, trailers.get(HeaderId::kGrpcStatus));
    if (is_grpc_) {
      status_ = trailers.get(HeaderId::kGrpcStatus);
      message_ = trailers.get(HeaderId::kGrpcMessage);
      Slices frame;
      frame.append(trailers_frame(trailers, stream.lane().blocks()));
      if (response_ == Response::kText) encode(stream, frame, true);
      stream.inject_data(frame);
    }
    trailers.clear();
    return Action::kContinue;
  }

  // What the log asks for is where it was.
  void on_complete(filter::Stream& stream) override {
    http::HeaderMap* trailers = stream.response_trailers();
    if (trailers == nullptr) return;
    if (status_.data() != nullptr) trailers->set(HeaderId::kGrpcStatus, status_);
    if (message_.data() != nullptr) trailers->set(HeaderId::kGrpcMessage, message_);
  }

 private:
  enum class Response : uint8_t {
    kAsItIs,     // but for what the trailers' frame adds
    kText,       // coded
    kErrorText,  // no gRPC: held, it becomes grpc-message
    kError,      // likewise, and is left out
  };

  // As the client says; one that does not is answered as it asks.
  static bool wants_text(const http::HeaderMap& headers, Arena& arena, bool otherwise) {
    std::optional<bool> wanted;
    http::for_each_member(headers.get_all(HeaderId::kAccept, arena), [&wanted](std::string_view member) {
      if (wanted) return;
      if (const std::optional<WebType> web = read_web_type(member)) wanted = web->text;
    });
    return wanted.value_or(otherwise);
  }

  Action refuse(filter::Stream& stream) {
    // The answer is not to be one of gRPC: no hook of this filter sees it.
    stream.request_headers().set(HeaderId::kContentType, type_);
    return stream.reply_local(
        400, "grpc_web_invalid_base64", {},
        [](http::HeaderMap& headers, filter::Stream& own, const void* filter) {
          headers.set(HeaderId::kGrpcStatus, "13");  // Internal, as for any 400
          headers.set(HeaderId::kGrpcMessage, kNotText);
          static_cast<const Filter*>(filter)->set_type(own, headers, {});
        },
        this);
  }

  void decide_response(filter::Stream& stream, http::HeaderMap& headers, bool end) {
    call_.finish(stream, headers.get(HeaderId::kGrpcStatus));
    const std::string_view type = headers.get(HeaderId::kContentType);
    if (read_web_type(type)) {
      web_ = false;  // the upstream knows gRPC-web itself, and has answered in it
      return;
    }
    is_grpc_ = stream::is_grpc_type(type);
    if (!is_grpc_) return translate_error(stream, headers, end);
    set_type(stream, headers, http::without_parameters(type).substr(kGrpc.size()));
    if (end) return;
    headers.remove(HeaderId::kContentLength);
    if (text_response_) response_ = Response::kText;
  }

  // The client knows gRPC alone: the status of HTTP stays, and says which of gRPC's it is.
  void translate_error(filter::Stream& stream, http::HeaderMap& headers, bool end) {
    Arena& arena = stream.arena();
    set_type(stream, headers, {});
    if (!headers.contains(HeaderId::kGrpcStatus))
      headers.set(HeaderId::kGrpcStatus, arena.number(stream::grpc_status_of_http(headers.status_code())));
    if (!headers.contains(HeaderId::kGrpcMessage))
      headers.set(HeaderId::kGrpcMessage, arena.concat("the upstream has answered ", headers.status(), ", no gRPC"));
    if (end) return;
    uint64_t length = 0;
    const bool readable = !headers.contains(HeaderId::kContentEncoding);
    headers.remove(HeaderId::kContentEncoding);
    if (readable && http::parse_decimal(headers.get(HeaderId::kContentLength), length) && length <= kMaxErrorBody) {
      response_ = Response::kErrorText;
      stream.buffer_body(kMaxErrorBody);
    } else {
      response_ = Response::kError;
      headers.set(HeaderId::kContentLength, "0");
    }
  }

  // `messages`: of the upstream's type, "+json".
  void set_type(filter::Stream& stream, http::HeaderMap& headers, std::string_view messages) const {
    Arena& arena = stream.arena();
    if (messages.empty()) messages = kProto;
    headers.set(HeaderId::kContentType, arena.concat(kWeb, text_response_ ? kText : std::string_view(), messages));
  }

  // "name: value" lines, as HTTP/1 has them, in a frame of their own.
  static Slice trailers_frame(const http::HeaderMap& trailers, BlockPool& blocks) {
    constexpr std::string_view kColon = ": ", kEndOfLine = "\r\n";
    size_t bytes = 0;
    trailers.for_each([&](const http::HeaderEntry& entry) {
      bytes += entry.name_size + kColon.size() + entry.value_size + kEndOfLine.size();
    });
    BlockRef block = blocks.take_exact(kFrameHeadBytes + bytes);
    char* to = block->data();
    const char* const begin = to;
    weir::grpc::write_frame_head({weir::grpc::kTrailers, static_cast<uint32_t>(bytes)}, to);
    to += kFrameHeadBytes;
    trailers.for_each([&](const http::HeaderEntry& entry) {
      for (const std::string_view part : {entry.name(), kColon, entry.value(), kEndOfLine}) {
        std::memcpy(to, part.data(), part.size());
        to += part.size();
      }
    });
    block->set_used(kFrameHeadBytes + bytes);
    return Slice(std::move(block), begin, kFrameHeadBytes + bytes);
  }

  // Whatever ends a message ends a group: who waits for it gets it whole. `end`: of the body.
  void encode(filter::Stream& stream, Slices& data, bool end) {
    Slices text;
    {
      CodedOutput out(text, stream.lane().blocks());
      for (size_t i = 0; i < data.slice_count(); ++i) {
        std::string_view rest = data.at(i).view();
        const char* begin = rest.data();
        FrameEvent event;
        do {
          event = frames_.next(rest);
          if (event.kind != FrameEvent::Kind::kEnd && event.kind != FrameEvent::Kind::kMore) continue;
          encoder_.encode({begin, static_cast<size_t>(rest.data() - begin)}, out);
          if (event.kind == FrameEvent::Kind::kEnd) encoder_.end(out);
          begin = rest.data();
        } while (event.kind != FrameEvent::Kind::kMore);
      }
      if (end) encoder_.end(out);
    }
    data = std::move(text);
  }

  const Config& config_;
  grpc::Call call_;
  std::string_view type_;              // of the request, as it came
  std::string_view status_, message_;  // that went into the body
  TextDecoder decoder_;
  TextEncoder encoder_;
  weir::grpc::FrameReader frames_;  // of the response
  Response response_ = Response::kAsItIs;
  bool web_ = false;
  bool text_response_ = false;
  bool is_grpc_ = false;  // the response
};

}  // namespace
}  // namespace weir::filters::grpc_web

namespace weir::plugins {
void http_filter_grpc_web(filter::RegistryBuilder& registry) {
  using namespace filters::grpc_web;
  registry.add(filter::describe_http_filter<Config, Filter>("envoy.filters.http.grpc_web"));
}
}  // namespace weir::plugins
