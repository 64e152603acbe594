"""Configurations with everything in them, but each with other settings."""

from dataclasses import dataclass
from typing import Any

from harness.config import (TLS_INSPECTOR, Config, bootstrap, client_tls, cluster, direct, file_access_log, http_listener,
                            http_options, over_tls, route, server_tls, tcp_listener)
from harness.process import Sandbox
from harness.tls import Authority, server_context, write_atomically

from .dice import Dice, EasyDice
from .servers import EitherServer, RandomHttp1Server, RandomHttp2Server, RandomServer, RandomTcpServer

_TYPE = "type.googleapis.com/envoy.extensions."
_SCALED_TIMERS = "type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig"
_UPSTREAM_CODEC = {"name": "codec", "typed_config": {"@type": _TYPE + "filters.http.upstream_codec.v3.UpstreamCodec"}}
_HTTP_INSPECTOR = {"name": "http_inspector", "typed_config": {"@type": _TYPE + "filters.listener.http_inspector.v3.HttpInspector"}}
# What requests ask for: each is a route of its own.
PATHS = ("/h1", "/h2", "/tls", "/auto", "/both", "/mirror", "/hedge", "/redirect", "/short", "/self", "/self2", "/post", "/gone",
         "/direct")
_OPERATORS = (
    "START_TIME", "PROTOCOL", "REQ(:METHOD)", "REQ(:PATH)", "RESP(CONTENT-TYPE)", "TRAILER(GRPC-STATUS)", "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS", "RESPONSE_FLAGS", "RESPONSE_FLAGS_LONG", "GRPC_STATUS", "BYTES_RECEIVED", "BYTES_SENT", "DURATION",
    "REQUEST_DURATION", "REQUEST_TX_DURATION", "RESPONSE_DURATION", "RESPONSE_TX_DURATION", "ROUNDTRIP_DURATION",
    "DOWNSTREAM_HANDSHAKE_DURATION", "UPSTREAM_CONNECTION_POOL_READY_DURATION", "COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)",
    "REQUEST_HEADERS_BYTES", "RESPONSE_HEADERS_BYTES", "RESPONSE_TRAILERS_BYTES", "UPSTREAM_WIRE_BYTES_SENT",
    "UPSTREAM_WIRE_BYTES_RECEIVED", "UPSTREAM_HEADER_BYTES_SENT", "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT", "DOWNSTREAM_WIRE_BYTES_RECEIVED", "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", "UPSTREAM_HOST", "UPSTREAM_HOST_NAME", "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_CONNECTION_IDS_ATTEMPTED", "UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW", "UPSTREAM_PROTOCOL", "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_LOCAL_ADDRESS", "UPSTREAM_REMOTE_ADDRESS", "UPSTREAM_REQUEST_ATTEMPT_COUNT", "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_DETECTED_CLOSE_TYPE", "UPSTREAM_LOCAL_CLOSE_REASON", "UPSTREAM_TLS_VERSION", "UPSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_REMOTE_ADDRESS", "DOWNSTREAM_LOCAL_ADDRESS", "DOWNSTREAM_DETECTED_CLOSE_TYPE", "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON", "DOWNSTREAM_TLS_VERSION", "CONNECTION_TERMINATION_DETAILS", "CONNECTION_ID", "STREAM_ID",
    "UNIQUE_ID", "ROUTE_NAME", "VIRTUAL_CLUSTER_NAME", "FILTER_CHAIN_NAME", "LOCAL_REPLY_BODY", "ACCESS_LOG_TYPE", "TRACE_ID",
    "DYNAMIC_METADATA(envoy.filters.http.ext_authz)", "FILTER_STATE(envoy.filters.http.grpc_stats:TYPED)", "METADATA(ROUTE:a:b)",
    "UPSTREAM_METADATA(a:b)", "CLUSTER_METADATA(a:b)")
_RETRY_ON = "5xx,reset,cancelled,unavailable,internal,refused-stream,connect-failure,retriable-4xx"


@dataclass
class Ports:
    """Where clients find something."""

    http: list[int]
    tls: list[int]
    tcp: list[int]


def http_filter(name: str, message: str, **fields: Any) -> Config:
    return {"name": name, "typed_config": {"@type": _TYPE + "filters.http.%s.v3.%s" % (name, message), **fields}}


def coding(direction: str, name: str) -> Config:
    return {direction + "_library": {"name": "text", "typed_config": {
        "@type": _TYPE + "compression.%s.%s.v3.%s" % (name.lower(), direction, name)}}}


class Configuration:
    """Owns the servers, and says what the configuration of each number is. Number 0 gets in nobody's way.

    Where the dice choose, what is easy to live with stands last. No time is long, so that nobody who has left is waited for."""

    def __init__(self, sandbox: Sandbox, seed: int):
        self._seed = seed
        self._log_path = sandbox.path("access.log")
        self._pressure_path = sandbox.path("pressure")
        self.press(0)
        ca = Authority(sandbox)
        self._identity = ca.issue("a.example", "DNS:a.example", "DNS:test.example")
        self._h1 = RandomHttp1Server(sandbox, "h1", seed)
        self._h2 = RandomHttp2Server(sandbox, "h2", seed)
        self._either = EitherServer(sandbox, "auto", seed)
        self._h2_tls = RandomHttp2Server(sandbox, "tls", seed, server_context(self._identity, alpn=["h2"]))
        self._tcp = RandomTcpServer(sandbox, "tcp", seed)
        self._auth = RandomHttp1Server(sandbox, "auth", seed)
        self._grpc_auth = RandomHttp2Server(sandbox, "grpc_auth", seed)
        self.servers: list[RandomServer] = [
            self._h1, self._h2, self._either, self._h2_tls, self._tcp, self._auth, self._grpc_auth]
        self.ports = Ports(*([sandbox.free_port() for _ in range(count)] for count in (5, 2, 4)))

    def number(self, number: int) -> Config:
        dice = Dice(self._seed, "configuration", number) if number > 0 else EasyDice()
        listeners = [self._http(port, "http_%d" % i, dice) for i, port in enumerate(self.ports.http)]
        tls = server_tls(self._identity, common={"alpn_protocols": ["h2", "http/1.1"]})
        listeners += [over_tls(self._http(port, "tls_%d" % i, dice), tls, transport_socket_connect_timeout=dice.time("0.1s", "1s"))
                      for i, port in enumerate(self.ports.tls)]
        listeners += self._tcp_listeners(dice)
        clusters = self._clusters(dice)
        for listener in listeners:
            if dice.chance(0.3):
                listener["per_connection_buffer_limit_bytes"] = dice.choice((1000, 16384))
            if dice.chance(0.3):
                listener["listener_filters"] = dice.choice(([TLS_INSPECTOR], [_HTTP_INSPECTOR], [TLS_INSPECTOR, _HTTP_INSPECTOR]))
                listener["listener_filters_timeout"] = "0.2s"
            if dice.chance(0.2):
                listener["filter_chains"][0]["filters"].insert(0, {"name": "limit", "typed_config": {
                    "@type": _TYPE + "filters.network.connection_limit.v3.ConnectionLimit", "stat_prefix": "limit", "max_connections": 3,
                    "delay": "0.1s"}})
        if dice.chance(0.3):
            del listeners[dice.randrange(len(listeners))]
        return {**bootstrap(listeners, clusters), "overload_manager": self._overload()}

    def press(self, pressure: float) -> None:
        """What the overload manager acts upon."""
        write_atomically(self._pressure_path, "%g\n" % pressure)

    def _overload(self) -> Config:
        def action(name: str, trigger: Config, **fields: Any) -> Config:
            return {"name": "envoy.overload_actions." + name, "triggers": [{"name": "pressure", **trigger}], **fields}

        high, rising = {"threshold": {"value": 0.9}}, {"scaled": {"scaling_threshold": 0.5, "saturation_threshold": 1}}
        return {
            "refresh_interval": "0.05s",
            "resource_monitors": [{"name": "pressure", "typed_config": {
                "@type": _TYPE + "resource_monitors.injected_resource.v3.InjectedResourceConfig", "filename": self._pressure_path}}],
            "buffer_factory_config": {"minimum_account_to_track_power_of_two": 10},
            "actions": [
                action("stop_accepting_requests", high), action("disable_http_keepalive", rising), action("shrink_heap", rising),
                action("stop_accepting_connections", high), action("reset_high_memory_stream", rising),
                action("reduce_timeouts", rising, typed_config={"@type": _SCALED_TIMERS, "timer_scale_factors": [
                    {"timer": timer, "min_scale": {"value": 1}}
                    for timer in ("HTTP_DOWNSTREAM_CONNECTION_IDLE", "HTTP_DOWNSTREAM_STREAM_IDLE", "TRANSPORT_SOCKET_CONNECT")]})]}

    # --- Clusters ---

    def _clusters(self, dice: Dice) -> list[Config]:
        http1, http2 = {"http_protocol_options": {}}, {"http2_protocol_options": self._http2(dice)}
        either = {**http1, **http2}

        def speaks(**protocol: Config) -> Config:
            limits = {"idle_timeout": dice.choice(("0.2s", "1s")), **self._limits(dice)}
            filters = [http_filter("buffer", "Buffer", max_request_bytes=100000), _UPSTREAM_CODEC] if dice.chance(0.2) else []
            return http_options(common_http_protocol_options=limits, http_filters=filters, **protocol)

        clusters = [
            cluster("h1", self._h1.port, **speaks(explicit_http_config=http1)),
            cluster("h2", self._h2.port, **speaks(explicit_http_config=http2)),
            cluster("tls", self._h2_tls.port, transport_socket=client_tls(), **speaks(auto_config=either)),
            cluster("auto", self._either.port, **speaks(use_downstream_protocol_config=either)),
            cluster("gone", 1),
            cluster("tcp", self._tcp.port),
            cluster("self", self.ports.http[0], **speaks(explicit_http_config=dice.choice((http1, http2)))),
            cluster("self2", self.ports.tls[0], transport_socket=client_tls(), **speaks(auto_config=either)),
            cluster("auth", self._auth.port, **speaks(explicit_http_config=http1)),
            cluster("grpc_auth", self._grpc_auth.port, **speaks(explicit_http_config=http2))]
        for one in clusters:
            if dice.chance(0.2):
                one["circuit_breakers"] = {"thresholds": [{
                    "max_connections": dice.choice((1, 3)), "max_pending_requests": dice.choice((1, 5)), "max_requests": 10,
                    "max_retries": 1}]}
            if dice.chance(0.3):
                one["per_connection_buffer_limit_bytes"] = dice.choice((1000, 16384))
            one["connect_timeout"] = dice.time("0.1s", "1s")
        return clusters

    @staticmethod
    def _limits(dice: Dice) -> Config:
        """HttpProtocolOptions, of either side."""
        limits = {}
        for name, values in (("idle_timeout", ("0.2s", "1s")), ("max_connection_duration", ("0.3s", "1s")),
                             ("max_stream_duration", ("0.2s", "1s")), ("max_requests_per_connection", (1, 3))):
            if dice.chance(0.25):
                limits[name] = dice.choice(values)
        return limits

    @staticmethod
    def _http2(dice: Dice) -> Config:
        """Http2ProtocolOptions, of either side."""
        options: Config = {}
        if dice.chance(0.3):
            options.update(initial_stream_window_size=65535, initial_connection_window_size=65535)
        if dice.chance(0.2):
            options["max_concurrent_streams"] = dice.choice((1, 3))
        if dice.chance(0.2):
            options["connection_keepalive"] = {"interval": "0.2s", "timeout": "0.1s"}
        if dice.chance(0.5):
            options["override_stream_error_on_invalid_http_message"] = True
        return options

    # --- Listeners ---

    def _tcp_listeners(self, dice: Dice) -> list[Config]:
        log = [file_access_log(self._log_path)]
        common: Config = {"access_log": log, "idle_timeout": dice.time("0.3s", "2s")}
        if dice.chance(0.5):
            common["max_downstream_connection_duration"] = dice.choice(("0.3s", "2s"))
        if dice.chance(0.5):
            common.update(max_early_data_bytes=1000, upstream_connect_mode="ON_DOWNSTREAM_DATA")
        tunnel: Config = {"hostname": "a.example:443", "propagate_response_headers": True, "propagate_response_trailers": True,
                          "headers_to_add": [{"header": {"key": "x-to", "value": "tcp"}}]}
        post = {**tunnel, "use_post": True, "post_path": "/post"}
        uses = (("tcp", {}), ("h1", {"tunneling_config": tunnel}), ("h2", {"tunneling_config": dice.choice((post, tunnel))}),
                ("self2", {"tunneling_config": dice.choice((tunnel, post))}))
        return [tcp_listener(port, to, name="tcp_%d" % i, **common, **more)
                for i, (port, (to, more)) in enumerate(zip(self.ports.tcp, uses))]

    def _http(self, port: int, name: str, dice: Dice) -> Config:
        line = " ".join("%%%s%%" % operator for operator in _OPERATORS) + "\n"
        manager: Config = {
            "http2_protocol_options": {"allow_connect": True, **self._http2(dice)},
            "common_http_protocol_options": self._limits(dice),
            "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
            "stream_idle_timeout": dice.time("0.3s", "2s"),
            "drain_timeout": "0.2s",
            "delayed_close_timeout": dice.choice(("0s", "0.2s", "1s")),
            "request_timeout": dice.choice(("0.5s", "0s")),
            "proxy_100_continue": dice.chance(0.5),
            "access_log": [file_access_log(self._log_path, line), file_access_log(self._log_path)],
            "access_log_options": {"access_log_flush_interval": "0.1s", "flush_access_log_on_new_request": True,
                                   "flush_log_on_tunnel_successfully_established": True}}
        if dice.chance(0.3):
            manager["local_reply_config"] = {"body_format": {"json_format": {
                "why": "%RESPONSE_CODE_DETAILS%", "body": "%LOCAL_REPLY_BODY%"}}}
        return http_listener(port, self._routes(dice), name=name, http_filters=self._filters(dice), **manager)

    @staticmethod
    def _filters(dice: Dice) -> list[Config]:
        """Any of them, in any order."""
        ask = {"failure_mode_allow": dice.chance(0.8), "clear_route_cache": dice.chance(0.5)}
        body = dice.choice(({}, {"with_request_body": {"max_request_bytes": 50, "allow_partial_message": True}},
                            {"with_request_body": {"max_request_bytes": 1000}}))
        filters = [
            http_filter("ext_authz", "ExtAuthz", **ask, **body, http_service={"server_uri": {
                "uri": "http://auth", "cluster": "auth", "timeout": "0.2s"}}),
            http_filter("ext_authz", "ExtAuthz", **ask, **body, grpc_service={
                "envoy_grpc": {"cluster_name": "grpc_auth"}, "timeout": "0.2s", "retry_policy": {"num_retries": 2}}),
            http_filter("grpc_web", "GrpcWeb"),
            http_filter("grpc_stats", "FilterConfig", stats_for_all_methods=True, emit_filter_state=True, enable_upstream_stats=True),
            http_filter("grpc_http1_bridge", "Config", upgrade_protobuf_to_grpc=True),
            http_filter("buffer", "Buffer", max_request_bytes=dice.choice((1000, 100000))),
            http_filter("compressor", "Compressor", **coding("compressor", dice.choice(("Gzip", "Brotli", "Zstd")))),
            http_filter("decompressor", "Decompressor", **coding("decompressor", "Gzip")),
            http_filter("cors", "Cors"),
            http_filter("fault", "HTTPFault", headers=[{"name": "x-fault", "string_match": {"exact": "abort"}}],
                        abort={"http_status": 503, "percentage": {"numerator": 100}}),
            http_filter("fault", "HTTPFault", headers=[{"name": "x-fault", "string_match": {"exact": "delay"}}],
                        delay={"fixed_delay": "0.05s", "percentage": {"numerator": 100}}),
            http_filter("fault", "HTTPFault", headers=[{"name": "x-fault", "string_match": {"exact": "slow"}}],
                        response_rate_limit={"fixed_limit": {"limit_kbps": 1}, "percentage": {"numerator": 100}})]
        for number, one in enumerate(filters):
            one["name"] += "_%d" % number
        return dice.sample(filters, dice.randrange(5))

    @staticmethod
    def _routes(dice: Dice) -> list[Config]:
        retry = {"retry_policy": {"retry_on": _RETRY_ON, "num_retries": 2, "per_try_timeout": dice.time("0.1s", "0.5s"),
                                  "per_try_idle_timeout": dice.time("0.1s", "0.5s"),
                                  "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"}}}
        hedge = {"hedge_policy": {"hedge_on_per_try_timeout": True}}
        mirror = {"request_mirror_policies": [{"cluster": name} for name in dice.sample(("h1", "h2", "tls", "gone"), 2)]}
        follow = {"internal_redirect_policy": {"max_internal_redirects": 3, "redirect_response_codes": [302],
                                               "allow_cross_scheme_redirect": True}}
        short = {"timeout": "0.1s", "idle_timeout": "0.05s", "max_stream_duration": {"max_stream_duration": "0.15s"}}
        grpc = {"max_stream_duration": {"grpc_timeout_header_max": "0s"}}

        def connect(to: str, **fields: Any) -> Config:
            return route({"connect_matcher": {}, "headers": [{"name": "x-to", "string_match": {"exact": to}}]}, to, fields)

        def prefix(name: str, to: str, **fields: Any) -> Config:
            return route({"prefix": "/" + name}, to, {"timeout": dice.time("0.3s", "1s"), **fields}, name=name)

        terminate = {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
        post = {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {"allow_post": True}}]}
        return [
            connect("tcp", **terminate), connect("h1"), connect("h2"),
            prefix("h1", "h1", **retry), prefix("h2", "h2", **retry, **grpc), prefix("tls", "tls", **retry),
            prefix("auto", "auto", **retry, **hedge),
            route({"prefix": "/both"}, None, {"timeout": dice.time("0.3s", "1s"), **retry, "weighted_clusters": {"clusters": [
                {"name": "h1", "weight": 1}, {"name": "h2", "weight": 1}]}}, name="both"),
            prefix("mirror", dice.choice(("h1", "h2")), **mirror), prefix("hedge", dice.choice(("h1", "h2")), **retry, **hedge),
            prefix("redirect", dice.choice(("h1", "h2")), **follow, **retry), prefix("short", dice.choice(("h1", "h2")), **short),
            prefix("self2", "self2", prefix_rewrite="/h2", **retry), prefix("self", "self", prefix_rewrite="/h1", **retry),
            prefix("post", "tcp", **post), prefix("gone", "gone", **retry), direct({"prefix": "/direct"}, "direct")]
