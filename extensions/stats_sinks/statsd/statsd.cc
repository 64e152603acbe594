// The statistics sinks envoy.stat_sinks.statsd and envoy.stat_sinks.dog_statsd: datagrams to a collector, or, of the
// former, lines on a connection to a cluster.
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "core/event/slot.h"
#include "core/filter/register.h"
#include "core/net/address.h"
#include "core/stats/sink.h"
#include "envoy/config/metrics/v3/stats.pb.h"
#include "extensions/stats_sinks/statsd/collector_link.h"
#include "extensions/stats_sinks/statsd/lines.h"

namespace weir::extensions::statsd {
namespace {

namespace pb = envoy::config::metrics::v3;

// As many bytes as fit a packet of an Ethernet, with the headers of IPv6 and UDP.
constexpr size_t kPacket = 1432;

class UdpSink final : public stats::Sink {
 public:
  UdpSink(const net::Address& address, LineOptions options, stats::Counter sent, stats::Counter failed)
      : size_(address.to_sockaddr(address_)), lines_(std::move(options)), sent_(sent), failed_(failed) {}
  ~UdpSink() override {
    if (fd_ >= 0) close(fd_);
  }
  void flush(const stats::Frozen& stats, const stats::Intervals& since_last) const override {
    if (fd_ < 0) fd_ = socket(address_.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    lines_.write(stats, since_last, [this](std::string_view datagram) {
      // Nobody waits for a collector: what it does not take is lost, and counted.
      const ssize_t took = fd_ < 0 ? -1
                                   : sendto(fd_, datagram.data(), datagram.size(), MSG_NOSIGNAL,
                                            reinterpret_cast<const sockaddr*>(&address_), size_);
      (took < 0 ? failed_ : sent_).inc();
    });
  }

 private:
  sockaddr_storage address_{};
  const socklen_t size_;
  mutable Lines lines_;
  mutable int fd_ = -1;
  const stats::Counter sent_, failed_;
};

// Written beside the lanes, sent on main's.
class TcpSink final : public stats::Sink {
 public:
  TcpSink(event::SlotId cluster, LineOptions options, LinkCounters counters)
      : cluster_(cluster), lines_(std::move(options)), counters_(counters) {}
  void flush(const stats::Frozen& stats, const stats::Intervals& since_last) const override {
    lines_.write(stats, since_last, [this](std::string_view line) {
      if (text_.size() + line.size() >= CollectorLink::kMostWaiting) {
        counters_.dropped.inc();
        return;
      }
      text_ += line;
      text_ += '\n';
    });
  }
  void deliver(event::Lane& lane) const override {
    if (text_.empty()) return;
    if (link_ == nullptr) link_ = std::make_unique<CollectorLink>(lane, cluster_, counters_);
    link_->send(std::exchange(text_, {}));
  }
  void end() const override { link_.reset(); }

 private:
  const event::SlotId cluster_;
  mutable Lines lines_;
  mutable std::string text_;  // of the last flush
  mutable std::unique_ptr<CollectorLink> link_;
  const LinkCounters counters_;
};

net::Address read_address(const envoy::config::core::v3::Address& proto, filter::FactoryScope& scope) {
  if (proto.has_socket_address() && proto.socket_address().port_value() > 0) {
    auto address = net::Address::from_ip(proto.socket_address().address(),
                                         static_cast<uint16_t>(proto.socket_address().port_value()));
    if (address.ok()) return *address;
  }
  scope.error("address", "must be a socket_address with an IP address and a port_value: where the collector listens");
  return {};
}

struct Statsd {
  static Result<std::shared_ptr<const stats::Sink>> from_proto(const pb::StatsdSink& proto,
                                                               filter::FactoryScope& scope) {
    LineOptions options;
    if (!proto.prefix().empty()) options.prefix = proto.prefix();
    if (proto.has_tcp_cluster_name()) {
      if (proto.tcp_cluster_name().empty()) scope.error("tcp_cluster_name", "must be the name of a cluster");
      const LinkCounters counters{scope.store().counter("stats_sink.statsd.lines_sent"),
                                  scope.store().counter("stats_sink.statsd.lines_dropped")};
      return std::shared_ptr<const stats::Sink>(
          std::make_shared<TcpSink>(scope.routes().cluster(proto.tcp_cluster_name()), std::move(options), counters));
    }
    options.datagram_bytes = kPacket;
    std::shared_ptr<const stats::Sink> sink = std::make_shared<UdpSink>(
        read_address(proto.address(), scope), std::move(options), scope.store().counter("stats_sink.statsd.sent"),
        scope.store().counter("stats_sink.statsd.failed"));
    return sink;
  }
};

struct DogStatsd {
  static Result<std::shared_ptr<const stats::Sink>> from_proto(const pb::DogStatsdSink& proto,
                                                               filter::FactoryScope& scope) {
    LineOptions options;
    options.tags = true;
    options.datagram_bytes = proto.max_bytes_per_datagram().value();
    if (!proto.prefix().empty()) options.prefix = proto.prefix();
    std::shared_ptr<const stats::Sink> sink = std::make_shared<UdpSink>(
        read_address(proto.address(), scope), std::move(options), scope.store().counter("stats_sink.dog_statsd.sent"),
        scope.store().counter("stats_sink.dog_statsd.failed"));
    return sink;
  }
};

}  // namespace
}  // namespace weir::extensions::statsd

namespace weir::plugins {
void stats_sink_statsd(filter::RegistryBuilder& registry) {
  using namespace extensions::statsd;
  registry.add(filter::describe_extension<Statsd>("stats_sink", "envoy.stat_sinks.statsd"));
  registry.add(filter::describe_extension<DogStatsd>("stats_sink", "envoy.stat_sinks.dog_statsd"));
}
}  // namespace weir::plugins
