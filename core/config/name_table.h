// The names of the things of one list of a file (clusters, secrets), to tell a name that refers to one of them from a
// typing error. Names are those of messages, which outlive the table. [main]
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/config/diagnostics.h"
#include "core/config/position_index.h"

namespace weir::config {

class NameTable {
 public:
  // `list`: the path of the list, "static_resources.clusters". `positions` outlives the table.
  NameTable(std::string list, const PositionIndex& positions) : list_(std::move(list)), positions_(positions) {}

  void reserve(size_t names) { index_of_.reserve(names); }

  // False if the name is there already; the first one stays. An empty name is none.
  bool add(std::string_view name, size_t index);
  // Whether every name of the file is here: not if an error may have hidden one, which is then the error to mend first.
  bool complete(const Diagnostics& diagnostics) const;
  bool contains(std::string_view name) const { return index_of_.contains(name); }
  // Where in the list the first thing of a name is that is there.
  size_t index_of(std::string_view name) const { return index_of_.find(name)->second; }
  // Where the thing of a name that is there stands, for people: `clusters[3] (edge.yaml:51)`.
  std::string place(std::string_view name) const;
  // `nearest: "api_v2" (edge.yaml:51)` for a name that is not there; empty if none is near enough to be meant.
  std::string nearest(std::string_view name);

 private:
  std::string file_and_line(size_t index) const;

  std::string list_;
  const PositionIndex& positions_;
  std::unordered_map<std::string_view, size_t> index_of_;
  std::vector<std::string_view> sorted_;  // once a nearest one was looked for: of equally near ones the first counts
  bool has_nameless_ = false;
  int searches_left_ = 200;  // a search looks at every name; a file in which everything is wrong must not take minutes
};

}  // namespace weir::config
