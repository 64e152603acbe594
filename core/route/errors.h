// Everything that is wrong with a route table, each with the path of its element: a bad file is told all at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace weir::route {

struct BuildError {
  std::string path;  // relative to the route configuration: "virtual_hosts[0].routes[3].match.headers[1]"
  std::string message;
};

// Where build() is in the spec, and what it found. [main] Paths are spelled only when there is an error.
class ErrorSink {
 public:
  // Names one step of the path for as long as it lives. `index` < 0: none.
  class At {
   public:
    At(ErrorSink& sink, std::string_view field, int64_t index = -1) : sink_(sink) {
      sink_.steps_.push_back({field, index});
    }
    ~At() { sink_.steps_.pop_back(); }
    At(const At&) = delete;
    At& operator=(const At&) = delete;

   private:
    ErrorSink& sink_;
  };

  void add(std::string_view message) { errors_.push_back({path(), std::string(message)}); }
  // True if it is an error.
  bool add_if_error(const Status& status) {
    if (!status.ok()) add(message_of(status));
    return !status.ok();
  }
  // The same of one that begins with its field (FieldFault).
  bool add_if_field_error(const Status& status) {
    if (status.ok()) return false;
    const FieldFault fault = field_fault(status);
    At at(*this, fault.field);
    add(fault.text);
    return true;
  }
  const std::vector<BuildError>& errors() const { return errors_; }
  std::vector<BuildError> take() { return std::move(errors_); }

 private:
  struct Step {
    std::string_view field;
    int64_t index;
  };
  std::string path() const {
    std::string out;
    for (const Step& step : steps_) {
      if (!out.empty()) out += '.';
      out += step.field;
      if (step.index >= 0) out += '[' + std::to_string(step.index) + ']';
    }
    return out;
  }

  std::vector<Step> steps_;
  std::vector<BuildError> errors_;
};

}  // namespace weir::route
