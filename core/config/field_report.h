// Where a translation is in its message, and whom it tells about faults. For translators that serve plugins, too; those
// of whole route tables count every string and have FieldPath.
#pragma once

#include <string>
#include <string_view>

#include "core/config/position_index.h"
#include "core/filter/factory.h"

namespace weir::config {

struct FieldReport {
  filter::ConfigReport& report;
  std::string path;

  FieldReport below(std::string_view field) const {
    FieldReport place{report, path};
    append_path_name(place.path, field);
    return place;
  }
  FieldReport item(std::string_view field, int index) const {
    FieldReport place = below(field);
    append_path_item(place.path, static_cast<size_t>(index));
    return place;
  }
  void error(const std::string& message) const { report.error(path, message); }
  void error_at(std::string_view field, const std::string& message) const { below(field).error(message); }
  void unsupported(const std::string& message) const { report.unsupported(path, message); }
  void warning(const std::string& message) const { report.warning(path, message); }
};

}  // namespace weir::config
