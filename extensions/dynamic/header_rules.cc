#include "extensions/dynamic/header_rules.h"

#include "core/http/chars.h"
#include "weir/plugin.h"

namespace weir::extensions::dynamic {
namespace {

constexpr size_t kMaxName = 1024;
constexpr size_t kMaxValue = 1 << 20;

bool is_value(std::string_view value) {
  return value.size() <= kMaxValue && http::all_chars(value, http::kFieldChar) &&
         http::trim_spaces(value).size() == value.size();
}

// The value of a pseudo-header goes into the first line of a message, where a space is a delimiter.
bool is_pseudo_value(std::string_view name, std::string_view value) {
  if (value.empty() || value.size() > kMaxValue) return false;
  if (name == ":status") {
    return value.size() == 3 && value[0] >= '2' && value[0] <= '5' && value[1] >= '0' && value[1] <= '9' &&
           value[2] >= '0' && value[2] <= '9';
  }
  if (name == ":method") return http::is_token(value);
  if (name == ":scheme") return value == "http" || value == "https";
  if (name == ":path") return (value[0] == '/' || value == "*") && http::all_chars(value, http::kTargetChar);
  if (name == ":authority") return http::all_chars(value, http::kTargetChar);
  return false;
}

}  // namespace

int32_t check_set(const http::HeaderMap& map, std::string_view name, std::string_view value) {
  if (!name.empty() && name[0] == ':') {
    if (!is_pseudo_value(name, value)) return WEIR_INVALID;
    return map.contains(http::HeaderName(name)) ? WEIR_OK : WEIR_ABSENT;
  }
  return check_add(name, value);
}

int32_t check_add(std::string_view name, std::string_view value) {
  if (name.size() > kMaxName || value.size() > kMaxValue) return WEIR_LIMIT;
  return http::is_token(name) && is_value(value) ? WEIR_OK : WEIR_INVALID;
}

int32_t check_remove(std::string_view name) {
  if (name.size() > kMaxName) return WEIR_LIMIT;
  return http::is_token(name) ? WEIR_OK : WEIR_INVALID;
}

}  // namespace weir::extensions::dynamic
