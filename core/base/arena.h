// A bump allocator for what lives exactly as long as one stream (or one event). Chunks come from a per-lane pool, so
// that the steady state never reaches malloc. Not for bytes of bodies: those are slices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace weir {

// Recycles fixed-size chunks. [worker]: one per lane.
class ArenaPool {
 public:
  static constexpr size_t kChunkBytes = 4096;

  ArenaPool() = default;
  ~ArenaPool();
  ArenaPool(const ArenaPool&) = delete;
  ArenaPool& operator=(const ArenaPool&) = delete;

 private:
  friend class Arena;
  struct Chunk {
    Chunk* next;
    size_t bytes;
  };
  Chunk* take();
  void give(Chunk* chunk);

  Chunk* free_ = nullptr;
  size_t free_count_ = 0;
  static constexpr size_t kMaxFree = 256;
};

// Objects placed here are not destroyed by the arena: whoever makes one that needs a destructor runs it.
class Arena {
 public:
  // `first`: memory of the owner, used before any chunk.
  Arena(ArenaPool& pool, char* first, size_t first_bytes) : pool_(pool), first_(first), first_bytes_(first_bytes) {
    cursor_ = first;
    limit_ = first + first_bytes;
  }
  explicit Arena(ArenaPool& pool) : Arena(pool, nullptr, 0) {}
  ~Arena() { reset(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* allocate(size_t bytes, size_t alignment = alignof(std::max_align_t)) {
    auto at = (reinterpret_cast<uintptr_t>(cursor_) + alignment - 1) & ~(uintptr_t{alignment} - 1);
    if (at + bytes <= reinterpret_cast<uintptr_t>(limit_)) [[likely]] {
      cursor_ = reinterpret_cast<char*>(at + bytes);
      return reinterpret_cast<void*>(at);
    }
    return allocate_slow(bytes, alignment);
  }
  char* allocate_bytes(size_t bytes) { return static_cast<char*>(allocate(bytes, 1)); }

  template <class T, class... Args>
  T* make(Args&&... args) {
    return new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
  }

  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* to = allocate_bytes(text.size());
    std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }
  // As copy(), but an empty text has a non-null address: "present and empty" is not "absent".
  std::string_view copy_or_empty(std::string_view text) { return text.empty() ? std::string_view("") : copy(text); }
  // The parts one after another, as one text.
  std::string_view concat(std::string_view a, std::string_view b, std::string_view c = {}, std::string_view d = {});

  std::string_view number(uint64_t value);  // in decimal

  // Bytes taken from the pool or malloc beyond the owner's first piece: what a cap on a stream's memory compares.
  size_t overflow_bytes() const { return overflow_bytes_; }

  // Forgets everything; chunks go back to the pool.
  void reset();

 private:
  void* allocate_slow(size_t bytes, size_t alignment);

  char* cursor_;
  char* limit_;
  ArenaPool& pool_;
  char* first_;
  size_t first_bytes_;
  ArenaPool::Chunk* chunks_ = nullptr;
  size_t overflow_bytes_ = 0;
};

}  // namespace weir
