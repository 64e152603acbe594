// How long single statistics live: as long as something that was built with them.
#pragma once

#include <memory>
#include <utility>
#include <vector>

namespace weir::stats {

class Store;
struct Single;

// Keeps the single statistics that were made, or asked for again, while it was noting (below). The last lease of a name
// takes it along; whoever counts for it goes before its lease. [main]
class Lease {
 public:
  bool empty() const { return kept_.empty(); }

 private:
  friend class Store;
  std::vector<std::shared_ptr<Single>> kept_;
};

// As long as this lives, what is asked for is kept by the lease, or for ever (nullptr), as is what is asked for outside
// of any. The innermost counts. [main]
class Noting {
 public:
  Noting(Store& store, Lease* lease);
  ~Noting();
  Noting(const Noting&) = delete;
  Noting& operator=(const Noting&) = delete;

 private:
  Store& store_;
  Lease* const before_;
};

template <class T>
inline constexpr bool kMayHoldLease = false;
template <class T>
inline constexpr bool kMayHoldLease<std::shared_ptr<T>> = true;

// What was built while the lease was noting, now with the lease, which goes behind it.
template <class T>
std::shared_ptr<T> with_lease(std::shared_ptr<T> built, Lease lease) {
  if (built == nullptr || lease.empty()) return built;
  struct Both {
    Lease lease;
    std::shared_ptr<T> built;  // goes first
  };
  auto both = std::make_shared<Both>(Both{std::move(lease), std::move(built)});
  T* const at = both->built.get();
  return std::shared_ptr<T>(std::move(both), at);
}
template <class T>
T with_lease(T built, const Lease&) {
  return built;
}

}  // namespace weir::stats
