// The server codec: windows, what it holds, and who waits for whom.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "test/core/http/h2/wire.h"

namespace weir::http::h2::test {
namespace {

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

}  // namespace
}  // namespace weir::http::h2::test
