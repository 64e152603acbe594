#include "filters/http/health_check/health_check.h"

#include <algorithm>
#include <map>

#include "core/filter/config_translator.h"
#include "core/filter/duration.h"
#include "core/filter/register.h"
#include "core/filter/server_health.h"
#include "core/filter/stream.h"
#include "core/http/status.h"
#include "core/lb/host_set.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb.h"

namespace weir::filters::health_check {

using filter::Action;
using filter::ServerHealth;
using http::HeaderId;
namespace pb = envoy::extensions::filters::http::health_check::v3;

namespace {

struct Verdict {
  int status;
  std::string_view details;
};

Verdict of_clusters(const std::vector<ClusterShare>& clusters, const event::SlotTable& slots) {
  for (const ClusterShare& each : clusters) {
    const auto* hosts = slots.current<lb::HostSet>(each.hosts);
    if (hosts == nullptr) return {503, "health_check_failed_no_cluster_found"};
    const size_t all = hosts->hosts().size();
    if (all == 0 && each.percent > 0) return {503, "health_check_failed_cluster_empty"};
    const size_t usable = hosts->healthy() + hosts->degraded();
    if (static_cast<double>(usable) * 100 < static_cast<double>(all) * each.percent) {
      return {503, "health_check_failed_cluster_unhealthy"};
    }
  }
  return {200, clusters.empty() ? "health_check_ok" : "health_check_ok_cluster_healthy"};
}

}  // namespace

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  is_check_ = std::all_of(settings_.headers.begin(), settings_.headers.end(),
                          [&](const match::HeaderMatcher& each) { return each.matches(headers); });
  if (!is_check_) return Action::kContinue;
  stream.info().health_check = true;
  if (ServerHealth::failing()) return answer(stream, 503, "health_check_failed");
  if (!settings_.pass_through) {
    const Verdict verdict = of_clusters(settings_.clusters, stream.lane().slots());
    return answer(stream, verdict.status, verdict.details);
  }
  if (settings_.cache == nullptr) return Action::kContinue;
  const Cache::Answer kept = settings_.cache->get(stream.lane().now());
  if (kept.status == 0) return Action::kContinue;
  degraded_ = kept.degraded;
  return answer(stream, kept.status, "health_check_cached");
}

Action Filter::answer(filter::Stream& stream, int status, std::string_view details) {
  if (!http::is_success(status)) stream.info().flags.set(stream::ResponseFlag::kFailedLocalHealthCheck);
  return stream.reply_local(
      status, details, {},
      [](http::HeaderMap& headers, filter::Stream&, const void* user) {
        static_cast<const Filter*>(user)->mark(headers);
      },
      this);
}

Action Filter::on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  if (is_check_ && settings_.cache != nullptr && !stream.answered_locally()) {
    const int status = headers.status_code();
    // 101 begins another protocol and says nothing to those that did not ask for it.
    if (status >= 200)
      settings_.cache->put({status, headers.contains(HeaderId::kXEnvoyDegraded)},
                           stream.lane().now() + settings_.cache_time);
  }
  mark(headers);
  return Action::kContinue;
}

void Filter::mark(http::HeaderMap& headers) const {
  if (is_check_ && !settings_.local_cluster.empty()) {
    headers.set(HeaderId::kXEnvoyUpstreamHealthcheckedCluster, settings_.local_cluster);
  }
  if (degraded_) headers.set(HeaderId::kXEnvoyDegraded, "");
  if (ServerHealth::failing()) headers.set(HeaderId::kXEnvoyImmediateHealthCheckFail, "true");
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::HealthCheck& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->headers = filter::translate_all(scope.translator(), &filter::ConfigTranslator::header_matcher,
                                            proto.headers(), scope.at("headers"));
    config->pass_through = proto.pass_through_mode().value();
    config->cache_time = filter::to_duration(proto.cache_time());
    if (!config->pass_through && proto.has_cache_time()) {
      scope.error("cache_time", "needs pass_through_mode: there is no answer of an upstream to keep");
    }
    if (config->pass_through && !proto.cluster_min_healthy_percentages().empty()) {
      scope.error("cluster_min_healthy_percentages", "excludes pass_through_mode: the upstream answers");
    }
    if (config->cache_time > Duration::zero()) config->cache = std::make_unique<Cache>();
    const std::map<std::string, envoy::type::v3::Percent> sorted(proto.cluster_min_healthy_percentages().begin(),
                                                                 proto.cluster_min_healthy_percentages().end());
    for (const auto& [name, percent] : sorted) {
      config->clusters.push_back({scope.routes().host_set(name), percent.value()});
    }
    config->local_cluster = scope.node().cluster;
    return std::shared_ptr<const Config>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::health_check

namespace weir::plugins {
void http_filter_health_check(filter::RegistryBuilder& registry) {
  using namespace filters::health_check;
  registry.add(filter::describe_http_filter<Config, Plugin>("envoy.filters.http.health_check"));
}
}  // namespace weir::plugins
