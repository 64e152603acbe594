// The HTTP filters of one connection manager, laid out once so that a stream builds its chain with one allocation and
// visits only filters that care. [immutable]
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/filter/http_filter.h"

namespace weir::filter {

struct HttpFilterDescriptor;

// Sets of filters are masks in which the first one is the highest bit: whether the next one belongs to it is then the
// sign of what is left of the mask, the cheapest question there is.
constexpr uint64_t filter_bit(size_t number) { return (uint64_t{1} << 63) >> number; }
constexpr bool has_first(uint64_t mask) { return static_cast<int64_t>(mask) < 0; }

// Calls visit(at + i) for each filter i of the mask, in order; costs three instructions each while they are neighbours.
template <class Item, class Visit>
[[gnu::always_inline]] inline void for_each_filter(uint64_t mask, const Item* at, Visit visit) {
  while (mask != 0) {
    int skipped = __builtin_clzll(mask);
    mask <<= skipped;
    at += skipped;
    do {
      visit(at);
      ++at;
      mask <<= 1;
    } while (has_first(mask));
  }
}

// One entry of `http_filters`.
struct HttpFilterEntry {
  const HttpFilterDescriptor* descriptor = nullptr;
  std::shared_ptr<const void> config;  // the plugin's Config
  std::string name;                    // as configured
  uint32_t id = 0;                     // interned name: per-route configuration is found by it
  bool disabled = false;               // off unless the route says otherwise
};

class HttpChainConfig {
 public:
  static constexpr size_t kMaxFilters = 64;
  // The last filter must be terminal and no other may be. Errors name the filter and its place.
  static Result<std::shared_ptr<const HttpChainConfig>> build(std::vector<HttpFilterEntry> entries);

  size_t size() const { return entries_.size(); }
  const HttpFilterEntry& entry(size_t position) const { return entries_[position]; }
  // Positions of filters that are on unless a route says otherwise, the last among them, and all positions.
  uint64_t enabled_mask() const { return enabled_; }
  uint64_t all_mask() const { return ~uint64_t{0} << (kMaxFilters - entries_.size()); }
  uint64_t complete_mask() const { return complete_; }
  // Positions of filters that have something to destroy.
  uint64_t destroy_mask() const { return destroy_; }

  // What one direction visits, by steps of travel.
  struct Route {
    uint64_t headers = 0;
    uint64_t data = 0;
    uint64_t trailers = 0;
    uint64_t whole_body = 0;
  };
  const Route& request_route() const { return request_; }
  const Route& response_route() const { return response_; }
  uint32_t whole_body_limit(bool response, size_t position) const {
    return response ? places_[position].response_limit : places_[position].request_limit;
  }

  // How a filter is made: at `memory` + offset.
  struct Place {
    HttpFilter* (*construct)(void* memory, const void* config) = nullptr;
    const void* config = nullptr;
    uint32_t offset = 0;
    uint32_t request_limit = 0;
    uint32_t response_limit = 0;
  };
  const Place* places() const { return places_.data(); }
  uint32_t offset(size_t position) const { return places_[position].offset; }
  // The same by steps of travel.
  const uint32_t* offsets(bool response) const { return (response ? response_offsets_ : request_offsets_).data(); }
  uint32_t bytes() const { return bytes_; }
  uint32_t alignment() const { return alignment_; }

 private:
  std::vector<HttpFilterEntry> entries_;
  std::vector<Place> places_;
  std::vector<uint32_t> request_offsets_;
  std::vector<uint32_t> response_offsets_;
  Route request_;
  Route response_;
  uint64_t complete_ = 0;
  uint64_t destroy_ = 0;
  uint64_t enabled_ = 0;
  uint32_t bytes_ = 0;
  uint32_t alignment_ = 16;
};

}  // namespace weir::filter
