// What is counted of handshakes: `ssl.handshake` and its kin, of a listener or a cluster.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "core/stats/store.h"

namespace weir::tls {

// For a group kind of listeners ("listener.<address>.ssl.handshake") and one of clusters: its definitions, in the order
// of Stats' members.
std::span<const stats::Definition> stat_definitions();

// [any] A lane adds to cells of its own; a name that only a handshake brings (`ssl.ciphers.TLS_AES_128_GCM_SHA256`) is
// made once, under the store's lock, and is an array access after that.
class Stats {
 public:
  // [main] `group`: of a kind with stat_definitions(). Keeps it.
  explicit Stats(std::shared_ptr<stats::Group> group);
  ~Stats();
  Stats(const Stats&) = delete;
  Stats& operator=(const Stats&) = delete;

  const stats::Counter connection_error;  // failed but for what the fail_verify_* count
  const stats::Counter handshake;
  const stats::Counter session_reused;
  const stats::Counter no_certificate;  // done, and the peer showed none
  const stats::Counter fail_verify_no_cert;
  const stats::Counter fail_verify_error;
  const stats::Counter fail_verify_san;
  const stats::Counter fail_verify_cert_hash;
  const stats::Counter ocsp_staple_failed;  // no connection for want of a good response
  const stats::Counter ocsp_staple_omitted;
  const stats::Counter ocsp_staple_responses;
  const stats::Counter ocsp_staple_requests;
  // Of weir: ClientHellos that waited for another turn, because many came at once.
  const stats::Counter handshake_deferred;

  // Adds one to `ssl.ciphers.<name>` and its kin. `id`: the number that the protocol has for it.
  enum class Kind : uint8_t { kCipher, kVersion, kCurve, kSigalg, kCount };
  void count(Kind kind, uint16_t id, std::string_view name) const;

 private:
  struct Named;
  const std::shared_ptr<stats::Group> group_;
  const std::unique_ptr<Named> named_;
};

}  // namespace weir::tls
