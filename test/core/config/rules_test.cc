// The table is checked against the messages, the checks by example.
#include "core/config/rules.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "core/config/rules_data.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/v3/http_status.pb.h"
#include "test/core/config/load_helper.h"

namespace weir::config {
namespace {

using google::protobuf::FieldDescriptor;

template <typename M>
std::string checked(std::string_view text) {
  Loaded<M> loaded(text);
  EXPECT_TRUE(loaded.ok) << loaded.said();
  validate(loaded.message, loaded.index, loaded.diagnostics);
  return loaded.said();
}

TEST(Rules, TableNamesWhatExists) {
  const google::protobuf::Descriptor* type = nullptr;
  for (const RuleRow& row : rule_rows()) {
    if (row.check == Check::kMessage) {
      type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(row.name);
      EXPECT_NE(type, nullptr) << row.name;
    } else if (row.check == Check::kOneofRequired) {
      EXPECT_NE(type->FindOneofByName(row.name), nullptr) << type->full_name() << "." << row.name;
    } else {
      const FieldDescriptor* field = type->FindFieldByName(row.name);
      ASSERT_NE(field, nullptr) << type->full_name() << "." << row.name;
      EXPECT_EQ(row.scope == kEach || row.check == Check::kMinItems || row.check == Check::kMaxItems ||
                    row.check == Check::kUnique || row.check == Check::kKeysNotEmpty,
                field->is_repeated())
          << field->full_name();
      if (row.check == Check::kRequired) {
        EXPECT_EQ(field->cpp_type(), FieldDescriptor::CPPTYPE_MESSAGE) << field->full_name();
      }
    }
  }
}

TEST(Rules, RequiredAndRanges) {
  using envoy::config::cluster::v3::Cluster;
  EXPECT_EQ(checked<Cluster>("{name: a}"), "");
  EXPECT_EQ(checked<Cluster>("connect_timeout: 0s"),
            "a.yaml:1:1: error: name: is required\n"
            "a.yaml:1:18: error: connect_timeout: 0s is out of range; allowed is more than 0s\n2 errors\n");
  EXPECT_EQ(checked<Cluster>("name: ''"), "a.yaml:1:7: error: name: must not be empty\n1 error\n");
  EXPECT_EQ(checked<Cluster>("{name: a, outlier_detection: {max_ejection_percent: 101}}"),
            "a.yaml:1:53: error: outlier_detection.max_ejection_percent: 101 is out of range; allowed is at most "
            "100\n1 error\n");
  EXPECT_EQ(checked<envoy::config::core::v3::Http2ProtocolOptions>("initial_stream_window_size: 65534"),
            "a.yaml:1:29: error: initial_stream_window_size: 65534 is out of range; allowed is 65535 to 2147483647\n1 "
            "error\n");
  EXPECT_EQ(checked<envoy::config::core::v3::Http2ProtocolOptions>("initial_stream_window_size: 65535"), "");
  EXPECT_EQ(checked<envoy::config::core::v3::Http2ProtocolOptions>("{}"), "");
}

TEST(Rules, Oneofs) {
  using envoy::config::route::v3::Route;
  EXPECT_EQ(checked<Route>("{match: {prefix: /}, route: {cluster: a}}"), "");
  EXPECT_EQ(checked<Route>("{route: {timeout: 1s}}"),
            "a.yaml:1:1: error: match: is required\n"
            "a.yaml:1:2: error: route: one of cluster, cluster_header, weighted_clusters, cluster_specifier_plugin, "
            "inline_cluster_specifier_plugin is required\n2 errors\n");
}

TEST(Rules, TextsListsEnums) {
  using envoy::config::core::v3::HeaderValueOption;
  EXPECT_EQ(checked<HeaderValueOption>("header: {key: x-a, value: b}"), "");
  EXPECT_EQ(checked<HeaderValueOption>("header: {key: x a, value: \"a\\tb\"}"),
            "a.yaml:1:15: error: header.key: \"x a\" is not a header name\n1 error\n");
  EXPECT_EQ(checked<HeaderValueOption>("header: {key: ':path', value: \"secret\\n\"}"),
            "a.yaml:1:31: error: header.value: holds a control character\n1 error\n");
  using envoy::config::route::v3::VirtualHost;
  EXPECT_EQ(checked<VirtualHost>("{name: a, domains: [a], request_headers_to_remove: [a, '']}"),
            "a.yaml:1:56: error: request_headers_to_remove[1]: must not be empty\n1 error\n");
  EXPECT_EQ(checked<VirtualHost>("{name: a}"), "a.yaml:1:1: error: domains: is required: at least 1 item\n1 error\n");
  EXPECT_EQ(checked<envoy::type::v3::HttpStatus>("{}"), "a.yaml:1:1: error: code: is required\n1 error\n");
  using envoy::config::route::v3::InternalRedirectPolicy;
  EXPECT_EQ(checked<InternalRedirectPolicy>("redirect_response_codes: [1, 2, 3, 4, 5, 6]"),
            "a.yaml:1:1: error: redirect_response_codes: has 6 items; at most 5 are allowed\n1 error\n");
  EXPECT_EQ(checked<InternalRedirectPolicy>("response_headers_to_copy: [a, b, a]"),
            "a.yaml:1:34: error: response_headers_to_copy[2]: a is in the list twice\n1 error\n");
  using envoy::config::route::v3::RouteMatch;
  EXPECT_EQ(checked<RouteMatch>("path_separated_prefix: /api/"),
            "a.yaml:1:24: error: path_separated_prefix: /api/ ends in a slash or is too short; write /api, not "
            "/api/\n1 error\n");
}

TEST(Rules, NothingIsSaidBesideAnErrorThatExplainsIt) {
  using envoy::config::cluster::v3::Cluster;
  Loaded<Cluster> typo("nmae: a");
  validate(typo.message, typo.index, typo.diagnostics);
  EXPECT_EQ(typo.diagnostics.errors(), 1U) << typo.said();
  Loaded<Cluster> bad("{name: a, connect_timeout: soon}");
  validate(bad.message, bad.index, bad.diagnostics);
  EXPECT_EQ(bad.diagnostics.errors(), 1U) << bad.said();
  Loaded<Cluster> cut("{lb_policy: RANDOM, health_checks: [{");
  validate(cut.message, cut.index, cut.diagnostics);
  EXPECT_EQ(cut.diagnostics.errors(), 1U) << cut.said();
}

TEST(Rules, WithoutAFile) {
  envoy::config::listener::v3::Listener listener;
  listener.add_filter_chains()->add_filters();
  listener.mutable_metadata()->mutable_typed_filter_metadata();
  auto& any = *listener.add_filter_chains()->add_filters();
  any.set_name("x");
  any.mutable_typed_config()->set_type_url("type.googleapis.com/envoy.config.core.v3.HeaderValue");
  any.mutable_typed_config()->set_value("\xFF");
  Diagnostics diagnostics;
  EXPECT_FALSE(validate(listener, PositionIndex(), diagnostics));
  EXPECT_EQ(diagnostics.nack_text(),
            "filter_chains[0].filters[0].name: is required; "
            "filter_chains[1].filters[0].typed_config: the bytes are not a envoy.config.core.v3.HeaderValue");
}

TEST(Rules, UnknownFieldsOfTheWire) {
  envoy::config::core::v3::Locality locality;
  locality.GetReflection()->MutableUnknownFields(&locality)->AddVarint(999, 1);
  ValidateOptions options;
  options.unknown_fields = OnUnknown::kWarn;
  Diagnostics diagnostics;
  EXPECT_TRUE(validate(locality, PositionIndex(), diagnostics, options));
  EXPECT_EQ(diagnostics.text(), "warning: unknown field number 999 of envoy.config.core.v3.Locality\n1 warning\n");
}

}  // namespace
}  // namespace weir::config
