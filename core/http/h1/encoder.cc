#include "core/http/h1/encoder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include "core/http/chars.h"
#include "core/http/h1/parser.h"
#include "core/http/h1/simd.h"
#include "core/http/status.h"

namespace weir::http::h1 {
namespace {

constexpr size_t kCopyBelow = 2048;  // smaller body slices are copied: an iovec costs more
constexpr size_t kLookBack = 32;     // slices of the output among which references to a block are counted
constexpr size_t kSlack = 64;        // copies of known names may write this much beyond their size
constexpr size_t kLineBytes = 4;     // ": " and CRLF
// The longest lines that framing adds.
constexpr std::string_view kChunkedLine = "transfer-encoding: chunked\r\n";
constexpr std::string_view kChunkedLineProper = "Transfer-Encoding: chunked\r\n";
constexpr std::string_view kZeroLengthLine = "content-length: 0\r\n";
constexpr std::string_view kZeroLengthLineProper = "Content-Length: 0\r\n";
// By Framing::Connection.
struct ConnectionLine {
  std::string_view lower, proper;
};
constexpr ConnectionLine kConnectionLines[] = {{},
                                               {"connection: close\r\n", "Connection: close\r\n"},
                                               {"connection: keep-alive\r\n", "Connection: keep-alive\r\n"},
                                               {"connection: te\r\n", "Connection: te\r\n"},
                                               {"connection: close, te\r\n", "Connection: close, te\r\n"}};
constexpr size_t kFramingBytes = 128;

template <class Word>
void move_word(char* to, const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof(word));
  std::memcpy(to, &word, sizeof(word));
}

// memcpy for short texts without a call: overlapping words, never outside of either range.
inline char* put(char* to, const char* from, size_t size) {
  struct Sixteen {
    uint64_t words[2];
  };
  if (size >= 16) {
    if (size > 128) {
      std::memcpy(to, from, size);
      return to + size;
    }
    for (size_t i = 0; i + 16 < size; i += 16) move_word<Sixteen>(to + i, from + i);
    move_word<Sixteen>(to + size - 16, from + size - 16);
  } else if (size >= 8) {
    move_word<uint64_t>(to, from);
    move_word<uint64_t>(to + size - 8, from + size - 8);
  } else if (size >= 4) {
    move_word<uint32_t>(to, from);
    move_word<uint32_t>(to + size - 4, from + size - 4);
  } else if (size > 0) {
    to[0] = from[0];
    to[size / 2] = from[size / 2];
    to[size - 1] = from[size - 1];
  }
  return to + size;
}
inline char* put(char* to, std::string_view text) { return put(to, text.data(), text.size()); }

// A name from the padded table, whatever its size.
inline char* put_known(char* to, const http::detail::PaddedName& name) {
  std::memcpy(to, name.text, 16);
  if (name.size > 16) std::memcpy(to + 16, name.text + 16, 32);
  return to + name.size;
}

char* put_proper(char* to, std::string_view name) {
  bool first = true;
  for (char c : name) {
    *to++ = first && c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c;
    first = c == '-';
  }
  return to;
}

// The bytes of `name` as the peer wrote them: in front of this value, if it is one of the received, else where the name
// comes first. Null if it is not there.
const char* find_spelling(std::string_view received, std::string_view name, std::string_view value) {
  const char* const begin = received.data();
  const char* const end = begin + received.size();
  auto is_name = [name](const char* at) { return equals_ignoring_case({at, name.size()}, name); };
  const std::less<> before;  // of any two pointers
  if (!before(value.data(), begin) && before(value.data(), end)) {
    const char* colon = value.data();
    while (colon > begin && (colon[-1] == ' ' || colon[-1] == '\t')) --colon;
    if (static_cast<size_t>(colon - begin) > name.size()) {
      const char* at = colon - 1 - name.size();
      if (colon[-1] == ':' && (at == begin || at[-1] == '\n') && is_name(at)) return at;
    }
  }
  for (const char* at = begin; static_cast<size_t>(end - at) > name.size(); ++at) {
    if (at[name.size()] == ':' && is_name(at)) return at;
    at = static_cast<const char*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
    if (at == nullptr) break;
  }
  return nullptr;
}

[[gnu::noinline]] char* put_as_received(char* to, const ReceivedHead& received, std::string_view name,
                                        std::string_view value) {
  const char* spelling = find_spelling(received.text, name, value);
  if (spelling != nullptr) return put(to, spelling, name.size());
  return received.proper_case ? put_proper(to, name) : put(to, name);
}

#if WEIR_H1_SSE2
// Adds up, over whole 16-byte words, the bytes for which hits(bytes) is all ones.
template <class Hits>
size_t count_words(const char*& at, const char* end, Hits hits) {
  size_t total = 0;
  while (end - at >= 16) {
    // At most 255 rounds: the lanes count in bytes.
    const char* stop = at + std::min<ptrdiff_t>((end - at) / 16, 255) * 16;
    __m128i counts = _mm_setzero_si128();
    for (; stop - at >= 32; at += 32) {
      counts = _mm_sub_epi8(counts, hits(simd::load(at)));
      counts = _mm_sub_epi8(counts, hits(simd::load(at + 16)));
    }
    for (; at < stop; at += 16) counts = _mm_sub_epi8(counts, hits(simd::load(at)));
    __m128i sums = _mm_sad_epu8(counts, _mm_setzero_si128());
    total += static_cast<size_t>(_mm_cvtsi128_si64(sums)) +
             static_cast<size_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(sums, sums)));
  }
  return total;
}
#endif

bool is_break(char c) { return c == '\r' || c == '\n' || c == '\0'; }

// True if there are exactly `own` bytes of CR, LF or NUL. A written head has its own line ends, or some value had one
// too: one sweep over all of it instead of a check per value.
bool has_only_own_breaks(const char* const begin, const char* end, size_t own) {
  const char* at = begin;
  size_t total = 0;
#if WEIR_H1_SSE2
  // Cheaper and stricter first: nothing below CR but the line ends. Tabs and the like need the exact count.
  const __m128i cr = _mm_set1_epi8('\r');
  total = count_words(at, end, [&](__m128i bytes) { return _mm_cmpeq_epi8(_mm_min_epu8(bytes, cr), bytes); });
  for (const char* rest = at; rest < end; ++rest) total += static_cast<unsigned char>(*rest) <= '\r' ? 1 : 0;
  if (total == own) return true;
#endif
  total = 0;
  for (at = begin; at < end; ++at) total += is_break(*at) ? 1 : 0;
  return total == own;
}

// Fields that some message does not carry, as bits per HeaderId.
enum FieldClass : uint8_t {
  kPseudo = 1,
  kEncoding = 2,
  kLength = 4,
  kHostField = 8,
  kNotInTrailers = 16,
};

constexpr auto make_field_classes() {
  std::array<uint8_t, 256> classes{};
  for (size_t i = 0; i < kHeaderIdCount; ++i) {
    auto id = static_cast<HeaderId>(i);
    uint8_t bits = is_forbidden_trailer(id) ? kNotInTrailers : 0;
    if (id <= HeaderId::kProtocol) bits |= kPseudo;
    if (id == HeaderId::kTransferEncoding) bits |= kEncoding;
    if (id == HeaderId::kContentLength) bits |= kLength;
    if (id == HeaderId::kHost) bits |= kHostField;
    classes[i] = bits;
  }
  return classes;
}
static_assert(static_cast<int>(HeaderId::kProtocol) == 5, "the pseudo-headers come first");
constexpr auto kFieldClasses = make_field_classes();

struct FieldRules {
  uint8_t skipped = kPseudo | kEncoding;  // FieldClass bits
  bool proper_case = false;
};

// Returns nullptr if a name is not a token.
char* put_fields(char* to, const HeaderMap& map, const FieldRules& rules, size_t& lines) {
  bool sound = true;
  const ReceivedHead* const received = map.received();
  const bool plain = received == nullptr && !rules.proper_case;
  map.for_each([&](const HeaderEntry& entry) {
    if ((kFieldClasses[static_cast<size_t>(entry.id)] & rules.skipped) != 0) return;
    if (entry.id != HeaderId::kNone && plain) [[likely]] {
      to = put_known(to, http::detail::kNames[static_cast<size_t>(entry.id)]);
    } else {
      // Names that did not come through our parser (HTTP/2, plugins) are checked here too, in the output, where whole
      // words may be looked at.
      const char* name = to;
      if (received != nullptr) [[unlikely]]
        to = put_as_received(to, *received, entry.name(), entry.value());
      else
        to = rules.proper_case ? put_proper(to, entry.name()) : put(to, entry.name());
      sound = sound && (simd::is_plain_lower(name, entry.name_size, entry.name_size + 16u) || is_token(entry.name())) &&
              to != name;
    }
    *to++ = ':';
    *to++ = ' ';
    to = put(to, entry.value());
    *to++ = '\r';
    *to++ = '\n';
    ++lines;
  });
  return sound ? to : nullptr;
}

size_t field_bytes(const HeaderMap& map) {
  size_t total = 0;
  map.for_each([&](const HeaderEntry& entry) { total += entry.name_size + size_t{entry.value_size} + kLineBytes; });
  return total;
}

char* put_framing(char* to, const HeaderMap& map, const Framing& framing, size_t& lines) {
  auto line = [&](std::string_view lower, std::string_view proper) {
    if (map.received() != nullptr) [[unlikely]] {
      const size_t colon = lower.find(':');
      to = put_as_received(to, *map.received(), lower.substr(0, colon), {});
      to = put(to, lower.substr(colon));
    } else {
      to = put(to, framing.proper_case ? proper : lower);
    }
    ++lines;
  };
  if (framing.body == BodyKind::kChunked) line(kChunkedLine, kChunkedLineProper);
  if (framing.add_zero_length) line(kZeroLengthLine, kZeroLengthLineProper);
  if (framing.connection != Framing::Connection::kAsIs) [[unlikely]] {
    const ConnectionLine& own = kConnectionLines[static_cast<size_t>(framing.connection)];
    line(own.lower, own.proper);
  }
  return to;
}

// Everything behind the start line, which ends at `to`.
EncodeError finish_head(Reservation& room, char* to, const HeaderMap& map, const Framing& framing, FieldRules rules,
                        size_t lines) {
  if (framing.skip_length || framing.body == BodyKind::kChunked) rules.skipped |= kLength;
  rules.proper_case = framing.proper_case;
  to = put_fields(to, map, rules, lines);
  if (to == nullptr) return EncodeError::kInvalidField;
  to = put_framing(to, map, framing, lines);
  *to++ = '\r';
  *to++ = '\n';
  if (!has_only_own_breaks(room.begin(), to, 2 * (lines + 1))) [[unlikely]]
    return EncodeError::kInvalidField;
  room.commit(to);
  return EncodeError::kNone;
}

}  // namespace

Reservation::Reservation(Slices& out, BlockPool& pool, size_t bytes) : out_(out) {
  // Behind a body slice the write block is the last but one: look back a little instead of taking a block per chunk.
  size_t count = out.slice_count();
  for (size_t back = 1; back <= 2 && back <= count; ++back) {
    Block* block = out.at(count - back).block.get();
    if (block == nullptr || block->room() < bytes) continue;
    size_t ours = 0;
    for (size_t i = 1; i <= kLookBack && i <= count; ++i) ours += out.at(count - i).block.get() == block ? 1 : 0;
    if (block->refs() != ours) continue;
    block_ = BlockRef(block);
    break;
  }
  if (!block_) block_ = pool.take(bytes);
  begin_ = block_->data() + block_->used();
}

void Reservation::commit(const char* end) {
  auto size = static_cast<size_t>(end - begin_);
  block_->set_used(block_->used() + size);
  out_.append(Slice(std::move(block_), begin_, size));
}

namespace {

// Whether it can be a request target, or a part of one, without ending it.
bool fits_target(std::string_view text) {
  const char* end = text.data() + text.size();
  return simd::find_target_end(text.data(), end, text.data()) == end;
}

}  // namespace

EncodeError encode_request_head(const HeaderMap& map, const Framing& framing, Slices& out, BlockPool& pool) {
  std::string_view method = map.method();
  std::string_view authority = map.authority();
  std::string_view target = method == "CONNECT" ? authority : map.path();
  if (!is_token(method) || target.empty() || !fits_target(target)) return EncodeError::kInvalidStartLine;
  Reservation room(out, pool, field_bytes(map) + 2 * authority.size() + kFramingBytes + kSlack);
  char* to = put(room.begin(), method);
  *to++ = ' ';
  if (framing.absolute_form && !authority.empty() && method != "CONNECT") [[unlikely]] {
    std::string_view scheme = map.scheme();
    if (scheme.empty()) scheme = "http";
    if (!fits_target(scheme) || !fits_target(authority)) return EncodeError::kInvalidStartLine;
    to = put(put(put(to, scheme), "://"), authority);
    if (target == "*") target = {};  // RFC 9112 3.2.4: a request for the server as a whole has no path in this form
  }
  to = put(to, target);
  to = put(to, " HTTP/1.1\r\n");
  // RFC 9112 3.2: Host is there, even if it is empty, and RFC 9110 7.2 wants it first.
  if (map.received() != nullptr) [[unlikely]]
    to = put(put_as_received(to, *map.received(), "host", authority), ": ");
  else
    to = put(to, framing.proper_case ? "Host: " : "host: ");
  to = put(to, authority);
  to = put(to, "\r\n");
  return finish_head(room, to, map, framing, {.skipped = kPseudo | kEncoding | kHostField}, 2);
}

namespace {

// The words behind the status of a received status line, if they are to be kept and are about this status. Without a
// pointer otherwise.
std::string_view received_reason(const ReceivedHead& received, std::string_view status) {
  constexpr size_t kStatusAt = 9;  // behind "HTTP/1.1 "
  const std::string_view line = received.text.substr(0, received.text.find('\r'));
  if (!received.keep_reason || line.size() < kStatusAt + 3 || line.substr(kStatusAt, 3) != status) return {};
  return line.substr(std::min(kStatusAt + 4, line.size()));
}

}  // namespace

EncodeError encode_response_head(const HeaderMap& map, const Framing& framing, Slices& out, BlockPool& pool) {
  int status = map.status_code();
  if (status < 100) return EncodeError::kInvalidStartLine;
  const ReceivedHead* const received = map.received();
  const std::string_view own_reason =
      received != nullptr ? received_reason(*received, map.status()) : std::string_view();
  Reservation room(out, pool, field_bytes(map) + own_reason.size() + kFramingBytes + kSlack);
  char* to = room.begin();
  if (own_reason.data() != nullptr) [[unlikely]] {
    to = put(to, "HTTP/1.1 ");
    to = put(to, map.status());
    *to++ = ' ';
    to = put(to, own_reason);
    to = put(to, "\r\n");
  } else if (status == 200) {
    to = put(to, "HTTP/1.1 200 OK\r\n");
  } else {
    to = put(to, "HTTP/1.1 ");
    to = put(to, map.status());
    *to++ = ' ';
    to = put(to, reason_phrase(status));
    to = put(to, "\r\n");
  }
  return finish_head(room, to, map, framing, {}, 1);
}

EncodeError read_content_length(const HeaderMap& map, bool& has_length, uint64_t& length) {
  has_length = map.contains(HeaderId::kContentLength);
  if (!has_length) return EncodeError::kNone;
  if (!parse_decimal(map.get(HeaderId::kContentLength), length) || map.count(HeaderId::kContentLength) != 1) {
    return EncodeError::kInvalidContentLength;
  }
  return EncodeError::kNone;
}

namespace {

// Body bytes without framing.
void pass_data(Slices& data, Slices& out, BlockPool& pool) {
  while (!data.empty()) {
    size_t size = data.front().size;
    if (size >= kCopyBelow || data.front().unseen()) {
      data.move_front(size, out);
      continue;
    }
    Reservation room(out, pool, size);
    room.commit(put(room.begin(), data.front().view()));
    data.drop_front(size);
  }
}

bool has_unseen(const Slices& data) {
  for (size_t i = 0; i < data.slice_count(); ++i) {
    if (data.at(i).unseen()) return true;
  }
  return false;
}

constexpr size_t kChunkHeaderBytes = 16 + 2;
constexpr std::string_view kLastChunk = "0\r\n\r\n";

char* put_chunk_header(char* to, size_t size) {
  int digits = 1;
  for (size_t rest = size >> 4; rest != 0; rest >>= 4) ++digits;
  for (int i = digits - 1; i >= 0; --i, size >>= 4) to[i] = "0123456789abcdef"[size & 15];
  to += digits;
  *to++ = '\r';
  *to++ = '\n';
  return to;
}

// All of `data` as one chunk, and the last chunk if it ends there.
void encode_chunk(Slices& data, bool end_stream, Slices& out, BlockPool& pool) {
  const size_t size = data.size();
  if (size < kCopyBelow && !has_unseen(data)) {
    Reservation room(out, pool, kChunkHeaderBytes + size + 2 + kLastChunk.size());
    char* to = room.begin();
    if (size > 0) {
      to = put_chunk_header(to, size);
      for (size_t i = 0; i < data.slice_count(); ++i) to = put(to, data.at(i).view());
      to = put(to, "\r\n");
    }
    if (end_stream) to = put(to, kLastChunk);
    room.commit(to);
    data.clear();
    return;
  }
  Reservation header(out, pool, kChunkHeaderBytes);
  header.commit(put_chunk_header(header.begin(), size));
  pass_data(data, out, pool);
  Reservation trailer(out, pool, 2 + kLastChunk.size());
  char* to = put(trailer.begin(), "\r\n");
  if (end_stream) to = put(to, kLastChunk);
  trailer.commit(to);
}

}  // namespace

EncodeError BodyEncoder::encode_data(Slices& data, bool end_stream, Slices& out, BlockPool& pool) {
  if (state_ != State::kBody)
    return data.empty() && end_stream && state_ == State::kDone ? EncodeError::kNone : EncodeError::kWrongState;
  switch (kind_) {
    case BodyKind::kNone:
      data.clear();
      break;
    case BodyKind::kLength:
      if (data.size() > remaining_) return EncodeError::kBodyTooLong;
      remaining_ -= data.size();
      pass_data(data, out, pool);
      if (end_stream && remaining_ > 0) return EncodeError::kBodyTooShort;
      break;
    case BodyKind::kChunked:
      if (!data.empty() || end_stream) encode_chunk(data, end_stream, out, pool);
      break;
    case BodyKind::kUntilClose:
    case BodyKind::kTunnel:
      pass_data(data, out, pool);
      break;
  }
  if (end_stream) state_ = State::kDone;
  return EncodeError::kNone;
}

EncodeError BodyEncoder::encode_trailers(const HeaderMap& trailers, bool proper_case, Slices& out, BlockPool& pool) {
  if (state_ != State::kBody || kind_ == BodyKind::kTunnel) return EncodeError::kWrongState;
  if (kind_ == BodyKind::kChunked) {
    Reservation room(out, pool, field_bytes(trailers) + kFramingBytes + kSlack);
    char* to = put(room.begin(), "0\r\n");
    size_t lines = 2;
    to = put_fields(to, trailers, {.skipped = kPseudo | kNotInTrailers, .proper_case = proper_case}, lines);
    if (to == nullptr) return EncodeError::kInvalidField;
    to = put(to, "\r\n");
    if (!has_only_own_breaks(room.begin(), to, 2 * lines)) return EncodeError::kInvalidField;
    room.commit(to);
  } else if (kind_ == BodyKind::kLength && remaining_ > 0) {
    return EncodeError::kBodyTooShort;
  }
  state_ = State::kDone;
  return EncodeError::kNone;
}

}  // namespace weir::http::h1
