#include "core/grpc/status.h"

#include <algorithm>
#include <array>

#include "core/http/chars.h"
#include "core/stream/grpc_status.h"

namespace weir::grpc {
namespace {

constexpr std::array<std::string_view, 17> kNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

// What is kept of a message: it ends up in logs.
constexpr size_t kMaxMessageBytes = 1024;

}  // namespace

std::string_view code_name(Code code) { return kNames[static_cast<size_t>(code)]; }

Status status_of_http(int http) {
  Status status;
  status.origin = Status::Origin::kHttp;
  status.http = http;
  status.code = static_cast<Code>(stream::grpc_status_of_http(http));
  status.message = http == 200 ? "the server has ended the call without a status"
                               : "the server has answered with HTTP status " + std::to_string(http);
  return status;
}

Status read_status(const http::HeaderMap& fields, int http) {
  const std::string_view text = fields.get(http::HeaderId::kGrpcStatus);
  if (text.data() == nullptr) return status_of_http(http);
  Status status;
  status.http = http;
  status.message = decode_message(fields.get(http::HeaderId::kGrpcMessage));
  uint64_t number = 0;
  if (http::parse_decimal(text, number) && number < kNames.size()) {
    status.code = static_cast<Code>(number);
  } else {
    status.code = Code::kUnknown;
    if (status.message.empty()) status.message = "the server has ended the call with a status that is none";
  }
  return status;
}

std::string decode_message(std::string_view encoded) {
  std::string text;
  for (size_t at = 0; at < encoded.size() && text.size() < kMaxMessageBytes; ++at) {
    char c = encoded[at];
    if (c == '%' && at + 2 < encoded.size()) {
      const int high = http::hex_value(encoded[at + 1]);
      const int low = http::hex_value(encoded[at + 2]);
      if (high >= 0 && low >= 0) {
        c = static_cast<char>(high * 16 + low);
        at += 2;
      }
    }
    text += c;
  }
  return text;
}

std::string_view encode_timeout(Duration timeout, Arena& arena) {
  constexpr int64_t kMost = 99'999'999;
  struct Unit {
    int64_t nanoseconds;
    std::string_view letter;
  };
  constexpr int64_t kSecond = 1'000'000'000;
  constexpr std::array<Unit, 4> kUnits = {Unit{kSecond / 1000, "m"}, Unit{kSecond, "S"}, Unit{60 * kSecond, "M"},
                                          Unit{3600 * kSecond, "H"}};
  const int64_t wanted = std::max<int64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(timeout).count(), 1);
  const Unit* unit = kUnits.data();
  int64_t count = 0;
  for (const Unit& each : kUnits) {
    unit = &each;
    count = wanted / each.nanoseconds + (wanted % each.nanoseconds != 0);
    if (count <= kMost) break;
  }
  return arena.concat(arena.number(static_cast<uint64_t>(std::min(count, kMost))), unit->letter);
}

}  // namespace weir::grpc
