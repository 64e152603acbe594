// Random route tables and requests over a tiny alphabet, so that everything overlaps; and the naive walker that says
// what selection must find. The walker shares no code with core/route: it reads the spec from top to bottom.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/assert.h"
#include "core/route/spec.h"
#include "test/core/route/test_request.h"
#include "test/support/choices.h"

namespace weir::route {

using test::Choices;
using test::random_text;

inline std::string random_path(Choices& choices) { return "/" + random_text(choices, 6, "/abB;"); }

inline std::string random_domain(Choices& choices) {
  std::string text = random_text(choices, 4, "ab.B");
  if (text.empty()) text = "a";
  switch (choices.below(4)) {
    case 0:
      return "*" + text;
    case 1:
      return text + "*";
    case 2:
      return choices.one_in(3) ? text + ":80" : text;
    default:
      return text;
  }
}

inline RouteSpec random_route(Choices& choices) {
  RouteSpec route = prefix_route("");
  RouteMatchSpec& match = route.match;
  switch (choices.below(16)) {
    case 0:
      match.path_kind = PathKind::kConnect;
      break;
    case 1:
    case 2:
    case 3: {
      static const char* const tails[] = {"", ".*", ".+", "[ab]+", "(/a|/b)?", "$", "b?", "/[^/]*"};
      static const char* const whole[] = {".*b", "/a|/b", ".*", "/(a|b)/.*", "[^;]*"};
      match.path_kind = PathKind::kRegex;
      match.path = choices.one_in(3) ? choices.pick(whole) : random_path(choices) + choices.pick(tails);
      break;
    }
    case 4: {
      static const char* const templates[] = {"/*",       "/a/*",      "/**", "/a/**", "/*/b",
                                              "/{x=a/*}", "/{x}/**/b", "/a*", "/*;b"};
      match.path_kind = PathKind::kTemplate;
      match.path = choices.pick(templates);  // for the walker
      auto made = match::PathTemplate::parse(match.path);
      if (!made.ok()) {
        match.path = "/ab";
        made = match::PathTemplate::parse(match.path);
      }
      match.path_template = std::move(*made);
      break;
    }
    case 5:
    case 6:
      match.path_kind = PathKind::kSegmentPrefix;
      match.path = random_path(choices);
      while (match.path.size() > 1 && match.path.back() == '/') match.path.pop_back();
      if (match.path.size() < 2) match.path = "/a";
      break;
    case 7:
    case 8:
    case 9:
    case 10:
      match.path_kind = PathKind::kExact;
      match.path = random_path(choices);
      break;
    default:
      match.path = choices.one_in(6) ? "" : random_path(choices);
      break;
  }
  match.case_sensitive = !choices.one_in(3);
  if (choices.one_in(4)) {
    match.headers.push_back(header_is("x-h", choices.one_in(2) ? "1" : "2"));
    match.headers.back().invert_match = choices.one_in(3);
    match.headers.back().treat_missing_header_as_empty = choices.one_in(3);
  }
  if (choices.one_in(12)) match.headers.push_back(header_is(":method", "GET"));
  if (choices.one_in(8)) match.query_parameters.push_back({"q", {}, {}});
  if (choices.one_in(8)) match.runtime_fraction = runtime::RuntimeFraction{{choices.below(101), 100}};
  if (choices.one_in(12)) match.grpc = true;
  if (choices.one_in(4)) route.name = "n";  // then it is not plain
  return route;
}

inline RouteTableSpec random_table(Choices& choices, uint32_t max_hosts, uint32_t max_routes) {
  RouteTableSpec table;
  table.ignore_port_in_host_matching = choices.one_in(3);
  table.ignore_path_parameters_in_path_matching = choices.one_in(3);
  std::set<std::string> used;
  for (uint32_t hosts = 1 + choices.below(max_hosts), i = 0; i < hosts; ++i) {
    VirtualHostSpec host = virtual_host("h" + std::to_string(i), {});
    for (uint32_t domains = 1 + choices.below(3), d = 0; d < domains; ++d) {
      std::string domain = choices.one_in(8) ? "*" : random_domain(choices);
      std::string lower = domain;
      for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      if (used.insert(lower).second) host.domains.push_back(domain);
    }
    if (host.domains.empty()) continue;
    for (uint32_t routes = choices.below(max_routes + 1), r = 0; r < routes; ++r) {
      host.routes.push_back(random_route(choices));
    }
    table.virtual_hosts.push_back(std::move(host));
  }
  return table;
}

struct RandomRequest {
  std::string method, target, host;
  TestRequest::Headers headers;
  SelectInput input;

  explicit RandomRequest(Choices& choices) {
    method = choices.one_in(12) ? "CONNECT" : choices.one_in(3) ? "POST" : "GET";
    if (method != "CONNECT" || choices.one_in(2)) target = random_path(choices);
    if (!target.empty() && choices.one_in(3)) target += choices.one_in(2) ? "?q=1" : "?x#y";
    host = random_text(choices, 6, "ab.B");
    if (choices.one_in(3)) host += ":80";
    if (choices.one_in(2)) headers.emplace_back("x-h", choices.one_in(2) ? "1" : "2");
    if (choices.one_in(4)) headers.emplace_back("content-type", choices.one_in(2) ? "application/grpc" : "text/plain");
    input.random = choices.below(1'000);
  }
};

// Finds by walking. Regexes are std::regex's.
class NaiveRouter {
 public:
  explicit NaiveRouter(const RouteTableSpec& spec) : spec_(spec) {}

  struct Found {
    int host = -1;
    int route = -1;
    bool operator==(const Found&) const = default;
  };
  Found find(const RandomRequest& request) {
    Found found;
    found.host = find_host(request.host);
    if (found.host < 0) return found;
    const auto& routes = spec_.virtual_hosts[static_cast<size_t>(found.host)].routes;
    for (size_t i = 0; i < routes.size(); ++i) {
      if (!matches(routes[i].match, request)) continue;
      found.route = static_cast<int>(i);
      break;
    }
    return found;
  }

 private:
  static std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  }

  int find_host(std::string host) const {
    host = lower(host);
    if (spec_.ignore_port_in_host_matching && host.find(':') != std::string::npos) host.resize(host.find(':'));
    int best = -1;
    size_t best_rank = 0;  // exact > suffix by length > prefix by length > "*"
    for (size_t v = 0; v < spec_.virtual_hosts.size(); ++v) {
      for (std::string domain : spec_.virtual_hosts[v].domains) {
        domain = lower(domain);
        size_t rank = 0;
        std::string text = domain;
        if (domain == "*") {
          rank = 1;
        } else if (domain.front() == '*') {
          text.erase(0, 1);
          if (host.size() > text.size() && host.ends_with(text)) rank = 2000 + text.size();
        } else if (domain.back() == '*') {
          text.pop_back();
          if (host.size() > text.size() && host.starts_with(text)) rank = 1000 + text.size();
        } else if (host == domain) {
          rank = 9000;
        }
        if (rank > best_rank) {
          best_rank = rank;
          best = static_cast<int>(v);
        }
      }
    }
    return best;
  }

  bool matches(const RouteMatchSpec& match, const RandomRequest& request) {
    std::string path = request.target.substr(0, request.target.find_first_of("?#"));
    if (spec_.ignore_path_parameters_in_path_matching) path = path.substr(0, path.find(';'));
    std::string want = match.path;
    if (match.path_kind == PathKind::kConnect) {
      if (request.method != "CONNECT") return false;
    } else if (request.target.empty()) {
      return false;
    } else if (match.path_kind == PathKind::kTemplate) {
      if (!std::regex_match(path, std::regex(template_regex(match.path)))) return false;
    } else if (match.path_kind == PathKind::kRegex) {
      auto [at, added] = regexes_.try_emplace(match.path);
      if (added) at->second = std::regex(match.path, std::regex::ECMAScript | std::regex::optimize);
      if (!std::regex_match(path, at->second)) return false;
    } else {
      if (!match.case_sensitive) {
        path = lower(path);
        want = lower(want);
      }
      if (!path.starts_with(want)) return false;
      std::string rest = path.substr(want.size());
      if (match.path_kind == PathKind::kExact && !rest.empty()) return false;
      if (match.path_kind == PathKind::kSegmentPrefix && !rest.empty() && rest[0] != '/') return false;
    }
    for (const match::HeaderMatcherSpec& header : match.headers) {
      std::optional<std::string> value;
      if (header.name == ":method") value = request.method;
      for (const auto& [name, text] : request.headers) {
        if (name == header.name) value = text;
      }
      if (!value && !header.treat_missing_header_as_empty) return false;
      if ((value.value_or("") == header.string.text) == header.invert_match) return false;
    }
    if (!match.query_parameters.empty() && request.target.find("?q") == std::string::npos) return false;
    if (match.runtime_fraction && request.input.random % 100 >= match.runtime_fraction->default_value.numerator)
      return false;
    if (match.grpc) {
      bool grpc = false;
      for (const auto& [name, text] : request.headers) grpc = grpc || text == "application/grpc";
      if (!grpc) return false;
    }
    return true;
  }

  // "{x=a/*}" -> "a/[...]+": the published rules, for the templates above.
  static std::string template_regex(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text.substr(i).starts_with("{x}")) {
        out += "[a-zA-Z;]+";
        i += 2;
      } else if (text.substr(i).starts_with("{x=")) {
        i += 2;
      } else if (text.substr(i).starts_with("**")) {
        out += "[a-zA-Z;/]*";
        ++i;
      } else if (text[i] == '*') {
        out += "[a-zA-Z;]+";
      } else if (text[i] != '}') {
        out += text[i];
      }
    }
    return out;
  }

  const RouteTableSpec& spec_;
  std::map<std::string, std::regex> regexes_;
};

inline NaiveRouter::Found find_compiled(const RouteTable& table, const RandomRequest& request) {
  TestRequest wire(request.target, request.host, request.headers, request.method);
  Selection selection = table.select(wire.headers(), request.input);
  NaiveRouter::Found found;
  if (selection.virtual_host != nullptr) {
    found.host = static_cast<int>(selection.virtual_host - table.virtual_hosts().data());
  }
  if (selection.route != nullptr) found.route = static_cast<int>(selection.route->index());
  WEIR_CHECK(selection.plain == (selection.route != nullptr && selection.route->plain()));
  return found;
}

}  // namespace weir::route
