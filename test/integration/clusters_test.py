"""What the settings of a cluster change: limits, hosts and their health, balancing, the connections to them."""

import collections
import json
import os
import signal
import socket
import subprocess
from typing import Any

from harness import (Connection, EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, enable_h1_options,
                     fetch, file_access_log, http_listener, main, preserve_case, route, to_yaml, wait_line, wait_until, weir_binary)
from harness.config import address, http_options, tcp_listener
from harness.udp import UdpClient, UdpServer, udp_listener
from harness.upstreams import ServerConnection

_TYPE = "type.googleapis.com/"
_LB = _TYPE + "envoy.extensions.load_balancing_policies."


def endpoint(port: int, **fields: Any) -> dict:
    """An LbEndpoint; `hostname` goes to its endpoint."""
    hostname = fields.pop("hostname", None)
    inner: dict[str, Any] = {"address": address(port)}
    if hostname is not None:
        inner["hostname"] = hostname
    return {"endpoint": inner, **fields}


def cluster_of(name: str, *localities: dict, policy: Any = None, **fields: Any) -> dict:
    """A cluster of LocalityLbEndpoints."""
    assignment = {"cluster_name": name, "endpoints": list(localities), **({"policy": policy} if policy else {})}
    return {"name": name, "load_assignment": assignment, **fields}


def limited(name: str, port: int, **thresholds: Any) -> dict:
    return cluster(name, port, circuit_breakers={"thresholds": [thresholds]})


class BreakerTest(WeirTestCase):
    """Circuit breakers: what is above a limit fails at once."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        retry = {"retry_policy": {"retry_on": "5xx", "num_retries": 2, "retry_back_off": {"base_interval": "0.001s"}}}
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/requests"}, "requests"), route({"prefix": "/connections"}, "connections"),
            route({"prefix": "/retries"}, "retries", retry), route({"prefix": "/budget"}, "budget", retry),
            route({"prefix": "/free"}, "free", retry),
            route({"prefix": "/high"}, "two", {"priority": "HIGH"}), route({"prefix": "/usual"}, "two")])], [
                cluster("two", cls.echo.port, circuit_breakers={"thresholds": [
                    {"max_requests": 2}, {"priority": "HIGH", "max_requests": 1}]}),
                limited("requests", cls.echo.port, max_requests=1),
                limited("connections", cls.echo.port, max_connections=1, max_pending_requests=1),
                limited("retries", cls.echo.port, max_retries=0),
                limited("budget", cls.echo.port, retry_budget={"budget_percent": {"value": 0}, "min_retry_concurrency": 0}),
                cluster("free", cls.echo.port)]), concurrency=1)

    # field: Cluster.circuit_breakers, CircuitBreakers.thresholds, Thresholds.max_requests
    def test_requests(self) -> None:
        with Connection(self.port) as first:
            first.send_request(path="/requests", headers=[("x-test-delay", "0.5")])
            self.weir.wait_stat_is("cluster.requests.upstream_rq_active", 1)
            self.assertEqual(fetch(self.port, "/requests").status, 503)
            self.assertEqual(first.read_response().status, 200)
        self.assertEqual(fetch(self.port, "/requests").status, 200)

    # field: Thresholds.max_connections, Thresholds.max_pending_requests
    def test_connections_and_who_waits_for_one(self) -> None:
        with Connection(self.port) as first, Connection(self.port) as second:
            first.send_request(path="/connections", headers=[("x-test-delay", "0.5")])
            self.weir.wait_stat_is("cluster.connections.upstream_rq_active", 1)
            second.send_request(path="/connections")
            self.weir.wait_stat_is("cluster.connections.upstream_rq_pending_active", 1)
            self.assertEqual(fetch(self.port, "/connections").status, 503)
            self.assertEqual(first.read_response().status, 200)
            self.assertEqual(second.read_response().status, 200)
        self.weir.wait_stat("cluster.connections.upstream_rq_pending_overflow", 1)
        self.assertEqual(self.weir.stat("cluster.connections.upstream_rq_total"), 2)  # the third was refused

    def test_a_reload_lowers_them(self) -> None:
        """What lanes have taken of a higher limit, and do not use, is none of the lower one."""
        port = self.sandbox.free_port()

        def config(most: int) -> dict:
            return bootstrap([http_listener(port, [route({"prefix": "/"}, "echo")])], [limited("echo", self.echo.port, max_requests=most)])

        def at_once(count: int) -> list[int]:
            held = [Connection(port) for _ in range(count)]
            for connection in held:
                connection.send_request(headers=[("x-test-delay", "0.4")])
            statuses = sorted(connection.read_response().status for connection in held)
            for connection in held:
                connection.close()
            return statuses

        weir = Weir(self.sandbox, config(1024), concurrency=2)
        self.assertEqual(at_once(30), [200] * 30)
        with open(weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(config(5)) + "\n")
        weir.admin("/reload", "POST")
        weir.settle()
        self.assertEqual(weir.stat("cluster.echo.circuit_breakers.default.rq_open"), 0)
        self.assertEqual(at_once(30), [200] * 5 + [503] * 25)

    # field: RouteAction.priority, Thresholds.priority
    def test_priorities_have_limits_of_their_own(self) -> None:
        with Connection(self.port) as first, Connection(self.port) as second:
            first.send_request(path="/high", headers=[("x-test-delay", "0.5")])
            self.weir.wait_stat_is("cluster.two.upstream_rq_active", 1)
            self.assertEqual(self.weir.stat("cluster.two.circuit_breakers.high.rq_open"), 1)
            self.assertEqual(self.weir.stat("cluster.two.circuit_breakers.default.rq_open"), 0)
            self.assertEqual(fetch(self.port, "/high").status, 503)
            second.send_request(path="/usual", headers=[("x-test-delay", "0.5")])
            self.weir.wait_stat_is("cluster.two.upstream_rq_active", 2)
            self.assertEqual(fetch(self.port, "/usual").status, 200)
            self.assertEqual(first.read_response().status, 200)
            self.assertEqual(second.read_response().status, 200)
        text = self.weir.admin("/clusters")
        self.assertIn("two::default_priority::max_requests::2\n", text)
        self.assertIn("two::high_priority::max_requests::1\n", text)

    def attempts(self, path: str) -> int:
        before = len(self.echo.requests)
        self.assertEqual(fetch(self.port, path, headers=[("x-test-status", "503")]).status, 503)
        return len(self.echo.requests) - before

    def test_retries_without_limits(self) -> None:
        self.assertEqual(self.attempts("/free"), 3)

    # field: Thresholds.max_retries
    def test_retries(self) -> None:
        self.assertEqual(self.attempts("/retries"), 1)
        self.weir.wait_stat("cluster.retries.upstream_rq_retry_overflow", 1)

    # field: Thresholds.retry_budget, RetryBudget.budget_percent, RetryBudget.min_retry_concurrency
    def test_a_budget_of_nothing(self) -> None:
        self.assertEqual(self.attempts("/budget"), 1)
        self.weir.wait_stat("cluster.budget.upstream_rq_retry_overflow", 1)


class HostTest(WeirTestCase):
    """Which hosts get requests: health, priorities, panic; and what is known of them."""

    @classmethod
    def set_up(cls) -> None:
        cls.hosts = {name: EchoUpstream(cls.sandbox, name) for name in ("a", "b", "c")}
        ports = {name: host.port for name, host in cls.hosts.items()}
        cls.port = cls.sandbox.free_port()
        sick = {"health_status": "UNHEALTHY"}
        one_of_two = {"lb_endpoints": [endpoint(ports["a"]), endpoint(ports["b"], **sick)]}
        cls.clusters = [
            cluster_of("sick", {"lb_endpoints": [endpoint(ports["a"], **sick), endpoint(ports["b"])]}),
            cluster_of("panic", {"lb_endpoints": [endpoint(ports["a"], **sick), endpoint(ports["b"])]},
                       common_lb_config={"healthy_panic_threshold": {"value": 90}}),
            cluster_of("spare", {"lb_endpoints": [endpoint(ports["a"])]}, {"priority": 1, "lb_endpoints": [endpoint(ports["b"])]}),
            cluster_of("failed-over", {"lb_endpoints": [endpoint(ports["a"], **sick)]},
                       {"priority": 1, "lb_endpoints": [endpoint(ports["b"])]}),
            cluster_of("spilling", one_of_two, {"priority": 1, "lb_endpoints": [endpoint(ports["c"])]}),
            cluster_of("roomy", one_of_two, {"priority": 1, "lb_endpoints": [endpoint(ports["c"])]},
                       policy={"overprovisioning_factor": 200}),
            cluster_of("named", {"locality": {"region": "eu", "zone": "eu-1", "sub_zone": "rack-7"},
                                 "lb_endpoints": [endpoint(ports["a"], hostname="a.inside.example")]}, alt_stat_name="other")]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/named"}, "named", {"auto_host_rewrite": True}),
            *(route({"prefix": "/" + one["name"]}, one["name"]) for one in cls.clusters)])], cls.clusters), concurrency=1)

    def shares(self, path: str, count: int) -> collections.Counter:
        with Connection(self.port) as connection:
            return collections.Counter(self.echoed(connection.request(path=path))["server"] for _ in range(count))

    # field: LbEndpoint.health_status
    def test_unhealthy_hosts_get_nothing(self) -> None:
        self.assertEqual(dict(self.shares("/sick", 10)), {"b": 10})

    # field: Cluster.common_lb_config, CommonLbConfig.healthy_panic_threshold, type.v3.Percent.value
    def test_below_the_threshold_all_hosts_count(self) -> None:
        self.assertEqual(dict(self.shares("/panic", 10)), {"a": 5, "b": 5})

    # field: LocalityLbEndpoints.priority
    def test_a_higher_priority_is_preferred(self) -> None:
        self.assertEqual(dict(self.shares("/spare", 10)), {"a": 10})
        self.assertEqual(dict(self.shares("/failed-over", 10)), {"b": 10})

    # field: ClusterLoadAssignment.policy, ClusterLoadAssignment.Policy.overprovisioning_factor
    def test_overprovisioning(self) -> None:
        """With half of its hosts a level takes 70 % by default; with a factor of 200 everything."""
        self.assertEqual(dict(self.shares("/roomy", 100)), {"a": 100})
        self.assertGreater(self.shares("/spilling", 100)["c"], 0)

    # field: Endpoint.hostname, RouteAction.auto_host_rewrite
    def test_the_hosts_name_replaces_that_of_the_request(self) -> None:
        self.assertEqual(self.echoed(fetch(self.port, "/named"))["headers"]["host"], ["a.inside.example"])

    # field: Cluster.alt_stat_name
    def test_statistics_under_another_name(self) -> None:
        fetch(self.port, "/named")
        self.weir.wait_stat("cluster.other.upstream_rq_total", 1)
        self.assertNotIn("cluster.named.upstream_rq_total", self.weir.stats())

    # field: LocalityLbEndpoints.locality, Locality.region, Locality.zone, Locality.sub_zone
    def test_localities_are_told(self) -> None:
        page = self.weir.admin("/clusters")
        for line in ("region::eu", "zone::eu-1", "sub_zone::rack-7"):
            self.assertIn("named::127.0.0.1:%d::%s\n" % (self.hosts["a"].port, line), page)


class BalancerTest(WeirTestCase):
    """Who is picked while other hosts are busy."""

    @classmethod
    def set_up(cls) -> None:
        cls.hosts = [EchoUpstream(cls.sandbox, name) for name in ("a", "b", "c")]
        ports = [host.port for host in cls.hosts]
        cls.port = cls.sandbox.free_port()

        def policies(*configs: dict) -> dict:
            return {"load_balancing_policy": {"policies": [{"typed_extension_config": {"name": "p", "typed_config": config}}
                                                           for config in configs]}}

        clusters = [
            cluster("round", *ports[:2], lb_policy="ROUND_ROBIN", round_robin_lb_config={}),
            cluster("least", *ports[:2], lb_policy="LEAST_REQUEST"),
            cluster("three", *ports, lb_policy="LEAST_REQUEST", least_request_lb_config={"choice_count": 3}),
            cluster("typed", *ports, **policies({"@type": _LB + "pick_first.v3.PickFirst"},
                                                {"@type": _LB + "least_request.v3.LeastRequest", "choice_count": 3})),
            cluster("scan", *ports, **policies({"@type": _LB + "least_request.v3.LeastRequest", "selection_method": "FULL_SCAN"}))]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/" + one["name"]}, one["name"]) for one in clusters])], clusters), concurrency=1)

    def picked_beside_busy_ones(self, name: str, busy: int) -> collections.Counter:
        """The shares of 12 requests while each of `busy` hosts works on one."""
        connections = [Connection(self.port) for _ in range(busy)]
        for count, connection in enumerate(connections):
            connection.send_request(path="/" + name, headers=[("x-test-delay", "1")])
            self.weir.wait_stat_is("cluster.%s.upstream_rq_active" % name, count + 1)
        with Connection(self.port) as client:
            shares = collections.Counter(self.echoed(client.request(path="/" + name))["server"] for _ in range(12))
        for connection in connections:
            self.assertEqual(connection.read_response().status, 200)
            connection.close()
        return shares

    # field: Cluster.round_robin_lb_config
    def test_round_robin_does_not_look(self) -> None:
        self.assertEqual(sorted(self.picked_beside_busy_ones("round", 1).values()), [6, 6])

    # field: Cluster.lb_policy
    def test_least_request_picks_the_idle_one(self) -> None:
        self.assertEqual(list(self.picked_beside_busy_ones("least", 1).values()), [12])

    # field: Cluster.least_request_lb_config, LeastRequestLbConfig.choice_count
    def test_as_many_choices_as_hosts(self) -> None:
        self.assertEqual(list(self.picked_beside_busy_ones("three", 2).values()), [12])

    # field: Cluster.load_balancing_policy, LoadBalancingPolicy.policies, Policy.typed_extension_config
    # field: envoy.config.core.v3.TypedExtensionConfig.typed_config, LeastRequest.choice_count
    def test_the_first_policy_that_this_build_has(self) -> None:
        self.assertEqual(list(self.picked_beside_busy_ones("typed", 2).values()), [12])

    # field: LeastRequest.selection_method
    def test_full_scan(self) -> None:
        self.assertEqual(list(self.picked_beside_busy_ones("scan", 2).values()), [12])


class ConnectionTest(WeirTestCase):
    """How hosts are spoken to."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.bulk = ScriptedUpstream(cls.sandbox, cls.tell_peer)
        cls.odd = ScriptedUpstream(cls.sandbox, cls.answer_oddly)
        cls.port = cls.sandbox.free_port()

        def typed(name: str, **common: Any) -> dict:
            return cluster(name, cls.echo.port, **http_options(
                common_http_protocol_options=common, explicit_http_config={"http_protocol_options": {}}))

        clusters = [
            cluster("two", cls.echo.port, max_requests_per_connection=2), typed("typed-two", max_requests_per_connection=2),
            cluster("few", cls.echo.port, common_http_protocol_options={"max_headers_count": 5}),
            typed("small", max_response_headers_kb=1), typed("idle", idle_timeout="0.3s"),
            cluster("proper", cls.echo.port, http_protocol_options={"header_key_format": {"proper_case_words": {}}}),
            enable_h1_options(cluster("typed-proper", cls.echo.port), header_key_format={"proper_case_words": {}}),
            cluster("absolute", cls.echo.port, http_protocol_options={"send_fully_qualified_url": True}),
            *(enable_h1_options(cluster(name, cls.odd.port), header_key_format=preserve_case(**fields))
              for name, fields in (("as-is", {}), ("reason", {"forward_reason_phrase": True}))),
            cluster("strict", cls.odd.port),
            enable_h1_options(cluster("lenient", cls.odd.port), allow_chunked_length=True),
            cluster("bound", cls.bulk.port, upstream_bind_config={"source_address": {"address": "127.0.0.77", "port_value": 0}})]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/" + one["name"]}, one["name"]) for one in clusters])], clusters), concurrency=1)

    @staticmethod
    def tell_peer(connection: ServerConnection) -> None:
        while True:
            connection.read_request()
            connection.respond(200, connection.sock.getpeername()[0].encode())

    @staticmethod
    def answer_oddly(connection: ServerConnection) -> None:
        while True:
            request = connection.read_request()
            if request.target.endswith("both"):
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            else:
                connection.send(b"HTTP/1.1 200 Very Well\r\nContent-LENGTH: 2\r\nx-Mine: 1\r\nDate: today\r\n\r\nok")

    # field: Http1ProtocolOptions@upstream.send_fully_qualified_url
    def test_absolute_form(self) -> None:
        for name, target in (("two", "/two?a"), ("absolute", "http://h.example:81/absolute?a")):
            self.assertEqual(fetch(self.port, "/" + name + "?a", host="h.example:81").status, 200)
            request = self.echo.requests[-1]
            self.assertEqual((request.target, request.header("host")), (target, "h.example:81"))

    # field: Http1ProtocolOptions@upstream.header_key_format, PreserveCaseFormatterConfig.forward_reason_phrase
    def test_responses_as_they_came(self) -> None:
        for name, reason, names in (("strict", "OK", ["content-length", "x-mine", "date"]),
                                    ("as-is", "OK", ["Content-LENGTH", "x-Mine", "Date"]),
                                    ("reason", "Very Well", ["Content-LENGTH", "x-Mine", "Date"])):
            response = fetch(self.port, "/" + name)
            self.assertEqual((response.reason, [one for one, _ in response.headers][:3]), (reason, names))

    # field: Http1ProtocolOptions@upstream.allow_chunked_length
    def test_chunked_and_a_length(self) -> None:
        self.assertEqual(fetch(self.port, "/strict/both").status, 502)
        for _ in range(2):  # each on a connection of its own
            before = self.odd.connections
            response = fetch(self.port, "/lenient/both")
            self.assertEqual((response.status, response.text, response.header("content-length")), (200, "ok", None))
            self.assertEqual(self.odd.connections, before + 1)

    # field: Cluster.max_requests_per_connection, HttpProtocolOptions@upstream.max_requests_per_connection
    def test_requests_per_connection(self) -> None:
        for path in ("/two", "/typed-two"):
            before = self.echo.connections
            for _ in range(6):
                self.assertEqual(fetch(self.port, path).status, 200)
            self.assertEqual(self.echo.connections - before, 3)

    # field: Cluster.common_http_protocol_options, HttpProtocolOptions@upstream.max_headers_count
    def test_number_of_headers(self) -> None:
        many = [("x-test-header", "x-%d=v" % number) for number in range(8)]
        self.assertEqual(fetch(self.port, "/two", headers=many).status, 200)
        self.assertEqual(fetch(self.port, "/few", headers=many).status, 502)

    # field: Cluster.typed_extension_protocol_options, http.v3.HttpProtocolOptions.common_http_protocol_options
    # field: HttpProtocolOptions@upstream.max_response_headers_kb
    def test_size_of_headers(self) -> None:
        large = [("x-test-header", "x-large=" + "v" * 2000)]
        self.assertEqual(fetch(self.port, "/two", headers=large).status, 200)
        self.assertEqual(fetch(self.port, "/small", headers=large).status, 502)

    # field: HttpProtocolOptions@upstream.idle_timeout
    def test_idle_connections_are_closed(self) -> None:
        self.assertEqual(fetch(self.port, "/idle").status, 200)
        self.weir.wait_stat("cluster.idle.upstream_cx_idle_timeout", 1)

    # field: Cluster.http_protocol_options, Http1ProtocolOptions@upstream.header_key_format
    # field: http.v3.HttpProtocolOptions.explicit_http_config, ExplicitHttpConfig.http_protocol_options
    def test_proper_case(self) -> None:
        for path, name in (("/two", "x-a"), ("/proper", "X-A"), ("/typed-proper", "X-A")):
            self.assertEqual(fetch(self.port, path, headers=[("x-a", "1")]).status, 200)
            self.assertIn((name, "1"), self.echo.requests[-1].headers)

    # field: Cluster.upstream_bind_config, BindConfig.source_address
    def test_source_address(self) -> None:
        self.assertEqual(fetch(self.port, "/bound").text, "127.0.0.77")


def socket_option(level: int, name: int, value: int, **fields: Any) -> dict[str, Any]:
    return {"level": level, "name": name, "int_value": value, **fields}


def segments(size: int) -> dict[str, Any]:
    """What the kernel tells the peer is the size of TCP's pieces: the peer sees that it was set before connect()."""
    return socket_option(socket.IPPROTO_TCP, socket.TCP_MAXSEG, size, type={"stream": {}})


class BindingTest(WeirTestCase):
    """Where sockets to hosts come from, and with which options."""

    @classmethod
    def set_up(cls) -> None:
        cls.tcp = ScriptedUpstream(cls.sandbox, cls.tell_peer)
        cls.udp = UdpServer(cls.sandbox, "u")
        cls.port, cls.raw = cls.sandbox.free_port(), cls.sandbox.free_port()
        cls.udp_ports = {name: cls.sandbox.free_port() for name in ("usual", "own", "unknown")}
        cls.weir = Weir(cls.sandbox, cls.config("127.0.0.79", 900), concurrency=1)

    @classmethod
    def config(cls, source: str, size: int) -> dict[str, Any]:
        def bind(source: str, *options: Any) -> dict[str, Any]:
            return {"source_address": {"address": source, "port_value": 0}, "socket_options": list(options)}

        unknown = socket_option(1, 32000, 1, type={"datagram": {}})
        clusters = [cluster("usual", cls.tcp.port), cluster("own", cls.tcp.port, upstream_bind_config=bind("127.0.0.78", segments(700))),
                    cluster("nothing", cls.tcp.port, upstream_bind_config={"freebind": False}),
                    cluster("unknown", cls.tcp.port, upstream_bind_config={"socket_options": [unknown]}),
                    cluster("refused", cls.tcp.port, upstream_bind_config=bind("192.0.2.1"))]
        udp = [cluster("udp-" + name, cls.udp.port, **({"upstream_bind_config": config} if config else {}))
               for name, config in (("usual", None), ("own", bind("127.0.0.78")), ("unknown", {"socket_options": [unknown]}))]
        config = bootstrap([http_listener(cls.port, [route({"prefix": "/" + one["name"]}, one["name"]) for one in clusters]),
                            tcp_listener(cls.raw, "usual"),
                            *(udp_listener(port, "udp-" + name, name) for name, port in cls.udp_ports.items())], clusters + udp)
        config["cluster_manager"] = {"upstream_bind_config": bind(source, segments(size))}
        return config

    @staticmethod
    def tell_peer(connection: ServerConnection) -> None:
        while True:
            connection.read_request()
            size = connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            connection.respond(200, ("%s %s" % (connection.sock.getpeername()[0], size // 100)).encode())

    # field: ClusterManager.upstream_bind_config, BindConfig.socket_options, SocketOption.int_value
    def test_connections(self) -> None:
        self.assertEqual(fetch(self.port, "/usual").text, "127.0.0.79 8")
        self.assertEqual(fetch(self.raw, "/").text, "127.0.0.79 8")
        self.assertEqual(fetch(self.port, "/own").text, "127.0.0.78 6")
        self.assertRegex(fetch(self.port, "/nothing").text, r"^127\.0\.0\.1 \d\d")  # of its own: that of all does not count

    def test_datagrams(self) -> None:
        for name, source in (("usual", "127.0.0.79"), ("own", "127.0.0.78")):
            with UdpClient(self.udp_ports[name]) as client:
                self.assertEqual(client.ask(b"hi"), b"u hi")
            self.assertEqual(self.udp.seen[-1][1][0], source)

    # field: SocketOption.type, SocketType.datagram
    def test_what_the_kernel_refuses(self) -> None:
        self.assertEqual(fetch(self.port, "/unknown").status, 200)
        with UdpClient(self.udp_ports["unknown"]) as client:
            client.send(b"hi")
            self.weir.wait_stat("cluster.udp-unknown.upstream_cx_connect_fail", 1)
        self.assertEqual(fetch(self.port, "/refused").status, 503)
        self.assertGreaterEqual(self.weir.stat("cluster.refused.upstream_cx_connect_fail"), 1)
        for text in ("cannot set the socket option 1/32000 of a socket to 127.0.0.1:%d" % self.udp.port,
                     "cannot bind the end 192.0.2.1:0 of a socket to 127.0.0.1:%d" % self.tcp.port):
            wait_until(lambda: text in self.weir.process.log(), text)

    def test_another_source(self) -> None:
        self.assertEqual(fetch(self.port, "/usual").text, "127.0.0.79 8")
        own = fetch(self.port, "/own").text
        try:
            self.reload(self.config("127.0.0.80", 600))
            self.assertEqual(fetch(self.port, "/usual").text, "127.0.0.80 5")  # on a connection of its own
            self.assertEqual(fetch(self.port, "/own").text, own)
            self.assertEqual(self.weir.stat("cluster.own.upstream_cx_total"), 1)
        finally:
            self.reload(self.config("127.0.0.79", 900))
        self.assertNotIn("needs a restart", self.weir.process.log())

    def reload(self, config: dict[str, Any]) -> None:
        done = self.weir.stat("server.config_reload_success")
        with open(self.weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(config) + "\n")
        os.kill(self.weir.process.popen.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_success", done + 1)


class AddressesTest(WeirTestCase):
    """Hosts with several addresses: which of them is tried first, and what serves when one does not answer."""

    @classmethod
    def set_up(cls) -> None:
        cls.upstreams = {name: EchoUpstream(cls.sandbox, name, host) for name, host in (("4", "127.0.0.1"), ("4b", "127.0.0.2"), ("6", "::1"))}
        at = {name: address(one.port, host) for (name, one), host in zip(cls.upstreams.items(), ("127.0.0.1", "127.0.0.2", "::1"))}
        at["dead"] = address(cls.sandbox.free_port(), "127.0.0.3")
        cls.port = cls.sandbox.free_port()
        cls.log = cls.sandbox.path("addresses.log")

        def host(name: str, first: str, *more: str, **happy: Any) -> dict[str, Any]:
            one = {"address": at[first], "additional_addresses": [{"address": at[other]} for other in more]}
            options = {"upstream_connection_options": {"happy_eyeballs_config": happy}} if happy else {}
            return cluster_of(name, {"lb_endpoints": [{"endpoint": one}]}, **options)

        clusters = [
            host("in-order", "4", "4b", "6"), host("first-dead", "dead", "4b"), host("in-turn", "dead", "4b", "6"),
            host("six-first", "4", "4b", "6", first_address_family_version="V6"),
            host("four-first", "6", "4", "4b", first_address_family_version="V4"),
            host("two-first", "dead", "4b", "6", first_address_family_version="DEFAULT", first_address_family_count=2),
            host("twice", "dead", "dead", "6", "6"), host("none", "dead", "dead"),
        ]
        cls.clusters = [one["name"] for one in clusters]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/" + name}, name) for name in cls.clusters], access_log=[
                file_access_log(cls.log, "%REQ(:PATH)% %UPSTREAM_REMOTE_ADDRESS%\n")])], clusters), concurrency=1)

    def served(self, name: str) -> str:
        response = fetch(self.port, "/" + name)
        self.assertEqual(response.status, 200, name)
        return str(json.loads(response.text)["server"])

    # field: Endpoint.additional_addresses, Endpoint.AdditionalAddress.address
    def test_the_next_address(self) -> None:
        for name, server in (("in-order", "4"), ("first-dead", "4b"), ("in-turn", "6"), ("twice", "6")):
            self.assertEqual(self.served(name), server, name)
        self.assertEqual(self.weir.stat("cluster.in-turn.membership_total"), 1)
        self.assertEqual(self.weir.stat("cluster.in-turn.upstream_cx_connect_fail"), 1)
        wait_line(self.log, "/in-turn [::1]:%d" % self.upstreams["6"].port)
        self.assertEqual(fetch(self.port, "/none").status, 503)

    # field: UpstreamConnectionOptions.happy_eyeballs_config, HappyEyeballsConfig.first_address_family_version
    # field: HappyEyeballsConfig.first_address_family_count
    def test_which_family_comes_first(self) -> None:
        for name, server in (("six-first", "6"), ("four-first", "4"), ("two-first", "4b")):
            self.assertEqual(self.served(name), server, name)

    def test_what_is_not_possible(self) -> None:
        def fault(endpoint: dict[str, Any], **fields: Any) -> str:
            return verdict(cluster_of("c", {"lb_endpoints": [{"endpoint": endpoint}]}, **fields))

        def verdict(one: dict[str, Any]) -> str:
            path = self.sandbox.path("wrong.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(to_yaml(bootstrap([], [one])) + "\n")
            done = subprocess.run([weir_binary(), "-c", path, "--mode", "validate"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, check=False)
            self.assertNotEqual(done.returncode, 0)
            return done.stdout

        more = [{"address": address(80, "10.0.0.2")}]
        pipe = {"address": {"pipe": {"path": "/x"}}}
        self.assertIn("whose address is a socket_address", fault({**pipe, "additional_addresses": more}))
        self.assertIn("must be a socket_address", fault({"address": address(80), "additional_addresses": [pipe]}))
        self.assertIn("where the endpoint listens", fault({"address": address(80), "additional_addresses": [{"address": address(0)}]}))
        self.assertIn("is for endpoints that are addresses",
                      fault({"address": address(80, "a.example"), "additional_addresses": more}, type="STRICT_DNS"))
        self.assertIn("at least 1 is tried at a time", fault({"address": address(80)}, upstream_connection_options={
            "happy_eyeballs_config": {"first_address_family_count": 0}}))


if __name__ == "__main__":
    main()
