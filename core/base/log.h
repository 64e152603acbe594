// The process log: facts with names and numbers, on stderr or a file. Not the access log. [any]
#pragma once

#include <sys/types.h>

#include <atomic>
#include <iterator>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace weir::log {

// kInfo is 0, what static storage begins with.
enum class Level : int { kTrace = -2, kDebug, kInfo, kWarning, kError, kCritical, kOff };

// The parts of weir that log; each has a level of its own. WEIR_LOG with another name does not compile.
inline constexpr std::string_view kComponents[] = {"config", "dynamic", "filter", "health",   "http", "log",
                                                   "net",    "router",  "server", "upstream", "xds"};
inline constexpr size_t kComponentCount = std::size(kComponents);

// kComponentCount if there is none of that name.
constexpr size_t component_index(std::string_view name) {
  size_t i = 0;
  while (i < kComponentCount && kComponents[i] != name) ++i;
  return i;
}

extern std::atomic<int> component_levels[kComponentCount];

inline bool enabled(Level level, size_t component) {
  return static_cast<int>(level) >= component_levels[component].load(std::memory_order_relaxed);
}
// Of all components.
void set_level(Level level);
void set_component_level(size_t component, Level level);
Level component_level(size_t component);
// "trace", "debug", "info", "warning" ("warn"), "error" ("err"), "critical", "off"; false if the name is none of them.
bool parse_level(std::string_view name, Level& level);
std::string_view level_name(Level level);
// Opens (or reopens) the file that lines go to; empty means stderr. False: could not open, the old one stays.
bool set_path(const std::string& path);
// Before root becomes another user, who is to open these files again after a rotation or a restart: a regular file that
// belongs to the present user is given away. [main]
void give_file(uid_t user, gid_t group);
void give_own_file(int fd, uid_t user, gid_t group);
// LineFormat (log_format.h). Lines being written use the old one. [main]
Status set_format(std::string_view pattern, bool escape);
// `component` as it is shown, `place` where in the source.
struct Place {
  const char* file = "";  // below the root of the tree
  int line = 0;           // 0: not known
  const char* function = "";
};
void write(Level level, std::string_view component, const Place& place, const char* format, ...)
    __attribute__((format(printf, 4, 5)));

}  // namespace weir::log

// WEIR_LOG(kInfo, "server", "listening on %s", address): the arguments are evaluated only if the level is enabled.
#define WEIR_LOG(level, component, ...)                                                                      \
  do {                                                                                                       \
    constexpr size_t weir_component_ = ::weir::log::component_index(component);                              \
    static_assert(weir_component_ < ::weir::log::kComponentCount, "add the name to log::kComponents");       \
    if (::weir::log::enabled(::weir::log::Level::level, weir_component_)) [[unlikely]]                       \
      ::weir::log::write(::weir::log::Level::level, component, {__FILE__, __LINE__, __func__}, __VA_ARGS__); \
  } while (0)
