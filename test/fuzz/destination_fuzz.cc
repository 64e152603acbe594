// Where a header says that a request is to go: what is taken for an address is one, and prints as one that is the same.
#include <cstdint>
#include <string>

#include "core/upstream/destination.h"
#include "test/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const net::Address address = upstream::parse_destination(text);
  if (address.empty()) return 0;
  fuzz::require(address.is_ip() && address.port() != 0, "no address with a port", text);
  const std::string again = address.to_string();
  fuzz::require(address.scope_id() != 0 || upstream::parse_destination(again) == address, "another address", text,
                again);
  return 0;
}
