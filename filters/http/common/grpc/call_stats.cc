#include "filters/http/common/grpc/call_stats.h"

#include <algorithm>
#include <functional>

#include "core/base/assert.h"
#include "core/filter/stream.h"
#include "core/http/chars.h"
#include "core/upstream/lane_clusters.h"

namespace weir::filters::grpc {
namespace {

constexpr size_t kMaxNameBytes = 256;  // of service and method together
constexpr std::string_view kNumbers[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                         "9", "10", "11", "12", "13", "14", "15", "16"};
constexpr uint64_t kUnknown = 2;

struct Names {
  std::string_view service, method;
};

// Of "/service/method?query"; both empty: it is no path of a call.
Names names_in(std::string_view path) {
  path = path.substr(0, path.find('?'));
  if (!path.starts_with('/') || path.size() > kMaxNameBytes + 2) return {};
  path.remove_prefix(1);
  const size_t slash = path.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == path.size()) return {};
  const Names names{path.substr(0, slash), path.substr(slash + 1)};
  return names.method.find('/') == std::string_view::npos ? names : Names{};
}

}  // namespace

// --- CallStats -------------------------------------------------------------------------------------------------------

CallStats::CallStats(const Options& options)
    : family_(options.family),
      methods_(options.methods),
      listed_(options.listed.begin(), options.listed.end()),
      replace_dots_(options.replace_dots) {}

CallStats::~CallStats() = default;

size_t CallStats::KeyHash::operator()(const Key& key) const {
  const std::hash<std::string_view> hash;
  size_t sum = std::hash<const void*>()(key.group);
  sum = sum * 31 + hash(key.service);
  return sum * 31 + hash(key.method);
}

void CallStats::Part::forget() {
  entries.clear();
  ++epoch;
}

CallStats::Entry* CallStats::entry(filter::Stream& stream, Call& call) const {
  upstream::LaneClusters* clusters = upstream::LaneClusters::find_on(stream.lane());
  if (clusters == nullptr) return nullptr;
  std::unique_ptr<Part>& part = parts_[stream.lane().index()];
  if (part == nullptr) part = std::make_unique<Part>();
  if (part->changes != clusters->changes()) {
    // Some cluster may have gone, and its cells with it.
    part->forget();
    part->changes = clusters->changes();
  }
  if (call.epoch_ == part->epoch) [[likely]]
    return call.entry_;
  call.epoch_ = part->epoch;
  call.entry_ = nullptr;
  const upstream::ClusterLocal* cluster = clusters->find_by_name(call.cluster_);
  if (cluster == nullptr) return nullptr;
  const stats::Group& group = *cluster->stats().group;
  if (const auto at = part->entries.find(Key{&group, call.service_, call.method_}); at != part->entries.end())
    return call.entry_ = at->second.get();
  if (part->entries.size() >= kMaxEntries) [[unlikely]] {
    part->forget();
    call.epoch_ = part->epoch;
  }
  std::string prefix(family_);
  prefix += '.';
  if (!call.service_.empty()) {
    std::string service(call.service_);
    if (replace_dots_) std::replace(service.begin(), service.end(), '.', '_');
    prefix.append(service).append(1, '.').append(call.method_).append(1, '.');
  }
  const bool of_peers = methods_ == CountedMethods::kAll;
  auto made = std::make_unique<Entry>();
  made->group = &group;
  made->prefix = std::move(prefix);
  made->family = of_peers ? stats::Family::kOfPeers : stats::Family::kConfigured;
  made->service = call.service_;
  made->method = call.method_;
  call.entry_ = made.get();
  part->entries.emplace(Key{&group, made->service, made->method}, std::move(made));
  return call.entry_;
}

void CallStats::Entry::add(stats::Counter& counter, std::string_view name, uint64_t amount) {
  if (counter.cell_index() == 0) [[unlikely]]
    counter = stats::dynamic_counter(*group, family, prefix + std::string(name));
  counter.add(amount);
}

// --- Call ------------------------------------------------------------------------------------------------------------

void Call::begin(const CallStats& stats, filter::Stream& stream, std::string_view path) {
  const std::string_view cluster = stream.host().route_cluster();
  if (cluster.empty()) return;
  Names names;
  if (stats.methods_ != CountedMethods::kNone) names = names_in(path);
  switch (stats.methods_) {
    case CountedMethods::kNone:
      break;
    case CountedMethods::kListed:
      // With the slash between them, as the list has them.
      if (names.service.empty() || !stats.listed_.contains(std::string_view(
                                       names.service.data(), names.service.size() + 1 + names.method.size())))
        names = {};
      break;
    case CountedMethods::kAll:
      if (names.service.empty()) return;
      break;
  }
  stats_ = &stats;
  cluster_ = cluster;
  service_ = names.service;
  method_ = names.method;
}

void Call::add_request_messages(filter::Stream& stream, uint64_t messages) {
  if (stats_ == nullptr || messages == 0) return;
  if (CallStats::Entry* entry = stats_->entry(stream, *this))
    entry->add(entry->request_messages, "request_message_count", messages);
}

void Call::add_response_messages(filter::Stream& stream, uint64_t messages) {
  if (stats_ == nullptr || messages == 0) return;
  if (CallStats::Entry* entry = stats_->entry(stream, *this))
    entry->add(entry->response_messages, "response_message_count", messages);
}

void Call::finish(filter::Stream& stream, std::string_view status, const Duration* time) {
  if (stats_ == nullptr || finished_ || status.data() == nullptr) return;
  finished_ = true;
  CallStats::Entry* entry = stats_->entry(stream, *this);
  if (entry == nullptr) return;
  // What is none of gRPC's is what a client makes of it.
  uint64_t number = 0;
  if (!http::parse_decimal(status, number) || number >= CallStats::kStatuses) number = kUnknown;
  entry->add(entry->status[number], kNumbers[number], 1);
  if (number == 0) {
    entry->add(entry->success, "success", 1);
  } else {
    entry->add(entry->failure, "failure", 1);
  }
  entry->add(entry->total, "total", 1);
  if (time == nullptr) return;
  if (entry->upstream_time.cell_index() == 0) [[unlikely]]
    entry->upstream_time = stats::dynamic_histogram(*entry->group, entry->family, entry->prefix + "upstream_rq_time");
  entry->upstream_time.record(static_cast<uint64_t>(std::max<int64_t>(to_ms(*time), 0)));
}

}  // namespace weir::filters::grpc
