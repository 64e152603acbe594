// What the fuzz targets share: the input read piece by piece, and a check that ends the run.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "test/support/choices.h"

namespace weir::fuzz {

// Says what is wrong, with the two things that should have agreed, and aborts.
inline void require(bool condition, std::string_view what, std::string_view a = {}, std::string_view b = {}) {
  if (condition) return;
  std::fprintf(stderr, "%.*s\n--- one\n%.*s\n--- other\n%.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(a.size()), a.data(), static_cast<int>(b.size()), b.data());
  std::abort();
}

// Takes from the front; zeros and empty texts when everything is used up.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool done() const { return at_ == end_; }
  uint8_t byte() { return done() ? uint8_t{0} : *at_++; }
  bool flag() { return (byte() & 1) != 0; }
  uint64_t number(int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | byte();
    return value;
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(number(bound <= 256 ? 1 : 4)) % bound; }
  // A byte says how long it is.
  std::string text(size_t bound = 40) {
    const size_t wanted = byte() % bound;  // moves at_
    const size_t size = std::min(wanted, static_cast<size_t>(end_ - at_));
    std::string result(reinterpret_cast<const char*>(at_), size);
    at_ += size;
    return result;
  }
  // Up to the next `mark`, which is dropped.
  std::string_view until(char mark) {
    std::string_view left = rest();
    size_t size = std::min(left.find(mark), left.size());
    at_ += std::min(size + 1, left.size());
    return left.substr(0, size);
  }
  std::string_view rest() const { return {reinterpret_cast<const char*>(at_), static_cast<size_t>(end_ - at_)}; }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

// Decides what a generated test is made of.
class ByteChoices final : public test::Choices {
 public:
  ByteChoices(const uint8_t* data, size_t size) : input_(data, size) {}
  uint32_t below(uint32_t bound) override { return input_.below(bound); }
  bool used_up() const { return input_.done(); }

 private:
  Input input_;
};

}  // namespace weir::fuzz
