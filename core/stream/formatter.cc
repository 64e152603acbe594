#include "core/stream/formatter.h"

#include <algorithm>
#include <charconv>

#include "core/base/assert.h"
#include "core/base/fault_list.h"
#include "core/stream/operators.h"

namespace weir::stream {
namespace {

using stats::Escape;
using stats::escape_tail;

constexpr std::string_view kDefaultAccessLog =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% "
    "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" "
    "\"%UPSTREAM_HOST%\"\n";

bool is_name_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

Status syntax_error(std::string_view text, size_t at, std::string_view what) {
  return invalid("\"" + std::string(text.substr(at, 40)) + "\": " + std::string(what) + " (at character " +
                 std::to_string(at + 1) + ")");
}

// Reads the operator whose '%' is at `at`; `end` becomes the place after its last '%'.
// Where the ')' is; one that is quoted in JSON is a part of the argument.
size_t end_of_argument(std::string_view text, size_t begin) {
  if (!text.substr(begin).starts_with('{')) return text.find(')', begin);
  bool quoted = false;
  for (size_t i = begin; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == ')' && !quoted) {
      return i;
    }
  }
  return std::string_view::npos;
}

Status read_call(std::string_view text, size_t at, OperatorCall& call, size_t& max_length, size_t& end) {
  size_t i = at + 1;
  while (i < text.size() && is_name_character(text[i])) ++i;
  call.name = text.substr(at + 1, i - at - 1);
  call.place = at + 1;
  if (call.name.empty()) {
    return syntax_error(text, at, "the name of an operator must follow %, as in %PROTOCOL%; %% prints a percent sign");
  }
  call.argument = {};
  if (i < text.size() && text[i] == '(') {
    const size_t close = end_of_argument(text, i + 1);
    if (close == std::string_view::npos) return syntax_error(text, at, "\")\" is missing");
    call.argument = text.substr(i + 1, close - i - 1);
    i = close + 1;
  }
  max_length = SIZE_MAX;
  if (i < text.size() && text[i] == ':') {
    uint32_t length = 0;
    auto [stop, error] = std::from_chars(text.data() + i + 1, text.data() + text.size(), length);
    if (error != std::errc()) return syntax_error(text, at, "after \":\" comes the greatest length, a number");
    max_length = length;
    i = static_cast<size_t>(stop - text.data());
  }
  if (i >= text.size() || text[i] != '%') {
    return syntax_error(text, at, "the operator has no closing %; %% prints a percent sign");
  }
  end = i + 1;
  call.text = text.substr(at, end - at);
  return absl::OkStatus();
}

}  // namespace

Result<Format> Format::compile(std::string_view text, const Options& options) {
  Format format;
  format.source_ = text;
  format.omit_empty_ = options.omit_empty || options.for_headers;
  if (options.for_headers) format.escape_ = Escape::kField;
  if (options.verbatim) format.escape_.reset();
  std::string literal;
  auto flush = [&] {
    if (!literal.empty()) format.parts_.push_back({std::exchange(literal, {}), nullptr, SIZE_MAX});
  };
  std::string faults;
  const auto fault = [&](const Status& status) {
    if (!faults.empty()) faults += kNextFault;
    faults += message_of(status);
  };
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '%') {
      size_t percent = std::min(text.find('%', i), text.size());
      literal += text.substr(i, percent - i);
      i = percent;
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == '%') {
      literal += '%';
      i += 2;
      continue;
    }
    // The value of a header may be a password with a % in it: no part of it is repeated.
    if (options.for_headers && !(i + 1 < text.size() && text[i + 1] >= 'A' && text[i + 1] <= 'Z')) {
      fault(invalid("a % that begins no operator, as in %PROTOCOL% (at character " + std::to_string(i + 1) +
                    "); %% prints a percent sign"));
      ++i;
      continue;
    }
    OperatorCall call;
    Part part;
    if (Status read = read_call(text, i, call, part.max_length, i); !read.ok()) {
      fault(read);
      break;  // where the next operator begins is a guess
    }
    Result<std::unique_ptr<Operator>> made = nullptr;
    if (options.source != nullptr) made = (*options.source)(call.name, call.argument);
    if (made.ok() && *made == nullptr) made = make_operator(call);
    if (!made.ok()) {
      fault(made.status());
      continue;
    }
    flush();
    part.op = std::move(*made);
    format.parts_.push_back(std::move(part));
  }
  if (!faults.empty()) return invalid(faults);
  flush();
  return format;
}

const Format& Format::default_access_log() {
  static const Format* const format = [] {
    auto compiled = compile(kDefaultAccessLog, {});
    WEIR_CHECK(compiled.ok());
    return new Format(std::move(*compiled));
  }();
  return *format;
}

bool Format::append_part(const Part& part, const LogSubject& subject, TextBuffer& out) {
  size_t from = out.size();
  if (!part.op->append(subject, out)) {
    out.resize(from);
    return false;
  }
  if (out.size() - from > part.max_length) out.resize(from + part.max_length);
  return true;
}

void Format::append(const LogSubject& subject, TextBuffer& out) const {
  for (const Part& part : parts_) {
    if (part.op == nullptr) {
      out += part.text;
      continue;
    }
    size_t from = out.size();
    if (append_part(part, subject, out)) {
      if (!part.op->numeric() && escape_) escape_tail(out, from, *escape_);
    } else if (!omit_empty_) {
      out += '-';
    }
  }
}

void Format::append_json(const LogSubject& subject, TextBuffer& out) const {
  const bool lone = lone_operator();
  size_t from = out.size();
  if (lone && parts_[0].op->typed()) {
    if (parts_[0].op->append_json(subject, out)) return;
    out.resize(from);
    out += "null";
    return;
  }
  if (lone && parts_[0].op->numeric() && parts_[0].max_length == SIZE_MAX) {
    if (!append_part(parts_[0], subject, out)) out += "null";
    return;
  }
  out += '"';
  for (const Part& part : parts_) {
    if (part.op == nullptr) {
      out += part.text;
    } else if (!append_part(part, subject, out)) {
      if (lone) {
        out.resize(from);
        out += "null";
        return;
      }
      if (!omit_empty_) out += '-';
    }
  }
  escape_tail(out, from + 1, Escape::kJson);
  out += '"';
}

bool Format::constant() const {
  return std::all_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.op == nullptr; });
}

namespace {

using Node = JsonFormat::Node;

void escape_keys(Node& node) {
  escape_tail(node.key, 0, Escape::kJson);
  for (Node& child : node.children) escape_keys(child);
}

void append_node(const Node& node, const LogSubject& subject, TextBuffer& out);

void append_children(const Node& node, const LogSubject& subject, TextBuffer& out) {
  bool object = node.kind == Node::Kind::kObject;
  out += object ? '{' : '[';
  bool first = true;
  for (const Node& child : node.children) {
    size_t before = out.size();
    if (!first) out += ',';
    if (object) ((out += '"') += child.key) += "\":";
    size_t from = out.size();
    append_node(child, subject, out);
    // Only a format's own null is left out; one that the configuration asks for stays.
    if (child.kind == Node::Kind::kFormat && child.format.omits_empty() &&
        std::string_view(out).substr(from) == "null") {
      out.resize(before);
      continue;
    }
    first = false;
  }
  out += object ? '}' : ']';
}

void append_node(const Node& node, const LogSubject& subject, TextBuffer& out) {
  switch (node.kind) {
    case Node::Kind::kFormat:
      node.format.append_json(subject, out);
      return;
    case Node::Kind::kNumber:
    case Node::Kind::kBool:
      out += node.literal;
      return;
    case Node::Kind::kNull:
      out += "null";
      return;
    case Node::Kind::kObject:
    case Node::Kind::kList:
      append_children(node, subject, out);
      return;
  }
}

}  // namespace

JsonFormat::JsonFormat(Node root) : root_(std::move(root)) { escape_keys(root_); }

void JsonFormat::append(const LogSubject& subject, TextBuffer& out) const {
  append_node(root_, subject, out);
  out += '\n';
}

void JsonFormat::sort_keys(Node& node) {
  if (node.kind == Node::Kind::kObject) {
    std::stable_sort(node.children.begin(), node.children.end(),
                     [](const Node& a, const Node& b) { return a.key < b.key; });
  }
  for (Node& child : node.children) sort_keys(child);
}

namespace {

// Where texts are put together before they move to an arena. Keeps its room.
thread_local TextBuffer printed;

template <class AnyFormat>
std::string_view print_into(Arena& arena, const AnyFormat& format, const LogSubject& subject) {
  printed.clear();
  format.append(subject, printed);
  return arena.copy_or_empty(printed);
}

}  // namespace

std::string_view print(const Format& format, const LogSubject& subject, Arena& arena) {
  return print_into(arena, format, subject);
}

std::string_view print(const LineFormat& format, const LogSubject& subject, Arena& arena) {
  return std::visit([&](const auto& one) { return print_into(arena, one, subject); }, format);
}

}  // namespace weir::stream
