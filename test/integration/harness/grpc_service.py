"""A server of gRPC, made with gRPC's own library, and frames as clients without that library write them."""

import struct
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc

from .process import Sandbox

SERVICE = "test.Echo"


def frame(message: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BI", flags, len(message)) + message


def frames(body: bytes) -> list[tuple[int, bytes]]:
    """Flags and message of each; the last one must be complete."""
    found = []
    while body:
        flags, size = struct.unpack(">BI", body[:5])
        assert len(body) >= 5 + size, body
        found.append((flags, body[5:5 + size]))
        body = body[5 + size:]
    return found


class Service(grpc.GenericRpcHandler):
    """Messages are bytes."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.metadata: dict[str, Any] = {}
        self.failures: list[str] = []  # of Flaky, in this order

    def service(self, call: Any) -> Any:
        name = call.method.rsplit("/", 1)[1]
        if name in ("Unary", "Fail", "Slow", "Flaky"):
            return grpc.unary_unary_rpc_method_handler(getattr(self, name.lower()))
        if name == "Count":
            return grpc.unary_stream_rpc_method_handler(self.count)
        if name == "Sum":
            return grpc.stream_unary_rpc_method_handler(self.sum)
        if name == "Talk":
            return grpc.stream_stream_rpc_method_handler(self.talk)
        return None  # UNIMPLEMENTED

    def unary(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        self.metadata = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-initial", "first"),))
        context.set_trailing_metadata((("x-trailing", "last"), ("x-bytes-bin", b"\0\xff")))
        return message

    def fail(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("x-why", "told"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no, 100% sure")
        raise AssertionError

    def flaky(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        if self.failures:
            context.abort(grpc.StatusCode[self.failures.pop(0)], "not yet")
        return message

    def slow(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(20)
        return b""

    def count(self, message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for i in range(int(message)):
            yield b"%d" % i

    def sum(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b"%d" % sum(int(one) for one in messages)

    def talk(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.add_callback(self.cancelled.set)
        for message in messages:
            yield message.upper()


def start_server(sandbox: Sandbox, service: Service) -> tuple[Any, int]:
    """The server and its port."""
    server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sandbox.at_close(lambda: server.stop(None))
    return server, port
