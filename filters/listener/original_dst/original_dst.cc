#include "filters/listener/original_dst/original_dst.h"

#include "core/filter/register.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"

namespace weir::filters::original_dst {

// linux/netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h, which cannot be included beside the headers of the C library.
constexpr int kOriginalDestination = 80;

net::Address read_original_destination(int fd, const net::Address& local) {
  sockaddr_storage storage;
  socklen_t length = sizeof storage;
  // An IPv4 connection of an IPv6 socket is asked as what it is on the wire.
  const int level = local.family() == net::Family::kIpv4 ? IPPROTO_IP : IPPROTO_IPV6;
  if (!local.is_ip() || getsockopt(fd, level, kOriginalDestination, &storage, &length) != 0) return {};
  return net::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

bool is_transparent(int fd, const net::Address& local) {
  int value = 0;
  socklen_t length = sizeof value;
  const bool ipv4 = local.family() == net::Family::kIpv4;
  return local.is_ip() &&
         getsockopt(fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &value, &length) ==
             0 &&
         value != 0;
}

filter::ListenerFilter::Verdict Filter::on_accept(filter::ConnectionHost& host, filter::ConnectionFacts& facts) {
  const net::Address& own = host.connection().local();
  const int fd = host.connection().fd();
  net::Address original = reader_(fd, own);
  // By TPROXY the socket's own address is where it was going, unless it came to where the listener is.
  if (original.empty() && is_transparent(fd, own) && !host.listens_on(own)) {
    facts.local_restored = true;
    return Verdict::kDone;
  }
  if (original.empty() || original == own) return Verdict::kDone;
  facts.local = std::move(original);
  facts.local_restored = true;
  return Verdict::kDone;
}

namespace {

struct Config {
  static Result<std::shared_ptr<const Config>> from_proto(
      const envoy::extensions::filters::listener::original_dst::v3::OriginalDst&, filter::FactoryScope&) {
    return std::make_shared<const Config>();
  }
};

class Plugin final : public Filter {
 public:
  explicit Plugin(const Config&) : Filter(read_original_destination) {}
};

}  // namespace
}  // namespace weir::filters::original_dst

namespace weir::plugins {
void listener_filter_original_dst(filter::RegistryBuilder& registry) {
  using namespace filters::original_dst;
  registry.add(filter::describe_listener_filter<Config, Plugin>("envoy.filters.listener.original_dst"));
}
}  // namespace weir::plugins
