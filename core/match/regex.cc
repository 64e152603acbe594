#include "core/match/regex.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include "core/match/script_regex.h"

namespace weir::match {
namespace {

// Of the longest promised prefix: enough to tell routes apart.
constexpr int kMaxPrefix = 64;
// What RE2 may spend on one pattern: program and automaton states. Its default; said here because it is a limit.
constexpr int64_t kMaxMemory = 8 << 20;

bool is_punctuation(char c) { return c > ' ' && c < 127 && !std::isalnum(static_cast<unsigned char>(c)); }

// The end of the character class that begins at `at`, one past its "]"; npos if it has none.
size_t end_of_class(std::string_view pattern, size_t at) {
  size_t i = at + 1;
  if (i < pattern.size() && pattern[i] == '^') ++i;
  if (i < pattern.size() && pattern[i] == ']') ++i;
  while (i < pattern.size()) {
    if (pattern[i] == ']') return i + 1;
    if (pattern[i] == '\\') {
      i += 2;
    } else if (pattern.substr(i).starts_with("[:")) {
      size_t end = pattern.find(":]", i + 2);
      i = end == std::string_view::npos ? i + 1 : end + 2;
    } else {
      ++i;
    }
  }
  return std::string_view::npos;
}

// May `rest` be matched on its own, behind a literal? Not if a "|" makes the literal part of one alternative only, nor
// if something in it looks at what is before.
bool stands_alone(std::string_view rest) {
  int depth = 0;
  for (size_t i = 0; i < rest.size();) {
    switch (rest[i]) {
      case '\\':
        if (i + 1 >= rest.size() || std::string_view("AbBQ").find(rest[i + 1]) != std::string_view::npos) return false;
        i += 2;
        continue;
      case '[':
        i = end_of_class(rest, i);
        if (i == std::string_view::npos) return false;
        continue;
      case '(':
        ++depth;
        break;
      case ')':
        --depth;
        break;
      case '|':
        if (depth == 0) return false;
        break;
      case '^':
        return false;
      default:
        break;
    }
    ++i;
  }
  return depth == 0;
}

// Takes a pattern apart into the literal that it begins with and the rest.
struct Split {
  std::string literal;
  std::string_view rest;
};
Split split_literal(std::string_view pattern) {
  const std::string_view whole = pattern;
  if (pattern.starts_with('^')) pattern.remove_prefix(1);
  Split split;
  size_t i = 0;
  size_t last = 0;  // where the last literal character began
  while (i < pattern.size()) {
    char c = pattern[i];
    size_t size = 1;
    if (c == '\\') {
      if (i + 1 == pattern.size() || !is_punctuation(pattern[i + 1])) break;
      c = pattern[i + 1];
      size = 2;
    } else if (std::string_view(".*+?()[]{}|^$").find(c) != std::string_view::npos || c < ' ' || c >= 127) {
      break;  // beyond ASCII too: what follows would apply to several bytes
    }
    split.literal += c;
    last = i;
    i += size;
  }
  if (!split.literal.empty() && i < pattern.size() &&
      std::string_view("*+?{").find(pattern[i]) != std::string_view::npos) {
    split.literal.pop_back();
    i = last;
  }
  split.rest = pattern.substr(i);
  if (!stands_alone(split.rest)) return {{}, whole};
  return split;
}

// RE2's "." takes any character but a line feed; beyond ASCII it wants valid UTF-8, which the automaton shall judge.
bool is_plain_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80 && c != '\n'; });
}

std::string describe_error(const re2::RE2& re2, std::string_view pattern) {
  std::string text = re2.error();
  const std::string& part = re2.error_arg();
  // RE2 says "missing ]: [bc": the part again after the colon.
  if (!part.empty() && text.ends_with(": " + part)) text.resize(text.size() - part.size() - 2);
  if (!part.empty()) {
    size_t at = pattern.find(part);
    if (at != std::string_view::npos) text += " at character " + std::to_string(at + 1);
    text += " (\"" + part + "\")";
    if (part == pattern) return text;
  }
  text += " of \"";
  text += pattern.substr(0, 200);
  return text + '"';
}

}  // namespace

RegexPool::RegexPool() = default;
RegexPool::~RegexPool() = default;
Regex::Regex() = default;
Regex::Regex(Regex&& other) noexcept = default;
Regex& Regex::operator=(Regex&& other) noexcept = default;
Regex::~Regex() = default;

namespace {

re2::RE2::Options re2_options() {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxMemory);
  return options;
}

Status check_program(const re2::RE2& re2, std::string_view pattern, uint32_t max_program_size) {
  if (!re2.ok()) return invalid(describe_error(re2, pattern));
  if (static_cast<uint32_t>(re2.ProgramSize()) > max_program_size) {
    return invalid("the pattern needs " + std::to_string(re2.ProgramSize()) + " steps; the limit is " +
                   std::to_string(max_program_size));
  }
  return absl::OkStatus();
}

// (?<name>...), as others write it: this RE2 knows (?P<name>...) alone.
std::string with_known_groups(std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size();) {
    size_t end = i + 1;
    if (pattern[i] == '\\') {
      end = std::min(i + 2, pattern.size());
    } else if (pattern[i] == '[') {
      end = std::min(end_of_class(pattern, i), pattern.size());
    } else if (pattern.substr(i).starts_with("(?<")) {
      const char next = i + 3 < pattern.size() ? pattern[i + 3] : '=';
      out += next == '=' || next == '!' ? "(?" : "(?P";
      i += 2;
      continue;
    }
    out += pattern.substr(i, end - i);
    i = end;
  }
  return out;
}

std::unique_ptr<const re2::RE2> make_re2(std::string_view pattern) {
  if (pattern.find("(?<") != std::string_view::npos)
    return std::make_unique<const re2::RE2>(with_known_groups(pattern), re2_options());
  return std::make_unique<const re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), re2_options());
}

}  // namespace

Result<Regex> Regex::compile(std::string_view pattern, const Options& options) {
  Regex regex;
  Split split = split_literal(pattern);
  std::string_view rest = split.rest;
  if (rest == "$" || rest == ".*$" || rest == ".+$") rest.remove_suffix(1);
  if (rest.empty()) {
    regex.rest_ = Rest::kNothing;
    regex.prefix_ = std::move(split.literal);
    return regex;
  }
  if (rest == ".*") regex.rest_ = Rest::kAny;
  if (rest == ".+") regex.rest_ = Rest::kSome;

  std::shared_ptr<const re2::RE2> known;
  std::shared_ptr<const re2::RE2>& automaton =
      options.pool != nullptr ? options.pool->automata_[std::string(rest)] : known;
  if (automaton == nullptr) {
    automaton = make_re2(rest);
    if (Status status = check_program(*automaton, rest, options.max_program_size); !status.ok()) {
      automaton = nullptr;
      // Said of the whole pattern, as the reader knows it.
      Status whole = check_program(*make_re2(pattern), pattern, options.max_program_size);
      return whole.ok() ? status : whole;
    }
  }
  regex.automaton_ = automaton;
  regex.skip_ = split.literal.size();
  regex.prefix_ = std::move(split.literal);
  if (regex.prefix_.empty()) {
    // Every match lies between the two, so what they begin with in common every match begins with.
    std::string low;
    std::string high;
    if (automaton->PossibleMatchRange(&low, &high, kMaxPrefix)) {
      auto [end, unused] = std::mismatch(low.begin(), low.end(), high.begin(), high.end());
      regex.prefix_.assign(low.begin(), end);
    }
  }
  return regex;
}

bool Regex::full_match(std::string_view text) const noexcept {
  if (!text.starts_with(prefix_)) return false;
  std::string_view rest = text.substr(skip_);
  switch (rest_) {
    case Rest::kNothing:
      return text.size() == prefix_.size();
    case Rest::kAny:
      if (is_plain_text(rest)) return true;
      break;
    case Rest::kSome:
      if (rest.empty()) return false;
      if (is_plain_text(rest)) return true;
      break;
    case Rest::kAutomaton:
      break;
  }
  return automaton_->Match(re2::StringPiece(rest.data(), rest.size()), 0, rest.size(), re2::RE2::ANCHOR_BOTH, nullptr,
                           0);
}

namespace {
Status no_group() { return invalid("the pattern has no group, as (...)"); }
}  // namespace

RegexGroups::RegexGroups() = default;
RegexGroups::RegexGroups(RegexGroups&& other) noexcept = default;
RegexGroups& RegexGroups::operator=(RegexGroups&& other) noexcept = default;
RegexGroups::~RegexGroups() = default;

Result<RegexGroups> RegexGroups::compile(std::string_view pattern) {
  RegexGroups out;
  if (pattern.find("(?=") != std::string_view::npos || pattern.find("(?!") != std::string_view::npos) {
    auto script = ScriptRegex::compile(pattern);
    if (!script.ok()) return script.status();
    out.script_ = std::make_shared<const ScriptRegex>(std::move(*script));
    out.groups_ = std::min<size_t>(kMost, out.script_->groups());
    if (out.groups_ == 0) return no_group();
    return out;
  }
  out.automaton_ = make_re2(pattern);
  if (Status status = check_program(*out.automaton_, pattern, Regex::kDefaultMaxProgramSize); !status.ok())
    return status;
  if (out.automaton_->NumberOfCapturingGroups() < 1) return no_group();
  out.groups_ = std::min<size_t>(kMost, static_cast<size_t>(out.automaton_->NumberOfCapturingGroups()));
  return out;
}

bool RegexGroups::find(std::string_view text, std::string_view (&groups)[kMost]) const noexcept {
  if (script_ != nullptr) return script_->find(text, groups);
  re2::StringPiece found[kMost + 1];
  if (!automaton_->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(), re2::RE2::UNANCHORED, found,
                         static_cast<int>(groups_) + 1))
    return false;
  for (size_t i = 0; i < kMost; ++i) groups[i] = {found[i + 1].data(), found[i + 1].size()};
  return true;
}

RegexRewrite::RegexRewrite() = default;
RegexRewrite::RegexRewrite(RegexRewrite&& other) noexcept = default;
RegexRewrite& RegexRewrite::operator=(RegexRewrite&& other) noexcept = default;
RegexRewrite::~RegexRewrite() = default;

Result<RegexRewrite> RegexRewrite::build(const RegexRewriteSpec& spec) {
  if (spec.pattern.empty()) return invalid("pattern.regex: must not be empty");
  RegexRewrite rewrite;
  auto automaton = make_re2(spec.pattern);
  Status status = check_program(*automaton, spec.pattern, Regex::kDefaultMaxProgramSize);
  if (!status.ok()) return invalid("pattern.regex: " + message_of(status));
  const int groups = automaton->NumberOfCapturingGroups();
  rewrite.automaton_ = std::move(automaton);
  std::vector<Piece>& pieces = rewrite.pieces_;
  std::string literal;
  for (size_t i = 0; i < spec.substitution.size(); ++i) {
    char c = spec.substitution[i];
    if (c != '\\') {
      literal += c;
      continue;
    }
    char next = ++i < spec.substitution.size() ? spec.substitution[i] : '\0';
    if (next == '\\') {
      literal += '\\';
    } else if (next >= '0' && next <= '9') {
      if (next - '0' > groups) {
        return invalid("substitution: \\" + std::string(1, next) +
                       " names a group that the pattern does not have; it has " + std::to_string(groups));
      }
      pieces.push_back({std::move(literal), next - '0'});
      literal.clear();
    } else {
      return invalid("substitution: after \\ only a digit or another \\ may stand (character " + std::to_string(i) +
                     ")");
    }
  }
  if (!literal.empty()) pieces.push_back({std::move(literal), -1});
  return rewrite;
}

namespace {

// A text that grows in an arena.
class ArenaText {
 public:
  explicit ArenaText(Arena& arena, size_t expected) : arena_(arena), room_(expected) {
    data_ = arena.allocate_bytes(room_);
  }
  void append(std::string_view text) {
    if (text.empty()) return;
    if (room_ - size_ < text.size()) {
      room_ = std::max(room_ * 2, size_ + text.size());
      char* bigger = arena_.allocate_bytes(room_);
      std::memcpy(bigger, data_, size_);
      data_ = bigger;
    }
    std::memcpy(data_ + size_, text.data(), text.size());
    size_ += text.size();
  }
  std::string_view view() const { return {data_, size_}; }

 private:
  Arena& arena_;
  char* data_;
  size_t size_ = 0;
  size_t room_;
};

}  // namespace

std::string_view RegexRewrite::rewrite(std::string_view text, Arena& arena) const noexcept {
  constexpr int kGroups = 10;
  std::array<re2::StringPiece, kGroups> groups;
  const int wanted = std::min(kGroups, 1 + automaton_->NumberOfCapturingGroups());
  const re2::StringPiece whole(text.data(), text.size());
  const re2::RE2& re2 = *automaton_;
  size_t at = 0;
  if (!re2.Match(whole, at, text.size(), re2::RE2::UNANCHORED, groups.data(), wanted)) return text;

  ArenaText out(arena, text.size() + 64);
  size_t last_end = SIZE_MAX;
  while (true) {
    size_t begin = static_cast<size_t>(groups[0].data() - text.data());
    size_t end = begin + groups[0].size();
    out.append(text.substr(at, begin - at));
    if (begin == end && begin == last_end) {
      // An empty match right behind the last one does not count: go on behind the next byte.
      if (at == text.size()) break;
      out.append(text.substr(at, 1));
      ++at;
    } else {
      for (const Piece& piece : pieces_) {
        out.append(piece.literal);
        if (piece.group >= 0) {
          const re2::StringPiece& group = groups[static_cast<size_t>(piece.group)];
          out.append({group.data(), group.size()});
        }
      }
      at = end;
      last_end = end;
    }
    if (at > text.size() || !re2.Match(whole, at, text.size(), re2::RE2::UNANCHORED, groups.data(), wanted)) break;
  }
  if (at < text.size()) out.append(text.substr(at));
  return out.view();
}

}  // namespace weir::match
