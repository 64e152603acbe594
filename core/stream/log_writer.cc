#include "core/stream/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/base/assert.h"
#include "core/base/log.h"
#include "core/stream/log_path.h"

namespace weir::stream {
namespace {

constexpr int kMaxPieces = 16;
// What a pipe or terminal that poll() calls writable takes without waiting (PIPE_BUF).
constexpr size_t kPolledWrite = 4096;
// How long a file that nobody holds any more may refuse its last lines.
constexpr Duration kRetiredPatience = 10s;

MonoTime mono_now() { return system_clock().mono_now(); }

}  // namespace

LogCounters::LogCounters(stats::Store& store)
    : write_buffered(store.counter("filesystem.write_buffered")),
      write_completed(store.counter("filesystem.write_completed")),
      write_failed(store.counter("filesystem.write_failed")),
      write_dropped(store.counter("filesystem.write_dropped")),
      flushed_by_timer(store.counter("filesystem.flushed_by_timer")),
      reopen_failed(store.counter("filesystem.reopen_failed")),
      write_total_buffered(store.gauge("filesystem.write_total_buffered")) {}

// Bytes below `written` never change until the writer gives the chunk back.
struct LogFile::Chunk {
  static constexpr uint32_t kStandardBytes = kHandOverBytes;

  static Chunk* make(size_t capacity) {
    auto* chunk = new (::operator new(sizeof(Chunk) + capacity)) Chunk;
    chunk->capacity = static_cast<uint32_t>(capacity);
    return chunk;
  }
  static void destroy(Chunk* chunk) {
    chunk->~Chunk();
    ::operator delete(chunk);
  }
  char* bytes() { return reinterpret_cast<char*>(this + 1); }

  std::atomic<uint32_t> written{0};   // by the lane
  std::atomic<Chunk*> next{nullptr};  // by the lane, when it will not touch this chunk again
  uint32_t read = 0;                  // by the writer
  uint32_t capacity = 0;
};

// One lane puts in, the writer takes out. Two chunks of standard size take turns in steady state.
struct LogFile::Queue {
  Queue() : tail(Chunk::make(Chunk::kStandardBytes)), head(tail) {}
  ~Queue() {
    while (head != nullptr) {
      Chunk* next = head->next.load(std::memory_order_relaxed);
      Chunk::destroy(head);
      head = next;
    }
    if (Chunk* left = spare.load(std::memory_order_relaxed)) Chunk::destroy(left);
  }

  // The lane's.
  TextBuffer line;
  Chunk* tail;
  uint64_t produced = 0;
  size_t unannounced = 0;
  // Both.
  alignas(64) std::atomic<uint64_t> consumed{0};
  std::atomic<Chunk*> spare{nullptr};
  // The writer's.
  Chunk* head;
};

LogFile::LogFile(LogWriter& writer, std::string path, stats::Store& store)
    : writer_(writer), path_(std::move(path)), store_(&store), counters_(store) {}

LogFile::~LogFile() {
  for (auto& queue : queues_) delete queue.load(std::memory_order_acquire);
  if (owns_fd_ && fd_ >= 0) close(fd_);
}

Status LogFile::open() {
  int fd = standard_descriptor(path_);
  bool owned = fd < 0;
  struct stat facts {};
  if (owned) {
    // A FIFO is opened for both directions: that needs no reader yet, and lines wait in it while readers come and go.
    bool fifo = stat(path_.c_str(), &facts) == 0 && S_ISFIFO(facts.st_mode);
    fd = ::open(path_.c_str(), (fifo ? O_RDWR : O_WRONLY | O_CREAT) | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                0644);
    if (fd < 0) return cannot_open(path_, errno);
  }
  if (fstat(fd, &facts) != 0) {
    int error = errno;
    if (owned) close(fd);
    return unavailable("cannot use " + path_ + ": " + strerror(error));
  }
  if (owns_fd_ && fd_ >= 0) close(fd_);
  fd_ = fd;
  owns_fd_ = owned;
  terminal_ = isatty(fd_) == 1;
  // An inherited descriptor is shared with other processes, so O_NONBLOCK is not ours to set.
  mode_ = S_ISSOCK(facts.st_mode) ? Mode::kSocket : owned || S_ISREG(facts.st_mode) ? Mode::kPlain : Mode::kPolled;
  return absl::OkStatus();
}

LogFile::Queue& LogFile::queue(uint32_t lane) {
  WEIR_CHECK(lane < kMaxLanes);
  Queue* queue = queues_[lane].load(std::memory_order_relaxed);
  if (queue == nullptr) [[unlikely]] {
    queue = new Queue;
    queues_[lane].store(queue, std::memory_order_release);
  }
  return *queue;
}

TextBuffer& LogFile::begin_line(uint32_t lane) {
  TextBuffer& line = queue(lane).line;
  line.clear();
  return line;
}

void LogFile::end_line(uint32_t lane) {
  Queue& queue = this->queue(lane);
  size_t size = queue.line.size();
  if (size == 0) return;
  uint64_t waiting = queue.produced - queue.consumed.load(std::memory_order_relaxed);
  if (waiting + size > kMaxWaitingBytes) [[unlikely]] {
    counters_.write_dropped.inc();
    return;
  }
  uint32_t at = queue.tail->written.load(std::memory_order_relaxed);
  if (queue.tail->capacity - at < size) {
    Chunk* fresh = size <= Chunk::kStandardBytes ? queue.spare.exchange(nullptr, std::memory_order_acquire) : nullptr;
    if (fresh == nullptr) fresh = Chunk::make(std::max<size_t>(size, Chunk::kStandardBytes));
    queue.tail->next.store(fresh, std::memory_order_release);
    queue.tail = fresh;
    at = 0;
  }
  std::memcpy(queue.tail->bytes() + at, queue.line.data(), size);
  queue.tail->written.store(at + static_cast<uint32_t>(size), std::memory_order_release);
  queue.produced += size;
  queue.unannounced += size;
  counters_.write_buffered.inc();
  counters_.write_total_buffered.add(static_cast<int64_t>(size));
  if (queue.line.capacity() > kHandOverBytes) [[unlikely]]
    TextBuffer().swap(queue.line);
  if (queue.unannounced >= kHandOverBytes) {
    queue.unannounced = 0;
    announced_.store(true, std::memory_order_release);
    writer_.wake();
  }
}

bool LogFile::has_data() const {
  for (const auto& entry : queues_) {
    const Queue* queue = entry.load(std::memory_order_acquire);
    if (queue == nullptr) continue;
    const Chunk* chunk = queue->head;
    // In this order: what was written before the link was made is seen with it.
    const Chunk* next = chunk->next.load(std::memory_order_acquire);
    if (next != nullptr || chunk->written.load(std::memory_order_acquire) > chunk->read) return true;
  }
  return false;
}

bool LogFile::drain() {
  bool more = false;
  for (uint32_t i = 0; i < kMaxLanes; ++i) {
    uint32_t lane = (resume_lane_ + i) % kMaxLanes;
    Queue* queue = queues_[lane].load(std::memory_order_acquire);
    if (queue == nullptr) continue;
    Written written = drain_queue(*queue);
    if (written == Written::kBlocked) {
      resume_lane_ = lane;
      return false;
    }
    if (written == Written::kSome) more = true;
  }
  if (more) {
    announced_.store(true, std::memory_order_relaxed);
    writer_.wake();
  }
  return true;
}

// At most what one lane may have waiting, so that a busy lane does not keep the writer from the others.
LogFile::Written LogFile::drain_queue(Queue& queue) {
  for (size_t budget = kMaxWaitingBytes; budget > 0;) {
    iovec pieces[kMaxPieces];
    int count = 0;
    size_t offered = 0;
    for (Chunk* chunk = queue.head; chunk != nullptr && count < kMaxPieces;) {
      Chunk* next = chunk->next.load(std::memory_order_acquire);
      uint32_t size = chunk->written.load(std::memory_order_acquire) - chunk->read;
      if (size > 0) pieces[count++] = {chunk->bytes() + chunk->read, size};
      offered += size;
      chunk = next;
    }
    if (offered == 0) {
      consume(queue, 0);
      return Written::kAll;
    }
    ssize_t n = write_some(pieces, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Written::kBlocked;
    if (n < 0) {
      counters_.write_failed.inc();
      if (!failing_) WEIR_LOG(kError, "log", "cannot write to %s: %s; lines are lost", path_.c_str(), strerror(errno));
      failing_ = true;
      n = static_cast<ssize_t>(offered);
    } else {
      counters_.write_completed.inc();
      failing_ = false;
    }
    consume(queue, static_cast<size_t>(n));
    budget -= std::min(budget, static_cast<size_t>(n));
  }
  return Written::kSome;
}

// Takes bytes from the front, and gives back chunks that are empty and left by the lane.
void LogFile::consume(Queue& queue, size_t bytes) {
  uint64_t total = bytes;
  while (true) {
    Chunk* chunk = queue.head;
    Chunk* next = chunk->next.load(std::memory_order_acquire);
    auto size =
        static_cast<uint32_t>(std::min<size_t>(bytes, chunk->written.load(std::memory_order_acquire) - chunk->read));
    chunk->read += size;
    bytes -= size;
    if (next == nullptr || chunk->read < chunk->written.load(std::memory_order_relaxed)) break;
    queue.head = next;
    Chunk* expected = nullptr;
    if (chunk->capacity == Chunk::kStandardBytes) {
      chunk->written.store(0, std::memory_order_relaxed);
      chunk->next.store(nullptr, std::memory_order_relaxed);
      chunk->read = 0;
      if (queue.spare.compare_exchange_strong(expected, chunk, std::memory_order_release)) continue;
    }
    Chunk::destroy(chunk);
  }
  WEIR_ASSERT(bytes == 0);
  if (total == 0) return;
  queue.consumed.store(queue.consumed.load(std::memory_order_relaxed) + total, std::memory_order_relaxed);
  counters_.write_total_buffered.add(-static_cast<int64_t>(total));
}

ssize_t LogFile::write_some(const iovec* pieces, int count) {
  if (mode_ == Mode::kPlain) return writev(fd_, pieces, count);
  if (mode_ == Mode::kSocket) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces);
    message.msg_iovlen = static_cast<size_t>(count);
    return sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  pollfd ready{fd_, POLLOUT, 0};
  if (poll(&ready, 1, 0) == 0) {
    errno = EAGAIN;
    return -1;
  }
  return write(fd_, pieces[0].iov_base, std::min(pieces[0].iov_len, kPolledWrite));
}

void LogFile::reopen() {
  if (!owns_fd_) return;
  if (Status status = open(); !status.ok()) {
    counters_.reopen_failed.inc();
    WEIR_LOG(kError, "log", "%s; the old file stays in use", message_of(status).c_str());
  }
}

LogWriter& LogWriter::process() {
  static LogWriter* const writer = [] {
    std::atexit([] { LogWriter::process().stop(2s); });
    return new LogWriter;
  }();
  return *writer;
}

LogWriter::~LogWriter() {
  stop(Duration::zero());
  files_.clear();
  if (int fd = wake_fd_.load(); fd >= 0) close(fd);
}

Result<std::shared_ptr<LogFile>> LogWriter::file(const std::string& path, stats::Store& store) {
  std::lock_guard lock(mutex_);
  auto share = [this](LogFile* file) {
    return std::shared_ptr<LogFile>(file, [this](LogFile* last) { retire(last); });
  };
  for (auto& file : files_) {
    if (file->path_ != path || file->store_ != &store) continue;
    if (file->retired_) {
      file->retired_ = false;
      auto shared = share(file.get());
      file->shared_ = shared;
      return shared;
    }
    if (auto shared = file->shared_.lock()) return shared;
  }
  WEIR_RETURN_IF_ERROR(check_path(path));
  // A file outlives the logger that is built with it.
  const stats::Noting for_ever(store, nullptr);
  std::unique_ptr<LogFile> file(new LogFile(*this, path, store));
  auto shared = share(file.get());
  file->shared_ = shared;
  files_.push_back(std::move(file));
  return shared;
}

Status LogWriter::open_all() {
  {
    std::lock_guard lock(mutex_);
    for (auto& file : files_) {
      if (file->opened_) continue;
      WEIR_RETURN_IF_ERROR(file->open());
      file->opened_ = true;
      file->due_ = mono_now() + Duration(interval_ns_.load(std::memory_order_relaxed));
    }
    if (files_.empty()) return absl::OkStatus();
    start();
  }
  wake();
  return absl::OkStatus();
}

void LogWriter::retire(LogFile* file) {
  {
    std::lock_guard lock(mutex_);
    if (!file->opened_) {
      std::erase_if(files_, [file](const auto& entry) { return entry.get() == file; });
      return;
    }
    file->retired_ = true;
    file->retired_at_ = mono_now();
  }
  wake();
}

void LogWriter::set_flush_interval(Duration interval) {
  interval_ns_.store(std::max<int64_t>(interval.count(), Duration(1ms).count()), std::memory_order_relaxed);
  wake();
}

void LogWriter::reopen() {
  {
    std::lock_guard lock(mutex_);
    for (auto& file : files_) file->reopen_wanted_ = file->opened_;
  }
  wake();
}

void LogWriter::give_files(uid_t user, gid_t group) {
  std::lock_guard lock(mutex_);
  for (auto& file : files_) {
    if (file->opened_ && file->owns_fd_) log::give_own_file(file->fd_, user, group);
  }
}

bool LogWriter::flush(Duration patience) {
  std::unique_lock lock(mutex_);
  if (!thread_.joinable()) return true;
  uint64_t mine = ++flush_wanted_;
  wake();
  return flushed_.wait_for(lock, patience, [&] { return flush_done_ >= mine; });
}

bool LogWriter::stop(Duration patience) {
  bool all = flush(patience);
  if (!thread_.joinable()) return all;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
  thread_ = std::thread();
  stopping_ = false;
  return all;
}

// One byte of work at most per 64 KiB of lines: an eventfd never blocks here.
void LogWriter::wake() {
  int fd = wake_fd_.load(std::memory_order_acquire);
  uint64_t one = 1;
  if (fd >= 0) [[maybe_unused]]
    ssize_t ignored = write(fd, &one, sizeof(one));
}

void LogWriter::start() {
  if (thread_.joinable()) return;
  if (wake_fd_.load() < 0) {
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    WEIR_CHECK(fd >= 0);
    wake_fd_.store(fd, std::memory_order_release);
  }
  // Signals are for main; a reader that goes away is an error of the write, not the end of the process.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "weir:log");
}

int LogWriter::wait_ms(MonoTime now) const {
  Duration wait = std::chrono::hours(1);
  for (const LogFile* file : serving_) {
    if (!file->blocked_) wait = std::min(wait, file->due_ - now);
  }
  return static_cast<int>(std::clamp<int64_t>((wait.count() + 999'999) / 1'000'000, 0, 3'600'000));
}

void LogWriter::wait_for_work(MonoTime now) {
  std::vector<pollfd> waits{{wake_fd_.load(), POLLIN, 0}};
  for (const LogFile* file : serving_) {
    if (file->blocked_) waits.push_back({file->fd_, POLLOUT, 0});
  }
  poll(waits.data(), waits.size(), wait_ms(now));
  uint64_t count;
  [[maybe_unused]] ssize_t ignored = read(waits[0].fd, &count, sizeof(count));
}

// False: something is left that cannot be written now.
bool LogWriter::serve(LogFile& file, MonoTime now, bool forced) {
  Duration interval(interval_ns_.load(std::memory_order_relaxed));
  if (file.terminal_) interval = std::min<Duration>(interval, 1s);
  file.due_ = std::min(file.due_, now + interval);  // it may have become shorter
  bool due = now >= file.due_;
  bool announced = file.announced_.exchange(false, std::memory_order_acquire);
  if (!due && !announced && !forced && !file.blocked_) return true;
  if (due && !announced && !file.blocked_ && file.has_data()) file.counters_.flushed_by_timer.inc();
  file.blocked_ = !file.drain();
  file.due_ = now + interval;
  return !file.blocked_;
}

void LogWriter::run() {
  while (true) {
    wait_for_work(mono_now());
    MonoTime now = mono_now();
    uint64_t wanted;
    bool forced, stopping;
    std::vector<LogFile*> reopening, retired;
    {
      std::lock_guard lock(mutex_);
      serving_.clear();
      for (auto& file : files_) {
        if (!file->opened_) continue;
        serving_.push_back(file.get());
        if (std::exchange(file->reopen_wanted_, false)) reopening.push_back(file.get());
        if (file->retired_) retired.push_back(file.get());
      }
      wanted = flush_wanted_;
      forced = wanted != flush_done_;
      stopping = stopping_;
    }
    bool all = true;
    for (LogFile* file : serving_) {
      bool leaving = std::find(retired.begin(), retired.end(), file) != retired.end();
      bool renewed = std::find(reopening.begin(), reopening.end(), file) != reopening.end();
      all = serve(*file, now, forced || leaving || renewed) && all;
      if (renewed) {
        file->reopen();
        file->blocked_ = false;
      }
    }
    std::lock_guard lock(mutex_);
    for (LogFile* file : retired) {
      // Taken up again meanwhile (and perhaps let go again with a new line in it), or not written yet.
      bool give_up = stopping || now - file->retired_at_ >= kRetiredPatience;
      if (!file->retired_ || (file->has_data() && !give_up)) continue;
      std::erase(serving_, file);
      std::erase_if(files_, [file](const auto& entry) { return entry.get() == file; });
    }
    if (all && forced) {
      flush_done_ = wanted;
      flushed_.notify_all();
    }
    if (stopping) {
      serving_.clear();
      return;
    }
  }
}

}  // namespace weir::stream
