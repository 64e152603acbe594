// Names of slots for things that several names tell apart: the chain of a listener, the transport socket of a cluster.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace weir::server {

// The parts with a slash between them. Those in a part are written otherwise: no two lists of parts make the same name.
inline std::string slot_name(std::initializer_list<std::string_view> parts) {
  std::string name;
  bool first = true;
  for (const std::string_view part : parts) {
    if (!std::exchange(first, false)) name += '/';
    for (const char c : part) {
      if (c == '/' || c == '~') {
        name += c == '/' ? "~1" : "~0";
      } else {
        name += c;
      }
    }
  }
  return name;
}

}  // namespace weir::server
