// Headers to add and to remove, compiled.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/match/string_matcher.h"
#include "core/route/errors.h"
#include "core/route/spec.h"
#include "core/stream/header_value.h"

namespace weir::route {

// [immutable] The table must outlive every map that it was applied to (the stream's pin sees to that).
class HeaderMutations {
 public:
  // `prefix` names the fields in errors: "request_headers_to_add[2].header.value".
  enum class Target : uint8_t { kRequest, kResponse };
  static HeaderMutations build(HeaderMutationsSpec spec, Target target, ErrorSink& errors);
  HeaderMutations() = default;
  explicit HeaderMutations(std::vector<stream::HeaderValue> add, std::vector<http::HeaderName> remove = {})
      : add_(std::move(add)), remove_(std::move(remove)) {}

  bool empty() const { return add_.empty() && remove_.empty(); }
  // Removes, then adds, in order.
  void apply(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const;

 private:
  std::vector<stream::HeaderValue> add_;
  std::vector<http::HeaderName> remove_;
};

// [immutable] One of several that are made in order: one of the two.
struct HeaderMutationStep {
  HeaderMutations mutations;
  std::unique_ptr<const match::StringMatcher> remove_matching;  // of names

  void apply(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const;
};

struct Mutations {
  HeaderMutations request;
  HeaderMutations response;
  bool empty() const { return request.empty() && response.empty(); }
  // Null if the spec is empty: most routes have none.
  static std::unique_ptr<const Mutations> build(MutationsSpec spec, ErrorSink& errors);
};

}  // namespace weir::route
