#include "test/support/plugin_scope.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include "core/config/data_source.h"
#include "core/config/field_table.h"
#include "envoy/config/core/v3/base.pb.h"

namespace weir::test {

const filter::Registry& PluginScope::registry() {
  static const filter::Registry registry = [] {
    filter::RegistryBuilder builder;
    register_built_in_plugins(builder);
    return builder.build();
  }();
  return registry;
}

filter::HttpFilterEntry PluginScope::http_filter(const google::protobuf::Message& config, const std::string& name) {
  const filter::HttpFilterDescriptor* descriptor = registry().http_filter(config.GetTypeName());
  if (descriptor == nullptr) {
    ADD_FAILURE() << config.GetTypeName() << " configures no HTTP filter of this build";
    return {};
  }
  config::check_fields(config, "", *this);
  auto made = descriptor->make_config(config, scope_);
  if (!made.ok()) errors_.push_back(": " + message_of(made.status()));
  filter::HttpFilterEntry entry;
  entry.descriptor = descriptor;
  if (made.ok()) entry.config = *made;
  entry.name = name.empty() ? std::string(descriptor->name) : name;
  entry.id = filter::Registry::intern_filter_name(entry.name);
  return entry;
}

std::shared_ptr<const void> PluginScope::network_filter(const google::protobuf::Message& config) {
  const filter::NetworkFilterDescriptor* descriptor = registry().network_filter(config.GetTypeName());
  WEIR_CHECK(descriptor != nullptr);
  config::check_fields(config, "", *this);
  auto made = descriptor->make_config(config, scope_);
  if (!made.ok()) error("", message_of(made.status()));
  return made.ok() ? *made : nullptr;
}

std::shared_ptr<const void> PluginScope::route_config(const google::protobuf::Message& config) {
  const filter::HttpFilterDescriptor* descriptor = registry().http_filter_by_route_type(config.GetTypeName());
  if (descriptor == nullptr) {
    ADD_FAILURE() << config.GetTypeName() << " is not the per-route configuration of any HTTP filter of this build";
    return nullptr;
  }
  config::check_fields(config, "", *this);
  auto made = descriptor->make_route_config(config, scope_);
  if (!made.ok()) errors_.push_back(": " + message_of(made.status()));
  return made.ok() ? *made : nullptr;
}

std::shared_ptr<const void> PluginScope::extension(const google::protobuf::Message& config) {
  const filter::ExtensionDescriptor* descriptor = registry().extension(config.GetTypeName());
  WEIR_CHECK(descriptor != nullptr);
  auto made = descriptor->make_config(config, scope_);
  if (made.ok()) return std::move(*made);
  error("", message_of(made.status()));
  return nullptr;
}

std::optional<std::string> PluginScope::read_source(const google::protobuf::Message& source, const std::string& path,
                                                    size_t max_bytes) {
  config::SourceFault fault;
  auto text =
      config::read_data_source(static_cast<const envoy::config::core::v3::DataSource&>(source), {max_bytes}, fault);
  if (!text) error(path + "." + fault.field, fault.message);
  return text;
}

std::unique_ptr<google::protobuf::Message> PluginScope::unpack(const google::protobuf::Any& any,
                                                               const std::string& path) {
  std::string name = any.type_url().substr(any.type_url().rfind('/') + 1);
  const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) {
    error(path, "unknown type " + name);
    return nullptr;
  }
  std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  WEIR_CHECK(message->ParseFromString(any.value()));
  return message;
}

}  // namespace weir::test
