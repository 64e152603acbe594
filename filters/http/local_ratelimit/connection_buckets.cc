#include "filters/http/local_ratelimit/connection_buckets.h"

#include <bit>
#include <memory>
#include <vector>

namespace weir::filters::local_ratelimit {

using stream::FilterState;
using stream::FilterStateValue;

namespace {

// What a connection keeps for a place. Buckets of settings that are gone stay until others have the place.
struct Set {
  size_t place;
  Set* next;
  uint64_t id = 0;
  char* memory = nullptr;
  size_t room = 0;  // bytes
};
struct Sets {
  Set* first = nullptr;
};
constexpr stream::FilterStateType kSets{.name = "weir.local_ratelimit"};

// [main]
struct Places {
  std::vector<size_t> free;
  size_t used = 0;  // and those that were
};
Places& places() {
  static Places all;
  return all;
}
size_t take_place() {
  std::vector<size_t>& free = places().free;
  if (free.empty()) return places().used++;
  const size_t place = free.back();
  free.pop_back();
  return place;
}
uint64_t next_id() {
  static uint64_t last = 0;
  return ++last;
}

}  // namespace

ConnectionBuckets::ConnectionBuckets(BucketCounts counts)
    : name_("weir.local_ratelimit"), place_(take_place()), id_(next_id()), counts_(counts) {}
ConnectionBuckets::~ConnectionBuckets() { places().free.push_back(place_); }

Buckets ConnectionBuckets::of(filter::Stream& stream) const {
  stream::ConnectionInfo* connection = stream.host().connection_info();
  FilterState& state = connection != nullptr ? connection->make_filter_state() : stream.filter_state();
  Arena& arena = state.arena_for(stream::LifeSpan::kConnection);
  const FilterState::Entry* entry = state.find(name_);
  auto* sets = entry != nullptr ? static_cast<Sets*>(entry->value.object(kSets)) : nullptr;
  if (sets == nullptr) {
    sets = arena.make<Sets>();
    state.set(name_, FilterStateValue::of_object(sets, kSets), {stream::LifeSpan::kConnection, true});
  }
  Set* set = sets->first;
  while (set != nullptr && set->place != place_) set = set->next;
  if (set == nullptr) sets->first = set = arena.make<Set>(Set{place_, sets->first});
  static_assert(alignof(TokenBucket) == alignof(ValueBucket));
  const size_t fixed_bytes = counts_.fixed * sizeof(TokenBucket);
  const size_t bytes = fixed_bytes + counts_.by_value * sizeof(ValueBucket);
  if (set->room < bytes) {
    set->room = std::bit_ceil(bytes);  // all that is left behind is less than what there is then
    set->memory = static_cast<char*>(arena.allocate(set->room, alignof(TokenBucket)));
  }
  const Buckets buckets{reinterpret_cast<TokenBucket*>(set->memory),
                        reinterpret_cast<ValueBucket*>(set->memory + fixed_bytes)};
  if (set->id != id_) {
    std::uninitialized_default_construct_n(buckets.fixed, counts_.fixed);
    std::uninitialized_default_construct_n(buckets.by_value, counts_.by_value);
    set->id = id_;
  }
  return buckets;
}

}  // namespace weir::filters::local_ratelimit
