// Which of a host's addresses a pool's next connection goes to, and when another one is tried beside a slow one
// (RFC 8305, section 5): the first that lets in wins and is kept. A pool whose host has one address pays a null
// pointer.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/event/lane.h"
#include "core/net/address.h"

namespace weir::upstream {

class ClientConnection;
class ConnPool;

// [worker]
class ConnectionRace final : private event::Timer {
 public:
  explicit ConnectionRace(ConnPool& pool) : pool_(pool) {}

  // An address that has let in when another did not is kept, as long as it is among these. Null: the host's own.
  void set_addresses(std::shared_ptr<const std::vector<net::Address>> addresses);
  const std::shared_ptr<const std::vector<net::Address>>& addresses() const { return addresses_; }
  bool has_addresses() const { return addresses_ != nullptr; }
  // Only if there are some.
  const net::Address& address() const { return (*addresses_)[next_]; }
  // How often every address has refused.
  uint32_t round() const { return round_; }
  // Connections that are not up while others are tried beside them.
  uint32_t slow() const { return slow_; }

  void on_opened();
  void on_connected(ClientConnection& connection);
  // It never came up. True: the next one goes elsewhere. False: every address was tried, or there is one alone.
  bool on_refused(const ClientConnection& connection);
  // Of one that is not connecting any more.
  void forget(const ClientConnection& connection);

 private:
  // Nobody has answered for a while: another connection for each waiter goes to the next address.
  void on_timer() override;
  void step() { next_ = (next_ + 1) % static_cast<uint32_t>(addresses_->size()); }

  ConnPool& pool_;
  std::shared_ptr<const std::vector<net::Address>> addresses_;
  uint32_t next_ = 0;
  uint32_t refused_ = 0;  // addresses since a connection came up, or the list is this one
  uint32_t round_ = 0;
  uint32_t slow_ = 0;
  bool racing_ = false;  // several addresses are tried, and none has let in
};

}  // namespace weir::upstream
