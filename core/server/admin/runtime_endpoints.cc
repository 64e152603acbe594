// /runtime and /runtime_modify: the layers, and what operators put over them.
#include <set>

#include "core/runtime/layers.h"
#include "core/server/admin/endpoints.h"
#include "core/server/admin/json.h"
#include "core/stats/escape.h"

namespace weir::admin {
namespace {

void append_string(std::string& out, std::string_view text) {
  out += '"';
  stats::append_escaped(out, text, stats::Escape::kJson);
  out += '"';
}

// {"layers": [names], "entries": {key: {"layer_values": [one per layer], "final_value": text}}}
void show(const runtime::Layers& runtime, AdminResponse& response) {
  response.content_type = "application/json";
  std::string& out = response.body;
  out = "{\n \"layers\": [";
  std::set<std::string_view> keys;
  const char* separator = "\n  ";
  for (const runtime::Layer& layer : runtime.layers()) {
    out += separator;
    append_string(out, layer.name);
    separator = ",\n  ";
    for (const auto& [key, entry] : layer.entries) keys.insert(key);
  }
  out += "\n ],\n \"entries\": {";
  separator = "\n  ";
  for (std::string_view key : keys) {
    out += separator;
    separator = ",\n  ";
    append_string(out, key);
    out += ": {\n   \"final_value\": ";
    const runtime::Entry* final = runtime.final_entry(key);
    append_string(out, final != nullptr ? std::string_view(final->text) : std::string_view());
    out += ",\n   \"layer_values\": [";
    const char* comma = "\n    ";
    for (const runtime::Layer& layer : runtime.layers()) {
      out += comma;
      comma = ",\n    ";
      auto at = layer.entries.find(key);
      append_string(out, at != layer.entries.end() ? std::string_view(at->second.text) : std::string_view());
    }
    out += "\n   ]\n  }";
  }
  out += "\n }\n}\n";
}

void modify(AdminSource& source, const AdminRequest& request, AdminResponse& response) {
  if (request.parameters.empty()) {
    response.fail(400,
                  "which values? /runtime_modify?key1=value1&key2=value2, or the same as a form in the body; an empty "
                  "value removes an override\n");
    return;
  }
  for (const auto& [key, text] : request.parameters) {
    if (key.empty()) return response.fail(400, "\"=" + text + "\": the key is missing\n");
  }
  if (!source.modify_runtime(request.parameters)) {
    response.fail(503, "layered_runtime has no admin_layer to put values into\n");
    return;
  }
  answer_ok(request, response);
}

}  // namespace

void add_runtime_endpoints(AdminServer& server, AdminSource& source) {
  server.add("/runtime", {.help = "runtime values and the layers that they come from, as JSON"},
             [&source](const AdminRequest&, AdminResponse& response) { show(source.runtime(), response); });
  server.add("/runtime_modify",
             {.access = Access::kChange,
              .help = "put runtime values over all layers",
              .parameters = {{"KEY=VALUE", "several are possible; an empty value removes the override"}}},
             [&source](const AdminRequest& request, AdminResponse& response) { modify(source, request, response); });
}

}  // namespace weir::admin
