// Requests through the server's codec. The first byte chooses options, the second seeds the cuts. Checked besides
// crashes: the same events however the bytes are cut, and that an accepted head, written again, means the same.
#include <cstdint>
#include <random>
#include <string>

#include "core/http/h1/parser.h"
#include "test/core/http/h1/transcript.h"
#include "test/fuzz/input.h"

namespace {

using namespace weir;
using namespace weir::http;
using namespace weir::http::h1;

using fuzz::require;

Settings settings_of(uint8_t bits) {
  Settings settings;
  settings.options.accept_http_10 = (bits & 1) != 0;
  settings.options.allow_absolute_url = (bits & 2) == 0;
  settings.options.allow_custom_methods = (bits & 4) == 0;
  settings.options.proper_case = (bits & 8) != 0;
  settings.options.preserve_case = (bits & 32) != 0;
  settings.options.allow_chunked_length = (bits & 64) != 0;
  settings.options.keep_open_after_invalid = (bits & 128) != 0;
  if ((bits & 16) != 0) {
    settings.limits = {
        .max_head_bytes = 120, .max_header_count = 5, .max_trailer_bytes = 30, .max_chunk_extension_bytes = 16};
  }
  return settings;
}

// What a map says, without the order in which pseudo-headers and fields were added.
std::string fields_of(const HeaderMap& map) {
  std::string text;
  text.append(map.method()).append(" ").append(map.path()).append(" ").append(map.authority()).append("\n");
  map.for_each([&](const HeaderEntry& entry) {
    if (entry.id == HeaderId::kTransferEncoding || entry.name().starts_with(":")) return;
    text.append(entry.name()).append(": ").append(entry.value()).append("\n");
  });
  return text;
}

void check_round_trip(const http::h1::test::Stream& stream, const Settings& settings) {
  const HeaderMap& map = stream.headers;
  // HTTP/1.0 may come without a host; nothing we send may.
  if (map.authority().empty()) return;
  BlockPool blocks;
  Slices out;
  Framing framing;
  framing.proper_case = settings.options.proper_case;
  if (encode_request_head(map, framing, out, blocks) != EncodeError::kNone)
    require(false, "accepted but not encodable", map.to_string(), "");
  ArenaPool pool;
  Arena arena(pool);
  HeaderMap again(arena);
  h1::RequestHead info;
  Settings open;
  open.limits.max_header_count = 1000;
  std::string head = out.to_string();
  ParseError error = parse_request_head(head, open, again, info);
  require(error == ParseError::kNone, "encoded but not accepted", head, std::string(error_name(error)));
  require(fields_of(again) == fields_of(map), "encoding changed the head", fields_of(map), fields_of(again));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4096) return 0;
  Settings settings = settings_of(data[0]);
  std::mt19937_64 random(data[1]);
  std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);

  http::h1::test::ServerRecorder whole(settings);
  Slices in;
  http::h1::test::feed(whole.codec, text, {}, in, whole.blocks);
  whole.flush();
  for (const auto& stream : whole.streams) {
    if (stream->head_seen) check_round_trip(*stream, settings);
  }
  auto check = [&](const std::vector<size_t>& cuts) {
    http::h1::test::Outcome cut = http::h1::test::run_server(text, cuts, settings);
    require(cut.text == whole.text, "cutting changed the events", whole.text, cut.text);
    if (whole.error == ParseError::kNone)
      require(cut.left == in.to_string(), "cutting changed the rest", in.to_string(), cut.left);
  };
  check(http::h1::test::random_cuts(text, random));
  if (text.size() < 512) check(http::h1::test::every_byte(text));
  return 0;
}
