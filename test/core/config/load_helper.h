// What the tests of this folder share: load a text, look at the message and at what was said.
#pragma once
#include <string>
#include <string_view>

#include "core/config/proto_loader.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::config {

template <typename M = envoy::config::bootstrap::v3::Bootstrap>
struct Loaded {
  explicit Loaded(std::string_view text, const LoadOptions& options = {}, std::string_view name = "a.yaml") {
    ok = load_message(text, name, message, index, diagnostics, options);
  }
  std::string said() const { return diagnostics.text(); }

  M message;
  PositionIndex index;
  Diagnostics diagnostics;
  bool ok = false;
};

}  // namespace weir::config
