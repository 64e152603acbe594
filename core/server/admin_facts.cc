#include "core/server/admin_facts.h"

#include "core/server/server.h"

namespace weir::server {

Status AdminFacts::listen(const net::Address&) { return absl::OkStatus(); }
void AdminFacts::stop() { (void)server_; }
void AdminFacts::reopen_logs() {}

}  // namespace weir::server
