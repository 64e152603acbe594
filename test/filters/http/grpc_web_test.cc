#include <gtest/gtest.h>

#include "envoy/extensions/filters/http/grpc_web/v3/grpc_web.pb.h"
#include "filters/http/grpc_web/base64.h"
#include "test/support/filter_harness.h"
#include "test/support/grpc_messages.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

using GrpcWeb = envoy::extensions::filters::http::grpc_web::v3::GrpcWeb;

const std::string kWeb = "application/grpc-web+proto";
const std::string kWebText = "application/grpc-web-text+proto";

Headers call(const std::string& type, const std::string& accept = "") {
  Headers headers = {{":method", "POST"}, {":authority", "a"}, {":path", "/shop.Cart/Add"}, {"content-type", type}};
  if (!accept.empty()) headers.emplace_back("accept", accept);
  return headers;
}

struct Web {
  PluginScope plugins;
  std::vector<filter::HttpFilterEntry> chain() { return {plugins.http_filter(GrpcWeb())}; }
};

const Headers kGood = {{":status", "200"}, {"content-type", "application/grpc"}};
const Headers kTrailers = {{"grpc-status", "0"}, {"grpc-message", "fine"}, {"x-more", "1"}};
const std::string kTrailersFrame = grpc_frame("grpc-status: 0\r\ngrpc-message: fine\r\nx-more: 1\r\n", 0x80);

TEST(GrpcWeb, MessagesPassAsTheyAre) {
  Web web;
  run_under_chaos(web.chain(), [](FilterHarness& harness) {
    Headers request = call(kWeb);
    request.emplace_back("content-length", "10");
    harness.send_headers(request);
    harness.send_data(grpc_frame("hello"), true);
    harness.respond_headers({{":status", "200"}, {"content-type", "application/grpc"}, {"content-length", "14"}});
    harness.respond_data(grpc_frame("one"));
    harness.respond_data(grpc_frame("two"));
    harness.respond_trailers(kTrailers);
    harness.run();
    const Message& seen = harness.request();
    EXPECT_EQ(seen.header("content-type"), "application/grpc");
    EXPECT_EQ(seen.header("te"), "trailers");
    EXPECT_EQ(seen.header("content-length"), "(none)");
    EXPECT_EQ(seen.body, grpc_frame("hello"));
    const Message& answer = harness.response();
    EXPECT_TRUE(answer.ended);
    EXPECT_EQ(answer.header(":status"), "200");
    EXPECT_EQ(answer.header("content-type"), kWeb);
    EXPECT_EQ(answer.header("content-length"), "(none)");
    EXPECT_EQ(answer.body, grpc_frame("one") + grpc_frame("two") + kTrailersFrame);
    EXPECT_TRUE(answer.trailers.empty());
  });
  EXPECT_TRUE(web.plugins.error_texts().empty());
}

TEST(GrpcWeb, TextBothWays) {
  Web web;
  const std::string request = base64(grpc_frame("hello"));
  run_under_chaos(web.chain(), [&](FilterHarness& harness) {
    harness.send_headers(call(kWebText, "application/grpc-web-text"));
    harness.send_data(request.substr(0, 5));
    harness.send_data(request.substr(5), true);
    harness.respond_headers(kGood);
    harness.respond_data(grpc_frame("four").substr(0, 6));
    harness.respond_data(grpc_frame("four").substr(6) + grpc_frame("").substr(0, 2));
    harness.respond_data(grpc_frame("").substr(2));
    harness.respond_trailers(kTrailers);
    harness.run();
    EXPECT_EQ(harness.request().body, grpc_frame("hello"));
    const Message& answer = harness.response();
    EXPECT_EQ(answer.header("content-type"), kWebText);
    EXPECT_EQ(from_base64(answer.body), grpc_frame("four") + grpc_frame("") + kTrailersFrame);
    EXPECT_EQ(answer.body, base64(grpc_frame("four")) + base64(grpc_frame("")) + base64(kTrailersFrame));
  });
}

// Padding may stand wherever a message ends, and pieces may end anywhere.
TEST(GrpcWeb, RequestTextAtEverySplit) {
  Web web;
  const std::string messages = grpc_frame("four") + grpc_frame("three") + grpc_frame("sixsix");
  const std::string text = base64(grpc_frame("four")) + base64(grpc_frame("three")) + base64(grpc_frame("sixsix"));
  ASSERT_NE(text.find("=="), std::string::npos);
  ASSERT_LT(text.find('='), text.size() - 4);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    FilterHarness harness(web.chain());
    harness.send_headers(call(kWebText));
    if (cut > 0) harness.send_data(text.substr(0, cut), cut == text.size());
    if (cut < text.size()) harness.send_data(text.substr(cut), true);
    harness.respond_headers(kGood, true);
    harness.run(50ms);
    EXPECT_EQ(harness.request().body, messages) << cut;
    EXPECT_TRUE(harness.request().ended);
  }
  FilterHarness harness(web.chain());
  harness.send_headers(call(kWebText));
  for (const char c : text) harness.send_data({&c, 1});
  harness.send_trailers({{"x-client", "1"}});
  harness.respond_headers(kGood, true);
  harness.run(50ms);
  EXPECT_EQ(harness.request().body, messages);
  EXPECT_EQ(harness.request().trailer("x-client"), "1");
}

TEST(GrpcWeb, ResponseTextAtEverySplit) {
  Web web;
  const std::string messages = grpc_frame("four") + grpc_frame("three") + grpc_frame("sixsix");
  for (size_t cut = 1; cut < messages.size(); ++cut) {
    FilterHarness harness(web.chain());
    harness.send_headers(call(kWebText), true);
    harness.respond_headers(kGood);
    harness.respond_data(messages.substr(0, cut));
    harness.run(5ms);
    // Whatever is complete is all there: nobody waits for the next message to see this one.
    const size_t complete = cut < 9 ? 0 : cut < 19 ? 9 : 19;
    EXPECT_EQ(from_base64(harness.response().body).substr(0, complete), messages.substr(0, complete)) << cut;
    harness.respond_data(messages.substr(cut));
    harness.respond_trailers(kTrailers);
    harness.run(50ms);
    EXPECT_EQ(from_base64(harness.response().body), messages + kTrailersFrame) << cut;
  }
}

TEST(GrpcWeb, TextThatIsNone) {
  Web web;
  const std::string good = base64(grpc_frame("x"));
  const std::string texts[] = {"????", "QQ",    "QUJ",  "Q",      "=QQQ",
                               "Q=QQ", "QQ=Q",  "Q===", "====",   "QUJD=",
                               "QR==", "QUI=A", "QU-_", "QUJD\n", std::string("QUJ\0", 4)};
  for (const std::string& text : texts) {
    for (const bool trailers : {false, true}) {
      FilterHarness harness(web.chain());
      harness.send_headers(call(kWebText));
      harness.send_data(good + text, !trailers);
      if (trailers) harness.send_trailers({{"x-client", "1"}});
      harness.run(50ms);
      const Message& answer = harness.response();
      EXPECT_EQ(answer.header(":status"), "400") << text;
      EXPECT_EQ(answer.header("content-type"), kWebText);
      EXPECT_EQ(answer.header("grpc-status"), "13");
      EXPECT_NE(answer.header("grpc-message").find("base64"), std::string::npos);
      EXPECT_EQ(harness.details(), "grpc_web_invalid_base64");
    }
  }
  run_under_chaos(web.chain(), [](FilterHarness& harness) {
    harness.send_headers(call(kWebText));
    harness.send_data("QUJD?", true);
    harness.run(100ms);
    EXPECT_EQ(harness.response().header(":status"), "400");
  });
}

TEST(GrpcWeb, TheFormOfTheAnswerIsTheClientsChoice) {
  Web web;
  const auto answer_to = [&](const std::string& type, const std::string& accept) {
    FilterHarness harness(web.chain());
    harness.send_headers(call(type, accept), true);
    harness.respond_headers(kGood, true);
    harness.run(50ms);
    return harness.response().header("content-type");
  };
  EXPECT_EQ(answer_to("application/grpc-web", ""), kWeb);
  EXPECT_EQ(answer_to("application/grpc-web", "application/grpc-web-text"), kWebText);
  EXPECT_EQ(answer_to("application/grpc-web-text", "application/grpc-web"), kWeb);
  EXPECT_EQ(answer_to("application/grpc-web-text", ""), kWebText);
  EXPECT_EQ(answer_to("application/grpc-web-text", "*/*"), kWebText);
  EXPECT_EQ(answer_to("application/grpc-web", "text/html, application/grpc-web-text+proto;q=1"), kWebText);
  EXPECT_EQ(answer_to("Application/gRPC-Web-Text; charset=utf-8", ""), kWebText);
}

TEST(GrpcWeb, WhatMessagesAreIsKept) {
  Web web;
  FilterHarness harness(web.chain());
  harness.send_headers(call("application/grpc-web+json"), true);
  harness.respond_headers({{":status", "200"}, {"content-type", "application/grpc+json; x=y"}}, true);
  harness.run(50ms);
  EXPECT_EQ(harness.request().header("content-type"), "application/grpc+json");
  EXPECT_EQ(harness.response().header("content-type"), "application/grpc-web+json");
}

TEST(GrpcWeb, HeadersAlone) {
  Web web;
  run_under_chaos(web.chain(), [](FilterHarness& harness) {
    harness.send_headers(call(kWebText), true);
    harness.respond_headers(
        {{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "5"}, {"grpc-message", "not there"}},
        true);
    harness.run();
    const Message& answer = harness.response();
    EXPECT_EQ(answer.header("content-type"), kWebText);
    EXPECT_EQ(answer.header("grpc-status"), "5");
    EXPECT_EQ(answer.header("grpc-message"), "not there");
    EXPECT_EQ(answer.body, "");
  });
}

// A server or balancer that answers in its own way: the client gets a status that it understands.
TEST(GrpcWeb, AnswersThatAreNoGrpc) {
  Web web;
  struct Case {
    Headers headers;
    std::string body;
    std::string status, message;
  };
  const std::string text = "no 100% today\n";
  const Case cases[] = {
      {{{":status", "503"}, {"content-type", "text/plain"}, {"content-length", "14"}},
       text,
       "14",
       "no 100%25 today%0A"},
      {{{":status", "404"}, {"content-length", "14"}}, text, "12", "no 100%25 today%0A"},
      {{{":status", "502"}, {"content-type", "text/html"}}, text, "14", "the upstream has answered 502, no gRPC"},
      {{{":status", "200"}, {"content-type", "text/html"}, {"content-length", "9000"}},
       std::string(9000, 'x'),
       "2",
       "the upstream has answered 200, no gRPC"},
      {{{":status", "401"}, {"content-encoding", "gzip"}, {"content-length", "14"}},
       text,
       "16",
       "the upstream has answered 401, no gRPC"},
      {{{":status", "403"}, {"content-type", "text/plain"}}, "", "7", "the upstream has answered 403, no gRPC"},
      {{{":status", "500"}, {"content-length", "3000"}}, std::string(3000, 'e'), "2", std::string(1024, 'e')},
  };
  for (const Case& one : cases) {
    for (const bool trailers : {false, true}) {
      run_under_chaos(
          web.chain(),
          [&](FilterHarness& harness) {
            harness.send_headers(call(kWeb), true);
            const bool bare = one.body.empty() && !trailers;
            harness.respond_headers(one.headers, bare);
            if (!one.body.empty()) {
              harness.respond_data(one.body.substr(0, 5));
              harness.respond_data(one.body.substr(5), !trailers);
            }
            if (trailers) harness.respond_trailers({{"x-end", "1"}});
            harness.run();
            const Message& answer = harness.response();
            EXPECT_TRUE(answer.ended);
            EXPECT_EQ(answer.header(":status"), one.headers[0].second);
            EXPECT_EQ(answer.header("content-type"), kWeb);
            EXPECT_EQ(answer.header("content-encoding"), "(none)");
            EXPECT_EQ(answer.header("grpc-status"), one.status);
            EXPECT_EQ(answer.header("grpc-message"), one.message);
            EXPECT_EQ(answer.body, "");
            EXPECT_TRUE(answer.trailers.empty());
            EXPECT_EQ(answer.header("content-length"), bare ? "(none)" : "0");
          },
          10);
    }
  }
}

TEST(GrpcWeb, WhatWeirAnswersItself) {
  Web web;
  FilterHarness harness(web.chain());
  harness.when_request_headers_arrive([&harness] { harness.stream().reply_local(503, "no_host", "nobody is there"); });
  harness.send_headers(call(kWeb), true);
  harness.run(50ms);
  const Message& answer = harness.response();
  EXPECT_EQ(answer.header(":status"), "200");
  EXPECT_EQ(answer.header("content-type"), kWeb);
  EXPECT_EQ(answer.header("grpc-status"), "14");
  EXPECT_EQ(answer.header("grpc-message"), "nobody is there");
}

TEST(GrpcWeb, AnUpstreamThatSpeaksItItself) {
  Web web;
  FilterHarness harness(web.chain());
  harness.send_headers(call(kWeb), true);
  harness.respond_headers(
      {{":status", "200"}, {"content-type", "application/grpc-web+proto"}, {"content-length", "6"}});
  harness.respond_data(grpc_frame("x"));
  harness.respond_trailers({{"x-end", "1"}});
  harness.run(50ms);
  EXPECT_EQ(harness.response().header("content-type"), kWeb);
  EXPECT_EQ(harness.response().header("content-length"), "6");
  EXPECT_EQ(harness.response().body, grpc_frame("x"));
  EXPECT_EQ(harness.response().trailer("x-end"), "1");
}

// gRPC itself, a browser's question whether it may (CORS), and everything else.
TEST(GrpcWeb, OtherRequestsPass) {
  Web web;
  for (const char* type : {"application/grpc", "application/grpc-webs", "application/grpc-web-textual",
                           "text/application/grpc-web", "application/json", ""}) {
    run_under_chaos(
        web.chain(),
        [&](FilterHarness& harness) {
          Headers request = {{":method", "OPTIONS"}, {":path", "/shop.Cart/Add"}, {"content-length", "4"}};
          if (*type != '\0') request.emplace_back("content-type", type);
          harness.send_headers(request);
          harness.send_data("Q?==", true);
          harness.respond_headers({{":status", "200"}, {"content-type", "application/grpc"}, {"content-length", "6"}});
          harness.respond_data(grpc_frame("x"));
          harness.respond_trailers(kTrailers);
          harness.run();
          EXPECT_EQ(harness.request().headers, request);
          EXPECT_EQ(harness.request().body, "Q?==");
          EXPECT_EQ(harness.response().header("content-type"), "application/grpc");
          EXPECT_EQ(harness.response().header("content-length"), "6");
          EXPECT_EQ(harness.response().body, grpc_frame("x"));
          EXPECT_EQ(harness.response().trailers, kTrailers);
        },
        5);
  }
}

// Large messages go through in pieces: little is held, whatever their size.
TEST(GrpcWeb, LargeMessagesAreNotHeld) {
  Web web;
  const std::string message = grpc_frame(std::string(1 << 20, 'm'));
  const std::string text = base64(message);
  FilterHarness harness(web.chain(), {.buffer_limit = 16 * 1024});
  harness.send_headers(call(kWebText));
  for (size_t at = 0; at < text.size(); at += 10007)
    harness.send_data(text.substr(at, 10007), at + 10007 >= text.size());
  harness.respond_headers(kGood);
  for (size_t at = 0; at < message.size(); at += 10007) harness.respond_data(message.substr(at, 10007));
  harness.respond_trailers(kTrailers);
  harness.run();
  EXPECT_EQ(harness.request().body, message);
  EXPECT_GT(harness.request().data_events, 100u);
  EXPECT_GT(harness.response().data_events, 100u);
  EXPECT_EQ(from_base64(harness.response().body), message + kTrailersFrame);
}

TEST(GrpcWebText, TheVectorsOfTheRfc) {
  BlockPool pool;
  const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
    Slices coded, plain;
    filters::grpc_web::TextDecoder decoder;
    {
      http::CodedOutput out(coded, pool);
      filters::grpc_web::TextEncoder encoder;
      encoder.encode(bytes, out);
      encoder.end(out);
      encoder.end(out);
    }
    {
      http::CodedOutput out(plain, pool);
      EXPECT_TRUE(decoder.decode(text, out));
    }
    EXPECT_TRUE(decoder.between_groups());
    EXPECT_EQ(coded.to_string(), text);
    EXPECT_EQ(plain.to_string(), bytes);
  }
}

// Across the ends of blocks, whose sizes are multiples of neither group.
TEST(GrpcWebText, LongTexts) {
  BlockPool pool;
  std::string bytes;
  for (int i = 0; i < 100'000; ++i) bytes += static_cast<char>(i * 7 + i / 256);
  for (const size_t piece : {1u, 2u, 3u, 4u, 5u, 1000u, 100'000u}) {
    Slices coded, plain;
    {
      http::CodedOutput out(coded, pool);
      filters::grpc_web::TextEncoder encoder;
      for (size_t at = 0; at < bytes.size(); at += piece)
        encoder.encode(std::string_view(bytes).substr(at, piece), out);
      encoder.end(out);
    }
    const std::string text = coded.to_string();
    EXPECT_EQ(text, base64(bytes)) << piece;
    {
      http::CodedOutput out(plain, pool);
      filters::grpc_web::TextDecoder decoder;
      for (size_t at = 0; at < text.size(); at += piece)
        EXPECT_TRUE(decoder.decode(std::string_view(text).substr(at, piece), out));
    }
    EXPECT_EQ(plain.to_string(), bytes) << piece;
  }
}

}  // namespace
}  // namespace weir::test
