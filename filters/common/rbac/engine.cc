#include "filters/common/rbac/engine.h"

#include <algorithm>

namespace weir::filters::rbac {
namespace {

bool some_hold(const std::vector<Condition>& conditions, const match::Facts& facts, bool lets_in) {
  return std::any_of(conditions.begin(), conditions.end(),
                     [&](const Condition& one) { return one.holds(facts, lets_in); });
}

}  // namespace

Engine::Engine(std::unique_ptr<const match::Tree> tree, std::vector<Rule> actions)
    : rules_(std::move(actions)), tree_(std::move(tree)) {
  logs_ = std::any_of(rules_.begin(), rules_.end(), [](const Rule& rule) { return rule.effect == Effect::kLog; });
}

Verdict Engine::decide(const match::Facts& facts) const noexcept {
  Verdict verdict;
  if (tree_ != nullptr) {
    match::Tree::Result found = tree_->evaluate(facts);
    if (found.matched()) verdict.rule = &rules_[found.action];
    verdict.allowed = verdict.rule != nullptr && verdict.rule->effect != Effect::kDeny;
    if (logs_) verdict.log = verdict.rule != nullptr && verdict.rule->effect == Effect::kLog;
    return verdict;
  }
  const bool lets_in = effect_ == Effect::kAllow;
  for (const Rule& rule : rules_) {
    if (!some_hold(rule.permissions, facts, lets_in) || !some_hold(rule.principals, facts, lets_in)) continue;
    verdict.rule = &rule;
    break;
  }
  const bool matched = verdict.rule != nullptr;
  verdict.allowed = effect_ == Effect::kLog || matched == (effect_ == Effect::kAllow);
  if (logs_) verdict.log = matched;
  return verdict;
}

}  // namespace weir::filters::rbac
