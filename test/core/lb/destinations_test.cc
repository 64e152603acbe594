#include "core/lb/destinations.h"

#include <gtest/gtest.h>

#include "core/lb/host_set.h"

namespace weir::lb {
namespace {

TEST(DestinationsTest, FindsTheHostThatIsAskedFor) {
  std::vector<HostEntry> hosts;
  for (uint16_t port = 1; port <= 100; ++port) {
    const net::Address address = *net::Address::from_ip(port % 2 == 0 ? "::1" : "127.0.0.1", port);
    hosts.emplace_back().host = std::make_shared<Host>(address, address.to_string(), "", 1);
  }
  const HostSet set(std::move(hosts), destination_policy(), nullptr, {});
  Random random(1);
  std::vector<LaneView::PerHost> counts(100);
  std::vector<LaneState> states(set.lane_states());
  const auto pick = [&](std::string_view destination) {
    LaneView view(0, set.hosts(), counts, 0, random);
    PickInput input;
    input.name = destination;
    return set.pick(input, view, states.data());
  };
  for (HostIndex i = 0; i < 100; ++i) EXPECT_EQ(pick(set.host(i).host->text()), i);
  EXPECT_EQ(pick("127.0.0.1:2"), kNoHost);
  EXPECT_EQ(pick(""), kNoHost);
}

}  // namespace
}  // namespace weir::lb
