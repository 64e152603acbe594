#include "core/config/name_table.h"

#include <algorithm>

#include "core/config/suggest.h"

namespace weir::config {

bool NameTable::add(std::string_view name, size_t index) {
  if (name.empty()) {
    has_nameless_ = true;
    return true;
  }
  return index_of_.emplace(name, index).second;
}

bool NameTable::complete(const Diagnostics& diagnostics) const {
  const auto& items = diagnostics.items();
  // An error beside the list may be its misspelt name.
  return !has_nameless_ && std::none_of(items.begin(), items.end(), [&](const Diagnostic& item) {
    return item.severity == Severity::kError && parent_path(item.path) == parent_path(list_);
  });
}

std::string NameTable::file_and_line(size_t index) const {
  std::string path = list_;
  append_path_item(path, index);
  append_path_name(path, "name");
  const Position position = positions_.find(path);
  return position.line == 0 ? "" : " (" + std::string(position.file) + ":" + std::to_string(position.line) + ")";
}

std::string NameTable::place(std::string_view name) const {
  const size_t index = index_of(name);
  return list_.substr(list_.rfind('.') + 1) + "[" + std::to_string(index) + "]" + file_and_line(index);
}

std::string NameTable::nearest(std::string_view name) {
  if (searches_left_ == 0) {
    return "";
  }
  --searches_left_;
  NearestName best(name);
  if (sorted_.size() != index_of_.size()) {
    sorted_.clear();
    for (const auto& [known, index] : index_of_) {
      sorted_.push_back(known);
    }
    std::sort(sorted_.begin(), sorted_.end());
  }
  for (const std::string_view known : sorted_) {
    best.offer(known);
  }
  if (best.best().empty()) {
    return "";
  }
  return "nearest: " + in_quotes(best.best()) + file_and_line(index_of(best.best()));
}

}  // namespace weir::config
