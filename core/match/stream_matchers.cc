#include "core/match/stream_matchers.h"

#include "core/http/chars.h"

namespace weir::match {
namespace {

// The plain form of an object that is not a string. Keeps its room; one per thread.
thread_local std::string plain_form;

}  // namespace

bool FilterStateMatcher::matches(const stream::StreamInfo& info) const noexcept {
  const stream::FilterStateValue* value = stream::find_filter_state(info, name_);
  if (value == nullptr) return false;
  using Kind = stream::FilterStateValue::Kind;
  if (const auto* ranges = std::get_if<AddressRanges>(&condition_)) {
    return value->kind() == Kind::kAddress && ranges->contains(value->address());
  }
  const StringMatcher& string = std::get<StringMatcher>(condition_);
  if (value->kind() == Kind::kString) return string.matches(value->string());
  plain_form.clear();
  return value->append_plain(plain_form) && string.matches(plain_form);
}

std::string_view find_cookie(const http::HeaderMap& request, std::string_view name) noexcept {
  std::string_view found;
  request.for_each([&](const http::HeaderEntry& entry) {
    if (entry.id != http::HeaderId::kCookie || found.data() != nullptr) return;
    std::string_view rest = entry.value();
    while (!rest.empty()) {
      size_t end = std::min(rest.find(';'), rest.size());
      std::string_view pair = http::trim_spaces(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (pair.size() <= name.size() || pair[name.size()] != '=' || !pair.starts_with(name)) continue;
      found = pair.substr(name.size() + 1);
      if (found.size() >= 2 && found.front() == '"' && found.back() == '"') found = found.substr(1, found.size() - 2);
      return;
    }
  });
  return found;
}

bool CookieMatcher::matches(const http::HeaderMap& request) const noexcept {
  std::string_view value = find_cookie(request, name_);
  return (value.data() != nullptr && value_.matches(value)) != invert_;
}

}  // namespace weir::match
