#include "core/base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/log_format.h"

namespace weir::log {

std::atomic<int> component_levels[kComponentCount];

namespace {

constexpr size_t kMaxText = 4096;
// In the order of Level.
constexpr std::string_view kNames[] = {"trace", "debug", "info", "warning", "error", "critical", "off"};
std::atomic<int> log_fd{2};

std::atomic<const LineFormat*> line_format_set{nullptr};

const LineFormat& line_format() {
  if (const LineFormat* format = line_format_set.load(std::memory_order_acquire)) return *format;
  static auto* const standard = new LineFormat(*LineFormat::compile(LineFormat::kDefault));
  return *standard;
}

// Compilers are told of sources relative to the build: "../../core/server/server.cc".
std::string_view below_root(std::string_view file) {
  while (file.starts_with("../")) file.remove_prefix(3);
  return file;
}

}  // namespace

void set_level(Level level) {
  for (auto& one : component_levels) one.store(static_cast<int>(level), std::memory_order_relaxed);
}

void set_component_level(size_t component, Level level) {
  component_levels[component].store(static_cast<int>(level), std::memory_order_relaxed);
}

Level component_level(size_t component) {
  return static_cast<Level>(component_levels[component].load(std::memory_order_relaxed));
}

bool parse_level(std::string_view name, Level& level) {
  if (name == "warn") name = "warning";
  if (name == "err") name = "error";
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) {
      level = static_cast<Level>(static_cast<int>(i) + static_cast<int>(Level::kTrace));
      return true;
    }
  }
  return false;
}

std::string_view level_name(Level level) { return kNames[static_cast<int>(level) - static_cast<int>(Level::kTrace)]; }

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

void give_own_file(int fd, uid_t user, gid_t group) {
  struct stat facts {};
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_uid != geteuid()) return;
  // Whoever may not give it away could not become that user either.
  [[maybe_unused]] int ignored = fchown(fd, user, group);
}

void give_file(uid_t user, gid_t group) {
  const int fd = log_fd.load(std::memory_order_relaxed);
  if (fd != 2) give_own_file(fd, user, group);
}

Status set_format(std::string_view pattern, bool escape) {
  auto format = LineFormat::compile(pattern, escape);
  if (!format.ok()) return format.status();
  // A line may be under way in another thread: former ones stay, of which there are two at most.
  static auto* const all = new std::vector<std::unique_ptr<const LineFormat>>;
  all->push_back(std::make_unique<const LineFormat>(std::move(*format)));
  line_format_set.store(all->back().get(), std::memory_order_release);
  return absl::OkStatus();
}

namespace {

std::string print(Level level, std::string_view component, const Place& place, std::string_view text, int fd) {
  Line line;
  clock_gettime(CLOCK_REALTIME, &line.time);
  line.level = level_name(level);
  line.component = component;
  line.file = below_root(place.file);
  line.source_line = place.line;
  line.function = place.function;
  line.text = text;
  line.thread = syscall(SYS_gettid);
  line.colour = isatty(fd) == 1;
  std::string out;
  line_format().append(line, out);
  out += '\n';
  return out;
}

// Whoever reads a pipe or a socket may stand still (a pager, a collector that hangs), and must stop neither a lane nor
// the watchdog. What is not taken within this time is lost, and so is all that follows until there is room again.
constexpr int kPatienceMs = 100;
std::atomic<uint64_t> lost{0};
std::atomic<bool> writing{false};

// False: there is no room for it.
bool put(int fd, bool is_socket, std::string line, int wait_ms) {
  pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
  int ready = 0;
  while ((ready = poll(&room, 1, wait_ms)) < 0 && errno == EINTR) {
  }
  if (ready <= 0) return false;
  if (line.size() > PIPE_BUF) {  // what a pipe with room takes in any case
    line.resize(PIPE_BUF);
    line.back() = '\n';
  }
  const ssize_t written = is_socket ? send(fd, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                                    : ::write(fd, line.data(), line.size());
  return written >= 0 || errno != EAGAIN;
}

void put_or_lose(int fd, bool is_socket, std::string line) {
  const int patience = lost.load(std::memory_order_relaxed) == 0 ? kPatienceMs : 0;
  // One at a time, or two would find the same room.
  for (int waited = 0; writing.exchange(true, std::memory_order_acquire); ++waited) {
    if (waited >= patience) {
      lost.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    poll(nullptr, 0, 1);
  }
  bool room = true;
  if (const uint64_t missing = lost.load(std::memory_order_relaxed); missing > 0) {
    const std::string text = "nobody has read the log for a while: " + std::to_string(missing) + " lines are lost";
    room = put(fd, is_socket, print(Level::kWarning, "log", {__FILE__, __LINE__, __func__}, text, fd), 0);
    if (room) lost.fetch_sub(missing, std::memory_order_relaxed);
  }
  if (!room || !put(fd, is_socket, std::move(line), patience)) lost.fetch_add(1, std::memory_order_relaxed);
  writing.store(false, std::memory_order_release);
}

}  // namespace

void write(Level level, std::string_view component, const Place& place, const char* format, ...) {
  char text[kMaxText];
  va_list arguments;
  va_start(arguments, format);
  int written = vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  const size_t size = written < 0 ? 0 : std::min(static_cast<size_t>(written), sizeof(text) - 1);
  const int fd = log_fd.load(std::memory_order_relaxed);
  std::string out = print(level, component, place, {text, size}, fd);
  struct stat facts {};
  if (fstat(fd, &facts) == 0 && (S_ISFIFO(facts.st_mode) || S_ISSOCK(facts.st_mode)))
    return put_or_lose(fd, S_ISSOCK(facts.st_mode), std::move(out));
  // One write per line: lines of different threads do not mix. A full disk loses the line, never the process.
  [[maybe_unused]] ssize_t ignored = ::write(fd, out.data(), out.size());
}

}  // namespace weir::log
