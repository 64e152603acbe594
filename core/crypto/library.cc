#include "core/crypto/library.h"

#include <dlfcn.h>
#include <openssl/base.h>
#include <openssl/crypto.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#ifndef OPENSSL_IS_BORINGSSL
#error "these are not BoringSSL's headers: /usr/include/android must come before /usr/include"
#endif
static_assert(BORINGSSL_API_VERSION >= 17);

// stubs.S
extern "C" {
extern void* weir_boringssl_slots[];
extern const char weir_boringssl_names[];
}

namespace weir::crypto {
namespace {

// In the slot of a function that this build of the library lacks.
[[noreturn]] void missing_function() {
  fprintf(stderr,
          "weir: a function of BoringSSL was called that " WEIR_BORINGSSL_DIR "/libcrypto.so.0 does not have\n");
  abort();
}

Result<void*> open(const char* path) {
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle != nullptr) return handle;
  const char* why = dlerror();
  return unavailable(std::string("BoringSSL cannot be opened: ") + (why != nullptr ? why : path) +
                     "; it is in Debian's package android-libboringssl");
}

Status open_once() {
  auto crypto = open(WEIR_BORINGSSL_DIR "/libcrypto.so.0");
  if (!crypto.ok()) return crypto.status();
  auto ssl = open(WEIR_BORINGSSL_DIR "/libssl.so.0");
  if (!ssl.ok()) return ssl.status();
  size_t index = 0;
  for (const char* name = weir_boringssl_names; *name != '\0'; name += strlen(name) + 1, ++index) {
    void* function = dlsym(*crypto, name);
    if (function == nullptr) function = dlsym(*ssl, name);
    weir_boringssl_slots[index] = function != nullptr ? function : reinterpret_cast<void*>(&missing_function);
  }
  // Before any thread uses it: picks the processor's instructions and seeds its tables.
  CRYPTO_library_init();
  return absl::OkStatus();
}

}  // namespace

Status open_library() {
  static const Status status = open_once();
  return status;
}

void require_library() {
  Status status = open_library();
  if (status.ok()) return;
  fprintf(stderr, "weir: %s\n", message_of(status).c_str());
  abort();
}

}  // namespace weir::crypto
