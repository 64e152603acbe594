// The three kinds of "this cannot be": WEIR_ASSERT (debug builds), WEIR_BUG (count, log once in a while, go on) and
// WEIR_CHECK (cannot go on). Never use them on input from a peer or a file.
#pragma once

#include <cstdint>

namespace weir {

[[noreturn]] void check_failed(const char* file, int line, const char* what);
void bug_found(const char* file, int line, const char* what);
// How many WEIR_BUG were met since start; exported as `server.weir_bugs`. [any]
uint64_t bugs_found();

}  // namespace weir

#define WEIR_CHECK(condition)                               \
  do {                                                      \
    if (!(condition)) [[unlikely]]                          \
      ::weir::check_failed(__FILE__, __LINE__, #condition); \
  } while (0)

#ifdef NDEBUG
#define WEIR_ASSERT(condition) \
  do {                         \
  } while (0)
#else
#define WEIR_ASSERT(condition) WEIR_CHECK(condition)
#endif

// `if (WEIR_BUG(x == nullptr)) return;`: true when the impossible happened; aborts in debug builds.
#define WEIR_BUG(condition) ((condition) ? (::weir::bug_found(__FILE__, __LINE__, #condition), true) : false)
