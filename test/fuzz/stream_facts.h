// A stream whose facts come from the input: any combination of them may be there, in any order of time.
#pragma once

#include <string>
#include <vector>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/stream/formatter.h"
#include "test/fuzz/input.h"

namespace weir::fuzz {

class StreamFacts {
 public:
  explicit StreamFacts(Input& input) : input_(input) {
    texts_.reserve(64);
    info.start_wall = WallTime(Duration(static_cast<int64_t>(input.number(8))));
    for (MonoTime* time :
         {&info.start, &info.request_end, &info.response_first_tx, &info.end, &info.downstream_handshake_end,
          &info.upstream.connect_begin, &info.upstream.connect_end, &info.upstream.handshake_end,
          &info.upstream.requested, &info.upstream.pool_ready, &info.upstream.first_tx, &info.upstream.last_tx,
          &info.upstream.first_rx, &info.upstream.first_body_rx, &info.upstream.last_rx}) {
      *time = MonoTime(std::chrono::milliseconds(input.byte()));
    }
    info.protocol = static_cast<stream::Protocol>(input.below(5));
    info.upstream.protocol = static_cast<stream::Protocol>(input.below(5));
    info.response_code = static_cast<uint16_t>(input.number(2));
    for (size_t flags = input.number(4), i = 0; i < static_cast<size_t>(stream::ResponseFlag::kCount); ++i) {
      if ((flags >> (i % 32) & 1) != 0) info.flags.set(static_cast<stream::ResponseFlag>(i));
    }
    for (std::string_view* text :
         {&info.details, &info.connection_details, &info.route_name, &info.virtual_host, &info.virtual_cluster,
          &info.filter_chain_name, &info.requested_server_name, &info.downstream_failure_reason,
          &info.downstream_close_reason, &info.trace_id, &info.upstream.host_text, &info.upstream.host_name,
          &info.upstream.cluster, &info.upstream.cluster_raw, &info.upstream.failure_reason,
          &info.upstream.local_close_reason, &body_}) {
      *text = keep();
    }
    for (uint64_t* number : {&info.bytes_received, &info.bytes_sent, &info.wire.received, &info.wire.sent,
                             &info.wire.heads_received, &info.wire.heads_sent, &info.connection_id, &info.stream_id,
                             &info.upstream.wire.sent, &info.upstream.wire.received, &info.upstream.connection_id}) {
      *number = input.number(input.flag() ? 8 : 1);
    }
    info.upstream.attempts = input.byte();
    for (net::Address* address : {&info.downstream_remote, &info.downstream_direct_remote, &info.downstream_local,
                                  &info.downstream_direct_local, &info.upstream.remote, &info.upstream.local}) {
      *address = take_address();
    }
    type_ = static_cast<stream::AccessLogType>(input.below(static_cast<uint32_t>(stream::AccessLogType::kCount)));
    for (http::HeaderMap* map : {&request_, &response_, &trailers_}) fill(*map);
    has_maps_ = input.byte();
  }

  stream::LogSubject subject() const {
    auto map = [this](int bit, const http::HeaderMap& one) { return (has_maps_ >> bit & 1) == 0 ? &one : nullptr; };
    return {info, map(0, request_), map(1, response_), map(2, trailers_), body_, type_};
  }
  stream::StreamInfo info;

 private:
  std::string_view keep() { return texts_.emplace_back(input_.text()); }
  net::Address take_address() {
    static constexpr const char* kAddresses[] = {"10.0.0.1", "255.255.255.255", "::1", "2001:db8::7", "::ffff:1.2.3.4"};
    uint32_t choice = input_.below(8);
    if (choice >= std::size(kAddresses)) return {};
    return *net::Address::from_ip(kAddresses[choice], static_cast<uint16_t>(input_.number(2)));
  }
  void fill(http::HeaderMap& map) {
    static constexpr const char* kNames[] = {":method", ":path",       ":authority",   ":status",    "x-a",
                                             "x-b",     "grpc-status", "content-type", "user-agent", "x-forwarded-for"};
    for (uint32_t count = input_.below(8); count > 0; --count) {
      const char* name = kNames[input_.below(std::size(kNames))];
      map.add_copy(name, input_.text());
    }
  }

  Input& input_;
  std::vector<std::string> texts_;  // never grows beyond its first room: the facts are views
  std::string_view body_;
  stream::AccessLogType type_ = stream::AccessLogType::kNotSet;
  ArenaPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_};
  http::HeaderMap response_{arena_};
  http::HeaderMap trailers_{arena_};
  uint8_t has_maps_ = 0;
};

}  // namespace weir::fuzz
