#include "core/config/suggest.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <vector>

namespace weir::config {
size_t edit_distance(std::string_view a, std::string_view b, size_t limit) {
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) > limit) {
    return limit + 1;
  }
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    last[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    size_t least = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = absl::ascii_tolower(a[i - 1]) == absl::ascii_tolower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && absl::ascii_tolower(a[i - 1]) == absl::ascii_tolower(b[j - 2]) &&
          absl::ascii_tolower(a[i - 2]) == absl::ascii_tolower(b[j - 1])) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
      least = std::min(least, row[j]);
    }
    if (least > limit) {
      return limit + 1;
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return std::min(last[b.size()], limit + 1);
}

// A third of the letters may be wrong: timeout_ms still finds timeout, foo finds nothing.
NearestName::NearestName(std::string_view wanted)
    : wanted_(wanted), distance_(std::min<size_t>(wanted.size() / 3 + 1, 12) + 1) {
  if (wanted_.size() < 3) {
    distance_ = 2;
  }
}

void NearestName::offer(std::string_view name) {
  if (distance_ == 0) {
    return;
  }
  const size_t distance = edit_distance(wanted_, name, distance_ - 1);
  if (distance < distance_) {
    distance_ = distance;
    best_ = name;
  }
}

std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kMost = 12;
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i == kMost) return out + " and " + std::to_string(names.size() - i) + " more";
    out += (i > 0 ? ", " : "") + names[i];
  }
  return out;
}

}  // namespace weir::config
