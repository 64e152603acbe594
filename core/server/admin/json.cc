#include "core/server/admin/json.h"

#include "core/config/address_config.h"
#include "core/net/address.h"
#include "core/stats/escape.h"
#include "envoy/config/core/v3/address.pb.h"
#include "google/protobuf/timestamp.pb.h"
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

void set_time(WallTime time, google::protobuf::Timestamp& out) {
  int64_t ns = time.time_since_epoch().count();
  out.set_seconds(ns / 1'000'000'000);
  out.set_nanos(static_cast<int32_t>(ns % 1'000'000'000 / 1'000'000 * 1'000'000));
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  stats::append_escaped(out, text, stats::Escape::kJson);
  return out + '"';
}

void answer_ok(const AdminRequest& request, AdminResponse& response) {
  if (request.wants_json()) {
    response.answer_json_text("{\"result\":\"OK\"}\n");
  } else {
    response.body = "OK\n";
  }
}

std::string address_text(const net::Address& address) {
  const std::string listener = config::internal_listener_of(address);
  return listener.empty() ? address.to_string() : "envoy://" + listener + "/";
}

void fill_address(const net::Address& address, envoy::config::core::v3::Address& out) {
  if (address.is_ip()) {
    out.mutable_socket_address()->set_address(address.ip_to_string());
    out.mutable_socket_address()->set_port_value(address.port());
  } else if (std::string listener = config::internal_listener_of(address); !listener.empty()) {
    out.mutable_envoy_internal_address()->set_server_listener_name(std::move(listener));
  } else {
    out.mutable_pipe()->set_path(address.to_string());
  }
}

}  // namespace weir::admin
