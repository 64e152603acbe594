// How the answers that weir makes itself look: status, headers and body by the stream they end
// (HttpConnectionManager.local_reply_config). [immutable]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/block.h"
#include "core/filter/stream.h"
#include "core/http/header_map.h"
#include "core/match/log_filter.h"
#include "core/route/header_mutations.h"
#include "core/stream/formatter.h"

namespace weir::proxy {

struct LocalReplyFormat {
  stream::LineFormat format;
  std::string content_type;
};

// What changes in the replies that its filter lets pass.
struct LocalReplyMapper {
  match::LogFilterPtr filter;
  uint16_t status = 0;  // 0: stays
  std::optional<std::string> body = {};
  std::optional<LocalReplyFormat> format = {};  // instead of the common one
  route::HeaderMutations headers = {};
};

struct LocalReplyConfig {
  std::vector<LocalReplyMapper> mappers;  // the first that matches counts
  std::optional<LocalReplyFormat> format;

  // Shapes a reply before the filters see it. `body` is one piece at most; a new one lives in this configuration or in
  // the stream's arena. [worker]
  void shape(filter::Stream& stream, http::HeaderMap& headers, Slices& body) const;
};

}  // namespace weir::proxy
