#include "core/base/arena.h"

#include <cstdlib>

#include "core/base/assert.h"

namespace weir {

ArenaPool::~ArenaPool() {
  while (free_ != nullptr) {
    Chunk* next = free_->next;
    std::free(free_);
    free_ = next;
  }
}

ArenaPool::Chunk* ArenaPool::take() {
  if (free_ != nullptr) {
    Chunk* chunk = free_;
    free_ = chunk->next;
    --free_count_;
    return chunk;
  }
  auto* chunk = static_cast<Chunk*>(std::malloc(kChunkBytes));
  WEIR_CHECK(chunk != nullptr);
  chunk->bytes = kChunkBytes;
  return chunk;
}

void ArenaPool::give(Chunk* chunk) {
  if (chunk->bytes != kChunkBytes || free_count_ >= kMaxFree) {
    std::free(chunk);
    return;
  }
  chunk->next = free_;
  free_ = chunk;
  ++free_count_;
}

void* Arena::allocate_slow(size_t bytes, size_t alignment) {
  size_t wanted = sizeof(ArenaPool::Chunk) + bytes + alignment;
  ArenaPool::Chunk* chunk;
  if (wanted <= ArenaPool::kChunkBytes) {
    chunk = pool_.take();
  } else {
    chunk = static_cast<ArenaPool::Chunk*>(std::malloc(wanted));
    WEIR_CHECK(chunk != nullptr);
    chunk->bytes = wanted;
  }
  chunk->next = chunks_;
  chunks_ = chunk;
  overflow_bytes_ += chunk->bytes;
  char* begin = reinterpret_cast<char*>(chunk) + sizeof(ArenaPool::Chunk);
  char* end = reinterpret_cast<char*>(chunk) + chunk->bytes;
  auto at = (reinterpret_cast<uintptr_t>(begin) + alignment - 1) & ~(uintptr_t{alignment} - 1);
  char* after = reinterpret_cast<char*>(at + bytes);
  // A big one-off allocation must not throw away the room left in the current chunk.
  if (end - after > limit_ - cursor_) {
    cursor_ = after;
    limit_ = end;
  }
  return reinterpret_cast<void*>(at);
}

std::string_view Arena::number(uint64_t value) {
  constexpr size_t kMostDigits = 20;
  char* const end = allocate_bytes(kMostDigits) + kMostDigits;
  char* at = end;
  do {
    *--at = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return {at, static_cast<size_t>(end - at)};
}

std::string_view Arena::concat(std::string_view a, std::string_view b, std::string_view c, std::string_view d) {
  size_t total = a.size() + b.size() + c.size() + d.size();
  if (total == 0) return {};
  char* to = allocate_bytes(total);
  char* at = to;
  for (std::string_view part : {a, b, c, d}) {
    if (part.empty()) continue;
    std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  return {to, total};
}

void Arena::reset() {
  while (chunks_ != nullptr) {
    ArenaPool::Chunk* next = chunks_->next;
    pool_.give(chunks_);
    chunks_ = next;
  }
  overflow_bytes_ = 0;
  cursor_ = first_;
  limit_ = first_ + first_bytes_;
}

}  // namespace weir
