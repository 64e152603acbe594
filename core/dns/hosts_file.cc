#include "core/dns/hosts_file.h"

#include <absl/strings/ascii.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace weir::dns {

void HostsFile::read() {
  struct stat file {};
  Stamp now;
  if (stat(path_.c_str(), &file) == 0) now = {file.st_ino, file.st_size, file.st_mtim.tv_sec, file.st_mtim.tv_nsec};
  if (now == stamp_) return;
  stamp_ = now;
  names_.clear();
  std::ifstream in(path_);
  for (std::string line; std::getline(in, line);) {
    line.resize(std::min(line.size(), line.find('#')));
    std::istringstream words(line);
    std::string word;
    if (!(words >> word)) continue;
    const auto address = net::Address::from_ip(word, 0);
    if (!address.ok()) continue;
    while (words >> word) {
      std::vector<net::Address>& known = names_[absl::AsciiStrToLower(word)];
      if (std::find(known.begin(), known.end(), *address) == known.end()) known.push_back(*address);
    }
  }
}

std::vector<net::Address> HostsFile::find(std::string_view name, net::Family family) {
  read();
  const std::string wanted = absl::AsciiStrToLower(std::string(name));
  std::vector<net::Address> out;
  if (const auto at = names_.find(wanted); at != names_.end()) {
    std::copy_if(at->second.begin(), at->second.end(), std::back_inserter(out),
                 [&](const net::Address& one) { return one.family() == family; });
  }
  if (out.empty() && (wanted == "localhost" || wanted.ends_with(".localhost")))
    out.push_back(*net::Address::from_ip(family == net::Family::kIpv4 ? "127.0.0.1" : "::1", 0));
  return out;
}

}  // namespace weir::dns
