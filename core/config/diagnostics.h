// What is wrong with a configuration, every finding with its place. Collects; never prints and never stops anyone.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir::config {

class PositionIndex;
class SourceLines;

enum class Severity { kError, kWarning };

struct Diagnostic {
  std::string file;
  int line = 0;      // from 1; 0 when the finding has no place in a file (a resource that came over xDS)
  int column = 0;    // from 1, counted in characters
  std::string path;  // static_resources.listeners[0].filter_chains[0].filters[0].name
  Severity severity = Severity::kError;
  std::string message;  // the whole sentence, hint included: unknown field; did you mean stat_prefix?
  std::string found;    // what the file says, shortened; empty when it may be a secret
  std::string allowed;  // what it may say
  std::string hint;     // what to do about it
  std::string rule;     // of weir lint; empty: found otherwise
  // About what weir has not got, by the table of fields: that is so whatever else is wrong.
  bool unsupported = false;

  // What its name was meant for is missing beside it.
  bool is_misnamed_field() const { return message.starts_with("unknown field"); }
};

class Diagnostics {
 public:
  // Control characters in its texts, and what is not UTF-8, become escapes. A message of several faults of one value
  // (kNextFault) becomes several; one that says "at character N" of the value is shown to stand there.
  void add(Diagnostic diagnostic);

  // Until keep() is called, what is an error becomes a warning, with this behind it: something goes on as it was.
  void demote(std::string consequence) { consequence_ = std::move(consequence); }
  void keep() { consequence_.clear(); }
  bool demotes() const { return !consequence_.empty(); }
  size_t demoted() const { return demoted_; }
  // Of these, so many are about a part that goes on as it was while what it is a part of is a new one.
  void make_up(size_t count) { made_up_for_ += count; }
  size_t made_up_for() const { return made_up_for_; }

  bool has_errors() const { return errors_ != 0; }
  size_t errors() const { return errors_; }
  size_t warnings() const { return warnings_; }
  // An error is about no field: the text could not be read, or not to its end. Or there are more errors than are kept.
  // Either way nobody can tell what is wrong besides and what only follows.
  bool unreadable() const { return unreadable_; }
  // In the order they were found, which is not the order of the file. At most kKept of them; the counts go on.
  const std::vector<Diagnostic>& items() const { return items_; }
  // Takes out those from number `first` on that only follow from an error in front of it: a second one about the same
  // field or the message it is in, and one about what is missing where something was misspelt.
  void drop_consequences(size_t first, const PositionIndex& positions);

  // One line each in the order of the file, "file:line:col: error: path: message", then "5 errors, 1 warning".
  // Long paths lose their middle (short_path()). Empty when there is nothing to say.
  std::string text() const;
  // The same as a JSON array of objects.
  std::string json() const;
  // "path: message" of the errors, joined by "; ": what a NACK tells the control plane.
  std::string nack_text() const;

  static constexpr size_t kKept = 1000;  // errors, and warnings

 private:
  std::vector<const Diagnostic*> in_file_order() const;  // each mistake once
  void point_inside(Diagnostic& diagnostic);

  std::vector<Diagnostic> items_;
  size_t errors_ = 0;
  size_t warnings_ = 0;
  size_t kept_errors_ = 0;  // of items_
  size_t kept_warnings_ = 0;
  size_t demoted_ = 0;
  size_t made_up_for_ = 0;
  std::shared_ptr<SourceLines> source_;  // of the file that was last looked into
  std::string consequence_;              // empty: errors are errors
  bool unreadable_ = false;              // an error without a path
};

// A path as people read it beside a line number: "listeners[0]...routes[2].route.cluster".
std::string short_path(std::string_view path);

// Text that came from a file, made fit for a message: control characters escaped, shortened, quoted unless it is a
// word.
std::string shown(std::string_view text);
// The same, quoted always: names read better so.
std::string in_quotes(std::string_view text);

}  // namespace weir::config
