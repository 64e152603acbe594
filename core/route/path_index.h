// The routes of one virtual host by path: hash tables of exact paths and tries of prefixes yield the few routes whose
// path can match, in the order of the configuration. Regexes are filed under the literal prefix that each requires;
// those without one are candidates always.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/prefetch.h"
#include "core/http/chars.h"
#include "core/route/route.h"
#include "core/route/text_table.h"

namespace weir::route {

// What a request came to. `plain`: the route is known to be plain().
struct FoundRoute {
  const Route* route = nullptr;
  bool plain = false;
};

// Routes in ascending order; a part of one of the arrays below.
struct RouteList {
  const uint32_t* first;
  const uint32_t* last;
};

// A text of the configuration and the route it belongs to.
struct PathEntry {
  std::string_view text;  // lower case if compared without case
  uint32_t route;
  bool decides;  // a path that has the text matches the route, so that no later route matters
  bool plain;    // of the route
};

// A radix tree of prefixes. Each node may carry a list of routes; a walk along a path passes every list whose prefix
// the path begins with. Flat arrays: 10,000 prefixes are about a MiB and no pointers.
class PrefixTrie {
 public:
  using Entry = PathEntry;
  // [main]
  void build(std::vector<Entry> entries);

  bool empty() const { return empty_; }

  // Asks for the first node below the root that walk() will read, so that it comes while something else is looked up.
  void prefetch(std::string_view path) const noexcept {
    if (path.size() <= root_.label_size || root_.label_size > kRoom) return;
    if (const Node* child = find_child(root_, path[root_.label_size])) weir::prefetch(*child);
  }

  // visit(RouteList) for each list on the way that has a route before `limit()`. Fold: compare without case.
  template <bool Fold, class Limit, class Visit>
  void walk(std::string_view path, Limit&& limit, Visit&& visit) const noexcept {
    const Node* at = &root_;
    size_t offset = 0;
    while (true) {
      const Node& node = *at;
      if (node.first_route >= limit()) return;  // nothing below comes early enough
      if (path.size() - offset < node.label_size) return;
      const char* label = node.label_size <= kRoom ? node.text : labels_.data() + node.label;
      if constexpr (Fold) {
        for (uint32_t i = 0; i < node.label_size; ++i) {
          if (http::to_lower(path[offset + i]) != label[i]) return;
        }
      } else if (std::memcmp(label, path.data() + offset, node.label_size) != 0) {
        return;
      }
      offset += node.label_size;
      if (node.list_size > 0) {
        const uint32_t* list = node.list_size == 1 ? &node.list : routes_.data() + node.list;
        visit(RouteList{list, list + node.list_size});
      }
      if (node.child_count == 0 || offset == path.size()) return;
      char next = path[offset];
      if constexpr (Fold) next = http::to_lower(next);
      at = find_child(node, next);
      if (at == nullptr) return;
    }
  }

 private:
  static constexpr size_t kRoom = 38;
  // A cache line: a walk of a large trie is as expensive as the lines it touches.
  struct alignas(64) Node {
    uint32_t label;  // in labels_, unless it has room here
    uint32_t label_size;
    uint32_t list;  // in routes_, unless it is a single route: that
    uint32_t list_size;
    uint32_t children;     // first child in nodes_; children are neighbours, sorted by first character
    uint32_t first_route;  // the earliest route in this node and below
    uint16_t child_count;
    char text[kRoom];  // the label, and the first characters of the children's, if both have room
    bool keys_inside() const { return label_size + child_count <= kRoom; }
  };
  static_assert(sizeof(Node) == 64);
  const Node* find_child(const Node& node, char next) const noexcept {
    const char* keys = node.keys_inside() ? node.text + node.label_size : first_characters_.data() + node.children;
    const auto* found = static_cast<const char*>(std::memchr(keys, next, node.child_count));
    return found != nullptr ? nodes_.data() + node.children + (found - keys) : nullptr;
  }
  Node build_node(std::vector<Entry>& entries, size_t first, size_t last, size_t depth, uint32_t decided);

  Node root_{};  // here, so that it comes with the index
  bool empty_ = true;
  std::vector<Node> nodes_;       // the others
  std::string first_characters_;  // of the labels of nodes_, one each
  std::string labels_;
  std::vector<uint32_t> routes_;
};

// A hash table of whole paths. Fold: compare without case.
template <bool Fold>
class ExactPaths {
 public:
  using Entry = PathEntry;
  // [main]
  void build(std::vector<Entry> entries);
  bool empty() const { return paths_.empty(); }
  void prefetch() const noexcept { paths_.prefetch(); }
  // `single`: where a list of one is put.
  RouteList find(std::string_view path, uint32_t& single) const noexcept;

 private:
  static constexpr uint32_t kSeveral = 1u << 30;
  TextTable paths_;  // the route, or kSeveral and where in routes_ the list begins: its size, then its routes
  std::vector<uint32_t> routes_;
};

// [immutable]
class alignas(64) PathIndex {
 public:
  explicit PathIndex(const std::vector<Route>& routes);
  static constexpr size_t kRead = 320;  // what look-ups read of it is in front
  // The first route that matches, if any. Of one that its path alone decides nothing has been read, only asked for.
  FoundRoute find(const std::vector<Route>& routes, const RequestPath& path, const http::HeaderMap& request,
                  const SelectInput& input) const noexcept;

 private:
  struct Folded {
    ExactPaths<true> exact;
    PrefixTrie prefixes;
  };
  // The first line ends where exact_ says that it has no such path.
  std::vector<uint32_t> always_;    // connect matchers, regexes that promise nothing
  std::unique_ptr<Folded> folded_;  // of routes that are not case-sensitive; null: there are none
  ExactPaths<false> exact_;
  PrefixTrie prefixes_;
};

}  // namespace weir::route
