// The query of a request's path, parameter by parameter. Names are compared decoded. Where the query is changed,
// parameters that are not meant keep their bytes and their place; what is added is encoded.
#pragma once

#include <string>
#include <string_view>

#include "core/base/arena.h"
#include "core/http/header_map.h"

namespace weir::http {

// `text` with every %XX as the byte that it stands for (RFC 3986 2.1); "+" is a plus, and a "%" that begins none is
// one.
void append_decoded(std::string_view text, std::string& out);
// The first value of this name, decoded; "" if it has no "=", data() is nullptr if there is none. Good until the next
// call on this thread. `query` is without its '?', here and below.
std::string_view find_decoded_parameter(std::string_view query, std::string_view name);
bool has_parameter(std::string_view query, std::string_view name);
void append_parameter(std::string_view name, std::string_view value, std::string& query);
// Takes out every parameter of this name; the first makes place for the new value, if there is one (not null).
void replace_parameter(std::string_view name, const std::string_view* value, std::string& query);
// Replaces the first of this name, and takes out others; adds one if there is none.
void set_parameter(std::string_view name, std::string_view value, std::string& query);

// The query of :path, in the room that this thread keeps for one; change it, and put_query() it back. Nothing else may
// begin in between.
std::string& take_query(const HeaderMap& request);
// Gives :path this query. A new path is in the arena. A request without a path (CONNECT) goes on having none.
void put_query(const std::string& query, HeaderMap& request, Arena& arena);

}  // namespace weir::http
