"""A name server on 127.0.0.1, UDP and TCP on one port, that answers what a test tells it to, decent or not."""

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional, Union

from .process import Sandbox, wait_until

A, CNAME, AAAA = 1, 5, 28
NXDOMAIN, SERVFAIL = 3, 2


@dataclass
class Query:
    id: int
    name: str
    type: int
    question: bytes
    tcp: bool


# The packets to send back, none or several.
Answer = Callable[[Query], list[bytes]]


def pack(query: Query, records: list[tuple[int, bytes, int]] = [], rcode: int = 0, truncated: bool = False) -> bytes:
    """An answer to the question; records: type, data, lifetime."""
    out = struct.pack(">6H", query.id, 0x8180 | (0x0200 if truncated else 0) | rcode, 1, len(records), 0, 0) + query.question
    for kind, data, ttl in records:
        out += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data
    return out


def addresses(query: Query, ips: list[str], ttl: int = 60) -> list[tuple[int, bytes, int]]:
    """The records of the family that was asked for."""
    family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(query.type)
    return [(query.type, socket.inet_pton(family, ip), ttl) for ip in ips  # type: ignore[arg-type]
            if family is not None and (":" in ip) == (family == socket.AF_INET6)]


def question(name: str, number: int) -> bytes:
    """A packet that asks for the name's address (A)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", A, 1)


class Dnsmasq:
    """Debian's dnsmasq: shop.example and all below it has this address. It answers when the constructor returns."""

    def __init__(self, sandbox: Sandbox, ip: str):
        self.port = sandbox.free_port()
        sandbox.start(["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
                       "--listen-address=127.0.0.1", "--bind-interfaces", "--port=%d" % self.port, "--pid-file=", "--user=root",
                       "--address=/shop.example/%s" % ip, "--log-facility=-"], "dnsmasq")
        wait_until(self._answers, "dnsmasq answers")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", self.port))
            client.settimeout(1)
            try:
                client.send(question("shop.example", 1))
                return bool(client.recv(512))
            except (TimeoutError, ConnectionRefusedError):
                return False


class NameServer:
    """`names`: by name the addresses (both families mixed), an rcode, or who answers. Names that are not there do not exist."""

    def __init__(self, sandbox: Sandbox, names: dict[str, Union[list[str], int, Answer]]):
        self.names = names
        self.queries: list[Query] = []
        self.port = 0
        while True:
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.bind(("127.0.0.1", 0))
            self.port = self._udp.getsockname()[1]
            self._tcp = socket.socket()
            try:
                self._tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self._udp.close()
                self._tcp.close()
        self._tcp.listen(16)
        threading.Thread(target=self._serve_udp, daemon=True).start()
        threading.Thread(target=self._serve_tcp, daemon=True).start()
        sandbox.at_close(self.close)

    def close(self) -> None:
        for sock in (self._udp, self._tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def asked(self, name: str) -> int:
        return sum(query.name == name for query in list(self.queries))

    def _answer(self, packet: bytes, tcp: bool) -> list[bytes]:
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii"))
            at += packet[at] + 1
        query = Query(struct.unpack(">H", packet[:2])[0], ".".join(labels).lower(),
                      struct.unpack(">H", packet[at + 1:at + 3])[0], packet[12:at + 5], tcp)
        self.queries.append(query)
        known = self.names.get(query.name, NXDOMAIN)
        if isinstance(known, int):
            return [pack(query, rcode=known)]
        if isinstance(known, list):
            return [pack(query, addresses(query, known))]
        return known(query)

    def _serve_udp(self) -> None:
        while True:
            try:
                packet, peer = self._udp.recvfrom(65536)
                if not packet:
                    return
                for answer in self._answer(packet, False):
                    self._udp.sendto(answer, peer)
            except OSError:
                return

    def _serve_tcp(self) -> None:
        while True:
            try:
                sock, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_stream, args=(sock,), daemon=True).start()

    def _serve_stream(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as stream:
            while True:
                head: Optional[bytes] = stream.read(2)
                if not head or len(head) < 2:
                    return
                packet = stream.read(struct.unpack(">H", head)[0])
                try:
                    for answer in self._answer(packet, True):
                        sock.sendall(struct.pack(">H", len(answer)) + answer)
                except OSError:
                    return
