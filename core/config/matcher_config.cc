#include "core/config/matcher_config.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>

#include <map>
#include <utility>

#include "core/config/shared_messages.h"
#include "core/http/chars.h"
#include "envoy/config/common/matcher/v3/matcher.pb.h"
#include "envoy/extensions/matching/common_inputs/network/v3/network_inputs.pb.h"
#include "envoy/extensions/matching/input_matchers/ip/v3/ip.pb.h"
#include "envoy/extensions/matching/input_matchers/metadata/v3/metadata.pb.h"
#include "envoy/type/matcher/v3/http_inputs.pb.h"
#include "xds/type/matcher/v3/domain.pb.h"
#include "xds/type/matcher/v3/ip.pb.h"
#include "xds/type/matcher/v3/matcher.pb.h"

namespace weir::config {
namespace {

namespace network_v3 = envoy::extensions::matching::common_inputs::network::v3;
namespace matcher_v3 = envoy::type::matcher::v3;
namespace xds_v3 = xds::type::matcher::v3;
using google::protobuf::Message;
using match::Input;
using match::MatcherSpec;
using match::OnMatchSpec;
using match::PredicateSpec;

std::string full_name(const Message& message) { return message.GetTypeName(); }

// --- Inputs: the registry. Those that are a message without fields need no function.

struct InputType {
  std::string_view type;
  Input::Kind kind;
  void (*read)(const Message& message, const FieldReport& at, Input& out) = nullptr;
};

template <class M>
void read_header_name(const Message& message, const FieldReport& at, Input& out) {
  const std::string& name = static_cast<const M&>(message).header_name();
  std::string_view token = name;
  if (token.starts_with(':')) token.remove_prefix(1);
  if (!http::is_token(token)) {
    at.error_at("header_name", "\"" + name + "\" is not a header name");
    return;
  }
  out.header = http::HeaderName(name);
  // The host of a request is kept under :authority, whatever the protocol.
  if (out.header.id() == http::HeaderId::kHost) out.header = http::HeaderName(http::HeaderId::kAuthority);
}

void read_query_parameter(const Message& message, const FieldReport& at, Input& out) {
  out.query_parameter = static_cast<const matcher_v3::HttpRequestQueryParamMatchInput&>(message).query_param();
  if (out.query_parameter.empty()) at.error_at("query_param", "must not be empty");
}

void read_filter_state(const Message& message, const FieldReport& at, Input& out) {
  const auto& from = static_cast<const network_v3::FilterStateInput&>(message);
  if (from.key().empty()) at.error_at("key", "must not be empty: the name of the object");
  out.filter_state = stream::FilterStateName(from.key());
}

void read_metadata(const Message& message, const FieldReport& at, Input& out) {
  const auto& from = static_cast<const network_v3::DynamicMetadataInput&>(message);
  if (from.filter().empty()) at.error_at("filter", "must not be empty: the namespace of the metadata");
  if (from.path().empty()) at.error_at("path", "must have one item at least: the keys that lead to the value");
  out.path.push_back(from.filter());
  for (int i = 0; i < from.path_size(); ++i) {
    if (from.path(i).key().empty()) at.item("path", i).error_at("key", "must not be empty");
    out.path.push_back(from.path(i).key());
  }
}

// NOLINTBEGIN: one line per input reads best.
constexpr InputType kInputs[] = {
    {"envoy.type.matcher.v3.HttpRequestHeaderMatchInput", Input::Kind::kRequestHeader,
     read_header_name<matcher_v3::HttpRequestHeaderMatchInput>},
    {"envoy.type.matcher.v3.HttpRequestTrailerMatchInput", Input::Kind::kRequestTrailer,
     read_header_name<matcher_v3::HttpRequestTrailerMatchInput>},
    {"envoy.type.matcher.v3.HttpResponseHeaderMatchInput", Input::Kind::kResponseHeader,
     read_header_name<matcher_v3::HttpResponseHeaderMatchInput>},
    {"envoy.type.matcher.v3.HttpResponseTrailerMatchInput", Input::Kind::kResponseTrailer,
     read_header_name<matcher_v3::HttpResponseTrailerMatchInput>},
    {"envoy.type.matcher.v3.HttpRequestQueryParamMatchInput", Input::Kind::kQueryParameter, read_query_parameter},
    {"envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput", Input::Kind::kResponseStatus},
    {"envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput", Input::Kind::kResponseStatusClass},
    {"envoy.extensions.matching.common_inputs.network.v3.DestinationIPInput", Input::Kind::kDestinationIp},
    {"envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput", Input::Kind::kDestinationPort},
    {"envoy.extensions.matching.common_inputs.network.v3.SourceIPInput", Input::Kind::kSourceIp},
    {"envoy.extensions.matching.common_inputs.network.v3.SourcePortInput", Input::Kind::kSourcePort},
    {"envoy.extensions.matching.common_inputs.network.v3.DirectSourceIPInput", Input::Kind::kDirectSourceIp},
    {"envoy.extensions.matching.common_inputs.network.v3.SourceTypeInput", Input::Kind::kSourceType},
    {"envoy.extensions.matching.common_inputs.network.v3.ServerNameInput", Input::Kind::kServerName},
    {"envoy.extensions.matching.common_inputs.network.v3.TransportProtocolInput", Input::Kind::kTransportProtocol},
    {"envoy.extensions.matching.common_inputs.network.v3.ApplicationProtocolInput", Input::Kind::kApplicationProtocol},
    {"envoy.extensions.matching.common_inputs.network.v3.FilterStateInput", Input::Kind::kFilterState,
     read_filter_state},
    {"envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput", Input::Kind::kDynamicMetadata,
     read_metadata},
    {"envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput", Input::Kind::kUriSan},
    {"envoy.extensions.matching.common_inputs.ssl.v3.DnsSanInput", Input::Kind::kDnsSan},
    {"envoy.extensions.matching.common_inputs.ssl.v3.SubjectInput", Input::Kind::kSubject},
};
// NOLINTEND

// Translates one tree. Goes on after faults, to find them all.
class TreeTranslator {
 public:
  TreeTranslator(filter::MatcherActions& actions, const filter::MatcherOptions& options)
      : actions_(actions), options_(options) {}

  template <class Matcher>
  MatcherSpec matcher(const Matcher& message, const FieldReport& at) {
    MatcherSpec spec;
    switch (message.matcher_type_case()) {
      case Matcher::kMatcherList:
        list(message.matcher_list(), at.below("matcher_list"), spec);
        break;
      case Matcher::kMatcherTree:
        tree(message.matcher_tree(), at.below("matcher_tree"), spec);
        break;
      default:  // which on_no_match alone makes one answer for all
        if (!message.has_on_no_match()) at.error("needs either matcher_list or matcher_tree");
        break;
    }
    if (message.has_on_no_match()) spec.on_no_match = on_match(message.on_no_match(), at.below("on_no_match"));
    return spec;
  }

 private:
  template <class OnMatch>
  OnMatchSpec on_match(const OnMatch& message, const FieldReport& at) {
    OnMatchSpec spec;
    spec.keep_matching = message.keep_matching();
    if (spec.keep_matching && !options_.keep_matching) {
      at.error_at("keep_matching", "is not supported here: the first match decides");
    }
    switch (message.on_match_case()) {
      case OnMatch::kMatcher:
        spec.matcher = std::make_unique<MatcherSpec>(matcher(message.matcher(), at.below("matcher")));
        break;
      case OnMatch::kAction: {
        const FieldReport below = at.below("action").below("typed_config");
        auto number = actions_.add(message.action().typed_config(), message.action().name(), below.path);
        if (number) spec.action = *number;
        break;
      }
      default:
        at.error("needs either matcher or action");
        break;
    }
    return spec;
  }

  // `config`: a TypedExtensionConfig of either API. nullptr: a fault was reported.
  template <class Extension>
  std::unique_ptr<Message> unpack(const Extension& config, const FieldReport& at) {
    return at.report.unpack(config.typed_config(), at.path + ".typed_config");
  }

  template <class Extension>
  Input input(const Extension& config, const FieldReport& at) {
    Input out;
    std::unique_ptr<Message> message = unpack(config, at);
    if (message == nullptr) return out;
    const FieldReport below = at.below("typed_config");
    const std::string name = full_name(*message);
    for (const InputType& type : kInputs) {
      if (type.type != name) continue;
      out.kind = type.kind;
      if (type.read != nullptr) type.read(*message, below, out);
      if (options_.connection_only && !out.of_connection()) {
        below.error(name + " is a fact of HTTP, which is not known here; inputs of the connection are");
      }
      return out;
    }
    below.error(name + " is not an input that weir supports yet");
    return out;
  }

  // --- Lists
  template <class MatcherList>
  void list(const MatcherList& message, const FieldReport& at, MatcherSpec& spec) {
    if (message.matchers().empty()) at.error_at("matchers", "must have one item at least");
    for (int i = 0; i < message.matchers_size(); ++i) {
      const auto& from = message.matchers(i);
      const FieldReport here = at.item("matchers", i);
      spec.rules.push_back(
          {predicate(from.predicate(), here.below("predicate")), on_match(from.on_match(), here.below("on_match"))});
    }
  }

  template <class Predicate>
  PredicateSpec predicate(const Predicate& message, const FieldReport& at) {
    PredicateSpec spec;
    switch (message.match_type_case()) {
      case Predicate::kSinglePredicate:
        single(message.single_predicate(), at.below("single_predicate"), spec);
        break;
      case Predicate::kOrMatcher:
        spec.kind = PredicateSpec::Kind::kOr;
        several(message.or_matcher(), at.below("or_matcher"), spec);
        break;
      case Predicate::kAndMatcher:
        spec.kind = PredicateSpec::Kind::kAnd;
        several(message.and_matcher(), at.below("and_matcher"), spec);
        break;
      case Predicate::kNotMatcher:
        spec.kind = PredicateSpec::Kind::kNot;
        spec.children.push_back(predicate(message.not_matcher(), at.below("not_matcher")));
        break;
      default:
        at.error("needs one of single_predicate, or_matcher, and_matcher and not_matcher");
        break;
    }
    return spec;
  }

  template <class PredicateList>
  void several(const PredicateList& message, const FieldReport& at, PredicateSpec& spec) {
    if (message.predicate_size() < 2) at.error_at("predicate", "must have two items at least");
    for (int i = 0; i < message.predicate_size(); ++i) {
      spec.children.push_back(predicate(message.predicate(i), at.item("predicate", i)));
    }
  }

  template <class Single>
  void single(const Single& message, const FieldReport& at, PredicateSpec& spec) {
    spec.input = input(message.input(), at.below("input"));
    switch (message.matcher_case()) {
      case Single::kValueMatch: {
        auto string = translate(message.value_match(), at.below("value_match"));
        if (string) set_condition(std::move(*string), spec);
        break;
      }
      case Single::kCustomMatch:
        custom_condition(message.custom_match(), at.below("custom_match"), spec);
        break;
      default:
        at.error("needs either value_match or custom_match");
        break;
    }
  }

  template <class Extension>
  void custom_condition(const Extension& config, const FieldReport& at, PredicateSpec& spec) {
    std::unique_ptr<Message> message = unpack(config, at);
    if (message == nullptr) return;
    const FieldReport below = at.below("typed_config");
    const std::string name = full_name(*message);
    if (name == "envoy.extensions.matching.input_matchers.ip.v3.Ip") {
      const auto& ip = static_cast<const envoy::extensions::matching::input_matchers::ip::v3::Ip&>(*message);
      set_condition(match::AddressRanges(ranges(ip.cidr_ranges(), "cidr_ranges", below)), spec);
    } else if (name == "envoy.extensions.matching.input_matchers.metadata.v3.Metadata") {
      const auto& metadata =
          static_cast<const envoy::extensions::matching::input_matchers::metadata::v3::Metadata&>(*message);
      if (spec.input.kind != Input::Kind::kDynamicMetadata) {
        below.error("wants the input envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput");
      }
      auto value = translate(metadata.value(), below.below("value"));
      if (value) set_condition(match::ValueCondition{std::move(*value), metadata.invert()}, spec);
    } else {
      below.unsupported(name + " is not supported by weir yet; Ip and Metadata are");
    }
  }

  template <class Condition>
  static void set_condition(Condition condition, PredicateSpec& spec) {
    spec.condition = std::make_unique<PredicateSpec::Condition>(std::move(condition));
  }

  template <class Ranges>
  static std::vector<match::AddressRange> ranges(const Ranges& messages, std::string_view field,
                                                 const FieldReport& at) {
    std::vector<match::AddressRange> out;
    if (messages.empty()) at.error_at(field, "must have one item at least");
    for (int i = 0; i < messages.size(); ++i) {
      if (auto range = translate(messages.Get(i), at.item(field, i))) out.push_back(*range);
    }
    return out;
  }

  // --- Maps
  template <class MatcherTree>
  void tree(const MatcherTree& message, const FieldReport& at, MatcherSpec& spec) {
    spec.input = input(message.input(), at.below("input"));
    switch (message.tree_type_case()) {
      case MatcherTree::kExactMatchMap:
        spec.kind = MatcherSpec::Kind::kExactMap;
        texts(message.exact_match_map(), at.below("exact_match_map"), spec);
        break;
      case MatcherTree::kPrefixMatchMap:
        spec.kind = MatcherSpec::Kind::kPrefixMap;
        texts(message.prefix_match_map(), at.below("prefix_match_map"), spec);
        break;
      case MatcherTree::kCustomMatch:
        custom_map(message.custom_match(), at.below("custom_match"), spec);
        break;
      default:
        at.error("needs one of exact_match_map, prefix_match_map and custom_match");
        break;
    }
  }

  template <class MatchMap>
  void texts(const MatchMap& message, const FieldReport& at, MatcherSpec& spec) {
    const FieldReport map = at.below("map");
    if (message.map().empty()) map.error("must have one entry at least");
    // Sorted: actions get the same numbers, and faults the same order, each time.
    std::map<std::string_view, decltype(&message.map().begin()->second)> sorted;
    for (const auto& [text, to] : message.map()) sorted.emplace(text, &to);
    for (const auto& [text, to] : sorted) spec.texts.emplace_back(text, on_match(*to, map.below(text)));
  }

  template <class Extension>
  void custom_map(const Extension& config, const FieldReport& at, MatcherSpec& spec) {
    std::unique_ptr<Message> message = unpack(config, at);
    if (message == nullptr) return;
    const FieldReport below = at.below("typed_config");
    const std::string name = full_name(*message);
    if (name == "xds.type.matcher.v3.IPMatcher") {
      spec.kind = MatcherSpec::Kind::kAddresses;
      const auto& ip = static_cast<const xds_v3::IPMatcher&>(*message);
      for (int i = 0; i < ip.range_matchers_size(); ++i) {
        const auto& from = ip.range_matchers(i);
        const FieldReport here = below.item("range_matchers", i);
        spec.ranges.push_back({ranges(from.ranges(), "ranges", here), on_match(from.on_match(), here.below("on_match")),
                               from.exclusive()});
      }
    } else if (name == "xds.type.matcher.v3.ServerNameMatcher") {
      spec.kind = MatcherSpec::Kind::kServerNames;
      const auto& names = static_cast<const xds_v3::ServerNameMatcher&>(*message);
      for (int i = 0; i < names.domain_matchers_size(); ++i) {
        const auto& from = names.domain_matchers(i);
        const FieldReport here = below.item("domain_matchers", i);
        if (from.domains().empty()) here.error_at("domains", "must have one item at least");
        spec.domains.push_back(
            {{from.domains().begin(), from.domains().end()}, on_match(from.on_match(), here.below("on_match"))});
      }
    } else {
      below.unsupported(name + " is not supported by weir yet; IPMatcher and ServerNameMatcher are");
    }
  }

  filter::MatcherActions& actions_;
  const filter::MatcherOptions& options_;
};

}  // namespace

std::unique_ptr<const match::Tree> translate_matcher(const Message& message, filter::MatcherActions& actions,
                                                     const filter::MatcherOptions& options, const FieldReport& at) {
  using Common = envoy::config::common::matcher::v3::Matcher;
  const size_t before = at.report.errors();
  TreeTranslator translator(actions, options);
  MatcherSpec spec;
  if (const auto* xds = dynamic_cast<const xds_v3::Matcher*>(&message)) {
    spec = translator.matcher(*xds, at);
  } else if (const auto* common = dynamic_cast<const Common*>(&message)) {
    spec = translator.matcher(*common, at);
  } else {
    at.error(full_name(message) + " is not a matcher");
  }
  if (at.report.errors() != before) return nullptr;
  auto tree = match::Tree::build(std::move(spec));
  if (tree.ok()) return std::move(*tree);
  at.error(message_of(tree.status()));
  return nullptr;
}

}  // namespace weir::config
