// The built-in command operators. Private to this folder.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/stream/formatter.h"

namespace weir::stream {

// One use of an operator as the format's text has it.
struct OperatorCall {
  std::string_view name;
  std::string_view argument;  // data() is null without parentheses
  std::string_view text;      // "%REQ(:METHOD):10%"
  size_t place;               // of its '%', from 1
};

Result<std::unique_ptr<Operator>> make_operator(const OperatorCall& call);

// make_operator's parts: each returns nullptr if the name is not one of its own.
Result<std::unique_ptr<Operator>> make_field_operator(const OperatorCall& call);     // facts of StreamInfo
Result<std::unique_ptr<Operator>> make_message_operator(const OperatorCall& call);   // headers, path, gRPC status
Result<std::unique_ptr<Operator>> make_metadata_operator(const OperatorCall& call);  // metadata, filter state

Result<std::unique_ptr<Operator>> make_attempt_operator(const OperatorCall& call);  // what was tried; ids
Result<std::unique_ptr<Operator>> make_tls_operator(const OperatorCall& call);      // certificates, handshakes
Result<std::unique_ptr<Operator>> make_coalesce(const OperatorCall& call);          // the first that has a value

// `%REQ%: a header name is needed, at character 7; ...`
Status operator_error(const OperatorCall& call, std::string_view what, std::string_view more = {});
Status no_argument_error(const OperatorCall& call);

// Every operator name of the parts, for "did you mean".
void list_field_operators(void (*visit)(std::string_view name, void* user), void* user);
void list_message_operators(void (*visit)(std::string_view name, void* user), void* user);
void list_metadata_operators(void (*visit)(std::string_view name, void* user), void* user);
void list_attempt_operators(void (*visit)(std::string_view name, void* user), void* user);
void list_tls_operators(void (*visit)(std::string_view name, void* user), void* user);

// For implementations.
bool append_text(TextBuffer& out, std::string_view text);  // false if empty
bool append_unsigned(TextBuffer& out, uint64_t number);
bool append_signed(TextBuffer& out, int64_t number);

}  // namespace weir::stream
