// What a transport knows of its connection: what was agreed, and who the ends are. For logs, headers, matchers and
// filters, which are low in the layers and know of no TLS library. Texts are made when somebody first asks, and live as
// long as the transport. [worker]
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/time.h"

namespace weir::net {

enum class SessionFact : uint8_t {
  kVersion,     // "TLSv1.3"
  kCipher,      // "TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"
  kGroup,       // of the key exchange: "X25519"
  kSessionId,   // hexadecimal; empty where the version has none
  kProtocol,    // that was agreed on (ALPN): "h2"
  kServerName,  // that the client asked for (SNI)
  kCount,
};

enum class CertificateFact : uint8_t {
  kSubject,  // RFC 2253
  kIssuer,   // RFC 2253
  kSerial,   // lower-case hexadecimal
  kSha256,   // of its DER form, lower-case hexadecimal
  kSha1,
  kPem,       // encoded for a URL
  kPemChain,  // the same, all that the end sent, its own first
  // Of the second certificate of the chain.
  kIssuerSha256,
  kIssuerSerial,
  // Of the whole chain, the end's own first, by ','.
  kChainSha256,
  kChainSha1,
  kChainSerials,
  kCount,
};

// Of the subject alternative names of a certificate.
enum class NameKind : uint8_t { kDns, kUri, kEmail, kIp, kOther, kCount };

enum class End : uint8_t { kPeer, kLocal };

class TransportFacts {
 public:
  // A name may have a comma in it: who decides by names looks at each, and only who prints them at the joined text.
  struct Names {
    std::span<const std::string_view> each = {};
    std::string_view joined = {};  // by ','
  };

  // Empty: there is none, or the handshake has not got so far.
  virtual std::string_view session(SessionFact fact) = 0;
  virtual std::string_view certificate(End end, CertificateFact fact) = 0;
  virtual const Names& names(End end, NameKind kind) = 0;
  // Of the peer's certificate; the epoch if there is none.
  virtual WallTime not_before() = 0;
  virtual WallTime not_after() = 0;
  // The peer has shown a certificate / and it has passed the checks that were asked for, of which there was one.
  virtual bool presented() = 0;
  virtual bool validated() = 0;

 protected:
  ~TransportFacts() = default;
};

}  // namespace weir::net
