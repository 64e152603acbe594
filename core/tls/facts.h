// The texts of TransportFacts, made when they are first asked for. Inside core/tls only.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/crypto/certificate.h"
#include "core/net/transport_facts.h"
#include "core/tls/identity.h"

namespace weir::tls {

// Of one connection, whose handshake is over. [worker]
class FactTexts {
 public:
  // `local`: nullptr if we have none.
  FactTexts(const SSL* ssl, const Identity* local) : ssl_(ssl) {
    if (local != nullptr) local_.chain = &local->certificates();
  }

  std::string_view session(net::SessionFact fact);
  std::string_view certificate(net::End end, net::CertificateFact fact);
  const net::TransportFacts::Names& names(net::End end, net::NameKind kind);
  WallTime not_before();
  WallTime not_after();

 private:
  struct NameTexts {
    std::vector<std::string> texts;
    std::vector<std::string_view> views;
    std::string joined;
    net::TransportFacts::Names names;
  };
  struct Side {
    const std::vector<crypto::Certificate>* chain = nullptr;
    std::array<std::optional<std::string>, static_cast<size_t>(net::CertificateFact::kCount)> texts;
    std::unique_ptr<std::array<NameTexts, static_cast<size_t>(net::NameKind::kCount)>> names;
  };
  // nullptr: it has no certificate.
  Side* side(net::End end);
  void read_peer();
  std::string make(const Side& side, net::CertificateFact fact) const;

  const SSL* ssl_;
  bool peer_read_ = false;
  std::vector<crypto::Certificate> peer_chain_;
  Side peer_, local_;
  std::array<std::optional<std::string>, static_cast<size_t>(net::SessionFact::kCount)> session_;
};

}  // namespace weir::tls
