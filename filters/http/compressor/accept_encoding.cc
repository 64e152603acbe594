#include "filters/http/compressor/accept_encoding.h"

#include "core/http/chars.h"
#include "core/http/parameters.h"

namespace weir::filters::compressor {
namespace {

// The coding that a member of the list names.
std::string_view coding_of(std::string_view member) {
  const std::string_view name = http::without_parameters(member);
  return http::equals_ignoring_case(name, "x-gzip") ? "gzip" : name;  // RFC 9110 8.4.1.3
}

// The first offer that "*" means, one that no member names (RFC 9110 12.5.3); the number of offers if there is none.
size_t first_unnamed(std::string_view header, std::span<const Offer> offers) {
  size_t at = 0;
  for (; at < offers.size(); ++at) {
    bool named = false;
    http::for_each_member(header, [&](std::string_view member) {
      named = named || http::equals_ignoring_case(coding_of(member), offers[at].encoding);
    });
    if (!named) break;
  }
  return at;
}

}  // namespace

Chosen choose_encoding(std::string_view header, std::span<const Offer> offers) {
  if (header.data() == nullptr) return {};
  Chosen best{Choice::kNotAccepted, 0};
  int best_weight = 0;
  bool best_first = false;
  http::for_each_member(header, [&](std::string_view member) {
    std::string_view name = coding_of(member);
    size_t end = member.find(';');
    int weight = 1000;
    while (end != std::string_view::npos) {
      member.remove_prefix(end + 1);
      end = member.find(';');
      std::string_view parameter = http::trim_spaces(member.substr(0, end));
      if (parameter.size() > 1 && http::to_lower(parameter[0]) == 'q' && parameter[1] == '=')
        weight = http::parse_weight(parameter.substr(2));
    }
    if (weight <= 0 || weight < best_weight) return;
    Chosen here{Choice::kNotAccepted, 0};
    bool first = false;
    if (name == "*") {
      here.offer = first_unnamed(header, offers);
      if (here.offer < offers.size()) here.choice = Choice::kWildcard;
    } else if (http::equals_ignoring_case(name, "identity")) {
      here.choice = Choice::kIdentity;
    } else {
      for (size_t i = 0; i < offers.size(); ++i) {
        if (!http::equals_ignoring_case(name, offers[i].encoding)) continue;
        here = {Choice::kOffered, i};
        first = offers[i].first_on_ties;
        break;
      }
    }
    if (here.choice == Choice::kNotAccepted) return;
    bool wins_tie = first && (!best_first || here.offer > best.offer);
    if (weight > best_weight || wins_tie) {
      best = here;
      best_weight = weight;
      best_first = first;
    }
  });
  return best;
}

}  // namespace weir::filters::compressor
