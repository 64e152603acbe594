// The fields of a head on their way into nghttp2. Private to the codecs.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstring>
#include <memory>
#include <string_view>

#include "core/http/chars.h"
#include "core/http/h2/session.h"

namespace weir::http::h2 {

constexpr uint32_t kMaxSendBlockBytes = 1024 * 1024;

// Views only; what they view lives until the head is submitted, which copies it.
class Session::FieldList {
 public:
  explicit FieldList(size_t most) {
    if (most > kInline) {
      more_ = std::make_unique<nghttp2_nv[]>(most);
      fields_ = more_.get();
    }
  }
  // A name that is static needs no copy. What is of one message alone would only drive others out of the peer's table,
  // and make the library compare a new one with every old one.
  void add(HeaderId id, std::string_view value) {
    push(name_of(id), value, NGHTTP2_NV_FLAG_NO_COPY_NAME | (is_of_one_message(id) ? NGHTTP2_NV_FLAG_NO_INDEX : 0));
  }
  // False: it may not be written (RFC 9113 8.2.1).
  [[nodiscard]] bool add(const HeaderEntry& entry) {
    if (!is_valid_value(entry.value())) return false;
    const std::string_view value = trim_spaces(entry.value());
    if (entry.id != HeaderId::kNone) {
      add(entry.id, value);
      return true;
    }
    if (!is_valid_name(entry.name())) return false;
    push(entry.name(), value, 0);
    return true;
  }
  // The library would drop a larger head in silence.
  bool fits() const { return bytes_ <= kMaxSendBlockBytes; }
  // Names and values.
  size_t plain_bytes() const { return bytes_ - (size_ + 1) * kMostOverhead; }
  const nghttp2_nv* data() const { return fields_; }
  size_t size() const { return size_; }

  // Eight bytes at a time while they are above the control characters, as nearly all are.
  static bool is_valid_value(std::string_view value) {
    constexpr uint64_t kEach = 0x0101010101010101;
    while (value.size() >= sizeof(uint64_t)) {
      uint64_t bytes;
      std::memcpy(&bytes, value.data(), sizeof(bytes));
      const uint64_t deletes = bytes ^ kEach * 0x7f;
      if ((((bytes - kEach * 0x20) & ~bytes) | ((deletes - kEach) & ~deletes)) & kEach * 0x80) break;
      value.remove_prefix(sizeof(bytes));
    }
    return all_chars(value, kFieldChar);
  }
  static bool is_valid_name(std::string_view name) {
    if (name.empty()) return false;
    for (char c : name) {
      if (!is_char(c, kTokenChar) || is_char(c, kUpperChar)) return false;
    }
    return true;
  }

 private:
  static constexpr bool is_of_one_message(HeaderId id) {
    return id == HeaderId::kXRequestId || id == HeaderId::kTraceparent || id == HeaderId::kXClientTraceId;
  }
  static constexpr size_t kInline = 64;
  static constexpr size_t kMostOverhead = 24;  // of a field when it is encoded, as the library reckons it
  void push(std::string_view name, std::string_view value, uint8_t flags) {
    nghttp2_nv& field = fields_[size_++];
    bytes_ += name.size() + value.size() + kMostOverhead;
    field.name = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data()));
    field.namelen = name.size();
    field.value = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data()));
    field.valuelen = value.size();
    field.flags = flags;
  }
  nghttp2_nv* fields_ = inline_;
  size_t size_ = 0;
  size_t bytes_ = kMostOverhead;
  std::unique_ptr<nghttp2_nv[]> more_;
  nghttp2_nv inline_[kInline];
};

// Fields that are those of a connection of HTTP/1 (RFC 9113 8.2.2).
constexpr bool is_of_http1_connection(HeaderId id) {
  return id == HeaderId::kConnection || id == HeaderId::kKeepAlive || id == HeaderId::kProxyConnection ||
         id == HeaderId::kTransferEncoding || id == HeaderId::kUpgrade || id == HeaderId::kHttp2Settings;
}
constexpr bool is_pseudo(HeaderId id) { return id <= HeaderId::kProtocol; }
// Among the fields of any head or trailers but those of a request's, which may have `te`.
constexpr bool is_left_out(HeaderId id) { return is_pseudo(id) || is_of_http1_connection(id) || id == HeaderId::kTe; }

}  // namespace weir::http::h2
