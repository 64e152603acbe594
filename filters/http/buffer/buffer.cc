#include "filters/http/buffer/buffer.h"

#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "envoy/extensions/filters/http/buffer/v3/buffer.pb.h"

namespace weir::filters::buffer {
namespace pb = envoy::extensions::filters::http::buffer::v3;

namespace {

uint32_t limit_of(const pb::Buffer& proto, filter::FactoryScope& scope) {
  if (!proto.has_max_request_bytes() || proto.max_request_bytes().value() == 0) {
    scope.error("max_request_bytes", "must be set, and greater than 0: bytes of a request body that may be held");
  }
  return proto.max_request_bytes().value();
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::Buffer& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->max_request_bytes = limit_of(proto, scope);
    return std::shared_ptr<const Config>(std::move(config));
  }
};

struct RouteSettings : Settings {
  static Result<std::shared_ptr<const RouteSettings>> from_proto(const pb::BufferPerRoute& proto,
                                                                 filter::FactoryScope& scope) {
    auto config = std::make_shared<RouteSettings>();
    if (proto.override_case() == pb::BufferPerRoute::OVERRIDE_NOT_SET)
      scope.error("", "one of disabled, buffer must be set");
    config->disabled = proto.disabled();
    if (proto.has_buffer()) {
      auto below = scope.below("buffer");
      config->max_request_bytes = limit_of(proto.buffer(), below);
    }
    return std::shared_ptr<const RouteSettings>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  using RouteConfig = RouteSettings;
  static constexpr bool kUpstream = true;
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace

filter::Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap&, bool end) {
  const Settings* settings = stream.route_config<Settings>();
  if (settings == nullptr) settings = &settings_;
  if (end || settings->disabled) {
    stream.leave_body_alone();
  } else {
    stream.buffer_body(settings->max_request_bytes);
  }
  return filter::Action::kContinue;
}

// With the body known as a whole, its length is too (unless trailers make it chunked anyway).
filter::Action Filter::on_request_data(filter::Stream& stream, Slices& data, bool end) {
  if (end && !stream.request_headers().contains(http::HeaderId::kContentLength)) {
    stream.request_headers().add(http::HeaderId::kContentLength, stream.arena().number(data.size()));
  }
  return filter::Action::kContinue;
}

filter::HttpFilterDescriptor describe() {
  return filter::describe_http_filter<Config, Plugin>("envoy.filters.http.buffer");
}

}  // namespace weir::filters::buffer

namespace weir::plugins {
void http_filter_buffer(filter::RegistryBuilder& registry) { registry.add(filters::buffer::describe()); }
}  // namespace weir::plugins
