#include "core/base/assert.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace weir {
namespace {
std::atomic<uint64_t> bug_count{0};
}

void check_failed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "weir: %s:%d: check failed: %s\n", file, line, what);
  std::fflush(stderr);
  std::abort();
}

void bug_found(const char* file, int line, const char* what) {
  uint64_t count = bug_count.fetch_add(1, std::memory_order_relaxed) + 1;
  // Powers of two: the first ones are seen, a bug in a loop does not fill the log.
  if ((count & (count - 1)) == 0) {
    std::fprintf(stderr, "weir: bug (number %llu): %s:%d: %s\n", static_cast<unsigned long long>(count), file, line,
                 what);
  }
#ifndef NDEBUG
  std::abort();
#endif
}

uint64_t bugs_found() { return bug_count.load(std::memory_order_relaxed); }

}  // namespace weir
