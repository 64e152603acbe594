// Where finished streams are written down. Loggers are made on main from configuration; log() runs on workers and must
// not block: lines go to a buffer that a thread of its own writes out.
#pragma once

#include "core/stream/stream_info.h"

namespace weir::event {
class Lane;
}

namespace weir::stream {

class AccessLogger {
 public:
  virtual ~AccessLogger() = default;
  // Once per stream (or connection), when its facts are final. [worker]
  virtual void log(const LogSubject& subject, event::Lane& lane) const = 0;
};

}  // namespace weir::stream
