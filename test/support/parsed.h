// Messages of tests, from protobuf's text format.
#pragma once

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace weir::test {

template <class Message>
Message parsed(const std::string& text) {
  Message proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return proto;
}

}  // namespace weir::test
