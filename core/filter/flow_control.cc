#include "core/filter/flow_control.h"

namespace weir::filter {

std::string FlowControl::reasons_text() const {
  static constexpr const char* kNames[] = {"chain_buffer",    "upstream_connecting", "upstream_full",
                                           "downstream_full", "replay_full",         "filter"};
  std::string text;
  for (int i = 0; i < 6; ++i) {
    if (((reasons_ >> i) & 1) == 0) continue;
    if (!text.empty()) text += ',';
    text += kNames[i];
  }
  return text;
}

}  // namespace weir::filter
