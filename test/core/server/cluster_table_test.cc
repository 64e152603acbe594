#include "core/server/cluster_table.h"

#include <gtest/gtest.h>

namespace weir::server {
namespace {

ClusterTable table(const std::vector<std::string>& names) {
  ClusterTable out;
  for (const std::string& name : names) out.add(name, {name.size(), 2, 3});
  return out;
}

TEST(ClusterTable, WhoGoesInOrderFindsTheNextOneWhereItWasLeft) {
  const ClusterTable all = table({"a", "b", "c", "d"});
  size_t near = 0;
  EXPECT_EQ(all.find("a", near), 0u);
  EXPECT_EQ(near, 1u);
  EXPECT_EQ(all.find("b", near), 1u);
  EXPECT_EQ(all.find("new", near), ClusterTable::kNone);
  EXPECT_EQ(near, 2u) << "what is new stands between two that follow each other";
  EXPECT_EQ(all.find("d", near), 3u) << "c has gone";
  EXPECT_EQ(near, 4u);
  EXPECT_EQ(all.find("e", near), ClusterTable::kNone) << "beyond the last";
  EXPECT_EQ(all.find("b", near), 1u) << "moved";
  EXPECT_EQ(near, 2u);
  near = ClusterTable::kNone;
  EXPECT_EQ(all.find("c", near), 2u);
}

TEST(ClusterTable, NamesAreFoundInEveryOrder) {
  constexpr size_t kRows = 1000;
  std::vector<std::string> names;
  for (size_t i = 0; i < kRows; ++i) names.push_back("cluster of some length " + std::to_string(i));
  const ClusterTable all = table(names);
  size_t near = 0;
  for (size_t i = 0, at = 0; i < kRows; ++i, at = (at + 389) % kRows) EXPECT_EQ(all.find(names[at], near), at);
  ClusterTable copy;
  EXPECT_EQ(copy.find(names[0], near), ClusterTable::kNone);
  copy.add(names[0], {});
  EXPECT_EQ(copy.find(names[0], near), 0u) << "one that came after a name had been looked for";
}

TEST(ClusterTable, TheDigestIsOfAllButTheOrder) {
  const uint64_t digest = table({"a", "bb"}).digest();
  EXPECT_EQ(table({"bb", "a"}).digest(), digest);
  EXPECT_NE(table({"a"}).digest(), digest);
  EXPECT_NE(table({"a", "cc"}).digest(), digest);
  const auto with = [](uint64_t settings, uint64_t hosts, uint64_t text) {
    ClusterTable out;
    out.add("a", {settings, hosts, text});
    return out.digest();
  };
  EXPECT_NE(with(1, 2, 3), with(4, 2, 3));
  EXPECT_NE(with(1, 2, 3), with(1, 4, 3));
  EXPECT_EQ(with(1, 2, 3), with(1, 2, 4)) << "a text that says the same in other words";
}

}  // namespace
}  // namespace weir::server
