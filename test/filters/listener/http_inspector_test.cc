#include "filters/listener/http_inspector/http_inspector.h"

#include <gtest/gtest.h>

#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "test/support/fake_connection.h"

namespace weir::test {
namespace {

using filters::http_inspector::detect;
using filters::http_inspector::kMaxLine;
using filters::http_inspector::kMaxMethod;
using filters::http_inspector::Spoken;
using Verdict = filter::ListenerFilter::Verdict;

TEST(HttpInspector, Detect) {
  const std::pair<std::string, Spoken> cases[] = {
      {"GET / HTTP/1.1\r\nhost: a\r\n\r\n", Spoken::kHttp11},
      {"GET / HTTP/1.0\r\n", Spoken::kHttp10},
      {"\r\nOPTIONS * HTTP/1.1\r\n", Spoken::kHttp11},
      {"GET / HTTP/1.1\n", Spoken::kHttp11},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Spoken::kHttp2},
      {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Spoken::kNothing},
      {"GET / HTTP/2.0\r\n", Spoken::kNothing},
      {"GET /\r\n", Spoken::kNothing},
      {"GET / a HTTP/1.1\r\n", Spoken::kNothing},
      {"GET  HTTP/1.1\r\n", Spoken::kNothing},
      {" / HTTP/1.1\r\n", Spoken::kNothing},
      {"EHLO mail\r\n", Spoken::kNothing},
      {"\x16\x03\x01", Spoken::kNothing},
      {"(", Spoken::kNothing},
      {"", Spoken::kNotYetKnown},
      {"\r\n", Spoken::kNotYetKnown},
      {"PRI * HT", Spoken::kNotYetKnown},
      {"GET /", Spoken::kNotYetKnown},
      {"GE", Spoken::kNotYetKnown},
  };
  for (const auto& [bytes, spoken] : cases) EXPECT_EQ(detect(bytes), spoken) << bytes;
  EXPECT_EQ(detect("GET /" + std::string(kMaxLine, 'x')), Spoken::kNothing);
  // However much of it has come.
  EXPECT_EQ(detect(std::string(kMaxMethod + 1, 'x') + " / HTTP/1.1\r\n"), Spoken::kNothing);
  EXPECT_EQ(detect(std::string(kMaxMethod, 'x') + " / HTTP/1.1\r\n"), Spoken::kHttp11);
  EXPECT_EQ(detect("GET /" + std::string(kMaxLine - 100, 'x')), Spoken::kNotYetKnown);
}

TEST(HttpInspector, TellsTheProtocol) {
  PluginScope plugins;
  TestLane lane;
  const envoy::extensions::filters::listener::http_inspector::v3::HttpInspector proto;
  const auto* descriptor = PluginScope::registry().listener_filter(proto.GetTypeName());
  ASSERT_NE(descriptor, nullptr);
  const auto config = make_config(plugins, descriptor->make_config, proto);
  const auto found = [&](std::initializer_list<std::string> pieces, bool end = false) {
    FakeConnection connection(lane);
    auto filter = descriptor->make(config);
    EXPECT_EQ(filter->on_accept(connection, connection.facts), Verdict::kNeedMore);
    std::string bytes, out;
    size_t consumed = 0;
    for (const std::string& piece : pieces) {
      bytes += piece;
      if (filter->inspect(bytes, end, connection.facts, consumed) == Verdict::kDone) break;
      EXPECT_GT(filter->wanted(), bytes.size());
    }
    EXPECT_EQ(consumed, 0u);
    for (const std::string& name : connection.facts.application_protocols) out += name;
    return out;
  };
  EXPECT_EQ(found({"GET / HTTP/1.1\r\n"}), "http/1.1");
  EXPECT_EQ(found({"GET", " / HTTP", "/1.0\r", "\n"}), "http/1.0");
  EXPECT_EQ(found({"PRI * HTTP/2.0\r\n\r\nSM", "\r\n\r\n"}), "h2c");
  EXPECT_EQ(found({"EHLO a\r\n"}), "");
  EXPECT_EQ(found({"GE"}, true), "");
  const auto count = [&](const std::string& name) { return plugins.store().counter("http_inspector." + name).value(); };
  EXPECT_EQ(count("http11_found"), 1u);
  EXPECT_EQ(count("http10_found"), 1u);
  EXPECT_EQ(count("http2_found"), 1u);
  EXPECT_EQ(count("http_not_found"), 1u);
  EXPECT_EQ(count("read_error"), 1u);

  FakeConnection encrypted(lane);
  encrypted.facts.transport_protocol = "tls";
  EXPECT_EQ(descriptor->make(config)->on_accept(encrypted, encrypted.facts), Verdict::kDone);
}

}  // namespace
}  // namespace weir::test
