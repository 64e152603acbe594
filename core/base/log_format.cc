#include "core/base/log_format.h"

#include <unistd.h>

#include <cstdio>

namespace weir::log {
namespace {

constexpr std::string_view kFlags = "aAbBhcCyYmdDxHIMSprRTXeFfzElLntPgs#!@v_j^$%";

void append_number(std::string& out, long number, int digits) {
  char text[24];
  int size = snprintf(text, sizeof(text), "%0*ld", digits, number);
  out.append(text, static_cast<size_t>(size));
}

void append_time(std::string& out, const tm& time, char flag) {
  // The locale is always "C". %C is the year of the century here, and that of the library the century.
  const char format[] = {'%', flag == 'C' ? 'y' : flag, '\0'};
  char text[64];
  out.append(text, strftime(text, sizeof(text), format, &time));
}

// Control characters as \n, \r, \t or \xNN (in JSON \u00NN).
void append_escaped(std::string& out, std::string_view text, bool json) {
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (json && (c == '"' || c == '\\')) {
      (out += '\\') += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char code[8];
      snprintf(code, sizeof(code), json ? "\\u%04x" : "\\x%02x", static_cast<unsigned char>(c));
      out += code;
    } else {
      out += c;
    }
  }
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string_view colour_of(std::string_view level) {
  if (level == "error" || level == "critical") return "\033[31;1m";
  if (level == "warning") return "\033[33;1m";
  if (level == "info") return "\033[32m";
  return "\033[36m";
}

}  // namespace

Result<LineFormat> LineFormat::compile(std::string_view pattern, bool escape) {
  LineFormat format;
  std::string literal;
  auto end_literal = [&] {
    if (!literal.empty()) format.pieces_.push_back({0, std::exchange(literal, {})});
  };
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      literal += pattern[i];
      continue;
    }
    if (++i == pattern.size()) return invalid("ends with a single %; %% prints a percent sign");
    char flag = pattern[i];
    std::string shown = std::string("%") + flag;
    if (kFlags.find(flag) == std::string_view::npos) {
      std::string all;
      for (char c : kFlags) (all += " %") += c;
      return invalid(shown + " is not one of" + all);
    }
    if (flag == '%') {
      literal += '%';
      continue;
    }
    end_literal();
    format.pieces_.push_back({escape && flag == 'v' ? '_' : flag, {}});
  }
  end_literal();
  return format;
}

void LineFormat::append(const Line& line, std::string& out) const {
  tm utc{};
  gmtime_r(&line.time.tv_sec, &utc);
  for (const Piece& piece : pieces_) {
    switch (piece.flag) {
      case 0:
        out += piece.literal;
        break;
      case 'a':
      case 'A':
      case 'b':
      case 'B':
      case 'h':
      case 'c':
      case 'C':
      case 'y':
      case 'Y':
      case 'm':
      case 'd':
      case 'D':
      case 'x':
      case 'H':
      case 'I':
      case 'M':
      case 'S':
      case 'p':
      case 'r':
      case 'R':
      case 'T':
      case 'X':
        append_time(out, utc, piece.flag);
        break;
      case 'e':
        append_number(out, line.time.tv_nsec / 1'000'000, 3);
        break;
      case 'f':
        append_number(out, line.time.tv_nsec / 1000, 6);
        break;
      case 'F':
        append_number(out, line.time.tv_nsec, 9);
        break;
      case 'z':
        out += "+00:00";
        break;
      case 'E':
        append_number(out, line.time.tv_sec, 1);
        break;
      case 'l':
        out += line.level;
        break;
      case 'L':
        out += static_cast<char>(line.level[0] - 'a' + 'A');
        break;
      case 'n':
        out += line.component;
        break;
      case 't':
        append_number(out, line.thread, 1);
        break;
      case 'P':
        append_number(out, getpid(), 1);
        break;
      case 'g':
        out += line.file;
        break;
      case 's':
        out += file_name(line.file);
        break;
      case '#':
        if (line.source_line > 0) append_number(out, line.source_line, 1);
        break;
      case '!':
        out += line.function;
        break;
      case '@':
        if (line.source_line == 0) break;
        (out += file_name(line.file)) += ':';
        append_number(out, line.source_line, 1);
        break;
      case 'v':
        out += line.text;
        break;
      case '_':
      case 'j':
        append_escaped(out, line.text, piece.flag == 'j');
        break;
      case '^':
        if (line.colour) out += colour_of(line.level);
        break;
      case '$':
        if (line.colour) out += "\033[0m";
        break;
      default:
        break;
    }
  }
}

}  // namespace weir::log
