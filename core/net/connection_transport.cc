// The half of a Connection that has a transport: the handshake, and bytes that pass through it.
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/net/connection.h"
#include "core/net/transport.h"

namespace weir::net {

// What is taken out of a transport, and given to it, at once: small enough for the caches, and large enough for few
// system calls.
constexpr size_t kAtOnce = 64 * 1024;
// Of an orderly end that was asked for during a handshake, where the caller set no limit.
constexpr Duration kHandshakeStall = 10s;

void Connection::set_transport(std::unique_ptr<Transport> transport) {
  WEIR_ASSERT(transport_ == nullptr && out_.empty() && pipe_ == nullptr);
  transport_ = std::move(transport);
  unseen_allowed_ = false;
  if (fd_ < 0) return;
  transport_->wire_in_.append_all(in_);
  // What was told of the socket's end was not the end of what the transport carries.
  transport_->socket_ended_ = peer_ended_;
  peer_ended_ = end_delivered_ = false;
  if (deaf_) tell_input(true);
  if (!connecting_) lane_.at_end_of_turn(*this);
}

bool Connection::handshaking() const { return transport_ != nullptr && transport_->handshaking_; }

bool Connection::transport_has_input() const {
  return transport_->input_inside_ || (transport_->socket_ended_ && !peer_ended_);
}

bool Connection::transport_cut_off() const { return transport_->truncated(); }

size_t Connection::unsent_of_transport() const { return transport_->wire_out_.size(); }

// As far as the input allows.
void Connection::shake_hands() {
  Transport& transport = *transport_;
  if (!transport.attached_) {
    transport.attached_ = true;
    transport.on_attached(*this);
  }
  while (true) {
    switch (transport.handshake()) {
      case Transport::Step::kDone:
        return end_handshake();
      case Transport::Step::kFailed:
        return fail_transport();
      case Transport::Step::kLater:
        return;
      case Transport::Step::kNeedInput:
        break;
    }
    if (transport.socket_ended_) {
      transport.on_socket_end();
      peer_ended_ = true;
      return close(closing() ? CloseReason::kLocal : CloseReason::kRemote);
    }
    if (!readable_) return;
    const ssize_t n = read_into_blocks(transport.wire_in_);
    if (n == 0 && !was_reset_) {
      readable_ = false;
      transport.socket_ended_ = true;
    } else if (n < 0 && errno == EAGAIN) {
      return input_is_over();
    } else if (n == 0 || (n < 0 && errno != EINTR)) {
      transport.on_socket_end();
      return close(closing() ? CloseReason::kLocal : CloseReason::kReset);
    }
  }
}

void Connection::end_handshake() {
  Transport& transport = *transport_;
  transport.handshaking_ = false;
  transport.input_inside_ = true;  // for all that is known
  read_blocks_ &= static_cast<uint8_t>(~static_cast<uint8_t>(ReadBlock::kConnecting));
  // Somebody who has closed hears of nothing but the end.
  if (closing()) return discard_input();
  in_handler_ = true;
  handler_->on_connected();
  in_handler_ = false;
  const uint64_t before = bytes_read_;
  read_through();
  // A client whose last flight nobody answers holds back its request until that is acknowledged (RFC 9293 3.7.4), which
  // the kernel would put off for 40 ms in the hope of an answer. Most servers send session tickets at once; ours travel
  // with the first response, which saves a call. Whose request has come with it waits for the answer anyway.
  if (fd_ >= 0 && !opened_here_ && bytes_read_ == before && remote_.is_ip()) {
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
  }
}

void Connection::read_through() {
  Transport& transport = *transport_;
  if (transport.handshaking_) {
    if (connecting_) return;
    shake_hands();
    return flush_later();
  }
  size_t budget = kReadBudget;
  while (read_blocks_ == 0 && !reads_held_ && fd_ >= 0 && !peer_ended_) {
    if (transport.input_inside_) {
      if (!take_through(budget)) return;
      continue;
    }
    if (transport.socket_ended_) {
      transport.on_socket_end();
      return end_input();
    }
    if (!readable_) return;
    const ssize_t n = read_into_blocks(transport.wire_in_);
    if (n > 0) {
      transport.input_inside_ = true;
    } else if (n == 0 && !was_reset_) {
      readable_ = false;
      transport.socket_ended_ = true;
    } else if (n < 0 && errno == EAGAIN) {
      return input_is_over();
    } else if (n == 0 || errno != EINTR) {
      return close(CloseReason::kReset);
    }
  }
}

// One helping for the handler. False: no more of it this turn.
bool Connection::take_through(size_t& budget) {
  Transport& transport = *transport_;
  const size_t before = in_.size();
  const Transport::Read result = transport.read(in_, std::min(budget, kAtOnce));
  const size_t taken = in_.size() - before;
  bytes_read_ += taken;
  transport.input_inside_ = result == Transport::Read::kMore;
  if (!transport.wire_out_.empty() || !out_.empty()) flush_later();
  if (result == Transport::Read::kEnded) {
    end_input();
    return false;
  }
  if (taken > 0) deliver(false);
  if (result == Transport::Read::kFailed) {
    if (fd_ >= 0) fail_transport();
    return false;
  }
  if (taken < budget) {
    budget -= taken;
    return true;
  }
  if (fd_ >= 0 && (readable_ || transport_has_input())) {
    redeliver_ = true;
    lane_.at_next_turn(*this);
  }
  return false;
}

void Connection::end_input() {
  peer_ended_ = true;
  deliver(true);
  const bool unused = read_before_reset_ && (read_blocks_ != 0 || !in_.empty());
  if (errored_ && fd_ >= 0 && !unused) close(CloseReason::kReset);
}

// False: the connection is at its end, or has nothing to say now.
bool Connection::write_through(bool& progress) {
  Transport& transport = *transport_;
  if (fd_ < 0 || connecting_) return false;
  if (transport.handshaking_ && closing()) {
    if (out_.empty()) {
      reset_at_end_ ? reset() : close(CloseReason::kLocal);
      return false;
    }
    if (stall_ == Duration::zero() && linger_timer_ == nullptr) arm_linger(kHandshakeStall);
  }
  while (writable_) {
    if (!transport.handshaking_ && !out_.empty() && transport.wire_out_.size() < kAtOnce) {
      see_unseen();
      const size_t before = out_.size();
      const bool alive = transport.write(out_, kAtOnce);
      bytes_written_ += before - out_.size();
      if (!alive) {
        fail_transport();
        return false;
      }
    }
    // Its last words travel with the last bytes.
    const bool last = half_close_ || (closing() && !reset_at_end_ && linger_ == Duration::zero());
    if (last && !transport.handshaking_ && !transport.shut_ && out_.empty()) {
      transport.shut_ = true;
      transport.shut();
    }
    if (transport.wire_out_.empty()) break;
    if (!send_wire(progress)) return false;
  }
  return true;
}

// What of wire_out() the socket takes now. False: none, ever again.
bool Connection::send_wire(bool& progress) {
  Slices& wire = transport_->wire_out_;
  size_t offered = 0;
  const ssize_t n = send_slices(wire, offered);
  if (n < 0) {
    if (errno == EINTR) return true;
    writable_ = false;
    if (errno == EAGAIN) return true;
    on_write_failed();
    return false;
  }
  progress = true;
  wire.drop_front(static_cast<size_t>(n));
  if (static_cast<size_t>(n) < offered) writable_ = false;
  return true;
}

// A transport needs the bytes: those that are in a pipe of the kernel are fetched.
void Connection::see_unseen() {
  size_t unseen = 0;
  for (size_t i = 0; i < out_.slice_count(); ++i) unseen += out_.at(i).unseen() ? 1 : 0;
  if (unseen == 0) return;
  Slices seen;
  while (!out_.empty()) {
    const Slice& front = out_.front();
    if (!front.unseen()) {
      out_.move_front(front.size, seen);
      continue;
    }
    BlockRef block = lane_.blocks().take();
    const ssize_t n = static_cast<event::Pipe*>(front.block.get())
                          ->take(block->data(), std::min<size_t>(front.size, block->capacity()));
    if (WEIR_BUG(n <= 0)) {
      out_.clear();
      break;
    }
    block->set_used(static_cast<size_t>(n));
    const char* data = block->data();
    seen.append(Slice(std::move(block), data, static_cast<size_t>(n)));
    out_.drop_front(static_cast<size_t>(n));
  }
  out_ = std::move(seen);
}

void Connection::leave_end_unsaid() { transport_->shut_ = true; }

// The last words, as far as the socket takes them at once. A message that was cut off must not look complete.
void Connection::close_transport(CloseReason reason) {
  Transport& transport = *transport_;
  const bool orderly = reason == CloseReason::kLocal || reason == CloseReason::kRemote;
  if (orderly && !transport.handshaking_ && !transport.failed_ && !transport.shut_ && !was_reset_ && writable_ &&
      out_.empty() && transport.wire_out_.empty()) {
    transport.shut_ = true;
    transport.shut();
    size_t offered = 0;
    if (!transport.wire_out_.empty()) send_slices(transport.wire_out_, offered);
  }
  transport.input_inside_ = false;
  transport.wire_in_.clear();
  transport.wire_out_.clear();
}

// What the transport has to say of it goes out first, and is not lost to a reset because of input that nobody read.
void Connection::fail_transport() {
  Transport& transport = *transport_;
  transport.failed_ = true;
  size_t offered = 0;
  if (writable_ && !transport.wire_out_.empty()) send_slices(transport.wire_out_, offered);
  char thrown_away[4096];
  for (int round = 0; round < 16; ++round) {
    if (recv(fd_, thrown_away, sizeof(thrown_away), 0) <= 0) break;
  }
  close(closing() ? CloseReason::kLocal : CloseReason::kTransportFailed);
}

void Connection::end_turn_with_transport() {
  if (transport_->handshaking_) {
    redeliver_ = redeliver_next_turn_ = false;  // the end of the handshake delivers
    if (!connecting_ && fd_ >= 0) shake_hands();
    if (fd_ >= 0) write_queued();
    return;
  }
  if (put_off_to_next_turn()) return;
  if (redeliver_) {
    redeliver_ = false;
    if (read_blocks_ == 0 && (has_input() || end_delivered_)) deliver(false);
    if (read_blocks_ == 0 && fd_ >= 0) read_through();
  }
  if (fd_ >= 0) write_queued();
}

}  // namespace weir::net
