#include "filters/http/header_mutation/query_mutations.h"

#include <algorithm>
#include <utility>

#include "core/http/chars.h"

namespace weir::filters::header_mutation {
namespace {

using Kind = QueryMutation::Kind;

// Keep their room; one per thread.
thread_local std::string changed_query;
thread_local std::string previous_query;
thread_local stream::TextBuffer formatted_value;

// Takes the first parameter off `query`, without its "&".
std::string_view take_parameter(std::string_view& query) {
  size_t end = query.find('&');
  std::string_view one = query.substr(0, end);
  query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
  return one;
}

// Whether a parameter has this name, which it may spell with %XX (RFC 3986 2.1).
bool is_named(std::string_view parameter, std::string_view name) {
  parameter = parameter.substr(0, parameter.find('='));
  size_t at = 0;
  for (char c : name) {
    if (at >= parameter.size()) return false;
    if (parameter[at] == '%' && at + 2 < parameter.size()) {
      int high = http::hex_value(parameter[at + 1]);
      int low = http::hex_value(parameter[at + 2]);
      if (high >= 0 && low >= 0 && c == static_cast<char>(high * 16 + low)) {
        at += 3;
        continue;
      }
    }
    if (parameter[at++] != c) return false;
  }
  return at == parameter.size();
}

void append_encoded(std::string_view text, std::string& out) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  for (char c : text) {
    if (http::is_char(c, http::kUnreservedChar)) {
      out += c;
    } else {
      auto byte = static_cast<unsigned char>(c);
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
}

void append_parameter(std::string_view name, std::string_view value, std::string& query) {
  if (!query.empty()) query += '&';
  append_encoded(name, query);
  query += '=';
  append_encoded(value, query);
}

bool has_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    if (is_named(take_parameter(query), name)) return true;
  }
  return false;
}

// Takes out every parameter of this name; the first makes place for the new value, if there is one.
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

void apply(const QueryMutation& mutation, std::string_view value, std::string& query) {
  bool present = has_parameter(query, mutation.name);
  switch (mutation.kind) {
    case Kind::kRemove:
      if (present) replace_parameter(mutation.name, nullptr, query);
      return;
    case Kind::kOverwriteIfExists:
    case Kind::kOverwriteIfExistsOrAdd:
      if (present) return replace_parameter(mutation.name, &value, query);
      if (mutation.kind == Kind::kOverwriteIfExists) return;
      break;
    case Kind::kAddIfAbsent:
      if (present) return;
      break;
    case Kind::kAppendIfExistsOrAdd:
      break;
  }
  append_parameter(mutation.name, value, query);
}

}  // namespace

void apply(const std::vector<QueryMutation>& mutations, http::HeaderMap& request, const stream::LogSubject& subject,
           Arena& arena) {
  std::string_view path = request.path();
  if (mutations.empty() || path.empty()) return;
  size_t fragment_at = std::min(path.find('#'), path.size());
  std::string_view fragment = path.substr(fragment_at);
  path = path.substr(0, fragment_at);
  size_t query_at = path.find('?');
  std::string_view query = query_at != std::string_view::npos ? path.substr(query_at + 1) : std::string_view();
  path = path.substr(0, query_at);
  changed_query = query;
  for (const QueryMutation& mutation : mutations) {
    std::string_view value = mutation.constant;
    if (mutation.format != nullptr) {
      formatted_value.clear();
      mutation.format->append(subject, formatted_value);
      value = formatted_value;
    }
    apply(mutation, value, changed_query);
  }
  if (changed_query == query) return;
  size_t size = path.size() + !changed_query.empty() + changed_query.size() + fragment.size();
  char* text = arena.allocate_bytes(size);
  char* to = std::copy(path.begin(), path.end(), text);
  if (!changed_query.empty()) *to++ = '?';
  to = std::copy(changed_query.begin(), changed_query.end(), to);
  std::copy(fragment.begin(), fragment.end(), to);
  request.set(http::HeaderId::kPath, {text, size});
}

}  // namespace weir::filters::header_mutation
