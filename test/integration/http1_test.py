"""HTTP/1.1 as clients and servers really use it: reuse, pipelining, chunks, trailers, 100-continue, bodiless responses."""

import hashlib
import socket
import threading
import time
from typing import Optional

from harness import (Connection, EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, enable_h1_options,
                     fetch, http_listener, main, route, sanitized)
from harness.http2_client import H2
from harness.upstreams import ServerConnection
from harness.wire import chunked


class PersistenceTest(WeirTestCase):
    """How long connections last, on both sides."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.flooded_port = cls.sandbox.free_port()
        cls.counted_port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.port, [route({"prefix": "/"}, "echo")]),
            http_listener(cls.flooded_port, [direct({"path": "/text"}, "text")], name="local"),
            http_listener(cls.counted_port, [route({"prefix": "/"}, "echo")], name="counted", stat_prefix="counted")],
            [cluster("echo", cls.echo.port)]), concurrency=1)

    def test_keep_alive_reuses_both_connections(self) -> None:
        before = self.echo.connections
        with Connection(self.port) as connection:
            for index in range(20):
                self.assertEqual(self.echoed(connection.request(path="/%d" % index))["path"], "/%d" % index)
        self.assertLessEqual(self.echo.connections - before, 1)

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"".join(b"GET /%d HTTP/1.1\r\nhost: t\r\n%s\r\n" % (i, b"x-test-delay: 0.1\r\n" if i % 3 == 0 else b"")
                                     for i in range(10)))
            self.assertEqual([self.echoed(connection.read_response())["path"] for _ in range(10)], ["/%d" % i for i in range(10)])

    def test_pipelining_with_bodies(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"POST /a HTTP/1.1\r\nhost: t\r\ncontent-length: 3\r\n\r\nabc"
                            b"POST /b HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
                            b"GET /c HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
            accounts = [self.echoed(connection.read_response()) for _ in range(3)]
            self.assertEqual([(a["path"], a["length"]) for a in accounts], [("/a", 3), ("/b", 2), ("/c", 0)])
            self.assertTrue(connection.closed_within(2))

    def test_a_flood_of_pipelined_requests_is_read_as_it_is_answered(self) -> None:
        """Requests that weir answers by itself: what it reads does not pile up."""
        flood = b"GET /none HTTP/1.1\r\nhost: nobody.example\r\n\r\n" * 1000
        stop = threading.Event()
        with Connection(self.flooded_port) as connection:
            def read() -> None:
                while not stop.is_set() and connection.sock.recv(1 << 20):
                    pass

            reader = threading.Thread(target=read)
            reader.start()
            before, most = self.weir.process.resident_kib(), 0
            for _ in range(200 if sanitized() else 2000):
                connection.sock.sendall(flood)
                most = max(most, self.weir.process.resident_kib())
            stop.set()
            connection.sock.shutdown(socket.SHUT_WR)
            reader.join(20)
        print("a flood of requests: resident %d KiB, at most %d KiB" % (before, most))
        if not sanitized():
            self.assertLess(most - before, 8192)

    def test_head_of_a_local_answer(self) -> None:
        for path in ("/text", "/none"):
            get, head = (fetch(self.flooded_port, path, method) for method in ("GET", "HEAD"))
            self.assertEqual((head.status, head.text, head.header("content-length"), head.header("content-type")),
                             (get.status, "", get.header("content-length"), get.header("content-type")))
        self.assertEqual(get.header("content-length"), "0")

    def test_bytes_one_by_one(self) -> None:
        with Connection(self.port) as connection:
            for byte in b"POST /slow HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\n\r\nbody":
                connection.send(bytes([byte]))
                connection.wait_taken()
            self.assertEqual(self.echoed(connection.read_response())["length"], 4)

    def test_close_is_respected_and_announced(self) -> None:
        with Connection(self.port) as connection:
            response = connection.request(headers=[("connection", "close")])
            self.assertEqual((response.header("connection") or "").lower(), "close")
            self.assertTrue(connection.closed_within(2))

    def test_upstream_close_does_not_close_downstream(self) -> None:
        with Connection(self.port) as connection:
            for _ in range(3):
                response = connection.request(headers=[("x-test-close", "1")])
                self.assertEqual(response.status, 200)
                self.assertNotEqual((response.header("connection") or "").lower(), "close")

    def test_half_closed_client_still_gets_its_answer(self) -> None:
        with Connection(self.port) as connection:
            connection.send_request(headers=[("x-test-delay", "0.2")])
            connection.half_close()
            self.assertEqual(connection.read_response().status, 200)

    def test_http_1_0_is_refused_by_default(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"GET / HTTP/1.0\r\nhost: t\r\n\r\n")
            response = connection.read_response()
            self.assertEqual((response.status, response.header("upgrade")), (426, "HTTP/1.1"))
            self.assertEqual([value for name, value in response.headers if name == "connection"], ["upgrade", "close"])
            self.assertTrue(connection.closed_within(2))

    def test_who_ends_connections(self) -> None:
        with Connection(self.counted_port) as connection:
            self.assertEqual(connection.request().status, 200)
        with H2(self.counted_port) as client:
            client.until(client.request("/"))
        with Connection(self.counted_port) as connection:
            connection.request(headers=[("connection", "close")])
            self.assertTrue(connection.closed_within(2))
        for end, count in (("", 3), ("_remote", 2), ("_local", 1), ("_remote_active_rq", 0), ("_local_active_rq", 0)):
            self.weir.wait_stat_is("http.counted.downstream_cx_destroy" + end, count)

    def test_gauges_return_to_zero(self) -> None:
        connections = [Connection(self.port) for _ in range(5)]
        for connection in connections:
            self.assertEqual(connection.request().status, 200)
        self.weir.wait_stat("http.ingress.downstream_cx_active", 5)
        for connection in connections:
            connection.close()
        for name in ("http.ingress.downstream_cx_active", "http.ingress.downstream_rq_active", "cluster.echo.upstream_rq_active"):
            self.weir.wait_stat_is(name, 0)


class EarlyAnswerTest(WeirTestCase):
    """The answer is complete before the request is."""

    @classmethod
    def set_up(cls) -> None:
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.answer_at_once)
        cls.port, cls.hasty = cls.sandbox.free_port(), cls.sandbox.free_port()
        routes = [route({"prefix": "/"}, "early")]
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.port, routes, access_log=[]),
            http_listener(cls.hasty, routes, name="hasty", stat_prefix="hasty", request_timeout="0.5s")],
            [cluster("early", cls.upstream.port)]), concurrency=1)

    @staticmethod
    def answer_at_once(connection: ServerConnection) -> None:
        while True:
            head = connection.read_head()
            if head.target == "/talk":
                connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
                connection.reader.body(head, False)
                connection.send(b"1\r\nz\r\n0\r\n\r\n")
                continue
            connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            connection.reader.body(head, False)

    def test_the_next_request_is_answered(self) -> None:
        """Nobody was told that the connection ends, and so it goes on while little is left of the first request."""
        rest = b"x" * 5000
        for head, parts in (("content-length: 70000", (b"y" * 65000, rest)),
                            ("transfer-encoding: chunked", (chunked(rest)[:-5], b"0\r\n\r\n"))):
            with self.subTest(head), Connection(self.port) as connection:
                connection.send(("POST / HTTP/1.1\r\nhost: t\r\n%s\r\n\r\n" % head).encode() + parts[0])
                response = connection.read_response()
                self.assertEqual((response.status, response.body, response.header("connection")), (200, b"abc", None))
                connection.send(parts[1])
                self.assertEqual(connection.request("POST", "/next", body=b"").status, 200)

    def test_much_that_is_left_ends_the_connection(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 100000000\r\n\r\n")
            self.assertEqual(connection.read_response().status, 200)
            connection.send(b"x" * 200_000)
            self.assertTrue(connection.closed_within(5))

    def test_who_waits_for_100_may_not_send_the_rest(self) -> None:
        """What comes next is no body then."""
        port = self.sandbox.free_port()
        Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "early")], proxy_100_continue=True)],
                                     [cluster("early", self.upstream.port)]), concurrency=1)
        with Connection(port) as connection:
            connection.send(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n")
            self.assertEqual(connection.read_response().status, 200)
            self.assertTrue(connection.closed_within(5))

    def test_request_timeout_ends_with_the_head_of_the_answer(self) -> None:
        with Connection(self.hasty) as connection:
            connection.send(b"POST /talk HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n")
            time.sleep(1.0)
            connection.send(b"0\r\n\r\n")
            response = connection.read_response()
            self.assertEqual((response.status, response.body), (200, b"az"))
        with H2(self.hasty) as client:
            stream = client.request("/talk", "POST", body=b"b", end=False)
            time.sleep(1.0)
            client.h2.send_data(stream, b"", end_stream=True)
            client.flush()
            client.until(stream)
            self.assertEqual(client.body(stream), b"az")
        self.assertEqual(self.weir.stat("http.hasty.downstream_rq_timeout"), 0)


class FramingTest(WeirTestCase):
    """Bodies and their ends."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.until_close = ScriptedUpstream(cls.sandbox, cls.answer_until_close)
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.port, [route({"prefix": "/until-close"}, "until_close"), route({"prefix": "/"}, "echo")],
                           http_protocol_options={"enable_trailers": True, "accept_http_10": True})],
            [enable_h1_options(cluster("echo", cls.echo.port), enable_trailers=True), cluster("until_close", cls.until_close.port)]))

    @staticmethod
    def answer_until_close(connection: ServerConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"z" * 100_000)

    def test_bodies_arrive_whole(self) -> None:
        with Connection(self.port) as connection:
            for size in (0, 1, 100, 16_383, 16_384, 16_385, 1_000_000):
                body = bytes(i % 251 for i in range(size))
                account = self.echoed(connection.request("POST", body=body))
                self.assertEqual((account["length"], account["sha256"]), (size, hashlib.sha256(body).hexdigest()))

    def test_chunked_request_with_trailers(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"POST /t HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n"
                            + chunked(b"hello ", b"world", b"!" * 70_000, trailers=[("x-sum", "42")]))
            account = self.echoed(connection.read_response())
        self.assertEqual(account["length"], 70_011)
        self.assertEqual(account["trailers"], [["x-sum", "42"]])

    def test_chunked_response_with_trailers(self) -> None:
        with Connection(self.port) as connection:
            response = connection.request(headers=[("x-test-trailer", "end"), ("te", "trailers")])
            self.assertEqual((response.header("transfer-encoding"), response.trailers), ("chunked", [("x-echo-trailer", "end")]))
            self.assertEqual(self.echoed(response)["path"], "/")
            self.assertEqual(connection.request().status, 200)

    def test_response_without_length_becomes_chunked(self) -> None:
        with Connection(self.port) as connection:
            response = connection.request(path="/until-close")
            self.assertEqual((response.header("transfer-encoding"), response.body), ("chunked", b"z" * 100_000))
            self.assertEqual(connection.request().status, 200)

    def test_head_and_bodiless_statuses(self) -> None:
        with Connection(self.port) as connection:
            for _ in range(2):
                response = connection.request("HEAD", headers=[("x-test-size", "12345")])
                self.assertEqual((response.status, response.header("content-length"), response.body), (200, "12345", b""))
                for status in (204, 304):
                    response = connection.request(headers=[("x-test-status", str(status))])
                    self.assertEqual((response.status, response.body), (status, b""))
                    self.assertIsNone(response.header("transfer-encoding"))
                self.assertEqual(self.echoed(connection.request())["method"], "GET")

    def test_http_1_0_gets_no_chunks(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"GET /old HTTP/1.0\r\nhost: old.example\r\nx-test-chunked: 1\r\nexpect: 100-continue\r\n\r\n")
            response = connection.read_response()
            self.assertIsNone(response.header("transfer-encoding"))
            account = self.echoed(response)
        self.assertEqual((account["path"], account["headers"]["host"]), ("/old", ["old.example"]))
        self.assertNotIn("expect", account["headers"])


class ContinueTest(WeirTestCase):
    """Expect: 100-continue, answered here or passed on."""

    @classmethod
    def set_up(cls) -> None:
        cls.expectations: list[Optional[str]] = []  # that reached the upstream
        cls.echo = EchoUpstream(cls.sandbox)
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.answer_with_continue)
        cls.refusing = ScriptedUpstream(cls.sandbox, cls.refuse)
        cls.port, cls.proxying = cls.sandbox.free_port(), cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.port, [route({"prefix": "/"}, "echo")], name="answers"),
            http_listener(cls.proxying, [route({"prefix": "/refuse"}, "refusing"), route({"prefix": "/"}, "upstream")],
                          name="proxies", proxy_100_continue=True)],
            [cluster("echo", cls.echo.port), cluster("upstream", cls.upstream.port), cluster("refusing", cls.refusing.port)]))

    @classmethod
    def answer_with_continue(cls, connection: ServerConnection) -> None:
        while True:
            head = connection.read_head()
            cls.expectations.append(head.header("expect"))
            connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: close, x-hop\r\nx-hop: 1\r\n"
                            b"keep-alive: timeout=5\r\nupgrade: h2c\r\nproxy-connection: keep-alive\r\n\r\n")
            if head.header("expect"):
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.reader.body(head, response=False)
            connection.respond(200, b"%d" % len(head.body))

    @staticmethod
    def refuse(connection: ServerConnection) -> None:
        connection.read_head()
        connection.respond(413, b"too much", [("connection", "close")])

    def test_answered_here(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"POST /c HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
            self.assertEqual(connection.reader.head().status, 100)
            connection.send(b"hello")
            self.assertEqual(self.echoed(connection.read_response())["length"], 5)

    # field: HttpConnectionManager.proxy_100_continue
    def test_passed_on(self) -> None:
        with Connection(self.proxying) as connection:
            connection.send(b"POST /c HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
            statuses = [connection.reader.head().status]
            if statuses == [103]:
                statuses.append(connection.reader.head().status)
            self.assertEqual(statuses[-1], 100)
            connection.send(b"hello")
            self.assertEqual(connection.read_response().text, "5")
        self.assertEqual(self.expectations[-1], "100-continue")

    def test_a_refusal_needs_no_body(self) -> None:
        with Connection(self.proxying) as connection:
            connection.send(b"POST /refuse HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: 5000000\r\n\r\n")
            response = connection.read_response()
            self.assertEqual((response.status, response.interim), (413, []))

    def test_early_hints_without_expect_do_not_confuse(self) -> None:
        for _ in range(3):
            response = fetch(self.proxying, "/hints", "POST", body=b"1234")
            self.assertEqual(response.text, "4")
            # What is about the server's connection stays there.
            self.assertEqual([hint.headers for hint in response.interim], [[("link", "</a.css>")]])


if __name__ == "__main__":
    main()
