#include "core/grpc/status.h"

#include <gtest/gtest.h>

#include <map>

#include "test/support/test_lane.h"

namespace weir::grpc {
namespace {

class GrpcStatus : public ::testing::Test {
 protected:
  std::string read(int http, const std::map<std::string, std::string>& fields) {
    http::HeaderMap map(arena_);
    for (const auto& [name, value] : fields) map.add_copy(name, value);
    const Status status = read_status(map, http);
    return std::string(code_name(status.code)) + (status.origin == Status::Origin::kServer ? " " : "* ") +
           status.message;
  }
  ArenaPool pool_;
  Arena arena_{pool_};
};

TEST_F(GrpcStatus, OfTrailers) {
  EXPECT_EQ(read(200, {{"grpc-status", "0"}}), "OK ");
  EXPECT_EQ(read(200, {{"grpc-status", "16"}, {"grpc-message", "who%3F"}}), "UNAUTHENTICATED who?");
  EXPECT_EQ(read(503, {{"grpc-status", "5"}}), "NOT_FOUND ");
  EXPECT_EQ(read(200, {{"grpc-status", "17"}, {"grpc-message", "new"}}), "UNKNOWN new");
  for (const std::string none : {"", "-1", "x", "1x", "99999999999999999999"}) {
    EXPECT_EQ(read(200, {{"grpc-status", none}}), "UNKNOWN the server has ended the call with a status that is none");
  }
}

TEST_F(GrpcStatus, WithoutOne) {
  EXPECT_EQ(read(200, {}), "UNKNOWN* the server has ended the call without a status");
  for (const auto& [http, name] : std::map<int, std::string>{{400, "INTERNAL"},
                                                             {401, "UNAUTHENTICATED"},
                                                             {403, "PERMISSION_DENIED"},
                                                             {404, "UNIMPLEMENTED"},
                                                             {418, "UNKNOWN"},
                                                             {429, "UNAVAILABLE"},
                                                             {500, "UNKNOWN"},
                                                             {502, "UNAVAILABLE"},
                                                             {503, "UNAVAILABLE"},
                                                             {504, "UNAVAILABLE"}}) {
    EXPECT_EQ(read(http, {}), name + "* the server has answered with HTTP status " + std::to_string(http));
  }
}

TEST_F(GrpcStatus, Messages) {
  EXPECT_EQ(decode_message("no%2C 100%25 sure"), "no, 100% sure");
  EXPECT_EQ(decode_message("%C3%a4%"), "\xc3\xa4%");
  EXPECT_EQ(decode_message("%4%zz%4"), "%4%zz%4");
  EXPECT_EQ(decode_message(std::string(5000, 'x')).size(), 1024u);
}

TEST_F(GrpcStatus, Timeouts) {
  using namespace std::chrono_literals;
  EXPECT_EQ(encode_timeout(200ms, arena_), "200m");
  EXPECT_EQ(encode_timeout(1ns, arena_), "1m");
  EXPECT_EQ(encode_timeout(1500us, arena_), "2m");
  EXPECT_EQ(encode_timeout(99'999'999ms, arena_), "99999999m");
  EXPECT_EQ(encode_timeout(100'000'000ms, arena_), "100000S");
  EXPECT_EQ(encode_timeout(99'999'999s + 1ms, arena_), "1666667M");
  EXPECT_EQ(encode_timeout(Duration::max(), arena_), "2562048H");
}

}  // namespace
}  // namespace weir::grpc
