#include "core/base/huge_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace weir {
namespace {

constexpr size_t kHuge = size_t{2} << 20;

// Four large pages' worth of memory, of which so many small pages are in use in each.
class Memory {
 public:
  explicit Memory(size_t used) {
    mapped_ = static_cast<char*>(mmap(nullptr, 5 * kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    begin_ = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(mapped_) + kHuge - 1) & ~(kHuge - 1));
    for (size_t large = 0; large < 4; ++large) {
      for (size_t i = 0; i < used; ++i) begin_[large * kHuge + i * 4096] = static_cast<char>(i + large + 1);
    }
  }
  ~Memory() { munmap(mapped_, 5 * kHuge); }
  bool is_kept(size_t used) const {
    for (size_t large = 0; large < 4; ++large) {
      for (size_t i = 0; i < used; ++i) {
        if (begin_[large * kHuge + i * 4096] != static_cast<char>(i + large + 1)) return false;
      }
    }
    return true;
  }
  // Of /proc/self/smaps, in KiB: what the mappings within have.
  size_t sum_of(const std::string& field) const {
    std::ifstream smaps("/proc/self/smaps");
    size_t sum = 0;
    bool inside = false;
    for (std::string line; std::getline(smaps, line);) {
      uintptr_t from, to;
      size_t value;
      if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
        inside = from < reinterpret_cast<uintptr_t>(begin_) + 4 * kHuge && to > reinterpret_cast<uintptr_t>(begin_);
      } else if (inside && std::sscanf(line.c_str(), (field + ": %zu kB").c_str(), &value) == 1) {
        sum += value;
      }
    }
    return sum;
  }

 private:
  char* mapped_;
  char* begin_;
};

// Then there are large pages from the first touch on, or nearly.
bool kernel_makes_them() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string modes;
  return std::getline(file, modes) && modes.find("[always]") != std::string::npos;
}

TEST(HugePages, WhatIsFullBecomesLarge) {
  if (kernel_makes_them()) GTEST_SKIP() << "transparent_hugepage/enabled is always";
  Memory full(512);
  ASSERT_EQ(full.sum_of("AnonHugePages"), 0u);
  const size_t bytes = collapse_to_huge_pages();
  EXPECT_TRUE(full.is_kept(512));
  if (bytes == 0) GTEST_SKIP() << "a kernel before 6.1, or one that is to have no large pages, or a sanitizer";
  EXPECT_GE(bytes, 4 * kHuge);
  EXPECT_GE(full.sum_of("AnonHugePages"), 4 * kHuge / 1024);
}

TEST(HugePages, WhatIsNotStaysSmall) {
  if (kernel_makes_them()) GTEST_SKIP() << "transparent_hugepage/enabled is always";
  Memory half(256);
  const size_t before = half.sum_of("Rss");
  collapse_to_huge_pages();
  EXPECT_TRUE(half.is_kept(256));
  EXPECT_EQ(half.sum_of("AnonHugePages"), 0u);
  EXPECT_EQ(half.sum_of("Rss"), before);
}

}  // namespace
}  // namespace weir
