"""Clients that begin whatever there is to begin and let it end in any way, a whole connection at a time."""

import re
import socket
from typing import Any

import h2.events
import h2.exceptions
import h2.settings

from harness.client import Connection
from harness.http2_client import H2
from harness.tls import TlsConnection, client_context
from harness.wire import format_fields

from .configuration import PATHS, Ports
from .dice import Dice, Stopped, listen, reset, say, talk

PROTOCOLS = ("websocket",) * 9 + ("other",)
METHODS = ("GET", "GET", "POST", "POST", "POST", "PUT", "HEAD", "OPTIONS")
CODES = (0, 2, 5, 8)  # of HTTP/2
TARGETS = ("tcp", "tcp", "tcp", "h1", "h1", "h2", "h2", "nowhere")  # of CONNECT, as the header x-to says


def fields_of(dice: Dice) -> list[tuple[str, str]]:
    """Fields of a request that make filters and the router do something."""
    fields = []
    if dice.chance(0.4):
        fields.append(("content-type", dice.choice(("application/grpc", "application/grpc-web-text", "application/grpc-web+proto",
                                                    "application/x-protobuf", "text/plain"))))
    for share, name, values in (
            (0.3, "te", ("trailers",)), (0.2, "grpc-timeout", ("1m", "100m", "1S", "0m", "xx")),
            (0.3, "accept-encoding", ("gzip", "br", "zstd")), (0.1, "content-encoding", ("gzip",)),
            (0.1, "expect", ("100-continue",)), (0.1, "x-envoy-max-retries", ("0", "3")),
            (0.1, "x-envoy-upstream-rq-timeout-ms", ("1", "100")), (0.1, "x-envoy-hedge-on-per-try-timeout", ("true",)),
            (0.1, "x-envoy-retry-on", ("5xx,reset", "gateway-error")), (0.1, "origin", ("http://other.example",)),
            (0.1, "x-fault", ("abort", "delay", "slow"))):
        if dice.chance(share):
            fields.append((name, dice.choice(values)))
    return fields


class Mixup(Exception):
    """A response that is another request's."""


class RandomClient:
    """Runs one connection after the other, each of a kind that the dice choose. Servers repeat the field x-id of a request."""

    def __init__(self, ports: Ports, *names: Any):
        self._ports = ports
        self._names = names
        self._tls = client_context()
        self._tls_http2 = client_context(alpn=["h2"])
        self.connections = 0
        self.mixups: list[str] = []

    def run_one(self) -> None:
        self.connections += 1
        dice = Dice(*self._names, self.connections)
        try:
            dice.choice((self._http1, self._http2, self._http2, self._tcp))(dice)
        except (Stopped, OSError, h2.exceptions.ProtocolError):
            pass  # however it ended, it is over
        except Mixup as mixup:
            self.mixups.append(str(mixup))

    def _http1(self, dice: Dice) -> None:
        if dice.chance(0.2):
            connection: Connection = TlsConnection(dice.choice(self._ports.tls), context=self._tls, timeout=5)
        else:
            connection = Connection(dice.choice(self._ports.http), timeout=5)
        with connection:
            Http1Traffic(connection.sock, dice, self._name()).run()

    def _http2(self, dice: Dice) -> None:
        window = dice.choice((0, 10, 65535))
        if dice.chance(0.3):
            client = H2(dice.choice(self._ports.tls), window, self._tls_http2)
        else:
            client = H2(dice.choice(self._ports.http), window)
        with client:
            Http2Traffic(client, dice, self._name()).run()

    def _name(self) -> str:
        """Of the connection."""
        return "-".join(str(name) for name in (*self._names, self.connections))

    def _tcp(self, dice: Dice) -> None:
        with Connection(dice.choice(self._ports.tcp), timeout=5) as connection:
            talk(connection.sock, dice)


class Http1Traffic:
    """Requests one after the other, if need be before the answer to the last one."""

    def __init__(self, sock: socket.socket, dice: Dice, name: str):
        self._sock = sock
        self._dice = dice
        self._name = name
        self._requests = 0
        self._heard = b""

    def run(self) -> None:
        dice = self._dice
        for _ in range(dice.randrange(1, 5)):
            kind = dice.random()
            if kind < 0.25:
                self._open(self._head("GET", dice.choice(PATHS), [
                    ("connection", "upgrade"), ("upgrade", dice.choice(PROTOCOLS)), ("sec-websocket-version", "13"),
                    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]))
            elif kind < 0.4:
                self._open(self._head("CONNECT", "a.example:443", [("x-to", dice.choice(TARGETS))]))
            else:
                say(self._sock, dice, self._request())
            for _ in range(dice.randrange(4)):
                self._listen()
        if dice.chance(0.2):
            self._sock.shutdown(socket.SHUT_WR)
            self._listen()
        elif dice.chance(0.3):
            reset(self._sock)

    def _listen(self) -> None:
        """Responses come in the order of their requests."""
        self._heard += listen(self._sock, self._dice)
        names = re.findall(rb"\r\nx-id: ([^\r]*)\r\n", self._heard)
        expected = [b"%s-%d" % (self._name.encode(), number + 1) for number in range(self._requests)]
        order = [expected.index(name) for name in names if name in expected]
        if len(order) < len(names) or order != sorted(order):
            raise Mixup("%s instead of some of %s" % (names, expected))

    def _open(self, head: bytes) -> None:
        """A tunnel, if it becomes one."""
        say(self._sock, self._dice, [head + self._dice.choice((b"", b"", b"early"))])
        if self._dice.chance(0.7):
            talk(self._sock, self._dice)

    def _head(self, method: str, path: str, fields: list[tuple[str, str]]) -> bytes:
        self._requests += 1
        host = path if method == "CONNECT" else "test.example"
        all_fields = [("host", host), ("x-id", "%s-%d" % (self._name, self._requests)), *fields_of(self._dice), *fields]
        return ("%s %s HTTP/1.1\r\n" % (method, path)).encode() + format_fields(all_fields) + b"\r\n"

    def _request(self) -> list[bytes]:
        dice = self._dice
        method, path = dice.choice(METHODS), dice.choice(PATHS)
        if method in ("GET", "HEAD", "OPTIONS") and dice.chance(0.8):
            return [self._head(method, path, [])]
        parts = [dice.grpc_message() if dice.chance(0.3) else dice.data() for _ in range(dice.randrange(4))]
        if dice.chance(0.5):
            size = sum(map(len, parts))
            return [self._head(method, path, [("content-length", str(size))]), *parts]
        trailers = dice.choice((b"", b"", b"x-sum: 1\r\n"))
        chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part]
        return [self._head(method, path, [("transfer-encoding", "chunked")]), *chunks, b"0\r\n" + trailers + b"\r\n"]


class Http2Traffic:
    """Streams side by side, to any of which anything happens next."""

    def __init__(self, client: H2, dice: Dice, name: str):
        self._client = client
        self._dice = dice
        self._name = name
        client.h2.config.validate_outbound_headers = False

    def run(self) -> None:
        dice = self._dice
        for _ in range(dice.randrange(1, 50)):
            try:
                streams = list(self._client.h2.streams)
                if not streams or dice.chance(0.4):
                    self._begin()
                elif dice.chance(0.05):
                    self._step_of_connection()
                else:
                    self._step(dice.choice(streams))
            except h2.exceptions.ProtocolError:
                pass  # h2 knows better than the dice
            self._flush()
            if dice.chance(0.5):
                self._receive(listen(self._client.sock, dice, 0.05))
        for _ in range(dice.randrange(8)):
            self._receive(listen(self._client.sock, dice))
        if dice.chance(0.2):
            reset(self._client.sock)

    def _flush(self) -> None:
        data = self._client.h2.data_to_send()
        cut = self._dice.randrange(1, len(data)) if len(data) > 1 and self._dice.chance(0.1) else len(data)
        say(self._client.sock, self._dice, [data[:cut], data[cut:]], breaks=0.005)

    def _receive(self, data: bytes) -> None:
        for event in self._client.h2.receive_data(data):
            if isinstance(event, h2.events.DataReceived) and self._dice.chance(0.8):
                self._client.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.ResponseReceived):
                name = dict(event.headers).get("x-id")
                if name not in (None, self._id(event.stream_id)):
                    raise Mixup("%s instead of %s" % (name, self._id(event.stream_id)))
        self._flush()

    def _id(self, stream: int) -> str:
        return "%s-%d" % (self._name, stream)

    def _begin(self) -> None:
        dice = self._dice
        stream = self._client.h2.get_next_available_stream_id()
        kind = dice.random()
        if kind < 0.25:
            head = [(":method", "CONNECT"), (":protocol", dice.choice(PROTOCOLS)), (":scheme", "http"),
                    (":authority", "test.example"), (":path", dice.choice(PATHS)), ("sec-websocket-version", "13")]
        elif kind < 0.45:
            head = [(":method", "CONNECT"), (":authority", "a.example:443"), ("x-to", dice.choice(TARGETS))]
        else:
            head = [(":method", dice.choice(METHODS)), (":scheme", dice.choice(("http", "https"))), (":authority", "test.example"),
                    (":path", dice.choice(PATHS))]
            if dice.chance(0.1):
                head.append(("content-length", dice.choice(("0", "5", "3000"))))
        self._client.h2.send_headers(stream, [*head, ("x-id", self._id(stream)), *fields_of(dice)], end_stream=dice.chance(0.2))

    def _step(self, stream: int) -> None:
        dice = self._dice
        connection = self._client.h2
        step = dice.random()
        if step < 0.2:
            connection.reset_stream(stream, dice.choice(CODES))
        elif step < 0.6:
            data = dice.grpc_message() if dice.chance(0.3) else dice.data()
            room = min(connection.local_flow_control_window(stream), connection.max_outbound_frame_size)
            connection.send_data(stream, data[:max(0, room)], end_stream=dice.chance(0.4))
        elif step < 0.75:
            connection.send_headers(stream, [("x-sum", "1")], end_stream=True)
        else:
            connection.increment_flow_control_window(dice.randrange(1, 100000), stream)

    def _step_of_connection(self) -> None:
        dice = self._dice
        step = dice.randrange(4)
        if step == 0:
            self._client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: dice.choice((0, 5, 65535))})
        elif step == 1:
            self._client.h2.ping(b"12345678")
        elif step == 2:
            self._client.h2.close_connection(dice.choice(CODES))
        else:
            say(self._client.sock, dice, [dice.choice((b"\0\0\4\x08\0\0\0\0\0\0\0\0\0", b"garbage and more garbage"))])
