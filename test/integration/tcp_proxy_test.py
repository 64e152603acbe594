"""tcp_proxy, echo and direct_response between real peers: protocols that weir knows nothing of, how connections begin and
end, and what they cost while one side is slow."""

import collections
import hashlib
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from typing import Any, Optional

from harness import (Connection, Nginx, Sandbox, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, file_access_log, main,
                     network_listener, sanitized, tcp_listener, wait_line, wait_until, wait_until_still)
from harness.upstreams import ServerConnection

LOG_LINE = ("%UPSTREAM_CLUSTER% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %UPSTREAM_HOST% "
            "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_ADDRESS% %CONNECTION_ID% %UPSTREAM_REQUEST_ATTEMPT_COUNT% "
            "%CONNECTION_TERMINATION_DETAILS% %REQ(:METHOD)% %RESPONSE_CODE% %ACCESS_LOG_TYPE% %START_TIME(%Y)%\n")


def echo(connection: ServerConnection) -> None:
    while data := connection.sock.recv(65536):
        connection.send(data)


class FullListener:
    """A port whose queue is full: connections to it are neither taken nor refused."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))
            self._waiting.append(sock)

    def close(self) -> None:
        for sock in (self._listener, *self._waiting):
            sock.close()


class OpenSslServer:
    """openssl s_server with a certificate of its own; gives each line back reversed."""

    def __init__(self, sandbox: Sandbox):
        self.certificate = sandbox.path("cert.pem")
        key = sandbox.path("key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=inner.example", "-addext",
                        "subjectAltName=DNS:inner.example", "-days", "2", "-keyout", key, "-out", self.certificate],
                       check=True, capture_output=True)
        self.port = sandbox.free_port()
        self.process = sandbox.start(["openssl", "s_server", "-accept", "127.0.0.1:%d" % self.port, "-cert", self.certificate,
                                      "-key", key, "-rev", "-quiet"], "openssl")
        wait_until(self._listens, "openssl listens")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class TcpProxyTest(WeirTestCase):
    # What run_script() does with a connection.
    script: Any = None

    @classmethod
    def set_up(cls) -> None:
        cls.nginx = Nginx(cls.sandbox, "web")
        cls.tls = OpenSslServer(cls.sandbox)
        cls.echo = ScriptedUpstream(cls.sandbox, echo)
        cls.scripted = ScriptedUpstream(cls.sandbox, cls.run_script)
        cls.full = FullListener()
        cls.sandbox.at_close(cls.full.close)
        (cls.web_port, cls.tls_port, cls.echo_port, cls.script_port, cls.refused_port, cls.failover_port, cls.stalled_port,
         cls.short_port, cls.weighted_port, cls.limited_port, dead_port) = (cls.sandbox.free_port() for _ in range(11))
        cls.log_path = cls.sandbox.path("tcp.log")
        log = [file_access_log(cls.log_path, LOG_LINE)]
        one = {"circuit_breakers": {"thresholds": [{"max_connections": 1}]}}
        cls.weir = Weir(cls.sandbox, bootstrap([
            tcp_listener(cls.web_port, "web", name="web"),
            tcp_listener(cls.tls_port, "tls", name="tls"),
            tcp_listener(cls.echo_port, "echo", name="echo", access_log=log),
            tcp_listener(cls.script_port, "scripted", name="scripted", access_log=log),
            tcp_listener(cls.refused_port, "dead", name="refused", access_log=log),
            tcp_listener(cls.failover_port, "half-dead", name="failover", max_connect_attempts=2),
            tcp_listener(cls.stalled_port, "stalled", name="stalled", max_connect_attempts=2,
                         backoff_options={"base_interval": "0.01s"}),
            tcp_listener(cls.short_port, "echo", name="short", idle_timeout="0.5s", max_downstream_connection_duration="2s"),
            tcp_listener(cls.weighted_port, name="weighted", weighted_clusters={
                "clusters": [{"name": "echo", "weight": 3}, {"name": "scripted", "weight": 1}]}),
            tcp_listener(cls.limited_port, "limited", name="limited", access_log=log)],
            [cluster("web", cls.nginx.port), cluster("tls", cls.tls.port), cluster("echo", cls.echo.port),
             cluster("scripted", cls.scripted.port), cluster("dead", dead_port), cluster("half-dead", dead_port, cls.echo.port),
             {**cluster("stalled", cls.full.port, cls.echo.port), "connect_timeout": "0.3s"},
             cluster("limited", cls.echo.port, **one)]))

    @classmethod
    def run_script(cls, connection: ServerConnection) -> None:
        cls.script(connection)

    def logged(self, beginning: str) -> list[str]:
        return wait_line(self.log_path, beginning).split()

    def said_back(self, port: int, text: bytes = b"hello") -> None:
        with Connection(port) as connection:
            connection.send(text)
            self.assertEqual(connection.reader.exactly(len(text)), text)

    # --- Flow ---

    def test_an_upstream_that_does_not_read_stops_the_client(self) -> None:
        go_on = threading.Event()
        received = []

        def slow(connection: ServerConnection) -> None:
            go_on.wait(30)
            size = 0
            while data := connection.sock.recv(1 << 20):
                size += len(data)
            received.append(size)

        type(self).script = staticmethod(slow)
        paused, resumed = ("tcp.scripted.downstream_flow_control_%s_reading_total" % what for what in ("paused", "resumed"))
        with Connection(self.script_port) as connection:
            sent = 0
            connection.sock.settimeout(1)
            try:
                while sent < 200_000_000:
                    sent += connection.sock.send(bytes(1 << 20))
            except TimeoutError:
                pass
            self.weir.wait_stat(paused, 1)
            self.assertEqual(self.weir.stat(paused), self.weir.stat(resumed) + 1)
            go_on.set()
            connection.sock.settimeout(15)
            connection.half_close()
            wait_until(lambda: received, "all of it arrives")
        self.assertEqual(received, [sent])
        self.assertEqual(self.weir.stat(paused), self.weir.stat(resumed))

    # --- Protocols ---

    def test_http_to_nginx(self) -> None:
        with Connection(self.web_port) as connection:
            for _ in range(3):
                self.assertEqual(connection.request(path="/who").text, "web\n")
        with urllib.request.urlopen("http://127.0.0.1:%d/any" % self.web_port, timeout=10) as response:
            self.assertEqual(response.read(), b"web /any\n")
        self.weir.wait_stat("tcp.web.downstream_cx_total", 2)
        self.assertEqual(self.weir.stat("cluster.web.upstream_cx_http1_total"), 0)
        self.assertIn('envoy_tcp_downstream_cx_total{envoy_tcp_prefix="web"}', self.weir.admin("/stats/prometheus"))

    def test_tls_is_not_looked_into(self) -> None:
        context = ssl.create_default_context(cafile=self.tls.certificate)
        with socket.create_connection(("127.0.0.1", self.tls_port), timeout=15) as sock:
            with context.wrap_socket(sock, server_hostname="inner.example") as secure:
                secure.sendall(b"abc\n")
                self.assertEqual(secure.recv(100), b"cba\n")
        client = subprocess.run(
            ["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.tls_port, "-CAfile", self.tls.certificate, "-verify_return_error",
             "-servername", "inner.example", "-quiet", "-no_ign_eof"], input=b"stressed\n", capture_output=True, timeout=30)
        self.assertIn(b"verify return:1", client.stderr)

    def test_many_at_once(self) -> None:
        connections = [Connection(self.echo_port) for _ in range(200)]
        for index, connection in enumerate(connections):
            connection.send(b"%03d" % index)
        for index, connection in enumerate(connections):
            self.assertEqual(connection.reader.exactly(3), b"%03d" % index)
            connection.close()
        self.weir.wait_stat_is("cluster.echo.upstream_cx_active", 0)

    # --- How they end ---

    def test_the_client_ends_first(self) -> None:
        def run(connection: ServerConnection) -> None:
            connection.send(b"you said " + connection.reader.until_closed())

        TcpProxyTest.script = run
        with Connection(self.script_port) as connection:
            connection.send(b"all of it")
            connection.half_close()
            self.assertEqual(connection.reader.until_closed(), b"you said all of it")

    def test_the_server_ends_first(self) -> None:
        said: list[bytes] = []

        def run(connection: ServerConnection) -> None:
            connection.send(b"that is all")
            connection.sock.shutdown(socket.SHUT_WR)
            said.append(connection.reader.until_closed())

        TcpProxyTest.script = run
        with Connection(self.script_port) as connection:
            self.assertEqual(connection.reader.until_closed(), b"that is all")
            connection.send(b"I am not done")
            connection.half_close()
            wait_until(lambda: said, "the server hears the rest")
        self.assertEqual(said, [b"I am not done"])

    def test_resets_pass(self) -> None:
        def break_off(connection: ServerConnection) -> None:
            connection.sock.recv(1)
            connection.reset()

        TcpProxyTest.script = break_off
        with Connection(self.script_port) as connection:
            connection.send(b"x")
            with self.assertRaises(ConnectionResetError):
                connection.sock.recv(1)
        self.assertEqual(self.logged("scripted UC")[2:4], ["1", "0"])
        ended: list[object] = []

        def run(connection: ServerConnection) -> None:
            try:
                while connection.sock.recv(100):
                    pass
                ended.append("in order")
            except ConnectionResetError:
                ended.append("reset")

        TcpProxyTest.script = run
        connection = Connection(self.script_port)
        connection.send(b"not a")
        connection.wait_taken()
        connection.reset()
        wait_until(lambda: ended, "the server sees the end")
        self.assertEqual(ended, ["reset"])
        self.assertEqual(self.logged("scripted DC")[2:4], ["5", "0"])

    def test_time_is_limited(self) -> None:
        with Connection(self.short_port) as connection:
            self.assertEqual(connection.reader.until_closed(), b"")  # idle
        self.weir.wait_stat("tcp.short.idle_timeout", 1)
        start = time.monotonic()
        with Connection(self.short_port) as connection:
            with self.assertRaises((ConnectionError, EOFError)):
                while True:
                    connection.send(b"x")
                    if not connection.sock.recv(1):
                        raise EOFError
                    time.sleep(0.05)
        self.assertGreater(time.monotonic() - start, 1.9)
        self.weir.wait_stat("tcp.short.max_downstream_connection_duration", 1)

    # --- Finding an upstream ---

    def test_nobody_is_there(self) -> None:
        with Connection(self.refused_port) as connection:
            self.assertTrue(connection.closed_within(10))
        line = self.logged("dead UF,URX")
        self.assertEqual(line[2:4] + line[9:11], ["0", "0", "1", "connection_failure"])
        self.weir.wait_stat("cluster.dead.upstream_cx_connect_fail", 1)
        self.weir.wait_stat("cluster.dead.upstream_cx_connect_attempts_exceeded", 1)

    def test_another_host_takes_over(self) -> None:
        for _ in range(20):
            self.said_back(self.failover_port)
        self.weir.wait_stat("cluster.half-dead.upstream_cx_connect_fail", 5)
        self.assertEqual(self.weir.stat("cluster.half-dead.upstream_cx_connect_attempts_exceeded"), 0)

    def test_a_host_that_does_not_answer(self) -> None:
        for _ in range(4):
            self.said_back(self.stalled_port)
        self.weir.wait_stat("cluster.stalled.upstream_cx_connect_timeout", 1)

    # field: TcpProxy.weighted_clusters, TcpProxy.WeightedCluster.clusters
    # field: TcpProxy.WeightedCluster.ClusterWeight.name, TcpProxy.WeightedCluster.ClusterWeight.weight
    def test_weights(self) -> None:
        def run(connection: ServerConnection) -> None:
            connection.reader.until_closed()
            connection.send(b"scripted")

        TcpProxyTest.script = run
        seen: collections.Counter[bytes] = collections.Counter()
        for _ in range(200):
            with Connection(self.weighted_port) as connection:
                connection.send(b"echo")
                connection.half_close()
                seen[connection.reader.until_closed()] += 1
        self.assertEqual(set(seen), {b"echo", b"scripted"})
        self.assertGreater(seen[b"echo"], seen[b"scripted"])  # by far; one in a billion runs has it the other way round

    def test_the_limit_of_connections(self) -> None:
        with Connection(self.limited_port) as first:
            first.send(b"hello")
            first.reader.exactly(5)
            with Connection(self.limited_port) as second:
                self.assertTrue(second.closed_within(10))
        self.assertEqual(self.logged("limited UO")[10], "upstream_overflow")
        self.weir.wait_stat_is("cluster.limited.upstream_cx_active", 0)
        self.said_back(self.limited_port)

    # --- The log ---

    # field: TcpProxy.access_log
    def test_a_line_for_each_connection(self) -> None:
        self.said_back(self.echo_port, b"x" * 12345)
        line = self.logged("echo - 12345 12345")
        self.assertLess(int(line[4]), 60_000)
        self.assertEqual(line[5:8], ["127.0.0.1:%d" % self.echo.port, "127.0.0.1", "127.0.0.1:%d" % self.echo_port])
        self.assertGreater(int(line[8]), 0)
        self.assertEqual(line[9:14], ["1", "-", "-", "0", "TcpConnectionEnd"])
        self.assertRegex(line[14], r"^\d{4}$")

    # --- Much, and slowly ---

    def large(self, to_client: bool) -> None:
        """64 MiB past a reader that stands still at first: every byte arrives, and memory stays what it was."""
        size = 64 << 20
        piece = hashlib.sha256(b"seed").digest() * 2048
        go = threading.Event()
        result: list[Optional[str]] = []
        sent = [0]

        def write(sock: socket.socket) -> None:
            for _ in range(size // len(piece)):
                sock.sendall(piece)
                sent[0] += len(piece)
            sock.shutdown(socket.SHUT_WR)

        def read(sock: socket.socket) -> str:
            digest, total = hashlib.sha256(), 0
            while data := sock.recv(1 << 18):
                digest.update(data)
                total += len(data)
            return "%d %s" % (total, digest.hexdigest())

        def run(connection: ServerConnection) -> None:
            if to_client:
                write(connection.sock)
                connection.reader.until_closed()
            else:
                go.wait(60)
                result.append(read(connection.sock))

        TcpProxyTest.script = run
        before = self.weir.process.resident_kib()
        with Connection(self.script_port, timeout=120) as connection:
            writer = threading.Thread(target=write, args=(connection.sock,), daemon=True)
            if not to_client:
                writer.start()
            wait_until_still(lambda: sent[0], 0.5)
            self.assertLess(sent[0], size)
            grown = self.weir.process.resident_kib() - before
            go.set()
            if to_client:
                result.append(read(connection.sock))
                connection.half_close()
            else:
                writer.join(120)
                self.assertEqual(connection.reader.until_closed(), b"")
        wait_until(lambda: result, "the reader is done", 60)
        expected = hashlib.sha256()
        for _ in range(size // len(piece)):
            expected.update(piece)
        self.assertEqual(result, ["%d %s" % (size, expected.hexdigest())])
        if not sanitized():
            self.assertLess(grown, 16 * 1024)

    def test_large_to_the_client(self) -> None:
        self.large(True)

    def test_large_to_the_server(self) -> None:
        self.large(False)


class ChangesTest(WeirTestCase):
    """Connections over reloads and the end of the process."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = ScriptedUpstream(cls.sandbox, echo)
        cls.port, cls.direct_port, cls.echo_port = (cls.sandbox.free_port() for _ in range(3))
        direct = {"name": "direct", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config",
            "response": {"inline_string": "closed for today\n"}}}
        own_echo = {"name": "echo", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}}
        cls.weir = Weir(cls.sandbox, bootstrap(
            [tcp_listener(cls.port, "echo"), network_listener(cls.direct_port, direct, "direct"),
             network_listener(cls.echo_port, own_echo, "echo")],
            [cluster("echo", cls.echo.port)]), arguments=["--drain-time-s", "30"])

    def test_direct_response(self) -> None:
        with Connection(self.direct_port) as connection:
            connection.send(b"let me in")
            self.assertEqual(connection.reader.until_closed(), b"closed for today\n")

    def test_echo(self) -> None:
        with Connection(self.echo_port) as connection:
            connection.send(b"hello")
            connection.half_close()
            self.assertEqual(connection.reader.until_closed(), b"hello")

    def test_z_the_end_of_the_process_waits(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"before")
            self.assertEqual(connection.reader.exactly(6), b"before")
            self.weir.settle()  # a reload changes nothing for it
            self.weir.process.signal(signal.SIGTERM)
            wait_until(lambda: not self.weir._is_ready(), "weir is not ready any more")
            connection.send(b"after")
            self.assertEqual(connection.reader.exactly(5), b"after")
            self.assertTrue(self.weir.process.running())
        self.weir.ended_with(0)


if __name__ == "__main__":
    main()
