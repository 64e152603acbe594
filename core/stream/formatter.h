// Compiles a format with command operators ("%REQ(:METHOD)% %RESPONSE_CODE%") once, on main; appends the text of a
// stream to a buffer on workers, without heap allocation of its own. Operators as published; an unknown one or a wrong
// argument is an error that names it, its place and what is allowed.
//
// What peers sent is printed as it is, except that control bytes become \xNN (in JSON: what JSON asks for): one stream
// yields one line, whatever it sends.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/status.h"
#include "core/stats/escape.h"
#include "core/stream/stream_info.h"

namespace weir::stream {

// A growing text buffer that keeps its room. (std::string: clear() keeps capacity.)
using TextBuffer = std::string;

class Operator {
 public:
  virtual ~Operator() = default;
  // Appends the value; false if there is none (then "-" or nothing is printed by the caller). [worker]
  virtual bool append(const LogSubject& subject, TextBuffer& out) const = 0;
  // The value is always a number: alone in a JSON value it is printed without quotes.
  virtual bool numeric() const { return false; }
  // The value has a JSON type of its own: alone in a JSON value it is printed by append_json, whatever its length.
  virtual bool typed() const { return false; }
  virtual bool append_json(const LogSubject& /*subject*/, TextBuffer& /*out*/) const { return false; }
};

// Operators that plugins bring: asked before the built-in ones. nullptr: not one of mine. The argument is what stands
// between the parentheses; its data() is null if there are none. [main]
using OperatorSource =
    std::function<Result<std::unique_ptr<Operator>>(std::string_view name, std::string_view argument)>;

class Format {
 public:
  struct Options {
    bool omit_empty = false;   // absent values print nothing instead of "-"
    bool for_headers = false;  // the value of a header: absent values print nothing
    bool verbatim = false;     // no line of a log: control bytes are printed as they are, except in JSON
    const OperatorSource* source = nullptr;
  };
  // [main] Errors look like: `%REQQ(:METHOD)%: unknown operator (at character 1); did you mean REQ?` All of them are in
  // the status, with kNextFault between them.
  static Result<Format> compile(std::string_view text, const Options& options);
  // The published default access-log line, newline included.
  static const Format& default_access_log();

  void append(const LogSubject& subject, TextBuffer& out) const;
  // As a JSON value: a number, a typed operator's value, a string in quotes, or null if the format is one operator that
  // has no value.
  void append_json(const LogSubject& subject, TextBuffer& out) const;
  std::string_view source() const { return source_; }
  bool constant() const;  // no operators
  bool lone_operator() const { return parts_.size() == 1 && parts_[0].op != nullptr; }
  bool omits_empty() const { return omit_empty_; }

  Format() = default;
  Format(Format&&) = default;
  Format& operator=(Format&&) = default;

 private:
  struct Part {
    std::string text;  // printed as it is if op is null
    std::unique_ptr<Operator> op;
    size_t max_length = SIZE_MAX;
  };
  // False if the operator has no value; nothing is appended then.
  static bool append_part(const Part& part, const LogSubject& subject, TextBuffer& out);

  std::string source_;
  std::vector<Part> parts_;
  bool omit_empty_ = false;
  std::optional<stats::Escape> escape_ = stats::Escape::kLog;  // of what operators print
};

// A JSON object whose leaves are formats. Keys keep the order given; sort_keys() for those who want them sorted. A
// member whose format is one operator without a value is null, or left out if its format omits empty values.
class JsonFormat {
 public:
  struct Node {
    enum class Kind { kFormat, kNumber, kBool, kNull, kObject, kList } kind = Kind::kFormat;
    std::string key = {};
    Format format = {};        // kFormat; a lone numeric operator prints a number
    std::string literal = {};  // kNumber, kBool
    std::vector<Node> children = {};
  };
  explicit JsonFormat(Node root);
  // One line, newline included.
  void append(const LogSubject& subject, TextBuffer& out) const;

  static void sort_keys(Node& node);

 private:
  Node root_;  // keys are escaped already
};

// What a SubstitutionFormatString asks for.
using LineFormat = std::variant<Format, JsonFormat>;

// What a format prints, in the arena; never null. [worker]
std::string_view print(const Format& format, const LogSubject& subject, Arena& arena);
std::string_view print(const LineFormat& format, const LogSubject& subject, Arena& arena);

}  // namespace weir::stream
