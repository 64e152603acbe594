#include "core/http/content_coding.h"

namespace weir::http {

CoderPool::Lent CoderPool::take(uint32_t lane) const {
  Lent lent;
  lent.pool_ = this;
  lent.lane_ = lane;
  auto& resting = resting_[lane];
  if (resting.empty()) {
    lent.coder_ = coding_->make_coder();
  } else {
    lent.coder_ = std::move(resting.back());
    resting.pop_back();
  }
  return lent;
}

void CoderPool::Lent::give_back() {
  if (coder_ == nullptr) return;
  auto& resting = pool_->resting_[lane_];
  if (resting.size() < kKeptPerLane) {
    coder_->reset();
    resting.push_back(std::move(coder_));
  }
  coder_ = nullptr;
}

}  // namespace weir::http
