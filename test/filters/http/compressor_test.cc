// The filters compressor and decompressor with the real codings.
#include <gtest/gtest.h>

#include "core/http/content_coding.h"
#include "envoy/extensions/compression/brotli/compressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/brotli/decompressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"
#include "envoy/extensions/filters/http/decompressor/v3/decompressor.pb.h"
#include "test/support/filter_harness.h"
#include "test/support/plugin_scope.h"

namespace weir::test {
namespace {

namespace pb = envoy::extensions::filters::http::compressor::v3;
namespace compression = envoy::extensions::compression;

pb::Compressor compressor() {
  pb::Compressor proto;
  proto.mutable_compressor_library()->set_name("text");
  proto.mutable_compressor_library()->mutable_typed_config()->PackFrom(compression::gzip::compressor::v3::Gzip());
  proto.mutable_response_direction_config();
  return proto;
}
pb::Compressor brotli() {
  pb::Compressor proto = compressor();
  proto.mutable_compressor_library()->mutable_typed_config()->PackFrom(compression::brotli::compressor::v3::Brotli());
  return proto;
}
envoy::extensions::filters::http::decompressor::v3::Decompressor decompressor() {
  envoy::extensions::filters::http::decompressor::v3::Decompressor proto;
  proto.mutable_decompressor_library()->set_name("any");
  proto.mutable_decompressor_library()->mutable_typed_config()->PackFrom(compression::gzip::decompressor::v3::Gzip());
  return proto;
}

const std::string kText = std::string(500, 'a') + std::string(500, 'b');

std::string gunzip(const std::string& coded) {
  static PluginScope plugins;
  auto coding = std::static_pointer_cast<const http::ContentCoding>(
      plugins.extension(compression::gzip::decompressor::v3::Gzip()));
  BlockPool pool;
  Slices in, out;
  in.append_copy(coded, pool);
  EXPECT_EQ(coding->make_coder()->process(in, http::Flush::kEnd, out, pool), http::CodingResult::kOk);
  return out.to_string();
}

// One exchange: the response has `headers` and kText as its body.
struct Exchange {
  Headers request = {{":method", "GET"}, {":path", "/"}, {"accept-encoding", "gzip"}};
  Headers response = {{":status", "200"}, {"content-type", "text/plain"}, {"content-length", "1000"}};
  std::string body = kText;
  Message result{};
  std::string accepted_upstream{};

  void run(FilterHarness& harness) {
    harness.send_headers(request, true);
    harness.run(20ms);
    accepted_upstream = harness.request().header("accept-encoding");
    harness.respond_headers(response);
    harness.respond_data(body, true);
    harness.run();
    result = harness.response();
  }
};

Exchange run_exchange(const std::vector<filter::HttpFilterEntry>& filters, Exchange script = {},
                      std::shared_ptr<const void> route = nullptr) {
  FilterHarness harness(filters);
  if (route != nullptr) harness.set_route_config("envoy.filters.http.compressor", std::move(route));
  script.run(harness);
  return script;
}

// field: Compressor.compressor_library
TEST(Compressor, CompressesWhatTheClientAccepts) {
  PluginScope plugins;
  run_under_chaos({plugins.http_filter(compressor())}, [](FilterHarness& harness) {
    Exchange script;
    script.run(harness);
    EXPECT_EQ(script.result.header("content-encoding"), "gzip");
    EXPECT_EQ(script.result.header("content-length"), "(none)");
    EXPECT_EQ(script.result.header("vary"), "Accept-Encoding");
    EXPECT_EQ(gunzip(script.result.body), kText);
    EXPECT_EQ(script.accepted_upstream, "gzip");
  });
  EXPECT_TRUE(plugins.error_texts().empty());
}

TEST(Compressor, TrailersDoNotCutTheBody) {
  PluginScope plugins;
  run_under_chaos({plugins.http_filter(compressor())}, [](FilterHarness& harness) {
    harness.send_headers({{":method", "GET"}, {":path", "/"}, {"accept-encoding", "gzip"}}, true);
    harness.run(20ms);
    harness.respond_headers({{":status", "200"}, {"content-type", "text/plain"}});
    harness.respond_data(kText);
    harness.respond_trailers({{"x-end", "1"}});
    harness.run();
    EXPECT_EQ(gunzip(harness.response().body), kText);
    EXPECT_EQ(harness.response().trailer("x-end"), "1");
  });
}

// field: Compressor.request_direction_config, Compressor.RequestDirectionConfig.common_config
TEST(Compressor, RequestsToo) {
  PluginScope plugins;
  pb::Compressor proto = compressor();
  proto.mutable_request_direction_config();
  run_under_chaos({plugins.http_filter(proto)}, [](FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}, {":path", "/"}, {"content-type", "text/plain"}});
    harness.send_data(kText.substr(0, 400));
    harness.send_data(kText.substr(400), true);
    harness.run(50ms);
    EXPECT_EQ(harness.request().header("content-encoding"), "gzip");
    EXPECT_EQ(gunzip(harness.request().body), kText);
  });
}

TEST(Compressor, LeavesAloneWhatMustNotBeCoded) {
  PluginScope plugins;
  auto untouched = [&](Headers response, std::string body = kText) {
    Exchange script;
    script.response = std::move(response);
    script.body = std::move(body);
    Exchange done = run_exchange({plugins.http_filter(compressor())}, script);
    EXPECT_EQ(done.result.body, script.body);
    return done.result.header("vary");
  };
  EXPECT_EQ(untouched({{":status", "200"}, {"content-type", "image/png"}}), "(none)");
  EXPECT_EQ(untouched({{":status", "200"}, {"content-type", "text/plain"}, {"content-encoding", "br"}}), "(none)");
  EXPECT_EQ(
      untouched({{":status", "200"}, {"content-type", "text/plain"}, {"cache-control", "max-age=1, no-transform"}}),
      "(none)");
  EXPECT_EQ(untouched({{":status", "206"}, {"content-type", "text/plain"}, {"content-range", "bytes 0-999/2000"}}),
            "(none)");
  EXPECT_EQ(untouched({{":status", "200"}, {"content-type", "text/plain"}, {"content-length", "5"}}, "short"),
            "(none)");
}

TEST(Compressor, VaryAlsoForClientsThatDoNotAccept) {
  PluginScope plugins;
  Exchange script;
  script.request = {{":method", "GET"}, {":path", "/"}};
  script.response.emplace_back("vary", "Origin");
  Exchange done = run_exchange({plugins.http_filter(compressor())}, script);
  EXPECT_EQ(done.result.header("content-encoding"), "(none)");
  EXPECT_EQ(done.result.header("content-length"), "1000");
  EXPECT_EQ(done.result.header("vary"), "Origin, Accept-Encoding");
  script.response.back().second = "accept-encoding";
  EXPECT_EQ(run_exchange({plugins.http_filter(compressor())}, script).result.header("vary"), "accept-encoding");
  script.response.back().second = "*";
  EXPECT_EQ(run_exchange({plugins.http_filter(compressor())}, script).result.header("vary"), "*");
}

// field: Compressor.ResponseDirectionConfig.disable_on_etag_header, ResponseDirectionConfig.weaken_etag_on_compress
TEST(Compressor, Etags) {
  PluginScope plugins;
  auto etag_after = [&](const pb::Compressor& proto, const char* etag) {
    Exchange script;
    script.response.emplace_back("etag", etag);
    Exchange done = run_exchange({plugins.http_filter(proto)}, script);
    return done.result.header("etag") + (done.result.header("content-encoding") == "gzip" ? " coded" : " plain");
  };
  pb::Compressor proto = compressor();
  EXPECT_EQ(etag_after(proto, "\"v1\""), "(none) coded");
  EXPECT_EQ(etag_after(proto, "W/\"v1\""), "W/\"v1\" coded");
  proto.mutable_response_direction_config()->set_disable_on_etag_header(true);
  EXPECT_EQ(etag_after(proto, "\"v1\""), "\"v1\" plain");
  proto.mutable_response_direction_config()->set_weaken_etag_on_compress(true);  // which wins
  EXPECT_EQ(etag_after(proto, "\"v1\""), "W/\"v1\" coded");
  EXPECT_EQ(etag_after(proto, "W/\"v1\""), "W/\"v1\" coded");
}

// HEAD and 304 have the headers that the body would have had.
TEST(Compressor, AnswersWithoutABody) {
  PluginScope plugins;
  pb::Compressor proto = compressor();
  proto.mutable_response_direction_config()->set_weaken_etag_on_compress(true);
  auto answer = [&](const char* method, const char* accepted, const char* status, const char* length) {
    FilterHarness harness({plugins.http_filter(proto)});
    harness.send_headers({{":method", method}, {":path", "/"}, {"accept-encoding", accepted}}, true);
    harness.run(20ms);
    harness.respond_headers({{":status", status}, {"etag", "\"v1\""}, {"content-length", length}}, true);
    harness.run();
    const Message& response = harness.response();
    EXPECT_TRUE(response.ended);
    EXPECT_EQ(response.body, "");
    return response.header("content-encoding") + " " + response.header("content-length") + " " +
           response.header("etag") + " " + response.header("vary");
  };
  EXPECT_EQ(answer("HEAD", "gzip", "200", "1000"), "gzip (none) W/\"v1\" Accept-Encoding");
  EXPECT_EQ(answer("HEAD", "br", "200", "1000"), "(none) 1000 \"v1\" Accept-Encoding");
  EXPECT_EQ(answer("HEAD", "gzip", "200", "10"), "(none) 10 \"v1\" (none)");
  EXPECT_EQ(answer("HEAD", "gzip", "204", "1000"), answer("GET", "gzip", "204", "1000"));
  EXPECT_EQ(answer("GET", "gzip", "304", "1000"), "(none) (none) W/\"v1\" Accept-Encoding");
  EXPECT_EQ(answer("GET", "br", "304", "1000"), "(none) 1000 \"v1\" Accept-Encoding");
  EXPECT_EQ(answer("GET", "gzip", "200", "0"), "(none) 0 \"v1\" (none)");
}

// Who has nothing to do with a body does not keep it from going from socket to socket.
TEST(Compressor, OneThatDoesNotActIsNotInTheWay) {
  PluginScope plugins;
  const Headers plain = {{":method", "POST"}, {":path", "/"}};
  Headers accepting = plain;
  accepting.emplace_back("accept-encoding", "gzip");
  const Headers text = {{":status", "200"}, {"content-type", "text/plain"}};
  const Headers image = {{":status", "200"}, {"content-type", "image/png"}};
  Headers coded = image;
  coded.emplace_back("content-encoding", "gzip");
  pb::Compressor requests = compressor();
  requests.mutable_request_direction_config();
  auto unseen = [](filter::HttpFilterEntry filter, const Headers& request, const Headers& response) {
    FilterHarness harness({std::move(filter)});
    harness.respond_early();
    harness.send_headers(request);
    harness.respond_headers(response);
    harness.run();
    harness.stream().leave_request_unseen();
    return std::pair(harness.request_left_unseen(), harness.stream().takes_unseen_response());
  };
  EXPECT_EQ(unseen(plugins.http_filter(compressor()), plain, text), std::pair(true, true));
  EXPECT_EQ(unseen(plugins.http_filter(compressor()), accepting, image), std::pair(true, true));
  EXPECT_EQ(unseen(plugins.http_filter(compressor()), accepting, text), std::pair(true, false));
  EXPECT_EQ(unseen(plugins.http_filter(requests), plain, text), std::pair(false, true));
  EXPECT_EQ(unseen(plugins.http_filter(decompressor()), plain, image), std::pair(true, true));
  EXPECT_EQ(unseen(plugins.http_filter(decompressor()), plain, coded), std::pair(true, false));
}

TEST(Compressor, WhatComesBehindAnUpgradeIsNoBody) {
  PluginScope plugins;
  pb::Compressor proto = compressor();
  proto.mutable_request_direction_config();
  FilterHarness harness({plugins.http_filter(proto)});
  harness.send_headers({{":method", "GET"}, {":path", "/"}, {"upgrade", "websocket"}, {"connection", "upgrade"}});
  harness.send_data(kText);
  harness.run();
  EXPECT_EQ(harness.request().body, kText);
  EXPECT_EQ(harness.request().header("content-encoding"), "(none)");
}

TEST(Compressor, TunnelsAreLeftAlone) {
  PluginScope plugins;
  pb::Compressor proto = compressor();
  proto.mutable_request_direction_config();
  FilterHarness harness({plugins.http_filter(proto)});
  harness.send_headers({{":method", "CONNECT"}, {":authority", "a.example:443"}, {"accept-encoding", "gzip"}});
  harness.send_data(kText, true);
  harness.run(20ms);
  harness.respond_headers({{":status", "200"}});
  harness.respond_data(kText, true);
  harness.run();
  EXPECT_EQ(harness.request().body, kText);
  EXPECT_EQ(harness.response().body, kText);
  EXPECT_EQ(harness.response().header("vary"), "(none)");
}

// field: Compressor.content_length, Compressor.content_type, Compressor.disable_on_etag_header
// field: Compressor.remove_accept_encoding_header, Compressor.runtime_enabled
TEST(Compressor, DeprecatedFields) {
  PluginScope plugins;
  pb::Compressor proto = compressor();
  proto.clear_response_direction_config();
  proto.mutable_content_length()->set_value(1000);
  proto.add_content_type("text/own");
  proto.set_disable_on_etag_header(true);
  proto.set_remove_accept_encoding_header(true);
  Exchange script;
  script.response = {{":status", "200"}, {"content-type", "text/own"}, {"content-length", "1000"}};
  Exchange done = run_exchange({plugins.http_filter(proto)}, script);
  EXPECT_EQ(done.result.header("content-encoding"), "gzip");
  EXPECT_EQ(done.accepted_upstream, "(none)");
  EXPECT_EQ(plugins.store().counter("test.compressor.text.gzip.compressed").value(), 1u);
  script.response[1].second = "text/plain";
  EXPECT_EQ(run_exchange({plugins.http_filter(proto)}, script).result.header("content-encoding"), "(none)");
  script.response[1].second = "text/own";
  proto.mutable_content_length()->set_value(1001);
  EXPECT_EQ(run_exchange({plugins.http_filter(proto)}, script).result.header("content-encoding"), "(none)");
  proto.mutable_content_length()->set_value(1000);
  script.response.emplace_back("etag", "\"v1\"");
  EXPECT_EQ(run_exchange({plugins.http_filter(proto)}, script).result.header("content-encoding"), "(none)");
  script.response.pop_back();
  proto.mutable_runtime_enabled()->mutable_default_value()->set_value(false);
  EXPECT_EQ(run_exchange({plugins.http_filter(proto)}, script).result.header("content-encoding"), "(none)");
}

TEST(Compressor, Statistics) {
  PluginScope plugins;
  pb::Compressor proto = compressor();
  auto count = [&](const char* name) {
    return plugins.store().counter("test.compressor.text.gzip.response." + std::string(name)).value();
  };
  Exchange script;
  auto accepting = [&](const char* accepted) {
    if (accepted != nullptr) {
      script.request = {{":method", "GET"}, {":path", "/"}, {"accept-encoding", accepted}};
    } else {
      script.request = {{":method", "GET"}, {":path", "/"}};
    }
    return run_exchange({plugins.http_filter(proto), plugins.http_filter(brotli(), "br")}, script).result.body.size();
  };
  size_t coded = accepting("gzip");
  EXPECT_EQ(count("compressed"), 1u);
  EXPECT_EQ(count("header_compressor_used"), 1u);
  EXPECT_EQ(count("total_uncompressed_bytes"), 1000u);
  EXPECT_EQ(count("total_compressed_bytes"), coded);
  EXPECT_EQ(count("not_compressed"), 0u);
  EXPECT_EQ(accepting(nullptr), 1000u);
  EXPECT_EQ(count("no_accept_header"), 1u);
  accepting("identity");
  EXPECT_EQ(count("header_identity"), 1u);
  accepting("*");
  EXPECT_EQ(count("header_wildcard"), 1u);
  accepting("deflate");
  EXPECT_EQ(count("header_not_valid"), 1u);
  EXPECT_EQ(count("not_compressed"), 3u);
  // brotli was first to see the response, and coded it.
  accepting("br");
  EXPECT_EQ(count("not_compressed"), 4u);
  script.response = {{":status", "200"}, {"content-length", "5"}};
  script.body = "short";
  accepting("gzip");
  EXPECT_EQ(count("content_length_too_small"), 1u);
  EXPECT_EQ(count("compressed"), 2u);
}

// field: Compressor.response_direction_config, Compressor.ResponseDirectionConfig.common_config
// field: Compressor.CommonDirectionConfig.content_type, Compressor.CommonDirectionConfig.min_content_length
// field: ResponseDirectionConfig.uncompressible_response_codes, ResponseDirectionConfig.status_header_enabled
TEST(Compressor, UncompressibleCodesAndTypesAndLengths) {
  PluginScope plugins;
  pb::Compressor proto = compressor();
  auto& response = *proto.mutable_response_direction_config();
  response.add_uncompressible_response_codes(404);
  response.add_uncompressible_response_codes(403);
  response.mutable_common_config()->add_content_type("Application/X-Own");
  response.mutable_common_config()->mutable_min_content_length()->set_value(1001);
  response.set_status_header_enabled(true);
  auto status_of = [&](Headers headers) {
    Exchange script;
    script.response = std::move(headers);
    return run_exchange({plugins.http_filter(proto)}, script).result.header("x-envoy-compression-status");
  };
  EXPECT_EQ(status_of({{":status", "404"}, {"content-type", "application/x-own"}}), "gzip;StatusCodeNotAllowed");
  EXPECT_EQ(status_of({{":status", "200"}, {"content-type", "text/plain"}}), "gzip;ContentTypeNotAllowed");
  EXPECT_EQ(status_of({{":status", "200"}, {"content-type", "application/x-own"}, {"content-length", "1000"}}),
            "gzip;ContentLengthTooSmall");
  EXPECT_EQ(status_of({{":status", "200"}, {"content-type", "application/x-own; charset=utf-8"}}), "gzip;Compressed");
}

// A coder is taken for a short body when all of it is there, and not for as long as it takes to come.
TEST(Compressor, AShortBodyOfKnownLengthWaitsForItsEnd) {
  PluginScope plugins;
  FilterHarness harness({plugins.http_filter(compressor())});
  Exchange script;
  harness.send_headers(script.request, true);
  harness.run(20ms);
  harness.respond_headers(script.response);
  harness.respond_data(kText.substr(0, 400));
  harness.respond_data(kText.substr(400, 1));
  harness.run(20ms);
  EXPECT_EQ(harness.response().body, "");
  EXPECT_EQ(harness.held_state(), 1000);
  harness.respond_data(kText.substr(401), true);
  harness.run();
  EXPECT_EQ(gunzip(harness.response().body), kText);
  EXPECT_EQ(harness.held_state(), 0);
}

TEST(Compressor, ACoderIsHeldUntilTheBodyEnds) {
  PluginScope plugins;
  for (const bool trailers : {false, true}) {
    FilterHarness harness({plugins.http_filter(brotli())});
    harness.send_headers({{":method", "GET"}, {":path", "/"}, {"accept-encoding", "br"}}, true);
    harness.run(20ms);
    harness.respond_headers({{":status", "200"}});
    harness.run(20ms);
    const int64_t first = harness.held_state();
    EXPECT_GT(first, 400 * 1024);
    for (int i = 0; i < 10; ++i) harness.respond_data(std::string(100'000, 'a'));
    harness.run(20ms);
    EXPECT_GT(harness.held_state(), first + 100'000);
    trailers ? harness.respond_trailers({{"x-end", "1"}}) : harness.respond_data("", true);
    harness.run();
    EXPECT_EQ(harness.held_state(), 0);
  }
}

TEST(Compressor, WithoutRoomForACoderTheBodyGoesAsItIs) {
  PluginScope plugins;
  pb::Compressor proto = compressor();
  proto.mutable_response_direction_config()->set_status_header_enabled(true);
  proto.mutable_request_direction_config()
      ->mutable_common_config()
      ->mutable_enabled()
      ->mutable_default_value()
      ->set_value(true);
  FilterHarness harness({plugins.http_filter(proto)});
  harness.limit_state(999);
  harness.send_headers({{":method", "POST"}, {":path", "/"}, {"accept-encoding", "gzip"}});
  harness.send_data(kText, true);
  harness.run(20ms);
  EXPECT_EQ(harness.request().body, kText);
  EXPECT_EQ(harness.request().header("content-encoding"), "(none)");
  harness.respond_headers({{":status", "200"}, {"content-length", "1000"}, {"etag", "\"v1\""}});
  harness.respond_data(kText, true);
  harness.run();
  const Message& response = harness.response();
  EXPECT_EQ(response.body, kText);
  EXPECT_EQ(response.header("content-encoding"), "(none)");
  EXPECT_EQ(response.header("content-length"), "1000");
  EXPECT_EQ(response.header("etag"), "\"v1\"");
  EXPECT_EQ(response.header("vary"), "Accept-Encoding");
  EXPECT_EQ(response.header("x-envoy-compression-status"), "gzip;MemoryLimit");
  EXPECT_EQ(harness.held_state(), 0);
  for (const char* direction : {"request", "response"}) {
    const std::string prefix = std::string("test.compressor.text.gzip.") + direction + ".";
    EXPECT_EQ(plugins.store().counter(prefix + "not_compressed_memory").value(), 1u) << direction;
    EXPECT_EQ(plugins.store().counter(prefix + "not_compressed").value(), 1u) << direction;
    EXPECT_EQ(plugins.store().counter(prefix + "compressed").value(), 0u) << direction;
  }
}

// field: Compressor.choose_first
TEST(Compressor, SeveralAgreeOnOneCoding) {
  PluginScope plugins;
  std::vector<filter::HttpFilterEntry> chain = {plugins.http_filter(compressor(), "gzip"),
                                                plugins.http_filter(brotli(), "br")};
  Exchange script;
  script.request.back().second = "gzip;q=0.5, br";
  EXPECT_EQ(run_exchange(chain, script).result.header("content-encoding"), "br");
  script.request.back().second = "gzip, br;q=0.5";
  EXPECT_EQ(run_exchange(chain, script).result.header("content-encoding"), "gzip");
  EXPECT_EQ(run_exchange(chain, script).result.header("vary"), "Accept-Encoding");
  pb::Compressor first = brotli();
  first.set_choose_first(true);
  chain[1] = plugins.http_filter(first, "br");
  script.request.back().second = "gzip, br";
  EXPECT_EQ(run_exchange(chain, script).result.header("content-encoding"), "br");
}

// field: Compressor.CommonDirectionConfig.enabled
// field: CompressorPerRoute.disabled, CompressorPerRoute.overrides, CompressorOverrides.compressor_library
// field: CompressorOverrides.response_direction_config, ResponseDirectionOverrides.remove_accept_encoding_header
TEST(Compressor, PerRoute) {
  PluginScope plugins;
  pb::CompressorPerRoute off;
  off.set_disabled(true);
  EXPECT_EQ(run_exchange({plugins.http_filter(compressor())}, {}, plugins.route_config(off)).result.body, kText);
  // Off in the filter, on on the route, with another library and without the header for the upstream.
  pb::Compressor proto = compressor();
  proto.mutable_response_direction_config()
      ->mutable_common_config()
      ->mutable_enabled()
      ->mutable_default_value()
      ->set_value(false);
  EXPECT_EQ(run_exchange({plugins.http_filter(proto)}).result.body, kText);
  pb::CompressorPerRoute on;
  auto& overrides = *on.mutable_overrides();
  overrides.mutable_response_direction_config()->mutable_remove_accept_encoding_header()->set_value(true);
  *overrides.mutable_compressor_library() = brotli().compressor_library();
  Exchange script;
  script.request.back().second = "br";
  Exchange done = run_exchange({plugins.http_filter(proto)}, script, plugins.route_config(on));
  EXPECT_EQ(done.result.header("content-encoding"), "br");
  EXPECT_EQ(done.accepted_upstream, "(none)");
}

// field: Compressor.ResponseDirectionConfig.remove_accept_encoding_header
TEST(Compressor, TheUpstreamNeedNotKnow) {
  PluginScope plugins;
  pb::Compressor proto = compressor();
  proto.mutable_response_direction_config()->set_remove_accept_encoding_header(true);
  Exchange script;
  script.request.back().second = "br";
  // The second filter of the chain still knows what the client accepts.
  Exchange done = run_exchange({plugins.http_filter(proto), plugins.http_filter(brotli(), "br")}, script);
  EXPECT_EQ(done.accepted_upstream, "(none)");
  EXPECT_EQ(done.result.header("content-encoding"), "br");
}

TEST(Compressor, AnUnknownLibraryIsAnError) {
  PluginScope plugins;
  pb::Compressor proto = compressor();
  proto.mutable_compressor_library()->mutable_typed_config()->PackFrom(compression::gzip::decompressor::v3::Gzip());
  const auto* descriptor = PluginScope::registry().http_filter(proto.GetTypeName());
  ASSERT_NE(descriptor, nullptr);
  (void)descriptor->make_config(proto, plugins.scope());
  ASSERT_EQ(plugins.error_texts().size(), 1u);
  EXPECT_NE(plugins.error_texts()[0].find("compressor_library.typed_config: "), std::string::npos);
  EXPECT_NE(plugins.error_texts()[0].find("is not a compressor_library of this build; there are: "), std::string::npos);
}

// field: Decompressor.decompressor_library
TEST(Decompressor, BothDirections) {
  PluginScope plugins;
  std::string coded;
  {
    Exchange done = run_exchange({plugins.http_filter(compressor())});
    coded = done.result.body;
  }
  run_under_chaos({plugins.http_filter(decompressor())}, [&](FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}, {":path", "/"}, {"content-encoding", "gzip"}, {"content-length", "99"}});
    harness.send_data(coded.substr(0, 5));
    harness.send_data(coded.substr(5), true);
    harness.run(50ms);
    EXPECT_EQ(harness.request().body, kText);
    EXPECT_EQ(harness.request().header("content-encoding"), "(none)");
    EXPECT_EQ(harness.request().header("content-length"), "(none)");
    EXPECT_EQ(harness.request().header("accept-encoding"), "gzip");
    harness.respond_headers({{":status", "200"}, {"content-encoding", "br, gzip"}});
    harness.respond_data(coded, true);
    harness.run();
    EXPECT_EQ(harness.response().body, kText);
    EXPECT_EQ(harness.response().header("content-encoding"), "br");
  });
}

TEST(Decompressor, TrailersDoNotCutTheBody) {
  PluginScope plugins;
  std::string coded = run_exchange({plugins.http_filter(compressor())}).result.body;
  run_under_chaos({plugins.http_filter(decompressor())}, [&](FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}, {":path", "/"}, {"content-encoding", "x-gzip"}});
    harness.send_data(coded);
    harness.send_trailers({{"x-end", "1"}});
    harness.run(50ms);
    EXPECT_EQ(harness.request().body, kText);
    EXPECT_EQ(harness.request().trailer("x-end"), "1");
    harness.respond_headers({{":status", "200"}, {"content-encoding", "gzip"}, {"etag", "\"v1\""}});
    harness.respond_data(coded);
    harness.respond_trailers({{"x-end", "2"}});
    harness.run();
    EXPECT_EQ(harness.response().body, kText);
    EXPECT_EQ(harness.response().header("etag"), "W/\"v1\"");
    EXPECT_EQ(harness.response().trailer("x-end"), "2");
  });
}

// field: Decompressor.request_direction_config, Decompressor.response_direction_config
// field: Decompressor.RequestDirectionConfig.common_config, Decompressor.ResponseDirectionConfig.common_config
// field: Decompressor.CommonDirectionConfig.enabled, CommonDirectionConfig.ignore_no_transform_header
// field: RequestDirectionConfig.advertise_accept_encoding
TEST(Decompressor, Directions) {
  PluginScope plugins;
  std::string coded = run_exchange({plugins.http_filter(compressor())}).result.body;
  auto went = [&](const auto& proto, const char* cache_control) {
    FilterHarness harness({plugins.http_filter(proto)});
    harness.send_headers(
        {{":method", "POST"}, {":path", "/"}, {"content-encoding", "gzip"}, {"cache-control", cache_control}});
    harness.send_data(coded, true);
    harness.run(20ms);
    harness.respond_headers({{":status", "200"}, {"content-encoding", "gzip"}, {"cache-control", cache_control}});
    harness.respond_data(coded, true);
    harness.run();
    return std::string(harness.request().body == kText ? "plain" : "coded") + " " +
           harness.request().header("accept-encoding") + " " + (harness.response().body == kText ? "plain" : "coded");
  };
  auto proto = decompressor();
  EXPECT_EQ(went(proto, "max-age=1"), "plain gzip plain");
  EXPECT_EQ(went(proto, "max-age=1, no-transform"), "coded gzip coded");
  proto.mutable_request_direction_config()->mutable_common_config()->set_ignore_no_transform_header(true);
  EXPECT_EQ(went(proto, "no-transform"), "plain gzip coded");
  proto.mutable_response_direction_config()->mutable_common_config()->set_ignore_no_transform_header(true);
  EXPECT_EQ(went(proto, "no-transform"), "plain gzip plain");
  proto.mutable_request_direction_config()->mutable_advertise_accept_encoding()->set_value(false);
  EXPECT_EQ(went(proto, "max-age=1"), "plain (none) plain");
  proto = decompressor();
  auto off = [](auto* direction) {
    direction->mutable_common_config()->mutable_enabled()->mutable_default_value()->set_value(false);
  };
  off(proto.mutable_request_direction_config());
  EXPECT_EQ(went(proto, "max-age=1"), "coded gzip plain");
  off(proto.mutable_response_direction_config());
  EXPECT_EQ(went(proto, "max-age=1"), "coded (none) coded");
  EXPECT_EQ(plugins.store().counter("test.decompressor.any.gzip.request.decompressed").value(), 4u);
  EXPECT_EQ(plugins.store().counter("test.decompressor.any.gzip.response.not_decompressed").value(), 3u);
}

TEST(Decompressor, HeadHasTheHeadersOfGet) {
  PluginScope plugins;
  FilterHarness harness({plugins.http_filter(decompressor())});
  harness.send_headers({{":method", "HEAD"}, {":path", "/"}}, true);
  harness.run(20ms);
  harness.respond_headers({{":status", "200"}, {"content-encoding", "gzip"}, {"content-length", "99"}}, true);
  harness.run();
  EXPECT_EQ(harness.response().header("content-encoding"), "(none)");
  EXPECT_EQ(harness.response().header("content-length"), "(none)");
}

// Of a length that nobody stated: there is no coding to be cut short.
TEST(Decompressor, AnEmptyBody) {
  PluginScope plugins;
  for (bool trailers : {false, true}) {
    run_under_chaos({plugins.http_filter(decompressor())}, [&](FilterHarness& harness) {
      harness.send_headers({{":method", "POST"}, {":path", "/"}, {"content-encoding", "gzip"}});
      trailers ? harness.send_trailers({{"x-end", "1"}}) : harness.send_data("", true);
      harness.run(50ms);
      EXPECT_EQ(harness.request().header("content-encoding"), "(none)");
      harness.respond_headers({{":status", "200"}, {"content-encoding", "gzip"}});
      trailers ? harness.respond_trailers({{"x-end", "2"}}) : harness.respond_data("", true);
      harness.run();
      EXPECT_FALSE(harness.aborted());
      EXPECT_EQ(harness.response().header(":status"), "200");
      EXPECT_EQ(harness.response().header("content-encoding"), "(none)");
      EXPECT_EQ(harness.response().body, "");
    });
  }
}

// Cut short, also by trailers.
TEST(Decompressor, HalfABody) {
  PluginScope plugins;
  std::string coded = run_exchange({plugins.http_filter(compressor())}).result.body;
  run_under_chaos({plugins.http_filter(decompressor())}, [&](FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}, {":path", "/"}, {"content-encoding", "gzip"}});
    harness.send_data(coded.substr(0, coded.size() / 2));
    harness.send_trailers({{"x-end", "1"}});
    harness.run();
    EXPECT_EQ(harness.response().header(":status"), "400");
  });
  run_under_chaos({plugins.http_filter(decompressor())}, [&](FilterHarness& harness) {
    harness.send_headers({{":method", "GET"}, {":path", "/"}}, true);
    harness.run(20ms);
    harness.respond_headers({{":status", "200"}, {"content-encoding", "gzip"}});
    harness.respond_data(coded.substr(0, coded.size() / 2), true);
    harness.run();
    EXPECT_TRUE(harness.aborted() || harness.response().header(":status") == "502");
  });
}

TEST(Decompressor, ABodyThatIsNoneIs400) {
  PluginScope plugins;
  run_under_chaos({plugins.http_filter(decompressor())}, [&](FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}, {":path", "/"}, {"content-encoding", "gzip"}});
    harness.send_data("no gzip at all", true);
    harness.run();
    EXPECT_EQ(harness.response().header(":status"), "400");
    EXPECT_EQ(harness.details(), "decompression_failed");
  });
}

// What it holds is known to the stream while the body is under way, and a body for which there is no room ends.
TEST(Decompressor, WhatDecodersHoldIsBounded) {
  PluginScope plugins;
  Exchange script;
  script.request.back().second = "br";
  const std::string coded = run_exchange({plugins.http_filter(brotli())}, script).result.body;
  auto proto = decompressor();
  proto.mutable_decompressor_library()->mutable_typed_config()->PackFrom(
      compression::brotli::decompressor::v3::Brotli());
  for (const bool room : {true, false}) {
    FilterHarness harness({plugins.http_filter(proto)});
    harness.limit_state(room ? 1 << 20 : 1000);
    harness.send_headers({{":method", "POST"}, {":path", "/"}, {"content-encoding", "br"}});
    harness.send_data(coded.substr(0, coded.size() / 2));
    harness.run(20ms);
    if (room) {
      EXPECT_GE(harness.held_state(), 64 * 1024);
      harness.send_data(coded.substr(coded.size() / 2), true);
      harness.run(20ms);
      EXPECT_EQ(harness.request().body, kText);
    } else {
      EXPECT_EQ(harness.response().header(":status"), "503");
      EXPECT_EQ(harness.details(), "decompression_memory_limit");
    }
    EXPECT_EQ(harness.held_state(), 0);
  }
  EXPECT_EQ(plugins.store().counter("test.decompressor.any.brotli.request.failed_memory").value(), 1u);
}

}  // namespace
}  // namespace weir::test
