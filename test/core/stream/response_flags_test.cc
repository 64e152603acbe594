#include "core/stream/response_flags.h"

#include <gtest/gtest.h>

#include <set>

#include "core/stream/stream_info.h"

namespace weir::stream {
namespace {

TEST(ResponseFlags, NamesAreUniqueAndFound) {
  std::set<std::string_view> shorts;
  std::set<std::string_view> longs;
  for (int i = 0; i < static_cast<int>(ResponseFlag::kCount); ++i) {
    auto flag = static_cast<ResponseFlag>(i);
    EXPECT_TRUE(shorts.insert(short_name(flag)).second);
    EXPECT_TRUE(longs.insert(long_name(flag)).second);
    EXPECT_EQ(find_response_flag(short_name(flag)), flag);
  }
  // The published set.
  EXPECT_EQ(shorts,
            (std::set<std::string_view>{"UH",  "UF",  "UO",    "NR",   "URX",  "NC", "DT",   "DC",   "LH", "UT",
                                        "LR",  "UR",  "UC",    "DI",   "FI",   "RL", "UAEX", "RLSE", "IH", "SI",
                                        "DPE", "UPE", "UMSDR", "RFCF", "NFCF", "OM", "DF",   "DO",   "DR", "UDO"}));
  EXPECT_EQ(find_response_flag("XX"), ResponseFlag::kCount);
  EXPECT_EQ(short_name(ResponseFlag::kUnauthorizedExternalService), "UAEX");
  EXPECT_EQ(long_name(ResponseFlag::kOverloadManager), "OverloadManagerTerminated");
}

TEST(ResponseFlags, Set) {
  ResponseFlags flags;
  EXPECT_TRUE(flags.empty());
  flags.set(ResponseFlag::kUnconditionalDropOverload);
  EXPECT_TRUE(flags.has(ResponseFlag::kUnconditionalDropOverload));
  EXPECT_FALSE(flags.has(ResponseFlag::kDownstreamRemoteReset));
}

TEST(Protocol, Names) {
  EXPECT_EQ(protocol_name(Protocol::kNone), "");
  EXPECT_EQ(protocol_name(Protocol::kHttp10), "HTTP/1.0");
  EXPECT_EQ(protocol_name(Protocol::kHttp3), "HTTP/3");
}

}  // namespace
}  // namespace weir::stream
