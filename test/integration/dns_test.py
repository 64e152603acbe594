"""Clusters whose endpoints are names: a name server of the test's own, decent and hostile, servers on 127.0.0.x."""

import collections
import contextlib
import getpass
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
from typing import Any

from harness import (Connection, EchoUpstream, NameServer, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log, http_listener,
                     main, refuses, route, tcp_listener, to_yaml, wait_until, weir_binary)
from harness.config import address
from harness.dns import AAAA, NXDOMAIN, SERVFAIL, Query, addresses, pack
from harness.udp import UdpClient, UdpServer, udp_listener
from harness.updates import load

_TYPE = "type.googleapis.com/"
_CARES = _TYPE + "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
_DNS_CLUSTER = _TYPE + "envoy.extensions.clusters.dns.v3.DnsCluster"
_AGGREGATE = _TYPE + "envoy.extensions.clusters.aggregate.v3.ClusterConfig"


def resolver(port: int, **fields: Any) -> dict:
    return {"name": "cares", "typed_config": {"@type": _CARES, "resolvers": [address(port)], **fields}}


def dns_cluster(name: str, host: str, port: int, kind: str = "STRICT_DNS", **fields: Any) -> dict:
    return {"name": name, "type": kind, "connect_timeout": "2s", "dns_refresh_rate": "0.05s", **fields, "load_assignment": {
        "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port, host)}}]}]}}


def aggregate(name: str, member: str) -> dict:
    return {"name": name, "connect_timeout": "2s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": {
        "name": "aggregate", "typed_config": {"@type": _AGGREGATE, "clusters": [member]}}}


class DnsTestCase(WeirTestCase):
    """Servers of one port on several addresses of this machine, by the last number of the address."""

    names: dict

    @classmethod
    def start_servers(cls) -> None:
        cls.echo_port = cls.sandbox.free_port()
        cls.echoes = {n: EchoUpstream(cls.sandbox, str(n), host="127.0.0.%d" % n, port=cls.echo_port) for n in (1, 2, 3)}
        cls.server = NameServer(cls.sandbox, cls.names)

    @classmethod
    def start(cls, clusters: list[dict], **hcm: Any) -> None:
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/" + one["name"]}, one["name"], {"auto_host_rewrite": True}) for one in clusters], **hcm)],
            clusters), concurrency=1)

    def served(self, path: str, count: int = 6) -> set:
        return {self.echoed(fetch(self.port, path))["server"] for _ in range(count)}

    def wait_served(self, path: str, by: set) -> None:
        def as_wanted() -> bool:
            responses = [fetch(self.port, path) for _ in range(6)]
            return all(one.status == 200 for one in responses) and {self.echoed(one)["server"] for one in responses} == by

        wait_until(as_wanted, "%s is served by %s" % (path, by))


class StrictTest(DnsTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.names = {"web.example": ["127.0.0.1", "127.0.0.2"], "gone.example": ["127.0.0.1"], "sick.example": ["127.0.0.3"],
                     "moved.example": ["127.0.0.1"]}
        cls.start_servers()
        own = {"typed_dns_resolver_config": resolver(cls.server.port), "dns_lookup_family": "V4_ONLY"}
        cls.clusters = [dns_cluster(name, name + ".example", cls.echo_port, **own) for name in ("web", "gone", "sick", "moved")]
        cls.start(cls.clusters)

    # field: Cluster.typed_dns_resolver_config, CaresDnsResolverConfig.resolvers
    def test_every_address_is_a_host(self) -> None:
        self.assertEqual(self.served("/web"), {"1", "2"})
        page = self.weir.admin("/clusters")
        for n in (1, 2):
            self.assertIn("web::127.0.0.%d:%d::hostname::web.example\n" % (n, self.echo_port), page)

    def test_the_name_replaces_the_host_of_the_request(self) -> None:
        self.assertEqual(self.echoed(fetch(self.port, "/web"))["headers"]["host"], ["web.example"])

    # field: Cluster.dns_refresh_rate
    def test_hosts_follow_the_name(self) -> None:
        self.assertEqual(self.served("/moved"), {"1"})
        self.names["moved.example"] = ["127.0.0.2", "127.0.0.3"]
        self.wait_served("/moved", {"2", "3"})
        self.weir.wait_stat("cluster.moved.membership_change", 2)
        self.assertGreater(self.weir.stat("cluster.moved.update_success"), 1)
        self.assertGreater(self.weir.stat("dns.cares.resolve_total"), 2)

    def test_a_name_that_is_gone_empties_the_cluster(self) -> None:
        self.assertEqual(self.served("/gone"), {"1"})
        self.names["gone.example"] = NXDOMAIN
        wait_until(lambda: fetch(self.port, "/gone").status == 503, "the cluster is empty")
        self.weir.wait_stat("cluster.gone.update_empty", 1)
        self.names["gone.example"] = ["127.0.0.2"]
        self.wait_served("/gone", {"2"})

    def test_servers_that_fail_leave_the_last_good_answer(self) -> None:
        self.assertEqual(self.served("/sick"), {"3"})
        self.names["sick.example"] = SERVFAIL
        self.weir.wait_stat("cluster.sick.update_failure", 3)
        self.assertEqual(self.served("/sick"), {"3"})
        self.names["sick.example"] = ["127.0.0.1"]
        self.wait_served("/sick", {"1"})

    def test_a_reload_keeps_what_is_known(self) -> None:
        asked = self.weir.stat("cluster.web.update_attempt")
        before = self.weir.stat("server.config_reload_success")
        os.kill(self.weir.process.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_success", before + 1)
        self.assertEqual(self.served("/web"), {"1", "2"})
        self.weir.wait_stat("cluster.web.update_attempt", asked + 2)
        self.assertEqual(self.weir.stat("cluster.web.membership_change"), 1)

    def test_a_new_cluster_is_there_when_its_routes_are(self) -> None:
        """The first request of a reload's new route finds the hosts of its new cluster."""
        for number in range(3):
            name = "new%d" % number
            self.names[name + ".example"] = ["127.0.0.2"]
            added = dns_cluster(name, name + ".example", self.echo_port,
                                typed_dns_resolver_config=resolver(self.server.port), dns_lookup_family="V4_ONLY")
            clusters = [*self.clusters, added]
            config = bootstrap([http_listener(self.port, [
                route({"prefix": "/" + one["name"]}, one["name"], {"auto_host_rewrite": True}) for one in clusters])], clusters)
            with open(self.weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(config) + "\n")
            before = self.weir.stat("server.config_reload_success")
            os.kill(self.weir.process.pid, signal.SIGHUP)
            statuses = collections.Counter()

            def has_route() -> bool:
                status = fetch(self.port, "/" + name).status
                statuses[status] += 1
                return status == 200

            wait_until(has_route, "the new route")
            self.assertEqual(set(statuses) - {404}, {200}, statuses)
            self.weir.wait_stat("server.config_reload_success", before + 1)


class ReloadTest(DnsTestCase):
    """What serves goes on until a name server has answered, however long that takes."""

    @classmethod
    def set_up(cls) -> None:
        cls.names = {}
        cls.start_servers()
        cls.answers = threading.Event()

    def setUp(self) -> None:
        self.answers.clear()
        self.port = self.sandbox.free_port()

    def late(self, query: Query) -> list[bytes]:
        self.answers.wait(30)
        return [pack(query, addresses(query, ["127.0.0.2"]))]

    def named(self, name: str, kind: str = "STRICT_DNS") -> dict:
        self.names[name + ".example"] = self.late
        return dns_cluster(name, name + ".example", self.echo_port, kind, dns_lookup_family="V4_ONLY",
                           typed_dns_resolver_config=resolver(self.server.port))

    def change(self, before: list[dict], after: list[dict], idle: bool = False) -> None:
        """From a cluster "web" that server 1 serves to one that server 2 does; `idle`: nobody asks it before."""
        def config(clusters: list[dict]) -> dict:
            return bootstrap([http_listener(self.port, [route({"prefix": "/"}, "web")])], clusters)

        headers = [("x-envoy-original-dst-host", "127.0.0.1:%d" % self.echo_port)]
        weir = Weir(self.sandbox, config(before), concurrency=2)

        def server() -> str:
            response = fetch(self.port, "/", headers=headers)
            self.assertEqual(response.status, 200, response.text)
            return self.echoed(response)["server"]

        if not idle:
            self.assertEqual({server() for _ in range(5)}, {"1"})
        with open(weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(config(after)) + "\n")
        with contextlib.nullcontext() if idle else load(self, lambda: self.port, headers=headers):
            weir.admin("/reload", "POST")
            weir.wait_stat("server.config_reload_success", 1)
            self.assertEqual({server() for _ in range(20)}, {"1"})
            self.answers.set()
            wait_until(lambda: server() == "2", "the new servers")
        self.assertEqual({server() for _ in range(20)}, {"2"})

    def test_an_aggregate_gets_another_member(self) -> None:
        for kind in ("STRICT_DNS", "LOGICAL_DNS"):
            with self.subTest(kind):
                self.setUp()
                name = "second-" + kind.split("_")[0].lower()
                self.change([aggregate("web", "first"), cluster("first", self.echo_port)],
                            [aggregate("web", name), self.named(name, kind)])

    def test_a_cluster_begins_to_stand_for_another(self) -> None:
        self.change([cluster("web", self.echo_port)], [aggregate("web", "third"), self.named("third")])

    def test_an_aggregate_becomes_a_cluster_of_names(self) -> None:
        for kind in ("STRICT_DNS", "LOGICAL_DNS"):
            with self.subTest(kind):
                self.setUp()
                self.change([aggregate("web", "first"), cluster("first", self.echo_port)], [self.named("web", kind)])

    def test_original_destinations_become_names(self) -> None:
        """Also those that nobody has asked for lately."""
        original = {"name": "web", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "2s",
                    "cleanup_interval": "0.05s", "original_dst_lb_config": {"use_http_header": True}}
        self.change([original], [self.named("web")])
        self.setUp()
        self.change([original], [self.named("web")], idle=True)


class KindsTest(DnsTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.names = {"logical.example": ["127.0.0.1", "127.0.0.2"], "both.example": ["127.0.0.1", "127.0.0.2"],
                     "second.example": ["127.0.0.9", "127.0.0.2"]}
        cls.start_servers()
        typed = {"@type": _DNS_CLUSTER, "dns_refresh_rate": "0.05s", "dns_lookup_family": "V4_ONLY",
                 "typed_dns_resolver_config": resolver(cls.server.port)}

        def by_type(name: str, **fields: Any) -> dict:
            one = dns_cluster(name, "both.example", cls.echo_port)
            del one["type"], one["dns_refresh_rate"]
            return {**one, "cluster_type": {"name": "envoy.clusters.dns", "typed_config": {**typed, **fields}}}

        own = {"typed_dns_resolver_config": resolver(cls.server.port), "dns_lookup_family": "V4_ONLY"}
        cls.start([
            dns_cluster("logical", "logical.example", cls.echo_port, "LOGICAL_DNS", **own),
            by_type("strict"), by_type("single", all_addresses_in_single_endpoint=True),
            dns_cluster("old", "both.example", cls.echo_port, dns_resolvers=[address(cls.server.port)]),
            dns_cluster("older", "both.example", cls.echo_port, dns_resolution_config={
                "resolvers": [address(cls.server.port)], "dns_resolver_options": {"use_tcp_for_dns_lookups": True}}),
            dns_cluster("second", "second.example", cls.echo_port, "LOGICAL_DNS", **own)],
            access_log=[file_access_log(cls.sandbox.path("access.log"), " ".join((
                "%REQ(:PATH)%", "%UPSTREAM_HOST%", "%UPSTREAM_REMOTE_ADDRESS%", "%UPSTREAM_HOSTS_ATTEMPTED%", "%UPSTREAM_HOST_NAME%")) + "\n")])

    # field: Cluster.type
    def test_connections_of_a_logical_host_outlive_its_address(self) -> None:
        self.assertEqual(self.served("/logical"), {"1"})
        self.names["logical.example"] = ["127.0.0.2"]
        wait_until(lambda: "logical::127.0.0.2:%d::" % self.echo_port in self.weir.admin("/clusters"), "the address has moved")
        self.assertEqual(self.served("/logical"), {"1"})  # by the connection that is open
        fetch(self.port, "/logical", headers=[("x-test-close", "1")])
        self.wait_served("/logical", {"2"})
        self.assertEqual(self.weir.stat("cluster.logical.membership_change"), 1)

    def test_logs_name_the_address_that_let_in(self) -> None:
        self.assertEqual(self.served("/second", 1), {"2"})  # nobody listens at the first one
        served = "127.0.0.2:%d" % self.echo_port
        wait_until(lambda: " ".join(("/second", served, served, served, "second.example")) in self.access_log(), "the line")

    def access_log(self) -> list:
        try:
            with open(self.sandbox.path("access.log"), encoding="utf-8") as file:
                return file.read().split("\n")
        except FileNotFoundError:
            return []

    # field: Cluster.cluster_type, CustomClusterType.typed_config, CustomClusterType.name
    # field: DnsCluster.typed_dns_resolver_config, DnsCluster.dns_lookup_family, DnsCluster.all_addresses_in_single_endpoint
    def test_dns_cluster(self) -> None:
        self.assertEqual(self.served("/strict"), {"1", "2"})
        self.assertEqual(self.served("/single"), {"1"})

    # field: Cluster.dns_resolvers, Cluster.dns_resolution_config, DnsResolutionConfig.resolvers
    # field: DnsResolutionConfig.dns_resolver_options, DnsResolverOptions.use_tcp_for_dns_lookups
    def test_older_ways_to_name_the_servers(self) -> None:
        self.assertEqual(self.served("/older"), {"1", "2"})
        self.assertTrue(any(query.tcp for query in self.server.queries))
        self.assertEqual(self.served("/old"), {"1", "2"})


class DefaultResolverTest(DnsTestCase):
    """Whom the bootstrap names is asked for the names of clusters that name nobody."""

    # field: Bootstrap.typed_dns_resolver_config, Bootstrap.dns_resolution_config, Bootstrap.use_tcp_for_dns_lookups
    def test_clusters_without_a_resolver(self) -> None:
        type(self).names = {"a.example": ["127.0.0.1"]}
        self.start_servers()
        other = NameServer(self.sandbox, {"a.example": ["127.0.0.2"]})
        typed = dns_cluster("typed", "a.example", self.echo_port)
        del typed["type"], typed["dns_refresh_rate"]
        typed["cluster_type"] = {"name": "envoy.clusters.dns", "typed_config": {"@type": _DNS_CLUSTER, "dns_lookup_family": "V4_ONLY"}}
        clusters = [
            dns_cluster("none", "a.example", self.echo_port, dns_lookup_family="V4_ONLY"), typed,
            dns_cluster("own", "a.example", self.echo_port, dns_lookup_family="V4_ONLY", dns_resolvers=[address(other.port)])]
        port = self.sandbox.free_port()
        type(self).port = port

        def config(**fields: Any) -> dict:
            return {**bootstrap([http_listener(port, [route({"prefix": "/" + one["name"]}, one["name"]) for one in clusters])], clusters),
                    **fields}

        weir = Weir(self.sandbox, config(typed_dns_resolver_config=resolver(self.server.port)))
        for name, by in (("none", "1"), ("typed", "1"), ("own", "2")):
            self.wait_served("/" + name, {by})
        self.assertFalse(any(query.tcp for query in self.server.queries))
        # A reload names another one: clusters without one of their own ask that.
        for fields, by in (({"dns_resolution_config": {"resolvers": [address(other.port)]}}, "2"),
                           ({"dns_resolution_config": {"resolvers": [address(self.server.port)], "dns_resolver_options": {
                               "use_tcp_for_dns_lookups": True}}}, "1")):
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(config(**fields)) + "\n")
            weir.settle()
            for name in ("none", "typed"):
                self.wait_served("/" + name, {by})
            self.wait_served("/own", {"2"})
        self.assertTrue(any(query.tcp for query in self.server.queries))

    def test_tcp_alone(self) -> None:
        path = self.sandbox.write("tcp.yaml", to_yaml({**bootstrap([], []), "use_tcp_for_dns_lookups": True,
                                                       "typed_dns_resolver_config": resolver(53)}))
        run = subprocess.run([weir_binary(), "--mode", "validate", "-c", path], capture_output=True, text=True, timeout=20)
        self.assertEqual(run.returncode, 0)
        self.assertIn("use_tcp_for_dns_lookups: has no effect: typed_dns_resolver_config is set and counts", run.stdout + run.stderr)


class HostileTest(DnsTestCase):
    """Nothing that a name server does reaches the traffic of others."""

    @classmethod
    def set_up(cls) -> None:
        def lies(query: Query) -> list[bytes]:
            other = Query(query.id ^ 1, query.name, query.type, query.question, query.tcp)
            renamed = Query(query.id, query.name, query.type, query.question[:1] + b"x" + query.question[2:], query.tcp)
            wrong = addresses(query, ["127.0.0.9"])
            return [b"", b"\0", pack(other, wrong), pack(renamed, wrong), pack(query, addresses(query, ["127.0.0.1"]))]

        def loop(query: Query) -> list[bytes]:
            at = 0xc000 | (12 + len(query.question))
            return [pack(query)[:6] + b"\0\1\0\0\0\0" + query.question + struct.pack(">HHHIH", at, 1, 1, 60, 4) + b"\x7f\0\0\1"]

        def large(query: Query) -> list[bytes]:
            if not query.tcp:
                return [pack(query, truncated=True)]
            ips = ["127.%d.%d.1" % (1 + n // 250, n % 250) for n in range(4000)]
            return [pack(query, addresses(query, ips))]

        cls.names = {"lies.example": lies, "loop.example": loop, "large.example": large, "silent.example": lambda query: [],
                     "six.example": lambda query: [] if query.type == AAAA else [pack(query, addresses(query, ["127.0.0.2"]))]}
        cls.start_servers()
        fast = {"typed_dns_resolver_config": resolver(cls.server.port, query_timeout_seconds=1, query_tries=1)}
        four = {**fast, "dns_lookup_family": "V4_ONLY"}
        cls.start([
            *(dns_cluster(name, name + ".example", cls.echo_port, **four) for name in ("lies", "loop", "silent")),
            dns_cluster("large", "large.example", cls.echo_port, **{**four, "dns_refresh_rate": "1s"}),
            dns_cluster("six", "six.example", cls.echo_port, **fast),
            *(dns_cluster("storm%d" % n, "n%d.storm.example" % n, cls.echo_port, **{**four, "dns_refresh_rate": "0.5s"})
              for n in range(200)),
            cluster("static", cls.echo_port)])

    def test_others_are_served(self) -> None:
        self.assertEqual(self.served("/static"), {"1"})

    def test_lies_are_not_believed(self) -> None:
        self.wait_served("/lies", {"1"})
        self.assertNotIn("127.0.0.9", self.weir.admin("/clusters"))

    def test_loops_and_silence_are_failures(self) -> None:
        for name in ("loop", "silent"):
            self.weir.wait_stat("cluster.%s.update_failure" % name, 1)
            self.assertEqual(fetch(self.port, "/" + name).status, 503)

    def test_a_truncated_answer_comes_over_tcp_in_full(self) -> None:
        self.weir.wait_stat_is("cluster.large.membership_total", 1000)  # so many of its addresses are used

    def test_a_family_that_nobody_answers_for_does_not_hide_the_other(self) -> None:
        self.wait_served("/six", {"2"})

    def test_a_storm_of_names_that_do_not_exist(self) -> None:
        for n in (0, 199):
            self.weir.wait_stat("cluster.storm%d.update_empty" % n, 3)
        self.assertEqual(self.served("/static"), {"1"})


class StartingWeir(Weir):
    """Is there as soon as its admin server answers."""

    def _is_ready(self) -> bool:
        self._read_address()
        return self.stat("server.concurrency") > 0


class StartTest(DnsTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.names = {"late.example": lambda query: [], "never.example": lambda query: []}
        cls.start_servers()

    def test_a_silent_server_does_not_keep_weir_from_serving(self) -> None:
        self.start([dns_cluster("late", "late.example", self.echo_port, dns_lookup_family="V4_ONLY",
                                typed_dns_resolver_config=resolver(self.server.port, query_timeout_seconds=1)),
                    cluster("static", self.echo_port)])
        self.assertEqual(self.served("/static"), {"1"})
        self.names["late.example"] = ["127.0.0.2"]
        self.wait_served("/late", {"2"})

    def test_a_silent_server_delays_only_who_leads_there(self) -> None:
        self.names["dead.example"] = lambda query: []
        mixed, other, going = (self.sandbox.free_port() for _ in range(3))

        def config(text: str, *dead: str) -> dict:
            gone = http_listener(going, [direct({"prefix": "/"}, text)], name="going")
            return bootstrap(
                [*([] if text == "second" else [gone]), http_listener(other, [direct({"prefix": "/"}, text)], name="other"),
                 http_listener(mixed, [route({"prefix": "/echo"}, "echo"), direct({"prefix": "/text"}, text),
                                       *(route({"prefix": "/" + name}, name) for name in dead)], name="mixed")],
                [cluster("echo", self.echo_port),
                 *(dns_cluster(name, "dead.example", self.echo_port, typed_dns_resolver_config=resolver(self.server.port))
                   for name in ("dead", *dead))])

        weir = StartingWeir(self.sandbox, config("first", "more"), concurrency=1)
        self.assertEqual((fetch(other).text, fetch(going).text), ("first", "first"))
        self.assertEqual(weir.stat("server.live"), 0)
        self.assertEqual(fetch(mixed, "/echo").status, 200)  # what waits in its socket is served
        weir.wait_stat("server.live", 1)
        self.assertEqual(fetch(mixed, "/more").status, 503)

        def reload(text: str) -> None:
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(config(text, "more", "most")) + "\n")
            os.kill(weir.process.pid, signal.SIGHUP)

        reload("second")
        wait_until(lambda: fetch(other).text == "second", "the listener that leads nowhere else")
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(("127.0.0.1", going)), 0)  # that goes, goes at once
        self.assertEqual(fetch(mixed, "/text").text, "first")
        reload("third")
        wait_until(lambda: fetch(other).text == "third", "the listener that leads nowhere else")
        self.assertEqual(fetch(going).text, "third")
        self.assertEqual(fetch(mixed, "/text").text, "first")
        self.names["dead.example"] = ["127.0.0.2"]
        wait_until(lambda: fetch(mixed, "/text").text == "third", "the other one", seconds=15)

    def test_a_direction_that_waits_counts_when_listeners_have_been_drained(self) -> None:
        self.names["far.example"] = lambda query: []
        ports = [self.sandbox.free_port() for _ in range(3)]

        def config(*directions: str, leads: bool = True) -> dict:
            routes = [route({"path": "/far"}, "far")] if leads else []
            return bootstrap([{**http_listener(port, [*routes, direct({"prefix": "/"}, "after" if leads else "before")], name="l%d" % port),
                               "traffic_direction": direction} for port, direction in zip(ports, directions)],
                             [dns_cluster("far", "far.example", self.echo_port, dns_lookup_family="V4_ONLY",
                                          typed_dns_resolver_config=resolver(self.server.port))] if leads else [])

        def reload(text: dict, waiting: int) -> None:
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(text) + "\n")
            os.kill(weir.process.pid, signal.SIGHUP)
            wait_until(lambda: weir.stat("listener_manager.total_listeners_warming") == waiting, "it is read")

        before, after = config("INBOUND", "OUTBOUND", leads=False), config("OUTBOUND", "INBOUND", "INBOUND")
        arguments = ["--socket-path", self.sandbox.path("direction")]
        weir = Weir(self.sandbox, before, concurrency=1, arguments=arguments)
        reload(after, 3)
        weir.admin("/drain_listeners?inboundonly", "POST")
        self.assertEqual(fetch(ports[1]).text, "before")  # still an outbound one
        reload(before, 0)  # taken back
        wait_until(lambda: refuses(ports[0]), "it is an inbound one")
        self.assertEqual(fetch(ports[1]).text, "before")
        reload(after, 3)
        self.names["far.example"] = ["127.0.0.2"]
        wait_until(lambda: not refuses(ports[0]), "what waited is in force", seconds=15)
        self.assertEqual(fetch(ports[0]).text, "after")
        self.assertTrue(refuses(ports[1]) and refuses(ports[2]))
        following = Weir(self.sandbox, after, concurrency=1, arguments=[*arguments, "--restart"])
        self.assertIn("has given 2 listening sockets", following.process.log())  # with the admin's
        self.assertEqual([fetch(port).text for port in ports], ["after"] * 3)
        weir.ended_with(0)

    def test_what_waits_when_listeners_are_drained_gets_other_sockets(self) -> None:
        self.names["off.example"] = lambda query: []
        port = self.sandbox.free_port()

        def config(direction: str, *names: str) -> dict:
            routes = [*(route({"path": "/" + name}, name) for name in names), direct({"prefix": "/"}, direction)]
            return bootstrap([{**http_listener(port, routes), "traffic_direction": direction}],
                             [dns_cluster(name, name + ".example", self.echo_port, dns_lookup_family="V4_ONLY",
                                          typed_dns_resolver_config=resolver(self.server.port)) for name in names])

        weir = Weir(self.sandbox, config("INBOUND"), concurrency=1)
        with open(weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(config("OUTBOUND", "off")) + "\n")
        os.kill(weir.process.pid, signal.SIGHUP)
        wait_until(lambda: weir.stat("listener_manager.total_listeners_warming") == 1, "it waits")
        weir.admin("/drain_listeners?inboundonly", "POST")
        self.names["off.example"] = ["127.0.0.2"]
        wait_until(lambda: weir.stat("listener_manager.total_listeners_warming") == 0, "it is published", seconds=15)
        wait_until(lambda: not refuses(port), "it is open")
        self.assertEqual(fetch(port).text, "OUTBOUND")

    def test_the_one_before_serves_until_its_successor_with_other_sockets_does(self) -> None:
        self.names["new.example"] = lambda query: []
        server, port = UdpServer(self.sandbox, "before"), self.sandbox.free_port()
        late = UdpServer(self.sandbox, "after", host="127.0.0.2")
        option = {"socket_options": [{"level": 1, "name": 8, "int_value": 100000}]}  # SO_RCVBUF

        def config(text: str, name: str, *waits: dict, **fields: Any) -> dict:
            routes = [*(route({"path": "/new"}, "new") for _ in waits), direct({"prefix": "/"}, text)]
            return bootstrap([{**http_listener(port, routes, name=name), **fields},
                              udp_listener(port, "new" if waits else "c", name + "-udp", listener=fields)],
                             [cluster("c", server.port), *waits])

        def ask() -> str:
            with UdpClient(port) as client:
                return client.ask(b"x").decode()

        weir = Weir(self.sandbox, config("before", "one"), concurrency=2)
        for name, fields in (("two", option), ("two", {})):
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(config("after", name, dns_cluster(
                    "new", "new.example", late.port, dns_lookup_family="V4_ONLY", typed_dns_resolver_config=resolver(self.server.port)),
                    **fields)) + "\n")
            os.kill(weir.process.pid, signal.SIGHUP)
            wait_until(lambda: weir.stat("listener_manager.total_listeners_warming") == 2, "they wait")
            self.assertEqual(({fetch(port).text for _ in range(20)}, {ask() for _ in range(20)}), ({"before"}, {"before x"}))
        self.names["new.example"] = ["127.0.0.2"]
        wait_until(lambda: weir.stat("listener_manager.total_listeners_warming") == 0, "they serve", seconds=15)
        weir.settle()
        self.assertEqual(({fetch(port).text for _ in range(20)}, {ask() for _ in range(20)}), ({"after"}, {"after x"}))

    def test_who_goes_where_clients_say_waits_for_all(self) -> None:
        self.names["gone.example"] = lambda query: []
        ports = [self.sandbox.free_port() for _ in range(3)]
        by_sni, by_state, fixed = (tcp_listener(port, "echo", name=name)
                                   for port, name in zip(ports, ("by_sni", "by_state", "fixed")))
        by_sni["filter_chains"][0]["filters"].insert(0, {"name": "sni_cluster", "typed_config": {
            "@type": _TYPE + "envoy.extensions.filters.network.sni_cluster.v3.SniCluster"}})
        by_state["filter_chains"][0]["filters"].insert(0, {"name": "set_filter_state", "typed_config": {
            "@type": _TYPE + "envoy.extensions.filters.network.set_filter_state.v3.Config",
            "on_new_connection": [{"object_key": "envoy.tcp_proxy.cluster",
                                   "format_string": {"text_format_source": {"inline_string": "gone"}}}]}})
        weir = StartingWeir(self.sandbox, bootstrap([by_sni, by_state, fixed], [
            cluster("echo", self.echo_port),
            dns_cluster("gone", "gone.example", self.echo_port, dns_lookup_family="V4_ONLY",
                        typed_dns_resolver_config=resolver(self.server.port, query_timeout_seconds=1))]), concurrency=1)
        self.assertEqual(fetch(ports[2]).status, 200)
        self.assertEqual(weir.stat("server.live"), 0)
        self.assertEqual(weir.stat("listener_manager.total_listeners_warming"), 2)
        with Connection(ports[0]) as first, Connection(ports[1]) as second:
            first.send_request()
            second.send_request()
            self.names["gone.example"] = ["127.0.0.1"]
            self.assertEqual(first.read_response().status, 200)
            self.assertEqual(second.read_response().status, 200)
        weir.wait_stat("server.live", 1)
        self.assertEqual(weir.stat("listener_manager.total_listeners_warming"), 0)

    def test_an_end_before_the_start_is_over(self) -> None:
        """Listeners that still wait for names are not opened by a signal to end."""
        config = bootstrap([http_listener(self.sandbox.free_port(), [route({"prefix": "/"}, "never")])], [dns_cluster(
            "never", "never.example", self.echo_port, typed_dns_resolver_config=resolver(self.server.port))])
        weir = StartingWeir(self.sandbox, config, concurrency=1)
        weir.wait_stat("cluster.never.update_attempt", 1)
        os.kill(weir.process.pid, signal.SIGTERM)
        weir.ended_with(0)
        self.assertNotIn("serving:", weir.process.log())

    def test_a_reload_of_the_same_does_not_end_the_wait(self) -> None:
        self.names["slow.example"] = lambda query: []
        port = self.sandbox.free_port()
        weir = StartingWeir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "slow")])], [dns_cluster(
            "slow", "slow.example", self.echo_port, dns_lookup_family="V4_ONLY",
            typed_dns_resolver_config=resolver(self.server.port, query_timeout_seconds=1))]), concurrency=1)
        weir.admin("/reload", "POST")
        self.assertEqual(weir.stat("server.live"), 0)
        self.names["slow.example"] = ["127.0.0.2"]
        weir.wait_stat("server.live", 1)
        self.assertEqual(self.echoed(fetch(port, "/"))["server"], "2")

    def test_the_first_request_finds_hosts(self) -> None:
        self.names["first.example"] = ["127.0.0.3"]
        self.start([dns_cluster("first", "first.example", self.echo_port, dns_lookup_family="V4_ONLY",
                                typed_dns_resolver_config=resolver(self.server.port))])
        with Connection(self.port) as connection:
            self.assertEqual(connection.request(path="/first").status, 200)


class RealServerTest(DnsTestCase):
    """Debian's dnsmasq, with its caching and its own idea of packets."""

    @classmethod
    def set_up(cls) -> None:
        cls.names = {}
        cls.start_servers()
        program = shutil.which("dnsmasq", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise AssertionError("dnsmasq is missing; tools/packages.txt has it")
        cls.dns_port = cls.sandbox.free_port()
        hosts = cls.sandbox.write("hosts", "127.0.0.1 real.example\n127.0.0.2 real.example\n")
        cls.sandbox.start([program, "--keep-in-foreground", "--no-resolv", "--no-hosts", "--addn-hosts=" + hosts,
                           "--listen-address=127.0.0.1", "--bind-interfaces", "--port=%d" % cls.dns_port, "--user=" + getpass.getuser(),
                           "--pid-file=", "--local=/example/", "--local-ttl=1"], "dnsmasq")
        own = {"typed_dns_resolver_config": resolver(cls.dns_port)}
        cls.start([dns_cluster("real", "real.example", cls.echo_port, respect_dns_ttl=True, **own),
                   dns_cluster("nowhere", "nowhere.example", cls.echo_port, **own)])

    def test_names_of_a_real_server(self) -> None:
        self.wait_served("/real", {"1", "2"})
        self.weir.wait_stat("cluster.nowhere.update_empty", 1)
        self.assertEqual(fetch(self.port, "/nowhere").status, 503)


if __name__ == "__main__":
    main()
