#include "core/filter/network_filter.h"

namespace weir::filter {

void describe(ConnectionHost& host, stream::StreamInfo& info) {
  info.connection_id = host.connection_id();
  info.downstream_remote = host.remote();
  info.connection_remote = &host.remote();
  info.downstream_direct_remote = host.connection().remote();
  info.downstream_local = host.local();
  if (host.local_restored()) info.downstream_direct_local = host.connection().local();
  info.filter_chain_name = host.filter_chain_name();
  info.requested_server_name = host.server_name();
  info.tls = host.tls();
  info.connection = host.info_if_any();
  if (info.connection == nullptr) return;
  info.metadata = info.connection->metadata();
  if (info.connection_details.empty()) info.connection_details = info.connection->termination_details;
}

}  // namespace weir::filter
