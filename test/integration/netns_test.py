"""A sidecar in a network namespace of its own: connections are redirected to weir by the packet filter (REDIRECT, TPROXY), in
both directions, and go where they were going (ORIGINAL_DST). UDP with the addresses of clients."""

import contextlib
import socket
import subprocess
import unittest
from collections.abc import Iterator
from typing import Any, Optional

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, file_access_log, http_listener,
                     main, over_tls, route, tcp_listener, to_yaml, wait_line, wait_until, weir_binary)
from harness import netns
from harness.netns import Namespace, as_nobody
from harness.config import server_tls
from harness.tls import Authority, client_context
from harness.udp import UdpClient, UdpServer, udp_listener
from harness.upstreams import ScriptedUpstream

ORIGINAL_DST = {"name": "original_dst", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}
POD, POD6, POD_OUT, CLIENT, SERVER = "10.7.1.1", "fd07:1::1", "10.7.2.1", "10.7.1.2", "10.7.2.2"


def original(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "2s", **fields}


@unittest.skipIf(netns.missing(), netns.missing() or "")
class SidecarTest(WeirTestCase):
    """client -- pod (application and weir) -- server."""

    logs = 0

    @classmethod
    def set_up(cls) -> None:
        cls.client, cls.pod, cls.server_side = (Namespace(cls.sandbox, name) for name in ("c", "p", "s"))
        cls.to_client, _ = cls.pod.connect(cls.client, POD + "/24", CLIENT + "/24")
        cls.to_server, _ = cls.pod.connect(cls.server_side, POD_OUT + "/24", SERVER + "/24")
        cls.client.do("ip route add default via " + POD)
        cls.server_side.do("ip route add default via " + POD_OUT)
        # What TPROXY has marked is delivered here, whatever its address is.
        cls.pod.do("""ip rule add fwmark 1 lookup 100
                      ip route add local 0.0.0.0/0 dev lo table 100
                      sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.lo.rp_filter=0
                      sysctl -qw net.ipv4.conf.%s.rp_filter=0 net.ipv4.conf.%s.rp_filter=0""" % (cls.to_client, cls.to_server))
        with cls.pod.entered():
            cls.application = EchoUpstream(cls.sandbox, "application", host=POD, port=8080)
            cls.raw = ScriptedUpstream(cls.sandbox, lambda one: one.send(b"raw " + one.reader.until_closed()), host=POD, port=9000)
        with cls.server_side.entered():
            cls.outer = EchoUpstream(cls.sandbox, "outer", host=SERVER, port=80)

    def config(self, transparent: bool) -> dict[str, Any]:
        type(self).logs += 1
        self.log = self.sandbox.path("netns-%d.log" % self.logs)
        log = [file_access_log(self.log, "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_ADDRESS% "
                                         "%DOWNSTREAM_DIRECT_LOCAL_ADDRESS% %UPSTREAM_HOST%\n")]
        inbound = http_listener(15006, [route({"prefix": "/"}, "in")], name="ingress", use_remote_address=True, access_log=log)
        inbound["filter_chains"][0]["filter_chain_match"] = {"destination_port": 8080}
        inbound["default_filter_chain"] = tcp_listener(1, "in", "ingress")["filter_chains"][0]
        outbound = tcp_listener(15001, "out", "egress", access_log=log)
        for listener in (inbound, outbound):
            listener["address"]["socket_address"]["address"] = "0.0.0.0"
            listener["listener_filters"] = [ORIGINAL_DST]
            if transparent:
                listener["transparent"] = True
        return bootstrap([inbound, outbound], [original("in"), original("out", cleanup_interval="0.5s")])

    @contextlib.contextmanager
    def rules(self, text: str) -> Iterator[None]:
        self.pod.do(text)
        try:
            yield
        finally:
            self.pod.do("iptables -t nat -F\niptables -t mangle -F")

    @contextlib.contextmanager
    def weir_there(self, config: dict[str, Any]) -> Iterator[Weir]:
        with self.pod.entered():
            weir = Weir(self.sandbox, config)
            try:
                yield weir
            finally:
                weir.stop()

    def get_in(self, port: int = 8080) -> Any:
        with self.client.entered():
            connection = Connection(port, host=POD)
        with connection:
            return connection.request()

    def get_out(self, host: str = SERVER, port: int = 80) -> Any:
        with as_nobody():  # weir is root, whose connections are left alone
            connection = Connection(port, host=host)
        with connection:
            return connection.request()

    REDIRECT = """iptables -t nat -A PREROUTING -p tcp -d 10.7.1.1 -j REDIRECT --to-ports 15006
                  iptables -t nat -A OUTPUT -o lo -j RETURN
                  iptables -t nat -A OUTPUT -m owner --uid-owner 0 -j RETURN
                  iptables -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 15001"""
    TPROXY = """iptables -t mangle -A PREROUTING -p tcp -d 10.7.1.1 ! -i lo -j TPROXY --on-port 15006 --tproxy-mark 1
                iptables -t mangle -A OUTPUT -p tcp -d 10.7.2.2 -m owner ! --uid-owner 0 -j MARK --set-mark 1
                iptables -t mangle -A PREROUTING -p tcp -i lo -d 10.7.2.2 -m mark --mark 1 -j TPROXY --on-port 15001 --tproxy-mark 1"""

    def check_both_ways(self, weir: Weir) -> None:
        with self.subTest("ingress, HTTP"):
            account = self.echoed(self.get_in())
            self.assertEqual((account["server"], account["headers"]["x-forwarded-for"]), ("application", [CLIENT]))
            wait_until(lambda: "%s:8080" % POD in weir.admin("/clusters"), "the host that was found is shown")
        with self.subTest("ingress, TCP"):
            with self.client.entered():
                connection = Connection(9000, host=POD)
            with connection:
                connection.send(b"x")
                connection.half_close()
                self.assertEqual(connection.reader.until_closed(), b"raw x")
        with self.subTest("egress"):
            self.assertEqual(self.echoed(self.get_out())["server"], "outer")
            self.assertGreaterEqual(weir.stat("tcp.egress.downstream_cx_total"), 1)
            wait_line(self.log, pattern=" %s:80$" % SERVER)
        with self.subTest("what came straight here goes nowhere"):
            before = weir.stat("cluster.in.upstream_cx_none_healthy")
            with self.client.entered(), contextlib.suppress(OSError):
                connection = Connection(15006, host=POD, timeout=5)
                with connection:
                    connection.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                    self.assertEqual(connection.reader.until_closed(), b"")
            self.assertLessEqual(weir.stat("cluster.in.upstream_cx_none_healthy"), before + 2)

    def test_redirect(self) -> None:
        with self.rules(self.REDIRECT), self.weir_there(self.config(False)) as weir:
            self.check_both_ways(weir)
            # Hosts that nobody uses are forgotten.
            # field: Cluster.cleanup_interval
            weir.wait_stat("cluster.out.membership_change", 2)
            weir.wait_stat_is("cluster.out.membership_total", 0)
            self.assertEqual(self.echoed(self.get_out())["server"], "outer")

    def test_tproxy(self) -> None:
        with self.rules(self.TPROXY), self.weir_there(self.config(True)) as weir:
            self.check_both_ways(weir)
            line = wait_line(self.log, CLIENT)
            self.assertEqual(line, "%s %s:8080 %s:8080 %s:8080" % (CLIENT, POD, POD, POD))

    def test_restarts(self) -> None:
        with self.rules(self.REDIRECT):
            with self.weir_there(self.config(False)):
                self.assertEqual(self.get_in().status, 200)
                self.application.close()
                self.assertEqual(self.get_in().status, 503)
                SidecarTest.application = EchoUpstream(self.sandbox, "application", host=POD, port=8080)
                self.assertEqual(self.echoed(self.get_in())["server"], "application")
            with self.client.entered(), self.assertRaises(OSError):
                Connection(8080, host=POD)
            with self.weir_there(self.config(False)):
                self.assertEqual(self.echoed(self.get_in())["server"], "application")
                self.assertEqual(self.echoed(self.get_out())["server"], "outer")

    def test_many_destinations(self) -> None:
        """Each lane finds hosts for itself; they become the same ones."""
        self.server_side.do("\n".join("ip addr add 10.7.2.%d/24 dev %s" % (last, self.server_link()) for last in range(10, 40)))
        with self.server_side.entered():
            servers = [EchoUpstream(self.sandbox, str(last), host="10.7.2.%d" % last, port=80) for last in range(10, 40)]
        with self.rules(self.REDIRECT), self.weir_there(self.config(False)) as weir:
            for _ in range(2):
                for last in range(10, 40):
                    self.assertEqual(self.echoed(self.get_out("10.7.2.%d" % last))["server"], str(last))
            wait_until(lambda: weir.stat("cluster.out.membership_total") <= 30, "not more hosts than there are")
            self.assertGreaterEqual(weir.stat("cluster.out.upstream_cx_total"), 60)
        for server in servers:
            server.close()

    def server_link(self) -> str:
        with self.server_side.entered():
            with open("/proc/net/dev", encoding="ascii") as file:
                return next(line.split(":")[0].strip() for line in file if line.strip().startswith("w"))

    def test_udp_with_the_addresses_of_clients(self) -> None:
        # field: UdpProxyConfig.use_original_src_ip
        with self.server_side.entered():
            server = UdpServer(self.sandbox, "s", host=SERVER)
        to = {"name": "udp", "load_assignment": {"cluster_name": "udp", "endpoints": [{"lb_endpoints": [{"endpoint": {
            "address": {"socket_address": {"address": SERVER, "port_value": server.port}}}}]}]}}
        rules = "iptables -t mangle -A PREROUTING -p udp -i %s -d %s -j MARK --set-mark 1" % (self.to_server, CLIENT)
        with self.rules(rules), self.weir_there(bootstrap(
                [udp_listener(5300, "udp", host=POD, use_original_src_ip=True)], [to])) as weir:
            with self.client.entered():
                client = UdpClient(5300, POD)
            with client:
                self.assertEqual(client.ask(b"x"), b"s x")
            self.assertEqual(server.seen[0][1][0], CLIENT)
            self.assertEqual(weir.stat("cluster.udp.upstream_cx_connect_fail"), 0)


class OriginalDestinationTest(WeirTestCase):
    """Where the request says, without a packet filter."""

    @classmethod
    def set_up(cls) -> None:
        cls.echoes = [EchoUpstream(cls.sandbox, name) for name in ("a", "b")]
        cls.port = cls.sandbox.free_port()
        header = {"use_http_header": True}
        to_metadata = {"name": "envoy.filters.http.header_to_metadata", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config",
            "request_rules": [{"header": "x-where", "on_header_present": {"metadata_namespace": "where", "key": "to"}}]}}
        clusters = [
            original("header", original_dst_lb_config=header),
            original("named", original_dst_lb_config={**header, "http_header_name": "x-to", "upstream_port_override": cls.echoes[1].port}),
            original("metadata", original_dst_lb_config={"metadata_key": {"key": "where", "path": [{"key": "to"}]}}),
            original("limited", original_dst_lb_config=header, circuit_breakers={"thresholds": [{"max_requests": 1}]}),
        ]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, [route({"prefix": "/" + one["name"]}, one["name"]) for one in clusters] + [
                route({"prefix": "/copied"}, "first", {"request_mirror_policies": [{"cluster": "header"}, {"cluster": "metadata"}]}),
                direct({"prefix": "/"}, "x")],
            http_filters=[to_metadata])], clusters + [cluster("first", cls.echoes[0].port)]))

    def ask(self, path: str, **headers: str) -> Any:
        with Connection(self.port) as connection:
            return connection.request(path="/" + path, headers=[(name.replace("_", "-"), value) for name, value in headers.items()])

    def served(self, path: str, **headers: str) -> Optional[str]:
        response = self.ask(path, **headers)
        return str(self.echoed(response)["server"]) if response.status == 200 else None

    def test_header(self) -> None:
        # field: Cluster.original_dst_lb_config, OriginalDstLbConfig.use_http_header
        for _ in range(3):
            for echo in self.echoes:
                self.assertEqual(self.served("header", x_envoy_original_dst_host="127.0.0.1:%d" % echo.port), echo.name)
        self.weir.wait_stat_is("cluster.header.membership_total", 2)

    def test_no_host(self) -> None:
        self.assertEqual(self.ask("header").status, 503)
        for wrong in ("localhost:80", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "::1:80", "[::1]", "[127.0.0.1:80", "x" * 300, "127.0.0.1:80 "[:-1] + "a"):
            before = self.weir.stat("cluster.header.original_dst_host_invalid")
            self.assertEqual(self.ask("header", x_envoy_original_dst_host=wrong).status, 503, wrong)
            self.weir.wait_stat_is("cluster.header.original_dst_host_invalid", before + 1)

    def test_name_and_port(self) -> None:
        # field: OriginalDstLbConfig.http_header_name, OriginalDstLbConfig.upstream_port_override
        self.assertEqual(self.served("named", x_to="127.0.0.1:%d" % self.echoes[0].port), "b")
        self.assertEqual(self.ask("named", x_envoy_original_dst_host="127.0.0.1:%d" % self.echoes[0].port).status, 503)

    def test_metadata(self) -> None:
        # field: OriginalDstLbConfig.metadata_key
        for echo in self.echoes:
            self.assertEqual(self.served("metadata", x_where="127.0.0.1:%d" % echo.port), echo.name)
        self.assertEqual(self.ask("metadata").status, 503)

    def test_copies_go_where_the_request_says(self) -> None:
        def copies() -> int:
            return sum(request.target == "/copied" for request in self.echoes[1].requests)

        second = "127.0.0.1:%d" % self.echoes[1].port
        self.assertEqual(self.served("copied", x_envoy_original_dst_host=second), "a")
        wait_until(lambda: copies() == 1, "the header says where the copy goes")
        self.assertEqual(self.served("copied", x_where=second), "a")
        wait_until(lambda: copies() == 2, "metadata says where the copy goes")

    def test_what_such_a_cluster_cannot_have(self) -> None:
        def fault(made: dict[str, Any]) -> str:
            path = self.sandbox.write("refused.yaml", to_yaml(bootstrap([], [made])))
            run = subprocess.run([weir_binary(), "--mode", "validate", "-c", path], capture_output=True, text=True, timeout=20)
            self.assertEqual(run.returncode, 1)
            return run.stdout + run.stderr

        self.assertIn("write CLUSTER_PROVIDED", fault({**original("a"), "lb_policy": "ROUND_ROBIN"}))
        self.assertIn("must be empty", fault({**cluster("a", 1), **original("a")}))
        self.assertIn("is for clusters of type ORIGINAL_DST", fault(cluster("a", 1, original_dst_lb_config={"use_http_header": True})))

    def test_more_destinations_than_a_lane_holds_for_itself(self) -> None:
        """A client that asks for ever new ones costs what is bounded."""
        refused = self.sandbox.free_port()
        for number in range(300):
            self.assertEqual(self.ask("header", x_envoy_original_dst_host="127.%d.%d.1:%d" % (1 + number // 250, number % 250, refused)).status, 503)
        self.assertEqual(self.served("header", x_envoy_original_dst_host="127.0.0.1:%d" % self.echoes[0].port), "a")


@unittest.skipIf(netns.missing(), netns.missing() or "")
class HandshakeTest(WeirTestCase):
    """In a namespace, whose counters are those of this test alone."""

    @staticmethod
    def delayed_acknowledgements() -> int:
        with open("/proc/thread-self/net/netstat", encoding="ascii") as file:
            names, values = [line.split() for line in file if line.startswith("TcpExt:")]
        return int(values[names.index("DelayedACKs")])

    def test_the_end_of_a_handshake_is_acknowledged_at_once(self) -> None:
        """A client without TCP_NODELAY sends its request behind the last flight of the handshake only when that has arrived."""
        place = Namespace(self.sandbox, "h")
        identity = Authority(self.sandbox).issue("a.example")
        port = self.sandbox.free_port()
        listener = http_listener(port, [direct({"prefix": "/"}, "here")])
        over_tls(listener, server_tls(identity))
        with place.entered():
            weir = Weir(self.sandbox, bootstrap([listener]))
            before = self.delayed_acknowledgements()
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", port)) as plain, \
                        client_context().wrap_socket(plain, server_hostname="a.example") as client:
                    self.assertFalse(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
                    self.assertIn(b"200 OK", client.recv(4096))
            weir.stop()
            # Each was one. A machine that stands still may make some.
            self.assertLess(self.delayed_acknowledgements() - before, 10)


@unittest.skipIf(netns.missing(), netns.missing() or "")
class HalfOpenTest(WeirTestCase):
    """Peers that are gone without having said so: no packet comes from them any more, nor goes to them."""

    # field: Cluster.upstream_connection_options, UpstreamConnectionOptions.tcp_keepalive
    def test_clients_and_servers_that_have_vanished(self) -> None:
        place = Namespace(self.sandbox, "v")
        port, tcp = self.sandbox.free_port(), self.sandbox.free_port()
        probes = {"keepalive_probes": 2, "keepalive_time": 1, "keepalive_interval": 1}
        with place.entered():
            echo, gone = EchoUpstream(self.sandbox), EchoUpstream(self.sandbox, "gone")
            weir = Weir(self.sandbox, bootstrap(
                [http_listener(port, [route({"prefix": "/"}, "echo")]) | {"tcp_keepalive": probes},
                 tcp_listener(tcp, "gone", idle_timeout="3600s")],
                [cluster("echo", echo.port), cluster("gone", gone.port, upstream_connection_options={"tcp_keepalive": probes})]))
            with Connection(port) as client, Connection(tcp) as other:
                self.assertEqual(client.request().status, 200)
                self.assertEqual(other.request().status, 200)
                weir.wait_stat_is("cluster.gone.upstream_cx_active", 1)
                # The client's port alone may be that of a request to the admin address, too.
                lost = client.sock.getsockname()[1]
                place.do("""
                    iptables -A INPUT -p tcp --sport %d --dport %d -j DROP
                    iptables -A INPUT -p tcp --sport %d --dport %d -j DROP
                    iptables -A INPUT -p tcp --sport %d -j DROP
                    iptables -A INPUT -p tcp --dport %d -j DROP""" % (lost, port, port, lost, gone.port, gone.port))
                weir.wait_stat_is("listener.127.0.0.1_%d.downstream_cx_active" % port, 0)
                weir.wait_stat_is("cluster.gone.upstream_cx_active", 0)
                with Connection(port) as another:
                    self.assertEqual(another.request().status, 200)
            weir.stop()


if __name__ == "__main__":
    main()
