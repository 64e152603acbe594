"""The filters compressor and decompressor against what others make of the codings: curl, Python's zlib, gzip(1), zstd(1)."""

import gzip
import hashlib
import random
import subprocess
import threading
import zlib

from harness import (Connection, EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch,
                     file_access_log, http_listener, main, route, sanitized, wait_line)
from harness.upstreams import ServerConnection
from harness.wire import Message, Reader

FILTER = "envoy.filters.http.compressor"
TYPE = "type.googleapis.com/envoy.extensions."
CODINGS = {"gzip": "gzip", "br": "brotli", "zstd": "zstd"}


def library(kind: str, name: str, **fields) -> dict:
    """A compressor or decompressor of the coding that is called so in messages."""
    folder, message = CODINGS[name], CODINGS[name].capitalize()
    return {"name": "text", "typed_config": {"@type": TYPE + "compression.%s.%s.v3.%s" % (folder, kind, message), **fields}}


def compressor(name: str = "gzip", **fields) -> dict:
    return {"name": FILTER, "typed_config": {
        "@type": TYPE + "filters.http.compressor.v3.Compressor", "compressor_library": library("compressor", name),
        "response_direction_config": {}, **fields}}


def decompressor(name: str = "gzip", **fields) -> dict:
    return {"name": "envoy.filters.http.decompressor", "typed_config": {
        "@type": TYPE + "filters.http.decompressor.v3.Decompressor",
        "decompressor_library": library("decompressor", name), **fields}}


def text_of(size: int) -> bytes:
    words = [b"lorem ", b"ipsum ", b'{"id": ', b"42}, ", b"\n", b"dolor sit amet "]
    source = random.Random(size)
    text = b""
    while len(text) < size:
        text += b"".join(source.choice(words) for _ in range(1000))
    return text[:size]


def read_chunk(reader: Reader) -> bytes:
    """The next chunk; empty: the last."""
    data = reader.exactly(int(reader.line(), 16))
    reader.line()
    return data


class CompressorTest(WeirTestCase):
    """Three compressors in a chain; the upstream sends one text."""

    @classmethod
    def set_up(cls) -> None:
        cls.text = text_of(500_000)
        cls.go_on = threading.Event()
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.answer)
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port, cls.weak_port = cls.sandbox.free_port(), cls.sandbox.free_port()
        filters = [compressor("zstd"), compressor("br"), compressor("gzip")]
        routes = [route({"prefix": "/text"}, "text"),
                  route({"prefix": "/drip"}, "text"),
                  route({"prefix": "/off"}, "echo", typed_per_filter_config={
                      FILTER: {"@type": TYPE + "filters.http.compressor.v3.CompressorPerRoute", "disabled": True}}),
                  route({"prefix": "/"}, "echo")]
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.port, routes, http_filters=filters),
             http_listener(cls.weak_port, routes, name="weak", route_config={"name": "weak"}, http_filters=[compressor(
                 request_direction_config={"common_config": {"min_content_length": 100}},
                 response_direction_config={"weaken_etag_on_compress": True, "common_config": {
                     "enabled": {"default_value": False, "runtime_key": "compress.weak"}}})])],
            [cluster("text", cls.upstream.port), cluster("echo", cls.echo.port)]))

    @classmethod
    def answer(cls, connection: ServerConnection) -> None:
        while True:
            request = connection.read_request()
            if request.target == "/drip":
                connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/plain\r\n\r\n")
                for part in (b"one", b"two", b"three"):
                    connection.send(b"%x\r\n%s\r\n" % (len(part), part))
                    cls.go_on.wait(30)
                    cls.go_on.clear()
                connection.send(b"0\r\n\r\n")
                continue
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n%s"
                            % (len(cls.text), b"" if request.method == "HEAD" else cls.text))

    def get(self, accept: str | None, *fields: str, path: str = "/", port: int = 0, **more) -> Message:
        """An answer of the echo upstream, which has these fields."""
        headers = [("x-test-header", field) for field in fields] + [("x-test-size", "1000")]
        if accept is not None:
            headers.append(("accept-encoding", accept))
        return fetch(port or self.port, path, headers=headers + more.pop("headers", []), **more)

    def test_curl_understands_every_coding(self) -> None:
        for coding in CODINGS:
            for _ in range(3):  # coders are used again
                result = subprocess.run(
                    ["curl", "-sS", "--compressed", "-H", "accept-encoding: " + coding,
                     "-w", "%{stderr}%{size_download} %header{content-encoding}", "http://127.0.0.1:%d/text" % self.port], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, timeout=60)
                self.assertEqual(hashlib.sha256(result.stdout).digest(), hashlib.sha256(self.text).digest(), coding)
                size, told = result.stderr.decode().split()
                self.assertEqual(told, coding)
                self.assertLess(int(size), len(self.text) // 3)

    def test_curl_as_people_call_it(self) -> None:
        result = subprocess.run(["curl", "-sS", "--compressed", "http://127.0.0.1:%d/text" % self.port],
                                stdout=subprocess.PIPE, check=True, timeout=60)
        self.assertEqual(result.stdout == self.text, True)

    def test_other_programs_understand_it(self) -> None:
        self.assertEqual(gzip.decompress(fetch(self.port, "/text", headers=[("accept-encoding", "gzip")]).body) == self.text, True)
        for coding, program in (("gzip", "gzip"), ("zstd", "zstd")):
            coded = fetch(self.port, "/text", headers=[("accept-encoding", coding)])
            plain = subprocess.run([program, "-dc"], input=coded.body, stdout=subprocess.PIPE, check=True).stdout
            self.assertEqual(plain == self.text, True, coding)

    def test_what_the_client_accepts(self) -> None:
        for accept, coding in ((None, None), ("", None), ("gzip", "gzip"), ("x-gzip", "gzip"), ("deflate", None), ("br, gzip", "br"),
                               ("gzip;q=0.5, br;q=0.8, zstd;q=0.1", "br"), ("gzip;q=0", None), ("identity", None),
                               ("identity;q=0.5, gzip;q=0.4", None), ("identity;q=0, gzip;q=0.4", "gzip"), ("*", "zstd"),
                               ("zstd;q=0, *", "br"), ("*;q=0", None), ("identity;q=0", None), ("gzip;q=2", None)):
            response = self.get(accept)
            self.assertEqual(response.header("content-encoding"), coding, accept)
            self.assertEqual(response.header("vary"), "Accept-Encoding")
            self.assertEqual(response.header("content-length"), None if coding else "1000")

    # field: CompressorPerRoute.disabled
    def test_what_is_not_compressed(self) -> None:
        for fields in (["content-type=image/png"], ["content-encoding=br"], ["cache-control=no-transform"],
                       ["cache-control=max-age=1", "cache-control=public, No-Transform"], ["content-range=bytes 0-999/5000"]):
            response = self.get("gzip", *fields)
            self.assertEqual(response.body, b"x" * 1000, fields)
            self.assertEqual(response.header("vary"), None, fields)
        self.assertEqual(self.get("gzip", path="/off").body, b"x" * 1000)
        small = fetch(self.port, "/", headers=[("accept-encoding", "gzip"), ("x-test-size", "29")])
        self.assertEqual(small.body, b"x" * 29)
        just = fetch(self.port, "/", headers=[("accept-encoding", "gzip"), ("x-test-size", "30")])
        self.assertEqual(gzip.decompress(just.body), b"x" * 30)
        for content_type in ("text/html", "Application/JSON; charset=utf-8", "image/svg+xml"):
            self.assertEqual(self.get("gzip", "content-type=" + content_type).header("content-encoding"), "gzip", content_type)

    def test_validators(self) -> None:
        self.assertEqual(self.get("gzip", 'etag="v1"').header("etag"), None)
        self.assertEqual(self.get("gzip", 'etag=W/"v1"').header("etag"), 'W/"v1"')
        self.assertEqual(self.get("br;q=0", 'etag="v1"').header("etag"), '"v1"')
        self.assertEqual(self.get("gzip", "accept-ranges=bytes").header("accept-ranges"), None)
        self.assertEqual(self.get("gzip", "vary=Origin").all("vary"), ["Origin, Accept-Encoding"])
        self.assertEqual(self.get("gzip", "vary=*").header("vary"), "*")

    # field: RuntimeFeatureFlag.default_value, RuntimeFeatureFlag.runtime_key
    # field: Compressor.CommonDirectionConfig.enabled, ResponseDirectionConfig.weaken_etag_on_compress
    def test_run_time_switch_and_weakened_validators(self) -> None:
        self.assertEqual(self.get("gzip", 'etag="v1"', port=self.weak_port).header("content-encoding"), None)
        self.weir.admin("/runtime_modify?compress.weak=true", "POST")
        response = self.get("gzip", 'etag="v1"', port=self.weak_port)
        self.assertEqual((response.header("content-encoding"), response.header("etag")), ("gzip", 'W/"v1"'))
        unchanged = self.get("gzip", 'etag="v1"', port=self.weak_port, headers=[("x-test-status", "304")])
        self.assertEqual((unchanged.status, unchanged.header("etag"), unchanged.header("vary")), (304, 'W/"v1"', "Accept-Encoding"))
        self.weir.admin("/runtime_modify?compress.weak=", "POST")
        self.assertEqual(self.get("gzip", 'etag="v1"', port=self.weak_port).header("content-encoding"), None)

    def test_answers_without_a_body(self) -> None:
        with Connection(self.port) as connection:
            head = connection.request("HEAD", "/text", headers=[("accept-encoding", "gzip")])
            self.assertEqual((head.status, head.header("content-encoding"), head.header("content-length")), (200, "gzip", None))
            head = connection.request("HEAD", "/text")
            self.assertEqual((head.header("content-encoding"), head.header("content-length")), (None, str(len(self.text))))
            for status in ("204", "304"):
                empty = connection.request("GET", "/", headers=[("accept-encoding", "gzip"), ("x-test-status", status)])
                self.assertEqual((empty.status, empty.header("content-encoding")), (int(status), None))
            none = connection.request("GET", "/", headers=[("accept-encoding", "gzip"), ("x-test-size", "0")])
            self.assertEqual((none.body, none.header("content-encoding")), (b"", None))
            self.assertEqual(connection.request("GET", "/", headers=[("x-test-size", "5")]).body, b"xxxxx")

    def test_a_response_that_drips_is_not_held_back(self) -> None:
        unzip = zlib.decompressobj(31)
        with Connection(self.port) as connection:
            connection.send_request("GET", "/drip", headers=[("accept-encoding", "gzip")])
            head = connection.reader.head()
            self.assertEqual(head.header("content-encoding"), "gzip")
            for part in (b"one", b"two", b"three"):
                plain = b""
                while plain != part:  # reads time out
                    plain += unzip.decompress(read_chunk(connection.reader))
                    self.assertTrue(part.startswith(plain), plain)
                type(self).go_on.set()
            rest = b""
            while piece := read_chunk(connection.reader):
                rest += piece
            self.assertEqual(unzip.decompress(rest), b"")
            self.assertTrue(unzip.eof)

    def test_trailers_come_behind_the_whole_body(self) -> None:
        response = self.get("gzip", headers=[("x-test-trailer", "end"), ("te", "trailers")])
        self.assertEqual(gzip.decompress(response.body), b"x" * 1000)
        self.assertEqual(response.trailers, [("x-echo-trailer", "end")])

    # field: Compressor.request_direction_config
    def test_requests(self) -> None:
        body = text_of(20_000)
        response = fetch(self.weak_port, "/", "POST", headers=[("content-type", "text/plain")], body=body)
        self.assertEqual(self.echoed(response)["headers"]["content-encoding"], ["gzip"])
        self.assertEqual(gzip.decompress(self.echo.requests[-1].body), body)
        response = fetch(self.weak_port, "/", "POST", headers=[("content-type", "text/plain")], body=b"small")
        self.assertNotIn("content-encoding", self.echoed(response)["headers"])
        self.assertEqual(self.echo.requests[-1].body, b"small")


class DecompressorTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.payload = b""
        cls.log = cls.sandbox.path("access.log")
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.answer)
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.port, [route({"prefix": "/echo"}, "echo"), route({"prefix": "/"}, "coded")],
                           http_filters=[decompressor(name) for name in CODINGS], access_log=[file_access_log(
                               cls.log, "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")])],
            [cluster("coded", cls.upstream.port), cluster("echo", cls.echo.port)]))
        cls.bomb = gzip.compress(b"\0" * (64 << 20))
        cls.text = text_of(300_000)

    @classmethod
    def answer(cls, connection: ServerConnection) -> None:
        while True:
            request = connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n%s"
                            % (request.target[1:].encode(), len(cls.payload), cls.payload))

    def failed(self, direction: str) -> int:
        return self.weir.stat("http.ingress.decompressor.text.gzip.%s.failed" % direction)

    def test_requests(self) -> None:
        zstd = subprocess.run(["zstd", "-c"], input=self.text, stdout=subprocess.PIPE, check=True).stdout
        for coding, coded in (("gzip", gzip.compress(self.text)), ("x-gzip", gzip.compress(self.text)), ("zstd", zstd),
                              ("gzip", gzip.compress(self.text[:100]) + gzip.compress(self.text[100:]))):
            response = fetch(self.port, "/echo", "POST", headers=[("content-encoding", coding)], body=coded)
            account = self.echoed(response)
            self.assertEqual(account["sha256"], hashlib.sha256(self.text).hexdigest(), coding)
            self.assertNotIn("content-encoding", account["headers"])
            self.assertEqual(account["headers"]["accept-encoding"], ["gzip,br,zstd"])

    def test_codings_in_turn(self) -> None:
        zstd = subprocess.run(["zstd", "-c"], input=self.text, stdout=subprocess.PIPE, check=True).stdout
        # The request meets gzip first: of "zstd, gzip" it takes off the outer one, and zstd the inner.
        response = fetch(self.port, "/echo", "POST", headers=[("content-encoding", "zstd, gzip")], body=gzip.compress(zstd))
        self.assertEqual(self.echoed(response)["sha256"], hashlib.sha256(self.text).hexdigest())

    def test_responses(self) -> None:
        type(self).payload = gzip.compress(self.text)
        response = fetch(self.port, "/gzip")
        self.assertEqual(response.body == self.text, True)
        self.assertEqual(response.header("content-encoding"), None)
        self.assertEqual(fetch(self.port, "/compress").body == self.payload, True)

    def test_bodies_that_are_none(self) -> None:
        good = gzip.compress(self.text)
        flipped = bytearray(good)
        flipped[-8] ^= 1  # of the checksum
        for body in (b"no gzip", good[:len(good) // 2], good[:-1], bytes(flipped), bytes(range(256)) * 8, b"\x1f\x8b\x08"):
            before = self.failed("request")
            response = fetch(self.port, "/echo", "POST", headers=[("content-encoding", "gzip")], body=body)
            self.assertEqual((response.status, response.body), (400, b"the body is not what its content-encoding says\n"), body[:20])
            self.weir.wait_stat_is("http.ingress.decompressor.text.gzip.request.failed", before + 1)
            for coding in ("br", "zstd"):
                response = fetch(self.port, "/echo", "POST", headers=[("content-encoding", coding)], body=body)
                self.assertEqual(response.status, 400, (coding, body[:20]))

    def test_bodies_of_the_upstream_that_are_none(self) -> None:
        type(self).payload = gzip.compress(self.text)[:-20]
        before = self.failed("response")
        with Connection(self.port) as connection:
            connection.send_request("GET", "/gzip")
            with self.assertRaises(Exception):  # no last chunk
                connection.read_response()
        self.weir.wait_stat_is("http.ingress.decompressor.text.gzip.response.failed", before + 1)
        wait_line(self.log, "/gzip 200 UPE decompression_failed")

    def test_bombs(self) -> None:
        self.weir.process.reset_peak()
        before = self.weir.process.resident_kib()
        for _ in range(3):
            response = fetch(self.port, "/echo", "POST", headers=[("content-encoding", "gzip")], body=self.bomb)
            self.assertEqual(response.status, 400)
        zstd = subprocess.run(["zstd", "-c"], input=b"\0" * (64 << 20), stdout=subprocess.PIPE, check=True).stdout
        response = fetch(self.port, "/echo", "POST", headers=[("content-encoding", "zstd")], body=zstd)
        self.assertEqual(response.status, 400)
        type(self).payload = self.bomb
        with Connection(self.port) as connection:
            connection.send_request("GET", "/gzip")
            with self.assertRaises(Exception):
                connection.read_response()
        if not sanitized():
            self.assertLess(self.weir.process.resident_kib("VmHWM") - before, 40_000)


if __name__ == "__main__":
    main()
