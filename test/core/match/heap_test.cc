// Evaluation allocates nothing. Its own program: it replaces operator new.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "test/core/match/random_tree.h"

namespace {
uint64_t allocations = 0;
}  // namespace

void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size);
}
void* operator new(size_t size) {
  void* at = operator new(size, std::nothrow);
  if (at == nullptr) std::abort();
  return at;
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete(void* at, size_t) noexcept { std::free(at); }

namespace weir::match {
namespace {

TEST(MatcherTreeHeap, EvaluationAllocatesNothing) {
  uint64_t matched = 0;
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    test::RandomChoices choices(seed);
    auto tree = Tree::build(RandomSpec(choices).matcher(3));
    ASSERT_TRUE(tree.ok());
    for (int i = 0; i < 10; ++i) {
      RandomFacts facts(choices);
      (*tree)->evaluate(facts.facts);  // per-thread buffers get their room
      const uint64_t before = allocations;
      matched += (*tree)->evaluate(facts.facts).matched() ? 1 : 0;
      ASSERT_EQ(allocations, before) << "seed " << seed;
    }
  }
  EXPECT_GT(matched, 100u);
}

}  // namespace
}  // namespace weir::match
