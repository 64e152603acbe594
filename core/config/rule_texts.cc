#include "core/config/rule_texts.h"

#include <absl/strings/ascii.h>
#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>

namespace weir::config {
namespace {

bool is_token_char(char c) {
  return absl::ascii_isalnum(c) || std::string_view("!#$%&'*+-.^_|~`").find(c) != std::string_view::npos;
}

}  // namespace

bool is_header_name(std::string_view text) {
  const std::string_view name = text.substr(text.starts_with(':') ? 1 : 0);
  return !name.empty() && std::all_of(name.begin(), name.end(), is_token_char);
}

int ip_version(std::string_view text) {
  unsigned char bytes[16];
  const std::string copy(text);
  return inet_pton(AF_INET, copy.c_str(), bytes) == 1 ? 4 : inet_pton(AF_INET6, copy.c_str(), bytes) == 1 ? 6 : 0;
}

std::string number_text(double number, bool seconds) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%.15g", number);
  return std::string(buffer) + (seconds ? "s" : "");
}

std::string range_text(const std::vector<RuleRow>& rows, bool seconds) {
  std::string low, high;
  for (const RuleRow& row : rows) {
    const std::string number = number_text(row.number, seconds);
    switch (row.check) {
      case Check::kAtLeast:
        low = "at least " + number;
        break;
      case Check::kAbove:
        low = "more than " + number;
        break;
      case Check::kAtMost:
        high = "at most " + number;
        break;
      case Check::kBelow:
        high = "less than " + number;
        break;
      default:
        break;
    }
  }
  if (low.starts_with("at least ") && high.starts_with("at most ")) {
    return low.substr(9) + " to " + high.substr(8);
  }
  return low.empty() ? high : high.empty() ? low : low + " and " + high;
}

std::string text_fault(const RuleRow& row, std::string_view text) {
  const auto any_of = [&](auto predicate) { return std::any_of(text.begin(), text.end(), predicate); };
  switch (row.check) {
    case Check::kMinLength:
      return text.size() < row.number ? "has " + std::to_string(text.size()) + " bytes; at least " +
                                            number_text(row.number, false) + " are needed"
                                      : "";
    case Check::kMaxBytes:
      return text.size() > row.number ? "has " + std::to_string(text.size()) + " bytes; at most " +
                                            number_text(row.number, false) + " are allowed"
                                      : "";
    case Check::kHeaderName:
      return !text.empty() && !is_header_name(text) ? "is not a header name" : "";
    case Check::kHeaderValue:
      return any_of([](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; })
                 ? "holds a control character"
                 : "";
    case Check::kOneLine:
      return any_of([](char c) { return c == '\0' || c == '\r' || c == '\n'; }) ? "holds a line break or NUL" : "";
    case Check::kIpAddress:
      if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
        return "holds the length of the prefix too; write address_prefix: " + std::string(text.substr(0, slash)) +
               " and prefix_len: " + std::string(text.substr(slash + 1));
      }
      return ip_version(text) == 0 ? "is not an IP address" : "";
    case Check::kPathPrefix:
      if (any_of([](char c) { return c == '?' || c == '#'; })) {
        return "holds a ? or #";
      }
      return text.size() < 2 || text.back() == '/' ? "ends in a slash or is too short; write /api, not /api/" : "";
    case Check::kOneOf: {
      const std::string list = "," + std::string(row.texts) + ",";
      if (list.find("," + std::string(text) + ",") != std::string::npos && text.find(',') == std::string_view::npos) {
        return "";
      }
      std::string names = row.texts;
      for (size_t i = 0; (i = names.find(',', i)) != std::string::npos; i += 2) {
        names.replace(i, 1, ", ");
      }
      return "is not one of " + names;
    }
    default:
      return "";
  }
}

}  // namespace weir::config
