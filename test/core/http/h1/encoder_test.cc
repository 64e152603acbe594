// The bytes of heads and bodies: what may never be written, where they are written, and that our parser reads them
// back.
#include "core/http/h1/encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "core/http/chars.h"
#include "core/http/h1/parser.h"
#include "test/core/http/h1/transcript.h"

namespace weir::http::h1::test {
namespace {

class EncoderTest : public testing::Test {
 protected:
  EncoderTest() {
    request_.add(HeaderId::kMethod, "GET");
    request_.add(HeaderId::kPath, "/");
    request_.add(HeaderId::kAuthority, "h");
  }
  EncodeError encode() {
    out_.clear();
    return encode_request_head(request_, {}, out_, blocks_);
  }

  ArenaPool pool_;
  Arena arena_{pool_};
  HeaderMap request_{arena_};
  BlockPool blocks_;
  Slices out_;
  EncodeError error_ = EncodeError::kNone;
};

TEST_F(EncoderTest, BreaksAreNeverWritten) {
  const std::string_view bad[] = {
      "\r", "\n", std::string_view("\0", 1), "a\r\nX-Injected: 1", "\r\n", "0123456789abcdef\n"};
  for (std::string_view value : bad) {
    for (size_t before : {0, 1, 14, 15, 16, 17, 31, 300, 5000}) {
      std::string text = std::string(before, 'v') + std::string(value) + "v";
      request_.set_copy(HeaderId::kAccept, text);
      EXPECT_EQ(encode(), EncodeError::kInvalidField) << before;
      EXPECT_TRUE(out_.empty());
      request_.remove(HeaderId::kAccept);
      request_.set_copy(HeaderName("x-own"), text);
      EXPECT_EQ(encode(), EncodeError::kInvalidField) << before;
      request_.remove(HeaderName("x-own"));
    }
    request_.set_copy(HeaderId::kPath, "/" + std::string(value));
    EXPECT_EQ(encode(), EncodeError::kInvalidStartLine);
    request_.set_copy(HeaderId::kPath, "/");
    request_.set_copy(HeaderId::kAuthority, value);
    EXPECT_EQ(encode(), EncodeError::kInvalidField);
    request_.set_copy(HeaderId::kAuthority, "h");
    request_.set_copy(HeaderId::kMethod, value);
    EXPECT_EQ(encode(), EncodeError::kInvalidStartLine);
    request_.set_copy(HeaderId::kMethod, "GET");
  }
  EXPECT_EQ(encode(), EncodeError::kNone);
}

TEST_F(EncoderTest, BadNamesAndStartLines) {
  for (std::string_view name : {"x y", "x:", "", "x\r\ny", "x\x80", "x\x01"}) {
    request_.add(HeaderId::kNone, name, "v");
    EXPECT_EQ(encode(), EncodeError::kInvalidField) << name;
    request_.remove_if([](const HeaderEntry& entry) { return entry.id == HeaderId::kNone; });
  }
  for (std::string_view path : {"", "/a b", "/a#b", "/\xc3", "/\x7f", "/\t"}) {
    request_.set_copy(HeaderId::kPath, path);
    EXPECT_EQ(encode(), EncodeError::kInvalidStartLine) << path;
  }
  request_.set(HeaderId::kPath, "/");
  request_.set(HeaderId::kMethod, "G T");
  EXPECT_EQ(encode(), EncodeError::kInvalidStartLine);
  request_.remove(HeaderId::kMethod);
  EXPECT_EQ(encode(), EncodeError::kInvalidStartLine);
  HeaderMap response(arena_);
  EXPECT_EQ(encode_response_head(response, {}, out_, blocks_), EncodeError::kInvalidStartLine);
  response.add(HeaderId::kStatus, "2\r0");
  EXPECT_EQ(encode_response_head(response, {}, out_, blocks_), EncodeError::kInvalidStartLine);
  response.set(HeaderId::kStatus, "099");
  EXPECT_EQ(encode_response_head(response, {}, out_, blocks_), EncodeError::kInvalidStartLine);
}

TEST_F(EncoderTest, ProperCase) {
  request_.add_copy("x-own-name", "V-v");
  request_.add_copy("content-length", "1");
  request_.add_copy("1st", "x");
  Framing framing;
  framing.body = BodyKind::kChunked;
  framing.connection = Framing::Connection::kClose;
  framing.proper_case = true;
  ASSERT_EQ(encode_request_head(request_, framing, out_, blocks_), EncodeError::kNone);
  EXPECT_EQ(out_.to_string(),
            "GET / HTTP/1.1\r\nHost: h\r\nX-Own-Name: V-v\r\n1st: x\r\nTransfer-Encoding: chunked\r\nConnection: "
            "close\r\n\r\n");
}

// RFC 9112 3.2.2
TEST_F(EncoderTest, AbsoluteForm) {
  Framing framing;
  framing.absolute_form = true;
  auto target = [&](std::string_view method, std::string_view path, std::string_view authority,
                    std::string_view scheme = {}) {
    request_.set(HeaderId::kMethod, method);
    request_.set(HeaderId::kPath, path);
    request_.set(HeaderId::kAuthority, authority);
    request_.remove(HeaderId::kScheme);
    if (!scheme.empty()) request_.add(HeaderId::kScheme, scheme);
    out_.clear();
    error_ = encode_request_head(request_, framing, out_, blocks_);
    const std::string head = out_.to_string();
    return head.substr(0, head.find("\r\n"));
  };
  EXPECT_EQ(target("GET", "/a?b", "h:1", "https"), "GET https://h:1/a?b HTTP/1.1");
  EXPECT_TRUE(out_.to_string().ends_with("\r\nhost: h:1\r\n\r\n"));
  EXPECT_EQ(target("GET", "/", "h"), "GET http://h/ HTTP/1.1");
  EXPECT_EQ(target("OPTIONS", "*", "h", "http"), "OPTIONS http://h HTTP/1.1");
  EXPECT_EQ(target("CONNECT", "/", "h:1", "http"), "CONNECT h:1 HTTP/1.1");
  EXPECT_EQ(target("GET", "/", "", "http"), "GET / HTTP/1.1");  // a request of HTTP/1.0, perhaps
  for (std::string_view bad : {"h x", "h\r\n", "h#"}) {
    EXPECT_EQ(target("GET", "/", bad, "http"), "");
    EXPECT_EQ(error_, EncodeError::kInvalidStartLine);
    EXPECT_EQ(target("GET", "/", "h", bad), "");
    EXPECT_EQ(error_, EncodeError::kInvalidStartLine);
  }
}

class SpellingTest : public EncoderTest {
 protected:
  SpellingTest() { settings_.options.preserve_case = true; }
  // As if another codec had received it.
  void receive_request(std::string_view head) {
    RequestHead info;
    ASSERT_EQ(parse_request_head(head, settings_, message_, info), ParseError::kNone);
  }
  void receive_response(std::string_view head) {
    ResponseHead info;
    ASSERT_EQ(parse_response_head(head, settings_, {}, message_, info), ParseError::kNone);
  }
  std::string forward_request(const Framing& framing = {}) {
    out_.clear();
    EXPECT_EQ(encode_request_head(message_, framing, out_, blocks_), EncodeError::kNone);
    return out_.to_string();
  }
  std::string forward_response() {
    out_.clear();
    EXPECT_EQ(encode_response_head(message_, {}, out_, blocks_), EncodeError::kNone);
    return out_.to_string();
  }
  Settings settings_;
  HeaderMap message_{arena_};
};

TEST_F(SpellingTest, NamesStayAsTheyCame) {
  receive_request(
      "GET / HTTP/1.1\r\nHOST: h\r\naCCept:*/*\r\nX-Own:  \t a\r\nX-oWN:\r\nEmpty:  \r\nX-Later: x\r\n\r\nrest: 1\r\n");
  EXPECT_EQ(message_.get(HeaderName("x-own")), "a");  // they are found as ever
  EXPECT_EQ(forward_request(),
            "GET / HTTP/1.1\r\nHOST: h\r\naCCept: */*\r\nX-Own: a\r\nX-oWN: \r\nEmpty: \r\nX-Later: x\r\n\r\n");
}

TEST_F(SpellingTest, AlsoOfValuesThatChanged) {
  receive_request("GET / HTTP/1.1\r\nHoSt: h\r\nX-A: a\r\nX-Host: x\r\nCOOKIE: c\r\n\r\n");
  message_.set(HeaderId::kAuthority, "other");
  message_.set(HeaderName("x-a"), "new");
  message_.append_value(HeaderName(HeaderId::kCookie), "d", "; ");
  // A view of another one's value.
  message_.add(HeaderId::kNone, "host-copy", message_.get(HeaderName("x-host")));
  EXPECT_EQ(forward_request(),
            "GET / HTTP/1.1\r\nHoSt: other\r\nX-A: new\r\nX-Host: x\r\nCOOKIE: c; d\r\nhost-copy: x\r\n\r\n");
}

TEST_F(SpellingTest, OfNamesThatWereAddedTheConfigurationSays) {
  for (bool proper : {false, true}) {
    settings_.options.proper_case_of_added = proper;
    message_.clear();
    receive_request("GET / HTTP/1.1\r\nHost: h\r\nTRANSFER-encoding: chunked\r\n\r\n");
    message_.add(HeaderId::kXRequestId, "1");
    message_.add_copy("x-mine", "2");
    Framing framing;
    framing.body = BodyKind::kChunked;
    framing.connection = Framing::Connection::kClose;
    framing.proper_case = !proper;  // what the message says counts more
    EXPECT_EQ(forward_request(framing),
              std::string("GET / HTTP/1.1\r\nHost: h\r\n") +
                  (proper ? "X-Request-Id: 1\r\nX-Mine: 2\r\nTRANSFER-encoding: chunked\r\nConnection: close\r\n\r\n"
                          : "x-request-id: 1\r\nx-mine: 2\r\nTRANSFER-encoding: chunked\r\nconnection: close\r\n\r\n"));
  }
}

TEST_F(SpellingTest, NamesThatAreNoneAreStillRefused) {
  receive_request("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  message_.add(HeaderId::kNone, "x y", "1");
  EXPECT_EQ(encode_request_head(message_, {}, out_, blocks_), EncodeError::kInvalidField);
}

TEST_F(SpellingTest, OfTrailers) {
  const std::string_view section = "X-Sum: 1\r\nx-LAST: 2\r\n\r\n";
  ASSERT_EQ(parse_trailers(section, settings_, message_), ParseError::kNone);
  BodyEncoder body;
  Framing framing;
  framing.body = BodyKind::kChunked;
  body.start(framing, false);
  ASSERT_EQ(body.encode_trailers(message_, false, out_, blocks_), EncodeError::kNone);
  EXPECT_EQ(out_.to_string(), "0\r\nX-Sum: 1\r\nx-LAST: 2\r\n\r\n");
}

TEST_F(SpellingTest, OfTheReason) {
  const std::string long_reason(3000, 'r');
  for (bool kept : {false, true}) {
    settings_.options.forward_reason_phrase = kept;
    message_.clear();
    receive_response("HTTP/1.1 200 Very Well\r\nServer: s\r\n\r\n");
    EXPECT_EQ(forward_response(), std::string("HTTP/1.1 200 ") + (kept ? "Very Well" : "OK") + "\r\nServer: s\r\n\r\n");
    message_.set(HeaderId::kStatus, "404");  // it was about another one
    EXPECT_EQ(forward_response(), "HTTP/1.1 404 Not Found\r\nServer: s\r\n\r\n");
    for (std::string_view nothing : {"HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n"}) {
      message_.clear();
      receive_response(nothing);
      EXPECT_EQ(forward_response(), kept ? "HTTP/1.1 200 \r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n");
    }
  }
  message_.clear();
  const std::string head = "HTTP/1.1 299 " + long_reason + "\r\n\r\n";
  receive_response(head);
  EXPECT_EQ(forward_response(), head);
}

TEST_F(SpellingTest, CopiesKeepItAndClearedMapsDoNot) {
  std::string head = "GET / HTTP/1.1\r\nHost: h\r\nX-A: a\r\n\r\n";
  receive_request(head);
  HeaderMap copy(arena_);
  message_.copy_to(copy);
  head.assign(head.size(), '?');
  Slices out;
  ASSERT_EQ(encode_request_head(copy, {}, out, blocks_), EncodeError::kNone);
  EXPECT_EQ(out.to_string(), "GET / HTTP/1.1\r\nHost: h\r\nX-A: a\r\n\r\n");
  copy.clear();
  EXPECT_EQ(copy.received(), nullptr);
}

TEST_F(EncoderTest, HeadsShareABlockAndLargeOnesGetTheirOwn) {
  ASSERT_EQ(encode_request_head(request_, {}, out_, blocks_), EncodeError::kNone);
  ASSERT_EQ(encode_request_head(request_, {}, out_, blocks_), EncodeError::kNone);
  EXPECT_EQ(out_.slice_count(), 1u);
  std::string big(20000, 'x');
  request_.add(HeaderId::kCookie, big);
  ASSERT_EQ(encode_request_head(request_, {}, out_, blocks_), EncodeError::kNone);
  EXPECT_EQ(out_.slice_count(), 2u);
  EXPECT_NE(out_.to_string().find(big), std::string::npos);
}

TEST_F(EncoderTest, ABlockThatOthersReferToIsNotWrittenTo) {
  ASSERT_EQ(encode_request_head(request_, {}, out_, blocks_), EncodeError::kNone);
  Slices copy;
  out_.copy_refs_to(copy);
  std::string before = copy.to_string();
  ASSERT_EQ(encode_request_head(request_, {}, out_, blocks_), EncodeError::kNone);
  EXPECT_EQ(out_.slice_count(), 2u);
  EXPECT_EQ(copy.to_string(), before);
}

TEST_F(EncoderTest, LargeSlicesPassByReferenceAndOneWriteBlockServesAllChunks) {
  BodyEncoder body;
  Framing framing;
  framing.body = BodyKind::kChunked;
  body.start(framing, false);
  std::string expected;
  std::vector<const char*> given;
  for (int i = 0; i < 5; ++i) {
    std::string text(4096, static_cast<char>('a' + i));
    Slices data;
    append_alone(data, text, blocks_);
    given.push_back(data.front().data);
    ASSERT_EQ(body.encode_data(data, i == 4, out_, blocks_), EncodeError::kNone);
    EXPECT_TRUE(data.empty());
    expected += "1000\r\n" + text + "\r\n";
  }
  EXPECT_EQ(out_.to_string(), expected + "0\r\n\r\n");
  size_t found = 0;
  for (size_t i = 0; i < out_.slice_count(); ++i) found += std::count(given.begin(), given.end(), out_.at(i).data);
  EXPECT_EQ(found, given.size());
  EXPECT_EQ(out_.slice_count(), 11u);
  EXPECT_EQ(out_.at(0).block.get(), out_.at(10).block.get());
}

TEST_F(EncoderTest, ChunkSizes) {
  for (size_t size : {1, 15, 16, 255, 256, 2047, 2048, 4095, 4096, 65535, 65536, 1000000}) {
    BodyEncoder body;
    Framing framing;
    framing.body = BodyKind::kChunked;
    body.start(framing, false);
    out_.clear();
    Slices data;
    std::string text(size, 'x');
    append_alone(data, text, blocks_);
    ASSERT_EQ(body.encode_data(data, true, out_, blocks_), EncodeError::kNone);
    char header[32];
    snprintf(header, sizeof(header), "%zx\r\n", size);
    EXPECT_EQ(out_.to_string(), header + text + "\r\n0\r\n\r\n");
  }
}

// Random valid heads: what is written is read back as the same fields.
TEST_F(EncoderTest, RoundTrip) {
  uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  auto text_of = [&](std::string_view alphabet, size_t least, size_t most) {
    std::string text;
    for (size_t size = least + random() % (most - least + 1); size > 0; --size)
      text += alphabet[random() % alphabet.size()];
    return text;
  };
  Settings settings;
  settings.limits.max_header_count = 1000;
  for (int round = 0; round < 3000; ++round) {
    arena_.reset();
    request_.clear();
    request_.add_copy(HeaderId::kMethod, text_of("ABCxyz-_!", 1, 12));
    request_.add_copy(HeaderId::kPath, "/" + text_of("abc/?%=&.\"|\\", 0, 300));
    request_.add_copy(HeaderId::kAuthority, text_of("abc.-", 1, 40));
    size_t count = random() % 60;
    for (size_t i = 0; i < count; ++i) {
      std::string value = text_of("abcDEF 123:,;=\"\t\x80\xff", 0, 200);
      std::string_view trimmed = trim_spaces(value);
      if (random() % 2 == 0) {
        auto id = static_cast<HeaderId>(6 + random() % (kHeaderIdCount - 6));
        if (id == HeaderId::kHost || id == HeaderId::kContentLength || id == HeaderId::kTransferEncoding ||
            id == HeaderId::kConnection)
          continue;
        request_.add_copy(id, trimmed);
      } else {
        request_.add_copy(text_of("abcxyz019-_.!#$%&'*+^`|~", 1, 40), trimmed);
      }
    }
    Framing framing;
    framing.proper_case = random() % 2 == 0;
    out_.clear();
    ASSERT_EQ(encode_request_head(request_, framing, out_, blocks_), EncodeError::kNone);
    std::string head = out_.to_string();
    Arena arena(pool_);
    HeaderMap again(arena);
    RequestHead info;
    ASSERT_EQ(parse_request_head(head, settings, again, info), ParseError::kNone) << head;
    ASSERT_EQ(again.to_string(), request_.to_string());
  }
}

}  // namespace
}  // namespace weir::http::h1::test
