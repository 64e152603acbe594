#include "core/server/admin/media_types.h"

#include <algorithm>

#include "core/http/chars.h"
#include "core/http/parameters.h"

namespace weir::admin {
namespace {

// Up to the separator, which goes too.
std::string_view take_part(std::string_view& rest, char separator) {
  const std::string_view part = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  return http::trim_spaces(part);
}

}  // namespace

bool prefers_prometheus_messages(std::string_view accept) {
  using http::equals_ignoring_case;
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
      value = http::trim_spaces(value);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      if (equals_ignoring_case(name, "q")) weight = std::max(0, http::parse_weight(value));
      families = families || (equals_ignoring_case(name, "proto") && value == "io.prometheus.client.MetricFamily");
      delimited = delimited || (equals_ignoring_case(name, "encoding") && value == "delimited");
    }
    if (equals_ignoring_case(type, "application/vnd.google.protobuf") && families && delimited) {
      if (weight > messages) {
        messages = weight;
        messages_first = plain < weight;
      }
    } else if (equals_ignoring_case(type, "text/plain") || equals_ignoring_case(type, "text/*") ||
               equals_ignoring_case(type, "*/*")) {
      plain = std::max(plain, weight);
    }
  }
  return messages > plain || (messages > 0 && messages == plain && messages_first);
}

}  // namespace weir::admin
