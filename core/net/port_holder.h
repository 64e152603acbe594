// Who listens on an address that cannot be bound: for the error message, as far as /proc tells.
#pragma once

#include <string>

#include "core/net/address.h"

namespace weir::net {

// "held by nginx (pid 4711)"; who it may be if that cannot be seen. Reads /proc for every process: start-up only.
// `datagrams`: the port is one of UDP. [main]
std::string describe_holder(const Address& address, bool datagrams = false);

}  // namespace weir::net
