"""Listeners of UDP and udp_proxy: sessions, balancing, routes, limits, logs, updates, and real DNS servers behind it."""

import collections
import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
from typing import Any

from harness import (Weir, WeirTestCase, address, bootstrap, cluster, direct, fetch, file_access_log, http_listener, main, to_yaml, wait_line,
                     wait_until)
from harness.dns import Dnsmasq, NameServer, question
from harness.udp import UDP_ROUTE, UdpClient, UdpServer, udp_address, udp_listener


def aggregate(name: str, *members: str) -> dict[str, Any]:
    return {"name": name, "lb_policy": "CLUSTER_PROVIDED", "cluster_type": {"name": "aggregate", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig", "clusters": list(members)}}}


class UdpProxyTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.servers = [UdpServer(cls.sandbox, name) for name in ("a", "b", "c")]
        ports = [server.port for server in cls.servers]
        cls.log = cls.sandbox.path("udp.log")
        clusters = [
            cluster("one", ports[0], alt_stat_name="uno"), cluster("all", *ports),
            cluster("hashed", *ports, lb_policy="RING_HASH"),
            cluster("limited", ports[0], circuit_breakers={"thresholds": [{"max_connections": 2}]}),
            cluster("flooded", ports[0], circuit_breakers={"thresholds": [{"max_connections": 20}]}),
            cluster("none"), cluster("silent", cls.sandbox.free_port()), aggregate("either", "none", "one"),
        ]
        cls.ports = {}
        listeners = []

        def add(name: str, to: Any = None, **fields: Any) -> None:
            cls.ports[name] = cls.sandbox.free_port()
            listeners.append(udp_listener(cls.ports[name], to, name, **fields))

        line = ("%DYNAMIC_METADATA(udp.proxy.session:cluster_name)% %ACCESS_LOG_TYPE% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% "
                "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %BYTES_RECEIVED% %BYTES_SENT% "
                "%DYNAMIC_METADATA(udp.proxy.session:datagrams_received)% %DYNAMIC_METADATA(udp.proxy.session:datagrams_sent)%\n")
        add("one", "one", access_log=[file_access_log(cls.log, line)], idle_timeout="1s",
            proxy_access_log=[file_access_log(cls.log, "proxy %DYNAMIC_METADATA(udp.proxy.proxy)%\n")])
        add("periodic", "one", access_log=[file_access_log(cls.log, "periodic %ACCESS_LOG_TYPE% %BYTES_RECEIVED%\n")],
            access_log_options={"access_log_flush_interval": "0.2s"})
        large = UdpServer(cls.sandbox, host="::1", answer=lambda data: [b"x" * 65520, b"small"])
        clusters.append({"name": "large", "connect_timeout": "2s", "load_assignment": {
            "cluster_name": "large", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(large.port, "::1")}}]}]}})
        add("too_much", "large", idle_timeout="0.5s", upstream_socket_config={"max_rx_datagram_size": 65535},
            access_log=[file_access_log(cls.log, "too much %DYNAMIC_METADATA(udp.proxy.session:errors_sent)%\n")])
        add("all", "all")
        add("packets", "all", use_per_packet_load_balancing=True)
        add("by_ip", "hashed", hash_policies=[{"source_ip": True}], host="0.0.0.0")
        add("by_key", "hashed", hash_policies=[{"key": "shard-7"}])
        add("limited", "limited")
        add("flooded", "flooded")
        add("none", "none")
        add("silent", "silent")
        add("either", "either")
        add("any", "one", host="0.0.0.0")
        add("wide", "one", socket_config={"max_rx_datagram_size": 9000, "prefer_gro": True},
            upstream_socket_config={"max_rx_datagram_size": 9000, "prefer_gro": False})
        add("narrow", "one", socket_config={"max_rx_datagram_size": 200})
        add("narrow_back", "one", upstream_socket_config={"max_rx_datagram_size": 100})
        ip_input = {"name": "ip", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.SourceIPInput"}}
        to = lambda name: {"action": {"name": "route", "typed_config": {"@type": UDP_ROUTE, "cluster": name}}}  # noqa: E731
        add("matched", host="0.0.0.0", matcher={"matcher_tree": {
            "input": ip_input, "exact_match_map": {"map": {"127.0.0.1": to("one"), "127.0.0.3": to("none")}}}})
        cls.weir = Weir(cls.sandbox, bootstrap(listeners, clusters))

    def test_datagrams_pass_both_ways(self) -> None:
        # field: SocketAddress.protocol, UdpProxyConfig.stat_prefix, UdpProxyConfig.cluster
        with UdpClient(self.ports["one"]) as client, UdpClient(self.ports["one"]) as other:
            self.assertEqual(client.ask(b"hello"), b"a hello")
            self.assertEqual(other.ask(b"you"), b"a you")
            self.assertEqual(client.ask(b""), b"a ")
            mine = client.sock.getsockname()
        self.weir.wait_stat("udp.one.downstream_sess_total", 2)
        stats = self.weir.stats()
        self.assertEqual([stats["udp.one.downstream_sess_" + name] for name in ("rx_datagrams", "tx_datagrams", "rx_bytes", "tx_bytes")],
                         [3, 3, 8, 14])
        # Statistics of the cluster go by its alt_stat_name.
        self.assertGreaterEqual(stats["cluster.uno.udp.sess_tx_datagrams"], 3)
        self.assertGreaterEqual(stats["cluster.uno.udp.sess_rx_datagrams"], 3)
        self.assertGreaterEqual(stats["cluster.uno.upstream_cx_tx_bytes_total"], 8)
        self.assertGreaterEqual(stats["cluster.uno.upstream_cx_rx_bytes_total"], 14)
        # field: UdpProxyConfig.idle_timeout, UdpProxyConfig.access_log
        self.weir.wait_stat("udp.one.idle_timeout", 2)
        self.weir.wait_stat_is("udp.one.downstream_sess_active", 0)
        expected = "one UdpSessionEnd uno 127.0.0.1:%d %s:%d 127.0.0.1:%d 5 9 2 2" % (
            self.servers[0].port, *mine, self.ports["one"])
        self.assertEqual(wait_line(self.log, expected), expected)

    def test_answers_that_cannot_be_sent(self) -> None:
        # More than IPv4 has room for: the one is lost, the other comes.
        with UdpClient(self.ports["too_much"]) as client:
            self.assertEqual(client.ask(b"x"), b"small")
        self.weir.wait_stat("udp.too_much.downstream_sess_tx_errors", 1)
        self.assertEqual(wait_line(self.log, "too much"), "too much 1")

    def test_periodic_log(self) -> None:
        # field: UdpProxyConfig.access_log_options, UdpAccessLogOptions.access_log_flush_interval
        with UdpClient(self.ports["periodic"]) as client:
            client.ask(b"12345")
            self.assertEqual(wait_line(self.log, "periodic"), "periodic UdpPeriodic 5")

    def test_a_session_has_one_host_and_sessions_have_all(self) -> None:
        names = set()
        for _ in range(12):
            with UdpClient(self.ports["all"]) as client:
                seen = {client.ask(b"x") for _ in range(5)}
                self.assertEqual(len(seen), 1)
                names |= seen
        self.assertEqual(names, {b"a x", b"b x", b"c x"})

    def test_packets_are_balanced_one_by_one(self) -> None:
        # field: UdpProxyConfig.use_per_packet_load_balancing
        with UdpClient(self.ports["packets"]) as client:
            seen = collections.Counter(client.ask(b"x") for _ in range(30))
        self.assertEqual(seen, {b"a x": 10, b"b x": 10, b"c x": 10})
        self.weir.wait_stat_is("udp.packets.downstream_sess_active", 3)

    def test_hash_policies(self) -> None:
        # field: UdpProxyConfig.hash_policies, UdpProxyConfig.HashPolicy.source_ip, UdpProxyConfig.HashPolicy.key
        by_source = {}
        for last in range(2, 40):
            seen = set()
            for _ in range(3):
                with UdpClient(self.ports["by_ip"], source="127.0.0.%d" % last) as client:
                    seen.add(client.ask(b"x"))
            self.assertEqual(len(seen), 1)
            by_source[last] = seen.pop()
        self.assertEqual(len(set(by_source.values())), 3)
        seen = set()
        for _ in range(12):
            with UdpClient(self.ports["by_key"]) as client:
                seen.add(client.ask(b"x"))
        self.assertEqual(len(seen), 1)

    def test_a_limit_of_sessions(self) -> None:
        with UdpClient(self.ports["limited"]) as one, UdpClient(self.ports["limited"]) as two, \
                UdpClient(self.ports["limited"]) as three:
            self.assertEqual((one.ask(b"1"), two.ask(b"2")), (b"a 1", b"a 2"))
            three.send(b"3")
            self.assertTrue(three.hears_nothing())
            self.assertEqual(one.ask(b"1"), b"a 1")
        self.assertGreaterEqual(self.weir.stat("cluster.limited.upstream_cx_overflow"), 1)
        self.assertEqual(self.weir.stat("cluster.limited.circuit_breakers.default.cx_open"), 1)

    def test_nobody_to_send_to(self) -> None:
        with UdpClient(self.ports["none"]) as client:
            client.send(b"x")
            self.assertTrue(client.hears_nothing())
        self.weir.wait_stat("cluster.none.upstream_cx_none_healthy", 1)
        with UdpClient(self.ports["silent"]) as client:
            wait_until(lambda: client.send(b"x") or self.weir.stat("cluster.silent.udp.sess_rx_errors"), "the refusal is heard")

    def test_members_of_an_aggregate(self) -> None:
        before = self.weir.stat("cluster.either.udp.sess_tx_datagrams")
        with UdpClient(self.ports["either"]) as client:
            self.assertEqual(client.ask(b"x"), b"a x")
        self.weir.wait_stat_is("cluster.either.udp.sess_tx_datagrams", before + 1)

    def test_routes_by_matcher(self) -> None:
        # field: UdpProxyConfig.matcher, udp_proxy.v3.Route.cluster
        before = self.weir.stat("udp.matched.downstream_sess_no_route")
        with UdpClient(self.ports["matched"], source="127.0.0.1") as client:
            self.assertEqual(client.ask(b"x"), b"a x")
        none = self.weir.stat("cluster.none.upstream_cx_none_healthy")
        for source, stat in (("127.0.0.2", "udp.matched.downstream_sess_no_route"), ("127.0.0.3", "cluster.none.upstream_cx_none_healthy")):
            with UdpClient(self.ports["matched"], source=source) as client:
                client.send(b"x")
                self.assertTrue(client.hears_nothing(0.1))
            self.weir.wait_stat(stat, (before if "route" in stat else none) + 1)

    def test_answers_come_from_the_address_that_was_asked(self) -> None:
        for host in ("127.0.0.1", "127.0.0.9"):
            with UdpClient(self.ports["any"], host) as client:  # connected: hears that address alone
                self.assertEqual(client.ask(b"x"), b"a x")
        # One client at two addresses is two sessions, as the 4-tuples are.
        with UdpClient(self.ports["any"], "127.0.0.1", source="127.0.0.5", source_port=self.sandbox.free_port()) as client:
            client.ask(b"x")
            port = client.sock.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
                second.bind(("127.0.0.6", port))
                second.connect(("127.0.0.8", self.ports["any"]))
                second.settimeout(5)
                second.send(b"y")
                self.assertEqual(second.recv(100), b"a y")

    def test_sizes(self) -> None:
        # field: UdpListenerConfig.downstream_socket_config, UdpProxyConfig.upstream_socket_config
        # field: UdpSocketConfig.max_rx_datagram_size, UdpSocketConfig.prefer_gro, Listener.udp_listener_config
        with UdpClient(self.ports["wide"]) as client:
            data = random.randbytes(8000)
            self.assertEqual(client.ask(data), b"a " + data)
        with UdpClient(self.ports["narrow"]) as client:
            client.send(b"x" * 201)
            self.assertTrue(client.hears_nothing())
            self.assertEqual(client.ask(b"x" * 200), b"a " + b"x" * 200)
        self.weir.wait_stat("listener.127.0.0.1_%d.udp.downstream_rx_datagram_dropped" % self.ports["narrow"], 1)
        before = self.weir.stat("cluster.uno.udp.sess_rx_datagrams_dropped")
        with UdpClient(self.ports["narrow_back"]) as client:
            client.send(b"x" * 100)
            self.assertTrue(client.hears_nothing())
            self.assertEqual(client.ask(b"x" * 98), b"a " + b"x" * 98)
        self.weir.wait_stat("cluster.uno.udp.sess_rx_datagrams_dropped", before + 1)

    def test_bursts(self) -> None:
        """Batches, and what the kernel puts together and cuts up (GRO, GSO): all arrives, in order, in its own pieces."""
        for name in ("all", "wide"):
            with UdpClient(self.ports[name]) as client:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                server = client.ask(b"?")[:1]
                for size in (64, 1400, 0):
                    sent = [struct.pack(">I", number) + random.randbytes(size or random.randrange(1, 1400)) for number in range(40)]
                    for one in sent:
                        client.send(one)
                    got = [client.receive() for _ in sent]
                    self.assertEqual(got, [server + b" " + one for one in sent])
                # One message that the kernel cuts up: UDP_SEGMENT.
                pieces = [struct.pack(">I", number) + bytes(996) for number in range(20)]
                client.sock.setsockopt(socket.IPPROTO_UDP, 103, 1000)
                client.send(b"".join(pieces))
                self.assertEqual([client.receive() for _ in pieces], [server + b" " + one for one in pieces])

    def test_flood_of_sources(self) -> None:
        """Spoofed clients cost a bounded number of sessions, and those who were there before are served."""
        def descriptors() -> int:
            return len(os.listdir("/proc/%d/fd" % self.weir.process.pid))

        with UdpClient(self.ports["flooded"]) as one, contextlib.ExitStack() as flood:
            self.assertEqual(one.ask(b"1"), b"a 1")
            before = descriptors()
            for _ in range(100):
                flood.enter_context(UdpClient(self.ports["flooded"])).send(b"x")
            self.weir.wait_stat("cluster.flooded.upstream_cx_overflow", 100 - 19)
            self.assertLessEqual(self.weir.stat("udp.flooded.downstream_sess_active"), 20)
            self.assertLessEqual(descriptors() - before, 30)
            self.assertEqual(one.ask(b"2"), b"a 2")

    def test_refused(self) -> None:
        def verdict(**listener: Any) -> str:
            made = {**udp_listener(1, "one"), **listener}
            path = self.sandbox.write("refused.yaml", to_yaml(bootstrap([made], [cluster("one", 2)])))
            run = subprocess.run([self.weir.process.popen.args[0], "--mode", "validate", "-c", path], capture_output=True, text=True)
            return run.stdout + run.stderr if run.returncode else ""

        self.assertEqual(verdict(), "")
        self.assertIn("must not be empty", verdict(listener_filters=[]))
        self.assertIn("is for connections", verdict(filter_chains=[{"filters": []}]))
        self.assertIn("is for connections", verdict(listener_filters=[{"name": "x", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}]))
        self.assertIn("one listener serves one", verdict(additional_addresses=[{"address": {
            "socket_address": {"address": "127.0.0.1", "port_value": 3}}}]))
        tunnel = udp_listener(1, "one", tunneling_config={"proxy_host": "x", "target_host": "y", "default_target_port": 1})
        self.assertIn("tunneling_config", verdict(**tunnel))


class UdpUpdateTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.servers = [UdpServer(cls.sandbox, name) for name in ("a", "b")]
        cls.port, cls.http = cls.sandbox.free_port(), cls.sandbox.free_port()
        cls.log = cls.sandbox.path("proxy.log")
        cls.weir = Weir(cls.sandbox, cls.config())

    @classmethod
    def config(cls, server: int = 0, more: Any = None, **fields: Any) -> Any:
        # UDP and TCP on one port are two listeners.
        listeners = [udp_listener(cls.port, "one", proxy_access_log=[file_access_log(
            cls.log, "%DYNAMIC_METADATA(udp.proxy.proxy:session_total)% %DYNAMIC_METADATA(udp.proxy.proxy:bytes_received)% "
            "%DYNAMIC_METADATA(udp.proxy.proxy:errors_sent)% %DYNAMIC_METADATA(udp.proxy.proxy:errors_received)% "
            "%START_TIME(%s)%\n")], **fields),
            http_listener(cls.port, [direct({"prefix": "/"}, "tcp")])]
        return bootstrap(listeners + (more or []), [cluster("one", cls.servers[server].port), cluster("two", cls.servers[1].port)])

    def reload(self, config: Any) -> None:
        with open(self.weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(config) + "\n")
        self.weir.settle()

    def test_updates(self) -> None:
        # field: UdpProxyConfig.proxy_access_log
        self.reload(self.config())
        gone = self.weir.stat("udp.udp.downstream_sess_host_gone")
        with UdpClient(self.port) as client:
            self.assertEqual(client.ask(b"1"), b"a 1")
            upstream_port = self.servers[0].seen[-1][1][1]
            self.assertEqual(fetch(self.port).text, "tcp")
            # Another listener comes; this one's sessions stay.
            self.reload(self.config(more=[udp_listener(self.sandbox.free_port(), "two", "other")]))
            self.assertEqual(client.ask(b"2"), b"a 2")
            self.assertEqual(self.servers[0].seen[-1][1][1], upstream_port)
            # The host goes: the next datagram has another one.
            self.reload(self.config(server=1))
            self.assertEqual(client.ask(b"3"), b"b 3")
            self.weir.wait_stat("udp.udp.downstream_sess_host_gone", gone + 1)
            # The filter changes: new datagrams go by it, the socket stays, and nothing is lost.
            self.reload(self.config(server=1, idle_timeout="50s"))
            self.assertEqual(client.ask(b"4"), b"b 4")
            # The session before has its answers, and holds no room for long.
            self.weir.wait_stat_is("udp.udp.downstream_sess_active", 1)
            line = wait_line(self.log, "")
            self.assertRegex(line, r"^\d+ \d+ 0 0 \d+$")
            self.assertLess(abs(int(line.split()[-1]) - time.time()), 600)

    def test_errors_are_those_of_the_filter_whose_session_it_is(self) -> None:
        port, log, reloaded = self.sandbox.free_port(), self.sandbox.path("errors.log"), threading.Event()

        def answer(data: bytes) -> list[bytes]:
            if data == b"late":
                reloaded.wait(10)
            return [b"x" * 65520, b"small"]  # more than IPv4 has room for

        large = UdpServer(self.sandbox, host="::1", answer=answer)

        def config(name: str) -> Any:
            return bootstrap([udp_listener(port, "large", "errors", stat_prefix=name, idle_timeout="3s", access_log=[file_access_log(
                log, name + " %DYNAMIC_METADATA(udp.proxy.session:errors_sent)%\n")],
                upstream_socket_config={"max_rx_datagram_size": 65535})], [{
                    "name": "large", "connect_timeout": "2s", "load_assignment": {"cluster_name": "large", "endpoints": [{
                        "lb_endpoints": [{"endpoint": {"address": address(large.port, "::1")}}]}]}}])

        weir = Weir(self.sandbox, config("before"))
        with UdpClient(port) as client:
            self.assertEqual(client.ask(b"early"), b"small")
            client.send(b"late")
            weir.wait_stat("udp.before.downstream_sess_rx_datagrams", 2)
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(config("after")) + "\n")
            weir.settle()
            reloaded.set()
            self.assertEqual(client.receive(), b"small")
            weir.wait_stat("udp.before.downstream_sess_tx_errors", 2)
            self.assertEqual(wait_line(log, "before"), "before 2")
            self.assertEqual(client.ask(b"newer"), b"small")
        weir.wait_stat("udp.after.downstream_sess_tx_errors", 1)
        self.assertEqual(wait_line(log, "after"), "after 1")

    def test_a_new_version_of_a_file_is_a_change_of_the_filter(self) -> None:
        log, path = self.sandbox.path("sessions.log"), self.sandbox.path("format.txt")
        logger = file_access_log(log)
        logger["typed_config"]["log_format"] = {"text_format_source": {"filename": path}}
        config = self.config(server=1, access_log=[logger], idle_timeout="0.2s")
        for version in ("first", "second"):
            self.sandbox.write("format.txt", version + " %BYTES_RECEIVED%\n")
            self.reload(config)
            with UdpClient(self.port) as client:
                client.ask(b"1")
            self.assertEqual(wait_line(log, version), version + " 1")

    def test_another_name_for_the_statistics_of_the_cluster(self) -> None:
        config = self.config(server=1)
        for name in ("first", "second", None):
            config["static_resources"]["clusters"][0].pop("alt_stat_name", None)
            if name is not None:
                config["static_resources"]["clusters"][0]["alt_stat_name"] = name
            self.reload(config)
            stat = "cluster.%s.udp.sess_tx_datagrams" % (name or "one")
            before = self.weir.stats().get(stat, 0)
            with UdpClient(self.port) as client:
                self.assertEqual(client.ask(b"1"), b"b 1")
            self.weir.wait_stat_is(stat, before + 1)

    def test_no_datagram_is_lost_in_reloads(self) -> None:
        stop, lost, answered = threading.Event(), [], []

        def ask() -> None:
            with UdpClient(self.port, timeout=3) as client:
                number = 0
                while not stop.is_set():
                    number += 1
                    try:
                        answered.append(client.ask(b"%d" % number))
                    except TimeoutError:
                        lost.append(number)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for seconds in range(10, 18):
                self.reload(self.config(server=1, idle_timeout="%ds" % seconds))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertGreater(len(answered), 100)
        self.assertEqual(lost, [])


class UdpNamesTest(WeirTestCase):
    """A cluster whose host is a name: servers of one port on two addresses."""

    @classmethod
    def set_up(cls) -> None:
        cls.server_port = cls.sandbox.free_port()
        cls.servers = [UdpServer(cls.sandbox, name, host=host, port=cls.server_port)
                       for name, host in (("one", "127.0.0.1"), ("two", "127.0.0.2"))]
        cls.names: dict[str, Any] = {"udp.example": ["127.0.0.1"]}
        cares = {"@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                 "resolvers": [address(NameServer(cls.sandbox, cls.names).port)]}
        named = {"name": "named", "type": "LOGICAL_DNS", "connect_timeout": "2s", "dns_refresh_rate": "0.05s",
                 "dns_lookup_family": "V4_ONLY", "typed_dns_resolver_config": {"name": "cares", "typed_config": cares},
                 "load_assignment": {"cluster_name": "named", "endpoints": [{"lb_endpoints": [
                     {"endpoint": {"address": address(cls.server_port, "udp.example")}}]}]}}
        cls.ports = {"session": cls.sandbox.free_port(), "packets": cls.sandbox.free_port()}
        cls.weir = Weir(cls.sandbox, bootstrap([
            udp_listener(cls.ports["session"], "named", "session"),
            udp_listener(cls.ports["packets"], "named", "packets", use_per_packet_load_balancing=True)], [named]), concurrency=1)

    def leads_to(self, *ips: str) -> None:
        self.names["udp.example"] = list(ips)
        wait_until(lambda: "named::%s:%d::" % (ips[0], self.server_port) in self.weir.admin("/clusters"), "%s comes first" % ips[0])
        self.weir.settle()

    def follows_the_name(self, listener: str) -> None:
        self.leads_to("127.0.0.1")
        gone = self.weir.stat("udp.%s.downstream_sess_host_gone" % listener)
        with UdpClient(self.ports[listener]) as client:
            self.assertEqual(client.ask(b"a"), b"one a")
            source = self.servers[0].seen[-1][1]
            for _ in range(3):  # its address is still one of them, whichever is the first
                self.leads_to("127.0.0.2", "127.0.0.1")
                self.assertEqual(client.ask(b"b"), b"one b")
                self.leads_to("127.0.0.1", "127.0.0.2")
                self.assertEqual(client.ask(b"c"), b"one c")
                self.assertEqual(self.servers[0].seen[-1][1], source)
            self.leads_to("127.0.0.2")
            self.assertEqual(client.ask(b"d"), b"two d")
            self.weir.wait_stat_is("udp.%s.downstream_sess_host_gone" % listener, gone + 1)
        self.assertEqual(self.weir.stat("udp.%s.downstream_sess_total" % listener), 2)

    def test_sessions_follow_the_name(self) -> None:
        self.follows_the_name("session")

    def test_packets_follow_the_name(self) -> None:
        self.follows_the_name("packets")


class UdpEndTest(WeirTestCase):
    def test_sigterm_writes_the_logs(self) -> None:
        server = UdpServer(self.sandbox, "a")
        port, log = self.sandbox.free_port(), self.sandbox.path("end.log")
        weir = Weir(self.sandbox, bootstrap([udp_listener(
            port, "one", access_log=[file_access_log(log, "session %BYTES_RECEIVED% %BYTES_SENT%\n")])], [cluster("one", server.port)]))
        with UdpClient(port) as client:
            client.ask(b"123")
        weir.process.signal(signal.SIGTERM)
        weir.ended_with(0)
        self.assertEqual(wait_line(log, "session"), "session 3 5")

    def slow(self) -> tuple[Weir, int, UdpServer, threading.Event]:
        release = threading.Event()
        server = UdpServer(self.sandbox, answer=lambda data: [b"s " + data] if release.wait(20) else [])
        port = self.sandbox.free_port()
        return Weir(self.sandbox, bootstrap([udp_listener(port, "one")], [cluster("one", server.port)])), port, server, release

    def wait_refused(self, port: int) -> None:
        def refused() -> bool:
            with UdpClient(port) as another:
                another.send(b"x")
                try:
                    another.sock.settimeout(0.1)
                    another.receive()
                except ConnectionRefusedError:
                    return True
                except TimeoutError:
                    pass
                return False

        wait_until(refused, "nobody is taken any more, and is told so")

    def test_sigterm_waits_for_answers(self) -> None:
        weir, port, server, release = self.slow()
        with UdpClient(port) as client:
            client.send(b"1")
            wait_until(lambda: len(server.seen) == 1, "the question arrives")
            weir.process.signal(signal.SIGTERM)
            self.wait_refused(port)
            release.set()
            self.assertEqual(client.receive(), b"s 1")
        weir.ended_with(0)

    def test_sigterm_does_not_wait_for_ever(self) -> None:
        weir, port, server, _ = self.slow()
        with UdpClient(port) as client:
            client.send(b"1")
            wait_until(lambda: len(server.seen) == 1, "the question arrives")
            begun = time.monotonic()
            weir.process.signal(signal.SIGTERM)
            weir.ended_with(0)
            self.assertTrue(3 < time.monotonic() - begun < 12)

    def test_answers_of_a_listener_that_is_removed(self) -> None:
        weir, port, server, release = self.slow()
        with UdpClient(port) as client:
            client.send(b"1")
            wait_until(lambda: len(server.seen) == 1, "the question arrives")
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(bootstrap([], [cluster("one", server.port)])) + "\n")
            weir.settle()
            self.wait_refused(port)
            # Its address is free for another one, which takes what comes.
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(bootstrap([udp_listener(port, "one", "two")], [cluster("one", server.port)])) + "\n")
            weir.settle()
            release.set()
            self.assertEqual(client.receive(), b"s 1")
            self.assertEqual(client.ask(b"2"), b"s 2")


class UdpIpv6Test(WeirTestCase):
    def test_ipv6_and_both(self) -> None:
        server = UdpServer(self.sandbox, "six", host="::1")
        port, both = self.sandbox.free_port(), self.sandbox.free_port()
        to = cluster("six")
        to["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": udp_address(server.port, "::1")}}]}]
        dual = udp_listener(both, "six", "both", host="::")
        dual["address"]["socket_address"]["ipv4_compat"] = True
        Weir(self.sandbox, bootstrap([udp_listener(port, "six", host="::1"), dual], [to]))
        with UdpClient(port, "::1") as client:
            self.assertEqual(client.ask(b"x"), b"six x")
        for host in ("::1", "127.0.0.1", "127.0.0.7"):
            with UdpClient(both, host) as client:
                self.assertEqual(client.ask(host.encode()), b"six " + host.encode())


class UdpDnsTest(WeirTestCase):
    """Two of Debian's dnsmasq."""

    @classmethod
    def set_up(cls) -> None:
        ports = [Dnsmasq(cls.sandbox, ip).port for ip in ("192.0.2.1", "192.0.2.2")]
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([udp_listener(cls.port, "dns")], [cluster("dns", *ports)]))

    def test_names_are_resolved_through_it(self) -> None:
        def ask(number: int) -> str:
            with UdpClient(self.port, timeout=5) as client:
                answer = client.ask(question("www.shop.example", number))
                self.assertEqual(struct.unpack(">H", answer[:2])[0], number)
                return socket.inet_ntoa(answer[-4:])

        seen = collections.Counter(ask(number) for number in range(40))
        self.assertEqual(set(seen), {"192.0.2.1", "192.0.2.2"})
        # The resolver of the C library, through it.
        answers = set()
        for number in range(8):
            answers.add(ask(1000 + number))
        self.assertEqual(len(answers), 2)
        self.assertEqual(self.weir.stat("udp.udp.downstream_sess_tx_errors"), 0)


if __name__ == "__main__":
    main()
