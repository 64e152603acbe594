// What a PROXY protocol header said, in filter state: the listener filter leaves it there for whoever writes such a
// header towards an upstream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/net/address.h"
#include "core/stream/filter_state.h"

namespace weir::stream {

// The name of the object, as published.
inline constexpr std::string_view kProxyHeaderName = "envoy.network.proxy_protocol_options";

struct ProxyHeader {
  struct Tlv {
    uint8_t type = 0;
    std::string value;
  };
  net::Address source;  // both empty: the header gave none
  net::Address destination;
  std::vector<Tlv> tlvs;  // those that are to be passed on, in their order
};

// Fields of the object are values of TLVs by their type, in decimal: FIELD:234.
extern const FilterStateType kProxyHeaderType;

}  // namespace weir::stream
