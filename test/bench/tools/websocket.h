// What the WebSocket scenario needs of RFC 6455: one handshake with a fixed key, and binary messages of at most 125
// bytes, each in one frame.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir::bench::websocket {

inline constexpr std::string_view kRequestFields =
    "upgrade: websocket\r\n"
    "connection: Upgrade\r\n"
    "sec-websocket-version: 13\r\n"
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
inline constexpr std::string_view kSwitching =
    "HTTP/1.1 101 Switching Protocols\r\n"
    "upgrade: websocket\r\n"
    "connection: Upgrade\r\n"
    "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
inline constexpr size_t kLargest = 125;
inline constexpr size_t kClientHeader = 6;  // two bytes and the mask
inline constexpr char kMask[4] = {'\x37', '\xfa', '\x21', '\x3d'};

inline std::string server_frame(std::string_view payload) {
  return std::string{'\x82', static_cast<char>(payload.size())} + std::string(payload);
}

inline std::string client_frame(std::string_view payload) {
  std::string frame{'\x82', static_cast<char>(payload.size() | 0x80)};
  frame.append(kMask, sizeof(kMask));
  for (size_t i = 0; i < payload.size(); ++i) frame += static_cast<char>(payload[i] ^ kMask[i % 4]);
  return frame;
}

// Appends the answers to all whole messages of a client at the front of `data`, and returns their bytes.
inline size_t echo(std::string_view data, std::string& answers) {
  size_t done = 0;
  while (data.size() - done >= kClientHeader) {
    const std::string_view frame = data.substr(done);
    const size_t size = static_cast<unsigned char>(frame[1]) & 0x7f;
    if (frame.size() < kClientHeader + size) break;
    answers += {'\x82', static_cast<char>(size)};
    for (size_t i = 0; i < size; ++i) answers += static_cast<char>(frame[kClientHeader + i] ^ frame[2 + i % 4]);
    done += kClientHeader + size;
  }
  return done;
}

}  // namespace weir::bench::websocket
