#include "core/http/h1/head_parts.h"

#include <algorithm>

#include "core/http/chars.h"
#include "core/http/h1/parser.h"
#include "core/http/h1/simd.h"

namespace weir::http::h1 {
namespace {

using enum HeaderId;

constexpr size_t kMaxNameBytes = 0xffff;  // HeaderEntry::name_size

constexpr auto kNoted = detail::make_id_set({kHost, kContentLength, kTransferEncoding, kConnection, kUpgrade, kExpect});

// RFC 9112 6.1. Recipients must understand chunked; anything more is 501, anything that hides where chunked stands 400.
ParseError check_transfer_encoding(std::string_view value) {
  if (equals_ignoring_case(value, "chunked")) return ParseError::kNone;
  size_t comma = value.rfind(',');
  std::string_view last = trim_spaces(comma == std::string_view::npos ? value : value.substr(comma + 1));
  bool sound = is_token(last);
  if (comma != std::string_view::npos) {
    sound = sound && equals_ignoring_case(last, "chunked");
    std::string_view others = value.substr(0, comma);
    for (size_t at = 0; at <= others.size();) {
      size_t next = std::min(others.find(',', at), others.size());
      std::string_view coding = trim_spaces(others.substr(at, next - at));
      sound = sound && is_token(coding) && !equals_ignoring_case(coding, "chunked");
      at = next + 1;
    }
  }
  return sound ? ParseError::kUnsupportedTransferEncoding : ParseError::kInvalidTransferEncoding;
}

void note_connection(std::string_view value, Facts& facts) {
  for_each_member(value, [&](std::string_view option) {
    if (equals_ignoring_case(option, "close"))
      facts.close = true;
    else if (equals_ignoring_case(option, "keep-alive"))
      facts.keep_alive = true;
    else if (equals_ignoring_case(option, "upgrade"))
      facts.upgrade_option = true;
  });
}

ParseError note_field(HeaderId id, std::string_view value, Facts& facts) {
  switch (id) {
    case kHost:
      if (facts.has_host) return ParseError::kDuplicateHost;
      facts.has_host = true;
      facts.host = value;
      break;
    case kContentLength:
      if (facts.has_length) return ParseError::kDuplicateContentLength;
      if (!parse_decimal(value, facts.content_length)) {
        return value.find(',') != std::string_view::npos ? ParseError::kDuplicateContentLength
                                                         : ParseError::kInvalidContentLength;
      }
      facts.has_length = true;
      break;
    case kTransferEncoding:
      if (facts.has_encoding) return ParseError::kInvalidTransferEncoding;
      facts.has_encoding = true;
      return check_transfer_encoding(value);
    case kConnection:
      if (value == "keep-alive")
        facts.keep_alive = true;
      else
        note_connection(value, facts);
      break;
    case kUpgrade:
      facts.has_upgrade = true;
      break;
    case kExpect:
      facts.expect_continue = equals_ignoring_case(value, "100-continue");
      break;
    default:
      break;
  }
  return ParseError::kNone;
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

// Names a line whose name, up to its colon, is not a token. Cold.
[[gnu::noinline]] ParseError bad_name(const char* begin, const char* end) {
  const char* at = begin;
  while (at < end && is_char(*at, kTokenChar)) ++at;
  if (at == end) return ParseError::kMissingColon;
  switch (*at) {
    case ':':
      return at == begin ? ParseError::kEmptyName : ParseError::kInvalidName;
    case '\r':
      return end - at >= 2 && at[1] == '\n' ? ParseError::kMissingColon : ParseError::kBareCr;
    case '\n':
      return ParseError::kBareLf;
    case '\0':
      return ParseError::kNulByte;
    case ' ':
    case '\t':
      while (at < end && (*at == ' ' || *at == '\t')) ++at;
      return at < end && *at == ':' ? ParseError::kSpaceBeforeColon : ParseError::kInvalidName;
    default:
      return ParseError::kInvalidName;
  }
}

[[gnu::noinline]] ParseError bad_value(const char* at, const char* end) {
  if (at < end && *at == '\0') return ParseError::kNulByte;
  return check_line_end(at, end, ParseError::kInvalidValue);
}

// A name that is not well known: checked here, because a well-known one is a token by being found.
ParseError own_name(const char* begin, const char* colon, const char* end, Arena& arena, std::string_view& name) {
  if (colon - begin <= 64 && colon != begin && colon != end &&
      simd::is_plain_lower(begin, static_cast<size_t>(colon - begin), static_cast<size_t>(end - begin))) [[likely]] {
    name = {begin, static_cast<size_t>(colon - begin)};
    return ParseError::kNone;
  }
  uint8_t all = 0xff;
  uint8_t any = 0;
  for (const char* at = begin; at < colon; ++at) {
    uint8_t bits = kCharClasses[static_cast<unsigned char>(*at)];
    all &= bits;
    any |= bits;
  }
  size_t size = static_cast<size_t>(colon - begin);
  if ((all & kTokenChar) == 0 || size == 0 || colon == end) return bad_name(begin, end);
  if (size > kMaxNameBytes) return ParseError::kHeadTooLarge;
  name = {begin, size};
  if ((any & kUpperChar) != 0) {
    char* lower = arena.allocate_bytes(size);
    std::transform(begin, colon, lower, to_lower);
    name = {lower, size};
  }
  return ParseError::kNone;
}

}  // namespace

template <Section kSection>
ParseError parse_fields(const char*& position, const char* const end, const char* const floor, const Limits& limits,
                        HeaderMap& map, Facts& facts) {
  const char* at = position;  // for the compiler, which cannot keep what is referred to in a register
  // A text that ends with LF stops every search below in front of its end.
  if (at == end || end[-1] != '\n') return ParseError::kMissingColon;
  for (uint32_t left = limits.max_header_count;; --left) {
    if (at == end) [[unlikely]]
      return ParseError::kMissingColon;
    if (static_cast<unsigned char>(*at) <= ' ') [[unlikely]] {
      if (*at == '\r') {
        if (at[1] != '\n') return ParseError::kBareCr;
        position = at + 2;
        return ParseError::kNone;
      }
      if (is_space(*at)) return ParseError::kObsFold;
    }
    if (left == 0) [[unlikely]]
      return ParseError::kTooManyHeaders;

    // If the line has no colon this finds that of a later one, and what is in front of it is not a name.
    const char* colon = simd::find_colon(at, end, floor);
    std::string_view name(at, static_cast<size_t>(colon - at));
    HeaderId id = find_header_id_folded(name);
    if (id != kNone) [[likely]] {
      if (colon == end) [[unlikely]]
        return ParseError::kMissingColon;
      name = name_of(id);
      if constexpr (kSection == Section::kTrailers) {
        if (is_forbidden_trailer(id)) return ParseError::kForbiddenTrailer;
      }
    } else {
      ParseError error = own_name(at, colon, end, map.arena(), name);
      if (error != ParseError::kNone) [[unlikely]]
        return error;
    }

    const char* begin = colon + 1;
    if (*begin == ' ') ++begin;
    while (is_space(*begin)) [[unlikely]]++ begin;
    const char* line_end = simd::find_field_end(begin, end, floor);
    if (line_end[0] != '\r' || line_end[1] != '\n') [[unlikely]]
      return bad_value(line_end, end);
    // In front of the value stands at least the colon, which is no space.
    const char* value_end = line_end;
    while (is_space(value_end[-1])) [[unlikely]]-- value_end;
    // An empty value: the spaces in front of it were skipped from both sides.
    if (value_end < begin) [[unlikely]]
      value_end = begin;
    std::string_view value(begin, static_cast<size_t>(value_end - begin));
    at = line_end + 2;

    if constexpr (kSection != Section::kTrailers) {
      if (id != kNone && kNoted[static_cast<size_t>(id)] && (kSection == Section::kRequest || id != kHost)) {
        // A continuation would change the value.
        if (at < end && is_space(*at)) return ParseError::kObsFold;
        ParseError error = note_field(id, value, facts);
        if (error != ParseError::kNone) [[unlikely]]
          return error;
        if (id == kHost) continue;
      }
    }
    map.add(id, name, value);
  }
}

template ParseError parse_fields<Section::kRequest>(const char*&, const char*, const char*, const Limits&, HeaderMap&,
                                                    Facts&);
template ParseError parse_fields<Section::kResponse>(const char*&, const char*, const char*, const Limits&, HeaderMap&,
                                                     Facts&);

ParseError parse_trailers(std::string_view section, const Settings& settings, HeaderMap& map) {
  Facts facts;
  keep_spelling(section, settings.options, map);
  const char* at = section.data();
  return parse_fields<Section::kTrailers>(at, at + section.size(), at, settings.limits, map, facts);
}

}  // namespace weir::http::h1
