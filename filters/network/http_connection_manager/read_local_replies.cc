#include "core/filter/config_translator.h"
#include "core/proxy/local_reply.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "filters/network/http_connection_manager/read_parts.h"

namespace weir::filters::http_connection_manager {
namespace {

using filter::FactoryScope;

constexpr size_t kMaxBodyBytes = 1024 * 1024;

std::optional<proxy::LocalReplyFormat> read_format(const envoy::config::core::v3::SubstitutionFormatString& proto,
                                                   FactoryScope& scope, std::string_view field) {
  auto format = scope.translator().line_format(proto, {.verbatim = true}, scope.at(field));
  if (!format) return std::nullopt;
  std::string type = proto.content_type();
  if (type.empty()) type = proto.has_json_format() ? "application/json" : "text/plain";
  return proxy::LocalReplyFormat{std::move(*format), std::move(type)};
}

}  // namespace

void read_local_replies(const pb::HttpConnectionManager& proto, FactoryScope& scope,
                        proxy::ConnectionManagerConfig& config) {
  if (!proto.has_local_reply_config()) return;
  FactoryScope here = scope.below("local_reply_config");
  auto replies = std::make_unique<proxy::LocalReplyConfig>();
  for (int i = 0; i < proto.local_reply_config().mappers_size(); ++i) {
    const pb::ResponseMapper& one = proto.local_reply_config().mappers(i);
    FactoryScope at = here.below("mappers", i);
    proxy::LocalReplyMapper& mapper = replies->mappers.emplace_back();
    mapper.filter = scope.translator().log_filter(one.filter(), at.at("filter"));
    mapper.status = static_cast<uint16_t>(one.status_code().value());
    if (one.has_body()) mapper.body = at.read_source(one.body(), "body", kMaxBodyBytes);
    if (one.has_body_format_override())
      mapper.format = read_format(one.body_format_override(), at, "body_format_override");
    mapper.headers = route::HeaderMutations(filter::translate_all(
        scope.translator(), &filter::ConfigTranslator::header_value, one.headers_to_add(), at.at("headers_to_add")));
  }
  if (proto.local_reply_config().has_body_format())
    replies->format = read_format(proto.local_reply_config().body_format(), here, "body_format");
  config.local_replies = std::move(replies);
}

}  // namespace weir::filters::http_connection_manager
