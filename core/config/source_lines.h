// Finds the place of one character of a text in the file that the text was read from. Only when something is wrong with
// it: the file is read again for that.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/position_index.h"

namespace weir::config {

class SourceLines {
 public:
  // A file that cannot be read, or is not a regular one, has no lines.
  explicit SourceLines(const std::string& name);
  SourceLines(std::string name, std::string text);  // for tests
  const std::string& name() const { return name_; }

  // Where byte number `offset` of the value stands that begins at `start`: YAML or JSON, in quotes, plain or as a
  // block. Nothing where it is a key, goes over several lines in a way that is not followed here, or ends before.
  std::optional<Place> inside(Place start, size_t offset) const;

 private:
  std::string_view line(size_t number) const;  // from 1
  Place place_of(size_t line, size_t byte) const;
  std::optional<Place> in_quotes(size_t line, size_t byte, size_t offset) const;
  std::optional<Place> in_plain(size_t line, size_t byte, size_t offset) const;
  std::optional<Place> in_block(size_t line, size_t byte, size_t offset) const;

  std::string name_;
  std::string text_;
  std::vector<size_t> starts_;  // of the lines
};

}  // namespace weir::config
