#include "core/event/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

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

ssize_t Pipe::take(char* to, size_t bytes) {
  const ssize_t n = read(read_end_, to, bytes);
  if (n > 0) bytes_ -= static_cast<size_t>(n);
  return n;
}

PipePool::~PipePool() {
  WEIR_ASSERT(used_ == 0);
  for (Pipe* pipe : free_) delete pipe;
}

Pipe* PipePool::take() {
  Pipe* pipe = nullptr;
  if (!free_.empty()) {
    pipe = free_.back();
    free_.pop_back();
  } else if (used_ < most_) {
    pipe = make();
    if (pipe == nullptr) most_ = std::max<size_t>(used_, 1);  // one is always tried
  }
  if (pipe != nullptr) ++used_;
  return pipe;
}

Pipe* PipePool::make() {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
  if (fcntl(ends[1], F_SETPIPE_SZ, kBytes) < 0 && fcntl(ends[1], F_GETPIPE_SZ) < kLeastBytes) {
    ::close(ends[0]);
    ::close(ends[1]);
    return nullptr;
  }
  return new Pipe(*this, ends);
}

void PipePool::take_back(Block* block) {
  auto* pipe = static_cast<Pipe*>(block);
  --used_;
  if (used_ <= most_ / 2) most_ = kMaxUsed;
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
