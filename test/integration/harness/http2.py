"""A server of HTTP/2 that does what it is told: Python's h2, and hyperframe where that refuses to misbehave."""

import threading
from collections.abc import Callable
from typing import Any, Optional

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from .process import Sandbox
from .upstreams import ScriptedUpstream, ServerConnection


class Request:
    """One stream: its head, and its body so far."""

    def __init__(self, stream_id: int, headers: list[tuple[str, str]]):
        self.id = stream_id
        self.headers = headers
        self.body = b""
        self.trailers: list[tuple[str, str]] = []
        self.ended = False

    def header(self, name: str) -> Optional[str]:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def path(self) -> str:
        return self.header(":path") or ""


class Http2Peer:
    """One connection. `on_request` is called when a request is complete, `on_head` when it begins, both on its thread."""

    def __init__(self, server: "Http2Upstream", connection: ServerConnection):
        self.server = server
        self.sock = connection.sock
        self.requests: dict[int, Request] = {}
        self.lock = threading.RLock()
        self.resets: list[int] = []
        self.pings = 0  # which h2 answers
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8", validate_outbound_headers=False,
                                           normalize_outbound_headers=False, validate_inbound_headers=server.validates)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=dict(server.settings))
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        with self.lock:
            self.sock.sendall(self.h2.data_to_send())

    def send_raw(self, data: bytes) -> None:
        with self.lock:
            self.flush()
            self.sock.sendall(data)

    def respond(self, request: Request, status: int = 200, body: bytes = b"", headers: list[tuple[str, str]] = [],
                trailers: list[tuple[str, str]] = []) -> None:
        with self.lock:
            self.h2.send_headers(request.id, [(":status", str(status)), *headers], end_stream=not body and not trailers)
            if body:
                self.h2.send_data(request.id, body, end_stream=not trailers)
            if trailers:
                self.h2.send_headers(request.id, trailers, end_stream=True)
            self.flush()

    def send_head(self, request: Request, status: int = 200, headers: list[tuple[str, str]] = []) -> None:
        with self.lock:
            self.h2.send_headers(request.id, [(":status", str(status)), *headers])
            self.flush()

    def send_data(self, request: Request, data: bytes, end: bool = False) -> None:
        with self.lock:
            self.h2.send_data(request.id, data, end_stream=end)
            self.flush()

    def reset(self, request: Request, code: int) -> None:
        with self.lock:
            self.h2.reset_stream(request.id, code)
            self.flush()

    def run(self) -> None:
        while True:
            data = self.sock.recv(65536)
            if not data:
                return
            with self.lock:
                events = self.h2.receive_data(data)
                for event in events:
                    self._on_event(event)
                self.flush()

    def _on_event(self, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived):
            request = self.requests[event.stream_id] = Request(event.stream_id, [(k, v) for k, v in event.headers])
            self.server.seen.append(request)
            self.server.on_head(self, request)
        elif isinstance(event, h2.events.DataReceived):
            request = self.requests[event.stream_id]
            request.body += event.data
            if self.server.acknowledges:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.server.on_data(self, request, event.data)
        elif isinstance(event, h2.events.TrailersReceived):
            self.requests[event.stream_id].trailers = [(k, v) for k, v in event.headers]
        elif isinstance(event, h2.events.StreamReset):
            self.resets.append(event.stream_id)
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        if isinstance(event, h2.events.StreamEnded):
            self.requests[event.stream_id].ended = True
            self.server.on_request(self, self.requests[event.stream_id])


def echo(peer: Http2Peer, request: Request) -> None:
    """Says what came."""
    trailers = [("x-trailer", dict(request.trailers)["x-sent"])] if request.trailers else []
    peer.respond(request, body=("%s %s" % (request.header(":method"), request.path)).encode() + request.body,
                 headers=[("x-authority", request.header(":authority") or ""), ("x-scheme", request.header(":scheme") or "")],
                 trailers=trailers)


Hook = Callable[[Http2Peer, Request], None]


class Http2Upstream(ScriptedUpstream):
    """Answers with `on_request`; `peers` are the connections so far, `seen` the requests."""

    def __init__(self, sandbox: Sandbox, on_request: Hook = echo, settings: Optional[dict[int, int]] = None):
        self.settings = settings or {}
        self.on_request = on_request
        self.on_head: Hook = lambda peer, request: None
        self.on_data: Callable[[Http2Peer, Request, bytes], None] = lambda peer, request, data: None
        self.acknowledges = True
        self.validates = True  # h2 takes CONNECT for a malformed request
        self.peers: list[Http2Peer] = []
        self.seen: list[Request] = []
        super().__init__(sandbox, self._run)

    def _run(self, connection: ServerConnection) -> None:
        peer = Http2Peer(self, connection)
        self.peers.append(peer)
        try:
            peer.run()
        except (OSError, h2.exceptions.ProtocolError):
            pass  # a peer that was told to misbehave
