#include "core/config/field_hints.h"

#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/config/diagnostics.h"
#include "core/config/suggest.h"

namespace weir::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// Fields that the v2 API had, with what replaced them, and what shows that a file is another kind of file.
struct RemovedField {
  std::string_view type;
  std::string_view field;
  const char* hint;
};
constexpr const char* kKubernetes = "this is a Kubernetes object; weir reads the configuration that is inside of it";
constexpr RemovedField kRemoved[] = {
    {"Cluster", "hosts", "v3 has load_assignment instead"},
    {"Cluster", "tls_context", "v3 has transport_socket with an UpstreamTlsContext instead"},
    {"Cluster", "extension_protocol_options", "v3 has typed_extension_protocol_options instead"},
    {"FilterChain", "tls_context", "v3 has transport_socket with a DownstreamTlsContext instead"},
    {"LbEndpoint", "address", "it belongs inside of endpoint"},
    {"UpstreamTlsContext", "server_name", "the name that is sent to the server is sni"},
    {"Bootstrap", "runtime", "v3 has layered_runtime instead"},
    {"Bootstrap", "apiVersion", kKubernetes},
    {"Bootstrap", "kind", kKubernetes},
    {"Bootstrap", "resources",
     "this is what lds_config, cds_config or sds_config take; a bootstrap has static_resources"},
    {"Bootstrap", "configs", "this is a dump of a running proxy, and not a configuration"},
    {"RouteMatch", "regex", "v3 has safe_regex instead"},
    {"HeaderMatcher", "regex", "write string_match: {safe_regex: {regex: ...}}"},
    {"HeaderMatcher", "regex_match", "v3 has string_match with safe_regex instead"},
    {"VirtualHost", "per_filter_config", "v3 has typed_per_filter_config instead"},
    {"Route", "per_filter_config", "v3 has typed_per_filter_config instead"},
    {"CorsPolicy", "allow_origin", "v3 has allow_origin_string_match instead"},
    {"CorsPolicy", "enabled", "v3 has filter_enabled instead"},
    {"RouteAction", "request_mirror_policy", "v3 has request_mirror_policies (a list) instead"},
    {"HttpHealthCheck", "service_name", "v3 has service_name_matcher instead"},
    {"HttpHealthCheck", "use_http2", "v3 has codec_client_type: HTTP2 instead"},
    {"HttpConnectionManager.Tracing", "operation_name", "v3 takes the direction from the listener's traffic_direction"},
};

// The same of values of enums.
struct RemovedValue {
  std::string_view type;
  std::string_view value;
  const char* hint;
};
constexpr RemovedValue kRemovedValues[] = {
    {"envoy.config.cluster.v3.Cluster.LbPolicy", "ORIGINAL_DST_LB", "v3 has CLUSTER_PROVIDED instead"},
};

const FieldDescriptor* field_named(const Descriptor& type, std::string_view name) {
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->name() == name || type.field(i)->json_name() == name) {
      return type.field(i);
    }
  }
  return nullptr;
}

// What people write fields of; nullptr for other kinds of fields.
const Descriptor* written_message(const FieldDescriptor& field) {
  const Descriptor* inner = field.message_type();
  const bool written = inner != nullptr && !field.is_map() && !field.options().deprecated() &&
                       !inner->full_name().starts_with("google.protobuf.");
  return written ? inner : nullptr;
}

// The field of `type` whose message has a field of that name.
const FieldDescriptor* field_with(const Descriptor& type, std::string_view name) {
  for (int i = 0; i < type.field_count(); ++i) {
    const Descriptor* inner = written_message(*type.field(i));
    if (inner != nullptr && field_named(*inner, name) != nullptr) {
      return type.field(i);
    }
  }
  return nullptr;
}

// The field beside which a message further out has one of that name.
const FieldDescriptor* field_around(std::string_view name, std::span<const OpenMessage> open) {
  for (size_t i = open.size() - 1; i-- > 0;) {
    if (open[i].field != nullptr && field_named(*open[i].type, name) != nullptr) {
      return open[i].field;
    }
  }
  return nullptr;
}

// "outer.inner", where a field of that name is one level further down; empty if there are several such places.
std::string fields_with(const Descriptor& type, std::string_view name) {
  std::string found;
  for (int i = 0; i < type.field_count(); ++i) {
    const Descriptor* outer = written_message(*type.field(i));
    const FieldDescriptor* inner = outer != nullptr ? field_with(*outer, name) : nullptr;
    if (inner == nullptr) continue;
    if (!found.empty()) return "";
    found = type.field(i)->name() + "." + inner->name();
  }
  return found;
}

std::vector<std::string_view> words(std::string_view name) {
  std::vector<std::string_view> out;
  while (!name.empty()) {
    const size_t end = std::min(name.find_first_of("_-"), name.size());
    if (end > 0) {
      out.push_back(name.substr(0, end));
    }
    name.remove_prefix(std::min(name.size(), end + 1));
  }
  return out;
}

// min and minimum, certs and cert. A matcher is no match.
bool begins(std::string_view longer, std::string_view shorter) {
  constexpr size_t kLeast = 3;
  return shorter.size() >= kLeast && longer.starts_with(shorter) && longer.substr(shorter.size()) != "er";
}

// Every word of `some` begins a word of `all`, or is begun by it.
bool covers(const std::vector<std::string_view>& all, const std::vector<std::string_view>& some) {
  return std::all_of(some.begin(), some.end(), [&](std::string_view word) {
    return std::any_of(all.begin(), all.end(), [&](std::string_view other) {
      return word == other || begins(word, other) || begins(other, word);
    });
  });
}

// The field that is spelt nearly so.
std::string nearest_spelling(const Descriptor& type, std::string_view key) {
  NearestName nearest(key);
  for (const bool deprecated : {false, true}) {
    for (int i = 0; i < type.field_count(); ++i) {
      if (type.field(i)->options().deprecated() == deprecated) {
        nearest.offer(type.field(i)->name());
      }
    }
  }
  return std::string(nearest.best());
}

// The field that has the same words and more (port for port_value), or fewer (service_cluster for cluster). Of those
// that have all its words the shortest; of those the one that begins with it.
std::string nearest_words(const Descriptor& type, std::string_view key) {
  const std::vector<std::string_view> wanted = words(key);
  const FieldDescriptor* best = nullptr;
  size_t best_rank = SIZE_MAX;
  for (int i = 0; i < type.field_count() && !wanted.empty(); ++i) {
    const FieldDescriptor* field = type.field(i);
    const std::vector<std::string_view> has = words(field->name());
    size_t rank = SIZE_MAX;
    if (field->options().deprecated()) {
      continue;
    }
    if (covers(has, wanted)) {
      rank = has.size() * 2 + (field->name().starts_with(wanted.front()) ? 0 : 1);
    } else if (covers(wanted, has)) {
      rank = SIZE_MAX / 2 - has.size();
    }
    if (rank < best_rank) {
      best = field;
      best_rank = rank;
    }
  }
  return best == nullptr ? "" : best->name();
}

// An address as people write it: "10.0.0.1:80" or "[::1]:80".
bool split_address(std::string_view text, std::string_view& host, std::string_view& port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == text.size() ||
      !std::all_of(text.begin() + static_cast<ptrdiff_t>(colon) + 1, text.end(),
                   [](char c) { return c >= '0' && c <= '9'; })) {
    return false;
  }
  host = text.substr(0, colon);
  port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  return !host.empty();
}

// As it can be copied into a file: "::" would read as a mapping.
std::string in_yaml(std::string_view text) {
  return text.find(':') == std::string_view::npos ? shown(text) : in_quotes(text);
}

}  // namespace

std::string unknown_field_hint(std::string_view key, std::span<const OpenMessage> open) {
  const Descriptor& type = *open.back().type;
  for (const RemovedField& removed : kRemoved) {
    if (key == removed.field && type.full_name().ends_with("." + std::string(removed.type))) {
      return removed.hint;
    }
  }
  if (type.full_name() == "google.protobuf.Duration") {
    return "write 5s, 0.25s or {seconds: 5}";
  }
  const bool extension = field_named(type, "typed_config") != nullptr;
  if (key == "@type") {
    return extension ? "it belongs inside of typed_config"
                     : "only extensions (typed_config and the like) name their type, and once";
  }
  const size_t colon = key.find(':');
  if (colon != std::string_view::npos && field_named(type, key.substr(0, colon)) != nullptr) {
    return "put a space after the ':'";
  }
  if (key == "<") {
    return "did you mean <<?";
  }
  if (key.starts_with('-')) {
    return "put a space after the '-' that begins a list item";
  }
  if (extension && key == "config") {
    return "v3 has typed_config instead";
  }
  if (const FieldDescriptor* inner = field_with(type, key)) {
    return "it belongs inside of " + inner->name();
  }
  const std::string nearest = nearest_spelling(type, key);
  constexpr size_t kSlip = 2;
  if (!nearest.empty() && edit_distance(key, nearest, kSlip) <= kSlip) {
    return "did you mean " + nearest + "?";
  }
  // What has exactly this name elsewhere is likelier than what has rather another one here. Not for a single word,
  // which may be anything.
  if (!extension && key.find('_') != std::string_view::npos) {
    if (const FieldDescriptor* outer = field_around(key, open)) {
      return "it belongs further out, beside " + outer->name();
    }
    if (const std::string inner = fields_with(type, key); !inner.empty()) {
      return "it belongs inside of " + inner;
    }
  }
  const FieldDescriptor* beside = open.size() == 2 ? field_with(*open.front().type, key) : nullptr;
  if (beside != nullptr && beside != open.front().field) {
    return "it belongs inside of " + beside->name();
  }
  if (!nearest.empty()) {
    return "did you mean " + nearest + "?";
  }
  if (const std::string similar = nearest_words(type, key); !similar.empty()) {
    return "did you mean " + similar + "?";
  }
  if (extension) {
    return "the settings of an extension belong inside of typed_config";
  }
  if (open.back().for_list && open.size() > 1 && open[open.size() - 2].field != nullptr) {
    return open[open.size() - 2].field->name() + " is a list; begin each item with '- '";
  }
  if (const FieldDescriptor* outer = field_around(key, open)) {
    return "it belongs further out, beside " + outer->name();
  }
  return type.field_count() == 0 ? type.name() + " has no fields" : "";
}

const FieldDescriptor* find_field(const Descriptor& type, std::string_view name) { return field_named(type, name); }

bool is_left_empty(const Descriptor& type) {
  return type.full_name().starts_with("google.api.expr.") || type.full_name().starts_with("cel.expr.");
}

std::string message_from_text_hint(const Descriptor& type, std::string_view text, bool secret) {
  struct Form {
    std::string_view type;
    const char* form;  // % stands for the text
  };
  static constexpr Form kForms[] = {
      {"envoy.type.v3.Percent", "{value: %}"},
      {"envoy.type.v3.FractionalPercent", "{numerator: %, denominator: HUNDRED}"},
      {"envoy.config.core.v3.RuntimeFractionalPercent", "{default_value: {numerator: %, denominator: HUNDRED}}"},
      {"envoy.config.core.v3.RuntimePercent", "{default_value: {value: %}}"},
      {"envoy.config.core.v3.RuntimeFeatureFlag", "{default_value: %}"},
      {"envoy.config.core.v3.RuntimeUInt32", "{default_value: %}"},
      {"envoy.config.core.v3.RuntimeDouble", "{default_value: %}"},
      {"envoy.type.matcher.v3.StringMatcher", "{exact: %}"},
      {"envoy.type.matcher.v3.RegexMatcher", "{regex: %}"},
      {"envoy.type.matcher.v3.PathMatcher", "{path: {exact: %}}"},
      {"envoy.config.route.v3.RouteMatch", "{prefix: %}"},
      {"envoy.config.route.v3.RouteAction", "{cluster: %}"},
      {"envoy.config.route.v3.DirectResponseAction", "{status: %}"},
      {"envoy.config.core.v3.Locality", "{zone: %}"},
      {"envoy.config.core.v3.Pipe", "{path: %}"},
      {"envoy.config.core.v3.DataSource", "{inline_string: ...} or {filename: ...}"},
      {"envoy.config.core.v3.HeaderValue", "{key: ..., value: ...}"},
      {"envoy.config.core.v3.HeaderValueOption", "{header: {key: ..., value: ...}}"},
  };
  if (std::string hint = template_hint(text); !hint.empty() || text.empty()) {
    return hint;
  }
  std::string_view shortened = text.ends_with('%') ? text.substr(0, text.size() - 1) : text;
  const std::string value = secret ? "..." : shown(shortened);
  const auto filled = [&](std::string form) {
    if (const size_t at = form.find('%'); at != std::string::npos) {
      form.replace(at, 1, value);
    }
    return "write " + form;
  };
  for (const Form& one : kForms) {
    if (one.type == type.full_name()) {
      return filled(one.form);
    }
  }
  std::string_view host, port;
  constexpr std::string_view kOfV1 = "tcp://";
  if (text.starts_with(kOfV1)) text.remove_prefix(kOfV1.size());
  if (!split_address(text, host, port)) {
    host = text;
    port = "...";
  }
  const std::string socket =
      "{address: " + (secret ? "..." : in_yaml(host)) + ", port_value: " + std::string(port) + "}";
  if (type.full_name() == "envoy.config.core.v3.SocketAddress") {
    return "write " + socket;
  }
  if (type.full_name() == "envoy.config.core.v3.Address") {
    return "write {socket_address: " + socket + "}";
  }
  if (type.full_name() == "envoy.config.endpoint.v3.Endpoint") {
    return "write {address: {socket_address: " + socket + "}}";
  }
  if (type.full_name() == "envoy.config.endpoint.v3.LbEndpoint") {
    return "write {endpoint: {address: {socket_address: " + socket + "}}}";
  }
  const size_t slash = text.find('/');
  if (type.name() == "CidrRange" && slash != std::string_view::npos) {
    return "write {address_prefix: " + in_yaml(text.substr(0, slash)) +
           ", prefix_len: " + shown(text.substr(slash + 1)) + "}";
  }
  const FieldDescriptor* name = type.FindFieldByName("name");
  if (name != nullptr && name->cpp_type() == FieldDescriptor::CPPTYPE_STRING && !name->is_repeated()) {
    return filled("{name: %, ...}");
  }
  return "";
}

EnumNames enum_names(const google::protobuf::EnumDescriptor& type, std::string_view written) {
  constexpr int kNamesShown = 12;
  // What may not be used any more is not offered.
  NearestName nearest(written);
  EnumNames out;
  int names = 0;
  for (int i = 0; i < type.value_count(); ++i) {
    nearest.offer(type.value(i)->name());
    if (!type.value(i)->options().deprecated() && ++names <= kNamesShown) {
      out.allowed += (names > 1 ? ", " : "") + type.value(i)->name();
    }
  }
  if (names > kNamesShown) {
    out.allowed += ", ... (" + std::to_string(names) + " names)";
  }
  out.hint = template_hint(written);
  for (const RemovedValue& removed : kRemovedValues) {
    if (removed.type == type.full_name() && removed.value == written) out.hint = removed.hint;
  }
  if (out.hint.empty() && !nearest.best().empty() && names > kNamesShown) {
    out.hint = "did you mean " + std::string(nearest.best()) + "?";
  }
  return out;
}

bool may_hold_secret(const FieldDescriptor& field) {
  const std::string_view name = field.name();
  if (field.containing_type()->full_name() == "envoy.config.core.v3.DataSource") {
    return name.starts_with("inline_");
  }
  if (name == "secrets" || name.ends_with("_config") || name.ends_with("_configs")) {
    return false;
  }
  for (const std::string_view part :
       {"password", "secret", "private_key", "credential", "api_key", "hmac", "ticket_keys"}) {
    if (name.find(part) != std::string_view::npos) {
      return true;
    }
  }
  return name == "token" || name.ends_with("_token");
}

std::string template_hint(std::string_view text) {
  bool looks_so = text.find("{{") != std::string_view::npos;
  for (size_t at = 0; !looks_so && (at = text.find('$', at)) != std::string_view::npos; ++at) {
    looks_so = at + 1 < text.size() && (text[at + 1] == '{' || (text[at + 1] >= 'A' && text[at + 1] <= 'Z'));
  }
  return looks_so ? "weir does not fill in templates; do that before it reads the file" : "";
}

}  // namespace weir::config
