// Loading what operators and control planes give for TLS (core/tls): chains, keys, PKCS#12, OCSP responses, trusted
// certificates, revocation lists, pins. The first byte says which; parts are separated by byte 29.
#include <openssl/bytestring.h>
#include <openssl/pool.h>
#include <openssl/stack.h>

#include <algorithm>

#include "core/crypto/library.h"
#include "core/tls/identity.h"
#include "core/tls/ocsp.h"
#include "core/tls/ticket_keys.h"
#include "core/tls/verifier.h"
#include "test/fuzz/input.h"

namespace weir::tls {
namespace {

using fuzz::require;

constexpr char kMark = 29;
constexpr WallTime kNow{1'800'000'000s};

Source source_of(fuzz::Input& input) {
  std::string text(input.until(kMark));
  return text.empty() ? Source{} : Source{std::move(text), "a file"};
}

// Every error begins with the field that it is about.
void check_error(const Status& status, std::initializer_list<std::string_view> fields) {
  const std::string text = message_of(status);
  for (std::string_view field : fields) {
    if (text.starts_with(field)) return;
  }
  require(false, "an error that names no field", text);
}

void load_identity(fuzz::Input& input, bool pkcs12) {
  IdentitySpec spec;
  if (pkcs12) {
    spec.password = source_of(input);
    const std::string_view rest = input.rest();
    spec.pkcs12 = {std::string(rest), "a file"};
  } else {
    spec.certificate_chain = source_of(input);
    spec.private_key = source_of(input);
    spec.password = source_of(input);
    if (!input.done()) spec.ocsp_staple = {std::string(input.rest()), "a file"};
  }
  spec.now = kNow;
  auto loaded = Identity::load(spec);
  if (!loaded.ok())
    return check_error(loaded.status(), {"certificate_chain: ", "private_key: ", "pkcs12: ", "ocsp_staple: "});
  const Identity& identity = **loaded;
  require(!identity.chain().empty() && identity.chain().size() == identity.certificates().size(), "a chain of nothing");
  require(identity.key() != nullptr, "no key");
  for (const std::string& name : identity.server_names()) {
    require(name.find('\0') == std::string::npos, "a name with a NUL", name);
    require(std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }), "upper case", name);
  }
}

void build_verifier(fuzz::Input& input) {
  VerifierSpec spec;
  const uint8_t flags = input.byte();
  spec.allow_expired_certificate = (flags & 1) != 0;
  spec.accept_untrusted = (flags & 2) != 0;
  spec.only_verify_leaf_cert_crl = (flags & 4) != 0;
  if ((flags & 8) != 0) {
    const std::string name(input.until(kMark));
    spec.trust_domains.push_back({name, source_of(input)});
  } else {
    spec.trusted_ca = source_of(input);
    spec.crl = source_of(input);
  }
  if (std::string text(input.until(kMark)); !text.empty()) spec.certificate_hashes.push_back(std::move(text));
  if (std::string text(input.until(kMark)); !text.empty()) spec.spki_hashes.push_back(std::move(text));
  if (std::string text(input.until(kMark)); !text.empty())
    spec.san_matchers.push_back(
        {net::NameKind::kOther, std::move(text), {match::StringMatcherSpec::Kind::kPrefix, "user"}});
  auto built = Verifier::build(std::move(spec));
  if (!built.ok())
    return check_error(built.status(),
                       {"trusted_ca: ", "crl: ", "verify_certificate_hash: ", "verify_certificate_spki: ",
                        "match_typed_subject_alt_names", "allow_expired_certificate: ", "trust_domains: "});
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> chain(sk_CRYPTO_BUFFER_new_null());
  auto certificates = crypto::Certificate::parse_pem(input.rest());
  if (certificates.ok()) {
    for (const crypto::Certificate& one : *certificates) {
      const std::string der = one.der();
      bssl::PushToStack(chain.get(), bssl::UniquePtr<CRYPTO_BUFFER>(CRYPTO_BUFFER_new(
                                         reinterpret_cast<const uint8_t*>(der.data()), der.size(), nullptr)));
    }
  }
  for (const PeerRole role : {PeerRole::kClient, PeerRole::kServer}) {
    const Verdict verdict = (*built)->verify(chain.get(), {.peer = role, .now = kNow});
    require(verdict.accepted || !verdict.detail.empty(), "refused without a reason");
    require(!verdict.validated || verdict.failed == Verdict::Failed::kNothing, "validated and failed");
    require(!verdict.validated || verdict.accepted, "validated and refused");
  }
}

void read_ocsp(std::string_view der) {
  auto response = OcspResponse::parse(der);
  if (!response.ok()) return require(!message_of(response.status()).empty(), "no reason");
  require(response->serial_hex.size() % 2 == 0, "half a byte", response->serial_hex);
}

}  // namespace
}  // namespace weir::tls

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::tls;
  weir::crypto::require_library();
  weir::fuzz::Input input(data, size);
  switch (input.byte() % 5) {
    case 0:
      load_identity(input, false);
      break;
    case 1:
      load_identity(input, true);
      break;
    case 2:
      build_verifier(input);
      break;
    case 3:
      read_ocsp(input.rest());
      break;
    default:
      (void)TicketKey::from_bytes(input.rest());
      break;
  }
  return 0;
}
