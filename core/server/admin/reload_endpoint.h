// POST /reload: the configuration is read again, and the answer says what came of it.
#pragma once

#include <functional>
#include <string>

#include "core/server/admin/admin_server.h"

namespace weir::admin {

struct ReloadAnswer {
  int status = 200;
  std::string text;
  std::string json;
};

// `reload` is called on main, from within the request; dry_run: it changes nothing.
void add_reload_endpoint(AdminServer& server, std::function<ReloadAnswer(bool dry_run)> reload);

}  // namespace weir::admin
