// The table behind rules.h.
#pragma once
#include <cstdint>
#include <span>

namespace weir::config {

// Numbers are also those of wrappers (UInt32Value), and durations in seconds. What is not set passes, unless it is a
// scalar that cannot be told from its default.
enum class Check : uint8_t {
  kMessage,        // not a check: the name is a message, the rows that follow are about it
  kRequired,       // the message field is set
  kOneofRequired,  // the name is a oneof; one of its fields is set
  kNotEmpty,
  kMinLength,  // bytes
  kMaxBytes,
  kMinItems,
  kMaxItems,
  kUnique,
  kKeysNotEmpty,  // of a map
  kAtLeast,
  kAbove,
  kAtMost,
  kBelow,
  kTrue,         // may be left out, may not be false
  kNot,          // not this enum value; that it has a name is demanded of every enum field without a row
  kOneOf,        // one of the texts, separated by commas
  kHeaderName,   // RFC 9110 section 5.1, or a pseudo-header
  kRemovable,    // the same of a header to remove, but a warning: what is no such name removes nothing
  kHeaderValue,  // no control characters but tabs
  kOneLine,      // no line breaks, no NUL
  kPathPrefix,   // without ?, # and a slash at the end
  kIpAddress,
  kPrefixLength,  // the last row of its field: at most 32 beside an IPv4 address_prefix
  kRegex,         // compiles
  // Not checks: the text names something, and validate() collects it (rules.h).
  kNamesCluster,
  kNeedsCluster,  // the same, and nobody else could say that there is none
  kNamesSecret,   // one of static_resources, unless sds_config is set beside it
};

enum Scope : uint8_t { kWhole, kEach };  // the field, or each item of it

struct RuleRow {
  const char* name;
  Check check;
  Scope scope = kWhole;
  double number = 0;
  const char* texts = "";
};

std::span<const RuleRow> rule_rows();

}  // namespace weir::config
