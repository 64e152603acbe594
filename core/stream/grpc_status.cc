#include "core/stream/grpc_status.h"

#include <charconv>

#include "core/http/chars.h"
#include "core/http/header_map.h"

namespace weir::stream {
namespace {

// What a gRPC client makes of an answer without grpc-status (the mapping that gRPC publishes).
uint64_t grpc_status_of(uint16_t http_code) {
  switch (http_code) {
    case 400:
      return 13;  // Internal
    case 401:
      return 16;  // Unauthenticated
    case 403:
      return 7;  // PermissionDenied
    case 404:
      return 12;  // Unimplemented
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;  // Unavailable
    default:
      return 2;  // Unknown
  }
}

bool read_status(const http::HeaderMap* headers, uint64_t& status) {
  if (headers == nullptr) return false;
  std::string_view text = headers->get(http::HeaderId::kGrpcStatus);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

}  // namespace

bool is_grpc_type(std::string_view content_type) noexcept {
  constexpr std::string_view kGrpc = "application/grpc";
  if (!http::equals_ignoring_case(content_type.substr(0, kGrpc.size()), kGrpc)) return false;
  return content_type.size() == kGrpc.size() || content_type[kGrpc.size()] == '+' || content_type[kGrpc.size()] == ';';
}

std::optional<uint64_t> grpc_status(const LogSubject& subject) noexcept {
  uint64_t status = 0;
  if (read_status(subject.response_trailers, status) || read_status(subject.response, status)) return status;
  if (subject.info.response_code == 0) return std::nullopt;
  return grpc_status_of(subject.info.response_code);
}

}  // namespace weir::stream
