// Which filters of a chain a stream gets.
#pragma once

#include <cstdint>

#include "core/filter/chain_config.h"
#include "core/route/filter_configs.h"

namespace weir::proxy {

// As the chain says, unless the route says otherwise. By position.
inline uint64_t enabled_filters(const filter::HttpChainConfig& chain, const route::FilterConfigs& of_route) {
  uint64_t enabled = chain.enabled_mask();
  for (const route::FilterConfigs::Entry& entry : of_route.entries()) {
    for (size_t position = 0; position < chain.size(); ++position) {
      if (chain.entry(position).id != entry.filter_id) continue;
      if (entry.disabled && position + 1 < chain.size()) {  // the last one must answer
        enabled &= ~filter::filter_bit(position);
      } else {
        enabled |= filter::filter_bit(position);  // a configuration on the route turns a disabled filter on
      }
    }
  }
  return enabled;
}

}  // namespace weir::proxy
