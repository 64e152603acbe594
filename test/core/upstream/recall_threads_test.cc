// Limits over several lanes that run on threads of their own.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "core/event/publisher.h"
#include "core/upstream/lane_clusters.h"
#include "core/upstream/recall.h"

namespace weir::upstream {
namespace {

// Real threads: never above the limit, and nobody starves although every lane keeps batches.
TEST(RecallThreads, UseNeverExceedsTheLimitAndAllOfItCanBeUsed) {
  constexpr uint32_t kLanes = 4;
  constexpr uint32_t kMax = 400;
  constexpr int kRounds = 200;
  auto limits = std::make_shared<ClusterLimits>(CircuitBreakers{.max_requests = kMax}, kLanes);
  stats::Store store;
  auto stats = std::make_shared<ClusterStats>(store, "c");
  struct Worker {
    explicit Worker(uint32_t index) : lane({.index = index}) {}
    event::Lane lane;
    LaneClusters clusters{lane};
  };
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<event::Lane*> lanes;
  for (uint32_t i = 0; i < kLanes; ++i) {
    workers.push_back(std::make_unique<Worker>(i));
    lanes.push_back(&workers.back()->lane);
  }
  lanes[0]->enter();
  auto publisher = std::make_unique<event::Publisher>(lanes);
  publisher->intern(event::SlotKind::kHostSet, "c");
  event::SlotId slot = publisher->intern(event::SlotKind::kCluster, "c");
  event::Publisher::Batch batch;
  batch.set(slot, std::make_unique<Cluster>(ClusterSpec{}, stats, limits));
  publisher->publish(std::move(batch));
  std::atomic<int64_t> in_use{0}, worst{0};
  std::atomic<int> whole{0}, done{0};
  // Each in turn takes all it can, waits for what others keep, and gives everything back to the next one.
  struct Taker final : RecallWaiter {
    bool on_recalled() override {
      take();
      return false;
    }
    void take() {
      while (cluster->requests.acquire()) {
        int64_t now = in_use->fetch_add(1) + 1;
        int64_t seen = worst->load();
        while (now > seen && !worst->compare_exchange_weak(seen, now)) {
        }
      }
      asked = !asked && cluster->recall(LimitKind::kRequests).wait(*this);
      if (asked) return;
      if (cluster->requests.used() == kMax) whole->fetch_add(1);
      in_use->fetch_sub(cluster->requests.used());
      while (cluster->requests.used() > 0) cluster->requests.release();
      next();
    }
    ClusterLocal* cluster = nullptr;
    std::atomic<int64_t>* in_use = nullptr;
    std::atomic<int64_t>* worst = nullptr;
    std::atomic<int>* whole = nullptr;
    std::function<void()> next;
    bool asked = false;
  };
  std::vector<Taker> takers(kLanes);
  for (uint32_t i = 1; i < kLanes; ++i) {
    Taker& taker = takers[i];
    taker.in_use = &in_use;
    taker.worst = &worst;
    taker.whole = &whole;
    taker.next = [&, i] {
      if (done.fetch_add(1) + 1 >= kRounds) {
        lanes[0]->stop();
        return;
      }
      uint32_t following = i % (kLanes - 1) + 1;
      lanes[following]->post([&, following] {
        takers[following].cluster = workers[following]->clusters.find(slot);
        takers[following].take();
      });
    };
  }
  std::vector<std::thread> threads;
  for (uint32_t i = 1; i < kLanes; ++i) threads.emplace_back([&, i] { lanes[i]->run(); });
  lanes[1]->post([&] {
    takers[1].cluster = workers[1]->clusters.find(slot);
    takers[1].take();
  });
  lanes[0]->run();
  for (uint32_t i = 1; i < kLanes; ++i) lanes[i]->stop();
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(worst, kMax);
  // A round in vain is followed by a pause, so not each one has asked.
  EXPECT_GT(whole, 0);
  publisher.reset();
  workers.clear();
  event::Lane::leave();
  EXPECT_EQ(limits->requests.taken(), 0);
}

}  // namespace
}  // namespace weir::upstream
