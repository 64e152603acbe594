// Sessions of servers, for resumption. Each lane sees its own: no lock, and no lane takes another's. Inside core/tls
// only.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

namespace weir::tls {

class SessionCache {
 public:
  // At most `most` on each lane.
  explicit SessionCache(uint32_t most) : most_(most) {}
  ~SessionCache();
  SessionCache(const SessionCache&) = delete;
  SessionCache& operator=(const SessionCache&) = delete;

  // `purpose`: who the server was shown to be. A session is good for the same only, for it is let in without proof.
  void put(uint32_t lane, std::string_view purpose, bssl::UniquePtr<SSL_SESSION> session);
  // The newest one; nullptr: none. One that may be used once (TLS 1.3) is gone then.
  bssl::UniquePtr<SSL_SESSION> take(uint32_t lane, std::string_view purpose);
  bool empty() const { return most_ == 0; }

 private:
  struct Entry {
    std::string purpose;
    bssl::UniquePtr<SSL_SESSION> session;
  };
  using Sessions = std::deque<Entry>;  // the newest first
  static constexpr uint32_t kMaxLanes = 256;
  // Each place is its lane's alone.
  struct Lanes {
    std::array<std::unique_ptr<Sessions>, kMaxLanes> of;
  };
  Sessions* sessions(uint32_t lane, bool make);

  const uint32_t most_;
  std::atomic<Lanes*> lanes_{nullptr};  // made when the first session comes
};

}  // namespace weir::tls
