// Bytes on their way through: blocks with a plain reference count, slices of them, and queues of slices. A block
// belongs to one lane; nothing here may cross threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/assert.h"

namespace weir {

class Block;

// Where a block goes that nobody refers to any more.
class BlockOwner {
 public:
  virtual void take_back(Block* block) = 0;

 protected:
  ~BlockOwner() = default;
};

// A header in front of its bytes. Append-only while anybody else refers to it: bytes below `used` never change.
class Block {
 public:
  char* data() { return reinterpret_cast<char*>(this + 1); }
  size_t capacity() const { return capacity_; }
  size_t used() const { return used_; }
  void set_used(size_t used) { used_ = static_cast<uint32_t>(used); }
  size_t room() const { return capacity_ - used_; }
  bool shared() const { return refs_ > 1; }
  uint32_t refs() const { return refs_; }

 protected:
  Block(BlockOwner& owner, size_t capacity) : owner_(&owner), capacity_(static_cast<uint32_t>(capacity)) {}

 private:
  friend class BlockPool;
  friend class BlockRef;

  BlockOwner* owner_;
  Block* next_free_ = nullptr;
  uint32_t refs_ = 0;
  uint32_t capacity_;
  uint32_t used_ = 0;
  uint32_t unused_ = 0;
};

class BlockRef {
 public:
  BlockRef() = default;
  explicit BlockRef(Block* block) : block_(block) {
    if (block_ != nullptr) ++block_->refs_;
  }
  BlockRef(const BlockRef& other) : BlockRef(other.block_) {}
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_ != nullptr && --block_->refs_ == 0) block_->owner_->take_back(block_);
  }
  Block* get() const { return block_; }
  Block* operator->() const { return block_; }
  explicit operator bool() const { return block_ != nullptr; }

 private:
  Block* block_ = nullptr;
};

// Blocks of one standard size are recycled; other sizes go to malloc. The first `initial` standard blocks are one piece
// of memory that the kernel backs only as blocks are used: enough for the usual swings of a lane's load. [worker]
class BlockPool final : private BlockOwner {
 public:
  static constexpr size_t kStandardBytes = 16 * 1024;

  explicit BlockPool(size_t initial = 0, size_t max_free = 256);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // A block of at least `capacity` bytes, not less than the standard size.
  BlockRef take(size_t capacity = kStandardBytes);
  // Exactly `capacity` bytes, for small pieces that wait long.
  BlockRef take_exact(size_t capacity);
  size_t live_bytes() const { return live_bytes_; }

 private:
  void take_back(Block* block) override;
  bool from_initial(const Block* block) const {
    auto* at = reinterpret_cast<const char*>(block);
    return at >= initial_ && at < initial_ + initial_bytes_;
  }
  Block* free_ = nullptr;
  size_t free_count_ = 0;
  size_t live_bytes_ = 0;
  const size_t max_free_;
  char* initial_ = nullptr;
  size_t initial_bytes_ = 0;
  size_t initial_untouched_ = 0;  // bytes of the first piece that were never a block yet
};

// A view that keeps its block alive. With no block it views memory that outlives it by other means (constants,
// configuration pinned by the stream).
//
// Unseen slices have no address: their block is an event::Pipe, and the bytes are in it, in the kernel. All that can be
// done with them is to count, queue and send them, in order. Only readers that were allowed to bring such make any.
struct Slice {
  Slice() = default;
  Slice(BlockRef owner, const char* begin, size_t bytes)
      : block(std::move(owner)), data(begin), size(static_cast<uint32_t>(bytes)) {}
  static Slice of_static(std::string_view text) { return Slice(BlockRef(), text.data(), text.size()); }
  bool unseen() const { return data == nullptr && size > 0; }
  // Not of unseen slices.
  std::string_view view() const {
    WEIR_ASSERT(!unseen());
    return {data, size};
  }
  void drop_front(size_t bytes) {
    if (!unseen()) data += bytes;
    size -= static_cast<uint32_t>(bytes);
  }

  BlockRef block;
  const char* data = nullptr;
  uint32_t size = 0;
};

// A queue of slices. Grows by doubling and keeps its room when cleared. Moving it is cheap.
class Slices {
 public:
  Slices() = default;
  ~Slices() { release(); }
  Slices(Slices&& other) noexcept { take_from(other); }
  Slices& operator=(Slices&& other) noexcept {
    if (this != &other) {
      release();
      take_from(other);
    }
    return *this;
  }
  Slices(const Slices&) = delete;
  Slices& operator=(const Slices&) = delete;

  bool empty() const { return bytes_ == 0; }
  size_t size() const { return bytes_; }
  size_t slice_count() const { return count_; }
  const Slice& front() const { return at(0); }
  const Slice& back() const { return at(count_ - 1); }
  const Slice& at(size_t index) const { return items()[(head_ + index) & (room_ - 1)]; }

  // Empty slices are not kept. A slice that continues the last one in the same block is joined to it.
  void append(Slice slice);
  // Copies; starts no block of its own while the last slice's block has room and nobody else refers to it.
  void append_copy(std::string_view text, BlockPool& pool);
  // Everything of `other`, in order; `other` is empty afterwards.
  void append_all(Slices& other);
  // The same for bytes that may have to wait here: behind others, small slices are copied, so that each does not keep a
  // block of its own alive.
  void append_compact(Slices& other, BlockPool& pool);
  // Removes the first `bytes` bytes (at most size()).
  void drop_front(size_t bytes);
  // Moves the first `bytes` bytes to the end of `to`.
  void move_front(size_t bytes, Slices& to);
  void clear();
  // References to the same bytes, for mirrors and replay. None of them may be unseen.
  void copy_refs_to(Slices& to) const;

  // Bytes of memory that this queue keeps alive: whole blocks, each counted once per run of slices in it, and what is
  // in pipes. Watermarks compare this, not size().
  size_t retained() const;
  std::string to_string() const;

 private:
  static constexpr uint32_t kInline = 2;
  Slice* items() { return heap_ != nullptr ? heap_ : reinterpret_cast<Slice*>(inline_); }
  const Slice* items() const { return heap_ != nullptr ? heap_ : reinterpret_cast<const Slice*>(inline_); }
  Slice& slot(size_t index) { return items()[(head_ + index) & (room_ - 1)]; }
  void grow();
  void release();
  void take_from(Slices& other);

  // Only the count_ slots from head_ on hold constructed slices.
  Slice* heap_ = nullptr;
  uint32_t head_ = 0;
  uint32_t count_ = 0;
  uint32_t room_ = kInline;
  size_t bytes_ = 0;
  alignas(Slice) unsigned char inline_[kInline * sizeof(Slice)];
};

}  // namespace weir
