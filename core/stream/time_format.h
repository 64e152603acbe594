// Formats points in time the way %START_TIME(...)% asks for it. Compiled once; printing takes no lock and no heap
// (the C library's strftime and gmtime take one, which lanes would meet in).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/time.h"

namespace weir::stream {

enum class Zone : uint8_t { kUtc, kLocal };

class TimeFormat {
 public:
  // strftime's specifiers, and: %s seconds since 1970; %f and %1f..%9f the fraction of the second; %E1S..%E9S seconds
  // with fraction; %Ez "+01:00". An empty format is the default, 2018-01-01T00:00:00.000Z (with "+0100"
  // instead of Z for local time).
  static Result<TimeFormat> compile(std::string_view format, Zone zone);
  void append(WallTime time, std::string& out) const;

 private:
  struct Piece {
    char specifier = 0;  // 0: the literal
    uint8_t digits = 0;  // of the fraction
    std::string literal;
  };
  void append_piece(const Piece& piece, const struct Broken& broken, std::string& out) const;

  Zone zone_ = Zone::kUtc;
  std::vector<Piece> pieces_;  // empty: the default
};

}  // namespace weir::stream
