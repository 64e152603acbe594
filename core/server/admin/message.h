// A request to the admin interface and the answer to it, without anything of how they travel.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/long_text.h"

namespace weir::admin {

// Decodes %XX and '+'; a '%' that starts no escape stays as it is.
std::string decode_form(std::string_view text);
using Parameters = std::vector<std::pair<std::string, std::string>>;
// "a=1&b&c=%20": in order; a name without '=' has an empty value.
void parse_form(std::string_view text, Parameters& out);

struct AdminRequest {
  std::string_view method;
  std::string_view path;       // without query
  std::string_view authority;  // empty if the client sent none
  Parameters parameters;       // of the query, then those of a form in the body
  std::string_view body;
  std::string_view accept;  // what the client says that it takes; empty if it does not
  std::string_view format;  // of the answer: one of the endpoint's, the first if the client does not care

  bool is_post() const { return method == "POST"; }
  bool wants_json() const { return format == "json"; }
  bool has(std::string_view name) const { return get(name).has_value(); }
  // The first value of the name.
  std::optional<std::string_view> get(std::string_view name) const {
    for (const auto& [key, value] : parameters) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
};

struct AdminResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=UTF-8";
  std::string body;
  LongText long_body;                                        // behind it
  std::vector<std::pair<std::string, std::string>> headers;  // further ones, names in lower case
  bool close = false;                                        // the connection ends with this answer
  // A slice of what has to be read on main and is long: called once a turn, before `work`, until it says that there is
  // no more (false).
  std::function<bool()> prepare = nullptr;
  // What is still to be done, if it is long: makes the answer complete, beside the lanes. Destroyed on main.
  std::function<void(AdminResponse&)> work = nullptr;

  void answer_json_text(std::string json) {
    content_type = "application/json";
    body = std::move(json);
  }
  void fail(int code, std::string text) {
    status = code;
    content_type = "text/plain; charset=UTF-8";
    body = std::move(text);
    long_body = {};
  }
  size_t body_bytes() const { return body.size() + long_body.size(); }
};

}  // namespace weir::admin
