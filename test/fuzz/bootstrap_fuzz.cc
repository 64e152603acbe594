// From text to everything that a start would publish, with the plugins of the binary. Nothing is opened: access logs
// wait for LogWriter::open_all(), and texts that name other files are left alone. What was accepted must answer
// requests.
#include <map>

#include "core/config/rules.h"
#include "core/filter/registry.h"
#include "core/http/header_map.h"
#include "core/server/configuration.h"
#include "test/fuzz/load_check.h"

namespace weir {
namespace {

filter::Registry built_in() {
  filter::RegistryBuilder builder;
  register_built_in_plugins(builder);
  return builder.build();
}

class Slots final : public server::SlotNames {
 public:
  event::SlotId intern(event::SlotKind kind, std::string_view name) override {
    auto& names = names_[static_cast<size_t>(kind)];
    return {kind, names.try_emplace(std::string(name), static_cast<uint32_t>(names.size())).first->second};
  }
  server::RouteSlot route_slot(const std::string& key, uint64_t) override { return {key, nullptr}; }

 private:
  std::map<std::string, uint32_t> names_[event::kSlotKinds];
};

// A route table that was accepted takes any request.
void select_routes(const route::RouteTable& table) {
  static constexpr const char* kRequests[][3] = {
      {"GET", "example.com", "/"}, {"POST", "a.example:80", "/api/v1?x=1"}, {"CONNECT", "a:443", ""}};
  for (const auto& [method, authority, path] : kRequests) {
    ArenaPool pool;
    Arena arena(pool);
    http::HeaderMap request(arena);
    request.add(http::HeaderId::kMethod, method);
    request.add(http::HeaderId::kAuthority, authority);
    if (*path != '\0') request.add(http::HeaderId::kPath, path);
    stream::StreamInfo info;
    route::Selection selection = table.select(request, {});
    if (selection.route == nullptr) continue;
    selection.apply_request_mutations(request, {info, &request}, arena);
    http::HeaderMap response(arena);
    response.add(http::HeaderId::kStatus, "200");
    selection.apply_response_mutations(response, {info, &request, &response}, arena);
  }
}

std::string run(std::string_view text, const filter::Registry& registry) {
  fuzz::Loaded loaded(text, fuzz::load_options(config::TextFormat::kByName));
  config::validate(loaded.message, loaded.positions, loaded.diagnostics);
  stats::Store store;
  Slots slots;
  server::Configuration configuration = server::translate_bootstrap(loaded.message, loaded.positions, server::Options(),
                                                                    registry, store, slots, loaded.diagnostics);
  fuzz::check_diagnostics(loaded.diagnostics, text);
  if (!loaded.diagnostics.has_errors()) {
    for (const server::StagedRoute& staged : configuration.routes) select_routes(*staged.table);
  }
  return loaded.diagnostics.text();
}

}  // namespace
}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  static const filter::Registry registry = built_in();
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find("filename") != std::string_view::npos) return 0;
  std::string said = run(text, registry);
  fuzz::require(run(text, registry) == said, "the second time, something else was said", said, text);
  return 0;
}
