// envoy.filters.listener.http_inspector: which HTTP a plain-text client speaks, by its first bytes.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/filter/listener_filter.h"
#include "core/stats/handles.h"

namespace weir::filters::http_inspector {

enum class Spoken : uint8_t { kNotYetKnown, kNothing, kHttp10, kHttp11, kHttp2 };
// A request line of more bytes is no HTTP, as published.
inline constexpr size_t kMaxLine = 64 * 1024;
inline constexpr size_t kMaxMethod = 64;
// Of a connection's first bytes. `seen`: so many of them had no line end when they were looked at before.
Spoken detect(std::string_view bytes, size_t seen = 0) noexcept;

// [immutable]
struct Settings {
  stats::Counter read_error, http10, http11, http2, not_found;
};

// One per connection. [worker]
class Filter : public filter::ListenerFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  Verdict on_accept(filter::ConnectionHost& host, filter::ConnectionFacts& facts) override;
  size_t wanted() const override { return seen_ + 1; }
  Verdict inspect(std::string_view peeked, bool end, filter::ConnectionFacts& facts, size_t& consume) override;

 private:
  const Settings& settings_;
  size_t seen_ = 0;
};

}  // namespace weir::filters::http_inspector
