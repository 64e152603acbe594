#include "core/config/diagnostics.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <set>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "core/base/fault_list.h"
#include "core/base/utf8.h"
#include "core/config/position_index.h"
#include "core/config/source_lines.h"

namespace weir::config {
namespace {

constexpr size_t kShownBytes = 60;

std::string counted(size_t n, const char* word) { return std::to_string(n) + " " + word + (n == 1 ? "" : "s"); }

void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          char buffer[8];
          std::snprintf(buffer, sizeof buffer, "\\u%04x", static_cast<unsigned>(c));
          out += buffer;
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

// One finding is one line of valid text, whatever it quotes from a file or from the network, and wherever that was cut.
void make_printable(std::string& text) {
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  if (std::none_of(text.begin(), text.end(), [&](char c) {
        return is_control(static_cast<unsigned char>(c)) || static_cast<unsigned char>(c) >= 0x80;
      })) {
    return;
  }
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t length = utf8_length(std::string_view(text).substr(i));
    // U+0080 to U+009F are control characters too, and terminals obey some.
    const bool escaped = is_control(c) || length == 0 || (c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0);
    if (!escaped) {
      out.append(text, i, length);
    } else if (c == '\n' || c == '\t' || c == '\r') {
      out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r";
    } else {
      for (size_t k = i; k < i + std::max<size_t>(length, 1); ++k) {
        char buffer[8];
        std::snprintf(buffer, sizeof buffer, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(text[k])));
        out += buffer;
      }
    }
    i += std::max<size_t>(length, 1);
  }
  text = std::move(out);
}

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-+.:/").find(c) != std::string_view::npos;
  });
}

}  // namespace

void Diagnostics::add(Diagnostic diagnostic) {
  if (const size_t end = diagnostic.message.find(kNextFault); end != std::string::npos) {
    Diagnostic rest = diagnostic;
    rest.message.erase(0, end + 1);
    diagnostic.message.resize(end);
    add(std::move(diagnostic));
    add(std::move(rest));
    return;
  }
  if (diagnostic.severity == Severity::kError && !consequence_.empty()) {
    ++demoted_;
    diagnostic.severity = Severity::kWarning;
    diagnostic.message += "; " + consequence_;
  }
  const bool error = diagnostic.severity == Severity::kError;
  (error ? errors_ : warnings_)++;
  // However many warnings there are, errors are heard.
  size_t& kept = error ? kept_errors_ : kept_warnings_;
  unreadable_ = unreadable_ || (error && (diagnostic.path.empty() || kept == kKept));
  if (kept < kKept) {
    ++kept;
    for (std::string* text :
         {&diagnostic.path, &diagnostic.message, &diagnostic.found, &diagnostic.allowed, &diagnostic.hint}) {
      make_printable(*text);
    }
    point_inside(diagnostic);
    items_.push_back(std::move(diagnostic));
  }
}

// "...: unknown operator (at character 17)": there, if the text stands in the file as it is read.
void Diagnostics::point_inside(Diagnostic& diagnostic) {
  constexpr std::string_view kPlace = "at character ";
  const size_t at = diagnostic.message.rfind(kPlace);
  if (at == std::string::npos || diagnostic.line == 0) return;
  size_t character = 0;
  const char* const begin = diagnostic.message.data() + at + kPlace.size();
  const auto [end, error] = std::from_chars(begin, diagnostic.message.data() + diagnostic.message.size(), character);
  if (error != std::errc() || character == 0) return;
  if (source_ == nullptr || source_->name() != diagnostic.file)
    source_ = std::make_shared<SourceLines>(diagnostic.file);
  const Place start{static_cast<uint32_t>(diagnostic.line), static_cast<uint32_t>(diagnostic.column)};
  if (const auto place = source_->inside(start, character - 1)) {
    diagnostic.line = static_cast<int>(place->line);
    diagnostic.column = static_cast<int>(place->column);
  }
}

void Diagnostics::drop_consequences(size_t first, const PositionIndex& positions) {
  std::unordered_set<std::string_view> broken;          // paths with an error in front of `first`
  std::unordered_set<std::string_view> broken_parents;  // and what they are in
  std::unordered_set<std::string_view> misnamed_in;     // those with a field of another name than was meant
  for (size_t i = 0; i < std::min(first, items_.size()); ++i) {
    if (items_[i].severity == Severity::kError) {
      broken.insert(items_[i].path);
      broken_parents.insert(parent_path(items_[i].path));
      if (items_[i].is_misnamed_field()) misnamed_in.insert(parent_path(items_[i].path));
    }
  }
  if (broken.empty()) return;
  // By whoever knows only the message that a field is in.
  const auto said_inside = [&](const Diagnostic& item) {
    return std::any_of(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(std::min(first, items_.size())),
                       [&](const Diagnostic& before) {
                         return before.severity == item.severity && before.message == item.message &&
                                before.path.starts_with(item.path + ".");
                       });
  };
  const auto follows = [&](const Diagnostic& item) {
    if (broken.contains(item.path) || said_inside(item)) return true;
    // What a message lacks because one of its fields could not be read. That weir does not support it is news.
    if (item.severity == Severity::kError && !item.unsupported && broken_parents.contains(item.path)) return true;
    const std::string_view absent = first_absent(positions, item.path);
    if (absent.empty()) return false;
    bool found = broken_parents.contains(parent_path(item.path)) || misnamed_in.contains(parent_path(absent));
    for (std::string_view around = parent_path(item.path); !found && !around.empty(); around = parent_path(around))
      found = broken.contains(around);
    return found;
  };
  const auto rest = std::remove_if(items_.begin() + static_cast<ptrdiff_t>(std::min(first, items_.size())),
                                   items_.end(), [&](const Diagnostic& item) {
                                     const bool drop = follows(item);
                                     const bool error = item.severity == Severity::kError;
                                     (error ? errors_ : warnings_) -= drop ? 1 : 0;
                                     (error ? kept_errors_ : kept_warnings_) -= drop ? 1 : 0;
                                     return drop;
                                   });
  items_.erase(rest, items_.end());
}

std::vector<const Diagnostic*> Diagnostics::in_file_order() const {
  // Files stay in the order in which they were first spoken of.
  std::vector<std::string_view> files;
  std::vector<std::pair<size_t, const Diagnostic*>> ranked;
  for (const Diagnostic& item : items_) {
    auto at = std::find(files.begin(), files.end(), item.file);
    if (at == files.end()) {
      at = files.insert(files.end(), item.file);
    }
    ranked.emplace_back(static_cast<size_t>(at - files.begin()), &item);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, a.second->line, a.second->column) < std::tie(b.first, b.second->line, b.second->column);
  });
  std::vector<const Diagnostic*> out;
  std::set<std::tuple<std::string_view, int, int, std::string_view, std::string_view>> said;
  for (const auto& [rank, item] : ranked) {
    // What an alias brings to several places is one mistake: of one field, at one place.
    const std::string_view field = std::string_view(item->path).substr(parent_path(item->path).size());
    if (item->line > 0 && !said.emplace(item->file, item->line, item->column, field, item->message).second) continue;
    out.push_back(item);
  }
  return out;
}

std::string Diagnostics::text() const {
  std::string out;
  size_t errors = errors_ - kept_errors_;
  size_t warnings = warnings_ - kept_warnings_;
  for (const Diagnostic* item : in_file_order()) {
    (item->severity == Severity::kError ? errors : warnings)++;
    out += item->file;
    if (item->line > 0) {
      out += ":" + std::to_string(item->line) + ":" + std::to_string(item->column);
    }
    if (!out.empty() && out.back() != '\n') {
      out += ": ";
    }
    out += item->severity == Severity::kError ? "error: " : "warning: ";
    if (!item->path.empty()) {
      out += short_path(item->path) + ": ";
    }
    out += item->message + "\n";
  }
  if (errors + warnings == 0) {
    return out;
  }
  if (errors_ + warnings_ > items_.size()) {
    out += "(" + std::to_string(errors_ + warnings_ - items_.size()) + " more are not shown)\n";
  }
  if (errors > 0) {
    out += counted(errors, "error");
  }
  if (warnings > 0) {
    out += (errors > 0 ? ", " : "") + counted(warnings, "warning");
  }
  return out + "\n";
}

std::string Diagnostics::json() const {
  std::string out = "[";
  for (const Diagnostic* item : in_file_order()) {
    out += out.size() > 1 ? ",\n {" : "\n {";
    out += "\"file\": ";
    append_json(out, item->file);
    out += ", \"line\": " + std::to_string(item->line) + ", \"column\": " + std::to_string(item->column);
    const std::pair<const char*, std::string_view> texts[] = {
        {"path", item->path},       {"severity", item->severity == Severity::kError ? "error" : "warning"},
        {"message", item->message}, {"found", item->found},
        {"allowed", item->allowed}, {"hint", item->hint}};
    for (const auto& [name, value] : texts) {
      out += std::string(", \"") + name + "\": ";
      append_json(out, value);
    }
    if (!item->rule.empty()) {
      out += ", \"rule\": ";
      append_json(out, item->rule);
    }
    out += "}";
  }
  if (errors_ + warnings_ > items_.size()) {
    out += ",\n {\"severity\": \"" + std::string(errors_ > kept_errors_ ? "error" : "warning") + "\", \"message\": \"" +
           std::to_string(errors_ - kept_errors_) + " errors and " + std::to_string(warnings_ - kept_warnings_) +
           " warnings more are not listed\"}";
  }
  return out + "\n]\n";
}

std::string Diagnostics::nack_text() const {
  std::string out;
  for (const Diagnostic& item : items_) {
    if (item.severity != Severity::kError) {
      continue;
    }
    if (!out.empty()) {
      out += "; ";
    }
    if (!item.path.empty()) {
      out += item.path + ": ";
    }
    out += item.message;
  }
  return out;
}

std::string short_path(std::string_view path) {
  constexpr std::string_view kPrefix = "static_resources.";
  constexpr size_t kWhole = 4;  // steps of a path that is shown whole
  constexpr size_t kTail = 3;
  if (path.starts_with(kPrefix)) {
    path.remove_prefix(kPrefix.size());
  }
  std::vector<size_t> dots;
  bool quoted = false;
  for (size_t i = 0; i < path.size(); ++i) {
    quoted = quoted != (path[i] == '"');
    if (path[i] == '.' && !quoted) {
      dots.push_back(i);
    }
  }
  std::string out(path);
  if (dots.size() >= kWhole) {
    out = std::string(path.substr(0, dots.front())) + "..." + std::string(path.substr(dots[dots.size() - kTail] + 1));
  }
  // Of a long key, its last word: ["...HttpProtocolOptions"].
  constexpr size_t kLongKey = 32;
  const size_t open = out.find("[\"");
  const size_t close = open == std::string::npos ? open : out.find("\"]", open);
  if (close != std::string::npos && close - open > kLongKey) {
    const size_t dot = out.rfind('.', close);
    if (dot != std::string::npos && dot > open) {
      out.replace(open + 2, dot + 1 - (open + 2), "...");
    }
  }
  return out;
}

std::string shown(std::string_view text) {
  return text.size() <= kShownBytes && is_word(text) ? std::string(text) : in_quotes(text);
}

std::string in_quotes(std::string_view text) {
  std::string out;
  size_t end = text.size();
  if (end > kShownBytes) {
    end = kShownBytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
      --end;  // not inside a character
    }
  }
  append_json(out, text.substr(0, end));
  return end < text.size() ? out + "..." : out;
}

}  // namespace weir::config
