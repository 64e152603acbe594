// Which filter chain serves a connection: the published precedence of filter_chain_match, compiled. Criteria are asked
// one after the other; each keeps the chains whose requirement is the most specific one that the connection meets, and
// those that it drops do not come back. Chains that require nothing of a criterion stay only if no requirement is met.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/base/text_map.h"
#include "core/match/address_ranges.h"
#include "core/net/address.h"

namespace weir::proxy {

// What a chain requires of a connection, in the order of precedence. Empty: nothing.
struct ChainMatch {
  enum class Source : uint8_t { kAny, kLocal, kExternal };
  uint16_t destination_port = 0;  // 0: any
  std::vector<match::AddressRange> destinations;
  std::vector<std::string> server_names;  // in lower case; "a.example.com", or "*.example.com" for what is below it
  std::string transport_protocol;
  std::vector<std::string> application_protocols;
  std::vector<match::AddressRange> direct_sources;
  Source source = Source::kAny;
  std::vector<match::AddressRange> sources;
  std::vector<uint16_t> source_ports;
};

// What there is to know of a connection when its chain is chosen. Views are the caller's.
struct ChainFacts {
  const net::Address& local;
  const net::Address& remote;
  const net::Address& direct_remote;
  std::string_view server_name = {};  // in lower case
  std::string_view transport_protocol = {};
  std::span<const std::string> application_protocols = {};  // the first that a chain requires counts
};

// [immutable]
class ChainTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  // Of everything that is looked up: matches with many values of many criteria multiply.
  static constexpr size_t kMaxEntries = 1'000'000;

  // [main] Two chains that the same connection could get are an error, which names them by their positions.
  struct Conflict {
    size_t first = 0;
    size_t second = 0;
    bool too_large = false;  // the table itself; no chain is named then
  };
  static std::unique_ptr<const ChainTable> build(const std::vector<ChainMatch>& chains, Conflict& conflict);

  // The position of the chain, or kNone. No lock, no heap.
  uint32_t find(const ChainFacts& facts) const noexcept;
  // Whether anything depends on the local address, which may cost a system call to find out.
  bool asks_for_local() const { return asks_for_local_; }

 private:
  enum class Criterion : uint8_t {
    kDestinationPort,
    kDestination,
    kServerName,
    kTransportProtocol,
    kApplicationProtocol,
    kDirectSource,
    kSourceType,
    kSource,
    kSourcePort,
    kCount,
  };
  // The number of a node, or of a chain with kLeaf.
  using Next = uint32_t;
  static constexpr Next kLeaf = Next{1} << 31;
  struct Node {
    Criterion criterion{};
    Next otherwise = kNone;                        // of those that require nothing here
    Next source_types[2] = {kNone, kNone};         // local, external
    std::vector<std::pair<uint16_t, Next>> ports;  // ascending
    match::AddressMap addresses;
    TextMap<Next> texts;  // of a wildcard what is behind the star
  };
  class Builder;

  Next next(const Node& node, const ChainFacts& facts) const noexcept;
  static Next find_name(const Node& node, std::string_view name) noexcept;

  std::vector<Node> nodes_;
  Next root_ = kNone;
  bool asks_for_local_ = false;
};

}  // namespace weir::proxy
