// A ProxyWorld (test/core/proxy) with tcp_proxy, or another network filter, as its listener's chain.
#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <string>

#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "test/core/proxy/proxy_world.h"

namespace weir::test {

using TcpProxyConfig = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

// A chain of the one filter that this message configures.
WorldOptions network_filter(const google::protobuf::Message& config);

// To the cluster "c", with statistics below "tcp.t.", logging lines of kTcpLog unless `options` have another format.
// `before`: what a filter in front of it leaves in the connection's filter state.
WorldOptions tcp_proxy(const std::function<void(TcpProxyConfig&)>& configure = {}, WorldOptions options = {},
                       std::function<void(stream::FilterState&)> before = {});
// FLAGS RECEIVED SENT "why the client's connection was closed here" "why the upstream's was" TYPE
inline constexpr std::string_view kTcpLog =
    "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DOWNSTREAM_LOCAL_CLOSE_REASON% %UPSTREAM_LOCAL_CLOSE_REASON% "
    "%ACCESS_LOG_TYPE%";

// What `from` can be made to send, in turns with the world, while nobody but `to` reads. True: all of it went.
bool pump(ProxyWorld& world, Peer& from, std::string_view bytes, Peer* to, std::string& received);

}  // namespace weir::test
