#include "core/match/path_template.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <cstring>

namespace weir::match {
namespace {

using std::string_view;

// RFC 3986 3.3, a segment's characters without "*" and "=", which mean something here.
bool is_segment_char(char c) {
  return absl::ascii_isalnum(c) || string_view("-._~%!$&'()+,;:@").find(c) != string_view::npos;
}

Status error_at(string_view whole, size_t offset, string_view what) {
  return invalid("\"" + std::string(whole) + "\": " + std::string(what) + " (at character " +
                 std::to_string(offset + 1) + ")");
}

// "name" or "name=pattern", between braces.
Status check_variable_name(string_view whole, size_t offset, string_view name) {
  constexpr size_t kMaxName = 16;
  if (name.empty() || name.size() > kMaxName || !absl::ascii_isalpha(name[0]) ||
      !std::all_of(name.begin(), name.end(), [](char c) { return absl::ascii_isalnum(c) || c == '_'; })) {
    return error_at(whole, offset,
                    "the name of a variable has 1 to 16 letters, digits and underscores and begins with a letter");
  }
  return absl::OkStatus();
}

}  // namespace

class PathTemplate::Parser {
 public:
  Parser(string_view text, PathTemplate& out) : text_(text), out_(out) {}

  Status parse() {
    constexpr size_t kMaxBytes = 256;
    if (text_.size() > kMaxBytes) {
      return invalid(std::to_string(text_.size()) + " bytes; at most 256 are allowed");
    }
    if (!text_.starts_with('/')) return error_at(text_, 0, "a path template begins with /");
    add_text("/");
    at_ = 1;
    while (at_ < text_.size()) {
      if (text_[at_] == '{') {
        WEIR_RETURN_IF_ERROR(variable());
      } else {
        WEIR_RETURN_IF_ERROR(part(text_.size()));
      }
      if (at_ == text_.size()) break;
      if (text_[at_] != '/') {
        // What follows a glob or a variable within its segment ends the template.
        WEIR_RETURN_IF_ERROR(literal(text_.size()));
        if (at_ < text_.size()) return error_at(text_, at_, "nothing may follow the segment that has a * and a text");
        break;
      }
      ++at_;
      add_text("/");
    }
    return absl::OkStatus();
  }

 private:
  // A glob, or the text of one segment; `end` is that of the template or of the variable.
  Status part(size_t end) {
    if (text_[at_] != '*') return literal(end);
    const bool anything = at_ + 1 < end && text_[at_ + 1] == '*';
    if (seen_anything_) return error_at(text_, at_, "** must be the last * or variable");
    seen_anything_ = anything;
    out_.tokens_.push_back({anything ? Token::Kind::kAnything : Token::Kind::kSegment});
    at_ += anything ? 2 : 1;
    return absl::OkStatus();
  }

  Status literal(size_t end) {
    size_t stop = std::min(text_.find('/', at_), end);
    string_view text = text_.substr(at_, stop - at_);
    if (text.empty()) return error_at(text_, at_, "a segment is empty");
    const auto bad = std::find_if_not(text.begin(), text.end(), is_segment_char);
    if (bad != text.end()) {
      return error_at(text_, at_ + static_cast<size_t>(bad - text.begin()), "this character cannot be part of a path");
    }
    add_text(text);
    at_ = stop;
    return absl::OkStatus();
  }

  Status variable() {
    const size_t begin = at_;
    const size_t close = text_.find('}', at_);
    if (close == string_view::npos) return error_at(text_, begin, "the variable has no }");
    const size_t equals = std::min(text_.find('=', at_), close);
    string_view name = text_.substr(begin + 1, equals - begin - 1);
    WEIR_RETURN_IF_ERROR(check_variable_name(text_, begin + 1, name));
    if (out_.variable(name) >= 0) return error_at(text_, begin, "two variables have this name");
    if (out_.variables_.size() == kMaxVariables) return error_at(text_, begin, "at most 5 variables are allowed");
    const auto index = static_cast<uint8_t>(out_.variables_.size());
    out_.variables_.emplace_back(name);
    out_.tokens_.push_back({Token::Kind::kBegin, index});
    if (equals == close) {
      if (seen_anything_) return error_at(text_, begin, "** must be the last * or variable");
      out_.tokens_.push_back({Token::Kind::kSegment});
    } else {
      at_ = equals + 1;
      if (at_ == close) return error_at(text_, at_, "the variable's template is empty");
      while (true) {
        WEIR_RETURN_IF_ERROR(part(close));
        if (at_ == close) break;
        if (text_[at_] != '/' || at_ + 1 == close) return error_at(text_, at_, "a / and more must follow");
        ++at_;
        add_text("/");
      }
    }
    out_.tokens_.push_back({Token::Kind::kEnd, index});
    at_ = close + 1;
    return absl::OkStatus();
  }

  void add_text(string_view text) {
    if (!out_.tokens_.empty() && out_.tokens_.back().kind == Token::Kind::kText) {
      out_.tokens_.back().text += text;
    } else {
      out_.tokens_.push_back({Token::Kind::kText, 0, std::string(text)});
    }
  }

  const string_view text_;
  PathTemplate& out_;
  size_t at_ = 0;
  bool seen_anything_ = false;
};

Result<PathTemplate> PathTemplate::parse(string_view text) {
  PathTemplate out;
  WEIR_RETURN_IF_ERROR(Parser(text, out).parse());
  return out;
}

string_view PathTemplate::required_prefix() const { return tokens_.front().text; }

int PathTemplate::variable(string_view name) const {
  auto at = std::find(variables_.begin(), variables_.end(), name);
  return at != variables_.end() ? static_cast<int>(at - variables_.begin()) : -1;
}

bool PathTemplate::matches(string_view path, Captures* captures) const noexcept {
  std::array<size_t, kMaxVariables> begins{};
  size_t at = 0;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const Token& token = tokens_[i];
    switch (token.kind) {
      case Token::Kind::kText:
        if (!path.substr(at).starts_with(token.text)) return false;
        at += token.text.size();
        break;
      case Token::Kind::kBegin:
        begins[token.variable] = at;
        break;
      case Token::Kind::kEnd:
        if (captures != nullptr)
          (*captures)[token.variable] = path.substr(begins[token.variable], at - begins[token.variable]);
        break;
      case Token::Kind::kSegment:
      case Token::Kind::kAnything: {
        // Only texts follow a "**", and what follows a "*" begins with "/" or is the end of the last segment: so there
        // is one place at most where the glob can end.
        const bool anything = token.kind == Token::Kind::kAnything;
        size_t end = anything ? path.size() : std::min(path.find('/', at), path.size());
        size_t behind = 0;  // of what must still follow in the reach of this glob
        for (size_t k = i + 1; k < tokens_.size(); ++k) {
          const Token& next = tokens_[k];
          if (next.kind != Token::Kind::kText) continue;
          if (anything || next.text[0] != '/') behind += next.text.size();
          if (!anything) break;
        }
        if (end - at < behind) return false;
        end -= behind;
        string_view taken = path.substr(at, end - at);
        if (!anything && taken.empty()) return false;
        for (char c : taken) {
          if (!is_segment_char(c) && !(anything && c == '/')) return false;
        }
        at = end;
        break;
      }
    }
  }
  return at == path.size();
}

Result<PathTemplateRewrite> PathTemplateRewrite::parse(string_view text, const PathTemplate& from) {
  constexpr size_t kMaxBytes = 256;
  if (text.empty() || text.size() > kMaxBytes) {
    return invalid(std::to_string(text.size()) + " bytes; 1 to 256 are allowed");
  }
  if (text[0] != '/') return error_at(text, 0, "the new path begins with /");
  PathTemplateRewrite out;
  out.pieces_.emplace_back();
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '{') {
      if (text[at] != '/' && !is_segment_char(text[at])) {
        return error_at(text, at, "this character cannot be part of a path");
      }
      out.pieces_.back().text += text[at++];
      continue;
    }
    size_t close = text.find('}', at);
    if (close == string_view::npos) return error_at(text, at, "the variable has no }");
    string_view name = text.substr(at + 1, close - at - 1);
    out.pieces_.back().variable = from.variable(name);
    if (out.pieces_.back().variable < 0) {
      return error_at(text, at, "the path template has no variable \"" + std::string(name) + "\"");
    }
    out.pieces_.emplace_back();
    at = close + 1;
  }
  return out;
}

string_view PathTemplateRewrite::rewrite(const PathTemplate& from, string_view path, Arena& arena) const noexcept {
  PathTemplate::Captures captures;
  if (!from.matches(path, &captures)) return path;
  size_t size = 0;
  auto captured = [&](const Piece& piece) {
    return piece.variable >= 0 ? captures[static_cast<size_t>(piece.variable)] : string_view();
  };
  for (const Piece& piece : pieces_) size += piece.text.size() + captured(piece).size();
  char* to = arena.allocate_bytes(size);
  char* at = to;
  for (const Piece& piece : pieces_) {
    for (string_view text : {string_view(piece.text), captured(piece)}) {
      if (!text.empty()) std::memcpy(at, text.data(), text.size());
      at += text.size();
    }
  }
  return {to, size};
}

}  // namespace weir::match
