#include "core/server/watchdog.h"

#include <semaphore.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <random>
#include <utility>

#include "core/base/log.h"
#include "core/event/activity.h"

namespace weir::server {
namespace {

// A thread that is in the kernel and cannot be woken does not answer.
constexpr Duration kAnswerTakes = 100ms;
constexpr std::string_view kOwnWork = "weir's own work, and no hook of a filter";

// One question at a time. Late handlers find another state, or another thread's question.
struct Question {
  enum State : int { kNone, kAsked, kAnswering };
  Question() { sem_init(&answered, 0, 0); }
  std::atomic<int> state{kNone};
  std::atomic<pthread_t> thread{};
  sem_t answered;
  char text[512];
  size_t size = 0;
};
Question watchdog_question;

void on_watchdog_question(int) {
  const int error = errno;
  Question& question = watchdog_question;
  int asked = Question::kAsked;
  if (pthread_equal(question.thread.load(), pthread_self()) != 0 &&
      question.state.compare_exchange_strong(asked, Question::kAnswering)) {
    event::ActivityText text(question.text, sizeof question.text);
    const event::Activity* activity = event::current_activity;
    if (activity == nullptr) text.add(kOwnWork);
    for (const char* between = ""; activity != nullptr; activity = activity->outer, between = ", called by ") {
      text.add(between);
      activity->describe(activity->subject, text);
    }
    question.size = text.used();
    sem_post(&question.answered);
  }
  errno = error;
}

std::string ask_thread(pthread_t thread) {
  Question& question = watchdog_question;
  question.thread.store(thread);
  question.state.store(Question::kAsked);
  bool answered = false;
  if (pthread_kill(thread, Watchdog::signal()) == 0) {
    const auto ns = std::chrono::nanoseconds((system_clock().wall_now() + kAnswerTakes).time_since_epoch()).count();
    const timespec end{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    answered = sem_timedwait(&question.answered, &end) == 0;
  }
  int asked = Question::kAsked;
  if (!answered && question.state.compare_exchange_strong(asked, Question::kNone))
    return "a call to the kernel that does not return";
  if (!answered) sem_wait(&question.answered);  // it is writing
  std::string text(question.text, question.size);
  question.state.store(Question::kNone);
  return text;
}

long long in_ms(Duration d) { return static_cast<long long>(to_ms(d)); }

}  // namespace

int Watchdog::signal() { return SIGRTMIN + 3; }

void Watchdog::watch(const event::Lane& lane, pthread_t thread) {
  Watched one;
  one.lane = &lane;
  one.thread = thread;
  const bool main = lane.is_main();
  const std::string number = std::to_string(lane.index() - 1);
  one.name = main ? "the main thread" : "worker " + number;
  const std::string own = main ? "server.main_thread." : "server.worker_" + number + ".";
  const std::string all = main ? "main_thread." : "workers.";
  one.own_miss = store_.counter(own + "watchdog_miss");
  one.own_mega_miss = store_.counter(own + "watchdog_mega_miss");
  one.miss = store_.counter(all + "watchdog_miss");
  one.mega_miss = store_.counter(all + "watchdog_mega_miss");
  watched_.push_back(std::move(one));
}

void Watchdog::start(const WatchdogPlan& plan) {
  plan_ = plan;
  std::mt19937_64 random(std::random_device{}());
  for (WatchdogLimits* limits : {&plan_.main, &plan_.workers}) {
    if (limits->kill > Duration::zero())
      limits->kill += Duration(static_cast<int64_t>(random() % static_cast<uint64_t>(limits->kill_jitter.count() + 1)));
  }
  struct sigaction action {};
  action.sa_handler = on_watchdog_question;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(signal(), &action, nullptr);  // stays: a question may be on its way when nobody asks any more
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "watchdog");
    sigset_t every;
    sigfillset(&every);
    pthread_sigmask(SIG_BLOCK, &every, nullptr);
    run();
  });
}

void Watchdog::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  thread_.join();
}

void Watchdog::run() {
  Duration shortest = 1s;
  for (const WatchdogLimits* limits : {&plan_.main, &plan_.workers}) {
    for (const Duration limit : {limits->miss, limits->mega_miss, limits->kill, limits->multikill}) {
      if (limit > Duration::zero()) shortest = std::min(shortest, limit / 2);
    }
  }
  shortest = std::max<Duration>(shortest, 500us);
  std::unique_lock lock(mutex_);
  while (!stopped_.wait_for(lock, shortest, [this] { return stopping_; })) look(system_clock().mono_now());
}

Duration Watchdog::busy(const Watched& one, MonoTime now) {
  const int64_t began = one.lane->turn_started_ns();
  if (began == 0) return Duration::zero();
  return std::max(Duration::zero(), now - MonoTime(std::chrono::nanoseconds(began)));
}

void Watchdog::look(MonoTime now) {
  for (const bool main : {true, false}) {
    const WatchdogLimits& limits = main ? plan_.main : plan_.workers;
    double lanes = 0, stuck = 0;
    for (Watched& one : watched_) {
      if (one.lane->is_main() != main) continue;
      look_at(one, now);
      ++lanes;
      if (limits.multikill > Duration::zero() && busy(one, now) >= limits.multikill) ++stuck;
    }
    if (stuck > 0 && stuck >= std::max(2.0, std::ceil(lanes * limits.multikill_share)))
      kill(std::to_string(static_cast<int>(stuck)) + " threads have been stuck for longer than multikill_timeout");
  }
}

void Watchdog::look_at(Watched& one, MonoTime now) {
  const uint64_t turn = one.lane->turns();
  const Duration took = busy(one, now);
  if (turn != one.turn || took == Duration::zero()) {
    if (one.told > Duration::zero())
      WEIR_LOG(kWarning, "server", "%s goes on; its turn took more than %lld ms", one.name.c_str(), in_ms(one.told));
    one.turn = turn;
    one.missed = false;
    one.told = Duration::zero();
    return;
  }
  const WatchdogLimits& limits = limits_of(one);
  if (!one.missed && limits.miss > Duration::zero() && took >= limits.miss) {
    one.missed = true;
    one.miss.inc();
    one.own_miss.inc();
  }
  if (limits.mega_miss > Duration::zero() && took >= limits.mega_miss) {
    if (one.told == Duration::zero()) {
      one.mega_miss.inc();
      one.own_mega_miss.inc();
    }
    // Again when it has taken twice as long.
    if (one.told == Duration::zero() || took >= 2 * one.told) tell(one, took);
  }
  if (limits.kill > Duration::zero() && took >= limits.kill) {
    if (one.told == Duration::zero()) tell(one, took);
    kill(one.name + " has been stuck for longer than kill_timeout");
  }
}

void Watchdog::tell(Watched& one, Duration took) {
  const std::string doing = ask_thread(one.thread);
  one.told = took;
  WEIR_LOG(kWarning, "server", "%s is stuck: its turn takes %lld ms by now, in %s; all else that it has to do waits",
           one.name.c_str(), in_ms(took), doing.c_str());
}

void Watchdog::kill(const std::string& why) {
  WEIR_LOG(kCritical, "server", "watchdog: %s; the process ends", why.c_str());
  std::abort();
}

}  // namespace weir::server
