#include "core/config/json_reader.h"

#include <absl/strings/ascii.h>

#include <algorithm>

#include "core/config/source_text.h"

namespace weir::config {
namespace {

// The length of the JSON number at the start of `text`, 0 if there is none.
size_t number_length(std::string_view text) {
  size_t i = 0;
  const auto at = [&](size_t n) { return n < text.size() ? text[n] : '\0'; };
  const auto digits = [&] {
    const size_t start = i;
    while (absl::ascii_isdigit(at(i))) {
      ++i;
    }
    return i > start;
  };
  if (at(i) == '-') {
    ++i;
  }
  if (at(i) == '0') {
    ++i;
  } else if (!digits()) {
    return 0;
  }
  if (at(i) == '.') {
    ++i;
    if (!digits()) {
      return 0;
    }
  }
  if (at(i) == 'e' || at(i) == 'E') {
    ++i;
    if (at(i) == '+' || at(i) == '-') {
      ++i;
    }
    if (!digits()) {
      return 0;
    }
  }
  return i;
}

}  // namespace

bool is_json(std::string_view text) {
  JsonReader reader(text, "", nullptr);
  for (;;) {
    const EventKind kind = reader.next().kind;
    if (kind == EventKind::kEnd || kind == EventKind::kFailed) {
      return kind == EventKind::kEnd;
    }
  }
}

JsonReader::JsonReader(std::string_view text, std::string_view file, Diagnostics* diagnostics)
    : text_(text), file_(file), diagnostics_(diagnostics) {}

Place JsonReader::here() {
  for (; placed_ < at_; ++placed_) {
    if (text_[placed_] == '\n') {
      place_.line++;
      place_.column = 1;
    } else if ((static_cast<unsigned char>(text_[placed_]) & 0xC0) != 0x80) {
      place_.column++;
    }
  }
  return place_;
}

Event JsonReader::fail(size_t offset, std::string message, std::string hint) {
  failed_ = true;
  if (diagnostics_ != nullptr) {
    const Place place = place_of(text_, offset);
    Diagnostic out;
    out.file = file_;
    out.line = static_cast<int>(place.line);
    out.column = static_cast<int>(place.column);
    out.message = hint.empty() ? std::move(message) : message + "; " + hint;
    out.hint = std::move(hint);
    diagnostics_->add(std::move(out));
  }
  return {};
}

// For what begins with a character that JSON has no use for.
Event JsonReader::fail_at_unknown(const char* what) {
  switch (peek()) {
    case '\'':
      return fail(at_, "single quotes", "JSON quotes with \"");
    case '/':
    case '#':
      return fail(at_, "a comment", "JSON has none; name the file .yaml to keep it");
    default:
      break;
  }
  const std::string_view rest = text_.substr(at_);
  for (const std::string_view word : {"True", "False", "None", "TRUE", "FALSE", "NULL"}) {
    if (rest.starts_with(word)) {
      return fail(at_, std::string(word) + " is not JSON", "write true, false or null, in small letters");
    }
  }
  if (rest.starts_with("NaN") || rest.starts_with("Infinity") || rest.starts_with("-Infinity")) {
    return fail(at_, "JSON has numbers only", "leave this out");
  }
  if (absl::ascii_isdigit(peek()) || peek() == '-' || peek() == '+' || peek() == '.') {
    return fail(at_, "not a JSON number", "write it as 80, -1 or 0.5, or as a text in double quotes");
  }
  return fail(at_, what, "JSON quotes keys and texts with \"");
}

void JsonReader::after_value() { expect_ = open_.empty() ? Expect::kNothing : Expect::kCommaOrEnd; }

Event JsonReader::opened(EventKind kind) {
  Event out;
  out.kind = kind;
  out.place = here();
  open_.push_back(text_[at_++]);
  expect_ = kind == EventKind::kMappingStart ? Expect::kKeyOrEnd : Expect::kValueOrEnd;
  return out;
}

Event JsonReader::closed() {
  Event out;
  out.kind = open_.back() == '{' ? EventKind::kMappingEnd : EventKind::kSequenceEnd;
  out.place = here();
  open_.pop_back();
  ++at_;
  after_value();
  return out;
}

bool JsonReader::hex4(size_t at, uint32_t& out) const {
  out = 0;
  for (size_t i = at; i < at + 4; ++i) {
    const char c = i < text_.size() ? text_[i] : '\0';
    uint32_t digit = 16;
    if (absl::ascii_isdigit(c)) {
      digit = static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint32_t>(c - 'A' + 10);
    }
    if (digit == 16) {
      return false;
    }
    out = out * 16 + digit;
  }
  return true;
}

Event JsonReader::string() {
  Event out;
  out.kind = EventKind::kScalar;
  out.place = here();
  const size_t open = at_++;
  const size_t plain_end = std::min(text_.find_first_of("\"\\", at_), text_.size());
  decoded_.assign(text_, at_, plain_end - at_);
  const auto control =
      std::find_if(decoded_.begin(), decoded_.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (plain_end == text_.size()) {
    return fail(open, "a text without its closing '\"'");
  }
  if (control != decoded_.end()) {
    return fail(at_ + static_cast<size_t>(control - decoded_.begin()),
                "a line break or control character inside a text", "write it as an escape such as \\n");
  }
  at_ = plain_end;
  while (at_ < text_.size() && text_[at_] != '"') {
    const char c = text_[at_];
    if (static_cast<unsigned char>(c) < 0x20) {
      return fail(at_, "a line break or control character inside a text", "write it as an escape such as \\n");
    }
    if (c != '\\') {
      decoded_ += c;
      ++at_;
      continue;
    }
    const char escape = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    constexpr std::string_view kFrom = "\"\\/bfnrt";
    constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    if (const size_t known = kFrom.find(escape); known != std::string_view::npos && escape != '\0') {
      decoded_ += kTo[known];
      at_ += 2;
      continue;
    }
    uint32_t code = 0;
    if (escape != 'u' || !hex4(at_ + 2, code)) {
      return fail(at_, "an unknown escape in a text", "double the backslash");
    }
    size_t length = 6;
    if (code >= 0xD800 && code <= 0xDFFF) {
      uint32_t low = 0;
      const bool pair =
          code < 0xDC00 && text_.substr(at_ + 6, 2) == "\\u" && hex4(at_ + 8, low) && low >= 0xDC00 && low <= 0xDFFF;
      if (!pair) {
        return fail(at_, "half of a surrogate pair", "write both halves, or the character itself");
      }
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      length = 12;
    }
    append_utf8(decoded_, code);
    at_ += length;
  }
  if (at_ >= text_.size()) {
    return fail(open, "a text without its closing '\"'");
  }
  ++at_;
  out.value = decoded_;
  return out;
}

Event JsonReader::literal() {
  Event out;
  out.kind = EventKind::kScalar;
  out.plain = true;
  out.place = here();
  size_t length = number_length(text_.substr(at_));
  for (const std::string_view word : {"true", "false", "null"}) {
    if (text_.substr(at_, word.size()) == word) {
      length = word.size();
    }
  }
  const char after = at_ + length < text_.size() ? text_[at_ + length] : ' ';
  if (length == 0 || std::string_view(" \t\r\n,]}:").find(after) == std::string_view::npos) {
    if (std::string_view("]},").find(peek()) != std::string_view::npos) {
      return fail(at_, std::string("a value was expected, not '") + peek() + "'");
    }
    return fail_at_unknown("not a JSON value");
  }
  out.value = text_.substr(at_, length);
  at_ += length;
  after_value();
  return out;
}

Event JsonReader::next() {
  if (failed_) {
    return {};
  }
  for (;;) {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
      ++at_;
    }
    const char c = peek();
    if (at_ >= text_.size()) {
      if (expect_ == Expect::kNothing || at_ == 0 || (expect_ == Expect::kValue && open_.empty())) {
        Event out;
        out.kind = EventKind::kEnd;
        return out;
      }
      return fail(at_, std::string("the file ends before the last '") + open_.back() + "' is closed");
    }
    switch (expect_) {
      case Expect::kNothing:
        return fail(at_, "something follows the end of the configuration");
      case Expect::kColon:
        if (c != ':') {
          return fail(at_, "':' was expected after the key");
        }
        ++at_;
        expect_ = Expect::kValue;
        continue;
      case Expect::kCommaOrEnd:
        if (c == (open_.back() == '{' ? '}' : ']')) {
          return closed();
        }
        if (c == '/' || c == '#') {
          return fail_at_unknown("");
        }
        if (c != ',') {
          const bool bracket = c == '}' || c == ']';
          return fail(at_, std::string("',' or '") + (open_.back() == '{' ? '}' : ']') + "' was expected" +
                               (bracket ? std::string(", not '") + c + "'" : ""));
        }
        ++at_;
        expect_ = open_.back() == '{' ? Expect::kKey : Expect::kValue;
        continue;
      case Expect::kKeyOrEnd:
      case Expect::kKey:
        if (c == '}' && expect_ == Expect::kKeyOrEnd) {
          return closed();
        }
        if (c == '}') {
          return fail(at_, "a ',' before '}'", "remove the comma");
        }
        if (c != '"') {
          return fail_at_unknown("a key was expected");
        }
        expect_ = Expect::kColon;
        return string();
      case Expect::kValueOrEnd:
        if (c == ']') {
          return closed();
        }
        [[fallthrough]];
      case Expect::kValue:
        if (c == '{') {
          return opened(EventKind::kMappingStart);
        }
        if (c == '[') {
          return opened(EventKind::kSequenceStart);
        }
        if (c == '"') {
          after_value();
          return string();
        }
        return literal();
    }
  }
}

}  // namespace weir::config
