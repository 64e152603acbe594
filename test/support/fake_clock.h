// Time that stands still until a test moves it.
#pragma once

#include "core/base/time.h"

namespace weir::test {

class FakeClock final : public Clock {
 public:
  MonoTime mono_now() override { return mono_; }
  WallTime wall_now() override { return wall_; }
  void advance(Duration by) {
    mono_ += by;
    wall_ += by;
  }

 private:
  MonoTime mono_{1'000s};
  WallTime wall_{1'700'000'000s};
};

}  // namespace weir::test
