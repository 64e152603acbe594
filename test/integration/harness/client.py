"""A client that sends exactly the bytes it is told to. It never retries and never reconnects."""

import select
import socket
import struct
import time
from typing import Optional, Union

from .process import wait_until
from .wire import Fields, Message, Reader, format_fields


class Connection:
    """One connection to a port of this machine, or to a Unix socket's path; usable in a with statement."""

    def __init__(self, port: Union[int, str], timeout: float = 15, receive_buffer: Optional[int] = None,
                 source: str = "", host: str = "127.0.0.1"):
        self.sock = socket.socket(socket.AF_UNIX if isinstance(port, str) else socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        if isinstance(port, str):
            self.sock.connect(port)
        else:
            if source:
                self.sock.bind((source, 0))
            self.sock.connect((host, port))
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.sock)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_request(self, method: str = "GET", path: str = "/", host: str = "test.example", headers: Fields = [],
                     body: Optional[bytes] = None) -> None:
        fields = [("host", host), *headers]
        if body is not None:
            fields.append(("content-length", str(len(body))))
        self.send(("%s %s HTTP/1.1\r\n" % (method, path)).encode("latin-1") + format_fields(fields) + b"\r\n" + (body or b""))

    def read_response(self, method: str = "GET") -> Message:
        return self.reader.response(method)

    def request(self, method: str = "GET", path: str = "/", host: str = "test.example", headers: Fields = [],
                body: Optional[bytes] = None) -> Message:
        self.send_request(method, path, host, headers, body)
        return self.read_response(method)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def has_bytes(self) -> bool:
        """Whether something (a close, too) waits to be read."""
        return bool(self.reader.buffer or select.select([self.sock], [], [], 0)[0])

    def readable_within(self, seconds: float) -> bool:
        """Whether something (a close, too) comes in that time."""
        return bool(self.reader.buffer or select.select([self.sock], [], [], seconds)[0])

    def wait_taken(self, seconds: float = 10) -> None:
        """Waits until the server's process has read every byte that was sent."""
        own, peer = self.sock.getsockname()[1], self.sock.getpeername()[1]

        def queued() -> int:
            with open("/proc/net/tcp", encoding="ascii") as file:
                for line in file:
                    fields = line.split()
                    if fields[1].endswith(":%04X" % peer) and fields[2].endswith(":%04X" % own):
                        return int(fields[4].split(":")[1], 16)
            return 0

        wait_until(lambda: queued() == 0, "the server reads what was sent", seconds)

    def closed_within(self, seconds: float) -> bool:
        """Whether the peer closes (or resets) in that time without sending anything more."""
        end = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.sock], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return False
            try:
                data = self.sock.recv(65536)
            except ConnectionError:
                return True
            if not data:
                return True
            self.reader.buffer += data
            raise AssertionError("bytes instead of a close: %r" % data[:200])


def fetch(port: Union[int, str], path: str = "/", method: str = "GET", host: str = "test.example", headers: Fields = [],
          body: Optional[bytes] = None, timeout: float = 15) -> Message:
    """One request on a connection of its own."""
    with Connection(port, timeout) as connection:
        return connection.request(method, path, host, headers, body)
