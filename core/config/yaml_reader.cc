#include "core/config/yaml_reader.h"

#include <yaml.h>

#include <algorithm>

#include "core/config/field_hints.h"
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
constexpr const char* kDirective = "indent it or put it in quotes if it is a value";
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
    {"mapping keys are not allowed in this context", "a '?' where no key can be",
     "write key: value, or put the text in quotes"},
    {"found unexpected ':'", "a ':' inside of a text without quotes", "put the text in quotes"},
    {"found unexpected document indicator", "a '---' or '...' inside of a text in quotes", "is its quote not closed?"},
    {"did not find expected hexdecimal number", "the escape needs hexadecimal digits",
     "write \\x41 or \\u0041, or use single quotes"},
    {"found invalid Unicode character escape code", "the escape stands for no character",
     "use single quotes if it is meant as it is"},
    {"found an indentation indicator equal to 0", "the number behind | or > must be 1 to 9", "leave it out"},
    {"did not find expected comment or line break", "something follows the | or > that begins a text",
     "begin the text on the next line"},
    {"did not find expected whitespace or line break", "a tag (a word with '!' in front) that cannot be read",
     "put the value in quotes if '!' belongs to it"},
    {"did not find expected '!'", "a tag (a word with '!' in front) that cannot be read",
     "put the value in quotes if '!' belongs to it"},
    {"did not find expected tag URI", "a tag (a word with '!' in front) that cannot be read",
     "put the value in quotes if '!' belongs to it"},
    {"did not find the expected '>'", "a tag that is not closed with '>'",
     "put the value in quotes if '!' belongs to it"},
    {"did not find URI escaped octet", "a '%' in a tag (a word with '!' in front)",
     "put the value in quotes if '!' belongs to it"},
    {"found an incorrect leading UTF-8 octet", "an escape in a tag that stands for no character",
     "put the value in quotes if '!' belongs to it"},
    {"found an incorrect trailing UTF-8 octet", "an escape in a tag that stands for no character",
     "put the value in quotes if '!' belongs to it"},
    {"found unknown directive name", "a line that begins with '%' is a directive of YAML", kDirective},
    {"could not find expected directive name", "a line that begins with '%' is a directive of YAML", kDirective},
    {"found unexpected non-alphabetical character", "a line that begins with '%' is a directive of YAML", kDirective},
    {"found incompatible YAML document", "the %YAML line asks for another version than 1.1 or 1.2", "remove the line"},
    {"found extremely long version number", "the %YAML line has no version that weir knows", "remove the line"},
    {"did not find expected version number", "the %YAML line has no version that weir knows", "remove the line"},
    {"did not find expected digit or '.' character", "the %YAML line has no version that weir knows",
     "remove the line"},
    {"found duplicate %YAML directive", "the %YAML line is there twice", "remove one"},
    {"found duplicate %TAG directive", "the same %TAG line is there twice", "remove one"},
    {"did not find expected whitespace", "the %TAG line is not complete", "remove the line"},
    {"exceeded maximum depth", "too many levels inside each other", "is a bracket not closed?"},
    {"input is too long", "the file is too long for the reader of YAML", "write it as JSON"},
};

bool is_foreign(std::string_view tag) {
  return !tag.empty() && tag != "!" && tag != "!ignore" && !tag.starts_with("tag:yaml.org,2002:");
}

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

std::string_view YamlReader::line(uint32_t number) const {
  size_t begin = 0;
  for (uint32_t i = 1; i < number && begin != std::string_view::npos; ++i) {
    begin = text_.find('\n', begin);
    begin += begin == std::string_view::npos ? 0 : 1;
  }
  return begin == std::string_view::npos ? "" : text_.substr(begin, text_.find('\n', begin) - begin);
}

// What is wrong with the text that the parser cannot know.
bool YamlReader::fail_from_text(Place context, Place place) {
  for (const std::string_view mark : {"<<<<<<< ", ">>>>>>> "}) {
    size_t at = text_.starts_with(mark) ? 0 : text_.find("\n" + std::string(mark));
    if (at != std::string_view::npos) {
      at += text_[at] == '\n' ? 1 : 0;
      fail(place_of(text_, at), "a conflict of a merge is left in the file",
           "decide for one side and remove the marks");
      return true;
    }
  }
  for (const Place& one : {place, context}) {
    const std::string_view text = line(one.line);
    const size_t at = std::min(text.find("{{"), text.find("{%"));
    if (at != std::string_view::npos) {
      fail({one.line, static_cast<uint32_t>(at + 1)}, "a template is left in the file",
           "fill it in before weir reads the file");
      return true;
    }
  }
  // ${NAME} is a text where it stands alone; inside of brackets its brace begins a mapping.
  if (view_problem().starts_with("did not find expected ','")) {
    const std::string_view text = line(place.line);
    const size_t dollar = text.rfind("${", place.column);
    if (dollar != std::string_view::npos) {
      fail({place.line, static_cast<uint32_t>(dollar + 1)}, "a template is left in the file",
           template_hint(text.substr(dollar)));
      return true;
    }
  }
  // A quote ends a text where it was meant to be part of it, or a bracket closes what nothing has opened.
  const std::string_view text = line(place.line);
  if (view_problem().starts_with("did not find expected") && place.column >= 2 && place.column <= text.size() + 1) {
    const std::string_view before = text.substr(0, place.column - 1);
    const char last = before.back();
    if ((last == '"' || last == '\'') && before.find(last) + 1 < before.size()) {
      fail(place, "something follows the quote that ends a text",
           last == '"' ? "write a quote that belongs to it as \\\"" : "double a quote that belongs to it");
      return true;
    }
    const char here = place.column <= text.size() ? text[place.column - 1] : ' ';
    if ((here == '}' || here == ']') && view_problem() == "did not find expected key") {
      fail(place, std::string("nothing is open that this '") + here + "' could close", "remove it");
      return true;
    }
    if (here == ':' && context.line == place.line && view_problem() == "did not find expected ',' or '}'") {
      fail(place, "a ',' is missing in front of this key", "put one between the fields");
      return true;
    }
  }
  return false;
}

std::string_view YamlReader::view_problem() const {
  return parser_->parser.problem == nullptr ? "out of memory" : parser_->parser.problem;
}

Event YamlReader::fail_from_parser() {
  const yaml_parser_t& parser = parser_->parser;
  const std::string_view problem = view_problem();
  if (parser.error == YAML_READER_ERROR) {
    return fail(place_of(text_, parser.problem_offset), "a control character",
                "remove it, or write it as an escape in double quotes");
  }
  const Place place = place_from(parser.problem_mark);
  if (fail_from_text(place_from(parser.context_mark), place)) {
    return {};
  }
  if (problem == "found character that cannot start any token") {
    const std::string_view text = line(place.line);
    const char first = place.column <= text.size() ? text[place.column - 1] : ' ';
    if (first == '\t') {
      return fail(place, "a tab is used for indentation", "use spaces");
    }
    return fail(place,
                static_cast<unsigned char>(first) < 0x80 ? std::string("a value cannot begin with '") + first + "'"
                                                         : "a value cannot begin with this character",
                "put it in quotes");
  }
  const std::string_view context = parser.context == nullptr ? "" : parser.context;
  if (context == "while scanning an alias" || context == "while scanning an anchor") {
    return fail(place_from(parser.context_mark),
                std::string("a value cannot begin with '") + (context.ends_with("alias") ? "*'" : "&'"),
                "put it in quotes");
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
  return fail(place, "this cannot be read as YAML", "check the quotes, brackets and indentation here");
}

// Tags are for the program that reads the file, and weir knows one. Their text is not repeated: where nobody has put
// quotes around it, a password that begins with '!' is a tag.
void YamlReader::check_tag(std::string_view tag, Place place) {
  if (!is_foreign(tag)) {
    return;
  }
  Diagnostic out;
  out.file = file_;
  out.line = static_cast<int>(place.line);
  out.column = static_cast<int>(place.column);
  out.severity = Severity::kWarning;
  out.message = "a tag (a word with '!' in front) means nothing to weir; what follows is taken as it is";
  diagnostics_.add(std::move(out));
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
    // A line of "---" at the end, as generators write it, has an empty text behind it for libyaml.
    const bool nothing = event.type == YAML_SCALAR_EVENT && event.data.scalar.length == 0 &&
                         event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event.data.scalar.anchor == nullptr &&
                         event.data.scalar.tag == nullptr;
    const bool ends = event.type == YAML_DOCUMENT_END_EVENT || event.type == YAML_STREAM_END_EVENT;
    if (next_document_ && !nothing && !ends) {
      return fail(*next_document_, "the file holds more than one document",
                  "a configuration is one document; remove the '---' line or split the file");
    }
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (++documents_ > 1) next_document_ = out.place;
        continue;
      case YAML_SCALAR_EVENT:
        if (next_document_) continue;
        out.kind = EventKind::kScalar;
        out.value = {reinterpret_cast<const char*>(event.data.scalar.value), event.data.scalar.length};
        // A tag (!!str 5) says that the text is not to decide.
        out.plain = event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event.data.scalar.plain_implicit != 0;
        if (event.data.scalar.length == 0 && event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
            is_foreign(view(event.data.scalar.tag))) {
          return fail(out.place, "a text that begins with '!' is a tag, and there is nothing behind it",
                      "put it in quotes");
        }
        check_tag(view(event.data.scalar.tag), out.place);
        out.ignored = view(event.data.scalar.tag) == "!ignore";
        out.anchor_name = view(event.data.scalar.anchor);
        return out;
      case YAML_SEQUENCE_START_EVENT:
        out.kind = EventKind::kSequenceStart;
        out.anchor_name = view(event.data.sequence_start.anchor);
        check_tag(view(event.data.sequence_start.tag), out.place);
        return out;
      case YAML_SEQUENCE_END_EVENT:
        out.kind = EventKind::kSequenceEnd;
        return out;
      case YAML_MAPPING_START_EVENT:
        out.kind = EventKind::kMappingStart;
        out.anchor_name = view(event.data.mapping_start.anchor);
        check_tag(view(event.data.mapping_start.tag), out.place);
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
