"""Slow peers: each kind of slowness ends in the time configured for it, with its status, flag and counter."""

import select
import socket
import time

from harness import (Connection, EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch,
                     file_access_log, http_listener, main, route, wait_line, wait_until)
from harness.config import http_options
from harness.upstreams import ServerConnection

_FAULT = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
LOG_LINE = "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"


class UpstreamTimeoutTest(WeirTestCase):
    """The route's timeout and that of a try."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.stalling = ScriptedUpstream(cls.sandbox, cls.stall)
        cls.port = cls.sandbox.free_port()
        cls.log_path = cls.sandbox.path("access.log")
        aging = http_options(common_http_protocol_options={"max_stream_duration": "0.3s"},
                             explicit_http_config={"http_protocol_options": {}})
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/short"}, "echo", {"timeout": "0.3s"}),
            route({"prefix": "/stall"}, "stalling", {"timeout": "0.3s"}),
            route({"prefix": "/idle"}, "stalling", {"timeout": "0s", "idle_timeout": "0.3s"}),
            route({"prefix": "/quiet-try"}, "echo", {"timeout": "0s", "retry_policy": {
                "retry_on": "5xx", "num_retries": 1, "per_try_idle_timeout": "0.2s"}}),
            route({"prefix": "/quiet-end"}, "stalling", {"timeout": "0s", "retry_policy": {
                "retry_on": "5xx", "num_retries": 1, "per_try_idle_timeout": "0.2s"}}),
            route({"prefix": "/long"}, "echo", {"max_stream_duration": {"max_stream_duration": "0.3s"}}),
            route({"path": "/expected"}, "echo", {"timeout": "0.6s", "retry_policy": {
                "retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.4s"}}),
            route({"path": "/briefly"}, "echo", {"retry_policy": {"retry_on": "reset", "num_retries": 1}}),
            route({"path": "/age"}, "aging"), route({"path": "/half-age"}, "stalling-aging"),
            route({"path": "/age-again"}, "aging", {"retry_policy": {"retry_on": "reset", "num_retries": 1}}),
            route({"prefix": "/try"}, "echo", {"timeout": "5s", "retry_policy": {
                "retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.2s"}})],
            access_log=[file_access_log(cls.log_path, LOG_LINE)],
            internal_address_config={"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]})],
            [cluster("echo", cls.echo.port), cluster("stalling", cls.stalling.port),
             cluster("aging", cls.echo.port, **aging), cluster("stalling-aging", cls.stalling.port, **aging)]))

    @staticmethod
    def stall(connection: ServerConnection) -> None:
        """Half a response, and silence."""
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        connection.reader.until_closed()

    def logged(self, beginning: str) -> str:
        def line() -> str:
            with open(self.log_path, encoding="utf-8") as file:
                return next((line.strip() for line in file if line.startswith(beginning)), "")

        return wait_until(line, "an access log line that begins with %s" % beginning, 15)

    # field: RouteAction.timeout
    def test_route_timeout(self) -> None:
        began = time.monotonic()
        with Connection(self.port) as connection:
            self.assertEqual(connection.request(path="/short", headers=[("x-test-delay", "5")]).status, 504)
            self.assertLess(time.monotonic() - began, 2)
            # The downstream connection lives on.
            self.assertEqual(connection.request(path="/short").status, 200)
        self.weir.wait_stat("cluster.echo.upstream_rq_timeout", 1)
        self.assertEqual(self.logged("/short 504"), "/short 504 UT upstream_response_timeout")

    def test_timeout_within_a_response_cuts_it_off(self) -> None:
        with Connection(self.port) as connection:
            connection.send_request(path="/stall")
            self.assertEqual(connection.reader.head().status, 200)
            rest = connection.reader.until_closed()
            self.assertEqual(rest, b"half")

    # field: RouteAction.idle_timeout
    def test_idle_stream(self) -> None:
        began = time.monotonic()
        with Connection(self.port) as connection:
            connection.send_request(path="/idle")
            self.assertEqual(connection.reader.head().status, 200)
            connection.reader.until_closed()
        self.assertLess(time.monotonic() - began, 3)
        self.weir.wait_stat("http.ingress.downstream_rq_idle_timeout", 1)
        self.assertIn(" SI ", self.logged("/idle"))

    # field: RouteAction.retry_policy, route.v3.RetryPolicy.retry_on, RetryPolicy.per_try_timeout
    def test_a_try_has_its_own_timeout(self) -> None:
        began = time.monotonic()
        self.assertEqual(fetch(self.port, "/try", headers=[("x-test-delay", "3")]).status, 504)
        self.assertLess(time.monotonic() - began, 2)
        self.weir.wait_stat("cluster.echo.upstream_rq_per_try_timeout", 2)


    def test_servers_are_told_how_long_is_waited(self) -> None:
        """For one attempt; for the last one what is left of the whole."""
        self.assertEqual(fetch(self.port, "/expected", headers=[("x-test-delay", "3")]).status, 504)
        first, second = (int(request.header("x-envoy-expected-rq-timeout-ms") or 0) for request in self.echo.requests
                         if request.target == "/expected")
        self.assertEqual(first, 400)
        self.assertLessEqual(second, 200)
        self.assertGreater(second, 0)

    # field: RetryPolicy.per_try_idle_timeout
    def test_a_try_that_says_nothing(self) -> None:
        self.assertEqual(fetch(self.port, "/quiet-try", headers=[("x-test-delay", "3")]).status, 504)
        self.assertIn("upstream_per_try_idle_timeout", self.logged("/quiet-try 504"))
        with Connection(self.port) as connection:  # in the middle of a response: it is cut off
            connection.send_request(path="/quiet-end")
            self.assertEqual(connection.reader.head().status, 200)
            self.assertEqual(connection.reader.until_closed(), b"half")

    # field: RouteAction.max_stream_duration, MaxStreamDuration.max_stream_duration
    def test_longest_duration_of_a_stream(self) -> None:
        self.assertEqual(fetch(self.port, "/long", headers=[("x-test-delay", "5")]).status, 504)
        self.weir.wait_stat("http.ingress.downstream_rq_max_duration_reached", 1)

    # field: HttpProtocolOptions@upstream.max_stream_duration
    def test_longest_duration_of_an_attempt(self) -> None:
        name = "cluster.aging.upstream_rq_max_duration_reached"
        before = self.weir.stat(name)
        self.assertEqual(fetch(self.port, "/age", headers=[("x-test-delay", "5")]).status, 504)
        self.assertEqual(self.logged("/age "), "/age 504 UMSDR upstream_max_stream_duration_reached")
        self.weir.wait_stat_is(name, before + 1)
        self.assertEqual(fetch(self.port, "/age").status, 200)
        # Each attempt has the time for itself.
        self.assertEqual(fetch(self.port, "/age-again", headers=[("x-test-delay", "5")]).status, 504)
        self.weir.wait_stat_is(name, before + 3)
        with Connection(self.port) as connection:  # in the middle of a response: it is cut off
            connection.send_request(path="/half-age")
            self.assertEqual(connection.reader.head().status, 200)
            self.assertEqual(connection.reader.until_closed(), b"half")
        self.assertIn(" UMSDR ", self.logged("/half-age "))

    def test_a_request_limits_its_attempts(self) -> None:
        """Instead of the cluster; the limit of the stream stays what it is."""
        def ask(path: str, duration: str) -> int:
            return fetch(self.port, path, headers=[("x-test-delay", "0.6"), ("x-forwarded-for", "10.0.0.1"),
                                                   ("x-envoy-upstream-stream-duration-ms", duration)]).status

        before = self.weir.stat("cluster.aging.upstream_rq_max_duration_reached")
        self.assertEqual([ask("/age?longer", duration) for duration in ("5000", "0")], [200, 200])
        self.assertEqual(self.weir.stat("cluster.aging.upstream_rq_max_duration_reached"), before)
        self.assertEqual([ask("/long?header", duration) for duration in ("5000", "0")], [504, 504])
        before = self.weir.stat("cluster.echo.upstream_rq_max_duration_reached")
        self.assertEqual(ask("/briefly", "100"), 504)
        self.assertEqual(self.logged("/briefly"), "/briefly 504 URX,UMSDR upstream_max_stream_duration_reached")
        self.weir.wait_stat_is("cluster.echo.upstream_rq_max_duration_reached", before + 2)  # it was tried again


class BeforeTheRouterTest(WeirTestCase):
    """The limits of a route hold from when it is chosen, whichever filter has the request."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port, cls.log = cls.sandbox.free_port(), cls.sandbox.path("access.log")

        def slow(path: str, delay: str, action: dict) -> dict:
            return {**route({"path": path}, "echo", action), "typed_per_filter_config": {"fault": {
                "@type": _FAULT, "delay": {"fixed_delay": delay, "percentage": {"numerator": 100}}}}}

        refused = {**route({"path": "/refused"}, "echo"), "typed_per_filter_config": {"fault": {
            "@type": _FAULT, "abort": {"http_status": 503, "percentage": {"numerator": 100}}}}}
        to = {"internal_redirect_policy": {"allow_cross_scheme_redirect": True}}
        routes = [
            slow("/idle", "5s", {"idle_timeout": "0.3s"}),
            slow("/longest", "5s", {"max_stream_duration": {"max_stream_duration": "0.3s"}}),
            slow("/patient", "1.2s", {"idle_timeout": "0s", "max_stream_duration": {"max_stream_duration": "0s"}}),
            slow("/calls", "5s", {"max_stream_duration": {"grpc_timeout_header_max": "10s"}}),
            route({"path": "/brief"}, "echo", {**to, "max_stream_duration": {"max_stream_duration": "0.4s"}}),
            route({"path": "/free"}, "echo", {**to, "max_stream_duration": {"max_stream_duration": "0s"}}),
            route({"path": "/end"}, "echo"),
            route({"prefix": "/told"}, "echo", {"max_stream_duration": {
                "grpc_timeout_header_max": "4s", "grpc_timeout_header_offset": "0.5s", "max_stream_duration": "3s"}}),
            route({"prefix": "/old"}, "echo", {"max_grpc_timeout": "1s"}), refused]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, routes, stream_idle_timeout="1s", common_http_protocol_options={"max_stream_duration": "1s"}, http_filters=[
                {"name": "fault", "typed_config": {"@type": _FAULT}}],
            access_log=[file_access_log(cls.log, "%REQ(:PATH)% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW%\n")])],
            [cluster("echo", cls.echo.port, alt_stat_name="known_as")]))

    def test_while_a_filter_has_the_request(self) -> None:
        for path, grpc in (("/idle", []), ("/longest", []), ("/calls", [("grpc-timeout", "300m")])):
            with self.subTest(path):
                began = time.monotonic()
                response = fetch(self.port, path, headers=[("content-type", "application/grpc"), *grpc] if grpc else ())
                self.assertIn(response.status, (200, 504))  # gRPC's status is in a field
                self.assertLess(time.monotonic() - began, 0.9)
        self.assertEqual(fetch(self.port, "/patient").status, 200)  # longer than the connection manager would have it

    def test_an_internal_redirect_takes_the_limits_of_where_it_leads(self) -> None:
        def go(path: str, delay: str) -> int:
            return fetch(self.port, path, headers=[("x-test-status", "302"), ("x-test-header", "location=/end"), ("x-test-delay", delay)]).status

        # The echo server redirects at /end once more, which is too often; what counts is who says how long.
        self.assertEqual(go("/brief", "0.3"), 302)  # 0.6 s in all: /end may take the connection manager's 1 s
        self.assertEqual(go("/free", "0.7"), 504)   # 1.4 s

    def test_servers_are_told(self) -> None:
        def told(path: str, *headers: tuple) -> object:
            account = self.echoed(fetch(self.port, path, headers=[("content-type", "application/grpc"), *headers]))
            return account["headers"].get("grpc-timeout", [None])[0]

        self.assertEqual(told("/told", ("grpc-timeout", "9S")), "3500m")
        self.assertEqual(told("/told", ("grpc-timeout", "2S")), "1500m")
        self.assertEqual(told("/told"), "3000m")
        self.assertEqual(told("/old", ("grpc-timeout", "9S")), "1000m")
        self.assertEqual(told("/old", ("grpc-timeout", "200m")), "200m")
        self.assertEqual(told("/end", ("grpc-timeout", "9S")), "9S")

    def test_the_log_names_the_cluster_that_was_meant(self) -> None:
        self.assertEqual(fetch(self.port, "/refused").status, 503)
        self.assertEqual(wait_line(self.log, "/refused "), "/refused known_as echo")


class SlowClientTest(WeirTestCase):
    """Slowloris in its variants."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.headers, cls.request, cls.idle, cls.stream, cls.most = (cls.sandbox.free_port() for _ in range(5))
        routes = [route({"prefix": "/"}, "echo")]
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.headers, routes, name="headers", stat_prefix="headers", request_headers_timeout="0.4s"),
            http_listener(cls.request, routes, name="request", stat_prefix="request", request_timeout="0.4s"),
            http_listener(cls.idle, routes, name="idle", stat_prefix="idle", common_http_protocol_options={"idle_timeout": "0.4s"}),
            http_listener(cls.stream, routes, name="stream", stat_prefix="stream", stream_idle_timeout="0.4s"),
            http_listener(cls.most, routes, name="most", stat_prefix="most", stream_idle_timeout="0s",
                          common_http_protocol_options={"max_stream_duration": "0.8s"})],
            [cluster("echo", cls.echo.port)]))

    # field: HttpConnectionManager.request_headers_timeout
    def test_headers_drop_by_drop(self) -> None:
        with Connection(self.headers) as connection:
            connection.send(b"GET / HTTP/1.1\r\nhost: t\r\n")
            began = time.monotonic()
            try:
                while time.monotonic() - began < 5:
                    connection.send(b"x-drop: 1\r\n")
                    if connection.readable_within(0.1):
                        break
            except ConnectionError:
                pass
            self.assertLess(time.monotonic() - began, 2)
            self.assertEqual(connection.read_response().status, 408)
            self.assertTrue(connection.closed_within(2))
        self.weir.wait_stat("http.headers.downstream_rq_header_timeout", 1)

    def test_the_head_is_part_of_the_stream(self) -> None:
        with Connection(self.most) as connection:
            connection.send(b"GET / HTTP/1.1\r\nhost: t\r\n")
            began = time.monotonic()
            while time.monotonic() - began < 5 and not connection.readable_within(0.1):
                connection.send(b"x-drop: 1\r\n")
            self.assertEqual(connection.read_response().status, 408)
        self.weir.wait_stat("http.most.downstream_rq_max_duration_reached", 1)
        with Connection(self.most) as connection:  # what the head took is not granted again
            connection.send(b"GET / HTTP/1.1\r\nhost: t\r\nx-test-delay: 5\r\n")
            began = time.monotonic()
            time.sleep(0.5)
            connection.send(b"\r\n")
            self.assertEqual(connection.read_response().status, 504)
            self.assertLess(time.monotonic() - began, 1.2)

    def test_complete_headers_are_in_time(self) -> None:
        with Connection(self.headers) as connection:
            for _ in range(3):
                self.assertEqual(connection.request(headers=[("x-test-delay", "0.5")]).status, 200)

    # field: HttpConnectionManager.request_timeout
    def test_body_drop_by_drop(self) -> None:
        with Connection(self.request) as connection:
            connection.send(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n")
            began = time.monotonic()
            response = None
            while time.monotonic() - began < 5 and response is None:
                connection.send(b"x")
                if connection.readable_within(0.1):
                    response = connection.read_response()
            self.assertIsNotNone(response)
            self.assertEqual(response.status, 408)  # type: ignore[union-attr]
            self.assertLess(time.monotonic() - began, 2)
        self.weir.wait_stat("http.request.downstream_rq_timeout", 1)

    # field: HttpConnectionManager.common_http_protocol_options, HttpProtocolOptions@downstream.idle_timeout
    def test_idle_connection_is_closed(self) -> None:
        with Connection(self.idle) as fresh, Connection(self.idle) as used:
            self.assertEqual(used.request().status, 200)
            self.assertTrue(fresh.closed_within(3))
            self.assertTrue(used.closed_within(3))
        self.weir.wait_stat("http.idle.downstream_cx_idle_timeout", 2)

    def test_a_busy_connection_is_not_idle(self) -> None:
        with Connection(self.idle) as connection:
            for _ in range(3):
                self.assertEqual(connection.request(headers=[("x-test-delay", "0.6")]).status, 200)

    # field: HttpConnectionManager.stream_idle_timeout
    def test_stalled_body(self) -> None:
        with Connection(self.stream) as connection:
            connection.send(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\nsome")
            self.assertEqual(connection.read_response().status, 408)
        self.weir.wait_stat("http.stream.downstream_rq_idle_timeout", 1)


class ConnectTimeoutTest(WeirTestCase):
    """A server that never accepts: its backlog is full."""

    @classmethod
    def set_up(cls) -> None:
        cls.full = socket.socket()
        cls.full.bind(("127.0.0.1", 0))
        cls.full.listen(0)
        address = cls.full.getsockname()
        cls.fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            cls.fillers.append(filler)
        select.select([], cls.fillers[:1], [], 10)  # one has the only place
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [route({"prefix": "/"}, "full")])],
                                               [{**cluster("full", address[1]), "connect_timeout": "0.3s"}]))

    @classmethod
    def tearDownClass(cls) -> None:
        for sock in (*cls.fillers, cls.full):
            sock.close()
        super().tearDownClass()

    # field: Cluster.connect_timeout
    def test_connect_timeout(self) -> None:
        began = time.monotonic()
        self.assertEqual(fetch(self.port).status, 503)
        self.assertLess(time.monotonic() - began, 2)
        self.weir.wait_stat("cluster.full.upstream_cx_connect_timeout", 1)
        self.assertEqual(self.weir.stat("cluster.full.upstream_cx_connect_fail"), self.weir.stat("cluster.full.upstream_cx_connect_timeout"))


if __name__ == "__main__":
    main()
