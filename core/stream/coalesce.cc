// %COALESCE({"operators": [...]})%: the first of several operators that has a value.
#include <charconv>
#include <optional>
#include <vector>

#include "core/stream/operators.h"

namespace weir::stream {
namespace {

constexpr std::string_view kShape =
    "write it as in %COALESCE({\"operators\": [\"REQUESTED_SERVER_NAME\", {\"command\": \"REQ\", \"param\": "
    "\":authority\", \"max_length\": 50}]})%";

struct Choice {
  std::string command;
  std::optional<std::string> param;
  size_t max_length = SIZE_MAX;
};

// Reads the argument, which is JSON of this one shape. `what` becomes what is wrong.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  std::string what;

  bool read(std::vector<Choice>& choices) {
    bool seen = false;
    const bool done = object([&](const std::string& key) {
      if (key != "operators") return fail("\"" + key + "\" is no member of it; operators is");
      seen = true;
      return list([&] {
        Choice& choice = choices.emplace_back();
        return peek() == '"' ? string(choice.command) : operator_object(choice);
      });
    });
    if (!done) return false;
    if (peek() != '\0') return fail("there is more after its end");
    if (!seen || choices.empty()) return fail("operators is required: at least one");
    return true;
  }

 private:
  bool operator_object(Choice& choice) {
    const bool done = object([&](const std::string& key) {
      if (key == "command") return string(choice.command);
      if (key == "param") return string(choice.param.emplace());
      if (key == "max_length") return number(choice.max_length);
      return fail("\"" + key + "\" is no member of an operator; command, param and max_length are");
    });
    return done && (!choice.command.empty() || fail("an operator has no command"));
  }

  bool fail(std::string text) {
    if (what.empty()) what = std::move(text);
    return false;
  }
  bool not_json() { return fail("the argument is not the JSON that is needed"); }
  // '\0': nothing is left.
  char peek() {
    const size_t next = std::min(text_.find_first_not_of(" \t\r\n"), text_.size());
    text_.remove_prefix(next);
    return text_.empty() ? '\0' : text_.front();
  }
  bool take(char wanted) {
    if (peek() != wanted) return not_json();
    text_.remove_prefix(1);
    return true;
  }
  template <class Item>
  bool sequence(char open, char close, Item&& item) {
    if (!take(open)) return false;
    if (peek() == close) return take(close);
    while (true) {
      if (!item()) return false;
      if (peek() == close) return take(close);
      if (!take(',')) return false;
    }
  }
  template <class Item>
  bool list(Item&& item) {
    return sequence('[', ']', item);
  }
  template <class Member>
  bool object(Member&& member) {
    return sequence('{', '}', [&] {
      std::string key;
      return string(key) && take(':') && member(key);
    });
  }
  bool number(size_t& value) {
    peek();
    auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc()) return fail("max_length is a number");
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return true;
  }
  bool string(std::string& value) {
    if (!take('"')) return false;
    value.clear();
    while (!text_.empty() && text_.front() != '"') {
      char c = text_.front();
      text_.remove_prefix(1);
      if (c == '\\') {
        if (!escaped(c)) return false;
      }
      value += c;
    }
    return take('"');
  }
  // Names and arguments are ASCII; so is what an escape may stand for.
  bool escaped(char& c) {
    if (text_.empty()) return not_json();
    c = text_.front();
    text_.remove_prefix(1);
    if (c == '"' || c == '\\' || c == '/') return true;
    unsigned code = 0;
    const char* digits = text_.data();
    if (c != 'u' || text_.size() < 4 || std::from_chars(digits, digits + 4, code, 16).ptr != digits + 4 || code == 0 ||
        code > 0x7f) {
      return fail("an escape in a text may be \\\", \\\\, \\/ or \\u0001 to \\u007f");
    }
    text_.remove_prefix(4);
    c = static_cast<char>(code);
    return true;
  }

  std::string_view text_;
};

class Coalesce final : public Operator {
 public:
  struct Part {
    std::unique_ptr<Operator> op;
    size_t max_length;
  };
  explicit Coalesce(std::vector<Part> parts) : parts_(std::move(parts)) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    const size_t from = out.size();
    for (const Part& part : parts_) {
      if (part.op->append(subject, out) && out.size() > from) {
        if (out.size() - from > part.max_length) out.resize(from + part.max_length);
        return true;
      }
      out.resize(from);
    }
    return false;
  }

 private:
  std::vector<Part> parts_;
};

}  // namespace

Result<std::unique_ptr<Operator>> make_coalesce(const OperatorCall& call) {
  if (call.name != "COALESCE") return nullptr;
  std::vector<Choice> choices;
  Reader reader(call.argument);
  if (!reader.read(choices)) return operator_error(call, reader.what, kShape);
  std::vector<Coalesce::Part> parts;
  for (const Choice& choice : choices) {
    if (choice.command == "COALESCE") return operator_error(call, "COALESCE is none of the operators it may have");
    OperatorCall inner{choice.command, {}, call.text, call.place};
    if (choice.param) inner.argument = *choice.param;
    auto made = make_operator(inner);
    if (!made.ok()) return made.status();
    parts.push_back({std::move(*made), choice.max_length});
  }
  return std::make_unique<Coalesce>(std::move(parts));
}

}  // namespace weir::stream
