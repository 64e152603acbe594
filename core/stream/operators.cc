// From an operator's name to the operator, or to an error that helps.
#include "core/stream/operators.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace weir::stream {
namespace {

// Published names that need parts weir does not have yet (TLS facts, ...).
constexpr std::string_view kNotYet[] = {
    "CEL",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_EMAIL_SAN",
    "DOWNSTREAM_LOCAL_IP_SAN",
    "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER_SERIAL",
    "DOWNSTREAM_PEER_OTHERNAME_SAN",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_GROUP",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "FILE_CONTENT",
    "SECRET",
    "SPAN_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TYPED_CEL",
    "UPSTREAM_FILTER_STATE",
    "UPSTREAM_LOCAL_DNS_SAN",
    "UPSTREAM_LOCAL_IP_SAN",
    "UPSTREAM_LOCAL_URI_SAN",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_CERT_V_END",
    "UPSTREAM_PEER_CERT_V_START",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_IP_SAN",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    "UPSTREAM_SERVER_NAME",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_GROUP",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

// Levenshtein's distance, case folded.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (upper(a[i - 1]) == upper(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

struct Nearest {
  std::string_view wanted;
  std::string best;
  size_t best_distance = SIZE_MAX;

  static void offer(std::string_view name, void* user) {
    auto* nearest = static_cast<Nearest*>(user);
    size_t found = distance(nearest->wanted, name);
    if (found >= nearest->best_distance) return;
    nearest->best_distance = found;
    nearest->best = name;
  }
};

std::string suggestion_for(std::string_view name) {
  Nearest nearest{name.substr(0, 64), {}, SIZE_MAX};
  list_field_operators(Nearest::offer, &nearest);
  list_message_operators(Nearest::offer, &nearest);
  list_metadata_operators(Nearest::offer, &nearest);
  list_attempt_operators(Nearest::offer, &nearest);
  Nearest::offer("COALESCE", &nearest);
  // Farther than this it is no slip but another thing.
  return nearest.best_distance <= std::max<size_t>(2, name.size() / 3) ? nearest.best : std::string();
}

}  // namespace

Status operator_error(const OperatorCall& call, std::string_view what, std::string_view more) {
  std::string message(call.text.substr(0, 200));
  message += ": ";
  message += what;
  message += " (at character " + std::to_string(call.place) + ")";
  if (!more.empty()) (message += "; ") += more;
  return invalid(message);
}

Status no_argument_error(const OperatorCall& call) {
  return operator_error(call, "takes no argument", "write %" + std::string(call.name) + "%");
}

Result<std::unique_ptr<Operator>> make_operator(const OperatorCall& call) {
  for (auto make :
       {make_field_operator, make_message_operator, make_metadata_operator, make_attempt_operator, make_coalesce}) {
    auto made = make(call);
    if (!made.ok() || *made != nullptr) return made;
  }
  if (std::find(std::begin(kNotYet), std::end(kNotYet), call.name) != std::end(kNotYet)) {
    return invalid("%" + std::string(call.name) + "% is not supported by weir yet (at character " +
                   std::to_string(call.place) + ")");
  }
  std::string suggestion = suggestion_for(call.name);
  return operator_error(call, "unknown operator",
                        suggestion.empty() ? "%% prints a percent sign" : "did you mean " + suggestion + "?");
}

bool append_text(TextBuffer& out, std::string_view text) {
  out += text;
  return !text.empty();
}

bool append_unsigned(TextBuffer& out, uint64_t number) {
  char buffer[20];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
  return true;
}

bool append_signed(TextBuffer& out, int64_t number) {
  char buffer[20];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
  return true;
}

}  // namespace weir::stream
