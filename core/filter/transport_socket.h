// What the author of a transport socket reads: it makes what stands between a connection's socket and its bytes
// (net::Transport), for the connections of a filter chain or for those to the hosts of a cluster. Published in a slot
// of its own (SlotKind::kTransport): what it has read may change while the chain, its connections and the cluster stay.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/block.h"
#include "core/event/lane.h"
#include "core/event/slot.h"
#include "core/net/transport.h"
#include "core/stream/proxy_header.h"

namespace weir::crypto {
class Certificate;
}
namespace weir::stream {
struct HostTlvs;
}

namespace weir::filter {

// A certificate as operators are told of it.
struct CertificateInUse {
  std::string_view origin;  // "/etc/weir/cert.pem"; what it is called where there is no file
  const crypto::Certificate& certificate;
  std::optional<WallTime> ocsp_this_update = {};  // of the response that is stapled; none: there is no response
  std::optional<WallTime> ocsp_next_update = {};  // none: it does not say
};
class CertificateVisitor {
 public:
  // What a peer's chain is to end in, and what is shown to peers: of a chain all, the end's own first.
  virtual void trusted(const CertificateInUse& one) = 0;
  virtual void own(std::span<const CertificateInUse> chain) = 0;

 protected:
  ~CertificateVisitor() = default;
};

// [immutable]
class TransportSocket : public event::Versioned {
 public:
  // [main]
  virtual void list_certificates(CertificateVisitor&) const {}
};

class DownstreamTransport : public TransportSocket {
 public:
  // For an accepted connection. The connection pins this. [worker]
  virtual std::unique_ptr<net::Transport> make(event::Lane& lane) const = 0;
};

// What differs from one connection to the hosts of a cluster to another. Connections are shared by requests that ask
// for the same.
struct UpstreamTransportOptions {
  std::string_view server_name = {};                      // instead of what is configured; empty: that
  std::span<const std::string_view> expected_names = {};  // of the certificate, one of them, beside what is configured
  std::span<const std::string_view> offered = {};         // (ALPN) instead of what is configured; empty: that

  // That the connection's users know, the best first: offered (ALPN) where the configuration names none. Not what
  // options are told apart by.
  std::span<const std::string_view> protocols = {};

  // Who is at the other end of weir, for those that tell it (PROXY protocol); null: nobody that is known.
  const stream::ProxyHeader* client = nullptr;

  // Of the host that the connection goes to, for PROXY headers; null: none. Connections of one pool have one host, so
  // options are not told apart by them.
  const stream::HostTlvs* host_tlvs = nullptr;

  bool empty() const { return server_name.empty() && expected_names.empty() && offered.empty() && client == nullptr; }
};

class UpstreamTransport : public TransportSocket {
 public:
  // `host_name`: of the endpoint; empty if it has none. nullptr: bytes are what they are. `first`: what is appended to
  // it goes out first, ahead of all that is written then. The connection pins this. [worker]
  virtual std::unique_ptr<net::Transport> make(event::Lane& lane, std::string_view host_name,
                                               const UpstreamTransportOptions& options, Slices& first) const = 0;
};

}  // namespace weir::filter
