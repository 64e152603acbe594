#include "extensions/access_loggers/common/log_format.h"

#include <charconv>
#include <cmath>

#include "core/event/lane.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/substitution_format_string.pb.h"
#include "google/protobuf/struct.pb.h"

namespace weir::extensions::access_loggers {
namespace {

using Node = stream::JsonFormat::Node;

constexpr size_t kMaxFormatBytes = 1024 * 1024;

class DefaultLogger final : public stream::AccessLogger {
 public:
  explicit DefaultLogger(std::shared_ptr<stream::LogFile> file) : file_(std::move(file)) {}
  void log(const stream::LogSubject& subject, event::Lane& lane) const override {
    format_.append(subject, file_->begin_line(lane.index()));
    file_->end_line(lane.index());
  }

 private:
  const std::shared_ptr<stream::LogFile> file_;
  const stream::Format& format_ = stream::Format::default_access_log();
};

template <class F>
class LineLogger final : public stream::AccessLogger {
 public:
  LineLogger(std::shared_ptr<stream::LogFile> file, F format) : file_(std::move(file)), format_(std::move(format)) {}
  void log(const stream::LogSubject& subject, event::Lane& lane) const override {
    format_.append(subject, file_->begin_line(lane.index()));
    file_->end_line(lane.index());
  }

 private:
  const std::shared_ptr<stream::LogFile> file_;
  const F format_;
};

// The shortest text that reads back as the same number; whole numbers without a point.
std::string number_text(double number) {
  char text[32];
  bool whole = number == std::trunc(number) && std::fabs(number) < 1e15;
  auto end = whole ? std::to_chars(text, text + sizeof(text), static_cast<int64_t>(number)).ptr
                   : std::to_chars(text, text + sizeof(text), number).ptr;
  return {text, end};
}

Node make_node(const google::protobuf::Value& value, const stream::Format::Options& options, const std::string& path,
               filter::FactoryScope& scope);

Node make_object(const google::protobuf::Struct& proto, const stream::Format::Options& options, const std::string& path,
                 filter::FactoryScope& scope) {
  Node node;
  node.kind = Node::Kind::kObject;
  for (const auto& [key, value] : proto.fields()) {
    node.children.push_back(make_node(value, options, path.empty() ? key : path + "." + key, scope));
    node.children.back().key = key;
  }
  return node;
}

Node make_list(const google::protobuf::ListValue& proto, const stream::Format::Options& options,
               const std::string& path, filter::FactoryScope& scope) {
  Node node;
  node.kind = Node::Kind::kList;
  for (int i = 0; i < proto.values_size(); ++i) {
    node.children.push_back(make_node(proto.values(i), options, path + "[" + std::to_string(i) + "]", scope));
  }
  return node;
}

Node make_node(const google::protobuf::Value& value, const stream::Format::Options& options, const std::string& path,
               filter::FactoryScope& scope) {
  Node node;
  switch (value.kind_case()) {
    case google::protobuf::Value::kStructValue:
      return make_object(value.struct_value(), options, path, scope);
    case google::protobuf::Value::kListValue:
      return make_list(value.list_value(), options, path, scope);
    case google::protobuf::Value::kStringValue: {
      auto format = stream::Format::compile(value.string_value(), options);
      if (format.ok()) {
        node.format = std::move(*format);
      } else {
        scope.error(path, message_of(format.status()));
      }
      return node;
    }
    case google::protobuf::Value::kNumberValue:
      node.kind = std::isfinite(value.number_value()) ? Node::Kind::kNumber : Node::Kind::kNull;
      node.literal = number_text(value.number_value());
      return node;
    case google::protobuf::Value::kBoolValue:
      node.kind = Node::Kind::kBool;
      node.literal = value.bool_value() ? "true" : "false";
      return node;
    case google::protobuf::Value::kNullValue:
    case google::protobuf::Value::KIND_NOT_SET:
      node.kind = Node::Kind::kNull;
      return node;
  }
  return node;
}

}  // namespace

std::optional<LineFormat> make_text_format(std::string_view text, bool omit_empty, filter::FactoryScope scope) {
  stream::Format::Options options;
  options.omit_empty = omit_empty;
  auto format = stream::Format::compile(text, options);
  if (format.ok()) return LineFormat(std::move(*format));
  scope.error("", message_of(format.status()));
  return std::nullopt;
}

std::optional<LineFormat> make_json_format(const google::protobuf::Struct& proto, bool omit_empty,
                                           filter::FactoryScope scope) {
  stream::Format::Options options;
  options.omit_empty = omit_empty;
  size_t errors = scope.report().errors();
  Node root = make_object(proto, options, "", scope);
  if (scope.report().errors() != errors) return std::nullopt;
  stream::JsonFormat::sort_keys(root);
  return LineFormat(stream::JsonFormat(std::move(root)));
}

std::optional<LineFormat> make_format(const envoy::config::core::v3::SubstitutionFormatString& proto,
                                      filter::FactoryScope scope) {
  using Proto = envoy::config::core::v3::SubstitutionFormatString;
// text_format is deprecated and in most published configurations.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  switch (proto.format_case()) {
    case Proto::kTextFormat:
      return make_text_format(proto.text_format(), proto.omit_empty_values(), scope.below("text_format"));
    case Proto::kTextFormatSource: {
      auto text = scope.read_source(proto.text_format_source(), "text_format_source", kMaxFormatBytes);
      if (!text.has_value()) return std::nullopt;
      return make_text_format(*text, proto.omit_empty_values(), scope.below("text_format_source"));
    }
    case Proto::kJsonFormat:
      return make_json_format(proto.json_format(), proto.omit_empty_values(), scope.below("json_format"));
    case Proto::FORMAT_NOT_SET:
      break;
  }
#pragma GCC diagnostic pop
  scope.error("", "one of text_format_source, text_format, json_format is required");
  return std::nullopt;
}

std::shared_ptr<const stream::AccessLogger> make_logger(std::shared_ptr<stream::LogFile> file) {
  return std::make_shared<DefaultLogger>(std::move(file));
}

std::shared_ptr<const stream::AccessLogger> make_logger(std::shared_ptr<stream::LogFile> file, LineFormat format) {
  return std::visit(
      [&](auto& one) -> std::shared_ptr<const stream::AccessLogger> {
        return std::make_shared<LineLogger<std::remove_reference_t<decltype(one)>>>(std::move(file), std::move(one));
      },
      format);
}

}  // namespace weir::extensions::access_loggers
