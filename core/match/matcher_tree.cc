#include "core/match/matcher_tree.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "core/base/text_map.h"
#include "core/http/chars.h"

namespace weir::match {
namespace {

// Without heap, which an error of Address::from_ip() needs.
bool parse_address(std::string_view text, net::Address& out) {
  char terminated[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof terminated) return false;
  *std::copy(text.begin(), text.end(), terminated) = '\0';
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  if (inet_pton(AF_INET, terminated, &v4.sin_addr) == 1) {
    out = net::Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
    return true;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  if (inet_pton(AF_INET6, terminated, &v6.sin6_addr) != 1) return false;
  out = net::Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  return true;
}

constexpr size_t kMaxServerName = 255;  // RFC 1035 2.3.4
constexpr uint32_t kNone = UINT32_MAX;

}  // namespace

struct Tree::Node {
  struct List {
    struct Rule {
      PredicateSpec predicate;
      OnMatch on_match;
    };
    std::vector<Rule> rules;
  };
  struct ExactMap {
    Input input;
    TextMap<OnMatch> entries;
  };
  // Sorted by text, so that each prefix stands before what begins with it; `shorter` is the longest of those before
  // that it begins with.
  struct PrefixMap {
    struct Entry {
      std::string text;
      uint32_t shorter;
      OnMatch on_match;
    };
    Input input;
    std::vector<Entry> entries;
  };
  struct Addresses {
    struct Entry {
      OnMatch on_match;
      bool exclusive;
    };
    Input input;
    AddressMap ranges;  // to entries
    std::vector<Entry> entries;
  };
  // Names in lower case; "*.example" is filed as ".example", "*" as "". Several entries of a name in the order given.
  struct ServerNames {
    Input input;
    TextMap<std::vector<uint32_t>> names;  // to entries
    std::vector<OnMatch> entries;
  };
  std::variant<List, ExactMap, PrefixMap, Addresses, ServerNames> body;
  OnMatch on_no_match;
};

Tree::Tree() = default;
Tree::~Tree() = default;

// --- Building --------------------------------------------------------------------------------------------------------

class Tree::Builder {
 public:
  explicit Builder(Tree& tree) : tree_(tree) {}

  weir::Result<std::unique_ptr<const Node>> node(MatcherSpec spec, int depth) {
    WEIR_RETURN_IF_ERROR(check_depth(depth));
    auto out = std::make_unique<Node>();
    if (spec.kind != MatcherSpec::Kind::kList) note(spec.input);
    WEIR_RETURN_IF_ERROR(on_match(std::move(spec.on_no_match), out->on_no_match, depth));
    switch (spec.kind) {
      case MatcherSpec::Kind::kList:
        WEIR_RETURN_IF_ERROR(list(std::move(spec), out->body.emplace<Node::List>(), depth));
        break;
      case MatcherSpec::Kind::kExactMap:
        WEIR_RETURN_IF_ERROR(exact_map(std::move(spec), out->body.emplace<Node::ExactMap>(), depth));
        break;
      case MatcherSpec::Kind::kPrefixMap:
        WEIR_RETURN_IF_ERROR(prefix_map(std::move(spec), out->body.emplace<Node::PrefixMap>(), depth));
        break;
      case MatcherSpec::Kind::kAddresses:
        WEIR_RETURN_IF_ERROR(addresses(std::move(spec), out->body.emplace<Node::Addresses>(), depth));
        break;
      case MatcherSpec::Kind::kServerNames:
        WEIR_RETURN_IF_ERROR(server_names(std::move(spec), out->body.emplace<Node::ServerNames>(), depth));
        break;
    }
    return out;
  }

 private:
  Status check_depth(int depth) {
    if (depth <= kMaxDepth) return absl::OkStatus();
    return invalid("more than " + std::to_string(kMaxDepth) + " matchers and predicates inside each other");
  }
  Status count(size_t more) {
    size_ += more;
    if (size_ <= kMaxSize) return absl::OkStatus();
    return invalid("more than " + std::to_string(kMaxSize) + " conditions and keys");
  }
  void note(const Input& input) { tree_.of_connection_ &= input.of_connection(); }

  Status on_match(OnMatchSpec spec, OnMatch& out, int depth) {
    out.action = spec.action;
    out.keep_matching = spec.keep_matching;
    tree_.keeps_matching_ |= spec.keep_matching;
    if (spec.matcher == nullptr) return absl::OkStatus();
    auto made = node(std::move(*spec.matcher), depth + 1);
    if (!made.ok()) return made.status();
    out.node = std::move(*made);
    return absl::OkStatus();
  }

  Status check(const PredicateSpec& predicate, int depth) {
    WEIR_RETURN_IF_ERROR(check_depth(depth));
    WEIR_RETURN_IF_ERROR(count(1));
    if (predicate.kind == PredicateSpec::Kind::kSingle) {
      note(predicate.input);
      return predicate.condition != nullptr ? absl::OkStatus() : invalid("a predicate has no condition");
    }
    if (predicate.children.empty()) return invalid("a predicate has nothing to combine");
    for (const PredicateSpec& child : predicate.children) WEIR_RETURN_IF_ERROR(check(child, depth + 1));
    return absl::OkStatus();
  }

  Status list(MatcherSpec spec, Node::List& out, int depth) {
    out.rules.reserve(spec.rules.size());
    for (MatcherSpec::Rule& from : spec.rules) {
      WEIR_RETURN_IF_ERROR(check(from.predicate, depth + 1));
      Node::List::Rule& to = out.rules.emplace_back();
      to.predicate = std::move(from.predicate);
      WEIR_RETURN_IF_ERROR(on_match(std::move(from.on_match), to.on_match, depth));
    }
    return absl::OkStatus();
  }

  Status exact_map(MatcherSpec spec, Node::ExactMap& out, int depth) {
    WEIR_RETURN_IF_ERROR(count(spec.texts.size()));
    out.input = std::move(spec.input);
    for (auto& [text, to] : spec.texts) {
      auto [entry, fresh] = out.entries.try_emplace(std::move(text));
      if (!fresh) return invalid("\"" + entry->first + "\" is there twice");
      WEIR_RETURN_IF_ERROR(on_match(std::move(to), entry->second, depth));
    }
    return absl::OkStatus();
  }

  Status prefix_map(MatcherSpec spec, Node::PrefixMap& out, int depth) {
    WEIR_RETURN_IF_ERROR(count(spec.texts.size()));
    out.input = std::move(spec.input);
    std::sort(spec.texts.begin(), spec.texts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    out.entries.reserve(spec.texts.size());
    for (auto& [text, to] : spec.texts) {
      uint32_t shorter = out.entries.empty() ? kNone : static_cast<uint32_t>(out.entries.size() - 1);
      while (shorter != kNone && !text.starts_with(out.entries[shorter].text)) shorter = out.entries[shorter].shorter;
      if (shorter != kNone && out.entries[shorter].text == text) return invalid("\"" + text + "\" is there twice");
      Node::PrefixMap::Entry& entry = out.entries.emplace_back();
      entry.text = std::move(text);
      entry.shorter = shorter;
      WEIR_RETURN_IF_ERROR(on_match(std::move(to), entry.on_match, depth));
    }
    return absl::OkStatus();
  }

  Status addresses(MatcherSpec spec, Node::Addresses& out, int depth) {
    out.input = std::move(spec.input);
    std::vector<AddressMap::Item> items;
    for (MatcherSpec::Ranges& from : spec.ranges) {
      WEIR_RETURN_IF_ERROR(count(from.ranges.size()));
      for (const AddressRange& range : from.ranges) items.push_back({range, static_cast<uint32_t>(out.entries.size())});
      Node::Addresses::Entry& entry = out.entries.emplace_back();
      entry.exclusive = from.exclusive;
      WEIR_RETURN_IF_ERROR(on_match(std::move(from.on_match), entry.on_match, depth));
    }
    out.ranges = AddressMap(items);
    return absl::OkStatus();
  }

  Status server_names(MatcherSpec spec, Node::ServerNames& out, int depth) {
    out.input = std::move(spec.input);
    for (MatcherSpec::Domains& from : spec.domains) {
      WEIR_RETURN_IF_ERROR(count(from.domains.size()));
      for (std::string& domain : from.domains) {
        std::string_view rest = domain;
        if (rest.starts_with('*')) rest.remove_prefix(1);
        const bool wildcard = rest.size() != domain.size();
        if (domain.empty() || domain.size() > kMaxServerName || rest.find('*') != std::string_view::npos ||
            (wildcard && !rest.empty() && (rest[0] != '.' || rest.size() == 1)) || (!wildcard && rest[0] == '.')) {
          return invalid("\"" + domain + "\" is no domain; www.example.com, *.example.com and * are");
        }
        std::string key(rest);
        for (char& c : key) c = http::to_lower(c);
        out.names[std::move(key)].push_back(static_cast<uint32_t>(out.entries.size()));
      }
      WEIR_RETURN_IF_ERROR(on_match(std::move(from.on_match), out.entries.emplace_back(), depth));
    }
    return absl::OkStatus();
  }

  Tree& tree_;
  size_t size_ = 0;
};

weir::Result<std::unique_ptr<const Tree>> Tree::build(MatcherSpec spec) {
  std::unique_ptr<Tree> tree(new Tree());
  auto root = Builder(*tree).node(std::move(spec), 1);
  if (!root.ok()) return root.status();
  tree->root_ = std::move(*root);
  return tree;
}

// --- Evaluation ------------------------------------------------------------------------------------------------------

class Tree::Evaluation {
 public:
  Evaluation(const Facts& facts, OnKept on_kept, void* user) : facts_(facts), on_kept_(on_kept), user_(user) {}

  Result node(const Node& node) {
    Result found = std::visit([this](const auto& body) { return search(body); }, node.body);
    return found.kind == Result::Kind::kNoMatch ? follow(node.on_no_match) : found;
  }

 private:
  static constexpr Result kNoMatch{};
  static constexpr Result kNotYet{Result::Kind::kNotYet, OnMatchSpec::kNoAction};

  Result follow(const OnMatch& on_match) {
    Result found;
    if (on_match.node != nullptr) {
      found = node(*on_match.node);
    } else if (on_match.action != OnMatchSpec::kNoAction) {
      found = {Result::Kind::kMatch, on_match.action};
    }
    if (found.matched() && on_match.keep_matching) {
      if (on_kept_ != nullptr) on_kept_(found.action, user_);
      return kNoMatch;
    }
    return found;
  }

  // --- Predicates: yes, no or not yet.
  enum class Answer : uint8_t { kNo, kYes, kNotYet };
  static Answer answer(bool yes) { return yes ? Answer::kYes : Answer::kNo; }

  Answer holds(const PredicateSpec& predicate) {
    switch (predicate.kind) {
      case PredicateSpec::Kind::kSingle:
        return holds(predicate.input, *predicate.condition);
      case PredicateSpec::Kind::kAnd:
      case PredicateSpec::Kind::kOr: {
        const Answer decides = predicate.kind == PredicateSpec::Kind::kAnd ? Answer::kNo : Answer::kYes;
        for (const PredicateSpec& child : predicate.children) {
          Answer one = holds(child);
          if (one == decides || one == Answer::kNotYet) return one;
        }
        return decides == Answer::kNo ? Answer::kYes : Answer::kNo;
      }
      case PredicateSpec::Kind::kNot: {
        Answer one = holds(predicate.children[0]);
        if (one == Answer::kNotYet) return one;
        return answer(one == Answer::kNo);
      }
    }
    return Answer::kNo;
  }

  Answer holds(const Input& input, const PredicateSpec::Condition& condition) {
    InputScratch scratch;
    InputValue value = read(input, facts_, scratch);
    if (value.kind == InputValue::Kind::kNotYet) return Answer::kNotYet;
    if (const auto* string = std::get_if<StringMatcher>(&condition)) {
      InputScratch buffer;
      std::string_view text = value.as_text(buffer.bytes);
      return answer(text.data() != nullptr && string->matches(text));
    }
    if (const auto* ranges = std::get_if<AddressRanges>(&condition)) {
      net::Address parsed;
      const net::Address* address = as_address(value, parsed);
      return answer(address != nullptr && ranges->contains(*address));
    }
    const auto& wanted = std::get<ValueCondition>(condition);
    const stream::Value* found = value.kind == InputValue::Kind::kValue ? value.value : nullptr;
    return answer(wanted.value.matches(found) != wanted.invert);
  }

  // A text may be an address too. nullptr: it is none.
  static const net::Address* as_address(const InputValue& value, net::Address& parsed) {
    if (value.kind == InputValue::Kind::kAddress) return value.address;
    InputScratch buffer;
    return parse_address(value.as_text(buffer.bytes), parsed) ? &parsed : nullptr;
  }

  // --- Matchers. No match: on_no_match is the caller's.
  Result search(const Node::List& list) {
    for (const auto& rule : list.rules) {
      switch (holds(rule.predicate)) {
        case Answer::kNo:
          break;
        case Answer::kNotYet:
          return kNotYet;
        case Answer::kYes: {
          Result found = follow(rule.on_match);
          if (found.kind != Result::Kind::kNoMatch) return found;
          break;
        }
      }
    }
    return kNoMatch;
  }

  // The input as text, and whether it has come.
  bool read_text(const Input& input, InputScratch& scratch, InputScratch& buffer, std::string_view& text) {
    InputValue value = read(input, facts_, scratch);
    if (value.kind == InputValue::Kind::kNotYet) return false;
    text = value.as_text(buffer.bytes);
    return true;
  }

  Result search(const Node::ExactMap& map) {
    const OnMatch* on_match = nullptr;
    {
      InputScratch scratch, buffer;
      std::string_view text;
      if (!read_text(map.input, scratch, buffer, text)) return kNotYet;
      if (text.data() == nullptr) return kNoMatch;
      auto at = map.entries.find(text);
      if (at != map.entries.end()) on_match = &at->second;
    }
    return on_match != nullptr ? follow(*on_match) : kNoMatch;
  }

  Result search(const Node::PrefixMap& map) {
    uint32_t at = kNone;
    {
      InputScratch scratch, buffer;
      std::string_view text;
      if (!read_text(map.input, scratch, buffer, text)) return kNotYet;
      if (text.data() == nullptr) return kNoMatch;
      // The last entry that is not behind the text, or what that one begins with: every prefix of the text is there.
      auto after = std::upper_bound(map.entries.begin(), map.entries.end(), text,
                                    [](std::string_view wanted, const auto& entry) { return wanted < entry.text; });
      if (after != map.entries.begin()) at = static_cast<uint32_t>(after - map.entries.begin() - 1);
      while (at != kNone && !text.starts_with(map.entries[at].text)) at = map.entries[at].shorter;
    }
    for (; at != kNone; at = map.entries[at].shorter) {
      Result found = follow(map.entries[at].on_match);
      if (found.kind != Result::Kind::kNoMatch) return found;
    }
    return kNoMatch;
  }

  Result search(const Node::Addresses& map) {
    net::Address parsed;
    InputScratch scratch;
    InputValue value = read(map.input, facts_, scratch);
    if (value.kind == InputValue::Kind::kNotYet) return kNotYet;
    const net::Address* address = as_address(value, parsed);
    if (address == nullptr) return kNoMatch;
    Result found;
    bool first = true;
    map.ranges.find(*address, [&](uint32_t index) {
      const auto& entry = map.entries[index];
      if (!std::exchange(first, false) && entry.exclusive) return false;
      found = follow(entry.on_match);
      return found.kind != Result::Kind::kNoMatch;
    });
    return found;
  }

  Result search(const Node::ServerNames& map) {
    std::array<char, kMaxServerName> lower;
    std::string_view name;
    {
      InputScratch scratch, buffer;
      std::string_view text;
      if (!read_text(map.input, scratch, buffer, text)) return kNotYet;
      if (text.empty() || text.size() > lower.size()) return kNoMatch;
      for (size_t i = 0; i < text.size(); ++i) lower[i] = http::to_lower(text[i]);
      name = {lower.data(), text.size()};
    }
    if (name[0] != '.') {
      if (Result found = try_names(map, name); found.kind != Result::Kind::kNoMatch) return found;
    }
    // "www.a.example" -> ".a.example" -> ".example" -> "": a wildcard stands for one label at least.
    for (size_t dot = name.find('.', 1); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
      if (Result found = try_names(map, name.substr(dot)); found.kind != Result::Kind::kNoMatch) return found;
    }
    return try_names(map, "");
  }

  Result try_names(const Node::ServerNames& map, std::string_view name) {
    auto at = map.names.find(name);
    if (at == map.names.end()) return kNoMatch;
    for (uint32_t index : at->second) {
      Result found = follow(map.entries[index]);
      if (found.kind != Result::Kind::kNoMatch) return found;
    }
    return kNoMatch;
  }

  const Facts& facts_;
  OnKept on_kept_;
  void* user_;
};

Tree::Result Tree::evaluate(const Facts& facts, OnKept on_kept, void* user) const noexcept {
  return Evaluation(facts, on_kept, user).node(*root_);
}

}  // namespace weir::match
