// Profiles of threads that do what the test knows, read as the format says.
#include "core/server/cpu_profiler.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <latch>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "test/support/test_lane.h"

namespace weir::server {
namespace {

int64_t thread_cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Works for that long, by the thread's own clock.
[[gnu::noinline]] uint64_t work_for(int64_t ms) {
  volatile uint64_t sum = 0;
  for (const int64_t end = thread_cpu_ms() + ms; thread_cpu_ms() < end;) {
    for (int i = 0; i < 100000; ++i) sum = sum + static_cast<uint64_t>(i) * sum;
  }
  return sum;
}
// The name that a stack goes through.
[[gnu::noinline]] uint64_t caller_of_work(int64_t ms) { return work_for(ms) + 1; }

struct Record {
  uint64_t times;
  std::vector<uint64_t> stack;
};
struct Parsed {
  uint64_t period_us = 0;
  std::vector<Record> records;
  std::string maps;
  uint64_t samples() const {
    uint64_t all = 0;
    for (const Record& record : records) all += record.times;
    return all;
  }
  // Of stacks in which an address is within the function, which is not long.
  uint64_t samples_in(uint64_t (*function)(int64_t), size_t from_depth) const {
    const auto begin = reinterpret_cast<uint64_t>(function);
    uint64_t all = 0;
    for (const Record& record : records) {
      for (size_t i = from_depth; i < record.stack.size(); ++i) {
        if (record.stack[i] < begin || record.stack[i] >= begin + 400) continue;
        all += record.times;
        break;
      }
    }
    return all;
  }
};

Parsed parse(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream all;
  all << file.rdbuf();
  const std::string bytes = all.str();
  size_t at = 0;
  const auto word = [&] {
    uint64_t value = 0;
    if (at + sizeof value > bytes.size()) {
      ADD_FAILURE() << "cut off at " << at;
      return value;
    }
    std::memcpy(&value, bytes.data() + at, sizeof value);
    at += sizeof value;
    return value;
  };
  Parsed parsed;
  EXPECT_EQ(word(), 0u);
  EXPECT_EQ(word(), 3u);
  EXPECT_EQ(word(), 0u);
  parsed.period_us = word();
  EXPECT_EQ(word(), 0u);
  while (!testing::Test::HasFailure()) {
    Record record{word(), {}};
    const uint64_t depth = word();
    for (uint64_t i = 0; i < depth && at < bytes.size(); ++i) record.stack.push_back(word());
    if (record.times == 0) {
      EXPECT_EQ(record.stack, std::vector<uint64_t>{0});
      break;
    }
    EXPECT_GT(depth, 0u);
    parsed.records.push_back(std::move(record));
  }
  parsed.maps = bytes.substr(at);
  return parsed;
}

class CpuProfilerTest : public testing::Test {
 protected:
  ~CpuProfilerTest() override { unlink(path_.c_str()); }
  void finish() {
    auto profile = profiler_.stop();
    ASSERT_NE(profile, nullptr);
    lost_ = profile->lost();
    EXPECT_TRUE(CpuProfiler::finish(*profile).ok());
  }
  const std::string path_ = testing::TempDir() + "/weir_profile." + std::to_string(getpid());
  test::TestLane lane_{0};
  CpuProfiler profiler_{lane_.lane()};
  uint64_t lost_ = 0;
};

TEST_F(CpuProfilerTest, WhereTheTimeGoes) {
  ASSERT_TRUE(profiler_.start(path_).ok());
  caller_of_work(600);
  finish();
  const Parsed parsed = parse(path_);
  EXPECT_EQ(parsed.period_us, 10000u);
  // 60 interrupts; the kernel looks at clocks at its own ticks, and machines are slow.
  EXPECT_GE(parsed.samples(), 30u);
  EXPECT_LE(parsed.samples(), 90u);
  EXPECT_GE(parsed.samples_in(caller_of_work, 1), parsed.samples() / 2);
  EXPECT_EQ(lost_, 0u);
  EXPECT_NE(parsed.maps.find("/core_server_test"), std::string::npos);
  EXPECT_NE(parsed.maps.find("[stack]"), std::string::npos);
  struct stat facts {};
  ASSERT_EQ(stat(path_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
}

TEST_F(CpuProfilerTest, ThreadsThatBeginLater) {
  ASSERT_TRUE(profiler_.start(path_).ok());
  std::latch begun(2);
  std::latch may_work(1);
  std::thread worker([&] {
    begun.count_down();
    may_work.wait();
    caller_of_work(400);
  });
  // One that does not take the signal is left alone.
  std::thread deaf([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    begun.count_down();
    may_work.wait();
    work_for(50);
  });
  begun.wait();
  lane_.advance(1s);
  may_work.count_down();
  worker.join();
  deaf.join();
  lane_.advance(1s);
  lane_.advance(1s);
  finish();
  const Parsed parsed = parse(path_);
  EXPECT_GE(parsed.samples_in(caller_of_work, 1), 15u);
}

TEST_F(CpuProfilerTest, AgainAndAgain) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(profiler_.start(path_).ok());
    EXPECT_TRUE(profiler_.start(path_).ok());
    caller_of_work(150);
    finish();
    EXPECT_GE(parse(path_).samples(), 5u);
    EXPECT_EQ(profiler_.stop(), nullptr);
    // Nothing comes any more.
    work_for(50);
  }
}

TEST_F(CpuProfilerTest, OneThatIsForgottenEnds) {
  ASSERT_TRUE(profiler_.start(path_).ok());
  caller_of_work(100);
  lane_.advance(CpuProfiler::kLongest - 1s);
  EXPECT_TRUE(profiler_.running());
  lane_.advance(2s);
  EXPECT_FALSE(profiler_.running());
  EXPECT_GE(parse(path_).samples(), 3u);
}

TEST_F(CpuProfilerTest, OneThatIsUnderWayIsWrittenAtTheEnd) {
  {
    CpuProfiler other(lane_.lane());
    ASSERT_TRUE(other.start(path_).ok());
    EXPECT_FALSE(profiler_.start(path_ + ".second").ok());
    caller_of_work(100);
  }
  EXPECT_GE(parse(path_).samples(), 3u);
}

TEST_F(CpuProfilerTest, FilesThatAreNone) {
  EXPECT_FALSE(profiler_.start("/nowhere/profile").ok());
  EXPECT_FALSE(profiler_.start("/dev/null").ok());
  EXPECT_FALSE(profiler_.start(testing::TempDir()).ok());
  std::ofstream(path_ + ".other") << "precious";
  ASSERT_EQ(symlink((path_ + ".other").c_str(), path_.c_str()), 0);
  const Status link = profiler_.start(path_);
  EXPECT_EQ(message_of(link), path_ + ": is a link, which is not followed");
  std::string kept;
  std::ifstream(path_ + ".other") >> kept;
  EXPECT_EQ(kept, "precious");
  unlink((path_ + ".other").c_str());
  unlink(path_.c_str());
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(profiler_.start(path_).ok());
  EXPECT_FALSE(profiler_.running());
}

TEST_F(CpuProfilerTest, AFullDiskIsSaid) {
  CpuProfile profile("/dev/full", open("/dev/full", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(message_of(CpuProfiler::finish(profile)), "/dev/full: No space left on device");
}

}  // namespace
}  // namespace weir::server
