// The two messages that configure an HTTP filter from a shared library: weir's own, and the published one, whose
// modules must be weir plugins all the same.
#include "core/filter/register.h"
#include "envoy/extensions/filters/http/dynamic_modules/v3/dynamic_modules.pb.h"
#include "extensions/dynamic/config_text.h"
#include "extensions/dynamic/http_filter.h"
#include "extensions/dynamic/loader.h"
#include "weir/extensions/dynamic/v1/dynamic.pb.h"

namespace weir::extensions::dynamic {
namespace {

namespace published = envoy::extensions::filters::http::dynamic_modules::v3;
namespace own = weir::extensions::dynamic::v1;

template <class Text>
Result<std::shared_ptr<const HttpConfig>> make(const std::string& module_name, std::string_view module_field,
                                               const std::string& name, const Text& text, std::string_view text_field,
                                               filter::FactoryScope& scope) {
  auto module = Loader::process().load(module_name);
  auto plain = config_text(text);
  if (!module.ok()) scope.error(module_field, message_of(module.status()));
  if (!plain.ok()) scope.error(text_field, message_of(plain.status()));
  if (!module.ok()) return module.status();
  if (!plain.ok()) return plain.status();
  if (!(*module)->has_http_filter) {
    scope.error(module_field, (*module)->id + " has no HTTP filter");
    return invalid("no HTTP filter");
  }
  return HttpConfig::make(**module, name, *plain, text_field, scope);
}

template <class Text>
Result<std::shared_ptr<const RouteText>> make_route(const Text& text, std::string_view field,
                                                    filter::FactoryScope& scope) {
  auto plain = config_text(text);
  if (!plain.ok()) {
    scope.error(field, message_of(plain.status()));
    return plain.status();
  }
  return std::make_shared<const RouteText>(RouteText{std::move(*plain)});
}

struct OwnConfig {
  static Result<std::shared_ptr<const HttpConfig>> from_proto(const own::HttpFilter& proto,
                                                              filter::FactoryScope& scope) {
    return make(proto.module(), "module", proto.filter_name(), proto.config(), "config", scope);
  }
};

struct PublishedConfig {
  static Result<std::shared_ptr<const HttpConfig>> from_proto(const published::DynamicModuleFilter& proto,
                                                              filter::FactoryScope& scope) {
    return make(proto.dynamic_module_config().name(), "dynamic_module_config.name", proto.filter_name(),
                proto.filter_config(), "filter_config", scope);
  }
};

struct OwnRoute {
  static Result<std::shared_ptr<const RouteText>> from_proto(const own::HttpFilterPerRoute& proto,
                                                             filter::FactoryScope& scope) {
    return make_route(proto.config(), "config", scope);
  }
};

struct PublishedRoute {
  static Result<std::shared_ptr<const RouteText>> from_proto(const published::DynamicModuleFilterPerRoute& proto,
                                                             filter::FactoryScope& scope) {
    return make_route(proto.filter_config(), "filter_config", scope);
  }
};

// The class is the same for both; what reads their messages is not.
template <class Config, class Route>
filter::HttpFilterDescriptor describe(std::string_view name) {
  filter::HttpFilterDescriptor d = filter::describe_class<HttpConfig, Filter>();
  d.name = name;
  d.type = filter::internal::ProtoOf<Config>::descriptor()->full_name();
  d.route_type = filter::internal::ProtoOf<Route>::descriptor()->full_name();
  d.make_config = filter::internal::config_maker<Config>();
  d.make_route_config = filter::internal::config_maker<Route>();
  return d;
}

}  // namespace
}  // namespace weir::extensions::dynamic

namespace weir::plugins {
void http_filter_dynamic(filter::RegistryBuilder& registry) {
  using namespace extensions::dynamic;
  registry.add(describe<OwnConfig, OwnRoute>("weir.filters.http.dynamic"));
  registry.add(describe<PublishedConfig, PublishedRoute>("envoy.filters.http.dynamic_modules"));
}
}  // namespace weir::plugins
