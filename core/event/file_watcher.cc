#include "core/event/file_watcher.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <uv.h>

#include <algorithm>
#include <optional>

namespace weir::event {

// One directory. libuv keeps the handle until its close callback, which may come after this object has gone.
class FileWatcher::Watch {
 public:
  Watch(FileWatcher& owner, const std::string& path) : owner_(owner), path_(path) {}
  ~Watch() { stop(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Whether what is watched is what has the name now.
  bool current() const { return handle_ != nullptr && Identity::of(path_) == identity_; }
  bool start() {
    stop();
    const std::optional<Identity> now = Identity::of(path_);
    if (!now) return false;
    handle_ = new uv_fs_event_t;
    handle_->data = &owner_;
    WEIR_CHECK(uv_fs_event_init(owner_.lane_.uv(), handle_) == 0);
    auto on_event = [](uv_fs_event_t* handle, const char*, int, int) {
      static_cast<FileWatcher*>(handle->data)->on_event();
    };
    if (uv_fs_event_start(handle_, on_event, path_.c_str(), 0) != 0) {
      stop();
      return false;
    }
    identity_ = now;
    return true;
  }

 private:
  // A directory that is made anew may get the inode number of the one that has gone: the time of its making tells.
  struct Identity {
    uint64_t inode, device;
    int64_t seconds, nanoseconds;  // 0: the file system does not know
    bool operator==(const Identity&) const = default;

    static std::optional<Identity> of(const std::string& path) {
      struct statx now {};
      if (statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_BTIME, &now) != 0) return std::nullopt;
      return Identity{now.stx_ino, uint64_t{now.stx_dev_major} << 32 | now.stx_dev_minor, now.stx_btime.tv_sec,
                      now.stx_btime.tv_nsec};
    }
  };
  void stop() {
    if (handle_ == nullptr) return;
    uv_close(reinterpret_cast<uv_handle_t*>(handle_),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_fs_event_t*>(handle); });
    handle_ = nullptr;
  }

  FileWatcher& owner_;
  const std::string path_;
  uv_fs_event_t* handle_ = nullptr;
  std::optional<Identity> identity_;
};

FileWatcher::FileWatcher(Lane& lane, Handler on_change)
    : lane_(lane), on_change_(std::move(on_change)), settle_(*this), retry_(*this) {}

FileWatcher::~FileWatcher() {
  watches_.clear();
  uv_run(lane_.uv(), UV_RUN_NOWAIT);  // the close callbacks free the handles
}

void FileWatcher::watch(const std::set<std::string>& directories) {
  std::erase_if(watches_, [&](const auto& entry) { return !directories.contains(entry.first); });
  for (const std::string& path : directories) watches_.try_emplace(path);
  refresh();
}

void FileWatcher::refresh() {
  bool missing = false;
  for (auto& [path, watch] : watches_) {
    if (watch == nullptr) watch = std::make_unique<Watch>(*this, path);
    if (watch->current()) continue;
    if (watch->start()) {
      on_event();
    } else {
      missing = true;
    }
  }
  if (missing) lane_.arm_in(retry_, kRetry);
}

void FileWatcher::on_event() {
  if (!settle_.armed()) first_event_ = lane_.now();
  lane_.arm(settle_, std::min(lane_.now() + kSettle, first_event_ + kPatience));
}

void FileWatcher::on_settled() {
  on_change_();
  refresh();
}

}  // namespace weir::event
