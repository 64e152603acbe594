#include "core/config/route_fields.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace weir::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct Implemented {
  const char* message;
  const char* fields;  // separated by spaces
};

// A field that moves in here needs a behavioural test.
constexpr Implemented kImplemented[] = {
    {"envoy.config.route.v3.RouteConfiguration",
     "name virtual_hosts response_headers_to_add response_headers_to_remove request_headers_to_add "
     "request_headers_to_remove most_specific_header_mutations_wins validate_clusters "
     "max_direct_response_body_size_bytes ignore_port_in_host_matching vhost_header "
     "ignore_path_parameters_in_path_matching typed_per_filter_config"},
    {"envoy.config.route.v3.VirtualHost",
     "name domains routes require_tls request_headers_to_add request_headers_to_remove response_headers_to_add "
     "response_headers_to_remove typed_per_filter_config retry_policy matcher metadata"},
    {"envoy.config.route.v3.RouteList", "routes"},
    {"envoy.config.route.v3.Route",
     "name match route redirect direct_response non_forwarding_action request_headers_to_add "
     "request_headers_to_remove response_headers_to_add response_headers_to_remove typed_per_filter_config metadata"},
    {"envoy.config.route.v3.RouteMatch",
     "prefix path safe_regex connect_matcher path_separated_prefix case_sensitive runtime_fraction headers "
     "query_parameters grpc tls_context path_match_policy cookies dynamic_metadata filter_state"},
    {"envoy.config.route.v3.RouteMatch.ConnectMatcher", ""},
    {"envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions", ""},
    {"envoy.config.route.v3.RouteMatch.TlsContextMatchOptions", "presented validated"},
    {"envoy.config.route.v3.RouteAction",
     "cluster cluster_header weighted_clusters cluster_not_found_response_code prefix_rewrite regex_rewrite "
     "host_rewrite_literal auto_host_rewrite host_rewrite_header host_rewrite_path_regex append_x_forwarded_host "
     "timeout idle_timeout retry_policy max_stream_duration path_rewrite_policy"},
    {"envoy.config.route.v3.RouteAction.MaxStreamDuration", "max_stream_duration"},
    {"envoy.config.route.v3.WeightedCluster", "clusters total_weight header_name runtime_key_prefix"},
    {"envoy.config.route.v3.WeightedCluster.ClusterWeight",
     "name cluster_header weight request_headers_to_add request_headers_to_remove response_headers_to_add "
     "response_headers_to_remove typed_per_filter_config host_rewrite_literal"},
    {"envoy.config.route.v3.RetryPolicy",
     "retry_on num_retries per_try_timeout per_try_idle_timeout retry_host_predicate "
     "host_selection_retry_max_attempts retriable_status_codes retry_back_off retriable_headers "
     "retriable_request_headers"},
    {"envoy.config.route.v3.RetryPolicy.RetryHostPredicate", "name typed_config"},
    {"envoy.config.route.v3.RetryPolicy.RetryBackOff", "base_interval max_interval"},
    {"envoy.config.route.v3.RedirectAction",
     "https_redirect scheme_redirect host_redirect port_redirect path_redirect prefix_rewrite regex_rewrite "
     "response_code strip_query"},
    {"envoy.config.route.v3.DirectResponseAction", "status body"},
    {"envoy.config.route.v3.NonForwardingAction", ""},
    {"envoy.config.route.v3.HeaderMatcher",
     "name exact_match safe_regex_match range_match present_match prefix_match suffix_match contains_match "
     "string_match invert_match treat_missing_header_as_empty"},
    {"envoy.config.route.v3.CookieMatcher", "name string_match invert_match"},
    {"envoy.config.route.v3.QueryParameterMatcher", "name string_match present_match"},
    {"envoy.config.core.v3.HeaderValueOption", "header append append_action keep_empty_value"},
    {"envoy.config.core.v3.HeaderValue", "key value raw_value"},
    {"envoy.config.core.v3.TypedExtensionConfig", "name typed_config"},
    {"envoy.config.core.v3.Metadata", "filter_metadata"},
    {"envoy.config.core.v3.DataSource", "inline_bytes inline_string"},
    {"envoy.config.core.v3.RuntimeFractionalPercent", "default_value runtime_key"},
    {"envoy.type.v3.FractionalPercent", "numerator denominator"},
    {"envoy.type.v3.Int64Range", "start end"},
    {"envoy.type.matcher.v3.StringMatcher", "exact prefix suffix safe_regex contains ignore_case"},
    {"envoy.type.v3.DoubleRange", "start end"},
    {"envoy.type.matcher.v3.MetadataMatcher", "filter path value invert"},
    {"envoy.type.matcher.v3.MetadataMatcher.PathSegment", "key"},
    {"envoy.type.matcher.v3.ValueMatcher",
     "null_match double_match string_match bool_match present_match list_match or_match"},
    {"envoy.type.matcher.v3.ValueMatcher.NullMatch", ""},
    {"envoy.type.matcher.v3.DoubleMatcher", "range exact"},
    {"envoy.type.matcher.v3.ListMatcher", "one_of"},
    {"envoy.type.matcher.v3.OrMatcher", "value_matchers"},
    {"envoy.type.matcher.v3.FilterStateMatcher", "key string_match address_match"},
    {"envoy.type.matcher.v3.AddressMatcher", "ranges"},
    {"xds.core.v3.CidrRange", "address_prefix prefix_len"},
    {"xds.core.v3.TypedExtensionConfig", "name typed_config"},
    {"xds.type.matcher.v3.Matcher", "matcher_list matcher_tree on_no_match"},
    {"xds.type.matcher.v3.Matcher.OnMatch", "matcher action keep_matching"},
    {"xds.type.matcher.v3.Matcher.MatcherList", "matchers"},
    {"xds.type.matcher.v3.Matcher.MatcherList.Predicate", "single_predicate or_matcher and_matcher not_matcher"},
    {"xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate", "input value_match custom_match"},
    {"xds.type.matcher.v3.Matcher.MatcherList.Predicate.PredicateList", "predicate"},
    {"xds.type.matcher.v3.Matcher.MatcherList.FieldMatcher", "predicate on_match"},
    {"xds.type.matcher.v3.Matcher.MatcherTree", "input exact_match_map prefix_match_map custom_match"},
    {"xds.type.matcher.v3.Matcher.MatcherTree.MatchMap", "map"},
    {"xds.type.matcher.v3.StringMatcher", "exact prefix suffix safe_regex contains ignore_case"},
    {"xds.type.matcher.v3.RegexMatcher", "google_re2 regex"},
    {"xds.type.matcher.v3.RegexMatcher.GoogleRE2", ""},
    {"envoy.type.matcher.v3.RegexMatcher", "google_re2 regex"},
    {"envoy.type.matcher.v3.RegexMatcher.GoogleRE2", ""},
    {"envoy.type.matcher.v3.RegexMatchAndSubstitute", "pattern substitution"},
};

// By field index within the message.
using FieldSet = std::vector<bool>;
struct FieldTable {
  std::unordered_map<const Descriptor*, FieldSet> messages;
  std::string faults;
};

FieldTable compile_table() {
  FieldTable table;
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const Implemented& row : kImplemented) {
    const Descriptor* type = pool->FindMessageTypeByName(row.message);
    if (type == nullptr) {
      table.faults += std::string(row.message) + ": no such message\n";
      continue;
    }
    FieldSet& set = table.messages[type];
    set.resize(static_cast<size_t>(type->field_count()));
    std::string_view names = row.fields;
    while (!names.empty()) {
      std::string_view name = names.substr(0, names.find(' '));
      names.remove_prefix(std::min(names.size(), name.size() + 1));
      const FieldDescriptor* field = type->FindFieldByName(std::string(name));
      if (field == nullptr) {
        table.faults += std::string(row.message) + "." + std::string(name) + ": no such field\n";
        continue;
      }
      set[static_cast<size_t>(field->index())] = true;
    }
  }
  for (const auto& [type, set] : table.messages) {
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      if (!set[static_cast<size_t>(i)] || field->message_type() == nullptr || field->is_map()) continue;
      std::string_view name = field->message_type()->full_name();
      if (name.starts_with("google.protobuf.")) continue;
      if (!table.messages.contains(field->message_type())) {
        table.faults += field->full_name() + ": its type " + std::string(name) + " is not in the list\n";
      }
    }
  }
  return table;
}

const FieldTable& field_table() {
  static const FieldTable table = compile_table();
  return table;
}

}  // namespace

void FieldPath::error_at(std::string_view below, std::string_view message) {
  ++errors_;
  std::string whole = path_;
  if (!below.empty()) {
    if (!whole.empty()) whole += '.';
    whole += below;
  }
  const auto& items = diagnostics_.items();
  if (std::any_of(items.begin(), items.end(),
                  [&](const Diagnostic& one) { return one.severity == Severity::kError && one.path == whole; })) {
    return;
  }
  Position position = positions_.find(whole);
  Diagnostic diagnostic;
  diagnostic.file = std::string(position.file);
  diagnostic.line = position.line;
  diagnostic.column = position.column;
  diagnostic.path = std::move(whole);
  diagnostic.message = std::string(message);
  diagnostics_.add(std::move(diagnostic));
}

void report_unsupported_route_fields(const Message& message, FieldPath& path) {
  const FieldTable& table = field_table();
  auto found = table.messages.find(message.GetDescriptor());
  if (found == table.messages.end()) return;
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (!found->second[static_cast<size_t>(field->index())]) {
      FieldPath::Step step(path, field->name());
      path.error("not supported by weir yet");
      continue;
    }
    if (field->message_type() == nullptr || field->is_map()) continue;
    if (!field->is_repeated()) {
      FieldPath::Step step(path, field->name());
      report_unsupported_route_fields(reflection->GetMessage(message, field), path);
      continue;
    }
    for (int i = 0, size = reflection->FieldSize(message, field); i < size; ++i) {
      FieldPath::Step step(path, field->name(), static_cast<size_t>(i));
      report_unsupported_route_fields(reflection->GetRepeatedMessage(message, field, i), path);
    }
  }
}

std::string check_route_field_list() { return field_table().faults; }

}  // namespace weir::config
