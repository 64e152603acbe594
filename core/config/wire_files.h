// Configuration files in protobuf's own two forms: serialised (.pb) and its text format (.pb_text). They are what tools
// write; people get better errors for YAML.
#pragma once
#include <string_view>

#include "core/config/diagnostics.h"
#include "core/config/position_index.h"

namespace google::protobuf {
class Message;
}

namespace weir::config {

// Merges into `into`. Errors go to the diagnostics; false if there were any. What no field here knows stays in the
// message's unknown fields: validate() reports it.
bool load_serialised(std::string_view bytes, std::string_view file, google::protobuf::Message& into,
                     PositionIndex& index, Diagnostics& diagnostics);

// The first error ends the reading: the format has no way to go on.
bool load_text_format(std::string_view text, std::string_view file, google::protobuf::Message& into,
                      PositionIndex& index, Diagnostics& diagnostics);

}  // namespace weir::config
