"""What RFC 9113 and RFC 7541 demand of a server, one row per case; the expectations are written from the RFCs.

A row names its clause ("9113 6.5: what is tried"), the bytes behind the preface and the client's SETTINGS, and what must
come of them. clauses_test.py sends each over TLS and in the clear.
"""

import struct
from dataclasses import dataclass, field
from typing import Optional, Union

import hpack
from hpack.hpack import encode_integer

from harness.frames import (ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
                            GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PRIORITY_FLAG, PROTOCOL_ERROR,
                            PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE,
                            frame, settings)

Fields = list[tuple[str, str]]
GET: Fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")]
POST: Fields = [(":method", "POST"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")]


def block(fields: Fields) -> bytes:
    """Literals without indexing: nothing depends on what was sent before."""
    out = b""
    for name, value in fields:
        out += b"\0" + bytes(encode_integer(len(name.encode("latin-1")), 7)) + name.encode("latin-1")
        out += bytes(encode_integer(len(value.encode("latin-1")), 7)) + value.encode("latin-1")
    return out


def headers(stream: int = 1, fields: Fields = GET, flags: int = END_STREAM | END_HEADERS, raw: Optional[bytes] = None) -> bytes:
    return frame(HEADERS, flags, stream, block(fields) if raw is None else raw)


def request(stream: int = 1, *extra: tuple[str, str]) -> bytes:
    return headers(stream, GET + list(extra))


def post(stream: int = 1, *extra: tuple[str, str]) -> bytes:
    return headers(stream, POST + list(extra), END_HEADERS)


@dataclass
class ConnectionError_:
    """GOAWAY with one of these codes, and the end of the connection. The end alone is enough where `silent`."""

    codes: tuple[int, ...]
    silent: bool = False


@dataclass
class StreamError:
    """RST_STREAM with one of these codes (or, as RFC 9113 8.1.1 has it, an answer with this status); the connection goes on,
    or may end as 5.4.1 allows."""

    codes: tuple[int, ...]
    stream: int = 1
    or_status: Optional[int] = None
    or_connection: bool = False


@dataclass
class Answer:
    """A response on the stream, complete; the connection goes on."""

    status: int = 200
    stream: int = 1
    has: Fields = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    body: Optional[bytes] = None


@dataclass
class Goes:
    """The connection goes on: a PING is answered. `sends`: a frame of this kind, flags and payload comes."""

    sends: Optional[tuple[int, int, bytes]] = None
    lacks: Optional[int] = None  # no frame of this kind


Expect = Union[ConnectionError_, StreamError, Answer, Goes]


@dataclass
class Row:
    clause: str
    sends: bytes
    expect: Expect
    preface: bytes = PREFACE + settings()
    listener: str = "plain"


def fails(*codes: int, silent: bool = False) -> ConnectionError_:
    return ConnectionError_(codes, silent)


def resets(*codes: int, stream: int = 1, or_status: Optional[int] = None, or_connection: bool = False) -> StreamError:
    return StreamError(codes, stream, or_status, or_connection)


MALFORMED = resets(PROTOCOL_ERROR, or_status=400)
ROWS: list[Row] = []


def row(clause: str, sends: bytes, expect: Expect, **more: object) -> None:
    ROWS.append(Row(clause, sends, expect, **more))  # type: ignore[arg-type]


# --- 9113 3.4: the preface
row("9113 3.4: SETTINGS is the first frame of the server", b"", Goes((SETTINGS, 0, None)))  # type: ignore[arg-type]
row("9113 3.4: SETTINGS may be empty", request(), Answer())
for name, bad in (("another method", b"PRY * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ("another end", PREFACE[:-6] + b"XX\r\n\r\n"),
                  ("garbage", b"\0" * 24), ("no SM", PREFACE[:18] + settings())):
    row("9113 3.4: a preface with %s" % name, b"", fails(PROTOCOL_ERROR, silent=True), preface=bad, listener="h2")
for name, first in (("HEADERS", request()), ("PING", frame(PING, 0, 0, b"12345678")), ("DATA", frame(DATA, 0, 1, b"x")),
                    ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))),
                    ("an acknowledgement", settings(flags=ACK))):
    row("9113 3.4: %s before SETTINGS" % name, first, fails(PROTOCOL_ERROR, silent=True), preface=PREFACE)

# --- 9113 4.1: the frame header
for kind in (10, 11, 0x16, 0x42, 0xff):
    row("9113 4.1: a frame of the unknown type %d is ignored" % kind, frame(kind, 0xff, 0, b"what") + request(), Answer())
    row("9113 5.5: and on a stream" , post() + frame(kind, 0, 1, b"what") + frame(DATA, END_STREAM, 1), Answer())
for name, sent in (("PING", frame(PING, 0xfe, 0, b"12345678")), ("DATA", post() + frame(DATA, 0xf6 | END_STREAM, 1, b"x")),
                   ("HEADERS", frame(HEADERS, 0xd5, 1, block(GET))), ("SETTINGS", frame(SETTINGS, 0xfe, 0)),
                   ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0xff, 0, struct.pack(">I", 1)))):
    row("9113 4.1: undefined flags of %s are ignored" % name, sent, Goes())
row("9113 4.1: the reserved bit is ignored", frame(PING, 0, 0x80000000, b"12345678"), Goes((PING, ACK, b"12345678")))
row("9113 4.1: the reserved bit of HEADERS is ignored", frame(HEADERS, 5, 0x80000001, block(GET)), Answer())

# --- 9113 4.2: sizes
row("9113 4.2: DATA of 2^14 bytes", post() + frame(DATA, END_STREAM, 1, b"x" * 16384), Answer())
row("9113 4.2: DATA beyond 2^14 bytes", post() + frame(DATA, END_STREAM, 1, b"x" * 16385),
    ConnectionError_((FRAME_SIZE_ERROR,)))
row("9113 4.2: HEADERS beyond 2^14 bytes", frame(HEADERS, 5, 1, block(GET) + b"\0" * 16384), fails(FRAME_SIZE_ERROR))
row("9113 4.2: an unknown frame beyond 2^14 bytes", frame(0x42, 0, 0, b"x" * 16385), fails(FRAME_SIZE_ERROR))
for name, kind, stream, sizes in (("PING", PING, 0, (0, 7, 9)), ("PRIORITY", PRIORITY, 1, (4, 6)),
                                  ("RST_STREAM", RST_STREAM, 1, (0, 3, 5)), ("SETTINGS", SETTINGS, 0, (1, 5, 7)),
                                  ("WINDOW_UPDATE", WINDOW_UPDATE, 0, (0, 3, 5)), ("GOAWAY", GOAWAY, 0, (0, 7))):
    for size in sizes:
        clause = {PING: "6.7", PRIORITY: "6.3", RST_STREAM: "6.4", SETTINGS: "6.5", WINDOW_UPDATE: "6.9", GOAWAY: "6.8"}[kind]
        expected: Expect = fails(FRAME_SIZE_ERROR)
        if kind == PRIORITY:
            expected = resets(FRAME_SIZE_ERROR, or_connection=True)
        row("9113 %s: %s of %d bytes" % (clause, name, size), post() + frame(kind, 0, stream, b"\0" * size), expected)
row("9113 6.5: an acknowledgement with a payload", settings((3, 1), flags=ACK), fails(FRAME_SIZE_ERROR))

# --- 9113 4.3: header blocks
row("9113 4.3: a block that cannot be decoded", headers(raw=b"\xff\xff\xff\xff\xff\xff"), fails(COMPRESSION_ERROR))
row("9113 4.3: a block in pieces", headers(flags=END_STREAM, raw=block(GET)[:10]) + frame(CONTINUATION, 0, 1, block(GET)[10:20]) +
    frame(CONTINUATION, END_HEADERS, 1, block(GET)[20:]), Answer())
for name, between in (("DATA", frame(DATA, 0, 1, b"x")), ("PING", frame(PING, 0, 0, b"12345678")), ("HEADERS", request(3)),
                      ("an unknown frame", frame(0x42, 0, 0, b"x")), ("RST_STREAM", frame(RST_STREAM, 0, 1, b"\0\0\0\x08")),
                      ("SETTINGS", settings()), ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")),
                      ("CONTINUATION of another stream", frame(CONTINUATION, END_HEADERS, 3, block(GET)[10:])),
                      ("PRIORITY", frame(PRIORITY, 0, 3, b"\0\0\0\0\x10"))):
    row("9113 4.3, 6.10: %s within a block" % name, headers(flags=END_STREAM, raw=block(GET)[:10]) + between, fails(PROTOCOL_ERROR))
row("9113 6.10: CONTINUATION alone", frame(CONTINUATION, END_HEADERS, 1, block(GET)), fails(PROTOCOL_ERROR))
row("9113 6.10: CONTINUATION behind a complete block", post() + frame(CONTINUATION, END_HEADERS, 1, b""), fails(PROTOCOL_ERROR))
row("9113 6.10: CONTINUATION on stream 0", headers(flags=END_STREAM, raw=block(GET)[:10]) +
    frame(CONTINUATION, END_HEADERS, 0, block(GET)[10:]), fails(PROTOCOL_ERROR))

# --- 9113 5.1: states
for name, sent in (("DATA", frame(DATA, END_STREAM, 1, b"x")), ("RST_STREAM", frame(RST_STREAM, 0, 1, b"\0\0\0\x08")),
                   ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"))):
    row("9113 5.1: %s on an idle stream" % name, sent, fails(PROTOCOL_ERROR))
row("9113 5.1: PRIORITY on an idle stream", frame(PRIORITY, 0, 9, b"\0\0\0\0\x10") + request(), Answer())
row("9113 5.1: DATA on a half-closed stream", headers(1, GET + [("x-hold", "1")]) + frame(DATA, END_STREAM, 1, b"x"),
    resets(STREAM_CLOSED, or_connection=True), listener="hold")
row("9113 5.1: HEADERS on a half-closed stream", headers(1, GET) + headers(1, [("x", "y")]), fails(STREAM_CLOSED), listener="hold")
row("9113 5.1: WINDOW_UPDATE on a half-closed stream", request() + frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), Answer())
row("9113 5.1: PRIORITY on a half-closed stream", request() + frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), Answer())
row("9113 5.1: DATA behind RST_STREAM", post() + frame(RST_STREAM, 0, 1, b"\0\0\0\x08") + frame(DATA, END_STREAM, 1, b"x"),
    Goes())
row("9113 5.1: HEADERS behind RST_STREAM", post() + frame(RST_STREAM, 0, 1, b"\0\0\0\x08") + request(1),
    fails(STREAM_CLOSED, PROTOCOL_ERROR))
row("9113 5.1: PRIORITY behind RST_STREAM", post() + frame(RST_STREAM, 0, 1, b"\0\0\0\x08") +
    frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), Goes())
row("9113 5.1: WINDOW_UPDATE behind RST_STREAM", post() + frame(RST_STREAM, 0, 1, b"\0\0\0\x08") +
    frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), Goes())
row("9113 5.1: RST_STREAM behind RST_STREAM", post() + frame(RST_STREAM, 0, 1, b"\0\0\0\x08") * 2, Goes())

# --- 9113 5.1.1: identifiers
row("9113 5.1.1: an even stream", request(2), fails(PROTOCOL_ERROR))
row("9113 5.1.1: a stream below the last one", request(5) + request(3), fails(PROTOCOL_ERROR, STREAM_CLOSED))
row("9113 5.1.1: streams may be left out", request(7), Answer(stream=7))
row("9113 5.1.2: more streams than allowed", b"".join(post(i) for i in (1, 3, 5, 7)),
    resets(REFUSED_STREAM, PROTOCOL_ERROR, stream=7), listener="few")
row("9113 5.1.2: more streams than allowed, by a client that has acknowledged the limit", settings(flags=ACK) +
    b"".join(post(i) for i in (1, 3, 5, 7)), resets(REFUSED_STREAM, PROTOCOL_ERROR, stream=7), listener="few")

# --- 9113 6.1: DATA
row("9113 6.1: DATA on stream 0", frame(DATA, END_STREAM, 0, b"x"), fails(PROTOCOL_ERROR))
row("9113 6.1: padding", post() + frame(DATA, PADDED | END_STREAM, 1, b"\3xyz\0\0\0"), Answer())
row("9113 6.1: padding as long as the payload", post() + frame(DATA, PADDED | END_STREAM, 1, b"\4xyz"), fails(PROTOCOL_ERROR))
row("9113 6.1: padding beyond the payload", post() + frame(DATA, PADDED | END_STREAM, 1, b"\xffxyz"), fails(PROTOCOL_ERROR))
row("9113 6.1: no room for the length of padding", post() + frame(DATA, PADDED | END_STREAM, 1, b""),
    fails(PROTOCOL_ERROR, FRAME_SIZE_ERROR))
row("9113 6.1: padding alone", post() + frame(DATA, PADDED | END_STREAM, 1, b"\0"), Answer())
row("9113 6.1: empty DATA ends a stream", post() + frame(DATA, END_STREAM, 1), Answer())

# --- 9113 6.2: HEADERS
row("9113 6.2: HEADERS on stream 0", request(0), fails(PROTOCOL_ERROR))
row("9113 6.2: padding", frame(HEADERS, 5 | PADDED, 1, b"\4" + block(GET) + b"\0" * 4), Answer())
row("9113 6.2: padding beyond the payload", frame(HEADERS, 5 | PADDED, 1, b"\xff" + block(GET)), fails(PROTOCOL_ERROR))
row("9113 6.2: priority fields", frame(HEADERS, 5 | PRIORITY_FLAG, 1, b"\0\0\0\0\x10" + block(GET)), Answer())
row("9113 6.2: padding and priority fields", frame(HEADERS, 5 | PRIORITY_FLAG | PADDED, 1, b"\1\0\0\0\0\x10" + block(GET) + b"\0"),
    Answer())
row("9113 6.2: no room for priority fields", frame(HEADERS, 5 | PRIORITY_FLAG, 1, b"\0\0\0"), fails(FRAME_SIZE_ERROR, PROTOCOL_ERROR))

# --- 9113 6.3, 6.4
row("9113 6.3: PRIORITY on stream 0", frame(PRIORITY, 0, 0, b"\0\0\0\0\x10"), fails(PROTOCOL_ERROR))
row("9113 6.4: RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, b"\0\0\0\x08"), fails(PROTOCOL_ERROR))
row("9113 6.4: no RST_STREAM answers RST_STREAM", post() + frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), Goes(lacks=RST_STREAM))
row("9113 7: RST_STREAM with an unknown code", post() + frame(RST_STREAM, 0, 1, b"\0\0\xff\xff"), Goes())

# --- 9113 6.5: SETTINGS
row("9113 6.5: SETTINGS on a stream", settings(stream=1), fails(PROTOCOL_ERROR))
row("9113 6.5.3: SETTINGS are acknowledged", settings((4, 100)), Goes((SETTINGS, ACK, b"")))
row("9113 6.5.2: an unknown setting is ignored", settings((0xff, 1), (0x1234, 0xffffffff)) + request(), Answer())
for value in (2, 0xffffffff):
    row("9113 6.5.2: ENABLE_PUSH of %d" % value, settings((2, value)), fails(PROTOCOL_ERROR))
for value in (0, 1):
    row("9113 6.5.2: ENABLE_PUSH of %d" % value, settings((2, value)) + request(), Answer())
for value in (0x80000000, 0xffffffff):
    row("9113 6.5.2: INITIAL_WINDOW_SIZE of %d" % value, settings((4, value)), fails(FLOW_CONTROL_ERROR))
for value in (0, 16383, 0x1000000, 0xffffffff):
    row("9113 6.5.2: MAX_FRAME_SIZE of %d" % value, settings((5, value)), fails(PROTOCOL_ERROR))
for value in (16384, 0xffffff):
    row("9113 6.5.2: MAX_FRAME_SIZE of %d" % value, settings((5, value)) + request(), Answer())
row("9113 6.5.2: HEADER_TABLE_SIZE of 0", settings((1, 0)) + request(), Answer())
row("9113 6.5.2: HEADER_TABLE_SIZE of 2^32-1", settings((1, 0xffffffff)) + request(), Answer())
row("9113 6.5.2: MAX_CONCURRENT_STREAMS of 0", settings((3, 0)) + request(), Answer())
row("9113 6.5.3: the last of equal settings counts", settings((4, 1), (4, 65535)) + request(), Answer(body=b"hello"))
row("9113 6.5: SETTINGS in the middle", request() + settings((4, 100000)) + request(3), Answer(stream=3))

# --- 9113 6.6: PUSH_PROMISE
row("9113 6.6, 8.4: PUSH_PROMISE from a client", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(GET)), fails(PROTOCOL_ERROR))
row("9113 8.4: PUSH_PROMISE on an open stream", post() + frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(GET)),
    fails(PROTOCOL_ERROR))

# --- 9113 6.7: PING
row("9113 6.7: PING is answered with its payload", frame(PING, 0, 0, b"abcdefgh"), Goes((PING, ACK, b"abcdefgh")))
row("9113 6.7: an answer that nobody asked for", frame(PING, ACK, 0, b"abcdefgh"), Goes(lacks=GOAWAY))
row("9113 6.7: PING on a stream", frame(PING, 0, 1, b"abcdefgh"), fails(PROTOCOL_ERROR))

# --- 9113 6.8: GOAWAY
row("9113 6.8: GOAWAY on a stream", frame(GOAWAY, 0, 1, b"\0" * 8), fails(PROTOCOL_ERROR))
row("9113 6.8: streams that were begun before GOAWAY go on", post() + frame(GOAWAY, 0, 0, b"\0" * 8) + frame(DATA, END_STREAM, 1, b"x"), Answer())

# --- 9113 6.9: WINDOW_UPDATE
row("9113 6.9: an increment of 0 of the connection", frame(WINDOW_UPDATE, 0, 0, b"\0" * 4), fails(PROTOCOL_ERROR))
row("9113 6.9: an increment of 0 of a stream", post() + frame(WINDOW_UPDATE, 0, 1, b"\0" * 4), fails(PROTOCOL_ERROR))
row("9113 6.9.1: the connection's window beyond 2^31-1", frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
    fails(FLOW_CONTROL_ERROR))
row("9113 6.9.1: a stream's window beyond 2^31-1", post() + frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"),
    resets(FLOW_CONTROL_ERROR))
row("9113 6.9: the reserved bit is ignored", frame(WINDOW_UPDATE, 0, 0, b"\x80\0\0\1") + request(), Answer())
row("9113 6.9.2: INITIAL_WINDOW_SIZE takes a window beyond 2^31-1", post() + frame(WINDOW_UPDATE, 0, 1, b"\0\1\0\0") +
    settings((4, 0x7fffffff)), fails(FLOW_CONTROL_ERROR))
row("9113 6.9.1: no more than the window is sent", settings((4, 3)) + request(), Goes((DATA, 0, b"hel")))
row("9113 6.9.2: a window that grows lets go on", settings((4, 1)) + request() + settings((4, 3)), Answer(body=b"hel"))
row("9113 6.9.1: and on it goes", settings((4, 0)) + request() + frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\5"), Answer(body=b"hello"))
row("9113 5.2: an empty window stops no HEADERS", settings((4, 0)) + request(), Goes())

# --- 9113 8.1: messages
row("9113 8.1: trailers", post() + frame(DATA, 0, 1, b"x") + headers(1, [("x-sum", "1")]), Answer())
row("9113 8.1: trailers without END_STREAM", post() + headers(1, [("x-sum", "1")], END_HEADERS), MALFORMED)
for name in (":path", ":method", ":status", ":authority"):
    row("9113 8.1: %s in trailers" % name, post() + headers(1, [(name, "/")]), MALFORMED)
row("9113 8.1: HEADERS behind trailers", post() + headers(1, [("x-sum", "1")]) + headers(1, [("x", "y")]), fails(STREAM_CLOSED),
    listener="hold")
for length, body in (("1", b""), ("1", b"xy"), ("5", b"x")):
    row("9113 8.1.1: content-length %s of %d bytes" % (length, len(body)),
        post(1, ("content-length", length)) + frame(DATA, END_STREAM, 1, body), MALFORMED)
row("9113 8.1.1: content-length of a request that ends with its head", request(1, ("content-length", "1")), MALFORMED)
row("9113 8.1.1: content-length in two frames", post(1, ("content-length", "4")) + frame(DATA, 0, 1, b"ab") +
    frame(DATA, END_STREAM, 1, b"cd"), Answer())
for length in ("x", "-1", "1a", "", "99999999999999999999"):
    row("9113 8.1.1: content-length %r" % length, post(1, ("content-length", length)) + frame(DATA, END_STREAM, 1, b"x"), MALFORMED)
row("9113 8.1.1: two content-lengths", post(1, ("content-length", "1"), ("content-length", "2")), MALFORMED)

# --- 9113 8.2: fields
for bad in ("X-Upper", "x-Upper", "CONTENT-TYPE", "x y", "x:y", "x\x7f", "x\x80", "x\0", "x\r", "x\n", "", "x\t", "x(", "x@", "{x", "x\""):
    row("9113 8.2.1: the name %r" % bad, request(1, (bad, "1")), MALFORMED)
for bad in ("a\0b", "a\rb", "a\nb", "\0", "\r\n", "a\r\nhost: b", " a", "a ", "\ta", "a\t"):
    row("9113 8.2.1: the value %r" % bad, request(1, ("x", bad)), MALFORMED)
for name, value in (("connection", "close"), ("connection", "keep-alive"), ("keep-alive", "5"), ("proxy-connection", "close"),
                    ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("upgrade", "h2c"),
                    ("te", "gzip"), ("te", "trailers, gzip"), ("te", "chunked")):
    row("9113 8.2.2: %s: %s" % (name, value), request(1, (name, value)), MALFORMED)
row("9113 8.2.2: te: trailers", request(1, ("te", "trailers")), Answer())
row("9113 8.2.3: cookies are joined", request(1, ("cookie", "a=1"), ("cookie", "b=2")), Answer(has=[("x-cookie", "a=1; b=2")]),
    listener="echo")

# --- 9113 8.3: pseudo-header fields
for name, fields in (
        ("an unknown one", GET + [(":unknown", "1")]), (":status", GET + [(":status", "200")]),
        ("one behind a field", GET[:3] + [("x", "1"), (":path", "/")]),
        ("no :method", GET[1:]), ("no :scheme", GET[:1] + GET[2:]), ("no :path", GET[:3]), ("an empty :path", GET[:3] + [(":path", "")]),
        ("two :method", GET + [(":method", "GET")]), ("two :scheme", GET + [(":scheme", "http")]), ("two :path", GET + [(":path", "/")]),
        ("two :authority", GET + [(":authority", "a.example")]), ("a :path without /", GET[:3] + [(":path", "a")]),
        ("* for GET", GET[:3] + [(":path", "*")]), ("a space in :path", GET[:3] + [(":path", "/a b")]),
        ("a fragment in :path", GET[:3] + [(":path", "/a#b")]), ("CR in :path", GET[:3] + [(":path", "/a\rb")]),
        ("LF in :authority", GET[:2] + [(":authority", "a\nb"), (":path", "/")]),
        ("userinfo in :authority", GET[:2] + [(":authority", "u@a.example"), (":path", "/")]),
        ("a space in :authority", GET[:2] + [(":authority", "a b"), (":path", "/")]),
        ("an empty :method", [(":method", "")] + GET[1:]), ("a space in :method", [(":method", "G T")] + GET[1:]),
        ("CRLF in :method", [(":method", "GET / HTTP/1.1\r\nx: y")] + GET[1:]), ("upper case :Method", [(":Method", "GET")] + GET[1:]),
        ("a :scheme that is none", GET[:1] + [(":scheme", "ht tp")] + GET[2:]),
        ("host that differs", GET + [("host", "b.example")]), ("two host", GET[:2] + GET[3:] + [("host", "a"), ("host", "a")]),
        (":protocol that nobody has allowed", [(":method", "CONNECT"), (":protocol", "websocket")] + GET[1:])):
    row("9113 8.3: %s" % name, headers(1, fields), MALFORMED)
row("9113 8.3.1: host instead of :authority", headers(1, GET[:2] + GET[3:] + [("host", "a.example")]), Answer())
row("9113 8.3.1: host that is the same", headers(1, GET + [("host", "a.example")]), Answer())
row("9113 8.3.1: OPTIONS *", headers(1, [(":method", "OPTIONS")] + GET[1:3] + [(":path", "*")]), Answer(status=404))
for name, fields in ((":path", [(":method", "CONNECT"), (":authority", "a:1"), (":path", "/")]),
                     (":scheme", [(":method", "CONNECT"), (":authority", "a:1"), (":scheme", "http")]),
                     ("no :authority", [(":method", "CONNECT")]), ("no port", [(":method", "CONNECT"), (":authority", "a.example")])):
    row("9113 8.5: CONNECT with %s" % name, headers(1, fields, END_HEADERS), MALFORMED)
row("9113 8.5: CONNECT that is not allowed", headers(1, [(":method", "CONNECT"), (":authority", "a:1")], END_HEADERS),
    Answer(status=403))

# --- 9113 8.3.2, 9110: responses
row("9113 8.3.2: no fields of a connection", request(), Answer(lacks=["connection", "transfer-encoding", "keep-alive"]), listener="echo")
row("9110 9.3.2: HEAD has no content", headers(1, [(":method", "HEAD")] + GET[1:]), Answer(body=b""))

# --- 7541: HPACK
INDEXED_GET = b"\x82\x86\x84\x41\x09a.example"
row("7541 2.3.1: the static table", headers(raw=INDEXED_GET), Answer())
row("7541 2.3.2: the dynamic table is kept for the next block", headers(raw=INDEXED_GET) + headers(3, raw=b"\x82\x86\x84\xbe"),
    Answer(stream=3))
row("7541 2.3.3: an index beyond the tables", headers(raw=INDEXED_GET + b"\xff\x80\x01"), fails(COMPRESSION_ERROR))
row("7541 2.3.3: the first index beyond the tables", headers(raw=b"\x82\x86\x84\xbe"), fails(COMPRESSION_ERROR))
row("7541 6.1: index 0", headers(raw=INDEXED_GET + b"\x80"), fails(COMPRESSION_ERROR))
row("7541 6.2: a literal whose name's index is beyond the tables", headers(raw=INDEXED_GET + b"\x7f\x80\x01\x01x"), fails(COMPRESSION_ERROR))
row("7541 6.2.2: a literal without indexing", headers(raw=INDEXED_GET + b"\x00\x01x\x01y"), Answer())
row("7541 6.2.3: a literal never indexed", headers(raw=INDEXED_GET + b"\x10\x01x\x01y"), Answer())
row("7541 6.2.3: never indexed does not enter the table", headers(raw=INDEXED_GET + b"\x10\x01x\x01y") +
    headers(3, raw=b"\x82\x86\x84\xbf"), fails(COMPRESSION_ERROR))
row("7541 5.1: an integer that does not end", headers(raw=b"\xff" + b"\x80" * 30), fails(COMPRESSION_ERROR))
row("7541 5.1: an integer that does not fit", headers(raw=b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), fails(COMPRESSION_ERROR))
row("7541 5.2: a string beyond the block", headers(raw=INDEXED_GET + b"\x00\x01x\x7f\x20y"), fails(COMPRESSION_ERROR))
row("7541 5.2: Huffman", headers(raw=b"\x82\x86\x84\x41" + bytes([0x80 | len(hpack.huffman.HuffmanEncoder(
    hpack.huffman_constants.REQUEST_CODES, hpack.huffman_constants.REQUEST_CODES_LENGTH).encode(b"a.example"))]) +
    hpack.huffman.HuffmanEncoder(hpack.huffman_constants.REQUEST_CODES,
                                 hpack.huffman_constants.REQUEST_CODES_LENGTH).encode(b"a.example")), Answer())
row("7541 5.2: Huffman padding of more than 7 bits", headers(raw=INDEXED_GET + b"\x00\x01x\x82\x1f\xff"), fails(COMPRESSION_ERROR))
row("7541 5.2: Huffman padding that is not EOS", headers(raw=INDEXED_GET + b"\x00\x01x\x81\x18"), fails(COMPRESSION_ERROR))
row("7541 5.2: EOS in a Huffman string", headers(raw=INDEXED_GET + b"\x00\x01x\x84\xff\xff\xff\xff"), fails(COMPRESSION_ERROR))
row("7541 4.2: a size update at the beginning", headers(raw=b"\x20" + INDEXED_GET), Answer())
row("7541 4.2: two size updates", headers(raw=b"\x20\x3f\xe1\x1f" + INDEXED_GET), Answer())
row("7541 4.2: a size update in the middle", headers(raw=INDEXED_GET + b"\x20"), fails(COMPRESSION_ERROR))
row("7541 6.3: a size update beyond the limit", headers(raw=b"\x3f\xe1\xff\x03" + INDEXED_GET), fails(COMPRESSION_ERROR))
row("7541 4.4: an entry larger than the table empties it", headers(raw=b"\x3f\x11" + INDEXED_GET) + headers(3, raw=b"\x82\x86\x84\xbe"),
    fails(COMPRESSION_ERROR))
row("7541 4.3: a smaller table evicts", headers(raw=INDEXED_GET) + headers(3, raw=b"\x20\x82\x86\x84\xbe"), fails(COMPRESSION_ERROR))
