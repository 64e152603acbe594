// What the head of a request says of the request, in any version of HTTP.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http {

enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };  // 1.x with x > 1 counts as 1.1 (RFC 9110 2.5)

struct RequestHead {
  uint64_t content_length = 0;  // with has_length
  Version version = Version::kHttp11;
  bool has_length = false;
  bool end_stream = true;  // no body bytes follow. Of CONNECT and upgrades the owner decides
  bool expect_continue = false;
  bool upgrade = false;  // Upgrade with `connection: upgrade`, and no body; extended CONNECT
  bool is_head = false;
  bool is_connect = false;  // not extended
};

}  // namespace weir::http
