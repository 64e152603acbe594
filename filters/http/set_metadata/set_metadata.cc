#include "filters/http/set_metadata/set_metadata.h"

#include <google/protobuf/any.pb.h>

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "envoy/extensions/filters/http/set_metadata/v3/set_metadata.pb.h"

// Deprecated fields are read on purpose: existing files have them.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace weir::filters::set_metadata {

namespace pb = envoy::extensions::filters::http::set_metadata::v3;

filter::Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap&, bool) {
  stream::Metadata& metadata = stream.dynamic_metadata();
  for (const Entry& entry : settings_.entries) {
    if (entry.value != nullptr) {
      if (entry.allow_overwrite || metadata.find(entry.name_space) == nullptr) {
        metadata.merge(entry.name_space, entry.value->root());
      } else {
        settings_.overwrite_denied.inc();
      }
    }
    if (!entry.typed_type.empty()) {
      if (entry.allow_overwrite || metadata.find_typed(entry.name_space) == nullptr) {
        metadata.set_typed(entry.name_space, entry.typed_type, entry.typed_bytes);
      } else {
        settings_.overwrite_denied.inc();
      }
    }
  }
  return filter::Action::kContinue;
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

Entry read_entry(const std::string& name_space, const google::protobuf::Struct& value, bool allow_overwrite,
                 filter::FactoryScope& scope) {
  ArenaPool pool;
  Arena arena(pool);
  Entry entry;
  entry.name_space = name_space;
  entry.value = std::make_unique<const stream::StaticMetadata>(scope.translator().value(value, arena));
  entry.allow_overwrite = allow_overwrite;
  return entry;
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::Config& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    if (proto.has_value()) {
      if (proto.metadata_namespace().empty()) scope.error("metadata_namespace", "must not be empty");
      config->entries.push_back(read_entry(proto.metadata_namespace(), proto.value(), true, scope));
    } else if (!proto.metadata_namespace().empty()) {
      scope.error("value", "is required with metadata_namespace");
    }
    for (const pb::Metadata& each : proto.metadata()) {
      Entry& entry = config->entries.emplace_back(
          read_entry(each.metadata_namespace(), each.value(), each.allow_overwrite(), scope));
      if (!each.has_typed_value()) continue;
      if (!each.has_value()) entry.value = nullptr;
      entry.typed_type = each.typed_value().type_url();
      entry.typed_bytes = each.typed_value().value();
    }
    config->overwrite_denied = scope.counter("set_metadata.overwrite_denied");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::set_metadata

namespace weir::plugins {
void http_filter_set_metadata(filter::RegistryBuilder& registry) {
  using namespace filters::set_metadata;
  registry.add(filter::describe_http_filter<Config, Plugin>("envoy.filters.http.set_metadata"));
}
}  // namespace weir::plugins
