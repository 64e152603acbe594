"""gRPC-web: what browsers' libraries send, made by hand, to a server made with gRPC's own library."""

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Optional

import h2.events

from harness import (Connection, EchoUpstream, Message, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster,
                     file_access_log, http_listener, main, route, wait_line)
from harness.config import HTTP2
from harness.grpc_service import SERVICE, Service, frame, frames, start_server
from harness.http2_client import H2

WEB = {"name": "envoy.filters.http.grpc_web", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"}}
CORS = {"name": "envoy.filters.http.cors", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}}
POLICY = {"envoy.filters.http.cors": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
    "allow_origin_string_match": [{"exact": "https://shop.example"}], "allow_methods": "POST",
    "allow_headers": "content-type,x-grpc-web,grpc-timeout", "expose_headers": "grpc-status,grpc-message"}}
LINE = "%REQ(:PATH)%|%REQ(CONTENT-TYPE)%|%RESPONSE_CODE%|%GRPC_STATUS%|%RESPONSE_CODE_DETAILS%|%TRAILER(GRPC-MESSAGE)%\n"


def from_text(text: bytes) -> bytes:
    """Of groups of four, of which any may have padding."""
    assert len(text) % 4 == 0, text
    return b"".join(base64.b64decode(text[i:i + 4], validate=True) for i in range(0, len(text), 4))


class Answer:
    """What a call came to: messages and trailers from the body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes):
        self.status = status
        self.headers = headers
        if headers.get("content-type", "").startswith("application/grpc-web-text"):
            body = from_text(body)
        every = frames(body)
        self.messages = [message for flags, message in every if flags == 0]
        self.trailers: dict[str, str] = {}
        if every and every[-1][0] == 0x80:
            for line in every[-1][1].decode().splitlines():
                name, _, value = line.partition(":")
                self.trailers[name] = value.strip()
        assert [flags for flags, _ in every[:-1] if flags] == [], every

    def grpc_status(self) -> Optional[str]:
        return self.trailers.get("grpc-status", self.headers.get("grpc-status"))


class GrpcWebTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.service = Service()
        cls.server, port = start_server(cls.sandbox, cls.service)
        cls.port = cls.sandbox.free_port()
        cls.log = cls.sandbox.path("access.log")

        def plain(connection: Any) -> None:
            while True:
                connection.reader.request()
                connection.send(b"HTTP/1.1 502 Bad\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\r\nno 100%\r\n")

        broken = ScriptedUpstream(cls.sandbox, plain)
        echo = EchoUpstream(cls.sandbox, "echo")
        timeouts = {"timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "0s"}}
        hosts = [{"name": "all", "domains": ["*"], "typed_per_filter_config": POLICY, "routes": [
            route({"prefix": "/nobody."}, "nobody", timeouts), route({"prefix": "/broken."}, "broken", timeouts),
            route({"prefix": "/echo"}, "echo"), route({"prefix": "/"}, "grpc", timeouts)]}]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, virtual_hosts=hosts, http_filters=[CORS, WEB], access_log=[file_access_log(cls.log, LINE)])], [
                cluster("grpc", port, **HTTP2), cluster("nobody", cls.sandbox.free_port(), **HTTP2),
                cluster("broken", broken.port), cluster("echo", echo.port)]), concurrency=1)

    # --- Calls ---
    def h1(self, path: str, body: bytes, kind: str, headers: list[tuple[str, str]] = [], chunks: int = 0) -> Answer:
        """With a length, or in so many chunks."""
        fields = [("content-type", "application/" + kind), ("x-grpc-web", "1"), ("accept", "application/" + kind), *headers]
        with Connection(self.port, timeout=60) as connection:
            if chunks == 0:
                response = connection.request("POST", path, headers=fields, body=body)
            else:
                connection.send_request("POST", path, headers=[*fields, ("transfer-encoding", "chunked")])
                size = max(1, len(body) // chunks)
                for at in range(0, len(body), size):
                    piece = body[at:at + size]
                    connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                connection.send(b"0\r\n\r\n")
                response = connection.read_response("POST")
        self.assertEqual(response.trailers, [])
        return self.answer(response)

    @staticmethod
    def answer(response: Message) -> Answer:
        return Answer(response.status, {name.lower(): value for name, value in response.headers}, response.body)

    def h2(self, path: str, body: bytes, kind: str, headers: list[tuple[str, str]] = [], chunks: int = 0) -> Answer:
        with H2(self.port) as client:
            stream = client.request(path, "POST", end=False, headers=[
                ("content-type", "application/" + kind), ("accept", "application/" + kind), *headers])
            size = max(1, len(body) // max(1, chunks))
            for at in range(0, len(body), size):
                piece = body[at:at + size]
                for part in range(0, len(piece), 16384):
                    while client.h2.local_flow_control_window(stream) < 16384:
                        client.pump(0.02)
                    client.h2.send_data(stream, piece[part:part + 16384])
                client.flush()
            client.h2.end_stream(stream)
            client.flush()
            client.until(stream, seconds=60)
            self.assertEqual(client.of(stream, h2.events.TrailersReceived), [])
            return Answer(int(client.status(stream)), client.headers(stream), client.body(stream))

    def everyhow(self) -> Iterator[tuple[Any, str, Any]]:
        """(call, kind, how the body is written)"""
        for call in (self.h1, self.h2):
            for kind in ("grpc-web", "grpc-web+proto"):
                yield call, kind, lambda body: body
            for kind in ("grpc-web-text", "grpc-web-text+proto"):
                yield call, kind, base64.b64encode

    def line(self, path: str) -> list[str]:
        return wait_line(self.log, path + "|").split("|")

    # --- Tests ---
    def test_unary(self) -> None:
        for call, kind, write in self.everyhow():
            for chunks in (0, 1, 3, 10):
                with self.subTest(call=call.__name__, kind=kind, chunks=chunks):
                    answer = call("/%s/Unary" % SERVICE, write(frame(b"\0\1hello")), kind, [("x-sent", "yes")], chunks=chunks)
                    self.assertEqual(answer.status, 200)
                    self.assertEqual(answer.headers["content-type"], "application/" + kind.removesuffix("+proto") + "+proto")
                    self.assertNotIn("content-length", answer.headers)
                    self.assertEqual(answer.headers["x-initial"], "first")
                    self.assertEqual(answer.messages, [b"\0\1hello"])
                    self.assertEqual((answer.trailers["grpc-status"], answer.trailers["x-trailing"]), ("0", "last"))
                    self.assertEqual(base64.b64decode(answer.trailers["x-bytes-bin"] + "=="), b"\0\xff")
                    self.assertEqual(self.service.metadata["x-sent"], "yes")

    def test_streams_and_large_messages(self) -> None:
        large = os.urandom(3 << 20)
        for call, kind, write in self.everyhow():
            with self.subTest(call=call.__name__, kind=kind):
                answer = call("/%s/Count" % SERVICE, write(frame(b"500")), kind)
                self.assertEqual(answer.messages, [b"%d" % i for i in range(500)])
                self.assertEqual(answer.trailers["grpc-status"], "0")
                # Each message ends a text of its own, in what the client sends, too.
                answer = call("/%s/Sum" % SERVICE, b"".join(write(frame(b"%d" % i)) for i in range(200)), kind, chunks=7)
                self.assertEqual(answer.messages, [b"%d" % sum(range(200))])
                answer = call("/%s/Unary" % SERVICE, write(frame(large)), kind, chunks=50)
                self.assertEqual(answer.messages, [large])

    def test_a_message_is_not_held_for_the_next(self) -> None:
        for kind, write, read in (("grpc-web", bytes, bytes), ("grpc-web-text", base64.b64encode, from_text)):
            with Connection(self.port) as connection:
                connection.send_request("POST", "/%s/Talk" % SERVICE, headers=[
                    ("content-type", "application/" + kind), ("transfer-encoding", "chunked")])
                for i in range(5):
                    piece = write(frame(b"m" * (i + 1)))
                    connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                    if i == 0:
                        while self.read_line(connection):
                            pass
                    data = b""
                    while len(data) % 4 != 0 and kind != "grpc-web" or read(data) != frame(b"M" * (i + 1)):
                        data += self.read_bytes(connection, int(self.read_line(connection), 16))
                        self.assertEqual(self.read_line(connection), "")

    @staticmethod
    def read_line(connection: Connection) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            line += connection.sock.recv(1)
        return line.decode().strip()

    @staticmethod
    def read_bytes(connection: Connection, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += connection.sock.recv(size - len(data))
        return data

    def test_trailers_only(self) -> None:
        for call, kind, write in self.everyhow():
            answer = call("/%s/Fail" % SERVICE, write(frame(b"")), kind)
            self.assertEqual((answer.status, answer.grpc_status(), answer.messages), (200, "9", []))
            self.assertEqual(answer.headers["content-type"], "application/" + kind.removesuffix("+proto") + "+proto")
            self.assertEqual({**answer.headers, **answer.trailers}["grpc-message"], "no, 100%25 sure")

    def test_nobody_is_there(self) -> None:
        for call, kind, write in self.everyhow():
            answer = call("/nobody.A/B", write(frame(b"")), kind)
            self.assertEqual((answer.status, answer.grpc_status()), (200, "14"))
            self.assertTrue(answer.headers["content-type"].startswith("application/grpc-web"))
            self.assertIn("upstream connect error", answer.headers["grpc-message"])

    def test_a_balancer_that_answers_in_html(self) -> None:
        for call, kind, write in self.everyhow():
            answer = call("/broken.A/B", write(frame(b"")), kind)
            self.assertEqual((answer.status, answer.grpc_status()), (502, "14"))
            self.assertTrue(answer.headers["content-type"].startswith("application/grpc-web"))
            self.assertEqual(answer.headers["grpc-message"], "no 100%25%0D%0A")
            self.assertEqual(answer.messages, [])

    def test_deadlines(self) -> None:
        self.service.cancelled.clear()
        begin = time.monotonic()
        answer = self.h1("/%s/Slow" % SERVICE, frame(b""), "grpc-web", [("grpc-timeout", "300m")])
        self.assertLess(time.monotonic() - begin, 15)  # the server would take 20
        self.assertIn(answer.grpc_status(), ("4", "14"))  # the server's or weir's
        self.assertTrue(self.service.cancelled.wait(10))

    def test_text_that_is_none(self) -> None:
        for call in (self.h1, self.h2):
            for text in (b"####", b"AAAAAAA", b"AAA=AAA", b"A"):
                answer = call("/bad.Text/Sum", text, "grpc-web-text")  # which waits for messages
                self.assertEqual((answer.status, answer.grpc_status()), (400, "13"))
                self.assertEqual(answer.headers["content-type"], "application/grpc-web-text+proto")
                self.assertIn("base64", answer.headers["grpc-message"])
        self.weir.wait_stat_is("cluster.grpc.upstream_rq_active", 0)

    def test_preflight_and_origin(self) -> None:
        with Connection(self.port) as client:
            response = client.request("OPTIONS", "/%s/Unary" % SERVICE, headers=[
                ("origin", "https://shop.example"), ("access-control-request-method", "POST"),
                ("access-control-request-headers", "content-type,x-grpc-web")])
            self.assertEqual(response.status, 200)
            self.assertEqual(response.header("access-control-allow-origin"), "https://shop.example")
        answer = self.h1("/%s/Unary" % SERVICE, frame(b"x"), "grpc-web", [("origin", "https://shop.example")])
        self.assertEqual(answer.headers["access-control-expose-headers"], "grpc-status,grpc-message")
        self.assertEqual(answer.messages, [b"x"])

    def test_everything_else_passes(self) -> None:
        with Connection(self.port) as client:
            response = client.request("POST", "/echo", headers=[("content-type", "application/json")], body=b"{}")
            seen = self.echoed(response)
            self.assertEqual((seen["headers"]["content-type"], seen["headers"].get("te")), (["application/json"], None))
            response = client.request("POST", "/%s/Unary" % SERVICE, body=frame(b"x"), headers=[
                ("content-type", "application/grpc"), ("te", "trailers")])
            self.assertEqual((response.header("content-type"), response.body), ("application/grpc", frame(b"x")))
            self.assertEqual(dict(response.trailers)["grpc-status"], "0")

    def test_curl(self) -> None:
        body = self.sandbox.path("body")
        with open(body, "wb") as file:
            file.write(frame(b"curl"))
        for version in ("--http1.1", "--http2-prior-knowledge"):
            done = subprocess.run(["curl", "-sS", version, "-H", "content-type: application/grpc-web+proto", "--data-binary", "@" + body,
                                   "http://127.0.0.1:%d/%s/Unary" % (self.port, SERVICE)], capture_output=True, timeout=30, check=True)
            self.assertEqual(Answer(200, {}, done.stdout).messages, [b"curl"])

    def test_log_and_statistics(self) -> None:
        self.h1("/log.A/Unary", frame(b"x"), "grpc-web")
        self.h2("/log.B/Fail", base64.b64encode(frame(b"x")), "grpc-web-text")
        self.h1("/log.C/Unary", b"A", "grpc-web-text")
        self.assertEqual(self.line("/log.A/Unary")[2:4], ["200", "OK"])
        self.assertEqual(self.line("/log.B/Fail")[2:4], ["200", "FailedPrecondition"])
        self.assertEqual(self.line("/log.C/Unary")[1:5], ["application/grpc-web-text", "400", "-", "grpc_web_invalid_base64"])
        stats = self.weir.stats()
        self.assertEqual({name[len("cluster.grpc.grpc-web.log."):]: value for name, value in stats.items() if ".grpc-web.log." in name}, {
            "A.Unary.0": 1, "A.Unary.success": 1, "A.Unary.total": 1, "B.Fail.9": 1, "B.Fail.failure": 1, "B.Fail.total": 1})
        text = self.weir.admin("/stats/prometheus")
        self.assertIn('envoy_cluster_grpc_web_success{envoy_grpc_bridge_method="Unary",envoy_grpc_bridge_service="log.A",'
                      'envoy_cluster_name="grpc"} 1', text)

    def test_a_client_that_leaves(self) -> None:
        resets = self.weir.stat("cluster.grpc.upstream_rq_tx_reset")
        client = Connection(self.port)
        client.send_request("POST", "/%s/Slow" % SERVICE, headers=[("content-type", "application/grpc-web-text")],
                            body=base64.b64encode(frame(b"")))
        self.weir.wait_stat_is("cluster.grpc.upstream_rq_active", 1)
        client.reset()
        self.weir.wait_stat_is("cluster.grpc.upstream_rq_active", 0)
        self.assertEqual(self.weir.stat("cluster.grpc.upstream_rq_tx_reset"), resets + 1)


if __name__ == "__main__":
    main()
