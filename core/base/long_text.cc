#include "core/base/long_text.h"

#include <algorithm>
#include <iterator>

namespace weir {

namespace {

constexpr size_t kFirstBytes = 512;
constexpr size_t kMostBytes = size_t{64} << 10;  // what a long text leaves unused at its end at most
constexpr size_t kShort = kMostBytes / 4;        // cheaper copied than sent by itself

}  // namespace

void LongText::grow(size_t least) {
  const size_t next = std::clamp(size_, kFirstBytes, kMostBytes);  // twice as much as there is
  chunks_.emplace_back().reserve(std::max(next, least));
}

void LongText::take(std::string&& text) {
  if (text.size() < kShort) {
    append(text);
    text.clear();
    return;
  }
  size_ += text.size();
  chunks_.push_back(std::exchange(text, {}));
}

void LongText::take(LongText&& more) {
  LongText taken = std::move(more);
  if (taken.size_ < kShort) {
    for (const std::string& chunk : taken.chunks_) append(chunk);
    return;
  }
  size_ += taken.size_;
  std::ranges::move(taken.chunks_, std::back_inserter(chunks_));
}

std::string LongText::to_string() const {
  std::string out;
  out.reserve(size_);
  for (const std::string& chunk : chunks_) out += chunk;
  return out;
}

}  // namespace weir
