#include "core/stats/tags.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <array>
#include <initializer_list>

namespace weir::stats {
namespace {

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

void append_segment(std::string& name, std::string_view segment) {
  if (segment.empty()) return;
  if (!name.empty()) name += '.';
  name += segment;
}

// "..._rq_503" -> "..._rq" and "..._rq_5xx" -> "..._rq_xx", with the digits as a tag.
void take_response_code(Tagged& out) {
  std::string_view name = out.name;
  if (name.size() < 7) return;
  std::string_view last = name.substr(name.size() - 3);
  std::string_view before = name.substr(0, name.size() - 3);
  if (!ends_with(before, "_rq_") || !absl::ascii_isdigit(last[0])) return;
  if (absl::ascii_isdigit(last[1]) && absl::ascii_isdigit(last[2])) {
    out.tags.push_back({"envoy_response_code", std::string(last)});
    out.name.resize(name.size() - 4);
  } else if (last[1] == 'x' && last[2] == 'x') {
    out.tags.push_back({"envoy_response_code_class", std::string(1, last[0])});
    out.name.erase(name.size() - 3, 1);
  }
}

// After the head of a name, one more segment pair can be a tag: "http.<prefix>." under a listener, and so on.
struct InnerRule {
  std::string_view outer;    // prefix of the name, without its dot
  std::string_view segment;  // "http": the segment after it is the value
  std::string_view tag;
};
constexpr InnerRule kInnerRules[] = {
    {"listener", "http", "envoy_http_conn_manager_prefix"},
    {"vhost", "vcluster", "envoy_virtual_cluster"},
    {"vhost", "route", "envoy_route"},
    {"http", "user_agent", "envoy_http_user_agent"},
    {"http", "rds", "envoy_rds_route_config"},
    {"http", "scoped_rds", "envoy_scoped_rds_config"},
    {"http", "fault", "envoy_fault_downstream_cluster"},
};

// Names of which the segment after the first is a value.
struct OuterRule {
  std::string_view segment;
  std::string_view tag;
};
constexpr OuterRule kOuterRules[] = {
    {"cluster", "envoy_cluster_name"},
    {"http", "envoy_http_conn_manager_prefix"},
    {"listener", "envoy_listener_address"},
    {"vhost", "envoy_virtual_host"},
    {"tcp", "envoy_tcp_prefix"},
    {"udp", "envoy_udp_prefix"},
    {"ratelimit", "envoy_ratelimit_prefix"},
    {"local_rate_limit", "envoy_local_ratelimit_prefix"},
    {"listener_local_ratelimit", "envoy_local_listener_ratelimit_prefix"},
    {"connection_limit", "envoy_connection_limit_prefix"},
    {"mongo", "envoy_mongo_prefix"},
    {"redis", "envoy_redis_prefix"},
    {"thrift", "envoy_thrift_prefix"},
};

// Splits "<value>.<more>" where the value may hold dots inside brackets only; false unless something follows the dot.
bool split_first(std::string_view text, std::string_view& first, std::string_view& rest) {
  size_t dot = text.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 >= text.size()) return false;
  first = text.substr(0, dot);
  rest = text.substr(dot + 1);
  return true;
}

// A listener's address holds dots itself: "0.0.0.0_8080" ends after the segment that has the port.
bool split_listener(std::string_view text, std::string_view& address, std::string_view& rest) {
  size_t dot = 0;
  size_t segments = 0;
  size_t from = 0;
  while ((dot = text.find('.', from)) != std::string_view::npos && segments < 4) {
    std::string_view segment = text.substr(from, dot - from);
    bool digits = !segment.empty();
    bool port = false;
    for (char c : segment) {
      if (c == '_') port = true;
      if (!absl::ascii_isdigit(c) && c != '_') digits = false;
    }
    if (!digits) break;
    ++segments;
    from = dot + 1;
    if (segments == 4 && port && from < text.size()) {
      address = text.substr(0, dot);
      rest = text.substr(from);
      return true;
    }
  }
  return split_first(text, address, rest);
}

// "grpc.a.b.Service.Method.total" in `rest` of a cluster: moves the method and the service, which may have dots, to the
// tags. "grpc.total" is of no method.
std::string_view take_call(std::string_view rest, Tagged& out) {
  for (const std::string_view family : {"grpc", "grpc-web"}) {
    if (!rest.starts_with(family) || rest.size() <= family.size() || rest[family.size()] != '.') continue;
    const std::string_view names = rest.substr(family.size() + 1);
    const size_t last = names.rfind('.');
    if (last == std::string_view::npos || last == 0 || last + 1 == names.size()) return rest;
    const size_t method = names.rfind('.', last - 1);
    if (method == std::string_view::npos || method == 0 || method + 1 == last) return rest;
    append_segment(out.name, family);
    out.tags.push_back({"envoy_grpc_bridge_method", std::string(names.substr(method + 1, last - method - 1))});
    out.tags.push_back({"envoy_grpc_bridge_service", std::string(names.substr(0, method))});
    return names.substr(last + 1);
  }
  return rest;
}

// "http.web.downstream_cx_total" in `rest` of a listener: moves "web" to the tags.
std::string_view take_inner(std::string_view outer, std::string_view rest, Tagged& out) {
  if (outer == "cluster") return take_call(rest, out);
  for (const InnerRule& rule : kInnerRules) {
    if (rule.outer != outer || !rest.starts_with(rule.segment) || rest.size() <= rule.segment.size() + 1 ||
        rest[rule.segment.size()] != '.') {
      continue;
    }
    std::string_view value;
    std::string_view more;
    if (!split_first(rest.substr(rule.segment.size() + 1), value, more)) continue;
    append_segment(out.name, rule.segment);
    out.tags.push_back({std::string(rule.tag), std::string(value)});
    return more;
  }
  return rest;
}

}  // namespace

bool is_reserved_label(std::string_view label) {
  return label == "le" || label == "quantile" || label.starts_with("__");
}

std::string pattern_of_tag(std::string_view tag) {
  constexpr std::string_view kSegment = "(([^.]+)\\.)";
  // Of a listener: with a port it may have dots.
  constexpr std::string_view kListener = "(?:[0-9.]+_[0-9]+|\\[[^\\]]*\\]_[0-9]+|[^.]+)";
  const auto text = [](std::initializer_list<std::string_view> parts) {
    std::string out;
    for (const std::string_view part : parts) out += part;
    return out;
  };
  if (tag == "envoy_response_code") return "_rq(_([0-9]{3}))$";
  if (tag == "envoy_response_code_class") return "_rq_(([0-9]))xx$";
  if (tag == "envoy_listener_address") return text({"^listener\\.((", kListener, ")\\.)"});
  if (tag == "envoy_http_conn_manager_prefix") return text({"^(?:listener\\.", kListener, "\\.)?http\\.", kSegment});
  if (tag == "envoy_local_http_ratelimit_prefix") return "^((.+)\\.)http_local_rate_limit\\.";
  if (tag == "envoy_grpc_bridge_method") return "^cluster\\.[^.]+\\.grpc(?:-web)?\\..*?\\.(([^.]+)\\.)[^.]+$";
  if (tag == "envoy_grpc_bridge_service") return "^cluster\\.[^.]+\\.grpc(?:-web)?\\.((.+)\\.)[^.]+\\.[^.]+$";
  for (const InnerRule& rule : kInnerRules) {
    if (rule.tag == tag) return text({"^", rule.outer, "\\.[^.]+\\.", rule.segment, "\\.", kSegment});
  }
  for (const OuterRule& rule : kOuterRules) {
    if (rule.tag == tag) return text({"^", rule.segment, "\\.", kSegment});
  }
  return {};
}

void extract_tags(std::string_view full_name, Tagged& out) {
  out.name.clear();
  out.tags.clear();
  std::string_view first;
  std::string_view rest;
  if (split_first(full_name, first, rest)) {
    for (const OuterRule& rule : kOuterRules) {
      if (rule.segment != first) continue;
      std::string_view value;
      std::string_view more;
      bool found = first == "listener" ? split_listener(rest, value, more) : split_first(rest, value, more);
      if (!found) break;
      extract_tags(first, rule.tag, value, more, out);
      return;
    }
  }
  // "<prefix>.http_local_rate_limit.enabled": the value comes first.
  if (size_t at = full_name.find(".http_local_rate_limit."); at != std::string_view::npos && at > 0) {
    out.name = full_name.substr(at + 1);
    out.tags.push_back({"envoy_local_http_ratelimit_prefix", std::string(full_name.substr(0, at))});
    return;
  }
  out.name = full_name;
  take_response_code(out);
}

void extract_tags(std::string_view prefix, std::string_view tag_name, std::string_view thing, std::string_view rest,
                  Tagged& out) {
  out.name.clear();
  out.tags.clear();
  append_segment(out.name, prefix);
  // A thing of two levels: "0.0.0.0_80.http.web" of a listener, "v.vcluster.c" of a virtual host.
  std::string_view inner_tag;
  std::string_view inner_value;
  if (!tag_name.empty()) {
    for (const InnerRule& rule : kInnerRules) {
      if (rule.outer != prefix) continue;
      for (size_t at = thing.find(rule.segment); at != std::string_view::npos; at = thing.find(rule.segment, at + 1)) {
        size_t end = at + rule.segment.size();
        if (at == 0 || thing[at - 1] != '.' || end + 1 >= thing.size() || thing[end] != '.') continue;
        inner_tag = rule.tag;
        inner_value = thing.substr(end + 1);
        append_segment(out.name, rule.segment);
        thing = thing.substr(0, at - 1);
        break;
      }
      if (!inner_tag.empty()) break;
    }
  } else {
    append_segment(out.name, thing);
  }
  std::vector<Tag>& tags = out.tags;
  if (inner_tag.empty() && !tag_name.empty()) rest = take_inner(prefix, rest, out);
  append_segment(out.name, rest);
  const size_t inner = tags.size();
  take_response_code(out);
  if (tags.size() > inner) std::rotate(tags.begin(), tags.end() - 1, tags.end());  // the code is innermost
  if (!inner_tag.empty()) tags.push_back({std::string(inner_tag), std::string(inner_value)});
  if (!tag_name.empty()) tags.push_back({std::string(tag_name), std::string(thing)});
}

}  // namespace weir::stats
