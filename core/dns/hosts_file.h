// The names of /etc/hosts: read once for each change of the file, not for each question.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/net/address.h"

namespace weir::dns {

// [main]
class HostsFile {
 public:
  explicit HostsFile(std::string path) : path_(std::move(path)) {}
  // What the file says by now: without ports, each once, in its order; the case of letters does not count. Of localhost
  // the loopback address if the file says nothing (RFC 6761 section 6.3). Empty: ask somebody else.
  std::vector<net::Address> find(std::string_view name, net::Family family);

 private:
  struct Stamp {
    ino_t file = 0;
    off_t size = 0;
    int64_t seconds = 0, nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  };
  void read();

  const std::string path_;
  Stamp stamp_;                                                       // all 0: there was no file
  std::unordered_map<std::string, std::vector<net::Address>> names_;  // in small letters
};

}  // namespace weir::dns
