#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/block.h"
#include "core/base/random.h"
#include "test/support/seed.h"

namespace weir {
namespace {

std::string text_of(Random& random, size_t size) {
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>('a' + random.below(26));
  return text;
}

// Random operations on queues against strings.
TEST(Slices, BehaveLikeStrings) {
  test::for_each_seed(200, [](uint64_t seed) {
    Random random(seed);
    BlockPool pool(random.below(8), random.below(4));
    {
      std::vector<Slices> queues(3);
      std::vector<std::string> texts(3);
      for (int i = 0; i < 500; ++i) {
        size_t a = random.below(3), b = (a + 1 + random.below(2)) % 3;
        switch (random.below(9)) {
          case 0:
          case 1: {
            std::string text = text_of(random, random.below(random.below(10) == 0 ? 40'000 : 100));
            queues[a].append_copy(text, pool);
            texts[a] += text;
            break;
          }
          case 2: {  // as a read does: into the room of a block of its own
            BlockRef block = random.below(2) == 0 ? pool.take() : pool.take_exact(1 + random.below(300));
            std::string text = text_of(random, random.below(static_cast<uint32_t>(block->capacity()) + 1));
            std::memcpy(block->data(), text.data(), text.size());
            block->set_used(text.size());
            queues[a].append(Slice(block, block->data(), text.size()));
            texts[a] += text;
            break;
          }
          case 3: {
            static constexpr std::string_view kStatic = "constant text";
            queues[a].append(Slice::of_static(kStatic));
            texts[a] += kStatic;
            break;
          }
          case 4: {
            size_t bytes = random.below(static_cast<uint32_t>(texts[a].size()) + 1);
            queues[a].drop_front(bytes);
            texts[a].erase(0, bytes);
            break;
          }
          case 5: {
            size_t bytes = random.below(static_cast<uint32_t>(texts[a].size()) + 1);
            queues[a].move_front(bytes, queues[b]);
            texts[b] += texts[a].substr(0, bytes);
            texts[a].erase(0, bytes);
            break;
          }
          case 6:
            queues[b].append_all(queues[a]);
            texts[b] += std::exchange(texts[a], {});
            break;
          case 7:
            if (texts[b].size() < 100'000) {
              queues[a].copy_refs_to(queues[b]);
              texts[b] += texts[a];
            }
            break;
          default:
            if (random.below(2) == 0) {
              queues[b] = std::move(queues[a]);
              texts[b] = std::exchange(texts[a], {});
            } else if (random.below(10) == 0) {
              queues[a].clear();
              texts[a].clear();
            }
        }
        for (size_t q = 0; q < 3; ++q) {
          ASSERT_EQ(queues[q].size(), texts[q].size());
          ASSERT_EQ(queues[q].empty(), texts[q].empty());
          if (i % 20 == 0) {
            ASSERT_EQ(queues[q].to_string(), texts[q]);
          }
          if (queues[q].empty()) {
            ASSERT_EQ(queues[q].retained(), 0u);
          }
        }
      }
      for (size_t q = 0; q < 3; ++q) ASSERT_EQ(queues[q].to_string(), texts[q]);
    }
    EXPECT_EQ(pool.live_bytes(), 0u);  // every reference went back
  });
}

TEST(Slices, ReferencesKeepBlocksAndLetThemGo) {
  BlockPool pool;
  BlockRef block = pool.take();
  EXPECT_EQ(block->refs(), 1u);
  Slices queue;
  block->set_used(100);
  queue.append(Slice(block, block->data(), 50));
  EXPECT_EQ(block->refs(), 2u);
  queue.append(Slice(block, block->data() + 50, 50));  // joined to the one before
  EXPECT_EQ(block->refs(), 2u);
  EXPECT_EQ(queue.slice_count(), 1u);
  Slices copy;
  queue.copy_refs_to(copy);
  EXPECT_EQ(block->refs(), 3u);
  queue.drop_front(99);
  EXPECT_EQ(block->refs(), 3u);
  queue.drop_front(1);
  EXPECT_EQ(block->refs(), 2u);
  copy.clear();
  EXPECT_EQ(block->refs(), 1u);
  EXPECT_EQ(pool.live_bytes(), BlockPool::kStandardBytes);
  block = BlockRef();
  EXPECT_EQ(pool.live_bytes(), 0u);
}

TEST(Slices, RetainedCountsWholeBlocksOncePerRun) {
  BlockPool pool;
  Slices queue;
  BlockRef one = pool.take();
  BlockRef two = pool.take_exact(100);
  one->set_used(3000);
  two->set_used(100);
  queue.append(Slice(one, one->data(), 10));
  EXPECT_EQ(queue.retained(), BlockPool::kStandardBytes);
  queue.append(Slice(one, one->data() + 20, 10));
  EXPECT_EQ(queue.retained(), BlockPool::kStandardBytes);
  queue.append(Slice(two, two->data(), 10));
  EXPECT_EQ(queue.retained(), BlockPool::kStandardBytes + 100);
  queue.append(Slice::of_static("nobody's block"));
  EXPECT_EQ(queue.retained(), BlockPool::kStandardBytes + 100);
}

// Bytes that somebody else may look at are never written again.
TEST(Slices, CopiesDoNotWriteIntoSharedBlocks) {
  BlockPool pool;
  Slices one;
  one.append_copy("hello", pool);
  Slices two;
  one.copy_refs_to(two);
  two.append_copy(" two", pool);
  one.append_copy(" one", pool);
  EXPECT_EQ(one.to_string(), "hello one");
  EXPECT_EQ(two.to_string(), "hello two");
}

// Small pieces that wait do not keep a block each; one that goes out at once is not copied.
TEST(Slices, AppendCompactCopiesWhatIsSmallAndWaits) {
  BlockPool pool;
  const auto piece = [&](size_t bytes, char c) {
    BlockRef block = pool.take();
    std::memset(block->data(), c, bytes);
    block->set_used(bytes);
    Slices slices;
    slices.append(Slice(block, block->data(), bytes));
    return slices;
  };
  Slices queue;
  Slices first = piece(10, 'a');
  const char* at = first.front().data;
  queue.append_compact(first, pool);
  EXPECT_EQ(queue.front().data, at);
  for (int i = 0; i < 100; ++i) {
    Slices next = piece(10, 'b');
    queue.append_compact(next, pool);
    EXPECT_TRUE(next.empty());
  }
  Slices large = piece(8000, 'c');
  at = large.front().data;
  queue.append_compact(large, pool);
  EXPECT_EQ(queue.back().data, at);
  EXPECT_EQ(queue.to_string(), std::string(10, 'a') + std::string(1000, 'b') + std::string(8000, 'c'));
  EXPECT_LE(queue.retained(), 3 * BlockPool::kStandardBytes);
}

TEST(BlockPool, RecyclesStandardBlocksOnly) {
  BlockPool pool(0, 1);
  char* first;
  {
    BlockRef block = pool.take();
    first = block->data();
    block->set_used(5);
  }
  BlockRef again = pool.take();
  EXPECT_EQ(again->data(), first);
  EXPECT_EQ(again->used(), 0u);
  BlockRef big = pool.take(100'000);
  EXPECT_GE(big->capacity(), 100'000u);
  EXPECT_EQ(pool.live_bytes(), again->capacity() + big->capacity());
}

}  // namespace
}  // namespace weir
