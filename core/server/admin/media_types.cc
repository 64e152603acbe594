#include "core/server/admin/media_types.h"

#include <algorithm>

namespace weir::admin {
namespace {

std::string_view without_blanks(std::string_view text) {
  const size_t from = text.find_first_not_of(" \t");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

// Up to the separator, which goes too.
std::string_view take_part(std::string_view& rest, char separator) {
  const std::string_view part = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  return without_blanks(part);
}

bool same_word(std::string_view text, std::string_view lower_case) {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

// A weight in thousandths: "1", "0.5", "0.725". Nothing sensible: 0.
int weight_of(std::string_view text) {
  if (text.empty() || (text[0] != '0' && text[0] != '1') || text.size() > 5 || (text.size() > 1 && text[1] != '.'))
    return 0;
  int thousandths = (text[0] - '0') * 1000;
  int unit = 100;
  for (size_t i = 2; i < text.size(); ++i, unit /= 10) {
    if (text[i] < '0' || text[i] > '9') return 0;
    thousandths += (text[i] - '0') * unit;
  }
  return std::min(thousandths, 1000);
}

}  // namespace

bool prefers_prometheus_messages(std::string_view accept) {
  int messages = 0, plain = 0;
  bool messages_first = false;
  for (std::string_view rest = accept; !rest.empty();) {
    std::string_view item = take_part(rest, ',');
    const std::string_view type = take_part(item, ';');
    bool families = false, delimited = false;
    int weight = 1000;
    while (!item.empty()) {
      std::string_view value = take_part(item, ';');
      const std::string_view name = take_part(value, '=');
      value = without_blanks(value);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      if (same_word(name, "q")) weight = weight_of(value);
      families = families || (same_word(name, "proto") && value == "io.prometheus.client.MetricFamily");
      delimited = delimited || (same_word(name, "encoding") && value == "delimited");
    }
    if (same_word(type, "application/vnd.google.protobuf") && families && delimited) {
      if (weight > messages) {
        messages = weight;
        messages_first = plain < weight;
      }
    } else if (same_word(type, "text/plain") || same_word(type, "text/*") || same_word(type, "*/*")) {
      plain = std::max(plain, weight);
    }
  }
  return messages > plain || (messages > 0 && messages == plain && messages_first);
}

}  // namespace weir::admin
