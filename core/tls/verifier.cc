#include "core/tls/verifier.h"

#include <openssl/base64.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/stack.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

#include "core/base/fault_list.h"
#include "core/crypto/digest.h"
#include "core/crypto/library.h"
#include "core/tls/errors.h"
#include "core/tls/names.h"

namespace weir::tls {
namespace {

using net::NameKind;
using Digest = crypto::Sha256Digest;
constexpr std::string_view kSpiffe = "spiffe://";
constexpr size_t kMaxTrustDomain = 256;         // one more than SPIFFE-ID section 2.3 allows
constexpr size_t kMaxBytes = 16 * 1024 * 1024;  // of a bundle or a list
constexpr std::string_view kBeginCrl = "-----BEGIN X509 CRL-----";

Status at_fault(std::string_view field, const Source& source, std::string_view what) {
  std::string text(field);
  text.append(": ").append(source.origin.empty() ? "inline" : source.origin).append(": ").append(what);
  return invalid(text);
}

// Everything that a digest is made over, each part with its length before it.
class Parts {
 public:
  void add(std::string_view part) {
    const uint64_t size = part.size();
    all_.append(reinterpret_cast<const char*>(&size), sizeof(size));
    all_.append(part);
  }
  void add(uint64_t number) { add(std::string_view(reinterpret_cast<const char*>(&number), sizeof(number))); }
  std::string digest() const {
    const Digest digest = crypto::sha256(all_);
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
  }

 private:
  std::string all_;
};

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// "df6ff7..." or "DF:6F:F7:..."
bool read_hex(std::string_view text, Digest& digest) {
  const bool colons = text.size() == 3 * digest.size() - 1;
  if (!colons && text.size() != 2 * digest.size()) return false;
  size_t at = 0;
  for (size_t i = 0; i < digest.size(); ++i) {
    if (colons && i > 0 && text[at++] != ':') return false;
    const int high = digit_of(text[at++]);
    const int low = digit_of(text[at++]);
    if (high < 0 || low < 0) return false;
    digest[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

bool read_base64(std::string_view text, Digest& digest) {
  uint8_t bytes[64];
  size_t size = 0;
  if (text.size() > 64 ||
      !EVP_DecodeBase64(bytes, &size, sizeof(bytes), reinterpret_cast<const uint8_t*>(text.data()), text.size()))
    return false;
  if (size != digest.size()) return false;
  std::copy_n(bytes, size, digest.begin());
  return true;
}

// Until this moment the certificate says what it says.
WallTime end_of(const X509* certificate, WallTime now) {
  bssl::UniquePtr<ASN1_TIME> from(
      ASN1_TIME_set(nullptr, std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count()));
  int days = 0;
  int seconds = 0;
  // What does not fit into a WallTime is as good as for ever.
  if (from == nullptr || !ASN1_TIME_diff(&days, &seconds, from.get(), X509_get0_notAfter(certificate)) || days > 36500)
    return WallTime::max();
  return now + std::chrono::hours(24) * days + std::chrono::seconds(seconds);
}

// Of time alone.
bool is_about_time(int error) { return error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID; }

}  // namespace

struct Verifier::Impl {
  struct Matcher {
    NameKind kind;
    std::string oid;
    bool exact_dns;  // against names of certificates that may be wildcards
    match::StringMatcher matcher;
    bool matches(const San& san) const {
      if (san.kind != kind || san.oid != oid) return false;
      return matcher.matches(san.text) || (exact_dns && dns_name_matches(san.text, matcher.text()));
    }
  };
  struct Domain {
    std::string name;
    bssl::UniquePtr<X509_STORE> store;
  };

  Status load(VerifierSpec from);
  Status load_store(std::string_view field, const Source& source, bssl::UniquePtr<X509_STORE>& store, Parts& parts);
  Status load_crls(Parts& parts);
  Status read_crls(std::string_view field, const Source& source, Parts& parts, size_t& count);
  Status load_pins();
  Status load_names(Parts& parts);
  Status load_domains(Parts& parts);

  bool check_chain(X509_STORE* store, X509* leaf, STACK_OF(X509) * others, const VerifyInput& input,
                   Verdict& verdict) const;
  bool check_spiffe(X509* leaf, STACK_OF(X509) * others, const std::vector<San>& names, const VerifyInput& input,
                    Verdict& verdict) const;
  bool check_names(const std::vector<San>& names, const VerifyInput& input, Verdict& verdict) const;
  bool check_pins(X509* leaf, const CRYPTO_BUFFER* der, Verdict& verdict) const;
  bool asks_for_anything(const VerifyInput& input) const {
    return store != nullptr || !domains.empty() || !matchers.empty() || !certificate_pins.empty() ||
           !spki_pins.empty() || !input.expected_names.empty();
  }

  VerifierSpec spec;
  bssl::UniquePtr<X509_STORE> store;
  struct Crl {
    std::string origin;
    size_t number;  // in its file, from 1
    bssl::UniquePtr<X509_CRL> list;
  };
  bool is_forged(X509_CRL* list) const;
  std::vector<Crl> crls;
  std::vector<Domain> domains;
  std::vector<Trusted> trusted;
  std::vector<Matcher> matchers;
  std::vector<Digest> certificate_pins, spki_pins;
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> ca_names;
  std::string digest;
};

Status Verifier::Impl::load(VerifierSpec from) {
  spec = std::move(from);
  Parts parts;
  if (!spec.trust_domains.empty() && (!spec.trusted_ca.empty() || !spec.crl.empty()))
    return invalid(spec.trust_domains.front().field +
                   ": cannot be together with trusted_ca or crl; each trust domain has its own bundle");
  std::string faults;
  const auto add = [&](const Status& status) {
    if (!status.ok()) faults += (faults.empty() ? "" : std::string(1, kNextFault)) + message_of(status);
    return status.ok();
  };
  // Lists are checked along the chain: without the chain nothing can be said of them.
  if (spec.trusted_ca.empty() || add(load_store("trusted_ca", spec.trusted_ca, store, parts))) add(load_crls(parts));
  add(load_pins());
  add(load_names(parts));
  if (spec.trusted_ca.empty() && spec.trust_domains.empty()) {
    if (!spec.san_matchers.empty()) {
      add(
          invalid("match_typed_subject_alt_names: needs trusted_ca: whoever makes a certificate of his own writes any "
                  "name into it"));
    }
    if (spec.allow_expired_certificate)
      add(invalid(
          "allow_expired_certificate: needs trusted_ca: without it the dates of certificates are not looked at"));
  }
  add(load_domains(parts));
  if (!faults.empty()) return invalid(faults);
  for (const auto* pins : {&certificate_pins, &spki_pins}) {
    parts.add(pins->size());
    for (const Digest& pin : *pins) parts.add({reinterpret_cast<const char*>(pin.data()), pin.size()});
  }
  parts.add(uint64_t{spec.max_verify_depth});
  parts.add(static_cast<uint64_t>(spec.only_verify_leaf_cert_crl) |
            static_cast<uint64_t>(spec.allow_expired_certificate) << 1 |
            static_cast<uint64_t>(spec.accept_untrusted) << 2);
  digest = parts.digest();
  // The texts are not needed any more, and bundles are large.
  spec.trusted_ca.bytes = {};
  spec.crl.bytes = {};
  for (auto& domain : spec.trust_domains) domain.bundle.bytes = {};
  return absl::OkStatus();
}

Status Verifier::Impl::load_store(std::string_view field, const Source& source, bssl::UniquePtr<X509_STORE>& to,
                                  Parts& parts) {
  if (source.bytes.size() > kMaxBytes) return at_fault(field, source, "has more than 16 MiB");
  auto certificates = crypto::Certificate::parse_pem(source.bytes);
  if (!certificates.ok()) return at_fault(field, source, message_of(certificates.status()));
  to.reset(X509_STORE_new());
  if (ca_names == nullptr) ca_names.reset(sk_CRYPTO_BUFFER_new_null());
  for (crypto::Certificate& certificate : *certificates) {
    if (!X509_STORE_add_cert(to.get(), certificate.handle()))
      return at_fault(field, source, certificate.subject() + " cannot be used: " + take_reason());
    forget_errors();  // a certificate may be there twice
    parts.add(certificate.der());
    uint8_t* name = nullptr;
    const int size = i2d_X509_NAME(X509_get_subject_name(certificate.handle()), &name);
    bssl::UniquePtr<uint8_t> owned(name);
    if (size > 0) {
      bssl::UniquePtr<CRYPTO_BUFFER> buffer(CRYPTO_BUFFER_new(name, static_cast<size_t>(size), nullptr));
      bool known = false;
      for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(ca_names.get()) && !known; ++i) {
        const CRYPTO_BUFFER* other = sk_CRYPTO_BUFFER_value(ca_names.get(), i);
        known = CRYPTO_BUFFER_len(other) == static_cast<size_t>(size) &&
                std::equal(name, name + size, CRYPTO_BUFFER_data(other));
      }
      if (!known) bssl::PushToStack(ca_names.get(), std::move(buffer));
    }
    trusted.push_back({source.origin, std::move(certificate)});
  }
  return absl::OkStatus();
}

Status Verifier::Impl::load_crls(Parts& parts) {
  size_t count = 0;
  // Lists may stand among the authorities, too.
  if (store != nullptr && spec.trusted_ca.bytes.find(kBeginCrl) != std::string::npos)
    WEIR_RETURN_IF_ERROR(read_crls("trusted_ca", spec.trusted_ca, parts, count));
  if (spec.crl.empty()) return absl::OkStatus();
  if (store == nullptr) return at_fault("crl", spec.crl, "needs trusted_ca: lists are checked along the chain");
  if (spec.crl.bytes.size() > kMaxBytes) return at_fault("crl", spec.crl, "has more than 16 MiB");
  count = 0;
  WEIR_RETURN_IF_ERROR(read_crls("crl", spec.crl, parts, count));
  if (count == 0)
    return at_fault("crl", spec.crl, std::string("no revocation list in it (no ").append(kBeginCrl).append(")"));
  return absl::OkStatus();
}

// Of an issuer who is not among the trusted ones nothing is known: the peer's chain may bring the certificate.
bool Verifier::Impl::is_forged(X509_CRL* list) const {
  bool known = false;
  for (const Trusted& one : trusted) {
    X509* issuer = one.certificate.handle();
    if (X509_NAME_cmp(X509_get_subject_name(issuer), X509_CRL_get_issuer(list)) != 0) continue;
    known = true;
    const bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(issuer));
    if (key != nullptr && X509_CRL_verify(list, key.get()) == 1) return false;
  }
  return known;
}

Status Verifier::Impl::read_crls(std::string_view field, const Source& source, Parts& parts, size_t& count) {
  bssl::UniquePtr<BIO> in(BIO_new_mem_buf(source.bytes.data(), static_cast<int>(source.bytes.size())));
  while (true) {
    bssl::UniquePtr<X509_CRL> crl(PEM_read_bio_X509_CRL(in.get(), nullptr, nullptr, nullptr));
    if (crl == nullptr) {
      const std::string reason = take_reason();
      if (reason == "NO_START_LINE") break;
      return at_fault(field, source, "list " + std::to_string(count + 1) + " cannot be read: " + reason);
    }
    ++count;
    if (!X509_STORE_add_crl(store.get(), crl.get()))
      return at_fault(field, source, "list " + std::to_string(count) + " cannot be used: " + take_reason());
    forget_errors();
    crls.push_back({source.origin, count, std::move(crl)});
  }
  parts.add(source.bytes);
  return absl::OkStatus();
}

Status Verifier::Impl::load_pins() {
  std::string faults;
  const auto fault = [&](const std::string& text) {
    faults += (faults.empty() ? "" : std::string(1, kNextFault)) + text;
  };
  for (const std::string& text : spec.certificate_hashes) {
    Digest digest;
    if (!read_hex(text, digest))
      fault("verify_certificate_hash: \"" + text +
            "\" is not a SHA-256 in hexadecimal (64 digits, or 32 pairs with colons between them)");
    certificate_pins.push_back(digest);
  }
  for (const std::string& text : spec.spki_hashes) {
    Digest digest;
    if (!read_base64(text, digest)) {
      forget_errors();
      fault("verify_certificate_spki: \"" + text + "\" is not a SHA-256 in base64 (44 characters)");
    }
    spki_pins.push_back(digest);
  }
  return faults.empty() ? absl::OkStatus() : invalid(faults);
}

Status Verifier::Impl::load_names(Parts& parts) {
  for (size_t i = 0; i < spec.san_matchers.size(); ++i) {
    const SanMatcherSpec& one = spec.san_matchers[i];
    const std::string where = "match_typed_subject_alt_names[" + std::to_string(i) + "]";
    std::string oid;
    if (one.kind == NameKind::kOther) {
      bssl::UniquePtr<ASN1_OBJECT> object(one.oid.empty() ? nullptr : OBJ_txt2obj(one.oid.c_str(), 1));
      forget_errors();
      if (object == nullptr)
        return invalid(where + ".oid: \"" + one.oid + "\" is not an object identifier, as in 1.3.6.1.4.1.311.20.2.3");
      char text[256];
      OBJ_obj2txt(text, sizeof(text), object.get(), 1);
      oid = text;
    } else if (!one.oid.empty()) {
      return invalid(where + ".oid: is for OTHER_NAME only");
    }
    auto matcher = match::StringMatcher::build(one.matcher);
    if (!matcher.ok()) return invalid(where + ".matcher: " + message_of(matcher.status()));
    parts.add(static_cast<uint64_t>(one.kind) | static_cast<uint64_t>(one.matcher.kind) << 8 |
              static_cast<uint64_t>(one.matcher.ignore_case) << 16);
    parts.add(oid);
    parts.add(one.matcher.text);
    const bool exact = one.kind == NameKind::kDns && one.matcher.kind == match::StringMatcherSpec::Kind::kExact;
    matchers.push_back({one.kind, std::move(oid), exact, std::move(*matcher)});
  }
  return absl::OkStatus();
}

Status Verifier::Impl::load_domains(Parts& parts) {
  for (const VerifierSpec::TrustDomain& one : spec.trust_domains) {
    if (one.name.empty()) return invalid(one.field + ": name: must not be empty");
    Domain domain{one.name, nullptr};
    for (const Domain& other : domains) {
      if (other.name == one.name) return invalid(one.field + ": \"" + one.name + "\" is there twice");
    }
    parts.add(one.name);
    WEIR_RETURN_IF_ERROR(load_store(one.field, one.bundle, domain.store, parts));
    domains.push_back(std::move(domain));
  }
  return absl::OkStatus();
}

bool Verifier::Impl::check_chain(X509_STORE* with, X509* leaf, STACK_OF(X509) * others, const VerifyInput& input,
                                 Verdict& verdict) const {
  bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  if (!X509_STORE_CTX_init(context.get(), with, leaf, others)) {
    verdict.detail = "verify cert failed: " + take_reason();
    verdict.alert = SSL_AD_INTERNAL_ERROR;
    return false;
  }
  X509_STORE_CTX_set_default(context.get(), input.peer == PeerRole::kClient ? "ssl_client" : "ssl_server");
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST;
  if (with == store.get() && !crls.empty()) {
    flags |= X509_V_FLAG_CRL_CHECK;
    if (!spec.only_verify_leaf_cert_crl) flags |= X509_V_FLAG_CRL_CHECK_ALL;
  }
  X509_VERIFY_PARAM_set_flags(parameters, flags);
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(std::min<uint32_t>(spec.max_verify_depth, 100)));
  X509_VERIFY_PARAM_set_time(parameters,
                             std::chrono::floor<std::chrono::seconds>(input.now).time_since_epoch().count());
  if (spec.allow_expired_certificate) {
    X509_STORE_CTX_set_verify_cb(context.get(), [](int ok, X509_STORE_CTX* at) {
      return ok != 0 || is_about_time(X509_STORE_CTX_get_error(at)) ? 1 : 0;
    });
  }
  const bool good = X509_verify_cert(context.get()) == 1;
  forget_errors();
  if (good) return true;
  const int error = X509_STORE_CTX_get_error(context.get());
  verdict.detail = "verify cert failed: X509_verify_cert: certificate verification error at depth " +
                   std::to_string(X509_STORE_CTX_get_error_depth(context.get())) + ": " +
                   X509_verify_cert_error_string(error);
  verdict.alert = static_cast<uint8_t>(SSL_alert_from_verify_result(error));
  return false;
}

bool Verifier::Impl::check_spiffe(X509* leaf, STACK_OF(X509) * others, const std::vector<San>& names,
                                  const VerifyInput& input, Verdict& verdict) const {
  auto fail = [&](std::string_view why) {
    verdict.detail = std::string("verify cert failed: SPIFFE: ").append(why);
    verdict.alert = SSL_AD_CERTIFICATE_UNKNOWN;
    return false;
  };
  // X.509-SVID section 2, 4.1 and 4.3.
  std::string_view id;
  size_t uris = 0;
  for (const San& san : names) {
    if (san.kind != NameKind::kUri) continue;
    ++uris;
    id = san.text;
  }
  if (uris != 1) return fail("the certificate has " + std::to_string(uris) + " URI names; it must have one");
  if (!id.starts_with(kSpiffe)) return fail("the URI of the certificate does not begin with spiffe://");
  const uint32_t usage = X509_get_key_usage(leaf);
  const bool signs = (X509_get_extension_flags(leaf) & EXFLAG_KUSAGE) != 0 &&
                     (usage & (X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN)) != 0;
  if ((X509_get_extension_flags(leaf) & EXFLAG_CA) != 0 || signs)
    return fail("the certificate is that of an authority");
  std::string_view domain = id.substr(kSpiffe.size());
  domain = domain.substr(0, std::min(domain.find('/'), kMaxTrustDomain));
  for (const Domain& one : domains) {
    if (one.name == domain) return check_chain(one.store.get(), leaf, others, input, verdict);
  }
  return fail(std::string("no trust bundle for the trust domain \"").append(domain).append("\""));
}

bool Verifier::Impl::check_names(const std::vector<San>& names, const VerifyInput& input, Verdict& verdict) const {
  auto fail = [&](const char* detail) {
    verdict.failed = Verdict::Failed::kNames;
    verdict.detail = detail;
    verdict.alert = SSL_AD_CERTIFICATE_UNKNOWN;
    return false;
  };
  const auto is_expected = [&](const San& san) {
    return std::any_of(input.expected_names.begin(), input.expected_names.end(), [&](const std::string& wanted) {
      return san.kind == NameKind::kDns   ? dns_name_matches(san.text, wanted)
             : san.kind == NameKind::kUri ? san.text == wanted
             : san.kind == NameKind::kIp  ? ip_matches(san.text, wanted)
                                          : false;
    });
  };
  if (!input.expected_names.empty() && std::none_of(names.begin(), names.end(), is_expected))
    return fail("verify cert failed: verify SAN list");
  if (input.names_suffice) return true;
  if (matchers.empty()) return true;
  for (const Matcher& matcher : matchers) {
    for (const San& san : names) {
      if (matcher.matches(san)) return true;
    }
  }
  return fail("verify cert failed: SAN matcher");
}

bool Verifier::Impl::check_pins(X509* leaf, const CRYPTO_BUFFER* der, Verdict& verdict) const {
  if (certificate_pins.empty() && spki_pins.empty()) return true;
  auto is_in = [](const std::vector<Digest>& pins, const uint8_t* bytes, size_t size) {
    Digest digest;
    SHA256(bytes, size, digest.data());
    return std::find(pins.begin(), pins.end(), digest) != pins.end();
  };
  if (is_in(certificate_pins, CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der))) return true;
  if (!spki_pins.empty()) {
    uint8_t* bytes = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &bytes);
    bssl::UniquePtr<uint8_t> owned(bytes);
    if (size > 0 && is_in(spki_pins, bytes, static_cast<size_t>(size))) return true;
  }
  verdict.failed = Verdict::Failed::kHash;
  verdict.detail = "verify cert failed: cert hash and spki";
  verdict.alert = SSL_AD_CERTIFICATE_UNKNOWN;
  return false;
}

Verifier::Verifier(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Verifier::~Verifier() = default;

Result<std::shared_ptr<const Verifier>> Verifier::build(VerifierSpec spec) {
  if (Status opened = crypto::open_library(); !opened.ok()) return opened;
  auto impl = std::make_unique<Impl>();
  WEIR_RETURN_IF_ERROR(impl->load(std::move(spec)));
  return std::shared_ptr<const Verifier>(new Verifier(std::move(impl)));
}

Verdict Verifier::verify(const STACK_OF(CRYPTO_BUFFER) * chain, const VerifyInput& input) const {
  Verdict verdict;
  const Impl& impl = *impl_;
  auto decide = [&](bool good) {
    verdict.validated = good && impl.asks_for_anything(input);
    verdict.accepted = good || impl.spec.accept_untrusted;
    return std::move(verdict);
  };
  const size_t count = chain != nullptr ? sk_CRYPTO_BUFFER_num(chain) : 0;
  if (count == 0) {
    verdict.failed = Verdict::Failed::kNoCertificate;
    verdict.detail = "verify cert failed: no certificate";
    verdict.alert = SSL_AD_CERTIFICATE_REQUIRED;
    return decide(false);
  }
  bssl::UniquePtr<X509> leaf;
  bssl::UniquePtr<STACK_OF(X509)> others(sk_X509_new_null());
  for (size_t i = 0; i < count; ++i) {
    bssl::UniquePtr<X509> one(X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i)));
    if (one == nullptr) {
      verdict.failed = Verdict::Failed::kChain;
      verdict.detail =
          "verify cert failed: certificate " + std::to_string(i + 1) + " of the chain cannot be read: " + take_reason();
      verdict.alert = SSL_AD_BAD_CERTIFICATE;
      return decide(false);
    }
    if (i == 0) {
      leaf = std::move(one);
    } else {
      bssl::PushToStack(others.get(), std::move(one));
    }
  }
  if (!impl.spec.allow_expired_certificate) verdict.valid_until = end_of(leaf.get(), input.now);
  const bool needs_names = !impl.domains.empty() || !impl.matchers.empty() || !input.expected_names.empty();
  const std::vector<San> names = needs_names ? names_of(leaf.get()) : std::vector<San>();
  const bool trusted = !impl.domains.empty() ? impl.check_spiffe(leaf.get(), others.get(), names, input, verdict)
                       : impl.store != nullptr
                           ? impl.check_chain(impl.store.get(), leaf.get(), others.get(), input, verdict)
                           : true;
  if (!trusted) {
    verdict.failed = Verdict::Failed::kChain;
    return decide(false);
  }
  return decide(impl.check_names(names, input, verdict) &&
                impl.check_pins(leaf.get(), sk_CRYPTO_BUFFER_value(chain, 0), verdict));
}

std::vector<std::string> Verifier::warnings(WallTime now) const {
  std::vector<std::string> warnings;
  for (const Trusted& one : impl_->trusted) {
    const std::string which = (one.origin.empty() ? "inline" : one.origin) + ": " + one.certificate.subject();
    if (one.certificate.not_after() < now) warnings.push_back(which + " has expired");
    if (one.certificate.not_before() > now) warnings.push_back(which + " is not valid yet");
  }
  // Bundles hold what has expired for years.
  if (warnings.size() < impl_->trusted.size()) warnings.clear();
  time_t seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  for (const Impl::Crl& one : impl_->crls) {
    const auto warn = [&](std::string_view is) {
      warnings.push_back((one.origin.empty() ? "inline" : one.origin) + ": list " + std::to_string(one.number) +
                         std::string(is) + "; certificates of its issuer are refused");
    };
    const ASN1_TIME* next = X509_CRL_get0_nextUpdate(one.list.get());
    if (next != nullptr && X509_cmp_time(next, &seconds) < 0) warn(" is out of date");
    if (X509_cmp_time(X509_CRL_get0_lastUpdate(one.list.get()), &seconds) > 0) warn(" is not valid yet");
    if (impl_->is_forged(one.list.get())) warn(" is not signed by its issuer");
  }
  forget_errors();
  return warnings;
}

const std::vector<Verifier::Trusted>& Verifier::trusted() const { return impl_->trusted; }
std::string_view Verifier::digest() const { return impl_->digest; }
bool Verifier::accepts_untrusted() const { return impl_->spec.accept_untrusted; }
bool Verifier::checks_anything() const { return impl_->asks_for_anything({}); }
bool Verifier::checks_chain() const { return impl_->store != nullptr || !impl_->domains.empty(); }
const STACK_OF(CRYPTO_BUFFER) * Verifier::ca_names() const { return impl_->ca_names.get(); }

}  // namespace weir::tls
