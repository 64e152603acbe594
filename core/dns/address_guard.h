// Which of the addresses that a name turns out to have may be used. A name that a client brings may lead to what only
// this machine can reach: itself, the metadata service of a cloud, the network behind it.
#pragma once

#include <vector>

#include "core/net/address.h"

namespace weir::dns {

struct AddressGuard {
  struct Range {
    net::Address prefix;  // an IP address
    int bits = 0;
    bool operator==(const Range&) const = default;
  };
  bool deny_private = false;  // everything that is not for the public Internet
  std::vector<Range> deny;
  std::vector<Range> allow;  // counts more than the others

  bool empty() const { return !deny_private && deny.empty(); }
  // Also of an IPv6 address that carries one of IPv4 (mapped, NAT64, 6to4) to which it would be routed.
  bool permits(const net::Address& address) const;
  bool operator==(const AddressGuard&) const = default;
};

}  // namespace weir::dns
