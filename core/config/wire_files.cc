#include "core/config/wire_files.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/config/suggest.h"

namespace weir::config {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;

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

// Text format, token by token: what one field takes in the text, to go on behind it.
class TextFields final : public google::protobuf::io::ErrorCollector {
 public:
  explicit TextFields(const std::string& text) {
    google::protobuf::io::ArrayInputStream stream(text.data(), static_cast<int>(text.size()));
    google::protobuf::io::Tokenizer tokenizer(&stream, this);
    tokenizer.set_comment_style(google::protobuf::io::Tokenizer::SH_COMMENT_STYLE);
    tokenizer.set_require_space_after_number(false);
    tokenizer.set_allow_multiline_strings(true);
    while (good_ && tokenizer.Next()) tokens_.push_back(tokenizer.current());
  }
  // Blanks the innermost field that holds this place (from 0); false: there is none, or it has no end.
  bool blank(std::string& text, int line, int column) const {
    // The last token that begins at this place or before it.
    size_t at = tokens_.size();
    while (at > 0 && std::pair(tokens_[at - 1].line, tokens_[at - 1].column) > std::pair(line, column)) --at;
    if (at-- == 0) return false;
    while (at > 0 && !begins_field(at)) --at;
    if (!begins_field(at)) return false;
    const size_t end = end_of_field(at);
    if (end == 0) return false;
    const size_t from = offset_of(text, tokens_[at].line, tokens_[at].column);
    const size_t to = offset_of(text, tokens_[end].line, tokens_[end].column) + tokens_[end].text.size();
    for (size_t i = from; i < std::min(to, text.size()); ++i) {
      if (text[i] != '\n') text[i] = ' ';
    }
    return from < text.size();
  }

  // Of an error that the parser tells behind the value that it is about, the place of the value.
  std::pair<int, int> place_before(int line, int column) const {
    size_t at = tokens_.size();
    while (at > 0 && std::pair(tokens_[at - 1].line, tokens_[at - 1].column) >= std::pair(line, column)) --at;
    return at == 0 ? std::pair(line, column) : std::pair(tokens_[at - 1].line, tokens_[at - 1].column);
  }

  void AddError(int, int, const std::string&) override { good_ = false; }

 private:
  bool is(size_t at, std::string_view text) const { return at < tokens_.size() && tokens_[at].text == text; }
  bool opens(size_t at) const { return is(at, "{") || is(at, "<") || is(at, "["); }
  bool closes(size_t at) const { return is(at, "}") || is(at, ">") || is(at, "]"); }
  // A name, and a value behind it.
  bool begins_field(size_t at) const {
    return tokens_[at].type == google::protobuf::io::Tokenizer::TYPE_IDENTIFIER && (at == 0 || !is(at - 1, ":")) &&
           (is(at + 1, ":") || is(at + 1, "{") || is(at + 1, "<"));
  }
  size_t end_of_field(size_t at) const {
    size_t end = at + 1 + (is(at + 1, ":") ? 1 : 0);
    if (end >= tokens_.size()) return 0;
    if (closes(end)) return end - 1;  // the value is missing
    if (opens(end)) {
      int depth = 0;
      for (; end < tokens_.size(); ++end) {
        depth += opens(end) ? 1 : closes(end) ? -1 : 0;
        if (depth == 0) return end;
      }
      return 0;
    }
    if (is(end, "-")) ++end;
    // Several texts in a row are one.
    while (end + 1 < tokens_.size() && tokens_[end].type == google::protobuf::io::Tokenizer::TYPE_STRING &&
           tokens_[end + 1].type == google::protobuf::io::Tokenizer::TYPE_STRING)
      ++end;
    return end < tokens_.size() ? end : 0;
  }
  // The tokenizer counts a tab as up to eight columns.
  static size_t offset_of(const std::string& text, int line, int column) {
    size_t at = 0;
    for (int i = 0; i < line && at < text.size(); ++at) i += text[at] == '\n' ? 1 : 0;
    for (int i = 0; i < column && at < text.size(); ++at) i += text[at] == '\t' ? 8 - i % 8 : 1;
    return at;
  }

  bool good_ = true;
  std::vector<google::protobuf::io::Tokenizer::Token> tokens_;
};

class Collector final : public google::protobuf::io::ErrorCollector {
 public:
  Collector(std::string_view file, std::string_view text, Diagnostics& diagnostics)
      : file_(file), text_(text), diagnostics_(diagnostics) {}
  void AddError(int line, int column, const std::string& message) override { add(line, column, message, false); }
  void AddWarning(int line, int column, const std::string& message) override { add(line, column, message, true); }

  // Of the last error, from 0.
  bool placed() const { return line_ >= 0; }
  int line() const { return line_; }
  int column() const { return column_; }
  void forget_place() { line_ = -1; }

 private:
  void add(int line, int column, std::string message, bool warning) {
    if (message.starts_with("Unknown enumeration value") || message.starts_with("Invalid value for boolean field")) {
      std::tie(line, column) = TextFields(text_).place_before(line, column);
    }
    if (!warning) {
      line_ = line;
      column_ = column;
    }
    // What was found instead may be part of a secret.
    message.erase(std::min(message.size(), message.find(", got:")));
    if (message.find("has no field named") != std::string::npos) {
      NearestName nearest(quoted_word(message, 1));
      const auto* type = DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(quoted_word(message, 0)));
      for (int i = 0; type != nullptr && i < type->field_count(); ++i) {
        nearest.offer(type->field(i)->name());
      }
      message = "unknown field " + std::string(quoted_word(message, 1));
      if (!nearest.best().empty()) {
        message.append("; did you mean ").append(nearest.best()).append("?");
      }
    }
    Diagnostic out = finding(file_, std::move(message));
    out.line = line + 1;
    out.column = column + 1;
    out.severity = warning ? Severity::kWarning : Severity::kError;
    diagnostics_.add(std::move(out));
  }

  std::string file_;
  std::string text_;
  Diagnostics& diagnostics_;
  int line_ = -1;
  int column_ = 0;
};

Place place_in(const TextFormat::ParseInfoTree& tree, const FieldDescriptor* field, int item) {
  const TextFormat::ParseLocation at = tree.GetLocation(field, item);
  return {static_cast<uint32_t>(at.line + 1), static_cast<uint32_t>(at.column + 1)};
}

void remember_places(const Message& message, const TextFormat::ParseInfoTree& tree, PositionIndex& index) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  const auto below = [&](const Message& inner, const FieldDescriptor* field, int item) {
    const TextFormat::ParseInfoTree* nested = tree.GetTreeForNested(field, item);
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

}  // namespace

namespace {

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
  const std::unique_ptr<Message> read(into.New());
  Collector collector(file, text, diagnostics);
  TextFormat::ParseInfoTree tree;
  TextFormat::Parser parser;
  parser.SetRecursionLimit(kMaxLevels);
  parser.RecordErrorsTo(&collector);
  parser.WriteLocationsTo(&tree);
  const size_t errors_before = diagnostics.errors();
  if (!parser.ParseFromString(std::string(text), read.get())) {
    if (diagnostics.errors() == errors_before) {
      diagnostics.add(finding(file, "the file is not text format"));
    }
    // The parser stops at the first mistake: the field that it is in is taken out, to find those behind it.
    std::string rest(text);
    for (int more = 0; more < kMaxMistakes && collector.placed(); ++more) {
      if (!TextFields(rest).blank(rest, collector.line(), collector.column())) break;
      collector.forget_place();
      TextFormat::Parser again;
      again.SetRecursionLimit(kMaxLevels);
      again.RecordErrorsTo(&collector);
      const std::unique_ptr<Message> ignored(into.New());
      if (again.ParseFromString(rest, ignored.get())) break;
    }
    return false;
  }
  remember_places(*read, tree, index);
  into.MergeFrom(*read);
  return true;
}

}  // namespace weir::config
