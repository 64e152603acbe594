#include "core/tls/facts.h"

#include <openssl/pool.h>
#include <openssl/stack.h>

#include <algorithm>

#include "core/crypto/digest.h"
#include "core/tls/names.h"

namespace weir::tls {
namespace {

using net::CertificateFact;
using net::End;
using net::NameKind;
using net::SessionFact;

// What stands in a header or a URL as it is (RFC 3986 section 2.3).
std::string url_encoded(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size() * 5 / 4);
  for (char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += kDigits[byte >> 4];
      encoded += kDigits[byte & 15];
    }
  }
  return encoded;
}

template <class Part>
std::string join(const std::vector<crypto::Certificate>& chain, Part part) {
  std::string text;
  for (const crypto::Certificate& one : chain) {
    if (!text.empty()) text += ',';
    text += part(one);
  }
  return text;
}

// A client may say anything, and it gets into logs and headers (as in tls_inspector).
bool is_plain(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string text_or_empty(const char* text) { return text != nullptr ? text : std::string(); }

}  // namespace

std::string_view FactTexts::session(SessionFact fact) {
  auto& text = session_[static_cast<size_t>(fact)];
  if (text.has_value()) return *text;
  text.emplace();
  switch (fact) {
    case SessionFact::kVersion:
      *text = text_or_empty(SSL_get_version(ssl_));
      break;
    case SessionFact::kCipher:
      if (const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl_)) *text = text_or_empty(SSL_CIPHER_get_name(cipher));
      break;
    case SessionFact::kGroup:
      if (const uint16_t group = SSL_get_curve_id(ssl_)) *text = text_or_empty(SSL_get_curve_name(group));
      break;
    case SessionFact::kSessionId:
      if (const SSL_SESSION* session = SSL_get_session(ssl_)) {
        unsigned size = 0;
        const uint8_t* id = SSL_SESSION_get_id(session, &size);
        *text = crypto::to_hex(id, size);
      }
      break;
    case SessionFact::kProtocol: {
      const uint8_t* name = nullptr;
      unsigned size = 0;
      SSL_get0_alpn_selected(ssl_, &name, &size);
      text->assign(reinterpret_cast<const char*>(name), size);
      break;
    }
    case SessionFact::kServerName:
      *text = text_or_empty(SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name));
      if (!is_plain(*text)) text->clear();
      break;
    case SessionFact::kCount:
      break;
  }
  return *text;
}

void FactTexts::read_peer() {
  peer_read_ = true;
  const STACK_OF(CRYPTO_BUFFER)* chain = SSL_get0_peer_certificates(ssl_);
  for (size_t i = 0; chain != nullptr && i < sk_CRYPTO_BUFFER_num(chain); ++i) {
    const CRYPTO_BUFFER* one = sk_CRYPTO_BUFFER_value(chain, i);
    auto certificate = crypto::Certificate::parse_der(
        {reinterpret_cast<const char*>(CRYPTO_BUFFER_data(one)), CRYPTO_BUFFER_len(one)});
    if (!certificate.ok()) break;
    peer_chain_.push_back(std::move(*certificate));
  }
  if (!peer_chain_.empty()) peer_.chain = &peer_chain_;
}

FactTexts::Side* FactTexts::side(End end) {
  if (end == End::kPeer && !peer_read_) read_peer();
  Side& side = end == End::kPeer ? peer_ : local_;
  return side.chain != nullptr ? &side : nullptr;
}

std::string FactTexts::make(const Side& side, CertificateFact fact) const {
  const crypto::Certificate& own = side.chain->front();
  const crypto::Certificate* issuer = side.chain->size() > 1 ? &(*side.chain)[1] : nullptr;
  switch (fact) {
    case CertificateFact::kSubject:
      return own.subject();
    case CertificateFact::kIssuer:
      return own.issuer();
    case CertificateFact::kSerial:
      return own.serial_hex();
    case CertificateFact::kSha256:
      return own.fingerprint();
    case CertificateFact::kSha1:
      return own.fingerprint_sha1();
    case CertificateFact::kPem:
      return url_encoded(own.pem());
    case CertificateFact::kPemChain: {
      std::string pems;
      for (const crypto::Certificate& one : *side.chain) pems += one.pem();
      return url_encoded(pems);
    }
    case CertificateFact::kIssuerSha256:
      return issuer != nullptr ? issuer->fingerprint() : std::string();
    case CertificateFact::kIssuerSerial:
      return issuer != nullptr ? issuer->serial_hex() : std::string();
    case CertificateFact::kChainSha256:
      return join(*side.chain, [](const auto& one) { return one.fingerprint(); });
    case CertificateFact::kChainSha1:
      return join(*side.chain, [](const auto& one) { return one.fingerprint_sha1(); });
    case CertificateFact::kChainSerials:
      return join(*side.chain, [](const auto& one) { return one.serial_hex(); });
    case CertificateFact::kCount:
      break;
  }
  return {};
}

std::string_view FactTexts::certificate(End end, CertificateFact fact) {
  Side* side = this->side(end);
  if (side == nullptr) return {};
  auto& text = side->texts[static_cast<size_t>(fact)];
  if (!text.has_value()) text = make(*side, fact);
  return *text;
}

const net::TransportFacts::Names& FactTexts::names(End end, NameKind kind) {
  static const net::TransportFacts::Names kNone;
  Side* side = this->side(end);
  if (side == nullptr) return kNone;
  if (side->names == nullptr) {
    side->names = std::make_unique<std::array<NameTexts, static_cast<size_t>(NameKind::kCount)>>();
    for (San& san : names_of(side->chain->front().handle()))
      (*side->names)[static_cast<size_t>(san.kind)].texts.push_back(std::move(san.text));
    for (NameTexts& one : *side->names) {
      for (const std::string& text : one.texts) {
        one.views.push_back(text);
        if (!one.joined.empty()) one.joined += ',';
        one.joined += text;
      }
      one.names = {one.views, one.joined};
    }
  }
  return (*side->names)[static_cast<size_t>(kind)].names;
}

WallTime FactTexts::not_before() {
  Side* peer = side(End::kPeer);
  return peer != nullptr ? peer->chain->front().not_before() : WallTime{};
}

WallTime FactTexts::not_after() {
  Side* peer = side(End::kPeer);
  return peer != nullptr ? peer->chain->front().not_after() : WallTime{};
}

}  // namespace weir::tls
