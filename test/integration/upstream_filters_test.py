"""HTTP filters between the router and its upstreams: a chain for each attempt, of the router or of the cluster."""

import hashlib
import json
import socket
import threading
from typing import Any, Optional

import h2.events

from harness import (Connection, EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, file_access_log,
                     http_listener, main, route, wait_until)
from harness.config import http_options
from harness.http2_client import H2
from harness.upstreams import ServerConnection

_TYPE = "type.googleapis.com/"
_FILTERS = _TYPE + "envoy.extensions.filters.http."
CODEC = {"name": "envoy.filters.http.upstream_codec", "typed_config": {"@type": _FILTERS + "upstream_codec.v3.UpstreamCodec"}}


def add(**headers: str) -> list[dict]:
    return [{"append": {"header": {"key": key.replace("_", "-"), "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
            for key, value in headers.items()]


def mutation(name: str, disabled: bool = False, **mutations: list[dict]) -> dict:
    """A header_mutation; its lists as keywords."""
    one: dict = {"name": name, "typed_config": {"@type": _FILTERS + "header_mutation.v3.HeaderMutation", "mutations": mutations}}
    if disabled:
        one["disabled"] = True
    return one


def buffering(size: int) -> dict:
    return {"name": "limit", "typed_config": {"@type": _FILTERS + "buffer.v3.Buffer", "max_request_bytes": size}}


def with_filters(a_cluster: dict, *filters: dict) -> dict:
    return {**a_cluster, **http_options(explicit_http_config={"http_protocol_options": {"enable_trailers": True}},
                                        http_filters=[*filters, CODEC])}


def listener_with(a_listener: dict, *filters: dict) -> dict:
    """Its router has these filters behind it."""
    router = a_listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][-1]
    router["typed_config"]["upstream_http_filters"] = [*filters, CODEC]
    return a_listener


def per_route(name: str, **mutations: list[dict]) -> dict:
    return {"typed_per_filter_config": {name: {"@type": _FILTERS + "header_mutation.v3.HeaderMutationPerRoute", "mutations": mutations}}}


class UpstreamFiltersTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox, "a")
        cls.other = EchoUpstream(cls.sandbox, "b")
        cls.scripted = ScriptedUpstream(cls.sandbox, cls.odd)
        cls.hasty = ScriptedUpstream(cls.sandbox, lambda connection: None)
        cls.port, cls.plain_port = cls.sandbox.free_port(), cls.sandbox.free_port()
        cls.log_path = cls.sandbox.path("log")
        mark = mutation(
            "mark", request_mutations=add(x_host="%UPSTREAM_REMOTE_ADDRESS%", x_attempt="%UPSTREAM_REQUEST_ATTEMPT_COUNT%") + [{"remove": "x-secret"}],
            response_mutations=add(x_seen="%RESPONSE_CODE% %UPSTREAM_REMOTE_ADDRESS%"))
        off = mutation("off", disabled=True, request_mutations=add(x_off="on"))
        retries = {"retry_policy": {"retry_on": "retriable-headers,5xx", "num_retries": 1, "retry_back_off": {"base_interval": "0.001s"},
                                    "retriable_headers": [{"name": "x-again", "string_match": {"exact": "yes"}}]}}
        cls.weir = Weir(cls.sandbox, bootstrap([listener_with(http_listener(cls.port, [
            route({"prefix": "/retry"}, "two", retries),
            route({"prefix": "/again"}, "again", retries),
            route({"prefix": "/limit"}, "limited", retries),
            route({"prefix": "/hasty"}, "hasty"),
            route({"prefix": "/own"}, "own"),
            route({"prefix": "/scripted"}, "scripted", {"timeout": "0s"}),
            route({"prefix": "/more"}, "one", **per_route("mark", request_mutations=add(x_more="1"))),
            route({"prefix": "/on"}, "one", **per_route("off", request_mutations=add(x_more="1"))),
            route({"prefix": "/without"}, "one", typed_per_filter_config={"mark": {
                "@type": _TYPE + "envoy.config.route.v3.FilterConfig", "disabled": True}}),
            route({"prefix": "/cluster-route"}, "own", **per_route("of-cluster", request_mutations=add(x_more="1"))),
            route({"prefix": "/"}, "one")],
            access_log=[file_access_log(cls.log_path, "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% secret=%REQ(X-SECRET)% "
                                                      "host=%REQ(X-HOST)%\n")],
            upgrade_configs=[{"upgrade_type": "websocket"}], http2_protocol_options={"allow_connect": True},
            http_protocol_options={"enable_trailers": True}), mark, off), http_listener(cls.plain_port, [route({"prefix": "/"}, "own"), ], name="plain", stat_prefix="plain")], [
                cluster("one", cls.echo.port, http_protocol_options={"enable_trailers": True}), cluster("two", cls.echo.port, cls.other.port),
                with_filters(cluster("again", cls.echo.port, cls.other.port), mutation(
                    "again", response_mutations=add(x_again="%RESP(X-ONCE)%"))),
                with_filters(cluster("limited", cls.echo.port), buffering(1000)),
                with_filters(cluster("own", cls.other.port), mutation("of-cluster", request_mutations=add(x_own="cluster"))),
                with_filters(cluster("hasty", cls.hasty.port), buffering(1000)),
                cluster("scripted", cls.scripted.port)]), concurrency=1)

    @staticmethod
    def odd(connection: ServerConnection) -> None:
        while True:
            request = connection.read_head()
            if request.target.endswith("/switch"):
                connection.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
                connection.send(connection.reader.until_closed()[::-1])
                return
            if request.target.endswith("/pour"):
                connection.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n" + b"y" * 200000)
                connection.sock.shutdown(socket.SHUT_WR)
                connection.reader.until_closed()
                return
            if request.target.endswith("/early"):
                connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
                connection.respond(200, b"late")
            elif request.target.endswith("/reset"):
                connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
                connection.reset()
                return
            elif request.target.endswith("/die"):
                connection.reset()
                return
            elif request.target.endswith("/large"):
                connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n")
                for _ in range(200):
                    connection.send(b"y" * 100000)
            else:
                connection.respond(200, b"x")

    def headers(self, response: Any) -> dict:
        return {name.lower(): value for name, value in dict(self.echoed(response)["headers"]).items()}

    # field: Router.upstream_http_filters
    def test_what_upstreams_get_and_clients_see(self) -> None:
        with Connection(self.port) as connection:
            for _ in range(3):
                response = connection.request(path="/x", headers=[("x-secret", "s")])
                headers = self.headers(response)
                self.assertEqual(headers["x-host"], ["127.0.0.1:%d" % self.echo.port])
                self.assertEqual(headers["x-attempt"], ["1"])
                self.assertNotIn("x-secret", headers)
                self.assertEqual(response.header("x-seen"), "200 127.0.0.1:%d" % self.echo.port)
        # The request itself stays what it was.
        self.assertTrue(self.lines("/x").endswith("200 via_upstream - secret=s host=-"))

    def lines(self, path: str) -> str:
        """The last line of the log about this path."""
        def find() -> Optional[str]:
            with open(self.log_path, encoding="utf-8") as file:
                return next((line.strip() for line in reversed(file.readlines()) if line.startswith(path + " ")), None)
        return wait_until(find, "a line about " + path)

    def test_each_attempt_has_its_own(self) -> None:
        before = len(self.echo.requests), len(self.other.requests)
        response = fetch(self.port, "/retry", headers=[("x-test-status", "503"), ("x-secret", "s")])
        self.assertEqual(response.status, 503)
        first, second = self.echo.requests[before[0]:], self.other.requests[before[1]:]
        self.assertEqual((len(first), len(second)), (1, 1))
        for request, server in ((first[0], self.echo), (second[0], self.other)):
            self.assertEqual(request.header("x-host"), "127.0.0.1:%d" % server.port)
            self.assertIsNone(request.header("x-secret"))
        self.assertEqual(sorted([first[0].header("x-attempt"), second[0].header("x-attempt")]), ["1", "2"])

    def test_the_router_decides_by_what_the_filters_have_made_of_the_response(self) -> None:
        before = len(self.echo.requests) + len(self.other.requests)
        self.assertEqual(fetch(self.port, "/again", headers=[("x-test-header", "x-once=yes")]).status, 200)
        self.assertEqual(len(self.echo.requests) + len(self.other.requests), before + 2)
        self.assertEqual(fetch(self.port, "/again", headers=[("x-test-header", "x-once=no")]).status, 200)
        self.assertEqual(len(self.echo.requests) + len(self.other.requests), before + 3)

    # field: HttpProtocolOptions.http_filters
    def test_those_of_the_cluster_instead(self) -> None:
        for port in (self.port, self.plain_port):
            headers = self.headers(fetch(port, "/own", headers=[("x-secret", "s")]))
            self.assertEqual((headers["x-own"], headers["x-secret"]), (["cluster"], ["s"]))
            self.assertNotIn("x-host", headers)

    def test_what_routes_say_to_them(self) -> None:
        self.assertEqual(self.headers(fetch(self.port, "/more"))["x-more"], ["1"])
        headers = self.headers(fetch(self.port, "/on"))
        self.assertEqual((headers["x-more"], headers["x-off"]), (["1"], ["on"]))
        headers = self.headers(fetch(self.port, "/without", headers=[("x-secret", "s")]))
        self.assertEqual(headers["x-secret"], ["s"])
        self.assertNotIn("x-off", headers)
        self.assertEqual(self.headers(fetch(self.port, "/cluster-route"))["x-more"], ["1"])
        self.assertNotIn("has this name", self.weir.process.log())

    def test_a_buffer(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"POST /limit HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(5):
                connection.send(b"64\r\n" + b"z" * 100 + b"\r\n")
            connection.send(b"0\r\n\r\n")
            answer = self.echoed(connection.read_response())
            self.assertEqual((answer["length"], answer["headers"]["content-length"]), (500, ["500"]))
            before = len(self.echo.requests)
            response = connection.request("POST", "/limit", body=b"z" * 1001)
            self.assertEqual((response.status, response.text), (413, "request body too large\n"))
        self.assertEqual(len(self.echo.requests), before)  # and was not tried again
        wait_until(lambda: " 413 request_payload_too_large " in self.lines("/limit"), "the second request's line")
        with Connection(self.port) as connection:
            self.assertEqual(connection.request("POST", "/limit", body=b"z" * 1000).status, 200)
        self.weir.wait_stat_is("cluster.limited.upstream_rq_active", 0)

    def test_bodies_and_trailers(self) -> None:
        body = bytes(range(256)) * 8192
        response = fetch(self.port, "/b", "POST", body=body, headers=[("x-test-size", "3000000")])
        self.assertEqual(len(response.body), 3000000)
        answer = self.echoed(fetch(self.port, "/b", "POST", body=body))
        self.assertEqual((answer["length"], answer["sha256"]), (len(body), hashlib.sha256(body).hexdigest()))
        with Connection(self.port) as connection:
            connection.send(b"POST /t HTTP/1.1\r\nhost: a\r\nx-test-trailer: end\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n")
            response = connection.read_response()
            self.assertEqual(json.loads(response.text)["trailers"], [["x-sum", "6"]])
            self.assertEqual(response.trailers, [("x-echo-trailer", "end")])
            self.assertEqual(connection.request("HEAD", "/h").status, 200)

    def test_a_slow_client_stops_the_upstream(self) -> None:
        with Connection(self.port, receive_buffer=4096) as connection:
            connection.send_request(path="/scripted/large")
            self.assertEqual(connection.reader.head().status, 200)
            threading.Event().wait(1)
            held = self.weir.stat("cluster.scripted.upstream_cx_rx_bytes_total")
            self.assertLess(held, 15_000_000)
            self.assertEqual(len(connection.reader.exactly(20_000_000)), 20_000_000)

    def test_tunnels_and_early_hints(self) -> None:
        with Connection(self.port) as connection:
            connection.send_request(path="/scripted/switch", headers=[("connection", "upgrade"), ("upgrade", "websocket")])
            self.assertEqual(connection.reader.head().status, 101)
            connection.send(b"hello")
            connection.half_close()
            self.assertEqual(connection.reader.until_closed(), b"olleh")
        response = fetch(self.port, "/scripted/early")
        self.assertEqual(([one.status for one in response.interim], response.text), ([103], "late"))
        self.weir.wait_stat_is("cluster.scripted.upstream_rq_active", 0)

    def test_a_tunnel_that_is_over_before_its_client_has_read_it(self) -> None:
        """Both directions have ended, its connection is gone, and the rest waits for the client's window: who leaves now."""
        with H2(self.port) as client:
            client.h2.config.validate_outbound_headers = False
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                                            (":authority", "a.example"), (":path", "/scripted/pour"), ("sec-websocket-version", "13")])
            client.flush()
            client.until(stream, h2.events.ResponseReceived, give_back=False)
            client.h2.send_data(stream, b"bye", end_stream=True)
            client.flush()
            self.weir.wait_stat_is("cluster.scripted.upstream_cx_active", 0)
            client.h2.reset_stream(stream, 8)
            client.flush()
            self.weir.wait_stat_is("http.ingress.downstream_rq_active", 0)

    def test_upstreams_that_break(self) -> None:
        response = fetch(self.port, "/scripted/die")
        self.assertEqual(response.status, 503)
        with Connection(self.port) as connection:
            connection.send_request(path="/scripted/reset")
            self.assertEqual(connection.reader.head().status, 200)
            self.assertEqual(connection.reader.until_closed(), b"half")
        self.weir.wait_stat_is("cluster.scripted.upstream_rq_active", 0)

    def test_a_server_that_closes_before_it_has_got_the_request(self) -> None:
        """A filter holds it, for it waits for the whole body."""
        with Connection(self.port) as connection:
            connection.send(b"POST /hasty HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n")
            self.weir.wait_stat("cluster.hasty.upstream_cx_destroy_with_active_rq", 1)
            connection.send(b"abc")
            self.assertEqual(connection.read_response().status, 503)
        self.weir.wait_stat_is("http.ingress.downstream_rq_active", 0)

    def test_clients_that_leave(self) -> None:
        with Connection(self.port) as connection:
            connection.send_request(path="/gone", headers=[("x-test-delay", "1")])
            self.weir.wait_stat_is("cluster.one.upstream_rq_active", 1)
            connection.reset()
        self.weir.wait_stat_is("cluster.one.upstream_rq_active", 0)


if __name__ == "__main__":
    main()
