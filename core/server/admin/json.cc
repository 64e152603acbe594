#include "core/server/admin/json.h"

#include "core/net/address.h"
#include "envoy/config/core/v3/address.pb.h"
#include "google/protobuf/util/json_util.h"

namespace weir::admin {

void answer_json(const google::protobuf::Message& message, Defaults defaults, AdminResponse& response) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = defaults == Defaults::kPrint;
  response.content_type = "application/json";
  auto status = google::protobuf::util::MessageToJsonString(message, &response.body, options);
  if (!status.ok()) response.fail(500, "cannot print this as JSON: " + std::string(status.message()) + "\n");
}

void fill_address(const net::Address& address, envoy::config::core::v3::Address& out) {
  if (address.is_ip()) {
    out.mutable_socket_address()->set_address(address.ip_to_string());
    out.mutable_socket_address()->set_port_value(address.port());
  } else {
    out.mutable_pipe()->set_path(address.to_string());
  }
}

}  // namespace weir::admin
