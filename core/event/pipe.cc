#include "core/event/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/event/lane.h"

namespace weir::event {
namespace {
constexpr unsigned kFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
}

Pipe::~Pipe() {
  ::close(read_end_);
  ::close(write_end_);
}

ssize_t Pipe::fill(int socket, size_t bytes) {
  const ssize_t n = splice(socket, nullptr, write_end_, nullptr, bytes, kFlags);
  if (n > 0) bytes_ += static_cast<size_t>(n);
  return n;
}

ssize_t Pipe::drain(int socket, size_t bytes) {
  const ssize_t n = splice(read_end_, nullptr, socket, nullptr, bytes, kFlags);
  if (n > 0) bytes_ -= static_cast<size_t>(n);
  return n;
}

PipePool::~PipePool() {
  WEIR_ASSERT(used_ == 0);
  for (Pipe* pipe : free_) delete pipe;
}

Pipe* PipePool::take() {
  if (used_ >= kMaxUsed) return nullptr;
  ++used_;
  if (!free_.empty()) {
    Pipe* pipe = free_.back();
    free_.pop_back();
    return pipe;
  }
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
    --used_;
    return nullptr;
  }
  (void)fcntl(ends[1], F_SETPIPE_SZ, kBytes);  // best effort: a small one works, too
  return new Pipe(*this, ends);
}

void PipePool::take_back(Block* block) {
  auto* pipe = static_cast<Pipe*>(block);
  --used_;
  if (pipe->place_ != nullptr) {
    *pipe->place_ = nullptr;
    lane_.at_next_turn(*pipe->reader_);
    pipe->tell(nullptr, nullptr);
  }
  if (pipe->bytes_ == 0 && free_.size() < kMaxFree) {
    free_.push_back(pipe);
  } else {
    delete pipe;
  }
}

}  // namespace weir::event
