"""What no peer may send: refused with a status, counted, the connection closed, and never seen by the other side."""

from harness import (Connection, EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch,
                     file_access_log, http_listener, main, route, wait_until)
from harness.upstreams import ServerConnection

BAD_REQUESTS = {
    "content-length and transfer-encoding":
        b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nX",
    "two lengths": b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "length with a sign": b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: +1\r\n\r\na",
    "length in words": b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: one\r\n\r\na",
    "negative length": b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: -1\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nhost: t\n\n",
    "bare CR in a value": b"GET / HTTP/1.1\r\nhost: t\r\nx: a\rb\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nhost: t\r\nx: a\0b\r\n\r\n",
    "folded line": b"GET / HTTP/1.1\r\nhost: t\r\nx: a\r\n b\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nhost: t\r\nx : a\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nhost: t\r\nnonsense\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nhost: t\r\n: a\r\n\r\n",
    "name is no token": b"GET / HTTP/1.1\r\nhost: t\r\nx(y): a\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "host is no host": b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
    "two spaces in the request line": b"GET  / HTTP/1.1\r\nhost: t\r\n\r\n",
    "no version": b"GET /\r\nhost: t\r\n\r\n",
    "version in small letters": b"GET / http/1.1\r\nhost: t\r\n\r\n",
    "control character in the target": b"GET /\x01 HTTP/1.1\r\nhost: t\r\n\r\n",
    "chunk size is no number": b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    "chunk size with 0x": b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "chunk size too large": b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\na\r\n",
    "chunk without CRLF": b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "chunked is not last": b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TLS where plain text is spoken": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "noise": bytes(range(128, 256)) + b"\r\n\r\n",
}
LOG_LINE = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"


class BadRequestTest(WeirTestCase):
    """Malformed and ambiguous requests."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.log_path = cls.sandbox.path("access.log")
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.port, [route({"prefix": "/"}, "echo")], access_log=[file_access_log(cls.log_path, LOG_LINE)])],
            [cluster("echo", cls.echo.port)]))

    def test_refused_counted_closed(self) -> None:
        for name, data in BAD_REQUESTS.items():
            with self.subTest(name):
                before = self.weir.stat("http.ingress.downstream_cx_protocol_error")
                with Connection(self.port) as connection:
                    connection.send(data)
                    response = connection.read_response()
                    self.assertIn(response.status, (400, 501, 505))
                    self.assertEqual((response.header("connection") or "").lower(), "close")
                    self.assertTrue(connection.closed_within(5))
                self.weir.wait_stat("http.ingress.downstream_cx_protocol_error", before + 1)

    def test_the_first_of_two_requests_is_served_the_second_refused(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"GET /first HTTP/1.1\r\nhost: t\r\n\r\nGET /second HTTP/1.1\r\n\r\nGET /third HTTP/1.1\r\nhost: t\r\n\r\n")
            self.assertEqual(self.echoed(connection.read_response())["path"], "/first")
            self.assertEqual(connection.read_response().status, 400)
            self.assertTrue(connection.closed_within(5))
        self.assertNotIn("/third", [request.target for request in self.echo.requests])

    def test_nothing_of_it_reaches_the_upstream(self) -> None:
        before = len(self.echo.requests)
        for data in BAD_REQUESTS.values():
            if b"chunk" in data:
                continue  # the fault is in the body: the head may have gone on
            with Connection(self.port) as connection:
                connection.send(data)
                connection.reader.until_closed()
        self.assertEqual(len(self.echo.requests), before)
        self.assertEqual(self.echo.problems, [])

    def test_the_log_names_the_reason(self) -> None:
        with Connection(self.port) as connection:
            connection.send(BAD_REQUESTS["two hosts"])
            self.assertEqual(connection.read_response().status, 400)

        def line() -> bool:
            with open(self.log_path, encoding="utf-8") as file:
                return any(line.strip() == "400 DPE http1.duplicate_host" for line in file)

        wait_until(line, "the log has '400 DPE http1.duplicate_host'", 15)

    def test_others_are_still_served(self) -> None:
        with Connection(self.port) as good:
            for data in BAD_REQUESTS.values():
                with Connection(self.port) as bad:
                    bad.send(data)
                    self.assertEqual(good.request().status, 200)


class LimitsTest(WeirTestCase):
    """Sizes and numbers of headers."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port, cls.small = cls.sandbox.free_port(), cls.sandbox.free_port()
        routes = [route({"prefix": "/"}, "echo")]
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.port, routes, name="default", stat_prefix="default"),
            http_listener(cls.small, routes, name="small", stat_prefix="small", max_request_headers_kb=8,
                          common_http_protocol_options={"max_headers_count": 10})], [cluster("echo", cls.echo.port)]))

    def status_of(self, port: int, headers: list[tuple[str, str]]) -> int:
        with Connection(port) as connection:
            try:
                connection.send_request(headers=headers)
            except ConnectionError:
                pass  # refused before all of it was sent; the answer is there
            return connection.read_response().status

    def test_large_headers(self) -> None:
        self.assertEqual(self.status_of(self.port, [("x-large", "v" * 50_000)]), 200)
        self.assertEqual(self.status_of(self.port, [("x-large", "v" * 62_000)]), 431)
        self.assertEqual(self.status_of(self.small, [("x-large", "v" * 7_000)]), 200)
        self.assertEqual(self.status_of(self.small, [("x-large", "v" * 9_000)]), 431)

    def test_many_headers(self) -> None:
        self.assertEqual(self.status_of(self.port, [("x-%d" % i, "v") for i in range(90)]), 200)
        self.assertEqual(self.status_of(self.port, [("x-%d" % i, "v") for i in range(101)]), 431)
        self.assertEqual(self.status_of(self.small, [("x-%d" % i, "v") for i in range(11)]), 431)

    def test_a_head_without_end(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"GET / HTTP/1.1\r\n")
            sent = 0
            try:
                while sent < 10_000_000 and not connection.has_bytes():
                    connection.send(b"x-more: " + b"v" * 1000 + b"\r\n")
                    sent += 1000
            except ConnectionError:
                pass
            self.assertLess(sent, 5_000_000)


class BadResponseTest(WeirTestCase):
    """Malformed responses become 502 with UPE, and their connection is not used again."""

    RESPONSES = {
        "/garbage": b"garbage\r\n\r\n",
        "/folded": b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n",
        "/two-lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "/both": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "/nul": b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "/status": b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
        "/large": b"HTTP/1.1 200 OK\r\nx: " + b"v" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n",
    }

    @classmethod
    def set_up(cls) -> None:
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.answer)
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [route({"prefix": "/"}, "odd")])],
                                               [cluster("odd", cls.upstream.port)]), concurrency=1)

    @classmethod
    def answer(cls, connection: ServerConnection) -> None:
        while True:
            target = connection.read_request().target
            if target == "/good":
                connection.respond(200, b"good")
            elif target == "/extra":
                connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
            elif target == "/close":
                return
            else:
                connection.send(cls.RESPONSES[target])

    def test_malformed(self) -> None:
        with Connection(self.port) as connection:
            for path in self.RESPONSES:
                with self.subTest(path):
                    self.assertIn(connection.request(path=path).status, (502, 503))
                    self.assertEqual(connection.request(path="/good").text, "good")
        self.weir.wait_stat("cluster.odd.upstream_cx_protocol_error", len(self.RESPONSES) - 1)

    def test_bytes_nobody_asked_for_poison_nobody(self) -> None:
        with Connection(self.port) as connection:
            for _ in range(5):
                self.assertEqual(connection.request(path="/extra").text, "ok")
                self.assertEqual(connection.request(path="/good").text, "good")

    def test_close_without_an_answer(self) -> None:
        for _ in range(3):
            self.assertIn(fetch(self.port, "/close").status, (502, 503))
            self.assertEqual(fetch(self.port, "/good").text, "good")


if __name__ == "__main__":
    main()
