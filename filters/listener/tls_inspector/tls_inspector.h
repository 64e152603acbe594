// envoy.filters.listener.tls_inspector: whether a client speaks TLS, which server it asks for, and which protocols it
// would speak inside, by its first message.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/filter/listener_filter.h"
#include "core/stats/handles.h"

namespace weir::filters::tls_inspector {

// [immutable]
struct Settings {
  uint32_t max_size = 16384;
  bool close_others = false;  // those that are not understood
  bool ja3 = false;
  bool ja4 = false;
  stats::Counter too_large, found, not_found, alpn_found, alpn_not_found, sni_found, sni_not_found;
  stats::Histogram bytes_processed;
};

// One per connection. [worker]
class Filter : public filter::ListenerFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  Verdict on_accept(filter::ConnectionHost& host, filter::ConnectionFacts& facts) override;
  size_t wanted() const override { return needed_; }
  Verdict inspect(std::string_view peeked, bool end, filter::ConnectionFacts& facts, size_t& consume) override;

 private:
  void tell_why(std::string_view reason);

  const Settings& settings_;
  filter::ConnectionHost* host_ = nullptr;
  size_t needed_ = 1;
};

}  // namespace weir::filters::tls_inspector
