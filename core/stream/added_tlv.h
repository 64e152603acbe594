// An entry that weir itself puts into a PROXY protocol header towards an upstream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/arena.h"
#include "core/stream/formatter.h"

namespace weir::stream {

// [immutable]
struct AddedTlv {
  uint8_t type = 0;
  std::string value;
  std::optional<LineFormat> format;  // prints the value; none: it is `value`

  // As the header has it. A longer value than an entry can have is cut off: no header has room for it anyway.
  void append_to(std::string& tlvs, const LogSubject& subject, Arena& arena) const;
};

// Those of one host (envoy.transport_sockets.proxy_protocol of its metadata): each type once. [immutable]
struct HostTlvs {
  std::vector<AddedTlv> entries;
  uint64_t fingerprint = 0;  // of the configuration
};

}  // namespace weir::stream
