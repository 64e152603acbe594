#include "core/server/expiry_stats.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>

#include "core/crypto/certificate.h"
#include "core/filter/transport_socket.h"

namespace weir::server {
namespace {

// A version that went may have left its address to another one.
constexpr Duration kLookAgain = 1min;

class FirstEnds final : public filter::CertificateVisitor {
 public:
  // As published: of a bundle the first one counts.
  void trusted(const filter::CertificateInUse& one) override {
    if (!bundle_) add(one);
    bundle_ = true;
  }
  void own(std::span<const filter::CertificateInUse> chain) override {
    for (const filter::CertificateInUse& one : chain) add(one);
  }
  WallTime certificate = WallTime::max();
  WallTime response = WallTime::max();

 private:
  void add(const filter::CertificateInUse& one) {
    certificate = std::min(certificate, one.certificate.not_after());
    if (one.ocsp_next_update) response = std::min(response, *one.ocsp_next_update);
  }
  bool bundle_ = false;
};

template <class Unit>
uint64_t left(WallTime end, WallTime now) {
  return end > now ? static_cast<uint64_t>(std::chrono::duration_cast<Unit>(end - now).count()) : 0;
}

}  // namespace

ExpiryStats::ExpiryStats(stats::Store& store, const event::Publisher& publisher)
    : publisher_(publisher),
      days_(store.gauge("server.days_until_first_cert_expiring")),
      seconds_(store.gauge("server.seconds_until_first_ocsp_response_expiring")) {}

void ExpiryStats::refresh(MonoTime now, WallTime wall) {
  const bool all = now - all_seen_ >= kLookAgain;
  if (all) all_seen_ = now;
  known_.resize(publisher_.slot_count(event::SlotKind::kTransport));
  WallTime certificate = WallTime::max();
  WallTime response = WallTime::max();
  for (size_t i = 0; i < known_.size(); ++i) {
    Ends& ends = known_[i];
    const event::Versioned* version = publisher_.newest({event::SlotKind::kTransport, static_cast<uint32_t>(i)});
    if (all || version != ends.version) {
      FirstEnds found;
      if (version != nullptr) static_cast<const filter::TransportSocket&>(*version).list_certificates(found);
      ends = {version, found.certificate, found.response};
    }
    certificate = std::min(certificate, ends.certificate);
    response = std::min(response, ends.response);
  }
  // Where there is none, none ends soon.
  days_.set(certificate == WallTime::max() ? UINT32_MAX : left<std::chrono::days>(certificate, wall));
  seconds_.set(response == WallTime::max() ? 0 : left<std::chrono::seconds>(response, wall));
}

}  // namespace weir::server
