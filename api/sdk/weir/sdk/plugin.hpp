// The one exported symbol of a plugin.
#pragma once

#include "weir/sdk/core.hpp"

namespace weir {
namespace sdk __attribute__((visibility("hidden"))) {
namespace internal {

// Which tables a class brings; http_filter.hpp and load_balancer.hpp say it for theirs.
template <class T>
struct TableOf;

}  // namespace internal
}  // namespace sdk
}  // namespace weir

// Once per shared library, outside of any namespace. `id` is for logs and errors: reverse domain name, "/", revision.
#define WEIR_PLUGIN_EXPORT(id, Class)                                                                            \
  static int32_t weir_sdk_start(const weir_api* api) noexcept { return ::weir::sdk::internal::start_plugin(api, id); } \
  WEIR_PLUGIN_SYMBOL const weir_plugin weir_plugin_entry;                                                        \
  const weir_plugin weir_plugin_entry = {sizeof(weir_plugin),                                                    \
                                         WEIR_ABI_MAJOR,                                                         \
                                         WEIR_ABI_MINOR,                                                         \
                                         0,                                                                      \
                                         id,                                                                     \
                                         &weir_sdk_start,                                                        \
                                         ::weir::sdk::internal::TableOf<Class>::http_filter,                     \
                                         ::weir::sdk::internal::TableOf<Class>::load_balancer};
