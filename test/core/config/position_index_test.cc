#include "core/config/position_index.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

TEST(PositionIndex, FindsExactAndNearest) {
  PositionIndex index;
  index.begin_file("a.yaml");
  index.enter_field("clusters", {2, 3});
  for (uint32_t i = 0; i < 3; ++i) {
    index.enter_item(i, {10 + i, 5});
    index.enter_field("name", {10 + i, 11});
    EXPECT_EQ(index.current_path(), "clusters[" + std::to_string(i) + "].name");
    index.leave();
    index.enter_key("a.b\"c", {20 + i, 1});
    EXPECT_EQ(index.current_path(), "clusters[" + std::to_string(i) + "][\"a.b\\\"c\"]");
    index.leave();
    index.leave();
  }
  index.leave();
  index.enter_field("node", {30, 1});
  index.leave();
  EXPECT_EQ(index.find("clusters[2].name").line, 12);
  EXPECT_TRUE(index.find("clusters[2].name").exact);
  EXPECT_EQ(index.find("clusters[1][\"a.b\\\"c\"]").line, 21);
  EXPECT_EQ(index.find("clusters[1].type").line, 11);
  EXPECT_FALSE(index.find("clusters[1].type").exact);
  EXPECT_EQ(index.find("clusters[7].name").line, 2);
  EXPECT_EQ(index.find("node").line, 30);
  EXPECT_EQ(index.find("nothing").line, 1);
  EXPECT_EQ(index.find("clusters[").line, 2);
  EXPECT_EQ(index.find("").line, 1);
  EXPECT_EQ(index.find("clusters[0]").file, "a.yaml");
  EXPECT_EQ(PositionIndex().find("a").line, 0);
}

TEST(PositionIndex, ListsOfSeveralFilesCountThrough) {
  PositionIndex index;
  for (const char* file : {"a", "b"}) {
    index.begin_file(file);
    index.enter_field("list", {1, 1});
    for (uint32_t i = 0; i < 2; ++i) {
      index.enter_item(i, {2 + i, 1});
      index.leave();
    }
    index.leave();
  }
  EXPECT_EQ(index.find("list[1]").file, "a");
  EXPECT_EQ(index.find("list[2]").file, "b");
  EXPECT_EQ(index.find("list[3]").line, 3);
  EXPECT_EQ(index.find("list").file, "b");
}

// The items of two lists, as they are read: each has a digest of its own. `first`: of the first list.
void read_lists(PositionIndex& index, uint64_t first) {
  for (const char* list : {"clusters", "listeners"}) {
    index.enter_field("static_resources", {1, 1});
    index.enter_field(list, {1, 1});
    for (uint32_t i = 0; i < 3; ++i) {
      index.enter_item(i, {2 + i, 1});
      index.enter_field("name", {2 + i, 3});
      index.leave();
      if (i != 1) index.set_digest(first + i);
      index.leave();
    }
    index.leave();
    index.leave();
    first *= 10;
  }
}

TEST(PositionIndex, DigestsOfAList) {
  using Digests = std::vector<uint64_t>;
  PositionIndex index;
  index.begin_file("a.yaml");
  read_lists(index, 10);
  EXPECT_EQ(index.digests_of("static_resources.clusters", 3), (Digests{10, 0, 12}));
  EXPECT_EQ(index.digests_of("static_resources.listeners", 4), (Digests{100, 0, 102, 0}));
  EXPECT_EQ(index.digests_of("static_resources.clusters", 1), Digests{10});
  EXPECT_EQ(index.digests_of("clusters", 2), (Digests{0, 0}));
  EXPECT_EQ(PositionIndex().digests_of("clusters", 1), Digests{0});
  // Items of two files are merged: what each of them says is not all.
  index.begin_file("b.yaml");
  read_lists(index, 20);
  EXPECT_EQ(index.digests_of("static_resources.clusters", 3), (Digests{0, 0, 0}));
}

}  // namespace
}  // namespace weir::config
