// UDP sockets: bound ones of listeners, read and written in batches, and the two halves that other sockets use, too.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/status.h"
#include "core/event/lane.h"
#include "core/net/address.h"
#include "core/net/socket.h"

namespace weir::net {

// How datagrams are taken from the kernel.
struct DatagramOptions {
  uint32_t max_size = 1500;  // larger ones are dropped
  bool gro = false;          // those of one sender that follow each other come as one piece
  bool operator==(const DatagramOptions&) const = default;
};

// A datagram, or several of the same size (the last may be shorter) that the kernel has put together.
struct Datagrams {
  std::string_view bytes;
  uint32_t size = 0;  // of each; 0: it is one
  uint32_t count() const {
    return size == 0 || bytes.empty() ? 1 : static_cast<uint32_t>((bytes.size() + size - 1) / size);
  }
};

// Asks the kernel to put datagrams together. False: it does not know how.
bool enable_gro(int fd);

// Reads datagrams of any socket of a lane into memory that all of them share: what was read is good until the next
// read. [worker]
class DatagramReader {
 public:
  static constexpr unsigned kMost = 32;  // at a time

  DatagramReader();
  DatagramReader(const DatagramReader&) = delete;
  DatagramReader& operator=(const DatagramReader&) = delete;

  struct Outcome {
    unsigned taken = 0;         // from the kernel
    uint32_t too_large = 0;     // datagrams of these that were dropped
    uint32_t kernel_drops = 0;  // how many the kernel has dropped since the socket was made, if it says so; else 0
    int error = 0;              // of errno; EAGAIN: there is nothing
  };
  // Of a bound socket: visit(const Address& peer, const Address& local, const Datagrams&). `local` has no port, and is
  // empty if the socket was not made to tell it.
  template <class Visit>
  Outcome read_bound(int fd, const DatagramOptions& options, unsigned most, Visit&& visit) {
    Outcome outcome = receive(bound_, fd, options, most);
    for (unsigned i = 0; i < outcome.taken; ++i) {
      Datagrams datagrams;
      Address local;
      if (look_at(bound_, i, options, datagrams, &local, outcome)) visit(peer_of(i), local, datagrams);
    }
    give_back(bound_, outcome.taken);
    return outcome;
  }
  // Of a connected one: visit(const Datagrams&).
  template <class Visit>
  Outcome read_connected(int fd, const DatagramOptions& options, unsigned most, Visit&& visit) {
    Outcome outcome = receive(connected_, fd, options, most);
    for (unsigned i = 0; i < outcome.taken; ++i) {
      Datagrams datagrams;
      if (look_at(connected_, i, options, datagrams, nullptr, outcome)) visit(datagrams);
    }
    give_back(connected_, outcome.taken);
    return outcome;
  }

 private:
  static constexpr size_t kControl = 128;
  static constexpr size_t kPiece = 65536;  // as much as the kernel puts together
  static constexpr size_t kBuffer = 4 * kPiece;
  // What recvmmsg() is given, set up once for each size of datagrams.
  struct Heads {
    explicit Heads(bool names) : names(names) {}
    const bool names;
    size_t slot = 0;  // 0: not set up
    bool gro = false;
    unsigned count = 0;
    mmsghdr messages[kMost];
    iovec pieces[kMost];
    sockaddr_in6 peers[kMost];
    alignas(cmsghdr) char controls[kMost][kControl];
  };
  void set_up(Heads& heads, const DatagramOptions& options);
  Outcome receive(Heads& heads, int fd, const DatagramOptions& options, unsigned most);
  static bool look_at(const Heads& heads, unsigned index, const DatagramOptions& options, Datagrams& datagrams,
                      Address* local, Outcome& outcome);
  static void give_back(Heads& heads, unsigned taken);
  Address peer_of(unsigned index) const {
    return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&bound_.peers[index]),
                                  bound_.messages[index].msg_hdr.msg_namelen);
  }

  std::unique_ptr<char[]> buffer_;
  Heads bound_{true};
  Heads connected_{false};
};

// Sends pieces on a connected socket in as few calls as the kernel allows: those of one size as one message that it
// cuts up. [worker]
class ConnectedSender {
 public:
  struct Outcome {
    uint32_t failed = 0;  // datagrams that were dropped
    int error = 0;        // why, the last time
  };
  // Up to kMost pieces, none of them put together by the kernel.
  static Outcome send(int fd, const iovec* pieces, unsigned count);
  static Outcome send(int fd, const Datagrams& datagrams);
};

// Told of what comes to a listener's socket. [worker]
class DatagramHandler {
 public:
  virtual void on_datagrams(const Address& peer, const Address& local, const Datagrams& datagrams) = 0;
  // After some of them, before others are read: what was shown is not there any more afterwards.
  virtual void on_batch_end() = 0;
  // So many were dropped: too large, or the kernel had no room for them.
  virtual void on_dropped(uint64_t datagrams) = 0;
  // The kernel gave an error instead of a datagram.
  virtual void on_receive_failed() = 0;
  // So many could not be sent, of those that were sent with these addresses and this number.
  virtual void on_send_failed(const Address& to, const Address& from, uint64_t sender, uint32_t datagrams) = 0;

 protected:
  ~DatagramHandler() = default;
};

// Takes datagrams for many peers, and sends them from one bound socket in batches. [worker]
class DatagramQueue {
 public:
  // Says to `handler` what could not be sent.
  DatagramQueue(int fd, DatagramHandler& handler) : fd_(fd), handler_(handler) {}
  DatagramQueue(const DatagramQueue&) = delete;
  DatagramQueue& operator=(const DatagramQueue&) = delete;

  // `from`: the local address it is to come from, empty: that of the socket. `sender`: the caller's.
  void add(const Address& to, const Address& from, const Datagrams& datagrams, uint64_t sender);
  void flush();
  bool empty() const { return count_ == 0; }

 private:
  static constexpr unsigned kMost = 64;
  static constexpr size_t kBytes = 64 * 1024;
  static constexpr size_t kLargeCopy = 4096;  // larger ones are sent from where they are
  static constexpr size_t kControl = 64;
  struct Message {
    Address to;
    Address from;
    Datagrams datagrams;  // in `bytes`
    uint64_t sender = 0;
    bool closed = false;  // its last one is shorter than the others
  };
  struct Memory {
    Message messages[kMost];
    mmsghdr heads[kMost];
    iovec pieces[kMost];
    sockaddr_storage peers[kMost];
    alignas(cmsghdr) char controls[kMost][kControl];
    char bytes[kBytes];
  };
  bool join(const Address& to, const Address& from, std::string_view bytes, uint64_t sender);
  void prepare(unsigned index, const Message& message);
  uint32_t send_one_by_one(const Message& message);
  void fail(const Message& message, uint32_t datagrams) {
    handler_.on_send_failed(message.to, message.from, message.sender, datagrams);
  }

  const int fd_;
  DatagramHandler& handler_;
  bool gso_ = true;  // until the kernel refuses
  unsigned count_ = 0;
  size_t used_ = 0;
  std::unique_ptr<Memory> memory_;  // made at first use
};

// The socket of a UDP listener on one lane. [worker]
class DatagramSocket final : public event::Pollable, public event::EndOfTurn {
 public:
  // `fd` is owned; `local`: what it is bound to.
  DatagramSocket(event::Lane& lane, int fd, const Address& local, const DatagramOptions& options,
                 DatagramReader& reader, DatagramHandler& handler);
  ~DatagramSocket();
  DatagramSocket(const DatagramSocket&) = delete;
  DatagramSocket& operator=(const DatagramSocket&) = delete;

  void set_options(const DatagramOptions& options);
  // Copied, and sent at the end of the turn, or earlier. `sender`: what on_send_failed() says of it.
  void send(const Address& to, const Address& from, const Datagrams& datagrams, uint64_t sender = 0);
  // Reads what the kernel has, and then no more; what is sent still goes. `shared`: another process reads from now on;
  // else nobody hears what comes, and senders are told so. False: it has no descriptor any more.
  bool stop_reading(bool shared);
  // Sends what waits, and closes.
  void shut();
  const Address& local() const { return local_; }
  int fd() const { return fd_; }

  void on_ready(uint32_t ready) override;
  void on_end_of_turn() override;

 private:
  unsigned read_batch();
  bool stop_hearing();
  event::Lane& lane_;
  int fd_;
  const Address local_;
  DatagramOptions options_;
  DatagramReader& reader_;
  DatagramHandler& handler_;
  DatagramQueue queue_;
  uint32_t kernel_drops_ = 0;  // that were told
  bool reading_ = true;
};

}  // namespace weir::net
