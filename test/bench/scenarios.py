"""What is measured, and what weir has promised for it."""

import os
from dataclasses import dataclass

import route_tables


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    target: float | None = None  # weir's CPU per request as a multiple of the best rival's
    size: int = 13  # of the response body
    connections: int = 64
    browser: bool = False  # 16 request and 13 response header fields, about 1 KB each
    new_connections: bool = False  # one request per downstream connection
    proxy_header: bool = False  # connections begin with one
    endpoints: int = 1
    balance: str = "round_robin"
    bulk: bool = False  # CPU per MiB rather than per request
    syscalls_at_most: str = ""  # a rival whose system calls per request weir must not exceed
    weir_config: str = "http.yaml"
    routes: bool = False  # the 10,000 of route_tables.py, asked for in turn; weir runs with one route, too
    own_at_most: float | None = None  # weir's CPU per request as a multiple of that with one route
    websocket: bool = False  # messages of `size` bytes, echoed
    tcp: bool = False  # the proxies join connections and do not look at what passes
    udp: bool = False  # datagrams of `size` bytes, echoed
    gzip: bool = False  # JSON of `size` bytes, packed by the proxy
    target_rival: str = ""  # whose multiple the target is; empty: the cheapest rival's
    rivals: tuple = ()  # those that do the same; empty: all others
    tls: str = ""  # TLS 1.3 towards clients, with a certificate of this kind: p256, rsa2048
    resume: bool = False  # new connections go on with the sessions of old ones
    http2: int = 0  # so many requests at a time on each connection of clients
    http2_origin: bool = False  # HTTP/2 without TLS to the origin, which is nghttpd
    grpc: bool = False  # unary calls
    loops: bool = False  # the floor over each event loop instead of the proxies

    def leaves_out(self, name):
        return self.rivals and name not in (*self.rivals, "weir")

    def load_arguments(self, directory):
        """`directory`: where a file of targets may be written."""
        if self.routes:
            path = os.path.join(directory, "targets")
            if not os.path.exists(path):
                with open(path, "w") as file:
                    file.write(route_tables.targets())
            return ["--connections=%d" % self.connections, "--targets=" + path]
        if self.udp:
            return ["--connections=%d" % self.connections, "--datagrams=%d" % self.size]
        if self.http2:
            arguments = ["--http2", "--connections=%d" % self.connections, "--streams=%d" % self.http2,
                         "--path=/bytes/%d" % self.size, "--size=%d" % self.size]
            return arguments + ["--tls"] * bool(self.tls) + ["--grpc"] * self.grpc
        if self.websocket:
            return ["--connections=%d" % self.connections, "--websocket=%d" % self.size]
        if self.gzip:
            return ["--connections=%d" % self.connections, "--gzip", "--path=/json/%d" % self.size]
        arguments = ["--connections=%d" % self.connections, "--path=/bytes/%d" % self.size]
        if self.browser:
            arguments.append("--browser")
        if self.new_connections:
            arguments.append("--close")
            if self.proxy_header:
                arguments.append("--proxy-header")
            if self.tcp:
                arguments.append("--hang-up")
        if self.tls:
            arguments.append("--tls")
        if self.resume:
            arguments.append("--resume")
        return arguments


TLS_RIVALS = ("haproxy", "nginx", "h2o", "nghttpx")

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("keepalive", "HTTP/1.1 keep-alive, 64 connections, small response", 0.95, syscalls_at_most="haproxy"),
        Scenario("headers", "keep-alive with ~1 KB browser headers", 0.90, browser=True),
        Scenario("close", "new downstream connection per request", 1.05, new_connections=True),
        Scenario("body16k", "keep-alive, 16 KiB responses", 0.95, size=16 << 10),
        Scenario("endpoints100_rr", "100 endpoints, round robin", 0.95, endpoints=100),
        Scenario("endpoints100_lr", "100 endpoints, least request (least connections)", 0.95, endpoints=100,
                 balance="least_request", weir_config="least_request.yaml"),
        Scenario("routes10k", "10,000 routes over 500 hosts: prefixes, exact paths, regexes", 0.90, routes=True,
                 own_at_most=1.05, weir_config="routes.yaml"),
        Scenario("websocket", "WebSocket, messages of 64 bytes, echoed", 1.0, size=64, websocket=True,
                 weir_config="websocket.yaml", target_rival="haproxy"),
        Scenario("tcp_small", "TCP, small messages on 64 connections", 1.03, tcp=True, weir_config="tcp.yaml"),
        Scenario("tcp_close", "TCP, new connection per message", 1.05, tcp=True, new_connections=True, weir_config="tcp.yaml"),
        Scenario("tcp_bulk", "TCP, 1 MiB at a time", 1.0, size=1 << 20, connections=16, bulk=True, tcp=True,
                 weir_config="tcp.yaml"),
        Scenario("udp_echo", "UDP, 64 bytes each way on 64 sockets", 0.95, size=64, udp=True, weir_config="udp.yaml",
                 rivals=("nginx",)),
        Scenario("tls_keepalive", "TLS 1.3, keep-alive, 64 connections, small response", 0.85, tls="p256", rivals=TLS_RIVALS),
        Scenario("tls_handshake", "TLS 1.3, a full handshake with P-256 per request", 0.72, tls="p256", new_connections=True,
                 rivals=TLS_RIVALS),
        Scenario("tls_resumed", "TLS 1.3, a resumed session per request", 0.65, tls="p256", new_connections=True, resume=True,
                 rivals=TLS_RIVALS),
        Scenario("tls_handshake_rsa", "TLS 1.3, a full handshake with RSA-2048 per request", 1.22, tls="rsa2048",
                 new_connections=True, rivals=TLS_RIVALS),
        Scenario("tls_bulk1m", "TLS 1.3, 1 MiB responses", 0.85, size=1 << 20, connections=16, bulk=True,
                 tls="p256", rivals=TLS_RIVALS),
        Scenario("tls_tcp", "TLS 1.3 terminated to TCP, small messages on 64 connections", 0.92, tcp=True, tls="p256",
                 weir_config="tcp.yaml", rivals=TLS_RIVALS),
        Scenario("h2_to_h1", "HTTP/2 over TLS (10 connections of 32 streams) to HTTP/1.1", 0.95, connections=10, http2=32,
                 tls="p256"),
        Scenario("h2_to_h2c", "HTTP/2 over TLS (10 connections of 32 streams) to HTTP/2 without TLS", 0.95, connections=10,
                 http2=32, tls="p256", http2_origin=True, weir_config="http2_origin.yaml"),
        Scenario("grpc", "gRPC, unary calls, messages of 20 bytes, HTTP/2 without TLS on both sides (10 connections of 32 streams)", 1.0,
                 size=25, connections=10, http2=32, http2_origin=True, grpc=True, weir_config="http2_origin.yaml",
                 target_rival="nghttpx"),
        Scenario("h2_bulk1m", "HTTP/2 over TLS, 1 MiB responses (16 connections of one stream)", 0.95, size=1 << 20, connections=16,
                 http2=1, bulk=True, tls="p256"),
        Scenario("gzip64k", "64 KiB of JSON, packed with gzip at level 6", 1.05, size=64 << 10, connections=16, gzip=True,
                 weir_config="gzip.yaml", rivals=("nginx",)),
        Scenario("bulk1m", "bulk, 1 MiB responses", 1.0, size=1 << 20, connections=16, bulk=True),
        Scenario("bulk1m_packer", "bulk, 1 MiB responses, which the compressor in weir's chain leaves alone", size=1 << 20,
                 connections=16, bulk=True, weir_config="gzip.yaml"),
        Scenario("bulk100m", "bulk, 100 MiB responses", 1.0, size=100 << 20, connections=4, bulk=True),
    )
}

# Not part of a plain run: the price of the event loop itself.
LOOPS = {
    scenario.name: scenario
    for scenario in (
        Scenario("loops_keepalive", "the floor over four event loops, keep-alive", loops=True),
        Scenario("loops_close", "the floor over four event loops, new connection per request", loops=True,
                 new_connections=True),
    )
}
