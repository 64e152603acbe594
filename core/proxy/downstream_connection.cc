#include "core/proxy/downstream_connection.h"

#include <algorithm>

#include "core/event/activity.h"
#include "core/proxy/lane_listeners.h"

namespace weir::proxy {

using filter::Action;

// Listener filters at work, and how long they may take.
class DownstreamConnection::Inspection final : public event::Timer {
 public:
  explicit Inspection(DownstreamConnection& connection) : connection_(connection) {}
  void on_timer() override {
    const ListenerSpec& spec = connection_.listener_->spec;
    spec.stats->pre_cx_timeout.inc();
    if (!spec.continue_on_listener_filters_timeout) {
      connection_.close();
      return;
    }
    over = true;
    if (connection_.end_inspection()) connection_.connection_.deliver_again();
  }
  std::vector<std::unique_ptr<filter::ListenerFilter>> filters;
  std::shared_ptr<const KeptTransports> kept;  // null: the version of the listener is current
  size_t next = 0;
  bool accepted = false;  // the next filter was told of the connection
  bool over = false;      // this timer ended it, and cannot go while it runs

 private:
  DownstreamConnection& connection_;
};

// How long a handshake may take.
class DownstreamConnection::Handshake final : public event::Timer {
 public:
  explicit Handshake(DownstreamConnection& connection) : connection_(connection) {}
  void on_timer() override {
    connection_.listener_->spec.stats->cx_transport_socket_connect_timeout.inc();
    connection_.close_details_ = "transport socket timeout was reached";
    connection_.close();
  }

 private:
  DownstreamConnection& connection_;
};

// The two moments of a drain: when the connection is told, and when it is closed.
class DownstreamConnection::Drain final : public event::Timer {
 public:
  explicit Drain(DownstreamConnection& connection) : connection_(connection) {}
  void bring_forward(MonoTime told, MonoTime closed) {
    told_ = std::min(told_, told);
    closed_ = std::min(closed_, closed);
    arm(connection_.draining_ ? closed_ : told_);
  }
  void on_timer() override {
    if (!connection_.draining_) {
      connection_.drain();
      arm(closed_);
    } else {
      connection_.close();
    }
  }

 private:
  void arm(MonoTime moment) {
    moment == MonoTime::max() ? cancel() : connection_.connection_.lane().arm(*this, moment);
  }
  DownstreamConnection& connection_;
  MonoTime told_ = MonoTime::max();
  MonoTime closed_ = MonoTime::max();
};

DownstreamConnection::DownstreamConnection(LaneListener& owner, event::Lane& lane, event::Pin<Listener> listener,
                                           int fd, const net::Address& remote)
    : owner_(&owner),
      listener_(std::move(listener)),
      connection_(lane, fd, remote),
      id_(owner.next_connection_id()),
      born_(lane.now()) {
  connection_.set_handler(*this);
  const net::Address& bound = listener_->spec.sockets->address;
  const bool only_one = listener_->spec.more_sockets.empty() && !listener_->spec.sockets->options.transparent;
  if (!bound.is_any() && only_one) connection_.set_local(bound);
}

DownstreamConnection::~DownstreamConnection() = default;

void DownstreamConnection::start() {
  const ListenerSpec& spec = listener_->spec;
  spec.stats->cx_total.inc();
  spec.stats->cx_active.inc();
  if (spec.listener_filters.empty()) {
    if (!choose_chain(nullptr) && !connection_.handshaking()) return;
  } else {
    facts_ = std::make_unique<filter::ConnectionFacts>();
    facts_->remote = facts_->direct_remote = connection_.remote();
    facts_->local = connection_.local();
    begin_inspection();
    inspect(connection_.in(), false);
    if (!connection_.open()) return;
  }
  connection_.start(false);
}

void DownstreamConnection::begin_inspection() {
  const ListenerSpec& spec = listener_->spec;
  spec.stats->pre_cx_active.inc();
  inspection_ = std::make_unique<Inspection>(*this);
  for (const ListenerFilterEntry& entry : spec.listener_filters)
    inspection_->filters.push_back(entry.descriptor->make(entry.config));
  if (spec.listener_filters_timeout > Duration::zero())
    connection_.lane().arm_in(*inspection_, spec.listener_filters_timeout);
}

bool DownstreamConnection::inspecting() const { return inspection_ != nullptr && !inspection_->over; }

void DownstreamConnection::keep(std::shared_ptr<const KeptTransports> transports) {
  inspection_->kept = std::move(transports);
}

stream::ConnectionInfo& DownstreamConnection::info() {
  if (info_ == nullptr) info_ = std::make_unique<stream::ConnectionInfo>(connection_.lane().arenas());
  return *info_;
}

// What matchers and logs read of what listener filters have found out.
void DownstreamConnection::tell_facts() {
  if (facts_ == nullptr || (facts_->transport_protocol.empty() && facts_->application_protocols.empty())) return;
  info().transport_protocol = facts_->transport_protocol;
  info().set_application_protocols(facts_->application_protocols);
}

const FilterChain* DownstreamConnection::find_chain() {
  const ListenerSpec& spec = listener_->spec;
  if (!listener_->has_choice()) return spec.chains.empty() ? nullptr : &spec.chains.front();
  uint32_t chosen = ChainTable::kNone;
  if (spec.chain_matcher != nullptr) {
    stream::StreamInfo about;
    filter::describe(*this, about);
    const match::Tree::Result found = spec.chain_matcher->evaluate({.info = &about});
    if (found.matched()) chosen = found.action;
  } else {
    static const net::Address kNotAsked;
    ChainFacts facts{spec.chain_table->asks_for_local() ? local() : kNotAsked, remote(), connection_.remote()};
    facts.transport_protocol = "raw_buffer";
    if (facts_ != nullptr) {
      facts.server_name = facts_->server_name;
      if (!facts_->transport_protocol.empty()) facts.transport_protocol = facts_->transport_protocol;
      facts.application_protocols = facts_->application_protocols;
    }
    chosen = spec.chain_table->find(facts);
  }
  if (chosen == ChainTable::kNone) chosen = spec.default_chain;
  return chosen != ChainTable::kNone ? &spec.chains[chosen] : nullptr;
}

std::string_view DownstreamConnection::server_name() const {
  if (facts_ != nullptr && !facts_->server_name.empty()) return facts_->server_name;
  net::Transport* transport = connection_.transport();
  return transport != nullptr ? transport->facts().session(net::SessionFact::kServerName) : std::string_view();
}

// True: filters serve it. Otherwise it is closed, for no chain serves it, or its handshake has begun.
bool DownstreamConnection::choose_chain(const KeptTransports* kept) {
  tell_facts();
  chain_ = find_chain();
  if (chain_ == nullptr) {
    listener_->spec.stats->no_filter_chain_match.inc();
    close_details_ = "filter_chain_not_found";
    connection_.close();
    return false;
  }
  if (listener_->spec.metadata != nullptr) info().listener_metadata = &listener_->spec.metadata->root();
  return chain_->transport ? begin_handshake(kept) : start_filters();
}

// Filters hear of the connection when it is known who is at the other end.
bool DownstreamConnection::begin_handshake(const KeptTransports* kept) {
  transport_ = connection_.lane().slots().pin<filter::DownstreamTransport>(*chain_->transport);
  if (!transport_ && kept != nullptr) {
    const auto found =
        std::find_if(kept->begin(), kept->end(), [&](const auto& one) { return one.first == *chain_->transport; });
    if (found != kept->end()) transport_ = found->second;
  }
  if (WEIR_BUG(!transport_)) {  // published with the chain; never in plain text instead
    connection_.close();
    return false;
  }
  if (chain_->handshake_timeout > Duration::zero()) {
    handshake_ = std::make_unique<Handshake>(*this);
    const Overload* overload = bypasses_overload() ? nullptr : owner_->owner().overload();
    connection_.lane().arm_in(*handshake_, overload == nullptr ? chain_->handshake_timeout
                                                               : overload->reduced(ScaledTimeout::kTransportConnect,
                                                                                   chain_->handshake_timeout));
  }
  connection_.set_transport(transport_->make(connection_.lane()));
  return false;
}

void DownstreamConnection::on_connected() {
  handshake_.reset();
  start_filters();
}

bool DownstreamConnection::start_filters() {
  for (const NetworkFilterEntry& entry : chain_->filters) {
    if (last_ != nullptr) {
      if (earlier_ == nullptr) earlier_ = std::make_unique<Earlier>();
      earlier_->filters.push_back(std::move(last_));
    }
    last_ = entry.descriptor->make(entry.config, connection_.lane());
  }
  bool done = false;
  if (earlier_ != nullptr) {
    auto& filters = earlier_->filters;
    for (size_t i = 0; i < filters.size() && !done; ++i) {
      const event::ActivityScope doing(chain_->filters[i].descriptor->name);
      if (filters[i]->on_new_connection(*this) != Action::kDone) continue;
      done = true;
      // The others never heard of the connection, nor of its end.
      last_ = std::move(filters[i]);
      filters.resize(i);
    }
  }
  if (done || (last_ != nullptr && last_->on_new_connection(*this) == Action::kDone)) return false;
  if (draining_) {  // told while listener filters looked, or hands were shaken
    for_each_filter([&](filter::NetworkFilter& filter) { filter.on_drain(*this); });
  }
  // An update that came meanwhile could not know which chain it would be.
  if ((facts_ != nullptr || transport_) && !owner_->has_chain(*chain_)) drain_with(chain_->draining);
  return true;
}

bool DownstreamConnection::inspect(Slices& in, bool end) {
  using Verdict = filter::ListenerFilter::Verdict;
  Inspection& inspection = *inspection_;
  while (inspection.next < inspection.filters.size()) {
    filter::ListenerFilter& filter = *inspection.filters[inspection.next];
    Verdict verdict = Verdict::kNeedMore;
    size_t consume = 0;
    if (!inspection.accepted) {
      const auto& disabled = listener_->spec.listener_filters[inspection.next].disabled_ports;
      if (disabled != nullptr && disabled->test(facts_->local.port())) {
        ++inspection.next;
        continue;
      }
      inspection.accepted = true;
      const event::ActivityScope doing(listener_->spec.listener_filters[inspection.next].descriptor->name);
      verdict = filter.on_accept(*this, *facts_);
    }
    if (verdict == Verdict::kNeedMore) {
      if (!end && in.size() < std::max<size_t>(filter.wanted(), 1)) return false;
      std::string joined;
      std::string_view view;
      if (in.slice_count() == 1) {
        view = in.front().view();
      } else if (in.slice_count() > 1) {
        joined = in.to_string();
        view = joined;
      }
      const event::ActivityScope doing(listener_->spec.listener_filters[inspection.next].descriptor->name);
      verdict = filter.inspect(view, end, *facts_, consume);
    }
    switch (verdict) {
      case Verdict::kNeedMore:
        if (end) connection_.close(net::CloseReason::kRemote);
        return false;
      case Verdict::kReject:
        connection_.close();
        return false;
      case Verdict::kDone:
        in.drop_front(std::min(consume, in.size()));
        ++inspection.next;
        inspection.accepted = false;
    }
  }
  return end_inspection();
}

bool DownstreamConnection::end_inspection() {
  listener_->spec.stats->pre_cx_active.dec();
  const bool in_time = !inspection_->over;
  const std::shared_ptr<const KeptTransports> kept = std::move(inspection_->kept);
  if (in_time) inspection_.reset();
  // Whose time was over is served by what is known, and looked at no more.
  if (in_time && listener_->spec.hands_over && !handed_over_ && facts_->local_restored && hand_over() &&
      !listener_->spec.listener_filters.empty()) {
    begin_inspection();
    return inspect(connection_.in(), connection_.peer_ended());
  }
  return choose_chain(kept.get()) && connection_.open();
}

bool DownstreamConnection::hand_over() {
  handed_over_ = true;
  LaneListener* other = owner_->owner().find_by_address(facts_->local);
  if (other == nullptr || other == owner_) return false;
  auto pin = connection_.lane().slots().pin<Listener>(other->slot());
  if (!pin) return false;
  // It is let in already: the limit of the other one is for those that come.
  if (listener_->spec.connections != nullptr) listener_->spec.connections->fetch_sub(1, std::memory_order_relaxed);
  if (pin->spec.connections != nullptr) pin->spec.connections->fetch_add(1, std::memory_order_relaxed);
  listener_->spec.stats->cx_active.dec();
  listener_->spec.stats->cx_destroy.inc();
  listener_ = std::move(pin);
  listener_->spec.stats->cx_total.inc();
  listener_->spec.stats->cx_active.inc();
  owner_->pass(*this, *other);
  owner_ = other;
  return true;
}

void DownstreamConnection::on_data(Slices& in, bool end) {
  if (inspecting() && !inspect(in, end)) return;
  if (last_ == nullptr) return;  // it has ended before anybody served it
  if (earlier_ == nullptr) [[likely]] {
    const event::ActivityScope doing(chain_->filters.back().descriptor->name);
    last_->on_data(*this, in, end);
    return;
  }
  size_t number = 0;
  for (auto& filter : earlier_->filters) {
    const event::ActivityScope doing(chain_->filters[number++].descriptor->name);
    if (filter->on_data(*this, in, end) != Action::kContinue) return;
  }
  const event::ActivityScope doing(chain_->filters.back().descriptor->name);
  earlier_->passed_on.append_all(in);
  last_->on_data(*this, earlier_->passed_on, end);
  connection_.keeps_input(!earlier_->passed_on.empty());
}

namespace {

class ReplacedFilter final : public event::Deferred {
 public:
  explicit ReplacedFilter(std::unique_ptr<filter::NetworkFilter> filter) : filter_(std::move(filter)) {}
  void dispose() override { delete this; }

 private:
  std::unique_ptr<filter::NetworkFilter> filter_;
};

}  // namespace

void DownstreamConnection::replace_filter(std::unique_ptr<filter::NetworkFilter> by) {
  last_.swap(by);
  connection_.lane().defer_delete(*new ReplacedFilter(std::move(by)));
  if (last_->on_new_connection(*this) == Action::kDone) return;
  if (draining_) last_->on_drain(*this);
  connection_.deliver_again();
}

void DownstreamConnection::on_above_high_watermark() {
  for_each_filter([&](filter::NetworkFilter& filter) { filter.on_above_high_watermark(*this); });
}
void DownstreamConnection::on_below_low_watermark() {
  for_each_filter([&](filter::NetworkFilter& filter) { filter.on_below_low_watermark(*this); });
}
void DownstreamConnection::on_drained() {
  for_each_filter([&](filter::NetworkFilter& filter) { filter.on_drained(*this); });
}

void DownstreamConnection::drain() {
  if (draining_) return;
  draining_ = true;
  for_each_filter([&](filter::NetworkFilter& filter) { filter.on_drain(*this); });
}

void DownstreamConnection::drain_over(const DrainPlan& plan) {
  MonoTime now = connection_.lane().now();
  MonoTime told = now;
  if (plan.gradual) {
    // Multiples of the golden ratio: however many connections there are, their moments lie evenly in the time.
    auto share = static_cast<uint32_t>(id_ >> 8) * uint32_t{0x9e3779b9};
    told += Duration(static_cast<int64_t>(static_cast<double>(plan.time.count()) * share * 0x1p-32));
  }
  if (told <= now) drain();
  if (drain_ == nullptr) drain_ = std::make_unique<Drain>(*this);
  drain_->bring_forward(told, plan.close_at_end ? now + plan.time : MonoTime::max());
}

void DownstreamConnection::drain_with(const std::shared_ptr<DrainCount>& gone) {
  if (drains_with_ != gone && (drains_with_ == nullptr || drains_with_ != listener_->spec.draining)) {
    if (drains_with_ != nullptr) drains_with_->leave();
    drains_with_ = gone;
    if (drains_with_ != nullptr) drains_with_->enter();
  }
  drain_over(owner_->owner().update_plan());
}

// Also of a connection that no filter has heard of, because its handshake failed.
void DownstreamConnection::log(net::CloseReason reason) {
  const MonoTime now = connection_.lane().now();
  stream::StreamInfo about;
  about.start = born_;
  about.end = now;
  about.start_wall = connection_.lane().wall_now() - (now - born_);
  about.bytes_received = connection_.bytes_read();
  about.bytes_sent = connection_.bytes_written();
  if (close_details_ != nullptr) about.connection_details = close_details_;
  filter::describe(*this, about);
  if (chain_ == nullptr && close_details_ != nullptr) {
    about.flags.set(stream::ResponseFlag::kNoRouteFound);
    about.details = close_details_;
  }
  if (net::Transport* transport = connection_.transport()) {
    about.downstream_failure_reason = transport->failure();
    if (chain_ != nullptr && last_ == nullptr && transport->failure().empty())
      about.downstream_failure_reason = about.connection_details;
  }
  if (reason == net::CloseReason::kReset || (reason == net::CloseReason::kRemote && last_ == nullptr))
    about.flags.set(stream::ResponseFlag::kDownstreamConnectionTermination);
  const stream::LogSubject subject{about};
  for (const auto& logger : listener_->spec.access_logs) logger->log(subject, connection_.lane());
}

void DownstreamConnection::on_closed(net::CloseReason reason) {
  const ListenerSpec& spec = listener_->spec;
  if (inspecting()) {
    spec.stats->pre_cx_active.dec();
    inspection_->cancel();
  }
  if (handshake_ != nullptr) handshake_->cancel();
  if (drain_ != nullptr) drain_->cancel();
  if (drains_with_ != nullptr) drains_with_->leave();
  for_each_filter([&](filter::NetworkFilter& filter) { filter.on_closed(*this, reason); });
  if (!spec.access_logs.empty()) [[unlikely]]
    log(reason);
  spec.stats->cx_active.dec();
  if (spec.connections != nullptr) spec.connections->fetch_sub(1, std::memory_order_relaxed);
  spec.stats->cx_destroy.inc();
  spec.stats->cx_length_ms.record(static_cast<uint64_t>(to_ms(connection_.lane().now() - born_)));
  if (spec.limit != nullptr) {
    spec.limit->active.fetch_sub(1, std::memory_order_relaxed);
    if (counted_) spec.limit->global_active.fetch_sub(1, std::memory_order_relaxed);
  }
  node_.unlink();
  connection_.lane().defer_delete(*this);
}

void DownstreamConnection::dispose() { owner_->owner().destroy(*this); }

bool DownstreamConnection::listens_on(const net::Address& address) const {
  bool found = false;
  listener_->for_each_sockets([&](const std::shared_ptr<const ListenSockets>& sockets) {
    const net::Address& own = sockets->address;
    found = found || (own.port() == address.port() && (own.is_any() || own.same_ip(address)));
  });
  return found;
}

}  // namespace weir::proxy
