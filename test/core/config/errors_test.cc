// Every kind of error, with its exact place. Whole files with many at once are in test/golden/config.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "test/core/config/load_helper.h"

namespace weir::config {
namespace {

using envoy::config::bootstrap::v3::Bootstrap;
using envoy::config::cluster::v3::Cluster;
using envoy::config::core::v3::Node;

struct Case {
  const char* text;
  const char* said;  // without the count
};

template <typename M>
void expect_said(std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    Loaded<M> loaded(c.text);
    EXPECT_FALSE(loaded.ok) << c.text;
    std::string said = loaded.said();
    said.erase(std::min(said.find("1 error\n"), said.size()));
    EXPECT_EQ(said, std::string(c.said) + "\n") << c.text;
  }
}

TEST(Errors, Names) {
  expect_said<Cluster>({
      {"name: a\nconect_timeout: 1s",
       "a.yaml:2:1: error: conect_timeout: unknown field; did you mean connect_timeout?"},
      {"{zzzz: 1}", "a.yaml:1:2: error: zzzz: unknown field"},
      {"{\"@type\": x}",
       "a.yaml:1:2: error: [\"@type\"]: unknown field; only extensions (typed_config and the like) name their type, "
       "and once"},
      {"name: a\nname: b", "a.yaml:2:1: error: name: duplicate key; it is at line 1 already; keep one"},
      {"{cluster_type: {name: a}, type: EDS}",
       "a.yaml:1:27: error: type: type and cluster_type (line 1) exclude each other; keep one"},
      {"{? {a: b} : c}",
       "a.yaml:1:4: error: a mapping cannot be a key; if this is a template, fill it in before "
       "weir reads the file"},
  });
}

TEST(Errors, NamesThatBelongElsewhere) {
  expect_said<Bootstrap>({
      {"{cluster_manager: {clusters: []}}",
       "a.yaml:1:20: error: cluster_manager.clusters: unknown field; it belongs inside of static_resources"},
      // Of a Kubernetes object one error says all.
      {"kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\ndata: {a: b}",
       "a.yaml:1:1: error: kind: unknown field; this is a Kubernetes object; weir reads the configuration that is "
       "inside of it"},
      // Indented too little, by so much that it is outside of several messages.
      {"admin:\n  address:\n    socket_address:\n      address: 127.0.0.1\nport_value: 1",
       "a.yaml:5:1: error: admin.address.socket_address.port_value: unknown field here; it belongs inside of "
       "socket_address above"},
      {"admin:\n  address:\n    socket_address:\n      address: 127.0.0.1\n      port_value: 1\nport_value: 1",
       "a.yaml:6:1: error: port_value: unknown field"},
      {"static_resources: {listeners: [{filter_chains: [{filter_chains: []}]}]}",
       "a.yaml:1:50: error: listeners[0].filter_chains[0].filter_chains: unknown field; it belongs further out, beside "
       "filter_chains"},
      {"admin: {address: 'tcp://0.0.0.0:80'}",
       "a.yaml:1:18: error: admin.address: a mapping with the fields of Address is expected here, not a text; write "
       "{socket_address: {address: 0.0.0.0, port_value: 80}}"},
  });
  expect_said<envoy::extensions::filters::http::ext_authz::v3::ExtAuthz>({
      {"{allowed_upstream_headers: {}}",
       "a.yaml:1:2: error: allowed_upstream_headers: unknown field; it belongs inside of "
       "http_service.authorization_response"},
  });
  expect_said<envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy>({
      {"{matcher: {}}", "a.yaml:1:2: error: matcher: unknown field"},
  });
  expect_said<Cluster>({
      {"lb_policy: ORIGINAL_DST_LB",
       "a.yaml:1:12: error: lb_policy: ORIGINAL_DST_LB is not one of ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM, "
       "MAGLEV, CLUSTER_PROVIDED, LOAD_BALANCING_POLICY_CONFIG; v3 has CLUSTER_PROVIDED instead"},
  });
}

// Nobody knows what is in a message of which the API has the name alone.
TEST(Errors, NoneInMessagesThatAreLeftEmpty) {
  Loaded<envoy::config::rbac::v3::Policy> policy("{condition: {call_expr: {function: x}}}");
  EXPECT_TRUE(policy.ok) << policy.said();
  EXPECT_TRUE(policy.message.has_condition());
}

TEST(Errors, TemplatesInBrackets) {
  for (const char* text : {"admin: {profile_path: ${DIR}, address: {}}", "admin: {allow_paths: [${A}, ${B}]}"}) {
    Loaded<Bootstrap> loaded(text);
    EXPECT_NE(
        loaded.said().find("error: a template is left in the file; weir does not fill in templates; do that before "
                           "it reads the file"),
        std::string::npos)
        << loaded.said();
  }
}

TEST(Errors, Values) {
  expect_said<Cluster>({
      {"connect_timeout: 5", "a.yaml:1:18: error: connect_timeout: \"5\" is not a duration; write 5s"},
      {"connect_timeout: '5 seconds'",
       "a.yaml:1:18: error: connect_timeout: \"5 seconds\" is not a duration; write 5s"},
      {"connect_timeout: 250ms", "a.yaml:1:18: error: connect_timeout: \"250ms\" is not a duration; write 0.25s"},
      {"connect_timeout: soon", "a.yaml:1:18: error: connect_timeout: \"soon\" is not a duration; write 5s, 0.25s"},
      {"connect_timeout: 400000000000s",
       "a.yaml:1:18: error: connect_timeout: \"400000000000s\" is not a duration; write 5s, 0.25s"},
      {"lb_policy: ROUND_ROBBIN",
       "a.yaml:1:12: error: lb_policy: ROUND_ROBBIN is not one of ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM, "
       "MAGLEV, "
       "CLUSTER_PROVIDED, LOAD_BALANCING_POLICY_CONFIG"},
      {"per_connection_buffer_limit_bytes: -1",
       "a.yaml:1:36: error: per_connection_buffer_limit_bytes: -1 is negative; allowed is 0 to 4294967295"},
      {"per_connection_buffer_limit_bytes: 4294967296",
       "a.yaml:1:36: error: per_connection_buffer_limit_bytes: 4294967296 is out of range; allowed is 0 to 4294967295"},
      {"per_connection_buffer_limit_bytes: 1.5",
       "a.yaml:1:36: error: per_connection_buffer_limit_bytes: 1.5 is not a whole number; drop the fraction"},
      {"per_connection_buffer_limit_bytes: '${N}'",
       "a.yaml:1:36: error: per_connection_buffer_limit_bytes: \"${N}\" is not a whole number; weir does not fill in "
       "templates; do "
       "that before it reads the file"},
      {"per_connection_buffer_limit_bytes: .nan",
       "a.yaml:1:36: error: per_connection_buffer_limit_bytes: .nan is not a whole number"},
      {"preconnect_policy: {predictive_preconnect_ratio: .nan}",
       "a.yaml:1:50: error: preconnect_policy.predictive_preconnect_ratio: .nan is not a number"},
      {"preconnect_policy: {predictive_preconnect_ratio: NaN}",
       "a.yaml:1:50: error: preconnect_policy.predictive_preconnect_ratio: NaN is not a number"},
      {"respect_dns_ttl: 1", "a.yaml:1:18: error: respect_dns_ttl: 1 is neither true nor false; write true"},
      {"respect_dns_ttl: 'yes'",
       "a.yaml:1:18: error: respect_dns_ttl: yes is neither true nor false; write true, "
       "without quotes"},
      {"name: [a]", "a.yaml:1:7: error: name: a text is expected here, not a list"},
      {"health_checks: [~]",
       "a.yaml:1:17: error: health_checks[0]: this list item is empty; remove it or give it a value"},
      {"load_assignment: x",
       "a.yaml:1:18: error: load_assignment: a mapping with the fields of ClusterLoadAssignment is expected here, not "
       "a text"},
      {"metadata: {filter_metadata: [a]}",
       "a.yaml:1:29: error: metadata.filter_metadata: a mapping is expected here, not a list"},
      {"metadata: {filter_metadata: {a: b}}",
       "a.yaml:1:33: error: metadata.filter_metadata.a: a mapping is expected here, not a text"},
      {"transport_socket: {name: a, typed_config: {a: b}}",
       "a.yaml:1:43: error: transport_socket.typed_config: its type is missing; add \"@type\": "
       "type.googleapis.com/..."},
  });
}

// What libyaml says is never shown: it is about tokens and indicators.
TEST(Errors, NotYaml) {
  expect_said<Node>({
      {"id: a\n? b\ncluster: c", "a.yaml:2:3: error: b: unknown field"},
      {"id: ? b", "a.yaml:1:5: error: a '?' where no key can be; write key: value, or put the text in quotes"},
      {"id: \"a\n--- b\"",
       "a.yaml:2:1: error: a '---' or '...' inside of a text in quotes (inside what begins at line 1); is its quote "
       "not closed?"},
      {"id: \"\\xZZ\"",
       "a.yaml:1:8: error: the escape needs hexadecimal digits; write \\x41 or \\u0041, or use single quotes"},
      {"id: \"\\uD800\"",
       "a.yaml:1:8: error: the escape stands for no character; use single quotes if it is meant as it is"},
      {"id: |0\n a", "a.yaml:1:6: error: the number behind | or > must be 1 to 9; leave it out"},
      {"id: |x\n a",
       "a.yaml:1:6: error: something follows the | or > that begins a text; begin the text on the next line"},
      {"id: !a}b",
       "a.yaml:1:7: error: a tag (a word with '!' in front) that cannot be read; put the value in quotes if '!' "
       "belongs "
       "to it"},
      {"%FOO\n---\nid: a",
       "a.yaml:1:5: error: a line that begins with '%' is a directive of YAML; indent it or put it in quotes if it is "
       "a "
       "value"},
      {"%YAML 3.0\n---\nid: a",
       "a.yaml:1:1: error: the %YAML line asks for another version than 1.1 or 1.2; remove the line"},
      {"%YAML x\n---\nid: a", "a.yaml:1:7: error: the %YAML line has no version that weir knows; remove the line"},
      {"%YAML 1.1\n%YAML 1.1\n---\nid: a", "a.yaml:2:1: error: the %YAML line is there twice; remove one"},
      {"%TAG ! x\n%TAG ! x\n---\nid: a", "a.yaml:2:1: error: the same %TAG line is there twice; remove one"},
  });
}

// A password that nobody has put in quotes is no value where it begins with '!' or '*', and not repeated.
TEST(Errors, SecretsWithoutQuotes) {
  using envoy::config::core::v3::DataSource;
  for (const char* text :
       {"inline_string: !S3CRET", "inline_string: *S3CRET", "inline_string: !S3CRET a", "inline_string: !",
        "inline_string: !S3CRET!x y", "inline_string: [!S3CRET, *S3CRET]", "!S3CRET: *S3CRET"}) {
    Loaded<DataSource> loaded(text);
    EXPECT_EQ(loaded.said().find("S3C"), std::string::npos) << loaded.said();
    EXPECT_EQ(loaded.diagnostics.json().find("S3C"), std::string::npos) << loaded.diagnostics.json();
  }
  Loaded<DataSource> lost("inline_string: !S3CRET");
  EXPECT_FALSE(lost.ok);
  EXPECT_EQ(
      lost.said(),
      "a.yaml:1:16: error: a text that begins with '!' is a tag, and there is nothing behind it; put it in quotes\n"
      "1 error\n");
  // Of YAML's own tags, nothing behind them is a value.
  Loaded<DataSource> empty("inline_string: !!str");
  EXPECT_TRUE(empty.ok) << empty.said();
  EXPECT_TRUE(empty.message.has_inline_string());
}

TEST(Errors, ALineAtTheEndIsNoSecondDocument) {
  for (const char* text : {"id: a\n---\n", "id: a\n---", "---\nid: a\n---\n# nothing\n", "id: a\n...\n---\n...\n"}) {
    const Loaded<Node> loaded(text);
    EXPECT_TRUE(loaded.ok) << text << loaded.said();
    EXPECT_EQ(loaded.message.id(), "a");
  }
}

TEST(Errors, WholeFiles) {
  expect_said<Node>({
      {"", "a.yaml:1:1: error: the file is empty; write {} if that is meant"},
      {"---\n", "a.yaml:1:1: error: the file is empty; write {} if that is meant"},
      {"id: a\n---\nid: b\n",
       "a.yaml:2:1: error: the file holds more than one document; a configuration is one document; remove the '---' "
       "line or split the file"},
      {"- id: a", "a.yaml:1:1: error: a mapping with the fields of Node is expected here, not a list"},
      {"id: *a",
       "a.yaml:1:5: error: this alias (a word with '*' in front) stands for nothing; define it with '&' earlier in the "
       "file, or put the text in quotes"},
      {"{id: &edge e, cluster: *egde}",
       "a.yaml:1:24: error: this alias (a word with '*' in front) stands for nothing; did you mean *edge?"},
      {"id: a\n\tcluster: b", "a.yaml:2:1: error: a tab is used for indentation; use spaces"},
      {"id: \xC3\x28", "a.yaml:1:5: error: byte 0xC3 is not UTF-8; save the file as UTF-8"},
  });
  Loaded<Node> nul(std::string_view("id: a\nid\0: b", 12));
  EXPECT_EQ(nul.said(), "a.yaml:2:3: error: a NUL byte; this is not a text file\n1 error\n");
  Loaded<Node> bom("\xEF\xBB\xBFid: a");
  EXPECT_TRUE(bom.ok) << bom.said();
  EXPECT_EQ(bom.message.id(), "a");
}

TEST(Errors, ColumnsCountCharacters) {
  Loaded<Node> a("{id: \"\xC3\xBC\xC3\xBC\", clustr: b}");
  EXPECT_EQ(a.diagnostics.items().at(0).column, 12);
  Loaded<Node> json("{\"id\": \"\xC3\xBC\xC3\xBC\", \"clustr\": \"b\"}", {}, "a.json");
  EXPECT_EQ(json.diagnostics.items().at(0).column, 14);
}

TEST(Errors, AllAtOnce) {
  Loaded<Cluster> a(
      "name: [a]\nconnect_timeout: 5\nlb_policy: x\nhealth_checks: [{timeout: a}, {interval: b}]\nzzz: 1");
  EXPECT_EQ(a.diagnostics.errors(), 6U);
}

TEST(Errors, DepthIsLimited) {
  std::string deep = "metadata: ";
  for (int i = 0; i < 5000; ++i) {
    deep += "{a: ";
  }
  Loaded<Node> a(deep);
  EXPECT_FALSE(a.ok);
  EXPECT_NE(a.said().find("more than 200 levels inside each other"), std::string::npos) << a.said();
  std::string good = "metadata: ";
  for (int i = 0; i < 150; ++i) {
    good += "{a: ";
  }
  Loaded<Node> b(good + "1" + std::string(150, '}'));
  EXPECT_TRUE(b.ok) << b.said();
}

TEST(Errors, SizeIsLimited) {
  LoadOptions options;
  options.max_bytes = 3;
  Loaded<Node> a("id: abc", options);
  EXPECT_EQ(a.said(), "a.yaml: error: the file has 1 MiB; the limit is 1 MiB\n1 error\n");
}

TEST(Errors, FilesThatAreTooLargeAreNotReadToTheEnd) {
  const std::string path = "/tmp/weir-errors-test-" + std::to_string(getpid()) + ".yaml";
  std::ofstream(path) << "id: a\n";
  const auto said_of = [](const std::string& file) {
    Node node;
    PositionIndex index;
    Diagnostics diagnostics;
    EXPECT_FALSE(load_file(file, node, index, diagnostics));
    return diagnostics.text();
  };
  // All of it holes: reading it would take minutes, and end for want of memory.
  ASSERT_EQ(truncate(path.c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(said_of(path), path + ": error: the file has 1048576 MiB; the limit is 1024 MiB\n1 error\n");
  ASSERT_EQ(truncate(path.c_str(), off_t{1} << 29), 0);
  EXPECT_EQ(said_of(path), path + ":2:1: error: a NUL byte; this is not a text file\n1 error\n");
  unlink(path.c_str());
  EXPECT_EQ(said_of("/dev/zero"), "/dev/zero:1:1: error: a NUL byte; this is not a text file\n1 error\n");
}

TEST(Errors, UnknownFieldsMayBeWarningsOrNothing) {
  LoadOptions options;
  options.unknown_fields = OnUnknown::kWarn;
  Loaded<Node> warned("{id: a, clustr: {deep: [1]}, cluster: b}", options);
  EXPECT_TRUE(warned.ok);
  EXPECT_EQ(warned.said(), "a.yaml:1:9: warning: clustr: unknown field; did you mean cluster?\n1 warning\n");
  EXPECT_EQ(warned.message.cluster(), "b");
  options.unknown_fields = OnUnknown::kIgnore;
  Loaded<Node> ignored("{id: a, clustr: b}", options);
  EXPECT_EQ(ignored.said(), "");
}

TEST(Errors, SecretsAreNotRepeated) {
  Loaded<> a(R"(
static_resources:
  secrets:
  - name: s
    tls_certificate:
      private_key: {inline_bytes: "hunter2!"}
      password: hunter2
    generic_secret: {secret: hunter2}
    session_ticket_keys: {keys: [hunter2]}
)");
  EXPECT_GE(a.diagnostics.errors(), 4U);
  EXPECT_EQ(a.said().find("hunter2"), std::string::npos) << a.said();
  EXPECT_EQ(a.diagnostics.json().find("hunter2"), std::string::npos) << a.diagnostics.json();
}

// A text where a mapping belongs may be the secret itself.
TEST(Errors, SecretsInTheWrongPlaceAreNotRepeated) {
  constexpr std::string_view kSecrets = "static_resources: {secrets: [{name: s, ";
  for (const char* one : {"tls_certificate: hunter2", "validation_context: hunter2", "session_ticket_keys: hunter2",
                          "generic_secret: {secret: hunter2}", "tls_certificate: {private_key: hunter2}"}) {
    Loaded<> a(std::string(kSecrets) + one + "}]}");
    EXPECT_GE(a.diagnostics.errors(), 1U) << one;
    EXPECT_EQ(a.said().find("hunter2"), std::string::npos) << a.said();
    EXPECT_EQ(a.diagnostics.json().find("hunter2"), std::string::npos) << a.diagnostics.json();
  }
  Loaded<> list("static_resources: {secrets: hunter2}");
  EXPECT_EQ(list.said().find("hunter2"), std::string::npos) << list.said();
  EXPECT_EQ(list.diagnostics.json().find("hunter2"), std::string::npos) << list.diagnostics.json();
}

// Found by the fuzz target `yaml`: texts were quoted as they are, and cut in the middle of a character.
TEST(Errors, AFindingIsOneLineOfText) {
  expect_said<Cluster>({
      {"{connect_timeout: \"5\\nb\\e[31m\\x7f\\u009b\"}",
       "a.yaml:1:19: error: connect_timeout: \"5\\nb\\x1b[31m\\x7f\\xc2\\x9b\" is not a duration; write 5s, 0.25s"},
      {"{connect_timeout: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xC3\xBC}",
       "a.yaml:1:19: error: connect_timeout: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\xc3\" is not a duration; write "
       "5s, 0.25s"},
  });
}

TEST(Errors, Json) {
  Loaded<Cluster> a("{lb_policy: \"A\\tB\"}");
  EXPECT_EQ(a.diagnostics.json(),
            "[\n {\"file\": \"a.yaml\", \"line\": 1, \"column\": 13, \"path\": \"lb_policy\", \"severity\": \"error\", "
            "\"message\": "
            "\"\\\"A\\\\tB\\\" is not one of ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM, MAGLEV, CLUSTER_PROVIDED, "
            "LOAD_BALANCING_POLICY_CONFIG\", \"found\": \"\\\"A\\\\tB\\\"\", \"allowed\": \"ROUND_ROBIN, "
            "LEAST_REQUEST, RING_HASH, "
            "RANDOM, MAGLEV, CLUSTER_PROVIDED, LOAD_BALANCING_POLICY_CONFIG\", \"hint\": \"\"}\n]\n");
  EXPECT_EQ(Diagnostics().json(), "[\n]\n");
  EXPECT_EQ(a.diagnostics.nack_text().substr(0, 30), "lb_policy: \"A\\tB\" is not one o");
}

}  // namespace
}  // namespace weir::config
