// What POST /reload answers.
#pragma once

#include "core/server/admin/reload_endpoint.h"
#include "core/server/live_configuration.h"

namespace weir::server {

// `version`: of what is in force afterwards.
admin::ReloadAnswer reload_answer(const Update& update, const std::string& version);
// Of Update::waiting; a line for each listener.
std::string text_of_waiting(const std::map<std::string, std::vector<std::string>>& waiting);

}  // namespace weir::server
