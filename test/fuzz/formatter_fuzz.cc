// A format string, up to the first NUL, and a stream made of the rest: what compiles prints whatever the facts are, the
// values on one line, and in JSON as JSON.
#include <string>

#include "core/config/json_reader.h"
#include "core/stream/formatter.h"
#include "core/stream/time_format.h"
#include "test/fuzz/stream_facts.h"

namespace weir {
namespace {

using fuzz::require;

// `for_headers`: a tab of a value stays one (RFC 9110 5.5).
void check_text(const stream::Format& format, const stream::LogSubject& subject, bool for_headers) {
  std::string out = "before";
  format.append(subject, out);
  require(out.starts_with("before"), "what was there before was changed", out);
  std::string again;
  format.append(subject, again);
  require(out.substr(6) == again, "the second time, something else was printed", out, again);
  // Control bytes come from the format's own text only.
  for (char c : again) {
    bool control = (static_cast<unsigned char>(c) < 0x20 && !(for_headers && c == '\t')) || c == 0x7f;
    require(!control || format.source().find(c) != std::string_view::npos, "a value breaks the line", again,
            format.source());
  }
  if (format.constant())
    require(again.find("%%") == std::string::npos || again.size() < format.source().size(), "%% was not read", again,
            format.source());
}

void check_json(const stream::Format& format, const stream::LogSubject& subject) {
  std::string out;
  format.append_json(subject, out);
  std::string object = "{\"value\":" + out + "}";
  require(config::is_json(object), "not JSON", object, format.source());
}

}  // namespace
}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  fuzz::Input input(data, size);
  stream::Format::Options options;
  uint8_t bits = input.byte();
  options.omit_empty = (bits & 1) != 0;
  options.for_headers = (bits & 2) != 0;
  std::string_view text = input.until('\0');
  auto format = stream::Format::compile(text, options);
  if (!format.ok()) {
    fuzz::require(!message_of(format.status()).empty(), "refused without a word", text);
    return 0;
  }
  fuzz::StreamFacts facts(input);
  check_text(*format, facts.subject(), options.for_headers);
  check_json(*format, facts.subject());
  stream::StreamInfo nothing;
  check_text(*format, {nothing}, options.for_headers);
  check_json(*format, {nothing});
  return 0;
}
