// The server codec: what clients may not do too much of.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "test/core/http/h2/wire.h"

namespace weir::http::h2::test {
namespace {

TEST(H2Server, AHeaderBombEndsTheConnection) {
  Server server({.max_head_bytes = 1000});
  // One entry of the dynamic table, named again and again (RFC 7541 6.1): a byte each, 100 times as much in the map.
  std::string block = get_block() + "\x40\x01x" + std::string(1, 100) + std::string(100, 'y');
  block += std::string(4000, '\xbe');
  server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block));
  EXPECT_NE(server.log.find("failed http2.too_many_headers"), std::string::npos) << server.log;
  const std::vector<Frame> out = server.frames();
  const Frame* goaway = Server::last(out, kGoaway);
  ASSERT_NE(goaway, nullptr);
  EXPECT_EQ(goaway->code(4), static_cast<uint32_t>(ErrorCode::kEnhanceYourCalm));
  EXPECT_LT(server.stream().arena.overflow_bytes(), 64u * 1024);
}

TEST(H2Server, FloodsEndTheConnection) {
  const struct {
    std::string piece;
    std::string_view found;
  } cases[] = {
      {frame(kData, 0, 1, ""), "http2.inbound_empty_frames_flood"},
      {frame(kData, kPadded, 1, std::string(1, '\x02') + std::string(2, '\0')), "http2.inbound_empty_frames_flood"},
      {frame(kPriority, 0, 1, std::string(4, '\0') + "\x10"), "http2.inbound_priority_frames_flood"},
      {frame(kWindowUpdate, 0, 1, number(1, 4)), "http2.inbound_window_update_frames_flood"},
      {frame(kPing, 0, 0, "12345678"), "http2.outbound_control_flood"},
      {frame(kSettings, 0, 0, ""), "http2.outbound_control_flood"},
  };
  for (const auto& [piece, found] : cases) {
    Server server;
    server.receive(hello() + request(1, kEndHeaders));
    server.flush();
    int count = 0;
    while (!server.codec.failed() && count < 3000) {
      server.receive(piece);
      ++count;
    }
    EXPECT_NE(server.log.find(found), std::string::npos) << server.log << " instead of " << found << " after " << count;
    const std::vector<Frame> out = server.frames();
    ASSERT_FALSE(out.empty());
    EXPECT_EQ(out.back().type, kGoaway);
    EXPECT_EQ(out.back().code(4), static_cast<uint32_t>(ErrorCode::kEnhanceYourCalm)) << found;
  }
}

// The library passes over it: what was under way when the stream was reset is in order, and no more than that.
TEST(H2Server, DataOfStreamsThatAreNoMoreIsBounded) {
  const uint32_t window = 65535;
  for (const bool reset_here : {false, true}) {
    Server server({.stream_window = window, .connection_window = window});
    server.receive(hello() + request(1, kEndHeaders) + frame(kData, 0, 1, "taken"));
    if (reset_here)
      server.codec.reset(server.stream(), ErrorCode::kCancel);
    else
      server.receive(frame(kReset, 0, 1, number(8, 4)));
    server.flush();
    server.receive(frame(kPing, 0, 0, "12345678"));
    const std::string stray = frame(kData, 0, 1, "x");
    uint32_t count = 0;
    for (; !server.codec.failed() && count < 200'000; ++count) {
      server.receive(stray.substr(0, count % 10));
      server.receive(stray.substr(count % 10));
    }
    // Behind a reset of ours the windows say how much, whatever the frames are.
    EXPECT_EQ(count, reset_here ? 2 * window + 1 : window / 257 + 1);
    EXPECT_NE(server.log.find("http2.inbound_stray_data_flood"), std::string::npos) << server.log;
    EXPECT_EQ(server.frames().back().code(4), static_cast<uint32_t>(ErrorCode::kEnhanceYourCalm));
  }
  // Of large frames the bytes count.
  Server server({.stream_window = window, .connection_window = window});
  server.receive(hello() + request(1, kEndHeaders) + frame(kReset, 0, 1, number(8, 4)));
  for (int i = 0; i < 3; ++i) {
    server.receive(frame(kData, 0, 1, std::string(16384, 'x')));
    server.flush();
  }
  EXPECT_FALSE(server.codec.failed()) << server.log;
  server.receive(frame(kData, 0, 1, std::string(16384, 'x')));
  EXPECT_NE(server.log.find("http2.inbound_stray_data_flood"), std::string::npos) << server.log;
  // Data that somebody takes never does.
  Server taken({.stream_window = window, .connection_window = window});
  taken.receive(hello() + request(1, kEndHeaders));
  for (int i = 0; i < 3000; ++i) {
    taken.receive(frame(kData, 0, 1, std::string(300, 'x')));
    taken.flush();
  }
  EXPECT_FALSE(taken.codec.failed()) << taken.log;
}

TEST(H2Server, ManyContinuationsEndTheConnection) {
  Server server;
  server.receive(hello() + frame(kHeaders, kEndStream, 1, get_block()));
  for (int i = 0; i < 100 && !server.codec.failed(); ++i) server.receive(frame(kMore, 0, 1, field("x", "1")));
  EXPECT_TRUE(server.codec.failed());
  EXPECT_EQ(error_code(server.codec.failure()), ErrorCode::kEnhanceYourCalm) << server.log;
}

TEST(H2Server, MoreStreamsThanAllowedAreRefused) {
  Server server({.max_concurrent_streams = 2});
  server.receive(hello());
  server.flush();
  server.receive(request(1) + request(3) + request(5));
  EXPECT_EQ(server.log, "1 head end; 3 head end");
  const std::vector<Frame> out = server.frames();
  const Frame* reset = Server::last(out, kReset);
  ASSERT_NE(reset, nullptr);
  EXPECT_EQ(reset->id, 5u);
  EXPECT_EQ(reset->code(), static_cast<uint32_t>(ErrorCode::kRefusedStream));
  EXPECT_EQ(server.codec.counts().refused, 1u);
  // It knows the limit now, and still loses no more than the stream; the head of that is decoded for the next one's
  // sake.
  const std::string indexed = std::string("\x82\x87\x84\x40") + field(":authority", "b.example").substr(1);
  server.receive(frame(kSettings, 1, 0, "") + frame(kHeaders, kEndHeaders, 7, indexed) + frame(kData, 1, 7, "body"));
  const std::vector<Frame> more = server.frames();
  ASSERT_NE(Server::last(more, kReset), nullptr);
  EXPECT_EQ(Server::last(more, kReset)->id, 7u);
  EXPECT_EQ(Server::last(more, kReset)->code(), static_cast<uint32_t>(ErrorCode::kRefusedStream));
  EXPECT_EQ(server.codec.counts().refused, 2u);
  EXPECT_EQ(server.codec.counts().streams, 2u);
  server.answer(server.stream(1), "200", true);
  server.flush();
  server.receive(frame(kHeaders, kEndStream | kEndHeaders, 9, "\x82\x87\x84\xbe"));
  EXPECT_EQ(server.log, "1 head end; 3 head end; 3 complete; 9 head end");
  EXPECT_EQ(server.stream(2).head.authority(), "b.example");
}

TEST(H2Server, ItsSettingsNameTheLimitThatItHoldsTo) {
  for (uint32_t table : {4096u, 0u}) {
    Server server({.hpack_table_size = table, .max_concurrent_streams = 77});
    const std::vector<Frame> out = server.frames();
    ASSERT_EQ(out.front().type, kSettings);
    const std::string& payload = out.front().payload;
    size_t found = 0;
    for (size_t at = 0; at < payload.size(); at += 6) {
      if (payload.substr(at, 2) != number(3, 2)) continue;
      ++found;
      EXPECT_EQ(out.front().code(at + 2), 77u);
    }
    EXPECT_EQ(found, 1u);
  }
}

TEST(H2Server, RefusedStreamsWithoutEndEndTheConnection) {
  for (const std::string& knows_the_limit : {std::string(), frame(kSettings, 1, 0, "")}) {
    Server server({.max_concurrent_streams = 2});
    server.receive(hello());
    server.flush();
    server.receive(knows_the_limit + request(1) + request(3));
    uint32_t id = 5;
    for (; !server.codec.failed() && id < 40000; id += 2) {
      server.receive(request(id));
      server.flush();
    }
    // As many again as were taken.
    EXPECT_EQ(server.codec.counts().refused, 4096u + 2 + 2 + 1);
    EXPECT_NE(server.log.find("http2.outbound_control_flood"), std::string::npos) << server.log.substr(0, 200);
  }
}

TEST(H2Server, RefusedStreamsThatAreNotReadEndTheConnection) {
  Server server({.max_concurrent_streams = 2});
  server.receive(hello() + frame(kSettings, 1, 0, ""));
  for (uint32_t id = 1; !server.codec.failed() && id < 40000; id += 2) server.receive(request(id));
  EXPECT_LE(server.codec.counts().refused, 1001u);
  EXPECT_NE(server.log.find("http2.outbound_control_flood"), std::string::npos) << server.log.substr(0, 200);
}

TEST(H2Server, WhatHeadsAndTrailersHoldIsBounded) {
  constexpr size_t kSize = 3900;
  const std::string again(14, '\xbe');
  for (const auto& [trailers, limit] : {std::pair{false, 1024U * 1024}, {true, 1024U * 1024}, {false, 1536U * 1024}}) {
    Server server({.buffer_limit = limit});
    server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, get_block() + long_field("x", kSize)));
    server.flush();
    // Of a few KiB each: all that there may be at a time.
    uint32_t id = 3;
    for (; id < 2 * 1024; id += 2)
      server.receive(frame(kHeaders, kEndHeaders, id, get_block() + std::string(2, '\xbe')));
    EXPECT_EQ(server.codec.counts().refused, 0u);
    EXPECT_EQ(server.codec.open_streams(), 1024u);
    while (server.codec.open_streams() > 0)
      server.codec.reset(server.stream(1024 - server.codec.open_streams()), ErrorCode::kNoError);
    server.flush();
    server.streams.clear();
    server.log.clear();
    // Of 55 KB each, in heads, or in trailers of requests that are there.
    const uint32_t first = id;
    for (int i = 0; i < 800; ++i, id += 2)
      server.receive(frame(kHeaders, kEndHeaders, id, get_block() + (trailers ? "" : again)));
    for (uint32_t at = first; trailers && at < id; at += 2)
      server.receive(frame(kHeaders, kEndStream | kEndHeaders, at, again));
    server.flush();
    EXPECT_FALSE(server.codec.failed()) << server.log.substr(0, 200);
    EXPECT_NEAR(server.codec.open_streams(), 24.0 * limit / (14 * (kSize + 1)), 10);
    EXPECT_EQ(server.codec.counts().header_overflows, 800 - server.codec.open_streams());
    if (trailers) {
      EXPECT_NE(server.log.find("peer_error ENHANCE_YOUR_CALM http2.too_many_headers"), std::string::npos);
      continue;
    }
    EXPECT_EQ(server.codec.counts().refused, 800 - server.codec.open_streams());
    // One goes, and the next one has its place.
    server.codec.reset(server.stream(), ErrorCode::kNoError);
    const uint32_t before = server.codec.counts().refused;
    for (int i = 0; i < 2; ++i, id += 2) server.receive(frame(kHeaders, kEndHeaders, id, get_block() + again));
    EXPECT_EQ(server.codec.counts().refused, before + 1);
  }
}

}  // namespace
}  // namespace weir::http::h2::test
