#include "core/base/message_path.h"

#include <algorithm>

namespace weir {
namespace {

bool reads_as_name(std::string_view name) {
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

}  // namespace

void append_path_name(std::string& path, std::string_view name) {
  if (reads_as_name(name)) {
    if (!path.empty()) {
      path += '.';
    }
    path += name;
    return;
  }
  path += "[\"";
  for (const char c : name) {
    if (c == '"' || c == '\\') {
      path += '\\';
    }
    path += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  }
  path += "\"]";
}

void append_path_item(std::string& path, size_t index) { path += "[" + std::to_string(index) + "]"; }

}  // namespace weir
