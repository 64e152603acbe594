#include "core/stream/formatter.h"

#include <unistd.h>

#include "test/core/stream/sample_stream.h"
#include "test/support/count_allocations.h"

namespace weir::stream {
namespace {

using FormatterTest = SampleStream;

// Every operator: with all facts there, and with none.
struct Golden {
  std::string_view format;
  std::string_view full;
  std::string_view empty;
};
constexpr Golden kGolden[] = {
    {"", "", ""},
    {"plain", "plain", "plain"},
    {"100%% of %PROTOCOL%%%", "100% of HTTP/1.1%", "100% of -%"},
    {"%START_TIME%", "2018-01-01T00:00:00.123Z", "1970-01-01T00:00:00.000Z"},
    {"%START_TIME(%Y/%m/%dT%H:%M:%S%z)%", "2018/01/01T00:00:00+0000", "1970/01/01T00:00:00+0000"},
    {"%START_TIME(%s.%3f)%", "1514764800.123", "0.000"},
    {"%START_TIME(%s.%6f|%9f|%f)%", "1514764800.123456|123456789|123456789", "0.000000|000000000|000000000"},
    {"%EMIT_TIME%", "2018-01-01T00:00:00.153Z", "1970-01-01T00:00:00.000Z"},
    {"%REQUEST_HEADERS_BYTES%", "184", "0"},
    {"%RESPONSE_HEADERS_BYTES%", "40", "0"},
    {"%RESPONSE_TRAILERS_BYTES%", "9", "0"},
    {"%BYTES_RECEIVED%", "11", "0"},
    {"%BYTES_SENT%", "22", "0"},
    {"%BYTES_RETRANSMITTED%", "0", "0"},
    {"%PACKETS_RETRANSMITTED%", "0", "0"},
    {"%UPSTREAM_WIRE_BYTES_SENT%", "333", "0"},
    {"%UPSTREAM_WIRE_BYTES_RECEIVED%", "444", "0"},
    {"%UPSTREAM_HEADER_BYTES_SENT%", "33", "0"},
    {"%UPSTREAM_HEADER_BYTES_RECEIVED%", "44", "0"},
    {"%UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT%", "33", "0"},
    {"%UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED%", "44", "0"},
    {"%DOWNSTREAM_WIRE_BYTES_SENT%", "222", "0"},
    {"%DOWNSTREAM_WIRE_BYTES_RECEIVED%", "111", "0"},
    {"%DOWNSTREAM_HEADER_BYTES_SENT%", "200", "0"},
    {"%DOWNSTREAM_HEADER_BYTES_RECEIVED%", "100", "0"},
    {"%DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT%", "200", "0"},
    {"%DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED%", "100", "0"},
    {"%PROTOCOL%", "HTTP/1.1", "-"},
    {"%UPSTREAM_PROTOCOL%", "HTTP/2", "-"},
    {"%RESPONSE_CODE%", "503", "0"},
    {"%RESPONSE_CODE_DETAILS%", "upstream_reset:_a_b", "-"},
    {"%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", "upstream reset: a b", "-"},
    {"%CONNECTION_TERMINATION_DETAILS%", "rbac_denied", "-"},
    {"%RESPONSE_FLAGS%", "UF,URX", "-"},
    {"%RESPONSE_FLAGS_LONG%", "UpstreamConnectionFailure,UpstreamRetryLimitExceeded", "-"},
    {"%DURATION%", "30", "-"},
    {"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "30000", "-"},
    {"%COMMON_DURATION(US_CX_BEG:US_CX_END:ms)%", "2", "-"},
    {"%COMMON_DURATION(US_HS_END:US_TX_BEG:ns)%", "2000000", "-"},
    {"%COMMON_DURATION(US_RX_BODY_BEG:US_RX_END:ms)%", "6", "-"},
    {"%COMMON_DURATION(DS_TX_BEG:DS_RX_END:ms)%", "-16", "-"},
    {"%REQUEST_DURATION%", "5", "-"},
    {"%REQUEST_TX_DURATION%", "12", "-"},
    {"%RESPONSE_DURATION%", "20", "-"},
    {"%RESPONSE_TX_DURATION%", "10", "-"},
    {"%ROUNDTRIP_DURATION%", "-", "-"},
    {"%DOWNSTREAM_HANDSHAKE_DURATION%", "2", "-"},
    {"%UPSTREAM_CONNECTION_POOL_READY_DURATION%", "6", "-"},
    {"%UPSTREAM_HOST%", "10.0.0.9:8080", "-"},
    {"%UPSTREAM_HOST_NAME%", "api.example:8080", "-"},
    {"%UPSTREAM_HOST_NAME_WITHOUT_PORT%", "api.example", "-"},
    {"%UPSTREAM_HOSTS_ATTEMPTED%", "10.0.0.8:8080,10.0.0.9:8080", "-"},
    {"%UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT%", "10.0.0.8,10.0.0.9", "-"},
    {"%UPSTREAM_HOST_NAMES_ATTEMPTED%", "10.0.0.8:8080,api.example:8080", "-"},
    {"%UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT%", "10.0.0.8,api.example", "-"},
    {"%UPSTREAM_CONNECTION_IDS_ATTEMPTED%", "7", "-"},
    {"%CUSTOM_FLAGS%", "-", "-"},
    {"%COALESCE({\"operators\": [\"CUSTOM_FLAGS\", \"REQUESTED_SERVER_NAME\", \"PROTOCOL\"]})%", "sni.example", "-"},
    {"%COALESCE({\"operators\":[{\"command\":\"REQ\",\"param\":\"x-none\"},"
     "{\"command\":\"PROTOCOL\",\"max_length\":4}]}):3%",
     "HTT", "-"},
    {"%COALESCE({\"operators\": [{\"command\": \"START_TIME\", \"param\": \"(%Y)\"}]})%", "(2018)", "(1970)"},
    {"%COALESCE( { \"operators\" : [ { \"command\" : \"START_TIME\" , \"param\" : \"\\u0025Y\" } ] } )%", "2018",
     "1970"},
    {"%UPSTREAM_CLUSTER%", "api", "-"},
    {"%UPSTREAM_CLUSTER_RAW%", "api", "-"},
    {"%UPSTREAM_LOCAL_ADDRESS%", "10.0.0.2:40000", "-"},
    {"%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "10.0.0.2", "-"},
    {"%UPSTREAM_LOCAL_PORT%", "40000", "-"},
    {"%UPSTREAM_REMOTE_ADDRESS%", "10.0.0.9:8080", "-"},
    {"%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.9", "-"},
    {"%UPSTREAM_REMOTE_PORT%", "8080", "-"},
    {"%UPSTREAM_TRANSPORT_FAILURE_REASON%", "connection_refused", "-"},
    {"%UPSTREAM_LOCAL_CLOSE_REASON%", "drained", "-"},
    {"%UPSTREAM_DETECTED_CLOSE_TYPE%", "RemoteReset", "-"},
    {"%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "3", "0"},
    {"%UPSTREAM_CONNECTION_ID%", "77", "-"},
    {"%DOWNSTREAM_REMOTE_ADDRESS%", "10.1.10.23:5555", "-"},
    {"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.1.10.23", "-"},
    {"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%", "10.1.0.0/16", "-"},
    {"%DOWNSTREAM_REMOTE_PORT%", "5555", "-"},
    {"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "[2001:db8::7]:6666", "-"},
    {"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "2001:db8::7", "-"},
    {"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT(64)%", "2001:db8::/64", "-"},
    {"%DOWNSTREAM_DIRECT_REMOTE_PORT%", "6666", "-"},
    {"%DOWNSTREAM_LOCAL_ADDRESS%", "192.0.2.1:443", "-"},
    {"%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "192.0.2.1", "-"},
    {"%DOWNSTREAM_LOCAL_PORT%", "443", "-"},
    {"%DOWNSTREAM_DIRECT_LOCAL_ADDRESS%", "192.0.2.1:443", "-"},
    {"%DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT(0)%", "0.0.0.0/0", "-"},
    {"%DOWNSTREAM_DIRECT_LOCAL_PORT%", "443", "-"},
    {"%DOWNSTREAM_TRANSPORT_FAILURE_REASON%", "bad certificate", "-"},
    {"%DOWNSTREAM_LOCAL_CLOSE_REASON%", "idle", "-"},
    {"%DOWNSTREAM_DETECTED_CLOSE_TYPE%", "Normal", "-"},
    {"%CONNECTION_ID%", "42", "0"},
    {"%ROUTE_NAME%", "to-api", "-"},
    {"%VIRTUAL_CLUSTER_NAME%", "vc", "-"},
    {"%FILTER_CHAIN_NAME%", "main-chain", "-"},
    {"%TRACE_ID%", "abc123", "-"},
    {"%LOCAL_REPLY_BODY%", "no healthy upstream", "-"},
    {"%ACCESS_LOG_TYPE%", "DownstreamEnd", "NotSet"},
    {"%REQUESTED_SERVER_NAME%", "sni.example", "-"},
    {"%REQUESTED_SERVER_NAME(SNI_ONLY)%", "sni.example", "-"},
    {"%REQUESTED_SERVER_NAME(SNI_FIRST:HOST)%", "sni.example", "-"},
    {"%REQUESTED_SERVER_NAME(HOST_FIRST)%", "api.example", "-"},
    {"%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%", "sni.example", "-"},
    {"%REQ(:METHOD)%", "GET", "-"},
    {"%REQ(X-NONE)%", "-", "-"},
    {"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/old?o=1", "-"},
    {"%REQ(X-NONE?:PATH):5%", "/new?", "-"},
    {"%REQ(X-EMPTY)%|", "|", "-|"},
    {"%REQ(X-EMPTY?:PATH)%|", "|", "-|"},
    {"%REQ(x-twice)%", "one", "-"},
    {"%REQ(Host)% %REQUEST_HEADER(x-none?host)%", "api.example api.example", "- -"},
    {"%RESP(Host)%%TRAILER(host)%", "--", "--"},
    {"%REQ(USER-AGENT):0%|", "|", "-|"},
    {"%REQUEST_HEADER(user-agent):100%", "curl/8", "-"},
    {"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "8", "-"},
    {"%RESPONSE_HEADER(:STATUS)%", "503", "-"},
    {"%TRAILER(X-CHECK)%", "ok", "-"},
    {"%RESPONSE_TRAILER(X-NONE?X-CHECK):1%", "o", "-"},
    {"%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/old", "-"},
    {"%PATH%", "/old?o=1", "-"},
    {"%PATH(NQ)%", "/old", "-"},
    {"%PATH(NQ:PATH)%", "/new", "-"},
    {"%PATH(WQ:ORIG)%", "/old?o=1", "-"},
    {"%PATH(:PATH):4%", "/new", "-"},
    {"%QUERY_PARAM(q)%", "1", "-"},
    {"%QUERY_PARAM(empty)%%QUERY_PARAM(flag)%|", "|", "--|"},
    {"%QUERY_PARAM(none)%", "-", "-"},
    {"%QUERY_PARAM(e)%", "A%zz+b", "-"},
    {"%QUERY_PARAMS%", "q=1&empty=&flag&q=2&e=%41%zz+b", "-"},
    {"%QUERY_PARAMS(DECODED)%", "q=1&empty=&flag&q=2&e=A%zz+b", "-"},
    {"%GRPC_STATUS%", "-", "-"},
    {"%ENVIRONMENT(WEIR_TEST_NOT_SET)%", "-", "-"},
    {"%ENVIRONMENT(WEIR_TEST_SET)%", "value", "value"},
    {"%ENVIRONMENT(WEIR_TEST_SET):3%", "val", "val"},
};

TEST_F(FormatterTest, EveryOperator) {
  setenv("WEIR_TEST_SET", "value", 1);
  for (const Golden& golden : kGolden) {
    EXPECT_EQ(print(golden.format), golden.full) << golden.format;
    EXPECT_EQ(print_empty(golden.format), golden.empty) << golden.format;
  }
}

// A name that is spelled otherwise is the same name, and what a value spells stays in its line.
TEST_F(FormatterTest, QueryParametersAreDecoded) {
  request_.set_copy(http::HeaderId::kPath, "/p?r%6fle=%61dmin%0A&role=user");
  EXPECT_EQ(print("%QUERY_PARAM(role)%"), "admin\\x0a");
}

TEST_F(FormatterTest, WhatConnectionsAloneKnowIsKeptIfSomebodyPrintsIt) {
  const auto wanted = [](std::string_view text) {
    wanted_records_of_process = 0;
    EXPECT_TRUE(Format::compile(text, {}).ok()) << text;
    return wanted_records();
  };
  EXPECT_EQ(wanted("%UPSTREAM_HOST% %COMMON_DURATION(US_TX_BEG:US_RX_END:ms)%"), 0);
  for (std::string_view text :
       {"%UPSTREAM_LOCAL_PORT%", "%UPSTREAM_CONNECTION_ID%", "%UPSTREAM_CONNECTION_POOL_READY_DURATION%",
        "%COMMON_DURATION(US_CX_BEG:DS_TX_END:ms)%", "%COMMON_DURATION(DS_RX_BEG:US_HS_END:ms)%",
        "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:us)%"})
    EXPECT_EQ(wanted(text), kConnectionRecords) << text;
}

TEST_F(FormatterTest, Hostname) {
  char name[256] = {};
  ASSERT_EQ(gethostname(name, sizeof name - 1), 0);
  EXPECT_EQ(print("%HOSTNAME%"), name);
  for (const char* side : {"DOWNSTREAM_LOCAL", "DOWNSTREAM_DIRECT_LOCAL", "UPSTREAM_REMOTE"})
    EXPECT_EQ(print("%" + std::string(side) + "_ADDRESS_ENDPOINT_ID%"), "-") << side;
  // A UUID of version 4, another one each time.
  const std::string one = print("%UNIQUE_ID%");
  const std::string other = print("%UNIQUE_ID%");
  ASSERT_EQ(one.size(), 36u);
  EXPECT_NE(one, other);
  for (size_t i = 0; i < 36; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    EXPECT_EQ(one[i] == '-', dash) << one;
    EXPECT_TRUE(dash || std::string_view("0123456789abcdef").find(one[i]) != std::string_view::npos) << one;
  }
  EXPECT_EQ(one[14], '4');
  EXPECT_NE(std::string_view("89ab").find(one[19]), std::string_view::npos) << one;
}

TEST_F(FormatterTest, StreamIds) {
  EXPECT_EQ(print("%STREAM_ID%"), "id-1");
  request_.remove(http::HeaderId::kXRequestId);
  info_.stream_id = 257;
  const std::string one = print("%STREAM_ID%");
  EXPECT_EQ(one.size(), 36u);
  EXPECT_EQ(one[14], '4');
  EXPECT_EQ(print("%STREAM_ID%"), one);
  info_.stream_id = 513;
  EXPECT_NE(print("%STREAM_ID%"), one);
}

TEST_F(FormatterTest, DefaultAccessLog) {
  std::string out;
  Format::default_access_log().append(subject(), out);
  EXPECT_EQ(
      out,
      "[2018-01-01T00:00:00.123Z] \"GET /old?o=1 HTTP/1.1\" 503 UF,URX 11 22 30 8 \"10.1.10.23\" \"curl/8\" \"id-1\" "
      "\"api.example\" \"10.0.0.9:8080\"\n");
  out.clear();
  StreamInfo nothing;
  Format::default_access_log().append({nothing}, out);
  EXPECT_EQ(out, "[1970-01-01T00:00:00.000Z] \"- - -\" 0 - 0 0 - - \"-\" \"-\" \"-\" \"-\" \"-\"\n");
}

TEST_F(FormatterTest, AbsentValues) {
  EXPECT_EQ(print_empty("a %REQ(X)% b", {.omit_empty = true}), "a  b");
  EXPECT_EQ(print_empty("%ROUTE_NAME%", {.for_headers = true}), "");
  EXPECT_EQ(print_empty("%RESPONSE_FLAGS%", {.omit_empty = true}), "-");
}

TEST_F(FormatterTest, HostWithoutText) {
  info_.upstream.host_text = {};
  info_.upstream.host_name = {};
  EXPECT_EQ(print("%UPSTREAM_HOST% %UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%"),
            "10.0.0.9:8080 10.0.0.9:8080 10.0.0.9");
  info_.upstream.host_name = "[::1]:80";
  EXPECT_EQ(print("%UPSTREAM_HOST_NAME_WITHOUT_PORT%"), "::1");
  info_.upstream.host_name = "::1";
  EXPECT_EQ(print("%UPSTREAM_HOST_NAME_WITHOUT_PORT%"), "::1");
}

TEST_F(FormatterTest, UnixPeers) {
  info_.downstream_remote = *net::Address::from_unix("@peer");
  EXPECT_EQ(print("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8)% %DOWNSTREAM_REMOTE_PORT%"),
            "@peer @peer -");
}

TEST_F(FormatterTest, GrpcStatus) {
  constexpr std::string_view kAll =
      "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%";
  request_.add(http::HeaderId::kContentType, "application/grpc+proto");
  EXPECT_EQ(print(kAll), "Unavailable UNAVAILABLE 14 14");  // of 503
  response_.add(http::HeaderId::kGrpcStatus, "1");
  EXPECT_EQ(print(kAll), "Canceled CANCELLED 1 1");
  trailers_.add(http::HeaderId::kGrpcStatus, "3");
  EXPECT_EQ(print(kAll), "InvalidArgument INVALID_ARGUMENT 3 3");
  trailers_.set(http::HeaderId::kGrpcStatus, "99");
  EXPECT_EQ(print(kAll), "99 99 99 99");
  request_.set(http::HeaderId::kContentType, "application/grpc-web");
  EXPECT_EQ(print(kAll), "- - - -");
}

TEST_F(FormatterTest, OneStreamOneLine) {
  request_.set(http::HeaderId::kUserAgent, "a\r\n[2018] \"GET /admin\"\x1b[2J");
  info_.requested_server_name = std::string_view("x\0\n", 3);
  EXPECT_EQ(print("%REQ(USER-AGENT)% %REQUESTED_SERVER_NAME%\n"),
            "a\\x0d\\x0a[2018] \"GET /admin\"\\x1b[2J x\\x00\\x0a\n");
}

TEST_F(FormatterTest, ATabMayStandInTheValueOfAHeader) {
  request_.set(http::HeaderId::kUserAgent, "a\tb\x1b");
  EXPECT_EQ(print("%REQ(USER-AGENT)%", {.for_headers = true}), "a\tb\\x1b");
  EXPECT_EQ(print("%REQ(USER-AGENT)%"), "a\\x09b\\x1b");
}

TEST_F(FormatterTest, OperatorsOfPlugins) {
  class Answer final : public Operator {
   public:
    explicit Answer(std::string text) : text_(std::move(text)) {}
    bool append(const LogSubject&, TextBuffer& out) const override {
      out += text_;
      return true;
    }

   private:
    std::string text_;
  };
  OperatorSource source = [](std::string_view name, std::string_view argument) -> Result<std::unique_ptr<Operator>> {
    if (name == "BROKEN") return invalid("broken");
    if (name != "ANSWER") return nullptr;
    return std::make_unique<Answer>("<" + std::string(argument) + ">");
  };
  EXPECT_EQ(print("%ANSWER(x)% %PROTOCOL%", {.source = &source}), "<x> HTTP/1.1");
  EXPECT_EQ(message_of(Format::compile("%BROKEN%", {.source = &source}).status()), "broken");
  EXPECT_FALSE(Format::compile("%ANSWER(x)%", {}).ok());
}

TEST_F(FormatterTest, ConstantFormats) {
  EXPECT_TRUE(Format::compile("a%%b", {})->constant());
  EXPECT_FALSE(Format::compile("a%PROTOCOL%", {})->constant());
  EXPECT_EQ(Format::compile("a%%b", {})->source(), "a%%b");
}

TEST_F(FormatterTest, NoHeapWhilePrinting) {
  std::string all;
  for (const Golden& golden : kGolden) all += golden.format;
  auto format = Format::compile(all + "%START_TIME_LOCAL(%c %Z)%", {});
  ASSERT_TRUE(format.ok());
  JsonFormat::Node root{.kind = JsonFormat::Node::Kind::kObject};
  root.children.push_back({.key = "all", .format = *Format::compile(all, {})});
  JsonFormat json(std::move(root));
  request_.set(http::HeaderId::kUserAgent, "needs\nescaping\"");
  std::string out;
  format->append(subject(), out);  // the first use of local time may allocate
  json.append(subject(), out);
  std::string expected = out;
  out.clear();
  uint64_t before = test::allocations;
  format->append(subject(), out);
  json.append(subject(), out);
  EXPECT_EQ(test::allocations, before);
  EXPECT_EQ(out, expected);
}

}  // namespace
}  // namespace weir::stream
