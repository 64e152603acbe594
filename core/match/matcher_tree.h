// Matcher trees: lists of predicates and maps of texts, addresses and server names that lead to actions or to further
// matchers. What an action is, the caller knows: here it is a number.
//
//   Result<std::unique_ptr<const Tree>> tree = Tree::build(std::move(spec));
//   Tree::Result found = (*tree)->evaluate({.info = &info, .request_headers = &headers});
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/status.h"
#include "core/match/address_ranges.h"
#include "core/match/matcher_input.h"
#include "core/match/string_matcher.h"
#include "core/match/value_matcher.h"

namespace weir::match {

// --- The plain form: filled by core/config, by tests by hand.

struct MatcherSpec;

// What to do: an action, or another matcher; neither: nothing, as if there were no match.
struct OnMatchSpec {
  static constexpr uint32_t kNoAction = UINT32_MAX;
  uint32_t action = kNoAction;
  std::unique_ptr<MatcherSpec> matcher = nullptr;
  // The action is told to the caller, and the search goes on as if there had been no match.
  bool keep_matching = false;
};

// A metadata matcher: of an input that is a value.
struct ValueCondition {
  ValueMatcher value;
  bool invert = false;
};

struct PredicateSpec {
  enum class Kind : uint8_t { kSingle, kAnd, kOr, kNot };
  using Condition = std::variant<StringMatcher, AddressRanges, ValueCondition>;
  Kind kind = Kind::kSingle;
  Input input = {};                           // kSingle
  std::unique_ptr<Condition> condition = {};  // kSingle
  std::vector<PredicateSpec> children = {};   // kNot: one
};

struct MatcherSpec {
  enum class Kind : uint8_t { kList, kExactMap, kPrefixMap, kAddresses, kServerNames };
  struct Rule {
    PredicateSpec predicate;
    OnMatchSpec on_match;
  };
  struct Ranges {
    std::vector<AddressRange> ranges;
    OnMatchSpec on_match;
    bool exclusive = false;  // only if no longer prefix holds the address, whatever became of that one
  };
  struct Domains {
    std::vector<std::string> domains;  // "a.example", "*.example", "*"
    OnMatchSpec on_match;
  };
  Kind kind = Kind::kList;
  std::vector<Rule> rules = {};                                 // kList
  Input input = {};                                             // all others
  std::vector<std::pair<std::string, OnMatchSpec>> texts = {};  // kExactMap, kPrefixMap
  std::vector<Ranges> ranges = {};                              // kAddresses
  std::vector<Domains> domains = {};                            // kServerNames
  OnMatchSpec on_no_match = {};
};

// --- The compiled form. [immutable]

class Tree {
 public:
  static constexpr int kMaxDepth = 64;           // of matchers and predicates inside each other
  static constexpr size_t kMaxSize = 1'000'000;  // of everything that has a condition or a key

  // [main] Errors name no place: what they say must be true of the whole tree (its size, names given twice).
  static weir::Result<std::unique_ptr<const Tree>> build(MatcherSpec spec);
  ~Tree();

  struct Result {
    enum class Kind : uint8_t {
      kNoMatch,
      kMatch,
      kNotYet,  // depends on facts that have not come; ask again when there are more
    };
    Kind kind = Kind::kNoMatch;
    uint32_t action = OnMatchSpec::kNoAction;  // kMatch
    bool matched() const { return kind == Kind::kMatch; }
  };
  // Told of actions with keep_matching, in the order in which they are met.
  using OnKept = void (*)(uint32_t action, void* user);

  // No lock, no heap. The same facts give the same answer.
  Result evaluate(const Facts& facts, OnKept on_kept = nullptr, void* user = nullptr) const noexcept;

  // Whether every input is a fact of the connection.
  bool of_connection() const { return of_connection_; }
  bool keeps_matching() const { return keeps_matching_; }  // somewhere in the tree

 private:
  class Builder;
  class Evaluation;
  struct Node;
  struct OnMatch {
    uint32_t action = OnMatchSpec::kNoAction;
    std::unique_ptr<const Node> node;
    bool keep_matching = false;
  };
  Tree();

  std::unique_ptr<const Node> root_;
  bool of_connection_ = true;
  bool keeps_matching_ = false;
};

}  // namespace weir::match
