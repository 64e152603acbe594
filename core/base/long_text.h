// Text of up to many megabytes that is written in pieces and read when it is complete. What is written stays where it
// is: a string that grows copies all of itself again and again, each time into memory that the kernel has to find
// first.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {

// One thread at a time, any.
class LongText {
 public:
  LongText() = default;
  LongText(LongText&& other) noexcept : chunks_(std::move(other.chunks_)), size_(std::exchange(other.size_, 0)) {}
  LongText& operator=(LongText&& other) noexcept {
    chunks_ = std::exchange(other.chunks_, {});
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  // A piece is in one chunk, whatever its length.
  void append(std::string_view piece) {
    if (piece.empty()) return;
    if (chunks_.empty() || chunks_.back().capacity() - chunks_.back().size() < piece.size()) grow(piece.size());
    chunks_.back() += piece;
    size_ += piece.size();
  }
  // What is long is not copied. What is given is empty afterwards.
  void take(std::string&& text);
  void take(LongText&& more);

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // One behind the other; none is empty.
  std::span<const std::string> chunks() const { return chunks_; }
  std::string to_string() const;

 private:
  void grow(size_t least);
  std::vector<std::string> chunks_;
  size_t size_ = 0;
};

}  // namespace weir
