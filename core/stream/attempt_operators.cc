// Operators that list what was tried, and those that stand for no fact of the stream: ids, flags of filters.
#include <random>

#include "core/base/uuid.h"
#include "core/stream/host_text.h"
#include "core/stream/operators.h"

namespace weir::stream {
namespace {

using AppendHost = bool (*)(const AttemptedHost& host, TextBuffer& out);

bool append_address(const AttemptedHost& host, TextBuffer& out) {
  char buffer[net::Address::kMaxText];
  return append_text(out, host.text) || append_text(out, host.address.to_text(buffer));
}

bool append_ip(const AttemptedHost& host, TextBuffer& out) {
  char buffer[net::Address::kMaxText];
  return append_text(out, host.address.ip_to_text(buffer));
}

struct ListOperator {
  std::string_view name;
  AppendHost append;
};
constexpr ListOperator kLists[] = {
    {"UPSTREAM_HOSTS_ATTEMPTED", append_address},
    {"UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", append_ip},
    {"UPSTREAM_HOST_NAMES_ATTEMPTED",
     [](const AttemptedHost& host, TextBuffer& out) {
       return append_text(out, host.name) || append_address(host, out);
     }},
    {"UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
     [](const AttemptedHost& host, TextBuffer& out) {
       return append_text(out, without_port(host.name)) || append_ip(host, out);
     }},
    {"UPSTREAM_CONNECTION_IDS_ATTEMPTED",
     [](const AttemptedHost& host, TextBuffer& out) {
       return host.connection_id != 0 && append_unsigned(out, host.connection_id);
     }},
};

class List final : public Operator {
 public:
  explicit List(AppendHost append) : append_(append) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    bool any = false;
    for (const AttemptedHost* host = subject.info.upstream.attempted; host != nullptr; host = host->next) {
      const size_t from = out.size();
      if (any) out += ',';
      if (append_(*host, out)) {
        any = true;
      } else {
        out.resize(from);
      }
    }
    return any;
  }

 private:
  AppendHost append_;
};

// A UUID (version 4) for each time it is printed.
class UniqueId final : public Operator {
 public:
  bool append(const LogSubject&, TextBuffer& out) const override {
    thread_local Random random((uint64_t{std::random_device()()} << 32) | std::random_device()());
    char text[kUuidSize];
    write_uuid(text, random);
    out.append(text, kUuidSize);
    return true;
  }
};

// No filter of weir sets any.
class CustomFlags final : public Operator {
 public:
  bool append(const LogSubject&, TextBuffer&) const override { return false; }
};

}  // namespace

Result<std::unique_ptr<Operator>> make_attempt_operator(const OperatorCall& call) {
  std::unique_ptr<Operator> made;
  for (const ListOperator& list : kLists) {
    if (list.name == call.name) made = std::make_unique<List>(list.append);
  }
  const bool lists = made != nullptr;
  if (call.name == "UNIQUE_ID") made = std::make_unique<UniqueId>();
  if (call.name == "CUSTOM_FLAGS") made = std::make_unique<CustomFlags>();
  if (made != nullptr && call.argument.data() != nullptr) return no_argument_error(call);
  if (lists) want_records(kAttemptRecords);
  return made;
}

void list_attempt_operators(void (*visit)(std::string_view name, void* user), void* user) {
  for (const ListOperator& list : kLists) visit(list.name, user);
  for (std::string_view name : {"UNIQUE_ID", "CUSTOM_FLAGS"}) visit(name, user);
}

}  // namespace weir::stream
