#include "core/crypto/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "core/crypto/digest.h"

namespace weir::crypto {
namespace {

bssl::UniquePtr<BIO> reader(std::string_view text) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(std::min<size_t>(text.size(), INT32_MAX))));
}

// The library's last error, said in its words; the queue is empty afterwards.
std::string last_error() {
  uint32_t code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return reason != nullptr ? reason : "unknown error";
}

std::string text_of(const X509_NAME* name) {
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), const_cast<X509_NAME*>(name), 0, XN_FLAG_RFC2253);
  const uint8_t* bytes = nullptr;
  size_t size = 0;
  if (!BIO_mem_contents(out.get(), &bytes, &size)) return {};
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

// "99991231235959Z" is how a certificate says that it does not end (RFC 5280 4.1.2.5); what 64 bits of nanoseconds do
// not hold is as good as that.
constexpr int kMostDays = 106'000;

WallTime time_of(const ASN1_TIME* time) {
  bssl::UniquePtr<ASN1_TIME> epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (!ASN1_TIME_diff(&days, &seconds, epoch.get(), time)) return {};
  days = std::clamp(days, -kMostDays, kMostDays);
  return WallTime(std::chrono::hours(24) * days + std::chrono::seconds(seconds));
}

std::string text_of(const ASN1_STRING* text) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<size_t>(ASN1_STRING_length(text)));
}

}  // namespace

void Certificate::Free::operator()(x509_st* x509) const { X509_free(x509); }

Result<std::vector<Certificate>> Certificate::parse_pem(std::string_view pem) {
  std::vector<Certificate> certificates;
  bssl::UniquePtr<BIO> in = reader(pem);
  while (true) {
    X509* x509 = PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr);
    if (x509 == nullptr) {
      uint32_t code = ERR_peek_last_error();
      if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) {
        ERR_clear_error();
        break;  // the end of the text
      }
      return invalid("certificate " + std::to_string(certificates.size() + 1) + " cannot be read: " + last_error());
    }
    certificates.push_back(adopt(x509));
  }
  if (certificates.empty()) return invalid("no certificate in it (no -----BEGIN CERTIFICATE-----)");
  return certificates;
}

Result<Certificate> Certificate::parse_der(std::string_view der) {
  auto* at = reinterpret_cast<const uint8_t*>(der.data());
  const uint8_t* end = at + der.size();
  X509* x509 = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
  if (x509 == nullptr) return invalid("the certificate cannot be read: " + last_error());
  Certificate certificate = adopt(x509);
  if (at != end) return invalid("something follows the certificate");
  return certificate;
}

Certificate Certificate::adopt(x509_st* x509) {
  Certificate certificate(x509);
  certificate.read_names();
  return certificate;
}

void Certificate::read_names() {
  bssl::UniquePtr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x509_.get(), NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  for (size_t i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    switch (name->type) {
      case GEN_DNS:
        dns_names_.push_back(text_of(name->d.dNSName));
        break;
      case GEN_URI:
        uris_.push_back(text_of(name->d.uniformResourceIdentifier));
        break;
      case GEN_EMAIL:
        emails_.push_back(text_of(name->d.rfc822Name));
        break;
      case GEN_IPADD: {
        int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
        char text[INET6_ADDRSTRLEN];
        bool whole = family == AF_INET || ASN1_STRING_length(name->d.iPAddress) == 16;
        if (whole && inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof(text)) != nullptr)
          ip_addresses_.emplace_back(text);
        break;
      }
      default:
        break;
    }
  }
}

std::string Certificate::subject() const { return text_of(X509_get_subject_name(x509_.get())); }
std::string Certificate::issuer() const { return text_of(X509_get_issuer_name(x509_.get())); }

std::string Certificate::serial_hex() const {
  bssl::UniquePtr<BIGNUM> number(ASN1_INTEGER_to_BN(X509_get_serialNumber(x509_.get()), nullptr));
  if (number == nullptr) return {};
  bssl::UniquePtr<char> text(BN_bn2hex(number.get()));
  return text.get();
}

WallTime Certificate::not_before() const { return time_of(X509_get0_notBefore(x509_.get())); }
WallTime Certificate::not_after() const { return time_of(X509_get0_notAfter(x509_.get())); }

namespace {

std::string digest_of(const X509* x509, const EVP_MD* kind) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (!X509_digest(x509, kind, digest, &size)) return {};
  return to_hex(digest, size);
}

}  // namespace

std::string Certificate::fingerprint() const { return digest_of(x509_.get(), EVP_sha256()); }
std::string Certificate::fingerprint_sha1() const { return digest_of(x509_.get(), EVP_sha1()); }

std::string Certificate::der() const {
  uint8_t* bytes = nullptr;
  const int size = i2d_X509(x509_.get(), &bytes);
  bssl::UniquePtr<uint8_t> owned(bytes);
  return size > 0 ? std::string(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)) : std::string();
}

std::string Certificate::pem() const {
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  const uint8_t* bytes = nullptr;
  size_t size = 0;
  if (!PEM_write_bio_X509(out.get(), x509_.get()) || !BIO_mem_contents(out.get(), &bytes, &size)) return {};
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

Status Certificate::check_key(std::string_view key_pem, std::string_view password) const {
  bssl::UniquePtr<BIO> in = reader(key_pem);
  // Without a callback the library would ask at the terminal.
  auto give_password = [](char* to, int room, int, void* user) {
    const auto& text = *static_cast<const std::string_view*>(user);
    if (text.size() > static_cast<size_t>(room)) return -1;
    text.copy(to, text.size());
    return static_cast<int>(text.size());
  };
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, give_password, &password));
  if (key == nullptr) return invalid("the private key cannot be read: " + last_error());
  bool fits = X509_check_private_key(x509_.get(), key.get()) == 1;
  ERR_clear_error();
  return fits ? absl::OkStatus() : invalid("the private key is not that of the certificate (" + subject() + ")");
}

}  // namespace weir::crypto
