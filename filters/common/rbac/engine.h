// Decides about a request, or a connection, by policies in the order of their names, or by a matcher tree. Built on
// main; [immutable].
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/match/matcher_tree.h"
#include "core/stats/handles.h"
#include "filters/common/rbac/conditions.h"

namespace weir::filters::rbac {

enum class Effect : uint8_t {
  kAllow,
  kDeny,
  kLog,  // allows, and says whether to log
};

// A policy, or an action of a tree.
struct Rule {
  std::string name;
  std::string details;  // of the response if this one denies
  Effect effect = Effect::kAllow;
  stats::Counter allowed, denied;  // count into nowhere unless rules are tracked
  // Some of each must hold. Empty for an action.
  std::vector<Condition> permissions;
  std::vector<Condition> principals;
};

struct Verdict {
  bool allowed = false;
  const Rule* rule = nullptr;  // that matched; nullptr: none
  // Why not, if it is not allowed; the engine's text, or a constant.
  std::string_view details() const {
    return rule != nullptr ? std::string_view(rule->details) : "rbac_access_denied_matched_policy[none]";
  }
  std::optional<bool> log = {};  // whether to log, if the rules are about that
};

class Engine {
 public:
  // Of policies: all have the same effect.
  Engine(Effect effect, std::vector<Rule> policies) : effect_(effect), rules_(std::move(policies)) {}
  // Of a tree, whose actions are numbers of rules. No match denies, and so does a fact that has not come.
  Engine(std::unique_ptr<const match::Tree> tree, std::vector<Rule> actions);

  // No lock, no heap. `facts` has request headers if the rules were read for requests.
  Verdict decide(const match::Facts& facts) const noexcept;
  // Whether the effect of anything is kLog.
  bool logs() const { return logs_; }

 private:
  Effect effect_ = Effect::kDeny;
  std::vector<Rule> rules_;
  std::unique_ptr<const match::Tree> tree_;
  bool logs_ = effect_ == Effect::kLog;
};

}  // namespace weir::filters::rbac
