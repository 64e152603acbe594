// A stream socket on its lane: reads are lent blocks of the lane, writes are queued as slices and sent once at the end
// of the turn, closing is orderly. Not for listening sockets or datagrams. An idle connection holds no buffer.
//
// With a transport (transport.h) the bytes of in() and out() are what it makes of those of the socket. A connection
// without one pays a null pointer.
#pragma once

#include <cstdint>
#include <memory>

#include "core/base/block.h"
#include "core/event/lane.h"
#include "core/net/address.h"
#include "core/net/socket.h"

namespace weir::net {

enum class CloseReason : uint8_t {
  kLocal,          // we closed it
  kRemote,         // the peer closed in order (FIN) and we have no more to say
  kReset,          // the peer reset it, or a write or read failed
  kConnectFailed,  // connect() was refused or unreachable
  kConnectTimeout,
  kTransportFailed,  // the transport socket (TLS) gave up
};

class Connection;
class Transport;

// What uses a connection. [worker] Calls never nest, and none comes after on_closed.
class ConnectionHandler {
 public:
  // Once, for connections that we open, before any data. With a transport: when its handshake is over, and then for
  // accepted ones, too. Who limits the time of a handshake starts a timer with it and stops that here.
  virtual void on_connected() {}
  // Many. Bytes are appended to `in`; the handler takes from its front and leaves what it cannot use yet. `end`: the
  // peer will send no more (with half-close the other direction goes on); reported once, possibly with no bytes.
  virtual void on_data(Slices& in, bool end) = 0;
  // Asked only after allow_unseen(): so many of the bytes to come, what is in in() included, nobody looks at. They go
  // to the out() of a connection that takes_unseen() and nowhere else.
  virtual uint64_t unseen_input() { return 0; }
  // The queue of unsent bytes grew beyond the high watermark / fell below the low one.
  virtual void on_above_high_watermark() {}
  virtual void on_below_low_watermark() {}
  // Everything written so far has been handed to the kernel (only if notify_when_drained() was called).
  virtual void on_drained() {}
  // Once, last. The connection is destroyed by its owner at the end of the turn.
  virtual void on_closed(CloseReason reason) = 0;

 protected:
  ~ConnectionHandler() = default;
};

// Why reading is stopped; reading goes on when no reason is left.
enum class ReadBlock : uint8_t {
  kHandler = 1,     // the handler is busy with what it has
  kWatermark = 2,   // the other side is slow
  kConnecting = 4,  // not connected yet, or in the handshake of a connection that we opened
  kClosing = 8,
  kRefused = 16,  // a filter does not let the peer go on
};

class Connection final : public event::Pollable, public event::EndOfTurn {
 public:
  // `fd` is a connected, non-blocking socket; owned from now on. Reading starts at the next turn or when start() is
  // called.
  Connection(event::Lane& lane, int fd, const Address& remote);
  // Starts a non-blocking connect; errors arrive as on_closed at a later turn. `bind` is read here and now, and only
  // for addresses of IP.
  Connection(event::Lane& lane, const Address& remote, const BindOptions& bind);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void set_handler(ConnectionHandler& handler) { handler_ = &handler; }
  // From now on bytes pass through it. What is in in() came from the socket and is its first input. At any time before
  // the first byte was appended to out(): before start(), or when the first bytes of the peer were looked at (then a
  // handler that is inside on_data() finds its `in` empty). The handshake begins once the socket is connected, at the
  // end of the turn; it goes on whatever blocks reading, but for closing.
  void set_transport(std::unique_ptr<Transport> transport);
  // nullptr: bytes are what they are. Stays when the connection is closed.
  Transport* transport() const { return transport_.get(); }
  bool handshaking() const;

  // Registers with the poller; accepted connections try a first read at once if `read_now`, because the request is
  // usually there already.
  void start(bool read_now);

  event::Lane& lane() { return lane_; }
  const Address& remote() const { return remote_; }
  // One getsockname() on first use.
  const Address& local();
  void set_local(const Address& address) { local_ = address; }
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  // Not to be used yet: on_connected() is still to come, for connections that we open.
  bool connecting() const { return (read_blocks_ & static_cast<uint8_t>(ReadBlock::kConnecting)) != 0; }

  // The queue of bytes to send. Append to it, then call flush_later().
  Slices& out() { return out_; }
  void flush_later() {
    if (fd_ >= 0) lane_.at_end_of_turn(*this);
  }
  // Sends what the socket takes now.
  void flush();
  size_t unsent() const { return out_.size() + (transport_ != nullptr ? unsent_of_transport() : 0); }
  void notify_when_drained() { notify_drained_ = true; }

  void block_read(ReadBlock reason) { read_blocks_ |= static_cast<uint8_t>(reason); }
  // Bytes that are waiting (in the socket or left over in the queue) are delivered at the next turn.
  void unblock_read(ReadBlock reason);
  bool read_blocked() const { return read_blocks_ != 0; }
  // While held, leftover input is delivered as ever, but nothing is read: for a handler that has not got to the end of
  // what it was given, or its backlog would grow with every turn.
  void hold_reads(bool hold);
  // Large input that nobody looks at may stay in the kernel: unseen_input() says how much. Not with a transport.
  void allow_unseen(bool allowed) { unseen_allowed_ = allowed && transport_ == nullptr; }
  // Whether out() may be given unseen slices. (Where it may not, they are read after all: slow, but whole.)
  bool takes_unseen() const { return transport_ == nullptr && !framed_; }
  // What its users write goes into frames with others' (HTTP/2): no unseen slices.
  void set_framed() { framed_ = true; }
  // Unconsumed input.
  Slices& in() { return in_; }
  // The handler keeps input of its own, taken from in(): it is called for that, too.
  void keeps_input(bool some) { handler_has_input_ = some; }
  // Hands leftover input to the handler again at the end of the turn (after it has become able to use it). If the end
  // was delivered before, the handler is called even without bytes: peer_ended() tells.
  void deliver_again();
  // The same at the next turn, for a handler that has had its share of this one.
  void deliver_next_turn();

  // For connections whose peer may say its last and reset: what came before the reset is delivered first, however long
  // reading is blocked. Otherwise a reset is reported at once.
  void read_before_reset() { read_before_reset_ = true; }

  void set_watermarks(uint32_t high, uint32_t low) {
    high_watermark_ = high;
    low_watermark_ = low;
  }
  bool above_high_watermark() const { return above_high_; }

  // Closes at once; unsent bytes are lost. on_closed(reason) follows at the end of the turn, once.
  void close(CloseReason reason = CloseReason::kLocal);
  // Sends what is queued, then FIN; then waits for the peer's FIN (discarding what it sends) up to `linger`, so that
  // the last bytes are not destroyed by a reset; then closes. A peer that takes no bytes for `stall` (zero: for ever)
  // is given up on.
  void close_after_flush(Duration linger, Duration stall);
  void close_after_flush(Duration linger) { close_after_flush(linger, linger); }
  // As close(), but with a reset, so that the peer cannot mistake it for the end of a message.
  void reset();
  // The same behind what is queued, once the peer's kernel has taken it: a reset destroys what is still on its way.
  // What the peer sends meanwhile is thrown away. One that takes nothing for `stall` is given up on.
  void reset_after_flush(Duration stall);
  // Sends FIN after what is queued; reading goes on.
  void half_close();
  bool peer_ended() const { return peer_ended_; }
  // By a transport that the peer did not tell of it: somebody else may have ended it, in the middle.
  bool cut_off() const { return transport_ != nullptr && transport_cut_off(); }
  // After its end: it may be waiting for what is sent here, or be gone. Keepalive probes find out while nothing is
  // sent: the kernel of one that is gone answers them with a reset once it has forgotten the socket (Linux: a minute).
  void probe_peer();
  bool closing() const { return (read_blocks_ & static_cast<uint8_t>(ReadBlock::kClosing)) != 0; }

  // Of in() and out(), not of what a transport makes of them.
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }

  // Pollable, EndOfTurn.
  void on_ready(uint32_t ready) override;
  void on_end_of_turn() override;

 private:
  class LingerTimer final : public event::Timer {
   public:
    explicit LingerTimer(Connection& connection) : connection_(connection) {}
    void on_timer() override { connection_.on_linger_over(); }
    // Of reset_after_flush(): what the peer had not taken when that was looked at last, and when it has to be less.
    int untaken = 0;
    MonoTime give_up_at = MonoTime::max();

   private:
    Connection& connection_;
  };

  // One connection may use this much of a turn before the others get theirs.
  static constexpr size_t kReadBudget = 256 * 1024;

  void finish_connect(uint32_t ready);
  void read_some();
  // Those that we opened come first in a turn: one that has just ended is not given a request of the same turn.
  event::Poller::Order order() const {
    return opened_here_ ? event::Poller::Order::kFirst : event::Poller::Order::kAny;
  }
  ssize_t read_into_blocks(Slices& to);
  ssize_t read_into_pipe(uint64_t bytes);
  // How much of what is read next is to stay in the kernel.
  uint64_t unseen_input();
  void forget_pipe();
  ssize_t send_slices(const Slices& from, size_t& offered);
  ssize_t send_unseen();
  void discard_input();
  void deliver(bool end);
  // The socket has no more input for now.
  void input_is_over();
  void tell_input(bool told);
  bool has_input() const { return !in_.empty() || handler_has_input_; }
  void write_queued();
  bool write_as_it_is(bool& progress);
  void on_write_failed();
  void check_watermarks();
  void arm_linger(Duration after);
  void on_linger_over();
  void reset_when_taken();

  // With a transport (connection_transport.cc).
  bool waits_for_handshake() const { return transport_ != nullptr && handshaking(); }
  bool input_in_transport() const { return transport_ != nullptr && transport_has_input(); }
  bool transport_has_input() const;
  bool transport_cut_off() const;
  size_t unsent_of_transport() const;
  void shake_hands();
  void end_handshake();
  void read_through();
  bool take_through(size_t& budget);
  void end_input();
  bool write_through(bool& progress);
  bool send_wire(bool& progress);
  void see_unseen();
  void leave_end_unsaid();
  void close_transport(CloseReason reason);
  void fail_transport();
  void end_turn_with_transport();
  bool put_off_to_next_turn();

  event::Lane& lane_;
  ConnectionHandler* handler_ = nullptr;
  int fd_ = -1;
  uint8_t read_blocks_ = 0;
  bool readable_ : 1 = false;  // the socket may have bytes (edge seen, not yet drained)
  bool writable_ : 1 = true;   // the last write was not refused
  bool hung_up_ : 1 = false;   // RDHUP or HUP seen: read until the end even after a short read
  bool reads_held_ : 1 = false;
  bool connecting_ : 1 = false;
  bool peer_ended_ : 1 = false;
  bool end_delivered_ : 1 = false;
  bool redeliver_ : 1 = false;
  bool redeliver_next_turn_ : 1 = false;
  bool read_before_reset_ : 1 = false;
  bool was_reset_ : 1 = false;     // seen by a write; the kernel tells it once, and says end to the next read
  bool errored_ : 1 = false;       // the poller said so
  bool half_close_ : 1 = false;    // FIN wanted after the queue
  bool reset_at_end_ : 1 = false;  // reset wanted after the queue
  bool fin_sent_ : 1 = false;
  bool notify_drained_ : 1 = false;
  bool above_high_ : 1 = false;
  bool closed_reported_ : 1 = false;
  bool in_handler_ : 1 = false;
  bool wants_close_ : 1 = false;
  bool lingering_ : 1 = false;  // everything is sent, FIN too
  bool unseen_allowed_ : 1 = false;
  bool handler_has_input_ : 1 = false;
  bool opened_here_ : 1 = false;
  bool framed_ : 1 = false;
  bool deaf_ : 1 = false;    // to more input: there is some, and it cannot be read yet
  uint8_t read_depth_ = 1;   // blocks offered to the next read: doubles when a read fills them
  uint8_t small_reads_ = 0;  // reads in a row that used little of what was offered
  CloseReason close_reason_ = CloseReason::kLocal;
  uint32_t high_watermark_ = 1024 * 1024;
  uint32_t low_watermark_ = 512 * 1024;
  Duration linger_{};
  Duration stall_{};
  event::Pipe* pipe_ = nullptr;  // what has been read last is still in it
  Slices in_;
  Slices out_;
  Address remote_;
  Address local_;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  std::unique_ptr<LingerTimer> linger_timer_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace weir::net
