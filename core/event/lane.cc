#include "core/event/lane.h"

#include <signal.h>
#include <sys/random.h>
#include <uv.h>

#include <algorithm>
#include <mutex>

#include "core/event/activity.h"

namespace weir::event {

constinit thread_local const Activity* current_activity = nullptr;

namespace {

// 4 MiB of address space per lane.
constexpr size_t kInitialBlocks = 256;

thread_local Lane* current_lane = nullptr;

uint64_t seed_from_kernel() {
  uint64_t seed = 0;
  WEIR_CHECK(getrandom(&seed, sizeof(seed), 0) == static_cast<ssize_t>(sizeof(seed)));
  return seed;
}

}  // namespace

// libuv's own epoll descriptor is one of ours; it becomes readable when any handle of libuv has something to do. Also
// the mailbox: posting wakes the lane through libuv's async handle.
class Lane::UvBackend final : public Pollable {
 public:
  UvBackend(Lane& lane, uv_loop_t* loop) : loop_(loop) {
    async_.data = this;
    WEIR_CHECK(uv_async_init(loop, &async_, [](uv_async_t*) {}) == 0);
    lane.poller_.add_level(uv_backend_fd(loop), *this);
    uv_run(loop_, UV_RUN_NOWAIT);  // registers the async handle with the backend descriptor
  }
  void close_handles() { uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr); }

  void on_ready(uint32_t) override { due_ = true; }
  // Runs libuv's callbacks if anything of it is ready or its timers are due; `now_due` as uv_backend_timeout says.
  void run_if_due() {
    if (!due_ && uv_backend_timeout(loop_) != 0) return;
    due_ = false;
    uv_run(loop_, UV_RUN_NOWAIT);
  }
  int timeout_ms() const { return uv_backend_timeout(loop_); }

  bool push(Task task) {
    std::lock_guard lock(mutex_);
    bool was_empty = inbox_.empty();
    inbox_.push_back(std::move(task));
    has_posted_.store(true, std::memory_order_release);
    return was_empty;
  }
  void wake() { uv_async_send(&async_); }
  bool has_posted() const { return has_posted_.load(std::memory_order_acquire); }
  std::vector<Task> take_posted() {
    std::lock_guard lock(mutex_);
    has_posted_.store(false, std::memory_order_relaxed);
    return std::exchange(inbox_, {});
  }

 private:
  uv_loop_t* loop_;
  uv_async_t async_;
  bool due_ = false;
  std::atomic<bool> has_posted_{false};
  std::mutex mutex_;
  std::vector<Task> inbox_;
};

void Lane::UvDeleter::operator()(uv_loop_s* loop) const {
  // Whoever made a handle closes it; this closes what a plugin forgot, so that the loop can end.
  uv_walk(
      loop,
      [](uv_handle_t* handle, void*) {
        if (!uv_is_closing(handle)) uv_close(handle, nullptr);
      },
      nullptr);
  while (uv_run(loop, UV_RUN_NOWAIT) != 0) {
  }
  WEIR_CHECK(uv_loop_close(loop) == 0);
  delete loop;
}

Lane::Lane(const Options& options)
    : index_(options.index),
      clock_(options.clock != nullptr ? *options.clock : system_clock()),
      now_(clock_.mono_now()),
      wall_now_(clock_.wall_now()),
      uv_(new uv_loop_s),
      timers_(now_),
      blocks_(kInitialBlocks),
      pipes_(*this),
      random_(options.random_seed != 0 ? options.random_seed : seed_from_kernel()),
      read_block_(blocks_.take()) {
  signal(SIGPIPE, SIG_IGN);  // whoever writes is told by EPIPE; splice() has no flag for that
  WEIR_CHECK(uv_loop_init(uv_.get()) == 0);
  uv_backend_ = std::make_unique<UvBackend>(*this, uv_.get());
}

Lane::~Lane() {
  Lane* before = current();
  set_current(this);
  end_turn();
  WEIR_ASSERT(deferred_.empty());
  // The backend holds the async handle's memory, so the loop goes first.
  uv_.reset();
  uv_backend_.reset();
  set_current(before == this ? nullptr : before);
}

Lane* Lane::current() { return current_lane; }
void Lane::set_current(Lane* lane) { current_lane = lane; }

void Lane::read_clock() {
  now_ = clock_.mono_now();
  wall_now_ = clock_.wall_now();
}

int Lane::wait_ms(Duration wait) const {
  wait = std::min(wait, timers_.until_next(now_));
  int ms = -1;
  if (wait < std::chrono::hours(1)) ms = static_cast<int>((wait.count() + 999'999) / 1'000'000);
  int uv_ms = uv_backend_->timeout_ms();
  if (uv_ms >= 0 && (ms < 0 || uv_ms < ms)) ms = uv_ms;
  if (uv_backend_->has_posted() || !next_turn_.empty()) ms = 0;
  return ms;
}

void Lane::turn(Duration wait) {
  Lane* before = current_lane;
  current_lane = this;
  int ms = wait_ms(wait);
  while (EndOfTurn* work = next_turn_.pop_front()) end_of_turn_.push_back(*work);
  turn_started_ns_.store(0, std::memory_order_relaxed);
  // The clock is read after the wait, before the events are dispatched.
  poller_.poll(ms, [this] {
    read_clock();
    turn_started_ns_.store(now_.time_since_epoch().count(), std::memory_order_relaxed);
  });
  uv_backend_->run_if_due();
  timers_.advance(now_);
  run_posted();
  end_turn();
  turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  current_lane = before;
}

void Lane::run() {
  while (!stopping_.load(std::memory_order_relaxed)) turn(Duration::max());
}

void Lane::stop() {
  post([this] { stopping_.store(true, std::memory_order_relaxed); });
}

void Lane::post(Task task) {
  if (uv_backend_->push(std::move(task)) && !on_thread()) uv_backend_->wake();
}

void Lane::run_posted() {
  if (!uv_backend_->has_posted()) return;
  for (Task& task : uv_backend_->take_posted()) task();
}

void Lane::end_turn() {
  // Work may bring more work (a flush that ends a stream that frees a queued one); destruction comes last, and what it
  // schedules runs in the same turn.
  while (true) {
    if (EndOfTurn* work = end_of_turn_.pop_front()) {
      work->on_end_of_turn();
      continue;
    }
    if (Deferred* object = deferred_.pop_front()) {
      object->dispose();
      continue;
    }
    break;
  }
  if (slots_.has_released()) {
    auto released = slots_.take_released();
    if (release_sink_) release_sink_(std::move(released));
  }
}

}  // namespace weir::event
