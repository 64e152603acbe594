#include "extensions/resource_monitors/common/system_files.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace weir::extensions::resource_monitors {

std::optional<std::string> read_small_file(const std::string& path) {
  FILE* file = fopen(path.c_str(), "re");
  if (file == nullptr) return std::nullopt;
  std::string text(4096, '\0');
  text.resize(fread(text.data(), 1, text.size(), file));
  const bool failed = ferror(file) != 0;
  fclose(file);
  if (failed) return std::nullopt;
  return text;
}

std::optional<uint64_t> leading_number(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

ControlGroup find_control_group(std::string_view membership, const std::string& root, std::string_view controller,
                                const std::string& unified_file, const std::string& legacy_file) {
  const auto has = [](const std::string& path) { return access(path.c_str(), R_OK) == 0; };
  while (!membership.empty()) {
    const std::string_view line = membership.substr(0, membership.find('\n'));
    membership.remove_prefix(std::min(line.size() + 1, membership.size()));
    // "0::/path" of version 2, "4:cpu,cpuacct:/path" of version 1.
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    std::string_view controllers = line.substr(first + 1, second - first - 1);
    std::string path(line.substr(second + 1));
    if (path.find("..") != std::string::npos) path.clear();  // seen from within another namespace
    if (path == "/") path.clear();
    bool named = false;
    const bool unified = controllers.empty();
    while (!controllers.empty() && !named) {
      const std::string_view one = controllers.substr(0, controllers.find(','));
      controllers.remove_prefix(std::min(one.size() + 1, controllers.size()));
      named = one == controller;
    }
    if (!unified && !named) continue;
    const std::string top = unified ? root : root + "/" + std::string(controller);
    const std::string& file = unified ? unified_file : legacy_file;
    for (const std::string& directory : {top + path, top}) {
      if (has(directory + "/" + file)) return {directory, unified};
    }
  }
  return {};
}

}  // namespace weir::extensions::resource_monitors
