#include "core/tls/key_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir::tls {

Result<std::shared_ptr<const KeyLog>> KeyLog::open(const KeyLogSpec& spec) {
  if (spec.path.empty()) return invalid("path: must not be empty");
  const int fd = ::open(spec.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
  if (fd < 0) return invalid("path: " + spec.path + " cannot be opened to append: " + strerror(errno));
  return std::shared_ptr<const KeyLog>(new KeyLog(fd, spec));
}

KeyLog::KeyLog(int fd, const KeyLogSpec& spec)
    : fd_(fd),
      all_local_(spec.local_address_range.empty()),
      all_remote_(spec.remote_address_range.empty()),
      local_(spec.local_address_range),
      remote_(spec.remote_address_range) {}

KeyLog::~KeyLog() { close(fd_); }

bool KeyLog::wants(const net::Address& local, const net::Address& remote) const {
  return (all_local_ || local_.contains(local)) && (all_remote_ || remote_.contains(remote));
}

void KeyLog::write(std::string_view line) const {
  std::string whole(line);
  whole += '\n';
  // What does not fit is lost: a full disk must not stop a worker.
  [[maybe_unused]] const ssize_t n = ::write(fd_, whole.data(), whole.size());
}

}  // namespace weir::tls
