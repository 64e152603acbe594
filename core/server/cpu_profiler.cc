#include "core/server/cpu_profiler.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "core/base/log.h"

namespace weir::server {
namespace {

constexpr int64_t kPeriodUs = 10'000;
constexpr Duration kFetchEvery = 250ms;
constexpr uint32_t kFrames = 62;   // of a stack, innermost first; outer ones are left out
constexpr uint32_t kSlots = 4096;  // of a half: what 160 threads fill between two fetches

// Of an interrupted thread: the instruction, the frame pointer, the stack pointer.
struct Registers {
  uintptr_t at, frame, stack;
};

Registers registers_of(const ucontext_t& context) {
#if defined(__x86_64__)
  const auto& all = context.uc_mcontext.gregs;
  return {static_cast<uintptr_t>(all[REG_RIP]), static_cast<uintptr_t>(all[REG_RBP]),
          static_cast<uintptr_t>(all[REG_RSP])};
#elif defined(__aarch64__)
  const auto& all = context.uc_mcontext;
  return {static_cast<uintptr_t>(all.pc), static_cast<uintptr_t>(all.regs[29]), static_cast<uintptr_t>(all.sp)};
#else
  static_cast<void>(context);
  return {};
#endif
}

// A frame pointer may be anything in code that keeps none; the kernel says whether it leads to memory.
bool read_frame(pid_t self, uintptr_t at, uintptr_t (&out)[2]) {
  const iovec to{out, sizeof out};
  const iovec from{reinterpret_cast<void*>(at), sizeof out};
  return process_vm_readv(self, &to, 1, &from, 1, 0) == static_cast<ssize_t>(sizeof out);
}

}  // namespace

// Where handlers leave what they meet: two halves, of which one is written while the other is fetched.
struct ProfileSamples {
  struct Slot {
    std::atomic<uint32_t> depth;  // written last; 0: not yet
    uint32_t times;
    uintptr_t frames[kFrames];
  };
  struct Half {
    std::atomic<uint32_t> used{0};
    std::atomic<uint32_t> writers{0};
    std::atomic<uint64_t> lost{0};
    Slot slots[kSlots];
  };

  // In a handler: nothing here waits, takes memory or calls what might.
  void record(const ucontext_t& context, uint32_t times) {
    const uint32_t active = active_half.load();
    Half& half = halves[active];
    half.writers.fetch_add(1);
    if (active_half.load() == active) {
      const uint32_t slot = half.used.load(std::memory_order_relaxed) < kSlots ? half.used.fetch_add(1) : kSlots;
      if (slot < kSlots) {
        fill(half.slots[slot], context, times);
      } else {
        half.lost.fetch_add(times, std::memory_order_relaxed);
      }
    } else {
      half.lost.fetch_add(times, std::memory_order_relaxed);
    }
    half.writers.fetch_sub(1);
  }

  void fill(Slot& slot, const ucontext_t& context, uint32_t times) const {
    constexpr uintptr_t kFarthest = 64 * 1024 * 1024;  // more than any stack
    const Registers here = registers_of(context);
    uint32_t depth = 0;
    slot.frames[depth++] = here.at;
    uintptr_t frame = here.frame;
    uintptr_t above = here.stack;
    while (depth < kFrames && frame >= above && frame - here.stack < kFarthest && frame % sizeof(uintptr_t) == 0) {
      uintptr_t words[2];  // the caller's frame, and where it goes on
      if (!read_frame(self, frame, words) || words[1] == 0) break;
      slot.frames[depth++] = words[1];
      above = frame + sizeof words;
      frame = words[0];
    }
    slot.times = times;
    slot.depth.store(depth, std::memory_order_release);
  }

  const pid_t self = getpid();
  std::atomic<uint32_t> active_half{0};
  Half halves[2];
};

namespace {

std::atomic<ProfileSamples*> profile_samples{nullptr};
// Handlers under way: whoever has taken profile_samples away waits for them.
std::atomic<uint32_t> profile_handlers{0};

void on_profile_signal(int, siginfo_t* info, void* context) {
  const int error = errno;
  profile_handlers.fetch_add(1);
  if (ProfileSamples* samples = profile_samples.load(); samples != nullptr) {
    const int missed = info->si_code == SI_TIMER && info->si_overrun > 0 ? info->si_overrun : 0;
    samples->record(*static_cast<const ucontext_t*>(context), 1 + static_cast<uint32_t>(missed));
  }
  profile_handlers.fetch_sub(1);
  errno = error;
}

// Stays for good: a signal may still be on its way when the timer is gone, and would end the process.
Status install_profile_handler() {
  static bool installed = false;
  if (installed) return absl::OkStatus();
  struct sigaction before {};
  sigaction(SIGPROF, nullptr, &before);
  const bool taken =
      (before.sa_flags & SA_SIGINFO) != 0 || (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN);
  if (taken) return unavailable("another profiler has SIGPROF");
  struct sigaction action {};
  action.sa_sigaction = on_profile_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGPROF, &action, nullptr) != 0) return unavailable(std::string("sigaction: ") + strerror(errno));
  installed = true;
  return absl::OkStatus();
}

// The CPU clock of a thread: what the kernel's interface makes of its number.
clockid_t cpu_clock_of(int thread) { return static_cast<clockid_t>((~static_cast<unsigned>(thread) << 3) | 6u); }

// Signals that a thread does not take would wait for ever.
bool takes_profile_signal(int thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/status";
  FILE* file = fopen(path.c_str(), "re");
  if (file == nullptr) return false;
  unsigned long long blocked = ~0ull;
  char line[256];
  while (fgets(line, sizeof line, file) != nullptr) {
    if (sscanf(line, "SigBlk: %llx", &blocked) == 1) break;
  }
  fclose(file);
  return (blocked >> (SIGPROF - 1) & 1) == 0;
}

std::set<int> threads_of_process() {
  std::set<int> threads;
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) return threads;
  while (const dirent* entry = readdir(folder)) {
    if (const int thread = atoi(entry->d_name); thread > 0) threads.insert(thread);
  }
  closedir(folder);
  return threads;
}

Result<timer_t> start_timer(int thread) {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGPROF;
  event._sigev_un._tid = thread;
  timer_t timer{};
  if (timer_create(cpu_clock_of(thread), &event, &timer) != 0)
    return unavailable(std::string("timer_create: ") + strerror(errno));
  itimerspec every{};
  every.it_interval.tv_nsec = every.it_value.tv_nsec = kPeriodUs * 1000;
  if (timer_settime(timer, 0, &every, nullptr) != 0) {
    const int error = errno;
    timer_delete(timer);
    return unavailable(std::string("timer_settime: ") + strerror(error));
  }
  return timer;
}

Status write_whole(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return unavailable(path + ": " + strerror(n < 0 ? errno : ENOSPC));
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

void append_word(std::string& out, uint64_t word) { out.append(reinterpret_cast<const char*>(&word), sizeof word); }

// What the addresses belong to.
std::string maps_of_process() {
  std::string text;
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char buffer[16384];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR);) {
    if (n > 0) text.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return text;
}

}  // namespace

// --- What was met --------------------------------------------------------------------------------------------------

CpuProfile::~CpuProfile() {
  if (fd_ >= 0) close(fd_);
}

void CpuProfile::add(std::string stack, uint64_t times) {
  const auto at = counts_.find(stack);
  if (at == counts_.end() && counts_.size() >= kMostStacks) {
    lost_ += times;
    return;
  }
  samples_ += times;
  if (at != counts_.end()) {
    at->second += times;
  } else {
    counts_.emplace(std::move(stack), times);
  }
}

Status CpuProfile::write() {
  static_assert(sizeof(uintptr_t) == sizeof(uint64_t));
  constexpr size_t kAtATime = size_t{256} * 1024;
  std::string text;
  // How many words follow of the head, the version, the period, and one that means nothing.
  for (uint64_t word : {uint64_t{0}, uint64_t{3}, uint64_t{0}, uint64_t{kPeriodUs}, uint64_t{0}})
    append_word(text, word);
  for (const auto& [stack, times] : counts_) {
    append_word(text, times);
    append_word(text, stack.size() / sizeof(uint64_t));
    text += stack;
    if (text.size() < kAtATime) continue;
    WEIR_RETURN_IF_ERROR(write_whole(fd_, text, path_));
    text.clear();
  }
  for (uint64_t word : {uint64_t{0}, uint64_t{1}, uint64_t{0}}) append_word(text, word);
  text += maps_of_process();
  WEIR_RETURN_IF_ERROR(write_whole(fd_, text, path_));
  if (close(std::exchange(fd_, -1)) != 0) return unavailable(path_ + ": " + strerror(errno));
  return absl::OkStatus();
}

// --- Taking it -----------------------------------------------------------------------------------------------------

CpuProfiler::CpuProfiler(event::Lane& lane) : lane_(lane) {}

CpuProfiler::~CpuProfiler() {
  if (auto profile = stop()) static_cast<void>(finish(*profile));
}

Status CpuProfiler::start(const std::string& path) {
  if (running()) return absl::OkStatus();
#if !defined(__x86_64__) && !defined(__aarch64__)
  return unavailable("not built for this processor");
#endif
  if (profile_samples.load() != nullptr) return unavailable("a profile is being taken");
  // No link, and nothing that waits for somebody: whoever may write to the folder is not to choose what is written
  // over.
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (fd < 0) return unavailable(path + ": " + (errno == ELOOP ? "is a link, which is not followed" : strerror(errno)));
  auto profile = std::make_unique<CpuProfile>(path, fd);
  struct stat facts {};
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) return unavailable(path + ": is no file");
  if (ftruncate(fd, 0) != 0) return unavailable(path + ": " + strerror(errno));
  WEIR_RETURN_IF_ERROR(install_profile_handler());
  samples_ = std::make_unique<ProfileSamples>();
  profile_samples.store(samples_.get());
  profile_ = std::move(profile);
  if (Status found = find_threads(); !found.ok()) {
    stop();
    return found;
  }
  end_ = lane_.now() + kLongest;
  lane_.arm_in(*this, kFetchEvery);
  WEIR_LOG(kInfo, "server", "a CPU profile is being taken, for %s", path.c_str());
  return absl::OkStatus();
}

Status CpuProfiler::find_threads() {
  const std::set<int> threads = threads_of_process();
  for (auto at = timers_.begin(); at != timers_.end();) {
    if (threads.contains(at->first)) {
      ++at;
      continue;
    }
    if (at->second) timer_delete(*at->second);
    at = timers_.erase(at);
  }
  Status error = unavailable("/proc/self/task: no threads");
  bool any = false;
  for (int thread : threads) {
    auto [at, fresh] = timers_.try_emplace(thread, std::nullopt);
    if (fresh && takes_profile_signal(thread)) {
      if (auto timer = start_timer(thread); timer.ok()) {
        at->second = *timer;
      } else {
        error = timer.status();
      }
    }
    any = any || at->second.has_value();
  }
  return any ? absl::OkStatus() : error;
}

void CpuProfiler::on_timer() {
  fetch();
  if (lane_.now() >= end_) {
    WEIR_LOG(kWarning, "server", "the CPU profile is ended, for it has taken %lld minutes",
             static_cast<long long>(std::chrono::duration_cast<std::chrono::minutes>(kLongest).count()));
    if (auto profile = stop()) static_cast<void>(finish(*profile));
    return;
  }
  static_cast<void>(find_threads());
  lane_.arm_in(*this, kFetchEvery);
}

// The half that was written becomes idle; a handler that is still in it is waited for until the next time.
void CpuProfiler::fetch() {
  ProfileSamples& samples = *samples_;
  fetch_idle_half();
  const uint32_t active = samples.active_half.load();
  if (samples.halves[1 - active].used.load() == 0) samples.active_half.store(1 - active);
  fetch_idle_half();
}

void CpuProfiler::fetch_idle_half() {
  ProfileSamples::Half& half = samples_->halves[1 - samples_->active_half.load()];
  if (half.writers.load() > 0) return;
  const uint32_t used = std::min(half.used.load(), kSlots);
  for (uint32_t i = 0; i < used; ++i) {
    ProfileSamples::Slot& slot = half.slots[i];
    const uint32_t depth = slot.depth.exchange(0);
    if (depth == 0) continue;
    profile_->add({reinterpret_cast<const char*>(slot.frames), depth * sizeof(uintptr_t)}, slot.times);
  }
  profile_->lost_ += half.lost.exchange(0);
  half.used.store(0);
}

std::unique_ptr<CpuProfile> CpuProfiler::stop() {
  if (!running()) return nullptr;
  cancel();
  for (auto& [thread, timer] : timers_) {
    if (timer) timer_delete(*timer);
  }
  timers_.clear();
  profile_samples.store(nullptr);
  // They take microseconds, and cannot begin any more.
  while (profile_handlers.load() > 0) sched_yield();
  fetch();
  fetch();
  samples_.reset();
  return std::exchange(profile_, nullptr);
}

Status CpuProfiler::finish(CpuProfile& profile) {
  Status written = profile.write();
  if (written.ok()) {
    WEIR_LOG(kInfo, "server", "CPU profile: %llu samples in %zu stacks, %llu lost, in %s",
             static_cast<unsigned long long>(profile.samples()), profile.stacks(),
             static_cast<unsigned long long>(profile.lost()), profile.path().c_str());
  } else {
    WEIR_LOG(kError, "server", "the CPU profile is not written: %s", message_of(written).c_str());
  }
  return written;
}

}  // namespace weir::server
