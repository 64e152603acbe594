#include "core/config/percent.h"

#include "envoy/type/v3/percent.pb.h"

namespace weir::config {

uint32_t whole_of(const envoy::type::v3::FractionalPercent& message) {
  using envoy::type::v3::FractionalPercent;
  switch (message.denominator()) {
    case FractionalPercent::TEN_THOUSAND:
      return 10'000;
    case FractionalPercent::MILLION:
      return 1'000'000;
    default:
      return 100;
  }
}

}  // namespace weir::config
