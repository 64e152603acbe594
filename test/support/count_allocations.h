// How often a thread has taken memory. Replaces operator new: one source of a program includes this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace weir::test {
inline thread_local uint64_t allocations = 0;  // of this thread
}

void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++weir::test::allocations;
  return std::malloc(size);
}
void* operator new(size_t size) {
  void* memory = operator new(size, std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
