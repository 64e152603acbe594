// A freelist of equally sized objects. [worker]: one per lane and type; steady state never reaches malloc.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#include "core/base/assert.h"

namespace weir {

template <class T>
class Slab {
 public:
  explicit Slab(size_t max_free = 1024) : max_free_(max_free) {}
  ~Slab() {
    while (free_ != nullptr) {
      Free* next = free_->next;
      std::free(free_);
      free_ = next;
    }
  }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  template <class... Args>
  T* make(Args&&... args) {
    return new (take()) T(std::forward<Args>(args)...);
  }
  void destroy(T* object) {
    object->~T();
    give(object);
  }
  size_t live() const { return live_; }

 private:
  struct Free {
    Free* next;
  };
  void* take() {
    ++live_;
    if (free_ != nullptr) [[likely]] {
      Free* piece = free_;
      free_ = piece->next;
      --free_count_;
      return piece;
    }
    void* memory = alignof(T) > alignof(std::max_align_t)
                       ? std::aligned_alloc(alignof(T), (sizeof(T) + alignof(T) - 1) / alignof(T) * alignof(T))
                       : std::malloc(sizeof(T));
    WEIR_CHECK(memory != nullptr);
    return memory;
  }
  void give(void* memory) {
    --live_;
    if (free_count_ >= max_free_) {
      std::free(memory);
      return;
    }
    auto* piece = static_cast<Free*>(memory);
    piece->next = free_;
    free_ = piece;
    ++free_count_;
  }

  Free* free_ = nullptr;
  size_t free_count_ = 0;
  size_t live_ = 0;
  const size_t max_free_;
};

}  // namespace weir
