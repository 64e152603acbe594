// From envoy.type.v3.TokenBucket to a bucket. [main]
#pragma once

#include "core/filter/factory.h"
#include "filters/common/token_bucket/token_bucket.h"

namespace envoy::type::v3 {
class TokenBucket;
}

namespace weir::filters {

// Intervals below this are faults, as published.
inline constexpr Duration kShortestFill = std::chrono::milliseconds(50);

// `scope`: that of the message.
BucketSpec read_bucket(const envoy::type::v3::TokenBucket& message, filter::FactoryScope scope);

}  // namespace weir::filters
