// Loads configuration text (YAML or JSON) into protobuf messages: everything that is wrong with a file is found in one
// go, each finding with its place. What a value *means* (ranges, required fields, names that refer to something) is not
// checked here; see rules.h for the first two.
//
// Thread: any; no state is kept between calls.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "core/config/diagnostics.h"
#include "core/config/position_index.h"

namespace google::protobuf {
class Message;
}
namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace weir::config {

enum class OnUnknown { kError, kWarn, kIgnore };
enum class TextFormat {
  kByName,
  kYaml,
  kJson
};  // kByName: JSON if the name ends in .json or the text is JSON; other
    // forms only for files

// Which of several fields of a oneof the message holds when a file sets them: an error in any case. The others are
// read, for the mistakes in them.
enum class Alternative { kFirst, kLast };

struct LoadOptions {
  OnUnknown unknown_fields = OnUnknown::kError;
  // An Any of an unknown type that is not an error keeps its type_url and loses its content.
  OnUnknown unknown_types = OnUnknown::kError;
  TextFormat format = TextFormat::kByName;
  size_t max_bytes = size_t{1} << 30;
  size_t max_depth = 200;           // of mappings and lists inside each other
  size_t alias_budget = 2'000'000;  // events that YAML aliases may stand for
  Alternative alternative = Alternative::kFirst;
};

// Reads `text` into `into`, on top of what is there. `file_name` is what the diagnostics call it. Returns whether the
// text was without errors; after errors `into` holds what could be read.
bool load_message(std::string_view text, std::string_view file_name, google::protobuf::Message& into,
                  PositionIndex& index, Diagnostics& diagnostics, const LoadOptions& options = {});

// The same for what a file holds: names that end in .pb and .pb_text are protobuf's own two forms (wire_files.h).
bool load_content(std::string_view content, std::string_view file_name, google::protobuf::Message& into,
                  PositionIndex& index, Diagnostics& diagnostics, const LoadOptions& options = {});

// The same for a file. "-" is standard input.
bool load_file(const std::string& path, google::protobuf::Message& into, PositionIndex& index, Diagnostics& diagnostics,
               const LoadOptions& options = {});

struct BootstrapSource {
  std::string path;     // -c; may be empty if there is an overlay
  std::string overlay;  // --config-yaml, merged over the file: lists are appended, other values replaced
  LoadOptions options;
};

// Loads a bootstrap and checks its rules (rules.h).
bool load_bootstrap(const BootstrapSource& source, envoy::config::bootstrap::v3::Bootstrap& into, PositionIndex& index,
                    Diagnostics& diagnostics);

}  // namespace weir::config
