#include "core/base/block.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace weir {

namespace {
constexpr size_t kStride = sizeof(Block) + BlockPool::kStandardBytes;
}

BlockPool::BlockPool(size_t initial, size_t max_free) : max_free_(max_free) {
  if (initial == 0) return;
  initial_bytes_ = initial_untouched_ = initial * kStride;
  initial_ = static_cast<char*>(std::malloc(initial_bytes_));
  WEIR_CHECK(initial_ != nullptr);
}

BlockPool::~BlockPool() {
  while (free_ != nullptr) {
    Block* next = free_->next_free_;
    if (!from_initial(free_)) std::free(free_);
    free_ = next;
  }
  std::free(initial_);
}

BlockRef BlockPool::take(size_t capacity) {
  if (capacity <= kStandardBytes) {
    if (free_ != nullptr) {
      Block* block = free_;
      free_ = block->next_free_;
      --free_count_;
      block->used_ = 0;
      live_bytes_ += block->capacity_;
      return BlockRef(block);
    }
    if (initial_untouched_ > 0) {
      char* memory = initial_ + (initial_bytes_ - initial_untouched_);
      initial_untouched_ -= kStride;
      live_bytes_ += kStandardBytes;
      return BlockRef(new (memory) Block(*this, kStandardBytes));
    }
    capacity = kStandardBytes;
  }
  return take_exact(capacity);
}

BlockRef BlockPool::take_exact(size_t capacity) {
  void* memory = std::malloc(sizeof(Block) + capacity);
  WEIR_CHECK(memory != nullptr);
  live_bytes_ += capacity;
  return BlockRef(new (memory) Block(*this, capacity));
}

void BlockPool::take_back(Block* block) {
  live_bytes_ -= block->capacity_;
  if (!from_initial(block) && (block->capacity_ != kStandardBytes || free_count_ >= max_free_)) {
    std::free(block);
    return;
  }
  block->next_free_ = free_;
  free_ = block;
  ++free_count_;
}

void Slices::append(Slice slice) {
  if (slice.size == 0) return;
  if (count_ > 0) {
    Slice& last = slot(count_ - 1);
    const char* next = last.unseen() ? nullptr : last.data + last.size;
    if (last.block.get() == slice.block.get() && next == slice.data) {
      last.size += slice.size;
      bytes_ += slice.size;
      return;
    }
  }
  if (count_ == room_) grow();
  bytes_ += slice.size;
  new (&slot(count_)) Slice(std::move(slice));
  ++count_;
}

void Slices::append_copy(std::string_view text, BlockPool& pool) {
  while (!text.empty()) {
    BlockRef block;
    if (count_ > 0) {
      Slice& last = slot(count_ - 1);
      // Room after the last slice is ours to fill only if the slice ends where the block's used part ends.
      if (last.block && last.block->room() > 0 && last.data + last.size == last.block->data() + last.block->used() &&
          !last.block->shared()) {
        block = last.block;
      }
    }
    if (!block) block = pool.take(std::min(text.size(), BlockPool::kStandardBytes));
    size_t bytes = std::min(text.size(), block->room());
    char* to = block->data() + block->used();
    std::memcpy(to, text.data(), bytes);
    block->set_used(block->used() + bytes);
    text.remove_prefix(bytes);
    append(Slice(std::move(block), to, bytes));
  }
}

void Slices::append_all(Slices& other) {
  if (count_ == 0 && heap_ == nullptr && other.heap_ != nullptr) {
    take_from(other);
    return;
  }
  for (uint32_t i = 0; i < other.count_; ++i) append(std::move(other.slot(i)));
  other.clear();
}

void Slices::append_compact(Slices& other, BlockPool& pool) {
  constexpr size_t kCopyBelow = 2048;
  if (empty()) {  // mostly it goes out before anything comes behind it
    append_all(other);
    return;
  }
  while (!other.empty()) {
    const size_t size = other.front().size;
    if (size >= kCopyBelow || other.front().unseen()) {
      other.move_front(size, *this);
    } else {
      append_copy(other.front().view(), pool);
      other.drop_front(size);
    }
  }
}

void Slices::drop_front(size_t bytes) {
  WEIR_ASSERT(bytes <= bytes_);
  bytes_ -= bytes;
  while (bytes > 0) {
    Slice& first = slot(0);
    if (bytes < first.size) {
      first.drop_front(bytes);
      return;
    }
    bytes -= first.size;
    first.~Slice();
    head_ = (head_ + 1) & (room_ - 1);
    --count_;
  }
}

void Slices::move_front(size_t bytes, Slices& to) {
  WEIR_ASSERT(bytes <= bytes_);
  bytes_ -= bytes;
  while (bytes > 0) {
    Slice& first = slot(0);
    if (bytes < first.size) {
      to.append(Slice(first.block, first.data, bytes));
      first.drop_front(bytes);
      return;
    }
    bytes -= first.size;
    to.append(std::move(first));
    first.~Slice();
    head_ = (head_ + 1) & (room_ - 1);
    --count_;
  }
}

void Slices::clear() {
  for (uint32_t i = 0; i < count_; ++i) slot(i).~Slice();
  count_ = 0;
  head_ = 0;
  bytes_ = 0;
}

void Slices::copy_refs_to(Slices& to) const {
  for (uint32_t i = 0; i < count_; ++i) {
    const Slice& slice = at(i);
    WEIR_ASSERT(!slice.unseen());
    to.append(Slice(slice.block, slice.data, slice.size));
  }
}

size_t Slices::retained() const {
  size_t total = 0;
  const Block* previous = nullptr;
  for (uint32_t i = 0; i < count_; ++i) {
    const Slice& slice = at(i);
    const Block* block = slice.block.get();
    if (slice.unseen()) {
      total += slice.size;
    } else if (block != nullptr && block != previous) {
      total += block->capacity();
    }
    previous = block;
  }
  return total;
}

std::string Slices::to_string() const {
  std::string text;
  text.reserve(bytes_);
  for (uint32_t i = 0; i < count_; ++i) text.append(at(i).view());
  return text;
}

void Slices::grow() {
  uint32_t room = room_ * 2;
  auto* fresh = static_cast<Slice*>(std::malloc(room * sizeof(Slice)));
  WEIR_CHECK(fresh != nullptr);
  for (uint32_t i = 0; i < count_; ++i) {
    new (&fresh[i]) Slice(std::move(slot(i)));
    slot(i).~Slice();
  }
  std::free(heap_);
  heap_ = fresh;
  head_ = 0;
  room_ = room;
}

void Slices::release() {
  clear();
  std::free(heap_);
  heap_ = nullptr;
  room_ = kInline;
}

void Slices::take_from(Slices& other) {
  if (other.heap_ != nullptr) {
    heap_ = std::exchange(other.heap_, nullptr);
    head_ = std::exchange(other.head_, 0);
    count_ = std::exchange(other.count_, 0);
    room_ = std::exchange(other.room_, kInline);
    bytes_ = std::exchange(other.bytes_, 0);
    return;
  }
  heap_ = nullptr;
  head_ = 0;
  count_ = 0;
  room_ = kInline;
  bytes_ = 0;
  for (uint32_t i = 0; i < other.count_; ++i) append(std::move(other.slot(i)));
  other.clear();
}

}  // namespace weir
