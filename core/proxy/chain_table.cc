#include "core/proxy/chain_table.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/match/matcher_input.h"

namespace weir::proxy {
namespace {

using Range = match::AddressRange;

// One text for ranges that hold the same addresses.
std::string key_of(const Range& range) {
  return range.prefix.masked(range.bits).ip_to_string() + "/" + std::to_string(range.bits);
}

}  // namespace

// Splits sets of chains, criterion by criterion. The same set at the same criterion is one node, however it was come
// to: lists of names and of ranges add up then, and do not multiply.
class ChainTable::Builder {
 public:
  Builder(const std::vector<ChainMatch>& chains, ChainTable& table, Conflict& conflict)
      : chains_(chains), table_(table), conflict_(conflict) {}

  bool build() {
    std::vector<uint32_t> all(chains_.size());
    for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
    table_.root_ = all.empty() ? kNone : node_of(0, all);
    return !failed_;
  }

 private:
  using Chains = std::vector<uint32_t>;
  // What chains require, each with those that do; "" is nothing.
  using Groups = std::map<std::string, Chains>;

  Next node_of(size_t criterion, const Chains& chains) {
    if (failed_) return kNone;
    if (criterion == static_cast<size_t>(Criterion::kCount)) return leaf_of(chains);
    auto known = known_.find({criterion, chains});
    if (known != known_.end()) return known->second;
    Groups groups;
    std::map<std::string, Range> ranges;
    for (uint32_t chain : chains) group(static_cast<Criterion>(criterion), chain, groups, ranges);
    Next made = kNone;
    if (groups.size() == 1 && groups.begin()->first.empty()) {
      made = node_of(criterion + 1, chains);  // nobody asks
    } else {
      made = branch(static_cast<Criterion>(criterion), groups, ranges);
    }
    known_.emplace(std::pair(criterion, chains), made);
    return made;
  }

  Next leaf_of(const Chains& chains) {
    if (chains.size() > 1) {
      failed_ = true;
      conflict_ = {chains[0], chains[1], false};
      return kNone;
    }
    return chains[0] | kLeaf;
  }

  Next branch(Criterion criterion, const Groups& groups, const std::map<std::string, Range>& ranges) {
    entries_ += groups.size();
    if (entries_ > kMaxEntries) {
      failed_ = true;
      conflict_ = {0, 0, true};
      return kNone;
    }
    const auto number = static_cast<Next>(table_.nodes_.size());
    table_.nodes_.emplace_back();
    Node node;
    node.criterion = criterion;
    std::vector<match::AddressMap::Item> items;
    for (const auto& [key, chains] : groups) {
      const Next to = node_of(static_cast<size_t>(criterion) + 1, chains);
      if (key.empty()) {
        node.otherwise = to;
        continue;
      }
      switch (criterion) {
        case Criterion::kDestinationPort:
        case Criterion::kSourcePort:
          node.ports.emplace_back(static_cast<uint16_t>(std::stoul(key)), to);
          break;
        case Criterion::kDestination:
        case Criterion::kDirectSource:
        case Criterion::kSource:
          items.push_back({ranges.at(key), to});
          break;
        case Criterion::kSourceType:
          node.source_types[key == "local" ? 0 : 1] = to;
          break;
        default:
          node.texts.emplace(key, to);
      }
    }
    std::sort(node.ports.begin(), node.ports.end());
    node.addresses = match::AddressMap(items);
    table_.asks_for_local_ = table_.asks_for_local_ || criterion == Criterion::kDestinationPort ||
                             criterion == Criterion::kDestination || criterion == Criterion::kSourceType;
    table_.nodes_[number] = std::move(node);
    return number;
  }

  void group(Criterion criterion, uint32_t chain, Groups& groups, std::map<std::string, Range>& ranges) const {
    const ChainMatch& match = chains_[chain];
    std::set<std::string> keys;  // a value that stands there twice counts once
    auto add_ranges = [&](const std::vector<Range>& of_chain) {
      for (const Range& range : of_chain) {
        ranges.emplace(key_of(range), range);
        keys.insert(key_of(range));
      }
    };
    switch (criterion) {
      case Criterion::kDestinationPort:
        if (match.destination_port != 0) keys.insert(std::to_string(match.destination_port));
        break;
      case Criterion::kDestination:
        add_ranges(match.destinations);
        break;
      case Criterion::kServerName:
        for (const std::string& name : match.server_names) keys.insert(name.starts_with("*.") ? name.substr(1) : name);
        break;
      case Criterion::kTransportProtocol:
        if (!match.transport_protocol.empty()) keys.insert(match.transport_protocol);
        break;
      case Criterion::kApplicationProtocol:
        keys.insert(match.application_protocols.begin(), match.application_protocols.end());
        break;
      case Criterion::kDirectSource:
        add_ranges(match.direct_sources);
        break;
      case Criterion::kSourceType:
        if (match.source != ChainMatch::Source::kAny)
          keys.insert(match.source == ChainMatch::Source::kLocal ? "local" : "external");
        break;
      case Criterion::kSource:
        add_ranges(match.sources);
        break;
      case Criterion::kSourcePort:
        for (uint16_t port : match.source_ports) keys.insert(std::to_string(port));
        break;
      case Criterion::kCount:
        break;
    }
    if (keys.empty()) keys.insert("");
    for (const std::string& key : keys) groups[key].push_back(chain);
  }

  const std::vector<ChainMatch>& chains_;
  ChainTable& table_;
  Conflict& conflict_;
  std::map<std::pair<size_t, Chains>, Next> known_;
  size_t entries_ = 0;
  bool failed_ = false;
};

std::unique_ptr<const ChainTable> ChainTable::build(const std::vector<ChainMatch>& chains, Conflict& conflict) {
  std::unique_ptr<ChainTable> table(new ChainTable);
  if (!Builder(chains, *table, conflict).build()) return nullptr;
  return table;
}

// Wildcards hold names below theirs at any depth; the longest counts.
ChainTable::Next ChainTable::find_name(const Node& node, std::string_view name) noexcept {
  if (name.empty()) return kNone;
  if (name.front() != '.') {
    if (auto exact = node.texts.find(name); exact != node.texts.end()) return exact->second;
  }
  for (size_t dot = name.find('.', 1); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
    if (auto below = node.texts.find(name.substr(dot)); below != node.texts.end()) return below->second;
  }
  return kNone;
}

ChainTable::Next ChainTable::next(const Node& node, const ChainFacts& facts) const noexcept {
  Next found = kNone;
  auto port = [&](const net::Address& address) {
    if (!address.is_ip()) return;
    auto at = std::lower_bound(node.ports.begin(), node.ports.end(), std::pair<uint16_t, Next>(address.port(), 0));
    if (at != node.ports.end() && at->first == address.port()) found = at->second;
  };
  auto address = [&](const net::Address& address) {
    node.addresses.find(address, [&](Next to) {
      found = to;
      return true;
    });
  };
  auto text = [&](std::string_view value) {
    if (auto at = node.texts.find(value); at != node.texts.end()) found = at->second;
  };
  switch (node.criterion) {
    case Criterion::kDestinationPort:
      port(facts.local);
      break;
    case Criterion::kDestination:
      address(facts.local);
      break;
    case Criterion::kServerName:
      found = find_name(node, facts.server_name);
      break;
    case Criterion::kTransportProtocol:
      text(facts.transport_protocol);
      break;
    case Criterion::kApplicationProtocol:
      for (const std::string& protocol : facts.application_protocols) {
        text(protocol);
        if (found != kNone) break;
      }
      break;
    case Criterion::kDirectSource:
      address(facts.direct_remote);
      break;
    case Criterion::kSourceType:
      found = node.source_types[match::is_same_host(facts.remote, facts.local) ? 0 : 1];
      break;
    case Criterion::kSource:
      address(facts.remote);
      break;
    case Criterion::kSourcePort:
      port(facts.remote);
      break;
    case Criterion::kCount:
      break;
  }
  return found != kNone ? found : node.otherwise;
}

uint32_t ChainTable::find(const ChainFacts& facts) const noexcept {
  Next at = root_;
  while (at != kNone && (at & kLeaf) == 0) at = next(nodes_[at], facts);
  return at == kNone ? kNone : at & ~kLeaf;
}

}  // namespace weir::proxy
