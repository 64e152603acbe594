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
    "FILE_CONTENT",
    "SECRET",
    "TYPED_CEL",
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
  list_tls_operators(Nearest::offer, &nearest);
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
  for (auto make : {make_field_operator, make_message_operator, make_metadata_operator, make_attempt_operator,
                    make_tls_operator, make_coalesce}) {
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
