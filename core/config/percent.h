#pragma once

#include <cstdint>

namespace envoy::type::v3 {
class FractionalPercent;
}

namespace weir::config {

// What its numerator is a part of: 100, 10,000 or 1,000,000.
uint32_t whole_of(const envoy::type::v3::FractionalPercent& message);

}  // namespace weir::config
