// The process log: facts with names and numbers, on stderr or a file. Not the access log. [any]
#pragma once

#include <atomic>
#include <string>
#include <string_view>

namespace weir::log {

enum class Level : int { kTrace, kDebug, kInfo, kWarning, kError, kCritical, kOff };

extern std::atomic<int> current_level;

inline bool enabled(Level level) { return static_cast<int>(level) >= current_level.load(std::memory_order_relaxed); }
void set_level(Level level);
// "trace", "debug", "info", "warning" ("warn"), "error" ("err"), "critical", "off"; false if the name is none of them.
bool parse_level(std::string_view name, Level& level);
std::string_view level_name(Level level);
// Opens (or reopens) the file that lines go to; empty means stderr. False: could not open, the old one stays.
bool set_path(const std::string& path);
void write(Level level, std::string_view component, const char* format, ...) __attribute__((format(printf, 3, 4)));

}  // namespace weir::log

// WEIR_LOG(kInfo, "server", "listening on %s", address): the arguments are evaluated only if the level is enabled.
#define WEIR_LOG(level, component, ...)                                      \
  do {                                                                       \
    if (::weir::log::enabled(::weir::log::Level::level)) [[unlikely]]        \
      ::weir::log::write(::weir::log::Level::level, component, __VA_ARGS__); \
  } while (0)
