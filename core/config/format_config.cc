#include "core/config/format_config.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/struct.pb.h>

#include <charconv>
#include <cmath>

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/core/v3/proxy_protocol.pb.h"
#include "envoy/config/core/v3/substitution_format_string.pb.h"
#include "envoy/extensions/formatter/metadata/v3/metadata.pb.h"
#include "envoy/extensions/formatter/req_without_query/v3/req_without_query.pb.h"

// text_format is deprecated and in most published configurations.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace weir::config {
namespace {

using Node = stream::JsonFormat::Node;

constexpr size_t kMaxFormatBytes = 1024 * 1024;

std::optional<stream::LineFormat> text_format(std::string_view text, const stream::Format::Options& options,
                                              const FieldReport& at) {
  auto format = stream::Format::compile(text, options);
  if (format.ok()) return stream::LineFormat(std::move(*format));
  at.error(message_of(format.status()));
  return std::nullopt;
}

// The shortest text that reads back as the same number; whole numbers without a point.
std::string number_text(double number) {
  char text[32];
  bool whole = number == std::trunc(number) && std::fabs(number) < 1e15;
  auto end = whole ? std::to_chars(text, text + sizeof(text), static_cast<int64_t>(number)).ptr
                   : std::to_chars(text, text + sizeof(text), number).ptr;
  return {text, end};
}

Node make_node(const google::protobuf::Value& value, const stream::Format::Options& options, const FieldReport& at);

Node make_object(const google::protobuf::Struct& message, const stream::Format::Options& options,
                 const FieldReport& at) {
  Node node;
  node.kind = Node::Kind::kObject;
  for (const auto& [key, value] : message.fields()) {
    node.children.push_back(make_node(value, options, at.below(key)));
    node.children.back().key = key;
  }
  return node;
}

Node make_node(const google::protobuf::Value& value, const stream::Format::Options& options, const FieldReport& at) {
  Node node;
  switch (value.kind_case()) {
    case google::protobuf::Value::kStructValue:
      return make_object(value.struct_value(), options, at);
    case google::protobuf::Value::kListValue:
      node.kind = Node::Kind::kList;
      for (int i = 0; i < value.list_value().values_size(); ++i) {
        FieldReport item = at;
        append_path_item(item.path, static_cast<size_t>(i));
        node.children.push_back(make_node(value.list_value().values(i), options, item));
      }
      return node;
    case google::protobuf::Value::kStringValue: {
      auto format = stream::Format::compile(value.string_value(), options);
      if (format.ok()) {
        node.format = std::move(*format);
      } else {
        at.error(message_of(format.status()));
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

// They bring operators; those that are known to all formats may be asked for.
void check_formatters(const envoy::config::core::v3::SubstitutionFormatString& message, const FieldReport& at) {
  namespace formatter = envoy::extensions::formatter;
  for (int i = 0; i < message.formatters_size(); ++i) {
    const FieldReport here = at.item("formatters", i).below("typed_config");
    const auto brings = here.report.unpack(message.formatters(i).typed_config(), here.path);
    if (brings == nullptr ||
        brings->GetDescriptor() == formatter::req_without_query::v3::ReqWithoutQuery::descriptor() ||
        brings->GetDescriptor() == formatter::metadata::v3::Metadata::descriptor())
      continue;
    here.error(brings->GetTypeName() + " brings no operators; " +
               formatter::req_without_query::v3::ReqWithoutQuery::descriptor()->full_name() + " and " +
               formatter::metadata::v3::Metadata::descriptor()->full_name() + " do");
  }
}

}  // namespace

std::optional<stream::LineFormat> translate_json_format(const google::protobuf::Struct& message,
                                                        const stream::Format::Options& options, const FieldReport& at) {
  const size_t errors = at.report.errors();
  Node root = make_object(message, options, at);
  if (at.report.errors() != errors) return std::nullopt;
  stream::JsonFormat::sort_keys(root);
  return stream::LineFormat(stream::JsonFormat(std::move(root)));
}

std::optional<stream::LineFormat> translate(const envoy::config::core::v3::SubstitutionFormatString& message,
                                            stream::Format::Options options, const FieldReport& at) {
  using Message = envoy::config::core::v3::SubstitutionFormatString;
  options.omit_empty = message.omit_empty_values();
  check_formatters(message, at);
  switch (message.format_case()) {
    case Message::kTextFormat:
      return text_format(message.text_format(), options, at.below("text_format"));
    case Message::kTextFormatSource: {
      const FieldReport below = at.below("text_format_source");
      auto text = at.report.read_source(message.text_format_source(), below.path, kMaxFormatBytes);
      const bool inside = message.text_format_source().has_inline_string();
      return text ? text_format(*text, options, inside ? below.below("inline_string") : below) : std::nullopt;
    }
    case Message::kJsonFormat:
      return translate_json_format(message.json_format(), options, at.below("json_format"));
    case Message::FORMAT_NOT_SET:
      break;
  }
  at.error("one of text_format_source, text_format, json_format is required");
  return std::nullopt;
}

std::optional<stream::AddedTlv> translate(const envoy::config::core::v3::TlvEntry& message, const FieldReport& at) {
  if (message.has_format_string() == !message.value().empty()) {
    at.error(message.has_format_string() ? "has a value and a format_string; remove one of them"
                                         : "needs a value or a format_string");
    return std::nullopt;
  }
  if (message.value().size() > UINT16_MAX) {
    at.below("value").error("has at most 65535 bytes");
    return std::nullopt;
  }
  stream::AddedTlv tlv{.type = static_cast<uint8_t>(message.type()), .value = message.value(), .format = {}};
  if (!message.has_format_string()) return tlv;
  tlv.format = translate(message.format_string(), {.verbatim = true}, at.below("format_string"));
  return tlv.format ? std::optional(std::move(tlv)) : std::nullopt;
}

}  // namespace weir::config
