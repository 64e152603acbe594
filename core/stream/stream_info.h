// What is known of a stream (or of an L4 connection): the facts that access logs, header formatters and matchers
// print. Plain data, filled by whoever knows; views point at things that the stream keeps alive.
//
// A MonoTime that was never set (the default) means "did not happen"; a byte count that nobody knows is 0.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/arena.h"
#include "core/base/time.h"
#include "core/net/address.h"
#include "core/net/transport_facts.h"
#include "core/stream/response_flags.h"

namespace weir::http {
class HeaderMap;
}

namespace weir::stream {

enum class Protocol : uint8_t { kNone, kHttp10, kHttp11, kHttp2, kHttp3 };
std::string_view protocol_name(Protocol protocol);  // "HTTP/1.1"; empty for kNone

class FilterState;
class Metadata;
class Value;
struct UpstreamTls;

// How a connection was seen to end.
enum class CloseType : uint8_t {
  kNone,         // it was not, as far as this stream knows
  kNormal,       // in order
  kLocalReset,   // by a reset from here
  kRemoteReset,  // by one from the peer
};
std::string_view close_type_name(CloseType type);  // "RemoteReset"; empty for kNone

// Bytes of one exchange as the wire has them. What is sent counts once it is encoded, whether or not the peer takes it.
struct WireBytes {
  uint64_t received = 0;  // heads, bodies with their framing, trailers
  uint64_t sent = 0;
  uint64_t heads_received = 0;  // the heads alone, as compressed as they were
  uint64_t heads_sent = 0;
  CloseType closed : 8 = CloseType::kNone;  // the connection, while the exchange was under way
  // Names and values of the heads, of a protocol that compresses them; else 0. In what the word of `closed` leaves.
  uint64_t fields_received : 28 = 0;
  uint64_t fields_sent : 28 = 0;

  static constexpr uint64_t kMostFields = (uint64_t{1} << 28) - 1;
  void set_fields(uint64_t all_received, uint64_t all_sent) {
    fields_received = (all_received < kMostFields ? all_received : kMostFields) & kMostFields;
    fields_sent = (all_sent < kMostFields ? all_sent : kMostFields) & kMostFields;
  }
  void add_received_head(uint64_t bytes) {
    received += bytes;
    heads_received += bytes;
  }
  void add_sent_head(uint64_t bytes) {
    sent += bytes;
    heads_sent += bytes;
  }
};
static_assert(sizeof(WireBytes) == 5 * sizeof(uint64_t));

// A try of the request. In the stream's arena.
struct AttemptedHost {
  net::Address address;
  std::string_view text;       // as UpstreamInfo::host_text
  std::string_view name;       // as UpstreamInfo::host_name
  uint64_t connection_id = 0;  // 0: there was none
  AttemptedHost* next = nullptr;
};

struct UpstreamInfo {
  net::Address remote;              // the host of the last attempt; empty if none was chosen
  net::Address local;               // of its connection; empty unless kConnectionRecords are wanted
  std::string_view host_text;       // as configured: "127.0.0.1:8080" (kept alive by the stream's pin or arena)
  std::string_view host_name;       // of the endpoint, if it has one: "a.example.com"
  std::string_view cluster;         // as statistics call it (alt_stat_name)
  std::string_view cluster_raw;     // its name, where that differs from `cluster`
  std::string_view failure_reason;  // "connection_refused", ...
  std::string_view local_close_reason;
  uint32_t attempts = 0;
  Protocol protocol = Protocol::kNone;
  uint64_t connection_id = 0;
  MonoTime connect_begin{};  // of the connection used, which may be older than the stream
  MonoTime connect_end{};
  MonoTime handshake_end{};
  MonoTime requested{};   // a connection was asked for
  MonoTime pool_ready{};  // and was there
  MonoTime first_tx{};    // of the last attempt
  MonoTime last_tx{};
  MonoTime first_rx{};
  MonoTime first_body_rx{};
  MonoTime last_rx{};
  WireBytes wire;                           // of all attempts; `closed`: of the last one
  const Value* cluster_metadata = nullptr;  // null: none
  const Value* host_metadata = nullptr;
  const UpstreamTls* tls = nullptr;    // null: no TLS, or nobody wants kTlsRecords
  AttemptedHost* attempted = nullptr;  // the first, if kAttemptRecords are wanted
  AttemptedHost* last_attempted = nullptr;
};

// What all streams of a downstream connection have in common and few need. Lives with the connection.
struct ConnectionInfo {
  explicit ConnectionInfo(ArenaPool& arenas);
  ~ConnectionInfo();
  ConnectionInfo(const ConnectionInfo&) = delete;
  ConnectionInfo& operator=(const ConnectionInfo&) = delete;

  ArenaPool& arenas;
  FilterState* filter_state = nullptr;  // null: nothing was set yet
  // Makes it on first use; it lives as long as this. [worker]
  FilterState& make_filter_state();
  const Value* listener_metadata = nullptr;
  const Value* listener_filter_metadata = nullptr;  // the root of metadata(), once there is any
  // What listener and network filters have found out; made on first use. [worker]
  Metadata& make_metadata();
  Metadata* metadata() const;                   // null: nothing was set yet
  std::string_view transport_protocol = {};     // as a listener filter found out; empty: raw_buffer
  std::string_view application_protocols = {};  // 'h2','http/1.1'
  std::string_view termination_details = {};    // why a filter has ended the connection; its own text, which stays
  void set_application_protocols(std::span<const std::string> names);
  std::string_view ja3 = {};  // of the client's TLS; empty: nobody took it
  std::string_view ja4 = {};
  void set_client_fingerprints(std::string ja3_digits, std::string ja4_text);

 private:
  struct Owned;
  Owned& owned();
  std::unique_ptr<Owned> owned_;
};

struct StreamInfo {
  WallTime start_wall{};
  MonoTime start{};
  MonoTime request_end{};        // last byte of the request received
  MonoTime response_first_tx{};  // first byte of the response handed to the connection
  MonoTime end{};
  MonoTime downstream_handshake_end{};
  Protocol protocol = Protocol::kNone;
  uint16_t response_code = 0;     // 0: none was sent
  bool health_check : 1 = false;  // a health checker's request, as a filter found out
  bool grpc_web : 1 = false;      // its client speaks gRPC-web, whatever a filter has made of the request
  ResponseFlags flags;
  std::string_view details;             // "via_upstream", "route_not_found", ...
  std::string_view connection_details;  // connection termination details
  std::string_view route_name;
  std::string_view virtual_host;
  std::string_view virtual_cluster;
  std::string_view filter_chain_name;
  uint64_t bytes_received = 0;  // body bytes
  uint64_t bytes_sent = 0;
  WireBytes wire;
  uint64_t connection_id = 0;
  uint64_t stream_id = 0;
  net::Address downstream_remote;  // after XFF or PROXY protocol
  // As listener filters have it, whatever x-forwarded-for says. The connection's; nullptr: downstream_direct_remote.
  const net::Address* connection_remote = nullptr;
  net::Address downstream_direct_remote;       // the peer of the socket
  net::Address downstream_local;               // after PROXY protocol or original destination
  net::Address downstream_direct_local;        // of the socket; empty: the same as downstream_local
  std::string_view requested_server_name;      // SNI
  std::string_view downstream_failure_reason;  // of its transport socket
  std::string_view downstream_close_reason;    // if it was closed from here
  CloseType downstream_close_type = CloseType::kNone;
  std::string_view trace_id;
  uint64_t random = 0;  // drawn once per stream: fractions, weights and sampling follow from it
  // Null: none was set. The stream makes and owns them.
  Metadata* metadata = nullptr;
  FilterState* filter_state = nullptr;
  const Value* route_metadata = nullptr;  // kept by the stream's pin of the route table
  const Value* virtual_host_metadata = nullptr;
  ConnectionInfo* connection = nullptr;  // null: nobody asked for it
  net::TransportFacts* tls = nullptr;    // of the downstream connection, which keeps it; null: no TLS
  UpstreamInfo upstream;
};

// What is recorded once a format of this process prints it, and is worth nothing to the others.
using Records = uint8_t;
// What the upstream's connection alone knows: its local address (a system call), its id, how long it took and was
// waited for; and when the first bytes of a body came, which may bypass the router.
inline constexpr Records kConnectionRecords = 1;
inline constexpr Records kAttemptRecords = 2;  // all hosts that were tried
inline constexpr Records kTlsRecords = 4;      // the handshake with the upstream
inline std::atomic<Records> wanted_records_of_process{0};
inline void want_records(Records records) { wanted_records_of_process.fetch_or(records, std::memory_order_relaxed); }
inline Records wanted_records() { return wanted_records_of_process.load(std::memory_order_relaxed); }

// Why a log line is written.
enum class AccessLogType : uint8_t {
  kNotSet,
  kTcpUpstreamConnected,
  kTcpPeriodic,
  kTcpConnectionEnd,
  kTcpConnectionStart,
  kDownstreamStart,
  kDownstreamTunnelSuccessfullyEstablished,
  kDownstreamPeriodic,
  kDownstreamEnd,
  kUpstreamPoolReady,
  kUpstreamPeriodic,
  kUpstreamEnd,
  kUdpTunnelUpstreamConnected,
  kUdpPeriodic,
  kUdpSessionEnd,
  kCount,
};
std::string_view access_log_type_name(AccessLogType type);  // "DownstreamEnd"

// Everything a log line can be made of.
struct LogSubject {
  const StreamInfo& info;
  const http::HeaderMap* request = nullptr;
  const http::HeaderMap* response = nullptr;
  const http::HeaderMap* response_trailers = nullptr;
  std::string_view local_reply_body = {};
  AccessLogType type = AccessLogType::kNotSet;
};

}  // namespace weir::stream
