// Small files of the kernel, for resource monitors: where the process's control group is, and numbers in files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::extensions::resource_monitors {

// The front of a small file; nullopt if it cannot be read.
std::optional<std::string> read_small_file(const std::string& path);
// The whole number that a text begins with; nullopt: it begins with something else ("max").
std::optional<uint64_t> leading_number(std::string_view text);

// The directory of this process's control group for a controller ("memory", "cpu"), as `membership` (the text of
// /proc/self/cgroup) says, below `root`; `unified`: whether it is one of version 2. Within a container the group is
// often mounted as the root itself: the first of both that has `file` counts. Empty: there is none.
struct ControlGroup {
  std::string directory;
  bool unified = false;
};
ControlGroup find_control_group(std::string_view membership, const std::string& root, std::string_view controller,
                                const std::string& unified_file, const std::string& legacy_file);

}  // namespace weir::extensions::resource_monitors
