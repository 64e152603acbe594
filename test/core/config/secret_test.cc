// Secrets: from messages to content, and who hears of them.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "core/config/secret_config.h"
#include "core/config/secret_store.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weir::config {
namespace {

using envoy::extensions::transport_sockets::tls::v3::Secret;

Secret generic(const std::string& name, const std::string& text) {
  Secret secret;
  secret.set_name(name);
  secret.mutable_generic_secret()->mutable_secret()->set_inline_string(text);
  return secret;
}

class SecretTest : public testing::Test {
 protected:
  SecretTest() {
    char name[] = "/tmp/weir-secret-XXXXXX";
    root_ = mkdtemp(name);
  }
  ~SecretTest() override { std::filesystem::remove_all(root_); }

  std::string file(const std::string& name, const std::string& content) {
    std::string path = root_ / name;
    std::ofstream(path) << content;
    return path;
  }
  std::optional<SecretTranslation> translate(const Secret& secret) {
    diagnostics_ = {};
    report_.emplace(positions_, diagnostics_);
    return translate_secret(secret, "secrets[0]", *report_);
  }

  std::filesystem::path root_;
  PositionIndex positions_;
  Diagnostics diagnostics_;
  std::optional<Report> report_;
};

TEST_F(SecretTest, EverySourceBecomesItsContent) {
  Secret secret;
  secret.set_name("server");
  auto& tls = *secret.mutable_tls_certificate();
  tls.mutable_certificate_chain()->set_inline_string("CHAIN");
  tls.mutable_private_key()->set_filename(file("key", "KEY"));
  tls.mutable_watched_directory()->set_path(root_);
  tls.add_signed_certificate_timestamp()->set_inline_bytes("SCT");
  auto made = translate(secret);
  ASSERT_TRUE(made.has_value()) << diagnostics_.text();
  const auto& content = made->content->tls_certificate();
  EXPECT_EQ(content.certificate_chain().inline_bytes(), "CHAIN");
  EXPECT_EQ(content.private_key().inline_bytes(), "KEY");
  EXPECT_EQ(content.signed_certificate_timestamp(0).inline_bytes(), "SCT");
  EXPECT_EQ(report_->sources().directories(), std::set<std::string>{root_});

  Secret map;
  map.set_name("map");
  (*map.mutable_generic_secret()->mutable_secrets())["a.b"].set_filename(file("a", "A"));
  made = translate(map);
  ASSERT_TRUE(made.has_value()) << diagnostics_.text();
  EXPECT_EQ(made->content->generic_secret().secrets().at("a.b").inline_bytes(), "A");
}

TEST_F(SecretTest, TheFingerprintFollowsMessageAndFiles) {
  Secret secret = generic("a", "1");
  uint64_t first = translate(secret)->fingerprint;
  EXPECT_EQ(translate(secret)->fingerprint, first);
  EXPECT_NE(translate(generic("a", "2"))->fingerprint, first);

  secret.mutable_generic_secret()->mutable_secret()->set_filename(file("f", "1"));
  first = translate(secret)->fingerprint;
  EXPECT_EQ(translate(secret)->fingerprint, first);
  EXPECT_EQ(report_->sources().digest(), 0u);  // it counts for the secret alone
  file("f", "2");
  EXPECT_NE(translate(secret)->fingerprint, first);
}

TEST_F(SecretTest, FaultsNameThePlaceAndNeverTheContent) {
  Secret secret;
  EXPECT_FALSE(translate(secret).has_value());
  EXPECT_EQ(diagnostics_.nack_text(),
            "secrets[0].name: must not be empty: it is what others refer to; secrets[0]: needs one of tls_certificate, "
            "session_ticket_keys, validation_context, generic_secret");
  (*secret.mutable_generic_secret()->mutable_secrets())["a.b"].set_filename("/no/such");
  secret.set_name("x");
  EXPECT_FALSE(translate(secret).has_value());
  EXPECT_EQ(diagnostics_.nack_text(),
            "secrets[0].generic_secret.secrets[\"a.b\"].filename: cannot read /no/such: No such file or directory");
  std::string huge(2'000'000, 'S');
  EXPECT_FALSE(translate(generic("x", huge)).has_value());
  EXPECT_EQ(diagnostics_.nack_text(),
            "secrets[0].generic_secret.secret.inline_string: 2000000 bytes; at most 1048576 are allowed");
  EXPECT_FALSE(translate([] {
                 Secret watched = generic("x", "S3CRET");
                 watched.mutable_generic_secret()->mutable_secret()->mutable_watched_directory()->set_path("/tmp");
                 return watched;
               }())
                   .has_value());
  EXPECT_EQ(diagnostics_.text().find("S3CRET"), std::string::npos);
  EXPECT_EQ(
      diagnostics_.nack_text(),
      "secrets[0].generic_secret.secret.watched_directory: means something only beside filename: it says where to "
      "look for a new version");
}

SecretKey key(const std::string& name) { return {name, Secret::kGenericSecret}; }

// As published, names are unique among secrets of one kind.
TEST_F(SecretTest, OfOneNameAndTwoKinds) {
  SecretStore store;
  Secret tickets;
  tickets.set_name("a");
  tickets.mutable_session_ticket_keys()->add_keys()->set_inline_string("K");
  std::vector<SecretTranslation> both;
  both.push_back(*translate(generic("a", "1")));
  both.push_back(*translate(tickets));
  store.apply(std::move(both));
  EXPECT_EQ(store.size(), 2u);
  EXPECT_TRUE(store.find(key("a"))->has_generic_secret());
  EXPECT_TRUE(store.find({"a", Secret::kSessionTicketKeys})->has_session_ticket_keys());
  EXPECT_EQ(store.find({"a", Secret::kTlsCertificate}), nullptr);
}

TEST_F(SecretTest, SubscribersHearOfWhatChangedOnly) {
  SecretStore store;
  auto apply = [&](const std::vector<Secret>& secrets) {
    std::vector<SecretTranslation> all;
    for (const Secret& one : secrets) all.push_back(*translate(one));
    store.apply(std::move(all));
  };
  std::string heard;
  auto note = [&](const std::string& name) {
    return store.subscribe(key(name), [&heard, name](const SecretStore::Content& content) {
      heard += name + "=" + (content != nullptr ? content->generic_secret().secret().inline_bytes() : "gone") + " ";
    });
  };
  auto a = note("a");
  auto b = note("b");
  apply({generic("a", "1")});
  EXPECT_EQ(heard, "a=1 ");
  EXPECT_EQ(store.find(key("b")), nullptr);
  heard.clear();
  apply({generic("a", "1"), generic("b", "2")});
  EXPECT_EQ(heard, "b=2 ");
  EXPECT_EQ(store.find(key("b"))->generic_secret().secret().inline_bytes(), "2");
  heard.clear();
  b.reset();
  apply({});
  EXPECT_EQ(heard, "a=gone ");
  EXPECT_EQ(store.size(), 0u);
}

TEST_F(SecretTest, ASubscriberMayEndSubscriptionsWhileItIsTold) {
  SecretStore store;
  std::unique_ptr<SecretStore::Subscription> one, two;
  int told = 0;
  auto end_both = [&](const SecretStore::Content&) {
    ++told;
    one.reset();
    two.reset();
  };
  one = store.subscribe(key("a"), [&](const SecretStore::Content&) {
    ++told;
    two.reset();
  });
  two = store.subscribe(key("a"), end_both);
  store.apply({*translate(generic("a", "1"))});
  EXPECT_EQ(told, 1);
  store.apply({*translate(generic("a", "2"))});
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace weir::config
