#include "core/config/source_lines.h"

#include <algorithm>

#include "core/base/utf8.h"
#include "core/config/data_source.h"

namespace weir::config {
namespace {

constexpr size_t kMaxBytes = size_t{64} << 20;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

size_t skip_blanks(std::string_view text, size_t at) {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}

// The bytes that one escape of a double-quoted text takes in the file and stands for; 0: not understood.
struct Escape {
  size_t written = 0;
  size_t bytes = 0;
};
Escape read_escape(std::string_view text, size_t at) {
  if (at + 1 >= text.size()) return {};
  size_t digits = 0;
  switch (text[at + 1]) {
    case 'x':
      digits = 2;
      break;
    case 'u':
      digits = 4;
      break;
    case 'U':
      digits = 8;
      break;
    case 'N':
    case '_':
      return {2, 2};
    case 'L':
    case 'P':
      return {2, 3};
    default:
      return {2, 1};
  }
  uint32_t code = 0;
  for (size_t i = at + 2; i < at + 2 + digits; ++i) {
    const char c = i < text.size() ? text[i] : ' ';
    const auto digit = c >= '0' && c <= '9'   ? c - '0'
                       : c >= 'a' && c <= 'f' ? c - 'a' + 10
                       : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                              : -1;
    if (digit < 0) return {};
    code = code * 16 + static_cast<uint32_t>(digit);
  }
  if (code >= 0xD800 && code <= 0xDBFF) return {12, 4};  // JSON: the other half follows
  return {2 + digits, code < 0x80 ? 1U : code < 0x800 ? 2U : code < 0x10000 ? 3U : 4U};
}

// A key, or the end of one.
bool colon_follows(std::string_view text, size_t at) {
  at = skip_blanks(text, at);
  return at < text.size() && text[at] == ':';
}

std::string text_of_file(const std::string& name) {
  std::string why;
  std::string text = read_bounded_file(name, {kMaxBytes}, why).value_or("");
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // no column counts it
  return text;
}

}  // namespace

SourceLines::SourceLines(const std::string& name) : SourceLines(name, text_of_file(name)) {}

SourceLines::SourceLines(std::string name, std::string text) : name_(std::move(name)), text_(std::move(text)) {
  if (text_.empty()) return;
  starts_.push_back(0);
  for (size_t at = text_.find('\n'); at != std::string::npos; at = text_.find('\n', at + 1)) starts_.push_back(at + 1);
}

std::string_view SourceLines::line(size_t number) const {
  if (number == 0 || number > starts_.size()) return {};
  const size_t begin = starts_[number - 1];
  const size_t end = number < starts_.size() ? starts_[number] - 1 : text_.size();
  return std::string_view(text_).substr(begin, end - begin);
}

Place SourceLines::place_of(size_t number, size_t byte) const {
  const std::string_view before = line(number).substr(0, byte);
  const auto characters = std::count_if(before.begin(), before.end(),
                                        [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  return {static_cast<uint32_t>(number), static_cast<uint32_t>(characters + 1)};
}

std::optional<Place> SourceLines::inside(Place start, size_t offset) const {
  const std::string_view text = line(start.line);
  size_t byte = 0;
  for (uint32_t column = 1; column < start.column && byte < text.size(); ++column) {
    byte += std::max<size_t>(utf8_length(text.substr(byte)), 1);
  }
  // An anchor or a tag stands in front.
  while (byte < text.size() && (text[byte] == '&' || text[byte] == '!')) {
    while (byte < text.size() && !is_blank(text[byte])) ++byte;
    byte = skip_blanks(text, byte);
  }
  if (byte >= text.size()) return std::nullopt;
  switch (text[byte]) {
    case '"':
    case '\'':
      return in_quotes(start.line, byte, offset);
    case '|':
    case '>':
      return in_block(start.line, byte, offset);
    case '{':
    case '[':
    case '*':
      return std::nullopt;
    default:
      return in_plain(start.line, byte, offset);
  }
}

std::optional<Place> SourceLines::in_quotes(size_t number, size_t byte, size_t offset) const {
  std::string_view text = line(number);
  const char quote = text[byte++];
  std::optional<Place> found;
  for (size_t seen = 0;;) {
    if (byte >= text.size()) {
      // A line break, and what is blank around it, is a space, or as many line breaks as there are empty lines.
      size_t empty = 0;
      do {
        if (++number > starts_.size()) return std::nullopt;
        text = line(number);
        byte = skip_blanks(text, 0);
      } while (byte >= text.size() && ++empty > 0);
      seen += std::max<size_t>(empty, 1);
      continue;
    }
    if (text[byte] == quote && !(quote == '\'' && byte + 1 < text.size() && text[byte + 1] == quote)) {
      return colon_follows(text, byte + 1) ? std::nullopt : found;
    }
    Escape step{1, 1};
    if (text[byte] == quote) step = {2, 1};
    if (quote == '"' && text[byte] == '\\') {
      if (byte + 1 == text.size()) {  // the line goes on in the next one
        if (++number > starts_.size()) return found;
        text = line(number);
        byte = skip_blanks(text, 0);
        continue;
      }
      step = read_escape(text, byte);
      if (step.bytes == 0) return found;
    }
    if (!found && seen <= offset && offset < seen + step.bytes) found = place_of(number, byte);
    seen += step.bytes;
    byte += step.written;
  }
}

std::optional<Place> SourceLines::in_plain(size_t number, size_t byte, size_t offset) const {
  const std::string_view text = line(number);
  const bool flow = text.substr(0, byte).find_first_of("{[") != std::string_view::npos;
  for (size_t i = byte; i < text.size(); ++i) {
    if (flow && std::string_view(",}]").find(text[i]) != std::string_view::npos) break;
    if (text[i] == ':' && (i + 1 == text.size() || is_blank(text[i + 1]))) return std::nullopt;  // a key
    if (text[i] == '#' && i > byte && is_blank(text[i - 1])) break;
  }
  return byte + offset < text.size() ? std::optional(place_of(number, byte + offset)) : std::nullopt;
}

std::optional<Place> SourceLines::in_block(size_t number, size_t byte, size_t offset) const {
  const std::string_view head = line(number).substr(byte);
  const bool folded = head.front() == '>';
  if (head.substr(0, head.find('#')).find_first_of("123456789") != std::string_view::npos) return std::nullopt;
  size_t indent = 0;
  size_t empty = 0;  // lines in front of this one
  size_t seen = 0;
  for (bool first = true; ++number <= starts_.size();) {
    const std::string_view text = line(number);
    const size_t blanks = std::min(text.find_first_not_of(' '), text.size());
    if (blanks == text.size()) {
      ++empty;
      continue;
    }
    if (first) indent = blanks;
    if (blanks < indent) return std::nullopt;
    // Of the break in front of a line that is folded a space is left, or as many breaks as there are empty lines.
    if (first) {
      seen += empty;
    } else {
      seen += folded ? std::max<size_t>(empty, 1) : empty + 1;
    }
    first = false;
    empty = 0;
    if (offset < seen) return std::nullopt;
    if (offset - seen < text.size() - indent) return place_of(number, indent + offset - seen);
    seen += text.size() - indent;
  }
  return std::nullopt;
}

}  // namespace weir::config
