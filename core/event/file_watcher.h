// Tells main when something in one of some directories changed, so that files which are replaced there (a rename, or
// the swap of a symlink as mounted ConfigMaps do it) are read again. It does not say what changed: whoever asks reads
// again and compares, for events come late, twice, and for files that nobody reads.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/functional/any_invocable.h"
#include "core/event/lane.h"

namespace weir::event {

// [main] Uses inotify through libuv. Destroy it on the lane, outside of its turns.
class FileWatcher {
 public:
  // Events that follow each other within kSettle are one call, which comes at the latest kPatience after the first of
  // them. A directory that is not there (any more) is tried again every kRetry; its coming back is a change.
  static constexpr Duration kSettle = 100ms;
  static constexpr Duration kPatience = 1s;
  static constexpr Duration kRetry = 1s;

  using Handler = absl::AnyInvocable<void()>;
  FileWatcher(Lane& lane, Handler on_change);
  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  // Watches these from now on, and no others. A new one counts as changed once: its files may have changed between
  // being read and being watched.
  void watch(const std::set<std::string>& directories);
  size_t watching() const { return watches_.size(); }

 private:
  class Watch;
  class Settle final : public Timer {
   public:
    explicit Settle(FileWatcher& owner) : owner_(owner) {}
    void on_timer() override { owner_.on_settled(); }

   private:
    FileWatcher& owner_;
  };
  class Retry final : public Timer {
   public:
    explicit Retry(FileWatcher& owner) : owner_(owner) {}
    void on_timer() override { owner_.refresh(); }

   private:
    FileWatcher& owner_;
  };

  void on_event();
  void on_settled();
  // Begins to watch what is not watched, or what is another directory of the same name by now.
  void refresh();

  Lane& lane_;
  Handler on_change_;
  Settle settle_;
  Retry retry_;
  MonoTime first_event_{};
  std::map<std::string, std::unique_ptr<Watch>> watches_;
};

}  // namespace weir::event
