#include "core/tls/ocsp.h"

#include <openssl/asn1.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>

#include "core/crypto/digest.h"

namespace weir::tls {
namespace {

constexpr unsigned kExplicit0 = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0;
constexpr unsigned kExplicit1 = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1;
constexpr unsigned kExplicit2 = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 2;

std::string bytes_of(const CBS& cbs) { return {reinterpret_cast<const char*>(CBS_data(&cbs)), CBS_len(&cbs)}; }

// "20301231235959Z" (RFC 6960 section 4.2.2.1: whole seconds, Zulu).
bool read_time(CBS* from, WallTime& time) {
  CBS text;
  if (!CBS_get_asn1(from, &text, CBS_ASN1_GENERALIZEDTIME) || CBS_len(&text) != 15) return false;
  const uint8_t* digits = CBS_data(&text);
  if (digits[14] != 'Z') return false;
  for (int i = 0; i < 14; ++i) {
    if (digits[i] < '0' || digits[i] > '9') return false;
  }
  auto number = [&](int at, int size) {
    int value = 0;
    for (int i = at; i < at + size; ++i) value = value * 10 + (digits[i] - '0');
    return value;
  };
  using namespace std::chrono;
  const year_month_day day(year(number(0, 4)), month(static_cast<unsigned>(number(4, 2))),
                           std::chrono::day(static_cast<unsigned>(number(6, 2))));
  if (!day.ok() || number(8, 2) > 23 || number(10, 2) > 59 || number(12, 2) > 60) return false;
  // What 64 bits of nanoseconds do not hold is as good as for ever.
  if (day.year() < year(1970) || day.year() > year(2261)) return false;
  time = WallTime(sys_days(day).time_since_epoch() + hours(number(8, 2)) + minutes(number(10, 2)) +
                  seconds(number(12, 2)));
  return true;
}

const char* status_text(uint64_t status) {
  static constexpr const char* kTexts[] = {"successful", "malformedRequest", "internalError", "tryLater",
                                           "?",          "sigRequired",      "unauthorized"};
  return status < std::size(kTexts) ? kTexts[status] : "?";
}

bool read_certificate_id(CBS* single, OcspResponse& out) {
  CBS id, algorithm, oid, name, key, serial;
  if (!CBS_get_asn1(single, &id, CBS_ASN1_SEQUENCE) || !CBS_get_asn1(&id, &algorithm, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&algorithm, &oid, CBS_ASN1_OBJECT) || !CBS_get_asn1(&id, &name, CBS_ASN1_OCTETSTRING) ||
      !CBS_get_asn1(&id, &key, CBS_ASN1_OCTETSTRING) || !CBS_get_asn1(&id, &serial, CBS_ASN1_INTEGER) ||
      CBS_len(&id) != 0)
    return false;
  bssl::UniquePtr<char> oid_text(CBS_asn1_oid_to_text(&oid));
  if (oid_text == nullptr) return false;
  out.hash_oid = oid_text.get();
  out.issuer_name_hash = bytes_of(name);
  out.issuer_key_hash = bytes_of(key);
  while (CBS_len(&serial) > 1 && CBS_data(&serial)[0] == 0) CBS_skip(&serial, 1);
  out.serial_hex = crypto::to_hex(CBS_data(&serial), CBS_len(&serial));
  return true;
}

bool read_single(CBS* responses, OcspResponse& out) {
  CBS single, status;
  unsigned tag = 0;
  if (!CBS_get_asn1(responses, &single, CBS_ASN1_SEQUENCE) || !read_certificate_id(&single, out) ||
      !CBS_get_any_asn1(&single, &status, &tag) || !read_time(&single, out.this_update))
    return false;
  switch (tag & CBS_ASN1_TAG_NUMBER_MASK) {
    case 0:
      out.says = OcspResponse::Says::kGood;
      break;
    case 1:
      out.says = OcspResponse::Says::kRevoked;
      break;
    case 2:
      out.says = OcspResponse::Says::kUnknown;
      break;
    default:
      return false;
  }
  CBS next, extensions;
  int has_next = 0;
  int has_extensions = 0;
  if (!CBS_get_optional_asn1(&single, &next, &has_next, kExplicit0) ||
      !CBS_get_optional_asn1(&single, &extensions, &has_extensions, kExplicit1) || CBS_len(&single) != 0)
    return false;
  if (has_next != 0) {
    WallTime time{};
    if (!read_time(&next, time) || CBS_len(&next) != 0) return false;
    out.next_update = time;
  }
  return true;
}

}  // namespace

Result<OcspResponse> OcspResponse::parse(std::string_view der) {
  const Status kind_of_error = invalid("is not an OCSP response in DER");
  CBS whole, outer, status, body, response, type, basic_octets;
  CBS_init(&whole, reinterpret_cast<const uint8_t*>(der.data()), der.size());
  if (!CBS_get_asn1(&whole, &outer, CBS_ASN1_SEQUENCE) || CBS_len(&whole) != 0 ||
      !CBS_get_asn1(&outer, &status, CBS_ASN1_ENUMERATED) || CBS_len(&status) != 1)
    return kind_of_error;
  if (CBS_data(&status)[0] != 0)
    return invalid(std::string("is a failure of the responder: ") + status_text(CBS_data(&status)[0]) + " (" +
                   std::to_string(CBS_data(&status)[0]) + ")");
  static constexpr uint8_t kBasic[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01};
  if (!CBS_get_asn1(&outer, &body, kExplicit0) || !CBS_get_asn1(&body, &response, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&response, &type, CBS_ASN1_OBJECT))
    return kind_of_error;
  if (!CBS_mem_equal(&type, kBasic, sizeof(kBasic)))
    return invalid("is an OCSP response of a kind that is not 'basic'");

  CBS basic, data, produced, responses, version, responder;
  int has_version = 0;
  unsigned responder_tag = 0;
  if (!CBS_get_asn1(&response, &basic_octets, CBS_ASN1_OCTETSTRING) ||
      !CBS_get_asn1(&basic_octets, &basic, CBS_ASN1_SEQUENCE) || !CBS_get_asn1(&basic, &data, CBS_ASN1_SEQUENCE) ||
      !CBS_get_optional_asn1(&data, &version, &has_version, kExplicit0) ||
      !CBS_get_any_asn1(&data, &responder, &responder_tag) ||
      (responder_tag != kExplicit1 && responder_tag != kExplicit2) ||
      !CBS_get_asn1(&data, &produced, CBS_ASN1_GENERALIZEDTIME) || !CBS_get_asn1(&data, &responses, CBS_ASN1_SEQUENCE))
    return kind_of_error;
  OcspResponse out;
  if (!read_single(&responses, out)) return kind_of_error;
  if (CBS_len(&responses) != 0) return invalid("is about several certificates; a stapled response is about one");
  return out;
}

Status OcspResponse::check(const crypto::Certificate& certificate, const crypto::Certificate* issuer) const {
  std::string serial = certificate.serial_hex();
  if (serial.size() % 2 != 0) serial.insert(0, "0");
  if (serial != serial_hex)
    return invalid("is about another certificate (serial " + serial_hex + "; that of " + certificate.subject() +
                   " is " + serial + ")");
  const EVP_MD* hash = hash_oid == "1.3.14.3.2.26"            ? EVP_sha1()
                       : hash_oid == "2.16.840.1.101.3.4.2.1" ? EVP_sha256()
                       : hash_oid == "2.16.840.1.101.3.4.2.2" ? EVP_sha384()
                       : hash_oid == "2.16.840.1.101.3.4.2.3" ? EVP_sha512()
                                                              : nullptr;
  if (hash == nullptr) return absl::OkStatus();
  auto equal = [&](std::string_view wanted, const uint8_t* digest, unsigned size) {
    return wanted == std::string_view(reinterpret_cast<const char*>(digest), size);
  };
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const X509_NAME* issuer_name = X509_get_issuer_name(certificate.handle());
  bool same = X509_NAME_digest(issuer_name, hash, digest, &size) && equal(issuer_name_hash, digest, size);
  if (same && issuer != nullptr) {
    const ASN1_BIT_STRING* key = X509_get0_pubkey_bitstr(issuer->handle());
    same = key != nullptr &&
           EVP_Digest(ASN1_STRING_get0_data(key), static_cast<size_t>(ASN1_STRING_length(key)), digest, &size, hash,
                      nullptr) &&
           equal(issuer_key_hash, digest, size);
  }
  ERR_clear_error();
  return same ? absl::OkStatus()
              : invalid("is about a certificate of another issuer than that of " + certificate.subject() + " (" +
                        certificate.issuer() + ")");
}

}  // namespace weir::tls
