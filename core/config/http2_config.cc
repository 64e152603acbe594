#include "core/config/http2_config.h"

#include <algorithm>

#include "core/config/shared_messages.h"
#include "envoy/config/core/v3/protocol.pb.h"

namespace weir::config {

void translate(const envoy::config::core::v3::Http2ProtocolOptions& message, http::h2::Options& to) {
  const auto read = [](bool has, const google::protobuf::UInt32Value& value, uint32_t& out) {
    if (has) out = value.value();
  };
  read(message.has_hpack_table_size(), message.hpack_table_size(), to.hpack_table_size);
  read(message.has_max_concurrent_streams(), message.max_concurrent_streams(), to.max_concurrent_streams);
  read(message.has_initial_stream_window_size(), message.initial_stream_window_size(), to.stream_window);
  read(message.has_initial_connection_window_size(), message.initial_connection_window_size(), to.connection_window);
  to.allow_connect = message.allow_connect();
  read(message.has_max_outbound_frames(), message.max_outbound_frames(), to.max_outbound_frames);
  read(message.has_max_outbound_control_frames(), message.max_outbound_control_frames(),
       to.max_outbound_control_frames);
  read(message.has_max_consecutive_inbound_frames_with_empty_payload(),
       message.max_consecutive_inbound_frames_with_empty_payload(), to.max_empty_frames);
  read(message.has_max_inbound_priority_frames_per_stream(), message.max_inbound_priority_frames_per_stream(),
       to.max_priority_frames_per_stream);
  read(message.has_max_inbound_window_update_frames_per_data_frame_sent(),
       message.max_inbound_window_update_frames_per_data_frame_sent(), to.max_window_updates_per_data_frame);
  to.stream_errors = message.has_override_stream_error_on_invalid_http_message()
                         ? message.override_stream_error_on_invalid_http_message().value()
                         : message.stream_error_on_invalid_http_messaging();
  if (!message.has_connection_keepalive()) return;
  const auto& keepalive = message.connection_keepalive();
  to.keepalive.interval = to_duration(keepalive.interval());
  to.keepalive.timeout = to_duration(keepalive.timeout());
  to.keepalive.idle_interval = to_duration(keepalive.connection_idle_interval());
  if (keepalive.has_interval_jitter())
    to.keepalive.jitter_percent = static_cast<uint32_t>(std::clamp(keepalive.interval_jitter().value(), 0.0, 100.0));
}

}  // namespace weir::config
