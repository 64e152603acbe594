// RouteAction.hash_policy and the same field of clusters, compiled: what of a request decides which host it goes to.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/match/regex.h"
#include "core/route/errors.h"
#include "core/route/spec.h"
#include "core/stream/filter_state.h"
#include "core/stream/stream_info.h"

namespace weir::route {

// A cookie that a request lacked. In its arena.
struct NewCookie {
  std::string_view set_cookie;  // the value of the response header
  const NewCookie* next;
};

// [immutable]
class HashPolicies {
 public:
  // nullptr: there are none. Errors are at hash_policy[i].
  static std::unique_ptr<const HashPolicies> build(std::vector<HashPolicySpec> specs, ErrorSink& errors);

  // Empty: nothing that the policies look at is there. `cookies`: those that were made are put in front of it; nullptr:
  // none are made. [worker]
  std::optional<uint64_t> hash(const http::HeaderMap& request, const stream::StreamInfo& info, Arena& arena,
                               const NewCookie** cookies) const noexcept;

 private:
  using Kind = HashPolicySpec::Kind;
  struct Policy {
    Kind kind = Kind::kNothing;
    bool terminal = false;
    bool makes_cookie = false;
    std::string name;  // of a cookie or a query parameter
    http::HeaderName header;
    std::optional<match::RegexRewrite> rewrite;
    stream::FilterStateName filter_state;
    std::string attributes;  // what follows the value of a cookie that is made: "; Max-Age=60; Path=/; HttpOnly"

    std::optional<uint64_t> hash(const http::HeaderMap& request, const stream::StreamInfo& info, Arena& arena,
                                 const NewCookie** cookies) const noexcept;
    std::optional<uint64_t> hash_header(const http::HeaderMap& request, Arena& arena) const noexcept;
    std::string_view make_cookie(const stream::StreamInfo& info, Arena& arena, const NewCookie** cookies) const;
  };
  static Policy build_one(HashPolicySpec spec, ErrorSink& errors);
  static void check_cookie(const HashPolicySpec& spec, ErrorSink& errors);
  std::vector<Policy> policies_;
};

}  // namespace weir::route
