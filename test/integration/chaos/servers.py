"""Servers that do anything but what is expected of them, until they are told to be calm: then they answer as anybody would."""

import itertools
import socket
import ssl
from typing import Any, Optional, Union

import h2.events
import h2.exceptions
import h2.settings

from harness.http2 import Http2Peer, Http2Upstream, Request
from harness.process import Sandbox
from harness.upstreams import ScriptedUpstream, ServerConnection
from harness.wire import Message, format_fields

from .dice import Dice, Stopped, listen, reset, say, talk

STATUSES = (200, 200, 200, 200, 204, 206, 302, 304, 401, 403, 429, 500, 503)
LOCATIONS = ("/h1/again", "/h2/again", "/direct", "/redirect", "http://elsewhere.example/h1", "https://test.example/h2", "::", "")
CONTENT_TYPES = ("text/html", "application/json", "application/grpc", "application/grpc+proto", "application/x-protobuf")
CONNECT_PROTOCOL = {h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
CODES = (0, 1, 2, 5, 7, 8, 11, 13)  # of HTTP/2, with those that weir has rules about


def fields_of(dice: Dice, status: int, request: Union[Message, Request]) -> list[tuple[str, str]]:
    """Fields of a response that make filters and the router do something; and x-id, which says whose it is."""
    name = request.header("x-id")
    fields = [("x-id", name)] if name is not None else []
    if status == 302:
        fields.append(("location", dice.choice(LOCATIONS)))
    if dice.chance(0.6):
        fields.append(("content-type", dice.choice(CONTENT_TYPES)))
    if dice.chance(0.1):
        fields.append(("grpc-status", str(dice.randrange(18))))
    if dice.chance(0.05):
        fields.append(("content-encoding", dice.choice(("gzip", "br", "zstd"))))
    if dice.chance(0.1):
        fields.append(("etag", '"x"'))
    return fields


def switch(protocol: str) -> bytes:
    return b"HTTP/1.1 101 Switch\r\nconnection: upgrade\r\nupgrade: %s\r\n\r\n" % protocol.encode()


class RandomServer(ScriptedUpstream):
    """What the kinds have in common."""

    calm = False

    def roll(self, name: str, seed: int, context: Optional[ssl.SSLContext] = None) -> None:
        """Says what the dice are made of, and with what TLS is spoken."""
        self._names = (seed, name)
        self._numbers = itertools.count()
        self._context = context

    def dice(self) -> Dice:
        """Those of the next connection."""
        return Dice(*self._names, next(self._numbers))

    def calm_down(self) -> None:
        """From now on, and with nobody who is still there."""
        self.calm = True
        for sock in list(self._open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _serve(self, sock: socket.socket) -> None:
        raw = sock
        try:
            if self._context is not None:
                sock.settimeout(5)
                sock = self._context.wrap_socket(sock, server_side=True)
                self._open.add(sock)
            sock.settimeout(5)
            super()._serve(sock)
        except (Stopped, OSError):
            pass
        finally:
            for one in (raw, sock):
                self._open.discard(one)
                one.close()


class RandomTcpServer(RandomServer):
    """Speaks no protocol at all. Calm, it gives back what it gets."""

    def __init__(self, sandbox: Sandbox, name: str, seed: int):
        self.roll(name, seed)
        super().__init__(sandbox, self._run)

    def _run(self, connection: ServerConnection) -> None:
        if not self.calm:
            talk(connection.sock, self.dice())
        while data := connection.sock.recv(1 << 16):
            connection.send(data)


class RandomHttp1Peer:
    """One connection, with a request after the other."""

    def __init__(self, server: RandomServer, connection: ServerConnection):
        self._server = server
        self._connection = connection
        self._sock = connection.sock
        self._dice = server.dice()

    def run(self) -> None:
        while True:
            request = self._connection.read_head()
            if self._server.calm:
                self._answer(request)
            else:
                self._misbehave(request, self._dice)

    def _answer(self, request: Message) -> None:
        connection = self._connection
        upgrade = request.header("upgrade")
        if upgrade or request.method == "CONNECT":
            connection.send(switch(upgrade) if upgrade else b"HTTP/1.1 200 Open\r\n\r\n")
            connection.send(connection.reader.buffer)
            while data := self._sock.recv(1 << 16):
                connection.send(data)
            raise Stopped
        connection.reader.body(request, response=False)
        connection.respond(body=b"calm")

    def _misbehave(self, request: Message, dice: Dice) -> None:
        if dice.chance(0.7):  # otherwise it answers early, and what comes is no next request
            self._connection.reader.body(request, response=False)
        if dice.chance(0.03):
            listen(self._sock, dice, 2)
        upgrade = request.header("upgrade")
        if upgrade and dice.chance(0.7):
            say(self._sock, dice, [switch(dice.choice((upgrade, upgrade, "other"))) + dice.choice((b"", b"early"))])
            talk(self._sock, dice)
        if request.method == "CONNECT" and dice.chance(0.7):
            say(self._sock, dice, [dice.choice((
                b"HTTP/1.1 200 Open\r\n\r\n", b"HTTP/1.1 200 Open\r\n\r\nearly", b"HTTP/1.1 200 Open\r\ncontent-length: 5\r\n\r\n"))])
            talk(self._sock, dice)
        say(self._sock, dice, self._response(request, dice))
        if dice.chance(0.1):
            raise Stopped

    @staticmethod
    def _response(request: Message, dice: Dice) -> list[bytes]:
        """In pieces; now and then it is none, or cannot have an end but the connection's."""
        if dice.chance(0.03):
            return [b"garbage\r\n\r\n"]
        pieces = [b"HTTP/1.1 %d Interim\r\nlink: </x>\r\n\r\n" % dice.choice((100, 102, 103))
                  for _ in range(dice.choice((0, 0, 0, 1, 2)))]
        status = dice.choice(STATUSES)
        head = b"HTTP/1.1 %d Some\r\n" % status + format_fields(fields_of(dice, status, request))
        if dice.chance(0.1):
            head += b"connection: close\r\n"
        body = [] if status in (204, 304) else [dice.data() for _ in range(dice.randrange(4))]
        framing = dice.choice(("length", "length", "chunks", "chunks", "close", "short"))
        if framing in ("length", "short") or status == 304:
            size = sum(map(len, body)) + (100 if framing == "short" and body else 0)
            pieces += [head + b"content-length: %d\r\n\r\n" % size, *body]
        elif framing == "chunks" and status != 204:
            trailers = dice.choice((b"", b"", b"grpc-status: 0\r\n", b"x-sum: 1\r\n", b"content-length: 1\r\n"))
            chunks = [b"%x\r\n%s\r\n" % (len(one), one) for one in body if one]
            pieces += [head + b"transfer-encoding: chunked\r\n\r\n", *chunks, b"0\r\n" + trailers + b"\r\n"]
        else:
            pieces += [head + b"\r\n", *body]
        return pieces if dice.chance(0.7) else [b"".join(pieces)]


class RandomHttp1Server(RandomServer):
    def __init__(self, sandbox: Sandbox, name: str, seed: int):
        self.roll(name, seed)
        super().__init__(sandbox, lambda connection: RandomHttp1Peer(self, connection).run())


class RandomHttp2Peer(Http2Peer):
    """Between any two reads it does something to one of its streams, or to the connection."""

    def __init__(self, server: "RandomHttp2Server", connection: ServerConnection):
        self.dice = server.dice()
        self.begun: set[int] = set()  # responses whose head was sent
        super().__init__(server, connection)

    def run(self) -> None:
        while True:
            data = listen(self.sock, self.dice, 0.03)
            for event in self.h2.receive_data(data):
                self._on_event(event)
            for _ in range(self.dice.randrange(4)):
                try:
                    self._step()
                except h2.exceptions.ProtocolError:
                    pass  # h2 knows better than the dice
            self.flush()

    def _on_event(self, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self.requests[event.stream_id] = Request(event.stream_id, [(k, v) for k, v in event.headers])
        elif isinstance(event, h2.events.DataReceived):
            if self.dice.chance(0.9):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._forget(event.stream_id)
        elif isinstance(event, h2.events.ConnectionTerminated):
            raise Stopped

    def _forget(self, stream: int) -> None:
        self.requests.pop(stream, None)
        self.begun.discard(stream)

    def _step(self) -> None:
        if self.dice.chance(0.02):
            self._step_of_connection()
        elif self.requests:
            request = self.dice.choice(list(self.requests.values()))
            if self.dice.chance(0.1):
                self._forget(request.id)
                if self.dice.chance(0.8):  # otherwise it is never answered
                    self.reset(request, self.dice.choice(CODES))
            elif request.id in self.begun:
                self._go_on(request)
            else:
                self._begin(request)

    def _begin(self, request: Request) -> None:
        dice = self.dice
        if dice.chance(0.1):
            self.send_head(request, dice.choice((100, 103)))
            return
        tunnel = request.header(":method") == "CONNECT"
        status = 200 if tunnel and dice.chance(0.7) else dice.choice(STATUSES)
        fields = fields_of(dice, status, request)
        if "grpc" in (request.header("content-type") or ""):
            fields = [("content-type", "application/grpc")] + dice.choice(([], [("grpc-status", str(dice.randrange(18)))]))
        end = dice.chance(0.3)
        if not tunnel and not end and dice.chance(0.2):
            fields.append(("content-length", str(dice.choice((0, 5, 100000)))))
        self.h2.send_headers(request.id, [(":status", str(status)), *fields], end_stream=end)
        self.begun.add(request.id)
        if end:
            self._end(request)

    def _go_on(self, request: Request) -> None:
        dice = self.dice
        if dice.chance(0.2):
            trailer = dice.choice((("grpc-status", str(dice.randrange(18))), ("x-sum", "1")))
            self.h2.send_headers(request.id, [trailer], end_stream=True)
            self._end(request)
            return
        data = dice.grpc_message() if dice.chance(0.3) else dice.data()
        room = min(self.h2.local_flow_control_window(request.id), self.h2.max_outbound_frame_size)
        end = dice.chance(0.3)
        self.h2.send_data(request.id, data[:max(0, room)], end_stream=end)
        if end:
            self._end(request)

    def _end(self, request: Request) -> None:
        """The response is whole; the request may be reset all the same, if it is not."""
        if self.dice.chance(0.2):
            self.reset(request, self.dice.choice((0, 8)))
        self._forget(request.id)

    def _step_of_connection(self) -> None:
        dice = self.dice
        step = dice.randrange(7)
        if step == 0:
            last = dice.choice((None, 0, 1, self.h2.highest_inbound_stream_id))
            self.h2.close_connection(dice.choice(CODES), last_stream_id=last)
        elif step == 1:
            raise Stopped
        elif step == 2:
            reset(self.sock)
            raise Stopped
        elif step == 3:
            self.sock.shutdown(socket.SHUT_WR)
            listen(self.sock, dice)
        elif step == 4:
            self.h2.ping(b"12345678")
        elif step == 5:
            codes = h2.settings.SettingCodes
            self.h2.update_settings({codes.MAX_CONCURRENT_STREAMS: dice.choice((0, 1, 2, 100)),
                                     codes.INITIAL_WINDOW_SIZE: dice.choice((0, 10, 65535))})
        else:  # a WINDOW_UPDATE of nothing, a stray RST_STREAM, what is no frame
            self.send_raw(dice.choice((b"\0\0\4\x08\0\0\0\0\0\0\0\0\0", b"\0\0\4\3\0\0\0\0\x09\0\0\0\0", b"garbage and more garbage")))


class RandomHttp2Server(RandomServer, Http2Upstream):
    """Calm, it answers when a request is complete, and is the echo in a tunnel."""

    def __init__(self, sandbox: Sandbox, name: str, seed: int, context: Optional[ssl.SSLContext] = None):
        self.roll(name, seed, context)
        Http2Upstream.__init__(self, sandbox, self._answer, CONNECT_PROTOCOL)
        self.validates = False
        self.on_head = self._open_tunnel
        self.on_data = self._give_back

    def _run(self, connection: ServerConnection) -> None:
        if self.calm:
            super()._run(connection)
            return
        try:
            RandomHttp2Peer(self, connection).run()
        except h2.exceptions.ProtocolError:
            pass  # what weir sends to a peer that misbehaves

    @staticmethod
    def _answer(peer: Http2Peer, request: Request) -> None:
        if request.header(":method") == "CONNECT":
            peer.send_data(request, b"", end=True)
        elif request.header("content-type") == "application/grpc":
            peer.respond(request, 200, b"\0\0\0\0\0", [("content-type", "application/grpc")], [("grpc-status", "0")])
        else:
            peer.respond(request, body=b"calm")

    @staticmethod
    def _open_tunnel(peer: Http2Peer, request: Request) -> None:
        if request.header(":method") == "CONNECT":
            peer.send_head(request)

    @staticmethod
    def _give_back(peer: Http2Peer, request: Request, data: bytes) -> None:
        if request.header(":method") == "CONNECT":
            peer.send_data(request, data)


class EitherServer(RandomHttp2Server):
    """Speaks what its client speaks."""

    def _run(self, connection: ServerConnection) -> None:
        if connection.sock.recv(3, socket.MSG_PEEK) == b"PRI":
            super()._run(connection)
        else:
            RandomHttp1Peer(self, connection).run()
