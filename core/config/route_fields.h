// Which fields of the route messages weir implements, as data; and the walk that reports all others that are set.
#pragma once

#include <string>
#include <string_view>

#include "core/config/diagnostics.h"
#include "core/config/position_index.h"

namespace google::protobuf {
class Message;
}

namespace weir::config {

// Where a translation is in its message, and whom it tells about faults. The path grows and shrinks in place: it costs
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
  void error_at(std::string_view below, std::string_view message);
  bool ok() const { return errors_ == 0; }
  const std::string& text() const { return path_; }
  Diagnostics& diagnostics() { return diagnostics_; }
  const PositionIndex& positions() const { return positions_; }
  void count_error() { ++errors_; }

 private:
  std::string path_;
  const PositionIndex& positions_;
  Diagnostics& diagnostics_;
  size_t errors_ = 0;
};

// Reports every set field of `message` and of what is inside it that is not implemented. Messages that the list does
// not name are not looked into.
void report_unsupported_route_fields(const google::protobuf::Message& message, FieldPath& path);

// For the test of the list: "message.field" of entries that name no field, and of message-typed fields whose type is
// of this API but not in the list; empty if all is well.
std::string check_route_field_list();

}  // namespace weir::config
