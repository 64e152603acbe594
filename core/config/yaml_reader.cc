#include "core/config/yaml_reader.h"

#include <yaml.h>

#include <algorithm>

#include "core/config/source_text.h"

namespace weir::config {
namespace {

Place place_from(const yaml_mark_t& mark) {
  return {static_cast<uint32_t>(mark.line + 1), static_cast<uint32_t>(mark.column + 1)};
}

std::string_view view(const yaml_char_t* text) {
  return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

// What libyaml says, in words for someone who has a file open in an editor.
struct Saying {
  std::string_view problem;
  const char* message;
  const char* hint;
};
constexpr Saying kSayings[] = {
    {"mapping values are not allowed in this context", "a ':' where no key can be",
     "check the indentation, or put the value in quotes"},
    {"did not find expected key", "a key was expected here", "check the indentation"},
    {"did not find expected '-' indicator", "a list item ('- ') was expected here", "check the indentation"},
    {"could not find expected ':'", "a ':' is missing after the key", "write key: value, with a space after the ':'"},
    {"block sequence entries are not allowed in this context", "a list item ('- ') where no list can begin",
     "begin the list on a line of its own, under its key"},
    {"found a tab character where an indentation space is expected", "a tab is used for indentation", "use spaces"},
    {"found a tab character that violates indentation", "a tab is used for indentation", "use spaces"},
    {"did not find expected ',' or ']'", "',' or ']' was expected here", "close the list with ]"},
    {"did not find expected ',' or '}'", "',' or '}' was expected here", "close the mapping with }"},
    {"found unknown escape character", "an unknown escape in a double-quoted text",
     "double the backslash, or use single quotes"},
    {"did not find expected node content", "a value was expected here", ""},
    {"found undefined tag handle", "an unknown tag (a word with '!' in front)",
     "put the value in quotes if '!' belongs to it"},
    {"did not find expected <document start>", "something is left after the end of the document",
     "check the indentation"},
    {"found duplicate anchor; first occurrence", "the anchor is defined twice", ""},
};

}  // namespace

struct YamlReader::Parser {
  yaml_parser_t parser;
  yaml_event_t event;
  bool has_event = false;
};

YamlReader::YamlReader(std::string_view text, std::string_view file, Diagnostics& diagnostics)
    : text_(text), file_(file), diagnostics_(diagnostics), parser_(std::make_unique<Parser>()) {
  failed_ = yaml_parser_initialize(&parser_->parser) == 0;
  if (!failed_) {
    yaml_parser_set_encoding(&parser_->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_->parser, reinterpret_cast<const unsigned char*>(text_.data()), text_.size());
  }
}

YamlReader::~YamlReader() {
  if (parser_->has_event) {
    yaml_event_delete(&parser_->event);
  }
  yaml_parser_delete(&parser_->parser);
}

Event YamlReader::fail(Place place, std::string message, std::string hint) {
  failed_ = true;
  Diagnostic out;
  out.file = file_;
  out.line = static_cast<int>(place.line);
  out.column = static_cast<int>(place.column);
  out.message = hint.empty() ? std::move(message) : message + "; " + hint;
  out.hint = std::move(hint);
  diagnostics_.add(std::move(out));
  return {};
}

Event YamlReader::fail_from_parser() {
  const yaml_parser_t& parser = parser_->parser;
  const std::string_view problem = parser.problem == nullptr ? "out of memory" : parser.problem;
  if (parser.error == YAML_READER_ERROR) {
    return fail(place_of(text_, parser.problem_offset), "a control character",
                "remove it, or write it as an escape in double quotes");
  }
  const Place place = place_from(parser.problem_mark);
  if (problem == "found character that cannot start any token") {
    const std::string_view rest = text_.substr(std::min(text_.size(), parser.problem_mark.index));
    // The index counts characters, so it finds the byte only in front of the first character that has several bytes.
    const bool ascii =
        parser.problem_mark.index < text_.size() && place_of(text_, parser.problem_mark.index).line == place.line;
    if (ascii && !rest.empty() && rest[0] == '\t') {
      return fail(place, "a tab is used for indentation", "use spaces");
    }
    if (ascii && !rest.empty()) {
      return fail(place, std::string("a value cannot begin with '") + rest[0] + "'", "put it in quotes");
    }
    return fail(place, "a value cannot begin with this character", "put it in quotes");
  }
  if (problem == "found unexpected end of stream") {
    return fail(place_from(parser.context_mark), "a text without its closing quote");
  }
  for (const Saying& saying : kSayings) {
    if (problem == saying.problem) {
      std::string message = saying.message;
      const Place begin = place_from(parser.context_mark);
      if (parser.context != nullptr && begin.line > 0 && begin.line < place.line &&
          message.find("tab") == std::string::npos) {
        message += " (inside what begins at line " + std::to_string(begin.line) + ")";
      }
      return fail(place, std::move(message), saying.hint);
    }
  }
  return fail(place, "not YAML: " + std::string(problem));
}

Event YamlReader::next() {
  if (failed_) {
    return {};
  }
  for (;;) {
    yaml_event_t& event = parser_->event;
    if (parser_->has_event) {
      yaml_event_delete(&event);
      parser_->has_event = false;
    }
    if (yaml_parser_parse(&parser_->parser, &event) == 0) {
      return fail_from_parser();
    }
    parser_->has_event = true;
    Event out;
    out.place = place_from(event.start_mark);
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (++documents_ > 1) {
          return fail(out.place, "the file holds more than one document",
                      "a configuration is one document; remove the '---' line or split the file");
        }
        continue;
      case YAML_SCALAR_EVENT:
        out.kind = EventKind::kScalar;
        out.value = {reinterpret_cast<const char*>(event.data.scalar.value), event.data.scalar.length};
        // A tag (!!str 5) says that the text is not to decide.
        out.plain = event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event.data.scalar.plain_implicit != 0;
        out.ignored = view(event.data.scalar.tag) == "!ignore";
        out.anchor_name = view(event.data.scalar.anchor);
        return out;
      case YAML_SEQUENCE_START_EVENT:
        out.kind = EventKind::kSequenceStart;
        out.anchor_name = view(event.data.sequence_start.anchor);
        return out;
      case YAML_SEQUENCE_END_EVENT:
        out.kind = EventKind::kSequenceEnd;
        return out;
      case YAML_MAPPING_START_EVENT:
        out.kind = EventKind::kMappingStart;
        out.anchor_name = view(event.data.mapping_start.anchor);
        return out;
      case YAML_MAPPING_END_EVENT:
        out.kind = EventKind::kMappingEnd;
        return out;
      case YAML_ALIAS_EVENT:
        out.kind = EventKind::kAlias;
        out.value = view(event.data.alias.anchor);
        return out;
      case YAML_STREAM_END_EVENT:
        out.kind = EventKind::kEnd;
        return out;
      default:
        continue;
    }
  }
}

}  // namespace weir::config
