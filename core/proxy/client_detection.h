// Who the client is when neither the connection nor the plain rules for x-forwarded-for tell
// (HttpConnectionManager.original_ip_detection_extensions), and which addresses are of the inside. [immutable]
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/http/header_map.h"
#include "core/match/address_ranges.h"
#include "core/net/address.h"

namespace weir::proxy {

// The n-th address from the end of an x-forwarded-for list (0: the last); empty if there are fewer.
std::string_view forwarded_address(std::string_view list, uint32_t from_end);
// An address as proxies write it, with or without a port; empty if it is none.
net::Address parse_forwarded(std::string_view text);

struct InternalAddresses {
  match::AddressRanges ranges;
  bool unix_sockets = false;
  bool contains(const net::Address& address) const noexcept {
    return address.family() == net::Family::kUnix ? unix_sockets : ranges.contains(address);
  }
};

// One way to find the client's address.
struct ClientDetection {
  enum class Kind : uint8_t { kForwardedFor, kForwardedForRanges, kHeader };
  Kind kind = Kind::kForwardedFor;
  uint32_t trusted_hops = 0;          // kForwardedFor
  match::AddressRanges trusted = {};  // kForwardedForRanges: proxies
  bool append_peer = false;           // kForwardedFor...: to x-forwarded-for, when this one has found the address
  http::HeaderName header = {};       // kHeader
  bool may_be_internal = false;       // kHeader: the address counts as one of the inside if it looks like it
  uint16_t reject_status = 0;         // kHeader: without an address there; 0: the next way is tried
};

struct DetectedClient {
  net::Address address;  // empty: none has found one
  bool may_be_internal = false;
  bool append_peer = false;
  uint16_t reject_status = 0;  // not 0: the request goes no further
};

// The first way that finds an address, or rejects, counts.
DetectedClient detect_client(const std::vector<ClientDetection>& ways, const net::Address& peer,
                             const http::HeaderMap& headers);

}  // namespace weir::proxy
