#include "core/config/secret_store.h"

#include <algorithm>

#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weir::config {

SecretStore::Content SecretStore::find(std::string_view name) const {
  auto at = secrets_.find(name);
  return at != secrets_.end() ? at->second.content : nullptr;
}

SecretStore::Subscription::~Subscription() {
  auto [at, end] = store_.subscriptions_.equal_range(name_);
  store_.subscriptions_.erase(std::find_if(at, end, [&](const auto& entry) { return entry.second == this; }));
}

std::unique_ptr<SecretStore::Subscription> SecretStore::subscribe(std::string name, Changed changed) {
  std::unique_ptr<Subscription> made(new Subscription(*this, std::move(name), std::move(changed)));
  subscriptions_.emplace(made->name_, made.get());
  return made;
}

void SecretStore::apply(std::vector<SecretTranslation> secrets) {
  std::map<std::string, Entry, std::less<>> next;
  for (SecretTranslation& one : secrets) next[one.name] = {std::move(one.content), one.fingerprint};
  std::vector<std::string> changed;
  for (const auto& [name, entry] : next) {
    auto before = secrets_.find(name);
    if (before == secrets_.end() || before->second.fingerprint != entry.fingerprint) changed.push_back(name);
  }
  for (const auto& [name, entry] : secrets_) {
    if (!next.contains(name)) changed.push_back(name);
  }
  secrets_ = std::move(next);
  for (const std::string& name : changed) tell(name);
}

void SecretStore::tell(const std::string& name) {
  const Content content = find(name);
  // Whoever is told may drop its own subscription or that of others.
  std::vector<Subscription*> told;
  for (auto [at, end] = subscriptions_.equal_range(name); at != end; ++at) told.push_back(at->second);
  for (Subscription* one : told) {
    auto [at, end] = subscriptions_.equal_range(name);
    if (std::any_of(at, end, [&](const auto& entry) { return entry.second == one; })) one->changed_(content);
  }
}

}  // namespace weir::config
