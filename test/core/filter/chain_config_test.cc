#include "core/filter/chain_config.h"

#include <bitset>

#include <gtest/gtest.h>

#include "core/filter/flow_control.h"
#include "test/support/filter_harness.h"
#include "test/support/pass_through.h"

namespace weir::test {
namespace {

using filter::HttpChainConfig;

struct HeadersOnly final : filter::HttpFilter {
  explicit HeadersOnly(const PassThroughConfig&) {}
  filter::Action on_response_headers(filter::Stream&, http::HeaderMap&, bool) override {
    return filter::Action::kContinue;
  }
};
struct Last final : filter::HttpFilter {
  static constexpr bool kTerminal = true;
  explicit Last(const PassThroughConfig&) {}
  filter::Action on_request_headers(filter::Stream&, http::HeaderMap&, bool) override {
    return filter::Action::kContinue;
  }
};

const filter::HttpFilterDescriptor headers_only = describe_for_test<PassThroughConfig, HeadersOnly>("headers_only");
const filter::HttpFilterDescriptor last = describe_for_test<PassThroughConfig, Last>("last");

filter::HttpFilterEntry entry(const filter::HttpFilterDescriptor& descriptor) {
  return {
      .descriptor = &descriptor, .config = std::make_shared<PassThroughConfig>(), .name = std::string(descriptor.name)};
}

TEST(ChainConfig, SaysWhatIsWrong) {
  EXPECT_EQ(message_of(HttpChainConfig::build({}).status()),
            "http_filters: must not be empty; the last filter is the router");
  EXPECT_NE(message_of(HttpChainConfig::build({entry(headers_only)}).status())
                .find("http_filters[0]: headers_only is not terminal"),
            std::string::npos);
  EXPECT_NE(
      message_of(HttpChainConfig::build({entry(last), entry(last)}).status()).find("http_filters[0]: last is terminal"),
      std::string::npos);
  std::vector<filter::HttpFilterEntry> many(64, entry(headers_only));
  many.push_back(entry(last));
  EXPECT_NE(message_of(HttpChainConfig::build(many).status()).find("65 filters; at most 64"), std::string::npos);
}

// Only hooks that a class overrides are visited; the response's steps count from the end.
TEST(ChainConfig, MasksNameTheHooksThatExist) {
  auto chain = *HttpChainConfig::build({entry(headers_only), five_pass_through_filters()[0], entry(last)});
  auto first_three = [](uint64_t mask) { return std::bitset<3>(mask >> 61).to_string(); };
  EXPECT_EQ(first_three(chain->request_route().headers), "011");
  EXPECT_EQ(first_three(chain->request_route().data), "010");
  EXPECT_EQ(first_three(chain->request_route().trailers), "010");
  EXPECT_EQ(first_three(chain->response_route().headers), "011");
  EXPECT_EQ(first_three(chain->response_route().data), "010");
  EXPECT_EQ(first_three(chain->complete_mask()), "010");
  EXPECT_EQ(first_three(chain->enabled_mask()), "111");
  EXPECT_EQ(chain->enabled_mask() << 3, 0u);
}

TEST(ChainConfig, SixtyFourFiltersRun) {
  std::vector<filter::HttpFilterEntry> many;
  for (int i = 0; i < 63; ++i) many.push_back(five_pass_through_filters()[static_cast<size_t>(i % 5)]);
  FilterHarness harness(many);  // adds the last one
  harness.send_headers({{":method", "POST"}});
  harness.send_data("x");
  harness.send_trailers({{"x-end", "1"}});
  harness.respond_headers({{":status", "200"}});
  harness.respond_data("y");
  harness.respond_trailers({{"x-end", "1"}});
  harness.run(10ms);
  EXPECT_TRUE(harness.request().ended);
  EXPECT_TRUE(harness.response().ended);
}

struct CountingReader final : filter::FlowControl::Reader {
  void on_flow(filter::FlowControl&, bool blocked) override { (blocked ? blocks : unblocks)++; }
  int blocks = 0;
  int unblocks = 0;
};

TEST(FlowControl, RunsOnlyWhileNoReasonIsLeft) {
  filter::FlowControl flow;
  CountingReader reader;
  flow.set_reader(&reader);
  flow.unblock(filter::FlowReason::kFilter);
  EXPECT_EQ(reader.unblocks, 0);
  flow.block(filter::FlowReason::kUpstreamFull);
  flow.block(filter::FlowReason::kFilter);
  flow.block(filter::FlowReason::kFilter);
  EXPECT_EQ(flow.reasons_text(), "upstream_full,filter");
  flow.unblock(filter::FlowReason::kUpstreamFull);
  EXPECT_TRUE(flow.blocked());
  EXPECT_EQ(reader.unblocks, 0);
  flow.unblock(filter::FlowReason::kFilter);
  EXPECT_FALSE(flow.blocked());
  EXPECT_EQ(reader.blocks, 1);
  EXPECT_EQ(reader.unblocks, 1);
}

}  // namespace
}  // namespace weir::test
