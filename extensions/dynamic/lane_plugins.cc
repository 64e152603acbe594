#include "extensions/dynamic/lane_plugins.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "extensions/dynamic/http_filter.h"

namespace weir::extensions::dynamic {
namespace {

constexpr uint32_t kMaxWorkers = 256;
// Letters that may wait for one lane: a plugin that posts without end must not fill the memory.
constexpr size_t kMaxLetters = 1 << 20;

// Entries are set once, under the lock, and stay.
std::array<std::atomic<LanePlugins*>, kMaxWorkers> directory;
std::mutex directory_mutex;

}  // namespace

LanePlugins::LanePlugins(uint32_t worker) : handles_(worker), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  WEIR_CHECK(wake_fd_ >= 0);
}

LanePlugins* LanePlugins::of(event::Lane& lane) {
  if (void* known = lane.local(event::LocalKey::kDynamic)) [[likely]]
    return static_cast<LanePlugins*>(known);
  return attach(lane);
}

LanePlugins* LanePlugins::attach(event::Lane& lane) {
  if (lane.index() >= kMaxWorkers) return nullptr;
  std::lock_guard lock(directory_mutex);
  LanePlugins* plugins = directory[lane.index()].load(std::memory_order_acquire);
  if (plugins == nullptr) {
    plugins = new LanePlugins(lane.index());
    directory[lane.index()].store(plugins, std::memory_order_release);
  } else if (WEIR_BUG(plugins->handles_.live() > 0)) {
    return nullptr;
  }
  lane.poller().add_level(plugins->wake_fd_, *plugins);
  lane.set_local(event::LocalKey::kDynamic, plugins);
  return plugins;
}

Filter* LanePlugins::find(weir_stream handle) {
  event::Lane* lane = event::Lane::current();
  if (lane == nullptr || lane->index() != HandleTable::worker_of(handle)) return nullptr;
  auto* plugins = static_cast<LanePlugins*>(lane->local(event::LocalKey::kDynamic));
  return plugins != nullptr ? plugins->handles_.find(handle) : nullptr;
}

int32_t LanePlugins::post(weir_stream handle, uint64_t token) {
  LanePlugins* plugins = directory[HandleTable::worker_of(handle)].load(std::memory_order_acquire);
  if (plugins == nullptr) return WEIR_GONE;
  bool was_empty;
  {
    std::lock_guard lock(plugins->mutex_);
    if (plugins->letters_.size() >= kMaxLetters) return WEIR_LIMIT;
    was_empty = plugins->letters_.empty();
    plugins->letters_.push_back({handle, token});
  }
  if (was_empty) {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = write(plugins->wake_fd_, &one, sizeof(one));
  }
  return WEIR_OK;
}

void LanePlugins::on_ready(uint32_t) {
  uint64_t count;
  [[maybe_unused]] ssize_t size = read(wake_fd_, &count, sizeof(count));
  std::vector<Letter> letters;
  {
    std::lock_guard lock(mutex_);
    letters.swap(letters_);
  }
  for (const Letter& letter : letters) {
    if (Filter* filter = find(letter.stream)) filter->posted(letter.token);
  }
}

}  // namespace weir::extensions::dynamic
