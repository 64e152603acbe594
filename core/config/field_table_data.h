// The table of fields as the build generates it from api/proto/**/*.fields (tools/field_table.py; api/README.md has the
// format). It holds what the walk of field_table.h has to look at, and nothing of what is simply implemented.
#pragma once
#include <cstdint>
#include <span>

namespace weir::config {

enum class FieldState : uint8_t {
  kImplemented,
  kWarning,  // accepted: ignoring it changes neither routing nor security, limits or timing
  kRejected,
};

struct FieldRow {
  uint32_t number;
  FieldState state;
  int16_t section;               // of the message that an implemented field holds; -1: not looked into
  uint16_t first_value, values;  // in field_values(): the only ones that are implemented; none: all are
  const char* text;              // kWarning: why it does no harm. kRejected: what there is instead, or nothing
};

struct FieldSection {
  const char* message;  // full name; the sections are sorted by it
  bool variant;         // a use of the message that fields refer to; the other one is for the message as such
  uint16_t first_row, rows;
};

std::span<const FieldRow> field_rows();
std::span<const int> field_values();
std::span<const FieldSection> field_sections();

}  // namespace weir::config
