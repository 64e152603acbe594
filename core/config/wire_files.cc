#include "core/config/wire_files.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <memory>
#include <string>
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

class Collector final : public google::protobuf::io::ErrorCollector {
 public:
  Collector(std::string_view file, Diagnostics& diagnostics) : file_(file), diagnostics_(diagnostics) {}
  void AddError(int line, int column, const std::string& message) override { add(line, column, message, false); }
  void AddWarning(int line, int column, const std::string& message) override { add(line, column, message, true); }

 private:
  void add(int line, int column, std::string message, bool warning) {
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
  Diagnostics& diagnostics_;
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
  Collector collector(file, diagnostics);
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
    return false;
  }
  remember_places(*read, tree, index);
  into.MergeFrom(*read);
  return true;
}

}  // namespace weir::config
