// One accepted connection: its socket, the listener filters that look at its first bytes, the transport socket of its
// filter chain, and the network filters that serve it once the handshake is done.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/base/intrusive_list.h"
#include "core/event/lane.h"
#include "core/filter/listener_filter.h"
#include "core/filter/network_filter.h"
#include "core/filter/server_health.h"
#include "core/filter/transport_socket.h"
#include "core/net/connection.h"
#include "core/proxy/listener.h"

namespace weir::proxy {

class LaneListener;

// How connections that are to end are told so, and when they end at the latest.
struct DrainPlan {
  Duration time{};
  bool gradual = false;       // each is told at its own moment of the time, so that clients come back one by one
  bool close_at_end = false;  // what is open when the time is over
};

// Of the filter chains of a listener whose version is replaced.
using KeptTransports = std::vector<std::pair<event::SlotId, event::Pin<filter::DownstreamTransport>>>;

class DownstreamConnection final : public net::ConnectionHandler,
                                   public filter::ConnectionHost,
                                   public event::Deferred {
 public:
  DownstreamConnection(LaneListener& owner, event::Lane& lane, event::Pin<Listener> listener, int fd,
                       const net::Address& remote);
  ~DownstreamConnection();

  void start();
  // It is one of those that the overload manager limits.
  void set_counted() { counted_ = true; }
  // What it came to drains: its responses say that it ends. It may first ask for one; drain() is for those that were
  // there before.
  void set_came_late() { came_late_ = true; }
  // From now on responses say that the connection ends, and it ends when it is idle.
  void drain();
  // drain() at a moment of the plan. Of several plans the earliest moments count.
  void drain_over(const DrainPlan& plan);
  // drain_over(), for what serves it is gone, and is counted meanwhile. (A listener counts before its chains.)
  void drain_with(const std::shared_ptr<DrainCount>& gone);
  void close() { connection_.close(); }
  const FilterChain* chain() const { return chain_; }
  const Listener& listener() const { return *listener_; }
  // Listener filters look at it, and which chain will serve it is open.
  bool inspecting() const;
  // While it is inspecting().
  void keep(std::shared_ptr<const KeptTransports> transports);

  // filter::ConnectionHost
  net::Connection& connection() override { return connection_; }
  const net::Address& remote() const override { return facts_ != nullptr ? facts_->remote : connection_.remote(); }
  const net::Address& local() override { return facts_ != nullptr ? facts_->local : connection_.local(); }
  bool listens_on(const net::Address& address) const override;
  bool local_restored() const override { return facts_ != nullptr && facts_->local_restored; }
  uint64_t connection_id() const override { return id_; }
  std::string_view filter_chain_name() const override { return chain_ != nullptr ? chain_->name : std::string_view(); }
  std::string_view server_name() const override;
  bool bypasses_overload() const override { return listener_->spec.bypass_overload; }
  stream::ConnectionInfo& info() override;
  stream::ConnectionInfo* info_if_any() const override { return info_.get(); }
  Slices& input() override { return earlier_ != nullptr ? earlier_->passed_on : connection_.in(); }
  void deliver_again() override { connection_.deliver_again(); }
  void replace_filter(std::unique_ptr<filter::NetworkFilter> by) override;
  // As published, who fails health checks because an operator wants it tells those that are connected.
  bool draining() const override {
    return draining_ || came_late_ || (filter::ServerHealth::told_to_fail() && listener_->spec.drains_with_health);
  }

 private:
  friend class LaneListener;
  // net::ConnectionHandler
  void on_connected() override;
  void on_data(Slices& in, bool end) override;
  uint64_t unseen_input() override { return last_ != nullptr && earlier_ == nullptr ? last_->unseen_input() : 0; }
  void on_above_high_watermark() override;
  void on_below_low_watermark() override;
  void on_drained() override;
  void on_closed(net::CloseReason reason) override;
  void dispose() override;

  class Inspection;
  class Handshake;

  // True: listener filters are through, and a chain serves the connection.
  bool inspect(Slices& in, bool end);
  bool end_inspection();
  // Serves by the listener of the address that the client meant, with that one's listener filters, if there is one.
  bool hand_over();
  void begin_inspection();
  void tell_facts();
  void log(net::CloseReason reason);
  const FilterChain* find_chain();
  // `kept`: where to look for transports that are no more; may be nullptr.
  bool choose_chain(const KeptTransports* kept);
  bool begin_handshake(const KeptTransports* kept);
  bool start_filters();

  class Drain;
  // Filters that the last one stands behind.
  struct Earlier {
    std::vector<std::unique_ptr<filter::NetworkFilter>> filters;
    Slices passed_on;  // what they let through
  };
  // visit(filter) in their order.
  template <class Visit>
  void for_each_filter(Visit&& visit) {
    if (earlier_ != nullptr) {
      for (auto& filter : earlier_->filters) visit(*filter);
    }
    if (last_ != nullptr) visit(*last_);
  }

  LaneListener* owner_;
  event::Pin<Listener> listener_;
  const FilterChain* chain_ = nullptr;
  ListNode node_;                                      // in the lane listener's list
  event::Pin<filter::DownstreamTransport> transport_;  // what made that of the connection; outlives it
  net::Connection connection_;
  std::unique_ptr<Earlier> earlier_;                // null: there is one filter alone, or none yet
  std::unique_ptr<filter::NetworkFilter> last_;     // null: none serves it yet
  std::unique_ptr<filter::ConnectionFacts> facts_;  // only if a listener filter found something out
  std::unique_ptr<stream::ConnectionInfo> info_;    // only if somebody asked
  std::unique_ptr<Inspection> inspection_;          // while listener filters look; see inspecting()
  std::unique_ptr<Handshake> handshake_;            // while its time is limited
  std::unique_ptr<Drain> drain_;                    // once the connection is to end
  std::shared_ptr<DrainCount> drains_with_;         // what is gone; null: nothing is, or nobody counts
  uint64_t id_;
  MonoTime born_;
  const char* close_details_ = nullptr;  // why it was closed before filters served it
  bool draining_ = false;
  bool came_late_ = false;
  bool handed_over_ = false;  // once, at most
  bool counted_ = false;      // in the limit of the overload manager
};

}  // namespace weir::proxy
