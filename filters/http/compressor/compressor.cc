#include "filters/http/compressor/compressor.h"

#include <algorithm>

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/http/chars.h"
#include "core/http/parameters.h"
#include "core/http/vary.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"

namespace weir::filters::compressor {

using filter::Action;
using http::Flush;
using http::HeaderId;
namespace pb = envoy::extensions::filters::http::compressor::v3;

// What the compressors of a chain know of one stream together. In its arena.
struct Filter::Shared {
  static constexpr size_t kMaxOffers = 8;
  static constexpr char kKey = 0;

  Offer offers[kMaxOffers];
  uint8_t count = 0;
  bool decided = false;
  Chosen chosen;
  std::string_view accept_encoding;  // as the client sent it
};

namespace {

constexpr std::string_view kDefaultContentTypes[] = {
    "application/javascript",
    "application/json",
    "application/xhtml+xml",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/plain",
    "text/xml",
};

bool content_type_matches(const std::vector<std::string>& types, std::string_view value) {
  if (value.data() == nullptr) return true;  // nothing is said: as published
  const std::string_view type = http::without_parameters(value);
  return std::any_of(types.begin(), types.end(),
                     [&](const std::string& each) { return http::equals_ignoring_case(each, type); });
}

// What a body of unknown length is taken for until more of it has come.
constexpr uint64_t kUsualBody = 256 * 1024;
constexpr uint64_t kMostGathered = 64 * 1024;

bool is_weak(std::string_view etag) { return etag.starts_with("W/") || etag.starts_with("w/"); }

bool long_enough(const DirectionSettings& direction, const http::HeaderMap& headers) {
  uint64_t length = 0;
  if (!http::parse_decimal(headers.get(HeaderId::kContentLength), length) || length >= direction.min_content_length)
    return true;
  direction.stats.content_length_too_small.inc();
  return false;
}

// A part of a representation cannot be coded by itself (RFC 9110 14.4), a coded one not again, and no-transform is the
// sender's word (RFC 9111 5.2.2.6).
bool may_code(const http::HeaderMap& headers, Arena& arena) {
  return !headers.contains(HeaderId::kContentEncoding) && !headers.contains(HeaderId::kContentRange) &&
         !http::list_contains(headers.get_all(HeaderId::kCacheControl, arena), "no-transform");
}

}  // namespace

// --- The request ---------------------------------------------------------------------------------------------------

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) {
  decide_request(stream, headers, end);
  if (!request_.coded) stream.leave_body_alone();
  return Action::kContinue;
}

void Filter::decide_request(filter::Stream& stream, http::HeaderMap& headers, bool end) {
  if (headers.method() == "CONNECT") return;  // a tunnel has no representations
  const auto* route = stream.route_config<RouteSettings>();
  if (route != nullptr && route->disabled) return;
  const event::SlotTable& slots = stream.lane().slots();
  coders_ = route != nullptr && route->coders != nullptr ? route->coders.get() : settings_.coders.get();
  head_ = headers.method() == "HEAD";
  if ((route != nullptr && route->response_enabled) || settings_.response.enabled.get(slots)) {
    offer(stream, headers);
    bool remove = settings_.remove_accept_encoding;
    if (route != nullptr && route->remove_accept_encoding) remove = *route->remove_accept_encoding;
    if (remove) headers.remove(HeaderId::kAcceptEncoding);
  }
  const DirectionSettings& direction = settings_.request;
  // What comes behind an upgrade is the other protocol's.
  if (end || headers.contains(HeaderId::kUpgrade) || !direction.enabled.get(slots)) return;
  if (long_enough(direction, headers) && may_code(headers, stream.arena()) &&
      content_type_matches(direction.content_types, headers.get(HeaderId::kContentType)) &&
      reserve(request_, direction, stream, headers)) {
    begin(request_, direction, headers);
  } else {
    direction.stats.not_compressed.inc();
  }
}

// Tells the other compressors of the chain what this one can do for the response.
void Filter::offer(filter::Stream& stream, const http::HeaderMap& headers) {
  void*& slot = stream.shared(&Shared::kKey);
  if (slot == nullptr) {
    auto* made = stream.arena().make<Shared>();
    made->accept_encoding = headers.get_all(HeaderId::kAcceptEncoding, stream.arena());
    slot = made;
  }
  auto* shared = static_cast<Shared*>(slot);
  if (shared->count == Shared::kMaxOffers) return;
  shared_ = shared;
  offer_ = shared->count++;
  shared->offers[offer_] = {coders_->coding().encoding(), settings_.choose_first};
}

Action Filter::on_request_data(filter::Stream& stream, Slices& data, bool end) {
  compress(request_, settings_.request.stats, stream, data, end ? Flush::kEnd : request_.each);
  return Action::kContinue;
}

Action Filter::on_request_trailers(filter::Stream& stream, http::HeaderMap&) {
  if (request_.coded) {
    Slices rest;
    compress(request_, settings_.request.stats, stream, rest, Flush::kEnd);
    stream.inject_data(rest);
  }
  return Action::kContinue;
}

// --- The response --------------------------------------------------------------------------------------------------

// What the client may have is decided once, by the first filter that asks, for all of them.
bool Filter::accepted() {
  Shared& shared = *shared_;
  if (!shared.decided) {
    shared.decided = true;
    shared.chosen = choose_encoding(shared.accept_encoding, {shared.offers, shared.count});
  }
  const ResponseStats& stats = settings_.response_stats;
  switch (shared.chosen.choice) {
    case Choice::kNoHeader:
      stats.no_accept_header.inc();
      return false;
    case Choice::kNotAccepted:
      stats.header_not_valid.inc();
      return false;
    case Choice::kIdentity:
      stats.header_identity.inc();
      return false;
    case Choice::kWildcard:
      if (shared.chosen.offer != offer_) return false;
      stats.header_wildcard.inc();
      return true;
    case Choice::kOffered:
      if (shared.chosen.offer != offer_) {
        stats.header_compressor_overshadowed.inc();
        return false;
      }
      stats.header_compressor_used.inc();
      return true;
  }
  return false;
}

// x-envoy-compression-status: "gzip;Compressed;OriginalLength=1024", one for each compressor.
void Filter::add_status(filter::Stream& stream, http::HeaderMap& headers, std::string_view what) const {
  static const http::HeaderName kStatus("x-envoy-compression-status");
  if (!settings_.status_header) return;
  Arena& arena = stream.arena();
  std::string_view value = arena.concat(coders_->coding().encoding(), ";", what);
  std::string_view length = headers.get(HeaderId::kContentLength);
  if (what == "Compressed" && length.data() != nullptr) value = arena.concat(value, ";OriginalLength=", length);
  headers.append_value(kStatus, value);
}

// What the configuration has against coding this response, as x-envoy-compression-status says it; empty: nothing.
std::string_view Filter::refusal(const http::HeaderMap& headers) const {
  const DirectionSettings& direction = settings_.response;
  if (!long_enough(direction, headers)) return "ContentLengthTooSmall";
  if (!content_type_matches(direction.content_types, headers.get(HeaderId::kContentType)))
    return "ContentTypeNotAllowed";
  if (settings_.disable_on_etag && !settings_.weaken_etag && headers.contains(HeaderId::kEtag)) {
    settings_.response_stats.not_compressed_etag.inc();
    return "EtagNotAllowed";
  }
  if (std::binary_search(settings_.uncompressible_codes.begin(), settings_.uncompressible_codes.end(),
                         static_cast<uint32_t>(headers.status_code())))
    return "StatusCodeNotAllowed";
  return {};
}

// A strong validator is that of the bytes (RFC 9110 8.8.3), which are others now.
void Filter::change_etag(filter::Stream& stream, http::HeaderMap& headers) const {
  std::string_view etag = headers.get(HeaderId::kEtag);
  if (etag.data() == nullptr || is_weak(etag)) return;
  if (settings_.weaken_etag) {
    headers.set(HeaderId::kEtag, stream.arena().concat("W/", etag));
  } else {
    headers.remove(HeaderId::kEtag);
  }
}

Action Filter::on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) {
  decide_response(stream, headers, end);
  if (!response_.coded) stream.leave_body_alone();
  return Action::kContinue;
}

void Filter::decide_response(filter::Stream& stream, http::HeaderMap& headers, bool end) {
  int code = headers.status_code();
  if (shared_ == nullptr || code == 101) return;  // 101: a tunnel from now on
  const DirectionSettings& direction = settings_.response;
  std::string_view refused = refusal(headers);
  if (!refused.empty()) add_status(stream, headers, refused);
  if (!refused.empty() || code == 206 || !may_code(headers, stream.arena())) {
    if (!end) direction.stats.not_compressed.inc();
    return;
  }
  // Caches must know that another client may get another body, whatever this one gets.
  http::add_vary(headers, "Accept-Encoding", stream.arena());
  // 304 stands for the answer that was coded, and has its headers (RFC 9110 15.4.5). Whoever has the weakened
  // validator gets that; one that was taken away cannot have been asked about.
  if (code == 304) {
    if (settings_.weaken_etag && accepted()) {
      change_etag(stream, headers);
      headers.remove(HeaderId::kContentLength);  // that of the answer without coding
    }
    return;
  }
  if (code == 204 || (end && !head_)) return;
  if (!accepted()) {
    if (!end) direction.stats.not_compressed.inc();
    return;
  }
  if (!head_ && !reserve(response_, direction, stream, headers)) {
    add_status(stream, headers, "MemoryLimit");
    direction.stats.not_compressed.inc();
    return;
  }
  add_status(stream, headers, "Compressed");
  change_etag(stream, headers);
  headers.remove(HeaderId::kAcceptRanges);
  if (head_) {
    mark_coded(headers);  // the headers of GET, RFC 9110 9.3.2
  } else {
    begin(response_, direction, headers);
  }
}

Action Filter::on_response_data(filter::Stream& stream, Slices& data, bool end) {
  compress(response_, settings_.response.stats, stream, data, end ? Flush::kEnd : response_.each);
  return Action::kContinue;
}

Action Filter::on_response_trailers(filter::Stream& stream, http::HeaderMap&) {
  if (response_.coded) {
    Slices rest;
    compress(response_, settings_.response.stats, stream, rest, Flush::kEnd);
    stream.inject_data(rest);
  }
  return Action::kContinue;
}

// --- Both ----------------------------------------------------------------------------------------------------------

void Filter::mark_coded(http::HeaderMap& headers) const {
  headers.remove(HeaderId::kContentLength);
  headers.set(HeaderId::kContentEncoding, coders_->coding().encoding());
}

bool Filter::reserve(Body& body, const DirectionSettings& direction, filter::Stream& stream,
                     const http::HeaderMap& headers) {
  // A body of unknown length may be a stream whose parts are waited for, so each is passed on at once; one of known
  // length is compressed as well as can be.
  uint64_t length = kUsualBody;
  const bool known = http::parse_decimal(headers.get(HeaderId::kContentLength), length);
  body.each = known ? Flush::kNone : Flush::kSync;
  uint64_t bytes = coders_->coding().state_bytes(length);
  // One that takes much less memory than a coder waits for its end by itself.
  if (known && length <= kMostGathered && length <= bytes / 4) {
    body.gathers = static_cast<uint32_t>(length);
    bytes = length;
  }
  if (!stream.host().may_hold_state(bytes)) {
    direction.stats.not_compressed_memory.inc();
    return false;
  }
  hold(body, stream, bytes);
  return true;
}

void Filter::hold(Body& body, filter::Stream& stream, uint64_t bytes) {
  stream.host().hold_state(static_cast<int64_t>(bytes - body.held));
  body.held = bytes;
}

void Filter::begin(Body& body, const DirectionSettings& direction, http::HeaderMap& headers) {
  body.coded = true;
  mark_coded(headers);
  direction.stats.compressed.inc();
}

void Filter::compress(Body& body, const DirectionStats& stats, filter::Stream& stream, Slices& data, Flush flush) {
  stats.uncompressed_bytes.add(data.size());
  BlockPool& blocks = stream.lane().blocks();
  if (flush == Flush::kNone && body.gathered.size() + data.size() <= body.gathers) {
    body.gathered.append_compact(data, blocks);
    return;
  }
  if (!body.gathered.empty()) {
    body.gathered.append_all(data);
    data = std::move(body.gathered);
  }
  if (!body.coder) body.coder = coders_->take(stream.lane().index());
  Slices coded;
  body.coded_bytes += data.size();
  body.coder->process(data, flush, coded, blocks);
  stats.compressed_bytes.add(coded.size());
  data = std::move(coded);
  if (flush == Flush::kEnd) {
    body.coder.give_back();
    hold(body, stream, 0);
  } else if (const uint64_t bytes = coders_->coding().state_bytes(body.coded_bytes); bytes > body.held) {
    hold(body, stream, bytes);
  }
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

DirectionStats direction_stats(filter::FactoryScope& scope, const std::string& prefix) {
  return {scope.counter(prefix + "compressed"),
          scope.counter(prefix + "not_compressed"),
          scope.counter(prefix + "total_uncompressed_bytes"),
          scope.counter(prefix + "total_compressed_bytes"),
          scope.counter(prefix + "content_length_too_small"),
          scope.counter(prefix + "not_compressed_memory")};
}

void read_direction(const pb::Compressor::CommonDirectionConfig& proto, filter::FactoryScope& scope,
                    DirectionSettings& direction) {
  direction.enabled.default_value = true;
  if (proto.has_enabled()) direction.enabled = scope.translator().runtime_flag(proto.enabled());
  if (proto.has_min_content_length()) direction.min_content_length = proto.min_content_length().value();
  direction.content_types.assign(proto.content_type().begin(), proto.content_type().end());
}

void finish_direction(filter::FactoryScope& scope, const std::string& prefix, DirectionSettings& direction) {
  if (direction.content_types.empty())
    direction.content_types.assign(std::begin(kDefaultContentTypes), std::end(kDefaultContentTypes));
  direction.stats = direction_stats(scope, prefix);
}

std::shared_ptr<const http::CoderPool> read_library(const envoy::config::core::v3::TypedExtensionConfig& proto,
                                                    filter::FactoryScope& scope, std::string_view field) {
  auto coding = filter::make_extension<http::ContentCoding>("compressor_library", proto, scope, field);
  return coding != nullptr ? std::make_shared<const http::CoderPool>(std::move(coding)) : nullptr;
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::Compressor& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->coders = read_library(proto.compressor_library(), scope, "compressor_library");
    if (config->coders == nullptr) return std::shared_ptr<const Config>();
    config->choose_first = proto.choose_first();
    std::string prefix = "compressor." + proto.compressor_library().name() + "." +
                         std::string(config->coders->coding().stat_name()) + ".";
    if (proto.has_request_direction_config()) {
      read_direction(proto.request_direction_config().common_config(), scope, config->request);
    }
    finish_direction(scope, prefix + "request.", config->request);
    std::string response_prefix = prefix;
    if (proto.has_response_direction_config()) {
      const auto& response = proto.response_direction_config();
      read_direction(response.common_config(), scope, config->response);
      config->disable_on_etag = response.disable_on_etag_header();
      config->weaken_etag = response.weaken_etag_on_compress();
      config->remove_accept_encoding = response.remove_accept_encoding_header();
      config->status_header = response.status_header_enabled();
      config->uncompressible_codes.assign(response.uncompressible_response_codes().begin(),
                                          response.uncompressible_response_codes().end());
      std::sort(config->uncompressible_codes.begin(), config->uncompressible_codes.end());
      response_prefix += "response.";
    } else {  // the deprecated fields
      config->response.enabled.default_value = true;
      if (proto.has_runtime_enabled())
        config->response.enabled = scope.translator().runtime_flag(proto.runtime_enabled());
      if (proto.has_content_length()) config->response.min_content_length = proto.content_length().value();
      config->response.content_types.assign(proto.content_type().begin(), proto.content_type().end());
      config->disable_on_etag = proto.disable_on_etag_header();
      config->remove_accept_encoding = proto.remove_accept_encoding_header();
    }
    finish_direction(scope, response_prefix, config->response);
    config->response_stats = {scope.counter(response_prefix + "no_accept_header"),
                              scope.counter(response_prefix + "header_identity"),
                              scope.counter(response_prefix + "header_compressor_used"),
                              scope.counter(response_prefix + "header_compressor_overshadowed"),
                              scope.counter(response_prefix + "header_wildcard"),
                              scope.counter(response_prefix + "header_not_valid"),
                              scope.counter(response_prefix + "not_compressed_etag")};
    return std::shared_ptr<const Config>(std::move(config));
  }
};

struct RouteConfigOf : RouteSettings {
  static Result<std::shared_ptr<const RouteConfigOf>> from_proto(const pb::CompressorPerRoute& proto,
                                                                 filter::FactoryScope& scope) {
    auto config = std::make_shared<RouteConfigOf>();
    config->disabled = proto.disabled();
    const auto& overrides = proto.overrides();
    config->response_enabled = overrides.has_response_direction_config();
    if (overrides.response_direction_config().has_remove_accept_encoding_header())
      config->remove_accept_encoding = overrides.response_direction_config().remove_accept_encoding_header().value();
    if (overrides.has_compressor_library())
      config->coders = read_library(overrides.compressor_library(), scope, "overrides.compressor_library");
    return std::shared_ptr<const RouteConfigOf>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  using RouteConfig = RouteConfigOf;
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::compressor

namespace weir::plugins {
void http_filter_compressor(filter::RegistryBuilder& registry) {
  using namespace filters::compressor;
  registry.add(filter::describe_http_filter<Config, Plugin>("envoy.filters.http.compressor"));
}
}  // namespace weir::plugins
