// What stands between the socket of a connection and its in() and out(): TLS, or anything else that turns bytes into
// others and begins with a handshake. It does no I/O. The connection reads into wire_in() and sends wire_out(), with
// the same few system calls that it makes for bytes as they are; a transport moves them on.
//
// The life: handshake() until kDone; then read() and write() in any order; then, perhaps, shut(); a failure at any
// moment ends it. None of these is called from inside another. Destroyed with the connection, so that what it knows can
// be logged when the connection is closed. [worker]
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/block.h"
#include "core/event/lane.h"

namespace weir::net {

class Connection;
class TransportFacts;

class Transport {
 public:
  enum class Step : uint8_t {
    kDone,       // bytes may pass, both ways
    kNeedInput,  // when the peer has sent more
    kLater,      // when it has called flush_later() of its connection
    kFailed,     // failure() says why; what is in wire_out() tells the peer
  };
  enum class Read : uint8_t {
    kNeedInput,  // everything that had come was passed on
    kMore,       // as much as was wanted, which is something; there may be more inside
    kEnded,      // the peer has said that it sends no more. What comes behind that is of no interest.
    kFailed,
  };

  explicit Transport(event::Lane& lane) : lane_(lane) {}
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Once, before the first handshake(), when the socket is connected: whose bytes these are.
  virtual void on_attached(Connection& connection) = 0;
  // Goes on with what is in wire_in(); may append to wire_out(), whatever it says.
  virtual Step handshake() = 0;
  // Appends what the peer has sent to `in`, about `most` bytes, and stops. May append to wire_out() (answers of the
  // protocol's own).
  virtual Read read(Slices& in, size_t most) = 0;
  // Takes from the front of `out`, and appends to wire_out() until that has about `most` bytes. What it leaves in `out`
  // although there is room waits for input. No slice is unseen. False: failed.
  virtual bool write(Slices& out, size_t most) = 0;
  // The peer has closed its socket. Before the handshake is done that is a failure, of which failure() says so; after
  // it, an end that nobody announced: truncated().
  virtual void on_socket_end() = 0;
  // Says to the peer that nothing more is sent (close_notify); at most once, after everything was written. Nothing
  // before the handshake is done.
  virtual void shut() = 0;
  // What is spoken does not bear that the handshake begins anew (RFC 9113 9.2.1), whatever the settings say.
  virtual void forbid_renegotiation() {}
  // Empty until something failed: "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED..."
  virtual std::string_view failure() const = 0;
  // Never null; the answers are empty where nothing is known.
  virtual TransportFacts& facts() = 0;

  // Bytes from the socket that nobody has looked at, and bytes for it. What is in wire_out() before the transport is
  // set goes out first, as it is: a PROXY header.
  Slices& wire_in() { return wire_in_; }
  Slices& wire_out() { return wire_out_; }
  const Slices& wire_out() const { return wire_out_; }
  // The peer's bytes ended without its saying so: what was read last may be cut off.
  bool truncated() const { return truncated_; }
  event::Lane& lane() { return lane_; }

 protected:
  event::Lane& lane_;
  bool truncated_ = false;

 private:
  friend class Connection;
  // Of the connection, here so that one without a transport has no room for them.
  bool handshaking_ = true;
  bool attached_ = false;
  bool input_inside_ = false;  // read() may have more to give, although the socket may have none
  bool socket_ended_ = false;
  bool shut_ = false;
  bool failed_ = false;
  Slices wire_in_;
  Slices wire_out_;
};

}  // namespace weir::net
