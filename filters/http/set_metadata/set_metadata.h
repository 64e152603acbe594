// envoy.filters.http.set_metadata: adds what is configured to the dynamic metadata of each request.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/filter/http_filter.h"
#include "core/stats/handles.h"
#include "core/stream/metadata.h"

namespace weir::filters::set_metadata {

struct Entry {
  std::string name_space;
  std::unique_ptr<const stream::StaticMetadata> value;  // a struct: the members of the namespace; null: none
  std::string typed_type;                               // and a message for it; empty: none
  std::string typed_bytes;
  bool allow_overwrite = false;  // what is there already is updated, rather than left alone
};

// [immutable]
struct Settings {
  std::vector<Entry> entries;
  stats::Counter overwrite_denied;
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;

 private:
  const Settings& settings_;
};

}  // namespace weir::filters::set_metadata
