#include "extensions/transport_sockets/tls/loaded.h"

#include <google/protobuf/message.h>

#include <string>
#include <utility>

#include "core/crypto/digest.h"

namespace weir::transport_sockets {
namespace {

// What a specification says, as one text: each part with its size, so that no two say the same.
class Text {
 public:
  ~Text() { tls::wipe(text_); }
  Text& add(std::string_view part) {
    reserve(part.size());
    text_ += std::to_string(part.size());
    text_ += ':';
    text_ += part;
    return *this;
  }
  Text& add(const tls::Source& source) { return add(source.bytes).add(source.origin); }
  Text& add(uint64_t number) { return add(std::to_string(number)); }
  std::string digest() const { return crypto::to_hex(crypto::sha256(text_)); }

 private:
  // Without leaving what there is behind in memory that is given back.
  void reserve(size_t more) {
    const size_t wanted = text_.size() + more + 24;
    if (wanted <= text_.capacity()) return;
    std::string larger;
    larger.reserve(2 * wanted);
    larger = text_;
    tls::wipe(text_);
    text_.swap(larger);
  }
  std::string text_;  // holds keys: not kept
};

template <class T, class Make>
Result<std::shared_ptr<const T>> find_or_make(InUse<T>& all, const std::string& key, Make make) {
  if (auto there = all.find(key)) return there;
  Result<std::shared_ptr<const T>> made = make();
  if (made.ok()) all.put(key, *made);
  return made;
}

}  // namespace

Result<std::shared_ptr<const tls::Identity>> load_identity(const tls::IdentitySpec& spec) {
  static InUse<tls::Identity> all;
  Text key;
  key.add(spec.certificate_chain).add(spec.private_key).add(spec.pkcs12).add(spec.password).add(spec.ocsp_staple);
  return find_or_make(all, key.digest(), [&] { return tls::Identity::load(spec); });
}

Result<std::shared_ptr<const tls::Verifier>> load_verifier(tls::VerifierSpec spec) {
  static InUse<tls::Verifier> all;
  Text key;
  key.add(spec.trusted_ca).add(spec.crl).add(spec.max_verify_depth);
  key.add(uint64_t{spec.only_verify_leaf_cert_crl} | uint64_t{spec.allow_expired_certificate} << 1 |
          uint64_t{spec.accept_untrusted} << 2);
  key.add(spec.san_matchers.size());
  for (const auto& one : spec.san_matchers) {
    key.add(static_cast<uint64_t>(one.kind)).add(one.oid).add(one.matcher.text);
    key.add(static_cast<uint64_t>(one.matcher.kind) << 1 | uint64_t{one.matcher.ignore_case});
  }
  for (const auto* list : {&spec.certificate_hashes, &spec.spki_hashes}) {
    key.add(list->size());
    for (const std::string& one : *list) key.add(one);
  }
  for (const auto& domain : spec.trust_domains) key.add(domain.name).add(domain.bundle);
  return find_or_make(all, key.digest(), [&] { return tls::Verifier::build(std::move(spec)); });
}

std::string key_of(const google::protobuf::Message& names) {
  constexpr size_t kLongest = 16384;
  if (names.ByteSizeLong() > kLongest) return {};
  std::string bytes = names.SerializeAsString();
  Text text;
  text.add(names.GetTypeName()).add(bytes);
  tls::wipe(bytes);
  return text.digest();
}

Result<std::shared_ptr<const tls::KeyLog>> open_key_log(const tls::KeyLogSpec& spec) { return tls::KeyLog::open(spec); }

namespace {
std::shared_ptr<tls::TicketRing>& ring() {
  static std::shared_ptr<tls::TicketRing> ring;
  return ring;
}
}  // namespace

std::shared_ptr<const tls::TicketRing> ticket_ring() {
  if (ring() == nullptr) ring() = std::make_shared<tls::TicketRing>();
  return ring();
}

std::string save_ticket_ring() { return ring() != nullptr ? ring()->save() : std::string(); }

Status restore_ticket_ring(std::string_view saved) {
  ticket_ring();
  return ring()->restore(saved);
}

void tend_ticket_ring(MonoTime now) {
  if (ring() != nullptr) ring()->rotate_if_due(now);
}

}  // namespace weir::transport_sockets
