// What filters cost streams that they leave as they are, or only mark: no heap.
#include <gtest/gtest.h>

#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/csrf/v3/csrf.pb.h"
#include "envoy/extensions/filters/http/decompressor/v3/decompressor.pb.h"
#include "envoy/extensions/filters/http/grpc_http1_bridge/v3/config.pb.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"
#include "envoy/extensions/filters/http/grpc_web/v3/grpc_web.pb.h"
#include "envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/set_metadata/v3/set_metadata.pb.h"
#include "test/support/count_allocations.h"
#include "test/support/descriptor.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

struct Count {
  uint64_t* total;
};

// Two of them count what happens between them, in both directions.
class Probe final : public filter::HttpFilter {
 public:
  explicit Probe(const Count& count) : total_(*count.total) {}
  filter::Action on_request_headers(filter::Stream&, http::HeaderMap&, bool) override { return pass(); }
  filter::Action on_request_data(filter::Stream&, Slices&, bool) override { return pass(); }
  filter::Action on_response_headers(filter::Stream&, http::HeaderMap&, bool) override { return pass(); }
  filter::Action on_response_data(filter::Stream&, Slices&, bool) override { return pass(); }

 private:
  filter::Action pass() {
    uint64_t now = allocations;
    if (inside) total_ += now - start;
    inside = !inside;
    start = allocations;
    return filter::Action::kContinue;
  }
  static inline bool inside = false;
  static inline uint64_t start = 0;
  uint64_t& total_;
};

uint64_t heap_calls(std::vector<filter::HttpFilterEntry> filters, const Headers& request, const Headers& response,
                    std::shared_ptr<const void> cors = nullptr) {
  static const filter::HttpFilterDescriptor probe = describe_for_test<Count, Probe>("weir.test.probe");
  uint64_t total = 0;
  auto count = std::make_shared<const Count>(Count{&total});
  filters.insert(filters.begin(), {.descriptor = &probe, .config = count, .name = "outer"});
  filters.push_back({.descriptor = &probe, .config = count, .name = "inner"});
  FilterHarness harness(filters);
  if (cors != nullptr) harness.set_route_config("envoy.filters.http.cors", std::move(cors));
  harness.send_headers(request);
  harness.send_data("a body", true);
  harness.run(20ms);
  harness.respond_headers(response);
  harness.respond_data(std::string(1000, 'x'), true);
  harness.run();
  EXPECT_TRUE(harness.response().ended);
  EXPECT_EQ(harness.response().body, std::string(1000, 'x'));
  return total;
}

TEST(NoHeap, ForWhatIsOnlyLookedAt) {
  namespace filters = envoy::extensions::filters::http;
  namespace compression = envoy::extensions::compression;
  PluginScope plugins;
  filters::compressor::v3::Compressor compressor;
  compressor.mutable_compressor_library()->mutable_typed_config()->PackFrom(compression::gzip::compressor::v3::Gzip());
  compressor.mutable_response_direction_config();
  compressor.mutable_request_direction_config();
  filters::decompressor::v3::Decompressor decompressor;
  decompressor.mutable_decompressor_library()->mutable_typed_config()->PackFrom(
      compression::gzip::decompressor::v3::Gzip());
  filters::csrf::v3::CsrfPolicy csrf;
  csrf.mutable_filter_enabled()->mutable_default_value()->set_numerator(100);
  filters::cors::v3::CorsPolicy cors;
  cors.add_allow_origin_string_match()->set_suffix(".example");
  auto policy = plugins.route_config(cors);
  std::vector<filter::HttpFilterEntry> chain = {plugins.http_filter(filters::cors::v3::Cors()),
                                                plugins.http_filter(csrf),
                                                plugins.http_filter(compressor),
                                                plugins.http_filter(decompressor),
                                                plugins.http_filter(filters::grpc_web::v3::GrpcWeb()),
                                                plugins.http_filter(filters::grpc_http1_bridge::v3::Config()),
                                                plugins.http_filter(filters::grpc_stats::v3::FilterConfig())};
  ASSERT_TRUE(plugins.error_texts().empty());
  const Headers request = {{":method", "POST"},
                           {":authority", "a.example"},
                           {":path", "/"},
                           {"content-type", "application/x-own"},
                           {"origin", "https://a.example"},
                           {"accept-encoding", "br"}};
  Headers accepting = request;
  accepting.back().second = "gzip";
  const auto all_calls = [&] {
    return heap_calls(chain, request, {{":status", "200"}, {"content-type", "text/plain"}, {"vary", "Accept"}},
                      policy) +
           heap_calls(chain, accepting, {{":status", "200"}, {"content-type", "image/png"}}, policy) +
           heap_calls(chain, accepting, {{":status", "200"}, {"cache-control", "no-transform"}});
  };
  all_calls();  // warms up what a process keeps: names of headers
  EXPECT_EQ(all_calls(), 0u);
}

template <class Proto>
filter::HttpFilterEntry filter_of(PluginScope& plugins, const std::string& text) {
  return plugins.http_filter(parsed<Proto>(text));
}

TEST(NoHeap, ForDecisionsAndMetadata) {
  namespace filters = envoy::extensions::filters::http;
  PluginScope plugins;
  const std::vector<filter::HttpFilterEntry> chain = {
      filter_of<filters::header_to_metadata::v3::Config>(
          plugins,
          "request_rules { header: 'origin' on_header_present { metadata_namespace: 'ns' key: 'o' } } "
          "request_rules { header: 'x' on_header_missing { metadata_namespace: 'ns' key: 'x' value: '1' type: NUMBER } "
          "}"),
      filter_of<filters::set_metadata::v3::Config>(plugins,
                                                   "metadata { metadata_namespace: 'ns' allow_overwrite: true value { "
                                                   "fields { key: 'k' value { bool_value: true } } } }"),
      filter_of<filters::rbac::v3::RBAC>(
          plugins,
          "rules { policies { key: 'p' value { permissions { and_rules { rules { url_path { path { prefix: '/' } } } "
          "rules { "
          "header { name: 'origin' string_match { suffix: '.example' } } } } } principals { sourced_metadata { "
          "metadata_matcher { filter: 'ns' path { key: 'x' } value { double_match { exact: 1 } } } } } } } }"),
      filter_of<filters::local_ratelimit::v3::LocalRateLimit>(
          plugins,
          "stat_prefix: 'x' filter_enabled { default_value { numerator: 100 } } token_bucket { max_tokens: 9 "
          "fill_interval { "
          "seconds: 1 } } enable_x_ratelimit_headers: DRAFT_VERSION_03 descriptors { entries { key: 'o' value: "
          "'https://a.example' } token_bucket { max_tokens: 9 fill_interval { seconds: 1 } } } rate_limits { actions { "
          "request_headers { header_name: 'origin' descriptor_key: 'o' } } }")};
  ASSERT_TRUE(plugins.error_texts().empty()) << plugins.error_texts().front();
  const Headers request = {{":method", "GET"}, {":authority", "a"}, {":path", "/"}, {"origin", "https://a.example"}};
  heap_calls(chain, request, {{":status", "200"}});  // buffers that keep their room
  EXPECT_EQ(heap_calls(chain, request, {{":status", "200"}}), 0u);
  EXPECT_EQ(plugins.store().counter("x.http_local_rate_limit.ok").value(), 2u);
  EXPECT_EQ(plugins.store().counter("test.rbac.allowed").value(), 2u);
}

// Buckets for values that come and go, and formats that make them, once the buffers have their room.
TEST(NoHeap, ForValuesThatNobodyKnew) {
  PluginScope plugins;
  std::vector<filter::HttpFilterEntry> chain = {filter_of<
      envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit>(
      plugins,
      "stat_prefix: 'x' filter_enabled { default_value { numerator: 100 } } descriptors { entries { key: 'generic_key' "
      "} "
      "entries { key: 'o' } token_bucket { max_tokens: 9 fill_interval { seconds: 1 } } } max_dynamic_descriptors { "
      "value: "
      "3 } rate_limits { actions { generic_key { descriptor_value: 'of %REQ(origin)%' } } actions { request_headers { "
      "header_name: 'origin' descriptor_key: 'o' } } hits_addend { format: '%REQ(x-cost)%' } }")};
  ASSERT_TRUE(plugins.error_texts().empty()) << plugins.error_texts().front();
  Headers request = {{":method", "GET"}, {":authority", "a"}, {":path", "/"}, {"origin", "0"}, {"x-cost", "5"}};
  heap_calls(chain, request, {{":status", "200"}});
  for (int i = 0; i < 10; ++i) {
    request[3].second = std::to_string(i);
    EXPECT_EQ(heap_calls(chain, request, {{":status", "200"}}), 0u);
  }
  EXPECT_EQ(plugins.store().counter("x.http_local_rate_limit.ok").value(), 10u);
  EXPECT_EQ(plugins.store().counter("x.http_local_rate_limit.rate_limited").value(), 1u);  // 0 again
}

}  // namespace
}  // namespace weir::test
