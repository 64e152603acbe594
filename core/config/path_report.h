// For translators that report by themselves, in the midst of one that has a FieldPath.
#pragma once

#include <memory>

#include "core/config/field_path.h"
#include "core/config/field_report.h"
#include "core/config/report.h"

namespace weir::config {

// Where the path is, as long as this lives. What is reported here is an error of the path's, too.
class PathReport {
 public:
  explicit PathReport(FieldPath& path)
      : path_(path), report_(path.positions(), path.diagnostics()), before_(report_.errors()) {}
  ~PathReport() {
    if (report_.errors() != before_) path_.count_error();
  }
  PathReport(const PathReport&) = delete;
  PathReport& operator=(const PathReport&) = delete;

  FieldReport at() { return {report_, path_.text()}; }
  // The message inside, which stands at the path; nullptr after an error was reported.
  std::unique_ptr<google::protobuf::Message> unpack(const google::protobuf::Any& any) {
    return report_.unpack(any, path_.text());
  }

 private:
  FieldPath& path_;
  Report report_;
  size_t before_;
};

}  // namespace weir::config
