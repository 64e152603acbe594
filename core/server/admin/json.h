// Messages as the JSON that admin endpoints answer with, field names as in the published files.
#pragma once

#include <string>

#include "core/server/admin/message.h"

namespace google::protobuf {
class Message;
}
namespace envoy::config::core::v3 {
class Address;
}
namespace weir::net {
class Address;
}

namespace weir::admin {

enum class Defaults { kOmit, kPrint };  // of fields that are not set

void answer_json(const google::protobuf::Message& message, Defaults defaults, AdminResponse& response);
void fill_address(const net::Address& address, envoy::config::core::v3::Address& out);

}  // namespace weir::admin
