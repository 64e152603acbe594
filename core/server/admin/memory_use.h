// What the process takes, as the C library and the kernel count it. Bytes. [any] Walks the heap's arenas: not often.
#pragma once

#include <cstdint>

namespace weir::admin {

struct MemoryUse {
  uint64_t allocated = 0;       // by the program, from the heap
  uint64_t heap = 0;            // that the heap has of the system
  uint64_t page_heap_free = 0;  // of that, not given out
  uint64_t physical = 0;        // resident, whatever for
};

MemoryUse memory_use();

}  // namespace weir::admin
