// One request through a pool, and what it is told.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "core/event/lane.h"
#include "core/stream/stream_info.h"
#include "core/upstream/pool.h"

namespace weir::upstream {

class Caller final : public UpstreamEvents {
 public:
  explicit Caller(event::Lane& lane) : arena_(lane.arenas()) {}
  ~Caller() { reset(); }
  ConnPool::Start start(ConnPool& pool) {
    UpstreamStream* ready = nullptr;
    const ConnPool::Start result = pool.request(waiter, *this, ready);
    switch (result) {
      case ConnPool::Start::kReady:
        on_ready(*ready);
        break;
      case ConnPool::Start::kWaiting:
        events += "waiting ";
        break;
      case ConnPool::Start::kOverflow:
        events += "overflow ";
        break;
    }
    return result;
  }
  void reset() {
    if (stream != nullptr) std::exchange(stream, nullptr)->reset();
  }

  stream::WireBytes& wire_bytes() override { return wire_; }
  void on_ready(UpstreamStream& ready) override {
    stream = &ready;
    events += ready.reused() ? "ready-reused " : "ready ";
    http::HeaderMap request(arena_);
    request.add(http::HeaderId::kMethod, "GET");
    request.add(http::HeaderId::kScheme, "http");
    request.add(http::HeaderId::kPath, "/");
    request.add(http::HeaderId::kAuthority, "a");
    EXPECT_TRUE(ready.send_headers(request, request_ends));
  }
  void on_failed(ResetReason reason, std::string_view why) override {
    detail = why;
    events += "failed-" + std::string(reason_text(reason)) + " ";
  }
  http::HeaderMap& begin_response(int) override {
    response_.clear();
    return response_;
  }
  void on_informational(http::HeaderMap&) override { events += "info "; }
  void on_upstream_headers(BlockRef, bool end) override {
    events += "headers ";
    if (end) finish();
  }
  void on_upstream_data(Slices& data, bool end) override {
    body += data.to_string();
    data.clear();
    if (end) finish();
  }
  http::HeaderMap& begin_response_trailers() override { return trailers_; }
  void on_upstream_trailers() override {
    events += "trailers ";
    finish();
  }
  void on_reset(ResetReason reason, std::string_view) override {
    unsent = stream->request_unsent();
    stream = nullptr;
    events += "reset-" + std::string(reason_text(reason)) + " ";
    if (when_reset) when_reset();
  }
  void on_request_flow(bool) override {}

  Waiter waiter{*this};
  UpstreamStream* stream = nullptr;  // while there is one
  std::string events;
  std::string detail;  // of on_failed()
  std::string body;
  bool unsent = false;  // as on_reset() found it
  bool request_ends = true;
  std::function<void()> when_reset;

 private:
  void finish() {
    events += "end ";
    stream = nullptr;
  }
  Arena arena_;
  http::HeaderMap response_{arena_};
  http::HeaderMap trailers_{arena_};
  stream::WireBytes wire_;
};

}  // namespace weir::upstream
