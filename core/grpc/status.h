// How a gRPC call has ended, and what of it stands in headers: names and numbers of gRPC's protocol over HTTP/2.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/arena.h"
#include "core/base/time.h"
#include "core/http/header_map.h"

namespace weir::grpc {

enum class Code : uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};
std::string_view code_name(Code code);  // "UNAVAILABLE"

struct Status {
  // Who says so.
  enum class Origin : uint8_t {
    kServer,        // in grpc-status
    kHttp,          // the response is none of gRPC's, or lacks the status; `http` is its code
    kReset,         // it broke off
    kRefused,       // the same, and the server has not looked at the call
    kNoConnection,  // there was nobody to send it to
    kHere,          // a deadline, a limit, what cannot be sent or understood
  };
  Code code = Code::kOk;
  Origin origin = Origin::kServer;
  int http = 200;
  std::string message;  // for people; decoded
  bool unseen = false;  // of a call that broke off: its server has not acted on it (HeadlessStream::unseen())

  bool ok() const { return code == Code::kOk; }
};

// What an answer that is none of gRPC's stands for.
Status status_of_http(int http);

// What trailers (or headers that are all there is) say, of a response of this HTTP status.
Status read_status(const http::HeaderMap& fields, int http);

// grpc-message, decoded. What is no %XX stays as it is.
std::string decode_message(std::string_view encoded);

// The value of grpc-timeout: never shorter than `timeout`, and of eight digits at most.
std::string_view encode_timeout(Duration timeout, Arena& arena);

}  // namespace weir::grpc
