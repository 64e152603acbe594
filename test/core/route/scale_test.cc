// 10,000 routes: selection allocates nothing, looks at few of them, and each costs less than a KiB.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>

#include "core/base/random.h"
#include "test/core/route/test_request.h"

namespace {
std::atomic<uint64_t> allocations{0};
std::atomic<int64_t> live_bytes{0};
}  // namespace

namespace {
void* counted(void* at) {
  if (at == nullptr) std::abort();
  allocations.fetch_add(1, std::memory_order_relaxed);
  live_bytes.fetch_add(static_cast<int64_t>(malloc_usable_size(at)), std::memory_order_relaxed);
  return at;
}
}  // namespace

void* operator new(size_t size) { return counted(std::malloc(size)); }
void* operator new(size_t size, std::align_val_t to) {
  const auto alignment = static_cast<size_t>(to);
  return counted(std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment));
}
void operator delete(void* at) noexcept {
  if (at != nullptr) live_bytes.fetch_sub(static_cast<int64_t>(malloc_usable_size(at)), std::memory_order_relaxed);
  std::free(at);
}
void operator delete(void* at, size_t) noexcept { operator delete(at); }
void operator delete(void* at, std::align_val_t) noexcept { operator delete(at); }
void operator delete(void* at, size_t, std::align_val_t) noexcept { operator delete(at); }

namespace weir::route {
namespace {

RouteTableSpec ten_thousand_routes(size_t hosts) {
  Random random(1);
  RouteTableSpec spec;
  spec.name = "large";
  for (size_t h = 0; h < hosts; ++h) {
    std::string name = "host" + std::to_string(h);
    VirtualHostSpec host = virtual_host(name, {name + ".example", "*." + name + ".example"});
    for (size_t r = 0; r < 10'000 / hosts; ++r) {
      std::string path = "/service" + std::to_string(random.below(500)) + "/item" + std::to_string(r);
      std::string cluster = "cluster-" + std::to_string(random.below(1000));
      switch (r % 3) {
        case 0:
          host.routes.push_back(prefix_route(path + "/", cluster));
          break;
        case 1:
          host.routes.push_back(forward_route(PathKind::kExact, path, cluster));
          break;
        default:
          host.routes.push_back(forward_route(PathKind::kRegex, path + "/[0-9]+/.*", cluster));
          break;
      }
    }
    host.routes.push_back(prefix_route("/", "rest"));
    spec.virtual_hosts.push_back(std::move(host));
  }
  return spec;
}

TEST(Scale, MemoryPerRoute) {
  for (size_t hosts : {1, 100, 2500}) {
    RouteTableSpec spec = ten_thousand_routes(hosts);
    int64_t with_spec = live_bytes.load();
    spec = {};
    int64_t without = live_bytes.load();
    auto table = RouteTable::build(ten_thousand_routes(hosts));
    ASSERT_TRUE(table.ok());
    int64_t per_route = (live_bytes.load() - without) / 10'000;
    std::printf("%zu hosts: %ld bytes per route (spec: %ld)\n", hosts, per_route, (with_spec - without) / 10'000);
    EXPECT_LT(per_route, 1024) << hosts;
  }
}

TEST(Scale, SelectionAllocatesNothingAndIsFlat) {
  auto per_selection = [](const RouteTable& table, size_t hosts) {
    Random random(2);
    std::vector<std::unique_ptr<TestRequest>> requests;
    for (int i = 0; i < 1000; ++i) {
      // A path that some route of the host is for; every fourth goes astray.
      const VirtualHost& host = table.virtual_hosts()[random.below(static_cast<uint32_t>(hosts))];
      const Route& route = host.routes()[random.below(static_cast<uint32_t>(host.routes().size()))];
      std::string path(route.regex() != nullptr ? route.regex()->required_prefix() : route.path());
      if (route.path_kind() == PathKind::kRegex) path += "12/x?q";
      if (random.below(4) == 0) path += "astray";
      std::string name = host.domains()[0] == "*" ? "h.example" : host.domains()[0];
      if (random.below(2) == 0) name.insert(0, "sub.");
      requests.push_back(std::make_unique<TestRequest>(path, name));
    }
    size_t found = 0;
    auto pass = [&] {
      for (const auto& request : requests) found += table.select(request->headers(), {}).route != nullptr;
    };
    pass();  // automata of regexes are built when first used
    uint64_t before = allocations.load();
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) pass();
    auto elapsed = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(allocations.load() - before, 0u);
    EXPECT_EQ(found, 21'000u);
    return static_cast<double>(std::chrono::nanoseconds(elapsed).count()) / 20'000;
  };
  RouteTableSpec small;
  small.virtual_hosts.push_back(virtual_host("all", {"*"}));
  small.virtual_hosts[0].routes.push_back(prefix_route("/"));
  auto one = RouteTable::build(std::move(small));
  ASSERT_TRUE(one.ok());
  std::printf("1 route: %.0f ns\n", per_selection(**one, 1));
  for (size_t hosts : {1, 100, 2500}) {
    auto table = RouteTable::build(ten_thousand_routes(hosts));
    ASSERT_TRUE(table.ok());
    std::printf("10000 routes, %zu hosts: %.0f ns\n", hosts, per_selection(**table, hosts));
  }
}

}  // namespace
}  // namespace weir::route
