"""UDP servers and clients of the tests."""

import socket
import threading
from collections.abc import Callable
from typing import Any, Optional

from .config import Config, address
from .process import Sandbox

_TYPE = "type.googleapis.com/"
_UDP_PROXY = _TYPE + "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig"
UDP_ROUTE = _TYPE + "envoy.extensions.filters.udp.udp_proxy.v3.Route"


def udp_address(port: int, host: str = "127.0.0.1") -> Config:
    return {"socket_address": {"address": host, "port_value": port, "protocol": "UDP"}}


def udp_listener(port: int, to: Optional[str] = None, name: str = "udp", host: str = "127.0.0.1",
                 socket_config: Optional[Config] = None, listener: Optional[Config] = None, **fields: Any) -> Config:
    """A listener with udp_proxy to a cluster; other fields of UdpProxyConfig as keywords."""
    proxy = {"@type": _UDP_PROXY, "stat_prefix": name, **({"cluster": to} if to is not None else {}), **fields}
    made: Config = {"name": name, "address": udp_address(port, host), **(listener or {}),
                    "listener_filters": [{"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": proxy}]}
    if socket_config is not None:
        made["udp_listener_config"] = {"downstream_socket_config": socket_config}
    return made


class UdpServer:
    """Answers each datagram with its name, a space and what it got; or with what `answer` makes of it."""

    def __init__(self, sandbox: Sandbox, name: str = "", answer: Optional[Callable[[bytes], list[bytes]]] = None,
                 host: str = "127.0.0.1", port: int = 0):
        self.name = name
        self.seen: list[tuple[bytes, Any]] = []
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, port))
        self.port = self.sock.getsockname()[1]
        self._answer = answer or (lambda data: [self.name.encode() + b" " + data])
        self._open = True
        threading.Thread(target=self._serve, daemon=True).start()
        sandbox.at_close(self.close)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def _serve(self) -> None:
        while self._open:
            try:
                data, peer = self.sock.recvfrom(65536)
                if not self._open:
                    return
                self.seen.append((data, peer))
                for one in self._answer(data):
                    self.sock.sendto(one, peer)
            except OSError:
                if not self._open:
                    return


class UdpClient:
    """One socket, connected to a port: it hears nothing but what comes from there."""

    def __init__(self, port: int, host: str = "127.0.0.1", timeout: float = 5, source: str = "", source_port: int = 0):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        if source or source_port:
            self.sock.bind((source, source_port))
        self.sock.connect((host, port))
        self.sock.settimeout(timeout)

    def __enter__(self) -> "UdpClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.send(data)

    def receive(self) -> bytes:
        return self.sock.recv(65536)

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.receive()

    def hears_nothing(self, seconds: float = 0.3) -> bool:
        self.sock.settimeout(seconds)
        try:
            self.sock.recv(65536)
            return False
        except (TimeoutError, ConnectionRefusedError):
            return True
        finally:
            self.sock.settimeout(5)


__all__ = ["UDP_ROUTE", "UdpClient", "UdpServer", "address", "udp_address", "udp_listener"]
