#include "core/route/path_index.h"

#include <algorithm>

#include "core/route/text_hash.h"

namespace weir::route {
namespace {

// In a list: this route needs no further look, its path is enough. Only the last of a list has it.
constexpr uint32_t kDecides = 1u << 31;
// Beside that: the route is plain.
constexpr uint32_t kPlain = 1u << 29;
constexpr uint32_t kNever = UINT32_MAX;

uint32_t in_list(const PathEntry& entry) {
  return entry.decides ? entry.route | kDecides | (entry.plain ? kPlain : 0) : entry.route;
}

bool by_text_then_route(std::string_view a_text, uint32_t a_route, std::string_view b_text, uint32_t b_route) {
  int order = a_text.compare(b_text);
  return order != 0 ? order < 0 : a_route < b_route;
}

}  // namespace

void PrefixTrie::build(std::vector<Entry> entries) {
  empty_ = entries.empty();
  if (empty_) return;
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return by_text_then_route(a.text, a.route, b.text, b.route); });
  root_ = build_node(entries, 0, entries.size(), 0, kNever);
  nodes_.shrink_to_fit();
  first_characters_.shrink_to_fit();
  labels_.shrink_to_fit();
  routes_.shrink_to_fit();
}

// The entries from `first` to `last` agree on `depth` characters and make up this node and what is below. `decided`:
// the earliest route that every path matches that comes here.
PrefixTrie::Node PrefixTrie::build_node(std::vector<Entry>& entries, size_t first, size_t last, size_t depth,
                                        uint32_t decided) {
  // Sorted, so that what the outermost two have in common, all have.
  std::string_view low = entries[first].text;
  std::string_view high = entries[last - 1].text;
  size_t end = depth;
  while (end < low.size() && end < high.size() && low[end] == high[end]) ++end;
  // The root's label may be anything; a child's begins with the character that leads to it.
  Node node{};
  std::string_view label = low.substr(depth, end - depth);
  node.label_size = static_cast<uint32_t>(label.size());
  if (label.size() <= kRoom) {
    std::copy(label.begin(), label.end(), node.text);
  } else {
    node.label = static_cast<uint32_t>(labels_.size());
    labels_ += label;
  }
  node.list = static_cast<uint32_t>(routes_.size());
  node.first_route = kNever;
  size_t next = first;
  for (; next < last && entries[next].text.size() == end; ++next) {
    const Entry& entry = entries[next];
    if (entry.route > decided) continue;  // out of reach: an earlier route takes every path that comes here
    node.first_route = std::min(node.first_route, entry.route);
    routes_.push_back(in_list(entry));
    if (entry.decides) decided = entry.route;
  }
  node.list_size = static_cast<uint32_t>(routes_.size()) - node.list;
  if (node.list_size == 1) {
    node.list = routes_.back();
    routes_.pop_back();
  }

  std::vector<size_t> starts;
  for (size_t i = next; i < last; ++i) {
    if (i == next || entries[i].text[end] != entries[i - 1].text[end]) starts.push_back(i);
  }
  node.children = static_cast<uint32_t>(nodes_.size());
  node.child_count = static_cast<uint16_t>(starts.size());
  nodes_.resize(nodes_.size() + starts.size());
  for (size_t start : starts) first_characters_ += entries[start].text[end];
  if (node.keys_inside()) first_characters_.copy(node.text + node.label_size, starts.size(), node.children);
  for (size_t i = 0; i < starts.size(); ++i) {
    size_t stop = i + 1 < starts.size() ? starts[i + 1] : last;
    const Node child = build_node(entries, starts[i], stop, end, decided);
    nodes_[node.children + i] = child;
    node.first_route = std::min(node.first_route, child.first_route);
  }
  return node;
}

template <bool Fold>
void ExactPaths<Fold>::build(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return by_text_then_route(a.text, a.route, b.text, b.route); });
  for (size_t i = 0; i < entries.size();) {
    std::string_view text = entries[i].text;
    const size_t list = routes_.size();
    routes_.push_back(0);
    bool decided = false;
    for (; i < entries.size() && entries[i].text == text; ++i) {
      if (decided) continue;
      decided = entries[i].decides;
      routes_.push_back(in_list(entries[i]));
    }
    routes_[list] = static_cast<uint32_t>(routes_.size() - list - 1);
    auto value = static_cast<uint32_t>(list) | kSeveral;
    if (routes_[list] == 1) {
      value = routes_.back();
      routes_.resize(list);
    }
    paths_.add(text, hash_text<Fold>(text), value);
  }
  paths_.shrink_to_fit();
  routes_.shrink_to_fit();
}

template <bool Fold>
RouteList ExactPaths<Fold>::find(std::string_view path, uint32_t& single) const noexcept {
  if (!paths_.may_have(path.size())) return {};  // most paths are hashed for nothing otherwise
  const uint64_t hash = hash_text<Fold>(path);
  const uint32_t at = Fold ? paths_.find_folded(path, hash) : paths_.find(path, hash);
  if (at == TextTable::kNone) return {};
  if ((at & kSeveral) == 0) {
    single = at;
    return {&single, &single + 1};
  }
  const uint32_t* list = routes_.data() + (at & ~kSeveral) + 1;
  return {list, list + list[-1]};
}

PathIndex::PathIndex(const std::vector<Route>& routes) {
  std::vector<PathEntry> exact[2];
  std::vector<PathEntry> prefixes[2];
  for (const Route& route : routes) {
    const bool fold = !route.case_sensitive();
    switch (route.path_kind()) {
      case PathKind::kExact:
        exact[fold].push_back({route.path(), route.index(), route.path_only(), route.plain()});
        break;
      case PathKind::kPrefix:
        prefixes[fold].push_back({route.path(), route.index(), route.path_only(), route.plain()});
        break;
      case PathKind::kSegmentPrefix:  // the character behind the prefix has a say
        prefixes[fold].push_back({route.path(), route.index(), false, false});
        break;
      case PathKind::kRegex:
        if (route.regex()->is_literal()) {
          exact[0].push_back({route.regex()->required_prefix(), route.index(), route.path_only(), route.plain()});
        } else if (!route.regex()->required_prefix().empty()) {
          prefixes[0].push_back({route.regex()->required_prefix(), route.index(), false, false});
        } else {
          always_.push_back(route.index());
        }
        break;
      case PathKind::kTemplate:
        prefixes[0].push_back({route.path_template()->required_prefix(), route.index(), false, false});
        break;
      case PathKind::kConnect:
        always_.push_back(route.index());
        break;
    }
  }
  exact_.build(std::move(exact[0]));
  prefixes_.build(std::move(prefixes[0]));
  if (!exact[1].empty() || !prefixes[1].empty()) {
    folded_ = std::make_unique<Folded>();
    folded_->exact.build(std::move(exact[1]));
    folded_->prefixes.build(std::move(prefixes[1]));
  }
  always_.shrink_to_fit();
}

namespace {

// Looks at the candidates of several ascending lists in ascending order. Lists beyond its room make it work off those
// it has: still right, only perhaps with a look too many.
class Candidates {
 public:
  Candidates(const std::vector<Route>& routes, const RequestPath& path, const http::HeaderMap& request,
             const SelectInput& input)
      : routes_(routes), path_(path), request_(request), input_(input) {}

  void add(RouteList list) {
    if (list.first == list.last) return;
    uint32_t last = list.last[-1];
    if ((last & kDecides) != 0) {
      if (const uint32_t route = last & ~(kDecides | kPlain); route < best_) {
        best_ = route;
        plain_ = (last & kPlain) != 0;
        routes_[best_].prefetch(plain_);
      }
      if (--list.last == list.first) return;
    }
    if (*list.first >= best_) return;
    if (count_ == kRoom) work_off();
    lists_[count_++] = list;
  }
  // The earliest route known to match; kNever: none yet.
  uint32_t best() const { return best_; }
  FoundRoute found() const { return best_ != kNever ? FoundRoute{&routes_[best_], plain_} : FoundRoute{}; }

  void work_off() {
    while (count_ > 0) {
      size_t earliest = 0;
      for (size_t i = 1; i < count_; ++i) {
        if (*lists_[i].first < *lists_[earliest].first) earliest = i;
      }
      RouteList& list = lists_[earliest];
      uint32_t candidate = *list.first;
      if (candidate >= best_) break;
      if (routes_[candidate].matches(path_, request_, input_)) {
        best_ = candidate;
        plain_ = routes_[candidate].plain();
        break;
      }
      if (++list.first == list.last) list = lists_[--count_];
    }
    count_ = 0;
  }

 private:
  static constexpr size_t kRoom = 16;
  const std::vector<Route>& routes_;
  const RequestPath& path_;
  const http::HeaderMap& request_;
  const SelectInput& input_;
  uint32_t best_ = kNever;
  bool plain_ = false;
  size_t count_ = 0;
  RouteList lists_[kRoom];
};

}  // namespace

FoundRoute PathIndex::find(const std::vector<Route>& routes, const RequestPath& path, const http::HeaderMap& request,
                           const SelectInput& input) const noexcept {
  Candidates candidates(routes, path, request, input);
  uint32_t single;  // these two may be lists of it, to the end
  uint32_t single_folded;
  if (path.present) {
    auto limit = [&] { return candidates.best(); };
    auto visit = [&](RouteList list) { candidates.add(list); };
    exact_.prefetch();
    if (!prefixes_.empty()) prefixes_.prefetch(path.path);
    candidates.add(exact_.find(path.path, single));
    if (folded_ != nullptr && !folded_->exact.empty()) candidates.add(folded_->exact.find(path.path, single_folded));
    if (!prefixes_.empty()) prefixes_.walk<false>(path.path, limit, visit);
    if (folded_ != nullptr && !folded_->prefixes.empty()) folded_->prefixes.walk<true>(path.path, limit, visit);
  }
  if (!always_.empty()) candidates.add({always_.data(), always_.data() + always_.size()});
  candidates.work_off();
  return candidates.found();
}

}  // namespace weir::route
