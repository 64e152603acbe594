#include "core/filter/network_filter.h"

namespace weir::filter {

void describe(ConnectionHost& host, stream::StreamInfo& info) {
  describe_client(host, info);
  if (info.connection == nullptr) return;
  info.metadata = info.connection->metadata();
  if (info.connection_details.empty()) info.connection_details = info.connection->termination_details;
}

}  // namespace weir::filter
