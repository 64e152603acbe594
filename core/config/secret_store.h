// The secrets of this process, by name and kind: those of the bootstrap, and later those that a control plane brings.
// Who uses one (a TLS context, a filter that signs) asks for it when it is configured and is told when it changes.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "core/config/secret_config.h"

namespace weir::config {

// [main]
class SecretStore {
 public:
  using Content = std::shared_ptr<const envoy::extensions::transport_sockets::tls::v3::Secret>;
  // nullptr: the secret is gone, or not there yet.
  using Changed = absl::AnyInvocable<void(const Content&)>;

  SecretStore() = default;
  SecretStore(const SecretStore&) = delete;
  SecretStore& operator=(const SecretStore&) = delete;

  // nullptr if there is none.
  Content find(const SecretKey& key) const;

  // While it lives, its owner hears of changes; it must not outlive the store.
  class Subscription {
   public:
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

   private:
    friend class SecretStore;
    Subscription(SecretStore& store, SecretKey key, Changed changed)
        : store_(store), key_(std::move(key)), changed_(std::move(changed)) {}
    SecretStore& store_;
    const SecretKey key_;
    Changed changed_;
  };
  // Of a secret that may come later. `changed` may subscribe and unsubscribe.
  std::unique_ptr<Subscription> subscribe(SecretKey key, Changed changed);

  // Replaces all secrets by these; then those are told whose secret is another one, has come or has gone.
  void apply(std::vector<SecretTranslation> secrets);
  size_t size() const { return secrets_.size(); }

 private:
  struct Entry {
    Content content;
    uint64_t fingerprint;
  };
  void tell(const SecretKey& key);

  std::map<SecretKey, Entry> secrets_;
  std::multimap<SecretKey, Subscription*> subscriptions_;
};

}  // namespace weir::config
