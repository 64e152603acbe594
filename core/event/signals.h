// Signals of the process, delivered on a lane's turn. Main's only.
#pragma once

#include <initializer_list>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "core/event/lane.h"

struct uv_signal_s;

namespace weir::event {

// [main] Watches from construction to destruction; destroy it on the lane, outside of its turns.
class Signals {
 public:
  using Handler = absl::AnyInvocable<void(int signal)>;
  Signals(Lane& lane, std::initializer_list<int> signals, Handler handler);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  Lane& lane_;
  Handler handler_;
  std::vector<std::unique_ptr<uv_signal_s>> handles_;
};

}  // namespace weir::event
