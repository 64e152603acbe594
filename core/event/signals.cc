#include "core/event/signals.h"

#include <uv.h>

namespace weir::event {

Signals::Signals(Lane& lane, std::initializer_list<int> signals, Handler handler)
    : lane_(lane), handler_(std::move(handler)) {
  for (int signal : signals) {
    auto handle = std::make_unique<uv_signal_t>();
    handle->data = this;
    WEIR_CHECK(uv_signal_init(lane.uv(), handle.get()) == 0);
    uv_signal_start(
        handle.get(), [](uv_signal_t* from, int number) { static_cast<Signals*>(from->data)->handler_(number); },
        signal);
    handles_.push_back(std::move(handle));
  }
}

Signals::~Signals() {
  for (auto& handle : handles_) uv_close(reinterpret_cast<uv_handle_t*>(handle.get()), nullptr);
  // The handles' memory is ours: libuv must have let go of it before it goes.
  uv_run(lane_.uv(), UV_RUN_NOWAIT);
}

}  // namespace weir::event
