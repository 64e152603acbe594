// What the author of a network (L4) filter reads. Filters see a downstream connection's bytes in order; the last one is
// terminal (HTTP connection manager, TCP proxy) and consumes them.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/filter/http_filter.h"
#include "core/net/connection.h"
#include "core/net/transport.h"
#include "core/stream/stream_info.h"

namespace weir::filter {

class NetworkFilter;

// The connection as its filters see it. [worker]
class ConnectionHost {
 public:
  virtual net::Connection& connection() = 0;
  // Who the client is: the socket's peer, unless a listener filter (PROXY protocol, original source) knows better.
  virtual const net::Address& remote() const = 0;
  virtual const net::Address& local() = 0;
  // local() is what a listener filter has found out: where the client wanted to go, and not where the socket is.
  virtual bool local_restored() const { return false; }
  // Whether its listener is at this address (or at this port of every one).
  virtual bool listens_on(const net::Address& address) const {
    static_cast<void>(address);
    return false;
  }
  virtual uint64_t connection_id() const = 0;
  virtual std::string_view filter_chain_name() const = 0;
  virtual std::string_view server_name() const = 0;  // SNI; empty if there is none
  // What its handshake has shown; nullptr: there was none.
  net::TransportFacts* tls() {
    net::Transport* transport = connection().transport();
    return transport != nullptr ? &transport->facts() : nullptr;
  }
  // What few ask for. The first makes it on first use, the other is nullptr until then.
  virtual stream::ConnectionInfo& info() = 0;
  virtual stream::ConnectionInfo* info_if_any() const = 0;
  // Bytes received that the terminal filter has left so far.
  virtual Slices& input() = 0;
  // The terminal filter's on_data runs again at the end of the turn, also without new bytes.
  virtual void deliver_again() = 0;
  // From within a hook of the terminal filter: `by` takes its place. It has heard on_new_connection() when this
  // returns, and is given the input at the end of the turn; the other hears nothing more, and dies with the turn.
  virtual void replace_filter(std::unique_ptr<NetworkFilter> by) = 0;
  // The listener is going away or the process is draining: finish what runs, then close.
  virtual bool draining() const = 0;
  // Nothing that the overload manager decides applies to it (Listener.bypass_overload_manager).
  virtual bool bypasses_overload() const { return false; }

 protected:
  ~ConnectionHost() = default;
};

// What every stream on a connection says of it. Views of the host, good as long as that lives.
inline void describe_client(ConnectionHost& host, stream::StreamInfo& info) {
  info.connection_id = host.connection_id();
  info.downstream_remote = host.remote();
  info.connection_remote = &host.remote();
  info.downstream_direct_remote = host.connection().remote();
  info.downstream_local = host.local();
  if (host.local_restored()) info.downstream_direct_local = host.connection().local();
  info.filter_chain_name = host.filter_chain_name();
  info.requested_server_name = host.server_name();
  info.connection = host.info_if_any();
  info.tls = host.tls();
}
// The same of a stream that is the connection's own, and its metadata with it.
void describe(ConnectionHost& host, stream::StreamInfo& info);

// kDone: the filter has closed the connection. A filter before the terminal one passes on what it leaves in `data`.
class NetworkFilter {
 public:
  virtual ~NetworkFilter() = default;
  virtual Action on_new_connection(ConnectionHost&) { return Action::kContinue; }
  // Takes what it wants from `data`; the rest goes to the next filter, or, in the terminal filter, stays for the next
  // call. `end`: the client sends no more.
  virtual Action on_data(ConnectionHost&, Slices& data, bool end) = 0;
  // As net::ConnectionHandler::unseen_input(), asked only if it is the connection's one filter.
  virtual uint64_t unseen_input() { return 0; }
  virtual void on_above_high_watermark(ConnectionHost&) {}
  virtual void on_below_low_watermark(ConnectionHost&) {}
  virtual void on_drained(ConnectionHost&) {}
  // Draining began: close when idle.
  virtual void on_drain(ConnectionHost&) {}
  virtual void on_closed(ConnectionHost&, net::CloseReason) {}
};

}  // namespace weir::filter
