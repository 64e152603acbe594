#include "core/crypto/library.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>

#include <fstream>
#include <sstream>
#include <string>

namespace weir::crypto {
namespace {

std::string maps() {
  std::ifstream file("/proc/self/maps");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(LibraryTest, OpensBothLibraries) {
  ASSERT_TRUE(open_library().ok()) << open_library();
  EXPECT_NE(maps().find("android/libcrypto.so.0"), std::string::npos);
  EXPECT_EQ(SSLeay_version(SSLEAY_VERSION), std::string("BoringSSL"));
  // One of libssl, which needs libcrypto.
  SSL_CTX* context = SSL_CTX_new(TLS_method());
  ASSERT_NE(context, nullptr);
  SSL_CTX_free(context);
}

TEST(LibraryTest, NoSymbolReachesWhoeverAsksTheProcess) {
  ASSERT_TRUE(open_library().ok());
  EXPECT_EQ(dlsym(RTLD_DEFAULT, "SSL_CTX_new"), nullptr);
  EXPECT_EQ(dlsym(RTLD_DEFAULT, "SHA256"), nullptr);
}

// The shape of the accident that this folder prevents: a plugin's OpenSSL bound to BoringSSL's functions.
TEST(LibraryTest, APluginKeepsItsOwnOpenSsl) {
  ASSERT_TRUE(open_library().ok());
  ASSERT_EQ(maps().find("/libcrypto.so.3"), std::string::npos) << "weir itself must not bring OpenSSL";
  void* plugin = dlopen(WEIR_OPENSSL_USER, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(plugin, nullptr) << dlerror();
  auto version = reinterpret_cast<const char* (*)()>(dlsym(plugin, "probe_version"));
  auto function = reinterpret_cast<void* (*)()>(dlsym(plugin, "probe_function"));
  EXPECT_EQ(std::string(version()).rfind("OpenSSL 3", 0), 0u) << version();
  Dl_info where{};
  ASSERT_NE(dladdr(function(), &where), 0);
  EXPECT_NE(std::string(where.dli_fname).find("libcrypto.so.3"), std::string::npos) << where.dli_fname;
  // And weir keeps BoringSSL.
  EXPECT_EQ(SSLeay_version(SSLEAY_VERSION), std::string("BoringSSL"));
}

}  // namespace
}  // namespace weir::crypto
