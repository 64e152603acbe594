// Secrets of sessions in the format that Wireshark reads (NSS key log), for connections between certain addresses.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/match/address_ranges.h"

namespace weir::tls {

struct KeyLogSpec {
  std::string path = {};
  // Empty: all.
  std::vector<match::AddressRange> local_address_range = {};
  std::vector<match::AddressRange> remote_address_range = {};
};

// [any] Each line is one write() to a file opened to append: lanes need no lock between them.
class KeyLog {
 public:
  // [main] Opens the file, readable by its owner only. The error names it.
  static Result<std::shared_ptr<const KeyLog>> open(const KeyLogSpec& spec);
  ~KeyLog();
  KeyLog(const KeyLog&) = delete;
  KeyLog& operator=(const KeyLog&) = delete;

  bool wants(const net::Address& local, const net::Address& remote) const;
  void write(std::string_view line) const;

 private:
  KeyLog(int fd, const KeyLogSpec& spec);
  const int fd_;
  const bool all_local_;
  const bool all_remote_;
  const match::AddressRanges local_;
  const match::AddressRanges remote_;
};

}  // namespace weir::tls
