// What makes an exchange one of gRPC, and its status, for whoever prints or compares it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/stream/stream_info.h"

namespace weir {
class Arena;
}
namespace weir::http {
class HeaderMap;
}

namespace weir::stream {

// A content-type of gRPC: "application/grpc", also with "+proto" or parameters behind it; not grpc-web.
bool is_grpc_type(std::string_view content_type) noexcept;

// What a gRPC client makes of an answer without grpc-status (the mapping that gRPC publishes).
uint64_t grpc_status_of_http(int status) noexcept;

// The number in grpc-status, of trailers rather than headers; without one, what a gRPC client makes of the HTTP status.
// No value: there is no response either.
std::optional<uint64_t> grpc_status(const LogSubject& subject) noexcept;

// A text as grpc-message has it: percent-coded but for what is plain ASCII.
std::string_view encode_grpc_message(std::string_view text, Arena& arena);

// Makes an answer with a body of `text` one that gRPC clients understand, which is headers alone: 200, with the status
// in grpc-status, unless that is there already, and the text in grpc-message.
void answer_as_grpc(http::HeaderMap& headers, std::string_view text, Arena& arena);

}  // namespace weir::stream
