// The walk that holds messages against the table of fields: what it says, where it goes, what it leaves alone.
#include "core/config/field_table.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>
#include <string>
#include <utility>

#include "core/config/field_table_data.h"
#include "core/config/report.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/on_demand/v3/on_demand.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace weir::config {
namespace {

using envoy::config::bootstrap::v3::Bootstrap;

std::string lines(const Diagnostics& diagnostics) {
  std::string text;
  for (const Diagnostic& one : diagnostics.items()) {
    text += one.severity == Severity::kError ? "error: " : "warning: ";
    text += one.path + ": " + one.message + "\n";
  }
  return text;
}

class FieldTableTest : public testing::Test {
 protected:
  template <class Message = Bootstrap>
  std::string findings(const std::string& text, const std::string& path = "") {
    Message message;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
    Diagnostics diagnostics;
    Report(positions_, diagnostics).check(message, path);
    return lines(diagnostics);
  }

  PositionIndex positions_;
};

TEST_F(FieldTableTest, TheTableIsSortedAndNamesMessages) {
  std::pair<std::string, bool> before;
  for (const FieldSection& section : field_sections()) {
    const std::pair<std::string, bool> key(section.message, section.variant);
    EXPECT_LE(before, key);
    before = key;
    const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(section.message);
    ASSERT_NE(type, nullptr) << section.message;
    for (const FieldRow& row : field_rows().subspan(section.first_row, section.rows)) {
      EXPECT_NE(type->FindFieldByNumber(static_cast<int>(row.number)), nullptr) << section.message;
    }
  }
}

TEST_F(FieldTableTest, RejectedFieldsAreErrorsWithTheirPlace) {
  EXPECT_EQ(findings("static_resources { clusters { name: 'a' } clusters { name: 'b' health_checks { } "
                     "health_checks { } } } header_prefix: 'x-acme'"),
            "error: static_resources.clusters[1].health_checks: not supported by weir yet\n"
            "error: header_prefix: not supported by weir yet\n");
  EXPECT_EQ(findings<envoy::config::cluster::v3::Cluster>("common_lb_config { override_host_status { } }", "c"),
            "error: c.common_lb_config.override_host_status: not supported by weir yet\n");
}

TEST_F(FieldTableTest, NotesSayWhatThereIsInstead) {
  EXPECT_EQ(findings("admin { address { socket_address { named_port: 'http' } } }"),
            "error: admin.address.socket_address.named_port: not supported by weir; write the number: port_value\n");
}

TEST_F(FieldTableTest, AcceptedFieldsAreWarningsThatSayWhy) {
  EXPECT_EQ(findings("static_resources { clusters { ignore_health_on_host_removal: true } }"),
            "warning: static_resources.clusters[0].ignore_health_on_host_removal: has no effect in weir: there are no "
            "health checks\n");
}

TEST_F(FieldTableTest, DefaultsDoNoHarm) {
  EXPECT_EQ(findings("header_prefix: '' use_tcp_for_dns_lookups: false "
                     "static_resources { listeners { bind_to_port { value: true } } clusters { type: STATIC } }"),
            "");
}

// What is implemented of these fields is one value, and the others are refused.
// field: Cluster.type, HttpConnectionManager.codec_type
TEST_F(FieldTableTest, ValuesThatAreNotImplemented) {
  EXPECT_EQ(findings("static_resources { clusters { type: EDS } }"),
            "error: static_resources.clusters[0].type: EDS is not supported by weir yet; STATIC, STRICT_DNS, "
            "LOGICAL_DNS and ORIGINAL_DST are\n");
  using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
  EXPECT_EQ(findings<HttpConnectionManager>("codec_type: HTTP3"),
            "error: codec_type: HTTP3 is not supported by weir yet; AUTO, HTTP1 and HTTP2 are\n");
}

// One message in two places, of which each implements something else.
TEST_F(FieldTableTest, Variants) {
  using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
  const std::string options =
      "common_http_protocol_options { max_response_headers_kb { value: 9 } "
      "headers_with_underscores_action: REJECT_REQUEST }";
  EXPECT_EQ(findings<HttpConnectionManager>(options),
            "error: common_http_protocol_options.max_response_headers_kb: not supported by weir yet\n");
  EXPECT_EQ(findings<envoy::config::cluster::v3::Cluster>(options),
            "warning: common_http_protocol_options.headers_with_underscores_action: has no effect in weir: it is about "
            "requests from clients; it belongs to the connection manager\n");
}

TEST_F(FieldTableTest, Maps) {
  EXPECT_EQ(findings("node { dynamic_parameters { key: 'a.b' value { params { key: 'x' value: 'y' } } } }"), "");
}

TEST_F(FieldTableTest, UnpackingLooksInside) {
  envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager hcm;
  hcm.mutable_route_config()->add_virtual_hosts()->add_routes()->mutable_filter_action();
  google::protobuf::Any any;
  any.PackFrom(hcm);
  Diagnostics diagnostics;
  Report report(positions_, diagnostics);
  EXPECT_NE(report.unpack(any, "filters[0].typed_config"), nullptr);
  EXPECT_EQ(lines(diagnostics),
            "error: filters[0].typed_config.route_config.virtual_hosts[0].routes[0].filter_action: not supported by "
            "weir yet\n");
}

// Whoever looks for the plugin says that there is none; a list of its fields would only hide that.
TEST_F(FieldTableTest, MessagesThatNothingReadsAreLeftAlone) {
  envoy::extensions::filters::http::on_demand::v3::OnDemand unread;
  unread.mutable_odcds()->set_resources_locator("x");
  EXPECT_FALSE(has_field_table(*unread.GetDescriptor()));
  google::protobuf::Any any;
  any.PackFrom(unread);
  Diagnostics diagnostics;
  Report report(positions_, diagnostics);
  EXPECT_NE(report.unpack(any, "x"), nullptr);
  EXPECT_EQ(lines(diagnostics), "");
}

// How long the walk takes over 10,000 clusters of 10 endpoints and 10,000 routes; printed, for a person to read.
TEST_F(FieldTableTest, BigConfiguration) {
  Bootstrap bootstrap;
  for (int i = 0; i < 10'000; ++i) {
    auto& cluster = *bootstrap.mutable_static_resources()->add_clusters();
    cluster.set_name("cluster-" + std::to_string(i));
    cluster.mutable_connect_timeout()->set_seconds(1);
    cluster.mutable_circuit_breakers()->add_thresholds()->mutable_max_requests()->set_value(100);
    auto& locality = *cluster.mutable_load_assignment()->add_endpoints();
    for (int k = 0; k < 10; ++k) {
      auto& endpoint = *locality.add_lb_endpoints();
      endpoint.mutable_load_balancing_weight()->set_value(1);
      auto& address = *endpoint.mutable_endpoint()->mutable_address()->mutable_socket_address();
      address.set_address("10.0.0.1");
      address.set_port_value(8080);
    }
  }
  envoy::config::route::v3::RouteConfiguration routes;
  auto& host = *routes.add_virtual_hosts();
  host.add_domains("*");
  for (int i = 0; i < 10'000; ++i) {
    auto& route = *host.add_routes();
    route.mutable_match()->set_prefix("/" + std::to_string(i));
    auto& header = *route.mutable_match()->add_headers();
    header.set_name("x-tenant");
    header.mutable_string_match()->set_exact(std::to_string(i));
    route.mutable_route()->set_cluster("cluster-" + std::to_string(i));
    route.mutable_route()->mutable_timeout()->set_seconds(3);
  }
  Diagnostics diagnostics;
  Report report(positions_, diagnostics);
  const std::clock_t start = std::clock();
  report.check(bootstrap, "");
  report.check(routes, "routes");
  const double took = static_cast<double>(std::clock() - start) * 1000 / CLOCKS_PER_SEC;
  std::printf("10,000 clusters of 10 endpoints and 10,000 routes: %.1f ms of CPU time\n", took);
  EXPECT_EQ(lines(diagnostics), "");
}

}  // namespace
}  // namespace weir::config
