#include "core/server/admin/reload_endpoint.h"

namespace weir::admin {

void add_reload_endpoint(AdminServer& server, std::function<ReloadAnswer(bool dry_run)> reload) {
  server.add("/reload",
             {.access = Access::kChange,
              .help = "read the configuration again and apply what changed; 400 and why if it is bad",
              .parameters = {{"dry_run", "only say what would change, and what would drain"},
                             {"format=FORMAT", "text or json"}}},
             [reload = std::move(reload)](const AdminRequest& request, AdminResponse& response) {
               std::string_view format = request.get("format").value_or("text");
               if (format != "text" && format != "json")
                 return response.fail(400, "format: \"" + std::string(format) + "\" is not one of text, json\n");
               ReloadAnswer answer = reload(request.has("dry_run"));
               response.status = answer.status;
               response.body = std::move(format == "json" ? answer.json : answer.text);
               if (format == "json") response.content_type = "application/json";
             });
}

}  // namespace weir::admin
