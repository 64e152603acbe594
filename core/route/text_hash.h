// Hashes of hosts and paths. The keys come from configuration, so a peer cannot choose what collides.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir::route {

inline uint64_t mix_hash(uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  x ^= x >> 32;
  return x;
}

// The eight bytes in lower case, those that are A to Z.
inline uint64_t fold_word(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101ULL;
  const uint64_t low = word & 0x7f * kOnes;
  const uint64_t from_a = low + (0x80 - 'A') * kOnes;    // the top bit of each byte: at least 'A'
  const uint64_t beyond_z = low + (0x7f - 'Z') * kOnes;  // more than 'Z'
  const uint64_t upper = from_a & ~beyond_z & ~word & 0x80 * kOnes;
  return word | upper >> 2;
}

// Eight bytes at a time. Fold: as if the text were in lower case.
template <bool Fold = false>
inline uint64_t hash_text(std::string_view text) {
  uint64_t hash = 0x9e3779b97f4a7c15ULL ^ text.size();
  const char* at = text.data();
  size_t left = text.size();
  while (left >= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    if constexpr (Fold) word = fold_word(word);
    hash = (hash ^ word) * 0xd6e8feb86659fd93ULL;
    hash ^= hash >> 29;
    at += 8;
    left -= 8;
  }
  uint64_t word = 0;
  if (left > 0) std::memcpy(&word, at, left);
  if constexpr (Fold) word = fold_word(word);
  return mix_hash(hash ^ word);
}

// One byte at a time, so that the hash of every prefix (or of every suffix, fed backwards) falls out on the way.
class StepHash {
 public:
  void step(char c) { hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL; }
  uint64_t value() const { return mix_hash(hash_); }

 private:
  uint64_t hash_ = 0xcbf29ce484222325ULL;
};

}  // namespace weir::route
