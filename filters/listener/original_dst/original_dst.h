// envoy.filters.listener.original_dst: where a connection was going before the packet filter redirected it here.
#pragma once

#include "core/filter/listener_filter.h"

namespace weir::filters::original_dst {

// The destination that the kernel has kept for this socket; empty: none. `local`: the socket's own address.
net::Address read_original_destination(int fd, const net::Address& local);
// Whether connections to any address may come to this socket (IP_TRANSPARENT).
bool is_transparent(int fd, const net::Address& local);
// The same function, or another one in its place (tests).
using Reader = net::Address (*)(int fd, const net::Address& local);

// One per connection. [worker]
class Filter : public filter::ListenerFilter {
 public:
  explicit Filter(Reader reader) : reader_(reader) {}
  Verdict on_accept(filter::ConnectionHost& host, filter::ConnectionFacts& facts) override;
  Verdict inspect(std::string_view, bool, filter::ConnectionFacts&, size_t&) override { return Verdict::kDone; }

 private:
  const Reader reader_;
};

}  // namespace weir::filters::original_dst
