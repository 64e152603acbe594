#include "filters/common/token_bucket/read_bucket.h"

#include "core/filter/duration.h"
#include "envoy/type/v3/token_bucket.pb.h"

namespace weir::filters {

BucketSpec read_bucket(const envoy::type::v3::TokenBucket& message, filter::FactoryScope scope) {
  BucketSpec spec;
  spec.max_tokens = message.max_tokens();
  if (message.has_tokens_per_fill()) spec.tokens_per_fill = message.tokens_per_fill().value();
  spec.fill_interval = filter::to_duration(message.fill_interval());
  if (spec.fill_interval < kShortestFill) {
    scope.error("fill_interval", "must be 50ms at least; more tokens_per_fill give the same rate");
    spec.fill_interval = kShortestFill;
  }
  return spec;
}

}  // namespace weir::filters
