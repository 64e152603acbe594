// What nghttp2 calls of a session. Private to the codecs.
#pragma once

#include <nghttp2/nghttp2.h>

#include "core/http/h2/session.h"

namespace weir::http::h2 {

inline constexpr uint8_t kFrameHeaderBytes = 9;

struct Session::Callbacks {
  // The user data is the session.
  static const nghttp2_session_callbacks* all();
  // Where the data of a stream come from, which is the source.
  static ssize_t read_data(nghttp2_session* library, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                           nghttp2_data_source* source, void* user);

 private:
  struct Handlers;
};

}  // namespace weir::http::h2
