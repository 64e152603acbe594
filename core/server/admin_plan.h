// What the bootstrap says of the admin interface.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/net/address.h"
#include "core/net/socket.h"
#include "core/stream/access_logger.h"

namespace weir::server {

struct AdminPlan {
  net::Address address;                                    // empty: there is none
  net::ListenOptions listen = {.reuse_port = false};       // a second process at the address is a mistake
  std::string profile_path;                                // of CPU profiles; empty: none can be taken
  std::function<bool(std::string_view path)> allows_path;  // empty: every endpoint
  std::vector<std::shared_ptr<const stream::AccessLogger>> access_logs;
};

}  // namespace weir::server
