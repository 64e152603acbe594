// Changes to the query of a request's path, parameter by parameter. Parameters that are not meant keep their bytes and
// their place.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/stream/formatter.h"

namespace weir::filters::header_mutation {

// One step. [immutable]
struct QueryMutation {
  enum class Kind : uint8_t {
    kRemove,
    kAppendIfExistsOrAdd,
    kAddIfAbsent,
    kOverwriteIfExistsOrAdd,
    kOverwriteIfExists
  };
  Kind kind = Kind::kRemove;
  std::string name;      // as it reads when decoded
  std::string constant;  // if there is no format
  std::unique_ptr<const stream::Format> format;
};

// Applies the steps to :path, in order. Names are compared decoded; what is added is encoded. A new path is in the
// arena.
void apply(const std::vector<QueryMutation>& mutations, http::HeaderMap& request, const stream::LogSubject& subject,
           Arena& arena);

}  // namespace weir::filters::header_mutation
