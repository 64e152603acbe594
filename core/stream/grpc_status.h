// The gRPC status of an exchange, for whoever prints or compares it.
#pragma once

#include <cstdint>
#include <optional>

#include "core/stream/stream_info.h"

namespace weir::stream {

// The number in grpc-status, of trailers rather than headers; without one, what a gRPC client makes of the HTTP status.
// No value: there is no response either.
std::optional<uint64_t> grpc_status(const LogSubject& subject) noexcept;

}  // namespace weir::stream
