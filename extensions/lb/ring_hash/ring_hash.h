// A ring of hashes (ketama): every host has many places on it, and a request goes to the next place from its own hash
// on. When a host comes or goes, only the requests between its places and those before move.
#pragma once

#include <cstdint>
#include <memory>

#include "core/lb/policy.h"
#include "extensions/lb/common/consistent.h"

namespace weir::extensions::ring_hash {

constexpr uint64_t kMaxRing = 8 * 1024 * 1024;

struct Config {
  uint64_t min_size = 1024;  // hosts have places enough for this and for their weights
  uint64_t max_size = kMaxRing;
  bool murmur = false;  // of the hosts' hashes
  consistent::Config consistent = {};
};

// [main] `input` has shares.
std::unique_ptr<const lb::Table> build(const lb::BuildInput& input, const Config& config);

// MurmurHash2, 64 bits, with the seed that libstdc++ hashes strings with.
uint64_t murmur_hash(std::string_view text) noexcept;

}  // namespace weir::extensions::ring_hash
