// What the tests of translators share: a report whose findings are plain texts.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/config/report.h"
#include "test/support/parsed.h"

namespace weir::config {

class TranslateTest : public testing::Test {
 protected:
  // Everything that was said, one finding a line, and forgets it.
  std::string said() {
    std::string out;
    for (const Diagnostic& one : diagnostics_.items()) {
      out += (one.severity == Severity::kWarning ? "warning: " : "") + one.path + ": " + one.message + "\n";
    }
    diagnostics_ = {};
    return out;
  }

  PositionIndex positions_;
  Diagnostics diagnostics_;
  Report report_{positions_, diagnostics_};
};

}  // namespace weir::config
