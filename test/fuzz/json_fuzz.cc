// The whole way from JSON to a message (load_check.h); and the two answers to "is this JSON?" agree. The first byte:
// what to do with unknown fields and types.
#include "test/fuzz/load_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  fuzz::Input input(data, size);
  uint8_t by = input.byte();
  std::string_view text = input.rest();
  config::LoadOptions options = fuzz::load_options(config::TextFormat::kJson, by);
  fuzz::check_load(text, options);
  fuzz::Loaded loaded(text, options);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (loaded.ok) fuzz::require(config::is_json(text), "loaded, though it is no JSON", text);
  return 0;
}
