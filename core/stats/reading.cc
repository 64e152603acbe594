#include "core/stats/reading.h"

namespace weir::stats {
namespace {

// Groups per slice.
constexpr size_t kSlice = 400;

}  // namespace

bool Reading::step() {
  if (refresh_ == nullptr) return store_.list(frozen_, place_, kSlice);
  if (!refresh_()) refresh_ = nullptr;
  return true;
}

}  // namespace weir::stats
