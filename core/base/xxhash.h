// XXH64 (Yann Collet's specification, xxhash_spec.md 0.1.1): the hash that consistent balancing is published with, so
// that two proxies send one key to the same host. Not for secrets: peers can make collisions.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

uint64_t xxhash64(std::string_view text, uint64_t seed = 0) noexcept;

}  // namespace weir
