#include "core/tls/ticket_keys.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "core/crypto/library.h"

namespace weir::tls {

Result<TicketKey> TicketKey::from_bytes(std::string_view bytes) {
  if (bytes.size() != kBytes)
    return invalid("has " + std::to_string(bytes.size()) + " bytes; a key of session tickets has exactly 80");
  TicketKey key;
  memcpy(key.name.data(), bytes.data(), key.name.size());
  memcpy(key.hmac.data(), bytes.data() + 16, key.hmac.size());
  memcpy(key.aes.data(), bytes.data() + 48, key.aes.size());
  return key;
}

TicketKey TicketKey::random() {
  TicketKey key;
  RAND_bytes(key.name.data(), key.name.size());
  RAND_bytes(key.hmac.data(), key.hmac.size());
  RAND_bytes(key.aes.data(), key.aes.size());
  return key;
}

std::string TicketKey::to_bytes() const {
  std::string bytes;
  bytes.append(reinterpret_cast<const char*>(name.data()), name.size());
  bytes.append(reinterpret_cast<const char*>(hmac.data()), hmac.size());
  bytes.append(reinterpret_cast<const char*>(aes.data()), aes.size());
  return bytes;
}

TicketRing::TicketRing() {
  crypto::require_library();
  publish(std::make_unique<TicketKeySet>(TicketKeySet{{TicketKey::random()}}));
}

TicketRing::~TicketRing() = default;

void TicketRing::publish(std::unique_ptr<const TicketKeySet> keys) {
  all_.push_back(std::move(keys));
  current_.store(all_.back().get(), std::memory_order_release);
}

void TicketRing::rotate() {
  auto next = std::make_unique<TicketKeySet>();
  next->keys.push_back(TicketKey::random());
  for (const TicketKey& key : keys().keys) {
    if (next->keys.size() < kKept) next->keys.push_back(key);
  }
  publish(std::move(next));
}

void TicketRing::rotate_if_due(MonoTime now) {
  if (rotated_ == MonoTime{} || rotated_ > now) rotated_ = now;
  if (now - rotated_ < kRotateEvery) return;
  rotated_ = now;
  rotate();
}

std::string TicketRing::save() const {
  std::string saved;
  for (const TicketKey& key : keys().keys) saved += key.to_bytes();
  const int64_t rotated = rotated_.time_since_epoch().count();
  saved.append(reinterpret_cast<const char*>(&rotated), sizeof(rotated));
  return saved;
}

Status TicketRing::restore(std::string_view saved) {
  int64_t rotated = 0;
  const size_t count = saved.size() / TicketKey::kBytes;
  if (count == 0 || count > kKept || saved.size() % TicketKey::kBytes != sizeof(rotated))
    return invalid("ticket keys of a predecessor have " + std::to_string(saved.size()) +
                   " bytes; one to three keys of 80 bytes, and 8 bytes of their time, are expected");
  auto next = std::make_unique<TicketKeySet>();
  for (size_t i = 0; i < count; ++i)
    next->keys.push_back(*TicketKey::from_bytes(saved.substr(i * TicketKey::kBytes, TicketKey::kBytes)));
  memcpy(&rotated, saved.data() + count * TicketKey::kBytes, sizeof(rotated));
  rotated_ = MonoTime(Duration(rotated));
  publish(std::move(next));
  return absl::OkStatus();
}

}  // namespace weir::tls
