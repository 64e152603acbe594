#include "filters/http/common/header_values/header_values.h"

#include "core/http/chars.h"
#include "envoy/config/core/v3/base.pb.h"

namespace weir::filters::common {

namespace {

using Option = envoy::config::core::v3::HeaderValueOption;

// Where formatted values are put together before they move to the arena. Keeps its room; one per thread.
thread_local stream::TextBuffer formatted_value;

}  // namespace

http::HeaderName read_header_name(std::string_view text, filter::FactoryScope& scope, std::string_view field) {
  if (text.empty() || text.front() == ':' || !http::is_token(text)) {
    scope.error(field, "\"" + std::string(text) + "\" is not the name of a header that may be changed");
    return {};
  }
  return http::HeaderName(text);
}

HeaderValue HeaderValue::read(const Option& proto, filter::FactoryScope scope) {
  using enum Kind;
  HeaderValue out;
  if (proto.has_append()) {  // deprecated
    out.kind_ = proto.append().value() ? kAppendIfExistsOrAdd : kOverwriteIfExistsOrAdd;
  } else if (proto.append_action() == Option::ADD_IF_ABSENT) {
    out.kind_ = kAddIfAbsent;
  } else if (proto.append_action() == Option::OVERWRITE_IF_EXISTS_OR_ADD) {
    out.kind_ = kOverwriteIfExistsOrAdd;
  } else if (proto.append_action() == Option::OVERWRITE_IF_EXISTS) {
    out.kind_ = kOverwriteIfExists;
  }
  out.keep_empty_value_ = proto.keep_empty_value();
  out.name_ = read_header_name(proto.header().key(), scope, "header.key");
  const std::string& value = proto.header().value().empty() ? proto.header().raw_value() : proto.header().value();
  if (!http::all_chars(value, http::kFieldChar)) {
    scope.error("header.value", "has a control character, which no header value may have");
  }
  auto format = stream::Format::compile(value, {.omit_empty = true, .for_headers = true});
  if (!format.ok()) {
    scope.error("header.value", message_of(format.status()));
  } else if (format->constant()) {
    format->append({.info = stream::StreamInfo{}}, out.constant_);
  } else {
    out.format_ = std::make_unique<const stream::Format>(std::move(*format));
  }
  return out;
}

void HeaderValue::apply(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const {
  using enum Kind;
  // Asked before formatting: it saves the work.
  if (kind_ == kAddIfAbsent && headers.contains(name_)) return;
  if (kind_ == kOverwriteIfExists && !headers.contains(name_)) return;
  std::string_view value = constant_;
  if (format_ != nullptr) {
    formatted_value.clear();
    format_->append(subject, formatted_value);
    // What a peer put into a field must not become a header of its own.
    if (!http::all_chars(formatted_value, http::kFieldChar)) return;
    value = arena.copy_or_empty(formatted_value);
  }
  if (value.empty() && !keep_empty_value_) return;
  if (kind_ == kOverwriteIfExistsOrAdd || kind_ == kOverwriteIfExists) {
    headers.set(name_, value);
  } else {
    headers.add(name_, value);
  }
}

}  // namespace weir::filters::common
