#include "core/http/h2/memory.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace weir::http::h2 {
namespace {

#ifdef WEIR_SANITIZED
constexpr bool kPooled = false;  // the sanitizer is to see each piece
#else
constexpr bool kPooled = true;
#endif

constexpr size_t kStep = 64;
constexpr size_t kClasses = 32;
constexpr size_t kLargest = kStep * kClasses;
constexpr uint32_t kKeptBytes = 128 * 1024;  // of each class

// Before each piece.
struct alignas(std::max_align_t) Head {
  uint32_t place;  // of its class; kClasses: none
};

class Pool {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    for (Class& one : classes_) {
      while (Free* piece = one.first) {
        one.first = piece->next;
        std::free(head_of(piece));
      }
    }
  }

  void* take(size_t size) {
    if (size > kLargest) return made(size, kClasses);
    const size_t place = size == 0 ? 0 : (size - 1) / kStep;
    Class& one = classes_[place];
    if (one.first != nullptr) [[likely]] {
      Free* piece = one.first;
      one.first = piece->next;
      --one.free;
      return piece;
    }
    return made((place + 1) * kStep, static_cast<uint32_t>(place));
  }
  void give(void* memory) {
    if (memory == nullptr) return;
    const uint32_t place = head_of(memory)->place;
    if (place < kClasses) {
      Class& one = classes_[place];
      if (one.free < kKeptBytes / ((place + 1) * kStep)) [[likely]] {
        one.first = new (memory) Free{one.first};
        ++one.free;
        return;
      }
    }
    std::free(head_of(memory));
  }
  void* resize(void* memory, size_t size) {
    if (memory == nullptr) return take(size);
    const uint32_t place = head_of(memory)->place;
    if (place == kClasses && size > kLargest) {
      void* raw = std::realloc(static_cast<void*>(head_of(memory)), sizeof(Head) + size);
      return raw == nullptr ? nullptr : static_cast<Head*>(raw) + 1;
    }
    const size_t room = place == kClasses ? size : (place + 1) * kStep;
    if (place < kClasses && size <= room) return memory;
    void* other = take(size);
    if (other == nullptr) return nullptr;
    std::memcpy(other, memory, std::min(room, size));
    give(memory);
    return other;
  }

 private:
  struct Free {
    Free* next;
  };
  struct Class {
    Free* first = nullptr;
    uint32_t free = 0;
  };
  static Head* head_of(void* memory) { return static_cast<Head*>(memory) - 1; }
  static void* made(size_t size, uint32_t place) {
    void* raw = std::malloc(sizeof(Head) + size);
    if (raw == nullptr) return nullptr;
    return new (raw) Head{place} + 1;
  }
  std::array<Class, kClasses> classes_;
};

thread_local Pool t_pool;

void* take(size_t size, void*) { return t_pool.take(size); }
void give(void* memory, void*) { t_pool.give(memory); }
void* take_zeroed(size_t count, size_t size, void*) {
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
  void* memory = t_pool.take(bytes);
  if (memory != nullptr) std::memset(memory, 0, bytes);
  return memory;
}
void* resize(void* memory, size_t size, void*) { return t_pool.resize(memory, size); }

}  // namespace

nghttp2_mem* memory() {
  static nghttp2_mem functions = {nullptr, take, give, take_zeroed, resize};
  return kPooled ? &functions : nullptr;
}

}  // namespace weir::http::h2
