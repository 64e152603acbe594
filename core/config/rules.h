// Checks messages against what the API demands of single fields: required ones, ranges, lengths (rules_data.cc). The
// same for files and for resources that came over xDS, so that both are refused with the same words.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/config/diagnostics.h"
#include "core/config/position_index.h"
#include "core/config/proto_loader.h"

namespace google::protobuf {
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace weir::config {

// A field that names something that stands elsewhere in the configuration. Routes are left out: route_config.h checks
// theirs, because only it knows whether it has to.
struct Reference {
  enum class Kind { kCluster, kSecret };
  Kind kind;
  std::string path;
  std::string name;
  bool needed = false;  // a cluster that nothing works without
};

struct ValidateOptions {
  // Field numbers of the wire that no field here has. Files cannot have them; see LoadOptions for theirs.
  OnUnknown unknown_fields = OnUnknown::kIgnore;
  OnUnknown unknown_types = OnUnknown::kIgnore;
  std::vector<Reference>* references = nullptr;  // what is found is appended
};

// What the rules allow for a number in this field, "0 to 65535"; empty if they say nothing about it.
std::string allowed_range(const google::protobuf::FieldDescriptor& field);

// Goes through `message` and everything in it, into every Any whose type is known. Says nothing about a field that the
// diagnostics already have an error about, nor about what is missing beside one. `index` may be empty. Returns whether
// it found no errors. A file that could not be read to its end is not checked: nearly all of it would be missing.
bool validate(const google::protobuf::Message& message, const PositionIndex& index, Diagnostics& diagnostics,
              const ValidateOptions& options = {});

}  // namespace weir::config
