#include "core/stream/response_flags.h"

#include <iterator>

#include "core/stream/stream_info.h"

namespace weir::stream {
namespace {

struct FlagNames {
  std::string_view shorter;
  std::string_view longer;
};

// In the order of the enumeration.
constexpr FlagNames kFlagNames[] = {
    {"LH", "FailedLocalHealthCheck"},
    {"UH", "NoHealthyUpstream"},
    {"UT", "UpstreamRequestTimeout"},
    {"LR", "LocalReset"},
    {"UR", "UpstreamRemoteReset"},
    {"UF", "UpstreamConnectionFailure"},
    {"UC", "UpstreamConnectionTermination"},
    {"UO", "UpstreamOverflow"},
    {"NR", "NoRouteFound"},
    {"DI", "DelayInjected"},
    {"FI", "FaultInjected"},
    {"RL", "RateLimited"},
    {"UAEX", "UnauthorizedExternalService"},
    {"RLSE", "RateLimitServiceError"},
    {"DC", "DownstreamConnectionTermination"},
    {"URX", "UpstreamRetryLimitExceeded"},
    {"SI", "StreamIdleTimeout"},
    {"IH", "InvalidEnvoyRequestHeaders"},
    {"DPE", "DownstreamProtocolError"},
    {"UMSDR", "UpstreamMaxStreamDurationReached"},
    {"RFCF", "ResponseFromCacheFilter"},
    {"NFCF", "NoFilterConfigFound"},
    {"DT", "DurationTimeout"},
    {"UPE", "UpstreamProtocolError"},
    {"NC", "NoClusterFound"},
    {"OM", "OverloadManagerTerminated"},
    {"DF", "DnsResolutionFailed"},
    {"DO", "DropOverload"},
    {"DR", "DownstreamRemoteReset"},
    {"UDO", "UnconditionalDropOverload"},
};
static_assert(std::size(kFlagNames) == static_cast<size_t>(ResponseFlag::kCount));

}  // namespace

std::string_view short_name(ResponseFlag flag) { return kFlagNames[static_cast<size_t>(flag)].shorter; }
std::string_view long_name(ResponseFlag flag) { return kFlagNames[static_cast<size_t>(flag)].longer; }

ResponseFlag find_response_flag(std::string_view short_name) {
  for (size_t i = 0; i < std::size(kFlagNames); ++i) {
    if (kFlagNames[i].shorter == short_name) return static_cast<ResponseFlag>(i);
  }
  return ResponseFlag::kCount;
}

std::string_view protocol_name(Protocol protocol) {
  switch (protocol) {
    case Protocol::kNone:
      return "";
    case Protocol::kHttp10:
      return "HTTP/1.0";
    case Protocol::kHttp11:
      return "HTTP/1.1";
    case Protocol::kHttp2:
      return "HTTP/2";
    case Protocol::kHttp3:
      return "HTTP/3";
  }
  return "";
}

std::string_view close_type_name(CloseType type) {
  switch (type) {
    case CloseType::kNone:
      return "";
    case CloseType::kNormal:
      return "Normal";
    case CloseType::kLocalReset:
      return "LocalReset";
    case CloseType::kRemoteReset:
      return "RemoteReset";
  }
  return "";
}

std::string_view access_log_type_name(AccessLogType type) {
  constexpr std::string_view kNames[] = {
      "NotSet",
      "TcpUpstreamConnected",
      "TcpPeriodic",
      "TcpConnectionEnd",
      "TcpConnectionStart",
      "DownstreamStart",
      "DownstreamTunnelSuccessfullyEstablished",
      "DownstreamPeriodic",
      "DownstreamEnd",
      "UpstreamPoolReady",
      "UpstreamPeriodic",
      "UpstreamEnd",
      "UdpTunnelUpstreamConnected",
      "UdpPeriodic",
      "UdpSessionEnd",
  };
  static_assert(std::size(kNames) == static_cast<size_t>(AccessLogType::kCount));
  return kNames[static_cast<size_t>(type)];
}

}  // namespace weir::stream
