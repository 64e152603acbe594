// Joins the admin endpoints to the server they tell about.
#pragma once

#include "core/base/status.h"
#include "core/net/address.h"

namespace weir::server {

class Server;

// [main]
class AdminFacts {
 public:
  explicit AdminFacts(Server& server) : server_(server) {}
  Status listen(const net::Address& address);
  void stop();
  void reopen_logs();

 private:
  Server& server_;
};

}  // namespace weir::server
