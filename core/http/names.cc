// The table of well-known header names and its lookup: a hash of the length, the first four and the last four
// characters, then one exact comparison. Nothing is allocated and nothing depends on the order of the names.
#include <array>
#include <bit>
#include <string>

#include "core/http/chars.h"
#include "core/http/header_map.h"

namespace weir::http {
namespace {

// In the order of HeaderId.
constexpr std::string_view kTexts[] = {
    ":method",
    ":path",
    ":authority",
    ":scheme",
    ":status",
    ":protocol",
    "accept",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "access-control-request-headers",
    "access-control-request-method",
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
    "connection",
    "te",
    "trailer",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "dnt",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "from",
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-message",
    "grpc-status",
    "grpc-timeout",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "server",
    "set-cookie",
    "strict-transport-security",
    "traceparent",
    "tracestate",
    "upgrade-insecure-requests",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
    "x-b3-sampled",
    "x-client-trace-id",
    "x-content-type-options",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-degraded",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-immediate-health-check-fail",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-local-overloaded",
    "x-envoy-max-retries",
    "x-envoy-original-dst-host",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-overloaded",
    "x-envoy-ratelimited",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-canary",
    "x-envoy-upstream-healthchecked-cluster",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-service-time",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-frame-options",
    "x-real-ip",
    "x-request-id",
    "x-xss-protection",
};
static_assert(std::size(kTexts) == kHeaderIdCount);

constexpr auto make_names() {
  std::array<detail::PaddedName, kHeaderIdCount> names{};
  for (size_t i = 0; i < kHeaderIdCount; ++i) {
    for (size_t k = 0; k < kTexts[i].size(); ++k) names[i].text[k] = kTexts[i][k];
    names[i].size = static_cast<uint8_t>(kTexts[i].size());
  }
  return names;
}

constexpr unsigned kSlotBits = 9;
constexpr uint32_t kSlots = 1u << kSlotBits;
constexpr uint64_t kFoldAll = 0x2020202020202020;

// Bit 0x20 is set in every character: letters of both cases meet, and the exact comparison decides.
constexpr uint32_t slot_of(uint64_t ends, size_t size) {
  return static_cast<uint32_t>(((ends | kFoldAll) + size) * 0x9e3779b97f4a7c15 >> (64 - kSlotBits));
}

constexpr uint64_t ends_of(const char* text, size_t size) {
  uint32_t head = 0;
  uint32_t tail = 0;
  if (size >= 4) {
    if (std::is_constant_evaluated()) {
      for (size_t i = 0; i < 4; ++i) {
        head |= static_cast<uint32_t>(static_cast<unsigned char>(text[i])) << (8 * i);
        tail |= static_cast<uint32_t>(static_cast<unsigned char>(text[size - 4 + i])) << (8 * i);
      }
    } else {
      std::memcpy(&head, text, 4);
      std::memcpy(&tail, text + size - 4, 4);
    }
  } else {
    for (size_t i = 0; i < size; ++i) head |= static_cast<uint32_t>(static_cast<unsigned char>(text[i])) << (8 * i);
  }
  return uint64_t{tail} << 32 | head;
}

// Open addressing with linear probing; more than two thirds of the slots stay empty.
constexpr auto make_slots() {
  std::array<uint8_t, kSlots> slots{};
  for (auto& slot : slots) slot = static_cast<uint8_t>(HeaderId::kNone);
  for (size_t i = 0; i < kHeaderIdCount; ++i) {
    uint32_t at = slot_of(ends_of(kTexts[i].data(), kTexts[i].size()), kTexts[i].size());
    while (slots[at] != static_cast<uint8_t>(HeaderId::kNone)) at = (at + 1) & (kSlots - 1);
    slots[at] = static_cast<uint8_t>(i);
  }
  return slots;
}
constexpr auto kSlotTable = make_slots();
static_assert(std::endian::native == std::endian::little, "ends_of() reads words");

template <class Word>
Word load(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// A known name consists of a-z, digits, '-' and ':'; bit 0x40 marks its letters, and only there may bit 0x20 differ.
template <class Word>
bool differs_folded(const char* text, const char* known) {
  Word name = load<Word>(known);
  Word letters = (name & static_cast<Word>(0x4040404040404040)) >> 1;
  return ((load<Word>(text) ^ name) & ~letters) != 0;
}

inline bool equals_folded(const char* text, const char* known, size_t size) {
  if (size >= 8) {
    for (size_t i = 0; i + 8 < size; i += 8) {
      if (differs_folded<uint64_t>(text + i, known + i)) return false;
    }
    return !differs_folded<uint64_t>(text + size - 8, known + size - 8);
  }
  if (size >= 4) {
    return !differs_folded<uint32_t>(text, known) && !differs_folded<uint32_t>(text + size - 4, known + size - 4);
  }
  for (size_t i = 0; i < size; ++i) {
    if (differs_folded<uint8_t>(text + i, known + i)) return false;
  }
  return true;
}

template <class Equals>
inline HeaderId find(std::string_view name, Equals equals) {
  uint32_t at = slot_of(ends_of(name.data(), name.size()), name.size());
  for (;; at = (at + 1) & (kSlots - 1)) {
    uint8_t id = kSlotTable[at];
    if (id == static_cast<uint8_t>(HeaderId::kNone)) return HeaderId::kNone;
    const detail::PaddedName& known = detail::kNames[id];
    if (known.size == name.size() && equals(name.data(), known.text, name.size())) return static_cast<HeaderId>(id);
  }
}

}  // namespace

namespace detail {
constinit const std::array<PaddedName, kHeaderIdCount> kNames = make_names();
}

HeaderId find_header_id(std::string_view name) {
  return find(name,
              [](const char* text, const char* known, size_t size) { return std::memcmp(text, known, size) == 0; });
}

HeaderId find_header_id_folded(std::string_view name) {
  return find(name, [](const char* text, const char* known, size_t size) { return equals_folded(text, known, size); });
}

HeaderName::HeaderName(std::string_view any_case) : id_(find_header_id_folded(any_case)) {
  if (id_ != HeaderId::kNone) return;
  text_.reserve(any_case.size());
  for (char c : any_case) text_.push_back(to_lower(c));
}

}  // namespace weir::http
