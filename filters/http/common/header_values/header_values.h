// HeaderValueOption, as many filters hold it: a header that is added or set, perhaps with what a format prints.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/arena.h"
#include "core/filter/factory.h"
#include "core/http/header_map.h"
#include "core/stream/formatter.h"

namespace envoy::config::core::v3 {
class HeaderValueOption;
}

namespace weir::filters::common {

// The name of a header that may be changed; of pseudo-headers none is. Faults are reported at `field`.
http::HeaderName read_header_name(std::string_view text, filter::FactoryScope& scope, std::string_view field);

// [immutable] Must outlive the maps that it was applied to, as pinned configuration does.
class HeaderValue {
 public:
  // [main] Faults are reported below the scope's message.
  static HeaderValue read(const envoy::config::core::v3::HeaderValueOption& proto, filter::FactoryScope scope);
  void apply(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const;

 private:
  enum class Kind : uint8_t { kAppendIfExistsOrAdd, kAddIfAbsent, kOverwriteIfExistsOrAdd, kOverwriteIfExists };
  Kind kind_ = Kind::kAppendIfExistsOrAdd;
  http::HeaderName name_;
  bool keep_empty_value_ = false;
  std::string constant_;  // if there is no format
  std::unique_ptr<const stream::Format> format_;
};

template <class Protos>
std::vector<HeaderValue> read_header_values(const Protos& protos, filter::FactoryScope& scope, std::string_view field) {
  std::vector<HeaderValue> values;
  for (int i = 0; i < protos.size(); ++i) values.push_back(HeaderValue::read(protos.Get(i), scope.below(field, i)));
  return values;
}

}  // namespace weir::filters::common
