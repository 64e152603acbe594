// envoy.filters.listener.proxy_protocol: takes the PROXY protocol's header off a connection; its addresses are the
// connection's from then on.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/filter/listener_filter.h"
#include "core/stats/handles.h"
#include "core/stream/filter_state.h"
#include "core/stream/proxy_header.h"
#include "filters/listener/proxy_protocol/header.h"

namespace weir::filters::proxy_protocol {

// Where the value of a TLV goes.
struct TlvRule {
  uint8_t type = 0;
  std::string name_space;
  std::string key;
};

// TLVs that are passed on.
struct PassThrough {
  bool any = false;                  // some are
  std::array<bool, 256> types = {};  // by type
};

struct VersionStats {
  stats::Counter found, disallowed, error;
};

// [immutable]
struct Settings {
  std::vector<TlvRule> rules;
  bool into_filter_state = false;  // else into metadata
  PassThrough pass;
  bool allow_without = false;
  Wanted allowed;
  stream::FilterStateName values{"envoy.network.proxy_protocol.tlv"};  // as published
  stream::FilterStateName header{stream::kProxyHeaderName};
  VersionStats v1, v2;
  stats::Counter absent_allowed, absent_disallowed;
};

// One per connection. [worker]
class Filter : public filter::ListenerFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  Verdict on_accept(filter::ConnectionHost& host, filter::ConnectionFacts& facts) override;
  size_t wanted() const override { return needed_; }
  Verdict inspect(std::string_view peeked, bool end, filter::ConnectionFacts& facts, size_t& consume) override;

 private:
  void keep(const Header& header);
  void keep_for_upstream(const Header& header);

  const Settings& settings_;
  filter::ConnectionHost* host_ = nullptr;
  size_t needed_ = 1;
};

}  // namespace weir::filters::proxy_protocol
