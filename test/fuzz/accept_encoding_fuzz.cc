// The choice of a content coding: what is chosen is accepted by the header, and "*" never means what is refused by
// name.
#include <cstdint>
#include <string>

#include "core/http/chars.h"
#include "filters/http/compressor/accept_encoding.h"
#include "test/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  using namespace weir::filters::compressor;
  if (size < 1) return 0;
  std::string header(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Offer offers[] = {{"gzip", (data[0] & 1) != 0}, {"br", (data[0] & 2) != 0}, {"zstd", (data[0] & 4) != 0}};
  Chosen chosen = choose_encoding(header, {offers, data[0] % 4u});
  auto require = [&](bool condition) {
    fuzz::require(condition, "the choice does not follow from the header", header);
  };
  if (chosen.choice == Choice::kOffered || chosen.choice == Choice::kWildcard) require(chosen.offer < data[0] % 4u);
  require(chosen.choice != Choice::kNoHeader);
  auto names = [&](std::string_view wanted) {
    bool found = false;
    http::for_each_member(header, [&](std::string_view member) {
      std::string_view name = http::trim_spaces(member.substr(0, member.find(';')));
      if (http::equals_ignoring_case(name, "x-gzip")) name = "gzip";
      found = found || http::equals_ignoring_case(name, wanted);
    });
    return found;
  };
  if (chosen.choice == Choice::kIdentity) require(names("identity"));
  if (chosen.choice == Choice::kOffered) require(names(offers[chosen.offer].encoding));
  if (chosen.choice == Choice::kWildcard) require(names("*") && !names(offers[chosen.offer].encoding));
  return 0;
}
