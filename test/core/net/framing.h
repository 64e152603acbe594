// A transport that turns bytes into frames of others, and connections that have it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "core/net/transport.h"
#include "core/net/transport_facts.h"
#include "test/core/net/ends.h"

namespace weir::net {

// The protocol: each side says "hi!" and waits for that of the other. Then frames: two bytes of size, and so many bytes
// turned over; size 0 is the end, 65535 a mistake, to which the answer is "no!". A client speaks first.
inline constexpr size_t kMistake = 65535;

inline std::string turned(std::string_view text) {
  std::string other(text);
  for (char& c : other) c = static_cast<char>(~c);
  return other;
}

inline std::string frame(std::string_view text) {
  std::string framed;
  framed += static_cast<char>(text.size() >> 8);
  framed += static_cast<char>(text.size() & 255);
  return framed + turned(text);
}

inline std::string mistake() { return "\xff\xff"; }

// What a peer has understood; `rest` is what was no whole frame.
struct Understood {
  std::string greeting;
  std::string text;
  bool end = false;
  std::string rest;
};

inline Understood understand(std::string_view wire) {
  Understood all;
  all.greeting = wire.substr(0, 3);
  wire.remove_prefix(std::min<size_t>(3, wire.size()));
  while (wire.size() >= 2) {
    const size_t size = static_cast<size_t>(static_cast<uint8_t>(wire[0])) << 8 | static_cast<uint8_t>(wire[1]);
    if (wire.size() < 2 + size) break;
    if (size == 0) all.end = true;
    all.text += turned(wire.substr(2, size));
    wire.remove_prefix(2 + size);
  }
  all.rest = wire;
  return all;
}

class NoFacts final : public TransportFacts {
 public:
  std::string_view session(SessionFact) override { return {}; }
  std::string_view certificate(End, CertificateFact) override { return {}; }
  const Names& names(End, NameKind) override { return none_; }
  WallTime not_before() override { return {}; }
  WallTime not_after() override { return {}; }
  bool presented() override { return false; }
  bool validated() override { return false; }

 private:
  Names none_;
};

class Framing final : public Transport, private event::EndOfTurn {
 public:
  Framing(event::Lane& lane, bool speaks_first) : Transport(lane), speaks_first_(speaks_first) {}

  void on_attached(Connection& connection) override {
    connection_ = &connection;
    attached_to = connection.remote().to_string();
  }
  Step handshake() override {
    ++steps;
    if (later > 0) {
      --later;
      lane().at_next_turn(*this);
      return Step::kLater;
    }
    if (speaks_first_ && !greeted_) greet();
    const std::string has = wire_in().to_string();
    if (has.size() < 3) return Step::kNeedInput;
    wire_in().drop_front(3);
    if (has.substr(0, 3) != "hi!") return fail(), Step::kFailed;
    if (!greeted_) greet();
    return Step::kDone;
  }
  Read read(Slices& in, size_t most) override {
    size_t taken = 0;
    while (true) {
      if (left_ > 0 && !wire_in().empty()) {
        if (taken == most) return Read::kMore;
        const std::string piece = wire_in().to_string().substr(0, std::min(left_, most - taken));
        wire_in().drop_front(piece.size());
        in.append_copy(turned(piece), lane().blocks());
        left_ -= piece.size();
        taken += piece.size();
        continue;
      }
      if (left_ > 0 || wire_in().size() < 2) return Read::kNeedInput;
      const std::string head = wire_in().to_string().substr(0, 2);
      wire_in().drop_front(2);
      left_ = static_cast<size_t>(static_cast<uint8_t>(head[0])) << 8 | static_cast<uint8_t>(head[1]);
      if (left_ == 0) return Read::kEnded;
      if (left_ == kMistake) return fail(), Read::kFailed;
    }
  }
  bool write(Slices& out, size_t most) override {
    while (!out.empty() && wire_out().size() < most) {
      if (held_back > 0) {
        --held_back;
        return true;
      }
      const std::string piece = out.to_string().substr(0, largest_frame);
      wire_out().append_copy(frame(piece), lane().blocks());
      out.drop_front(piece.size());
      ++frames;
    }
    return true;
  }
  void on_socket_end() override {
    ++socket_ends;
    truncated_ = true;
  }
  void shut() override { wire_out().append_copy(frame({}), lane().blocks()); }
  std::string_view failure() const override { return failed ? "a mistake" : ""; }
  TransportFacts& facts() override { return facts_; }

  std::string attached_to;
  int steps = 0;
  int later = 0;
  int frames = 0;
  int held_back = 0;
  int socket_ends = 0;
  size_t largest_frame = 16384;
  bool failed = false;

 private:
  void on_end_of_turn() override { connection_->flush_later(); }
  void greet() {
    greeted_ = true;
    wire_out().append_copy("hi!", lane().blocks());
  }
  void fail() {
    failed = true;
    wire_out().append_copy("no!", lane().blocks());
  }

  Connection* connection_ = nullptr;
  const bool speaks_first_;
  bool greeted_ = false;
  size_t left_ = 0;
  NoFacts facts_;
};

inline std::string pattern(size_t size) {
  std::string text(size, 'x');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

class TransportTest : public EndsTest {
 public:
  void set_transport(bool speaks_first = false) {
    auto transport = std::make_unique<Framing>(lane_.lane(), speaks_first);
    transport_ = transport.get();
    connection_->set_transport(std::move(transport));
  }
  void hand_over() { connection_->set_handler(handler_); }

 protected:
  // An accepted connection whose handshake is still to come.
  void accept(int send_buffer = 0) {
    make_pair(send_buffer);
    set_transport();
    connection_->start(false);
  }
  void accept_and_greet(int send_buffer = 0) {
    accept(send_buffer);
    peer_sends("hi!");
    lane_.turn();
    ASSERT_EQ(handler_.events, "connected ");
    handler_.events.clear();
    ASSERT_EQ(peer_reads(), "hi!");
  }
  void connect() {
    open_tcp([&] { set_transport(/*speaks_first=*/true); });
  }
  void TearDown() override {
    EndsTest::TearDown();
    EXPECT_EQ(lane_.lane().pipes().used(), 0u);
  }

  Framing* transport_ = nullptr;
};

}  // namespace weir::net
