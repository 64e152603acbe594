// The client's side of TLS 1.3 for the load program, on BoringSSL: a client on OpenSSL costs twice what servers do.
// Servers are not verified: their part is measured.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/types.h>

#include <cerrno>
#include <memory>

#include "common.h"

namespace weir::bench {

// What a place of the load program keeps from one connection to the next.
struct TlsSession {
  ~TlsSession() { SSL_SESSION_free(newest); }
  TlsSession() = default;
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  SSL_SESSION* newest = nullptr;
};

class TlsClient {
 public:
  explicit TlsClient(bool resume) : resume_(resume), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION);
    // One group, and of suites see common_suite(): servers that prefer dearer ones would look slow.
    if (SSL_CTX_set1_curves_list(context_, "X25519") != 1) die("BoringSSL");
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context_, [](SSL* ssl, SSL_SESSION* session) {
      auto* kept = static_cast<TlsSession*>(SSL_get_app_data(ssl));
      if (kept == nullptr) return 0;
      SSL_SESSION_free(kept->newest);
      kept->newest = session;
      return 1;
    });
  }
  ~TlsClient() { SSL_CTX_free(context_); }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  SSL* open(int fd, TlsSession& kept) const {
    SSL* ssl = SSL_new(context_);
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, "shop.example");
    SSL_set_connect_state(ssl);
    if (resume_) {
      SSL_set_app_data(ssl, &kept);
      if (kept.newest != nullptr) {
        SSL_set_session(ssl, kept.newest);  // a ticket is for one connection
        SSL_SESSION_free(kept.newest);
        kept.newest = nullptr;
        SSL_set_ex_data(ssl, offered_, ssl);
      }
    }
    return ssl;
  }
  // All suites of TLS 1.3 are offered: the library leaves no choice.
  static bool common_suite(SSL* ssl) { return SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)) == 0x1301; }
  // A session was offered, and the server wanted a whole handshake all the same.
  bool refused(SSL* ssl) const { return SSL_get_ex_data(ssl, offered_) != nullptr && SSL_session_reused(ssl) == 0; }

 private:
  const bool resume_;
  SSL_CTX* const context_;
  const int offered_ = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
};

// As recv() and send(): the handshake is made on the way, and what it waits for is EAGAIN.
inline ssize_t tls_result(SSL* ssl, int result) {
  if (result > 0) return result;
  switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      errno = EAGAIN;
      return -1;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    case SSL_ERROR_SYSCALL:  // with 0: an end without close_notify
      if (result == 0 || errno != 0) return result;
      [[fallthrough]];
    default:
      errno = EPROTO;
      return -1;
  }
}
inline ssize_t tls_read(SSL* ssl, void* to, size_t size) {
  ERR_clear_error();
  return tls_result(ssl, SSL_read(ssl, to, static_cast<int>(size)));
}
inline ssize_t tls_write(SSL* ssl, const void* from, size_t size) {
  ERR_clear_error();
  return tls_result(ssl, SSL_write(ssl, from, static_cast<int>(size)));
}

}  // namespace weir::bench
