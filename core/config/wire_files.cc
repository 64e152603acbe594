#include "core/config/wire_files.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/message_path.h"
#include "core/config/field_hints.h"
#include "core/config/suggest.h"
#include "core/config/text_fields.h"
#include "core/config/unknown_extensions.h"

namespace weir::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using ProtoText = google::protobuf::TextFormat;

Diagnostic finding(std::string_view file, std::string message) {
  Diagnostic out;
  out.file = file;
  out.message = std::move(message);
  return out;
}

// The word between the `number`th pair of quotes.
std::string_view quoted_word(std::string_view text, int number) {
  for (; !text.empty(); --number) {
    const size_t open = text.find('"');
    const size_t close = open == std::string_view::npos ? open : text.find('"', open + 1);
    if (close == std::string_view::npos) {
      break;
    }
    if (number == 0) {
      return text.substr(open + 1, close - open - 1);
    }
    text.remove_prefix(close + 1);
  }
  return {};
}

struct TextFault {
  std::string message;
  std::string found;
  std::string allowed;
  std::string hint;
};

std::string text_between(std::string_view text, std::string_view before, std::string_view after) {
  const size_t from = text.find(before);
  if (from == std::string_view::npos) return {};
  text.remove_prefix(from + before.size());
  return std::string(text.substr(0, text.rfind(after)));
}

TextFault unknown_text_field(std::string_view name, const TextFields::Where& where) {
  const google::protobuf::Descriptor* type = where.open.back().type;
  if (type == nullptr) return {"unknown field", shown(name), "", ""};
  // What is to be written instead of a Duration's fields is different in YAML.
  if (!type->full_name().starts_with("google.protobuf.")) {
    return {"unknown field", shown(name), "", unknown_field_hint(name, where.open)};
  }
  NearestName nearest(name);
  for (int i = 0; i < type->field_count(); ++i) nearest.offer(type->field(i)->name());
  return {"unknown field", shown(name), "",
          nearest.best().empty() ? "" : "did you mean " + std::string(nearest.best()) + "?"};
}

// The parser's words for a value that is none of its field's, in those of the other formats.
TextFault text_fault(std::string_view message, const TextFields::Where& where) {
  const FieldDescriptor* field = where.open.back().field;
  if (message.starts_with("Unknown enumeration value") && field != nullptr && field->enum_type() != nullptr) {
    const std::string written = text_between(message, "value of \"", "\" for field");
    EnumNames names = enum_names(*field->enum_type(), written);
    return {(where.secret ? "the value" : shown(written)) + " is not one of " + names.allowed,
            where.secret ? "" : shown(written), std::move(names.allowed), std::move(names.hint)};
  }
  if (message.starts_with("Invalid value for boolean field")) {
    const std::string written = text_between(message, "Value: \"", "\"");
    return {(where.secret ? "the value" : shown(written)) + " is neither true nor false",
            where.secret ? "" : shown(written), "true, false", template_hint(written)};
  }
  if (message.starts_with("Could not find type")) {
    const std::string url = text_between(message, "type \"", "\" stored");
    UnknownType unknown = unknown_type(std::string_view(url).substr(url.rfind('/') + 1));
    return {std::move(unknown.text), shown(url), "", std::move(unknown.hint)};
  }
  // What was found instead may be part of a secret.
  return {std::string(message.substr(0, message.find(", got:"))), "", "", ""};
}

class Collector final : public google::protobuf::io::ErrorCollector {
 public:
  Collector(std::string_view file, std::string_view text, const google::protobuf::Descriptor& root,
            Diagnostics& diagnostics)
      : file_(file), text_(text), root_(root), diagnostics_(diagnostics) {}
  void AddError(int line, int column, const std::string& message) override { add(line, column, message, false); }
  void AddWarning(int line, int column, const std::string& message) override { add(line, column, message, true); }

  // Of the last error, from 0.
  bool placed() const { return line_ >= 0; }
  int line() const { return line_; }
  int column() const { return column_; }
  void begin() {
    line_ = -1;
    incomplete_ = false;
  }
  // The parser has said no more of `rest` than that something is missing: an entry of a map without a value, of which
  // this says where it is.
  void add_what_is_missing(const std::string& rest) {
    if (placed() || !incomplete_) return;
    Diagnostic out = finding(file_, "an entry of a map has no value; write value { ... } behind its key");
    if (const auto entry = TextFields(rest).entry_without_value(root_)) {
      std::tie(line_, column_) = entry->field;
      out.line = line_ + 1;
      out.column = column_ + 1;
      out.path = TextFields(text_).where(root_, entry->end.first, entry->end.second).path;
      out.message = "has no value; write value { ... } behind the key";
    }
    diagnostics_.add(std::move(out));
  }

 private:
  void add(int line, int column, const std::string& message, bool warning) {
    // As in the other formats: what a deprecated field does is for the table of fields to say.
    if (warning) return;
    // Without a place; also of an Any that could not be read, behind the reason.
    if (message.starts_with("Message missing required fields")) {
      incomplete_ = true;
      return;
    }
    const TextFields fields(text_);
    const bool unknown = message.find("has no field named") != std::string::npos;
    const bool behind = unknown || message.starts_with("Unknown enumeration value") ||
                        message.starts_with("Invalid value for boolean field");
    if (behind) std::tie(line, column) = fields.place_before(line, column);
    if (message.starts_with("Could not find type")) std::tie(line, column) = fields.place_of_type(line, column);
    line_ = line;
    column_ = column;
    const TextFields::Where where = fields.where(root_, line, column);
    TextFault fault = unknown ? unknown_text_field(quoted_word(message, 1), where) : text_fault(message, where);
    Diagnostic out = finding(file_, std::move(fault.message));
    if (!fault.hint.empty()) out.message.append("; ").append(fault.hint);
    out.path = where.path;
    // {hunter2: 1} in a secret; what is nearly the name of a field is none.
    const bool hidden = unknown && where.secret && !fault.hint.starts_with("did you mean");
    if (hidden) fault.found.clear();
    if (!where.name.empty()) append_path_name(out.path, hidden ? "..." : where.name);
    out.line = line + 1;
    out.column = column + 1;
    out.found = std::move(fault.found);
    out.allowed = std::move(fault.allowed);
    out.hint = std::move(fault.hint);
    diagnostics_.add(std::move(out));
  }

  std::string file_;
  std::string text_;
  const google::protobuf::Descriptor& root_;
  Diagnostics& diagnostics_;
  int line_ = -1;
  int column_ = 0;
  bool incomplete_ = false;
};

Place place_in(const ProtoText::ParseInfoTree& tree, const FieldDescriptor* field, int item) {
  const ProtoText::ParseLocation at = tree.GetLocation(field, item);
  return {static_cast<uint32_t>(at.line + 1), static_cast<uint32_t>(at.column + 1)};
}

void remember_places(const Message& message, const ProtoText::ParseInfoTree& tree, PositionIndex& index) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  const auto below = [&](const Message& inner, const FieldDescriptor* field, int item) {
    const ProtoText::ParseInfoTree* nested = tree.GetTreeForNested(field, item);
    if (nested != nullptr) {
      remember_places(inner, *nested, index);
    }
  };
  for (const FieldDescriptor* field : fields) {
    const bool of_messages = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map();
    index.enter_field(field->name(), place_in(tree, field, field->is_repeated() ? 0 : -1));
    if (!field->is_repeated() && of_messages) {
      below(message.GetReflection()->GetMessage(message, field), field, -1);
    }
    for (int i = 0; field->is_repeated() && !field->is_map() && i < message.GetReflection()->FieldSize(message, field);
         ++i) {
      index.enter_item(static_cast<uint32_t>(i), place_in(tree, field, i));
      if (of_messages) {
        below(message.GetReflection()->GetRepeatedMessage(message, field, i), field, i);
      }
      index.leave();
    }
    index.leave();
  }
}

// As of the other formats (LoadOptions::max_depth).
constexpr int kMaxLevels = 200;
constexpr int kMaxMistakes = 100;  // each costs reading the text again

// A file that was cut short is no configuration that removes everything.
bool is_empty(std::string_view text, std::string_view file, Diagnostics& diagnostics) {
  const bool empty = text.find_first_not_of(" \t\r\n") == std::string_view::npos;
  if (empty) diagnostics.add(finding(file, "the file is empty"));
  return empty;
}

}  // namespace

bool load_serialised(std::string_view bytes, std::string_view file, Message& into, PositionIndex& index,
                     Diagnostics& diagnostics) {
  index.begin_file(file, {});
  if (is_empty(bytes, file, diagnostics)) return false;
  const std::unique_ptr<Message> read(into.New());
  if (!read->ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    diagnostics.add(finding(file, "the file is not a serialised " + into.GetDescriptor()->full_name()));
    return false;
  }
  into.MergeFrom(*read);
  return true;
}

bool load_text_format(std::string_view text, std::string_view file, Message& into, PositionIndex& index,
                      Diagnostics& diagnostics) {
  index.begin_file(file);
  if (is_empty(text, file, diagnostics)) return false;
  Collector collector(file, text, *into.GetDescriptor(), diagnostics);
  const size_t errors_before = diagnostics.errors();
  // The parser stops at the first mistake: the field that it is in is taken out, to find those behind it. What is wrong
  // with the rest by the rules is to be said, too.
  std::string rest(text);
  for (int mistakes = 0; mistakes <= kMaxMistakes; ++mistakes) {
    const std::unique_ptr<Message> read(into.New());
    ProtoText::ParseInfoTree tree;
    ProtoText::Parser parser;
    parser.SetRecursionLimit(kMaxLevels);
    parser.RecordErrorsTo(&collector);
    parser.WriteLocationsTo(&tree);
    collector.begin();
    if (parser.ParseFromString(rest, read.get())) {
      remember_places(*read, tree, index);
      into.MergeFrom(*read);
      return mistakes == 0;
    }
    collector.add_what_is_missing(rest);
    if (!collector.placed() || !TextFields(rest).blank(rest, collector.line(), collector.column())) break;
  }
  if (diagnostics.errors() == errors_before) diagnostics.add(finding(file, "the file is not text format"));
  return false;
}

}  // namespace weir::config
