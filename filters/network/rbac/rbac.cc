// envoy.filters.network.rbac: which connections may be served, by policies or by a matcher tree.
#include <memory>
#include <string>

#include "core/filter/config_translator.h"
#include "core/filter/duration.h"
#include "core/filter/register.h"
#include "core/stream/metadata.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "filters/common/rbac/read_rules.h"

namespace weir::filters::network_rbac {
namespace {

namespace pb = envoy::extensions::filters::network::rbac::v3;
using filter::Action;
using rbac::Engine;
using rbac::Subject;
using rbac::Verdict;
using stream::Value;

constexpr std::string_view kNamespace = "envoy.filters.network.rbac";

struct Config {
  std::unique_ptr<const Engine> rules;         // nullptr: everything may pass
  std::unique_ptr<const Engine> shadow_rules;  // nullptr: none
  std::string shadow_policy, shadow_result;    // keys of the metadata
  bool continuous = false;
  Duration delay{};
  stats::Counter allowed, denied, logged, not_logged, shadow_allowed, shadow_denied;

  static Result<std::shared_ptr<const Config>> from_proto(const pb::RBAC& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    const auto engine = [&](bool has_rules, const auto& rules, std::string_view rules_field, bool has_matcher,
                            const auto& matcher, std::string_view matcher_field) {
      // As published, a matcher beside rules decides alone; the rules that are checked when files are loaded warn of
      // it.
      if (has_matcher) return rbac::read_matcher(matcher, {}, scope.below(matcher_field), Subject::kConnection);
      if (has_rules) return rbac::read_rules(rules, {}, scope.below(rules_field), Subject::kConnection);
      return std::unique_ptr<const Engine>();
    };
    config->rules = engine(proto.has_rules(), proto.rules(), "rules", proto.has_matcher(), proto.matcher(), "matcher");
    config->shadow_rules = engine(proto.has_shadow_rules(), proto.shadow_rules(), "shadow_rules",
                                  proto.has_shadow_matcher(), proto.shadow_matcher(), "shadow_matcher");
    config->continuous = proto.enforcement_type() == pb::RBAC::CONTINUOUS;
    config->delay = filter::to_duration(proto.delay_deny());
    config->shadow_policy = proto.shadow_rules_stat_prefix() + "shadow_effective_policy_id";
    config->shadow_result = proto.shadow_rules_stat_prefix() + "shadow_engine_result";
    std::string prefix = proto.stat_prefix();
    if (!prefix.ends_with('.')) prefix += '.';
    prefix += "rbac.";
    const std::string shadow = prefix + proto.shadow_rules_stat_prefix();
    stats::Store& store = scope.store();
    config->allowed = store.counter(prefix + "allowed");
    config->denied = store.counter(prefix + "denied");
    config->logged = store.counter(prefix + "logged");
    config->not_logged = store.counter(prefix + "not_logged");
    config->shadow_allowed = store.counter(shadow + "shadow_allowed");
    config->shadow_denied = store.counter(shadow + "shadow_denied");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

// One per connection. [worker] Decides when the first bytes come, as published: what a handshake shows is known then.
class Filter final : public filter::NetworkFilter, private event::Timer {
 public:
  Filter(const Config& config, event::Lane& lane) : config_(config), lane_(lane) {}

  Action on_data(filter::ConnectionHost& host, Slices& data, bool) override {
    if (denied_) {
      data.clear();
      return Action::kDone;
    }
    if (decided_ && !config_.continuous) return Action::kContinue;
    stream::StreamInfo about;
    filter::describe(host, about);
    const match::Facts facts{.info = &about};
    // Counted and told once, however often it is asked.
    if (!decided_ && config_.shadow_rules != nullptr) tell_shadow(host, config_.shadow_rules->decide(facts));
    const bool first = !decided_;
    decided_ = true;
    if (config_.rules == nullptr) return Action::kContinue;
    const Verdict verdict = config_.rules->decide(facts);
    if (verdict.allowed) {
      if (first) config_.allowed.inc();
      if (first && verdict.log) log(host, *verdict.log);
      return Action::kContinue;
    }
    config_.denied.inc();
    denied_ = true;
    host.info().termination_details = verdict.details();
    connection_ = &host.connection();
    if (config_.delay > Duration::zero()) {
      connection_->block_read(net::ReadBlock::kRefused);
      lane_.arm_in(*this, config_.delay);
    } else {
      connection_->close();
    }
    return Action::kDone;
  }
  void on_closed(filter::ConnectionHost&, net::CloseReason) override { cancel(); }

 private:
  void on_timer() override { connection_->close(); }

  void tell_shadow(filter::ConnectionHost& host, const Verdict& verdict) {
    (verdict.allowed ? config_.shadow_allowed : config_.shadow_denied).inc();
    stream::Metadata& metadata = host.info().make_metadata();
    if (verdict.rule != nullptr) metadata.set(kNamespace, config_.shadow_policy, Value::of_string(verdict.rule->name));
    metadata.set(kNamespace, config_.shadow_result, Value::of_string(verdict.allowed ? "allowed" : "denied"));
  }
  void log(filter::ConnectionHost& host, bool wanted) {
    (wanted ? config_.logged : config_.not_logged).inc();
    host.info().make_metadata().set("envoy.common", "access_log_hint", Value::of_bool(wanted));
  }

  const Config& config_;
  event::Lane& lane_;
  net::Connection* connection_ = nullptr;  // of one that was refused
  bool decided_ = false;
  bool denied_ = false;
};

}  // namespace
}  // namespace weir::filters::network_rbac

namespace weir::plugins {
void network_filter_rbac(filter::RegistryBuilder& registry) {
  using namespace filters::network_rbac;
  registry.add(filter::describe_network_filter<Config, Filter>("envoy.filters.network.rbac"));
}
}  // namespace weir::plugins
