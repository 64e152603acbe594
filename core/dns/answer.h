// What a resolver is asked for and what it says.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/net/address.h"

namespace weir::dns {

enum class FamilyPolicy : uint8_t {
  kAuto,  // IPv6, and only if there is none, IPv4
  kV4Only,
  kV6Only,
  kV4Preferred,  // IPv4, and only if there is none, IPv6
  kAll,
};

enum class Outcome : uint8_t {
  kFound,
  kNone,  // there is no such name, or it has no address of the family: an answer like any other
  kTimeout,
  kFailed,  // no server answered sensibly
};
std::string_view outcome_name(Outcome outcome);

struct Answer {
  Outcome outcome = Outcome::kFailed;
  // Without ports, each once, in the order of the records; IPv6 first where both were asked for.
  std::vector<net::Address> addresses;
  // The lowest of the records, aliases included. Nothing: from /etc/hosts, from the name itself, or empty.
  std::optional<Duration> ttl;
  // The other family was asked for, too, and no server answered that: which, and kTimeout or kFailed.
  struct Unanswered {
    net::Family family;
    Outcome outcome;
  };
  std::optional<Unanswered> unanswered;

  // Whether a server (or /etc/hosts) has answered: what it says replaces what was known.
  bool answered() const { return outcome == Outcome::kFound || outcome == Outcome::kNone; }
  bool complete() const { return answered() && !unanswered.has_value(); }
};

}  // namespace weir::dns
