#include "core/net/connection.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/log.h"
#include "core/net/transport.h"

namespace weir::net {

using event::Lane;

constexpr int kMaxIovecs = 16;
constexpr uint8_t kSmallReadsToShrink = 8;
// Less is cheaper to copy than to take through a pipe.
constexpr uint64_t kUnseenFrom = 64 * 1024;
// Thousands of them are idle; a transport is a pointer.
static_assert(sizeof(Connection) <= 368);

Connection::Connection(Lane& lane, int fd, const Address& remote) : lane_(lane), fd_(fd), remote_(remote) {}

namespace {

// Every connection to the host fails in the same way: one line for many.
void tell_unbound(Lane& lane, const Status& status) {
  static thread_local MonoTime silent_until{};
  if (lane.now() < silent_until) return;
  silent_until = lane.now() + 10s;
  WEIR_LOG(kWarning, "net", "%s", message_of(status).c_str());
}

}  // namespace

Connection::Connection(Lane& lane, const Address& remote, const BindOptions& bind) : lane_(lane), remote_(remote) {
  connecting_ = opened_here_ = true;
  block_read(ReadBlock::kConnecting);
  sockaddr_storage storage;
  socklen_t length = remote.to_sockaddr(storage);
  fd_ = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  bool failed = fd_ < 0;
  if (!failed && remote.is_ip()) {
    int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!bind.empty()) [[unlikely]] {
      const Status bound = bind_towards(fd_, remote, SocketOption::Kind::kStream, bind, bind.source);
      if (!bound.ok()) {
        failed = true;
        tell_unbound(lane, bound);
      }
    }
  }
  if (!failed && connect(fd_, reinterpret_cast<sockaddr*>(&storage), length) != 0 && errno != EINPROGRESS)
    failed = true;
  if (failed) {
    // Reported like a failure that takes time: never from inside the constructor.
    wants_close_ = true;
    close_reason_ = CloseReason::kConnectFailed;
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    lane_.at_end_of_turn(*this);
  }
}

Connection::~Connection() {
  forget_pipe();
  if (fd_ >= 0) ::close(fd_);
}

void Connection::start(bool read_now) {
  if (fd_ < 0) return;
  lane_.poller().add(fd_, *this, order());
  if (read_now && !connecting_) {
    readable_ = true;
    read_some();
  }
}

const Address& Connection::local() {
  if (local_.empty() && fd_ >= 0) {
    sockaddr_storage storage;
    socklen_t length = sizeof(storage);
    if (getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &length) == 0) {
      local_ = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
    }
  }
  return local_;
}

void Connection::on_ready(uint32_t ready) {
  if (fd_ < 0) return;
  if (connecting_) {
    finish_connect(ready);
    if (fd_ < 0 || connecting_) return;
  }
  if (ready & (event::kPeerClosed | event::kHangUp | event::kError)) hung_up_ = true;
  if (ready & event::kError) errored_ = true;
  if ((ready & event::kWritable) && !writable_) {
    writable_ = true;
    if (unsent() > 0 || half_close_) flush_later();
  }
  if (ready & (event::kReadable | event::kPeerClosed | event::kHangUp | event::kError)) {
    // Input that is not read yet is not news: more of it would wake us for nothing.
    if (readable_ && !deaf_ && !hung_up_ && (pipe_ != nullptr || (read_blocks_ != 0 && !closing()))) tell_input(false);
    readable_ = true;
    if (read_blocks_ == 0 || waits_for_handshake()) {
      read_some();
    } else if (closing()) {
      discard_input();
    } else if (((ready & event::kError) || ((ready & event::kHangUp) && !fin_sent_)) && !read_before_reset_) {
      // Paused by us, but the peer is gone altogether: the handler learns of it now, not when it resumes. (Where both
      // sides have sent all that they will, the kernel says hang-up, too.)
      close(CloseReason::kReset);
    }
  }
}

void Connection::finish_connect(uint32_t ready) {
  if (!(ready & (event::kWritable | event::kHangUp | event::kError))) return;
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0 || (ready & event::kHangUp)) {
    close(CloseReason::kConnectFailed);
    return;
  }
  connecting_ = false;
  if (transport_ != nullptr) return read_through();
  read_blocks_ &= static_cast<uint8_t>(~static_cast<uint8_t>(ReadBlock::kConnecting));
  in_handler_ = true;
  handler_->on_connected();
  in_handler_ = false;
  if (!out_.empty()) flush_later();
}

// Into blocks, behind what waits in `to`. As recv().
ssize_t Connection::read_into_blocks(Slices& to) {
  iovec vectors[kMaxIovecs];
  BlockRef spill[kMaxIovecs];
  // Input that waits for more is nearly always the beginning of a message: continue in its own block if it has room.
  BlockRef first;
  if (!to.empty() && to.back().block && !to.back().unseen() && to.back().block->room() >= 1024 &&
      to.back().data + to.back().size == to.back().block->data() + to.back().block->used()) {
    first = to.back().block;
  } else {
    lane_.read_block();
    first = lane_.read_block_ref();
  }
  size_t first_offset = first->used();
  vectors[0] = {first->data() + first_offset, first->room()};
  size_t capacity = vectors[0].iov_len;
  int count = 1;
  for (; count < read_depth_; ++count) {
    spill[count] = lane_.blocks().take();
    vectors[count] = {spill[count]->data(), spill[count]->capacity()};
    capacity += vectors[count].iov_len;
  }
  ssize_t n = count == 1 ? recv(fd_, vectors[0].iov_base, vectors[0].iov_len, 0) : readv(fd_, vectors, count);
  if (n <= 0) return n;
  size_t left = static_cast<size_t>(n);
  for (int i = 0; left > 0; ++i) {
    BlockRef& block = i == 0 ? first : spill[i];
    size_t here = std::min(left, vectors[i].iov_len);
    block->set_used(block->used() + here);
    to.append(Slice(block, static_cast<const char*>(vectors[i].iov_base), here));
    left -= here;
  }
  if (static_cast<size_t>(n) < capacity) {
    // A short read means that the socket is empty, unless the end is waiting behind the bytes.
    if (!hung_up_) input_is_over();
    if (read_depth_ > 1) {
      // Messages a little larger than a block are common: one that is small does not mean that the next is.
      small_reads_ = static_cast<size_t>(n) < capacity / 4 ? small_reads_ + 1 : 0;
      if (small_reads_ == kSmallReadsToShrink) {
        small_reads_ = 0;
        read_depth_ /= 2;
      }
    }
  } else if (read_depth_ < kMaxIovecs) {
    read_depth_ *= 2;
    small_reads_ = 0;
  }
  return n;
}

uint64_t Connection::unseen_input() {
  const uint64_t left = handler_->unseen_input();
  return left >= in_.size() + kUnseenFrom ? left - in_.size() : 0;
}

// Into a pipe; into blocks if there is none.
ssize_t Connection::read_into_pipe(uint64_t bytes) {
  BlockRef block(lane_.pipes().take());
  if (!block) return read_into_blocks(in_);
  auto* pipe = static_cast<event::Pipe*>(block.get());
  const uint64_t most = std::min<uint64_t>(std::max<uint64_t>(high_watermark_, kUnseenFrom), event::PipePool::kBytes);
  const ssize_t n = pipe->fill(fd_, static_cast<size_t>(std::min(bytes, most)));
  if (n <= 0) {
    const int error = errno;
    block = {};  // calls the system, perhaps
    errno = error;
    return n;
  }
  in_.append(Slice(block, nullptr, static_cast<size_t>(n)));
  pipe_ = pipe;
  pipe->tell(&pipe_, this);
  return n;
}

void Connection::forget_pipe() {
  if (pipe_ != nullptr) pipe_->tell(nullptr, nullptr);
  pipe_ = nullptr;
}

void Connection::read_some() {
  if (transport_ != nullptr) [[unlikely]]
    return read_through();
  size_t budget = kReadBudget;
  while (readable_ && read_blocks_ == 0 && !reads_held_ && fd_ >= 0) {
    const uint64_t unseen = unseen_allowed_ ? unseen_input() : 0;
    if (unseen > 0 && pipe_ != nullptr) return;  // goes on when it is empty
    const ssize_t n = unseen > 0 ? read_into_pipe(unseen) : read_into_blocks(in_);
    if (n < 0) {
      if (errno == EAGAIN) {
        input_is_over();
        return;
      }
      if (errno == EINTR) continue;
      close(CloseReason::kReset);
      return;
    }
    if (n == 0 && was_reset_) {
      close(CloseReason::kReset);
      return;
    }
    if (n == 0) {
      readable_ = false;
      peer_ended_ = true;
      deliver(true);
      // It has reset behind its end, which no read says. What an upstream said before that is still to be used.
      const bool unused = read_before_reset_ && (read_blocks_ != 0 || !in_.empty());
      if (errored_ && fd_ >= 0 && !unused) close(CloseReason::kReset);
      return;
    }
    bytes_read_ += static_cast<uint64_t>(n);
    deliver(false);
    if (static_cast<size_t>(n) >= budget) {
      if (readable_ && fd_ >= 0) {
        redeliver_ = true;
        lane_.at_next_turn(*this);
      }
      return;
    }
    budget -= static_cast<size_t>(n);
  }
}

void Connection::input_is_over() {
  readable_ = false;
  if (deaf_) tell_input(true);
}

void Connection::tell_input(bool told) {
  deaf_ = !told;
  lane_.poller().tell_input(fd_, *this, order(), told);
}

void Connection::deliver(bool end) {
  if (end) {
    if (end_delivered_) return;
    end_delivered_ = true;
  }
  in_handler_ = true;
  handler_->on_data(in_, end);
  in_handler_ = false;
}

void Connection::unblock_read(ReadBlock reason) {
  auto bit = static_cast<uint8_t>(reason);
  if ((read_blocks_ & bit) == 0) return;
  read_blocks_ &= static_cast<uint8_t>(~bit);
  if (read_blocks_ == 0 && fd_ >= 0 &&
      (readable_ || has_input() || (peer_ended_ && !end_delivered_) || input_in_transport()))
    deliver_again();
}

void Connection::hold_reads(bool hold) {
  if (reads_held_ == hold) return;
  reads_held_ = hold;
  if (!hold && (readable_ || input_in_transport())) deliver_again();
}

void Connection::deliver_again() {
  if (redeliver_ || fd_ < 0) return;
  redeliver_ = true;
  lane_.at_end_of_turn(*this);
}

void Connection::deliver_next_turn() {
  if (fd_ < 0) return;
  redeliver_next_turn_ = true;
  lane_.at_end_of_turn(*this);
}

// After the handler has closed: what the peer still sends is thrown away, until it ends or the linger time is over.
void Connection::discard_input() {
  in_.clear();
  for (int round = 0; round < 16; ++round) {
    Block& block = lane_.read_block();
    ssize_t n = recv(fd_, block.data(), block.capacity(), 0);
    if (n > 0) continue;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    // Behind its end the peer may have reset, which no read says: then nobody takes what is still to be sent.
    if ((out_.empty() && !reset_at_end_) || n < 0 || errored_) {
      close(CloseReason::kLocal);
    } else {
      peer_ended_ = true;
    }
    return;
  }
}

void Connection::flush() { write_queued(); }

void Connection::arm_linger(Duration after) {
  if (linger_timer_ == nullptr) linger_timer_ = std::make_unique<LingerTimer>(*this);
  lane_.arm_in(*linger_timer_, after);
}

// The slices in front, `offered` bytes, as far as the socket takes them. As sendmsg().
ssize_t Connection::send_slices(const Slices& from, size_t& offered) {
  iovec vectors[kMaxIovecs];
  const size_t most = std::min<size_t>(from.slice_count(), kMaxIovecs);
  size_t count = 0;
  for (; count < most && !from.at(count).unseen(); ++count) {
    const Slice& slice = from.at(count);
    vectors[count] = {const_cast<char*>(slice.data), slice.size};
    offered += slice.size;
  }
  if (count == 1) return send(fd_, vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL);
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = count;
  return sendmsg(fd_, &message, MSG_NOSIGNAL);
}

// What it takes of a pipe says nothing about how much more it would take: only a refusal does.
ssize_t Connection::send_unseen() {
  const Slice& slice = out_.front();
  return static_cast<event::Pipe*>(slice.block.get())->drain(fd_, slice.size);
}

void Connection::on_write_failed() {
  // The peer may have answered before it closed: what it sent is read before the failure is reported.
  writable_ = false;
  was_reset_ = true;
  out_.clear();
  if (transport_ != nullptr) transport_->wire_out().clear();
  hung_up_ = true;
  if (closing()) {
    close(CloseReason::kLocal);
    return;
  }
  readable_ = true;
  if (read_blocks_ == 0 || waits_for_handshake()) {
    read_some();
  } else if (read_before_reset_) {
    return;  // unblock_read() reads what there is, and finds the reset behind it
  }
  if (fd_ >= 0) close(CloseReason::kReset);
}

// False: it failed, and that is dealt with.
[[gnu::always_inline]] inline bool Connection::write_as_it_is(bool& progress) {
  while (!out_.empty() && writable_ && fd_ >= 0 && !connecting_) {
    size_t offered = 0;
    const ssize_t n = out_.front().unseen() ? send_unseen() : send_slices(out_, offered);
    if (n < 0) {
      if (errno == EINTR) continue;
      writable_ = false;
      if (errno == EAGAIN) break;
      on_write_failed();
      return false;
    }
    bytes_written_ += static_cast<uint64_t>(n);
    progress = true;
    out_.drop_front(static_cast<size_t>(n));
    if (static_cast<size_t>(n) < offered) {
      writable_ = false;
      break;
    }
  }
  return true;
}

void Connection::write_queued() {
  bool progress = false;
  if (transport_ != nullptr) {
    if (!write_through(progress)) return;
  } else if (!write_as_it_is(progress)) {
    return;
  }
  check_watermarks();
  if (fd_ < 0 || connecting_) return;
  if (unsent() > 0) {
    // A peer that takes nothing of the last bytes does not hold the connection for ever.
    if (closing() && stall_ > Duration::zero() && (progress || linger_timer_ == nullptr)) arm_linger(stall_);
    return;
  }
  if (half_close_ && !fin_sent_ && !waits_for_handshake()) {
    fin_sent_ = true;
    shutdown(fd_, SHUT_WR);
  }
  if (closing() && reset_at_end_) {
    if (!lingering_) {
      lingering_ = true;
      reset_when_taken();
    }
    return;
  }
  if (closing()) {
    if (linger_ == Duration::zero() || peer_ended_) {
      close(CloseReason::kLocal);
    } else if (!lingering_) {
      lingering_ = true;
      arm_linger(linger_);
      discard_input();
    }
    return;
  }
  if (notify_drained_) {
    notify_drained_ = false;
    handler_->on_drained();
  }
}

void Connection::check_watermarks() {
  if (closed_reported_ || closing()) return;
  // Whoever reads into a pipe goes on when it is empty: that is as full as it gets.
  const auto stuck = [this] { return !writable_ && !out_.empty() && out_.front().unseen(); };
  // size() first: only a queue that could be large is worth the walk over its blocks.
  if (!above_high_) {
    if (!(out_.size() > low_watermark_ / 2 && out_.retained() > high_watermark_) && !stuck()) return;
    above_high_ = true;
    handler_->on_above_high_watermark();
  } else if ((out_.size() <= low_watermark_ / 2 || out_.retained() <= low_watermark_) && !stuck()) {
    above_high_ = false;
    handler_->on_below_low_watermark();
  }
}

void Connection::on_end_of_turn() {
  if (wants_close_) {
    wants_close_ = false;
    if (!closed_reported_) {
      closed_reported_ = true;
      handler_->on_closed(close_reason_);
    }
    return;
  }
  if (transport_ != nullptr) return end_turn_with_transport();
  if (put_off_to_next_turn()) return;
  if (redeliver_ || (unseen_allowed_ && readable_ && pipe_ == nullptr)) {
    redeliver_ = false;
    if (read_blocks_ == 0 && (has_input() || end_delivered_)) deliver(false);
    if (read_blocks_ == 0 && fd_ >= 0 && readable_) read_some();
    if (read_blocks_ == 0 && fd_ >= 0 && peer_ended_ && !end_delivered_) deliver(true);
  }
  if (fd_ >= 0) write_queued();
}

// True: what is left over is delivered then, as the handler has asked.
bool Connection::put_off_to_next_turn() {
  if (!redeliver_next_turn_) return false;
  redeliver_next_turn_ = false;
  if (fd_ < 0) return true;
  write_queued();
  redeliver_ = true;
  lane_.at_next_turn(*this);
  return true;
}

void Connection::close(CloseReason reason) {
  if (fd_ < 0) return;
  if (transport_ != nullptr) close_transport(reason);
  ::close(fd_);
  fd_ = -1;
  linger_timer_.reset();
  forget_pipe();
  out_.clear();
  in_.clear();
  close_reason_ = reason;
  wants_close_ = true;
  lane_.at_end_of_turn(*this);
}

void Connection::reset() {
  if (fd_ < 0) return;
  linger option{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &option, sizeof(option));
  if (transport_ != nullptr) leave_end_unsaid();
  close(CloseReason::kLocal);
}

void Connection::reset_after_flush(Duration stall) {
  if (fd_ < 0 || closing()) return;
  reset_at_end_ = true;
  close_after_flush(Duration::zero(), stall);
}

void Connection::on_linger_over() {
  if (!reset_at_end_) {
    close(CloseReason::kLocal);
  } else if (unsent() > 0) {
    reset();
  } else {
    reset_when_taken();
  }
}

// No event tells when the peer has everything.
void Connection::reset_when_taken() {
  constexpr Duration kLookAgain = 10ms;
  int untaken = 0;
  if (ioctl(fd_, SIOCOUTQ, &untaken) != 0 || untaken == 0) {
    reset();
    return;
  }
  arm_linger(kLookAgain);
  if (untaken != std::exchange(linger_timer_->untaken, untaken)) {
    linger_timer_->give_up_at = lane_.now() + stall_;
  } else if (lane_.now() >= linger_timer_->give_up_at) {
    reset();
  }
}

void Connection::close_after_flush(Duration linger, Duration stall) {
  if (fd_ < 0 || closing()) return;
  block_read(ReadBlock::kClosing);
  if (deaf_) tell_input(true);              // what the peer still sends is read, and thrown away
  half_close_ = linger > Duration::zero();  // close() says the same without a call of its own
  linger_ = linger;
  stall_ = stall;
  flush_later();
}

void Connection::probe_peer() {
  constexpr int kSeconds = 10;
  constexpr int kOn = 1;
  if (fd_ < 0 || setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &kOn, sizeof(kOn)) != 0) return;
  // A Unix socket has no such options, and needs none: its peer cannot vanish.
  for (int option : {TCP_KEEPIDLE, TCP_KEEPINTVL}) setsockopt(fd_, IPPROTO_TCP, option, &kSeconds, sizeof(kSeconds));
}

void Connection::half_close() {
  half_close_ = true;
  flush_later();
}

}  // namespace weir::net
