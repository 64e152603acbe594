// The server codec, against bytes that the test makes itself.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "test/core/http/h2/wire.h"

namespace weir::http::h2::test {
namespace {

TEST(H2Server, BeginsWithItsSettingsAndReadsRequestsHoweverTheyAreCut) {
  const std::string bytes =
      hello() + request(1, kEndHeaders) + frame(kData, 0, 1, "hel") + frame(kData, kEndStream, 1, "lo") + request(3);
  for (size_t step : {size_t{1}, size_t{7}, bytes.size()}) {
    Server server;
    for (size_t at = 0; at < bytes.size(); at += step) server.receive(std::string_view(bytes).substr(at, step));
    EXPECT_EQ(server.body, "hello");
    EXPECT_EQ(server.stream(0).head.to_string(), ":method: GET\n:scheme: https\n:path: /\n:authority: a.example\n");
    EXPECT_TRUE(server.log.starts_with("1 head; 1 data ")) << server.log;
    EXPECT_TRUE(server.log.ends_with("end; 3 head end")) << server.log;
    const std::vector<Frame> out = server.frames();
    ASSERT_GE(out.size(), 3u);
    EXPECT_EQ(out[0].type, kSettings);
    EXPECT_EQ(out[0].flags, 0);
    EXPECT_EQ(Server::last(out, kSettings)->flags, 1);
    ASSERT_NE(Server::last(out, kWindowUpdate), nullptr);
    EXPECT_EQ(Server::last(out, kWindowUpdate)->code(), 24u * 1024 * 1024 - 65535);
  }
}

TEST(H2Server, WritesHeadDataAndTrailers) {
  Server server;
  server.receive(hello() + request(1));
  server.flush();
  HeaderMap map(server.stream().arena);
  map.add(HeaderId::kStatus, "200");
  map.add(HeaderId::kConnection, "close");
  map.add(HeaderId::kContentType, "text/plain");
  ASSERT_TRUE(server.codec.send_response_head(server.stream(), map, false));
  ASSERT_TRUE(server.send(server.stream(), "hello", false));
  HeaderMap trailers(server.stream().arena);
  trailers.add(HeaderId::kGrpcStatus, "0");
  ASSERT_TRUE(server.codec.send_trailers(server.stream(), trailers));
  const std::vector<Frame> out = server.frames();
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0].type, kHeaders);
  EXPECT_EQ(out[0].flags, kEndHeaders);
  EXPECT_EQ(out[0].payload.find("close"), std::string::npos);
  EXPECT_EQ(out[1].type, kData);
  EXPECT_EQ(out[1].payload, "hello");
  EXPECT_EQ(out[1].flags, 0);
  EXPECT_EQ(out[2].type, kHeaders);
  EXPECT_EQ(out[2].flags, kEndHeaders | kEndStream);
  EXPECT_EQ(server.log, "1 head end; 1 complete");
}

TEST(H2Server, KeepsToContentLengthOfWhatItSends) {
  Server server;
  server.receive(hello() + request(1) + request(3));
  HeaderMap map(server.stream().arena);
  map.add(HeaderId::kStatus, "200");
  map.add(HeaderId::kContentLength, "3");
  EXPECT_FALSE(server.codec.send_response_head(server.stream(), map, true));
  ASSERT_TRUE(server.codec.send_response_head(server.stream(), map, false));
  EXPECT_FALSE(server.send(server.stream(), "four", true));
  ASSERT_TRUE(server.codec.send_response_head(server.stream(1), map, false));
  EXPECT_FALSE(server.send(server.stream(1), "2!", true));
}

TEST(H2Server, RefusesHeadsThatMayNotBeWritten) {
  Server server;
  server.receive(hello() + request(1));
  for (std::string_view value : {std::string_view("a\r\nb"), std::string_view("a\nb"), std::string_view("a\0b", 3)}) {
    HeaderMap map(server.stream().arena);
    map.add(HeaderId::kStatus, "200");
    map.add(HeaderId::kVia, value);
    EXPECT_FALSE(server.codec.send_response_head(server.stream(), map, true));
  }
  HeaderMap upper(server.stream().arena);
  upper.add(HeaderId::kStatus, "200");
  upper.add(HeaderId::kNone, "X-Upper", "1");
  EXPECT_FALSE(server.codec.send_response_head(server.stream(), upper, true));
}

TEST(H2Server, RefusesHeadsThatTheLibraryWouldDrop) {
  Server server;
  server.receive(hello() + request(1));
  const std::string large(1024 * 1024, 'x');
  HeaderMap map(server.stream().arena);
  map.add(HeaderId::kStatus, "200");
  map.add(HeaderId::kVia, large);
  EXPECT_FALSE(server.codec.send_informational(server.stream(), map));
  EXPECT_FALSE(server.codec.send_response_head(server.stream(), map, true));
  EXPECT_FALSE(server.codec.send_response_head(server.stream(), map, false));
  map.set(HeaderId::kVia, std::string_view(large).substr(4096));
  EXPECT_TRUE(server.codec.send_response_head(server.stream(), map, false));
  HeaderMap trailers(server.stream().arena);
  trailers.add(HeaderId::kVia, large);
  EXPECT_FALSE(server.codec.send_trailers(server.stream(), trailers));
}

// Whatever place the byte has: values are looked at in words.
TEST(H2Server, LooksAtEveryByteOfAValueThatItWrites) {
  Server server;
  server.receive(hello() + request(1));
  for (int c = 0; c < 256; ++c) {
    const bool allowed = (c >= 0x20 && c != 0x7f) || c == '\t';
    for (size_t place = 1; place < 19; ++place) {
      std::string value(20, 'v');
      value[place == 9 ? 10 : 9] = '\xfe';
      value[place] = static_cast<char>(c);
      HeaderMap map(server.stream().arena);
      map.add(HeaderId::kStatus, "103");
      map.add(HeaderId::kLink, value);
      EXPECT_EQ(server.codec.send_informational(server.stream(), map), allowed) << c << " at " << place;
    }
    server.frames();
  }
}

TEST(H2Server, CrumbsOfACookieAreOneField) {
  Server server({.max_head_bytes = 1000, .max_header_count = 6});
  std::string block = get_block();
  for (int i = 0; i < 10; ++i) block += field("cookie", "a=b");
  server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block + field("x", "y")));
  // Each has a size, however little is in it.
  block = get_block();
  for (int i = 0; i < 40; ++i) block += field("cookie", "");
  server.receive(frame(kHeaders, kEndStream | kEndHeaders, 3, block));
  EXPECT_EQ(server.log, "1 head end; 3 head http2.request_headers_too_large end");
}

TEST(H2Server, JoinsCookiesAndTakesHostForAuthority) {
  Server server;
  server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1,
                                 std::string("\x82\x86\x84") + field("host", "b.example:") + field("cookie", "a=1") +
                                     field("cookie", "b=2")));
  EXPECT_EQ(server.stream().head.to_string(),
            ":method: GET\n:scheme: http\n:path: /\ncookie: a=1; b=2\n:authority: b.example\n");
}

TEST(H2Server, JoinsCookiesOfRefusedRequestsToo) {
  Server server;
  server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1,
                                 std::string("\x82\x86\x84") + field(":authority", "a.:example") +
                                     field("cookie", "a=1") + field("cookie", "b=2")));
  EXPECT_EQ(server.log, "1 head http2.invalid_authority end");
  EXPECT_EQ(server.stream().head.get(HeaderId::kCookie), "a=1; b=2");
}

TEST(H2Server, AnswersWhatServersOfHttp1MayMisunderstand) {
  const struct {
    std::string block;
    std::string_view found;
  } cases[] = {
      {get_block("user@a.example"), "http2.invalid_authority"},
      {get_block() + field("host", "b.example"), "http2.host_mismatch"},
      {std::string("\x82\x87") + field(":path", "/a#b") + field(":authority", "a"), "http2.invalid_path"},
      {std::string("\x82\x84") + field(":scheme", "ftp") + field(":authority", "a"), "http2.invalid_scheme"},
      {field(":method", "CONNECT") + field(":authority", "a.example"), "http2.invalid_authority"},
  };
  for (const auto& [block, found] : cases) {
    Server server({.stream_errors = true});
    server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block));
    EXPECT_NE(server.log.find(found), std::string::npos) << server.log << " instead of " << found;
  }
}

TEST(H2Server, MalformedRequestsEndTheStreamOrTheConnection) {
  const std::string blocks[] = {
      get_block() + field("connection", "close"),
      get_block() + field("transfer-encoding", "chunked"),
      get_block() + field("te", "gzip"),
      get_block() + field("X-Upper", "1"),
      get_block() + field("x", "a\r\nb"),
      get_block() + field(":path", "/again"),
      field("x", "1") + get_block(),
      std::string("\x82\x87") + field(":authority", "a"),
      get_block() + field(":status", "200"),
  };
  for (const std::string& block : blocks) {
    const std::string bytes = hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block);
    Server gentle({.stream_errors = true});
    gentle.receive(bytes + request(3));
    EXPECT_NE(gentle.log.find("1 peer_error PROTOCOL_ERROR http2."), std::string::npos) << gentle.log;
    EXPECT_TRUE(gentle.log.ends_with("3 head end")) << gentle.log;
    const std::vector<Frame> out = gentle.frames();
    const Frame* reset = Server::last(out, kReset);
    ASSERT_NE(reset, nullptr);
    EXPECT_EQ(reset->code(), 1u);
    EXPECT_EQ(gentle.codec.counts().messaging_errors, 1u);

    Server strict;
    strict.receive(bytes + request(3));
    EXPECT_TRUE(strict.codec.failed());
    EXPECT_NE(strict.log.find("; failed http2."), std::string::npos) << strict.log;
    EXPECT_EQ(strict.log.find("3 head"), std::string::npos) << strict.log;
    const std::vector<Frame> last = strict.frames();
    const Frame* goaway = Server::last(last, kGoaway);
    ASSERT_NE(goaway, nullptr);
    EXPECT_EQ(goaway->code(4), 1u);
  }
}

TEST(H2Server, ContentLengthIsHeldAgainstTheData) {
  Server server({.stream_errors = true});
  server.receive(hello() + frame(kHeaders, kEndHeaders, 1, get_block() + field("content-length", "3")) +
                 frame(kData, kEndStream, 1, "four"));
  EXPECT_EQ(Server::last(server.frames(), kReset)->code(), 1u);
  EXPECT_EQ(server.log, "1 head length=3; 1 peer_error PROTOCOL_ERROR http2.violation.of.messaging.rule");
  EXPECT_EQ(server.codec.counts().messaging_errors, 1u);
}

TEST(H2Server, AHeadBeyondTheLimitIsAnsweredAndTheNextOneIsRead) {
  Server server({.max_head_bytes = 200});
  std::string block = get_block();
  for (int i = 0; i < 3; ++i) block += field("x-long", std::string(100, 'x'));
  server.receive(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block) + request(3));
  EXPECT_EQ(server.log, "1 head http2.request_headers_too_large end; 3 head end");
  EXPECT_EQ(server.codec.counts().header_overflows, 1u);
}

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

TEST(H2Server, PausedStreamsGetNoMoreRoomAndOthersDo) {
  Server server({.stream_window = 65535, .connection_window = 1 << 20});
  server.receive(hello() + request(1, kEndHeaders) + request(3, kEndHeaders));
  server.flush();
  server.codec.pause(server.stream(0));
  const std::string piece(16000, 'x');
  for (int i = 0; i < 3; ++i) server.receive(frame(kData, 0, 1, piece) + frame(kData, 0, 3, piece));
  auto updates = [](const std::vector<Frame>& all, uint32_t id) {
    uint32_t sum = 0;
    for (const Frame& each : all) {
      if (each.type == kWindowUpdate && each.id == id) sum += each.code();
    }
    return sum;
  };
  std::vector<Frame> out = server.frames();
  EXPECT_EQ(updates(out, 1), 0u);
  EXPECT_GE(updates(out, 3), 32000u);
  server.codec.unpause(server.stream(0));
  out = server.frames();
  EXPECT_GE(updates(out, 1), 48000u);
}

// A client that sends as much as the windows let it, to streams that nobody reads.
class Pusher {
 public:
  Pusher(Server& server, uint32_t streams, uint32_t connection_window, uint32_t stream_window)
      : server_(server), room_(connection_window), stream_window_(stream_window), windows_(streams, stream_window) {}

  // How much it has sent when it may send no more, or this is reached.
  size_t push(bool acknowledges, size_t most = size_t{1} << 30) {
    const size_t before = sent_;
    for (bool some = true; some && sent_ - before < most;) {
      some = false;
      for (size_t i = 0; i < windows_.size(); ++i) {
        if (room_ < kPiece || windows_[i] < kPiece) continue;
        server_.receive(frame(kData, 0, static_cast<uint32_t>(2 * i + 1), std::string(kPiece, 'x')));
        sent_ += kPiece;
        room_ -= kPiece;
        windows_[i] -= kPiece;
        some = true;
      }
      for (const Frame& each : server_.frames()) some = take(each, acknowledges) || some;
    }
    return sent_ - before;
  }

 private:
  static constexpr int64_t kPiece = 1000;
  bool take(const Frame& each, bool acknowledges) {
    if (each.type == kWindowUpdate) {
      if (each.id > 2 * windows_.size()) return false;
      (each.id == 0 ? room_ : windows_[(each.id - 1) / 2]) += each.code();
      return true;
    }
    if (each.type != kSettings || (each.flags & 1) != 0 || !acknowledges) return false;
    for (size_t at = 0; at + 6 <= each.payload.size(); at += 6) {
      if (each.payload[at + 1] != 4) continue;
      for (int64_t& window : windows_) window += int64_t{each.code(at + 2)} - stream_window_;
      stream_window_ = each.code(at + 2);
    }
    server_.receive(frame(kSettings, 1, 0, ""));
    return true;
  }

  Server& server_;
  int64_t room_;
  int64_t stream_window_;
  std::vector<int64_t> windows_;
  size_t sent_ = 0;
};

TEST(H2Server, WhatIsHeldIsBounded) {
  constexpr uint32_t kWindow = 1 << 20;
  // Whoever says nothing to SETTINGS has what he was given before.
  Server server({.stream_window = kWindow, .connection_window = kWindow});
  server.receive(hello() + request(1, kEndHeaders) + request(3, kEndHeaders) + request(5, kEndHeaders));
  (void)server.frames();
  server.receive(frame(kSettings, 1, 0, ""));
  for (size_t i = 0; i < 3; ++i) server.codec.pause(server.stream(i));
  Pusher pusher(server, 3, kWindow, kWindow);
  const size_t sent = pusher.push(false);
  EXPECT_GT(sent, size_t{kWindow} * 9 / 10);
  EXPECT_LE(sent, size_t{kWindow} * 7 / 4);
  // All of it counts again once it is read.
  for (size_t i = 0; i < 3; ++i) server.codec.unpause(server.stream(i));
  server.receive(frame(kSettings, 1, 0, ""));
  EXPECT_GT(pusher.push(true, 3 * kWindow), size_t{2 * kWindow});
  EXPECT_FALSE(server.codec.failed()) << server.log;
}

TEST(H2Server, WhereMuchIsHeldAllStreamsGetSmallWindows) {
  constexpr uint8_t kAck = 1;
  const uint32_t window = 1 << 20;
  Server server({.stream_window = window, .connection_window = window});
  server.receive(hello() + request(1, kEndHeaders) + request(3, kEndHeaders));
  server.flush();
  // What SETTINGS say of the windows of streams, one behind the other.
  const auto windows = [&] {
    std::vector<uint32_t> said;
    for (const Frame& each : server.frames()) {
      if (each.type != kSettings || (each.flags & kAck) != 0) continue;
      for (size_t at = 0; at + 6 <= each.payload.size(); at += 6) {
        if (each.payload[at + 1] == 4) said.push_back(each.code(at + 2));
      }
    }
    return said;
  };
  (void)windows();
  server.receive(frame(kSettings, kAck, 0, ""));
  server.codec.pause(server.stream(0));
  const std::string piece(16000, 'x');
  for (int i = 0; i < 16; ++i) server.receive(frame(kData, 0, 1, piece));
  EXPECT_EQ(windows(), std::vector<uint32_t>{});
  server.receive(frame(kData, 0, 1, piece));
  EXPECT_EQ(windows(), std::vector<uint32_t>{65535});
  EXPECT_EQ(server.codec.counts().narrowed, 1u);
  EXPECT_TRUE(server.codec.awaits_settings_ack());
  server.receive(frame(kSettings, kAck, 0, ""));
  EXPECT_FALSE(server.codec.awaits_settings_ack());
  // The others go on, window by window.
  const size_t before = server.body.size();
  for (int i = 0; i < 200; ++i) {
    server.receive(frame(kData, 0, 3, piece));
    server.flush();
  }
  EXPECT_FALSE(server.codec.failed()) << server.log;
  EXPECT_EQ(server.body.size() - before, 200 * piece.size());
  // Once what was held is read, they are as they were.
  server.codec.unpause(server.stream(0));
  EXPECT_EQ(windows(), std::vector<uint32_t>{window});
  EXPECT_FALSE(server.codec.awaits_settings_ack());  // more room is no matter of urgency
  server.receive(frame(kSettings, kAck, 0, ""));
  for (int i = 0; i < 20; ++i) server.receive(frame(kData, 0, 1, piece));
  EXPECT_FALSE(server.codec.failed()) << server.log;
}

// A client that keeps to its windows, and looks at what it is told only when it has sent all it may.
class BusyClient {
 public:
  explicit BusyClient(Server& server) : server_(server) {
    server_.receive(hello());
    listen();
  }
  void open(uint32_t id) {
    server_.receive(request(id, kEndHeaders));
    windows_[id] = initial_;
  }
  size_t send(uint32_t id) {
    int64_t& window = windows_[id];
    const int64_t size = std::min<int64_t>({window, connection_, 16000});
    if (size <= 0) return 0;
    server_.receive(frame(kData, 0, id, std::string(static_cast<size_t>(size), 'x')));
    window -= size;
    connection_ -= size;
    return static_cast<size_t>(size);
  }
  void listen() {
    constexpr uint8_t kAck = 1;
    for (const Frame& each : server_.frames()) {
      if (each.type == kWindowUpdate) (each.id == 0 ? connection_ : windows_[each.id]) += each.code();
      if (each.type != kSettings || (each.flags & kAck) != 0) continue;
      for (size_t at = 0; at + 6 <= each.payload.size(); at += 6) {
        if (each.payload[at + 1] != 4) continue;
        const int64_t change = int64_t{each.code(at + 2)} - initial_;
        initial_ += change;
        for (auto& [id, window] : windows_) window += change;
      }
      server_.receive(frame(kSettings, kAck, 0, ""));
    }
  }

 private:
  Server& server_;
  int64_t connection_ = 65535;
  int64_t initial_ = 65535;
  std::map<uint32_t, int64_t> windows_;
};

TEST(H2Server, ManyPausedStreamsStopNoOther) {
  for (const uint32_t window : {65535u, 1u << 20, 24u << 20}) {
    for (const uint32_t count : {5u, 60u, 1000u}) {
      Server server({.stream_window = window, .connection_window = window, .max_outbound_control_frames = 500});
      BusyClient client(server);
      // What was read before is given back when windows become small, for all of them at once. That is no flood.
      for (uint32_t i = 0; i < count; ++i) {
        client.open(2 * i + 1);
        client.send(2 * i + 1);
        if (i % 100 == 99) client.listen();
      }
      client.listen();
      for (uint32_t i = 0; i < count; ++i) server.codec.pause(server.stream(i));
      for (int round = 0; round < 20; ++round) {
        for (uint32_t i = 0; i < count; ++i) client.send(2 * i + 1);
        client.listen();
      }
      const uint32_t other = 2 * count + 1;
      client.open(other);
      size_t sent = 0;
      for (int round = 0; round < 200; ++round) {
        sent += client.send(other);
        client.listen();
      }
      EXPECT_GE(sent, 200u * 1024) << window << " " << count;
      EXPECT_FALSE(server.codec.failed()) << server.log;
      // Whose readers go on get their windows back.
      for (uint32_t i = 0; i < count; ++i) server.codec.unpause(server.stream(i));
      client.listen();
      for (uint32_t i = 0; i < count; ++i) {
        EXPECT_GT(client.send(2 * i + 1), 0u);
        client.listen();
      }
      EXPECT_FALSE(server.codec.failed()) << server.log;
    }
  }
}

TEST(H2Server, PaddingUsesUpNoWindowForGood) {
  Server server({.stream_window = 65535, .connection_window = 65535});
  server.receive(hello() + request(1, kEndHeaders));
  for (int i = 0; i < 1000; ++i) {
    server.receive(frame(kData, kPadded, 1, std::string(1, '\xff') + "x" + std::string(255, '\0')));
    server.flush();
  }
  EXPECT_FALSE(server.codec.failed());
  EXPECT_EQ(server.body.size(), 1000u);
}

// They know no windows.
TEST(H2Server, QueuedHeadsStopThoseThatFollow) {
  for (bool reads : {true, false}) {
    Server server({.high_watermark = 1024});
    server.receive(hello() + request(1) + request(3) + request(5));
    (void)server.frames();
    server.log.clear();
    const std::string long_value(5000, 'v');
    const auto answer = [&](size_t at) {
      HeaderMap map(server.stream(at).arena);
      map.add(HeaderId::kStatus, "200");
      map.add(HeaderId::kNone, "x-long", long_value);
      return server.codec.send_response_head(server.stream(at), map, false);
    };
    ASSERT_TRUE(answer(0));
    EXPECT_EQ(server.log, "");
    ASSERT_TRUE(answer(1));
    EXPECT_EQ(server.log, "5 above");
    server.receive(request(7));
    EXPECT_EQ(server.log, "5 above; 7 above; 7 head end");
    if (reads) {
      (void)server.frames();
    } else {  // nor do they count when they will not be sent
      server.codec.reset(server.stream(0), ErrorCode::kCancel);
      server.codec.reset(server.stream(1), ErrorCode::kCancel);
    }
    EXPECT_EQ(server.log, "5 above; 7 above; 7 head end; 5 below; 7 below");
  }
}

TEST(H2Server, OneStreamsClosedWindowStopsItsWriterAlone) {
  Server server({.high_watermark = 100000});
  server.receive(std::string(kPreface) + frame(kSettings, 0, 0, number(4, 2) + number(1000, 4)) + request(1) +
                 request(3));
  server.answer(server.stream(0), "200", false);
  server.answer(server.stream(1), "200", false);
  server.log.clear();
  ASSERT_TRUE(server.send(server.stream(0), std::string(120000, 'a'), false));
  EXPECT_EQ(server.log, "1 above");
  ASSERT_TRUE(server.send(server.stream(1), "b", true));
  std::string one;
  std::string three;
  auto sort = [&] {
    for (const Frame& each : server.frames()) {
      if (each.type == kData) (each.id == 1 ? one : three) += each.payload;
    }
  };
  sort();
  EXPECT_EQ(one.size(), 1000u);
  EXPECT_EQ(three, "b");
  server.receive(frame(kWindowUpdate, 0, 1, number(200000, 4)));
  for (int i = 0; i < 3; ++i) sort();
  EXPECT_EQ(one.size(), 65535u - 1);  // the connection's window
  EXPECT_EQ(server.log, "1 above; 3 complete");
  server.receive(frame(kWindowUpdate, 0, 0, number(200000, 4)));
  sort();
  EXPECT_EQ(one.size(), 120000u);
  EXPECT_EQ(server.log, "1 above; 3 complete; 1 below");
}

TEST(H2Server, ManyStreamsThatWaitAreStoppedSooner) {
  const uint32_t high = 100000;
  Server server({.high_watermark = high});
  server.receive(std::string(kPreface) + frame(kSettings, 0, 0, number(4, 2) + number(0, 4)));
  constexpr uint32_t kMany = 30;
  size_t waiting = 0;
  for (uint32_t i = 0; i < kMany; ++i) {
    server.receive(request(1 + 2 * i));
    server.answer(server.stream(i), "200", false);
    server.log.clear();
    while (server.log.empty()) {
      ASSERT_TRUE(server.send(server.stream(i), std::string(10000, 'a'), false));
      waiting += 10000;
    }
    EXPECT_EQ(server.log, std::to_string(1 + 2 * i) + " above");
  }
  EXPECT_LE(waiting, 9 * (high + 10000) + (kMany - 9) * 30000);
  // Whoever gets room goes on.
  server.flush();
  server.log.clear();
  server.receive(frame(kWindowUpdate, 0, 2 * kMany - 1, number(30000, 4)));
  server.flush();
  EXPECT_EQ(server.log, std::to_string(2 * kMany - 1) + " below");
  for (uint32_t i = 0; i + 1 < kMany; ++i) server.codec.reset(server.stream(i), ErrorCode::kCancel);
  server.log.clear();
  ASSERT_TRUE(server.send(server.stream(kMany - 1), std::string(high, 'a'), false));
  EXPECT_EQ(server.log, "") << "what is gone waits no more";
}

TEST(H2Server, WritesNoMoreThanItIsAskedTo) {
  Server server;
  server.receive(std::string(kPreface) + frame(kSettings, 0, 0, number(4, 2) + number(1 << 30, 4)) +
                 frame(kWindowUpdate, 0, 0, number(1 << 30, 4)) + request(1));
  server.answer(server.stream(), "200", false);
  ASSERT_TRUE(server.send(server.stream(), std::string(1000000, 'a'), true));
  size_t data = 0;
  int rounds = 0;
  while (server.stream().attached() && rounds < 100) {
    const std::string bytes = server.flush(50000);
    EXPECT_LT(bytes.size(), 50000u + 17000);
    for (const Frame& each : frames_of(bytes)) {
      if (each.type == kData) data += each.payload.size();
    }
    ++rounds;
  }
  EXPECT_EQ(data, 1000000u);
  EXPECT_GE(rounds, 15);
}

TEST(H2Server, AResetThatIsReceivedEndsTheStream) {
  Server server;
  server.receive(hello() + request(1, kEndHeaders) + frame(kData, 0, 1, "x") + frame(kReset, 0, 1, number(8, 4)) +
                 frame(kData, 0, 1, "y"));
  EXPECT_EQ(server.log, "1 head; 1 data 1; 1 peer_reset CANCEL");
  EXPECT_EQ(server.codec.open_streams(), 0u);
}

// What comes behind it in the same piece is for nobody.
TEST(H2Server, AStreamThatIsResetByItsDataHasNoTrailers) {
  Server server;
  server.reset_at_data = true;
  server.receive(hello() + request(1, kEndHeaders) + frame(kData, 0, 1, "x") +
                 frame(kHeaders, kEndStream | kEndHeaders, 1, field("x-sum", "1")) +
                 frame(kHeaders, kEndStream | kEndHeaders, 3, get_block()));
  EXPECT_EQ(server.log, "1 head; 1 data 1; 3 head end");
  const auto frames = server.frames();
  const Frame* reset = Server::last(frames, kReset);
  ASSERT_NE(reset, nullptr);
  EXPECT_EQ(reset->code(), 2u);
}

TEST(H2Server, AfterAnEarlyAnswerTheRestOfTheRequestIsNotWanted) {
  Server server;
  server.receive(hello() + request(1, kEndHeaders));
  server.answer(server.stream(), "200", false);
  ASSERT_TRUE(server.send(server.stream(), "early", true));
  server.codec.reset_after_end(server.stream());
  const std::vector<Frame> out = server.frames();
  ASSERT_GE(out.size(), 3u);
  EXPECT_EQ(out[out.size() - 2].type, kData);
  EXPECT_EQ(out[out.size() - 2].payload, "early");
  EXPECT_EQ(out.back().type, kReset);
  EXPECT_EQ(out.back().code(), 0u);
  EXPECT_EQ(server.log, "1 head; 1 complete");
}

TEST(H2Server, EndsInTwoSteps) {
  Server server;
  server.receive(hello() + request(1));
  server.flush();
  server.codec.announce_shutdown();
  std::vector<Frame> out = server.frames();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].type, kGoaway);
  EXPECT_EQ(out[0].code(), 0x7fffffffu);
  server.receive(request(3));
  server.codec.shut_down();
  out = server.frames();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].code(), 3u);
  server.receive(request(5));
  EXPECT_EQ(server.log, "1 head end; 3 head end");
  server.answer(server.stream(0), "200", true);
  server.answer(server.stream(1), "200", true);
  EXPECT_FALSE(server.codec.finished());
  server.flush();
  EXPECT_TRUE(server.codec.finished());
  EXPECT_FALSE(server.codec.failed());
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

TEST(H2Server, WrongPrefacesAndFramesFail) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), std::string(kPrefaceStart) + "XX\r\n\r\n",
        hello() + frame(kData, 0, 0, "x"), hello() + frame(kSettings, 0, 1, ""), hello() + frame(kPing, 0, 0, "short"),
        hello() + frame(kData, 0, 1, "x"), hello() + frame(kPush, 0, 1, number(2, 4)),
        hello() + frame(kWindowUpdate, 0, 0, number(0, 4)), hello() + number(20000, 3) + std::string(6, '\0'),
        hello() + frame(kHeaders, kEndHeaders, 2, get_block())}) {
    Server server;
    server.receive(bytes);
    const std::vector<Frame> out = server.frames();
    EXPECT_TRUE(server.codec.failed()) << server.log;
    EXPECT_NE(server.log.find("failed http2."), std::string::npos) << server.log;
    ASSERT_FALSE(out.empty());
    EXPECT_EQ(out.back().type, kGoaway);
    EXPECT_NE(out.back().code(4), 0u);
  }
}

TEST(H2Server, ExtendedConnectIsAnUpgrade) {
  Server server({.allow_connect = true});
  const std::string block =
      field(":method", "CONNECT") + field(":protocol", "websocket") + "\x87\x84" + field(":authority", "a.example");
  server.receive(hello() + frame(kHeaders, kEndHeaders, 1, block) + frame(kData, 0, 1, "early"));
  EXPECT_EQ(server.log, "1 head end upgrade; 1 data 5");
  EXPECT_EQ(server.stream().head.get(HeaderId::kUpgrade), "websocket");
  EXPECT_EQ(server.stream().head.get(HeaderId::kConnection), "upgrade");
  EXPECT_EQ(server.stream().head.method(), "GET");
  HeaderMap ok(server.stream().arena);
  ok.add(HeaderId::kStatus, "200");
  EXPECT_FALSE(server.codec.send_response_head(server.stream(), ok, false));
  ok.set(HeaderId::kStatus, "101");
  server.flush();
  ASSERT_TRUE(server.codec.send_response_head(server.stream(), ok, false));
  const std::vector<Frame> out = server.frames();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].payload, "\x88");  // :status 200 of the static table

  Server closed;
  closed.receive(hello() + frame(kHeaders, kEndHeaders, 1, block));
  EXPECT_TRUE(closed.codec.failed());
}

}  // namespace
}  // namespace weir::http::h2::test
