#include "core/tls/transport.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/stack.h>

#include <algorithm>
#include <cstring>

#include "core/base/assert.h"
#include "core/net/address.h"
#include "core/net/connection.h"
#include "core/tls/client_context_impl.h"
#include "core/tls/errors.h"
#include "core/tls/server_context_impl.h"

namespace weir::tls {
namespace {

constexpr size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;
constexpr std::string_view kClosedEarly = "the connection was closed during the TLS handshake";
// Less room at the end of a block is not worth a call.
constexpr size_t kLeastRoom = 1024;

int bio_read(BIO* bio, char* to, int wanted) {
  BIO_clear_retry_flags(bio);
  Slices& wire = static_cast<Transport*>(BIO_get_data(bio))->wire_in();
  if (wanted <= 0) return 0;
  if (wire.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  size_t copied = 0;
  while (copied < static_cast<size_t>(wanted) && !wire.empty()) {
    const Slice& front = wire.front();
    const size_t here = std::min<size_t>(front.size, static_cast<size_t>(wanted) - copied);
    memcpy(to + copied, front.data, here);
    copied += here;
    wire.drop_front(here);
  }
  return static_cast<int>(copied);
}

int bio_write(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  auto& transport = *static_cast<Transport*>(BIO_get_data(bio));
  transport.wire_out().append_copy({from, static_cast<size_t>(size)}, transport.lane().blocks());
  return size;
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

// A client of the library offers it with TLS 1.3 whatever it is told.
bool uses_chacha20(const SSL* ssl) {
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
  return cipher != nullptr && SSL_CIPHER_get_cipher_nid(cipher) == NID_chacha20_poly1305;
}

// Of a name in the handshake: RFC 6066 section 3 has no addresses.
bool is_host_name(const std::string& name) { return !name.empty() && !net::Address::from_ip(name, 0).ok(); }

}  // namespace

const BIO_METHOD* Transport::bio_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir");
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

void Transport::begin(const ContextBase& context) {
  context_ = &context;
  ssl_.reset(SSL_new(context.context.get()));
  WEIR_CHECK(ssl_ != nullptr);
  BIO* bio = BIO_new(bio_method());
  WEIR_CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  // An idle connection keeps what it needs to read and write, and nothing of the handshake.
  SSL_set_shed_handshake_config(ssl_.get(), 1);
}

Transport::Transport(std::shared_ptr<const ServerContext> context, event::Lane& lane) : net::Transport(lane) {
  const ServerContext::Impl& impl = context->impl();
  owner_ = std::move(context);
  begin(impl);
  identity_ = impl.identities.front().get();
  SSL_set_accept_state(ssl_.get());
}

Transport::Transport(std::shared_ptr<const ClientContext> context, event::Lane& lane, const ClientOptions& options)
    : net::Transport(lane), client_(std::make_unique<ClientPart>()) {
  const ClientContext::Impl& impl = context->impl();
  owner_ = std::move(context);
  begin(impl);
  SSL* ssl = ssl_.get();
  identity_ = impl.identity.get();
  const std::string& name = options.server_name.empty() ? impl.sni : options.server_name;
  if (is_host_name(name)) SSL_set_tlsext_host_name(ssl, name.c_str());
  if (!options.alpn_protocols.empty()) {
    if (auto wire = alpn_wire(options.alpn_protocols); wire.ok())
      SSL_set_alpn_protos(ssl, reinterpret_cast<const uint8_t*>(wire->data()), static_cast<unsigned>(wire->size()));
  }
  if (!options.expected_names.empty()) {
    client_->expected_names = options.expected_names;
  } else if (impl.auto_sni_san_validation) {
    // Without a name there is nothing that a certificate could be good for.
    client_->expected_names = {name.empty() ? "(no server name)" : name};
    client_->names_suffice = true;
  }
  if (impl.allow_renegotiation) SSL_set_renegotiate_mode(ssl, ssl_renegotiate_freely);
  if (impl.enforce_rsa_key_usage) SSL_set_enforce_rsa_key_usage(ssl, 1);
  if (!impl.sessions.empty()) {
    client_->purpose = name;
    if (client_->names_suffice) client_->purpose += '\n';
    for (const std::string& expected : client_->expected_names) client_->purpose.append("\n").append(expected);
    if (auto session = impl.sessions.take(lane.index(), client_->purpose)) SSL_set_session(ssl, session.get());
  }
  SSL_set_connect_state(ssl);
}

Transport& Transport::of(const SSL* ssl) { return *static_cast<Transport*>(BIO_get_data(SSL_get_rbio(ssl))); }

void Transport::on_attached(net::Connection& connection) {
  connection_ = &connection;
  logs_keys_ = context_->key_log != nullptr && context_->key_log->wants(connection.local(), connection.remote());
}

net::Transport::Step Transport::handshake() {
  if (done_) return Step::kDone;
  if (waits()) return Step::kLater;  // the library would read everything again
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1 && context_->aes_only && uses_chacha20(ssl_.get())) {
    SSL_send_fatal_alert(ssl_.get(), SSL_AD_HANDSHAKE_FAILURE);
    OPENSSL_PUT_ERROR(SSL, SSL_R_WRONG_CIPHER_RETURNED);
    fail(-1);
    return Step::kFailed;
  }
  if (result == 1) {
    done_ = true;
    // The ends of a tunnel speak what they agreed on; of what weir speaks itself its connection knows.
    if (!is_server() && static_cast<const ClientContext::Impl&>(*context_).allow_renegotiation &&
        session(net::SessionFact::kProtocol) == "h2")
      forbid_renegotiation();
    count_handshake();
    return Step::kDone;
  }
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Step::kNeedInput;
    case SSL_ERROR_PENDING_CERTIFICATE:
      return Step::kLater;
    default:
      fail(result);
      return Step::kFailed;
  }
}

void Transport::go_on() {
  if (connection_ != nullptr) connection_->flush_later();
}

ssl_select_cert_result_t Transport::on_client_hello(const SSL_CLIENT_HELLO* hello) {
  return of(hello->ssl).choose_certificate(*hello);
}

ssl_select_cert_result_t Transport::choose_certificate(const SSL_CLIENT_HELLO& hello) {
  const auto& impl = static_cast<const ServerContext::Impl&>(*context_);
  const Stats& stats = *context_->stats;
  SSL* ssl = ssl_.get();
  const char* asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const std::string_view name = asked != nullptr ? asked : std::string_view();
  if (!chosen_) {
    bool staple = false;
    if (impl.require_sni && name.empty()) {
      OPENSSL_PUT_ERROR(SSL, SSL_R_MISSING_EXTENSION);
      return ssl_select_cert_error;
    }
    // Whoever would get ChaCha20 gets TLS 1.2.
    if (impl.aes_only && !impl.abilities.takes_tls13(hello)) SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    if (!impl.selector->trivial()) {
      const ClientAbilities client = ClientAbilities::of(hello, impl.abilities);
      if (client.wants_ocsp) stats.ocsp_staple_requests.inc();
      const CertificateSelector::Choice choice = impl.selector->choose(name, client, lane_.wall_now());
      if (choice.identity == nullptr) {
        stats.ocsp_staple_failed.inc();
        return ssl_select_cert_error;
      }
      staple = choice.staple;
      if (client.wants_ocsp) (staple ? stats.ocsp_staple_responses : stats.ocsp_staple_omitted).inc();
      if (choice.identity != identity_) {
        identity_ = choice.identity;
        if (!SSL_set_chain_and_key(ssl, identity_->chain().data(), identity_->chain().size(), identity_->key(),
                                   nullptr))
          return ssl_select_cert_error;
      }
      const auto response = identity_->ocsp_response();
      if (staple && !SSL_set_ocsp_response(ssl, response.data(), response.size())) return ssl_select_cert_error;
    }
    if (impl.selector->trivial() && ClientAbilities::asks_for_staple(hello)) {
      stats.ocsp_staple_requests.inc();
      stats.ocsp_staple_omitted.inc();
    }
    chosen_ = true;
    const uint32_t cost = identity_->key_kind() == KeyKind::kRsa ? HandshakeShare::kRsa : HandshakeShare::kCurve;
    if (!HandshakeShare::of_thread().take(lane_, cost, *this)) {
      stats.handshake_deferred.inc();
      return ssl_select_cert_retry;
    }
  }
  return ssl_select_cert_success;
}

Verdict Transport::verify_peer() const {
  const STACK_OF(CRYPTO_BUFFER)* chain = SSL_get0_peer_certificates(ssl_.get());
  if (!context_->takes_key_of(chain)) {
    Verdict refused;
    refused.accepted = false;
    refused.failed = Verdict::Failed::kChain;
    refused.detail = "verify cert failed: the compliance policy does not allow this kind of key";
    refused.alert = SSL_AD_UNSUPPORTED_CERTIFICATE;
    return refused;
  }
  if (context_->verifier == nullptr) return {};
  return context_->verifier->verify(
      chain, {.peer = is_server() ? PeerRole::kClient : PeerRole::kServer,
              .now = lane_.wall_now(),
              .expected_names = is_server() ? std::span<const std::string>() : client_->expected_names,
              .names_suffice = !is_server() && client_->names_suffice});
}

ssl_verify_result_t Transport::on_verify(SSL* ssl, uint8_t* alert) {
  Transport& transport = of(ssl);
  Verdict verdict = transport.verify_peer();
  const Stats& stats = *transport.context_->stats;
  switch (verdict.failed) {
    case Verdict::Failed::kNothing:
      break;
    case Verdict::Failed::kNoCertificate:
      stats.fail_verify_no_cert.inc();
      break;
    case Verdict::Failed::kChain:
      stats.fail_verify_error.inc();
      break;
    case Verdict::Failed::kNames:
      stats.fail_verify_san.inc();
      break;
    case Verdict::Failed::kHash:
      stats.fail_verify_cert_hash.inc();
      break;
  }
  transport.validated_ = verdict.validated;
  transport.verify_detail_ = std::move(verdict.detail);
  if (verdict.accepted) {
    transport.limit_session(verdict.valid_until);
    return ssl_verify_ok;
  }
  *alert = verdict.alert;
  return ssl_verify_invalid;
}

// Who resumes shows no certificate: it must not be good for longer than the certificate that was shown. The library
// would let TLS 1.3 go on for two days, and for a week if each connection renews it.
void Transport::limit_session(WallTime valid_until) {
  SSL_SESSION* session = SSL_get_session(ssl_.get());
  const auto left = std::chrono::floor<std::chrono::seconds>(valid_until - lane_.wall_now()).count();
  if (session == nullptr || left >= SSL_DEFAULT_SESSION_AUTH_TIMEOUT) return;
  // Renewals end then, too.
  SSL_SESSION_set_timeout(
      session, std::min(SSL_SESSION_get_timeout(session), static_cast<uint32_t>(std::max<int64_t>(left, 0))));
}

int Transport::on_session(SSL* ssl, SSL_SESSION* session) {
  Transport& transport = of(ssl);
  const auto& impl = static_cast<const ClientContext::Impl&>(*transport.context_);
  impl.sessions.put(transport.lane_.index(), transport.client_->purpose, bssl::UniquePtr<SSL_SESSION>(session));
  return 1;  // taken over
}

void Transport::on_key_log(const SSL* ssl, const char* line) {
  const Transport& transport = of(ssl);
  if (transport.logs_keys_) transport.context_->key_log->write(line);
}

void Transport::count_handshake() {
  const Stats& stats = *context_->stats;
  const SSL* ssl = ssl_.get();
  stats.handshake.inc();
  const bool shown = presented();
  if (SSL_session_reused(ssl)) {
    stats.session_reused.inc();
    // Nobody verifies again: what holds was found out when the session was made. Where the peer may have been let in
    // although it was not good, that is asked once more.
    const Verifier* verifier = context_->verifier.get();
    if (verifier != nullptr && shown)
      validated_ =
          verifier->accepts_untrusted() ? verify_peer().validated : verifier->checks_anything() || expects_names();
  }
  if (!shown) stats.no_certificate.inc();
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
  if (cipher != nullptr)
    stats.count(Stats::Kind::kCipher, SSL_CIPHER_get_protocol_id(cipher), SSL_CIPHER_get_name(cipher));
  stats.count(Stats::Kind::kVersion, static_cast<uint16_t>(SSL_version(ssl)), SSL_get_version(ssl));
  if (const uint16_t curve = SSL_get_curve_id(ssl)) {
    if (const char* name = SSL_get_curve_name(curve)) stats.count(Stats::Kind::kCurve, curve, name);
  }
  if (const uint16_t algorithm = SSL_get_peer_signature_algorithm(ssl)) {
    if (const char* name = SSL_get_signature_algorithm_name(algorithm, /*include_curve=*/1))
      stats.count(Stats::Kind::kSigalg, algorithm, name);
  }
}

void Transport::fail(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  Failure failure = take_failure(verify_detail_);
  if (!failure_.empty()) return;
  const Stats& stats = *context_->stats;
  if (failure.certificate_missing) stats.fail_verify_no_cert.inc();
  if (!failure.certificate_missing && !failure.verification && !failure.text.empty()) stats.connection_error.inc();
  failure_ = std::move(failure.text);
  if (!failure_.empty()) return;
  failure_ = error == SSL_ERROR_ZERO_RETURN ? std::string(kClosedEarly)
                                            : "TLS_error:|" + std::to_string(error) + ":no reason given:TLS_error_end";
}

net::Transport::Read Transport::read(Slices& in, size_t most) {
  if (ended_) return Read::kEnded;
  size_t taken = 0;
  while (taken < most) {
    BlockRef block;
    if (!in.empty() && in.back().block && !in.back().unseen() && in.back().block->room() >= kLeastRoom &&
        in.back().data + in.back().size == in.back().block->data() + in.back().block->used()) {
      block = in.back().block;
    } else {
      block = lane_.blocks().take();
    }
    char* at = block->data() + block->used();
    const size_t room = std::min(block->room(), most - taken);
    ERR_clear_error();
    const int n = SSL_read(ssl_.get(), at, static_cast<int>(room));
    if (n > 0) {
      taken += static_cast<size_t>(n);
      block->set_used(block->used() + static_cast<size_t>(n));
      in.append(Slice(std::move(block), at, static_cast<size_t>(n)));
      // All that came was one short record: asking for more would only be told so.
      if (wire_in().empty() && !SSL_has_pending(ssl_.get())) return Read::kNeedInput;
      continue;
    }
    switch (SSL_get_error(ssl_.get(), n)) {
      case SSL_ERROR_WANT_READ:
        return Read::kNeedInput;
      case SSL_ERROR_ZERO_RETURN:
        ended_ = true;
        return Read::kEnded;
      default:
        fail(n);
        return Read::kFailed;
    }
  }
  return Read::kMore;
}

bool Transport::write(Slices& out, size_t most) {
  while (!out.empty() && wire_out().size() < most) {
    const Slice& front = out.front();
    const char* data = front.data;
    size_t size = std::min<size_t>(front.size, kRecord);
    BlockRef gathered;
    if (front.size < kRecord && front.size < out.size()) {
      gathered = lane_.blocks().take();
      size = 0;
      for (size_t i = 0; i < out.slice_count() && size < kRecord; ++i) {
        // One that fills a record by itself is not shifted: all behind it would be, and each of them copied.
        const Slice& slice = out.at(i);
        if (slice.size >= kRecord) break;
        const size_t here = std::min<size_t>(slice.size, kRecord - size);
        memcpy(gathered->data() + size, slice.data, here);
        size += here;
      }
      data = gathered->data();
    }
    ERR_clear_error();
    const int n = SSL_write(ssl_.get(), data, static_cast<int>(size));
    if (n > 0) {
      out.drop_front(static_cast<size_t>(n));
      continue;
    }
    // Only a server that renegotiates makes us wait: its answer lets the same bytes pass.
    const int error = SSL_get_error(ssl_.get(), n);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return true;
    fail(n);
    return false;
  }
  return true;
}

void Transport::on_socket_end() {
  if (ended_) return;
  truncated_ = true;
  if (!done_ && failure_.empty()) failure_ = kClosedEarly;
}

void Transport::shut() {
  if (!done_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

FactTexts& Transport::texts() {
  if (texts_ == nullptr) texts_ = std::make_unique<FactTexts>(ssl_.get(), identity_);
  return *texts_;
}

std::string_view Transport::session(net::SessionFact fact) {
  // A name was asked for, if only by who was refused then.
  const bool known = done_ || (fact == net::SessionFact::kServerName && !failure().empty());
  return known ? texts().session(fact) : std::string_view();
}

std::string_view Transport::certificate(net::End end, net::CertificateFact fact) {
  return done_ ? texts().certificate(end, fact) : std::string_view();
}

const net::TransportFacts::Names& Transport::names(net::End end, net::NameKind kind) {
  static const Names kNone;
  return done_ ? texts().names(end, kind) : kNone;
}

WallTime Transport::not_before() { return done_ ? texts().not_before() : WallTime{}; }
WallTime Transport::not_after() { return done_ ? texts().not_after() : WallTime{}; }

bool Transport::presented() {
  const STACK_OF(CRYPTO_BUFFER)* chain = SSL_get0_peer_certificates(ssl_.get());
  return chain != nullptr && sk_CRYPTO_BUFFER_num(chain) > 0;
}

std::unique_ptr<net::Transport> make_server_transport(std::shared_ptr<const ServerContext> context, event::Lane& lane) {
  return std::make_unique<Transport>(std::move(context), lane);
}

std::unique_ptr<net::Transport> make_client_transport(std::shared_ptr<const ClientContext> context, event::Lane& lane,
                                                      const ClientOptions& options) {
  return std::make_unique<Transport>(std::move(context), lane, options);
}

}  // namespace weir::tls
