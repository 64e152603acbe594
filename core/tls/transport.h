// TLS between a socket and its connection. BoringSSL reads and writes the queues of net::Transport through a BIO, so
// that it makes no system call of its own (README.md says what that costs and saves). Inside core/tls only.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "core/net/transport.h"
#include "core/net/transport_facts.h"
#include "core/tls/client_context.h"
#include "core/tls/context_base.h"
#include "core/tls/facts.h"
#include "core/tls/handshake_share.h"
#include "core/tls/server_context.h"

namespace weir::tls {

// [worker]
class Transport final : public net::Transport, public net::TransportFacts, private HandshakeShare::Waiter {
 public:
  Transport(std::shared_ptr<const ServerContext> context, event::Lane& lane);
  Transport(std::shared_ptr<const ClientContext> context, event::Lane& lane, const ClientOptions& options);

  // net::Transport
  void on_attached(net::Connection& connection) override;
  Step handshake() override;
  Read read(Slices& in, size_t most) override;
  bool write(Slices& out, size_t most) override;
  void on_socket_end() override;
  void forbid_renegotiation() override { SSL_set_renegotiate_mode(ssl_.get(), ssl_renegotiate_never); }
  void shut() override;
  std::string_view failure() const override { return failure_; }
  net::TransportFacts& facts() override { return *this; }

  // net::TransportFacts
  std::string_view session(net::SessionFact fact) override;
  std::string_view certificate(net::End end, net::CertificateFact fact) override;
  const Names& names(net::End end, net::NameKind kind) override;
  WallTime not_before() override;
  WallTime not_after() override;
  bool presented() override;
  bool validated() override { return validated_; }

  // Of contexts.
  static ssl_select_cert_result_t on_client_hello(const SSL_CLIENT_HELLO* hello);
  static ssl_verify_result_t on_verify(SSL* ssl, uint8_t* alert);
  static int on_session(SSL* ssl, SSL_SESSION* session);
  static void on_key_log(const SSL* ssl, const char* line);

 private:
  // What only a client needs, and mostly until its handshake is over.
  struct ClientPart {
    std::string purpose;  // SessionCache
    std::vector<std::string> expected_names;
    bool names_suffice = false;  // VerifyInput
  };

  static Transport& of(const SSL* ssl);
  static const BIO_METHOD* bio_method();
  void begin(const ContextBase& context);
  bool is_server() const { return client_ == nullptr; }
  bool expects_names() const { return client_ != nullptr && !client_->expected_names.empty(); }

  ssl_select_cert_result_t choose_certificate(const SSL_CLIENT_HELLO& hello);
  // HandshakeShare::Waiter
  void go_on() override;
  Verdict verify_peer() const;
  void limit_session(WallTime valid_until);
  void count_handshake();
  void fail(int result);
  FactTexts& texts();

  std::shared_ptr<const void> owner_;  // of the context
  net::Connection* connection_ = nullptr;
  const ContextBase* context_ = nullptr;
  bssl::UniquePtr<SSL> ssl_;
  std::unique_ptr<ClientPart> client_;  // nullptr: we are the server
  const Identity* identity_ = nullptr;  // that we show
  std::unique_ptr<FactTexts> texts_;
  std::string failure_;
  std::string verify_detail_;
  bool done_ = false;
  bool chosen_ = false;  // the certificate, by the ClientHello
  bool validated_ = false;
  bool logs_keys_ = false;
  bool ended_ = false;  // the peer has said so
};

}  // namespace weir::tls
