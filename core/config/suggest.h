// The nearest of some names to one that was probably mistyped.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace weir::config {

// Insertions, deletions, replacements and swaps of neighbours that turn one into the other, case ignored.
// Anything above `limit` is returned as limit + 1.
size_t edit_distance(std::string_view a, std::string_view b, size_t limit);

// Keeps the nearest of the names it is offered; best() is empty when none is near enough to be meant.
class NearestName {
 public:
  explicit NearestName(std::string_view wanted);
  void offer(std::string_view name);  // outlives this object
  std::string_view best() const { return best_; }

 private:
  std::string_view wanted_;
  std::string_view best_;
  size_t distance_;
};

// For "there are ...": all of a few names, the first of many and how many more there are.
std::string listed(const std::vector<std::string>& names);

}  // namespace weir::config
