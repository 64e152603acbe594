// What a PROXY protocol header said, in filter state: the listener filter leaves it there for whoever writes such a
// header towards an upstream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/net/address.h"
#include "core/stream/filter_state.h"

namespace weir::stream {

// The name of the object, as published.
inline constexpr std::string_view kProxyHeaderName = "envoy.network.proxy_protocol_options";

struct Tlv {
  uint8_t type = 0;
  std::string_view value;
};
// Takes the next entry of version 2 off the front; false at the end, or if what is left is no whole entry.
bool next_tlv(std::string_view& tlvs, Tlv& out) noexcept;

struct ProxyHeader {
  net::Address source;  // both empty: the header gave none
  net::Address destination;
  std::string tlvs;  // those that are to be passed on, in their order, as they came
};

// Fields of the object are values of TLVs by their type, in decimal: FIELD:234.
extern const FilterStateType kProxyHeaderType;

}  // namespace weir::stream
