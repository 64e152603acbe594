"""PROXY protocol headers that weir writes to servers: in plain text, in front of TLS, for HTTP and for TCP."""

import base64
import socket
import ssl
import struct
import subprocess
from typing import Any, Optional

from harness import (Connection, Sandbox, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, http_listener, main, route,
                     tcp_listener, to_yaml)
from harness.config import client_tls, trusts
from harness.tls import Authority, server_context
from harness.upstreams import ServerConnection

def text(format: str) -> dict[str, Any]:
    return {"text_format_source": {"inline_string": format}}


TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
RAW = {"name": "raw", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}
LISTENER_FILTER = {"name": "proxy_protocol", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    "pass_through_tlvs": {"match_type": "INCLUDE_ALL"}}}
PER_HOST = "type.googleapis.com/envoy.config.core.v3.PerHostConfig"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def told(inside: dict[str, Any] = RAW, **config: Any) -> dict[str, Any]:
    return {"name": "proxy_protocol", "typed_config": {"@type": TYPE, "config": config, "transport_socket": inside}}


def labelled(one: dict[str, Any], tlvs: dict[int, bytes], **more: Any) -> dict[str, Any]:
    """A cluster whose host has TLVs."""
    entries = [{"type": kind, "value": base64.b64encode(value).decode()} for kind, value in tlvs.items()]
    for locality in one["load_assignment"]["endpoints"]:
        for endpoint in locality["lb_endpoints"]:
            endpoint["metadata"] = {"typed_filter_metadata": {
                "envoy.transport_sockets.proxy_protocol": {"@type": PER_HOST, "added_tlvs": entries}, **more}}
    return one


class HeaderServer(ScriptedUpstream):
    """Takes a header, perhaps does a TLS handshake, and answers requests with what it was told."""

    def __init__(self, sandbox: Sandbox, context: Optional[ssl.SSLContext] = None):
        self.headers: list[str] = []
        self.context = context
        super().__init__(sandbox, self.serve)

    def exactly(self, sock: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = sock.recv(size - len(data))
            if not more:
                raise ValueError("it ended after %r" % data)
            data += more
        return data

    def read_header(self, sock: socket.socket) -> str:
        start = self.exactly(sock, 8)
        if start.startswith(b"PROXY "):
            while not start.endswith(b"\r\n"):
                start += self.exactly(sock, 1)
            return start.decode().strip()
        start += self.exactly(sock, 8)
        assert start.startswith(SIGNATURE), start
        command, family, size = struct.unpack("!BBH", start[12:])
        body = self.exactly(sock, size)
        if command == 0x20:
            return "LOCAL"
        assert family == 0x11, family
        source, destination = socket.inet_ntoa(body[:4]), socket.inet_ntoa(body[4:8])
        ports = struct.unpack("!HH", body[8:12])
        tlvs, rest = [], body[12:]
        while rest:
            kind, length = struct.unpack("!BH", rest[:3])
            tlvs.append("%d=%s" % (kind, rest[3:3 + length].decode()))
            rest = rest[3 + length:]
        return " ".join(["V2", source, destination, *map(str, ports), *tlvs])

    def serve(self, connection: ServerConnection) -> None:
        header = self.read_header(connection.sock)
        self.headers.append(header)
        if self.context is not None:
            connection.sock = self.context.wrap_socket(connection.sock, server_side=True)
            connection.reader.sock = connection.sock
        while True:
            connection.read_request()
            connection.respond(body=header.encode())


class UpstreamProxyProtocolTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        cls.plain = HeaderServer(cls.sandbox)
        cls.tls = HeaderServer(cls.sandbox, server_context(cls.ca.issue("server.internal")))
        cls.port, cls.tcp, cls.told = (cls.sandbox.free_port() for _ in range(3))
        value = base64.b64encode(b"ours").decode()
        clusters = [
            cluster("v1", cls.plain.port, transport_socket=told()),
            cluster("v2", cls.plain.port, transport_socket=told(version="V2")),
            cluster("all", cls.plain.port, transport_socket=told(version="V2", pass_through_tlvs={"match_type": "INCLUDE_ALL"})),
            cluster("some", cls.plain.port, transport_socket=told(version="V2", pass_through_tlvs={
                "match_type": "INCLUDE", "tlv_type": [235]}, added_tlvs=[{"type": 236, "value": value}])),
            cluster("printed", cls.plain.port, transport_socket=told(version="V2", added_tlvs=[
                {"type": 237, "format_string": text("%DOWNSTREAM_REMOTE_ADDRESS% %PROTOCOL%")}])),
            labelled(cluster("host", cls.plain.port, transport_socket=told(version="V2", pass_through_tlvs={
                "match_type": "INCLUDE_ALL"}, added_tlvs=[{"type": 236, "value": value}, {"type": 238, "value": value}])),
                     {236: b"the host's", 235: b"new"}),
            labelled(cluster("bare_host", cls.plain.port, transport_socket=told(version="V2")), {1: b"x"}),
            cluster("tls", cls.tls.port, transport_socket=told(client_tls(common=trusts(cls.ca)), version="V2")),
        ]
        routes = [route({"prefix": "/%s" % one["name"]}, one["name"]) for one in clusters]
        routes.append(route({"connect_matcher": {}}, "v1", {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}))
        tlvs = [{"type": 240, "value": value}, {"type": 241, "format_string": text("%DOWNSTREAM_DIRECT_REMOTE_PORT% to %DOWNSTREAM_LOCAL_PORT%")}]
        clusters.append(cluster("those", cls.plain.port, transport_socket=told(version="V2", pass_through_tlvs={
            "match_type": "INCLUDE", "tlv_type": [240, 241, 234]})))
        cls.tcp_ports = {name: cls.sandbox.free_port() for name in ("those", "all", "v2", "v1", "kept")}
        listeners = [tcp_listener(port, "those" if name == "kept" else name, "tcp_" + name, proxy_protocol_tlvs=tlvs)
                     for name, port in cls.tcp_ports.items()]
        listeners[-1]["listener_filters"] = [LISTENER_FILTER]
        listener = http_listener(cls.told, routes, name="told")
        listener["listener_filters"] = [LISTENER_FILTER]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, routes), listener, tcp_listener(cls.tcp, "v1"), *listeners], clusters),
                        concurrency=1)

    def ask(self, connection: Connection, path: str) -> str:
        return connection.request(path=path).text

    # field: ProxyProtocolUpstreamTransport.config, ProxyProtocolUpstreamTransport.transport_socket
    # field: ProxyProtocolConfig.version
    def test_addresses_of_the_connection(self) -> None:
        with Connection(self.port) as connection:
            own = connection.sock.getsockname()[1]
            self.assertEqual(self.ask(connection, "/v1"), "PROXY TCP4 127.0.0.1 127.0.0.1 %d %d" % (own, self.port))
            expected = "V2 127.0.0.1 127.0.0.1 %d %d" % (own, self.port)
            self.assertEqual(self.ask(connection, "/v2"), expected)
            self.assertEqual(self.ask(connection, "/tls"), expected)
            before = len(self.plain.headers)
            self.assertEqual(self.ask(connection, "/v2"), expected)
            self.assertEqual(len(self.plain.headers), before)  # the same client: the same connection
        with Connection(self.port) as connection:
            self.assertEqual(self.ask(connection, "/v2"), "V2 127.0.0.1 127.0.0.1 %d %d" % (connection.sock.getsockname()[1], self.port))

    def test_in_front_of_a_tunnel(self) -> None:
        with Connection(self.port) as connection:
            own = connection.sock.getsockname()[1]
            connection.send(b"CONNECT any.example:80 HTTP/1.1\r\nhost: any.example:80\r\n\r\n")
            self.assertEqual(connection.reader.head().status, 200)
            self.assertEqual(self.ask(connection, "/inside"), "PROXY TCP4 127.0.0.1 127.0.0.1 %d %d" % (own, self.port))

    # field: ProxyProtocolConfig.pass_through_tlvs, ProxyProtocolConfig.added_tlvs, TlvEntry.type, TlvEntry.value
    def test_what_a_header_has_said(self) -> None:
        body = socket.inet_aton("10.1.2.3") + socket.inet_aton("10.9.8.7") + struct.pack("!HH", 4660, 80)
        for kind, value in ((234, b"a"), (235, b"b"), (236, b"theirs")):
            body += struct.pack("!BH", kind, len(value)) + value
        header = SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(body)) + body
        with Connection(self.told) as connection:
            connection.send(header)
            who = "V2 10.1.2.3 10.9.8.7 4660 80"
            self.assertEqual(self.ask(connection, "/v1"), "PROXY TCP4 10.1.2.3 10.9.8.7 4660 80")
            self.assertEqual(self.ask(connection, "/v2"), who)
            self.assertEqual(self.ask(connection, "/all"), who + " 234=a 235=b 236=theirs")
            self.assertEqual(self.ask(connection, "/some"), who + " 236=ours 235=b")
            # field: PerHostConfig.added_tlvs, Metadata@host.typed_filter_metadata
            self.assertEqual(self.ask(connection, "/host"), who + " 236=the host's 235=new 238=ours 234=a")
            self.assertEqual(self.ask(connection, "/bare_host"), who + " 1=x")

    def test_tcp(self) -> None:
        with Connection(self.tcp) as connection:
            self.assertEqual(self.ask(connection, "/"), "PROXY TCP4 127.0.0.1 127.0.0.1 %d %d" % (connection.sock.getsockname()[1], self.tcp))

    # field: TcpProxy.proxy_protocol_tlvs, TlvEntry.format_string
    def test_what_tcp_proxy_adds(self) -> None:
        for name, added in (("those", " 240=ours 241=%d to %d"), ("all", " 240=ours 241=%d to %d"), ("v2", ""), ("v1", None)):
            with self.subTest(name), Connection(self.tcp_ports[name]) as connection:
                own, port = connection.sock.getsockname()[1], self.tcp_ports[name]
                expected = "V2 127.0.0.1 127.0.0.1 %d %d" % (own, port)
                if added is None:  # version 1 has no room for them
                    expected, added = "PROXY TCP4 127.0.0.1 127.0.0.1 %d %d" % (own, port), ""
                self.assertEqual(self.ask(connection, "/"), expected + (added % (own, port) if added else ""))
        # A header of the client's own has said what there is to say.
        body = socket.inet_aton("10.1.2.3") + socket.inet_aton("10.9.8.7") + struct.pack("!HHBH", 4660, 80, 234, 1) + b"a"
        with Connection(self.tcp_ports["kept"]) as connection:
            connection.send(SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(body)) + body)
            self.assertEqual(self.ask(connection, "/"), "V2 10.1.2.3 10.9.8.7 4660 80 234=a")

    def test_what_a_format_prints(self) -> None:
        with Connection(self.port) as connection:
            own = connection.sock.getsockname()[1]
            self.assertEqual(self.ask(connection, "/printed"),
                             "V2 127.0.0.1 127.0.0.1 %d %d 237=127.0.0.1:%d -" % (own, self.port, own))

    def test_entries_that_are_none(self) -> None:
        for entry, fault in (({"type": 1}, "needs a value or a format_string"), ({"type": 1, "value": "QQ==", "format_string": text("x")},
                             "has a value and a format_string"), ({"type": 1, "format_string": text("%NONE%")}, "NONE")):
            path = self.sandbox.write("refused.yaml", to_yaml(bootstrap(
                [tcp_listener(1, "x", proxy_protocol_tlvs=[entry])], [cluster("x", 2)])))
            run = subprocess.run([self.weir.process.popen.args[0], "--mode", "validate", "-c", path], capture_output=True, text=True)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn(fault, run.stdout + run.stderr)

    def test_typed_metadata_that_nothing_reads(self) -> None:
        other = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "x"}
        one = labelled(cluster("x", 2), {1: b"a"}, acme=other)
        two = labelled(cluster("y", 2), {})
        two["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["metadata"]["typed_filter_metadata"] = {
            "envoy.transport_sockets.proxy_protocol": other}
        path = self.sandbox.write("ignored.yaml", to_yaml(bootstrap([tcp_listener(1, "x")], [one, two])))
        run = subprocess.run([self.weir.process.popen.args[0], "--mode", "validate", "-c", path], capture_output=True, text=True)
        output = run.stdout + run.stderr
        self.assertEqual(run.returncode, 0, output)
        self.assertEqual(output.count("typed_filter_metadata"), 2, output)
        self.assertIn("typed_filter_metadata.acme: has no effect in weir: nothing that could read it is supported", output)
        self.assertIn("has no effect: under this key weir reads an envoy.config.core.v3.PerHostConfig", output)

    def test_pools_of_clients_go(self) -> None:
        for _ in range(50):
            with Connection(self.port) as connection:
                self.ask(connection, "/v2")
        self.assertEqual(self.plain.problems, [])
        self.assertGreaterEqual(self.weir.stat("cluster.v2.upstream_cx_total"), 50)


if __name__ == "__main__":
    main()
