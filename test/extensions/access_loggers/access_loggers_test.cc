#include <algorithm>
#include <fstream>

#include "core/config/data_source.h"
#include "core/config/field_table.h"
#include "core/config/translator.h"
#include "core/event/lane.h"
#include "core/filter/registry.h"
#include "core/stream/log_writer.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/json_util.h"
#include "test/extensions/access_loggers/test_log.h"

namespace weir::plugins {
void access_logger_file(filter::RegistryBuilder& registry);
void access_logger_stream(filter::RegistryBuilder& registry);
}  // namespace weir::plugins

namespace weir {
namespace {

using envoy::extensions::access_loggers::file::v3::FileAccessLog;
using envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;

class NoRoutes final : public filter::RouteProvider {
  TableSlot route_table(const google::protobuf::Message&, filter::FactoryScope&) override { return {}; }
};

class Report final : public filter::ConfigReport {
 public:
  void error(const std::string& path, const std::string& message) override {
    text += (text.empty() ? "" : "; ") + path + ": " + message;
    ++errors_;
  }
  void warning(const std::string&, const std::string&) override {}
  std::unique_ptr<google::protobuf::Message> unpack(const google::protobuf::Any& any, const std::string&) override {
    const std::string name = any.type_url().substr(any.type_url().rfind('/') + 1);
    const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
    std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
    EXPECT_TRUE(any.UnpackTo(message.get()));
    return message;
  }
  std::optional<std::string> read_source(const google::protobuf::Message& source, const std::string& path,
                                         size_t max_bytes) override {
    config::SourceFault fault;
    auto content =
        config::read_data_source(static_cast<const envoy::config::core::v3::DataSource&>(source), {max_bytes}, fault);
    if (!content.has_value()) error(fault.field.empty() ? path : path + "." + fault.field, fault.message);
    return content;
  }
  bool skip_unknown(const filter::UnknownPlugin&, const google::protobuf::Any&, const std::string&) override {
    return false;
  }
  size_t errors() const override { return errors_; }
  filter::ConfigTranslator& translator() override { return translator_; }
  void forget() {
    text.clear();
    errors_ = 0;
  }
  std::string text;

 private:
  size_t errors_ = 0;
  config::Translator translator_{*this};
};

class AccessLoggersTest : public testing::Test {
 protected:
  AccessLoggersTest() {
    filter::RegistryBuilder builder;
    plugins::access_logger_file(builder);
    plugins::access_logger_stream(builder);
    registry_ = builder.build();
  }
  ~AccessLoggersTest() override { stream::LogWriter::process().stop(5s); }

  // nullptr: what is wrong is in report_.
  template <class Proto>
  std::shared_ptr<const stream::AccessLogger> make(const std::string& json) {
    Proto proto;
    auto parsed = google::protobuf::util::JsonStringToMessage(json, &proto);
    EXPECT_TRUE(parsed.ok()) << parsed.ToString();
    report_.forget();
    filter::FactoryScope scope(registry_, store_, routes_, report_, "");
    config::check_fields(proto, "", report_);
    const auto* descriptor = registry_.access_logger(Proto::descriptor()->full_name());
    auto logger = descriptor->make_logger(proto, scope);
    EXPECT_TRUE(logger.ok());
    EXPECT_TRUE(stream::LogWriter::process().open_all().ok());
    return report_.errors() == 0 ? *logger : nullptr;
  }
  // What a request is logged as. `format`: further members of the FileAccessLog in JSON.
  std::string line(const std::string& format) {
    std::string path = directory_.file("line.log");
    std::filesystem::remove(path);
    {
      auto logger = make<FileAccessLog>(R"({"path": ")" + path + "\"" + format + "}");
      if (logger == nullptr) return report_.text;
      logger->log(request_.subject(), lane_);
      EXPECT_TRUE(stream::LogWriter::process().flush(5s));
    }
    std::string text = test::read_file(path);
    EXPECT_TRUE(stream::LogWriter::process().stop(5s));
    return text;
  }
  std::string error(const std::string& json) {
    make<FileAccessLog>(json);
    return report_.text;
  }

  test::TemporaryDirectory directory_;
  stats::Store store_;
  NoRoutes routes_;
  Report report_;
  filter::Registry registry_;
  event::Lane lane_{{.index = 1}};
  test::FinishedRequest request_;
};

TEST_F(AccessLoggersTest, DefaultFormat) {
  const char* expected =
      "[2023-11-14T22:13:20.000Z] \"GET /cart HTTP/1.1\" 200 - 0 42 12 - \"-\" \"test/1\" \"-\" \"shop.example\" "
      "\"-\"\n";
  EXPECT_EQ(line(""), expected);
  EXPECT_EQ(line(R"(, "format": "")"), expected);
}

// field: FileAccessLog.format, SubstitutionFormatString.text_format, SubstitutionFormatString.omit_empty_values
// field: core.v3.DataSource.inline_bytes, core.v3.DataSource.filename, core.v3.DataSource.environment_variable
TEST_F(AccessLoggersTest, TextFormats) {
  EXPECT_EQ(line(R"(, "format": "%RESPONSE_CODE% %REQ(:PATH)%\n")"), "200 /cart\n");
  EXPECT_EQ(line(R"(, "log_format": {"text_format": "%RESPONSE_CODE%\n"})"), "200\n");
  EXPECT_EQ(line(R"(, "log_format": {"text_format_source": {"inline_string": "%PROTOCOL% %REQ(X-NONE)%\n"}})"),
            "HTTP/1.1 -\n");
  EXPECT_EQ(line(R"(, "log_format": {"text_format_source": {"inline_bytes": "JVBST1RPQ09MJQo="}})"), "HTTP/1.1\n");
  EXPECT_EQ(
      line(
          R"(, "log_format": {"omit_empty_values": true, "text_format_source": {"inline_string": "a%REQ(X-NONE)%b\n"}})"),
      "ab\n");
  std::ofstream(directory_.file("format")) << "from a file %RESPONSE_CODE%\n";
  EXPECT_EQ(line(R"(, "log_format": {"text_format_source": {"filename": ")" + directory_.file("format") + "\"}}"),
            "from a file 200\n");
  setenv("WEIR_TEST_FORMAT", "from the environment\n", 1);
  EXPECT_EQ(line(R"(, "log_format": {"text_format_source": {"environment_variable": "WEIR_TEST_FORMAT"}})"),
            "from the environment\n");
}

// field: SubstitutionFormatString.json_format, FileAccessLog.json_format, FileAccessLog.typed_json_format
TEST_F(AccessLoggersTest, JsonFormats) {
  EXPECT_EQ(
      line(
          R"(, "log_format": {"json_format": {"status": "%RESPONSE_CODE%", "path": "%REQ(:PATH)%", "none": "%REQ(X-NONE)%",
      "nested": {"list": ["%PROTOCOL%", 1, 2.5, true, null]}, "text": "<%RESPONSE_CODE%>"}})"),
      R"({"nested":{"list":["HTTP/1.1",1,2.5,true,null]},"none":null,"path":"/cart","status":200,"text":"<200>"})"
      "\n");
  EXPECT_EQ(
      line(R"(, "log_format": {"omit_empty_values": true, "json_format": {"a": "%REQ(X-NONE)%", "b": "%PROTOCOL%"}})"),
      "{\"b\":\"HTTP/1.1\"}\n");
  EXPECT_EQ(line(R"(, "json_format": {"status": "%RESPONSE_CODE%"})"), "{\"status\":200}\n");
  EXPECT_EQ(line(R"(, "typed_json_format": {"status": "%RESPONSE_CODE%"})"), "{\"status\":200}\n");
}

// field: SubstitutionFormatString.formatters, SubstitutionFormatString@body.formatters
TEST_F(AccessLoggersTest, Formatters) {
  const auto with = [](std::initializer_list<std::string> types) {
    std::string list;
    for (const std::string& type : types) {
      list += list.empty() ? "" : ", ";
      list += R"({"name": "f", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.)" + type + "\"}}";
    }
    return R"(, "log_format": {"text_format": "%REQ_WITHOUT_QUERY(:PATH)% %METADATA(ROUTE:a)%\n", "formatters": [)" +
           list + "]}";
  };
  EXPECT_EQ(line(with({"formatter.req_without_query.v3.ReqWithoutQuery", "formatter.metadata.v3.Metadata"})),
            "/cart -\n");
  EXPECT_EQ(
      line(with({"formatter.metadata.v3.Metadata", "access_loggers.stream.v3.StderrAccessLog"})),
      "log_format.formatters[1].typed_config: envoy.extensions.access_loggers.stream.v3.StderrAccessLog brings no "
      "operators; envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery and "
      "envoy.extensions.formatter.metadata.v3.Metadata do");
}

TEST_F(AccessLoggersTest, WhatPeersSendIsOneLine) {
  request_.request.set(http::HeaderId::kUserAgent, "a\r\nb\x01\"");
  EXPECT_EQ(line(R"(, "format": "%REQ(USER-AGENT)%\n")"), "a\\x0d\\x0ab\\x01\"\n");
  EXPECT_EQ(line(R"(, "typed_json_format": {"a": "%REQ(USER-AGENT)%"})"), "{\"a\":\"a\\r\\nb\\u0001\\\"\"}\n");
}

TEST_F(AccessLoggersTest, ErrorsNameTheField) {
  EXPECT_EQ(error("{}"), "path: must not be empty");
  EXPECT_EQ(error(R"({"log_format": {"content_type": "t", "json_format": {"a": "%", "b": {"c": "%"}}}})")
                .find("log_format.content_type: not supported by weir; an access log has none, remove it; path: must"),
            0u);
  EXPECT_EQ(report_.errors(), 4u) << report_.text;  // everything wrong at once
  EXPECT_EQ(error(R"({"path": "/no/such/dir/a.log"})"),
            "path: cannot open /no/such/dir/a.log for writing: No such file or directory");
  EXPECT_EQ(error(R"({"path": "/dev/null", "log_format": {}})"),
            "log_format: one of text_format_source, text_format, json_format is required");
  EXPECT_EQ(error(R"({"path": "/dev/null", "log_format": {"text_format": "x", "content_type": "text/plain"}})"),
            "log_format.content_type: not supported by weir; an access log has none, remove it");
  EXPECT_EQ(
      error(R"({"path": "/dev/null", "log_format": {"text_format_source": {}}})"),
      "log_format.text_format_source: one of filename, inline_string, inline_bytes, environment_variable is required");
  EXPECT_EQ(
      error(R"({"path": "/dev/null", "log_format": {"text_format_source": {"environment_variable": "WEIR_NO_SUCH"}}})"),
      "log_format.text_format_source.environment_variable: \"WEIR_NO_SUCH\" is not set");
  EXPECT_EQ(error(R"({"path": "/dev/null", "log_format": {"text_format_source": {"filename": "/no/such"}}})"),
            "log_format.text_format_source.filename: cannot read /no/such: No such file or directory");
  std::string unknown = error(R"({"path": "/dev/null", "log_format": {"json_format": {"a": {"b": ["%REQQ(X)%"]}}}})");
  EXPECT_EQ(unknown.substr(0, 50), "log_format.json_format.a.b[0]: %REQQ(X)%: unknown ") << unknown;
  EXPECT_EQ(error(R"({"path": "/dev/null", "format": "%REQ"})").substr(0, 14), "format: \"%REQ\"");
}

// field: StdoutAccessLog.log_format, StderrAccessLog.log_format
TEST_F(AccessLoggersTest, StandardOutput) {
  auto logger =
      make<StdoutAccessLog>(R"({"log_format": {"text_format_source": {"inline_string": "[%RESPONSE_CODE%]\n"}}})");
  ASSERT_NE(logger, nullptr) << report_.text;
  testing::internal::CaptureStdout();
  logger->log(request_.subject(), lane_);
  EXPECT_TRUE(stream::LogWriter::process().flush(5s));
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "[200]\n");
  EXPECT_NE(make<StdoutAccessLog>("{}"), nullptr);
  make<envoy::extensions::access_loggers::stream::v3::StderrAccessLog>(R"({"log_format": {"text_format": "%X%"}})");
  EXPECT_EQ(report_.text.substr(0, 28), "log_format.text_format: %X%:");
}

}  // namespace
}  // namespace weir
