#include "core/http/query.h"

#include <algorithm>
#include <utility>

#include "core/http/chars.h"

namespace weir::http {
namespace {

// Keep their room; one per thread.
thread_local std::string taken_query;
thread_local std::string previous_query;
thread_local std::string decoded_value;

// Takes the first parameter off `query`, without its "&".
std::string_view take_parameter(std::string_view& query) {
  size_t end = query.find('&');
  std::string_view one = query.substr(0, end);
  query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
  return one;
}

// Takes the first byte off `text`, which %XX spells too.
char take_decoded(std::string_view& text) {
  if (text[0] == '%' && text.size() > 2) {
    const int high = hex_value(text[1]);
    const int low = hex_value(text[2]);
    if (high >= 0 && low >= 0) {
      text.remove_prefix(3);
      return static_cast<char>(high * 16 + low);
    }
  }
  const char plain = text[0];
  text.remove_prefix(1);
  return plain;
}

bool is_named(std::string_view parameter, std::string_view name) {
  parameter = parameter.substr(0, parameter.find('='));
  for (char c : name) {
    if (parameter.empty() || take_decoded(parameter) != c) return false;
  }
  return parameter.empty();
}

void append_encoded(std::string_view text, std::string& out) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  for (char c : text) {
    if (is_char(c, kUnreservedChar)) {
      out += c;
    } else {
      auto byte = static_cast<unsigned char>(c);
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
}

// A path as it is divided here: a fragment, which no request should have, stays behind whatever the query becomes.
struct Parts {
  explicit Parts(std::string_view whole) {
    const size_t fragment_at = std::min(whole.find('#'), whole.size());
    fragment = whole.substr(fragment_at);
    path = whole.substr(0, fragment_at);
    const size_t query_at = path.find('?');
    if (query_at != std::string_view::npos) query = path.substr(query_at + 1);
    path = path.substr(0, query_at);
  }
  std::string_view path, query, fragment;
};

}  // namespace

void append_decoded(std::string_view text, std::string& out) {
  while (!text.empty()) out += take_decoded(text);
}

std::string_view find_decoded_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view one = take_parameter(query);
    if (!is_named(one, name)) continue;
    const size_t equals = one.find('=');
    if (equals == std::string_view::npos) return "";
    const std::string_view value = one.substr(equals + 1);
    if (value.find('%') == std::string_view::npos) return value;
    decoded_value.clear();
    append_decoded(value, decoded_value);
    return decoded_value;
  }
  return {};
}

bool has_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    if (is_named(take_parameter(query), name)) return true;
  }
  return false;
}

void append_parameter(std::string_view name, std::string_view value, std::string& query) {
  if (!query.empty()) query += '&';
  append_encoded(name, query);
  query += '=';
  append_encoded(value, query);
}

void replace_parameter(std::string_view name, const std::string_view* value, std::string& query) {
  previous_query = query;
  query.clear();
  for (std::string_view rest = previous_query; !rest.empty();) {
    std::string_view one = take_parameter(rest);
    if (!is_named(one, name)) {
      if (!query.empty()) query += '&';
      query += one;
    } else if (value != nullptr) {
      append_parameter(name, *std::exchange(value, nullptr), query);
    }
  }
}

void set_parameter(std::string_view name, std::string_view value, std::string& query) {
  has_parameter(query, name) ? replace_parameter(name, &value, query) : append_parameter(name, value, query);
}

std::string& take_query(const HeaderMap& request) {
  taken_query = Parts(request.path()).query;
  return taken_query;
}

void put_query(const std::string& query, HeaderMap& request, Arena& arena) {
  const Parts old(request.path());
  if (query == old.query || request.path().empty()) return;
  request.set(HeaderId::kPath,
              arena.concat(old.path, query.empty() ? std::string_view() : std::string_view("?"), query, old.fragment));
}

}  // namespace weir::http
