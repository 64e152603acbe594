// Responses through the client's codec. The first byte says what was asked, the second seeds the cuts. Checked besides
// crashes: the same events however the bytes are cut.
#include <cstdint>
#include <random>
#include <string>

#include "test/core/http/h1/transcript.h"
#include "test/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::http::h1;
  if (size < 2 || size > 4096) return 0;
  RequestKind kind{.is_head = (data[0] & 1) != 0, .is_connect = (data[0] & 2) != 0, .is_upgrade = (data[0] & 4) != 0};
  const bool eof = (data[0] & 8) != 0;
  Settings settings;
  settings.options.allow_chunked_length = (data[0] & 32) != 0;
  settings.options.preserve_case = settings.options.forward_reason_phrase = (data[0] & 64) != 0;
  if ((data[0] & 16) != 0) {
    settings.limits = {
        .max_head_bytes = 120, .max_header_count = 5, .max_trailer_bytes = 30, .max_chunk_extension_bytes = 16};
  }
  std::mt19937_64 random(data[1]);
  std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  test::Outcome whole = test::run_client(text, {}, settings, kind, eof);
  auto check = [&](const std::vector<size_t>& cuts) {
    test::Outcome cut = test::run_client(text, cuts, settings, kind, eof);
    weir::fuzz::require(cut.text == whole.text, "cutting changed the events", whole.text, cut.text);
  };
  check(test::random_cuts(text, random));
  if (text.size() < 512) check(test::every_byte(text));
  return 0;
}
