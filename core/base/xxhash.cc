#include "core/base/xxhash.h"

#include <bit>
#include <cstring>

namespace weir {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;

template <class Word>
uint64_t take(const char*& at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  at += sizeof word;
  return word;
}

uint64_t round_of(uint64_t lane, uint64_t word) { return std::rotl(lane + word * kPrime2, 31) * kPrime1; }

}  // namespace

uint64_t xxhash64(std::string_view text, uint64_t seed) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  uint64_t hash = seed + kPrime5;
  if (text.size() >= 32) {
    uint64_t lanes[4] = {seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1};
    while (end - at >= 32) {
      for (uint64_t& lane : lanes) lane = round_of(lane, take<uint64_t>(at));
    }
    hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const uint64_t lane : lanes) hash = (hash ^ round_of(0, lane)) * kPrime1 + kPrime4;
  }
  hash += text.size();
  while (end - at >= 8) hash = std::rotl(hash ^ round_of(0, take<uint64_t>(at)), 27) * kPrime1 + kPrime4;
  if (end - at >= 4) hash = std::rotl(hash ^ take<uint32_t>(at) * kPrime1, 23) * kPrime2 + kPrime3;
  while (at != end) hash = std::rotl(hash ^ take<uint8_t>(at) * kPrime5, 11) * kPrime1;
  hash = (hash ^ hash >> 33) * kPrime2;
  hash = (hash ^ hash >> 29) * kPrime3;
  return hash ^ hash >> 32;
}

}  // namespace weir
