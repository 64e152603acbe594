#include "core/stream/log_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir::stream {

int standard_descriptor(const std::string& path) {
  for (const char* name : {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}) {
    if (path == name) return 1;
  }
  for (const char* name : {"/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"}) {
    if (path == name) return 2;
  }
  return -1;
}

Status cannot_open(const std::string& path, int error) {
  return unavailable("cannot open " + path + " for writing: " + strerror(error));
}

Status check_path(const std::string& path) {
  if (standard_descriptor(path) >= 0) return absl::OkStatus();
  struct stat facts {};
  if (stat(path.c_str(), &facts) == 0) {
    if (S_ISDIR(facts.st_mode)) return cannot_open(path, EISDIR);
    return faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0 ? absl::OkStatus() : cannot_open(path, errno);
  }
  if (errno != ENOENT) return cannot_open(path, errno);
  size_t slash = path.rfind('/');
  std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (stat(parent.c_str(), &facts) != 0 || faccessat(AT_FDCWD, parent.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    return cannot_open(path, errno);
  return absl::OkStatus();
}

}  // namespace weir::stream
