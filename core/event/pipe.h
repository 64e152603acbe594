// Bytes that pass from one socket to another without coming into this process: splice(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/block.h"

namespace weir::event {

class EndOfTurn;
class Lane;

// A pipe of the kernel, as the block of unseen slices. It takes what one read brings and is not filled again before all
// of that has been sent: a pipe that is full and a socket that is empty look the same to splice().
class Pipe final : public Block {
 public:
  // Into the pipe, out of `socket`: what it has, at most `bytes`. As splice(): 0 is the socket's end, -1 with errno.
  ssize_t fill(int socket, size_t bytes);
  // The other way, at most `bytes` of what is in it.
  ssize_t drain(int socket, size_t bytes);
  // Into memory, for a reader that turned out to need them there. As read().
  ssize_t take(char* to, size_t bytes);
  // `place` becomes nullptr, and `reader` has work at the next turn, when the pipe is empty or given up. nullptr,
  // nullptr: nobody waits any more.
  void tell(Pipe** place, EndOfTurn* reader) {
    place_ = place;
    reader_ = reader;
  }

 private:
  friend class PipePool;
  Pipe(BlockOwner& owner, const int (&ends)[2]) : Block(owner, 0), read_end_(ends[0]), write_end_(ends[1]) {}
  ~Pipe();

  const int read_end_;
  const int write_end_;
  size_t bytes_ = 0;
  Pipe** place_ = nullptr;
  EndOfTurn* reader_ = nullptr;
};

// The pipes of one lane. A pipe is used again only if it was emptied. [worker]
class PipePool final : private BlockOwner {
 public:
  // What a pipe is asked to hold, and the least that is worth one: the kernel gives less to users who have many.
  static constexpr int kBytes = 1024 * 1024;
  static constexpr int kLeastBytes = 64 * 1024;
  static constexpr size_t kMaxFree = 16;
  // Each costs two descriptors.
  static constexpr size_t kMaxUsed = 512;

  explicit PipePool(Lane& lane) : lane_(lane) {}
  ~PipePool();
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;

  // nullptr: there are no more, here or in the system.
  Pipe* take();
  size_t used() const { return used_; }
  size_t free() const { return free_.size(); }

 private:
  void take_back(Block* block) override;
  Pipe* make();

  Lane& lane_;
  std::vector<Pipe*> free_;
  size_t used_ = 0;
  size_t most_ = kMaxUsed;  // less after the system has refused one, until half of them are back
};

}  // namespace weir::event
