// One request through a pool, and what it is told.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/stream/stream_info.h"
#include "core/upstream/pool.h"
#include "test/support/test_lane.h"

namespace weir::upstream {

// One request through a pool.
class Caller final : public UpstreamEvents {
 public:
  explicit Caller(test::TestLane& lane) : lane_(lane) {}
  ~Caller() {
    if (stream != nullptr && events.find("end ") == std::string::npos && events.find("reset-") == std::string::npos &&
        !was_reset)
      stream->reset();
  }
  ConnPool::Start start(ConnPool& pool) {
    UpstreamStream* ready = nullptr;
    ConnPool::Start result = pool.request(waiter, *this, ready);
    if (result == ConnPool::Start::kReady) on_ready(*ready);
    return result;
  }
  stream::WireBytes& wire_bytes() override { return wire; }
  void on_ready(UpstreamStream& ready) override {
    stream = &ready;
    events += ready.reused() ? "ready-reused " : "ready ";
    http::HeaderMap request(arena_);
    request.add(http::HeaderId::kMethod, "GET");
    request.add(http::HeaderId::kPath, "/");
    request.add(http::HeaderId::kAuthority, "a");
    EXPECT_TRUE(ready.send_headers(request, true));
  }
  void on_failed(ResetReason reason, std::string_view why) override {
    detail = why;
    events += "failed-" + std::string(reason_text(reason)) + " ";
  }
  http::HeaderMap& begin_response(int) override {
    response_.clear();
    return response_;
  }
  void on_informational(BlockRef) override { events += "info "; }
  void on_upstream_headers(BlockRef, bool end) override { events += end ? "headers. " : "headers "; }
  void on_upstream_data(Slices& data, bool end) override {
    body += data.to_string();
    data.clear();
    if (end) events += "end ";
  }
  http::HeaderMap& begin_response_trailers() override { return response_; }
  void on_upstream_trailers() override { events += "trailers "; }
  void on_reset(ResetReason reason, std::string_view) override {
    events += "reset-" + std::string(reason_text(reason)) + " ";
  }
  void on_request_flow(bool) override {}

  Waiter waiter{*this};
  UpstreamStream* stream = nullptr;
  stream::WireBytes wire;
  std::string events;
  std::string detail;  // of on_failed()
  std::string body;
  bool was_reset = false;

 private:
  test::TestLane& lane_;
  Arena arena_{lane_.lane().arenas()};
  http::HeaderMap response_{arena_};
};

}  // namespace weir::upstream
