// The stream that YAML and JSON are both read as: scalars, and the starts and ends of lists and mappings.
// In a mapping, keys and values take turns.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/config/position_index.h"

namespace weir::config {

enum class EventKind : uint8_t {
  kScalar,
  kSequenceStart,
  kSequenceEnd,
  kMappingStart,
  kMappingEnd,
  kAlias,   // only below EventCursor
  kEnd,     // the text is over
  kFailed,  // the text cannot be read any further; said once in the diagnostics, then returned forever
};

struct Event {
  EventKind kind = EventKind::kFailed;
  bool ignored = false;    // a key with the tag !ignore: it and its value are only there for their anchors
  bool plain = false;      // a scalar whose text decides its type: unquoted YAML; JSON's numbers, true, false and null
  int32_t anchor = -1;     // of an alias, below EventCursor
  std::string_view value;  // text of a scalar, name of an alias; good until the next event is asked for
  std::string_view anchor_name;  // &name in front of the node
  Place place;
};

class EventSource {
 public:
  virtual ~EventSource() = default;
  virtual Event next() = 0;
};

}  // namespace weir::config
