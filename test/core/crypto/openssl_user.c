/* A shared library that brings OpenSSL, as a plugin may: tells whose functions it got. */
#include <openssl/crypto.h>
#include <openssl/sha.h>

__attribute__((visibility("default"))) const char* probe_version(void) { return OpenSSL_version(OPENSSL_VERSION); }
__attribute__((visibility("default"))) void* probe_function(void) { return (void*)&SHA256; }
