"""Large bodies with slow readers on either side: memory stays flat. WEIR_TEST_BODY_MIB=1024 for the full size."""

import functools
import os
import threading
import zlib
from collections.abc import Callable
from typing import Union

from harness import (Connection, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, http_listener, main, route,
                     sanitized, wait_until_still)
from harness.upstreams import ServerConnection
from harness.wire import Reader

SIZE = int(os.environ.get("WEIR_TEST_BODY_MIB", "64")) << 20
BLOCK = bytes(range(256)) * 1024  # 256 KiB, so that a lost or doubled byte changes the sum
SLACK_KIB = 8 * 1024


EXPECTED = functools.reduce(lambda value, _: zlib.crc32(BLOCK, value), range(SIZE // len(BLOCK)), 0)


sent_blocks = [0]  # by whoever sends a body


def wait_until_full() -> None:
    """Every buffer on the way is full: nobody sends any more."""
    wait_until_still(lambda: sent_blocks[0])


def send_blocks(connection: Union[Connection, ServerConnection], head: bytes = b"", tail: bytes = b"") -> None:
    """A body of SIZE bytes; `head` and `tail` go around each block."""
    for _ in range(SIZE // len(BLOCK)):
        connection.send(head + BLOCK + tail)
        sent_blocks[0] += 1


def read_slowly(receive: Callable[[int], bytes], missing: int) -> int:
    """The checksum of so many bytes, read in fits: each time only when every buffer on the way is full."""
    value = since_pause = 0
    wait_until_full()
    while missing:
        data = receive(min(missing, 1 << 18))
        if not data:
            raise AssertionError("closed with %d bytes missing" % missing)
        value = zlib.crc32(data, value)
        missing -= len(data)
        since_pause += len(data)
        if since_pause > SIZE // 16:
            since_pause = 0
            wait_until_still(lambda: sent_blocks[0], 0.03)
    return value


def receiver(reader: Reader) -> Callable[[int], bytes]:
    """Reads what the reader has already got, then from its socket."""
    def receive(limit: int) -> bytes:
        data, reader.buffer = reader.buffer[:limit], reader.buffer[limit:]
        return data or reader.sock.recv(limit)

    return receive


class SlowReaderTest(WeirTestCase):
    """The reader pauses until every buffer on the way is full, then reads in fits."""

    @classmethod
    def set_up(cls) -> None:
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.serve, receive_buffer=65536)
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/"}, "bulk", {"timeout": "0s"})])], [cluster("bulk", cls.upstream.port)]))
        with Connection(cls.port) as connection:
            connection.request(path="/warm")

    @classmethod
    def serve(cls, connection: ServerConnection) -> None:
        while True:
            head = connection.read_head()
            if head.method == "PUT":
                size = int(head.header("content-length") or 0)
                connection.respond(200, b"%d" % read_slowly(receiver(connection.reader), size))
            elif head.target == "/warm":
                connection.respond(200, b"warm")
            else:
                if head.target == "/chunked":
                    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    send_blocks(connection, b"%x\r\n" % len(BLOCK), b"\r\n")
                    connection.send(b"0\r\n\r\n")
                else:
                    connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
                    send_blocks(connection)

    def run_flat(self, transfer: Callable[[], None]) -> None:
        """Runs it and compares the peak of resident memory with what there was before."""
        process = self.weir.process
        process.reset_peak()
        before = process.resident_kib()
        transfer()
        if not sanitized():
            self.assertLess(process.resident_kib("VmHWM") - before, SLACK_KIB)

    def test_download(self) -> None:
        def transfer() -> None:
            with Connection(self.port, timeout=120, receive_buffer=65536) as connection:
                connection.send_request(path="/plain")
                head = connection.reader.head()
                self.assertEqual((head.status, head.header("content-length")), (200, str(SIZE)))
                self.assertEqual(read_slowly(receiver(connection.reader), SIZE), EXPECTED)

        self.run_flat(transfer)

    def test_chunked_download(self) -> None:
        def transfer() -> None:
            with Connection(self.port, timeout=120, receive_buffer=65536) as connection:
                connection.send_request(path="/chunked")
                self.assertEqual(connection.reader.head().header("transfer-encoding"), "chunked")
                wait_until_full()
                value = total = 0
                while True:
                    size = int(connection.reader.line(), 16)
                    value = zlib.crc32(connection.reader.exactly(size), value)
                    self.assertEqual(connection.reader.exactly(2), b"\r\n")
                    total += size
                    if size == 0:
                        break
                self.assertEqual((total, value), (SIZE, EXPECTED))

        self.run_flat(transfer)

    def test_upload(self) -> None:
        def transfer() -> None:
            with Connection(self.port, timeout=120) as connection:
                connection.send(b"PUT /up HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % SIZE)
                send_blocks(connection)
                self.assertEqual(connection.read_response().text, str(EXPECTED))

        self.run_flat(transfer)

    def test_both_directions_at_once(self) -> None:
        def transfer() -> None:
            problems: list[BaseException] = []

            def guarded(one: Callable[[], None]) -> None:
                try:
                    one()
                except BaseException as problem:
                    problems.append(problem)

            def download() -> None:
                with Connection(self.port, timeout=120, receive_buffer=65536) as connection:
                    connection.send_request(path="/plain")
                    head = connection.reader.head()
                    self.assertEqual(head.status, 200)
                    self.assertEqual(zlib.crc32(connection.reader.exactly(SIZE)), EXPECTED)

            def upload() -> None:
                with Connection(self.port, timeout=120) as connection:
                    connection.send(b"PUT /up HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % SIZE)
                    send_blocks(connection)
                    self.assertEqual(connection.read_response().text, str(EXPECTED))

            threads = [threading.Thread(target=guarded, args=(one,)) for one in (download, upload, download)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if problems:
                raise problems[0]

        self.run_flat(transfer)

    def test_a_reader_that_goes_away_frees_everything(self) -> None:
        for _ in range(3):
            with Connection(self.port, receive_buffer=65536) as connection:
                connection.send_request(path="/plain")
                connection.reader.head()
                wait_until_full()
        for name in ("http.ingress.downstream_cx_active", "http.ingress.downstream_rq_active", "cluster.bulk.upstream_rq_active"):
            self.weir.wait_stat_is(name, 0)


class BypassTest(WeirTestCase):
    """Bodies of known length that nobody looks at stay in the kernel: the pipes for that are kept for the next ones."""

    SIZE = 4 << 20
    BODY = BLOCK * (SIZE // len(BLOCK))

    @classmethod
    def set_up(cls) -> None:
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.serve)

    @classmethod
    def serve(cls, connection: ServerConnection) -> None:
        while True:
            head = connection.read_head()
            body = connection.reader.exactly(int(head.header("content-length") or 0))
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % cls.SIZE if head.method == "GET" else
                            b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n%010d" % zlib.crc32(body))
            if head.method == "GET":
                connection.send(cls.BODY)

    def pipes_made(self, transfer: Callable[[Connection], None]) -> int:
        port = self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "bulk")])],
                                            [cluster("bulk", self.upstream.port)]))
        before = weir.process.open_pipes()
        with Connection(port, timeout=60) as connection:
            transfer(connection)
        made = weir.process.open_pipes() - before
        weir.stop()
        return made

    def test_download(self) -> None:
        def transfer(connection: Connection) -> None:
            connection.request(path="/warm")
            connection.send_request(path="/")
            connection.reader.head()
            self.assertEqual(connection.reader.exactly(self.SIZE), self.BODY)

        self.assertGreater(self.pipes_made(transfer), 0)

    def test_upload(self) -> None:
        def transfer(connection: Connection) -> None:
            connection.send(b"PUT / HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % self.SIZE)
            connection.send(self.BODY)
            self.assertEqual(connection.read_response().text, "%010d" % zlib.crc32(self.BODY))

        self.assertGreater(self.pipes_made(transfer), 0)


if __name__ == "__main__":
    main()
