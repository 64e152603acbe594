"""Listeners inside the process: one listener's cluster is another listener."""

import signal
import socket
import subprocess
import threading
import time
from typing import Any, Optional

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, http_listener, main, over_tls,
                     refuses, route, tcp_listener, to_yaml, wait_until, weir_binary)
from harness.config import client_tls, http_options, server_tls, trusts
from harness.tls import Authority

_TYPE = "type.googleapis.com/"
_PROXY_PROTOCOL = {"name": "proxy_protocol", "typed_config": {
    "@type": _TYPE + "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"}}
RAW = {"name": "raw", "typed_config": {"@type": _TYPE + "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}
LONG_NAME = "a listener with a name that is much longer than those of abstract sockets may be, " * 2


def internal_cluster(name: str, listener: str, **fields: Any) -> dict[str, Any]:
    made = cluster(name, 1, **fields)
    made["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": {
        "envoy_internal_address": {"server_listener_name": listener}}}}]}]
    return made


def internal(listener: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    """The same listener without an address."""
    made = {**listener, "name": name, "internal_listener": {}, **fields}
    del made["address"]
    return made


def internal_upstream(within: dict[str, Any]) -> dict[str, Any]:
    return {"name": "internal", "typed_config": {
        "@type": _TYPE + "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport", "transport_socket": within}}


class InternalListenerTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port, cls.tcp, cls.tunnels, cls.told = (cls.sandbox.free_port() for _ in range(4))
        proxy_header = {"name": "header", "typed_config": {
            "@type": _TYPE + "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
            "config": {"version": "V2"}, "transport_socket": RAW}}
        connect = http_listener(1, [{"match": {"connect_matcher": {}}, "route": {
            "cluster": "echo", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}}])
        cls.config = {**bootstrap([
            http_listener(cls.port, [route({"prefix": "/long"}, "to_long"), route({"prefix": "/"}, "to_inner")]),
            tcp_listener(cls.tcp, "to_inner", name="tcp"),
            tcp_listener(cls.tunnels, "to_connect", name="tunnels", tunneling_config={"hostname": "echo.example:80"}),
            http_listener(cls.told, [route({"prefix": "/"}, "to_told")], name="telling"),
            internal(http_listener(1, [route({"prefix": "/"}, "echo")]), "inner"),
            internal(http_listener(1, [direct({"prefix": "/"}, "long")]), LONG_NAME),
            internal(connect, "connect"),
            internal(http_listener(1, [route({"prefix": "/"}, "echo")], use_remote_address=True), "told",
                     listener_filters=[_PROXY_PROTOCOL], stat_prefix="of_its_own"),
        ], [cluster("echo", cls.echo.port), internal_cluster("to_inner", "inner"), internal_cluster("to_long", LONG_NAME),
            internal_cluster("to_connect", "connect"),
            internal_cluster("to_told", "told", transport_socket=internal_upstream(proxy_header))]),
            "bootstrap_extensions": [{"name": "internal", "typed_config": {
                "@type": _TYPE + "envoy.extensions.bootstrap.internal_listener.v3.InternalListener"}}]}
        cls.weir = Weir(cls.sandbox, cls.config)

    # field: Listener.internal_listener, Address.envoy_internal_address, EnvoyInternalAddress.server_listener_name
    # field: Bootstrap.bootstrap_extensions
    def test_requests_pass_through(self) -> None:
        before = self.weir.stats().get("listener.internal_inner.downstream_cx_total", 0)
        with Connection(self.port) as connection:
            for number in range(5):
                response = connection.request(path="/%d" % number)
                self.assertEqual(self.echoed(response)["server"], "echo")
        self.weir.wait_stat("listener.internal_inner.downstream_cx_total", before + 1)
        body = b"x" * 3_000_000
        self.assertEqual(self.echoed(fetch(self.port, "/large", "POST", body=body))["length"], len(body))
        self.assertEqual(fetch(self.port, "/long").text, "long")

    def test_connections_pass_through(self) -> None:
        with Connection(self.tcp) as connection:
            self.assertEqual(self.echoed(connection.request(path="/tcp"))["server"], "echo")

    def test_a_tunnel_that_begins_and_ends_here(self) -> None:
        with Connection(self.tunnels) as connection:
            self.assertEqual(self.echoed(connection.request(path="/in-a-tunnel"))["server"], "echo")

    # field: InternalUpstreamTransport.transport_socket
    def test_who_the_client_is_can_be_told(self) -> None:
        self.assertEqual(self.echoed(fetch(self.told, "/"))["headers"]["x-forwarded-for"], ["127.0.0.1"])
        self.assertNotIn("x-forwarded-for", self.echoed(fetch(self.port, "/"))["headers"])
        self.weir.wait_stat("listener.of_its_own.downstream_cx_total", 1)

    def test_admin_names_them(self) -> None:
        self.assertIn("\ninner::envoy://inner/\n", self.weir.admin("/listeners"))
        self.assertIn("to_inner::envoy://inner/::health_flags::healthy\n", self.weir.admin("/clusters"))
        listeners = {one["name"]: one["local_address"] for one in self.weir.admin_json("/listeners?format=json")["listener_statuses"]}
        for name in ("inner", LONG_NAME):
            self.assertEqual(listeners[name], {"envoy_internal_address": {"server_listener_name": name}})
        clusters = {one["name"]: one["host_statuses"] for one in self.weir.admin_json("/clusters?format=json")["cluster_statuses"]}
        for cluster_name, name in (("to_inner", "inner"), ("to_long", LONG_NAME)):
            self.assertEqual([host["address"] for host in clusters[cluster_name]],
                             [{"envoy_internal_address": {"server_listener_name": name}}])

    def test_nobody_else_gets_in(self) -> None:
        with socket.socket(socket.AF_UNIX) as other:
            other.settimeout(5)
            with open("/proc/net/unix", encoding="utf-8") as sockets:
                names = {line.split()[-1] for line in sockets if "@weir-internal/" in line and line.rstrip().endswith("/inner")}
            (name,) = names
            other.connect("\0" + name[1:])
            try:
                other.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                self.assertEqual(other.recv(1000), b"")
            except (BrokenPipeError, ConnectionResetError):
                pass
        wait_until(lambda: "listener inner: another process has connected to it" in self.weir.process.log(), "it is told")

    def test_what_does_not_fit_is_said(self) -> None:
        def fault(listeners: list, clusters: list, **fields: Any) -> str:
            path = self.sandbox.write("refused.yaml", to_yaml({**bootstrap(listeners, clusters), **fields}))
            run = subprocess.run([weir_binary(), "--mode", "validate", "-c", path], capture_output=True, text=True, timeout=20)
            self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
            return run.stdout + run.stderr

        hello = http_listener(1, [direct({"prefix": "/"}, "hello")])
        inner = internal(hello, "inner")
        self.assertIn('"iner" is no listener with internal_listener; there are inner', fault([inner], [internal_cluster("a", "iner")]))
        self.assertIn("is no listener with internal_listener", fault([hello], [internal_cluster("a", hello["name"])]))
        self.assertIn("is not for an internal listener", fault([{**inner, "enable_reuse_port": True}], []))
        self.assertIn("endpoints name an internal listener", fault([{**inner, "name": ""}], []))
        self.assertIn("is the address of an endpoint", fault([{**hello, "address": {
            "envoy_internal_address": {"server_listener_name": "x"}}}], []))
        self.assertIn("is no extension of the process here", fault([], [], bootstrap_extensions=[{"name": "x", "typed_config": RAW[
            "typed_config"]}]))


class EncryptedTest(WeirTestCase):
    """What the transport socket within says of the connection is true of it."""

    def test_tls_within(self) -> None:
        authority = Authority(self.sandbox)
        port = self.sandbox.free_port()
        inner = http_listener(1, [direct({"prefix": "/"}, "over %PROTOCOL%")], codec_type="AUTO")
        over_tls(inner, server_tls(authority.issue("a.example", "DNS:a.example"), common={"alpn_protocols": ["h2", "http/1.1"]}))
        # Only a cluster that encrypts may let the server choose.
        to_inner = internal_cluster("to_inner", "inner", transport_socket=internal_upstream(
            client_tls(common=trusts(authority), sni="a.example")), **http_options(auto_config={}))
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "to_inner")]), internal(inner, "inner")], [to_inner]))
        self.assertEqual(fetch(port).status, 200)
        self.assertEqual(weir.stat("cluster.to_inner.upstream_cx_http2_total"), 1)
        self.assertGreaterEqual(weir.stat("cluster.to_inner.ssl.handshake"), 1)


class InternalLifeTest(WeirTestCase):
    def config(self, text: str, port: int) -> dict[str, Any]:
        return bootstrap([http_listener(port, [route({"prefix": "/"}, "inner")]),
                          internal(http_listener(1, [direct({"prefix": "/"}, text)]), "inner")], [internal_cluster("inner", "inner")])

    def test_what_drains_is_led_to_new_ones(self) -> None:
        port = self.sandbox.free_port()
        weir = Weir(self.sandbox, self.config("one", port))
        with Connection(port) as connection:
            self.assertEqual(connection.request().text, "one")
            weir.admin("/drain_listeners", "POST")
            wait_until(lambda: refuses(port), "it is closed")
            config = self.config("two", port)
            config["static_resources"]["listeners"][1]["name"] = "other"
            config["static_resources"]["clusters"] = [internal_cluster("inner", "other")]
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(config) + "\n")
            weir.settle()
            self.assertEqual(connection.request().text, "two")

    def test_reload_restart_and_end(self) -> None:
        port, path = self.sandbox.free_port(), self.sandbox.path("restart")
        first = Weir(self.sandbox, self.config("one", port), arguments=["--socket-path", path, "--drain-strategy", "immediate"])
        self.assertEqual(fetch(port).text, "one")
        with open(first.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(self.config("two", port)) + "\n")
        first.settle()
        wait_until(lambda: fetch(port).text == "two", "the inner listener is updated")
        failed: list[Optional[str]] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                try:
                    text = fetch(port).text
                except OSError as error:
                    text = str(error)
                if text not in ("two", "three"):
                    failed.append(text)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.2)
            second = Weir(self.sandbox, self.config("three", port),
                          arguments=["--restart", "--socket-path", path, "--drain-strategy", "immediate"])
            first.ended_with(0)
            time.sleep(0.2)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failed, [])
        self.assertEqual(fetch(port).text, "three")
        with Connection(port) as connection:
            self.assertEqual(connection.request().text, "three")
            second.process.signal(signal.SIGTERM)
            second.ended_with(0)


if __name__ == "__main__":
    main()
