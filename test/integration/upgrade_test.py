"""Upgrades and CONNECT with real peers: WebSockets through weir, curl -x, and bytes that take no shortcuts."""

import asyncio
import hashlib
import os
import socket
import subprocess
import threading
from typing import Any, Optional

import h2.events
import websockets

from harness import (Connection, EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, direct,
                     fetch, file_access_log, http_listener, main, route, sanitized, wait_until, wait_until_still)
from harness.config import http_options
from harness.http2 import Http2Peer, Http2Upstream, Request
from harness.http2_client import H2
from harness.upstreams import ServerConnection

LOG_LINE = "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER%\n"
ASK = [("connection", "Upgrade"), ("upgrade", "websocket")]
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
WEBSOCKET = [{"upgrade_type": "websocket"}]
ROUTER = {"name": "envoy.filters.http.router",
          "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}


def mutation(name: str, value: str) -> dict[str, Any]:
    """A filter that adds a header to requests and one to responses."""
    add = [{"append": {"header": {"key": name, "value": value}}}]
    return {"name": "envoy.filters.http.header_mutation", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {"request_mutations": add, "response_mutations": add}}}


class WebSocketServer:
    """An echo server of python3-websockets; what it saw of each handshake in `seen`."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        started.wait(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)

        async def serve() -> None:
            server = await websockets.serve(self._echo, "127.0.0.1", 0, max_size=None,  # type: ignore[attr-defined]
                                            subprotocols=["chat.example"])
            self.port = server.sockets[0].getsockname()[1]
            started.set()

        self._loop.run_until_complete(serve())
        self._loop.run_forever()

    async def _echo(self, connection: Any) -> None:
        self.seen.append({key.lower(): value for key, value in connection.request_headers.raw_items()})
        async for message in connection:
            await connection.send(message)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


class UpgradeTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.websocket = WebSocketServer()
        cls.sandbox.at_close(cls.websocket.close)
        cls.echo = EchoUpstream(cls.sandbox)
        cls.raw = ScriptedUpstream(cls.sandbox, cls.switch_and_run)
        cls.tcp = ScriptedUpstream(cls.sandbox, cls.shout)
        cls.proxy = ScriptedUpstream(cls.sandbox, cls.serve_connect)
        cls.http2 = Http2Upstream(cls.sandbox, settings={h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
        cls.http2.validates = False
        cls.port, cls.closed_port, cls.tunnel_port = (cls.sandbox.free_port() for _ in range(3))
        cls.log_path = cls.sandbox.path("access.log")
        ends_here = {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
        open_routes = [
            direct({"prefix": "/direct"}, "no tunnel"),
            route({"prefix": "/forbidden"}, "websocket", {"upgrade_configs": [
                {"upgrade_type": "websocket", "enabled": False}]}),
            route({"prefix": "/plain"}, "echo"),
            route({"prefix": "/raw"}, "raw", {"timeout": "1s", "idle_timeout": "0s"}),
            route({"prefix": "/short"}, "raw", {"idle_timeout": "0.5s"}),
            route({"prefix": "/http2"}, "http2"),
            route({"prefix": "/chat"}, "websocket")]
        closed_routes = [
            route({"prefix": "/allowed"}, "websocket", {"upgrade_configs": WEBSOCKET}),
            route({"prefix": "/"}, "websocket")]
        tunnel_routes = [
            route({"connect_matcher": {}, "headers": [
                {"name": ":authority", "string_match": {"prefix": "forward.example"}}]}, "proxy",
                {"upgrade_configs": [{"upgrade_type": "CONNECT"}]}),
            route({"connect_matcher": {}, "headers": [
                {"name": ":authority", "string_match": {"prefix": "tcp.example"}}]}, "tcp", ends_here),
            route({"connect_matcher": {}, "headers": [
                {"name": ":authority", "string_match": {"prefix": "forbidden.example"}}]}, "echo"),
            route({"connect_matcher": {}}, "echo", ends_here),
            route({"path": "/post"}, "tcp", {"upgrade_configs": [
                {"upgrade_type": "CONNECT", "connect_config": {"allow_post": True}}]}),
            route({"path": "/no-post"}, "echo", ends_here)]
        log = [file_access_log(cls.log_path, LOG_LINE)]
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.port, open_routes, http_filters=[mutation("x-chain", "ordinary")], access_log=log,
                          upgrade_configs=[{"upgrade_type": "WebSocket",
                                            "filters": [mutation("x-chain", "upgrade"), ROUTER]},
                                           {"upgrade_type": "chat", "enabled": False}]),
            http_listener(cls.closed_port, closed_routes, name="closed", stat_prefix="closed"),
            http_listener(cls.tunnel_port, tunnel_routes, name="tunnels", stat_prefix="tunnels", access_log=log)],
            [cluster("websocket", cls.websocket.port), cluster("echo", cls.echo.port), cluster("raw", cls.raw.port),
             cluster("tcp", cls.tcp.port), cluster("proxy", cls.proxy.port),
             cluster("http2", cls.http2.port, **http_options(explicit_http_config={"http2_protocol_options": {}}))]))

    # --- Upstreams ---

    # What switch_and_run() does with the connection once it has switched.
    script: Any = None
    switch = SWITCH

    @classmethod
    def switch_and_run(cls, connection: ServerConnection) -> None:
        connection.read_head()
        connection.send(cls.switch)
        cls.script(connection)

    @staticmethod
    def shout(connection: ServerConnection) -> None:
        """Speaks first, and gives back everything in capitals; no HTTP at all."""
        connection.send(b"hello\n")
        while data := connection.sock.recv(65536):
            connection.send(data.upper())
        connection.send(b"bye\n")

    @staticmethod
    def serve_connect(connection: ServerConnection) -> None:
        """A proxy: the target and what comes first, given back through the tunnel."""
        request = connection.read_head()
        if request.target.endswith(":1"):
            connection.respond(502, b"no way")
            return
        connection.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        connection.send(request.target.encode() + b" " + connection.reader.line().encode() + b"\n")

    # --- Helpers ---

    def open(self, path: str = "/raw", early: bytes = b"", **arguments: Any) -> Connection:
        connection = Connection(self.port, **arguments)
        connection.send(b"GET %s HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n%s" %
                        (path.encode(), early))
        self.assertEqual(connection.reader.head().status, 101)
        return connection

    def logged(self, beginning: str, end: str = "") -> str:
        def line() -> str:
            with open(self.log_path, encoding="utf-8") as file:
                return next((line.strip() for line in file if line.startswith(beginning) and line.endswith(end + "\n")), "")

        return wait_until(line, "an access log line that begins with %s" % beginning, 15)

    def refused(self, port: int, path: str, status: int, headers: Any = ASK) -> None:
        with Connection(port) as connection:
            self.assertEqual(connection.request(path=path, headers=headers).status, status)
            self.assertEqual(connection.reader.until_closed(), b"")

    # --- WebSockets ---

    # field: HttpConnectionManager.upgrade_configs, HttpConnectionManager.UpgradeConfig.upgrade_type
    # field: HttpConnectionManager.UpgradeConfig.filters
    def test_websocket(self) -> None:
        upgrades = self.weir.stat("http.ingress.downstream_cx_upgrades_total")

        async def talk() -> Any:
            async with websockets.connect(  # type: ignore[attr-defined]
                    "ws://127.0.0.1:%d/chat?room=1" % self.port, max_size=None,
                    subprotocols=["chat.example"]) as connection:
                self.assertEqual(connection.subprotocol, "chat.example")
                for message in ("hello", "x" * 200_000, b"\0\1\2", os.urandom(1 << 20)):
                    await connection.send(message)
                    self.assertEqual(await connection.recv(), message)
                await connection.ping()
                self.weir.wait_stat_is("http.ingress.downstream_cx_upgrades_active", 1)
                return connection.response_headers

        response = asyncio.run(talk())
        self.assertEqual(response["x-chain"], "upgrade")
        request = self.websocket.seen[-1]
        self.assertEqual((request["x-chain"], request["connection"].lower(), request["upgrade"]),
                         ("upgrade", "upgrade", "websocket"))
        self.weir.wait_stat("http.ingress.downstream_cx_upgrades_total", upgrades + 1)
        self.weir.wait_stat_is("http.ingress.downstream_cx_upgrades_active", 0)
        self.assertRegex(self.logged("GET /chat?"), r"^GET /chat\?room=1 101 - \d{7} \d{7} websocket$")

    def test_a_server_of_http2(self) -> None:
        """Nothing here speaks TLS: what the proof of the upgrade is made with is opened for it. And however the server ends its
        direction, the other one ends by itself."""
        heard = []

        def accept(peer: Http2Peer, request: Request) -> None:
            if request.path == "/http2/ends":
                peer.respond(request, 200)
            elif request.path == "/http2/trailers":
                peer.respond(request, 200, b"last", trailers=[("x-sum", "1")])
            else:
                peer.send_head(request, 200)

        self.http2.on_head = accept
        self.http2.on_data = lambda peer, request, data: heard.append(data)
        self.http2.on_request = lambda peer, request: request.path == "/http2/chat" and peer.send_data(request, b"", True)
        for path, rest in (("/http2/chat", None), ("/http2/ends", b""), ("/http2/trailers", b"last")):
            with self.subTest(path), Connection(self.port) as connection:
                connection.send(b"GET %s HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                                b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % path.encode())
                head = connection.reader.head()
                self.assertEqual((head.status, head.header("sec-websocket-accept")), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
                if rest is not None:
                    self.assertEqual(connection.reader.until_closed(), rest)
                else:
                    connection.send(b"hello")
                    wait_until(lambda: b"".join(heard) == b"hello", "the server hears the client")
            self.weir.wait_stat_is("cluster.http2.http2.streams_active", 0)
        self.weir.wait_stat_is("cluster.http2.upstream_rq_active", 0)
        for peer in self.http2.peers:
            peer.sock.shutdown(socket.SHUT_RDWR)
        self.weir.wait_stat_is("cluster.http2.upstream_cx_active", 0)

    def test_many_websockets_at_once(self) -> None:
        async def one(number: int) -> None:
            async with websockets.connect("ws://127.0.0.1:%d/chat" % self.port) as connection:  # type: ignore[attr-defined]
                for i in range(20):
                    text = "%d of %d" % (i, number)
                    await connection.send(text)
                    self.assertEqual(await connection.recv(), text)

        async def all_of_them() -> None:
            await asyncio.gather(*(one(number) for number in range(50)))

        asyncio.run(all_of_them())
        self.weir.wait_stat_is("http.ingress.downstream_cx_upgrades_active", 0)

    def test_bytes_are_counted_while_it_lasts(self) -> None:
        async def talk() -> None:
            async with websockets.connect("ws://127.0.0.1:%d/chat" % self.port) as connection:  # type: ignore[attr-defined]
                before = self.weir.stats()
                for _ in range(20):
                    await connection.send(os.urandom(5000))
                    await connection.recv()
                after = self.weir.stats()
                names = [name for name in before if name.endswith("cx_rx_bytes_total") or name.endswith("cx_tx_bytes_total")]
                grown = {name.split(".")[-1] for name in names if after[name] - before[name] > 80000}
                self.assertEqual(len(grown), 4, grown)

        asyncio.run(talk())

    def test_ordinary_requests_have_the_ordinary_chain(self) -> None:
        with Connection(self.port) as connection:
            answer = connection.request(path="/plain")
        self.assertEqual(answer.header("x-chain"), "ordinary")

    # field: HttpConnectionManager.UpgradeConfig.enabled, RouteAction.UpgradeConfig.enabled
    def test_refused(self) -> None:
        self.refused(self.port, "/raw", 403, [("connection", "upgrade"), ("upgrade", "chat")])
        self.refused(self.port, "/raw", 403, [("connection", "upgrade"), ("upgrade", "unheard-of")])
        self.refused(self.port, "/forbidden", 403)
        self.refused(self.closed_port, "/", 403)
        with Connection(self.port) as connection:  # it is allowed, but nobody has it
            self.assertEqual(connection.request(path="/nowhere", headers=ASK).status, 404)
            self.assertEqual(connection.request(path="/plain").status, 200)

    # field: RouteAction.upgrade_configs, RouteAction.UpgradeConfig.upgrade_type
    def test_an_answer_that_does_not_say_what_it_switches_to(self) -> None:
        """RFC 9110 15.2.2."""
        UpgradeTest.script = lambda connection: None
        self.addCleanup(setattr, UpgradeTest, "switch", SWITCH)
        UpgradeTest.switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n"
        before = {name: count for name, count in self.weir.stats().items() if name.endswith(".upstream_cx_protocol_error")}
        self.assertEqual(fetch(self.port, "/raw/mute", headers=ASK).status, 502)
        wait_until(lambda: any(self.weir.stat(name) > count for name, count in before.items()), "it counts as the upstream's error")

    def test_a_route_allows_it(self) -> None:
        async def talk() -> None:
            async with websockets.connect(  # type: ignore[attr-defined]
                    "ws://127.0.0.1:%d/allowed" % self.closed_port) as connection:
                await connection.send("hello")
                self.assertEqual(await connection.recv(), "hello")

        asyncio.run(talk())
        self.weir.wait_stat("http.closed.downstream_cx_upgrades_total", 1)

    def test_refused_with_early_bytes(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"GET /plain HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
                            b"GET /plain HTTP/1.1\r\nhost: a\r\n\r\n")
            answer = connection.read_response()
            self.assertEqual((answer.status, answer.header("connection")), (200, "close"))
            self.assertEqual(connection.reader.until_closed(), b"")
        with Connection(self.port) as connection:  # without any, it goes on
            self.assertEqual(connection.request(path="/plain", headers=ASK).status, 200)
            self.assertEqual(connection.request(path="/direct", headers=ASK).text, "no tunnel")
            self.assertEqual(connection.request(path="/plain").status, 200)

    # --- Bytes ---

    def test_early_bytes(self) -> None:
        def run(connection: ServerConnection) -> None:
            connection.send(b"<" + connection.reader.exactly(5) + b">")

        UpgradeTest.script = run
        with self.open(early=b"early") as connection:
            self.assertEqual(connection.reader.until_closed(), b"<early>")

    def test_half_close_by_the_client(self) -> None:
        def run(connection: ServerConnection) -> None:
            data = connection.reader.until_closed()
            connection.send(b"you said " + data)

        UpgradeTest.script = run
        with self.open() as connection:
            connection.send(b"all of it")
            connection.half_close()
            self.assertEqual(connection.reader.until_closed(), b"you said all of it")

    def test_half_close_by_the_server(self) -> None:
        heard = threading.Event()
        said: list[bytes] = []

        def run(connection: ServerConnection) -> None:
            connection.send(b"that is all")
            connection.sock.shutdown(socket.SHUT_WR)
            said.append(connection.reader.until_closed())
            heard.set()

        UpgradeTest.script = run
        with self.open() as connection:
            self.assertEqual(connection.reader.until_closed(), b"that is all")
            connection.send(b"I am not done")
            connection.half_close()
            self.assertTrue(heard.wait(10))
        self.assertEqual(said, [b"I am not done"])

    def large(self, to_client: bool) -> None:
        """100 MB past a reader that stands still at first: every byte arrives, and memory stays what it was."""
        size = 100 << 20
        piece = hashlib.sha256(b"seed").digest() * 2048
        go = threading.Event()
        result: list[Optional[str]] = []

        def write(sock: socket.socket) -> None:
            for _ in range(size // len(piece)):
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)

        def read(sock: socket.socket, first: bytes) -> str:
            digest, total = hashlib.sha256(first), len(first)
            while data := sock.recv(1 << 18):
                digest.update(data)
                total += len(data)
            return "%d %s" % (total, digest.hexdigest())

        def run(connection: ServerConnection) -> None:
            if to_client:
                write(connection.sock)
                connection.reader.until_closed()
            else:
                go.wait(60)
                result.append(read(connection.sock, connection.reader.buffer))

        UpgradeTest.script = run
        before = self.weir.process.resident_kib()
        with self.open(timeout=120) as connection:
            writer = threading.Thread(target=write, args=(connection.sock,), daemon=True)
            if not to_client:
                writer.start()
            wait_until_still(lambda: self.weir.stat("cluster.raw.upstream_flow_control_paused_reading_total") +
                             self.weir.process.resident_kib() // 1024, 0.5)
            grown = self.weir.process.resident_kib() - before
            go.set()
            if to_client:
                result.append(read(connection.sock, connection.reader.buffer))
                connection.half_close()
            else:
                writer.join(120)
                self.assertEqual(connection.reader.until_closed(), b"")
        wait_until(lambda: result, "the reader is done", 60)
        expected = hashlib.sha256()
        for _ in range(size // len(piece)):
            expected.update(piece)
        self.assertEqual(result, ["%d %s" % (size, expected.hexdigest())])
        if not sanitized():
            self.assertLess(grown, 16 * 1024)

    def test_large_to_the_client(self) -> None:
        self.large(True)

    def test_large_to_the_server(self) -> None:
        self.large(False)

    # --- Time ---

    def test_timeouts(self) -> None:
        """The route's timeout (1 s) does not count in the tunnel; its idle timeout does."""
        def run(connection: ServerConnection) -> None:
            while data := connection.sock.recv(100):
                connection.send(data)

        UpgradeTest.script = run
        with self.open("/raw") as slow, self.open("/short") as idle:
            self.assertEqual(idle.reader.until_closed(), b"")
            self.assertRegex(self.logged("GET /short"), "^GET /short 101 SI 0 0 raw$")
            self.assertFalse(slow.readable_within(1.2))
            slow.send(b"still here")
            self.assertEqual(slow.reader.exactly(10), b"still here")

    # --- CONNECT ---

    # field: RouteAction.UpgradeConfig.connect_config, RouteMatch.connect_matcher
    def test_curl_through_the_tunnel(self) -> None:
        result = subprocess.run(
            ["curl", "-sS", "-p", "-x", "http://127.0.0.1:%d" % self.tunnel_port, "--max-time", "20", "-w", "%{http_connect}",
             "http://any.example:8080/inside?a=1"], capture_output=True, text=True, timeout=30)
        self.assertEqual(result.stderr, "")
        self.assertTrue(result.stdout.endswith("}200"), result.stdout)
        self.assertIn('"path": "/inside?a=1"', result.stdout)
        request = self.echo.requests[-1]
        self.assertEqual(request.header("host"), "any.example:8080")
        self.assertIsNone(request.header("x-request-id"))  # weir does not look into it
        self.assertRegex(self.logged("CONNECT - 200", " echo"), r"^CONNECT - 200 - \d+ \d+ echo$")

    def test_the_server_may_speak_first(self) -> None:
        with Connection(self.tunnel_port) as connection:
            connection.send(b"CONNECT tcp.example:25 HTTP/1.1\r\nhost: tcp.example:25\r\n\r\nearly ")
            self.assertEqual(connection.reader.head().start, "HTTP/1.1 200 OK")
            connection.send(b"bird")
            connection.half_close()
            data = connection.reader.until_closed()
        self.assertEqual(data, b"hello\nEARLY BIRDbye\n")

    def test_forwarded(self) -> None:
        with Connection(self.tunnel_port) as connection:
            connection.send(b"CONNECT forward.example:443 HTTP/1.1\r\nhost: forward.example:443\r\n\r\nhow are you\r\n")
            self.assertEqual(connection.reader.head().status, 200)
            self.assertEqual(connection.reader.until_closed(), b"forward.example:443 how are you\n")
        with Connection(self.tunnel_port) as connection:
            connection.send(b"CONNECT forward.example:1 HTTP/1.1\r\nhost: forward.example:1\r\n\r\n")
            answer = connection.read_response()
            self.assertEqual((answer.status, answer.text), (502, "no way"))
            self.assertEqual(connection.reader.until_closed(), b"")

    def test_connect_that_nobody_allows(self) -> None:
        for port, target, status in ((self.tunnel_port, b"forbidden.example:443", 403), (self.port, b"a:443", 403)):
            with Connection(port) as connection:
                connection.send(b"CONNECT %s HTTP/1.1\r\nhost: %s\r\n\r\n" % (target, target))
                self.assertEqual(connection.read_response().status, status)
                self.assertEqual(connection.reader.until_closed(), b"")

    def test_connect_over_http2(self) -> None:
        """The same from a client of HTTP/2, one stream each; what becomes of one is nothing to the others."""
        with H2(self.tunnel_port) as client:
            client.h2.config.validate_outbound_headers = False

            def connect(target: str, early: bytes = b"", end: bool = False) -> int:
                stream = client.h2.get_next_available_stream_id()
                client.h2.send_headers(stream, [(":method", "CONNECT"), (":authority", target)])
                if early:
                    client.h2.send_data(stream, early, end_stream=end)
                client.flush()
                return stream

            answered = h2.events.ResponseReceived
            tcp = connect("tcp.example:25", b"early ")
            client.until(tcp, answered)
            head = client.headers(tcp)
            self.assertEqual((head[":status"], head.get("content-length"), head.get("transfer-encoding")), ("200", None, None))
            forward = connect("forward.example:443", b"how are you\r\n")
            client.until(forward)
            self.assertEqual((client.status(forward), client.body(forward)), ("200", b"forward.example:443 how are you\n"))
            for target, status in (("forward.example:1", "502"), ("forbidden.example:443", "403")):
                refused = connect(target)
                client.until(refused)
                self.assertEqual(client.status(refused), status, target)
            client.h2.send_data(tcp, b"bird", end_stream=True)
            client.flush()
            client.until(tcp)
            self.assertEqual(client.body(tcp), b"hello\nEARLY BIRDbye\n")

    # field: RouteAction.UpgradeConfig.ConnectConfig.allow_post
    def test_post(self) -> None:
        with Connection(self.tunnel_port) as connection:
            connection.send(b"POST /post HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nraw!")
            answer = connection.read_response()
            self.assertEqual((answer.status, answer.body), (200, b"hello\nRAW!bye\n"))
            self.assertIn('"path": "/no-post"', connection.request("POST", "/no-post", body=b"x").text)


if __name__ == "__main__":
    main()
