// The keys of session tickets (RFC 5077 section 4: AES-256-CBC and HMAC-SHA256), configured or made here.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/time.h"

namespace weir::tls {

struct TicketKey {
  static constexpr size_t kBytes = 80;
  std::array<uint8_t, 16> name{};
  std::array<uint8_t, 32> hmac{};
  std::array<uint8_t, 32> aes{};

  // Exactly 80 bytes: name, HMAC key, AES key, as published. The error says how many there were.
  static Result<TicketKey> from_bytes(std::string_view bytes);
  static TicketKey random();
  std::string to_bytes() const;
};

// The first one encrypts, every one decrypts; a ticket under another than the first is renewed. [immutable]
struct TicketKeySet {
  std::vector<TicketKey> keys;
};

// Keys that this process makes for itself: all contexts use the same, so that sessions outlive configurations, and what
// save() gave to a successor process, restarts. Lanes read without a lock.
class TicketRing {
 public:
  static constexpr size_t kKept = 3;  // a ticket is good for two rotations at least
  static constexpr Duration kRotateEvery = 12h;

  TicketRing();  // with one random key. Needs crypto::open_library()
  ~TicketRing();
  TicketRing(const TicketRing&) = delete;
  TicketRing& operator=(const TicketRing&) = delete;

  // [main] A new first key; the oldest goes.
  void rotate();
  // [main] rotate() if it is time to. To be called now and then.
  void rotate_if_due(MonoTime now);
  // [main] The keys as bytes, the first one first, and how old that is, for a successor on the same machine; and its
  // side, where a text that save() did not make is an error.
  std::string save() const;
  Status restore(std::string_view saved);
  // [any] Valid as long as the ring.
  const TicketKeySet& keys() const { return *current_.load(std::memory_order_acquire); }

 private:
  void publish(std::unique_ptr<const TicketKeySet> keys);
  std::atomic<const TicketKeySet*> current_{nullptr};
  std::vector<std::unique_ptr<const TicketKeySet>> all_;  // a lane may look at any of them; two a day
  MonoTime rotated_{};                                    // the clock of the machine, which its processes share
};

}  // namespace weir::tls
