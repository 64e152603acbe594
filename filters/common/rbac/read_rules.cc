#include "filters/common/rbac/read_rules.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/filter/config_translator.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/filter_state.pb.h"
#include "envoy/type/matcher/v3/metadata.pb.h"
#include "envoy/type/matcher/v3/path.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "envoy/type/v3/range.pb.h"
#include "xds/type/matcher/v3/matcher.pb.h"

// Deprecated fields are read on purpose: existing files have them.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace weir::filters::rbac {
namespace {

namespace pb = envoy::config::rbac::v3;
using Of = Condition::AddressIn::Of;

Effect effect_of(pb::RBAC::Action action) {
  switch (action) {
    case pb::RBAC::ALLOW:
      return Effect::kAllow;
    case pb::RBAC::LOG:
      return Effect::kLog;
    default:
      return Effect::kDeny;
  }
}

// Blanks become '_', for the fields of a log line are told apart by blanks.
std::string details_of(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }, '_');
  return "rbac_access_denied_matched_policy[" + name + "]";
}

Rule make_rule(const std::string& name, Effect effect, const RuleCounters& counters, filter::FactoryScope& scope) {
  Rule rule;
  rule.name = name;
  rule.details = details_of(name);
  rule.effect = effect;
  if (counters.tracked) {
    rule.allowed = scope.store().counter(counters.before + name + std::string(counters.allowed));
    rule.denied = scope.store().counter(counters.before + name + std::string(counters.denied));
  }
  return rule;
}

// Reads permissions and principals. What has a fault becomes a condition that is never asked: nothing of a
// configuration with faults is used.
class Reader {
 public:
  Reader(filter::FactoryScope& scope, Subject subject) : scope_(scope), subject_(subject) {}

  template <class Protos>
  std::vector<Condition> list(const Protos& protos, const std::string& at) {
    std::vector<Condition> conditions;
    for (int i = 0; i < protos.size(); ++i) {
      conditions.push_back({read(protos[i], at + "[" + std::to_string(i) + "]")});
    }
    return conditions;
  }

 private:
  filter::ConfigTranslator& translator() { return scope_.translator(); }

  template <class T>
  static Condition::What found(std::optional<T> what) {
    return what ? Condition::What(std::move(*what)) : Condition::What();
  }

  bool has_request(const std::string& at) {
    if (subject_ == Subject::kConnection)
      scope_.report().error(at, "is about requests, which are not known here; use envoy.filters.http.rbac for them");
    return subject_ == Subject::kRequest;
  }

  Condition::What address(Of which, const envoy::config::core::v3::CidrRange& proto, const std::string& at) {
    auto range = translator().address_range(proto, at);
    if (!range) return {};
    return Condition::AddressIn{which, match::AddressRanges({*range})};
  }

  Condition::What metadata(const envoy::type::matcher::v3::MetadataMatcher& proto, bool of_route,
                           const std::string& at) {
    auto matcher = translator().metadata_matcher(proto, at);
    if (!matcher) return {};
    return Condition::MetadataIs{of_route, std::move(*matcher)};
  }
  Condition::What metadata(const pb::SourcedMetadata& proto, const std::string& at) {
    const bool of_route = proto.metadata_source() == pb::ROUTE;
    if (of_route && !has_request(at + ".metadata_source")) return {};
    return metadata(proto.metadata_matcher(), of_route, at + ".metadata_matcher");
  }

  Condition::What read(const pb::Permission& proto, const std::string& at) {
    using pb::Permission;
    switch (proto.rule_case()) {
      case Permission::kAndRules:
        return Condition::Every{list(proto.and_rules().rules(), at + ".and_rules.rules")};
      case Permission::kOrRules:
        return Condition::Some{list(proto.or_rules().rules(), at + ".or_rules.rules")};
      case Permission::kAny:
        return Condition::Always{};
      case Permission::kHeader:
        if (!has_request(at + ".header")) return {};
        return found(translator().header_matcher(proto.header(), at + ".header"));
      case Permission::kUrlPath:
        if (!has_request(at + ".url_path")) return {};
        return found(translator().path_matcher(proto.url_path(), at + ".url_path"));
      case Permission::kDestinationIp:
        return address(Of::kDestination, proto.destination_ip(), at + ".destination_ip");
      case Permission::kDestinationPort:
        return Condition::DestinationPortIn{proto.destination_port(), int64_t{proto.destination_port()} + 1};
      case Permission::kDestinationPortRange:
        return ports(proto.destination_port_range(), at + ".destination_port_range");
      case Permission::kMetadata:
        return metadata(proto.metadata(), false, at + ".metadata");
      case Permission::kNotRule:
        return negation(proto.not_rule(), at + ".not_rule");
      case Permission::kRequestedServerName: {
        auto name = translator().string_matcher(proto.requested_server_name(), at + ".requested_server_name");
        return name ? Condition::What(Condition::ServerName{std::move(*name)}) : Condition::What();
      }
      case Permission::kUriTemplate: {
        if (!has_request(at + ".uri_template")) return {};
        auto path = translator().path_template(proto.uri_template(), at + ".uri_template");
        return path ? Condition::What(Condition::UrlTemplate{std::move(*path)}) : Condition::What();
      }
      case Permission::kSourcedMetadata:
        return metadata(proto.sourced_metadata(), at + ".sourced_metadata");
      case Permission::kMatcher:
      case Permission::RULE_NOT_SET:
        break;
    }
    return not_understood(at);
  }

  Condition::What read(const pb::Principal& proto, const std::string& at) {
    using pb::Principal;
    switch (proto.identifier_case()) {
      case Principal::kAndIds:
        return Condition::Every{list(proto.and_ids().ids(), at + ".and_ids.ids")};
      case Principal::kOrIds:
        return Condition::Some{list(proto.or_ids().ids(), at + ".or_ids.ids")};
      case Principal::kAny:
        return Condition::Always{};
      case Principal::kAuthenticated:
        return authenticated(proto.authenticated(), at + ".authenticated");
      case Principal::kSourceIp:
        return address(Of::kConnectionRemote, proto.source_ip(), at + ".source_ip");
      case Principal::kDirectRemoteIp:
        return address(Of::kDirectRemote, proto.direct_remote_ip(), at + ".direct_remote_ip");
      case Principal::kRemoteIp:
        return address(Of::kRemote, proto.remote_ip(), at + ".remote_ip");
      case Principal::kHeader:
        if (!has_request(at + ".header")) return {};
        return found(translator().header_matcher(proto.header(), at + ".header"));
      case Principal::kUrlPath:
        if (!has_request(at + ".url_path")) return {};
        return found(translator().path_matcher(proto.url_path(), at + ".url_path"));
      case Principal::kMetadata:
        return metadata(proto.metadata(), false, at + ".metadata");
      case Principal::kFilterState:
        return found(translator().filter_state_matcher(proto.filter_state(), at + ".filter_state"));
      case Principal::kNotId:
        return negation(proto.not_id(), at + ".not_id");
      case Principal::kSourcedMetadata:
        return metadata(proto.sourced_metadata(), at + ".sourced_metadata");
      case Principal::kCustom:
      case Principal::IDENTIFIER_NOT_SET:
        break;
    }
    return not_understood(at);
  }

  template <class Proto>
  Condition::What negation(const Proto& proto, const std::string& at) {
    Condition::Not none;
    none.of.push_back({read(proto, at)});
    return none;
  }

  Condition::What ports(const envoy::type::v3::Int32Range& range, const std::string& at) {
    if (range.start() < 0 || range.start() >= range.end() || range.end() > 65536) {
      scope_.report().error(at,
                            "[" + std::to_string(range.start()) + ", " + std::to_string(range.end()) +
                                ") is no range of ports; start must be below end, which is not of the range itself");
    }
    return Condition::DestinationPortIn{range.start(), range.end()};
  }

  Condition::What authenticated(const pb::Principal::Authenticated& proto, const std::string& at) {
    Condition::Authenticated who;
    if (proto.has_principal_name()) {
      who.name = translator().string_matcher(proto.principal_name(), at + ".principal_name");
    }
    return who;
  }

  // Never to be taken for a condition. The rules and the table of fields have said so, if they were asked; any error at
  // all means that nothing of this is used.
  Condition::What not_understood(const std::string& at) {
    if (scope_.report().errors() == 0) scope_.report().error(at, "must hold a condition that weir knows");
    return {};
  }

  filter::FactoryScope& scope_;
  const Subject subject_;
};

// The actions of a tree.
class Actions final : public filter::MatcherActions {
 public:
  Actions(const RuleCounters& counters, filter::FactoryScope& scope) : counters_(counters), scope_(scope) {}

  std::optional<uint32_t> add(const google::protobuf::Any& any, std::string_view, const std::string& path) override {
    auto message = scope_.report().unpack(any, path);
    if (message == nullptr) return std::nullopt;
    if (message->GetTypeName() != pb::Action::descriptor()->full_name()) {
      scope_.report().error(
          path, message->GetTypeName() + " is no action of rbac; " + pb::Action::descriptor()->full_name() + " is");
      return std::nullopt;
    }
    const auto& action = static_cast<const pb::Action&>(*message);
    if (!pb::RBAC::Action_IsValid(action.action())) {
      scope_.report().error(path + ".action", "is one of ALLOW, DENY and LOG");
    }
    rules.push_back(make_rule(action.name(), effect_of(action.action()), counters_, scope_));
    return static_cast<uint32_t>(rules.size() - 1);
  }

  std::vector<Rule> rules;

 private:
  const RuleCounters& counters_;
  filter::FactoryScope& scope_;
};

}  // namespace

std::unique_ptr<const Engine> read_rules(const pb::RBAC& proto, const RuleCounters& counters,
                                         filter::FactoryScope scope, Subject subject) {
  if (!pb::RBAC::Action_IsValid(proto.action())) scope.error("action", "is one of ALLOW, DENY and LOG");
  const Effect effect = effect_of(proto.action());
  Reader reader(scope, subject);
  // In the order of their names, as published.
  std::map<std::string_view, const pb::Policy*> sorted;
  for (const auto& [name, policy] : proto.policies()) sorted.emplace(name, &policy);
  std::vector<Rule> rules;
  for (const auto& [name, policy] : sorted) {
    Rule& rule = rules.emplace_back(make_rule(std::string(name), effect, counters, scope));
    const filter::FactoryScope here = scope.below("policies", name);
    rule.permissions = reader.list(policy->permissions(), here.at("permissions"));
    rule.principals = reader.list(policy->principals(), here.at("principals"));
  }
  return std::make_unique<const Engine>(effect, std::move(rules));
}

std::unique_ptr<const Engine> read_matcher(const xds::type::matcher::v3::Matcher& proto, const RuleCounters& counters,
                                           filter::FactoryScope scope, Subject subject) {
  Actions actions(counters, scope);
  filter::MatcherOptions options;
  options.connection_only = subject == Subject::kConnection;
  auto tree = scope.translator().matcher_tree(proto, actions, options, scope.path());
  if (tree == nullptr) return nullptr;
  return std::make_unique<const Engine>(std::move(tree), std::move(actions.rules));
}

}  // namespace weir::filters::rbac
