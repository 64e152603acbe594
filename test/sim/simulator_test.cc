// Runs whole worlds (sim_world.h), each from its own seed. WEIR_SIM_SECONDS: how long (default 15). WEIR_TEST_SEED:
// this world alone. A new run starts with new seeds; a failure prints its own.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "test/sim/sim_world.h"
#include "test/support/seed.h"

namespace weir::sim {
namespace {

TEST(Simulator, NothingIsLostMixedUpOrLeftBehind) {
  const char* wanted = std::getenv("WEIR_SIM_SECONDS");
  Duration longest = std::chrono::seconds(wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 15);
  uint64_t only = test::seed_from_environment();
  MonoTime start = system_clock().mono_now();
  uint64_t seed =
      only != 0 ? only : static_cast<uint64_t>(system_clock().wall_now().time_since_epoch().count()) % 1'000'000'000;
  std::printf("first seed %llu\n", static_cast<unsigned long long>(seed));
  uint64_t worlds = 0, complete = 0, local = 0, cut = 0, updates = 0;
  std::map<int, uint64_t> statuses;
  std::map<std::string, uint64_t> details;
  do {
    // Said before, so that a crash can be run again.
    std::printf("seed %llu\r", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    SimWorld world(seed);
    world.run(60);
    std::vector<std::string> wrong = world.drain_and_check();
    for (const std::string& one : wrong) ADD_FAILURE() << "seed " << seed << ": " << one;
    ++worlds;
    complete += world.clients().complete;
    local += world.clients().local;
    cut += world.clients().cut;
    updates += world.updates();
    for (const auto& [detail, count] : world.details()) details[detail] += count;
    for (auto [status, count] : world.clients().statuses) statuses[status] += count;
    if (HasFailure()) {
      std::fprintf(stderr, "again with: WEIR_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
      break;
    }
    ++seed;
  } while (only == 0 && system_clock().mono_now() - start < longest);
  std::printf("%llu worlds, %llu updates; answers: %llu from upstreams, %llu of the proxy, %llu cut\n",
              static_cast<unsigned long long>(worlds), static_cast<unsigned long long>(updates),
              static_cast<unsigned long long>(complete), static_cast<unsigned long long>(local),
              static_cast<unsigned long long>(cut));
  for (auto [status, count] : statuses) std::printf("%d: %llu  ", status, static_cast<unsigned long long>(count));
  std::printf("\n");
  for (const auto& [detail, count] : details)
    std::printf("  %s: %llu\n", detail.c_str(), static_cast<unsigned long long>(count));
}

// What makes a failure worth its seed: the same calls, the same bytes, the same answers.
TEST(Simulator, ASeedIsAWorld) {
  uint64_t upgraded = 0, connected = 0;
  for (uint64_t seed : {7u, 8u, 9u}) {
    uint64_t digests[2];
    std::map<std::string, uint64_t> details[2];
    for (int i : {0, 1}) {
      SimWorld world(seed);
      world.run(60);
      EXPECT_EQ(world.drain_and_check(), std::vector<std::string>{}) << "seed " << seed;
      digests[i] = world.digest();
      details[i] = world.details();
      upgraded += world.clients().upgraded;
      connected += world.clients().connected;
    }
    EXPECT_EQ(digests[0], digests[1]) << "seed " << seed;
    EXPECT_EQ(details[0], details[1]) << "seed " << seed;
  }
  // These worlds are always the same, and have both.
  EXPECT_GT(upgraded, 0u);
  EXPECT_GT(connected, 0u);
}

}  // namespace
}  // namespace weir::sim
