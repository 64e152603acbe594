// Why a response is not what the upstream meant to send. The short names are those that access logs print.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::stream {

enum class ResponseFlag : uint8_t {
  kFailedLocalHealthCheck,            // LH
  kNoHealthyUpstream,                 // UH
  kUpstreamRequestTimeout,            // UT
  kLocalReset,                        // LR
  kUpstreamRemoteReset,               // UR
  kUpstreamConnectionFailure,         // UF
  kUpstreamConnectionTermination,     // UC
  kUpstreamOverflow,                  // UO
  kNoRouteFound,                      // NR
  kDelayInjected,                     // DI
  kFaultInjected,                     // FI
  kRateLimited,                       // RL
  kUnauthorizedExternalService,       // UAEX
  kRateLimitServiceError,             // RLSE
  kDownstreamConnectionTermination,   // DC
  kUpstreamRetryLimitExceeded,        // URX
  kStreamIdleTimeout,                 // SI
  kInvalidEnvoyRequestHeaders,        // IH
  kDownstreamProtocolError,           // DPE
  kUpstreamMaxStreamDurationReached,  // UMSDR
  kResponseFromCacheFilter,           // RFCF
  kNoFilterConfigFound,               // NFCF
  kDurationTimeout,                   // DT
  kUpstreamProtocolError,             // UPE
  kNoClusterFound,                    // NC
  kOverloadManager,                   // OM
  kDnsResolutionFailed,               // DF
  kDropOverload,                      // DO
  kDownstreamRemoteReset,             // DR
  kUnconditionalDropOverload,         // UDO
  kCount,
};

class ResponseFlags {
 public:
  void set(ResponseFlag flag) { bits_ |= uint64_t{1} << static_cast<int>(flag); }
  bool has(ResponseFlag flag) const { return (bits_ >> static_cast<int>(flag)) & 1; }
  bool empty() const { return bits_ == 0; }
  uint64_t bits() const { return bits_; }

 private:
  uint64_t bits_ = 0;
};

std::string_view short_name(ResponseFlag flag);  // "UH"
std::string_view long_name(ResponseFlag flag);   // "NoHealthyUpstream"
// The flag with this short name, for access-log filters; kCount if there is none.
ResponseFlag find_response_flag(std::string_view short_name);

}  // namespace weir::stream
