// Errors of the control plane: configuration, factories, start-up. The data plane uses small enums instead.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {

using Status = absl::Status;
template <class T>
using Result = absl::StatusOr<T>;

// `return invalid("clusters[3].table_size: 65536 is not prime; nearest are 65521 and 65537");`
inline Status invalid(std::string_view message) {
  return absl::InvalidArgumentError(absl::string_view(message.data(), message.size()));
}
inline Status unavailable(std::string_view message) {
  return absl::UnavailableError(absl::string_view(message.data(), message.size()));
}
inline std::string message_of(const Status& status) { return std::string(status.message()); }

// Of an error that begins with the field it is about: "substitution: \2 names a group that ...".
struct FieldFault {
  std::string field;
  std::string text;
};
inline FieldFault field_fault(const Status& status) {
  std::string text = message_of(status);
  const size_t colon = text.find(": ");
  return {text.substr(0, colon), text.substr(colon + 2)};
}

}  // namespace weir

#define WEIR_RETURN_IF_ERROR(expression)              \
  do {                                                \
    if (auto status_ = (expression); !status_.ok()) { \
      return status_;                                 \
    }                                                 \
  } while (0)
