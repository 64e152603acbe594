// envoy.filters.http.ext_authz: asks a service whether the request may pass.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/filter/http_filter.h"
#include "core/match/value_matcher.h"
#include "core/runtime/runtime.h"
#include "core/stats/handles.h"
#include "core/upstream/cluster.h"
#include "filters/http/ext_authz/authz_client.h"

namespace weir::filters::ext_authz {

struct Stats {
  stats::Counter ok, denied, error, disabled, failure_mode_allowed, ignored_dynamic_metadata;
};

// How much of a body is told.
struct BodySettings {
  uint32_t max_bytes = 0;
  bool allow_partial = false;  // else a longer one is answered with 413
  bool as_bytes = false;       // it need not be text
};

// [immutable]
struct Settings {
  std::shared_ptr<const AuthzService> service;
  Told told;
  Stats stats;
  std::optional<BodySettings> body;
  runtime::RuntimeFraction enabled{{100, 100}};
  std::optional<match::MetadataMatcher> enabled_metadata;
  runtime::RuntimeFlag deny_at_disable;
  int status_on_error = 403;
  uint32_t max_denied_body = UINT32_MAX;  // the rest of what the service has for the client of a denial is left out
  bool takes_metadata = true;
  bool failure_mode_allow = false;
  bool failure_mode_allow_header = false;
  bool clear_route_cache = false;
  bool charge_cluster = true;  // a denial counts in the statistics of the cluster that the request would have gone to
};

// Of a route. [immutable]
struct RouteSettings {
  bool disabled = false;
  bool without_body = false;
  std::optional<BodySettings> body = {};                  // instead of the filter's
  std::shared_ptr<const AuthzService> service = nullptr;  // instead of the filter's
  // What gRPC services are told of the route; a more specific level's replaces another's of its name.
  std::vector<std::pair<std::string, std::string>> context = {};
};

// One per stream. [worker]
class Filter : public filter::HttpFilter, private AuthzClient::Caller {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  ~Filter() { forget_client(); }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_request_data(filter::Stream& stream, Slices& data, bool end) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  void on_complete(filter::Stream& stream) override;

 private:
  bool enabled() const;
  filter::Action ask(const Slices* body, bool end);
  void on_checked(const CheckAnswer& answer) override;
  // kContinue or kDone.
  filter::Action act(const CheckAnswer& answer);
  void allow(const CheckAnswer& answer);
  filter::Action deny(const CheckAnswer& answer);
  filter::Action fail(const CheckAnswer& answer);
  filter::Action reply(int status, std::string_view details, const CheckAnswer& answer);
  void tell_metadata(const CheckAnswer& answer);
  // In the statistics of the cluster that the route leads to.
  const upstream::ClusterStats* cluster_stats() const;
  void count(stats::Counter counter, upstream::ClusterStats::Authorization what) const;
  void forget_client();

  const Settings& settings_;
  filter::Stream* stream_ = nullptr;
  AuthzClient* client_ = nullptr;  // in the stream's arena
  std::shared_ptr<const AuthzService> route_service_;
  filter::Resume waiting_;
  MonoTime asked_{};
  uint32_t limit_ = 0;
  bool collecting_ = false;
  bool part_will_do_ = false;
  bool as_bytes_ = false;
  Fields reply_;      // of a denial
  Changes response_;  // of what the upstream says
};

}  // namespace weir::filters::ext_authz
