#include "core/http/h1/chunked.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "test/core/http/h1/transcript.h"

namespace weir::http::h1::test {
namespace {

TEST(ChunkDecoder, HandsOverSubSlicesWithoutCopying) {
  BlockPool blocks;
  std::string body(10000, 'b');
  Slices in;
  append_alone(in, "2710\r\n" + body + "\r\n0\r\nrest", blocks);
  const char* where = in.front().data + 6;
  ChunkDecoder decoder;
  Slices data;
  ASSERT_EQ(decoder.decode(in, data, 100), ParseError::kNone);
  EXPECT_TRUE(decoder.at_trailers());
  ASSERT_EQ(data.slice_count(), 1u);
  EXPECT_EQ(data.front().data, where);
  EXPECT_EQ(data.size(), body.size());
  EXPECT_EQ(in.to_string(), "rest");
}

TEST(ChunkDecoder, KeepsNothingBack) {
  BlockPool blocks;
  std::string text = "5;a=\"b\"\r\nhello\r\n1\r\n!\r\n0\r\n";
  ChunkDecoder decoder;
  Slices data;
  for (char c : text) {
    Slices in;
    append_alone(in, std::string_view(&c, 1), blocks);
    ASSERT_EQ(decoder.decode(in, data, 100), ParseError::kNone);
    EXPECT_TRUE(in.empty());
  }
  EXPECT_TRUE(decoder.at_trailers());
  EXPECT_EQ(data.to_string(), "hello!");
  decoder.reset();
  EXPECT_FALSE(decoder.at_trailers());
}

TEST(ErrorNames, AreDistinctAndHaveAStatus) {
  std::vector<std::string_view> names;
  for (int i = 1; i < static_cast<int>(ParseError::kCount); ++i) {
    auto error = static_cast<ParseError>(i);
    std::string_view name = error_name(error);
    EXPECT_TRUE(name.starts_with("http1.")) << name;
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 0) << name;
    names.push_back(name);
    int status = suggested_status(error);
    EXPECT_TRUE(status == 400 || status == 414 || status == 426 || status == 431 || status == 501 || status == 505)
        << name;
  }
  EXPECT_EQ(error_name(ParseError::kBareLf), "http1.bare_lf");
  EXPECT_EQ(suggested_status(ParseError::kTargetTooLong), 414);
  EXPECT_EQ(suggested_status(ParseError::kHttp10Refused), 426);
  EXPECT_EQ(suggested_status(ParseError::kHeadTooLarge), 431);
  EXPECT_EQ(suggested_status(ParseError::kUnsupportedTransferEncoding), 501);
  EXPECT_EQ(suggested_status(ParseError::kUnsupportedVersion), 505);
  EXPECT_EQ(error_name(EncodeError::kWrongState), "http1.encode.wrong_state");
}

}  // namespace
}  // namespace weir::http::h1::test
