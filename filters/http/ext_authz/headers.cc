#include "filters/http/ext_authz/headers.h"

#include <algorithm>

namespace weir::filters::ext_authz {

using http::HeaderId;

bool is_in(const NameList& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(), [name](const match::StringMatcher& each) { return each.matches(name); });
}

bool frames_message(HeaderId id) {
  switch (id) {
    case HeaderId::kConnection:
    case HeaderId::kContentLength:
    case HeaderId::kExpect:
    case HeaderId::kHttp2Settings:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kTe:
    case HeaderId::kTrailer:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
      return true;
    default:
      return false;
  }
}

const http::HeaderName& partial_body_header() {
  static const http::HeaderName kName("x-envoy-auth-partial-body");
  return kName;
}

std::string_view whole(const Slices& body, Arena& arena) {
  if (body.empty()) return {};
  char* to = arena.allocate_bytes(body.size());
  size_t at = 0;
  for (size_t i = 0; i < body.slice_count(); ++i) {
    const std::string_view piece = body.at(i).view();
    std::copy(piece.begin(), piece.end(), to + at);
    at += piece.size();
  }
  return {to, at};
}

}  // namespace weir::filters::ext_authz
