#include "core/server/process.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/base/log.h"
#include "core/net/socket.h"

namespace weir::server {
namespace {

// The front of a small file; empty if there is none.
std::string read_file(const std::string& path) {
  std::string text(4096, '\0');
  FILE* file = fopen(path.c_str(), "re");
  if (file == nullptr) return {};
  text.resize(fread(text.data(), 1, text.size(), file));
  fclose(file);
  return text;
}

// The number at the front, which is taken off with the space behind it. False: there is none.
bool take_number(std::string_view& text, int64_t& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  return true;
}

// Quota and period of one group; 0: no quota.
double quota_of(const std::string& directory, bool unified) {
  int64_t quota = 0, period = 0;
  const std::string text = read_file(directory + (unified ? "/cpu.max" : "/cpu.cfs_quota_us"));
  std::string_view rest = text;
  if (!take_number(rest, quota)) return 0;  // "max", or none
  const std::string more = unified ? std::string() : read_file(directory + "/cpu.cfs_period_us");
  if (!unified) rest = more;
  if (!take_number(rest, period) || quota <= 0 || period <= 0) return 0;
  return static_cast<double>(quota) / static_cast<double>(period);
}

bool names_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const std::string_view one = controllers.substr(0, controllers.find(','));
    if (one == "cpu") return true;
    controllers.remove_prefix(std::min(one.size() + 1, controllers.size()));
  }
  return false;
}

// The numbers of these variables, which are for this process alone and go.
int64_t take_variable(const char* name) {
  const char* text = getenv(name);
  if (text == nullptr) return -1;
  std::string_view rest = text;
  int64_t number = -1;
  const bool whole = take_number(rest, number) && rest.empty();
  unsetenv(name);
  return whole ? number : -1;
}

}  // namespace

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

uint32_t processors_by_quota(std::string_view membership, const std::string& root) {
  double least = 0;
  while (!membership.empty()) {
    std::string_view line = membership.substr(0, membership.find('\n'));
    membership.remove_prefix(std::min(line.size() + 1, membership.size()));
    // "0::/path" of version 2, "4:cpu,cpuacct:/path" of version 1.
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (!unified && !names_cpu(controllers)) continue;
    const std::string top = unified ? root : root + "/cpu";
    std::string path(line.substr(second + 1));
    if (path.find("..") != std::string::npos) path = "/";  // seen from within another namespace
    for (;;) {
      while (!path.empty() && path.back() == '/') path.pop_back();
      if (const double quota = quota_of(top + path, unified); quota > 0 && (least == 0 || quota < least)) least = quota;
      if (path.empty()) break;
      path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
  }
  if (least == 0) return 0;
  const auto whole = static_cast<uint32_t>(std::min(least, 1e6));
  return std::max(1u, whole + (whole < least ? 1 : 0));
}

uint32_t usable_processors() {
  cpu_set_t set;
  uint32_t count = std::max(1u, std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof(set), &set) == 0) count = static_cast<uint32_t>(std::max(1, CPU_COUNT(&set)));
  const uint32_t quota = processors_by_quota(read_file("/proc/self/cgroup"), "/sys/fs/cgroup");
  return quota != 0 ? std::min(quota, count) : count;
}

// --- Another user --------------------------------------------------------------------------------------------------

Result<Identity> find_identity(const std::string& user, const std::string& group) {
  Identity identity;
  if (user.empty() && group.empty()) return identity;
  identity.any = true;
  identity.user = getuid();
  identity.group = getgid();
  const auto as_number = [](const std::string& text, auto& number) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
  };
  if (!user.empty()) {
    const bool number = as_number(user, identity.user);
    const passwd* entry = number ? getpwuid(identity.user) : getpwnam(user.c_str());
    if (entry == nullptr && !number) return invalid("--user: there is no user \"" + user + "\"");
    if (entry == nullptr && group.empty())
      return invalid("--user: " + user + " is not in the list of users; say its --group, too");
    if (entry != nullptr) {
      identity.user = entry->pw_uid;
      identity.group = entry->pw_gid;
      identity.name = entry->pw_name;
    }
  }
  if (!group.empty() && !as_number(group, identity.group)) {
    const struct group* entry = getgrnam(group.c_str());
    if (entry == nullptr) return invalid("--group: there is no group \"" + group + "\"");
    identity.group = entry->gr_gid;
  }
  return identity;
}

Status become(const Identity& identity) {
  if (!identity.any) return absl::OkStatus();
  const auto failed = [&](const char* what) {
    return unavailable("cannot become user " + std::to_string(identity.user) + ", group " +
                       std::to_string(identity.group) + ": " + what + ": " + strerror(errno));
  };
  const bool root = geteuid() == 0;
  if (root && identity.user != 0) {
    const int groups =
        identity.name.empty() ? setgroups(1, &identity.group) : initgroups(identity.name.c_str(), identity.group);
    if (groups != 0) return failed("its groups");
  }
  if (setresgid(identity.group, identity.group, identity.group) != 0) return failed("setresgid");
  if (setresuid(identity.user, identity.user, identity.user) != 0) return failed("setresuid");
  if (root && identity.user != 0 && setuid(0) == 0)
    return unavailable("cannot become user " + std::to_string(identity.user) + " for good: root came back");
  return absl::OkStatus();
}

// --- The number of the process -------------------------------------------------------------------------------------

Status PidFile::write(const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  FILE* file = fopen(path.c_str(), "we");
  if (file == nullptr) return unavailable("--pid-file: cannot write " + path + ": " + strerror(errno));
  bool written = fprintf(file, "%d\n", getpid()) > 0;
  written = fclose(file) == 0 && written;
  if (!written) return unavailable("--pid-file: cannot write " + path + ": " + strerror(errno));
  path_ = path;
  return absl::OkStatus();
}

PidFile::~PidFile() {
  if (!path_.empty() && read_file(path_) == std::to_string(getpid()) + "\n") unlink(path_.c_str());
}

// --- sd_notify ---------------------------------------------------------------------------------------------------

class ServiceManager::Heartbeat final : public event::Timer {
 public:
  Heartbeat(const ServiceManager& manager, event::Lane& lane) : manager_(manager), lane_(lane) { on_timer(); }
  void on_timer() override {
    manager_.tell("WATCHDOG=1");
    lane_.arm_in(*this, manager_.interval_);
  }

 private:
  const ServiceManager& manager_;
  event::Lane& lane_;
};

ServiceManager::ServiceManager() {
  const char* path = getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t size = strlen(path);
  if (size >= 2 && size < sizeof(address.sun_path) && (path[0] == '/' || path[0] == '@')) {
    std::memcpy(address.sun_path, path, size);
    if (path[0] == '@') address.sun_path[0] = '\0';
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
    if (fd_ >= 0 && connect(fd_, reinterpret_cast<sockaddr*>(&address), length) != 0) {
      close(fd_);
      fd_ = -1;
    }
  }
  if (fd_ < 0) WEIR_LOG(kWarning, "server", "NOTIFY_SOCKET: nobody listens at \"%s\"", path);
  environment_.push_back("NOTIFY_SOCKET=" + std::string(path));
  unsetenv("NOTIFY_SOCKET");
  const int64_t pid = take_variable("WATCHDOG_PID");
  const int64_t interval = take_variable("WATCHDOG_USEC");
  if (interval > 0 && (pid == -1 || pid == getpid())) interval_ = std::chrono::microseconds(interval) / 2;
  // The manager watches its main process, which is another one then: without the number.
  if (interval_ > Duration::zero()) environment_.push_back("WATCHDOG_USEC=" + std::to_string(interval));
}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) close(fd_);
}

void ServiceManager::tell(const std::string& text) const {
  if (fd_ >= 0 && send(fd_, text.data(), text.size(), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
    WEIR_LOG(kWarning, "server", "the service manager cannot be told: %s", strerror(errno));
}

void ServiceManager::ready(std::string_view status) const {
  tell("READY=1\nSTATUS=" + std::string(status) + "\nMAINPID=" + std::to_string(getpid()));
}
void ServiceManager::reloading(MonoTime now) const {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(micros));
}
void ServiceManager::stopping() const { tell("STOPPING=1\nSTATUS=draining"); }

void ServiceManager::keep_alive(event::Lane& lane) {
  if (fd_ >= 0 && interval_ > Duration::zero()) heartbeat_ = std::make_unique<Heartbeat>(*this, lane);
}

void ServiceManager::leave() {
  heartbeat_.reset();
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void ServiceManager::stop_keeping_alive() { heartbeat_.reset(); }

// --- sd_listen_fds -------------------------------------------------------------------------------------------------

InheritedSockets::~InheritedSockets() {
  for (const Socket& socket : sockets_) close(socket.fd);
}

void InheritedSockets::find() {
  constexpr int kFirst = 3;
  const int64_t pid = take_variable("LISTEN_PID");
  const int64_t count = take_variable("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  if (pid != getpid() || count <= 0) return;
  for (int fd = kFirst; fd < kFirst + std::min<int64_t>(count, 10'000); ++fd) {
    int type = 0, listens = 0;
    socklen_t size = sizeof(int);
    const bool known = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0;
    const bool datagrams = known && type == SOCK_DGRAM && net::bound_address(fd).is_ip();
    if (!datagrams && (!known || type != SOCK_STREAM || listens == 0)) {
      WEIR_LOG(kWarning, "server",
               "descriptor %d of LISTEN_FDS is neither a listening stream socket nor one for datagrams", fd);
      close(fd);
      continue;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    sockets_.push_back({fd, net::bound_address(fd), datagrams});
  }
}

int InheritedSockets::take(const net::Address& address, bool datagrams) {
  for (Socket& socket : sockets_) {
    if (!(socket.address == address) || socket.datagrams != datagrams) continue;
    const int fd = socket.fd;
    sockets_.erase(sockets_.begin() + (&socket - sockets_.data()));
    return fd;
  }
  return -1;
}

void InheritedSockets::drop_rest() {
  for (const Socket& socket : sockets_) {
    WEIR_LOG(kWarning, "server", "the service manager listens at %s%s, and no listener of the configuration does",
             socket.datagrams ? "UDP " : "", socket.address.to_string().c_str());
    close(socket.fd);
  }
  sockets_.clear();
}

}  // namespace weir::server
