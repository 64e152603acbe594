// envoy.filters.http.upstream_codec: the last filter of a chain between the router and an upstream. What it does is
// core/proxy/upstream_chain.h.
#include "core/filter/register.h"
#include "core/proxy/upstream_chain.h"
#include "envoy/extensions/filters/http/upstream_codec/v3/upstream_codec.pb.h"

namespace weir::filters::upstream_codec {
namespace {

struct Config {
  static Result<std::shared_ptr<const Config>> from_proto(
      const envoy::extensions::filters::http::upstream_codec::v3::UpstreamCodec&, filter::FactoryScope&) {
    return std::make_shared<const Config>();
  }
};

class Filter final : public proxy::UpstreamCodec {
 public:
  static constexpr bool kTerminal = true;
  static constexpr bool kUpstream = true;
  explicit Filter(const Config&) {}
};

}  // namespace
}  // namespace weir::filters::upstream_codec

namespace weir::plugins {

void http_filter_upstream_codec(filter::RegistryBuilder& registry) {
  using namespace filters::upstream_codec;
  filter::HttpFilterDescriptor descriptor =
      filter::describe_http_filter<Config, Filter>("envoy.filters.http.upstream_codec");
  descriptor.downstream = false;
  registry.add(std::move(descriptor));
}

}  // namespace weir::plugins
