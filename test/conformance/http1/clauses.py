"""What RFC 9110 and RFC 9112 demand of an intermediary, one row per case; the expectations are written from the RFCs.

A row names its clause ("9112 3.2: what is tried"). Where weir is stricter than the text, because a message that two
readers could understand differently is refused and never repaired, the row says `strict`.
clauses_test.py sends the rows; every listener of LISTENERS routes everything to one origin.
"""

from dataclasses import dataclass, field
from typing import Optional

# Fields of the connection manager of each listener.
LISTENERS: dict[str, dict] = {
    "plain": {"http_protocol_options": {"enable_trailers": True}},
    "http10": {"http_protocol_options": {"accept_http_10": True}},
    "via": {"via": "1.1 weir"},
    "continue": {"proxy_100_continue": True},
    "small": {"max_request_headers_kb": 2, "common_http_protocol_options": {"max_headers_count": 20}},
    "tunnels": {"upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
                "http_protocol_options": {"accept_http_10": True}},
    "packs": {"http_filters": [{"name": "packer", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
        "response_direction_config": {"common_config": {"min_content_length": 1}},
        "compressor_library": {"name": "gzip", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip"}}}}]},
}

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Answer:
    """What the client must get. `has`: fields with their values; `status`: any of these."""

    status: tuple[int, ...] = (200,)
    has: list[tuple[str, str]] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)  # fields that it has exactly once, whatever their value
    body: Optional[bytes] = None
    trailers: Optional[list[tuple[str, str]]] = None
    interim: Optional[list[int]] = None
    reason: Optional[str] = None
    version: Optional[str] = "HTTP/1.1"
    method: str = "GET"
    cut_short: bool = False  # the answer must not look complete


@dataclass
class Request:
    """What must reach the origin, beyond being one well-formed request of HTTP/1.1 with one Host."""

    method: Optional[str] = None
    target: Optional[str] = None
    has: list[tuple[str, str]] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    body: Optional[bytes] = None
    trailers: Optional[list[tuple[str, str]]] = None
    order: Optional[tuple[str, list[str]]] = None  # all fields of a name, in order


@dataclass
class Row:
    clause: str
    client_sends: list[bytes]
    answers: list[Answer]
    reach: list[Request] = field(default_factory=list)
    origin_sends: list[bytes] = field(default_factory=lambda: [OK])  # empty: it closes instead
    closes: bool = False  # weir closes the client's connection afterwards
    client_ends: bool = False  # the client closes its direction after sending
    origin_closes: bool = False  # after its answer
    listener: str = "plain"


ROWS: list[Row] = []
_FAILED = (400, 413, 414, 431, 501, 505)


def refuse(clause: str, message: bytes, status: tuple[int, ...] = (400,), listener: str = "plain") -> None:
    """The message is answered with an error, nothing reaches the origin, the connection ends. 9112 9.6: and that is
    said; 9110 6.6.1: a server with a clock says when."""
    ROWS.append(Row(clause, [message], [Answer(status, has=[("connection", "close")], present=["date", "content-length"])],
                    closes=True, listener=listener))


def forward(clause: str, message: bytes, reach: Optional[Request] = None, answer: Optional[Answer] = None, **fields) -> None:
    """One request that reaches the origin as one request, and is answered."""
    ROWS.append(Row(clause, [message], [answer or Answer()], [reach or Request()], **fields))


def get(line: bytes = b"GET / HTTP/1.1", *fields: bytes, host: Optional[bytes] = b"a.example", body: bytes = b"") -> bytes:
    """A request head of these lines, and a body."""
    lines = [line] + ([b"Host: " + host] if host is not None else []) + list(fields)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return get(b"POST / HTTP/1.1", *fields, body=body)


def respond(clause: str, response: bytes, answer: Answer, request: bytes = get(), **fields) -> None:
    """The origin's answer to a GET, and what the client gets of it."""
    ROWS.append(Row(clause, [request], [answer], [Request()], origin_sends=[response], **fields))


def bad_gateway(clause: str, response: bytes, **fields) -> None:
    """An answer of the origin that must not be forwarded: 502, the client's connection goes on."""
    respond(clause, response, Answer((502,)), origin_closes=True, **fields)


# ---- 9112 2.2: parsing ------------------------------------------------------------------------------------------------

forward("9112 2.2: one empty line before the request line is ignored", b"\r\n" + get())
forward("9112 2.2: octets beyond ASCII in a field value go on unchanged", get(b"GET / HTTP/1.1", b"X-Obs: caf\xe9 \xff\x80"),
        Request(has=[("x-obs", "caf\xe9 \xff\x80")]))
refuse("9112 2.2: white space between request line and first field", b"GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n")
refuse("9112 2.2: a tab between request line and first field", b"GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n")
refuse("9112 2.2: only white space after the request line", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n")
for place, message in {
        "in the request line": b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", "after the version": b"GET / HTTP/1.1\rHost: a\r\n\r\n",
        "in a field name": b"GET / HTTP/1.1\r\nHost: a\r\nX\rY: z\r\n\r\n", "in a field value": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
        "at the start of a value": b"GET / HTTP/1.1\r\nHost: a\r\nX:\ry\r\n\r\n", "before CRLF": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\r\n\r\n",
        "in the empty line": b"GET / HTTP/1.1\r\nHost: a\r\n\r\rX: y\r\n\r\n", "before the request line": b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"}.items():
    refuse("9112 2.2: a bare CR " + place, message)
for place, message in {
        "ends the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n", "ends a field line": b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "ends the head": b"GET / HTTP/1.1\r\nHost: a\r\n\n", "alone ends everything": b"GET / HTTP/1.1\nHost: a\n\n",
        "stands before the request line": b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"}.items():
    refuse("9112 2.2 strict: a bare LF " + place, message)
refuse("9112 2.2: no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32)
refuse("9112 2.2: no HTTP at all, as text", b"EHLO mail.example\r\n\r\n")
refuse("9112 2.2: no HTTP at all, as a SOCKS greeting", b"\x05\x01\x00")

# ---- 9112 2.3, 2.5: versions ------------------------------------------------------------------------------------------

forward("9112 2.3: a request of 1.0 goes on as 1.1", b"GET /x HTTP/1.0\r\nHost: a\r\n\r\n", Request(target="/x"), closes=True, listener="http10")
forward("9110 2.5: a higher minor version is taken for 1.1", get(b"GET / HTTP/1.2"))
forward("9110 2.5: the highest minor version", get(b"GET / HTTP/1.9"))
for version in (b"http/1.1", b"Http/1.1", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1,1", b"HTTP/1.1x", b"HTTP/-1.1",
                b"HTTP/1.x", b"HTP/1.1", b"HTTPS/1.1", b"XTTP/1.1", b"HTTP 1.1", b"HTTP/1 .1"):
    refuse("9112 2.3: no version: " + version.decode(), get(b"GET / " + version))
for version in (b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9"):
    refuse("9110 15.6.6: a major version that is not spoken: " + version.decode(), get(b"GET / " + version), (400, 505))
refuse("9112 2.3: HTTP/0.9 has no version", b"GET /\r\n\r\n")
respond("9112 2.3: an answer of 1.0 goes on as 1.1", b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", Answer(body=b"ok", version="HTTP/1.1"))
respond("9110 2.5: an answer of a higher minor version", b"HTTP/1.2 200 OK\r\ncontent-length: 2\r\n\r\nok", Answer(body=b"ok"))

# ---- 9112 3: the request line -----------------------------------------------------------------------------------------

for text, line in {
        "two spaces before the target": b"GET  / HTTP/1.1", "two spaces before the version": b"GET /  HTTP/1.1", "a tab": b"GET\t/ HTTP/1.1",
        "a tab before the version": b"GET /\tHTTP/1.1", "a space at the end": b"GET / HTTP/1.1 ", "a space at the beginning": b" GET / HTTP/1.1",
        "a space in the target": b"GET /a b HTTP/1.1", "a vertical tab": b"GET\x0b/ HTTP/1.1", "a form feed": b"GET /\x0cx HTTP/1.1",
        "no target": b"GET HTTP/1.1", "an empty target": b"GET  HTTP/1.1", "no method": b"/ HTTP/1.1", "only a method": b"GET",
        "NUL in the method": b"G\x00ET / HTTP/1.1", "NUL in the target": b"GET /\x00 HTTP/1.1", "NUL behind the version": b"GET / HTTP/1.1\x00"}.items():
    refuse("9112 3: " + text, get(line))
for method in (b"GET(", b"GE\"T", b"GE/T", b"GE:T", b"GE[T", b"G{ET", b"G@ET", b"G,ET", b"G;ET", b"G=ET", b"G\x7fET", b"G\xe9T"):
    refuse("9110 9.1: a method is a token: " + repr(method)[2:-1], get(method + b" / HTTP/1.1"))
for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"M-SEARCH", b"FOO", b"get", b"X!#$%&'*+.^_`|~1"):
    forward("9110 9.1: methods go on as they are, also unknown ones: " + method.decode(), get(method + b" /m HTTP/1.1"),
            Request(method=method.decode(), target="/m"), Answer(method=method.decode()))
refuse("9112 3: a target longer than any that is taken", get(b"GET /" + b"a" * 70000 + b" HTTP/1.1"), (414, 431))
forward("9112 3: a target of 8000 octets is taken", get(b"GET /" + b"a" * 8000 + b" HTTP/1.1"), Request(target="/" + "a" * 8000))

# ---- 9112 3.2: targets and Host ---------------------------------------------------------------------------------------

for target in (b"/", b"/a/b", b"/?", b"/?a=b&c", b"/a?b?c", b"/%20%2F%00", b"/~user/", b"/a;p=1", b"/;;", b"//a//b", b"/.", b"/..", b"/a/../b",
               b"/a/./b", b"/:@!$&'()*+,=", b"/{}|^`\"<>", b"/a?b=/c/d", b"/%zz", b"/\\"):
    forward("9110 7.7: path and query are not changed: " + target.decode(), get(b"GET " + target + b" HTTP/1.1"), Request(target=target.decode()))
for target in (b"a", b"a/b", b"?a", b"*", b"a:80", b"/a#b", b"#", b"/\xe9", b"/\x7f", b"/\x01", b"\\", b"./a", b":80"):
    refuse("9112 3.2: no form of a target: " + repr(target)[2:-1], get(b"GET " + target + b" HTTP/1.1"))
forward("9112 3.2.4: OPTIONS *", get(b"OPTIONS * HTTP/1.1"), Request(method="OPTIONS", target="*"))
for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE"):
    refuse("9112 3.2.4: * is for OPTIONS only: " + method.decode(), get(method + b" * HTTP/1.1"))
forward("9112 3.2.2: absolute-form is accepted", get(b"GET http://a.example/p?q HTTP/1.1"), Request(target="/p?q", has=[("host", "a.example")]))
forward("9112 3.2.2: absolute-form without a path", get(b"GET http://a.example HTTP/1.1"), Request(target="/"))
forward("9112 3.2.2: absolute-form with a query and no path", get(b"GET http://a.example?q HTTP/1.1"), Request(target="/?q"))
forward("9112 3.2.2: absolute-form with a port", get(b"GET http://a.example:8080/ HTTP/1.1", host=b"a.example:8080"), Request(has=[("host", "a.example:8080")]))
forward("9110 4.2.3: scheme and host mean the same in any case", get(b"GET HTTP://A.Example/ HTTP/1.1"), Request(target="/"))
forward("9112 3.2.4: OPTIONS with absolute-form and no path is *", get(b"OPTIONS http://a.example HTTP/1.1"), Request(target="*"))
forward("9110 4.2.3: the port of the scheme in absolute-form only", get(b"GET http://a.example:80/ HTTP/1.1"), Request(target="/"))
forward("9110 4.2.3: the port of the scheme in Host only", get(b"GET http://a.example/ HTTP/1.1", host=b"a.example:80"), Request(target="/"))
forward("9110 10.1.4: TE is named in Connection", get(b"GET / HTTP/1.1", b"TE: trailers", b"Connection: TE"), Request(has=[("te", "trailers"), ("connection", "te")]))
forward("9110 10.1.4: of TE only trailers go on", get(b"GET / HTTP/1.1", b"TE: gzip;q=0.5, trailers;q=0.5", b"TE: deflate", b"Connection: TE"), Request(has=[("te", "trailers"), ("connection", "te")]))
forward("9110 10.1.4: a TE of codings does not go on", get(b"GET / HTTP/1.1", b"TE: gzip", b"TE: deflate", b"Connection: TE"), Request(lacks=["te", "connection"]))
refuse("9112 3.2.2 strict: absolute-form and Host differ", get(b"GET http://b.example/ HTTP/1.1"))
refuse("9112 3.2.2 strict: absolute-form and Host differ in the port", get(b"GET http://a.example:81/ HTTP/1.1"))
refuse("9110 4.2.4: user information in a target", get(b"GET http://u:p@a.example/ HTTP/1.1", host=b"u:p@a.example"))
refuse("9110 4.2.1: an empty host in a target", get(b"GET http:///x HTTP/1.1", host=b""))
for scheme in (b"ftp", b"file", b"ws", b"javascript", b"a.example"):
    refuse("9112 3.2.2: a scheme that is not HTTP: " + scheme.decode(), get(b"GET " + scheme + b"://a.example/ HTTP/1.1"))
refuse("9112 3.2.3: authority-form is for CONNECT only", get(b"GET a.example:443 HTTP/1.1"))
refuse("9112 3.2.3: CONNECT takes authority-form only", get(b"CONNECT /x HTTP/1.1"))
refuse("9110 9.3.6: CONNECT needs a port", get(b"CONNECT a.example HTTP/1.1"))
refuse("9112 3.2: no Host", get(host=None))
refuse("9112 3.2: two Hosts", get(b"GET / HTTP/1.1", b"Host: a.example"))
refuse("9112 3.2: two different Hosts", get(b"GET / HTTP/1.1", b"Host: b.example"))
for host in (b"a b", b"a/b", b"a\\b", b"a@b", b"a#b", b"a?b", b"a:b", b"a:80:80", b"a:99999", b"a:-1", b"a: 80", b"[::1", b"::1]", b"[::g]", b"a\x7f",
             b"\xe9.example", b"a<b>", b"a\"b", b"a{b", b"a|b", b"a^b", b"a`b", b"http://a", b":"):
    refuse("9112 3.2: an invalid Host: " + repr(host)[2:-1], get(host=host))
for host in (b"a", b"A.Example", b"a.example.", b"a.example:80", b"127.0.0.1", b"127.0.0.1:8080", b"[::1]", b"[2001:db8::1]:443", b"a_b", b"xn--bcher-kva.example",
             b"a-b", b"a,b", b"a%20b"):
    forward("9110 7.2: Host goes on: " + host.decode(), get(host=host), Request(has=[("host", host.decode())]))
forward("9110 4.2.3: an empty port is none", get(host=b"a.example:"), Request(has=[("host", "a.example")]))
forward("9112 3.2: Host with white space around it", b"GET / HTTP/1.1\r\nHost: \t a.example \t \r\n\r\n", Request(has=[("host", "a.example")]))

# ---- 9112 5: fields ---------------------------------------------------------------------------------------------------

for text, line in {"a space before the colon": b"X-A : b", "a tab before the colon": b"X-A\t: b", "no colon": b"X-A", "an empty name": b": b",
                   "a space in the name": b"X A: b", "a space before the name": b" X-A: b", "NUL in the name": b"X\x00A: b"}.items():
    refuse("9112 5.1: " + text, get(b"GET / HTTP/1.1", line))
for char in b"\"(),/;<=>?@[\\]{}\x01\x1f\x7f\x80\xff":
    refuse("9110 5.1: a field name is a token: %r" % chr(char), get(b"GET / HTTP/1.1", b"X" + bytes([char]) + b"A: b"))
for char in b"\x00\x01\x07\x08\x0b\x0c\x0e\x1b\x1f\x7f":
    refuse("9110 5.5: a control character in a value: %r" % chr(char), get(b"GET / HTTP/1.1", b"X-A: b" + bytes([char]) + b"c"))
forward("9112 5.1: white space around a value is no part of it", get(b"GET / HTTP/1.1", b"X-A: \t b \t c \t"), Request(has=[("x-a", "b \t c")]))
forward("9112 5.1: no white space at all", get(b"GET / HTTP/1.1", b"X-A:b"), Request(has=[("x-a", "b")]))
forward("9110 5.5: an empty value", get(b"GET / HTTP/1.1", b"X-A:"), Request(has=[("x-a", "")]))
forward("9110 5.1: names mean the same in any case", get(b"GET / HTTP/1.1", b"x-UPPER: 1"), Request(has=[("x-upper", "1")]))
forward("9110 5.3: fields of one name keep their order", get(b"GET / HTTP/1.1", b"X-A: 1", b"X-B: 0", b"X-A: 2", b"X-A: 3"), Request(order=("x-a", ["1", "2", "3"])))
forward("9110 5.1: unknown fields go on", get(b"GET / HTTP/1.1", b"X-Unknown-Thing: yes"), Request(has=[("x-unknown-thing", "yes")]))
forward("9110 5.6.2: every character of a token", get(b"GET / HTTP/1.1", b"X-!#$%&'*+.^_`|~9: t"), Request(has=[("x-!#$%&'*+.^_`|~9", "t")]))
refuse("9112 5.2: a folded line", get(b"GET / HTTP/1.1", b"X-A: b", b" c"))
refuse("9112 5.2: a line folded with a tab", get(b"GET / HTTP/1.1", b"X-A: b", b"\tc"))
refuse("9112 5.2: a folded Host", b"GET / HTTP/1.1\r\nHost:\r\n a.example\r\n\r\n")
refuse("9110 5.4: more octets of fields than are taken", get(b"GET / HTTP/1.1", b"X-A: " + b"b" * 3000), (431,), listener="small")
refuse("9110 5.4: more fields than are taken", get(b"GET / HTTP/1.1", *[b"X-%d: 1" % i for i in range(30)]), (431,), listener="small")

# ---- 9112 6: the length of a request -----------------------------------------------------------------------------------

forward("9112 6.3: no length, no body", post(), Request(body=b""))
forward("9112 6.2: content-length", post(b"Content-Length: 5", body=b"hello"), Request(body=b"hello"))
forward("9112 6.2: a length of 0", post(b"Content-Length: 0"), Request(body=b""))
forward("9112 6.2: zeros in front", post(b"Content-Length: 0000005", body=b"hello"), Request(body=b"hello"))
forward("9110 9.3.1: a GET with a body keeps its framing", get(b"GET / HTTP/1.1", b"Content-Length: 3", body=b"abc"), Request(body=b"abc"))
forward("9110 9.3.5: a DELETE with a body", get(b"DELETE / HTTP/1.1", b"Content-Length: 3", body=b"abc"), Request(body=b"abc"))
for text in (b"-1", b"+5", b"5.0", b"0x5", b"5 5", b"5;5", b"five", b"", b"5a", b"1e1", b"99999999999999999999", b"18446744073709551616", b"5, 6", b"5,", b",5",
             b"\xb2", b"5\x0b", b"0 5", b"5, five"):
    refuse("9112 6.3: an invalid length: " + repr(text)[2:-1], post(b"Content-Length: " + text, body=b"hello"))
refuse("9112 6.3: two different lengths", post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"))
refuse("9112 6.3 strict: the same length twice", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"))
refuse("9112 6.3 strict: the same length twice in one field", post(b"Content-Length: 5, 5", body=b"hello"))
refuse("9112 6.1 strict: content-length and chunked", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"))
refuse("9112 6.1 strict: chunked and content-length", post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"))
refuse("9112 6.1 strict: chunked and a length of 0", post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"))
forward("9112 6.1: chunked", post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"), Request(body=b"hello"))
forward("9112 7: names of codings mean the same in any case", post(b"Transfer-Encoding: CHUNKED", body=b"5\r\nhello\r\n0\r\n\r\n"), Request(body=b"hello"))
for text in (b"gzip, chunked", b"identity, chunked", b"deflate, chunked", b"x-unknown, chunked"):
    refuse("9112 6.1: a coding that is not understood: " + text.decode(), post(b"Transfer-Encoding: " + text, body=b"0\r\n\r\n"), (400, 501))
for text in (b"gzip", b"identity", b"chunked, gzip", b"chunked, identity", b"chunked, chunked", b"xchunked", b"chunked-", b"chunkedx", b"chunk", b"\"chunked\"",
             b"chunked;q=1", b"chunked; a=b", b"", b",chunked,x", b"chun ked", b"\x0bchunked", b"chunked\x00", b"chunked\xa0"):
    refuse("9112 6.1: chunked is not the last coding, or is none: " + repr(text)[2:-1], post(b"Transfer-Encoding: " + text, body=b"0\r\n\r\n"), (400, 501))
refuse("9112 6.1: two fields, the last is not chunked", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", body=b"0\r\n\r\n"), (400, 501))
refuse("9112 6.1: chunked in two fields", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), (400, 501))
refuse("9112 6.1: a coding in a request of 1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", listener="http10")
refuse("9112 5.1: a space before the colon of Transfer-Encoding", post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"))
refuse("9112 5.2: a folded Transfer-Encoding", post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"))
ROWS.append(Row("9112 8: a body that ends too early is no request", [post(b"Content-Length: 10", body=b"hello")], [], client_ends=True, closes=True))
ROWS[-1].reach = []

# ---- 9112 7: chunks ---------------------------------------------------------------------------------------------------

_CHUNKED = b"Transfer-Encoding: chunked"
for text, body, wanted in (
        ("several chunks", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"), ("sizes in capitals", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        ("sizes in small letters", b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"), ("zeros in front of a size", b"0003\r\nabc\r\n000\r\n\r\n", b"abc"),
        ("an extension is ignored", b"3;name=value\r\nabc\r\n0\r\n\r\n", b"abc"), ("an extension without a value", b"3;name\r\nabc\r\n0;last\r\n\r\n", b"abc"),
        ("a quoted value of an extension", b"3;n=\"a b\"\r\nabc\r\n0\r\n\r\n", b"abc"), ("CRLF within a chunk is data", b"4\r\na\r\nb\r\n0\r\n\r\n", b"a\r\nb"),
        ("what looks like a chunk is data", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"), ("no data at all", b"0\r\n\r\n", b"")):
    forward("9112 7.1: " + text, post(_CHUNKED, body=body), Request(body=wanted))
for text, body in (
        ("no size", b"\r\nabc\r\n0\r\n\r\n"), ("a size that is no number", b"g\r\nabc\r\n0\r\n\r\n"), ("a sign", b"+3\r\nabc\r\n0\r\n\r\n"),
        ("a negative size", b"-3\r\nabc\r\n0\r\n\r\n"), ("0x before a size", b"0x3\r\nabc\r\n0\r\n\r\n"), ("a space before a size", b" 3\r\nabc\r\n0\r\n\r\n"),
        ("a space in a size", b"1 0\r\nabc\r\n0\r\n\r\n"), ("an underscore in a size", b"1_0\r\nabc\r\n0\r\n\r\n"),
        ("a size beyond 64 bits", b"10000000000000003\r\nabc\r\n0\r\n\r\n"), ("a size of all ones", b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("a size of 80000000000000003", b"80000000000000003\r\nabc\r\n0\r\n\r\n"), ("LF after a size", b"3\nabc\r\n0\r\n\r\n"),
        ("CR after a size", b"3\rabc\r\n0\r\n\r\n"), ("no CRLF after the data", b"3\r\nabc0\r\n\r\n"), ("LF after the data", b"3\r\nabc\n0\r\n\r\n"),
        ("two bytes too many", b"3\r\nabcde\r\n0\r\n\r\n"), ("one byte too few", b"4\r\nabc\r\n0\r\n\r\n"), ("NUL in a size", b"3\x00\r\nabc\r\n0\r\n\r\n"),
        ("LF in an extension", b"3;a\n\r\nabc\r\n0\r\n\r\n"), ("CR in an extension", b"3;a\rb\r\nabc\r\n0\r\n\r\n"), ("NUL in an extension", b"3;a\x00\r\nabc\r\n0\r\n\r\n"),
        ("letters behind a size", b"3xyz\r\nabc\r\n0\r\n\r\n"), ("LF after the last size", b"0\n\r\n")):
    ROWS.append(Row("9112 7.1: " + text, [post(_CHUNKED, body=body)], [Answer((400,))], closes=True))
forward("9112 7.1.2: trailers go on, and not as fields of the head", post(_CHUNKED, b"Trailer: x-sum", body=b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"),
        Request(body=b"abc", lacks=["x-sum"], trailers=[("x-sum", "1")]))
for text, trailer in (("a trailer without a colon", b"X-Sum\r\n"), ("a space before the colon of a trailer", b"X-Sum : 1\r\n"), ("a folded trailer", b"X-Sum: 1\r\n 2\r\n"),
                      ("a bare LF in a trailer", b"X-Sum: 1\nX: y\r\n"), ("NUL in a trailer", b"X-Sum: \x00\r\n")):
    ROWS.append(Row("9112 7.1.2: " + text, [post(_CHUNKED, body=b"3\r\nabc\r\n0\r\n" + trailer + b"\r\n")], [Answer((400,))], closes=True))
for name in (b"Content-Length", b"Transfer-Encoding", b"Host"):
    ROWS.append(Row("9110 6.5.1 strict: a trailer that would change framing or routing: " + name.decode(),
                    [post(_CHUNKED, body=b"3\r\nabc\r\n0\r\n" + name + b": 7\r\n\r\n")], [Answer((400,))], closes=True))

# ---- 9112 4, 6.3: answers ---------------------------------------------------------------------------------------------

respond("9112 4: an empty reason", b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok", Answer(body=b"ok"))
respond("9112 4: any reason", b"HTTP/1.1 200 \xfcber gut!\r\ncontent-length: 2\r\n\r\nok", Answer(body=b"ok"))
for status in (201, 202, 203, 206, 226, 299, 300, 301, 302, 307, 308, 400, 401, 404, 409, 418, 429, 451, 499, 500, 501, 503, 505, 511, 599):
    respond("9110 15: a status goes on, known or not: %d" % status, b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\nok" % status, Answer((status,), body=b"ok"))
for text, line in {"no version": b"200 OK", "a lower-case version": b"http/1.1 200 OK", "a major version of 2": b"HTTP/2.0 200 OK", "no status": b"HTTP/1.1", "a status of two digits": b"HTTP/1.1 20 OK",
                   "a status of four digits": b"HTTP/1.1 2000 OK", "letters for a status": b"HTTP/1.1 abc OK", "a status below 100": b"HTTP/1.1 099 OK", "two spaces": b"HTTP/1.1  200 OK",
                   "a sign": b"HTTP/1.1 +20 OK", "NUL in the reason": b"HTTP/1.1 200 O\x00K", "CR in the reason": b"HTTP/1.1 200 O\rK", "no HTTP at all": b"SSH-2.0-x"}.items():
    bad_gateway("9112 4: " + text, line + b"\r\ncontent-length: 2\r\n\r\nok")
for text, line in {"a space before the colon": b"X-A : b", "no colon": b"X-A", "an empty name": b": b", "NUL in a value": b"X-A: b\x00c", "CR in a value": b"X-A: b\rc", "LF alone": b"X-A: b\nX-B: c",
                   "a folded line": b"X-A: b\r\n c", "a space in a name": b"X A: b", "a control character": b"X-A: \x01"}.items():
    bad_gateway("9112 5 strict: in an answer, " + text, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + line + b"\r\n\r\nok")
for text in (b"-1", b"+2", b"2.0", b"0x2", b"", b"2a", b"99999999999999999999", b"2, 3", b"two"):
    bad_gateway("9112 6.3: an answer with an invalid length: " + repr(text)[2:-1], b"HTTP/1.1 200 OK\r\ncontent-length: " + text + b"\r\n\r\nok")
bad_gateway("9112 6.3: an answer with two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok")
bad_gateway("9112 6.3 strict: an answer with length and chunks", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
respond("9112 6.3: an answer in chunks", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n", Answer(body=b"ok", lacks=["content-length"]))
respond("9112 6.3: an answer that ends with its connection", b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok", Answer(body=b"ok"))
respond("9112 6.3: an answer of 1.0 that ends with its connection", b"HTTP/1.0 200 OK\r\n\r\nok", Answer(body=b"ok"), origin_closes=True)
respond("9112 8: an answer that breaks off must not look complete", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok", Answer(cut_short=True), origin_closes=True, closes=True)
respond("9112 8: chunks that break off must not look complete", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok", Answer(cut_short=True), origin_closes=True, closes=True)
respond("9112 8: chunks without the last one must not look complete", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", Answer(cut_short=True), origin_closes=True, closes=True)
respond("9112 7.1: a bad chunk in an answer must not look complete", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n", Answer(cut_short=True), origin_closes=True, closes=True)
respond("9112 6.3: bytes behind an answer are not part of the next", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", Answer(body=b"ok"))
for status in (204, 304):
    respond("9112 6.3: %d has no body" % status, b"HTTP/1.1 %d X\r\n\r\n" % status, Answer((status,), lacks=["transfer-encoding"]))
    respond("9110 8.6: %d without a length of its own" % status, b"HTTP/1.1 %d X\r\netag: \"1\"\r\n\r\n" % status, Answer((status,), has=[("etag", '"1"')]))
respond("9110 8.6: 304 keeps the length of what it stands for", b"HTTP/1.1 304 X\r\ncontent-length: 100\r\n\r\n", Answer((304,)))
respond("9110 9.3.2: an answer to HEAD has no body", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", Answer(method="HEAD", has=[("content-length", "100")]), request=get(b"HEAD / HTTP/1.1"))
respond("9110 9.3.2: an answer to HEAD without a length", b"HTTP/1.1 200 OK\r\n\r\n", Answer(method="HEAD"), request=get(b"HEAD / HTTP/1.1"))
respond("9110 9.3.2: chunks are said and not sent after HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Answer(method="HEAD"), request=get(b"HEAD / HTTP/1.1"))
respond("9112 6.1: no chunks for a client of 1.0", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Answer(body=b"ok", lacks=["transfer-encoding"]),
        request=b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", listener="http10", closes=True)
respond("9110 5.3: fields of one name keep their order in answers", b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nx: y\r\nset-cookie: b=2\r\ncontent-length: 2\r\n\r\nok", Answer(has=[("set-cookie", "a=1"), ("set-cookie", "b=2")]))

# ---- 9110 15.2, 10.1.1: interim answers --------------------------------------------------------------------------------

_INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
respond("9110 15.2: 1xx goes on before the answer", _INTERIM + OK, Answer(interim=[103], body=b"ok"))
respond("9110 15.2: several of them", _INTERIM + b"HTTP/1.1 102 Processing\r\n\r\n" + OK, Answer(interim=[103, 102], body=b"ok"))
respond("9110 15.2: an unknown one", b"HTTP/1.1 199 X\r\n\r\n" + OK, Answer(interim=[199], body=b"ok"))
respond("9110 15.2: none for a client of 1.0", _INTERIM + OK, Answer(interim=[], body=b"ok"), request=b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", listener="http10", closes=True)
bad_gateway("9110 15.2.2: 101 that nobody asked for", b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
ROWS.append(Row("9110 10.1.1: 100 (Continue) comes before the body", [post(b"Content-Length: 5", b"Expect: 100-continue", body=b"hello")], [Answer(interim=[100])], [Request(body=b"hello", lacks=["expect"])]))
ROWS.append(Row("9110 10.1.1: in any case", [post(b"Content-Length: 5", b"Expect: 100-Continue", body=b"hello")], [Answer(interim=[100])], [Request(body=b"hello")]))
ROWS.append(Row("9110 10.1.1: not for a request without a body", [get(b"GET / HTTP/1.1", b"Expect: 100-continue")], [Answer(interim=[])], [Request()]))
ROWS.append(Row("9110 10.1.1: not for a client of 1.0", [b"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"], [Answer(interim=[])], [Request(body=b"hello")], listener="http10", closes=True))
ROWS.append(Row("9110 10.1.1: the origin's 100 goes on if it is to decide", [post(b"Content-Length: 5", b"Expect: 100-continue", body=b"hello")], [Answer(interim=[100])], [Request(body=b"hello", has=[("expect", "100-continue")])], origin_sends=[b"HTTP/1.1 100 Continue\r\n\r\n" + OK], listener="continue"))

# ---- 9110 7.6: intermediaries -----------------------------------------------------------------------------------------

forward("9110 7.6.1: Connection is not forwarded", get(b"GET / HTTP/1.1", b"Connection: keep-alive"), Request(lacks=["connection"]))
forward("9110 7.6.1: what Connection names is not forwarded", get(b"GET / HTTP/1.1", b"Connection: X-Private", b"X-Private: 1", b"X-Public: 2"), Request(lacks=["connection", "x-private"], has=[("x-public", "2")]))
forward("9110 7.6.1: several names", get(b"GET / HTTP/1.1", b"Connection: X-A , x-b,,\tX-C", b"X-A: 1", b"X-B: 2", b"X-C: 3"), Request(lacks=["x-a", "x-b", "x-c"]))
forward("9110 7.6.1: several Connection fields", get(b"GET / HTTP/1.1", b"Connection: X-A", b"Connection: X-B", b"X-A: 1", b"X-B: 2"), Request(lacks=["connection", "x-a", "x-b"]))
for name in (b"Keep-Alive", b"Proxy-Connection", b"TE", b"Upgrade"):
    forward("9110 7.6.1: a field of this connection only: " + name.decode(), get(b"GET / HTTP/1.1", name + b": x"), Request(lacks=[name.decode().lower()]))
forward("9110 7.6.1: trailers that Connection names are not forwarded", post(_CHUNKED, b"Connection: X-Private", body=b"3\r\nabc\r\n0\r\nX-Private: 1\r\nX-Sum: 2\r\n\r\n"),
        Request(body=b"abc", trailers=[("x-sum", "2")]))
forward("9110 7.6.1: a Connection that names Host keeps it", get(b"GET / HTTP/1.1", b"Connection: Host"), Request(has=[("host", "a.example")]))
forward("9110 7.6.1: a Connection that names the length keeps the framing", post(b"Content-Length: 5", b"Connection: Content-Length", body=b"hello"), Request(body=b"hello"))
respond("9110 7.6.1: in answers too", b"HTTP/1.1 200 OK\r\nconnection: x-private\r\nx-private: 1\r\nx-public: 2\r\ncontent-length: 2\r\n\r\nok", Answer(lacks=["x-private"], has=[("x-public", "2")]))
respond("9110 7.6.1: in trailers of answers too", b"HTTP/1.1 200 OK\r\nconnection: x-private\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-private: 1\r\nx-sum: 2\r\n\r\n",
        Answer(body=b"ok", trailers=[("x-sum", "2")]))
for name in (b"keep-alive", b"proxy-connection", b"upgrade"):
    respond("9110 7.6.1: a field of the origin's connection only: " + name.decode(), b"HTTP/1.1 200 OK\r\n" + name + b": timeout=5\r\ncontent-length: 2\r\n\r\nok", Answer(lacks=[name.decode()]))
for method in (b"OPTIONS", b"TRACE"):
    ROWS.append(Row("9110 7.6.2: %s with Max-Forwards: 0 goes no further" % method.decode(), [get(method + b" /x HTTP/1.1", b"Max-Forwards: 0")], [Answer((200, 204, 405, 501), method=method.decode())], []))
    forward("9110 7.6.2: %s with Max-Forwards counts down" % method.decode(), get(method + b" /x HTTP/1.1", b"Max-Forwards: 7"), Request(has=[("max-forwards", "6")]))
    refuse("9110 7.6.2: %s with two Max-Forwards that differ" % method.decode(), get(method + b" /x HTTP/1.1", b"Max-Forwards: 7", b"Max-Forwards: 3"))
    forward("9110 7.6.2: %s with Max-Forwards twice" % method.decode(), get(method + b" /x HTTP/1.1", b"Max-Forwards: 7", b"Max-Forwards: 7"), Request(has=[("max-forwards", "6")]))
forward("9110 7.6.2: other methods keep Max-Forwards", get(b"GET / HTTP/1.1", b"Max-Forwards: 0"), Request(has=[("max-forwards", "0")]))
respond("9110 7.6.3: Via is added to answers", b"HTTP/1.1 200 OK\r\nvia: 1.0 fred\r\ncontent-length: 2\r\n\r\nok", Answer(has=[("via", "1.0 fred, 1.1 weir")]), listener="via")
forward("9110 7.6.3: Via is added to requests", get(b"GET / HTTP/1.1", b"Via: 1.0 fred"), Request(has=[("via", "1.0 fred, 1.1 weir")]), listener="via")
forward("9110 7.6.3: Via of others is left alone", get(b"GET / HTTP/1.1", b"Via: 1.0 fred, 1.1 p.example.net"), Request(has=[("via", "1.0 fred, 1.1 p.example.net")]))
respond("9110 6.6.1: an answer without Date gets one", OK, Answer(body=b"ok", present=["date"]))
respond("9110 6.6.1: an answer's Date is kept", b"HTTP/1.1 200 OK\r\ndate: Tue, 15 Nov 1994 08:12:31 GMT\r\ncontent-length: 2\r\n\r\nok", Answer(present=["date"], has=[("date", "Tue, 15 Nov 1994 08:12:31 GMT")]))
for name, value in ((b"cache-control", b"max-age=1, no-transform"), (b"etag", b"W/\"a\""), (b"age", b"5"), (b"expires", b"0"), (b"vary", b"*"), (b"content-encoding", b"gzip"), (b"content-range", b"bytes 0-1/2"),
                    (b"accept-ranges", b"bytes"), (b"content-type", b"text/html;charset=utf-8"), (b"location", b"/x y"), (b"retry-after", b"3"), (b"www-authenticate", b"Basic realm=\"a, b\""), (b"allow", b"GET")):
    respond("9110 7.7: an answer's field is not changed: " + name.decode(), b"HTTP/1.1 200 OK\r\n" + name + b": " + value + b"\r\ncontent-length: 2\r\n\r\nok", Answer(has=[(name.decode(), value.decode())], body=b"ok"))
for name, value in ((b"authorization", b"Basic YTpi"), (b"cookie", b"a=1; b=2"), (b"range", b"bytes=0-1"), (b"if-none-match", b"\"a\", W/\"b\""), (b"accept-encoding", b"gzip;q=0.5, *"), (b"content-type", b"a/b"), (b"expect-ct", b"x"),
                    (b"user-agent", b"x (y; z)"), (b"referer", b"http://a/?b"), (b"origin", b"null"), (b"forwarded", b"for=1.2.3.4"), (b"priority", b"u=1")):
    forward("9110 7.7: a request's field is not changed: " + name.decode(), get(b"GET / HTTP/1.1", name + b": " + value), Request(has=[(name.decode(), value.decode())]))

# ---- 9112 9: connections ----------------------------------------------------------------------------------------------

forward("9112 9.3: connections persist", get(), closes=False)
forward("9112 9.6: close is respected", get(b"GET / HTTP/1.1", b"Connection: close"), answer=Answer(has=[("connection", "close")]), closes=True)
forward("9112 9.6: close in any case, among others", get(b"GET / HTTP/1.1", b"Connection: x, CLOSE"), closes=True)
forward("9112 9.3: 1.0 does not persist", b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", closes=True, listener="http10")
ROWS.append(Row("9112 9.3.2: answers come in the order of the requests", [get(b"GET /1 HTTP/1.1") + get(b"GET /2 HTTP/1.1") + get(b"GET /3 HTTP/1.1")], [Answer(body=b"1"), Answer(body=b"22"), Answer(body=b"333")],
                [Request(target="/1"), Request(target="/2"), Request(target="/3")], origin_sends=[b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n22", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n333"]))
ROWS.append(Row("9112 9.3.2: a pipelined request after a body", [post(b"Content-Length: 5", body=b"hello") + get(b"GET /2 HTTP/1.1")], [Answer(), Answer()], [Request(body=b"hello"), Request(target="/2")]))
ROWS.append(Row("9112 9.3.2: a pipelined request after chunks", [post(_CHUNKED, body=b"1\r\nx\r\n0\r\n\r\n") + get(b"GET /2 HTTP/1.1")], [Answer(), Answer()], [Request(body=b"x"), Request(target="/2")]))
ROWS.append(Row("9112 9.6: nothing after close is served", [get(b"GET /1 HTTP/1.1", b"Connection: close") + get(b"GET /2 HTTP/1.1")], [Answer()], [Request(target="/1")], closes=True))
ROWS.append(Row("9112 9.3.2: nothing after a broken request is served", [get(b"GET /1 HTTP/1.1") + b"GET / HTTP/1.1\r\nHost : a\r\n\r\n" + get(b"GET /3 HTTP/1.1")], [Answer(), Answer((400,))], [Request(target="/1")], closes=True))
ROWS.append(Row("9112 2.2: CRLF behind a body is ignored", [post(b"Content-Length: 1", body=b"x") + b"\r\n" + get(b"GET /2 HTTP/1.1")], [Answer(), Answer()], [Request(body=b"x"), Request(target="/2")]))
ROWS.append(Row("9112 9.3: a request that arrives byte by byte", [bytes([byte]) for byte in post(b"Content-Length: 2", body=b"hi")], [Answer()], [Request(body=b"hi")]))
ROWS.append(Row("9112 9.5: a half-closed client gets its answer", [get()], [Answer(body=b"ok")], [Request()], client_ends=True, closes=True))
respond("9112 9.3: an origin that closes does not close the client's connection", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", Answer(body=b"ok", lacks=["connection"]), origin_closes=True)

# 9112 9.3.1: a connection that the origin closes instead of answering. The first answer leaves it idle, and to be used again.
_TWO_OK = [OK, b"", OK]
ROWS.append(Row("9112 9.3.1: an idempotent request is sent again if its connection was stale", [get() + get(b"GET /2 HTTP/1.1")], [Answer(), Answer()],
                [Request(), Request(target="/2"), Request(target="/2")], origin_sends=_TWO_OK))
ROWS.append(Row("9112 9.3.1: a request that is not idempotent is not sent again", [get() + post(b"Content-Length: 2", body=b"hi")], [Answer(), Answer((502, 503))],
                [Request(), Request(method="POST", body=b"hi")], origin_sends=_TWO_OK))
ROWS.append(Row("9112 9.3.1: nor is one of an unknown method", [get() + get(b"FOO / HTTP/1.1")], [Answer(), Answer((502, 503))],
                [Request(), Request(method="FOO")], origin_sends=_TWO_OK))
forward("9110 7.6.1: the client's close is not the origin's", get(b"GET / HTTP/1.1", b"Connection: close"), Request(lacks=["connection"]), Answer(has=[("connection", "close")]), closes=True)
forward("9112 9.3: a gateway may keep a connection of 1.0 that asks for it", b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", answer=Answer(has=[("connection", "keep-alive")]), listener="http10")
forward("9112 9.3: Connection of 1.0 is not forwarded", b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n", Request(lacks=["connection", "keep-alive"]), listener="http10")
forward("9110 5.6.1.2: empty elements of Connection are ignored", get(b"GET / HTTP/1.1", b"Connection: , ,X-A,", b"X-A: 1"), Request(lacks=["connection", "x-a"]))
forward("9110 5.6.1.2: empty elements of TE are ignored", get(b"GET / HTTP/1.1", b"TE: ,trailers, ,", b"Connection: TE"), Request(has=[("te", "trailers")]))
refuse("9110 5.6.1.2 strict: empty elements of Transfer-Encoding", post(b"Transfer-Encoding: chunked,", body=b"0\r\n\r\n"))
refuse("9110 9.3.6: CONNECT that nobody serves", b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", (400, 403, 404, 405, 501))

# ---- 9110 7.8, 9.3.6: upgrades and tunnels -----------------------------------------------------------------------------

_UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket")
_ASKED = Request(has=[("upgrade", "websocket"), ("connection", "upgrade")])
_SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
ROWS.append(Row("9110 7.8: an upgrade is asked for with Connection, and its answer has both, too", [get(b"GET / HTTP/1.1", *_UPGRADE)],
                [Answer((101,), has=[("upgrade", "websocket"), ("connection", "upgrade")], lacks=["content-length", "transfer-encoding"])], [_ASKED], origin_sends=[_SWITCHED],
                origin_closes=True, closes=True, listener="tunnels"))
forward("9110 7.8: a server may ignore an upgrade", get(b"GET / HTTP/1.1", *_UPGRADE), _ASKED, Answer(body=b"ok", lacks=["upgrade"]), listener="tunnels")
forward("9110 7.8: an Upgrade that Connection does not name is none", get(b"GET / HTTP/1.1", b"Upgrade: websocket"), Request(lacks=["upgrade", "connection"]), listener="tunnels")
forward("9110 7.8: an Upgrade of 1.0 is ignored", b"GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", Request(lacks=["upgrade"]), listener="tunnels", closes=True)
forward("9110 7.8: an upgrade that is not allowed is not asked for", get(b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: h2c"), Request(lacks=["upgrade", "connection"]), listener="tunnels")
respond("9110 7.8: no switch to what nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", Answer((502,)),
        request=get(b"GET / HTTP/1.1", *_UPGRADE), origin_closes=True, listener="tunnels")
_CONNECT = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
for name, value in ((b"content-length", b"5"), (b"transfer-encoding", b"chunked")):
    ROWS.append(Row("9110 9.3.6: %s of a CONNECT that succeeds means nothing" % name.decode(), [_CONNECT],
                    [Answer(method="CONNECT", lacks=["content-length", "transfer-encoding"])], [Request(method="CONNECT", target="a.example:443", has=[("host", "a.example:443")])],
                    origin_sends=[b"HTTP/1.1 200 OK\r\n" + name + b": " + value + b"\r\n\r\n"], origin_closes=True, closes=True, listener="tunnels"))
ROWS.append(Row("9110 9.3.6: a CONNECT that is refused is an ordinary answer", [_CONNECT], [Answer((407,), has=[("proxy-authenticate", "Basic realm=x")], body=b"no", method="CONNECT")],
                [Request(method="CONNECT")], origin_sends=[b"HTTP/1.1 407 X\r\nproxy-authenticate: Basic realm=x\r\ncontent-length: 2\r\n\r\nno"], closes=True, listener="tunnels"))

# ---- 9110 6.4, 6.5, 8.6, 15: what an answer may hold -------------------------------------------------------------------

respond("9110 6.5.1: trailers of an answer go on, and not as fields of the head", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n",
        Answer(body=b"ok", lacks=["x-sum"], trailers=[("x-sum", "1")]))
respond("9110 6.5.1: without trailers for a client of 1.0", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n", Answer(body=b"ok", lacks=["x-sum"]),
        request=b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", listener="http10", closes=True)
for name in (b"content-length", b"transfer-encoding", b"set-cookie", b"content-encoding"):
    respond("9110 6.5.1 strict: a trailer of an answer that belongs into its head: " + name.decode(), b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + name + b": 1\r\n\r\n",
            Answer(cut_short=True), closes=True)
respond("9110 8.6: 204 has no length", b"HTTP/1.1 204 X\r\ncontent-length: 0\r\n\r\n", Answer((204,), lacks=["content-length", "transfer-encoding"]))
bad_gateway("9112 6.1: a coding of an answer without a body", b"HTTP/1.1 204 X\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")
bad_gateway("9112 6.1: a coding in an interim answer", b"HTTP/1.1 103 X\r\ntransfer-encoding: chunked\r\n\r\n" + OK)
bad_gateway("9112 6.1: a coding in an answer of 1.0", b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
for text in (b"gzip", b"identity", b"gzip, chunked", b"chunked, chunked", b"chunked, gzip", b"xchunked", b"chunked\x0b"):
    bad_gateway("9112 6.3: an answer of a coding that is not understood: " + repr(text)[2:-1], b"HTTP/1.1 200 OK\r\ntransfer-encoding: " + text + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")
respond("9110 9.3.2: a body behind the answer to HEAD is nobody's", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Answer(method="HEAD", has=[("content-length", "2")]), request=get(b"HEAD / HTTP/1.1"))
respond("9112 6.3: a body behind 204 is nobody's", b"HTTP/1.1 204 X\r\n\r\nok", Answer((204,)))
respond("9112 6.3: a body behind 304 is nobody's", b"HTTP/1.1 304 X\r\n\r\nok", Answer((304,)))

# ---- 9110 7.7, 11, 13, 14: what is the business of the ends ------------------------------------------------------------

_TEXT = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\netag: \"1\"\r\ncontent-length: 4\r\n"
_ACCEPTS = get(b"GET / HTTP/1.1", b"Accept-Encoding: gzip")
respond("9110 7.7: content is not changed where no-transform forbids it", _TEXT + b"cache-control: no-transform\r\n\r\ntext", Answer(body=b"text", lacks=["content-encoding"], has=[("etag", '"1"')]),
        request=_ACCEPTS, listener="packs")
respond("9110 8.8.3, 12.5.5: changed content has no strong ETag and says what it depends on", _TEXT + b"\r\ntext", Answer(has=[("content-encoding", "gzip"), ("vary", "Accept-Encoding")], lacks=["content-length", "etag"]),
        request=_ACCEPTS, listener="packs")
respond("9110 12.5.3: no coding for a client that accepts none", _TEXT + b"\r\ntext", Answer(body=b"text", lacks=["content-encoding"], has=[("vary", "Accept-Encoding")]),
        request=get(b"GET / HTTP/1.1", b"Accept-Encoding: gzip;q=0"), listener="packs")
respond("9110 14.2, 14.4: a part of a representation is not packed", b"HTTP/1.1 206 X\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-3/9\r\ncontent-length: 4\r\n\r\ntext", Answer((206,), body=b"text", lacks=["content-encoding"]),
        request=_ACCEPTS, listener="packs")
for name, value in ((b"proxy-authorization", b"Basic YTpi"), (b"if-match", b'"a"'), (b"if-modified-since", b"Tue, 15 Nov 1994 08:12:31 GMT"), (b"if-unmodified-since", b"x"), (b"if-range", b'"a"'), (b"accept", b"a/b;q=0.1,, c/d"),
                    (b"accept-language", b"de, en;q=0.5"), (b"content-encoding", b"gzip"), (b"content-language", b"de"), (b"from", b"a@b"), (b"expect", b"x-other")):
    forward("9110 7.7: a request's field is not changed: " + name.decode(), get(b"GET / HTTP/1.1", name + b": " + value), Request(has=[(name.decode(), value.decode())]))
for name, value in ((b"proxy-authenticate", b"Basic realm=\"a, b\""), (b"authentication-info", b"nextnonce=\"x\""), (b"proxy-authentication-info", b"x=y"), (b"last-modified", b"Tue, 15 Nov 1994 08:12:31 GMT"), (b"content-language", b"de, en"),
                    (b"content-location", b"/x"), (b"warning", b"110 - \"x\""), (b"trailer", b"x-sum"), (b"server-timing", b"a;dur=1")):
    respond("9110 7.7: an answer's field is not changed: " + name.decode(), b"HTTP/1.1 200 OK\r\n" + name + b": " + value + b"\r\ncontent-length: 2\r\n\r\nok", Answer(has=[(name.decode(), value.decode())], body=b"ok"))
