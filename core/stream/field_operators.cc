// Operators that print facts of StreamInfo.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "core/http/header_map.h"
#include "core/stream/host_text.h"
#include "core/stream/operators.h"
#include "core/stream/time_format.h"

namespace weir::stream {
namespace {

using AppendField = bool (*)(const LogSubject& subject, TextBuffer& out);

bool happened(MonoTime time) { return time != MonoTime{}; }

bool append_between(TextBuffer& out, MonoTime from, MonoTime to) {
  if (!happened(from) || !happened(to)) return false;
  return append_signed(out, to_ms(to - from));
}

bool append_address(TextBuffer& out, const net::Address& address) {
  if (address.empty()) return false;
  char buffer[net::Address::kMaxText];
  out += address.to_text(buffer);
  return true;
}

const net::Address& direct_local(const StreamInfo& info) {
  return info.downstream_direct_local.empty() ? info.downstream_local : info.downstream_direct_local;
}

bool append_host(const LogSubject& subject, TextBuffer& out) {
  return append_text(out, subject.info.upstream.host_text) || append_address(out, subject.info.upstream.remote);
}

bool nothing(const LogSubject&, TextBuffer&) { return false; }
bool none(const LogSubject&, TextBuffer& out) { return append_unsigned(out, 0); }
bool heads_sent(const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.wire.heads_sent); }
bool heads_received(const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.wire.heads_received); }
// HTTP/1 compresses nothing.
bool append_plain(TextBuffer& out, uint64_t fields, uint64_t heads) {
  return append_unsigned(out, fields != 0 ? fields : heads);
}
bool upstream_heads_sent(const LogSubject& s, TextBuffer& out) {
  return append_unsigned(out, s.info.upstream.wire.heads_sent);
}
bool upstream_heads_received(const LogSubject& s, TextBuffer& out) {
  return append_unsigned(out, s.info.upstream.wire.heads_received);
}

bool append_flags(TextBuffer& out, ResponseFlags flags, std::string_view (*name)(ResponseFlag)) {
  bool first = true;
  for (int i = 0; i < static_cast<int>(ResponseFlag::kCount); ++i) {
    auto flag = static_cast<ResponseFlag>(i);
    if (!flags.has(flag)) continue;
    if (!first) out += ',';
    first = false;
    out += name(flag);
  }
  if (first) out += '-';  // no flag is a value: also in JSON, also where absent values are left out
  return true;
}

struct FieldOperator {
  std::string_view name;
  bool numeric;
  AppendField append;
};

// NOLINTBEGIN: one line per operator reads best.
constexpr FieldOperator kFields[] = {
    {"REQUEST_HEADERS_BYTES", true,
     [](const LogSubject& s, TextBuffer& out) {  // a head that never became complete has no size
       return append_unsigned(out, s.request != nullptr && s.request->size() > 0 ? s.request->byte_size() : 0);
     }},
    {"RESPONSE_HEADERS_BYTES", true,
     [](const LogSubject& s, TextBuffer& out) {
       return append_unsigned(out, s.response != nullptr ? s.response->byte_size() : 0);
     }},
    {"RESPONSE_TRAILERS_BYTES", true,
     [](const LogSubject& s, TextBuffer& out) {
       return append_unsigned(out, s.response_trailers != nullptr ? s.response_trailers->byte_size() : 0);
     }},
    {"BYTES_RECEIVED", true,
     [](const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.bytes_received); }},
    {"BYTES_SENT", true, [](const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.bytes_sent); }},
    {"BYTES_RETRANSMITTED", true, none},  // QUIC's; the kernel's are not told per stream
    {"PACKETS_RETRANSMITTED", true, none},
    {"UPSTREAM_WIRE_BYTES_SENT", true,
     [](const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.upstream.wire.sent); }},
    {"UPSTREAM_WIRE_BYTES_RECEIVED", true,
     [](const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.upstream.wire.received); }},
    {"UPSTREAM_HEADER_BYTES_SENT", true, upstream_heads_sent},
    {"UPSTREAM_HEADER_BYTES_RECEIVED", true, upstream_heads_received},
    {"UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", true,
     [](const LogSubject& s, TextBuffer& out) {
       return append_plain(out, s.info.upstream.wire.fields_sent, s.info.upstream.wire.heads_sent);
     }},
    {"UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", true,
     [](const LogSubject& s, TextBuffer& out) {
       return append_plain(out, s.info.upstream.wire.fields_received, s.info.upstream.wire.heads_received);
     }},
    {"DOWNSTREAM_WIRE_BYTES_SENT", true,
     [](const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.wire.sent); }},
    {"DOWNSTREAM_WIRE_BYTES_RECEIVED", true,
     [](const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.wire.received); }},
    {"DOWNSTREAM_HEADER_BYTES_SENT", true, heads_sent},
    {"DOWNSTREAM_HEADER_BYTES_RECEIVED", true, heads_received},
    {"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", true,
     [](const LogSubject& s, TextBuffer& out) {
       return append_plain(out, s.info.wire.fields_sent, s.info.wire.heads_sent);
     }},
    {"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", true,
     [](const LogSubject& s, TextBuffer& out) {
       return append_plain(out, s.info.wire.fields_received, s.info.wire.heads_received);
     }},
    {"PROTOCOL", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, protocol_name(s.info.protocol)); }},
    {"UPSTREAM_PROTOCOL", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, protocol_name(s.info.upstream.protocol)); }},
    {"RESPONSE_CODE", true,
     [](const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.response_code); }},
    {"CONNECTION_TERMINATION_DETAILS", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, s.info.connection_details); }},
    {"RESPONSE_FLAGS", false,
     [](const LogSubject& s, TextBuffer& out) { return append_flags(out, s.info.flags, short_name); }},
    {"RESPONSE_FLAGS_LONG", false,
     [](const LogSubject& s, TextBuffer& out) { return append_flags(out, s.info.flags, long_name); }},
    {"DURATION", true,
     [](const LogSubject& s, TextBuffer& out) { return append_between(out, s.info.start, s.info.end); }},
    {"REQUEST_DURATION", true,
     [](const LogSubject& s, TextBuffer& out) { return append_between(out, s.info.start, s.info.request_end); }},
    {"REQUEST_TX_DURATION", true,
     [](const LogSubject& s, TextBuffer& out) { return append_between(out, s.info.start, s.info.upstream.last_tx); }},
    {"RESPONSE_DURATION", true,
     [](const LogSubject& s, TextBuffer& out) { return append_between(out, s.info.start, s.info.upstream.first_rx); }},
    {"RESPONSE_TX_DURATION", true,
     [](const LogSubject& s, TextBuffer& out) { return append_between(out, s.info.upstream.first_rx, s.info.end); }},
    {"ROUNDTRIP_DURATION", true, nothing},  // QUIC's acknowledgements
    {"DOWNSTREAM_HANDSHAKE_DURATION", true,
     [](const LogSubject& s, TextBuffer& out) {
       return append_between(out, s.info.start, s.info.downstream_handshake_end);
     }},
    {"UPSTREAM_CONNECTION_POOL_READY_DURATION", true,
     [](const LogSubject& s, TextBuffer& out) {
       return append_between(out, s.info.upstream.requested, s.info.upstream.pool_ready);
     }},
    {"UPSTREAM_HOST", false, append_host},
    {"UPSTREAM_HOST_NAME", false,
     [](const LogSubject& s, TextBuffer& out) {
       return append_text(out, s.info.upstream.host_name) || append_host(s, out);
     }},
    {"UPSTREAM_HOST_NAME_WITHOUT_PORT", false,
     [](const LogSubject& s, TextBuffer& out) {
       std::string_view name =
           s.info.upstream.host_name.empty() ? s.info.upstream.host_text : s.info.upstream.host_name;
       if (append_text(out, without_port(name))) return true;
       char buffer[net::Address::kMaxText];
       return append_text(out, s.info.upstream.remote.ip_to_text(buffer));
     }},
    {"UPSTREAM_CLUSTER", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, s.info.upstream.cluster); }},
    {"UPSTREAM_CLUSTER_RAW", false,
     [](const LogSubject& s, TextBuffer& out) {
       return append_text(out, s.info.upstream.cluster_raw) || append_text(out, s.info.upstream.cluster);
     }},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, s.info.upstream.failure_reason); }},
    {"UPSTREAM_DETECTED_CLOSE_TYPE", false,
     [](const LogSubject& s, TextBuffer& out) {
       return append_text(out, close_type_name(s.info.upstream.wire.closed));
     }},
    {"DOWNSTREAM_DETECTED_CLOSE_TYPE", false,
     [](const LogSubject& s, TextBuffer& out) {
       return append_text(out, close_type_name(s.info.downstream_close_type));
     }},
    {"UPSTREAM_LOCAL_CLOSE_REASON", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, s.info.upstream.local_close_reason); }},
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", true,
     [](const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.upstream.attempts); }},
    {"UPSTREAM_CONNECTION_ID", true,
     [](const LogSubject& s, TextBuffer& out) {
       return s.info.upstream.connection_id != 0 && append_unsigned(out, s.info.upstream.connection_id);
     }},
    {"DOWNSTREAM_TRANSPORT_FAILURE_REASON", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, s.info.downstream_failure_reason); }},
    {"DOWNSTREAM_LOCAL_CLOSE_REASON", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, s.info.downstream_close_reason); }},
    {"CONNECTION_ID", true,
     [](const LogSubject& s, TextBuffer& out) { return append_unsigned(out, s.info.connection_id); }},
    {"ROUTE_NAME", false, [](const LogSubject& s, TextBuffer& out) { return append_text(out, s.info.route_name); }},
    {"VIRTUAL_CLUSTER_NAME", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, s.info.virtual_cluster); }},
    {"FILTER_CHAIN_NAME", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, s.info.filter_chain_name); }},
    {"TRACE_ID", false, [](const LogSubject& s, TextBuffer& out) { return append_text(out, s.info.trace_id); }},
    // No request is traced.
    {"SPAN_ID", false, [](const LogSubject&, TextBuffer&) { return false; }},
    {"LOCAL_REPLY_BODY", false,
     [](const LogSubject& s, TextBuffer& out) {
       out += s.local_reply_body;
       return s.local_reply_body.data() != nullptr;  // an empty one is a value
     }},
    {"ACCESS_LOG_TYPE", false,
     [](const LogSubject& s, TextBuffer& out) { return append_text(out, access_log_type_name(s.type)); }},
};
// NOLINTEND

class Field final : public Operator {
 public:
  explicit Field(const FieldOperator& field) : field_(field) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override { return field_.append(subject, out); }
  bool numeric() const override { return field_.numeric; }

 private:
  const FieldOperator& field_;
};

// The six addresses, each as <name>_ADDRESS, <name>_ADDRESS_WITHOUT_PORT(bits) and <name>_PORT.
struct AddressSource {
  std::string_view name;
  const net::Address& (*get)(const StreamInfo& info);
};
constexpr std::string_view kUpstreamLocal = "UPSTREAM_LOCAL";
constexpr AddressSource kAddresses[] = {
    {kUpstreamLocal, [](const StreamInfo& info) -> const net::Address& { return info.upstream.local; }},
    {"UPSTREAM_REMOTE", [](const StreamInfo& info) -> const net::Address& { return info.upstream.remote; }},
    {"DOWNSTREAM_REMOTE", [](const StreamInfo& info) -> const net::Address& { return info.downstream_remote; }},
    {"DOWNSTREAM_DIRECT_REMOTE",
     [](const StreamInfo& info) -> const net::Address& { return info.downstream_direct_remote; }},
    {"DOWNSTREAM_LOCAL", [](const StreamInfo& info) -> const net::Address& { return info.downstream_local; }},
    {"DOWNSTREAM_DIRECT_LOCAL", direct_local},
};
constexpr std::string_view kAddressForms[] = {"_ADDRESS", "_ADDRESS_WITHOUT_PORT", "_PORT"};

class AddressOperator final : public Operator {
 public:
  enum class Form : uint8_t { kFull, kWithoutPort, kPort };  // as kAddressForms
  AddressOperator(const AddressSource& source, Form form, int mask_bits)
      : get_(source.get), form_(form), mask_bits_(mask_bits) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    const net::Address& address = get_(subject.info);
    if (address.empty()) return false;
    if (form_ == Form::kFull) return append_address(out, address);
    if (form_ == Form::kPort) return address.is_ip() && append_unsigned(out, address.port());
    char buffer[net::Address::kMaxText];
    if (mask_bits_ < 0 || !address.is_ip()) return append_text(out, address.ip_to_text(buffer));
    int bits = std::min(mask_bits_, static_cast<int>(address.ip_size()) * 8);
    out += address.masked(bits).ip_to_text(buffer);
    out += '/';
    return append_signed(out, bits);
  }
  bool numeric() const override { return form_ == Form::kPort; }

 private:
  const net::Address& (*get_)(const StreamInfo& info);
  Form form_;
  int mask_bits_;  // -1: the whole address
};

class TimeOperator final : public Operator {
 public:
  enum class Moment : uint8_t { kStart, kEmit };
  TimeOperator(TimeFormat format, Moment moment) : format_(std::move(format)), moment_(moment) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    const StreamInfo& info = subject.info;
    WallTime time = info.start_wall;
    // The end is when the line is made; no clock is read here.
    if (moment_ == Moment::kEmit && happened(info.end)) time += info.end - info.start;
    format_.append(time, out);
    return true;
  }

 private:
  TimeFormat format_;
  Moment moment_;
};

struct TimePoint {
  std::string_view name;
  MonoTime (*get)(const StreamInfo& info);
};
constexpr TimePoint kTimePoints[] = {
    {"DS_CX_BEG", [](const StreamInfo& info) { return info.start; }},
    {"DS_CX_END", [](const StreamInfo& info) { return info.end; }},
    {"DS_RX_BEG", [](const StreamInfo& info) { return info.start; }},
    {"DS_RX_END", [](const StreamInfo& info) { return info.request_end; }},
    {"US_CX_BEG", [](const StreamInfo& info) { return info.upstream.connect_begin; }},
    {"US_CX_END", [](const StreamInfo& info) { return info.upstream.connect_end; }},
    {"US_HS_END", [](const StreamInfo& info) { return info.upstream.handshake_end; }},
    {"US_TX_BEG", [](const StreamInfo& info) { return info.upstream.first_tx; }},
    {"US_TX_END", [](const StreamInfo& info) { return info.upstream.last_tx; }},
    {"US_RX_BEG", [](const StreamInfo& info) { return info.upstream.first_rx; }},
    {"US_RX_BODY_BEG", [](const StreamInfo& info) { return info.upstream.first_body_rx; }},
    {"US_RX_END", [](const StreamInfo& info) { return info.upstream.last_rx; }},
    {"DS_TX_BEG", [](const StreamInfo& info) { return info.response_first_tx; }},
    {"DS_TX_END", [](const StreamInfo& info) { return info.end; }},
};

class CommonDuration final : public Operator {
 public:
  CommonDuration(const TimePoint& from, const TimePoint& to, int64_t unit) : from_(from), to_(to), unit_(unit) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    MonoTime from = from_.get(subject.info);
    MonoTime to = to_.get(subject.info);
    return happened(from) && happened(to) && append_signed(out, (to - from).count() / unit_);
  }
  bool numeric() const override { return true; }

 private:
  const TimePoint& from_;
  const TimePoint& to_;
  int64_t unit_;  // nanoseconds
};

// What does not change while the process runs.
class Constant final : public Operator {
 public:
  explicit Constant(std::optional<std::string> value) : value_(std::move(value)) {}
  bool append(const LogSubject&, TextBuffer& out) const override {
    if (value_) out += *value_;
    return value_.has_value();
  }

 private:
  std::optional<std::string> value_;
};

class CodeDetails final : public Operator {
 public:
  explicit CodeDetails(bool keep_whitespace) : keep_whitespace_(keep_whitespace) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    size_t from = out.size();
    if (!append_text(out, subject.info.details)) return false;
    if (keep_whitespace_) return true;
    for (size_t i = from; i < out.size(); ++i) {
      if (out[i] == ' ' || (out[i] >= '\t' && out[i] <= '\r')) out[i] = '_';
    }
    return true;
  }

 private:
  bool keep_whitespace_;
};

template <class T, class... Args>
std::unique_ptr<Operator> make(Args&&... args) {
  return std::make_unique<T>(std::forward<Args>(args)...);
}

std::string_view next_word(std::string_view& text) {
  size_t colon = text.find(':');
  std::string_view word = text.substr(0, colon);
  text = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  return word;
}

Result<std::unique_ptr<Operator>> make_common_duration(const OperatorCall& call) {
  constexpr std::string_view kShape =
      "write %COMMON_DURATION(START:END:PRECISION)%, e.g. %COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%";
  std::string_view rest = call.argument;
  const TimePoint* points[2] = {};
  for (const TimePoint*& point : points) {
    std::string_view word = next_word(rest);
    for (const TimePoint& candidate : kTimePoints) {
      if (candidate.name == word) point = &candidate;
    }
    if (point == nullptr) {
      std::string known;
      for (const TimePoint& candidate : kTimePoints) (known += known.empty() ? "" : ", ") += candidate.name;
      return operator_error(call, "\"" + std::string(word) + "\" is not a time point (" + known + ")", kShape);
    }
  }
  int64_t unit = rest == "ms" ? 1'000'000 : rest == "us" ? 1'000 : rest == "ns" ? 1 : 0;
  if (unit == 0) return operator_error(call, "the precision must be ms, us or ns", kShape);
  for (const TimePoint* point : points) {
    if (point->name.starts_with("US_CX_") || point->name == "US_HS_END" || point->name == "US_RX_BODY_BEG")
      want_records(kConnectionRecords);
  }
  return make<CommonDuration>(*points[0], *points[1], unit);
}

Result<std::unique_ptr<Operator>> make_time(const OperatorCall& call, Zone zone, TimeOperator::Moment moment) {
  auto format = TimeFormat::compile(call.argument, zone);
  if (!format.ok()) return operator_error(call, message_of(format.status()));
  return make<TimeOperator>(std::move(*format), moment);
}

Result<std::unique_ptr<Operator>> make_address(const OperatorCall& call) {
  for (const AddressSource& source : kAddresses) {
    for (size_t i = 0; i < std::size(kAddressForms); ++i) {
      if (call.name.size() != source.name.size() + kAddressForms[i].size() || !call.name.starts_with(source.name) ||
          !call.name.ends_with(kAddressForms[i])) {
        continue;
      }
      auto form = static_cast<AddressOperator::Form>(i);
      int bits = -1;
      if (call.argument.data() != nullptr) {
        if (form != AddressOperator::Form::kWithoutPort) return no_argument_error(call);
        auto [end, error] = std::from_chars(call.argument.data(), call.argument.data() + call.argument.size(), bits);
        if (error != std::errc() || end != call.argument.data() + call.argument.size() || bits < 0 || bits > 128) {
          return operator_error(call,
                                "the argument is the length of a prefix in bits, 0 to 32 for IPv4, 0 to 128 for IPv6");
        }
      }
      if (source.name == kUpstreamLocal) want_records(kConnectionRecords);
      return make<AddressOperator>(source, form, bits);
    }
  }
  return nullptr;
}

constexpr std::string_view kOthers[] = {"START_TIME",      "START_TIME_LOCAL", "EMIT_TIME",   "EMIT_TIME_LOCAL",
                                        "COMMON_DURATION", "HOSTNAME",         "ENVIRONMENT", "RESPONSE_CODE_DETAILS"};
// Of internal addresses; those of this process have none (EnvoyInternalAddress.endpoint_id has a warning).
constexpr std::string_view kEndpointIds[] = {"DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
                                             "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
                                             "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID"};

}  // namespace

Result<std::unique_ptr<Operator>> make_field_operator(const OperatorCall& call) {
  for (const FieldOperator& field : kFields) {
    if (field.name != call.name) continue;
    if (call.argument.data() != nullptr) return no_argument_error(call);
    if (call.name.starts_with("UPSTREAM_CONNECTION_")) want_records(kConnectionRecords);
    return make<Field>(field);
  }
  if (call.name == "START_TIME") return make_time(call, Zone::kUtc, TimeOperator::Moment::kStart);
  if (call.name == "START_TIME_LOCAL") return make_time(call, Zone::kLocal, TimeOperator::Moment::kStart);
  if (call.name == "EMIT_TIME") return make_time(call, Zone::kUtc, TimeOperator::Moment::kEmit);
  if (call.name == "EMIT_TIME_LOCAL") return make_time(call, Zone::kLocal, TimeOperator::Moment::kEmit);
  if (call.name == "COMMON_DURATION") return make_common_duration(call);
  if (call.name == "RESPONSE_CODE_DETAILS") {
    if (!call.argument.empty() && call.argument != "ALLOW_WHITESPACES") {
      return operator_error(call, "the argument may only be ALLOW_WHITESPACES");
    }
    return make<CodeDetails>(!call.argument.empty());
  }
  if (call.name == "HOSTNAME") {
    if (call.argument.data() != nullptr) return no_argument_error(call);
    char name[256];
    if (gethostname(name, sizeof name) != 0) return make<Constant>(std::nullopt);
    name[sizeof name - 1] = '\0';
    return make<Constant>(std::string(name));
  }
  if (call.name == "ENVIRONMENT") {
    if (call.argument.empty())
      return operator_error(call, "the name of a variable is needed", "write %ENVIRONMENT(NAME)%");
    const char* value = std::getenv(std::string(call.argument).c_str());
    return make<Constant>(value != nullptr ? std::optional<std::string>(value) : std::nullopt);
  }
  for (std::string_view name : kEndpointIds) {
    if (call.name != name) continue;
    if (call.argument.data() != nullptr) return no_argument_error(call);
    return make<Constant>(std::nullopt);
  }
  return make_address(call);
}

void list_field_operators(void (*visit)(std::string_view name, void* user), void* user) {
  for (const FieldOperator& field : kFields) visit(field.name, user);
  for (std::string_view name : kOthers) visit(name, user);
  for (std::string_view name : kEndpointIds) visit(name, user);
  for (const AddressSource& source : kAddresses) {
    for (std::string_view form : kAddressForms) visit(std::string(source.name).append(form), user);
  }
}

}  // namespace weir::stream
