#include "core/base/log.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <ctime>

namespace weir::log {

std::atomic<int> current_level{static_cast<int>(Level::kInfo)};

namespace {
std::atomic<int> log_fd{2};
constexpr std::string_view kNames[] = {"trace", "debug", "info", "warning", "error", "critical", "off"};
}  // namespace

void set_level(Level level) { current_level.store(static_cast<int>(level), std::memory_order_relaxed); }

bool parse_level(std::string_view name, Level& level) {
  if (name == "warn") name = "warning";
  if (name == "err") name = "error";
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) {
      level = static_cast<Level>(i);
      return true;
    }
  }
  return false;
}

std::string_view level_name(Level level) { return kNames[static_cast<int>(level)]; }

bool set_path(const std::string& path) {
  int fd = 2;
  if (!path.empty()) {
    fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return false;
  }
  int old = log_fd.exchange(fd);
  if (old != 2) close(old);
  return true;
}

void write(Level level, std::string_view component, const char* format, ...) {
  char line[2048];
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts;
  gmtime_r(&now.tv_sec, &parts);
  size_t length = strftime(line, sizeof(line), "[%Y-%m-%d %H:%M:%S", &parts);
  length += static_cast<size_t>(snprintf(line + length, sizeof(line) - length, ".%03ld][%ld][%.*s][%.*s] ",
                                         now.tv_nsec / 1000000, syscall(SYS_gettid),
                                         static_cast<int>(level_name(level).size()), level_name(level).data(),
                                         static_cast<int>(component.size()), component.data()));
  va_list arguments;
  va_start(arguments, format);
  int written = vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
  va_end(arguments);
  if (written > 0) length += static_cast<size_t>(written);
  if (length > sizeof(line) - 2) length = sizeof(line) - 2;
  line[length++] = '\n';
  // One write per line: lines of different threads do not mix. A full disk loses the line, never the process.
  [[maybe_unused]] ssize_t ignored = ::write(log_fd.load(std::memory_order_relaxed), line, length);
}

}  // namespace weir::log
