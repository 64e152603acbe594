// The walk through X.509 for two dates (core/config/lint/certificate_dates.h): DER as it is, and as PEM text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/config/lint/certificate_dates.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::config::lint;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto dates = dates_in_der(bytes);
  // A date that is no date would have been refused.
  if (dates.has_value()) {
    const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(dates->not_after));
    if (!day.ok() || day.year() < std::chrono::year(0) || day.year() > std::chrono::year(10000)) abort();
  }
  if (dates_in_pem(bytes).size() > kMaxInPem) abort();
  return 0;
}
