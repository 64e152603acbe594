// Where the decisions of generated tests come from: a random generator, or the bytes of a fuzzer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/random.h"

namespace weir::test {

class Choices {
 public:
  virtual ~Choices() = default;
  virtual uint32_t below(uint32_t bound) = 0;

  bool one_in(uint32_t n) { return below(n) == 0; }
  template <class T, size_t N>
  T pick(const T (&items)[N]) {
    return items[below(N)];
  }
};

class RandomChoices final : public Choices {
 public:
  explicit RandomChoices(uint64_t seed) : random_(seed) {}
  uint32_t below(uint32_t bound) override { return random_.below(bound); }

 private:
  Random random_;
};

inline std::string random_text(Choices& choices, uint32_t max, std::string_view alphabet) {
  std::string out;
  for (uint32_t size = choices.below(max + 1); out.size() < size;) {
    out += alphabet[choices.below(static_cast<uint32_t>(alphabet.size()))];
  }
  return out;
}

}  // namespace weir::test
