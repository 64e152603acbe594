#include "core/grpc/frames.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::grpc {
namespace {

using Kind = FrameEvent::Kind;

std::string frame(uint8_t flags, const std::string& payload) {
  std::string text(kFrameHeadBytes, '\0');
  write_frame_head({flags, static_cast<uint32_t>(payload.size())}, text.data());
  return text + payload;
}

// What the reader says, with payloads put together: "[1 3" for a head, "]" for an end.
struct Told {
  FrameReader reader;
  std::string text;
  void feed(std::string_view bytes) {
    for (FrameEvent event = reader.next(bytes); event.kind != Kind::kMore; event = reader.next(bytes)) {
      switch (event.kind) {
        case Kind::kHead:
          text += '[' + std::to_string(event.head.flags) + ' ' + std::to_string(event.head.length) + ' ';
          break;
        case Kind::kPayload:
          EXPECT_FALSE(event.payload.empty());
          text += event.payload;
          break;
        case Kind::kEnd:
          text += ']';
          break;
        case Kind::kMore:
          break;
      }
    }
    EXPECT_TRUE(bytes.empty());
  }
};

TEST(Frames, HeadsAreWrittenAsTheyAreRead) {
  EXPECT_EQ(frame(kCompressed, "abc"), std::string("\1\0\0\0\3abc", 8));
  char bytes[kFrameHeadBytes];
  for (const FrameHead head : {FrameHead{0, 0}, FrameHead{kTrailers, 0x01020304}, FrameHead{0xff, 0xffffffff}}) {
    write_frame_head(head, bytes);
    EXPECT_EQ(read_frame_head(bytes), head);
  }
  write_frame_head({kTrailers, 0x01020304}, bytes);
  EXPECT_EQ(std::string(bytes, kFrameHeadBytes), "\x80\1\2\3\4");
}

const std::string kThree = frame(0, "first") + frame(kCompressed, "") + frame(kTrailers, "a: b\r\n");

TEST(Frames, AtEverySplit) {
  const std::string expected = "[0 5 first][1 0 ][128 6 a: b\r\n]";
  for (size_t one = 0; one <= kThree.size(); ++one) {
    for (size_t two = one; two <= kThree.size(); ++two) {
      Told told;
      told.feed(std::string_view(kThree).substr(0, one));
      told.feed(std::string_view(kThree).substr(one, two - one));
      told.feed(std::string_view(kThree).substr(two));
      EXPECT_EQ(told.text, expected) << one << ' ' << two;
      EXPECT_TRUE(told.reader.between_frames());
      FrameReader counter;
      size_t count = counter.count(std::string_view(kThree).substr(0, one));
      count += counter.count(std::string_view(kThree).substr(one, two - one));
      count += counter.count(std::string_view(kThree).substr(two));
      EXPECT_EQ(count, 3u) << one << ' ' << two;
      EXPECT_TRUE(counter.between_frames());
    }
  }
}

TEST(Frames, ByteByByte) {
  Told told;
  FrameReader counter;
  size_t count = 0;
  for (const char c : kThree) {
    told.feed({&c, 1});
    count += counter.count({&c, 1});
  }
  EXPECT_EQ(told.text, "[0 5 first][1 0 ][128 6 a: b\r\n]");
  EXPECT_EQ(count, 3u);
}

TEST(Frames, EndsAreSaidWithoutMoreBytes) {
  FrameReader reader;
  const std::string text = frame(7, "x");
  std::string_view bytes = text;
  EXPECT_EQ(reader.next(bytes).kind, Kind::kHead);
  EXPECT_EQ(reader.left(), 1u);
  EXPECT_EQ(reader.next(bytes).kind, Kind::kPayload);
  EXPECT_TRUE(bytes.empty());
  EXPECT_FALSE(reader.between_frames());
  const FrameEvent end = reader.next(bytes);
  EXPECT_EQ(end.kind, Kind::kEnd);
  EXPECT_EQ(end.head, (FrameHead{7, 1}));
  EXPECT_EQ(reader.next(bytes).kind, Kind::kMore);
  EXPECT_TRUE(reader.between_frames());
}

TEST(Frames, WhatIsIncompleteIsSeen) {
  for (size_t cut = 1; cut < 5 + 5; ++cut) {
    FrameReader reader;
    reader.count(kThree.substr(0, cut));
    EXPECT_FALSE(reader.between_frames()) << cut;
    reader.reset();
    EXPECT_TRUE(reader.between_frames());
  }
}

TEST(Frames, TheLongestOnes) {
  FrameReader reader;
  EXPECT_EQ(reader.count(std::string_view("\0\xff\xff\xff\xff", 5)), 1u);
  EXPECT_EQ(reader.left(), 0xffffffffu);
  EXPECT_EQ(reader.count(std::string(1000, 'x')), 0u);
  EXPECT_EQ(reader.left(), 0xffffffffu - 1000);
}

}  // namespace
}  // namespace weir::grpc
