// What filters cost streams that they leave as they are, or only mark: no heap.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/csrf/v3/csrf.pb.h"
#include "envoy/extensions/filters/http/decompressor/v3/decompressor.pb.h"
#include "test/support/descriptor.h"
#include "test/support/filter_harness.h"
#include "test/support/plugin_scope.h"

namespace {
std::atomic<uint64_t> allocations{0};
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size);
}
void* operator new(size_t size) {
  void* memory = operator new(size, std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

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
    uint64_t now = allocations.load(std::memory_order_relaxed);
    if (inside) total_ += now - start;
    inside = !inside;
    start = allocations.load(std::memory_order_relaxed);
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
                                                plugins.http_filter(csrf), plugins.http_filter(compressor),
                                                plugins.http_filter(decompressor)};
  ASSERT_TRUE(plugins.error_texts().empty());
  const Headers request = {{":method", "POST"},
                           {":authority", "a.example"},
                           {":path", "/"},
                           {"content-type", "application/x-own"},
                           {"origin", "https://a.example"},
                           {"accept-encoding", "br"}};
  EXPECT_EQ(
      heap_calls(chain, request, {{":status", "200"}, {"content-type", "text/plain"}, {"vary", "Accept"}}, policy), 0u);
  Headers accepting = request;
  accepting.back().second = "gzip";
  EXPECT_EQ(heap_calls(chain, accepting, {{":status", "200"}, {"content-type", "image/png"}}, policy), 0u);
  EXPECT_EQ(heap_calls(chain, accepting, {{":status", "200"}, {"cache-control", "no-transform"}}), 0u);
}

}  // namespace
}  // namespace weir::test
