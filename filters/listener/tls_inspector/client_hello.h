// The first message of a TLS client (RFC 8446 4.1.2, RFC 5246 7.4.1.2), read without a TLS library: what it asks for,
// and what fingerprints are made of. Strict: what servers could read in two ways is invalid, for a name decides where a
// connection goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::filters::tls_inspector {

enum class Parsed : uint8_t {
  kHello,
  kNotYet,    // goes on like this: see ClientHello::needed
  kTooLarge,  // it is, or will be, larger than what is allowed
  kNoTls,     // no client begins like this
  kInvalid,
};

// Views are of the bytes, or of `joined`.
struct ClientHello {
  uint16_t version = 0;                   // legacy_version
  std::string_view ciphers;               // two bytes each
  std::string_view extensions;            // whole entries, no type twice
  bool names_server = false;              // has the extension
  std::string_view server_name;           // as sent; empty: none
  std::string_view protocols;             // entries of ALPN, each with its size before it
  std::string_view groups;                // two bytes each
  std::string_view point_formats;         // one byte each
  std::string_view versions;              // two bytes each
  std::string_view signature_algorithms;  // two bytes each
  size_t size = 0;                        // with the headers of its records; what follows is not looked at
  size_t needed = 1;                      // kNotYet: it cannot end before
  std::string joined;                     // of a message in several records

  ClientHello() = default;
  ClientHello(const ClientHello&) = delete;
  ClientHello& operator=(const ClientHello&) = delete;
};

inline constexpr size_t kRecordHeader = 5;
inline constexpr size_t kMaxRecord = 1 << 14;  // RFC 8446 5.1
inline constexpr size_t kMaxServerName = 255;

// `bytes`: from the first one of the connection on. `max_size` counts as ClientHello::size does.
Parsed parse_client_hello(std::string_view bytes, size_t max_size, ClientHello& hello);

// Reads from the front of bytes; whether there were so many is said once, at the end or before a decision.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  bool done() const { return left_.empty(); }
  bool ok() const { return ok_; }
  std::string_view left() const { return left_; }
  uint32_t number(size_t bytes) {
    uint32_t value = 0;
    for (const char byte : take(bytes)) value = value << 8 | static_cast<uint8_t>(byte);
    return value;
  }
  std::string_view take(size_t size) {
    ok_ = ok_ && size <= left_.size();
    const std::string_view taken = ok_ ? left_.substr(0, size) : std::string_view();
    left_ = ok_ ? left_.substr(size) : std::string_view();
    return taken;
  }
  // A vector: its size in so many bytes, then itself.
  std::string_view sized(size_t bytes) { return take(number(bytes)); }

 private:
  std::string_view left_;
  bool ok_ = true;
};

}  // namespace weir::filters::tls_inspector
