// What a plugin's factory asks for, made for tests: every plugin of the build, a store, and findings as plain texts.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

#include "core/config/translator.h"
#include "core/filter/chain_config.h"
#include "core/filter/factory.h"
#include "core/filter/registry.h"
#include "core/stats/store.h"

namespace weir::test {

// Clusters are called a, b, ...: their host sets have the slots 0, 1, ...
class PluginScope final : private filter::ConfigReport, private filter::RouteProvider {
 public:
  PluginScope() : scope_(registry(), store_, *this, *this, "") {
    scope_.set_stat_prefix("test.");
    scope_.set_node(node_);
  }

  static const filter::Registry& registry();
  stats::Store& store() { return store_; }
  filter::FactoryScope& scope() { return scope_; }
  const std::vector<std::string>& error_texts() const { return errors_; }
  const std::vector<std::string>& warning_texts() const { return warnings_; }

  // An entry of http_filters for the filter that this message configures. Also reports what of it is not implemented.
  filter::HttpFilterEntry http_filter(const google::protobuf::Message& config, const std::string& name = "");
  // What the network filter that this message configures is made of; likewise.
  std::shared_ptr<const void> network_filter(const google::protobuf::Message& config);
  // The per-route configuration that this message is.
  std::shared_ptr<const void> route_config(const google::protobuf::Message& config);
  // What the plugin of a smaller kind that this message configures is made of; a pointer to the kind's interface.
  std::shared_ptr<const void> extension(const google::protobuf::Message& config);

 private:
  void error(const std::string& path, const std::string& message) override { errors_.push_back(path + ": " + message); }
  void warning(const std::string& path, const std::string& message) override {
    warnings_.push_back(path + ": " + message);
  }
  std::unique_ptr<google::protobuf::Message> unpack(const google::protobuf::Any& any, const std::string& path) override;
  std::optional<std::string> read_source(const google::protobuf::Message& source, const std::string& path,
                                         size_t max_bytes) override;
  bool skip_unknown(const filter::UnknownPlugin&, const google::protobuf::Any&, const std::string&) override {
    return false;
  }
  size_t errors() const override { return errors_.size(); }
  filter::ConfigTranslator& translator() override { return translator_; }
  TableSlot route_table(const google::protobuf::Message&, filter::FactoryScope&) override { return {}; }
  event::SlotId cluster(std::string_view name) override {
    return {event::SlotKind::kCluster, static_cast<uint32_t>(name.front() - 'a')};
  }
  event::SlotId host_set(std::string_view cluster) override {
    return {event::SlotKind::kHostSet, static_cast<uint32_t>(cluster.front() - 'a')};
  }

  stats::Store store_;
  std::vector<std::string> errors_;
  std::vector<std::string> warnings_;
  config::Translator translator_{*this};
  const filter::LocalNode node_{"edge-1", "the-edge"};
  filter::FactoryScope scope_;
};

}  // namespace weir::test
