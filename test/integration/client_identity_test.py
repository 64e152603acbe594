"""Where requests come from, what is said of it, and what the proxy says of itself."""

import os
import socket
from typing import Any

from harness import (Connection, EchoUpstream, VariantsTestCase, Weir, WeirTestCase, bootstrap, cluster, direct, fetch,
                     file_access_log, http_listener, main, over_tls, route, wait_until)
from harness.config import PRIVATE, server_tls
from harness.tls import Authority, TlsConnection
from harness.wire import Reader

_TYPE = "type.googleapis.com/envoy.extensions."
XFF = _TYPE + "http.original_ip_detection.xff.v3.XffConfig"
CUSTOM = _TYPE + "http.original_ip_detection.custom_header.v3.CustomHeaderConfig"
EARLY = _TYPE + "http.early_header_mutation.header_mutation.v3.HeaderMutation"
UUID = _TYPE + "request_id.uuid.v3.UuidRequestIdConfig"


def extension(type_url: str, **fields: Any) -> dict:
    return {"name": "one", "typed_config": {"@type": type_url, **fields}}


def cidr(prefix: str, bits: int) -> dict:
    return {"address_prefix": prefix, "prefix_len": bits}


class DetectionTest(VariantsTestCase):
    """Ways to find out who the client is."""

    routes = [route({"prefix": "/"}, "echo", response_headers_to_add=[
        {"header": {"key": "x-client", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}])]
    variants = {
        "hops": {"original_ip_detection_extensions": [extension(XFF, xff_num_trusted_hops=1, skip_xff_append=False)]},
        "ranges": {"original_ip_detection_extensions": [
            extension(XFF, xff_trusted_cidrs={"cidrs": [cidr("127.0.0.0", 8), cidr("203.0.113.0", 24)]})]},
        "strangers": {"original_ip_detection_extensions": [extension(XFF, xff_trusted_cidrs={"cidrs": [cidr("10.0.0.0", 8)]})]},
        "header": {"original_ip_detection_extensions": [
            extension(CUSTOM, header_name="x-real-ip", allow_extension_to_set_address_as_trusted=True,
                      reject_with_status={"code": "TooManyRequests"})], "internal_address_config": PRIVATE},
        "distrusted": {"original_ip_detection_extensions": [extension(CUSTOM, header_name="x-real-ip"), extension(XFF)]},
        "internal": {"use_remote_address": True, "internal_address_config": {"cidr_ranges": [cidr("10.0.0.0", 8)]}},
        "loopback": {"use_remote_address": True, "internal_address_config": {"cidr_ranges": [cidr("127.0.0.0", 8)]}},
        "edge": {"use_remote_address": True}}

    def client(self, variant: str, **headers: str) -> Any:
        return fetch(self.ports[variant], headers=[(name.replace("_", "-"), value) for name, value in headers.items()]).header("x-client")

    # field: HttpConnectionManager.original_ip_detection_extensions, XffConfig.xff_num_trusted_hops, XffConfig.skip_xff_append
    def test_forwarded_for(self) -> None:
        self.assertEqual(self.client("hops", x_forwarded_for="203.0.113.1, 203.0.113.2"), "203.0.113.1")
        told = [("x-forwarded-for", "203.0.113.1, 203.0.113.2")]
        self.assertEqual(self.seen("hops", headers=told)["headers"]["x-forwarded-for"], ["203.0.113.1, 203.0.113.2,127.0.0.1"])
        self.assertEqual(self.seen("ranges", headers=told)["headers"]["x-forwarded-for"], ["203.0.113.1, 203.0.113.2"])

    def test_nobody_has_what_a_proxy_said_forgotten(self) -> None:
        told = ("x-forwarded-for", "203.0.113.1, 203.0.113.2")
        for named in ("x-forwarded-for", "x, X-Forwarded-Proto", "x-forwarded-host", ":authority", ", ".join("x%d" % i for i in range(10))):
            for variant in ("hops", "edge", "internal"):
                answer = fetch(self.ports[variant], headers=[told, ("connection", named)])
                self.assertEqual(answer.status, 400, named)
        answer = fetch(self.ports["hops"], headers=[told, ("connection", "x-one, keep-alive"), ("x-one", "1")])
        self.assertEqual((answer.status, answer.header("x-client")), (200, "203.0.113.1"))

    def test_lines_of_forwarded_for_are_one_list(self) -> None:
        """HAProxy, for one, adds a line of its own behind what the client has sent."""
        two = [("x-forwarded-for", "10.0.0.9"), ("x-forwarded-for", "198.51.100.7, 203.0.113.2")]
        self.assertEqual(fetch(self.ports["ranges"], headers=two).header("x-client"), "198.51.100.7")
        self.assertEqual(fetch(self.ports["hops"], headers=two).header("x-client"), "198.51.100.7")
        self.assertEqual(fetch(self.ports["plain"], headers=two).header("x-client"), "203.0.113.2")
        seen = self.seen("plain", headers=[("x-forwarded-for", "10.0.0.9"), ("x-forwarded-for", "10.0.0.10")])["headers"]
        self.assertNotIn("x-envoy-internal", seen)  # two addresses are nobody from inside
        self.assertEqual(self.seen("edge", headers=two)["headers"]["x-forwarded-for"],
                         ["10.0.0.9,198.51.100.7, 203.0.113.2,127.0.0.1"])
        self.assertEqual(fetch(self.ports["header"], headers=[("x-real-ip", "10.0.0.9"), ("x-real-ip", "192.0.2.9")]).status, 429)

    # field: XffConfig.xff_trusted_cidrs, XffTrustedCidrs.cidrs
    def test_forwarded_for_of_known_proxies(self) -> None:
        self.assertEqual(self.client("ranges", x_forwarded_for="192.0.2.1, 198.51.100.7, 203.0.113.2"), "198.51.100.7")
        self.assertEqual(self.client("ranges", x_forwarded_for="203.0.113.1, 203.0.113.2"), "203.0.113.1")
        self.assertEqual(self.client("ranges", x_forwarded_for="198.51.100.7, junk"), "127.0.0.1")
        self.assertEqual(self.client("strangers", x_forwarded_for="198.51.100.7"), "127.0.0.1")

    # field: CustomHeaderConfig.header_name, CustomHeaderConfig.allow_extension_to_set_address_as_trusted
    # field: CustomHeaderConfig.reject_with_status, HttpStatus.code
    def test_a_header(self) -> None:
        self.assertEqual(self.client("header", x_real_ip="192.0.2.9"), "192.0.2.9")
        self.assertEqual(fetch(self.ports["header"]).status, 429)
        self.assertEqual(fetch(self.ports["header"], headers=[("x-real-ip", "nobody")]).status, 429)
        inside = [("x-real-ip", "10.0.0.1")]
        self.assertEqual(self.seen("header", headers=inside)["headers"]["x-envoy-internal"], ["true"])
        self.assertNotIn("x-envoy-internal", self.seen("distrusted", headers=inside)["headers"])
        self.assertEqual(self.client("distrusted", x_forwarded_for="192.0.2.3"), "192.0.2.3")

    # field: HttpConnectionManager.internal_address_config, InternalAddressConfig.cidr_ranges
    def test_addresses_of_the_inside(self) -> None:
        self.assertNotIn("x-envoy-internal", self.seen("edge")["headers"])  # nobody is, unless it is said
        self.assertNotIn("x-envoy-internal", self.seen("internal")["headers"])
        self.assertEqual(self.seen("loopback")["headers"]["x-envoy-internal"], ["true"])


class UnixTest(WeirTestCase):
    # field: InternalAddressConfig.unix_sockets
    def test_clients_at_a_unix_socket(self) -> None:
        echo, port = EchoUpstream(self.sandbox), self.sandbox.free_port()
        listeners = []
        for trusted in (True, False):
            listener = http_listener(port, [route({"prefix": "/"}, "echo")], name=str(trusted), stat_prefix=str(trusted),
                                     use_remote_address=True, internal_address_config={"unix_sockets": trusted})
            listener["address"] = {"pipe": {"path": self.sandbox.path("%s.sock" % trusted)}}
            listeners.append(listener)
        Weir(self.sandbox, bootstrap(listeners, [cluster("echo", echo.port)]))
        for trusted in (True, False):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(self.sandbox.path("%s.sock" % trusted))
                sock.sendall(b"GET / HTTP/1.1\r\nhost: t\r\n\r\n")
                headers = self.echoed(Reader(sock).response("GET"))["headers"]
            self.assertEqual(headers.get("x-envoy-internal"), ["true"] if trusted else None)


class TellingTest(VariantsTestCase):
    """What is told of the client and its connection."""

    routes = [route({"prefix": "/https", "headers": [{"name": ":scheme", "string_match": {"exact": "https"}}]}, "echo", name="https"),
              route({"prefix": "/"}, "echo", request_headers_to_add=[{"header": {"key": "x-scheme", "value": "%REQ(:SCHEME)%"}}])]
    variants = {
        "edge": {"use_remote_address": True},
        "mapped": {"use_remote_address": True, "represent_ipv4_remote_address_as_ipv4_mapped_ipv6": True},
        "port": {"append_x_forwarded_port": True, "use_remote_address": True},
        "trusting": {"append_x_forwarded_port": True},
        "dotless": {"strip_trailing_host_dot": True},
        "https": {"scheme_header_transformation": {"scheme_to_overwrite": "https"}},
        "upstream": {"scheme_header_transformation": {"match_upstream": True}},
        "early": {"early_header_mutation_extensions": [extension(EARLY, mutations=[
            {"append": {"header": {"key": "x-forwarded-for", "value": "192.0.2.77"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}},
            {"remove": "x-gone"}, {"append": {"header": {"key": "x-gone", "value": "again"}}},
            {"remove_on_match": {"key_matcher": {"prefix": "x-secret-"}}}])]},
        "uuid": {"request_id_extension": {"typed_config": {"@type": UUID}}}}

    # field: HttpConnectionManager.represent_ipv4_remote_address_as_ipv4_mapped_ipv6
    def test_an_address_in_the_form_of_ipv6(self) -> None:
        self.assertEqual(self.seen("edge")["headers"]["x-forwarded-for"], ["127.0.0.1"])
        self.assertEqual(self.seen("mapped")["headers"]["x-forwarded-for"], ["::ffff:127.0.0.1"])

    # field: HttpConnectionManager.append_x_forwarded_port
    def test_the_port(self) -> None:
        told = [("x-forwarded-port", "1")]
        self.assertEqual(self.seen("edge", headers=told)["headers"]["x-forwarded-port"], ["1"])
        self.assertEqual(self.seen("port", headers=told)["headers"]["x-forwarded-port"], [str(self.ports["port"])])
        self.assertEqual(self.seen("trusting", headers=told)["headers"]["x-forwarded-port"], ["1"])
        self.assertEqual(self.seen("trusting")["headers"]["x-forwarded-port"], [str(self.ports["trusting"])])

    # field: HttpConnectionManager.strip_trailing_host_dot
    def test_the_dot_of_a_host(self) -> None:
        for host, expected in (("a.example.", "a.example"), ("a.example.:81", "a.example:81"), ("a.example", "a.example")):
            self.assertEqual(self.seen("dotless", host=host)["headers"]["host"], [expected])
        self.assertEqual(self.seen("plain", host="a.example.")["headers"]["host"], ["a.example."])

    # field: HttpConnectionManager.scheme_header_transformation, SchemeHeaderTransformation.scheme_to_overwrite
    # field: SchemeHeaderTransformation.match_upstream
    def test_the_scheme(self) -> None:
        self.assertEqual(self.seen("plain")["headers"]["x-scheme"], ["http"])
        self.assertEqual(self.seen("https")["headers"]["x-scheme"], ["https"])
        self.assertNotIn("x-scheme", self.seen("https", path="/https")["headers"])
        # Behind a proxy that has ended TLS, its word counts, if it is one, and only where such a proxy is expected.
        for variant, told, expected in (("plain", ["https"], "https"), ("plain", ["ftp"], "http"), ("edge", ["https"], "http"),
                                        ("plain", ["https", "http"], "http")):
            headers = [("x-forwarded-proto", proto) for proto in told]
            self.assertEqual(self.seen(variant, headers=headers)["headers"]["x-scheme"], [expected], (variant, told))
        # A proxy's request says its scheme itself; upstreams are spoken to in clear text.
        for variant, expected in (("plain", "https"), ("upstream", "http")):
            with Connection(self.ports[variant]) as connection:
                connection.send(b"GET https://a/ HTTP/1.1\r\nhost: a\r\n\r\n")
                self.assertEqual(self.echoed(connection.read_response())["headers"]["x-scheme"], [expected])

    # field: HttpConnectionManager.early_header_mutation_extensions, early_header_mutation.header_mutation.v3.HeaderMutation.mutations
    # field: HeaderMutation@early.append, HeaderMutation@early.remove, HeaderMutation@early.remove_on_match
    def test_changes_before_anything_else(self) -> None:
        seen = self.seen("early", headers=[("x-forwarded-for", "10.0.0.1"), ("x-gone", "first"), ("x-secret-a", "1"),
                                           ("x-secret-b", "2")])["headers"]
        self.assertEqual((seen["x-forwarded-for"], seen["x-gone"]), (["192.0.2.77"], ["again"]))
        self.assertNotIn("x-envoy-internal", seen)
        self.assertEqual([name for name in seen if name.startswith("x-secret")], [])

    # field: HttpConnectionManager.request_id_extension, RequestIDExtension.typed_config
    def test_ids_are_uuids(self) -> None:
        self.assertRegex(self.seen("uuid")["headers"]["x-request-id"][0], "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-")


class SelfTest(WeirTestCase):
    """What the proxy says of itself."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        variants: dict[str, dict[str, Any]] = {
            "plain": {}, "agent": {"add_user_agent": True},
            "tls-ports": {}, "status": {"proxy_status_config": {"literal_proxy_name": "edge proxy"}},
            "brief": {"proxy_status_config": {"use_node_id": True, "remove_details": True}},
            "flagless": {"server_name": "srv", "proxy_status_config": {"remove_response_flags": True, "set_recommended_response_code": True}}}
        cls.ports = {name: cls.sandbox.free_port() for name in (*variants, "clear", "secret")}
        variants["tls-ports"] = variants["clear"] = {"forward_proto_config": {
            "https_destination_ports": [cls.ports["tls-ports"]], "http_destination_ports": [cls.ports["clear"]]}}
        variants["secret"] = {}
        routes = [route({"prefix": "/echo"}, "echo"), route({"prefix": "/dead"}, "dead")]
        listeners = {name: http_listener(port, routes, name=name, stat_prefix=name, **variants[name])
                     for name, port in cls.ports.items()}
        own = Authority(cls.sandbox).issue("a.example")
        for name in ("clear", "secret"):
            over_tls(listeners[name], server_tls(own))
        config = bootstrap([*listeners.values()], [cluster("echo", cls.echo.port), cluster("dead", cls.sandbox.free_port())])
        cls.weir = Weir(cls.sandbox, {"node": {"id": "node-1", "cluster": "front"}, **config})

    # field: HttpConnectionManager.add_user_agent
    def test_user_agent(self) -> None:
        seen = self.echoed(fetch(self.ports["agent"], "/echo"))["headers"]
        self.assertEqual([seen[name] for name in ("user-agent", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node")],
                         [["front"], ["front"], ["node-1"]])
        seen = self.echoed(fetch(self.ports["agent"], "/echo", headers=[("user-agent", "mine")]))["headers"]
        self.assertEqual(seen["user-agent"], ["mine"])
        self.assertNotIn("user-agent", self.echoed(fetch(self.ports["plain"], "/echo"))["headers"])

    # field: HttpConnectionManager.forward_proto_config, ForwardProtoConfig.https_destination_ports
    # field: ForwardProtoConfig.http_destination_ports
    def test_the_protocol_by_the_port(self) -> None:
        for name, expected in (("tls-ports", "https"), ("plain", "http")):
            self.assertEqual(self.echoed(fetch(self.ports[name], "/echo"))["headers"]["x-forwarded-proto"], [expected])
        for name, expected in (("clear", "http"), ("secret", "https")):  # both over TLS
            with TlsConnection(self.ports[name]) as connection:
                self.assertEqual(self.echoed(connection.request(path="/echo"))["headers"]["x-forwarded-proto"], [expected])

    # field: HttpConnectionManager.proxy_status_config, ProxyStatusConfig.literal_proxy_name, ProxyStatusConfig.use_node_id
    # field: ProxyStatusConfig.remove_details, ProxyStatusConfig.remove_response_flags
    # field: ProxyStatusConfig.set_recommended_response_code
    def test_proxy_status(self) -> None:
        def said(name: str, path: str, **headers: str) -> Any:
            response = fetch(self.ports[name], path, headers=[(key.replace("_", "-"), value) for key, value in headers.items()])
            return response.status, response.header("proxy-status")

        self.assertEqual(said("status", "/none"), (404, '"edge proxy"; error=destination_not_found; details="route_not_found; NR"'))
        self.assertEqual(said("brief", "/none"), (404, "node-1; error=destination_not_found"))
        self.assertEqual(said("flagless", "/none"), (500, 'srv; error=destination_not_found; details="route_not_found"'))
        self.assertEqual(said("status", "/echo"), (200, None))
        self.assertEqual(said("status", "/echo", x_test_header="proxy-status=origin; error=dns_error"), (200, "origin; error=dns_error"))
        status, text = said("flagless", "/dead")
        self.assertEqual(status, 502)
        self.assertTrue(text.startswith("srv; error=connection_refused; details="), text)


class LogTimesTest(WeirTestCase):
    """Lines of requests that are not over."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        variants = {"new": {"access_log_options": {"flush_access_log_on_new_request": True}},
                    "periodic": {"access_log_options": {"access_log_flush_interval": "0.1s"}},
                    "tunnel": {"access_log_options": {"flush_log_on_tunnel_successfully_established": True},
                               "upgrade_configs": [{"upgrade_type": "websocket"}]},
                    "old-new": {"flush_access_log_on_new_request": True}, "old-periodic": {"access_log_flush_interval": "0.1s"}}
        cls.ports = {name: cls.sandbox.free_port() for name in variants}
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.ports[name], [route({"prefix": "/"}, "echo", name="r")], name=name, stat_prefix=name,
                           access_log=[file_access_log(cls.sandbox.path(name), "%ACCESS_LOG_TYPE% %ROUTE_NAME% %RESPONSE_CODE%\n")], **fields)
             for name, fields in variants.items()], [cluster("echo", cls.echo.port)]))

    def lines(self, name: str, last: str = "DownstreamEnd r 200") -> list[str]:
        def read() -> list[str]:
            if not os.path.exists(self.sandbox.path(name)):
                return []
            with open(self.sandbox.path(name), encoding="ascii") as file:
                lines = file.read().splitlines()
            return lines if last in lines else []
        return wait_until(read, "the last line of " + name, 15)

    # field: HttpConnectionManager.access_log_options, HcmAccessLogOptions.flush_access_log_on_new_request
    # field: HttpConnectionManager.flush_access_log_on_new_request
    def test_when_requests_come(self) -> None:
        for name in ("new", "old-new"):
            fetch(self.ports[name])
            self.assertEqual(self.lines(name), ["DownstreamStart r 0", "DownstreamEnd r 200"])

    # field: HcmAccessLogOptions.flush_log_on_tunnel_successfully_established
    def test_when_tunnels_open(self) -> None:
        with Connection(self.ports["tunnel"]) as connection:
            connection.send_request(headers=[("connection", "upgrade"), ("upgrade", "websocket"), ("x-test-status", "101"),
                                             ("x-test-header", "connection=upgrade"), ("x-test-header", "upgrade=websocket")])
            opened = "DownstreamTunnelSuccessfullyEstablished r 101"
            self.assertEqual(self.lines("tunnel", last=opened), [opened])

    # field: HcmAccessLogOptions.access_log_flush_interval, HttpConnectionManager.access_log_flush_interval
    def test_while_requests_last(self) -> None:
        for name in ("periodic", "old-periodic"):
            fetch(self.ports[name], headers=[("x-test-delay", "0.5")])
            self.assertEqual(set(self.lines(name)), {"DownstreamPeriodic r 0", "DownstreamEnd r 200"})


class LifeTest(VariantsTestCase):
    variants = {"safe": {"http1_safe_max_connection_duration": True, "common_http_protocol_options": {"max_connection_duration": "0.3s"}}}

    # field: HttpConnectionManager.http1_safe_max_connection_duration
    def test_an_old_connection_is_told_first(self) -> None:
        with Connection(self.ports["safe"]) as connection:
            self.assertIsNone(connection.request().header("connection"))
            self.weir.wait_stat("http.safe.downstream_cx_max_duration_reached", 1)
            self.assertFalse(connection.closed_within(0.3))
            self.assertEqual(connection.request().header("connection"), "close")
            self.assertTrue(connection.closed_within(3))


class RouteTest(WeirTestCase):
    """Settings of routes that are about the same things."""

    grpc = [("content-type", "application/grpc")]

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        retry = {"retry_on": "5xx", "num_retries": 2}
        hosts = [
            {"name": "limited", "domains": ["limited"], "per_request_buffer_limit_bytes": 10, "routes": [
                route({"prefix": "/own"}, "echo", {"retry_policy": retry}, per_request_buffer_limit_bytes=100000),
                route({"prefix": "/exact"}, "echo", {"retry_policy": retry}, request_body_buffer_limit=10),
                route({"prefix": "/"}, "echo", {"retry_policy": retry})]},
            {"name": "exact", "domains": ["exact"], "request_body_buffer_limit": 10, "per_request_buffer_limit_bytes": 100000,
             "routes": [route({"prefix": "/"}, "echo", {"retry_policy": retry})]},
            {"name": "external", "domains": ["external"], "require_tls": "EXTERNAL_ONLY", "routes": [route({"prefix": "/"}, "echo")]},
            {"name": "all", "domains": ["*"], "routes": [
                direct({"prefix": "/secret", "headers": [{"name": "x-secret", "present_match": True}]}, "seen"),
                route({"prefix": "/old"}, "echo", {"timeout": "30s", "max_grpc_timeout": "0.3s"}),
                route({"prefix": "/max"}, "echo", {"timeout": "30s", "max_stream_duration": {"grpc_timeout_header_max": "0.3s"}}),
                route({"prefix": "/offset"}, "echo", {"max_stream_duration": {"grpc_timeout_header_max": "0s", "grpc_timeout_header_offset": "1s"}}),
                route({"prefix": "/previous"}, "echo", {"max_grpc_timeout": "0s", "grpc_timeout_offset": "1s"}),
                route({"prefix": "/"}, "echo", {"timeout": "30s"})]}]
        hosts[0]["virtual_clusters"] = [
            {"name": "writes", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]},
            {"name": "reads", "headers": [{"name": ":method", "string_match": {"exact": "GET"}},
                                          {"name": ":path", "string_match": {"prefix": "/read"}}]}]
        hosts[0]["routes"][0]["stat_prefix"] = "own-route"
        cls.log = cls.sandbox.path("log")
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, access_log=[file_access_log(cls.log, "%REQ(:PATH)% %VIRTUAL_CLUSTER_NAME%\n")], virtual_hosts=hosts,
            internal_address_config=PRIVATE, route_config={"internal_only_headers": ["x-secret"]})], [cluster("echo", cls.echo.port)]))

    # field: RouteConfiguration.internal_only_headers
    def test_headers_of_the_inside(self) -> None:
        secret = [("x-secret", "1")]
        self.assertNotIn("x-secret", self.echoed(fetch(self.port, headers=secret))["headers"])
        inside = [*secret, ("x-forwarded-for", "10.0.0.1")]
        self.assertEqual(self.echoed(fetch(self.port, headers=inside))["headers"]["x-secret"], ["1"])
        # What is removed decides nothing.
        self.assertEqual(fetch(self.port, "/secret", headers=secret).body[:1], b"{")
        self.assertEqual(fetch(self.port, "/secret", headers=inside).body, b"seen")

    def test_tls_is_required_of_strangers_only(self) -> None:
        self.assertEqual(fetch(self.port, host="external").status, 301)
        self.assertEqual(fetch(self.port, host="external", headers=[("x-forwarded-for", "10.0.0.1")]).status, 200)

    # field: VirtualHost.per_request_buffer_limit_bytes, Route.per_request_buffer_limit_bytes
    # field: VirtualHost.request_body_buffer_limit, Route.request_body_buffer_limit
    def test_bodies_that_are_kept_for_retries(self) -> None:
        def attempts(host: str, path: str, body: bytes) -> int:
            before = len(self.echo.requests)
            fetch(self.port, path, "PUT", host=host, headers=[("x-test-status", "503")], body=body)
            return len(self.echo.requests) - before

        self.assertEqual(attempts("limited", "/", b"0123456789"), 3)
        self.assertEqual(attempts("limited", "/", b"0123456789a"), 1)
        self.assertEqual(attempts("limited", "/own", b"x" * 1000), 3)
        self.assertEqual(attempts("limited", "/exact", b"x" * 11), 1)
        self.assertEqual(attempts("exact", "/", b"x" * 11), 1)

    # field: VirtualHost.virtual_clusters, VirtualCluster.name, VirtualCluster.headers, Route.stat_prefix
    def test_statistics_of_routes_and_virtual_clusters(self) -> None:
        fetch(self.port, "/own/1", "POST", host="limited", body=b"")
        fetch(self.port, "/read", host="limited", headers=[("x-test-status", "404")])
        fetch(self.port, "/else", host="limited")
        fetch(self.port, "/read-not-limited")
        for name, value in (("vcluster.writes.upstream_rq_total", 1), ("vcluster.writes.upstream_rq_200", 1),
                            ("vcluster.reads.upstream_rq_total", 1), ("vcluster.reads.upstream_rq_4xx", 1),
                            ("vcluster.other.upstream_rq_200", 1), ("route.own-route.upstream_rq_200", 1)):
            self.weir.wait_stat("vhost.limited." + name, value)
        self.assertIn('envoy_vhost_vcluster_upstream_rq_total{envoy_virtual_cluster="reads",envoy_virtual_host="limited"} 1',
                      self.weir.admin("/stats/prometheus"))
        wait_until(lambda: "/read reads\n" in open(self.log, encoding="ascii").read(), "the log line")

    # field: RouteAction.max_grpc_timeout, RouteAction.grpc_timeout_offset, MaxStreamDuration.grpc_timeout_header_max
    # field: MaxStreamDuration.grpc_timeout_header_offset
    def test_times_that_grpc_clients_grant(self) -> None:
        def expected(path: str, granted: str, grpc: bool = True) -> Any:
            headers = [("grpc-timeout", granted)] if granted else []
            seen = self.echoed(fetch(self.port, path, headers=headers + (self.grpc if grpc else [])))["headers"]
            return seen.get("x-envoy-expected-rq-timeout-ms")

        self.assertEqual(expected("/old", "200m"), ["200"])
        self.assertEqual(expected("/old", "5S"), ["300"])
        self.assertEqual(expected("/old", ""), ["300"])
        self.assertEqual(expected("/old", "200m", grpc=False), ["30000"])
        self.assertEqual(expected("/previous", "5S"), ["4000"])
        self.assertEqual(expected("/previous", "900m"), ["900"])
        self.assertIsNone(expected("/previous", ""))
        self.assertEqual(expected("/", "200m"), ["30000"])
        late = fetch(self.port, "/old", headers=[*self.grpc, ("x-test-delay", "3")])
        self.assertEqual((late.status, late.header("grpc-status")), (200, "14"))
        # Of the whole stream, beside the time for an answer; as the client grants it, if it grants any.
        self.assertEqual(expected("/max", "5S"), ["30000"])
        for path, granted, delay, status in (("/max", "5S", "3", "4"), ("/max", "", "0.5", None), ("/max", "100m", "3", "4"),
                                             ("/offset", "1300m", "3", "4"), ("/offset", "1S", "3", "4"), ("/offset", "200m", "3", "4"),
                                             ("/offset", "9S", "0.2", None)):
            fields = [*self.grpc, ("x-test-delay", delay), *([("grpc-timeout", granted)] if granted else [])]
            answer = fetch(self.port, path, headers=fields)
            with self.subTest(path=path, granted=granted):
                self.assertEqual((answer.status, answer.header("grpc-status")), (200, status))
        other = fetch(self.port, "/max", headers=[("x-test-delay", "3"), ("grpc-timeout", "5S")])
        self.assertEqual((other.status, other.body), (504, b"downstream duration timeout"))


if __name__ == "__main__":
    main()
