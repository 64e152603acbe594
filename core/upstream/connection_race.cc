#include "core/upstream/connection_race.h"

#include <algorithm>
#include <utility>

#include "core/upstream/pool.h"

namespace weir::upstream {

// RFC 8305 section 8 recommends 250 ms.
constexpr Duration kNextAddressAfter = 300ms;

void ConnectionRace::set_addresses(std::shared_ptr<const std::vector<net::Address>> addresses) {
  if (addresses == addresses_) return;
  uint32_t keep = 0;
  if (next_ != 0 && addresses != nullptr) {
    const auto same = std::find(addresses->begin(), addresses->end(), address());
    if (same != addresses->end()) keep = static_cast<uint32_t>(same - addresses->begin());
  }
  addresses_ = std::move(addresses);
  next_ = keep;
  refused_ = 0;
}

void ConnectionRace::on_opened() {
  if (addresses_ != nullptr && addresses_->size() > 1 && !armed()) pool_.lane().arm_in(*this, kNextAddressAfter);
}

void ConnectionRace::on_connected(ClientConnection& connection) {
  if (std::exchange(racing_, false)) {
    cancel();
    const auto at = std::find(addresses_->begin(), addresses_->end(), connection.remote());
    if (at != addresses_->end()) next_ = static_cast<uint32_t>(at - addresses_->begin());
  }
  refused_ = 0;
  if (std::exchange(connection.slow_, false)) --slow_;
}

void ConnectionRace::forget(const ClientConnection& connection) {
  if (connection.slow_) --slow_;
}

bool ConnectionRace::on_refused(const ClientConnection& connection) {
  if (addresses_ == nullptr || addresses_->size() == 1) return false;
  // Of as many connections as requests waited each is refused: whom this one was for, for him all were tried.
  if (connection.round() != round_) return false;
  if (!(connection.remote() == address())) return true;  // another connection has found out before
  step();
  if (++refused_ < addresses_->size()) return true;
  refused_ = 0;
  ++round_;
  // What is left are those that nobody has answered yet: their waiters wait for them.
  racing_ = false;
  cancel();
  pool_.connecting_.for_each([](ClientConnection& one) { one.slow_ = false; });
  slow_ = 0;
  return false;
}

void ConnectionRace::on_timer() {
  if (addresses_ == nullptr || refused_ + 1 >= addresses_->size()) return;
  const net::Address behind = address();
  const auto counts = [&](const ClientConnection& one) {
    return !one.slow_ && one.round() == round_ && one.remote() == behind;
  };
  uint32_t count = 0;
  pool_.connecting_.for_each([&](const ClientConnection& one) { count += counts(one) ? 1 : 0; });
  count = std::min(count, pool_.waiting_count_);
  if (count == 0) return;
  racing_ = true;
  ++refused_;
  step();
  pool_.connecting_.for_each([&](ClientConnection& one) {
    if (count == 0 || !counts(one)) return;
    // Where the limit has no more, that one is waited for.
    if (!pool_.open_connection()) {
      count = 0;
      return;
    }
    one.slow_ = true;
    ++slow_;
    --count;
  });
}

}  // namespace weir::upstream
