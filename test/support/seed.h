// Seeds of randomised tests. A failure prints the seed; WEIR_TEST_SEED=<seed> runs the test with that one alone.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace weir::test {

// 0: not set.
inline uint64_t seed_from_environment() {
  const char* text = std::getenv("WEIR_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 0;
}

// Calls run(seed) for seeds 1 to `count`, or for the one that the environment names, until one fails.
template <class Run>
void for_each_seed(uint64_t count, Run&& run) {
  uint64_t only = seed_from_environment();
  uint64_t first = only != 0 ? only : 1;
  uint64_t last = only != 0 ? only : count;
  for (uint64_t seed = first; seed <= last; ++seed) {
    run(seed);
    if (::testing::Test::HasFailure()) {
      std::fprintf(stderr, "failed with seed %llu; again with: WEIR_TEST_SEED=%llu\n",
                   static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
      return;
    }
  }
}

}  // namespace weir::test
