#include "core/tls/errors.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace weir::tls {
namespace {

const char* text_or(const char* text, const char* instead) { return text != nullptr ? text : instead; }

}  // namespace

Failure take_failure(std::string_view verify_detail) {
  Failure failure;
  while (uint32_t code = ERR_get_error()) {
    if (failure.text.empty()) failure.text = "TLS_error:";
    failure.text += '|';
    failure.text += std::to_string(code);
    for (const char* part : {ERR_lib_error_string(code), ERR_func_error_string(code), ERR_reason_error_string(code)}) {
      failure.text += ':';
      failure.text += text_or(part, "");
    }
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) continue;
    if (ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) failure.certificate_missing = true;
    if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
      failure.verification = true;
      if (!verify_detail.empty()) failure.text.append(":").append(verify_detail);
    }
  }
  if (!failure.text.empty()) failure.text += ":TLS_error_end";
  return failure;
}

std::string take_reason() {
  // What is said last is the least exact, down to "something failed in another library".
  std::string reason;
  while (const uint32_t code = ERR_get_error()) {
    if (reason.empty() || ERR_GET_REASON(code) >= ERR_NUM_LIBS)
      reason = text_or(ERR_reason_error_string(code), "unknown error");
  }
  return reason.empty() ? "unknown error" : reason;
}

void forget_errors() { ERR_clear_error(); }

}  // namespace weir::tls
