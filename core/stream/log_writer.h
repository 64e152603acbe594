// Log files that lanes write to without ever waiting: a lane puts whole lines into a queue of its own, one thread per
// process writes the queues out. When the thread cannot keep up (a full pipe, a slow disk), lines are dropped and
// counted; nothing grows. Not the process log (core/base/log.h).
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/status.h"
#include "core/base/time.h"
#include "core/stats/store.h"
#include "core/stream/formatter.h"

namespace weir::stream {

class LogWriter;

// Published names, and `filesystem.write_dropped`. [any]
struct LogCounters {
  explicit LogCounters(stats::Store& store);
  stats::Counter write_buffered;    // lines taken from lanes
  stats::Counter write_completed;   // system calls that wrote
  stats::Counter write_failed;      // and that did not: what they should have written is lost
  stats::Counter write_dropped;     // lines lost because the writer was behind
  stats::Counter flushed_by_timer;  // files written because the interval was over
  stats::Counter reopen_failed;
  stats::Gauge write_total_buffered;  // bytes
};

// One destination, the same object for everybody who names the same path.
class LogFile {
 public:
  static constexpr uint32_t kMaxLanes = 256;
  static constexpr size_t kHandOverBytes = 64 * 1024;      // what waits before the writer is woken
  static constexpr size_t kMaxWaitingBytes = 1024 * 1024;  // of one lane; beyond it lines are dropped

  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // An empty buffer to put the next line into (with its newline), then end_line(). No lock, and after warm-up no heap.
  // [worker] Each lane index is used by one thread at a time.
  TextBuffer& begin_line(uint32_t lane);
  void end_line(uint32_t lane);
  const std::string& path() const { return path_; }

 private:
  friend class LogWriter;
  struct Chunk;
  struct Queue;
  // How the descriptor wants to be written to so that only a disk can make the writer wait.
  enum class Mode : uint8_t { kPlain, kPolled, kSocket };
  enum class Written : uint8_t { kAll, kSome, kBlocked };

  LogFile(LogWriter& writer, std::string path, stats::Store& store);
  Status open();
  Queue& queue(uint32_t lane);
  // Everything below: [writer thread]
  bool drain();  // false: the descriptor takes no more for now
  Written drain_queue(Queue& queue);
  void consume(Queue& queue, size_t bytes);
  ssize_t write_some(const struct iovec* pieces, int count);
  void reopen();
  bool has_data() const;

  LogWriter& writer_;
  const std::string path_;
  stats::Store* const store_;
  const LogCounters counters_;
  int fd_ = -1;
  bool owns_fd_ = false;
  bool terminal_ = false;
  Mode mode_ = Mode::kPlain;
  bool blocked_ = false;
  bool failing_ = false;      // the last write failed: said once
  uint32_t resume_lane_ = 0;  // whose line may have been written in part
  MonoTime due_{};
  MonoTime retired_at_{};
  std::atomic<bool> announced_{false};
  std::weak_ptr<LogFile> shared_;  // under LogWriter::mutex_
  bool opened_ = false;            // before that the thread does not know of it; under LogWriter::mutex_
  bool retired_ = false;           // nobody holds it any more; under LogWriter::mutex_
  bool reopen_wanted_ = false;     // under LogWriter::mutex_
  std::array<std::atomic<Queue*>, kMaxLanes> queues_{};
};

// The thread. [main] unless said otherwise.
class LogWriter {
 public:
  LogWriter() = default;
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // The process's own; never destroyed. It writes what is left when the process exits without stop().
  static LogWriter& process();

  // The file of a path, for lines to go to once open_all() was called. Touches nothing: that a path cannot be opened is
  // found out as far as that is possible without opening it. "/dev/stdout" and "/dev/stderr" are the descriptors that
  // the process was started with. The counters' store outlives what is written: call stop() first.
  Result<std::shared_ptr<LogFile>> file(const std::string& path, stats::Store& store);
  // Opens the files that were asked for since, and starts the thread if there are any. Stops at the first that cannot
  // be opened; the message names it.
  Status open_all();
  // Lines wait at most this long (a terminal's at most a second).
  void set_flush_interval(Duration interval);
  // Opens every path anew, for log rotation. What was logged before goes to the old file.
  void reopen();
  // The files that root has opened become the user's, who is to open them again. [main]
  void give_files(uid_t user, gid_t group);
  // Waits until all that was logged before is written, at most `patience`. False: something could not be written yet.
  bool flush(Duration patience);
  // flush(), then ends the thread. The next open_all() that opens something starts it again.
  bool stop(Duration patience);

 private:
  friend class LogFile;
  void wake();
  void retire(LogFile* file);
  void start();
  void run();
  int wait_ms(MonoTime now) const;
  void wait_for_work(MonoTime now);
  bool serve(LogFile& file, MonoTime now, bool forced);

  std::mutex mutex_;
  std::condition_variable flushed_;
  std::vector<std::unique_ptr<LogFile>> files_;  // of the opened only the thread, or whoever joined it, removes
  uint64_t flush_wanted_ = 0;
  uint64_t flush_done_ = 0;
  bool stopping_ = false;
  std::atomic<int64_t> interval_ns_{Duration(10s).count()};
  std::atomic<int> wake_fd_{-1};
  std::thread thread_;
  // [writer thread]
  std::vector<LogFile*> serving_;
};

}  // namespace weir::stream
