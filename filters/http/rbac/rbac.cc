#include "filters/http/rbac/rbac.h"

#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/stream/metadata.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "filters/common/rbac/read_rules.h"

namespace weir::filters::rbac {

using filter::Action;
using stream::Value;
namespace pb = envoy::extensions::filters::http::rbac::v3;

namespace {

constexpr std::string_view kNamespace = "envoy.filters.http.rbac";
constexpr std::string_view kCommonNamespace = "envoy.common";
constexpr std::string_view kLogHint = "access_log_hint";

void tell(filter::Stream& stream, const MetadataKeys& keys, const Verdict& verdict) {
  // In the order of keys, which have the same beginning.
  stream::Field fields[2];
  size_t count = 0;
  if (verdict.rule != nullptr) fields[count++] = {keys.policy, Value::of_string(verdict.rule->name)};
  fields[count++] = {keys.result, Value::of_string(verdict.allowed ? "allowed" : "denied")};
  stream.dynamic_metadata().set_all(kNamespace, Value::of_struct({fields, count}));
}

// Filters share the hint: who wants the log has it.
void hint_log(filter::Stream& stream, bool log) {
  stream::Metadata& metadata = stream.dynamic_metadata();
  if (!log) {
    const Value* common = metadata.find(kCommonNamespace);
    const Value* before = common != nullptr ? common->find(kLogHint) : nullptr;
    if (before != nullptr && before->kind() == Value::Kind::kBool && before->boolean()) return;
  }
  metadata.set(kCommonNamespace, kLogHint, Value::of_bool(log));
}

void count(const Verdict& verdict, const stats::Counter& allowed, const stats::Counter& denied) {
  (verdict.allowed ? allowed : denied).inc();
  if (verdict.rule != nullptr) (verdict.allowed ? verdict.rule->allowed : verdict.rule->denied).inc();
}

}  // namespace

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  const RoutePolicy* of_route = stream.route_config<RoutePolicy>();
  const Policy* policy = of_route != nullptr ? static_cast<const Policy*>(of_route) : &settings_;
  const match::Facts facts{.info = &stream.info(), .request_headers = &headers};
  const Stats& stats = settings_.stats;

  if (policy->shadow_rules != nullptr) {
    const Verdict would_be = policy->shadow_rules->decide(facts);
    count(would_be, stats.shadow_allowed, stats.shadow_denied);
    tell(stream, of_route != nullptr && of_route->shadow_keys ? *of_route->shadow_keys : settings_.shadow_keys,
         would_be);
  }
  if (policy->rules == nullptr) return Action::kContinue;

  const Verdict verdict = policy->rules->decide(facts);
  count(verdict, stats.allowed, stats.denied);
  tell(stream, of_route != nullptr && of_route->keys ? *of_route->keys : settings_.keys, verdict);
  if (verdict.log) {
    (*verdict.log ? stats.logged : stats.not_logged).inc();
    hint_log(stream, *verdict.log);
  }
  if (verdict.allowed) return Action::kContinue;
  return stream.reply_local(403, verdict.details(), "RBAC: access denied");
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

// "rbac.", or "rbac.PREFIX." with a prefix, which may have its dot already.
std::string stat_prefix(const std::string& owner, const std::string& configured) {
  std::string prefix = owner + "rbac." + configured;
  if (prefix.back() != '.') prefix += '.';
  return prefix;
}

void read_policy(const pb::RBAC& proto, const std::string& owner, filter::FactoryScope& scope, Policy& policy) {
  const RuleCounters counters{proto.track_per_rule_stats(), stat_prefix(owner, proto.rules_stat_prefix()) + "policy.",
                              ".allowed", ".denied"};
  const RuleCounters shadow{proto.track_per_rule_stats(),
                            stat_prefix(owner, proto.shadow_rules_stat_prefix()) + "policy.", ".shadow_allowed",
                            ".shadow_denied"};
  if (proto.has_rules()) policy.rules = read_rules(proto.rules(), counters, scope.below("rules"));
  if (proto.has_shadow_rules())
    policy.shadow_rules = read_rules(proto.shadow_rules(), shadow, scope.below("shadow_rules"));
  // As published, a matcher beside rules decides alone; loading warns of it. What is wrong with the rules is said
  // above.
  if (proto.has_matcher()) policy.rules = read_matcher(proto.matcher(), counters, scope.below("matcher"));
  if (proto.has_shadow_matcher())
    policy.shadow_rules = read_matcher(proto.shadow_matcher(), shadow, scope.below("shadow_matcher"));
}

MetadataKeys keys_of(const std::string& prefix, std::string_view which) {
  const std::string begin = prefix + std::string(which);
  return {begin + "_effective_policy_id", begin + "_engine_result"};
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::RBAC& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    if (!proto.has_rules() && !proto.has_matcher() && !proto.has_shadow_rules() && !proto.has_shadow_matcher())
      scope.warning(
          "", "has no rules and no matcher: it lets every request through, but on routes with rules of their own");
    read_policy(proto, scope.stat_prefix(), scope, *config);
    config->keys = keys_of(proto.rules_stat_prefix(), "enforced");
    config->shadow_keys = keys_of(proto.shadow_rules_stat_prefix(), "shadow");
    const std::string prefix = stat_prefix(scope.stat_prefix(), proto.rules_stat_prefix());
    const std::string shadow = stat_prefix(scope.stat_prefix(), proto.shadow_rules_stat_prefix());
    stats::Store& store = scope.store();
    config->stats = {store.counter(prefix + "allowed"),        store.counter(prefix + "denied"),
                     store.counter(prefix + "logged"),         store.counter(prefix + "not_logged"),
                     store.counter(shadow + "shadow_allowed"), store.counter(shadow + "shadow_denied")};
    return std::shared_ptr<const Config>(std::move(config));
  }
};

struct RouteConfig : RoutePolicy {
  static Result<std::shared_ptr<const RouteConfig>> from_proto(const pb::RBACPerRoute& proto,
                                                               filter::FactoryScope& scope) {
    auto config = std::make_shared<RouteConfig>();
    if (!proto.has_rbac()) return std::shared_ptr<const RouteConfig>(std::move(config));  // nothing is enforced
    filter::FactoryScope below = scope.below("rbac");
    // Policies of a route are counted beside the filter's own.
    std::string owner = proto.rbac().track_per_rule_stats() ? scope.routes().manager_stat_prefix() : std::string();
    if (owner.empty()) owner = scope.stat_prefix();
    read_policy(proto.rbac(), owner, below, *config);
    if (!proto.rbac().rules_stat_prefix().empty()) {
      config->keys = keys_of(proto.rbac().rules_stat_prefix(), "enforced");
    }
    if (!proto.rbac().shadow_rules_stat_prefix().empty()) {
      config->shadow_keys = keys_of(proto.rbac().shadow_rules_stat_prefix(), "shadow");
    }
    return std::shared_ptr<const RouteConfig>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  using RouteConfig = rbac::RouteConfig;
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::rbac

namespace weir::plugins {
void http_filter_rbac(filter::RegistryBuilder& registry) {
  using namespace filters::rbac;
  registry.add(filter::describe_http_filter<Config, Plugin>("envoy.filters.http.rbac"));
}
}  // namespace weir::plugins
