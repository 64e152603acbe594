// What the tests of translators share: a message from text, and a report whose findings are plain texts.
#pragma once

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "core/config/report.h"

namespace weir::config {

template <class Message>
Message from_text(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

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
