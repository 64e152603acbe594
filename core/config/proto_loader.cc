#include "core/config/proto_loader.h"

#include <charconv>
#include <memory>
#include <utility>

#include "core/config/bootstrap_checks.h"
#include "core/config/json_reader.h"
#include "core/config/message_builder.h"
#include "core/config/rules.h"
#include "core/config/source_text.h"
#include "core/config/wire_files.h"
#include "core/config/yaml_reader.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::config {
namespace {

bool read_as_json(std::string_view text, std::string_view file_name, TextFormat format) {
  if (format != TextFormat::kByName) {
    return format == TextFormat::kJson;
  }
  if (file_name.ends_with(".json")) {
    return true;
  }
  const size_t start = text.find_first_not_of(" \t\r\n");
  return start != std::string_view::npos && text[start] == '{' && is_json(text);
}

bool is_serialised(std::string_view file_name, const LoadOptions& options) {
  return options.format == TextFormat::kByName && file_name.ends_with(".pb");
}

// The path that a field of `overlay` has once that is merged over `file`: its items stand behind those of the file.
std::string merged_path(const google::protobuf::Message& file, std::string path) {
  const google::protobuf::Message* message = &file;
  for (size_t at = 0;;) {
    const size_t end = path.find_first_of(".[", at);
    const auto* field = message->GetDescriptor()->FindFieldByName(path.substr(at, end - at));
    if (end == std::string::npos || field == nullptr || field->is_map()) return path;
    if (field->is_repeated()) {
      size_t item = 0;
      const auto [rest, error] = std::from_chars(path.data() + end + 1, path.data() + path.size(), item);
      if (path[end] != '[' || error != std::errc()) return path;
      item += static_cast<size_t>(message->GetReflection()->FieldSize(*message, field));
      return path.substr(0, end + 1) + std::to_string(item) + rest;
    }
    if (field->message_type() == nullptr) return path;
    message = &message->GetReflection()->GetMessage(*message, field);
    at = end + 1;
  }
}

void load_overlay(const BootstrapSource& source, envoy::config::bootstrap::v3::Bootstrap& into, PositionIndex& index,
                  Diagnostics& diagnostics) {
  envoy::config::bootstrap::v3::Bootstrap overlay;
  Diagnostics found;
  load_message(source.overlay, "--config-yaml", overlay, index, found, source.options);
  for (Diagnostic one : found.items()) {
    one.path = merged_path(into, std::move(one.path));
    diagnostics.add(std::move(one));
  }
  // Merged as a message and not read on top, because the published flag does so: false and 0 do not override.
  into.MergeFrom(overlay);
}

}  // namespace

bool load_message(std::string_view text, std::string_view file_name, google::protobuf::Message& into,
                  PositionIndex& index, Diagnostics& diagnostics, const LoadOptions& options) {
  const size_t errors_before = diagnostics.errors();
  index.begin_file(file_name);
  if (!check_text(text, file_name, options.max_bytes, diagnostics)) {
    return false;
  }
  const bool json = read_as_json(text, file_name, options.format);
  std::unique_ptr<EventSource> source;
  if (json) {
    source = std::make_unique<JsonReader>(text, file_name, &diagnostics);
  } else {
    source = std::make_unique<YamlReader>(text, file_name, diagnostics);
  }
  EventCursor cursor(*source, file_name, diagnostics, options.max_depth, options.alias_budget);
  MessageBuilder(cursor, file_name, index, diagnostics, options, !json).build(into);
  return diagnostics.errors() == errors_before;
}

bool load_content(std::string_view content, std::string_view file_name, google::protobuf::Message& into,
                  PositionIndex& index, Diagnostics& diagnostics, const LoadOptions& options) {
  if (is_serialised(file_name, options)) return load_serialised(content, file_name, into, index, diagnostics);
  if (options.format == TextFormat::kByName && file_name.ends_with(".pb_text"))
    return load_text_format(content, file_name, into, index, diagnostics);
  return load_message(content, file_name, into, index, diagnostics, options);
}

bool load_file(const std::string& path, google::protobuf::Message& into, PositionIndex& index, Diagnostics& diagnostics,
               const LoadOptions& options) {
  std::string text;
  const Content content = is_serialised(path, options) ? Content::kBinary : Content::kText;
  if (!read_file(path, content, text, options.max_bytes, diagnostics)) return false;
  return load_content(text, path == "-" ? "(standard input)" : path, into, index, diagnostics, options);
}

bool load_bootstrap(const BootstrapSource& source, envoy::config::bootstrap::v3::Bootstrap& into, PositionIndex& index,
                    Diagnostics& diagnostics) {
  const size_t errors_before = diagnostics.errors();
  if (!source.path.empty()) {
    load_file(source.path, into, index, diagnostics, source.options);
  }
  if (!source.overlay.empty()) load_overlay(source, into, index, diagnostics);
  std::vector<Reference> references;
  ValidateOptions rules;
  rules.references = &references;
  // Only a serialised file can bring some as far as this.
  rules.unknown_fields = source.options.unknown_fields;
  rules.unknown_types = source.path.ends_with(".pb") ? source.options.unknown_types : OnUnknown::kIgnore;
  validate(into, index, diagnostics, rules);
  if (!diagnostics.unreadable()) {
    const size_t found = diagnostics.items().size();
    check_bootstrap(into, references, index, diagnostics);
    diagnostics.drop_consequences(found, index);
  }
  return diagnostics.errors() == errors_before;
}

}  // namespace weir::config
