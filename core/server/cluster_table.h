// What is known of the clusters of a configuration, as fingerprints, by name and in its order. Two of these are
// compared whenever a configuration is read again, and of ten thousand clusters few have changed: who goes through one
// in order finds what has stayed in the other without a search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir::server {

struct ClusterFacts {
  uint64_t settings = 0;  // fingerprints: of everything but the endpoints,
  uint64_t hosts = 0;     // and of endpoints and balancing
  uint64_t text = 0;      // 0: not known, or it does not say everything
};

// [main] Filled once, then looked at only.
class ClusterTable {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  struct Row {
    std::string name;
    ClusterFacts facts;
  };

  void reserve(size_t rows) { rows_.reserve(rows); }
  void add(std::string_view name, const ClusterFacts& facts);
  // Of a cluster that no message stands for: behind all others.
  void add_unlisted(std::string_view name, const ClusterFacts& facts) {
    add(name, facts);
    ++unlisted_;
  }

  // Positions are those of the messages in static_resources.clusters, as far as these go.
  const std::vector<Row>& rows() const { return rows_; }
  size_t size() const { return rows_.size(); }
  size_t listed() const { return rows_.size() - unlisted_; }
  // The position of a name, kNone if it is not there. `near` is looked at first, and is left behind what was found.
  size_t find(std::string_view name, size_t& near) const;
  // Of settings and hosts, the same in whatever order they stand.
  uint64_t digest() const { return digest_; }

 private:
  std::vector<Row> rows_;
  size_t unlisted_ = 0;
  uint64_t digest_ = 0;
  mutable std::unordered_map<std::string_view, size_t> by_name_;  // made when a name is not where it was expected
};

}  // namespace weir::server
