// What BoringSSL has to say of a failure: its queue of errors, one per thread, as text.
#pragma once

#include <string>
#include <string_view>

namespace weir::tls {

// Everything in the queue, which is empty afterwards, as the published log lines have it:
// "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end". `verify_detail` goes
// behind the failure of a verification. Empty: there was none.
struct Failure {
  std::string text;
  bool certificate_missing = false;  // the peer did not show the one that it had to
  bool verification = false;         // it showed one that was refused
};
Failure take_failure(std::string_view verify_detail);

// The last error of the queue in its words ("BAD_DECRYPT"), which is empty afterwards. For errors of configuration.
std::string take_reason();
void forget_errors();

}  // namespace weir::tls
