// Arena, slab and intrusive list.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/arena.h"
#include "core/base/intrusive_list.h"
#include "core/base/random.h"
#include "core/base/slab.h"
#include "test/support/seed.h"

namespace weir {
namespace {

TEST(Arena, PiecesAreAlignedApartAndKeepTheirContent) {
  test::for_each_seed(100, [](uint64_t seed) {
    Random random(seed);
    ArenaPool pool;
    char own[256];
    Arena arena(pool, own, random.below(2) == 0 ? sizeof(own) : 0);
    for (int round = 0; round < 3; ++round) {
      std::vector<std::pair<std::string_view, std::string>> pieces;
      for (int i = 0; i < 300; ++i) {
        size_t alignment = size_t{1} << random.below(7);
        size_t size = random.below(random.below(20) == 0 ? 10'000 : 100);
        auto* at = static_cast<char*>(arena.allocate(size, alignment));
        ASSERT_EQ(reinterpret_cast<uintptr_t>(at) % alignment, 0u);
        std::string text(size, static_cast<char>('a' + i % 26));
        std::memcpy(at, text.data(), size);
        pieces.emplace_back(std::string_view(at, size), text);
      }
      for (const auto& [view, text] : pieces) ASSERT_EQ(view, text);
      EXPECT_GT(arena.overflow_bytes(), 0u);
      arena.reset();
      EXPECT_EQ(arena.overflow_bytes(), 0u);
    }
  });
}

TEST(Arena, TextHelpers) {
  ArenaPool pool;
  Arena arena(pool);
  EXPECT_EQ(arena.concat("a", "", "bc", "d"), "abcd");
  EXPECT_EQ(arena.concat("", ""), "");
  EXPECT_EQ(arena.copy("").data(), nullptr);
  EXPECT_NE(arena.copy_or_empty("").data(), nullptr);
  std::string text = "gone soon";
  std::string_view kept = arena.copy(text);
  text.assign("overwritten");
  EXPECT_EQ(kept, "gone soon");
}

TEST(Arena, FirstPieceIsTheOwnersMemory) {
  ArenaPool pool;
  alignas(16) char own[64];
  Arena arena(pool, own, sizeof(own));
  EXPECT_EQ(arena.allocate(32, 1), own);
  EXPECT_EQ(arena.overflow_bytes(), 0u);
  arena.allocate(64, 1);
  EXPECT_GT(arena.overflow_bytes(), 0u);
  // The big one left the small rest of the own piece in use or not; a reset brings it back for certain.
  arena.reset();
  EXPECT_EQ(arena.allocate(64, 1), own);
}

struct Counted {
  explicit Counted(int& alive) : alive(alive) { ++alive; }
  ~Counted() { --alive; }
  int& alive;
  ListNode node;
};

TEST(Slab, RecyclesMemory) {
  int alive = 0;
  Slab<Counted> slab(2);
  Counted* first = slab.make(alive);
  EXPECT_EQ(slab.live(), 1u);
  slab.destroy(first);
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(slab.make(alive), first);
  std::vector<Counted*> more;
  for (int i = 0; i < 10; ++i) more.push_back(slab.make(alive));
  for (Counted* one : more) slab.destroy(one);
  slab.destroy(first);
  EXPECT_EQ(slab.live(), 0u);
  EXPECT_EQ(alive, 0);
}

using List = IntrusiveList<Counted, &Counted::node>;

TEST(IntrusiveList, BehavesLikeADeque) {
  test::for_each_seed(50, [](uint64_t seed) {
    Random random(seed);
    int alive = 0;
    std::vector<std::unique_ptr<Counted>> objects;
    for (int i = 0; i < 20; ++i) objects.push_back(std::make_unique<Counted>(alive));
    List list;
    std::vector<Counted*> model;
    for (int i = 0; i < 500; ++i) {
      Counted& one = *objects[random.below(20)];
      auto at = std::find(model.begin(), model.end(), &one);
      switch (random.below(5)) {
        case 0:
          if (at != model.end()) break;
          list.push_back(one);
          model.push_back(&one);
          break;
        case 1:
          if (at != model.end()) break;
          list.push_front(one);
          model.insert(model.begin(), &one);
          break;
        case 2:
          ASSERT_EQ(list.pop_front(), model.empty() ? nullptr : model.front());
          if (!model.empty()) model.erase(model.begin());
          break;
        case 3:
          ASSERT_EQ(list.pop_back(), model.empty() ? nullptr : model.back());
          if (!model.empty()) model.pop_back();
          break;
        default:
          one.node.unlink();
          if (at != model.end()) model.erase(at);
      }
      ASSERT_EQ(list.count(), model.size());
      ASSERT_EQ(list.empty(), model.empty());
      ASSERT_EQ(list.front(), model.empty() ? nullptr : model.front());
    }
    // An object takes itself out; the visitor may unlink what it is given.
    size_t before = model.size();
    size_t visited = 0;
    list.for_each([&](Counted& one) {
      ++visited;
      one.node.unlink();
    });
    EXPECT_EQ(visited, before);
    EXPECT_TRUE(list.empty());
  });
}

}  // namespace
}  // namespace weir
