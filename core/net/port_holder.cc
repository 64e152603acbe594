#include "core/net/port_holder.h"

#include <dirent.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

namespace weir::net {
namespace {

struct CloseFile {
  void operator()(FILE* file) const { fclose(file); }
};
struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using File = std::unique_ptr<FILE, CloseFile>;
using Directory = std::unique_ptr<DIR, CloseDirectory>;

struct Socket {
  uint64_t inode = 0;
  long uid = -1;
};

// The address of a line of /proc/net/tcp: its bytes as words in the machine's order, printed as numbers.
Address read_address(std::string_view text) {
  uint32_t words[4] = {};
  size_t count = std::min<size_t>(text.size() / 8, 4);
  for (size_t i = 0; i < count; ++i) std::from_chars(text.data() + i * 8, text.data() + i * 8 + 8, words[i], 16);
  if (count == 1) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    memcpy(&in.sin_addr, words, sizeof(in.sin_addr));
    return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&in), sizeof(in));
  }
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  memcpy(&in6.sin6_addr, words, sizeof(in6.sin6_addr));
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&in6), sizeof(in6));
}

constexpr unsigned kListening = 0x0a;
constexpr unsigned kUnconnected = 0x07;  // what UDP shows of all that is not connected

void find_ip(const char* path, unsigned wanted_state, const Address& wanted, std::vector<Socket>& out) {
  File file(fopen(path, "re"));
  if (file == nullptr) return;
  char line[512];
  while (fgets(line, sizeof(line), file.get()) != nullptr) {
    char local[40];
    unsigned port, state;
    Socket socket;
    if (sscanf(line, " %*u: %39[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %ld %*d %" SCNu64, local, &port, &state, &socket.uid,
               &socket.inode) != 5)
      continue;
    if (state != wanted_state || port != wanted.port()) continue;
    Address address = read_address(local);
    if (address.same_ip(wanted) || address.is_any() || wanted.is_any()) out.push_back(socket);
  }
}

void find_unix(std::string wanted, std::vector<Socket>& out) {
  if (wanted.starts_with('\0')) wanted[0] = '@';  // abstract ones are shown so
  File file(fopen("/proc/net/unix", "re"));
  if (file == nullptr) return;
  char line[512];
  while (fgets(line, sizeof(line), file.get()) != nullptr) {
    Socket socket;
    int at = 0;
    if (sscanf(line, "%*s %*s %*s %*s %*s %*s %" SCNu64 " %n", &socket.inode, &at) != 1 || at == 0) continue;
    std::string_view path(line + at);
    while (path.ends_with('\n')) path.remove_suffix(1);
    if (path == wanted) out.push_back(socket);
  }
}

bool has_socket(const std::string& fds, const std::string& link) {
  Directory directory(opendir(fds.c_str()));
  if (directory == nullptr) return false;
  char target[64];
  while (const dirent* entry = readdir(directory.get())) {
    ssize_t size = readlink((fds + "/" + entry->d_name).c_str(), target, sizeof(target));
    if (size > 0 && link == std::string_view(target, static_cast<size_t>(size))) return true;
  }
  return false;
}

// Empty: none of those that this user may look at.
std::string process_with(const Socket& socket) {
  std::string link = "socket:[" + std::to_string(socket.inode) + "]";
  Directory processes(opendir("/proc"));
  if (processes == nullptr) return {};
  while (const dirent* entry = readdir(processes.get())) {
    std::string pid = entry->d_name;
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (!has_socket("/proc/" + pid + "/fd", link)) continue;
    if (pid == std::to_string(getpid())) return "this process itself";
    char name[64] = "?";
    if (File file{fopen(("/proc/" + pid + "/comm").c_str(), "re")}; file != nullptr) {
      if (fgets(name, sizeof(name), file.get()) != nullptr) name[strcspn(name, "\n")] = '\0';
    }
    return std::string(name) + " (pid " + pid + ")";
  }
  return {};
}

}  // namespace

std::string describe_holder(const Address& address, bool datagrams) {
  std::vector<Socket> sockets;
  if (address.is_ip()) {
    const unsigned state = datagrams ? kUnconnected : kListening;
    find_ip(datagrams ? "/proc/net/udp" : "/proc/net/tcp", state, address, sockets);
    find_ip(datagrams ? "/proc/net/udp6" : "/proc/net/tcp6", state, address, sockets);
  } else {
    find_unix(std::string(address.unix_path()), sockets);
  }
  if (sockets.empty())
    return std::string("who holds it is not to be seen from here (ss -") + (datagrams ? "lunp" : "ltnp") +
           " as root may tell)";
  for (const Socket& socket : sockets) {
    if (std::string process = process_with(socket); !process.empty()) return "held by " + process;
  }
  std::string of = sockets[0].uid >= 0 ? " of user id " + std::to_string(sockets[0].uid) : "";
  return "held by a process" + of + " that this user may not look at (ss -" + (datagrams ? "lunp" : "ltnp") +
         " as root tells)";
}

}  // namespace weir::net
