// Values as peers send them in messages: google.protobuf.Value and Struct become stream::Value.
#pragma once

#include "core/base/arena.h"
#include "core/stream/value.h"

namespace google::protobuf {
class Struct;
class Value;
}  // namespace google::protobuf

namespace weir::filters {

// In the arena. As deep as the message, which protobuf limits.
stream::Value value_of(const google::protobuf::Value& message, Arena& arena);
stream::Value value_of(const google::protobuf::Struct& message, Arena& arena);

}  // namespace weir::filters
