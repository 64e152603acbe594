// Evaluation allocates nothing. Its own program: it replaces operator new.
#include <gtest/gtest.h>

#include "test/core/match/random_tree.h"
#include "test/support/count_allocations.h"

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
      const uint64_t before = test::allocations;
      matched += (*tree)->evaluate(facts.facts).matched() ? 1 : 0;
      ASSERT_EQ(test::allocations, before) << "seed " << seed;
    }
  }
  EXPECT_GT(matched, 100u);
}

}  // namespace
}  // namespace weir::match
