"""What RFC 9113 and RFC 7541 demand of a client, one row per case; the expectations are written from the RFCs.

A row names its clause, the SETTINGS that the server begins with (or other bytes), what it sends when the request has come, which
is on stream 1, and what must come of that: what weir sends to the server, and what its own client gets.
client_clauses_test.py plays the server over TLS and in the clear.
"""

from dataclasses import dataclass, field
from typing import Optional, Union

from clauses import Fields, block
from harness.frames import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
                            GOAWAY, HEADERS, PADDED, PING, PRIORITY, PRIORITY_FLAG, PROTOCOL_ERROR,
                            PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, settings)


@dataclass
class Fails:
    """GOAWAY with one of these codes, and the end of the connection; the request gets no answer of the server's. With
    `or_stream`, RST_STREAM with one of them is as good, and the connection goes on."""

    codes: tuple[int, ...]
    or_stream: bool = False
    answered: bool = False  # the answer had come before


@dataclass
class Gets:
    """The request gets this answer, and the connection goes on. `sends`: a frame of this kind, flags and payload comes."""

    status: int = 200
    body: Optional[bytes] = None
    has: Fields = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    sends: Optional[tuple[int, int, bytes]] = None
    goes_on: bool = True


@dataclass
class Asks:
    """Fields that the request to the server has, or has not; and its first frames."""

    has: Fields = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)


@dataclass
class Row:
    clause: str
    sends: bytes
    expect: Union[Fails, Gets, Asks]
    preface: bytes = settings()
    method: str = "GET"
    fields: Fields = field(default_factory=list)  # of the request that weir gets
    body: Optional[bytes] = None


ROWS: list[Row] = []


def row(clause: str, sends: bytes, expect: Union[Fails, Gets, Asks], **more: object) -> None:
    ROWS.append(Row(clause, sends, expect, **more))  # type: ignore[arg-type]


def fails(*codes: int) -> Fails:
    return Fails(codes)


def head(*fields: tuple[str, str], status: str = "200", flags: int = END_STREAM | END_HEADERS, stream: int = 1) -> bytes:
    return frame(HEADERS, flags, stream, block([(":status", status), *fields]))


def raw(payload: bytes, flags: int = END_STREAM | END_HEADERS, stream: int = 1) -> bytes:
    return frame(HEADERS, flags, stream, payload)


OPEN = END_HEADERS  # without an end
OK = head()
HELLO = head(flags=OPEN) + frame(DATA, END_STREAM, 1, b"hello")
# A malformed message (8.1.1) is an error of its stream; 5.4.1 lets a client end the connection with it.
MALFORMED = Fails((PROTOCOL_ERROR,), or_stream=True)

# --- 9113 3.4: how a connection begins
row("9113 3.4: the client's preface, and SETTINGS first", OK, Gets())
row("9113 3.4: the server begins with another frame", b"", fails(PROTOCOL_ERROR), preface=frame(PING, 0, 0, b"12345678"))
row("9113 3.4: the server speaks HTTP/1", b"", fails(PROTOCOL_ERROR, FRAME_SIZE_ERROR), preface=b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3)
row("9113 3.4: SETTINGS that are an acknowledgement", b"", fails(PROTOCOL_ERROR), preface=settings(flags=ACK))
row("9113 6.5.3: SETTINGS are acknowledged", OK, Gets(sends=(SETTINGS, ACK, b"")))

# --- 9113 4.1, 4.2: frames
row("9113 4.1: an unknown frame is ignored", frame(0x42, 0xff, 0, b"abc") + frame(0x42, 0, 1, b"abc") + HELLO, Gets(body=b"hello"))
row("9113 4.1: unknown flags are ignored", frame(HEADERS, END_HEADERS | 0xd0 & ~PADDED, 1, block([(":status", "200")])) +
    frame(DATA, END_STREAM | 0x50, 1, b"hello"), Gets(body=b"hello"))
row("9113 4.1: the reserved bit is ignored", raw(block([(":status", "200")]), stream=0x80000001), Gets())
row("9113 4.2: DATA of 2^14 bytes", head(flags=OPEN) + frame(DATA, END_STREAM, 1, b"x" * 16384), Gets(body=b"x" * 16384))
row("9113 4.2: DATA beyond 2^14 bytes", head(flags=OPEN) + frame(DATA, END_STREAM, 1, b"x" * 16385), Fails((FRAME_SIZE_ERROR,), or_stream=True, answered=True))
row("9113 4.2: HEADERS beyond 2^14 bytes", raw(block([(":status", "200"), ("x", "y" * 16400)])), fails(FRAME_SIZE_ERROR))
for name, kind, stream, sizes in (("PING", PING, 0, (0, 7, 9)), ("RST_STREAM", RST_STREAM, 1, (0, 3, 5)), ("SETTINGS", SETTINGS, 0, (1, 5, 7)),
                                  ("WINDOW_UPDATE", WINDOW_UPDATE, 0, (0, 3, 5)), ("GOAWAY", GOAWAY, 0, (0, 7)), ("PRIORITY", PRIORITY, 1, (4, 6))):
    for size in sizes:
        row("9113 4.2, 6: %s of %d bytes" % (name, size), frame(kind, 0, stream, b"\0" * size), Fails((FRAME_SIZE_ERROR,), or_stream=kind == PRIORITY))

# --- 9113 4.3, 6.10: header blocks
row("9113 4.3: a block in pieces", raw(block([(":status", "200"), ("x", "y")])[:3], END_STREAM) +
    frame(CONTINUATION, 0, 1, block([(":status", "200"), ("x", "y")])[3:6]) +
    frame(CONTINUATION, END_HEADERS, 1, block([(":status", "200"), ("x", "y")])[6:]), Gets(has=[("x", "y")]))
row("9113 4.3: a block that cannot be decoded", raw(b"\xff\xff\xff\xff\xff\xff"), fails(COMPRESSION_ERROR))
for name, between in (("DATA", frame(DATA, 0, 1, b"x")), ("PING", frame(PING, 0, 0, b"12345678")), ("SETTINGS", settings()),
                      ("RST_STREAM", frame(RST_STREAM, 0, 1, b"\0\0\0\x08")), ("an unknown frame", frame(0x42, 0, 0, b"x")),
                      ("CONTINUATION of another stream", frame(CONTINUATION, END_HEADERS, 3, b"x"))):
    row("9113 6.10: %s within a block" % name, raw(block([(":status", "200")])[:3], END_STREAM) + between, fails(PROTOCOL_ERROR))
row("9113 6.10: CONTINUATION alone", frame(CONTINUATION, END_HEADERS, 1, block([(":status", "200")])), fails(PROTOCOL_ERROR))
row("9113 6.10: CONTINUATION on stream 0", raw(block([(":status", "200")])[:3], END_STREAM) + frame(CONTINUATION, END_HEADERS, 0, b"x"),
    fails(PROTOCOL_ERROR))

# --- 9113 5.1: states of streams
for name, sent in (("DATA", frame(DATA, END_STREAM, 3, b"x")), ("RST_STREAM", frame(RST_STREAM, 0, 3, b"\0\0\0\x08")),
                   ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 3, b"\0\0\0\1")), ("HEADERS", head(stream=3))):
    row("9113 5.1: %s on an idle stream" % name, sent, fails(PROTOCOL_ERROR))
row("9113 5.1: PRIORITY on an idle stream", frame(PRIORITY, 0, 9, b"\0\0\0\0\x10") + HELLO, Gets(body=b"hello"))
row("9113 5.1.1: a stream that the server opens", head(stream=2), fails(PROTOCOL_ERROR))
row("9113 5.1: frames behind the end of a stream", HELLO + frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1") +
    frame(RST_STREAM, 0, 1, b"\0\0\0\0") + frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), Gets(body=b"hello"))

# --- 9113 6.1: DATA
row("9113 6.1: DATA on stream 0", frame(DATA, END_STREAM, 0, b"x"), fails(PROTOCOL_ERROR))
row("9113 6.1: padding", head(flags=OPEN) + frame(DATA, PADDED | END_STREAM, 1, b"\3xyz\0\0\0"), Gets(body=b"xyz"))
row("9113 6.1: padding alone", head(flags=OPEN) + frame(DATA, PADDED | END_STREAM, 1, b"\0"), Gets(body=b""))
row("9113 6.1: padding as long as the payload", head(flags=OPEN) + frame(DATA, PADDED | END_STREAM, 1, b"\4xyz"),
    Fails((PROTOCOL_ERROR,), answered=True))
row("9113 6.1: no room for the length of padding", head(flags=OPEN) + frame(DATA, PADDED | END_STREAM, 1, b""),
    Fails((PROTOCOL_ERROR, FRAME_SIZE_ERROR), answered=True))

# --- 9113 6.2, 6.3, 6.4
row("9113 6.2: HEADERS on stream 0", head(stream=0), fails(PROTOCOL_ERROR))
row("9113 6.2: padding", raw(b"\4" + block([(":status", "200")]) + b"\0" * 4, END_STREAM | END_HEADERS | PADDED), Gets())
row("9113 6.2: padding beyond the payload", raw(b"\xff" + block([(":status", "200")]), END_STREAM | END_HEADERS | PADDED), fails(PROTOCOL_ERROR))
row("9113 6.2: priority fields", raw(b"\0\0\0\0\x10" + block([(":status", "200")]), END_STREAM | END_HEADERS | PRIORITY_FLAG), Gets())
row("9113 6.3: PRIORITY on stream 0", frame(PRIORITY, 0, 0, b"\0\0\0\0\x10"), fails(PROTOCOL_ERROR))
row("9113 6.3: PRIORITY is ignored", frame(PRIORITY, 0, 1, b"\0\0\0\0\x10") + HELLO, Gets(body=b"hello"))
row("9113 6.4: RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, b"\0\0\0\x08"), fails(PROTOCOL_ERROR))
row("9113 6.4: RST_STREAM ends a request", frame(RST_STREAM, 0, 1, b"\0\0\0\x02"), Gets(status=503))
row("9113 7: RST_STREAM with an unknown code", frame(RST_STREAM, 0, 1, b"\0\0\xff\xff"), Gets(status=503))
row("9113 8.1: RST_STREAM(NO_ERROR) behind an early answer", HELLO + frame(RST_STREAM, 0, 1, b"\0\0\0\0"), Gets(body=b"hello"), method="POST",
    body=b"x" * 10)

# --- 9113 6.5: SETTINGS
row("9113 6.5: SETTINGS on a stream", settings(stream=1), fails(PROTOCOL_ERROR))
row("9113 6.5: an acknowledgement with a payload", settings((3, 1), flags=ACK), fails(FRAME_SIZE_ERROR))
row("9113 6.5.2: an unknown setting is ignored", OK, Gets(), preface=settings((0xff, 1), (0x1234, 0xffffffff)))
for value in (1, 2):
    row("9113 6.5.2: ENABLE_PUSH of %d from a server" % value, b"", fails(PROTOCOL_ERROR), preface=settings((2, value)))
row("9113 6.5.2: ENABLE_PUSH of 0 from a server", OK, Gets(), preface=settings((2, 0)))
row("9113 6.5.2: INITIAL_WINDOW_SIZE of 2^31", b"", fails(FLOW_CONTROL_ERROR), preface=settings((4, 0x80000000)))
for value in (16383, 0x1000000):
    row("9113 6.5.2: MAX_FRAME_SIZE of %d" % value, b"", fails(PROTOCOL_ERROR), preface=settings((5, value)))
for value in (16384, 0xffffff):
    row("9113 6.5.2: MAX_FRAME_SIZE of %d" % value, OK, Gets(), preface=settings((5, value)))
for value in (0, 0xffffffff):
    row("9113 6.5.2: HEADER_TABLE_SIZE of %d" % value, OK, Gets(), preface=settings((1, value)))
row("8441 3: ENABLE_CONNECT_PROTOCOL of 2", b"", fails(PROTOCOL_ERROR), preface=settings((8, 2)))
row("9113 6.5: SETTINGS in the middle", settings((4, 100000)) + HELLO, Gets(body=b"hello"))

# --- 9113 6.6, 8.4: pushes, which weir has turned off
PROMISE = b"\0\0\0\2" + block([(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")])
row("9113 6.6, 8.4: PUSH_PROMISE although SETTINGS say no", frame(PUSH_PROMISE, END_HEADERS, 1, PROMISE), fails(PROTOCOL_ERROR))
row("9113 6.6: PUSH_PROMISE on stream 0", frame(PUSH_PROMISE, END_HEADERS, 0, PROMISE), fails(PROTOCOL_ERROR))

# --- 9113 6.7, 6.8
row("9113 6.7: PING is answered with its payload", frame(PING, 0, 0, b"abcdefgh") + OK, Gets(sends=(PING, ACK, b"abcdefgh")))
row("9113 6.7: PING on a stream", frame(PING, 0, 1, b"abcdefgh"), fails(PROTOCOL_ERROR))
row("9113 6.7: an answer that nobody asked for", frame(PING, ACK, 0, b"abcdefgh") + OK, Gets())
row("9113 6.8: GOAWAY on a stream", frame(GOAWAY, 0, 1, b"\0" * 8), fails(PROTOCOL_ERROR))
row("9113 6.8: what GOAWAY covers is answered", frame(GOAWAY, 0, 0, b"\0\0\0\1" + b"\0" * 4) + HELLO, Gets(body=b"hello", goes_on=False))
row("9113 6.8: GOAWAY with more, and an unknown code", frame(GOAWAY, 0, 0, b"\0\0\0\1\0\0\xff\xffmore") + HELLO, Gets(body=b"hello", goes_on=False))

# --- 9113 6.9: flow control
row("9113 6.9: WINDOW_UPDATE of 0 on the connection", frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), fails(PROTOCOL_ERROR))
row("9113 6.9: WINDOW_UPDATE of 0 on a stream", frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\0"), Fails((PROTOCOL_ERROR,), or_stream=True))
row("9113 6.9.1: a connection's window beyond 2^31-1", frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), fails(FLOW_CONTROL_ERROR))
row("9113 6.9.1: a stream's window beyond 2^31-1", frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff") * 2, Fails((FLOW_CONTROL_ERROR,), or_stream=True))

# --- 9113 8.1: messages
row("9113 8.1: interim responses", head(("x", "1"), status="103", flags=OPEN) + head(status="102", flags=OPEN) + HELLO, Gets(body=b"hello"))
row("9110 15.2: 32 interim responses", head(status="103", flags=OPEN) * 32 + HELLO, Gets(body=b"hello"))
row("9110 15.2: more than anybody can mean", head(status="103", flags=OPEN) * 33 + HELLO, Fails((CANCEL,), or_stream=True))
row("9113 8.1: an interim response that ends", head(status="103"), MALFORMED)
row("9113 8.6: 101", head(status="101", flags=OPEN), MALFORMED)
row("9113 8.1: trailers", head(flags=OPEN) + frame(DATA, 0, 1, b"hello") + raw(block([("x-sum", "1")])), Gets(body=b"hello"))
row("9113 8.1: trailers that do not end", head(flags=OPEN) + raw(block([("x-sum", "1")]), OPEN), Fails((PROTOCOL_ERROR,), or_stream=True, answered=True))
row("9113 8.1: a pseudo-header in trailers", head(flags=OPEN) + raw(block([(":status", "200")])), Fails((PROTOCOL_ERROR,), or_stream=True, answered=True))
row("9113 8.1: DATA before HEADERS", frame(DATA, END_STREAM, 1, b"x"), MALFORMED)
row("9113 8.1.1: less than content-length", head(("content-length", "6"), flags=OPEN) + frame(DATA, END_STREAM, 1, b"hello"),
    Fails((PROTOCOL_ERROR,), or_stream=True, answered=True))
row("9113 8.1.1: more than content-length", head(("content-length", "4"), flags=OPEN) + frame(DATA, END_STREAM, 1, b"hello"),
    Fails((PROTOCOL_ERROR,), or_stream=True, answered=True))
row("9113 8.1.1: content-length and no body", head(("content-length", "4")), Fails((PROTOCOL_ERROR,), or_stream=True, answered=True))
row("9113 8.1.1: content-length that is right", head(("content-length", "5"), flags=OPEN) + frame(DATA, END_STREAM, 1, b"hello"), Gets(body=b"hello"))
row("9113 8.1.1: content-length in an answer to HEAD", head(("content-length", "500")), Gets(has=[("content-length", "500")]), method="HEAD")
row("9113 8.1.1: content-length of 304", head(("content-length", "500"), status="304"), Gets(status=304))
row("9113 8.1.1: two content-length that differ", head(("content-length", "4"), ("content-length", "5")), MALFORMED)

# --- 9113 8.2: fields
for name, fields in (
        ("upper case in a name", [("X-Upper", "1")]), ("a space in a name", [("x y", "1")]), ("a colon in a name", [("x:y", "1")]),
        ("an empty name", [("", "1")]), ("NUL in a name", [("x\0y", "1")]), ("CR in a name", [("x\ry", "1")]), ("LF in a name", [("x\ny", "1")]),
        ("NUL in a value", [("x", "a\0b")]), ("CR in a value", [("x", "a\rb")]), ("LF in a value", [("x", "a\nb")]),
        ("CRLF in a value", [("x", "a\r\nset-cookie: b")])):
    row("9113 8.2.1: %s" % name, head(*fields), MALFORMED)
for name, text in (("connection", "close"), ("keep-alive", "timeout=5"), ("proxy-connection", "close"), ("transfer-encoding", "chunked"),
                   ("upgrade", "h2c")):
    row("9113 8.2.2: %s" % name, head((name, text)), MALFORMED)

# --- 9113 8.3.2: pseudo-headers of responses
for name, sent in (("no :status", raw(block([("x", "y")]))), ("two :status", head((":status", "200"))), (":status of two digits", head(status="20")),
                   (":status that is no number", head(status="2x0")), ("an empty :status", head(status="")), (":status of four digits", head(status="2000")),
                   (":status behind a field", raw(block([("x", "y"), (":status", "200")]))), (":method", head((":method", "GET"))),
                   (":path", head((":path", "/"))), ("an unknown one", head((":unknown", "1")))):
    row("9113 8.3.2: %s" % name, sent, MALFORMED)

# --- 9113 8.2, 8.3: requests as weir sends them
PSEUDO: Fields = [(":method", "GET"), (":scheme", "http"), (":authority", "test.example")]
row("9113 8.3.1: pseudo-headers, first and once", OK, Asks(has=PSEUDO, lacks=["host"]))
row("9113 8.2.2: no fields of a connection", OK, Asks(has=[("te", "trailers")], lacks=["connection", "keep-alive", "proxy-connection", "x-mine", "upgrade"]),
    fields=[("connection", "x-mine, te"), ("x-mine", "1"), ("keep-alive", "timeout=5"), ("proxy-connection", "close"), ("te", "trailers")])
row("9113 8.2.2: te says trailers or nothing", OK, Asks(lacks=["te"]), fields=[("connection", "te"), ("te", "gzip")])
row("9113 8.2.1: names in lower case", OK, Asks(has=[("x-upper", "1")]), fields=[("X-Upper", "1")])
row("9113 8.2.2: chunks become frames", OK, Asks(has=[(":method", "POST")], lacks=["transfer-encoding"]), method="POST", body=b"chunked")

# --- 7541: HPACK
row("7541 2.3.1: the static table", raw(b"\x88"), Gets())
row("7541 2.3.2: the dynamic table", raw(b"\x88\x40\x01x\x01y", OPEN) + raw(b"\xbe"), Gets(has=[("x", "y")]))
row("7541 2.3.3: an index beyond the tables", raw(b"\x88\xff\x80\x01"), fails(COMPRESSION_ERROR))
row("7541 2.3.3: the first index beyond the tables", raw(b"\x88\xbe"), fails(COMPRESSION_ERROR))
row("7541 6.1: index 0", raw(b"\x88\x80"), fails(COMPRESSION_ERROR))
row("7541 6.2: a literal whose name's index is beyond the tables", raw(b"\x88\x7f\x80\x01\x01x"), fails(COMPRESSION_ERROR))
row("7541 6.2.3: a literal never indexed", raw(b"\x88\x10\x01x\x01y"), Gets(has=[("x", "y")]))
row("7541 5.1: an integer that does not end", raw(b"\xff" + b"\x80" * 30), fails(COMPRESSION_ERROR))
row("7541 5.2: a string beyond the block", raw(b"\x88\x00\x01x\x7f\x20y"), fails(COMPRESSION_ERROR))
row("7541 5.2: Huffman padding of more than 7 bits", raw(b"\x88\x00\x01x\x82\x1f\xff"), fails(COMPRESSION_ERROR))
row("7541 5.2: EOS in a Huffman string", raw(b"\x88\x00\x01x\x84\xff\xff\xff\xff"), fails(COMPRESSION_ERROR))
row("7541 4.2: a size update at the beginning", raw(b"\x20\x88"), Gets())
row("7541 4.2: a size update in the middle", raw(b"\x88\x20"), fails(COMPRESSION_ERROR))
row("7541 6.3: a size update beyond the limit", raw(b"\x3f\xe1\xff\x03\x88"), fails(COMPRESSION_ERROR))
