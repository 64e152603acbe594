// A profile of where this process spends its CPU time, taken by itself: each thread is interrupted for every 10 ms that
// it has worked (SIGPROF of a timer on its own clock) and says where it is. While none is taken there is no timer, and
// nothing costs anything.
//
// Written in the format of gperftools, which pprof reads: words of 64 bits (a head, a record for each stack that was
// met, an end), and /proc/self/maps behind them.
#pragma once

#include <time.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "core/base/status.h"
#include "core/event/lane.h"
#include "core/event/timer.h"

namespace weir::server {

struct ProfileSamples;

// What was met. Keeps the file that it goes to open.
class CpuProfile {
 public:
  CpuProfile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~CpuProfile();
  CpuProfile(const CpuProfile&) = delete;
  CpuProfile& operator=(const CpuProfile&) = delete;

  // [any] Once. May take a while.
  Status write();
  const std::string& path() const { return path_; }
  uint64_t samples() const { return samples_; }
  // Interrupts for which there was no room.
  uint64_t lost() const { return lost_; }
  size_t stacks() const { return counts_.size(); }

 private:
  friend class CpuProfiler;
  // Different stacks; what comes beyond is lost.
  static constexpr size_t kMostStacks = 64 * 1024;
  void add(std::string stack, uint64_t times);

  const std::string path_;
  int fd_;
  std::unordered_map<std::string, uint64_t> counts_;  // by stack: its addresses, as bytes
  uint64_t samples_ = 0;
  uint64_t lost_ = 0;
};

// [main] There is one in a process that takes a profile at a time.
class CpuProfiler final : private event::Timer {
 public:
  // Somebody has forgotten it: it is written then.
  static constexpr Duration kLongest = std::chrono::minutes(30);

  explicit CpuProfiler(event::Lane& lane);
  // Writes what there is.
  ~CpuProfiler() override;

  bool running() const { return profile_ != nullptr; }
  // Opens the file, which is empty from now on. Nothing if it runs already.
  Status start(const std::string& path);
  // Null: none runs. What comes back is still to be written.
  std::unique_ptr<CpuProfile> stop();
  // Writes it, and says in the log what came of it. [any]
  static Status finish(CpuProfile& profile);

 private:
  // Threads come and go, and what was met is fetched.
  void on_timer() override;
  // The first error; none: there is at least one timer.
  Status find_threads();
  void fetch();
  void fetch_idle_half();

  event::Lane& lane_;
  std::unique_ptr<CpuProfile> profile_;
  std::unique_ptr<ProfileSamples> samples_;
  std::map<int, std::optional<timer_t>> timers_;  // by thread; none: it takes no such signal
  MonoTime end_{};
};

}  // namespace weir::server
