// Messages in data, cut anywhere.
#include "core/grpc/framing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "test/support/grpc_messages.h"

namespace weir::grpc {
namespace {

using test::grpc_frame;

void add(Deframer& deframer, std::string_view bytes, BlockPool& pool) {
  Slices data;
  data.append_copy(bytes, pool);
  deframer.add(data, pool);
  EXPECT_TRUE(data.empty());
}

TEST(GrpcFraming, WhatIsFramedComesBackHoweverItIsCut) {
  BlockPool pool;
  const std::vector<std::string> messages = {"one", "", std::string(40000, 'x'), "four"};
  std::string all;
  for (const std::string& each : messages) {
    Slices message, out;
    message.append_copy(each, pool);
    frame(message, out, pool);
    EXPECT_TRUE(message.empty());
    EXPECT_EQ(out.to_string(), grpc_frame(each));
    all += out.to_string();
  }
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{5}, size_t{6}, size_t{1000}, all.size()}) {
    Deframer deframer(40000);
    std::vector<std::string> got;
    for (size_t at = 0; at < all.size(); at += piece) {
      add(deframer, std::string_view(all).substr(at, piece), pool);
      Slices message;
      while (deframer.next(message) == Deframer::Next::kMessage) {
        got.push_back(message.to_string());
        message.clear();
      }
    }
    EXPECT_EQ(got, messages) << piece;
    EXPECT_FALSE(deframer.partial());
  }
}

TEST(GrpcFraming, Faults) {
  BlockPool pool;
  const auto next = [&](const std::string& bytes, uint32_t limit) {
    Deframer deframer(limit);
    add(deframer, bytes, pool);
    Slices message;
    const Deframer::Next result = deframer.next(message);
    EXPECT_EQ(message.empty(), result != Deframer::Next::kMessage);
    return result;
  };
  EXPECT_EQ(next(grpc_frame("12345"), 5), Deframer::Next::kMessage);
  // As soon as the length is there, whatever has come of the message.
  EXPECT_EQ(next(grpc_frame("123456").substr(0, 5), 5), Deframer::Next::kTooLarge);
  EXPECT_EQ(next(std::string("\0\xff\xff\xff\xff", 5), 5), Deframer::Next::kTooLarge);
  EXPECT_EQ(next(std::string("\0\0\0\0", 4), 5), Deframer::Next::kMore);
  EXPECT_EQ(next(std::string("\1\0\0\0\1x", 6), 5), Deframer::Next::kCompressed);
  EXPECT_EQ(next(std::string("\2\0\0\0\1x", 6), 5), Deframer::Next::kBadFlag);
  EXPECT_EQ(next(std::string("\x81\0\0\0\1x", 6), 5), Deframer::Next::kBadFlag);
}

TEST(GrpcFraming, APartIsForgotten) {
  BlockPool pool;
  Deframer deframer(5);
  add(deframer, grpc_frame("123").substr(0, 6), pool);
  EXPECT_TRUE(deframer.partial());
  deframer.clear();
  EXPECT_FALSE(deframer.partial());
}

}  // namespace
}  // namespace weir::grpc
