#include "core/server/admin/memory_use.h"

#include <malloc.h>
#include <unistd.h>

#include <cstdio>

namespace weir::admin {
namespace {

uint64_t resident_bytes() {
  FILE* file = fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long total = 0, resident = 0;
  int found = fscanf(file, "%lu %lu", &total, &resident);
  fclose(file);
  return found == 2 ? uint64_t{resident} * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace

MemoryUse memory_use() {
  const struct mallinfo2 heap = mallinfo2();
  return {heap.uordblks + heap.hblkhd, heap.arena + heap.hblkhd, heap.fordblks, resident_bytes()};
}

}  // namespace weir::admin
