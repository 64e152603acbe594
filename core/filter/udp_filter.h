// What the author of a UDP filter reads. A UDP listener has a chain of them on each lane and for each of its addresses,
// which sees every datagram that comes there.
#pragma once

#include <cstdint>

#include "core/event/lane.h"
#include "core/net/datagrams.h"

namespace weir::filter {

// The socket as its filters see it; outlives them. [worker]
class DatagramHost {
 public:
  virtual event::Lane& lane() = 0;
  // What it is bound to.
  virtual const net::Address& local() const = 0;
  // Copied, and sent at the end of the turn, or earlier. `from`: the local address (without a port) to which the
  // datagram was sent that this answers; empty: that of the socket. `sender`: what on_send_failed() says of it.
  virtual void send(const net::Address& to, const net::Address& from, const net::Datagrams& datagrams,
                    uint64_t sender) = 0;
  // For sockets of filters: it reads into memory that all of the lane share.
  virtual net::DatagramReader& reader() = 0;
  // A filter that opens a descriptor asks first, and says when it has closed it. False: there are too many.
  virtual bool take_descriptor() = 0;
  virtual void give_descriptor_back() = 0;

 protected:
  ~DatagramHost() = default;
};

// Lives until the listener goes, or is replaced by one with another configuration of this filter.
class UdpFilter {
 public:
  virtual ~UdpFilter() = default;
  enum class Verdict : uint8_t { kNext, kTaken };
  // `local` as DatagramHost::send() wants it. What `datagrams` shows is good until on_batch_end().
  virtual Verdict on_datagrams(const net::Address& peer, const net::Address& local,
                               const net::Datagrams& datagrams) = 0;
  virtual void on_batch_end() {}
  // The kernel gave an error instead of a datagram.
  virtual void on_receive_failed() {}
  // So many were not sent, of those that were given to send() with these; later in the same turn at the latest. False:
  // by somebody else.
  virtual bool on_send_failed(const net::Address& /*to*/, const net::Address& /*from*/, uint64_t /*sender*/,
                              uint32_t /*datagrams*/) {
    return false;
  }
  // Another filter gets all datagrams from now on; what this one waits for still comes. False: it waits for nothing.
  virtual bool still_needed() const { return false; }
  // It gets no datagrams any more: another one does, or the process or the listener is about to end. It should be
  // needed no longer than what is under way takes.
  virtual void on_leaving() {}
};

}  // namespace weir::filter
