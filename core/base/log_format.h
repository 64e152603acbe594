// How a line of the process log looks: a pattern of %-flags, as published.
#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace weir::log {

// What one line is made of.
struct Line {
  timespec time{};  // since 1970
  std::string_view level;
  std::string_view component;
  std::string_view text;
  std::string_view file;  // of the source, below the root of the tree; empty: not known, as of plugins
  int source_line = 0;
  std::string_view function;
  long thread = 0;
  bool colour = false;  // the destination is a terminal
};

// [immutable]
class LineFormat {
 public:
  // As published, less the place in the source.
  static constexpr std::string_view kDefault = "[%Y-%m-%d %T.%e][%t][%l][%n] %v";

  // Flags: %a %A %b %B %h %c %C %y %Y %m %d %D %x %H %I %M %S %p %r %R %T %X %e %f %F %z %E (time, UTC), %l %L (level),
  // %n (component), %t %P (thread, process), %g %s %# %! %@ (the place in the source: path, file, line, function, file
  // and line; nothing where it is not known), %v (text), %_ (text, line breaks escaped), %j (text as the inside of a
  // JSON string), %^ %$ (colour on, off), %%. Anything else is an error that names it. `escape`: %v is %_.
  static Result<LineFormat> compile(std::string_view pattern, bool escape = false);
  // Without the newline. [any]
  void append(const Line& line, std::string& out) const;

 private:
  struct Piece {
    char flag = 0;  // 0: literal
    std::string literal;
  };
  std::vector<Piece> pieces_;
};

}  // namespace weir::log
