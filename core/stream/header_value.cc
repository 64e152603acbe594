#include "core/stream/header_value.h"

#include "core/http/chars.h"

namespace weir::stream {

Status check_header_name(std::string_view name) {
  if (name.empty()) return invalid("must not be empty");
  if (name.starts_with(':') || http::equals_ignoring_case(name, "host")) {
    const char* instead = name == ":path"                                  ? "; use prefix_rewrite or regex_rewrite"
                          : name == ":authority" || !name.starts_with(':') ? "; use host_rewrite_literal"
                                                                           : "";
    return invalid("\"" + std::string(name) + "\" may not be added, changed or removed here" + instead);
  }
  if (!http::is_token(name)) return invalid("\"" + std::string(name) + "\" is not a header name");
  return {};
}

Status check_header_to_set(std::string_view name) {
  for (std::string_view framing : {"content-length", "transfer-encoding"}) {
    if (!http::equals_ignoring_case(name, framing)) continue;
    return invalid("\"" + std::string(name) + "\" may not be added or changed: it follows from the body that is sent");
  }
  return check_header_name(name);
}

Result<HeaderValue> HeaderValue::build(HeaderValueSpec spec) {
  if (!http::all_chars(spec.value, http::kFieldChar)) {
    return invalid("has a control character, which no header value may have");
  }
  Result<Format> format = Format::compile(spec.value, {.omit_empty = true, .for_headers = true});
  if (!format.ok()) return format.status();
  HeaderValue out;
  out.name_ = http::HeaderName(spec.name);
  out.action_ = spec.action;
  out.keep_empty_value_ = spec.keep_empty_value;
  if (format->constant()) {
    // Printed once: "%%" is "%", and an empty subject has nothing to say here.
    format->append({.info = StreamInfo{}}, out.constant_);
  } else {
    out.format_ = std::make_unique<const Format>(std::move(*format));
  }
  return out;
}

void HeaderValue::apply(http::HeaderMap& headers, const LogSubject& subject, Arena& arena) const {
  using enum AppendAction;
  // Asked before formatting: it saves the work.
  if (action_ == kAddIfAbsent && headers.contains(name_)) return;
  if (action_ == kOverwriteIfExists && !headers.contains(name_)) return;
  std::string_view value = constant_;
  if (format_ != nullptr) {
    value = print(*format_, subject, arena);
    // What a peer or a filter put into metadata must not become a header of its own.
    if (!http::all_chars(value, http::kFieldChar)) return;
  }
  if (value.empty() && !keep_empty_value_) return;
  if (action_ == kOverwriteIfExistsOrAdd || action_ == kOverwriteIfExists) {
    headers.set(name_, value);
  } else {
    headers.add(name_, value);
  }
}

}  // namespace weir::stream
