// What a person reads who has mistyped a format.
#include <gtest/gtest.h>

#include "core/stream/formatter.h"

namespace weir::stream {
namespace {

std::string error_of(std::string_view format) {
  auto compiled = Format::compile(format, {});
  return compiled.ok() ? "" : message_of(compiled.status());
}

// The value of a header may be a password with a % in it.
TEST(FormatterError, HeadersAreNotRepeated) {
  for (const char* value : {"Basic abc%def", "Bearer a%def%", "abc%"}) {
    auto compiled = Format::compile(value, {.for_headers = true});
    ASSERT_FALSE(compiled.ok()) << value;
    EXPECT_EQ(message_of(compiled.status()).find("def"), std::string::npos) << message_of(compiled.status());
  }
  auto compiled = Format::compile("abc%", {.for_headers = true});
  EXPECT_EQ(message_of(compiled.status()),
            "a % that begins no operator, as in %PROTOCOL% (at character 4); %% prints a percent sign");
}

TEST(FormatterError, Golden) {
  EXPECT_EQ(error_of("a %REQQ(:METHOD)%"), "%REQQ(:METHOD)%: unknown operator (at character 3); did you mean REQ?");
  EXPECT_EQ(error_of("%protocol%"), "%protocol%: unknown operator (at character 1); did you mean PROTOCOL?");
  EXPECT_EQ(error_of("%DOWNSTREAM_REMOTE_ADRESS%"),
            "%DOWNSTREAM_REMOTE_ADRESS%: unknown operator (at character 1); did you mean DOWNSTREAM_REMOTE_ADDRESS?");
  EXPECT_EQ(error_of("%BANANA%"), "%BANANA%: unknown operator (at character 1); %% prints a percent sign");
  EXPECT_EQ(error_of("%FILE_CONTENT%"), "%FILE_CONTENT% is not supported by weir yet (at character 1)");
  EXPECT_EQ(error_of("%DOWNSTREAM_TLS_VERSIO%"),
            "%DOWNSTREAM_TLS_VERSIO%: unknown operator (at character 1); did you mean DOWNSTREAM_TLS_VERSION?");
  EXPECT_EQ(
      error_of("100% sure"),
      "\"% sure\": the name of an operator must follow %, as in %PROTOCOL%; %% prints a percent sign (at character 4)");
  EXPECT_EQ(error_of("%PROTOCOL"),
            "\"%PROTOCOL\": the operator has no closing %; %% prints a percent sign (at character 1)");
  EXPECT_EQ(error_of("%REQ(A%"), "\"%REQ(A%\": \")\" is missing (at character 1)");
  EXPECT_EQ(error_of("%REQ(A):x%"), "\"%REQ(A):x%\": after \":\" comes the greatest length, a number (at character 1)");
  EXPECT_EQ(error_of("%REQ%"),
            "%REQ%: the name of a header is needed (at character 1); write %REQ(NAME)% or %REQ(NAME?OTHER)%");
  EXPECT_EQ(
      error_of("%RESP(a b)%"),
      "%RESP(a b)%: \"a b\" is not the name of a header (at character 1); write %RESP(NAME)% or %RESP(NAME?OTHER)%");
  EXPECT_EQ(error_of("%REQ(a?)%"),
            "%REQ(a?)%: \"\" is not the name of a header (at character 1); write %REQ(NAME)% or %REQ(NAME?OTHER)%");
  EXPECT_EQ(error_of("%PROTOCOL(x)%"), "%PROTOCOL(x)%: takes no argument (at character 1); write %PROTOCOL%");
  EXPECT_EQ(error_of("%DOWNSTREAM_REMOTE_PORT(8)%"),
            "%DOWNSTREAM_REMOTE_PORT(8)%: takes no argument (at character 1); write %DOWNSTREAM_REMOTE_PORT%");
  EXPECT_EQ(
      error_of("%START_TIME(%Q)%"),
      "%START_TIME(%Q)%: \"%Q\" is not a time specifier (those of strftime, %s, %f, %1f to %9f) (at character 1)");
}

TEST(FormatterError, Coalesce) {
  const auto error = [](const std::string& argument) {
    const std::string whole = "%COALESCE(" + argument + ")%";
    std::string text = error_of(whole);
    EXPECT_TRUE(text.starts_with(whole + ": ")) << text;
    text = text.substr(std::min(text.size(), whole.size() + 2));
    const size_t end = text.find(" (at character 1)");
    EXPECT_NE(end, std::string::npos) << text;
    return text.substr(0, end);
  };
  constexpr const char* kNoJson = "the argument is not the JSON that is needed";
  constexpr const char* kNone = "operators is required: at least one";
  EXPECT_EQ(error(""), kNoJson);
  EXPECT_EQ(error("REQ"), kNoJson);
  EXPECT_EQ(error("{}"), kNone);
  EXPECT_EQ(error(R"({"operators": []})"), kNone);
  EXPECT_EQ(error(R"({"operators": ["PROTOCOL",]})"), kNoJson);
  EXPECT_EQ(error(R"({"operators": ["PROTOCOL")"), kNoJson);
  EXPECT_EQ(error(R"({"operators": ["PROTOCOL"]} x)"), "there is more after its end");
  EXPECT_EQ(error(R"({"operator": ["PROTOCOL"]})"), "\"operator\" is no member of it; operators is");
  EXPECT_EQ(error(R"({"operators": [{"param": "a"}]})"), "an operator has no command");
  EXPECT_EQ(error(R"({"operators": [{"command": "REQ", "name": "a"}]})"),
            "\"name\" is no member of an operator; command, param and max_length are");
  EXPECT_EQ(error(R"({"operators": [{"command": "PROTOCOL", "max_length": "3"}]})"), "max_length is a number");
  EXPECT_EQ(error(R"({"operators": ["PROTO\u00e4"]})"),
            "an escape in a text may be \\\", \\\\, \\/ or \\u0001 to \\u007f");
  EXPECT_EQ(error(R"({"operators": ["COALESCE"]})"), "COALESCE is none of the operators it may have");
  EXPECT_EQ(error(R"({"operators": ["PROTOCOLL"]})"), "unknown operator");
  EXPECT_EQ(error(R"({"operators": ["REQ"]})"), "the name of a header is needed");
}

TEST(FormatterError, Arguments) {
  for (std::string_view format : {"%COMMON_DURATION%",
                                  "%COMMON_DURATION(DS_RX_BEG:DS_TX_END)%",
                                  "%COMMON_DURATION(DS_RX_BEG:NOWHERE:ms)%",
                                  "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:s)%",
                                  "%PATH(XX)%",
                                  "%PATH(NQ:XX)%",
                                  "%REQUESTED_SERVER_NAME(SNI)%",
                                  "%QUERY_PARAM%",
                                  "%QUERY_PARAMS(RAW)%",
                                  "%GRPC_STATUS(HEX)%",
                                  "%GRPC_STATUS_NUMBER()%",
                                  "%STREAM_ID(1)%",
                                  "%ENVIRONMENT%",
                                  "%HOSTNAME(x)%",
                                  "%UNIQUE_ID(x)%",
                                  "%CUSTOM_FLAGS(x)%",
                                  "%UPSTREAM_HOSTS_ATTEMPTED(x)%",
                                  "%RESPONSE_CODE_DETAILS(X)%",
                                  "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(129)%",
                                  "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(-1)%",
                                  "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT()%",
                                  "%REQ()%",
                                  "%",
                                  "%%%",
                                  "%REQ(a):99999999999%",
                                  "%REQ(a)x%"}) {
    EXPECT_NE(error_of(format), "") << format;
  }
}

TEST(FormatterError, AnyTextIsSafe) {
  // Every two-byte tail of a prefix of a correct format: an error or not, but no crash.
  constexpr std::string_view kFormat = "%REQ(X?Y):10% %START_TIME(%Y%3f%E3S%Ez)% %%";
  for (size_t cut = 0; cut <= kFormat.size(); ++cut) {
    for (int c = 0; c < 256; ++c) {
      std::string text(kFormat.substr(0, cut));
      text += static_cast<char>(c);
      (void)Format::compile(text, {}).ok();
    }
  }
}

}  // namespace
}  // namespace weir::stream
