// Which streams each kind of log filter takes. Their configuration is in test/core/config.
#include "core/match/log_filter.h"

#include <gtest/gtest.h>

#include "core/stream/metadata.h"
#include "test/support/test_lane.h"

namespace weir::match {
namespace {

using enum Comparison;
using stream::AccessLogType;
using stream::ResponseFlag;

class LogFilterTest : public testing::Test {
 protected:
  bool passes(const LogFilterPtr& filter) {
    return filter->passes({info_, &request_, &response_, nullptr, {}, type_}, lane_);
  }
  static LogFilterPtr status(Comparison comparison, uint32_t value) { return status_code_filter(comparison, {value}); }

  test::TestLane lane_;
  ArenaPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_};
  http::HeaderMap response_{arena_};
  stream::StreamInfo info_;
  AccessLogType type_ = AccessLogType::kDownstreamEnd;
};

TEST_F(LogFilterTest, StatusCodes) {
  std::string taken;
  for (uint16_t code : {0, 499, 500, 501}) {
    info_.response_code = code;
    for (Comparison comparison : {kEqual, kAtLeast, kAtMost, kNotEqual})
      taken += passes(status(comparison, 500)) ? "=><!"[static_cast<int>(comparison)] : '-';
    taken += ' ';
  }
  EXPECT_EQ(taken, "--<! --<! =><- ->-! ");
}

TEST_F(LogFilterTest, Durations) {
  lane_.advance(1s);
  info_.start = lane_.lane().now();
  const LogFilterPtr slow = duration_filter(kAtLeast, {250});
  EXPECT_FALSE(passes(slow));
  lane_.advance(249ms);
  EXPECT_FALSE(passes(slow));
  lane_.advance(1ms);
  EXPECT_TRUE(passes(slow)) << "of a stream that goes on: until now";
  info_.end = info_.start + 100ms;
  EXPECT_FALSE(passes(slow));
  EXPECT_TRUE(passes(duration_filter(kEqual, {100})));
}

TEST_F(LogFilterTest, HealthChecks) {
  EXPECT_TRUE(passes(not_health_check_filter()));
  info_.health_check = true;
  EXPECT_FALSE(passes(not_health_check_filter()));
}

TEST_F(LogFilterTest, AShareByTheRequestId) {
  const LogFilterPtr half = runtime_filter({.default_value = {50, 100}}, false);
  request_.add(http::HeaderId::kXRequestId, "00000031-0000-4000-8000-000000000000");  // 49
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(passes(half));
  request_.set(http::HeaderId::kXRequestId, "00000032-0000-4000-8000-000000000000");  // 50
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(passes(half));
  // Without one, or if that is wanted, by chance; the lane's seed is fixed.
  auto taken = [&](const LogFilterPtr& filter) {
    int count = 0;
    for (int i = 0; i < 1000; ++i) count += passes(filter) ? 1 : 0;
    return count;
  };
  EXPECT_NEAR(taken(runtime_filter({.default_value = {50, 100}}, true)), 500, 100);
  for (std::string_view id : {"", "0000003", "0000003x-"}) {
    request_.set(http::HeaderId::kXRequestId, id);
    EXPECT_NEAR(taken(half), 500, 100) << id;
  }
}

TEST_F(LogFilterTest, AllAndAny) {
  auto filters = [](uint32_t first, uint32_t second) {
    std::vector<LogFilterPtr> list;
    list.push_back(status(kAtLeast, first));
    list.push_back(status(kAtLeast, second));
    return list;
  };
  info_.response_code = 300;
  EXPECT_TRUE(passes(all_of_filter(filters(200, 300))));
  EXPECT_FALSE(passes(all_of_filter(filters(200, 400))));
  EXPECT_TRUE(passes(any_of_filter(filters(400, 200))));
  EXPECT_FALSE(passes(any_of_filter(filters(400, 500))));
}

TEST_F(LogFilterTest, HeadersOfTheRequest) {
  HeaderMatcherSpec spec;
  spec.name = "x-debug";
  const LogFilterPtr filter = header_filter(*HeaderMatcher::build(spec));
  response_.add_copy("x-debug", "1");
  EXPECT_FALSE(passes(filter));
  request_.add_copy("x-debug", "1");
  EXPECT_TRUE(passes(filter));
  EXPECT_FALSE(filter->passes({info_}, lane_)) << "its head was never read";
}

TEST_F(LogFilterTest, Flags) {
  stream::ResponseFlags wanted;
  const LogFilterPtr any = response_flag_filter(wanted);
  wanted.set(ResponseFlag::kLocalReset);
  const LogFilterPtr one = response_flag_filter(wanted);
  EXPECT_FALSE(passes(any));
  info_.flags.set(ResponseFlag::kDownstreamConnectionTermination);
  EXPECT_TRUE(passes(any));
  EXPECT_FALSE(passes(one));
  info_.flags.set(ResponseFlag::kLocalReset);
  EXPECT_TRUE(passes(one));
}

TEST_F(LogFilterTest, GrpcStatus) {
  const LogFilterPtr unavailable = grpc_status_filter(1 << 14, false);
  const LogFilterPtr others = grpc_status_filter(1 << 14, true);
  auto both = [&] { return std::string(passes(unavailable) ? "is " : "") + (passes(others) ? "is not" : ""); };
  EXPECT_EQ(both(), "is not") << "no response at all";
  response_.add(http::HeaderId::kStatus, "200");
  response_.add(http::HeaderId::kGrpcStatus, "14");
  EXPECT_EQ(both(), "is ");
  http::HeaderMap trailers(arena_);
  trailers.add(http::HeaderId::kGrpcStatus, "0");
  const stream::LogSubject subject{info_, &request_, &response_, &trailers, {}, type_};
  EXPECT_FALSE(unavailable->passes(subject, lane_)) << "trailers count more";
  response_.set(http::HeaderId::kGrpcStatus, "99");
  EXPECT_EQ(both(), "is not");
}

TEST_F(LogFilterTest, DynamicMetadata) {
  auto filter = [](bool if_missing) {
    return metadata_filter(MetadataMatcher({"ns", "key"}, ValueMatcher::number_is(5), false), if_missing);
  };
  EXPECT_FALSE(passes(filter(false)));
  EXPECT_TRUE(passes(filter(true)));
  stream::Metadata metadata(arena_);
  info_.metadata = &metadata;
  metadata.set("ns", "other", stream::Value::of_number(5));
  EXPECT_FALSE(passes(filter(false)));
  EXPECT_TRUE(passes(filter(true)));
  metadata.set("ns", "key", stream::Value::of_number(5));
  EXPECT_TRUE(passes(filter(false)));
  metadata.set("ns", "key", stream::Value::of_number(6));
  EXPECT_FALSE(passes(filter(true))) << "it is not missing";
}

TEST_F(LogFilterTest, TypesOfLines) {
  std::bitset<static_cast<size_t>(AccessLogType::kCount)> types;
  types.set(static_cast<size_t>(AccessLogType::kDownstreamStart));
  EXPECT_FALSE(passes(log_type_filter(types, false)));
  EXPECT_TRUE(passes(log_type_filter(types, true)));
  type_ = AccessLogType::kDownstreamStart;
  EXPECT_TRUE(passes(log_type_filter(types, false)));
  EXPECT_FALSE(passes(log_type_filter(types, true)));
}

TEST_F(LogFilterTest, AFilteredLoggerLogsWhatPasses) {
  struct Counter final : stream::AccessLogger {
    void log(const stream::LogSubject&, event::Lane&) const override { ++lines; }
    mutable int lines = 0;
  };
  auto counter = std::make_shared<Counter>();
  const auto logger = filtered(status(kAtLeast, 500), counter);
  info_.response_code = 200;
  logger->log({info_}, lane_);
  EXPECT_EQ(counter->lines, 0);
  info_.response_code = 503;
  logger->log({info_}, lane_);
  EXPECT_EQ(counter->lines, 1);
}

}  // namespace
}  // namespace weir::match
