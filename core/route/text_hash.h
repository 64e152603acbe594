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

// Eight bytes at a time.
inline uint64_t hash_text(std::string_view text) {
  uint64_t hash = 0x9e3779b97f4a7c15ULL ^ text.size();
  const char* at = text.data();
  size_t left = text.size();
  while (left >= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    hash = (hash ^ word) * 0xd6e8feb86659fd93ULL;
    hash ^= hash >> 29;
    at += 8;
    left -= 8;
  }
  uint64_t word = 0;
  if (left > 0) std::memcpy(&word, at, left);
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
