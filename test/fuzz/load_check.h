// Loads a text as a bootstrap and looks at what any such load must keep: every finding has a place in the text and fits
// on a line; and what was loaded without errors, printed as JSON by protobuf, loads as the same message.
#pragma once

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <string>
#include <string_view>

#include "core/config/json_reader.h"
#include "core/config/proto_loader.h"
#include "core/config/source_text.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "test/fuzz/input.h"

namespace weir::fuzz {

// Small bounds, so that no input takes long. `by`: what to do with unknown fields and types.
inline config::LoadOptions load_options(config::TextFormat format, uint8_t by = 0) {
  config::LoadOptions options;
  options.format = format;
  options.max_bytes = 1 << 14;
  options.max_depth = 40;
  options.alias_budget = 20'000;
  options.unknown_fields = static_cast<config::OnUnknown>(by % 3);
  options.unknown_types = static_cast<config::OnUnknown>(by / 3 % 3);
  return options;
}

struct Loaded {
  Loaded(std::string_view text, const config::LoadOptions& options) {
    ok = config::load_message(text, "fuzz.yaml", message, positions, diagnostics, options);
  }
  envoy::config::bootstrap::v3::Bootstrap message;
  config::PositionIndex positions;
  config::Diagnostics diagnostics;
  bool ok = false;
};

inline void check_diagnostics(const config::Diagnostics& diagnostics, std::string_view text) {
  for (const config::Diagnostic& item : diagnostics.items()) {
    require(item.file == "fuzz.yaml", "a finding about no file", item.message, text);
    // Only the size is said without a place.
    bool placed = item.line >= 1 && item.column >= 1 && static_cast<size_t>(item.line) <= text.size() + 1 &&
                  static_cast<size_t>(item.column) <= text.size() + 1;
    require(placed || item.message.starts_with("the file has "), "a finding that is nowhere in the text", item.message,
            text);
    require(!item.message.empty(), "a finding that says nothing", item.path, text);
    for (const std::string* part : {&item.path, &item.message, &item.found, &item.allowed, &item.hint}) {
      for (char c : *part)
        require(static_cast<unsigned char>(c) >= 0x20, "a control character is printed", *part, text);
    }
  }
  std::string json = diagnostics.json();
  require(config::is_json(json), "the findings are not JSON", json, text);
}

inline void check_load(std::string_view text, const config::LoadOptions& options) {
  Loaded first(text, options);
  require(first.ok == !first.diagnostics.has_errors(), "the verdict and the findings differ", first.diagnostics.text());
  check_diagnostics(first.diagnostics, text);
  for (const config::Diagnostic& item : first.diagnostics.items()) {
    config::Position place = first.positions.find(item.path);
    require(place.line >= 1, "a path that is nowhere", item.path, text);
  }
  if (!first.ok) return;
  std::string json;
  // protobuf prints neither an Any without a type nor one of the types that JSON has words for.
  if (!google::protobuf::util::MessageToJsonString(first.message, &json).ok()) return;
  config::LoadOptions again = load_options(config::TextFormat::kJson);
  again.max_bytes = json.size();
  again.unknown_types = options.unknown_types;
  again.max_depth = 100;
  Loaded second(json, again);
  require(second.ok, "what protobuf prints is refused", second.diagnostics.text(), json);
  google::protobuf::util::MessageDifferencer differencer;
  google::protobuf::util::DefaultFieldComparator comparator;
  comparator.set_treat_nan_as_equal(true);
  differencer.set_field_comparator(&comparator);
  std::string difference;
  differencer.ReportDifferencesToString(&difference);
  require(differencer.Compare(first.message, second.message), "another message comes out of JSON", difference, text);
}

}  // namespace weir::fuzz
