#include "core/config/secret_store.h"

#include <algorithm>

#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weir::config {

SecretStore::Content SecretStore::find(const SecretKey& key) const {
  auto at = secrets_.find(key);
  return at != secrets_.end() ? at->second.content : nullptr;
}

SecretStore::Subscription::~Subscription() {
  auto [at, end] = store_.subscriptions_.equal_range(key_);
  store_.subscriptions_.erase(std::find_if(at, end, [&](const auto& entry) { return entry.second == this; }));
}

std::unique_ptr<SecretStore::Subscription> SecretStore::subscribe(SecretKey key, Changed changed) {
  std::unique_ptr<Subscription> made(new Subscription(*this, std::move(key), std::move(changed)));
  subscriptions_.emplace(made->key_, made.get());
  return made;
}

void SecretStore::apply(std::vector<SecretTranslation> secrets) {
  std::map<SecretKey, Entry> next;
  for (SecretTranslation& one : secrets) next[std::move(one.key)] = {std::move(one.content), one.fingerprint};
  std::vector<SecretKey> changed;
  for (const auto& [key, entry] : next) {
    auto before = secrets_.find(key);
    if (before == secrets_.end() || before->second.fingerprint != entry.fingerprint) changed.push_back(key);
  }
  for (const auto& [key, entry] : secrets_) {
    if (!next.contains(key)) changed.push_back(key);
  }
  secrets_ = std::move(next);
  for (const SecretKey& key : changed) tell(key);
}

void SecretStore::tell(const SecretKey& key) {
  const Content content = find(key);
  // Whoever is told may drop its own subscription or that of others.
  std::vector<Subscription*> told;
  for (auto [at, end] = subscriptions_.equal_range(key); at != end; ++at) told.push_back(at->second);
  for (Subscription* one : told) {
    auto [at, end] = subscriptions_.equal_range(key);
    if (std::any_of(at, end, [&](const auto& entry) { return entry.second == one; })) one->changed_(content);
  }
}

}  // namespace weir::config
