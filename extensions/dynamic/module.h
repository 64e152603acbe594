// A plugin that was loaded, checked and started. Its tables are copies as long as this weir knows them: what an older
// plugin does not have is null. [immutable], and never destroyed: nothing is ever unloaded.
#pragma once

#include <string>

#include "weir/plugin.h"

namespace weir::extensions::dynamic {

struct Module {
  std::string id;    // "com.example.api_key/1"
  std::string hash;  // of the file's content
  std::string copy;  // the file that is mapped
  bool has_http_filter = false;
  bool has_load_balancer = false;
  weir_http_filter http_filter{};
  weir_load_balancer load_balancer{};
};

}  // namespace weir::extensions::dynamic
