// Which of two media types a client would rather have (RFC 9110 12.5.1), as far as an endpoint has a choice.
#pragma once

#include <string_view>

namespace weir::admin {

// What the delimited messages of Prometheus are called, by whoever sends them too.
inline constexpr std::string_view kPrometheusMessages =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

// Whether the Accept header of a scraper names those messages, and before (with a higher weight, or with the same and
// earlier) plain text of any kind. Without a header, or with one that cannot be read: text.
bool prefers_prometheus_messages(std::string_view accept);

}  // namespace weir::admin
