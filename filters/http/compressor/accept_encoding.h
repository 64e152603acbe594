// Which content coding a client gets (RFC 9110 12.5.3), when several compressors of a chain offer one each.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace weir::filters::compressor {

// What one compressor of the chain offers.
struct Offer {
  std::string_view encoding;
  bool first_on_ties = false;  // choose_first
};

enum class Choice : uint8_t {
  kNoHeader,     // the client said nothing: no coding, so that caches and odd clients are safe
  kNotAccepted,  // the header names none of what is offered, or is no list at all
  kIdentity,     // the client prefers the body as it is
  kWildcard,     // "*" chose the first offer that the header does not name
  kOffered,      // the client named one of the offers
};

struct Chosen {
  Choice choice = Choice::kNoHeader;
  size_t offer = 0;  // kWildcard, kOffered
};

// `header`: the Accept-Encoding field; data() == nullptr if there is none. The highest weight wins; among equal ones
// the last offer that asks for it, else the client's order.
Chosen choose_encoding(std::string_view header, std::span<const Offer> offers);

}  // namespace weir::filters::compressor
