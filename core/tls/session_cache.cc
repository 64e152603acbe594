#include "core/tls/session_cache.h"

#include <algorithm>

namespace weir::tls {

SessionCache::~SessionCache() { delete lanes_.load(std::memory_order_acquire); }

SessionCache::Sessions* SessionCache::sessions(uint32_t lane, bool make) {
  if (lane >= kMaxLanes) return nullptr;
  Lanes* lanes = lanes_.load(std::memory_order_acquire);
  if (lanes == nullptr) {
    if (!make) return nullptr;
    auto fresh = std::make_unique<Lanes>();
    if (lanes_.compare_exchange_strong(lanes, fresh.get(), std::memory_order_acq_rel)) lanes = fresh.release();
  }
  auto& place = lanes->of[lane];
  if (place == nullptr && make) place = std::make_unique<Sessions>();
  return place.get();
}

void SessionCache::put(uint32_t lane, std::string_view purpose, bssl::UniquePtr<SSL_SESSION> session) {
  if (most_ == 0) return;
  Sessions* sessions = this->sessions(lane, true);
  if (sessions == nullptr) return;
  sessions->push_front({std::string(purpose), std::move(session)});
  while (sessions->size() > most_) sessions->pop_back();
}

bssl::UniquePtr<SSL_SESSION> SessionCache::take(uint32_t lane, std::string_view purpose) {
  Sessions* sessions = this->sessions(lane, false);
  if (sessions == nullptr) return nullptr;
  auto found =
      std::find_if(sessions->begin(), sessions->end(), [&](const Entry& one) { return one.purpose == purpose; });
  if (found == sessions->end()) return nullptr;
  if (!SSL_SESSION_should_be_single_use(found->session.get())) return bssl::UpRef(found->session.get());
  bssl::UniquePtr<SSL_SESSION> session = std::move(found->session);
  sessions->erase(found);
  return session;
}

}  // namespace weir::tls
