// Certificates and trusted certificates that are loaded: the same files are loaded once, however many contexts use them
// and however often the configuration is built again. [main]
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/tls/identity.h"
#include "core/tls/key_log.h"
#include "core/tls/ticket_keys.h"
#include "core/tls/verifier.h"

namespace google::protobuf {
class Message;
}

namespace weir::transport_sockets {

// By name, those that somebody uses still.
template <class T>
class InUse {
 public:
  std::shared_ptr<const T> find(const std::string& name) const {
    const auto at = all_.find(name);
    return at != all_.end() ? at->second.one.lock() : nullptr;
  }
  // What was said of one that find() has.
  uint64_t sources(const std::string& name) const { return all_.at(name).sources; }
  // `sources`: a digest of what it was read from.
  void put(const std::string& name, const std::shared_ptr<const T>& one, uint64_t sources = 0) {
    if (all_.size() >= look_at_) {
      std::erase_if(all_, [](const auto& other) { return other.second.one.expired(); });
      look_at_ = std::max<size_t>(64, 2 * all_.size());
    }
    all_[name] = {one, sources};
  }

 private:
  struct Entry {
    std::weak_ptr<const T> one;
    uint64_t sources = 0;
  };
  std::map<std::string, Entry> all_;
  size_t look_at_ = 64;  // when there are so many, for those that nobody uses
};

Result<std::shared_ptr<const tls::Identity>> load_identity(const tls::IdentitySpec& spec);
Result<std::shared_ptr<const tls::Verifier>> load_verifier(tls::VerifierSpec spec);
// What was read last of a message that names files, for when these cannot be used any more; as long as somebody uses
// it. A message that brings its content along says the same each time, and is not for here.
template <class T>
InUse<T>& last_good() {
  static InUse<T> all;
  return all;
}
// A digest of it; empty: it is larger than names are.
std::string key_of(const google::protobuf::Message& names);

Result<std::shared_ptr<const tls::KeyLog>> open_key_log(const tls::KeyLogSpec& spec);

// The keys of tickets of all contexts that are told none. Made when it is first asked for.
std::shared_ptr<const tls::TicketRing> ticket_ring();
// A new key when it is time for one.
void tend_ticket_ring(MonoTime now);
// For a process that takes over: its tickets are ours then. Empty: there are none.
std::string save_ticket_ring();
Status restore_ticket_ring(std::string_view saved);

}  // namespace weir::transport_sockets
