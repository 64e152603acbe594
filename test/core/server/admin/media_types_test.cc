#include "core/server/admin/media_types.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::admin {
namespace {

const std::string kMessages =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

TEST(MediaTypes, TextUnlessMessagesAreWanted) {
  for (const char* accept : {"", "*/*", "text/plain", "text/html,application/xhtml+xml,*/*;q=0.8", "application/json",
                             "application/openmetrics-text;version=1.0.0,application/openmetrics-text;q=0.75,text/"
                             "plain;version=0.0.4;q=0.5,*/*;q=0.1",
                             "application/vnd.google.protobuf", ",", ";;;", "=,=;q"}) {
    EXPECT_FALSE(prefers_prometheus_messages(accept)) << accept;
  }
}

TEST(MediaTypes, WhatScrapersSend) {
  EXPECT_TRUE(prefers_prometheus_messages(kMessages));
  EXPECT_TRUE(prefers_prometheus_messages(kMessages + ",text/plain;version=0.0.4;q=0.3,*/*;q=0.1"));
  EXPECT_TRUE(prefers_prometheus_messages(kMessages + ";q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/"
                                                      "plain;version=0.0.4;q=0.3,*/*;q=0.1"));
  EXPECT_FALSE(prefers_prometheus_messages("text/plain;version=0.0.4;q=0.6," + kMessages + ";q=0.5"));
}

TEST(MediaTypes, EqualWeightsGoByOrder) {
  EXPECT_TRUE(prefers_prometheus_messages(kMessages + ", text/plain"));
  EXPECT_FALSE(prefers_prometheus_messages("text/plain, " + kMessages));
  EXPECT_FALSE(prefers_prometheus_messages("*/*, " + kMessages));
}

TEST(MediaTypes, OtherMessagesAreNotTheseMessages) {
  EXPECT_FALSE(prefers_prometheus_messages("application/vnd.google.protobuf;proto=other.Message;encoding=delimited"));
  EXPECT_FALSE(prefers_prometheus_messages(
      "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"));
  EXPECT_TRUE(prefers_prometheus_messages(
      " Application/Vnd.Google.Protobuf ; Proto = \"io.prometheus.client.MetricFamily\" ; encoding=delimited ; Q=0.1"));
}

TEST(MediaTypes, WeightsThatAreNone) {
  for (const char* q : {"0", "0.0", "0.000", "x", "", "2", "-1", "0.1234", "1.5", "1x"})
    EXPECT_FALSE(prefers_prometheus_messages(kMessages + ";q=" + q)) << q;
  EXPECT_TRUE(prefers_prometheus_messages(kMessages + ";q=0.001"));
}

}  // namespace
}  // namespace weir::admin
