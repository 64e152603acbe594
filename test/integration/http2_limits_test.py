"""Clients of HTTP/2 that cost more than they bring: each kind loses its connection, is counted, and harms nobody else."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Optional

import h2.events
import h2.exceptions
from hpack import Encoder

from harness import (EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log,
                     http_listener, main, route, sanitized, wait_line, wait_until)
from harness.clusters import http2
from harness.frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PADDED, PING,
                            PREFACE, PRIORITY, PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame)
from harness.http2 import Http2Peer, Http2Upstream, Request
from harness.http2_client import H2
from harness.upstreams import ServerConnection

GET = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/direct")]


def block(*fields: tuple[str, str]) -> bytes:
    return bytes(Encoder().encode([*GET, *fields], huffman=False))


class Http2LimitsTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.silent = ScriptedUpstream(cls.sandbox, cls.say_nothing)
        cls.busy = ScriptedUpstream(cls.sandbox, cls.say_nothing)
        cls.large = ScriptedUpstream(cls.sandbox, cls.say_much)
        cls.trailers = Http2Upstream(cls.sandbox, cls.say_long_trailers)
        cls.log = cls.sandbox.path("access.log")
        cls.ports = {name: cls.sandbox.free_port() for name in ("default", "small", "few", "large", "impatient", "most", "web")}

        def listener(name: str, **fields: Any) -> dict[str, Any]:
            return http_listener(cls.ports[name], [direct({"path": "/direct"}, "direct"), route({"prefix": "/silent"}, "silent"),
                                                   route({"prefix": "/busy"}, "busy"), route({"prefix": "/trailers"}, "trailers"),
                                                   route({"prefix": "/large"}, "large"), route({"prefix": "/"}, "echo")], name=name,
                                 access_log=[file_access_log(cls.log, "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% "
                                                                      "%RESPONSE_CODE_DETAILS%\n")],
                                 **{"stat_prefix": name, **fields})

        small = {"max_concurrent_streams": 3, "max_outbound_control_frames": 20, "max_consecutive_inbound_frames_with_empty_payload": 3,
                 "max_inbound_priority_frames_per_stream": 5, "max_inbound_window_update_frames_per_data_frame_sent": 2}
        cls.weir = Weir(cls.sandbox, bootstrap([
            listener("default"), listener("small", http2_protocol_options=small),
            listener("few", http2_protocol_options={"max_outbound_frames": 20}),
            listener("large", max_request_headers_kb=1024),
            listener("web", http_filters=[{"name": "web", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"}}]),
            listener("impatient", request_headers_timeout="0.3s"),
            listener("most", stream_idle_timeout="0s", common_http_protocol_options={"max_stream_duration": "0.4s"})],
            [cluster("echo", cls.echo.port), cluster("silent", cls.silent.port), cluster("large", cls.large.port),
             cluster("trailers", cls.trailers.port, **http2()),
             # What comes behind the first request waits.
             cluster("busy", cls.busy.port, circuit_breakers={"thresholds": [{"max_connections": 1, "max_pending_requests": 2000}]})]),
            concurrency=1)

    @staticmethod
    def say_much(connection: ServerConnection) -> None:
        while True:
            connection.read_request()
            connection.respond(headers=[("x-%d" % i, "v" * 5500) for i in range(10)])

    @staticmethod
    def say_long_trailers(peer: Http2Peer, request: Request) -> None:
        head, trailers = (bytes(Encoder().encode(fields, huffman=False)) for fields in (
            [(":status", "200"), ("content-type", "application/grpc")], [("grpc-status", "0"), ("grpc-message", "m" * 55_000)]))
        pieces = [trailers[i:i + 16384] for i in range(0, len(trailers), 16384)]
        peer.send_raw(frame(HEADERS, END_HEADERS, request.id, head) + frame(DATA, 0, request.id, b"\0\0\0\0\x05hello")
                      + frame(HEADERS, END_STREAM, request.id, pieces[0])
                      + b"".join(frame(CONTINUATION, 0, request.id, piece) for piece in pieces[1:-1])
                      + frame(CONTINUATION, END_HEADERS, request.id, pieces[-1]))

    @staticmethod
    def say_nothing(connection: ServerConnection) -> None:
        connection.read_request()
        connection.sock.recv(1)

    def raw(self, name: str, *pieces: bytes) -> bytes:
        """Sends everything, and only then reads: until the end of the connection."""
        with socket.create_connection(("127.0.0.1", self.ports[name]), timeout=10) as sock:
            out = b""
            try:
                sock.sendall(PREFACE + frame(SETTINGS, 0, 0))
                for piece in pieces:
                    sock.sendall(piece)
            except ConnectionError:
                pass  # it has had enough
            try:
                while data := sock.recv(1 << 16):
                    out += data
            except ConnectionError:
                pass
            return out

    def goaway(self, out: bytes) -> Optional[int]:
        """The code of the GOAWAY at the end."""
        code = None
        while len(out) >= 9:
            size = 9 + int.from_bytes(out[:3], "big")
            code = int.from_bytes(out[13:17], "big") if out[3] == GOAWAY else None
            out = out[size:]
        return code

    def until_ended(self, sock: socket.socket, streams: int) -> None:
        """Reads until so many streams have ended."""
        ended, data = 0, b""
        while ended < streams:
            more = sock.recv(1 << 20)
            self.assertTrue(more)
            data += more
            while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
                ended += data[3] in (HEADERS, DATA) and data[4] & END_STREAM
                data = data[9 + int.from_bytes(data[:3], "big"):]

    def check(self, name: str, counter: str, *pieces: bytes, code: int = ENHANCE_YOUR_CALM) -> None:
        before = self.weir.stat(counter)
        out = self.raw(name, *pieces)
        self.assertEqual(self.goaway(out), code, out[-60:])
        self.weir.wait_stat(counter, before + 1)
        self.assertEqual(fetch(self.ports[name], "/direct").status, 200)

    def answered(self, name: str, *pieces: bytes) -> None:
        """So much is allowed: a PING behind it is answered."""
        with socket.create_connection(("127.0.0.1", self.ports[name]), timeout=10) as sock:
            sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + b"".join(pieces) + frame(PING, 0, 0, b"lastping"))
            out = b""
            while frame(PING, ACK, 0, b"lastping") not in out:
                data = sock.recv(1 << 16)
                self.assertTrue(data, "closed behind %r" % out)
                out += data

    # field: Http2ProtocolOptions@downstream.max_consecutive_inbound_frames_with_empty_payload
    def test_empty_frames(self) -> None:
        # To whom nobody answers: DATA of a stream that has ended is passed over.
        fields = [(name, "/silent" if name == ":path" else value) for name, value in GET]
        post = frame(HEADERS, END_HEADERS, 1, bytes(Encoder().encode(fields, huffman=False)))
        nothing = frame(DATA, 0, 1)
        padding = frame(DATA, PADDED, 1, b"\4\0\0\0\0")
        self.answered("small", post, *[nothing] * 3)
        self.answered("small", post, *([nothing] * 3 + [frame(DATA, 0, 1, b"x")]) * 4)
        self.check("small", "http2.inbound_empty_frames_flood", post, *[nothing] * 4)
        self.check("small", "http2.inbound_empty_frames_flood", post, *[padding] * 4)
        self.answered("default", post, nothing)
        self.check("default", "http2.inbound_empty_frames_flood", post, *[nothing] * 2)
        head = block()
        self.check("small", "http2.inbound_empty_frames_flood", frame(HEADERS, 0, 1, head[:5]), *[frame(CONTINUATION, 0, 1)] * 4)

    # field: Http2ProtocolOptions@downstream.max_inbound_priority_frames_per_stream
    def test_priority_frames(self) -> None:
        get = frame(HEADERS, END_HEADERS | END_STREAM, 1, block())
        priority = frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")
        self.answered("small", get, *[priority] * 10)  # 5 for each stream and the connection
        self.check("small", "http2.inbound_priority_frames_flood", get, *[priority] * 11)
        self.check("default", "http2.inbound_priority_frames_flood", get, *[priority] * 201)

    # field: Http2ProtocolOptions@downstream.max_inbound_window_update_frames_per_data_frame_sent
    def test_window_updates(self) -> None:
        update = frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")
        before = self.weir.stat("http2.inbound_window_update_frames_flood")
        with H2(self.ports["small"]) as client:
            client.until(client.request("/direct"))
            client.sock.sendall(update * (5 + 2 * (1 + 2 * 1)))  # 2 of each 2 for a stream and for a frame of data, and 5
            client.until(client.request("/direct"))
            client.sock.sendall(update * (2 * (1 + 2 * 1) + 1))
            self.assertEqual(client.until(0, h2.events.ConnectionTerminated).error_code, ENHANCE_YOUR_CALM)
        self.weir.wait_stat_is("http2.inbound_window_update_frames_flood", before + 1)
        self.check("default", "http2.inbound_window_update_frames_flood", update * 6)

    # field: Http2ProtocolOptions@downstream.max_outbound_control_frames
    def test_answers_that_are_not_read(self) -> None:
        self.check("small", "http2.outbound_control_flood", frame(PING, 0, 0, b"12345678") * 100)
        self.check("small", "http2.outbound_control_flood", frame(SETTINGS, 0, 0) * 100)
        self.check("default", "http2.outbound_control_flood", frame(PING, 0, 0, b"12345678") * 20000)

    # field: Http2ProtocolOptions@downstream.max_outbound_frames
    def test_frames_that_are_not_read(self) -> None:
        self.check("few", "http2.outbound_flood", frame(PING, 0, 0, b"12345678") * 500)

    # field: Http2ProtocolOptions@downstream.max_concurrent_streams
    def test_too_many_streams(self) -> None:
        encoder = Encoder()
        before = self.weir.stat("http2.stream_refused_errors")
        heads = [frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * i, bytes(encoder.encode([*GET[:3], (":path", "/silent")])))
                 for i in range(9)]
        resets = b"".join(frame(RST_STREAM, 0, 1 + 2 * i, b"\0\0\0\7") for i in range(3, 8))
        with socket.create_connection(("127.0.0.1", self.ports["small"]), timeout=10) as sock:
            # It has not read SETTINGS yet.
            sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + b"".join(heads[:8]))
            out = b""
            while resets not in out:
                data = sock.recv(1 << 16)
                self.assertTrue(data, out)
                out += data
            self.weir.wait_stat_is("http2.streams_active", 3)
            # Now it has, and does it again: that stream is refused, and the connection goes on.
            sock.sendall(frame(SETTINGS, ACK, 0) + heads[8] + frame(PING, 0, 0, b"12345678"))
            out = b""
            while frame(PING, ACK, 0, b"12345678") not in out or frame(RST_STREAM, 0, 17, b"\0\0\0\7") not in out:
                data = sock.recv(1 << 16)
                self.assertTrue(data, out)
                out += data
            self.weir.wait_stat_is("http2.stream_refused_errors", before + 6)
            self.assertEqual(self.weir.stat("http2.streams_active"), 3)
        self.weir.wait_stat_is("http2.streams_active", 0)
        self.check("small", "http2.outbound_control_flood",
                   b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * i, b"\x82\x86\x41\x01a\x44\x07/silent") for i in range(3000)))

    def held(self, heads: int, trailers: int) -> tuple[int, int, float]:
        """1024 requests that wait, with so many fields of 3.9 KB in their heads and trailers: how many were refused as streams,
        and how many for what they would hold, and what all that took, in MiB."""
        encoder = Encoder()
        field = [("x-large", "v" * 3900)]  # in the table: a byte from the second one on
        names = ("http2.stream_refused_errors", "http2.header_overflow", "http2.tx_reset")
        before = [self.weir.stat(name) for name in names]
        self.weir.process.reset_peak()
        memory = self.weir.process.resident_kib()
        with socket.create_connection(("127.0.0.1", self.ports["default"]), timeout=10) as sock:
            sock.sendall(PREFACE + frame(SETTINGS, 0, 0))
            for stream in range(1, 2048, 2):
                block = bytes(encoder.encode([(":method", "POST"), *GET[1:3], (":path", "/busy"), *field * heads]))
                sock.sendall(frame(HEADERS, END_HEADERS, stream, block))
            for stream in range(1, 2048, 2) if trailers else ():
                sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream, bytes(encoder.encode(field * trailers))))
            sock.sendall(frame(PING, 0, 0, b"lastping"))
            out = b""
            while frame(PING, ACK, 0, b"lastping") not in out:
                data = sock.recv(1 << 16)
                self.assertTrue(data, out)
                out += data
            grown = self.weir.process.resident_kib("VmHWM") - memory
            refused, without_room, resets = (self.weir.stat(name) - count for name, count in zip(names, before))
            self.assertEqual(resets, without_room)
        self.weir.wait_stat_is("http2.streams_active", 0)
        return refused, without_room, grown / 1024

    def test_heads_and_trailers_that_wait(self) -> None:
        self.assertEqual(self.held(2, 1)[:2], (0, 0))
        refused, without_room, grown = self.held(14, 0)
        self.assertGreater(refused, 500)
        self.assertEqual(without_room, refused)
        if not sanitized():
            self.assertLess(grown, 40)
        refused, without_room, grown = self.held(0, 14)
        self.assertEqual(refused, 0)
        self.assertGreater(without_room, 500)
        if not sanitized():
            self.assertLess(grown, 40)

    def test_trailers_of_answers_that_nobody_reads(self) -> None:
        """Beyond 8 MiB of them, answers are cut off; the others come whole once the client reads. Also where they become data."""
        for name, kind in (("default", []), ("web", [("content-type", "application/grpc-web+proto")])):
            streams, overflow, resets = 400, self.weir.stat("http2.header_overflow"), self.weir.stat("http2.tx_reset")
            memory = self.weir.process.resident_kib()
            encoder = Encoder()
            with socket.create_connection(("127.0.0.1", self.ports[name]), timeout=10) as sock:
                sock.sendall(PREFACE + frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0"))  # INITIAL_WINDOW_SIZE
                for i in range(streams):
                    sock.sendall(frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * i,
                                       bytes(encoder.encode([*GET[:3], (":path", "/trailers"), *kind]))))
                # 55 KB each.
                self.weir.wait_stat("http2.tx_reset", resets + 240)
                self.weir.wait_stat_is("http2.streams_active", kept := 8 * 1024 * 1024 // 55_000 + 1)
                self.assertEqual(self.weir.stat("http2.header_overflow") - overflow, streams - kept)
                if not sanitized():
                    self.assertLess(self.weir.process.resident_kib() - memory, 32 * 1024)
                wait_line(self.log, "/trailers 200 LR response_trailers_not_read")
                sock.sendall(frame(SETTINGS, 0, 0, b"\0\x04\0\1\0\0") + frame(WINDOW_UPDATE, 0, 0, b"\x7f\0\0\0"))
                self.until_ended(sock, kept)
            self.weir.wait_stat_is("http2.streams_active", 0)

    def test_bodies_that_are_kept_for_a_retry(self) -> None:
        """Beyond 16 MiB of a connection they go on, and are not repeated."""
        streams, size = 40, 500_000
        whole, seen, lock = threading.Event(), set(), threading.Lock()

        def close_first(connection: ServerConnection) -> None:
            while True:
                request = connection.read_request()
                with lock:
                    first = request.start not in seen
                    seen.add(request.start)
                    if len(seen) == streams:
                        whole.set()
                if first:
                    whole.wait(20)
                    return
                connection.respond(body=b"%d" % len(request.body))

        upstream, port = ScriptedUpstream(self.sandbox, close_first), self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap(
            [http_listener(port, [route({"prefix": "/"}, "u", {"retry_policy": {"retry_on": "reset"}})])],
            [cluster("u", upstream.port, circuit_breakers={"thresholds": [{"max_retries": 100}]})]), concurrency=1)
        with H2(port, initial_window=1 << 20) as client:
            client.pump()  # its windows
            data = b"d" * 16_000
            ids = [client.request("/%d" % i, "POST", end=False, headers=[("content-length", str(size))]) for i in range(streams)]
            for sent in range(0, size, len(data)):
                for stream in ids:
                    client.h2.send_data(stream, data[:size - sent], end_stream=sent + len(data) >= size)
                client.flush()
            for stream in ids:
                client.until(stream)
            statuses = [client.headers(stream)[":status"] for stream in ids]
        abandoned = weir.stat("cluster.u.retry_or_shadow_abandoned")
        self.assertEqual(abandoned, streams - 16 * 1024 * 1024 // size)
        self.assertEqual((statuses.count("200"), statuses.count("503")), (streams - abandoned, abandoned))

    def test_coders_of_answers_under_way(self) -> None:
        """Beyond 32 MiB of a connection answers go out as they are; when others have ended, they are compressed again."""
        streams, ends = 300, threading.Event()

        def speak_until_told(connection: ServerConnection) -> None:
            while True:
                connection.read_request()
                connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8000\r\n%s\r\n" % (b"text " * 6554)[:0x8000])
                ends.wait(20)
                connection.send(b"0\r\n\r\n")

        upstream = ScriptedUpstream(self.sandbox, speak_until_told)
        types = "type.googleapis.com/envoy.extensions."
        for coding, fewest, most in (("brotli", 40, 70), ("zstd", 15, 35)):
            port, stat = self.sandbox.free_port(), "http.ingress.compressor.any.%s." % coding
            weir = Weir(self.sandbox, bootstrap(
                [http_listener(port, [route({"prefix": "/"}, "u")], http_filters=[{"name": "compressor", "typed_config": {
                    "@type": types + "filters.http.compressor.v3.Compressor", "compressor_library": {
                        "name": "any", "typed_config": {
                            "@type": types + "compression.%s.compressor.v3.%s" % (coding, coding.capitalize())}}}}])],
                [cluster("u", upstream.port)]), concurrency=1)
            ends.clear()
            memory = weir.process.resident_kib()
            with H2(port) as client:
                client.h2.increment_flow_control_window(1 << 24)
                ids = [client.request("/", headers=[("accept-encoding", "br, zstd")]) for _ in range(streams)]
                for stream in ids:
                    client.until(stream, h2.events.ResponseReceived)
                coded = sum("content-encoding" in client.headers(stream) for stream in ids)
                self.assertTrue(fewest < coded < most, coded)
                self.assertEqual(weir.stat(stat + "compressed"), coded)
                self.assertEqual(weir.stat(stat + "not_compressed_memory"), streams - coded)
                if not sanitized():
                    self.assertLess(weir.process.resident_kib() - memory, 64 * 1024)
                ends.set()
                for stream in ids:
                    client.until(stream)
                again = client.request("/", headers=[("accept-encoding", "br, zstd")])
                client.until(again, h2.events.ResponseReceived)
                self.assertIn("content-encoding", client.headers(again))

    def test_heads_in_too_many_pieces(self) -> None:
        head = block(("x-long", "y" * 3000))
        pieces = [frame(CONTINUATION, 0, 1, head[i:i + 1]) for i in range(1, 1000)]
        self.check("default", "http2.inbound_continuation_flood", frame(HEADERS, END_STREAM, 1, head[:1]), *pieces)
        # A large one needs many, where it is allowed.
        wide = block(*(("x-%d" % i, "z" * 40000) for i in range(20)))
        parts = [wide[i:i + 16384] for i in range(0, len(wide), 16384)]
        self.assertGreater(len(parts), 40)
        with H2(self.ports["large"]) as client:
            client.sock.sendall(frame(HEADERS, END_STREAM, 1, parts[0]) +
                                b"".join(frame(CONTINUATION, END_HEADERS * (part is parts[-1]), 1, part) for part in parts[1:]))
            client.h2.get_next_available_stream_id()
            data = client.sock.recv(1 << 16)
            while b"direct" not in data:
                data += client.sock.recv(1 << 16)
        self.assertEqual(self.weir.stat("http.large.downstream_cx_protocol_error"), 0)

    def test_long_lists_of_fields(self) -> None:
        before = self.weir.stat("http2.header_overflow")
        many = [("x-%d" % i, "") for i in range(101)]
        with H2(self.ports["default"]) as client:
            stream = client.request("/direct", headers=many)
            client.until(stream)
            self.assertEqual(client.status(stream), "431")
            stream = client.request("/direct", headers=many[:90])
            client.until(stream)
            self.assertEqual(client.status(stream), "200")
            # Crumbs of a cookie are one field.
            stream = client.request("/crumbs", headers=[("cookie", "a%d=b" % i) for i in range(300)])
            client.until(stream)
            self.assertEqual(client.status(stream), "200")
            self.assertIn(b"a0=b; a1=b; a2=b", client.body(stream))
        self.assertEqual(self.weir.stat("http2.header_overflow"), before + 1)
        self.check("default", "http2.header_overflow", frame(HEADERS, END_STREAM | END_HEADERS, 1, block() + b"\0\1x\0" * 4000))

    def test_lists_that_grow_out_of_a_small_block(self) -> None:
        """A field of 4000 bytes that is in the table costs its sender one byte each time."""
        self.weir.process.reset_peak()
        before = self.weir.process.resident_kib("VmHWM")
        bomb = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000 + b"\xbe" * 12000  # 4000 as an integer of 7 bits: 127, 3873
        for _ in range(20):
            self.check("default", "http2.header_overflow", frame(HEADERS, END_STREAM | END_HEADERS, 1, block() + bomb))
        lists = self.weir.stat("http2.header_overflow")
        with H2(self.ports["default"]) as client:
            for stream in range(1, 40, 2):
                short = (block() if stream == 1 else b"\x82\x86\x84\x01\x01a") + (bomb[:4006] if stream == 1 else b"") + b"\xbe" * 200
                client.sock.sendall(frame(HEADERS, END_STREAM | END_HEADERS, stream, short))
                client.h2.get_next_available_stream_id()
            client.sock.settimeout(5)
            data = client.sock.recv(1 << 16)
            self.assertTrue(data)
            wait_until(lambda: self.weir.stat("http2.header_overflow") == lists + 20, "all lists are counted")
        if not sanitized():
            self.assertLess(self.weir.process.resident_kib("VmHWM") - before, 16 * 1024)

    def test_crumbs_that_are_empty_have_a_size(self) -> None:
        with H2(self.ports["default"]) as client:
            crumbs = b"\x40\x06cookie\x00" + b"\xbe" * 4000
            client.sock.sendall(frame(HEADERS, END_STREAM | END_HEADERS, 1, block() + crumbs))
            data = client.sock.recv(1 << 16)
            while b"431" not in data and b"\x08\x03" not in data:
                more = client.sock.recv(1 << 16)
                if not more:
                    break
                data += more
        wait_line(self.log, "/direct 431 DPE http2.request_headers_too_large")

    # field: HttpConnectionManager.request_headers_timeout
    def test_heads_that_do_not_end(self) -> None:
        with H2(self.ports["impatient"]) as client:
            head = block(("x-late", "1"))
            client.sock.sendall(frame(HEADERS, END_STREAM, 1, head[:20]))
            client.h2.get_next_available_stream_id()
            data = b""
            while b"request header timeout" not in data:
                more = client.sock.recv(1 << 16)
                self.assertTrue(more, data)
                data += more
            # The rest of it is read for the table's sake, and the connection goes on.
            client.sock.sendall(frame(CONTINUATION, END_HEADERS, 1, head[20:]) +
                                frame(HEADERS, END_STREAM | END_HEADERS, 3, block()))
            data = b""
            while b"direct" not in data:
                more = client.sock.recv(1 << 16)
                self.assertTrue(more, data)
                data += more
        self.assertEqual(self.weir.stat("http.impatient.downstream_rq_header_timeout"), 1)
        wait_line(self.log, "- 408 - request_header_timeout")

    def test_heads_are_part_of_their_streams(self) -> None:
        with H2(self.ports["most"]) as client:
            client.sock.sendall(frame(HEADERS, END_STREAM, 1, block()))
            data = b""
            while b"downstream duration timeout" not in data:
                client.sock.sendall(frame(CONTINUATION, 0, 1, b"\x00\x01x\x011"))
                time.sleep(0.05)
                with contextlib.suppress(BlockingIOError):
                    more = client.sock.recv(1 << 16, socket.MSG_DONTWAIT)
                    self.assertTrue(more, data)
                    data += more
        wait_line(self.log, "/direct 408 - max_duration_timeout")

    def test_rapid_resets(self) -> None:
        before = self.weir.stat("http.default.downstream_rq_too_many_premature_resets")
        with H2(self.ports["default"]) as client:
            try:
                for _ in range(700):
                    stream = client.request("/silent")
                    client.h2.reset_stream(stream, 8)
                    client.flush()
                client.pump(1)
            except (ConnectionError, h2.exceptions.ProtocolError):
                pass
        self.weir.wait_stat_is("http.default.downstream_rq_too_many_premature_resets", before + 1)
        self.assertEqual(fetch(self.ports["default"], "/direct").status, 200)
        self.weir.wait_stat_is("http.default.downstream_rq_active", 0)

    def test_resets_that_the_client_provokes(self) -> None:
        """It takes nothing back: its requests are such that they have to be reset."""
        def head(*fields: tuple[str, str]) -> bytes:
            return bytes(Encoder().encode([*GET[:3], (":path", "/silent"), *fields], huffman=False))

        short, whole = head(("content-length", "3")), head()
        for flags, block, kind, end, payload in ((0, short, DATA, 0, b"12345"), (0, short, DATA, END_STREAM, b"1"),
                                                 (END_STREAM, whole, WINDOW_UPDATE, 0, b"\x7f\xff\xff\xff")):
            self.check("default", "http.default.downstream_rq_too_many_premature_resets", *(
                frame(HEADERS, END_HEADERS | flags, 1 + 2 * i, block) + frame(kind, end, 1 + 2 * i, payload) for i in range(700)))
        self.weir.wait_stat_is("http.default.downstream_rq_active", 0)

    def test_answers_that_are_cancelled(self) -> None:
        """Whoever has the head of an answer may end the stream whenever it likes: a call that streams, a download."""
        upstream = Http2Upstream(self.sandbox, lambda peer, request: peer.send_head(request))
        port = self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "u")])],
                                            [cluster("u", upstream.port, **http2())]), concurrency=1)
        with H2(port) as client:
            for _ in range(600):
                stream = client.request("/")
                client.until(stream, h2.events.ResponseReceived)
                client.h2.reset_stream(stream, 8)
            client.flush()
            weir.wait_stat_is("http2.rx_reset", 600)
            client.until(client.request("/"), h2.events.ResponseReceived)
        self.assertEqual(weir.stat("http.ingress.downstream_rq_too_many_premature_resets"), 0)

    def test_heads_of_answers_that_nobody_reads(self) -> None:
        """They are not read from servers either, until the client reads."""
        streams = 300
        before = self.weir.process.resident_kib()
        with socket.create_connection(("127.0.0.1", self.ports["default"]), timeout=10) as sock:
            encoder = Encoder()
            sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + b"".join(
                frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * i, encoder.encode([*GET[:3], (":path", "/large")]))
                for i in range(streams)))
            self.weir.wait_stat("cluster.large.upstream_rq_total", streams)
            time.sleep(0.5)
            if not sanitized():
                self.assertLess(self.weir.process.resident_kib() - before, 16 * 1024)
            self.assertEqual(fetch(self.ports["default"], "/direct").status, 200)
            self.until_ended(sock, streams)

    def frames(self, sock: socket.socket) -> Iterator[tuple[int, int]]:
        """Types and flags of what comes."""
        data = b""
        while True:
            more = sock.recv(1 << 20)
            self.assertTrue(more)
            data += more
            at = 0
            while len(data) >= at + 9 and len(data) >= (end := at + 9 + int.from_bytes(data[at:at + 3], "big")):
                yield data[at + 3], data[at + 4]
                at = end
            data = data[at:]

    def whole(self, sock: socket.socket, streams: int) -> int:
        """How many of so many streams end with a whole answer."""
        ends = (kind for kind, flags in self.frames(sock) if kind == RST_STREAM or (kind in (HEADERS, DATA) and flags & END_STREAM))
        return sum(kind != RST_STREAM for kind in itertools.islice(ends, streams))

    def ask(self, port: int, streams: int) -> socket.socket:
        encoder = Encoder()
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(WINDOW_UPDATE, 0, 0, b"\x7f\0\0\0") + b"".join(
            frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * i, bytes(encoder.encode(GET))) for i in range(streams)))
        return sock

    def test_informational_heads(self) -> None:
        """Of a server that sends hint after hint: what is not read is dropped, and what was sent is forgotten."""
        streams, hints, last = 150, 25, threading.Event()
        hint = bytes(Encoder().encode([(":status", "103"), ("link", "l" * 16_000)], huffman=False))
        end = bytes(Encoder().encode([(":status", "200")]))

        def give_hints(peer: Http2Peer, request: Request) -> None:
            peer.send_raw(frame(HEADERS, END_HEADERS, request.id, hint) * hints)
            if last.is_set():
                peer.send_raw(frame(HEADERS, END_HEADERS | END_STREAM, request.id, end))

        upstream, port = Http2Upstream(self.sandbox, give_hints), self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "u")])],
                                            [cluster("u", upstream.port, **http2())]), concurrency=1)
        before = weir.process.resident_kib()
        weir.process.reset_peak()
        with self.ask(port, streams) as sock:  # reads, and no answer ends
            heads = (kind for kind, _ in self.frames(sock) if kind == HEADERS)
            for _ in itertools.islice(heads, streams * hints):
                pass
            self.assertEqual(weir.stat("http2.streams_active"), streams)
            if not sanitized():
                self.assertLess(weir.process.resident_kib("VmHWM") - before, 32 * 1024)
        last.set()
        weir.wait_stat_is("http2.streams_active", 0)
        with self.ask(port, streams) as sock:
            weir.wait_stat("http.ingress.downstream_rq_1xx", 2 * streams * hints)
            weir.wait_stat("http2.header_overflow", streams * hints // 2)
            if not sanitized():
                self.assertLess(weir.process.resident_kib("VmHWM") - before, 32 * 1024)
            self.assertEqual(self.whole(sock, streams), streams)

    def test_heads_of_answers_that_are_put_off(self) -> None:
        """Beyond 16 MiB of a connection the answer is the client's."""
        head = bytes(Encoder().encode([(":status", "503"), ("x-large", "l" * 16_000)], huffman=False))
        upstream = Http2Upstream(self.sandbox, lambda peer, request: peer.send_raw(
            frame(HEADERS, END_HEADERS | END_STREAM, request.id, head)))
        port, streams = self.sandbox.free_port(), 100
        retry = {"retry_on": "5xx", "num_retries": 25, "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"}}
        weir = Weir(self.sandbox, bootstrap(
            [http_listener(port, [route({"prefix": "/"}, "u", {"retry_policy": retry})])],
            [cluster("u", upstream.port, **http2(), circuit_breakers={"thresholds": [{"max_retries": 1000}]})]), concurrency=1)
        before = weir.process.resident_kib()
        with self.ask(port, streams) as sock:
            self.assertEqual(self.whole(sock, streams), streams)
        self.assertGreater(weir.stat("cluster.u.retry_or_shadow_abandoned"), 0)
        self.assertGreater(weir.stat("cluster.u.upstream_rq_retry"), 5 * streams)
        if not sanitized():
            self.assertLess(weir.process.resident_kib("VmHWM") - before, 32 * 1024)

    def test_bodies_that_filters_hold(self) -> None:
        """16 MiB of a connection, and the windows of the others; all come to their ends, one after another if need be."""
        filters: dict[str, Any] = {
            "buffer.v3.Buffer": {"max_request_bytes": 1 << 20},
            "fault.v3.HTTPFault": {"delay": {"fixed_delay": "2s", "percentage": {"numerator": 100}}}}
        streams, size = 56, 900_000
        for name, settings in filters.items():
            port = self.sandbox.free_port()
            weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "echo")], http_filters=[{
                "name": "holds", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http." + name, **settings}}])],
                [cluster("echo", self.echo.port)]), concurrency=1)
            before = weir.process.resident_kib()
            weir.process.reset_peak()
            with self.subTest(name), H2(port, initial_window=1 << 20) as client:
                client.pump()  # its windows
                left = {client.request("/%d" % i, "POST", end=False): size for i in range(streams)}
                while left:  # in turn, as the windows let it
                    moved = False
                    for stream in list(left):
                        part = min(client.h2.local_flow_control_window(stream), 16_000, left[stream])
                        if part <= 0:
                            continue
                        moved = True
                        left[stream] -= part
                        client.h2.send_data(stream, b"d" * part, end_stream=left[stream] == 0)
                        if left[stream] == 0:
                            del left[stream]
                    client.flush()
                    client.pump(0.001 if moved else 0.005)
                for stream in range(1, 2 * streams, 2):
                    client.until(stream, h2.events.ResponseReceived)
                    self.assertEqual(client.status(stream), "200")
                self.assertGreater(weir.stat("http.ingress.downstream_flow_control_paused_reading_total"), 0)
                if not sanitized():
                    self.assertLess(weir.process.resident_kib("VmHWM") - before, 40 * 1024)

    def test_what_counts_as_rapid(self) -> None:
        port = self.sandbox.free_port()
        config = bootstrap([http_listener(port, [route({"prefix": "/"}, "silent")], http2_protocol_options={})],
                           [cluster("silent", self.silent.port)])
        config["layered_runtime"] = {"layers": [{"name": "admin", "admin_layer": {}}]}
        weir = Weir(self.sandbox, config, concurrency=1)
        counter = "http.ingress.downstream_rq_too_many_premature_resets"

        def takes_back(count: int) -> None:
            with H2(port) as client:
                try:
                    for _ in range(count):
                        client.h2.reset_stream(client.request("/"), 8)
                        client.flush()
                    client.pump(0.2)
                except (ConnectionError, h2.exceptions.ProtocolError):
                    pass
            weir.wait_stat_is("http2.streams_active", 0)

        takes_back(100)
        self.assertEqual(weir.stat(counter), 0)
        weir.admin("/runtime_modify?overload.premature_reset_total_stream_count=20", "POST")
        takes_back(9)
        self.assertEqual(weir.stat(counter), 0)
        takes_back(30)
        self.assertEqual(weir.stat(counter), 1)
        weir.admin("/runtime_modify?overload.premature_reset_min_stream_lifetime_seconds=0", "POST")
        takes_back(30)
        self.assertEqual(weir.stat(counter), 1)


if __name__ == "__main__":
    main()
