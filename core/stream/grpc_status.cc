#include "core/stream/grpc_status.h"

#include "core/base/arena.h"
#include "core/http/chars.h"
#include "core/http/header_map.h"

namespace weir::stream {
namespace {

bool read_status(const http::HeaderMap* headers, uint64_t& status) {
  if (headers == nullptr) return false;
  return http::parse_decimal(headers->get(http::HeaderId::kGrpcStatus), status);
}

}  // namespace

bool is_grpc_type(std::string_view content_type) noexcept {
  constexpr std::string_view kGrpc = "application/grpc";
  if (!http::equals_ignoring_case(content_type.substr(0, kGrpc.size()), kGrpc)) return false;
  return content_type.size() == kGrpc.size() || content_type[kGrpc.size()] == '+' || content_type[kGrpc.size()] == ';';
}

uint64_t grpc_status_of_http(int status) noexcept {
  switch (status) {
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

// As gRPC's protocol over HTTP/2 says of Status-Message.
std::string_view encode_grpc_message(std::string_view text, Arena& arena) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  char* const begin = arena.allocate_bytes(text.size() * 3);
  char* to = begin;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      *to++ = c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    *to++ = '%';
    *to++ = kDigits[byte >> 4];
    *to++ = kDigits[byte & 15];
  }
  return {begin, static_cast<size_t>(to - begin)};
}

void answer_as_grpc(http::HeaderMap& headers, std::string_view text, Arena& arena) {
  using http::HeaderId;
  if (!headers.contains(HeaderId::kGrpcStatus))
    headers.add(HeaderId::kGrpcStatus, arena.number(grpc_status_of_http(headers.status_code())));
  if (!text.empty() && !headers.contains(HeaderId::kGrpcMessage))
    headers.add(HeaderId::kGrpcMessage, encode_grpc_message(text, arena));
  headers.set(HeaderId::kStatus, "200");
  headers.set(HeaderId::kContentType, "application/grpc");
}

std::optional<uint64_t> grpc_status(const LogSubject& subject) noexcept {
  uint64_t status = 0;
  if (read_status(subject.response_trailers, status) || read_status(subject.response, status)) return status;
  if (subject.info.response_code == 0) return std::nullopt;
  return grpc_status_of_http(subject.info.response_code);
}

}  // namespace weir::stream
