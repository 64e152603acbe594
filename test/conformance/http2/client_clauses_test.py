"""Plays the server of every row of client_clauses.py, frame by frame, over TLS and in the clear; hyperframe and hpack read what
weir sends to it."""

import os
import socket
import sys
import threading
from typing import Any, Optional

import hpack
import hyperframe.frame

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import client_clauses
from client_clauses import Asks, Fails, Row
from harness import Connection, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, http_listener, main, route
from harness.case import add_row_tests
from harness.config import client_tls, http_options
from harness.frames import ACK, PING, PREFACE, frame, settings
from harness.tls import Authority, TlsScriptedUpstream, server_context
from harness.upstreams import ServerConnection
from harness.wire import Closed, Message

PROBE = b"probe..."


class Peer:
    """The server's side of one connection, which is for one row."""

    def __init__(self, sock: socket.socket, row: Row):
        self.sock = sock
        self.row = row
        self.buffer = b""
        self.preface = b""
        self.decoder = hpack.Decoder()
        self.frames: list[Any] = []
        self.head: list[tuple[str, str]] = []
        self.closed = False
        self.done = threading.Event()

    def more(self) -> bool:
        try:
            data = self.sock.recv(1 << 16)
        except OSError as problem:
            if isinstance(problem, socket.timeout):
                return False
            data = b""
        if not data:
            self.closed = True
            return False
        if len(self.preface) < len(PREFACE):
            self.preface += data
            self.buffer = self.preface[len(PREFACE):]
            self.preface = self.preface[:len(PREFACE)]
        else:
            self.buffer += data
        while len(self.buffer) >= 9:
            one, size = hyperframe.frame.Frame.parse_frame_header(memoryview(self.buffer[:9]))
            if len(self.buffer) < 9 + size:
                break
            one.parse_body(memoryview(self.buffer[9:9 + size]))
            self.buffer = self.buffer[9 + size:]
            self.frames.append(one)
            if isinstance(one, hyperframe.frame.HeadersFrame):
                self.head = self.decoder.decode(one.data)
        return True

    def find(self, kind: type) -> Optional[Any]:
        return next((one for one in reversed(self.frames) if isinstance(one, kind)), None)

    def probed(self) -> bool:
        return any(isinstance(one, hyperframe.frame.PingFrame) and "ACK" in one.flags and one.opaque_data == PROBE for one in self.frames)

    def run(self) -> None:
        self.sock.settimeout(10)
        try:
            self.sock.sendall(self.row.preface)
            while not self.ends_request() and self.more():
                pass
            self.sock.sendall(settings(flags=ACK) + self.row.sends + frame(PING, 0, 0, PROBE))
        except OSError:
            pass  # it has had enough
        while not self.probed() and self.more():
            pass
        # RST_STREAM may stand behind the answer.
        if isinstance(self.row.expect, Fails) and not self.closed:
            self.sock.settimeout(2)
            while not self.find(hyperframe.frame.RstStreamFrame) and self.more():
                pass

    def ends_request(self) -> bool:
        return any("END_STREAM" in one.flags for one in self.frames)


class ClientClausesTest(WeirTestCase):
    """One test per row and transport, made below."""

    @classmethod
    def set_up(cls) -> None:
        cls.current: Row = client_clauses.ROWS[0]
        cls.peers: list[Peer] = []
        own = Authority(cls.sandbox).issue("up.example")
        servers = [ScriptedUpstream(cls.sandbox, cls.serve), TlsScriptedUpstream(cls.sandbox, cls.serve, server_context(own, alpn=["h2"]))]
        http2 = http_options(common_http_protocol_options={"max_requests_per_connection": 1},
                             explicit_http_config={"http2_protocol_options": {}})
        cls.ports = [cls.sandbox.free_port() for _ in servers]
        listeners, clusters = [], []
        for tls, (port, server) in enumerate(zip(cls.ports, servers)):
            listeners.append(http_listener(port, [route({"prefix": "/"}, "up-%d" % tls)], name="tls-%d" % tls))
            clusters.append(cluster("up-%d" % tls, server.port, **http2, **({"transport_socket": client_tls()} if tls else {})))
        cls.weir = Weir(cls.sandbox, bootstrap(listeners, clusters), concurrency=1)

    @classmethod
    def serve(cls, connection: ServerConnection) -> None:
        peer = Peer(connection.sock, cls.current)
        cls.peers.append(peer)
        try:
            peer.run()
        finally:
            peer.done.set()

    def ask(self, row: Row, tls: bool) -> Optional[Message]:
        """What weir's client gets; None: no whole answer."""
        with Connection(self.ports[tls]) as client:
            fields = list(row.fields)
            if row.body == b"chunked":
                client.send_request(row.method, "/", headers=[*fields, ("transfer-encoding", "chunked")])
                client.send(b"5\r\nhello\r\n0\r\n\r\n")
            else:
                client.send_request(row.method, "/", headers=fields, body=row.body)
            try:
                response = client.read_response(row.method)
                while response.status < 200:
                    response = client.read_response(row.method)
                return response
            except (Closed, ConnectionError):
                return None

    def check(self, row: Row, tls: bool) -> None:
        type(self).current = row
        self.peers.clear()
        response = self.ask(row, tls)
        self.assertTrue(self.peers)
        peer = self.peers[0]
        self.assertTrue(peer.done.wait(20), peer.frames)
        self.assertEqual(peer.preface, PREFACE)
        self.assertIsInstance(peer.frames[0], hyperframe.frame.SettingsFrame)
        self.assertEqual(peer.frames[0].settings[hyperframe.frame.SettingsFrame.ENABLE_PUSH], 0)
        goaway, reset = peer.find(hyperframe.frame.GoAwayFrame), peer.find(hyperframe.frame.RstStreamFrame)
        expect = row.expect
        if isinstance(expect, Fails):
            if not expect.answered:
                self.assertIsNotNone(response)
            if response is not None and not expect.answered:
                self.assertIn(response.status, (502, 503), response)
            if expect.or_stream and reset is not None:
                self.assertIn(reset.error_code, expect.codes)
                return
            self.assertIsNotNone(goaway, peer.frames)
            assert goaway is not None
            self.assertIn(goaway.error_code, expect.codes)
            self.assertTrue(peer.closed)
            return
        assert response is not None, peer.frames
        if isinstance(expect, Asks):
            self.assertEqual(response.status, 200)
            names = [name for name, _ in peer.head]
            first_field = next(i for i, name in enumerate(names) if not name.startswith(":"))
            self.assertFalse([name for name in names[first_field:] if name.startswith(":")])
            self.assertEqual(len(set(names[:first_field])), first_field)
            self.assertEqual([name for name in names if name != name.lower()], [])
            for pair in expect.has:
                self.assertIn(pair, peer.head)
            for name in expect.lacks:
                self.assertNotIn(name, names)
            self.assertEqual([one.stream_id for one in peer.frames if isinstance(one, hyperframe.frame.HeadersFrame)], [1])
            return
        self.assertEqual(response.status, expect.status)
        if expect.body is not None:
            self.assertEqual(response.body, expect.body)
        for name, value in expect.has:
            self.assertEqual(response.header(name), value)
        for name in expect.lacks:
            self.assertIsNone(response.header(name))
        if expect.sends is not None:
            kind, flags, payload = expect.sends
            self.assertTrue([one for one in peer.frames if one.type == kind and ("ACK" in one.flags) == bool(flags) and
                             one.serialize()[9:] == payload], peer.frames)
        if expect.goes_on:
            self.assertTrue(peer.probed(), peer.frames)
            if goaway is not None:
                self.assertEqual(goaway.error_code, 0)

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        print("%d cases of RFC 9113 and RFC 7541 for clients, each over TLS and in the clear: %d run, none skipped" % (
            len(client_clauses.ROWS), 2 * len(client_clauses.ROWS)), file=sys.stderr)


add_row_tests(ClientClausesTest, client_clauses.ROWS)

if __name__ == "__main__":
    main()
