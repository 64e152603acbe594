"""Sends every row of clauses.py to the binary, frame by frame, over TLS and in the clear; hyperframe and hpack read what
comes back."""

import os
import socket
import sys
import time
from typing import Any, Optional

import hpack
import hyperframe.frame

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import clauses
from clauses import Answer, ConnectionError_, Row, StreamError
from harness import ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, http_listener, main, over_tls, route
from harness import frames
from harness.case import add_row_tests
from harness.config import server_tls
from harness.tls import Authority, client_context
from harness.upstreams import ServerConnection

PROBE = b"probe..."


class Peer:
    def __init__(self, port: int, tls: Any):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="a.example")
        self.buffer = b""
        self.decoder = hpack.Decoder()
        self.frames: list[Any] = []
        self.heads: dict[int, list[tuple[str, str]]] = {}
        self.ended: set[int] = set()
        self.closed = False

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError:
            pass  # the server has had enough

    def more(self) -> bool:
        try:
            data = self.sock.recv(1 << 16)
        except (ConnectionError, OSError) as problem:
            if isinstance(problem, socket.timeout):
                raise
            data = b""
        if not data:
            self.closed = True
            return False
        self.buffer += data
        while len(self.buffer) >= 9:
            frame, size = hyperframe.frame.Frame.parse_frame_header(memoryview(self.buffer[:9]))
            if len(self.buffer) < 9 + size:
                break
            frame.parse_body(memoryview(self.buffer[9:9 + size]))
            self.buffer = self.buffer[9 + size:]
            self.frames.append(frame)
            if isinstance(frame, hyperframe.frame.HeadersFrame):
                assert "END_HEADERS" in frame.flags
                head = self.decoder.decode(frame.data)
                self.heads.setdefault(frame.stream_id, head)
            if "END_STREAM" in frame.flags:
                self.ended.add(frame.stream_id)
        return True

    def find(self, kind: type, **fields: Any) -> Optional[Any]:
        for frame in self.frames:
            if isinstance(frame, kind) and all(getattr(frame, name) == value for name, value in fields.items()):
                return frame
        return None

    def body(self, stream: int) -> bytes:
        return b"".join(f.data for f in self.frames if isinstance(f, hyperframe.frame.DataFrame) and f.stream_id == stream)

    def probe(self) -> None:
        """The connection goes on."""
        self.send(frames.frame(frames.PING, 0, 0, PROBE))
        while not any(isinstance(f, hyperframe.frame.PingFrame) and "ACK" in f.flags and f.opaque_data == PROBE
                      for f in self.frames):
            if not self.more():
                raise AssertionError("closed instead of answering a PING: %s" % self.frames)


class ClausesTest(WeirTestCase):
    """One test per row and transport, made below."""

    @classmethod
    def set_up(cls) -> None:
        echo = ScriptedUpstream(cls.sandbox, cls.serve)
        own = Authority(cls.sandbox).issue("a.example")
        cls.context = client_context(alpn=["h2"])
        cls.ports = {}
        listeners = []
        fields: dict[str, dict[str, Any]] = {
            "plain": {}, "h2": {"codec_type": "HTTP2"}, "echo": {}, "hold": {},
            "few": {"http2_protocol_options": {"max_concurrent_streams": 3}}}
        for name, more in fields.items():
            for tls in (False, True):
                port = cls.ports[name, tls] = cls.sandbox.free_port()
                routes = [route({"prefix": "/"}, "echo")] if name in ("echo", "hold", "few") else [direct({"prefix": "/"}, "hello")]
                made = http_listener(port, routes, name="%s_%s" % (name, tls), stream_error_on_invalid_http_message=True, **more)
                if tls:
                    over_tls(made, server_tls(own, common={"alpn_protocols": ["h2"]}))
                listeners.append(made)
        cls.weir = Weir(cls.sandbox, bootstrap(listeners, [cluster("echo", echo.port)]), concurrency=1)

    @staticmethod
    def serve(connection: ServerConnection) -> None:
        while True:
            request = connection.read_request()
            time.sleep(0.1)
            connection.send(("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nkeep-alive: timeout=5\r\nx-cookie: %s\r\n"
                             "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" % "|".join(request.all("cookie"))).encode())

    def check(self, row: Row, tls: bool) -> None:
        peer = Peer(self.ports[row.listener, tls], self.context if tls else None)
        self.addCleanup(peer.sock.close)
        peer.send(row.preface + row.sends)
        expect = row.expect
        if isinstance(expect, ConnectionError_):
            while peer.more():
                pass
            goaway = [f for f in peer.frames if isinstance(f, hyperframe.frame.GoAwayFrame)]
            if not goaway and expect.silent:
                return
            self.assertTrue(goaway, "no GOAWAY among %s" % peer.frames)
            self.assertIn(goaway[-1].error_code, expect.codes)
            return
        if isinstance(expect, StreamError):
            while True:
                # An answer comes first: 8.1 has RST_STREAM with NO_ERROR behind one to a request that is not complete.
                if expect.or_status is not None and expect.stream in peer.heads:
                    self.assertEqual(dict(peer.heads[expect.stream])[":status"], str(expect.or_status))
                    break
                reset = peer.find(hyperframe.frame.RstStreamFrame, stream_id=expect.stream)
                if reset is not None:
                    self.assertIn(reset.error_code, expect.codes)
                    break
                goaway = peer.find(hyperframe.frame.GoAwayFrame)
                if goaway is not None and expect.or_connection:
                    self.assertIn(goaway.error_code, expect.codes)
                    while peer.more():
                        pass
                    return
                self.assertTrue(peer.more(), "closed without RST_STREAM: %s" % peer.frames)
            peer.probe()
            return
        if isinstance(expect, Answer):
            while expect.stream not in peer.ended:
                self.assertIsNone(peer.find(hyperframe.frame.RstStreamFrame, stream_id=expect.stream), peer.frames)
                if expect.body is not None and expect.body and peer.body(expect.stream) == expect.body:
                    break
                self.assertTrue(peer.more(), "closed without a response: %s" % peer.frames)
            head = peer.heads[expect.stream]
            self.assertEqual(dict(head)[":status"], str(expect.status))
            for name, value in expect.has:
                self.assertIn((name, value), head)
            for name in expect.lacks:
                self.assertNotIn(name, dict(head))
            if expect.body is not None:
                self.assertEqual(peer.body(expect.stream), expect.body)
            if "GOAWAY" not in row.clause:
                peer.probe()
            return
        peer.probe()
        if expect.lacks is not None:
            self.assertFalse([f for f in peer.frames if f.type == expect.lacks], peer.frames)
        if expect.sends is not None:
            kind, flags, payload = expect.sends

            def matches(frame: Any) -> bool:
                if frame.type != kind:
                    return False
                if payload is None:
                    return bool(frame is peer.frames[0])
                if ("ACK" in frame.flags) != bool(flags & 1) and kind in (frames.PING, frames.SETTINGS):
                    return False
                return bool(frame.serialize()[9:] == payload)

            while not any(matches(frame) for frame in peer.frames):
                self.assertTrue(peer.more(), "closed; %s" % peer.frames)

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        print("%d cases of RFC 9113 and RFC 7541, each over TLS and in the clear: %d run, none skipped" % (
            len(clauses.ROWS), 2 * len(clauses.ROWS)), file=sys.stderr)


add_row_tests(ClausesTest, clauses.ROWS)

if __name__ == "__main__":
    main()
