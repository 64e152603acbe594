// Quotas of control groups, and users that there are or are not.
#include "core/server/process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace weir::server {
namespace {

class QuotaTest : public ::testing::Test {
 protected:
  QuotaTest() {
    char name[] = "/tmp/weir-quota-XXXXXX";
    root_ = mkdtemp(name);
  }
  ~QuotaTest() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::string root_;
};

TEST_F(QuotaTest, TheTightestGroupCounts) {
  EXPECT_EQ(processors_by_quota("0::/a/b\n", root_), 0u);
  write("/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(processors_by_quota("0::/a/b\n", root_), 0u);
  write("/a/cpu.max", "250000 100000\n");
  EXPECT_EQ(processors_by_quota("0::/a/b\n", root_), 3u);
  write("/a/b/cpu.max", "100000 100000\n");
  EXPECT_EQ(processors_by_quota("0::/a/b\n", root_), 1u);
  EXPECT_EQ(processors_by_quota("0::/a\n", root_), 3u);
  write("/cpu.max", "10000 100000\n");
  EXPECT_EQ(processors_by_quota("0::/a\n", root_), 1u);
}

// In a container the path may be one of the host, which is not mounted, or lie outside of the namespace.
TEST_F(QuotaTest, PathsThatAreNotThere) {
  write("/cpu.max", "200000 100000\n");
  EXPECT_EQ(processors_by_quota("0::/docker/0123\n", root_), 2u);
  EXPECT_EQ(processors_by_quota("0::/../../x\n", root_), 2u);
  EXPECT_EQ(processors_by_quota("0::/\n", root_), 2u);
}

TEST_F(QuotaTest, Version1) {
  write("/cpu/pod/cpu.cfs_quota_us", "150000\n");
  write("/cpu/pod/cpu.cfs_period_us", "100000\n");
  write("/cpu/cpu.cfs_quota_us", "-1\n");
  write("/cpu/cpu.cfs_period_us", "100000\n");
  const std::string membership = "5:memory:/pod\n4:cpu,cpuacct:/pod\n3:cpuset:/pod\n";
  EXPECT_EQ(processors_by_quota(membership, root_), 2u);
  EXPECT_EQ(processors_by_quota("3:cpuset:/pod\n", root_), 0u);
}

TEST_F(QuotaTest, Nonsense) {
  write("/cpu.max", "lots of it\n");
  for (const char* text : {"", "\n", "x", "0:", "0::", "::::", "0::relative", "0::/../.."}) {
    EXPECT_EQ(processors_by_quota(text, root_), 0u) << text;
  }
  write("/cpu.max", "100000 0\n");
  EXPECT_EQ(processors_by_quota("0::/\n", root_), 0u);
}

TEST(IdentityTest, NamesAndNumbers) {
  auto none = find_identity("", "");
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->any);
  auto root = find_identity("root", "");
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(root->user, 0u);
  EXPECT_EQ(root->group, 0u);
  EXPECT_EQ(root->name, "root");
  auto numbers = find_identity("4000000", "4000001");
  ASSERT_TRUE(numbers.ok());
  EXPECT_EQ(numbers->user, 4000000u);
  EXPECT_EQ(numbers->group, 4000001u);
  auto group = find_identity("", "root");
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(group->user, getuid());
  EXPECT_EQ(group->group, 0u);
}

TEST(IdentityTest, ErrorsNameTheFlag) {
  for (const auto& [user, group, text] :
       {std::tuple{"no such user", "", "--user: there is no user \"no such user\""},
        std::tuple{"root", "no such group", "--group: there is no group \"no such group\""},
        std::tuple{"4000000", "", "--user: 4000000 is not in the list of users; say its --group, too"}}) {
    auto found = find_identity(user, group);
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(message_of(found.status()), text);
  }
}

}  // namespace
}  // namespace weir::server
