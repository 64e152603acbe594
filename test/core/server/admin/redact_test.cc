#include "core/server/admin/redact.h"

#include <gtest/gtest.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "google/protobuf/struct.pb.h"

namespace weir::admin {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;

TEST(Redact, PrivateKeysAndPasswordsInsideAnAny) {
  tls::UpstreamTlsContext context;
  auto& certificate = *context.mutable_common_tls_context()->add_tls_certificates();
  certificate.mutable_certificate_chain()->set_inline_string("PUBLIC");
  certificate.mutable_private_key()->set_inline_string("KEY");
  certificate.mutable_password()->set_inline_bytes("WORD");
  auto& other = *context.mutable_common_tls_context()->add_tls_certificates();
  other.mutable_private_key()->set_filename("/etc/key.pem");
  context.set_sni("a.example");
  envoy::config::cluster::v3::Cluster cluster;
  cluster.mutable_transport_socket()->mutable_typed_config()->PackFrom(context);

  redact(cluster);
  tls::UpstreamTlsContext after;
  ASSERT_TRUE(cluster.transport_socket().typed_config().UnpackTo(&after));
  const auto& shown = after.common_tls_context().tls_certificates(0);
  EXPECT_EQ(shown.certificate_chain().inline_string(), "PUBLIC");
  EXPECT_EQ(shown.private_key().inline_string(), "[redacted]");
  EXPECT_EQ(shown.password().inline_bytes(), "[redacted]");
  EXPECT_EQ(after.common_tls_context().tls_certificates(1).private_key().filename(), "/etc/key.pem");
  EXPECT_EQ(after.sni(), "a.example");
}

TEST(Redact, Secrets) {
  tls::Secret secret;
  secret.set_name("token");
  secret.mutable_generic_secret()->mutable_secret()->set_inline_string("S1");
  redact(secret);
  EXPECT_EQ(secret.name(), "token");
  EXPECT_EQ(secret.generic_secret().secret().inline_string(), "[redacted]");
  tls::Secret tickets;
  tickets.mutable_session_ticket_keys()->add_keys()->set_inline_bytes("K");
  redact(tickets);
  EXPECT_EQ(tickets.session_ticket_keys().keys(0).inline_bytes(), "[redacted]");
}

TEST(Redact, HeadersAndStructs) {
  envoy::config::core::v3::HeaderValueOption option;
  option.mutable_header()->set_key("Authorization");
  option.mutable_header()->set_value("Bearer X");
  redact(option);
  EXPECT_EQ(option.header().value(), "[redacted]");
  option.mutable_header()->set_key("x-team");
  option.mutable_header()->set_value("blue");
  redact(option);
  EXPECT_EQ(option.header().value(), "blue");

  google::protobuf::Struct all;
  auto& inner = *(*all.mutable_fields())["plugin"].mutable_struct_value()->mutable_fields();
  inner["client_secret"].set_string_value("X");
  inner["x-api-key"].set_string_value("X");
  inner["name"].set_string_value("kept");
  redact(all);
  EXPECT_EQ(inner["client_secret"].string_value(), "[redacted]");
  EXPECT_EQ(inner["x-api-key"].string_value(), "[redacted]");
  EXPECT_EQ(inner["name"].string_value(), "kept");
}

TEST(Redact, UnknownAndBrokenMessagesAreReplaced) {
  envoy::config::cluster::v3::Cluster cluster;
  cluster.mutable_transport_socket()->mutable_typed_config()->set_type_url("type.googleapis.com/no.such.Type");
  cluster.mutable_transport_socket()->mutable_typed_config()->set_value("SECRET");
  redact(cluster);
  EXPECT_EQ(cluster.SerializeAsString().find("SECRET"), std::string::npos);
  google::protobuf::Struct note;
  ASSERT_TRUE(cluster.transport_socket().typed_config().UnpackTo(&note));
  EXPECT_EQ(note.fields().at("type").string_value(), "type.googleapis.com/no.such.Type");
}

}  // namespace
}  // namespace weir::admin
