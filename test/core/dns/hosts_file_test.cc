#include "core/dns/hosts_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace weir::dns {
namespace {

using net::Family;
using Texts = std::vector<std::string>;

class HostsFileTest : public testing::Test {
 protected:
  static std::filesystem::path make_folder() {
    char name[] = "/tmp/weir-hosts-XXXXXX";
    return mkdtemp(name);
  }
  ~HostsFileTest() override { std::filesystem::remove_all(folder_); }
  // As editors do: another file in its place.
  void write(const std::string& text) const {
    std::ofstream(folder_ / "new") << text;
    std::filesystem::rename(folder_ / "new", folder_ / "hosts");
  }
  Texts find(std::string_view name, Family family = Family::kIpv4) {
    Texts out;
    for (const net::Address& address : hosts_.find(name, family)) out.push_back(address.ip_to_string());
    return out;
  }

  const std::filesystem::path folder_ = make_folder();
  HostsFile hosts_{folder_ / "hosts"};
};

TEST_F(HostsFileTest, NamesAndTheirAliases) {
  write(
      "# 10.0.0.9 not.example\n"
      "10.0.0.1\ta.example  A  # and not.this\n"
      "\n"
      "2001:db8::1 a.example\n"
      "10.0.0.2 a.example b.example\n"
      "10.0.0.2 b.example\n"
      "rubbish c.example\n"
      "10.0.0.3\n"
      "10.0.0.4 last.example");
  EXPECT_EQ(find("a.example"), (Texts{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(find("a.example", Family::kIpv6), Texts{"2001:db8::1"});
  EXPECT_EQ(find("a"), Texts{"10.0.0.1"});
  EXPECT_EQ(find("B.Example"), Texts{"10.0.0.2"});
  EXPECT_EQ(find("b.example", Family::kIpv6), Texts{});
  EXPECT_EQ(find("last.example"), Texts{"10.0.0.4"});
  for (const char* name : {"not.example", "not.this", "c.example", "10.0.0.3", "#", ""}) {
    EXPECT_EQ(find(name), Texts{}) << name;
  }
}

TEST_F(HostsFileTest, IsReadAgainWhenItHasChanged) {
  EXPECT_EQ(find("a.example"), Texts{});
  write("10.0.0.1 a.example\n");
  EXPECT_EQ(find("a.example"), Texts{"10.0.0.1"});
  write("10.0.0.2 a.example\n");
  EXPECT_EQ(find("a.example"), Texts{"10.0.0.2"});
  std::filesystem::remove(folder_ / "hosts");
  EXPECT_EQ(find("a.example"), Texts{});
}

TEST_F(HostsFileTest, ThisMachineIsKnownAnyway) {
  EXPECT_EQ(find("localhost"), Texts{"127.0.0.1"});
  EXPECT_EQ(find("a.localhost", Family::kIpv6), Texts{"::1"});
  EXPECT_EQ(find("notlocalhost"), Texts{});
  write("127.0.0.7 localhost\n");
  EXPECT_EQ(find("localhost"), Texts{"127.0.0.7"});
}

}  // namespace
}  // namespace weir::dns
