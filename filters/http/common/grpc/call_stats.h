// Counts calls of gRPC as `cluster.<name>.grpc.<service>.<method>.<what>`, where the cluster is the one that the route
// leads to.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/base/text_map.h"
#include "core/base/time.h"
#include "core/lb/host.h"
#include "core/stats/dynamic.h"

namespace weir::filter {
class Stream;
}

namespace weir::filters::grpc {

class Call;

// Which calls are counted under the name of their method; the others are counted without, all as one.
enum class CountedMethods : uint8_t { kNone, kListed, kAll };

// Of a filter's configuration, which is immutable, though each lane has a part here that it changes. [worker]
class CallStats {
 public:
  struct Options {
    std::string_view family = "grpc";  // static
    CountedMethods methods = CountedMethods::kAll;
    std::vector<std::string> listed{};  // "service/method"
    bool replace_dots = false;          // in names of services, by '_'
  };
  explicit CallStats(const Options& options);
  ~CallStats();
  CallStats(const CallStats&) = delete;
  CallStats& operator=(const CallStats&) = delete;

 private:
  friend class Call;
  static constexpr size_t kStatuses = 17;  // those that gRPC has
  static constexpr size_t kMaxEntries = 1024;

  // Statistics of one method under one cluster; each made when it first counts.
  struct Entry {
    const stats::Group* group;
    std::string service, method;
    std::string prefix;  // of their names: "grpc.a.Service.Method."
    stats::Family family;
    stats::Counter total, success, failure, request_messages, response_messages;
    stats::Counter status[kStatuses];
    stats::Histogram upstream_time;

    void add(stats::Counter& counter, std::string_view name, uint64_t amount);
  };
  struct Key {
    const stats::Group* group;
    std::string_view service, method;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  // Of one lane. What is in it is good as long as `changes` is that of the lane's clusters.
  struct Part {
    uint64_t epoch = 1;
    uint64_t changes = 0;
    std::unordered_map<Key, std::unique_ptr<Entry>, KeyHash> entries;  // keys view what is in the entries

    void forget();
  };
  // nullptr: the cluster is gone.
  Entry* entry(filter::Stream& stream, Call& call) const;

  const std::string_view family_;
  const CountedMethods methods_;
  std::unordered_set<std::string, TextHash, std::equal_to<>> listed_;
  const bool replace_dots_;
  mutable std::array<std::unique_ptr<Part>, lb::kMaxLanes> parts_;  // by lane
};

// One call, a member of the filter. What it was begun with outlives it, or its last use.
class Call {
 public:
  // `path`: of the request, in memory that lives as long as the stream. Nothing is counted if the route leads to no
  // cluster, or if all calls are counted by method and this is no path of one ("/service/method").
  void begin(const CallStats& stats, filter::Stream& stream, std::string_view path);
  bool counted() const { return stats_ != nullptr; }
  void add_request_messages(filter::Stream& stream, uint64_t messages);
  void add_response_messages(filter::Stream& stream, uint64_t messages);
  // The answer says how the call has ended, in headers or trailers. Once; without a status (no data) nothing is
  // counted. `time`: of the upstream, if that is to be counted.
  void finish(filter::Stream& stream, std::string_view status, const Duration* time = nullptr);

 private:
  friend class CallStats;
  const CallStats* stats_ = nullptr;  // null: not counted
  std::string_view cluster_, service_, method_;
  CallStats::Entry* entry_ = nullptr;  // good if `epoch_` is that of the lane's part
  uint64_t epoch_ = 0;
  bool finished_ = false;
};

}  // namespace weir::filters::grpc
