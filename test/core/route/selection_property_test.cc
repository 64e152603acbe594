// Compiled selection finds what a walk from top to bottom finds, on random tables whose routes overlap.
#include <gtest/gtest.h>

#include "core/base/random.h"
#include "test/core/route/random_table.h"

namespace weir::route {
namespace {

using test::RandomChoices;

void check_table(uint64_t seed, uint32_t max_hosts, uint32_t max_routes, int requests) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomChoices first(seed);
  RouteTableSpec spec = random_table(first, max_hosts, max_routes);
  RandomChoices again(seed);
  auto table = RouteTable::build(random_table(again, max_hosts, max_routes));
  ASSERT_TRUE(table.ok()) << table.status();
  NaiveRouter naive(spec);
  for (int i = 0; i < requests; ++i) {
    RandomRequest request(first);
    NaiveRouter::Found expected = naive.find(request);
    NaiveRouter::Found found = find_compiled(**table, request);
    ASSERT_EQ(found.host, expected.host) << request.method << " " << request.host << request.target;
    ASSERT_EQ(found.route, expected.route) << request.method << " " << request.host << request.target;
  }
}

TEST(SelectionProperty, SmallTables) {
  for (uint64_t seed = 1; seed <= 150; ++seed) check_table(seed, 6, 8, 100);
}

TEST(SelectionProperty, IndexedTables) {
  for (uint64_t seed = 1001; seed <= 1100; ++seed) check_table(seed, 3, 80, 150);
}

TEST(SelectionProperty, LargeTables) {
  for (uint64_t seed = 2001; seed <= 2003; ++seed) check_table(seed, 2, 3000, 200);
}

}  // namespace
}  // namespace weir::route
