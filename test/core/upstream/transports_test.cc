#include <gtest/gtest.h>

#include "core/upstream/cluster.h"

namespace weir::upstream {
namespace {

class TransportsTest : public testing::Test {
 protected:
  std::shared_ptr<const stream::StaticMetadata> metadata(std::vector<stream::Field> members,
                                                         std::string_view name = ClusterTransports::kNamespace) {
    const stream::Value inside = stream::make_struct(std::move(members), arena_);
    return std::make_shared<const stream::StaticMetadata>(stream::make_struct({{name, inside}}, arena_));
  }
  static stream::Field member(std::string_view key, std::string_view text) {
    return {key, stream::Value::of_string(text)};
  }
  static event::SlotId slot(uint32_t index) { return {event::SlotKind::kTransport, index}; }

  ArenaPool pool_;
  Arena arena_{pool_};
};

// field: Cluster.TransportSocketMatch.match
TEST_F(TransportsTest, FirstMatchCounts) {
  ClusterTransports transports;
  EXPECT_EQ(transports.of(nullptr), std::nullopt);
  transports.matches.push_back({"both", metadata({member("tls", "yes"), member("tier", "1")}), slot(1)});
  transports.matches.push_back({"tls", metadata({member("tls", "yes")}), slot(2)});
  transports.matches.push_back({"plain", metadata({member("tls", "no")}), std::nullopt});
  transports.otherwise = slot(3);
  EXPECT_EQ(transports.of(metadata({member("tls", "yes"), member("tier", "1"), member("x", "y")}).get()), slot(1));
  EXPECT_EQ(transports.of(metadata({member("tls", "yes"), member("tier", "2")}).get()), slot(2));
  EXPECT_EQ(transports.of(metadata({member("tls", "no")}).get()), std::nullopt);
  EXPECT_EQ(transports.of(metadata({member("other", "yes")}).get()), slot(3));
  EXPECT_EQ(transports.of(metadata({member("tls", "yes")}, "other.namespace").get()), slot(3));
  EXPECT_EQ(transports.of(nullptr), slot(3));
}

TEST_F(TransportsTest, EmptyOneMatchesAll) {
  ClusterTransports transports;
  transports.matches.push_back({"all", metadata({}), slot(1)});
  EXPECT_EQ(transports.of(nullptr), slot(1));
  EXPECT_EQ(transports.of(metadata({member("a", "b")}).get()), slot(1));
}

}  // namespace
}  // namespace weir::upstream
