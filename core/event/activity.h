// What the code that a thread runs is about, for whoever asks because it takes too long (core/server/watchdog.h).
// Saying so costs a few instructions; it is said once for a call that runs somebody else's code.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace weir::event {

// Where a description goes; what does not fit is left out. Takes no memory and no locks.
class ActivityText {
 public:
  ActivityText(char* out, size_t size) : out_(out), size_(size) {}
  ActivityText& add(std::string_view text) {
    const size_t bytes = std::min(text.size(), size_ - used_);
    memcpy(out_ + used_, text.data(), bytes);
    used_ += bytes;
    return *this;
  }
  size_t used() const { return used_; }

 private:
  char* out_;
  size_t size_;
  size_t used_ = 0;
};

// Runs in a signal's handler, on the thread that it is about and while that is in the scope.
using DescribeActivity = void (*)(const void* subject, ActivityText& text);

struct Activity {
  DescribeActivity describe;
  const void* subject;
  const Activity* outer;
};

// Of this thread; nullptr: nothing that has a name.
extern constinit thread_local const Activity* current_activity;

class ActivityScope {
 public:
  ActivityScope(DescribeActivity describe, const void* subject) : activity_{describe, subject, current_activity} {
    std::atomic_signal_fence(std::memory_order_release);
    current_activity = &activity_;
  }
  // Of what a text says that stays.
  explicit ActivityScope(const std::string_view& text)
      : ActivityScope([](const void* it, ActivityText& out) { out.add(*static_cast<const std::string_view*>(it)); },
                      &text) {}
  ~ActivityScope() {
    current_activity = activity_.outer;
    std::atomic_signal_fence(std::memory_order_release);
  }
  ActivityScope(const ActivityScope&) = delete;
  ActivityScope& operator=(const ActivityScope&) = delete;

 private:
  const Activity activity_;
};

}  // namespace weir::event
