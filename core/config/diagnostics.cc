#include "core/config/diagnostics.h"

#include <algorithm>
#include <cstdio>
#include <tuple>
#include <utility>

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

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-+.:/").find(c) != std::string_view::npos;
  });
}

}  // namespace

void Diagnostics::add(Diagnostic diagnostic) {
  (diagnostic.severity == Severity::kError ? errors_ : warnings_)++;
  if (items_.size() < kKept) {
    items_.push_back(std::move(diagnostic));
  }
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
    return std::tuple(a.first, a.second->line, a.second->column) <
           std::tuple(b.first, b.second->line, b.second->column);
  });
  std::vector<const Diagnostic*> out;
  for (const auto& [rank, item] : ranked) {
    out.push_back(item);
  }
  return out;
}

std::string Diagnostics::text() const {
  std::string out;
  for (const Diagnostic* item : in_file_order()) {
    out += item->file;
    if (item->line > 0) {
      out += ":" + std::to_string(item->line) + ":" + std::to_string(item->column);
    }
    if (!out.empty() && out.back() != '\n') {
      out += ": ";
    }
    out += item->severity == Severity::kError ? "error: " : "warning: ";
    if (!item->path.empty()) {
      out += item->path + ": ";
    }
    out += item->message + "\n";
  }
  if (errors_ + warnings_ == 0) {
    return out;
  }
  if (errors_ + warnings_ > items_.size()) {
    out += "(the first " + std::to_string(items_.size()) + " are shown)\n";
  }
  if (errors_ > 0) {
    out += counted(errors_, "error");
  }
  if (warnings_ > 0) {
    out += (errors_ > 0 ? ", " : "") + counted(warnings_, "warning");
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

std::string shown(std::string_view text) {
  if (text.size() <= kShownBytes && is_word(text)) {
    return std::string(text);
  }
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
