#include "core/event/publisher.h"

namespace weir::event {

// How long main may spend destroying or applying before it yields to its other work.
constexpr Duration kSlice = 2ms;

Publisher::Publisher(std::vector<Lane*> lanes) : lanes_(std::move(lanes)) {
  Lane* main = lanes_.front();
  for (Lane* lane : lanes_) {
    lane->set_siblings(lanes_);
    lane->set_release_sink([this, main](std::vector<const Versioned*> versions) {
      main->post([this, versions = std::move(versions)]() mutable { on_released(std::move(versions)); });
    });
  }
}

// At this point the lanes are gone or stopped for good: everything that is left dies here.
Publisher::~Publisher() {
  for (auto& kind : newest_) {
    for (const Versioned* version : kind) delete version;
  }
  for (const Versioned* version : doomed_) delete version;
}

Publisher::Batch::~Batch() {
  for (const SlotChange& change : changes_) delete change.version;
}

SlotId Publisher::intern(SlotKind kind, std::string_view name) {
  auto& index = by_name_[static_cast<size_t>(kind)];
  auto& names = names_[static_cast<size_t>(kind)];
  auto [it, fresh] = index.try_emplace(std::string(name), static_cast<uint32_t>(names.size()));
  if (fresh) {
    names.emplace_back(name);
    newest_[static_cast<size_t>(kind)].push_back(nullptr);
  }
  return {kind, it->second};
}

std::string_view Publisher::name_of(SlotId id) const { return names_[static_cast<size_t>(id.kind)][id.index]; }

const Versioned* Publisher::newest(SlotId id) const {
  const auto& kind = newest_[static_cast<size_t>(id.kind)];
  return id.index < kind.size() ? kind[id.index] : nullptr;
}

uint64_t Publisher::publish(Batch batch, Task applied) {
  uint64_t number = next_batch_++;
  for (const SlotChange& change : batch.changes_) {
    if (change.version != nullptr) {
      const_cast<Versioned*>(change.version)->lanes_holding_ = static_cast<uint32_t>(lanes_.size());
      ++live_;
    }
    newest_[static_cast<size_t>(change.id.kind)][change.id.index] = change.version;
  }
  live_gauge_.set(live_);
  pending_.push_back({number, lanes_.size(), std::move(applied)});
  auto changes = std::make_shared<const std::vector<SlotChange>>(std::exchange(batch.changes_, {}));
  Lane* main = lanes_.front();
  for (Lane* lane : lanes_) {
    lane->post([this, lane, main, changes, number] {
      lane->slots().apply(*changes);
      main->post([this, number] { on_applied(number); });
    });
  }
  return number;
}

void Publisher::on_applied(uint64_t number) {
  for (Pending& pending : pending_) {
    if (pending.number == number) --pending.lanes_left;
  }
  while (!pending_.empty() && pending_.front().lanes_left == 0) {
    Pending done = std::move(pending_.front());
    pending_.pop_front();
    applied_everywhere_ = done.number;
    if (done.applied) done.applied();
  }
}

void Publisher::on_released(std::vector<const Versioned*> versions) {
  for (const Versioned* version : versions) {
    if (--const_cast<Versioned*>(version)->lanes_holding_ == 0) doomed_.push_back(version);
  }
  if (!doomed_.empty() && !destroying_) destroy_some();
}

void Publisher::destroy_some() {
  Clock& clock = lanes_.front()->clock();
  MonoTime start = clock.mono_now();
  while (!doomed_.empty()) {
    delete doomed_.front();
    doomed_.pop_front();
    --live_;
    if (clock.mono_now() - start > kSlice) break;
  }
  live_gauge_.set(live_);
  destroying_ = !doomed_.empty();
  if (destroying_) lanes_.front()->post([this] { destroy_some(); });
}

}  // namespace weir::event
