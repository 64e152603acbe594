// Conditions of policies: trees of every, some and not over single facts of a request. What the API calls permissions
// and principals differ in names alone. Built on main; [immutable] after that.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "core/match/address_ranges.h"
#include "core/match/header_matcher.h"
#include "core/match/matcher_input.h"
#include "core/match/path_template.h"
#include "core/match/stream_matchers.h"
#include "core/match/string_matcher.h"
#include "core/match/value_matcher.h"

namespace weir::filters::rbac {

struct Condition {
  struct Always {};
  struct Every {
    std::vector<Condition> of;
  };
  struct Some {
    std::vector<Condition> of;
  };
  struct Not {
    std::vector<Condition> of;  // one
  };
  struct AddressIn {
    enum class Of : uint8_t {
      kDestination,
      kRemote,            // after x-forwarded-for
      kConnectionRemote,  // as the PROXY protocol has it
      kDirectRemote,      // of the socket
    };
    Of which = Of::kRemote;
    match::AddressRanges ranges;
  };
  struct DestinationPortIn {
    int64_t first = 0;
    int64_t end = 0;  // behind the last
  };
  struct MetadataIs {
    bool of_route = false;  // else what filters of this stream have set
    match::MetadataMatcher value;
  };
  // What the client asked for by SNI; an empty text without it.
  struct ServerName {
    match::StringMatcher name;
  };
  // Somebody who has shown a certificate, of that name if there is one. Nobody without TLS.
  struct Authenticated {
    std::optional<match::StringMatcher> name;
  };
  struct UrlTemplate {
    match::PathTemplate path;
  };
  using What =
      std::variant<Always, Every, Some, Not, AddressIn, DestinationPortIn, MetadataIs, ServerName, Authenticated,
                   UrlTemplate, match::HeaderMatcher, match::PathMatcher, match::FilterStateMatcher>;

  What what;

  // No lock, no heap. `facts` has request headers if the condition was read for requests. `lets_in`: who fulfils it
  // gets in, so that of a header that comes several times every value has to fit; who is kept out is so for any of
  // them.
  bool holds(const match::Facts& facts, bool lets_in) const noexcept;
};

}  // namespace weir::filters::rbac
