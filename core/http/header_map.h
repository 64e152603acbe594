// The headers of one message: a flat array of (interned name, value) views. Well-known names are found in O(1) by id;
// other names by a scan that compares lengths first. Names are lower case. Pseudo-headers (":method", ...) are entries
// like any other and come first when the map is written.
//
// The map owns no bytes: names and values must live as long as the map (in a block that the stream holds, in the
// stream's arena, in pinned configuration, in static storage). Use the *_copy forms for anything else.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "core/base/arena.h"
#include "core/base/assert.h"

namespace weir::http {

// Well-known names. The order within the enumeration means nothing but must match names.cc.
enum class HeaderId : uint8_t {
  kMethod,
  kPath,
  kAuthority,
  kScheme,
  kStatus,
  kProtocol,  // :method :path :authority :scheme :status :protocol
  kAccept,
  kAcceptEncoding,
  kAcceptLanguage,
  kAcceptRanges,
  kAccessControlAllowCredentials,
  kAccessControlAllowHeaders,
  kAccessControlAllowMethods,
  kAccessControlAllowOrigin,
  kAccessControlExposeHeaders,
  kAccessControlMaxAge,
  kAccessControlRequestHeaders,
  kAccessControlRequestMethod,
  kAge,
  kAllow,
  kAltSvc,
  kAuthorization,
  kCacheControl,
  kConnection,  // up to kUpgrade those about the connection and its framing: whether any is there is asked at once
  kTe,          // behind kConnection: the codecs of HTTP/1 look for both at once
  kTrailer,
  kHttp2Settings,
  kKeepAlive,
  kProxyConnection,
  kTransferEncoding,
  kUpgrade,
  kContentDisposition,
  kContentEncoding,
  kContentLanguage,
  kContentLength,
  kContentRange,
  kContentType,
  kCookie,
  kDate,
  kDnt,
  kEtag,
  kExpect,
  kExpires,
  kForwarded,
  kFrom,
  kGrpcEncoding,
  kGrpcAcceptEncoding,
  kGrpcMessage,
  kGrpcStatus,
  kGrpcTimeout,
  kHost,
  kIfMatch,
  kIfModifiedSince,
  kIfNoneMatch,
  kIfRange,
  kIfUnmodifiedSince,
  kLastModified,
  kLink,
  kLocation,
  kMaxForwards,
  kOrigin,
  kPragma,
  kPriority,
  kProxyAuthenticate,
  kProxyAuthorization,
  kRange,
  kReferer,
  kRetryAfter,
  kSecFetchDest,
  kSecFetchMode,
  kSecFetchSite,
  kSecFetchUser,
  kServer,
  kSetCookie,
  kStrictTransportSecurity,
  kTraceparent,
  kTracestate,
  kUpgradeInsecureRequests,
  kUserAgent,
  kVary,
  kVia,
  kWwwAuthenticate,
  kXB3Sampled,
  kXClientTraceId,
  kXContentTypeOptions,
  kXEnvoyAttemptCount,
  kXEnvoyDecoratorOperation,
  kXEnvoyDegraded,
  kXEnvoyDownstreamServiceCluster,
  kXEnvoyDownstreamServiceNode,
  kXEnvoyExpectedRqTimeoutMs,
  kXEnvoyExternalAddress,
  kXEnvoyForceTrace,
  kXEnvoyHedgeOnPerTryTimeout,
  kXEnvoyImmediateHealthCheckFail,
  kXEnvoyInternal,
  kXEnvoyIpTags,
  kXEnvoyIsTimeoutRetry,
  kXEnvoyLocalOverloaded,
  kXEnvoyMaxRetries,
  kXEnvoyOriginalDstHost,
  kXEnvoyOriginalHost,
  kXEnvoyOriginalPath,
  kXEnvoyOriginalUrl,
  kXEnvoyOverloaded,
  kXEnvoyRatelimited,
  kXEnvoyRetriableHeaderNames,
  kXEnvoyRetriableStatusCodes,
  kXEnvoyRetryGrpcOn,
  kXEnvoyRetryOn,
  kXEnvoyUpstreamAltStatName,
  kXEnvoyUpstreamCanary,
  kXEnvoyUpstreamHealthcheckedCluster,
  kXEnvoyUpstreamRqPerTryTimeoutMs,
  kXEnvoyUpstreamRqTimeoutAltResponse,
  kXEnvoyUpstreamRqTimeoutMs,
  kXEnvoyUpstreamServiceTime,
  kXEnvoyUpstreamStreamDurationMs,
  kXForwardedClientCert,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedPort,
  kXForwardedProto,
  kXFrameOptions,
  kXRealIp,
  kXRequestId,
  kXXssProtection,
  kCount,
  kNone = 255,  // not a well-known name
};
constexpr size_t kHeaderIdCount = static_cast<size_t>(HeaderId::kCount);

namespace detail {
// Padded with zeros to a whole number of 16-byte words, so that a name can be copied without looking at its size, and
// to a power of two, so that finding it is a shift.
struct alignas(64) PaddedName {
  char text[48];
  uint8_t size;
};
extern const std::array<PaddedName, kHeaderIdCount> kNames;
}  // namespace detail

inline std::string_view name_of(HeaderId id) {
  const detail::PaddedName& name = detail::kNames[static_cast<size_t>(id)];
  return {name.text, name.size};
}
// kNone if `name` (lower case) is not well known; the folded form takes any case.
HeaderId find_header_id(std::string_view name);
HeaderId find_header_id_folded(std::string_view name);

// A name resolved once, when configuration is built; lower case. The text of a name that is not well known lives in
// this object, which must then outlive the maps it is added to.
class HeaderName {
 public:
  HeaderName() = default;
  explicit HeaderName(std::string_view any_case);
  HeaderName(HeaderId id) : id_(id) {}  // NOLINT: meant to convert
  HeaderId id() const { return id_; }
  std::string_view text() const { return id_ != HeaderId::kNone ? name_of(id_) : std::string_view(text_); }
  bool operator==(const HeaderName& other) const { return id_ == other.id_ && text_ == other.text_; }

 private:
  HeaderId id_ = HeaderId::kNone;
  std::string text_;  // only if id_ is kNone
};

struct HeaderEntry {
  const char* name_data;
  const char* value_data;
  uint32_t value_size;
  uint16_t name_size;
  HeaderId id;
  uint8_t removed;  // a tombstone: skipped by every reader

  std::string_view name() const { return {name_data, name_size}; }
  std::string_view value() const { return {value_data, value_size}; }
};
static_assert(sizeof(HeaderEntry) == 24);

// How a message was spelt when it came, for peers who mind the case of names or the words behind the status. The map
// has names in lower case all the same.
struct ReceivedHead {
  std::string_view text;     // the head or the trailer section, of the codec's making; lives as long as the map
  bool proper_case = false;  // names that are not in it are written as Title-Case, else in lower case
  bool keep_reason = false;  // the words behind its status are written again
};

class HeaderMap {
 public:
  // `arena` gives room for entries beyond the inline ones and for copies.
  explicit HeaderMap(Arena& arena) : arena_(&arena) { first_.fill(kAbsent); }
  HeaderMap(const HeaderMap&) = delete;
  HeaderMap& operator=(const HeaderMap&) = delete;

  // Number of entries, pseudo-headers included.
  size_t size() const { return live_; }
  bool empty() const { return live_ == 0; }

  // The first value, or nullptr-data view (value.data() == nullptr) if absent.
  std::string_view get(HeaderId id) const {
    uint8_t at = first_[static_cast<size_t>(id)];
    if (at == kAbsent) return {};
    if (at == kFar) return get_far(id);
    return entries_[at].value();
  }
  bool contains(HeaderId id) const { return first_[static_cast<size_t>(id)] != kAbsent; }
  // Whether there is either of two neighbours, at the price of one.
  template <HeaderId first, HeaderId second>
  bool contains_either() const {
    static_assert(static_cast<int>(second) == static_cast<int>(first) + 1);
    uint16_t two;
    memcpy(&two, &first_[static_cast<size_t>(first)], 2);
    return two != kAbsent * 0x0101U;
  }
  // Likewise of eight.
  template <HeaderId first, HeaderId last>
  bool contains_any_of_eight() const {
    static_assert(static_cast<int>(last) == static_cast<int>(first) + 7);
    uint64_t eight;
    memcpy(&eight, &first_[static_cast<size_t>(first)], 8);
    return eight != kAbsent * 0x0101010101010101U;
  }
  // Whether there is any of the ids from `first` to `last`, for families of names that are seldom there.
  bool contains_any(HeaderId first, HeaderId last) const {
    const auto* at = &first_[static_cast<size_t>(first)];
    const auto* end = &first_[static_cast<size_t>(last)] + 1;
    for (; end - at >= 8; at += 8) {
      uint64_t eight;
      memcpy(&eight, at, 8);
      if (eight != kAbsent * 0x0101010101010101U) return true;
    }
    return std::any_of(at, end, [](uint8_t index) { return index != kAbsent; });
  }
  std::string_view get(const HeaderName& name) const {
    return name.id() != HeaderId::kNone ? get(name.id()) : get_by_text(name.text());
  }
  bool contains(const HeaderName& name) const { return get(name).data() != nullptr; }
  // All values of a name joined by "," in `arena` when there are several (RFC 9110 5.3); a view of the one otherwise.
  std::string_view get_all(const HeaderName& name, Arena& arena) const;
  size_t count(const HeaderName& name) const;

  std::string_view method() const { return get(HeaderId::kMethod); }
  std::string_view path() const { return get(HeaderId::kPath); }
  std::string_view authority() const { return get(HeaderId::kAuthority); }
  std::string_view scheme() const { return get(HeaderId::kScheme); }
  std::string_view status() const { return get(HeaderId::kStatus); }
  // The value of :status as a number, 0 if absent or malformed.
  int status_code() const;

  // Appends an entry. Views must outlive the map.
  void add(HeaderId id, std::string_view value) { push(id, name_of(id), value); }
  void add(HeaderId id, std::string_view lower_case_name, std::string_view value) { push(id, lower_case_name, value); }
  void add(const HeaderName& name, std::string_view value) { push(name.id(), name.text(), value); }
  void add_copy(HeaderId id, std::string_view value) { push(id, name_of(id), arena_->copy_or_empty(value)); }
  void add_copy(std::string_view any_case_name, std::string_view value);
  // Points the first entry of `id`, which must be there, at `value`; further ones stay.
  void replace_first(HeaderId id, std::string_view value);
  // Makes `value` the only value of the name: the first entry keeps its place, further ones go.
  void set(HeaderId id, std::string_view value);
  void set(const HeaderName& name, std::string_view value);
  void set_copy(HeaderId id, std::string_view value) { set(id, arena_->copy_or_empty(value)); }
  void set_copy(const HeaderName& name, std::string_view value);
  // Appends ",value" to the first entry of the name, or adds one; copies.
  void append_value(const HeaderName& name, std::string_view value, std::string_view delimiter = ",");
  // Returns how many entries went.
  size_t remove(HeaderId id);
  size_t remove(const HeaderName& name);
  // Removes every entry for which predicate(const HeaderEntry&) is true.
  template <class Predicate>
  size_t remove_if(Predicate&& predicate) {
    size_t gone = 0;
    for (uint32_t i = 0; i < used_; ++i) {
      if (!entries_[i].removed && predicate(static_cast<const HeaderEntry&>(entries_[i]))) {
        entries_[i].removed = 1;
        ++gone;
      }
    }
    if (gone > 0) rebuild_after_removal(gone);
    return gone;
  }

  // visit(const HeaderEntry&), in order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (uint32_t i = 0; i < used_; ++i) {
      if (!entries_[i].removed) visit(static_cast<const HeaderEntry&>(entries_[i]));
    }
  }
  // Sum of name and value sizes (what limits compare).
  size_t byte_size() const;

  // Set by a codec that is told to keep the spelling; null otherwise. In the arena.
  const ReceivedHead* received() const { return received_; }
  void set_received(const ReceivedHead& head) { received_ = arena_->make<ReceivedHead>(head); }

  void clear();
  Arena& arena() { return *arena_; }
  // Copies every entry, bytes included, into `to`'s arena.
  void copy_to(HeaderMap& to) const;
  // Copies entries but not bytes: for a per-try overlay whose base outlives it.
  void copy_views_to(HeaderMap& to) const;
  // "name: value\n" per entry, for tests and debug logs.
  std::string to_string() const;

 private:
  static constexpr uint8_t kAbsent = 255;
  static constexpr uint8_t kFar = 254;  // present, at an index that does not fit
  static constexpr uint32_t kInlineEntries = 32;

  void push(HeaderId id, std::string_view name, std::string_view value) {
    if (used_ == room_) [[unlikely]]
      grow();
    HeaderEntry& entry = entries_[used_];
    entry.name_data = name.data();
    entry.name_size = static_cast<uint16_t>(name.size());
    entry.value_data = value.data() != nullptr ? value.data() : "";
    entry.value_size = static_cast<uint32_t>(value.size());
    entry.id = id;
    entry.removed = 0;
    if (id != HeaderId::kNone) {
      uint8_t& first = first_[static_cast<size_t>(id)];
      if (first == kAbsent) first = used_ < kFar ? static_cast<uint8_t>(used_) : kFar;
    }
    ++used_;
    ++live_;
  }
  void grow();
  std::string_view get_far(HeaderId id) const;
  std::string_view get_by_text(std::string_view lower_case) const;
  void rebuild_after_removal(size_t gone);
  void index_entries();
  uint32_t find_index(HeaderId id) const;
  uint32_t find_index(const HeaderName& name) const;
  void push_copy(const HeaderName& name, std::string_view value);
  void set_value(uint32_t index, std::string_view value);
  size_t remove_from(uint32_t index, const HeaderName& name);

  HeaderEntry* entries_ = inline_entries_;
  const ReceivedHead* received_ = nullptr;  // beside what else begins as zero: one store clears both
  uint32_t used_ = 0;
  uint32_t live_ = 0;
  uint32_t room_ = kInlineEntries;
  Arena* arena_;
  std::array<uint8_t, kHeaderIdCount> first_;
  HeaderEntry inline_entries_[kInlineEntries];
};

}  // namespace weir::http
