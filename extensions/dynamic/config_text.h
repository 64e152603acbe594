// A plugin's configuration as the text it gets: a string as it is, anything else as JSON.
#pragma once

#include <string>

#include "core/base/status.h"

namespace google::protobuf {
class Any;
class Value;
}  // namespace google::protobuf

namespace weir::extensions::dynamic {

Result<std::string> config_text(const google::protobuf::Value& value);
// StringValue and BytesValue: what is inside. Other types must be known to this binary.
Result<std::string> config_text(const google::protobuf::Any& any);

}  // namespace weir::extensions::dynamic
