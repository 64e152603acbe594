// Messages as the JSON that admin endpoints answer with, field names as in the published files.
#pragma once

#include <string>
#include <string_view>

#include "core/base/time.h"
#include "core/server/admin/message.h"

namespace google::protobuf {
class Message;
class Timestamp;
}  // namespace google::protobuf
namespace envoy::config::core::v3 {
class Address;
}
namespace weir::net {
class Address;
}

namespace weir::admin {

enum class Defaults { kOmit, kPrint };  // of fields that are not set

void answer_json(const google::protobuf::Message& message, Defaults defaults, AdminResponse& response);
// To the millisecond.
void set_time(WallTime time, google::protobuf::Timestamp& out);
// The text as a JSON string, quotes included.
std::string json_text(std::string_view text);
// "OK", of something that was done.
void answer_ok(const AdminRequest& request, AdminResponse& response);
void fill_address(const net::Address& address, envoy::config::core::v3::Address& out);
// As texts have it: that of an internal listener is "envoy://name/".
std::string address_text(const net::Address& address);

}  // namespace weir::admin
