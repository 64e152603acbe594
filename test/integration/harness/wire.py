"""HTTP/1 as bytes on a socket, read strictly and without interpretation; for both the client and the upstreams."""

import socket
from dataclasses import dataclass, field
from typing import Optional

Fields = list[tuple[str, str]]


class Closed(Exception):
    """The peer closed the connection where a message was to begin or to go on."""


class Malformed(Exception):
    """The peer sent what is no HTTP/1."""


@dataclass
class Message:
    """A request or a response. Names of fields are kept as they came."""

    start: str
    headers: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    interim: list["Message"] = field(default_factory=list)  # 1xx before this response

    @property
    def status(self) -> int:
        return int(self.start.split(" ", 2)[1])

    @property
    def reason(self) -> str:
        return (self.start.split(" ", 2) + [""])[2]

    @property
    def version(self) -> str:
        parts = self.start.split(" ")
        return parts[0] if parts[0].startswith("HTTP/") else parts[-1]

    @property
    def method(self) -> str:
        return self.start.split(" ")[0]

    @property
    def target(self) -> str:
        return self.start.split(" ")[1]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> Optional[str]:
        """The value, several joined by commas; None if there is none."""
        values = self.all(name)
        return ",".join(values) if values else None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Reader:
    """Reads messages from a socket; what follows a message stays for the next."""

    def __init__(self, sock: socket.socket):
        self.sock = sock
        self.buffer = b""

    def more(self, size: int = 65536) -> None:
        data = self.sock.recv(size)
        if not data:
            raise Closed("closed after %r" % self.buffer[-80:])
        self.buffer += data

    def line(self) -> str:
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > 1 << 20:
                raise Malformed("a line of more than 1 MiB")
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        if b"\n" in line or b"\r" in line:
            raise Malformed("bare CR or LF in %r" % line)
        return line.decode("latin-1")

    def exactly(self, size: int) -> bytes:
        chunks = [self.buffer[:size]]
        self.buffer = self.buffer[size:]
        missing = size - len(chunks[0])
        while missing > 0:
            data = self.sock.recv(min(missing, 1 << 18))
            if not data:
                raise Closed("closed with %d of %d bytes of the body missing" % (missing, size))
            chunks.append(data)
            missing -= len(data)
        return b"".join(chunks)

    def until_closed(self) -> bytes:
        try:
            while True:
                self.more()
        except Closed:
            pass
        data, self.buffer = self.buffer, b""
        return data

    def fields(self) -> Fields:
        found: Fields = []
        while True:
            line = self.line()
            if not line:
                return found
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise Malformed("field line %r" % line)
            found.append((name, value.strip(" \t")))

    def head(self) -> Message:
        start = self.line()
        return Message(start, self.fields())

    def body(self, message: Message, response: bool) -> None:
        """Reads what the head of `message` announces into it."""
        coding = message.header("transfer-encoding")
        lengths = message.all("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or lengths:
                raise Malformed("transfer-encoding %r, content-length %r" % (coding, lengths))
            self.chunks(message)
        elif lengths:
            if len(lengths) > 1:
                raise Malformed("content-length %r" % lengths)
            message.body = self.exactly(int(lengths[0]))
        elif response:
            message.body = self.until_closed()

    def chunks(self, message: Message) -> None:
        parts = []
        while True:
            size = int(self.line().split(";")[0], 16)
            if size == 0:
                break
            parts.append(self.exactly(size))
            if self.exactly(2) != b"\r\n":
                raise Malformed("no CRLF after a chunk")
        message.body = b"".join(parts)
        message.trailers = self.fields()

    def request(self) -> Message:
        message = self.head()
        self.body(message, response=False)
        return message

    def response(self, method: str = "GET") -> Message:
        interim = []
        while True:
            message = self.head()
            if not message.start.startswith("HTTP/1."):
                raise Malformed("status line %r" % message.start)
            if not 100 <= message.status < 200 or message.status == 101:
                break
            interim.append(message)
        message.interim = interim
        if method != "HEAD" and message.status not in (101, 204, 304) and not (method == "CONNECT" and message.status == 200):
            self.body(message, response=True)
        return message


def format_fields(fields: Fields) -> bytes:
    return "".join("%s: %s\r\n" % pair for pair in fields).encode("latin-1")


def chunked(*parts: bytes, trailers: Fields = []) -> bytes:
    """Chunks, the last chunk and the trailers."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n" + format_fields(trailers) + b"\r\n"
