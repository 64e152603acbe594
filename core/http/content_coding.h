// Content codings (RFC 9110 8.4.1): what compresses and decompresses bodies. The codings themselves are plugins
// (extensions/compression); the filters that apply them to messages are too (filters/http/compressor).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/base/block.h"

namespace weir::http {

// How much of what went in must have come out when process() returns.
enum class Flush : uint8_t {
  kNone,  // the coder may keep some, for a better ratio
  kSync,  // everything, so that the peer can use it now
  kEnd,   // everything, and the end of the coded body
};

enum class CodingResult : uint8_t {
  kOk,
  kInvalid,   // not a body of this coding (decoding only)
  kTooLarge,  // expands beyond the ratio allowed: a bomb (decoding only)
};

// One body on its way through a coding. [worker]
class ContentCoder {
 public:
  virtual ~ContentCoder() = default;
  // Takes all of `in` and appends what comes of it to `out`. After anything but kOk, and after kEnd, only reset() may
  // follow.
  virtual CodingResult process(Slices& in, Flush flush, Slices& out, BlockPool& pool) = 0;
  // Ready for another body. Keeps the memory.
  virtual void reset() = 0;
};

// A coding with its settings: the configuration of a compressor or decompressor plugin. [immutable]
class ContentCoding {
 public:
  virtual ~ContentCoding() = default;
  // As in Content-Encoding: "gzip".
  virtual std::string_view encoding() const = 0;
  // As in names of statistics: "gzip".
  virtual std::string_view stat_name() const = 0;
  virtual std::unique_ptr<ContentCoder> make_coder() const = 0;
  // About what a coder of this holds when so much of a body, not coded, has passed, in bytes: never less for more of
  // it. 0: it is not counted.
  virtual uint64_t state_bytes(uint64_t /*body*/) const { return 0; }
};

// Coders at rest, by lane: a coder is some hundred KiB that would otherwise be allocated and cleared for every message.
// Belongs to an immutable configuration, though each lane changes its own part; destroyed on main when no lane uses it
// any more.
class CoderPool {
 public:
  static constexpr size_t kMaxLanes = 256;
  static constexpr size_t kKeptPerLane = 16;

  explicit CoderPool(std::shared_ptr<const ContentCoding> coding) : coding_(std::move(coding)) {}

  // Returns the coder to its lane when it is destroyed.
  class Lent {
   public:
    Lent() = default;
    Lent(Lent&& other) noexcept = default;
    Lent& operator=(Lent&& other) noexcept {
      give_back();
      pool_ = other.pool_;
      lane_ = other.lane_;
      coder_ = std::move(other.coder_);
      return *this;
    }
    ~Lent() { give_back(); }
    explicit operator bool() const { return coder_ != nullptr; }
    ContentCoder* operator->() const { return coder_.get(); }
    void give_back();

   private:
    friend class CoderPool;
    const CoderPool* pool_ = nullptr;
    uint32_t lane_ = 0;
    std::unique_ptr<ContentCoder> coder_;
  };

  // [worker] of the lane with this index.
  Lent take(uint32_t lane) const;
  const ContentCoding& coding() const { return *coding_; }

 private:
  std::shared_ptr<const ContentCoding> coding_;
  mutable std::array<std::vector<std::unique_ptr<ContentCoder>>, kMaxLanes> resting_;
};

// The buffer that a coder writes into: the rest of a block, taken from the pool when the last one is full.
class CodedOutput {
 public:
  CodedOutput(Slices& out, BlockPool& pool) : out_(out), pool_(pool) {}
  ~CodedOutput() { pass_on(); }
  CodedOutput(const CodedOutput&) = delete;
  CodedOutput& operator=(const CodedOutput&) = delete;

  // Room for at least one byte.
  char* room(size_t& bytes) {
    if (!block_ || block_->room() == 0) {
      pass_on();
      block_ = pool_.take();
      begin_ = 0;
    }
    bytes = block_->room();
    return block_->data() + block_->used();
  }
  void wrote(size_t bytes) {
    block_->set_used(block_->used() + bytes);
    total_ += bytes;
  }
  size_t total() const { return total_; }

 private:
  void pass_on() {
    if (block_ && block_->used() > begin_) out_.append(Slice(block_, block_->data() + begin_, block_->used() - begin_));
    block_ = BlockRef();
  }

  Slices& out_;
  BlockPool& pool_;
  BlockRef block_;
  size_t begin_ = 0;
  size_t total_ = 0;
};

// Whether a body has grown beyond what its coded size may stand for. Small bodies are not judged.
class RatioLimit {
 public:
  explicit RatioLimit(uint32_t max_ratio) : max_ratio_(max_ratio) {}
  void reset() { in_ = out_ = 0; }
  bool exceeded(size_t in, size_t out) {
    in_ += in;
    out_ += out;
    return out_ > kFree && out_ / max_ratio_ > in_;
  }

 private:
  static constexpr uint64_t kFree = 64 * 1024;
  uint32_t max_ratio_;
  uint64_t in_ = 0;
  uint64_t out_ = 0;
};

}  // namespace weir::http
