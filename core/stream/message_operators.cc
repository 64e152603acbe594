// Operators that print headers, trailers and what follows from them.
#include <algorithm>
#include <array>
#include <optional>
#include <random>

#include "core/base/uuid.h"
#include "core/http/header_map.h"
#include "core/http/query.h"
#include "core/stream/grpc_status.h"
#include "core/stream/operators.h"

namespace weir::stream {
namespace {

using http::HeaderId;
using http::HeaderMap;
using http::HeaderName;

enum class Message : uint8_t { kRequest, kResponse, kTrailers };

const HeaderMap* map_of(const LogSubject& subject, Message message) {
  switch (message) {
    case Message::kRequest:
      return subject.request;
    case Message::kResponse:
      return subject.response;
    case Message::kTrailers:
      return subject.response_trailers;
  }
  return nullptr;
}

std::string_view before_query(std::string_view path) { return path.substr(0, path.find('?')); }

// A header that is present and empty is a value.
bool append_present(TextBuffer& out, std::string_view value) {
  if (value.data() == nullptr) return false;
  out += value;
  return true;
}

class Header final : public Operator {
 public:
  Header(Message message, bool cut_query, HeaderName name, HeaderName other, bool has_other)
      : message_(message),
        cut_query_(cut_query),
        has_other_(has_other),
        name_(std::move(name)),
        other_(std::move(other)) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    const HeaderMap* headers = map_of(subject, message_);
    if (headers == nullptr) return false;
    std::string_view value = headers->get(name_);
    if (value.data() == nullptr && has_other_) value = headers->get(other_);
    return append_present(out, cut_query_ ? before_query(value) : value);
  }

 private:
  Message message_;
  bool cut_query_;
  bool has_other_;
  HeaderName name_;
  HeaderName other_;
};

// Where a name or path comes from when a rewrite may have replaced it.
enum class Origin : uint8_t { kOriginalOrCurrent, kOriginal, kCurrent };

std::string_view get_with_origin(const HeaderMap& headers, Origin origin, HeaderId original, HeaderId current) {
  std::string_view value;
  if (origin != Origin::kCurrent) value = headers.get(original);
  if (value.data() == nullptr && origin != Origin::kOriginal) value = headers.get(current);
  return value;
}

std::string_view get_path(const LogSubject& subject, Origin origin) {
  if (subject.request == nullptr) return {};
  return get_with_origin(*subject.request, origin, HeaderId::kXEnvoyOriginalPath, HeaderId::kPath);
}

class Path final : public Operator {
 public:
  Path(bool with_query, Origin origin) : with_query_(with_query), origin_(origin) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    std::string_view path = get_path(subject, origin_);
    return append_present(out, with_query_ ? path : before_query(path));
  }

 private:
  bool with_query_;
  Origin origin_;
};

class ServerName final : public Operator {
 public:
  enum class Order : uint8_t { kSniOnly, kSniFirst, kHostFirst };
  ServerName(Order order, Origin origin) : order_(order), origin_(origin) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    if (order_ != Order::kHostFirst && append_text(out, subject.info.requested_server_name)) return true;
    if (order_ != Order::kSniOnly && subject.request != nullptr) {
      std::string_view host =
          get_with_origin(*subject.request, origin_, HeaderId::kXEnvoyOriginalHost, HeaderId::kAuthority);
      if (append_text(out, host)) return true;
    }
    return order_ == Order::kHostFirst && append_text(out, subject.info.requested_server_name);
  }

 private:
  Order order_;
  Origin origin_;
};

std::string_view query_of(const LogSubject& subject) {
  std::string_view path = get_path(subject, Origin::kCurrent);
  size_t mark = path.find('?');
  return mark == std::string_view::npos ? std::string_view() : path.substr(mark + 1);
}

class QueryParameter final : public Operator {
 public:
  explicit QueryParameter(std::string name) : name_(std::move(name)) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    return append_present(out, http::find_decoded_parameter(query_of(subject), name_));
  }

 private:
  std::string name_;
};

class QueryParameters final : public Operator {
 public:
  explicit QueryParameters(bool decoded) : decoded_(decoded) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    const std::string_view query = query_of(subject);
    if (!decoded_) return append_text(out, query);
    http::append_decoded(query, out);
    return !query.empty();
  }

 private:
  bool decoded_;
};

struct GrpcName {
  std::string_view camel;
  std::string_view snake;
};
constexpr GrpcName kGrpcNames[] = {
    {"OK", "OK"},
    {"Canceled", "CANCELLED"},
    {"Unknown", "UNKNOWN"},
    {"InvalidArgument", "INVALID_ARGUMENT"},
    {"DeadlineExceeded", "DEADLINE_EXCEEDED"},
    {"NotFound", "NOT_FOUND"},
    {"AlreadyExists", "ALREADY_EXISTS"},
    {"PermissionDenied", "PERMISSION_DENIED"},
    {"ResourceExhausted", "RESOURCE_EXHAUSTED"},
    {"FailedPrecondition", "FAILED_PRECONDITION"},
    {"Aborted", "ABORTED"},
    {"OutOfRange", "OUT_OF_RANGE"},
    {"Unimplemented", "UNIMPLEMENTED"},
    {"Internal", "INTERNAL"},
    {"Unavailable", "UNAVAILABLE"},
    {"DataLoss", "DATA_LOSS"},
    {"Unauthenticated", "UNAUTHENTICATED"},
};

class GrpcStatus final : public Operator {
 public:
  enum class Form : uint8_t { kCamel, kSnake, kNumber };
  explicit GrpcStatus(Form form) : form_(form) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    if (!is_grpc(subject)) return false;
    const std::optional<uint64_t> status = grpc_status(subject);
    if (!status) return false;
    if (form_ == Form::kNumber || *status >= std::size(kGrpcNames)) return append_unsigned(out, *status);
    return append_text(out, form_ == Form::kCamel ? kGrpcNames[*status].camel : kGrpcNames[*status].snake);
  }
  bool numeric() const override { return form_ == Form::kNumber; }

 private:
  static bool is_grpc(const LogSubject& subject) {
    return subject.request != nullptr && is_grpc_type(subject.request->get(HeaderId::kContentType));
  }
  Form form_;
};

// The request id where there is one, so that a line is found under the same id everywhere. Else one that no other
// process has, or has had, the same for all lines of the stream.
class StreamId final : public Operator {
 public:
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    if (subject.request != nullptr && append_text(out, subject.request->get(HeaderId::kXRequestId))) return true;
    char text[kUuidSize];
    write_uuid(text, Random(of_process(0) ^ subject.info.stream_id).next(),
               Random(of_process(1) ^ subject.info.stream_id).next());
    return append_text(out, {text, sizeof(text)});
  }

 private:
  static uint64_t of_process(size_t i) {
    static const std::array<uint64_t, 2> numbers = [] {
      std::random_device source;
      const auto number = [&] { return (uint64_t{source()} << 32) | source(); };
      const uint64_t first = number();
      return std::array{first, number()};
    }();
    return numbers[i];
  }
};

bool is_header_name(std::string_view name) {
  if (name.starts_with(':')) name.remove_prefix(1);
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// Of a request "host" means :authority, as wherever else a header is named.
HeaderName to_name(Message message, std::string_view text) {
  HeaderName name(text);
  return message == Message::kRequest && name.id() == HeaderId::kHost ? HeaderName(HeaderId::kAuthority) : name;
}

Result<std::unique_ptr<Operator>> make_header(const OperatorCall& call, Message message, bool cut_query) {
  std::string shape = "write %" + std::string(call.name) + "(NAME)% or %" + std::string(call.name) + "(NAME?OTHER)%";
  if (call.argument.empty()) return operator_error(call, "the name of a header is needed", shape);
  size_t mark = call.argument.find('?');
  std::string_view name = call.argument.substr(0, mark);
  std::string_view other = mark == std::string_view::npos ? std::string_view() : call.argument.substr(mark + 1);
  if (!is_header_name(name))
    return operator_error(call, "\"" + std::string(name) + "\" is not the name of a header", shape);
  if (mark != std::string_view::npos && !is_header_name(other)) {
    return operator_error(call, "\"" + std::string(other) + "\" is not the name of a header", shape);
  }
  return std::make_unique<Header>(message, cut_query, to_name(message, name),
                                  other.empty() ? HeaderName() : to_name(message, other), !other.empty());
}

// "A:B", either of which may be missing. False if A or B is none of the words.
struct Words {
  std::string_view first[3];  // the first is the default
  std::string_view second[3];
};
bool read_words(std::string_view argument, const Words& words, size_t& first, size_t& second) {
  auto pick = [](std::string_view word, const std::string_view(&all)[3], size_t& at) {
    at = 0;
    if (word.empty()) return true;
    for (; at < 3; ++at) {
      if (all[at] == word) return true;
    }
    return false;
  };
  size_t colon = argument.find(':');
  std::string_view rest = colon == std::string_view::npos ? std::string_view() : argument.substr(colon + 1);
  return pick(argument.substr(0, colon), words.first, first) && pick(rest, words.second, second);
}

Result<std::unique_ptr<Operator>> make_path(const OperatorCall& call) {
  static constexpr Words kWords = {{"WQ", "NQ", "NQ"}, {"ORIG_OR_PATH", "ORIG", "PATH"}};
  size_t query;
  size_t origin;
  if (!read_words(call.argument, kWords, query, origin)) {
    return operator_error(call, "the argument is WQ or NQ (with or without query), then :ORIG, :PATH or :ORIG_OR_PATH");
  }
  return std::make_unique<Path>(query == 0, static_cast<Origin>(origin));
}

Result<std::unique_ptr<Operator>> make_server_name(const OperatorCall& call) {
  static constexpr Words kWords = {{"SNI_ONLY", "SNI_FIRST", "HOST_FIRST"}, {"ORIG_OR_HOST", "ORIG", "HOST"}};
  size_t order;
  size_t origin;
  if (!read_words(call.argument, kWords, order, origin)) {
    return operator_error(call,
                          "the argument is SNI_ONLY, SNI_FIRST or HOST_FIRST, then :ORIG, :HOST or :ORIG_OR_HOST");
  }
  return std::make_unique<ServerName>(static_cast<ServerName::Order>(order), static_cast<Origin>(origin));
}

constexpr std::string_view kNames[] = {"REQ",
                                       "REQUEST_HEADER",
                                       "RESP",
                                       "RESPONSE_HEADER",
                                       "TRAILER",
                                       "RESPONSE_TRAILER",
                                       "REQ_WITHOUT_QUERY",
                                       "PATH",
                                       "QUERY_PARAM",
                                       "QUERY_PARAMS",
                                       "REQUESTED_SERVER_NAME",
                                       "GRPC_STATUS",
                                       "GRPC_STATUS_NUMBER",
                                       "STREAM_ID"};

}  // namespace

Result<std::unique_ptr<Operator>> make_message_operator(const OperatorCall& call) {
  std::string_view name = call.name;
  std::string_view argument = call.argument;
  if (name == "REQ" || name == "REQUEST_HEADER") return make_header(call, Message::kRequest, false);
  if (name == "RESP" || name == "RESPONSE_HEADER") return make_header(call, Message::kResponse, false);
  if (name == "TRAILER" || name == "RESPONSE_TRAILER") return make_header(call, Message::kTrailers, false);
  if (name == "REQ_WITHOUT_QUERY") return make_header(call, Message::kRequest, true);
  if (name == "PATH") return make_path(call);
  if (name == "REQUESTED_SERVER_NAME") return make_server_name(call);
  if (name == "QUERY_PARAM") {
    if (argument.empty()) return operator_error(call, "the name of a parameter is needed", "write %QUERY_PARAM(NAME)%");
    return std::make_unique<QueryParameter>(std::string(argument));
  }
  if (name == "QUERY_PARAMS") {
    if (!argument.empty() && argument != "ORIG" && argument != "DECODED") {
      return operator_error(call, "the argument is ORIG or DECODED");
    }
    return std::make_unique<QueryParameters>(argument == "DECODED");
  }
  if (name == "GRPC_STATUS") {
    if (argument.empty() || argument == "CAMEL_STRING") return std::make_unique<GrpcStatus>(GrpcStatus::Form::kCamel);
    if (argument == "SNAKE_STRING") return std::make_unique<GrpcStatus>(GrpcStatus::Form::kSnake);
    if (argument == "NUMBER") return std::make_unique<GrpcStatus>(GrpcStatus::Form::kNumber);
    return operator_error(call, "the argument is CAMEL_STRING, SNAKE_STRING or NUMBER");
  }
  if (name == "GRPC_STATUS_NUMBER" || name == "STREAM_ID") {
    if (argument.data() != nullptr) return no_argument_error(call);
    if (name == "STREAM_ID") return std::make_unique<StreamId>();
    return std::make_unique<GrpcStatus>(GrpcStatus::Form::kNumber);
  }
  return nullptr;
}

void list_message_operators(void (*visit)(std::string_view name, void* user), void* user) {
  for (std::string_view name : kNames) visit(name, user);
}

}  // namespace weir::stream
