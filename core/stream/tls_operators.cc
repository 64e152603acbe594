// Operators that print what is known of TLS, on both sides.
#include "core/stream/operators.h"

namespace weir::stream {
namespace {

struct TlsOperator {
  std::string_view name;
  bool (*append)(const LogSubject& subject, TextBuffer& out);
};

// NOLINTBEGIN: one line per operator reads best.
constexpr TlsOperator kOperators[] = {
    {"TLS_JA3_FINGERPRINT",
     [](const LogSubject& s, TextBuffer& out) {
       return s.info.connection != nullptr && append_text(out, s.info.connection->ja3);
     }},
    {"TLS_JA4_FINGERPRINT",
     [](const LogSubject& s, TextBuffer& out) {
       return s.info.connection != nullptr && append_text(out, s.info.connection->ja4);
     }},
};
// NOLINTEND

class Tls final : public Operator {
 public:
  explicit Tls(const TlsOperator& op) : op_(op) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override { return op_.append(subject, out); }

 private:
  const TlsOperator& op_;
};

}  // namespace

Result<std::unique_ptr<Operator>> make_tls_operator(const OperatorCall& call) {
  for (const TlsOperator& op : kOperators) {
    if (op.name != call.name) continue;
    if (call.argument.data() != nullptr) return no_argument_error(call);
    return std::make_unique<Tls>(op);
  }
  return nullptr;
}

void list_tls_operators(void (*visit)(std::string_view name, void* user), void* user) {
  for (const TlsOperator& op : kOperators) visit(op.name, user);
}

}  // namespace weir::stream
