// Headers to add and to remove, compiled. Values without operators are views of the table and cost no formatting and
// no copy.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/route/errors.h"
#include "core/route/spec.h"
#include "core/stream/formatter.h"

namespace weir::route {

// [immutable] The table must outlive every map that it was applied to (the stream's pin sees to that).
class HeaderMutations {
 public:
  // `prefix` names the fields in errors: "request_headers_to_add[2].header.value".
  // `kLocalReply`: headers_to_add, and nothing to remove.
  enum class Target : uint8_t { kRequest, kResponse, kLocalReply };
  static HeaderMutations build(HeaderMutationsSpec spec, Target target, ErrorSink& errors);

  bool empty() const { return add_.empty() && remove_.empty(); }
  // Removes, then adds, in order.
  void apply(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const;

 private:
  struct Addition {
    http::HeaderName name;
    AppendAction action;
    bool keep_empty_value;
    std::string constant;  // if there is no format
    std::unique_ptr<stream::Format> format;
  };
  std::vector<Addition> add_;
  std::vector<http::HeaderName> remove_;
};

struct Mutations {
  HeaderMutations request;
  HeaderMutations response;
  bool empty() const { return request.empty() && response.empty(); }
  // Null if the spec is empty: most routes have none.
  static std::unique_ptr<const Mutations> build(MutationsSpec spec, ErrorSink& errors);
};

}  // namespace weir::route
