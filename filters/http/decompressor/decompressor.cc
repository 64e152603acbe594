#include "filters/http/decompressor/decompressor.h"

#include <utility>

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/http/chars.h"
#include "envoy/extensions/filters/http/decompressor/v3/decompressor.pb.h"

namespace weir::filters::decompressor {

using filter::Action;
using http::HeaderId;
namespace pb = envoy::extensions::filters::http::decompressor::v3;

namespace {
constexpr std::string_view kDetails = "decompression_failed";
constexpr std::string_view kMemoryDetails = "decompression_memory_limit";
constexpr std::string_view kBadRequest = "the body is not what its content-encoding says\n";
constexpr std::string_view kBadResponse = "the upstream's body is not what its content-encoding says\n";
constexpr std::string_view kNoMemory = "too many bodies of this connection are being decompressed\n";

}  // namespace

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) {
  if (settings_.advertise && settings_.response.enabled.get(stream.lane().slots())) {
    std::string_view encoding = settings_.coders->coding().encoding();
    if (!http::list_contains(headers.get_all(HeaderId::kAcceptEncoding, stream.arena()), encoding))
      headers.append_value(HeaderId::kAcceptEncoding, encoding);
  }
  if (!end) begin(request_, settings_.request, stream, headers);
  if (!request_) stream.leave_body_alone();
  return Action::kContinue;
}

Action Filter::refuse_request(filter::Stream& stream, Outcome outcome) {
  return outcome == Outcome::kInvalid ? stream.reply_local(400, kDetails, kBadRequest)
                                      : stream.reply_local(503, kMemoryDetails, kNoMemory);
}

// The flag is all that a log says of it, once the response has begun and is broken off.
Action Filter::refuse_response(filter::Stream& stream, Outcome outcome) {
  if (outcome == Outcome::kNoMemory) return stream.reply_local(503, kMemoryDetails, kNoMemory);
  stream.info().flags.set(stream::ResponseFlag::kUpstreamProtocolError);
  return stream.reply_local(502, kDetails, kBadResponse);
}

Action Filter::on_request_data(filter::Stream& stream, Slices& data, bool end) {
  const Outcome outcome = decompress(request_, settings_.request, stream, data, end);
  return outcome == Outcome::kOk ? Action::kContinue : refuse_request(stream, outcome);
}

Action Filter::on_request_trailers(filter::Stream& stream, http::HeaderMap&) {
  if (!request_) return Action::kContinue;
  Slices rest;
  const Outcome outcome = decompress(request_, settings_.request, stream, rest, true);
  if (outcome != Outcome::kOk) return refuse_request(stream, outcome);
  stream.inject_data(rest);
  return Action::kContinue;
}

Action Filter::on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) {
  const int code = headers.status_code();
  if (code == 101 || code == 206) {
    // A tunnel; a part.
  } else if (!end) {
    begin(response_, settings_.response, stream, headers);
  } else if (stream.request_headers().method() == "HEAD") {
    unmark(settings_.response, stream, headers);  // the headers of GET, RFC 9110 9.3.2
  }
  if (!response_) stream.leave_body_alone();
  return Action::kContinue;
}

Action Filter::on_response_data(filter::Stream& stream, Slices& data, bool end) {
  const Outcome outcome = decompress(response_, settings_.response, stream, data, end);
  return outcome == Outcome::kOk ? Action::kContinue : refuse_response(stream, outcome);
}

Action Filter::on_response_trailers(filter::Stream& stream, http::HeaderMap&) {
  if (!response_) return Action::kContinue;
  Slices rest;
  const Outcome outcome = decompress(response_, settings_.response, stream, rest, true);
  if (outcome != Outcome::kOk) return refuse_response(stream, outcome);
  stream.inject_data(rest);
  return Action::kContinue;
}

// Only the outermost coding, which is the last of the list, can be taken off.
bool Filter::unmark(const DirectionSettings& direction, filter::Stream& stream, http::HeaderMap& headers) const {
  if (!direction.enabled.get(stream.lane().slots())) return false;
  std::string_view codings = headers.get_all(HeaderId::kContentEncoding, stream.arena());
  size_t comma = codings.rfind(',');
  std::string_view last = http::trim_spaces(comma == std::string_view::npos ? codings : codings.substr(comma + 1));
  std::string_view ours = settings_.coders->coding().encoding();
  if (!http::equals_ignoring_case(last, ours) && !(ours == "gzip" && http::equals_ignoring_case(last, "x-gzip")))
    return false;
  if (!direction.ignore_no_transform &&
      http::list_contains(headers.get_all(HeaderId::kCacheControl, stream.arena()), "no-transform"))
    return false;
  if (comma == std::string_view::npos) {
    headers.remove(HeaderId::kContentEncoding);
  } else {
    headers.set(HeaderId::kContentEncoding, http::trim_spaces(codings.substr(0, comma)));
  }
  headers.remove(HeaderId::kContentLength);
  headers.remove(HeaderId::kAcceptRanges);
  // A strong validator is that of the coded bytes (RFC 9110 8.8.3).
  std::string_view etag = headers.get(HeaderId::kEtag);
  if (etag.starts_with('"')) headers.set(HeaderId::kEtag, stream.arena().concat("W/", etag));
  return true;
}

void Filter::begin(Body& body, const DirectionSettings& direction, filter::Stream& stream, http::HeaderMap& headers) {
  if (!unmark(direction, stream, headers)) {
    direction.not_decompressed.inc();
    return;
  }
  body.coder = settings_.coders->take(stream.lane().index());
  direction.decompressed.inc();
}

void Filter::end(Body& body, filter::Stream& stream) const {
  body.coder.give_back();
  stream.host().hold_state(-static_cast<int64_t>(std::exchange(body.held, 0)));
}

Filter::Outcome Filter::decompress(Body& body, const DirectionSettings& direction, filter::Stream& stream, Slices& data,
                                   bool end) {
  body.empty &= data.empty();
  if (body.empty) {  // nothing of unstated length is nothing, not a coding that was cut short
    if (end) body.coder.give_back();
    return Outcome::kOk;
  }
  Slices plain;
  direction.compressed_bytes.add(data.size());
  http::Flush flush = end ? http::Flush::kEnd : http::Flush::kSync;
  if (body.coder->process(data, flush, plain, stream.lane().blocks()) != http::CodingResult::kOk) {
    direction.failed.inc();
    this->end(body, stream);
    return Outcome::kInvalid;
  }
  body.plain_bytes += plain.size();
  direction.uncompressed_bytes.add(plain.size());
  data = std::move(plain);
  if (end) {
    this->end(body, stream);
    return Outcome::kOk;
  }
  const uint64_t more = settings_.coders->coding().state_bytes(body.plain_bytes) - body.held;
  if (more == 0) return Outcome::kOk;
  if (!stream.host().may_hold_state(more)) {
    direction.failed_memory.inc();
    this->end(body, stream);
    return Outcome::kNoMemory;
  }
  stream.host().hold_state(static_cast<int64_t>(more));
  body.held += more;
  return Outcome::kOk;
}

namespace {

void read_direction(const pb::Decompressor::CommonDirectionConfig& proto, filter::FactoryScope& scope,
                    const std::string& prefix, DirectionSettings& direction) {
  direction.enabled.default_value = true;
  if (proto.has_enabled()) direction.enabled = scope.translator().runtime_flag(proto.enabled());
  direction.ignore_no_transform = proto.ignore_no_transform_header();
  direction.decompressed = scope.counter(prefix + "decompressed");
  direction.not_decompressed = scope.counter(prefix + "not_decompressed");
  direction.uncompressed_bytes = scope.counter(prefix + "total_uncompressed_bytes");
  direction.compressed_bytes = scope.counter(prefix + "total_compressed_bytes");
  direction.failed = scope.counter(prefix + "failed");
  direction.failed_memory = scope.counter(prefix + "failed_memory");
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::Decompressor& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    auto coding = filter::make_extension<http::ContentCoding>("decompressor_library", proto.decompressor_library(),
                                                              scope, "decompressor_library");
    if (coding == nullptr) return std::shared_ptr<const Config>();
    std::string prefix =
        "decompressor." + proto.decompressor_library().name() + "." + std::string(coding->stat_name()) + ".";
    config->coders = std::make_shared<const http::CoderPool>(std::move(coding));
    const auto& request = proto.request_direction_config();
    read_direction(request.common_config(), scope, prefix + "request.", config->request);
    read_direction(proto.response_direction_config().common_config(), scope, prefix + "response.", config->response);
    config->advertise = !request.has_advertise_accept_encoding() || request.advertise_accept_encoding().value();
    return std::shared_ptr<const Config>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::decompressor

namespace weir::plugins {
void http_filter_decompressor(filter::RegistryBuilder& registry) {
  using namespace filters::decompressor;
  registry.add(filter::describe_http_filter<Config, Plugin>("envoy.filters.http.decompressor"));
}
}  // namespace weir::plugins
