// Files in protobuf's own two forms.
#include "core/config/wire_files.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "core/config/proto_loader.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"

namespace weir::config {
namespace {

using envoy::config::bootstrap::v3::Bootstrap;

struct LoadedFile {
  LoadedFile(const std::string& name, const std::string& bytes) {
    const std::string path = ::testing::TempDir() + name;
    std::ofstream(path, std::ios::binary) << bytes;
    ok = load_bootstrap({path, "", {}}, message, index, diagnostics);
    std::remove(path.c_str());
    said = diagnostics.text();
    for (size_t at = 0; (at = said.find(path)) != std::string::npos;) {
      said.replace(at, path.size(), "F");
    }
  }
  Bootstrap message;
  PositionIndex index;
  Diagnostics diagnostics;
  std::string said;
  bool ok = false;
};

TEST(WireFiles, Serialised) {
  Bootstrap written;
  written.mutable_node()->set_id("a");
  written.mutable_static_resources()->add_clusters()->set_name("c");
  LoadedFile read("weir_test.pb", written.SerializeAsString());
  EXPECT_TRUE(read.ok) << read.said;
  EXPECT_EQ(read.message.node().id(), "a");
  LoadedFile yaml("weir_test.pb", "node: {id: a}");
  EXPECT_EQ(yaml.said, "F: error: the file is not a serialised envoy.config.bootstrap.v3.Bootstrap\n1 error\n");
}

TEST(WireFiles, SerialisedFilesObeyTheRules) {
  Bootstrap written;
  auto& cluster = *written.mutable_static_resources()->add_clusters();
  cluster.set_lb_policy(static_cast<envoy::config::cluster::v3::Cluster::LbPolicy>(77));
  cluster.GetReflection()->MutableUnknownFields(&cluster)->AddVarint(999, 1);
  auto& any = (*cluster.mutable_typed_extension_protocol_options())["x"];
  any.set_type_url("type.googleapis.com/acme.X");
  LoadedFile read("weir_test.pb", written.SerializeAsString());
  EXPECT_EQ(read.said,
            "F: error: clusters[0].name: is required\n"
            "F: error: clusters[0]: unknown field number 999 of envoy.config.cluster.v3.Cluster\n"
            "F: error: clusters[0].lb_policy: 77 is not a value of LbPolicy\n"
            "F: error: clusters[0].typed_extension_protocol_options.x: unknown type acme.X\n4 errors\n");
}

TEST(WireFiles, TextFormat) {
  LoadedFile read("weir_test.pb_text", R"(
node { id: "a" }
static_resources {
  clusters { name: "c" connect_timeout { seconds: 0 } type: EDS }
  clusters {
    name: "d" type: EDS
    typed_extension_protocol_options {
      key: "x"
      value { [type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] { suppress_envoy_headers: true } }
    }
  }
}
)");
  EXPECT_EQ(read.said,
            "F:4:24: error: clusters[0].connect_timeout: 0s is out of range; allowed is more than 0s\n1 error\n");
  envoy::extensions::filters::http::router::v3::Router router;
  const auto& options = read.message.static_resources().clusters(1).typed_extension_protocol_options();
  ASSERT_TRUE(options.at("x").UnpackTo(&router));
  EXPECT_TRUE(router.suppress_envoy_headers());
  EXPECT_EQ(read.index.find("static_resources.clusters[1].name").line, 6);
}

TEST(WireFiles, TextFormatErrors) {
  EXPECT_EQ(LoadedFile("weir_test.pb_text", "node {\n  idd: \"a\" }").said,
            "F:2:3: error: node.idd: unknown field; did you mean id?\n1 error\n");
  // All of them: the parser itself stops at the first.
  EXPECT_EQ(LoadedFile("weir_test.pb_text", R"(node { idd: "a" id: 5 cluster: "c" }
static_resources {
  clusters { name: "a" type: EDS lb_policy: ROUND_ROBBIN }
  clusters { name: "b" conect_timeout { seconds: 1 } type: "x" connect_timeout { secnds: 1 } }
  listeners { name: "l" bind_to_port { value: yes } }
}
)")
                .said,
            "F:1:8: error: node.idd: unknown field; did you mean id?\n"
            "F:1:21: error: node.id: Expected string\n"
            "F:3:45: error: clusters[0].lb_policy: ROUND_ROBBIN is not one of ROUND_ROBIN, LEAST_REQUEST, RING_HASH, "
            "RANDOM, MAGLEV, CLUSTER_PROVIDED, LOAD_BALANCING_POLICY_CONFIG\n"
            "F:4:24: error: clusters[1].conect_timeout: unknown field; did you mean connect_timeout?\n"
            "F:4:60: error: clusters[1].type: Expected integer or identifier\n"
            "F:4:82: error: clusters[1].connect_timeout.secnds: unknown field; did you mean seconds?\n"
            "F:5:47: error: listeners[0].bind_to_port.value: yes is neither true nor false\n"
            "7 errors\n");
  EXPECT_EQ(LoadedFile("weir_test.pb_text", "node { idd { a: 1 } id: }").said,
            "F:1:8: error: node.idd: unknown field; did you mean id?\nF:1:25: error: node.id: Expected string\n"
            "2 errors\n");
  // A tab is up to eight columns, and stays that where a field was taken out.
  EXPECT_EQ(LoadedFile("weir_test.pb_text", "node {\tidd:\t\"a\" id: 5 }").said,
            "F:1:9: error: node.idd: unknown field; did you mean id?\nF:1:25: error: node.id: Expected string\n"
            "2 errors\n");
  const std::string secret =
      LoadedFile("weir_test.pb_text",
                 "static_resources { secrets { generic_secret { secret { inline_string: hunter2 } } } }")
          .said;
  EXPECT_EQ(secret.find("hunter2"), std::string::npos) << secret;
  EXPECT_NE(secret.find("F:1:"), std::string::npos) << secret;
}

// Where an error is, through lists, maps and what an Any holds; and what is wrong by the rules in the rest of the file.
TEST(WireFiles, TextFormatPaths) {
  EXPECT_EQ(
      LoadedFile("weir_test.pb_text", R"(static_resources {
  clusters: [ { name: "a" type: EDS }, { name: "b" type: EDZ } ]
  clusters {
    name: "c" type: EDS connect_timeout { seconds: 0 }
    typed_extension_protocol_options {
      key: "x"
      value { [type.googleapis.com/envoy.config.cluster.v3.Cluster.DnsLookup] { } }
    }
    typed_extension_protocol_options {
      key: "a.b"
      value { [type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster] { dns_lookup_family: V4 } }
    }
  }
}
)")
          .said,
      "F:2:58: error: clusters[1].type: EDZ is not one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST\n"
      "F:4:25: error: clusters[2].connect_timeout: 0s is out of range; allowed is more than 0s\n"
      "F:7:16: error: clusters[2].typed_extension_protocol_options.x: unknown type "
      "envoy.config.cluster.v3.Cluster.DnsLookup\n"
      "F:11:102: error: clusters[2].typed_extension_protocol_options[\"a.b\"].dns_lookup_family: V4 is not one of "
      "UNSPECIFIED, AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED, ALL\n"
      "4 errors\n");
  EXPECT_EQ(
      LoadedFile("weir_test.pb_text", R"(static_resources {
  clusters {
    name: "c" type: EDS
    typed_extension_protocol_options { key: "x" }
    typed_extension_protocol_options: [ { key: "y" } ]
    lb_policy: MAGLEFF
  }
}
)")
          .said,
      "F:4:5: error: clusters[0].typed_extension_protocol_options.x: has no value; write value { ... } behind the "
      "key\n"
      "F:5:5: error: clusters[0].typed_extension_protocol_options.y: has no value; write value { ... } behind the "
      "key\n"
      "F:6:16: error: clusters[0].lb_policy: MAGLEFF is not one of ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM, "
      "MAGLEV, CLUSTER_PROVIDED, LOAD_BALANCING_POLICY_CONFIG\n"
      "3 errors\n");
  const std::string secret =
      LoadedFile("weir_test.pb_text",
                 "static_resources { secrets { tls_certificate { private_key { inlinestring: 1 hunter2: 1 } } } }")
          .said;
  EXPECT_EQ(secret.find("hunter2"), std::string::npos) << secret;
  EXPECT_NE(secret.find("did you mean inline_string?"), std::string::npos) << secret;
  EXPECT_NE(secret.find("2 errors"), std::string::npos) << secret;
}

// protobuf's own reader of texts would go on until the stack ends.
TEST(WireFiles, DeepTexts) {
  std::string text = "node { metadata { ";
  for (int i = 0; i < 3000; ++i) text += "fields { key: \"a\" value { struct_value { ";
  const std::string said = LoadedFile("weir_test.pb_text", text).said;
  EXPECT_NE(said.find("too deep"), std::string::npos) << said;
}

// What was cut short is not a configuration that removes everything.
TEST(WireFiles, EmptyFiles) {
  for (const char* name : {"weir_test.pb", "weir_test.pb_text"}) {
    for (const char* text : {"", "\n", " \n\t"}) {
      EXPECT_EQ(LoadedFile(name, text).said, "F: error: the file is empty\n1 error\n") << name;
    }
  }
}

}  // namespace
}  // namespace weir::config
