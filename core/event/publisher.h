// Main's side of the slots: names to indices, batches to every lane, and the return of versions nobody uses any more.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/event/lane.h"
#include "core/event/slot.h"
#include "core/stats/handles.h"

namespace weir::event {

class Publisher {
 public:
  // `lanes`: main's first. All outlive the publisher's last turn.
  explicit Publisher(std::vector<Lane*> lanes);
  ~Publisher();

  // [main] The slot of a name; made on first use, so that routes may name clusters that come later.
  SlotId intern(SlotKind kind, std::string_view name);
  std::string_view name_of(SlotId id) const;
  size_t slot_count(SlotKind kind) const { return names_[static_cast<size_t>(kind)].size(); }
  // [main] The newest published version, nullptr if none.
  const Versioned* newest(SlotId id) const;

  // [main] Collects changes; publish() sends them as one batch that every lane applies at one turn boundary.
  class Batch {
   public:
    void set(SlotId id, std::unique_ptr<const Versioned> version) { changes_.push_back({id, version.release()}); }
    void remove(SlotId id) { changes_.push_back({id, nullptr}); }
    // Those of another one, behind its own.
    void append(Batch other) {
      changes_.insert(changes_.end(), other.changes_.begin(), other.changes_.end());
      other.changes_.clear();
    }
    // Forgets the removal of slots that are needed after all: of those that `kept` says yes to.
    template <class Kept>
    void drop_removals(Kept kept) {
      std::erase_if(changes_, [&](const SlotChange& one) { return one.version == nullptr && kept(one.id); });
    }
    bool changes(SlotId id) const {
      return std::any_of(changes_.begin(), changes_.end(), [id](const SlotChange& one) { return one.id == id; });
    }
    bool empty() const { return changes_.empty(); }
    Batch() = default;
    Batch(Batch&&) = default;
    Batch& operator=(Batch&& other) noexcept {
      changes_.swap(other.changes_);
      return *this;
    }
    ~Batch();

   private:
    friend class Publisher;
    std::vector<SlotChange> changes_;
  };
  // `applied` runs on main once every lane has applied the batch. Returns the batch number.
  uint64_t publish(Batch batch, Task applied = nullptr);
  uint64_t last_applied_everywhere() const { return applied_everywhere_; }
  // Versions published and not yet destroyed; `gauge` follows it from now on.
  size_t live_versions() const { return live_; }
  void count_in(stats::Gauge gauge) { live_gauge_ = gauge; }

 private:
  struct Pending {
    uint64_t number;
    size_t lanes_left;
    Task applied;
  };
  void on_released(std::vector<const Versioned*> versions);
  void on_applied(uint64_t number);
  void destroy_some();

  std::vector<Lane*> lanes_;
  std::vector<std::string> names_[kSlotKinds];
  std::unordered_map<std::string, uint32_t> by_name_[kSlotKinds];
  std::vector<const Versioned*> newest_[kSlotKinds];
  std::deque<Pending> pending_;
  std::deque<const Versioned*> doomed_;
  bool destroying_ = false;
  uint64_t next_batch_ = 1;
  uint64_t applied_everywhere_ = 0;
  size_t live_ = 0;
  stats::Gauge live_gauge_;
};

}  // namespace weir::event
