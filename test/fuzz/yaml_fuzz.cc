// The whole way from YAML to a message (load_check.h). The first byte: what to do with unknown fields and types.
#include "test/fuzz/load_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  fuzz::Input input(data, size);
  uint8_t by = input.byte();
  fuzz::check_load(input.rest(), fuzz::load_options(config::TextFormat::kYaml, by));
  return 0;
}
