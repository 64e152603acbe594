"""A client of HTTP/2 made of Python's h2."""

import socket
import time
from typing import Any, Optional

import h2.config
import h2.connection
import h2.events
import h2.settings


class H2:
    """A connection with Python's h2; events are collected by stream. `outlives_goaway`: GOAWAY goes to a list instead of
    h2, which would refuse everything behind it."""

    def __init__(self, port: int, initial_window: int = 65535, tls: Any = None, outlives_goaway: bool = False) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="a.example")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        if initial_window != 65535:
            self.h2.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = initial_window
        self.h2.initiate_connection()
        self.events: list[Any] = []
        self.outlives_goaway = outlives_goaway
        self.goaways: list[tuple[int, int]] = []  # last stream, code
        self.partial = b""
        self.flush()

    def __enter__(self) -> "H2":
        return self

    def __exit__(self, *_: Any) -> None:
        self.sock.close()

    def flush(self) -> None:
        seconds = self.sock.gettimeout()  # for silence: not for room in the socket
        self.sock.settimeout(30)
        self.sock.sendall(self.h2.data_to_send())
        self.sock.settimeout(seconds)

    def request(self, path: str, method: str = "GET", body: Optional[bytes] = None, end: bool = True,
                headers: list[tuple[str, str]] = []) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(":method", method), (":scheme", "http"), (":authority", "a.example"), (":path", path),
                                      *headers], end_stream=end and body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        self.flush()
        return stream

    def receive(self, data: bytes) -> list[Any]:
        if not self.outlives_goaway:
            return list(self.h2.receive_data(data))
        self.partial += data
        passed = b""
        while len(self.partial) >= 9:
            size = 9 + int.from_bytes(self.partial[:3], "big")
            if len(self.partial) < size:
                break
            frame, self.partial = self.partial[:size], self.partial[size:]
            if frame[3] == 7:
                self.goaways.append((int.from_bytes(frame[9:13], "big"), int.from_bytes(frame[13:17], "big")))
            else:
                passed += frame
        return list(self.h2.receive_data(passed))

    def pump(self, seconds: float = 0.2) -> list[Any]:
        """What comes within so many seconds of silence."""
        self.sock.settimeout(seconds)
        new: list[Any] = []
        try:
            while True:
                data = self.sock.recv(1 << 16)
                if not data:
                    break
                new += self.receive(data)
                self.flush()
        except socket.timeout:
            pass
        self.events += new
        return new

    def until(self, stream: int, kind: type = h2.events.StreamEnded, seconds: float = 10, give_back: bool = True) -> Any:
        end = time.monotonic() + seconds
        seen = 0
        self.sock.settimeout(seconds)
        while True:
            for event in self.events[seen:]:
                if isinstance(event, kind) and getattr(event, "stream_id", stream) == stream:
                    return event
            seen = len(self.events)
            if time.monotonic() > end:
                raise AssertionError("no %s on stream %d among %s" % (kind.__name__, stream, self.events))
            data = self.sock.recv(1 << 16)
            if not data:
                raise AssertionError("closed; %s" % self.events)
            for event in self.receive(data):
                self.events.append(event)
                if give_back and isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.flush()

    def of(self, stream: int, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and event.stream_id == stream]

    def status(self, stream: int) -> str:
        return dict(self.of(stream, h2.events.ResponseReceived)[0].headers)[":status"]

    def headers(self, stream: int) -> dict[str, str]:
        return dict(self.of(stream, h2.events.ResponseReceived)[0].headers)

    def body(self, stream: int) -> bytes:
        return b"".join(event.data for event in self.of(stream, h2.events.DataReceived))
