#include "core/base/huge_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace weir {

namespace {

constexpr uintptr_t kHuge = uintptr_t{2} << 20;
constexpr uintptr_t kLargestMapping = uintptr_t{1} << 36;  // beyond it are reservations, of which little is used
constexpr int kCollapse = 25;                              // MADV_COLLAPSE; <sys/mman.h> of Debian 12 lacks it

bool has_huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string modes;
  return std::getline(file, modes) && modes.find("[never]") == std::string::npos;
}

// Memory that has been allocated and is nobody else's, the heap included, stacks of threads not told apart.
struct Mapping {
  uintptr_t begin, end;
};
std::vector<Mapping> private_memory() {
  std::vector<Mapping> out;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping{};
    char mode[5] = {};
    uint64_t inode = 0;
    int name = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %" SCNu64 " %n", &mapping.begin, &mapping.end,
                    mode, &inode, &name) != 4)
      continue;
    const std::string what = line.substr(static_cast<size_t>(name));
    if (std::string(mode) != "rw-p" || inode != 0 || (!what.empty() && what != "[heap]")) continue;
    if (mapping.end - mapping.begin <= kLargestMapping) out.push_back(mapping);
  }
  return out;
}

}  // namespace

size_t collapse_to_huge_pages() {
#ifdef WEIR_SANITIZED
  return 0;  // its shadow of all memory is private memory, too
#endif
  if (!has_huge_pages()) return 0;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> present(kHuge / page);
  size_t bytes = 0;
  for (const Mapping& mapping : private_memory()) {
    for (uintptr_t at = (mapping.begin + kHuge - 1) & ~(kHuge - 1); at + kHuge <= mapping.end; at += kHuge) {
      auto* memory = reinterpret_cast<void*>(at);
      if (mincore(memory, kHuge, present.data()) != 0) continue;  // unmapped by another thread meanwhile
      size_t used = 0;
      for (unsigned char one : present) used += one & 1;
      if (used * 10 < present.size() * 9) continue;
      if (madvise(memory, kHuge, kCollapse) == 0) bytes += kHuge;
    }
  }
  return bytes;
}

}  // namespace weir
