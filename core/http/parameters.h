// Members of lists that may have parameters behind them: "text/html;level=1;q=0.5" (RFC 9110 5.6.6).
#pragma once

#include <cstddef>
#include <string_view>

#include "core/http/chars.h"

namespace weir::http {

// What it names: a media type, a coding.
constexpr std::string_view without_parameters(std::string_view member) {
  return trim_spaces(member.substr(0, member.find(';')));
}

// A weight in thousandths; -1 if it is none. RFC 9110 12.4.2: "0" or "1", with up to three decimals.
constexpr int parse_weight(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return -1;
  int weight = (text[0] - '0') * 1000;
  if (text.size() > 1 && text[1] != '.') return -1;
  int unit = 100;
  for (size_t i = 2; i < text.size(); ++i, unit /= 10) {
    if (text[i] < '0' || text[i] > '9') return -1;
    weight += (text[i] - '0') * unit;
  }
  return weight <= 1000 ? weight : -1;
}

}  // namespace weir::http
