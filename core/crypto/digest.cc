#include "core/crypto/digest.h"

#include <absl/strings/escaping.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/md5.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

namespace weir::crypto {
namespace {

const uint8_t* data_of(std::string_view bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }

}  // namespace

Md5Digest md5(std::string_view bytes) {
  Md5Digest digest;
  MD5(data_of(bytes), bytes.size(), digest.data());
  return digest;
}

Sha1Digest sha1(std::string_view bytes) {
  Sha1Digest digest;
  SHA1(data_of(bytes), bytes.size(), digest.data());
  return digest;
}

Sha256Digest sha256(std::string_view bytes) {
  Sha256Digest digest;
  SHA256(data_of(bytes), bytes.size(), digest.data());
  return digest;
}

Sha256Digest hmac_sha256(std::string_view key, std::string_view bytes) {
  Sha256Digest digest;
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), key.size(), data_of(bytes), bytes.size(), digest.data(), &size);
  return digest;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(const uint8_t* bytes, size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(size * 2, '0');
  for (size_t i = 0; i < size; ++i) {
    text[2 * i] = kDigits[bytes[i] >> 4];
    text[2 * i + 1] = kDigits[bytes[i] & 15];
  }
  return text;
}

std::string to_base64(const uint8_t* bytes, size_t size) {
  return absl::Base64Escape({reinterpret_cast<const char*>(bytes), size});
}

}  // namespace weir::crypto
