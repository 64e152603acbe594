"""The tables of this folder against the binary, over sockets, with an origin that records what reaches it.

Each row comes from an address of its own (127.1.x.y), which weir writes into x-forwarded-for and into the access log: so
it is known what became of every row, and nothing that reaches the origin is without a row that meant it.
"""

import re
import socket
import threading
from collections import defaultdict
from typing import Optional

import corpus
from harness import (Message, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, file_access_log, http_listener,
                     main, route, wait_until)
from harness.upstreams import ServerConnection
from harness.wire import Closed, Reader

LOG_LINE = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
TARGET = re.compile(r"(/|\*$)[\x21\x22\x24-\x7e]*")
HOST = re.compile(r"[A-Za-z0-9.\-_~!$&'()*+,;=%]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")
VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]*")
HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "te")


def ambiguity(request: Message) -> Optional[str]:
    """Why two readers of this head could disagree; None if they cannot."""
    parts = request.start.split(" ")
    if len(parts) != 3 or not TOKEN.fullmatch(parts[0]) or not TARGET.fullmatch(parts[1]) or parts[2] != "HTTP/1.1":
        return "request line %r" % request.start
    for name, value in request.headers + request.trailers:
        if not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
            return "field %r: %r" % (name, value)
        if name.lower() in HOP_BY_HOP:
            return "hop-by-hop field %r: %r" % (name, value)
    hosts = request.all("host")
    # Empty where there was none (HTTP/1.0): RFC 9112 3.2.
    if len(hosts) != 1 or not (HOST.fullmatch(hosts[0]) or hosts[0] == ""):
        return "hosts %r" % hosts
    lengths, codings = request.all("content-length"), request.all("transfer-encoding")
    if len(lengths) + len(codings) > 1:
        return "lengths %r, codings %r" % (lengths, codings)
    if lengths and not re.fullmatch(r"\d{1,19}", lengths[0]):
        return "content-length %r" % lengths[0]
    if codings and codings[0].lower() != "chunked":
        return "transfer-encoding %r" % codings[0]
    return None


class Origin(ScriptedUpstream):
    """Records by row, answers whatever is complete."""

    def __init__(self, sandbox):
        self.lock = threading.Lock()
        self.complete: dict[str, list[Message]] = defaultdict(list)
        self.partial: dict[str, list[Message]] = defaultdict(list)
        super().__init__(sandbox, self._record)

    def _record(self, connection: ServerConnection) -> None:
        while True:
            request = connection.read_head()
            row = (request.header("x-forwarded-for") or "nobody").split(",")[-1].strip()
            fault = ambiguity(request)
            if fault:
                self.problems.append("%s: %s" % (row, fault))
            try:
                connection.reader.body(request, response=False)
            except (Closed, OSError):
                self.partial[row].append(request)
                return
            with self.lock:
                self.complete[row].append(request)
            body = b"" if request.method == "HEAD" else b"ok"
            connection.send(b"HTTP/1.1 200 OK\r\nx-origin: 1\r\ncontent-length: 2\r\n\r\n" + body)


HALF_CLOSED = "127.2.0.1"


def address_of(number: int) -> str:
    return "127.1.%d.%d" % (number // 250, number % 250 + 1)


class Client:
    """A connection of one row."""

    def __init__(self, port: int, address: str):
        self.address = address
        self.sock = socket.socket()
        self.sock.settimeout(15)
        self.sock.bind((self.address, 0))
        self.sock.connect(("127.0.0.1", port))
        self.reader = Reader(self.sock)

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except ConnectionError:
            pass  # refused before all of it was sent; the answer is there

    def read_to_end(self) -> None:
        """Of the connection, however it ends."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            pass

    def is_closed(self) -> bool:
        """Waits for the close; False if there is something else."""
        if self.reader.buffer:
            return False
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True


class WireTestCase(WeirTestCase):
    log_path: str

    def log_lines(self, count: int) -> dict[str, list[str]]:
        """By address, when there are so many."""

        def read() -> list[str]:
            with open(self.log_path, encoding="latin-1") as file:
                lines = file.read().split("\n")[:-1]
            return lines if len(lines) >= count else []

        found: dict[str, list[str]] = defaultdict(list)
        for line in wait_until(read, "%d lines in the access log" % count, 20):
            address, rest = line.split(" ", 1)
            found[address].append(rest)
        return found


class RequestsTest(WireTestCase):
    """smuggling.txt: nothing, or exactly what was meant, reaches the origin."""

    @classmethod
    def set_up(cls) -> None:
        cls.origin = Origin(cls.sandbox)
        cls.log_path = cls.sandbox.path("access.log")
        options = {"default": {}, "http10": {"accept_http_10": True}, "noabsolute": {"allow_absolute_url": False}}
        cls.ports = {name: cls.sandbox.free_port() for name in options}
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.ports[name], [route({"prefix": "/"}, "origin"), route({"prefix": "*"}, "origin")], name=name,
                          stat_prefix=name, codec_type="HTTP1", use_remote_address=True, http_protocol_options=value,
                          access_log=[file_access_log(cls.log_path, LOG_LINE)])
            for name, value in options.items()], [cluster("origin", cls.origin.port)]))

    def test_table(self) -> None:
        status_of = corpus.statuses()
        rows = corpus.read("smuggling.txt")
        on_wire = [row for row in rows if not row.flags & {"small", "knownmethods"}]  # cannot be configured so
        waiting: list[tuple[corpus.Row, Client]] = []
        clients: dict[int, Client] = {}
        refused = {name: self.weir.stat("http.%s.downstream_cx_protocol_error" % name) for name in self.ports}
        from_origin: dict[int, int] = {}
        lines = sum(row.complete + row.verdict.startswith("http1.") for row in on_wire)
        for number, row in enumerate(on_wire):
            listener = next(iter(row.flags), "default")
            client = clients[row.line] = Client(self.ports[listener], address_of(number))
            client.send(row.bytes)
            with self.subTest(str(row)):
                answers = [client.reader.response() for _ in range(row.complete)]
                for answer in answers:
                    # What has no route (CONNECT) is answered by weir itself.
                    self.assertIn(answer.status, (200, 403, 404), answer)
                from_origin[row.line] = sum(answer.header("x-origin") is not None for answer in answers)
                if row.verdict == "incomplete":
                    waiting.append((row, client))
                elif row.verdict != "accept":
                    refused[listener] += 1
                    answer = client.reader.response()
                    self.assertEqual(answer.status, status_of[row.verdict], answer)
                    self.assertIn("close", answer.header("connection").split(","))  # beside upgrade, of a 426
                    self.assertTrue(client.is_closed())
                elif answers[-1].header("connection") != "close":
                    lines += 1
                    client.send(b"GET /after HTTP/1.1\r\nhost: a\r\n\r\n")
                    self.assertEqual(client.reader.response().header("x-origin"), "1")
        for row, client in waiting:
            with self.subTest(str(row)):
                self.assertEqual(client.reader.buffer, b"")
                client.sock.setblocking(False)
                self.assertRaises(BlockingIOError, client.sock.recv, 1)
        for client in clients.values():
            client.sock.close()
        for listener, count in refused.items():
            self.weir.wait_stat_is("http.%s.downstream_cx_protocol_error" % listener, count)
        self.check_log(on_wire, clients, lines)
        self.weir.stop()  # what is under way to the origin ends
        self.check_origin(on_wire, clients, from_origin)
        print("%d rows over sockets, %d only in the codec" % (len(on_wire), len(rows) - len(on_wire)))

    def test_half_closed_connections_are_answered(self) -> None:
        for data in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n",
                     b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n"):
            client = Client(self.ports["default"], HALF_CLOSED)
            client.send(data)
            client.sock.shutdown(socket.SHUT_WR)
            with self.subTest(data):
                self.assertEqual(client.reader.response().status, 400)
                self.assertTrue(client.is_closed())
            client.sock.close()

    def check_log(self, rows: list[corpus.Row], clients: dict[int, Client], lines: int) -> None:
        log = self.log_lines(lines)
        for row in [row for row in rows if row.verdict.startswith("http1.")]:
            with self.subTest(str(row)):
                reason = "%d DPE %s" % (corpus.statuses()[row.verdict], row.verdict)
                self.assertIn(reason, log[clients[row.line].address])

    def check_origin(self, rows: list[corpus.Row], clients: dict[int, Client], from_origin: dict[int, int]) -> None:
        self.assertEqual(self.origin.problems, [])
        senders = {client.address for client in clients.values()} | {HALF_CLOSED}
        self.assertEqual((set(self.origin.complete) | set(self.origin.partial)) - senders, set(), "requests of nobody's")
        for row in rows:
            with self.subTest(str(row)):
                address = clients[row.line].address
                seen = [request for request in self.origin.complete[address] if request.target != "/after"]
                self.assertEqual(len(seen), from_origin.get(row.line), seen)
                self.assertLessEqual(len(self.origin.partial[address]), 1)
                if row.checks_body and row.verdict == "accept":
                    self.assertEqual(b"".join(request.body for request in seen), row.body)


class ResponsesTest(WireTestCase):
    """responses.txt: a bad response is 502 with UPE, or cut off; its connection serves nobody else."""

    @classmethod
    def set_up(cls) -> None:
        cls.rows = {row.line: row for row in corpus.read("responses.txt")}
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.answer)
        cls.port = cls.sandbox.free_port()
        cls.log_path = cls.sandbox.path("access.log")
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.port, [route({"prefix": "/"}, "origin")],
                          access_log=[file_access_log(cls.log_path, LOG_LINE)])],
            [cluster("origin", cls.upstream.port)]), concurrency=1)

    @classmethod
    def answer(cls, connection: ServerConnection) -> None:
        while True:
            line = int(connection.read_request().target[1:])
            if line == 0:
                connection.respond(200, b"good")
                continue
            row = cls.rows[line]
            connection.send(row.bytes)
            if "eof" in row.flags:
                return

    def test_table(self) -> None:
        on_wire = [row for row in self.rows.values() if not row.flags & {"small", "connect", "upgrade"}]
        clients: dict[int, Client] = {}
        lines = 0
        for number, row in enumerate(on_wire):
            client = clients[row.line] = Client(self.port, address_of(number))
            method = "HEAD" if "head" in row.flags else "GET"
            client.send(b"%s /%d HTTP/1.1\r\nhost: a\r\n\r\n" % (method.encode(), row.line))
            with self.subTest(str(row)):
                self.check_answer(row, client, method)
            client.sock.close()
            lines += 1
            # Another client, next on the same pool: nothing of this row is left for it.
            other = Client(self.port, address_of(number + 10_000))
            other.send(b"GET /0 HTTP/1.1\r\nhost: a\r\n\r\n")
            with self.subTest("after %s" % row):
                self.assertEqual(other.reader.response().text, "good")
            other.sock.close()
            lines += 1
        log = self.log_lines(lines)
        for row in on_wire:
            with self.subTest(str(row)):
                self.check_log(row, log[clients[row.line].address])
        self.assertEqual(self.upstream.problems, [])
        bad = sum(row.verdict.startswith("http1.") and row.verdict != "http1.premature_eof" for row in on_wire)
        self.weir.wait_stat_is("cluster.origin.upstream_cx_protocol_error", bad)
        print("%d rows over sockets, %d only in the codec" % (len(on_wire), len(self.rows) - len(on_wire)))

    def check_answer(self, row: corpus.Row, client: Client, method: str) -> None:
        if row.verdict == "accept" or row.complete > 0:
            answer = client.reader.response(method)
            self.assertIn(b" %d" % answer.status, row.bytes)
            if row.checks_body:
                self.assertEqual(answer.body, row.body)
        elif row.verdict == "incomplete":
            return  # the head may be there; it has no end
        elif row.checks_body or b"\r\n\r\n" in row.bytes and "chunk" in row.verdict:
            client.read_to_end()  # to leave before would be another end than the server's
        else:
            self.assertEqual(client.reader.response(method).status, 503 if row.verdict == "http1.premature_eof" else 502)

    def check_log(self, row: corpus.Row, lines: list[str]) -> None:
        self.assertEqual(len(lines), 1, lines)
        if row.verdict == "accept" or row.complete > 0:
            self.assertRegex(lines[0], r"\d+ - via_upstream")
        elif row.verdict == "http1.premature_eof":
            self.assertIn(" UC ", lines[0])
        elif row.verdict != "incomplete":
            self.assertIn(" UPE ", lines[0])


if __name__ == "__main__":
    main()
