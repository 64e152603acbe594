// Headers that configuration adds or sets, perhaps with what a format prints: of routes, of filters, of local replies.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/arena.h"
#include "core/base/status.h"
#include "core/http/header_map.h"
#include "core/stream/formatter.h"

namespace weir::stream {

// Whether configuration may add, change or remove headers of this name; an error says why not. The control data of a
// message has fields of its own for that. [main]
Status check_header_name(std::string_view name);
// And whether it may be given a value: those that frame a message (RFC 9112 6) may only be removed.
Status check_header_to_set(std::string_view name);

enum class AppendAction : uint8_t { kAppendIfExistsOrAdd, kAddIfAbsent, kOverwriteIfExistsOrAdd, kOverwriteIfExists };

struct HeaderValueSpec {
  std::string name;
  std::string value;  // a format with %OPERATORS%
  AppendAction action = AppendAction::kAppendIfExistsOrAdd;
  bool keep_empty_value = false;
};

// [immutable] Must outlive every map that it was applied to, as pinned configuration does: values without operators are
// views of it, and cost no formatting and no copy.
class HeaderValue {
 public:
  // [main] The name has passed check_header_to_set(); an error is about the value.
  static Result<HeaderValue> build(HeaderValueSpec spec);
  // It never does anything.
  bool empty() const { return format_ == nullptr && constant_.empty() && !keep_empty_value_; }
  void apply(http::HeaderMap& headers, const LogSubject& subject, Arena& arena) const;

 private:
  http::HeaderName name_;
  AppendAction action_ = AppendAction::kAppendIfExistsOrAdd;
  bool keep_empty_value_ = false;
  std::string constant_;  // if there is no format
  std::unique_ptr<const Format> format_;
};

}  // namespace weir::stream
