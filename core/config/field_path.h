// Where a translation is in its message.
#pragma once

#include <string>
#include <string_view>

#include "core/config/diagnostics.h"
#include "core/config/position_index.h"

namespace weir::config {

// The place in a message, and whom to tell about faults. The path grows and shrinks in place: it costs
// next to nothing until something is wrong.
class FieldPath {
 public:
  FieldPath(std::string_view start, const PositionIndex& positions, Diagnostics& diagnostics)
      : path_(start), positions_(positions), diagnostics_(diagnostics) {}

  // One step further for as long as it lives: a field, an item of a list, an entry of a map.
  class Step {
   public:
    Step(FieldPath& path, std::string_view field) : path_(path), size_(path.path_.size()) {
      append_path_name(path.path_, field);
    }
    Step(FieldPath& path, std::string_view field, size_t index) : Step(path, field) {
      append_path_item(path.path_, index);
    }
    ~Step() { path_.path_.resize(size_); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    FieldPath& path_;
    size_t size_;
  };

  // Not if there is an error at this path already: one fault, one line.
  void error(std::string_view message) { error_at({}, message); }
  // `hint` is added to the message; `found` and `hint` are also kept apart (Diagnostic).
  void error_at(std::string_view below, std::string_view message, std::string_view found = {},
                std::string_view hint = {});
  void warning_at(std::string_view below, std::string_view message);
  bool ok() const { return errors_ == 0; }
  const std::string& text() const { return path_; }
  Diagnostics& diagnostics() { return diagnostics_; }
  const PositionIndex& positions() const { return positions_; }
  void count_error() { ++errors_; }

 private:
  std::string path_of(std::string_view below) const;
  void add(Severity severity, std::string path, std::string_view message, std::string_view found,
           std::string_view hint);

  std::string path_;
  const PositionIndex& positions_;
  Diagnostics& diagnostics_;
  size_t errors_ = 0;
};

}  // namespace weir::config
