// Where secrets are found, which files are watched, and errors that become warnings.
#include "core/config/secret_sources.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace weir::config {
namespace {

using envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig;
using envoy::extensions::transport_sockets::tls::v3::Secret;

class SecretSourcesTest : public testing::Test {
 protected:
  SecretSourcesTest() {
    char name[] = "/tmp/weir-sources-XXXXXX";
    root_ = std::filesystem::canonical(mkdtemp(name));
    report_.set_secrets(sources_);
  }
  ~SecretSourcesTest() override { std::filesystem::remove_all(root_); }

  std::string file(const std::string& name, const std::string& content) {
    std::string path = root_ / name;
    std::ofstream(path) << content;
    return path;
  }
  static std::string sds(const std::string& name, const std::string& more = "") {
    return "resources:\n- \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\n  name: " +
           name + "\n  tls_certificate: {certificate_chain: {inline_string: X}, private_key: {inline_string: Y}" +
           more + "}\n";
  }
  filter::ConfigReport::FoundSecret find(const SdsSecretConfig& config, int kind = Secret::kTlsCertificate) {
    return report_.find_secret(config, kind, "here");
  }
  static SdsSecretConfig named(const std::string& name, const std::string& path = "") {
    SdsSecretConfig config;
    config.set_name(name);
    if (!path.empty()) config.mutable_sds_config()->mutable_path_config_source()->set_path(path);
    return config;
  }

  std::filesystem::path root_;
  PositionIndex positions_;
  Diagnostics diagnostics_;
  Report report_{positions_, diagnostics_};
  SecretSources sources_;
};

// field: SdsSecretConfig.name, Secret.name
TEST_F(SecretSourcesTest, OfTheBootstrapByName) {
  Secret secret;
  secret.set_name("shop_cert");
  sources_.add(secret, "static_resources.secrets[0]");
  const auto found = find(named("shop_cert"));
  EXPECT_EQ(found.secret.get(), &secret);
  EXPECT_EQ(found.path, "static_resources.secrets[0]");
  EXPECT_EQ(found.report, &report_);
  EXPECT_EQ(report_.sources().count(), 2u);  // who needs it is not compared by text alone
  EXPECT_EQ(find(named("shop_crt")).secret, nullptr);
  EXPECT_EQ(diagnostics_.nack_text(),
            "here.name: \"shop_crt\" is not one of static_resources.secrets; did you mean \"shop_cert\"?");
}

TEST_F(SecretSourcesTest, OfTheKindThatIsWanted) {
  Secret certificate, trust;
  certificate.set_name("shop");
  certificate.mutable_tls_certificate();
  trust.set_name("shop");
  trust.mutable_validation_context();
  sources_.add(certificate, "static_resources.secrets[0]");
  sources_.add(trust, "static_resources.secrets[1]");
  EXPECT_EQ(find(named("shop"), Secret::kValidationContext).secret.get(), &trust);
  EXPECT_FALSE(sources_.is_used(key_of(certificate)));
  EXPECT_EQ(find(named("shop"), Secret::kTlsCertificate).secret.get(), &certificate);
  EXPECT_TRUE(sources_.is_used(key_of(certificate)));
  // Whoever asks says that it is of the wrong kind.
  EXPECT_EQ(find(named("shop"), Secret::kSessionTicketKeys).secret.get(), &certificate);
  const std::string path = file("sds.yaml", sds("a") +
                                                "- \"@type\": type.googleapis.com/envoy.extensions.transport_sockets."
                                                "tls.v3.Secret\n  name: a\n  validation_context: {}\n");
  EXPECT_TRUE(
      static_cast<const Secret&>(*find(named("a", path), Secret::kValidationContext).secret).has_validation_context());
  EXPECT_TRUE(static_cast<const Secret&>(*find(named("a", path)).secret).has_tls_certificate());
  EXPECT_EQ(diagnostics_.nack_text(), "");
}

// field: SdsSecretConfig.sds_config, ConfigSource.path_config_source, PathConfigSource.path
TEST_F(SecretSourcesTest, OfAFileByName) {
  const std::string path = file("sds.yaml", sds("a"));
  const auto found = find(named("a", path));
  ASSERT_NE(found.secret, nullptr) << diagnostics_.text();
  EXPECT_EQ(static_cast<const Secret&>(*found.secret).tls_certificate().private_key().inline_string(), "Y");
  // What is wrong with it is said where it stands.
  found.report->error(found.path + ".tls_certificate.private_key", "is no key");
  EXPECT_EQ(diagnostics_.items().back().file, path);
  EXPECT_EQ(diagnostics_.items().back().line, 4);
  EXPECT_TRUE(report_.sources().directories().contains(root_));
  const uint64_t before = report_.sources().digest();
  EXPECT_NE(before, 0u);
  EXPECT_EQ(find(named("b", path)).secret, nullptr);
  EXPECT_EQ(diagnostics_.items().back().message, "there is no secret \"b\" in " + path + "; did you mean \"a\"?");
}

// As the file of a bootstrap: serialised, as text format, and each resource in the published wrapper or as it is.
TEST_F(SecretSourcesTest, OfAFileInAnyForm) {
  envoy::service::discovery::v3::DiscoveryResponse response;
  Secret secret;
  secret.set_name("a");
  secret.mutable_tls_certificate()->mutable_private_key()->set_inline_bytes(std::string("\0\xff\n", 3));
  response.add_resources()->PackFrom(secret);
  envoy::service::discovery::v3::Resource wrapper;
  wrapper.set_name("a, outside");
  secret.set_name("b");
  wrapper.mutable_resource()->PackFrom(secret);
  response.add_resources()->PackFrom(wrapper);
  const std::string serialised = file("sds.pb", response.SerializeAsString());
  for (const char* name : {"a", "b"}) {
    const auto found = find(named(name, serialised));
    ASSERT_NE(found.secret, nullptr) << diagnostics_.text();
    EXPECT_EQ(static_cast<const Secret&>(*found.secret).tls_certificate().private_key().inline_bytes().size(), 3u);
  }
  const std::string type = "[type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret] ";
  const std::string text = file("sds.pb_text", "resources { " + type + "{ name: 'a' tls_certificate {} } }\n");
  EXPECT_NE(find(named("a", text)).secret, nullptr);
  const std::string in_wrapper =
      "resources:\n- \"@type\": type.googleapis.com/envoy.service.discovery.v3.Resource\n  version: '1'\n  resource:\n"
      "    \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\n"
      "    name: a\n    tls_certificate: {}\n";
  const auto found = find(named("a", file("sds.yaml", in_wrapper)));
  ASSERT_NE(found.secret, nullptr);
  EXPECT_EQ(diagnostics_.text(), "");
  found.report->error(found.path + ".tls_certificate", "is empty");
  EXPECT_EQ(diagnostics_.items().back().line, 7);
}

TEST_F(SecretSourcesTest, WhatIsSaidOfFilesInOtherForms) {
  const std::string type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
  const auto said = [&](const std::string& name, const std::string& content) {
    const size_t before = diagnostics_.items().size();
    find(named("a", file(name, content)));
    std::string text;
    for (size_t i = before; i < diagnostics_.items().size(); ++i)
      text += diagnostics_.items()[i].path + ": " + diagnostics_.items()[i].message + "\n";
    return text;
  };
  const std::string wrapper = "resources: [{\"@type\": type.googleapis.com/envoy.service.discovery.v3.Resource, ";
  EXPECT_EQ(said("ttl.yaml", wrapper + "ttl: 5s, resource: {\"@type\": " + type + ", name: a, tls_certificate: {}}}]"),
            "resources[0].ttl: has no effect: what a file says holds until the file changes\n");
  EXPECT_EQ(said("other.yaml", wrapper + "resource: {\"@type\": type.googleapis.com/envoy.config.core.v3.Locality}}]"),
            "resources[0].resource: must be an envoy.extensions.transport_sockets.tls.v3.Secret\n"
            "here: " +
                root_.string() + "/other.yaml has errors\n");
  EXPECT_EQ(said("noname.yaml", "resources: [{\"@type\": " + type + ", tls_certificate: {}}]"),
            "resources[0].name: must not be empty: it is what others refer to\nhere: " + root_.string() +
                "/noname.yaml has errors\n");
  EXPECT_EQ(said("junk.pb", "junk"),
            ": the file is not a serialised envoy.service.discovery.v3.DiscoveryResponse\nhere: " + root_.string() +
                "/junk.pb has errors\n");
  EXPECT_NE(said("empty.yaml", wrapper + "name: a}]"), "");
}

// field: ConfigSource.path
TEST_F(SecretSourcesTest, OfAFileByTheOldField) {
  SdsSecretConfig config = named("a");
  config.mutable_sds_config()->set_path(file("sds.yaml", sds("a")));
  EXPECT_NE(find(config).secret, nullptr) << diagnostics_.text();
}

// field: ConfigSource.resource_api_version
TEST_F(SecretSourcesTest, ResourcesAreOfOneVersion) {
  SdsSecretConfig config = named("a", file("sds.yaml", sds("a")));
  config.mutable_sds_config()->set_resource_api_version(envoy::config::core::v3::V3);
  EXPECT_NE(find(config).secret, nullptr);
  EXPECT_EQ(diagnostics_.warnings(), 0u) << diagnostics_.text();
  config.mutable_sds_config()->set_resource_api_version(envoy::config::core::v3::V2);
  EXPECT_NE(find(config).secret, nullptr);
  EXPECT_EQ(diagnostics_.warnings(), 1u);
}

// field: PathConfigSource.watched_directory
TEST_F(SecretSourcesTest, AWatchedDirectoryInsteadOfTheFiles) {
  SdsSecretConfig config = named("a", file("sds.yaml", sds("a")));
  config.mutable_sds_config()->mutable_path_config_source()->mutable_watched_directory()->set_path("/tmp");
  EXPECT_NE(find(config).secret, nullptr);
  EXPECT_EQ(report_.sources().directories(), std::set<std::string>{"/tmp"});
}

TEST_F(SecretSourcesTest, BadFiles) {
  EXPECT_EQ(find(named("a", "/no/such.yaml")).secret, nullptr);
  EXPECT_EQ(diagnostics_.nack_text(),
            "here.sds_config.path_config_source.path: cannot read /no/such.yaml: No such file or directory");
  for (const std::string& content :
       {std::string("resources: [{a: b}]"), std::string("["), sds("a", ", privat_key: {}"),
        sds("a") + sds("a").substr(11),
        std::string("resources:\n- \"@type\": type.googleapis.com/envoy.config.core.v3.DataSource\n  filename: x\n")}) {
    const size_t errors = diagnostics_.errors();
    static int number = 0;
    // One that could be read is given out all the same: so what is wrong inside of it is said, too.
    find(named("a", file("bad" + std::to_string(number++), content)));
    EXPECT_GT(diagnostics_.errors(), errors) << content;
  }
}

TEST_F(SecretSourcesTest, OthersAreNotSupported) {
  SdsSecretConfig config = named("a");
  config.mutable_sds_config()->mutable_ads();
  report_.check(config, "here");
  EXPECT_EQ(find(config).secret, nullptr);
  EXPECT_EQ(diagnostics_.nack_text(), "here.sds_config.ads: not supported by weir; path_config_source is");
  config.mutable_sds_config()->clear_ads();
  EXPECT_EQ(find(config).secret, nullptr);
  EXPECT_EQ(diagnostics_.errors(), 2u);
}

TEST_F(SecretSourcesTest, DirectoriesThatLeadToAFile) {
  namespace fs = std::filesystem;
  fs::create_directories(root_ / "v1");
  fs::create_directories(root_ / "v2");
  file("v1/cert", "1");
  fs::create_directory_symlink("v1", root_ / "live");
  fs::create_symlink(root_ / "v1/cert", root_ / "v2/link");
  const auto watched = [&](const fs::path& path) {
    SourcesRead sources;
    sources.add_file(path);
    return sources.directories();
  };
  EXPECT_EQ(watched(root_ / "v1/cert"), std::set<std::string>{root_ / "v1"});
  // Where the link may be replaced, and where the file may.
  EXPECT_EQ(watched(root_ / "live/cert"), (std::set<std::string>{root_, root_ / "v1"}));
  EXPECT_EQ(watched(root_ / "v2/link"), (std::set<std::string>{root_ / "v2", root_ / "v1"}));
  EXPECT_EQ(watched(root_ / "v2/../live/cert"), (std::set<std::string>{root_, root_ / "v1"}));
  EXPECT_EQ(watched(root_ / "none/cert"), std::set<std::string>{root_ / "none"});
  EXPECT_EQ(watched("cert"), std::set<std::string>{"."});
  fs::create_symlink("circle", root_ / "circle");
  EXPECT_EQ(watched(root_ / "circle"), std::set<std::string>{root_});
}

TEST_F(SecretSourcesTest, ErrorsThatChangeNothingAreWarnings) {
  diagnostics_.demote("the old one goes on");
  report_.error("a", "is broken");
  report_.warning("b", "is odd");
  EXPECT_EQ(report_.errors(), 1u);  // who asks whether it has failed is told so
  diagnostics_.keep();
  EXPECT_FALSE(diagnostics_.has_errors());
  EXPECT_EQ(diagnostics_.demoted(), 1u);
  EXPECT_EQ(diagnostics_.items()[0].message, "is broken; the old one goes on");
  EXPECT_EQ(diagnostics_.items()[1].message, "is odd");
  report_.error("c", "is broken");
  EXPECT_TRUE(diagnostics_.has_errors());
}

}  // namespace
}  // namespace weir::config
