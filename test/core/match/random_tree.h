// Random matcher trees and facts over a tiny alphabet, and the naive walker that says what evaluation must find. The
// walker reads the plain spec from top to bottom and shares no code with the compiled tree but the leaves (string
// matchers and the like have tests of their own).
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/match/matcher_tree.h"
#include "core/stream/metadata.h"
#include "test/support/choices.h"

namespace weir::match {

using test::Choices;
using test::random_text;

// --- Facts

class RandomFacts {
 public:
  explicit RandomFacts(Choices& choices) {
    const char* addresses[] = {"10.0.0.1", "10.0.1.1",    "10.128.0.1",   "192.0.2.1",
                               "::1",      "2001:db8::1", "2001:db8:1::1"};
    info.downstream_remote = *net::Address::from_ip(choices.pick(addresses), static_cast<uint16_t>(choices.below(3)));
    info.downstream_local = *net::Address::from_ip(choices.pick(addresses), 80);
    server_name_ = random_name(choices);
    if (!choices.one_in(4)) info.requested_server_name = server_name_;
    for (uint32_t i = choices.below(3); i > 0; --i) request_.add_copy("x-a", random_text(choices, 4, "aAb"));
    if (choices.one_in(2)) request_.add_copy("x-b", choices.pick(addresses));
    request_.add_copy(":path", "/" + random_text(choices, 2, "ab") +
                                   (choices.one_in(2) ? "?a=" + random_text(choices, 2, "ab") : ""));
    response_.add_copy(":status", choices.one_in(2) ? "404" : "200");
    if (choices.one_in(2))
      metadata_.set("ns", "k", stream::Value::of_string(arena_.copy(random_text(choices, 2, "ab"))));
    if (choices.one_in(2)) metadata_.set("ns", "n", stream::Value::of_number(choices.below(3)));
    if (!choices.one_in(3)) info.metadata = &metadata_;
    facts.info = &info;
    facts.request_headers = &request_;
    if (choices.one_in(2)) facts.response_headers = &response_;
  }
  static std::string random_name(Choices& choices) {
    const char* labels[] = {"a", "b", "A", "ab"};
    std::string name = choices.pick(labels);
    for (uint32_t i = choices.below(3); i > 0; --i) name += std::string(".") + choices.pick(labels);
    return name;
  }

  stream::StreamInfo info;
  Facts facts;

 private:
  ArenaPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_};
  http::HeaderMap response_{arena_};
  stream::Metadata metadata_{arena_};
  std::string server_name_;
};

// --- Specs. Made twice from the same choices: one is compiled, one is walked.

class RandomSpec {
 public:
  explicit RandomSpec(Choices& choices) : choices_(choices) {}
  MatcherSpec matcher(int depth) {
    MatcherSpec spec;
    switch (choices_.below(6)) {
      case 0:
      case 1:
        spec.kind = MatcherSpec::Kind::kList;
        for (uint32_t i = choices_.below(4); i > 0; --i) spec.rules.push_back({predicate(depth), on_match(depth)});
        break;
      case 2:
      case 3: {
        spec.kind = choices_.one_in(2) ? MatcherSpec::Kind::kExactMap : MatcherSpec::Kind::kPrefixMap;
        spec.input = input();
        std::map<std::string, OnMatchSpec> texts;
        for (uint32_t i = choices_.below(6); i > 0; --i) {
          std::string text = random_text(choices_, 3, "aAb,4");
          OnMatchSpec to = on_match(depth);
          texts.try_emplace(text, std::move(to));
        }
        for (auto& [text, to] : texts) spec.texts.emplace_back(text, std::move(to));
        break;
      }
      case 4:
        spec.kind = MatcherSpec::Kind::kAddresses;
        spec.input = input();
        for (uint32_t i = choices_.below(5); i > 0; --i) {
          MatcherSpec::Ranges ranges{this->ranges(), on_match(depth)};
          ranges.exclusive = choices_.one_in(3);
          spec.ranges.push_back(std::move(ranges));
        }
        break;
      default:
        spec.kind = MatcherSpec::Kind::kServerNames;
        spec.input = input();
        for (uint32_t i = choices_.below(4); i > 0; --i) {
          MatcherSpec::Domains domains{{}, on_match(depth)};
          for (uint32_t k = 1 + choices_.below(3); k > 0; --k) {
            std::string name = RandomFacts::random_name(choices_);
            domains.domains.push_back(choices_.one_in(5) ? "*" : choices_.one_in(2) ? "*." + name : name);
          }
          spec.domains.push_back(std::move(domains));
        }
    }
    if (choices_.one_in(3)) spec.on_no_match = on_match(depth);
    return spec;
  }

 private:
  Input input() {
    Input out;
    constexpr Input::Kind kKinds[] = {Input::Kind::kRequestHeader,  Input::Kind::kRequestHeader,
                                      Input::Kind::kResponseStatus, Input::Kind::kSourceIp,
                                      Input::Kind::kDestinationIp,  Input::Kind::kSourcePort,
                                      Input::Kind::kServerName,     Input::Kind::kDynamicMetadata,
                                      Input::Kind::kSourceType,     Input::Kind::kQueryParameter};
    out.kind = choices_.pick(kKinds);
    out.header = http::HeaderName(choices_.one_in(2) ? "x-a" : "x-b");
    out.query_parameter = "a";
    out.path = {"ns", choices_.one_in(2) ? "k" : "n"};
    return out;
  }
  std::vector<AddressRange> ranges() {
    const char* prefixes[] = {"10.0.0.0", "10.0.1.0", "10.0.0.1", "0.0.0.0", "::", "2001:db8::", "2001:db8:1::"};
    const uint32_t bits[] = {0, 8, 16, 24, 32};
    std::vector<AddressRange> out;
    for (uint32_t i = 1 + choices_.below(3); i > 0; --i) {
      const char* prefix = choices_.pick(prefixes);
      out.push_back(*make_range(prefix, choices_.pick(bits)));
    }
    return out;
  }
  PredicateSpec predicate(int depth) {
    PredicateSpec spec;
    switch (depth > 0 ? choices_.below(8) : 7) {
      case 0:
        spec.kind = PredicateSpec::Kind::kNot;
        spec.children.push_back(predicate(depth - 1));
        return spec;
      case 1:
      case 2:
        spec.kind = choices_.one_in(2) ? PredicateSpec::Kind::kAnd : PredicateSpec::Kind::kOr;
        for (uint32_t i = 1 + choices_.below(3); i > 0; --i) spec.children.push_back(predicate(depth - 1));
        return spec;
      default:
        break;
    }
    spec.input = input();
    using Condition = PredicateSpec::Condition;
    switch (choices_.below(5)) {
      case 0:
        spec.condition = std::make_unique<Condition>(AddressRanges(ranges()));
        break;
      case 1:
        spec.condition = std::make_unique<Condition>(ValueCondition{
            choices_.one_in(2) ? ValueMatcher::number_is(1) : ValueMatcher::present(true), choices_.one_in(2)});
        break;
      default: {
        StringMatcherSpec text;
        text.kind = choices_.one_in(2) ? StringMatcherSpec::Kind::kPrefix : StringMatcherSpec::Kind::kContains;
        text.text = "a" + random_text(choices_, 1, "ab4");
        spec.condition = std::make_unique<Condition>(std::move(*StringMatcher::build(std::move(text))));
      }
    }
    return spec;
  }
  OnMatchSpec on_match(int depth) {
    OnMatchSpec spec;
    spec.keep_matching = choices_.one_in(5);
    if (depth > 0 && choices_.one_in(2)) {
      spec.matcher = std::make_unique<MatcherSpec>(matcher(depth - 1));
    } else if (!choices_.one_in(8)) {
      spec.action = next_action_++;
    }
    return spec;
  }
  Choices& choices_;
  uint32_t next_action_ = 0;
};

// --- The walker

class NaiveWalker {
 public:
  explicit NaiveWalker(const Facts& facts) : facts_(facts) {}
  std::vector<uint32_t> kept;

  using Kind = Tree::Result::Kind;
  Tree::Result walk(const MatcherSpec& spec) {
    for (const OnMatchSpec* candidate : candidates(spec)) {
      if (candidate == nullptr) return {Kind::kNotYet};
      Tree::Result found = follow(*candidate);
      if (found.kind != Kind::kNoMatch) return found;
    }
    return {};
  }

 private:
  Tree::Result follow(const OnMatchSpec& spec) {
    Tree::Result found;
    if (spec.matcher != nullptr) {
      found = walk(*spec.matcher);
    } else if (spec.action != OnMatchSpec::kNoAction) {
      found = {Kind::kMatch, spec.action};
    }
    if (found.kind != Kind::kMatch || !spec.keep_matching) return found;
    kept.push_back(found.action);
    return {};
  }

  // What a matcher would follow, first things first; nullptr: facts are missing from here on.
  std::vector<const OnMatchSpec*> candidates(const MatcherSpec& spec) {
    std::vector<const OnMatchSpec*> out;
    if (spec.kind == MatcherSpec::Kind::kList) {
      for (const auto& rule : spec.rules) {
        std::optional<bool> holds = this->holds(rule.predicate);
        if (!holds.has_value()) {
          out.push_back(nullptr);
          return out;
        }
        if (*holds) out.push_back(&rule.on_match);
      }
    } else {
      InputScratch scratch;
      InputValue value = read(spec.input, facts_, scratch);
      if (value.kind == InputValue::Kind::kNotYet) return {nullptr};
      InputScratch buffer;
      std::string_view view = value.as_text(buffer.bytes);
      if (view.data() != nullptr) of_text(spec, std::string(view), out);
    }
    out.push_back(&spec.on_no_match);
    return out;
  }

  static void of_text(const MatcherSpec& spec, const std::string& text, std::vector<const OnMatchSpec*>& out) {
    switch (spec.kind) {
      case MatcherSpec::Kind::kExactMap:
        for (const auto& [key, to] : spec.texts) {
          if (key == text) out.push_back(&to);
        }
        break;
      case MatcherSpec::Kind::kPrefixMap:
        for (size_t size = text.size() + 1; size-- > 0;) {
          for (const auto& [key, to] : spec.texts) {
            if (key == text.substr(0, size)) out.push_back(&to);
          }
        }
        break;
      case MatcherSpec::Kind::kAddresses: {
        auto address = net::Address::from_ip(text, 0);
        if (!address.ok()) break;
        bool any = false;
        for (int bits = 128; bits >= 0; --bits) {
          for (const auto& one : spec.ranges) {
            for (const AddressRange& range : one.ranges) {
              if (range.bits != bits || range.prefix.family() != address->family()) continue;
              if (!range.prefix.masked(bits).same_ip(address->masked(bits))) continue;
              if (any && one.exclusive) continue;
              any = true;
              out.push_back(&one.on_match);
            }
          }
        }
        break;
      }
      case MatcherSpec::Kind::kServerNames: {
        std::string lower = text;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
        std::vector<std::string> patterns = {lower};
        for (size_t dot = lower.find('.'); dot != std::string::npos; dot = lower.find('.', dot + 1)) {
          if (dot > 0) patterns.push_back("*" + lower.substr(dot));
        }
        patterns.push_back("*");
        for (const std::string& pattern : patterns) {
          if (text.empty()) break;
          for (const auto& one : spec.domains) {
            for (std::string domain : one.domains) {
              std::transform(domain.begin(), domain.end(), domain.begin(),
                             [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
              if (domain == pattern) out.push_back(&one.on_match);
            }
          }
        }
        break;
      }
      case MatcherSpec::Kind::kList:
        break;
    }
  }

  // No value: facts are missing.
  std::optional<bool> holds(const PredicateSpec& spec) {
    if (spec.kind == PredicateSpec::Kind::kNot) {
      auto one = holds(spec.children[0]);
      if (one.has_value()) one = !*one;
      return one;
    }
    if (spec.kind != PredicateSpec::Kind::kSingle) {
      const bool all = spec.kind == PredicateSpec::Kind::kAnd;
      for (const PredicateSpec& child : spec.children) {
        auto one = holds(child);
        if (!one.has_value() || *one != all) return one;
      }
      return all;
    }
    InputScratch scratch, buffer;
    InputValue value = read(spec.input, facts_, scratch);
    if (value.kind == InputValue::Kind::kNotYet) return std::nullopt;
    if (const auto* condition = std::get_if<ValueCondition>(spec.condition.get())) {
      return condition->value.matches(value.kind == InputValue::Kind::kValue ? value.value : nullptr) !=
             condition->invert;
    }
    std::string_view text = value.as_text(buffer.bytes);
    if (text.data() == nullptr) return false;
    if (const auto* string = std::get_if<StringMatcher>(spec.condition.get())) return string->matches(text);
    auto address = net::Address::from_ip(text, 0);
    return address.ok() && std::get<AddressRanges>(*spec.condition).contains(*address);
  }

  const Facts& facts_;
};

// "match 3", "no match", "not yet", then what was kept.
inline std::string describe(Tree::Result result, const std::vector<uint32_t>& kept) {
  std::string out = result.kind == Tree::Result::Kind::kMatch     ? "match " + std::to_string(result.action)
                    : result.kind == Tree::Result::Kind::kNoMatch ? "no match"
                                                                  : "not yet";
  for (uint32_t action : kept) out += " kept " + std::to_string(action);
  return out;
}

inline std::string evaluated(const Tree& tree, const Facts& facts) {
  std::vector<uint32_t> kept;
  auto result = tree.evaluate(
      facts, [](uint32_t action, void* user) { static_cast<std::vector<uint32_t>*>(user)->push_back(action); }, &kept);
  return describe(result, kept);
}

inline std::string walked(const MatcherSpec& spec, const Facts& facts) {
  NaiveWalker walker(facts);
  Tree::Result result = walker.walk(spec);
  return describe(result, walker.kept);
}

}  // namespace weir::match
