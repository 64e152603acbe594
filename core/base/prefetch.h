// Memory that will be read in a moment. Lines that are asked for together come together; read one after the other, each
// is waited for. Costs an instruction per 64 bytes: for objects of large tables, of which most requests read another.
#pragma once

#include <cstddef>

namespace weir {

inline void prefetch(const void* at, size_t bytes) {
  for (size_t offset = 0; offset < bytes; offset += 64) __builtin_prefetch(static_cast<const char*>(at) + offset);
}

template <class T>
inline void prefetch(const T& object) {
  prefetch(&object, sizeof(T));
}

}  // namespace weir
