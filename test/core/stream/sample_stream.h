// One stream with every fact set, for the golden lines.
#pragma once

#include <gtest/gtest.h>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/stream/filter_state.h"
#include "core/stream/formatter.h"
#include "core/stream/metadata.h"

namespace weir::stream {

inline MonoTime at_ms(int64_t ms) { return MonoTime(std::chrono::seconds(1000) + std::chrono::milliseconds(ms)); }

inline net::Address test_address(std::string_view ip, uint16_t port) {
  auto address = net::Address::from_ip(ip, port);
  EXPECT_TRUE(address.ok());
  return *address;
}

class SampleStream : public testing::Test {
 protected:
  SampleStream() {
    // 2018-01-01T00:00:00.123456789Z
    info_.start_wall = WallTime(std::chrono::seconds(1514764800) + Duration(123456789));
    info_.start = at_ms(0);
    info_.request_end = at_ms(5);
    info_.response_first_tx = at_ms(21);
    info_.end = at_ms(30);
    info_.downstream_handshake_end = at_ms(2);
    info_.protocol = Protocol::kHttp11;
    info_.response_code = 503;
    info_.flags.set(ResponseFlag::kUpstreamConnectionFailure);
    info_.flags.set(ResponseFlag::kUpstreamRetryLimitExceeded);
    info_.details = "upstream reset: a b";
    info_.connection_details = "rbac_denied";
    info_.route_name = "to-api";
    info_.virtual_host = "vh";
    info_.virtual_cluster = "vc";
    info_.filter_chain_name = "main-chain";
    info_.bytes_received = 11;
    info_.bytes_sent = 22;
    info_.wire = {.received = 111, .sent = 222, .heads_received = 100, .heads_sent = 200};
    info_.connection_id = 42;
    info_.stream_id = 43;
    info_.downstream_remote = test_address("10.1.10.23", 5555);
    info_.downstream_direct_remote = test_address("2001:db8::7", 6666);
    info_.downstream_local = test_address("192.0.2.1", 443);
    info_.requested_server_name = "sni.example";
    info_.downstream_failure_reason = "bad certificate";
    info_.downstream_close_reason = "idle";
    info_.downstream_close_type = CloseType::kNormal;
    info_.trace_id = "abc123";
    info_.upstream.remote = test_address("10.0.0.9", 8080);
    info_.upstream.local = test_address("10.0.0.2", 40000);
    info_.upstream.host_text = "10.0.0.9:8080";
    info_.upstream.host_name = "api.example:8080";
    attempted_[0].address = test_address("10.0.0.8", 8080);
    attempted_[0].text = "10.0.0.8:8080";
    attempted_[0].next = &attempted_[1];
    attempted_[1].address = info_.upstream.remote;
    attempted_[1].text = info_.upstream.host_text;
    attempted_[1].name = info_.upstream.host_name;
    attempted_[1].connection_id = 7;
    info_.upstream.attempted = &attempted_[0];
    info_.upstream.last_attempted = &attempted_[1];
    info_.upstream.cluster = "api";
    info_.upstream.failure_reason = "connection_refused";
    info_.upstream.local_close_reason = "drained";
    info_.upstream.attempts = 3;
    info_.upstream.protocol = Protocol::kHttp2;
    info_.upstream.connection_id = 77;
    info_.upstream.connect_begin = at_ms(6);
    info_.upstream.connect_end = at_ms(8);
    info_.upstream.handshake_end = at_ms(9);
    info_.upstream.requested = at_ms(4);
    info_.upstream.pool_ready = at_ms(10);
    info_.upstream.first_tx = at_ms(11);
    info_.upstream.last_tx = at_ms(12);
    info_.upstream.first_rx = at_ms(20);
    info_.upstream.first_body_rx = at_ms(22);
    info_.upstream.last_rx = at_ms(28);
    info_.upstream.wire = {
        .received = 444, .sent = 333, .heads_received = 44, .heads_sent = 33, .closed = CloseType::kRemoteReset};

    request_.add(http::HeaderId::kMethod, "GET");
    request_.add(http::HeaderId::kPath, "/new?q=1&empty=&flag&q=2&e=%41%zz+b");
    request_.add(http::HeaderId::kAuthority, "api.example");
    request_.add(http::HeaderId::kXEnvoyOriginalPath, "/old?o=1");
    request_.add(http::HeaderId::kXForwardedFor, "10.1.10.23");
    request_.add(http::HeaderId::kUserAgent, "curl/8");
    request_.add(http::HeaderId::kXRequestId, "id-1");
    request_.add_copy("X-Empty", "");
    request_.add_copy("X-Twice", "one");
    request_.add_copy("X-Twice", "two");
    response_.add(http::HeaderId::kXEnvoyUpstreamServiceTime, "8");
    response_.add(http::HeaderId::kStatus, "503");
    trailers_.add_copy("x-check", "ok");
  }

  std::string print(std::string_view format, const Format::Options& options = {}) {
    auto compiled = Format::compile(format, options);
    EXPECT_TRUE(compiled.ok()) << compiled.status().ToString();
    std::string out;
    if (compiled.ok()) compiled->append(subject(), out);
    return out;
  }
  std::string print_empty(std::string_view format, const Format::Options& options = {}) {
    auto compiled = Format::compile(format, options);
    EXPECT_TRUE(compiled.ok()) << compiled.status().ToString();
    std::string out;
    StreamInfo nothing;
    if (compiled.ok()) compiled->append({nothing}, out);
    return out;
  }
  LogSubject subject() const {
    return {info_, &request_, &response_, &trailers_, "no healthy upstream", AccessLogType::kDownstreamEnd};
  }

  ArenaPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_};
  http::HeaderMap response_{arena_};
  http::HeaderMap trailers_{arena_};
  AttemptedHost attempted_[2];
  StreamInfo info_;
};

}  // namespace weir::stream
