#include "test/support/certificates.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/pkcs8.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/stack.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "core/crypto/library.h"

namespace weir::test {
namespace {

// Tests cannot go on without.
void need(bool made, const char* what) {
  if (made) return;
  std::fprintf(stderr, "test certificates: %s\n", what);
  ERR_print_errors_fp(stderr);
  std::abort();
}

std::string text_of(BIO* bio) {
  const uint8_t* bytes = nullptr;
  size_t size = 0;
  need(BIO_mem_contents(bio, &bytes, &size), "memory");
  return {reinterpret_cast<const char*>(bytes), size};
}

bssl::UniquePtr<ASN1_TIME> time_of(WallTime time) {
  return bssl::UniquePtr<ASN1_TIME>(
      ASN1_TIME_set(nullptr, std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count()));
}

bssl::UniquePtr<EVP_PKEY> rsa_key(int bits) {
  // Making one is slow, and no test needs two.
  static std::map<int, bssl::UniquePtr<EVP_PKEY>> keys;
  auto& key = keys[bits];
  if (key == nullptr) {
    bssl::UniquePtr<RSA> rsa(RSA_new());
    bssl::UniquePtr<BIGNUM> exponent(BN_new());
    need(BN_set_word(exponent.get(), RSA_F4) && RSA_generate_key_ex(rsa.get(), bits, exponent.get(), nullptr), "RSA");
    key.reset(EVP_PKEY_new());
    need(EVP_PKEY_set1_RSA(key.get(), rsa.get()), "RSA");
  }
  return bssl::UpRef(key);
}

bssl::UniquePtr<EVP_PKEY> make_key(Key kind) {
  int curve = 0;
  switch (kind) {
    case Key::kRsa2048:
      return rsa_key(2048);
    case Key::kRsa1024:
      return rsa_key(1024);
    case Key::kEd25519: {
      uint8_t seed[32];
      RAND_bytes(seed, sizeof(seed));
      return bssl::UniquePtr<EVP_PKEY>(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed, sizeof(seed)));
    }
    case Key::kP256:
      curve = NID_X9_62_prime256v1;
      break;
    case Key::kP384:
      curve = NID_secp384r1;
      break;
    case Key::kP521:
      curve = NID_secp521r1;
      break;
    case Key::kSecp224:
      curve = NID_secp224r1;
      break;
  }
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(curve));
  need(ec != nullptr && EC_KEY_generate_key(ec.get()), "EC");
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  need(EVP_PKEY_set1_EC_KEY(key.get(), ec.get()), "EC");
  return key;
}

const EVP_MD* digest_for(const EVP_PKEY* key) { return EVP_PKEY_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256(); }

void add_extension(X509* x509, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  bssl::UniquePtr<X509_EXTENSION> extension(X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str()));
  need(extension != nullptr && X509_add_ext(x509, extension.get(), -1), value.c_str());
}

}  // namespace

std::string TestIdentity::der() const {
  uint8_t* bytes = nullptr;
  const int size = i2d_X509(x509.get(), &bytes);
  bssl::UniquePtr<uint8_t> owned(bytes);
  return {reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)};
}

std::string TestIdentity::encrypted_key(const std::string& password) const {
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  need(PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_256_cbc(), const_cast<char*>(password.data()),
                                     static_cast<int>(password.size()), nullptr, nullptr),
       "encrypted key");
  return text_of(out.get());
}

std::string TestIdentity::pkcs12(const std::string& password, const std::vector<const TestIdentity*>& chain) const {
  bssl::UniquePtr<STACK_OF(X509)> others(sk_X509_new_null());
  for (const TestIdentity* one : chain) bssl::PushToStack(others.get(), bssl::UpRef(one->x509));
  bssl::UniquePtr<PKCS12> p12(
      PKCS12_create(password.c_str(), "name", key.get(), x509.get(), others.get(), 0, 0, 0, 0, 0));
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  need(p12 != nullptr && i2d_PKCS12_bio(out.get(), p12.get()), "PKCS#12");
  return text_of(out.get());
}

TestIdentity make_certificate(const CertificateOptions& options, const TestIdentity* issuer) {
  crypto::require_library();
  TestIdentity made;
  made.key = make_key(options.key);
  made.x509.reset(X509_new());
  X509* x509 = made.x509.get();
  need(X509_set_version(x509, X509_VERSION_3), "version");
  uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<uint8_t*>(&serial), sizeof(serial));
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), serial >> 1);
  X509_NAME* subject = X509_get_subject_name(x509);
  need(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const uint8_t*>(options.common_name.data()),
                                  static_cast<int>(options.common_name.size()), -1, 0),
       "subject");
  X509* issued_by = issuer != nullptr ? issuer->x509.get() : x509;
  X509_set_issuer_name(x509, X509_get_subject_name(issued_by));
  X509_set1_notBefore(x509, time_of(options.not_before).get());
  X509_set1_notAfter(x509, time_of(options.not_after).get());
  X509_set_pubkey(x509, made.key.get());
  if (options.authority) add_extension(x509, issued_by, NID_basic_constraints, "critical,CA:TRUE");
  if (!options.key_usage.empty()) add_extension(x509, issued_by, NID_key_usage, options.key_usage);
  if (!options.extended_key_usage.empty())
    add_extension(x509, issued_by, NID_ext_key_usage, options.extended_key_usage);
  if (!options.names.empty()) {
    std::string all;
    for (const std::string& name : options.names) all += (all.empty() ? "" : ",") + name;
    add_extension(x509, issued_by, NID_subject_alt_name, all);
  }
  if (options.must_staple) {
    static constexpr uint8_t kFeature[] = {0x30, 0x03, 0x02, 0x01, 0x05};
    bssl::UniquePtr<ASN1_OBJECT> object(OBJ_txt2obj("1.3.6.1.5.5.7.1.24", 1));
    bssl::UniquePtr<ASN1_OCTET_STRING> value(ASN1_OCTET_STRING_new());
    ASN1_OCTET_STRING_set(value.get(), kFeature, sizeof(kFeature));
    bssl::UniquePtr<X509_EXTENSION> extension(X509_EXTENSION_create_by_OBJ(nullptr, object.get(), 0, value.get()));
    need(X509_add_ext(x509, extension.get(), -1), "must-staple");
  }
  EVP_PKEY* signer = issuer != nullptr ? issuer->key.get() : made.key.get();
  need(X509_sign(x509, signer, digest_for(signer)), "signature");

  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), x509);
  made.certificate = text_of(out.get());
  bssl::UniquePtr<BIO> key_out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(key_out.get(), made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  made.private_key = text_of(key_out.get());
  return made;
}

TestIdentity make_authority(const std::string& name, const TestIdentity* issuer) {
  return make_certificate({.common_name = name, .authority = true, .key_usage = "critical,keyCertSign,cRLSign"},
                          issuer);
}

std::string make_crl(const TestIdentity& issuer, const std::vector<const TestIdentity*>& revoked,
                     WallTime next_update) {
  bssl::UniquePtr<X509_CRL> crl(X509_CRL_new());
  X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(issuer.x509.get()));
  X509_CRL_set1_lastUpdate(crl.get(), time_of(kValidFrom).get());
  X509_CRL_set1_nextUpdate(crl.get(), time_of(next_update).get());
  for (const TestIdentity* one : revoked) {
    bssl::UniquePtr<X509_REVOKED> entry(X509_REVOKED_new());
    X509_REVOKED_set_serialNumber(entry.get(), X509_get_serialNumber(one->x509.get()));
    X509_REVOKED_set_revocationDate(entry.get(), time_of(kValidFrom).get());
    need(X509_CRL_add0_revoked(crl.get(), entry.get()), "CRL entry");
    (void)entry.release();
  }
  need(X509_CRL_sign(crl.get(), issuer.key.get(), digest_for(issuer.key.get())), "CRL");
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_CRL(out.get(), crl.get());
  return text_of(out.get());
}

namespace {

void add_time(CBB* to, WallTime time) {
  CBB text;
  bssl::UniquePtr<ASN1_TIME> when = time_of(time);
  bssl::UniquePtr<ASN1_GENERALIZEDTIME> general(ASN1_TIME_to_generalizedtime(when.get(), nullptr));
  need(CBB_add_asn1(to, &text, CBS_ASN1_GENERALIZEDTIME) &&
           CBB_add_bytes(&text, ASN1_STRING_get0_data(general.get()),
                         static_cast<size_t>(ASN1_STRING_length(general.get()))) &&
           CBB_flush(to),
       "time");
}

void add_octets(CBB* to, const uint8_t* bytes, size_t size) {
  CBB octets;
  need(CBB_add_asn1(to, &octets, CBS_ASN1_OCTETSTRING) && CBB_add_bytes(&octets, bytes, size) && CBB_flush(to),
       "octets");
}

void add_single(CBB* to, const TestIdentity& about, const TestIdentity& issuer, const OcspOptions& options) {
  static constexpr uint8_t kSha1[] = {0x2b, 0x0e, 0x03, 0x02, 0x1a};
  static constexpr uint8_t kSha256[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01};
  const EVP_MD* hash = options.sha256 ? EVP_sha256() : EVP_sha1();
  CBB single, id, algorithm, oid, null, status, next;
  CBB_add_asn1(to, &single, CBS_ASN1_SEQUENCE);
  CBB_add_asn1(&single, &id, CBS_ASN1_SEQUENCE);
  CBB_add_asn1(&id, &algorithm, CBS_ASN1_SEQUENCE);
  CBB_add_asn1(&algorithm, &oid, CBS_ASN1_OBJECT);
  options.sha256 ? CBB_add_bytes(&oid, kSha256, sizeof(kSha256)) : CBB_add_bytes(&oid, kSha1, sizeof(kSha1));
  CBB_add_asn1(&algorithm, &null, CBS_ASN1_NULL);
  CBB_flush(&id);
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  X509_NAME_digest(X509_get_subject_name(issuer.x509.get()), hash, digest, &size);
  add_octets(&id, digest, size);
  const ASN1_BIT_STRING* key = X509_get0_pubkey_bitstr(issuer.x509.get());
  EVP_Digest(ASN1_STRING_get0_data(key), static_cast<size_t>(ASN1_STRING_length(key)), digest, &size, hash, nullptr);
  add_octets(&id, digest, size);
  uint8_t* serial = nullptr;
  const int serial_size = i2d_ASN1_INTEGER(X509_get_serialNumber(about.x509.get()), &serial);
  bssl::UniquePtr<uint8_t> owned(serial);
  CBB_add_bytes(&id, serial, static_cast<size_t>(serial_size));
  CBB_flush(&single);
  if (options.certificate_status == 1) {
    CBB_add_asn1(&single, &status, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1);
    add_time(&status, kValidFrom);
  } else {
    CBB_add_asn1(&single, &status, CBS_ASN1_CONTEXT_SPECIFIC | static_cast<unsigned>(options.certificate_status));
  }
  CBB_flush(&single);
  add_time(&single, options.this_update);
  if (options.has_next_update) {
    CBB_add_asn1(&single, &next, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0);
    add_time(&next, options.next_update);
  }
  need(CBB_flush(to), "single response");
}

}  // namespace

std::string make_ocsp_response(const TestIdentity& about, const TestIdentity& issuer, const OcspOptions& options) {
  static constexpr uint8_t kBasic[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01};
  static constexpr uint8_t kEcdsaSha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
  bssl::ScopedCBB whole;
  CBB outer, status, explicit0, response, type, octets, basic, data, by_key, responses, algorithm, oid, signature;
  CBB_init(whole.get(), 512);
  CBB_add_asn1(whole.get(), &outer, CBS_ASN1_SEQUENCE);
  CBB_add_asn1(&outer, &status, CBS_ASN1_ENUMERATED);
  CBB_add_u8(&status, static_cast<uint8_t>(options.response_status));
  CBB_flush(&outer);
  if (options.response_status == 0) {
    CBB_add_asn1(&outer, &explicit0, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0);
    CBB_add_asn1(&explicit0, &response, CBS_ASN1_SEQUENCE);
    CBB_add_asn1(&response, &type, CBS_ASN1_OBJECT);
    CBB_add_bytes(&type, kBasic, sizeof(kBasic));
    CBB_add_asn1(&response, &octets, CBS_ASN1_OCTETSTRING);
    CBB_add_asn1(&octets, &basic, CBS_ASN1_SEQUENCE);
    CBB_add_asn1(&basic, &data, CBS_ASN1_SEQUENCE);
    CBB_add_asn1(&data, &by_key, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 2);
    const uint8_t hash[20] = {};
    add_octets(&by_key, hash, sizeof(hash));
    CBB_flush(&data);
    add_time(&data, kValidFrom);
    CBB_add_asn1(&data, &responses, CBS_ASN1_SEQUENCE);
    for (int i = 0; i < options.count; ++i) add_single(&responses, about, issuer, options);
    CBB_flush(&basic);
    CBB_add_asn1(&basic, &algorithm, CBS_ASN1_SEQUENCE);
    CBB_add_asn1(&algorithm, &oid, CBS_ASN1_OBJECT);
    CBB_add_bytes(&oid, kEcdsaSha256, sizeof(kEcdsaSha256));
    CBB_add_asn1(&basic, &signature, CBS_ASN1_BITSTRING);
    CBB_add_u8(&signature, 0);
  }
  uint8_t* bytes = nullptr;
  size_t size = 0;
  need(CBB_finish(whole.get(), &bytes, &size), "OCSP response");
  bssl::UniquePtr<uint8_t> owned(bytes);
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace weir::test
