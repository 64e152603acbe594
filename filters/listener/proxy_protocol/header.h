// The header of the PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt). Strict: what is not exactly as
// specified is invalid, for a header decides who a client is taken for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/net/address.h"

namespace weir::filters::proxy_protocol {

enum class Version : uint8_t { kNone, kV1, kV2 };

// Versions that are looked for.
struct Wanted {
  bool v1 = true;
  bool v2 = true;
};
enum class Parsed : uint8_t {
  kHeader,
  kNotYet,  // goes on like this: see Header::needed
  kAbsent,  // no version that is wanted begins like this
  kInvalid,
};

struct Header {
  Version version = Version::kNone;  // also with kNotYet and kInvalid, once it is known
  // The connection speaks for itself: LOCAL, UNKNOWN, or addresses of a family that is not IP.
  bool local = false;
  net::Address source;
  net::Address destination;
  std::string_view tlvs;  // of version 2; whole entries, as checked (stream::next_tlv). A view of the bytes
  size_t size = 0;        // of the header; what follows belongs to the client
  size_t needed = 1;      // kNotYet: nothing can be said of fewer bytes
};

// 107 bytes for version 1, 16 and 65,535 for version 2.
inline constexpr size_t kMaxSizeV1 = 107;
inline constexpr size_t kMaxSizeV2 = 16 + 65535;

// `bytes`: from the first one of the connection on.
Parsed parse_header(std::string_view bytes, Wanted wanted, Header& header) noexcept;

}  // namespace weir::filters::proxy_protocol
