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
  EXPECT_EQ(error_of("%UNIQUE_ID%"), "%UNIQUE_ID% is not supported by weir yet (at character 1)");
  EXPECT_EQ(error_of("%DOWNSTREAM_TLS_VERSION%"),
            "%DOWNSTREAM_TLS_VERSION% is not supported by weir yet (at character 1)");
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
