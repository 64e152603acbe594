"""Bootstraps as Python values, and the few lines that write them as YAML."""

import json
from typing import Any, Optional

Config = dict[str, Any]

_TYPE = "type.googleapis.com/"
_HCM = _TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TCP_PROXY = _TYPE + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_TLS = _TYPE + "envoy.extensions.transport_sockets.tls.v3."
TLS_INSPECTOR: Config = {"name": "tls_inspector", "typed_config": {
    "@type": _TYPE + "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}
_ROUTER = _TYPE + "envoy.extensions.filters.http.router.v3.Router"
_FILE_LOG = _TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog"
_PRESERVE_CASE = _TYPE + "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
_HTTP_OPTIONS = _TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP_OPTIONS_KEY = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def to_yaml(value: Any, indent: str = "") -> str:
    """Block style for maps and lists; scalars and empty values as JSON, which is YAML too."""
    if isinstance(value, dict) and value:
        lines = []
        for key, item in value.items():
            nested = isinstance(item, (dict, list)) and item
            lines.append("%s%s:%s" % (indent, json.dumps(key) if key.startswith("@") else key,
                                      "\n" + to_yaml(item, indent + "  ") if nested else " " + to_yaml(item)))
        return "\n".join(lines)
    if isinstance(value, list) and value:
        return "\n".join(indent + "- " + to_yaml(item, indent + "  ").lstrip() for item in value)
    return json.dumps(value)


def without_field(value: Any, name: str) -> Any:
    """The configuration with every field of this name taken out: tools/mutate_fields.py asks whether a test notices."""
    if isinstance(value, dict):
        return {key: without_field(item, name) for key, item in value.items() if key != name}
    if isinstance(value, list):
        return [without_field(item, name) for item in value]
    return value


def address(port: int, host: str = "127.0.0.1") -> Config:
    return {"socket_address": {"address": host, "port_value": port}}


def bootstrap(listeners: list[Config], clusters: list[Config] = [], admin: bool = True) -> Config:
    config: Config = {"static_resources": {"listeners": listeners, "clusters": clusters}}
    if admin:
        config["admin"] = {"address": address(0)}
    return config


def cluster(name: str, *ports: int, weights: Optional[list[int]] = None, hostname: Optional[str] = None,
            **fields: Any) -> Config:
    """A static cluster of ports of this machine; other fields of the message as keywords."""
    endpoints = []
    for index, port in enumerate(ports):
        endpoint: Config = {"endpoint": {"address": address(port)}}
        if hostname is not None:
            endpoint["endpoint"]["hostname"] = hostname
        if weights:
            endpoint["load_balancing_weight"] = weights[index]
        endpoints.append(endpoint)
    return {"name": name, "connect_timeout": "2s", "load_assignment": {
        "cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}, **fields}


# For internal_address_config: where tests' clients are, or say that they are.
PRIVATE: Config = {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}, {"address_prefix": "10.0.0.0", "prefix_len": 8}]}


def preserve_case(**fields: Any) -> Config:
    """Http1ProtocolOptions.header_key_format that keeps names as the peer wrote them."""
    return {"stateful_formatter": {"name": "case", "typed_config": {"@type": _PRESERVE_CASE, **fields}}}


def http_options(**fields: Any) -> Config:
    """HttpProtocolOptions, as a field of a cluster."""
    return {"typed_extension_protocol_options": {_HTTP_OPTIONS_KEY: {"@type": _HTTP_OPTIONS, **fields}}}


# Fields of a cluster that speaks HTTP/2.
HTTP2 = http_options(explicit_http_config={"http2_protocol_options": {}})


def enable_h1_options(a_cluster: Config, **options: Any) -> Config:
    """The cluster with HTTP/1 options for its upstreams, as enable_trailers=True."""
    a_cluster.update(http_options(explicit_http_config={"http_protocol_options": options}))
    return a_cluster


def route(match: Config, to: Optional[str] = None, action: Optional[Config] = None, **fields: Any) -> Config:
    """A route to a cluster (with `action` for the other fields of RouteAction); other fields of Route as keywords."""
    result: Config = {"match": match}
    if to is not None or action is not None:
        result["route"] = {**({"cluster": to} if to is not None else {}), **(action or {})}
    result.update(fields)
    return result


def direct(match: Config, body: str, status: int = 200, **fields: Any) -> Config:
    return {"match": match, "direct_response": {"status": status, "body": {"inline_string": body}}, **fields}


def file_access_log(path: str, line: Optional[str] = None) -> Config:
    """An access log file; the default format if there is no `line`."""
    typed: Config = {"@type": _FILE_LOG, "path": path}
    if line is not None:
        typed["log_format"] = {"text_format_source": {"inline_string": line}}
    return {"name": "envoy.access_loggers.file", "typed_config": typed}


def http_listener(port: int, routes: Optional[list[Config]] = None, virtual_hosts: Optional[list[Config]] = None,
                  name: str = "http", route_config: Optional[Config] = None, http_filters: Optional[list[Config]] = None,
                  **hcm: Any) -> Config:
    """A listener with a connection manager; other fields of HttpConnectionManager as keywords."""
    if virtual_hosts is None:
        virtual_hosts = [{"name": "all", "domains": ["*"], "routes": routes or []}]
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}
    manager = {"@type": _HCM, "stat_prefix": "ingress",
               "route_config": {"name": "routes", **(route_config or {}), "virtual_hosts": virtual_hosts},
               "http_filters": [*(http_filters or []), router], **hcm}
    network_filter = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {"name": name, "address": address(port), "filter_chains": [{"filters": [network_filter]}]}


def tcp_listener(port: int, to: Optional[str] = None, name: str = "tcp", **fields: Any) -> Config:
    """A listener with tcp_proxy to a cluster; other fields of TcpProxy as keywords."""
    proxy = {"@type": _TCP_PROXY, "stat_prefix": name, **({"cluster": to} if to is not None else {}), **fields}
    return network_listener(port, {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}, name)


def network_listener(port: int, network_filter: Config, name: str) -> Config:
    return {"name": name, "address": address(port), "filter_chains": [{"filters": [network_filter]}]}


def server_tls(*own: Any, **fields: Any) -> Config:
    """A DownstreamTlsContext as a transport socket. `own`: what has cert_path and key_path; `common` among the fields is
    for CommonTlsContext."""
    common = {**({"tls_certificates": [certificate(one) for one in own]} if own else {}), **fields.pop("common", {})}
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": _TLS + "DownstreamTlsContext", "common_tls_context": common, **fields}}


def over_tls(listener: Config, socket: Config, **chain: Any) -> Config:
    """The listener, its first chain with this transport socket (and other fields)."""
    listener["filter_chains"][0].update({"transport_socket": socket, **chain})
    return listener


def client_tls(own: Any = None, **fields: Any) -> Config:
    """An UpstreamTlsContext as a transport socket; likewise."""
    common = {**({"tls_certificates": [certificate(own)]} if own is not None else {}), **fields.pop("common", {})}
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": _TLS + "UpstreamTlsContext", "common_tls_context": common, **fields}}


def certificate(own: Any) -> Config:
    return {"certificate_chain": {"filename": own.cert_path}, "private_key": {"filename": own.key_path}}


def trusts(authority: Any, **fields: Any) -> Config:
    """A CertificateValidationContext, for `common`."""
    return {"validation_context": {"trusted_ca": {"filename": authority.path}, **fields}}
