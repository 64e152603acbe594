// Durations in the configuration of plugins.
#pragma once

#include "core/base/time.h"

namespace weir::filter {

// Of a google.protobuf.Duration; saturates, as duration_of() does. A template, so that who includes this needs no
// generated header but its own.
template <class Message>
Duration to_duration(const Message& message) {
  return duration_of(message.seconds(), message.nanos());
}

}  // namespace weir::filter
