"""Requests that go wherever they say: names resolved as they come, by a name server of the test's own, and what clients may
not reach all the same."""

import os
import signal
import subprocess
import threading
import time
from typing import Any, Optional

from harness import (Connection, EchoUpstream, NameServer, Weir, WeirTestCase, bootstrap, cluster, fetch, file_access_log, http_listener,
                     main, over_tls, route, to_yaml, wait_until, weir_binary)
from harness.config import address, client_tls, server_tls, tcp_listener, trusts
from harness.dns import NXDOMAIN, SERVFAIL, Query, addresses, pack
from harness.tls import Authority, TlsConnection, TlsEchoUpstream, client_context, server_context

_TYPE = "type.googleapis.com/"
_CARES = _TYPE + "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
_GUARDED = _TYPE + "weir.extensions.network.dns_resolver.v1.GuardedDnsResolverConfig"
_CLUSTER = _TYPE + "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig"
_FILTER = _TYPE + "envoy.extensions.filters.http.dynamic_forward_proxy.v3."
_SNI_FILTER = _TYPE + "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig"
_TCP_PROXY = _TYPE + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_INSPECTOR = _TYPE + "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"


def resolver(port: int, **fields: Any) -> dict:
    return {"name": "cares", "typed_config": {"@type": _CARES, "resolvers": [address(port)], "query_timeout_seconds": 1, "query_tries": 1,
                                              **fields}}


def guarded(inner: dict, **fields: Any) -> dict:
    return {"name": "guarded", "typed_config": {"@type": _GUARDED, "resolver": inner, **fields}}


def dynamic_cluster(name: str, config: dict, **fields: Any) -> dict:
    return {"name": name, "connect_timeout": "2s", "lb_policy": "CLUSTER_PROVIDED", **fields, "cluster_type": {
        "name": "envoy.clusters.dynamic_forward_proxy", "typed_config": {"@type": _CLUSTER, **config}}}


def dynamic_filter(**config: Any) -> dict:
    return {"name": "envoy.filters.http.dynamic_forward_proxy", "typed_config": {"@type": _FILTER + "FilterConfig", **config}}


def per_route(**config: Any) -> dict:
    return {"envoy.filters.http.dynamic_forward_proxy": {"@type": _FILTER + "PerRouteConfig", **config}}


class DynamicCase(WeirTestCase):
    """Servers 1 to 3 on one port of 127.0.0.1 to 127.0.0.3, and names that lead to them."""

    @classmethod
    def start_servers(cls) -> None:
        cls.echo_port = cls.sandbox.free_port()
        cls.echoes = {n: EchoUpstream(cls.sandbox, str(n), host="127.0.0.%d" % n, port=cls.echo_port) for n in (1, 2, 3)}
        cls.names: dict = {"one.example": ["127.0.0.1"], "two.example": ["127.0.0.2"], "three.example": ["127.0.0.3"],
                           "sick.example": SERVFAIL, "both.example": ["127.0.0.1", "127.0.0.2"]}
        cls.server = NameServer(cls.sandbox, cls.names)

    @classmethod
    def cache(cls, name: str, **fields: Any) -> dict:
        return {"dns_cache_config": {"name": name, "dns_lookup_family": "V4_ONLY", "typed_dns_resolver_config": resolver(cls.server.port),
                                     **fields}}

    @classmethod
    def start(cls, caches: dict[str, dict], listeners: list[dict] = [], clusters: list[dict] = [], concurrency: int = 2,
              routes: Optional[dict[str, list[dict]]] = None) -> None:
        """A listener and a cluster for each cache."""
        cls.ports = {name: cls.sandbox.free_port() for name in caches}
        cls.log = cls.sandbox.path("access.log")
        line = "%REQ(:AUTHORITY)%|%RESPONSE_CODE%|%RESPONSE_FLAGS%|%RESPONSE_CODE_DETAILS%|%UPSTREAM_REMOTE_ADDRESS%\n"
        cls.config = bootstrap([*(http_listener(
            cls.ports[name], (routes or {}).get(name, [route({"prefix": "/"}, name)]), name=name,
            http_filters=[dynamic_filter(**cache)], access_log=[file_access_log(cls.log, line)]) for name, cache in caches.items()),
            *listeners], [*(dynamic_cluster(name, cache) for name, cache in caches.items()), *clusters])
        cls.weir = Weir(cls.sandbox, cls.config, concurrency=concurrency)

    def get(self, listener: str, host: str, port: Optional[int] = None, path: str = "/", **headers: str) -> Any:
        return fetch(self.ports[listener], path, host="%s:%d" % (host, port or self.echo_port), headers=list(headers.items()))

    def served(self, listener: str, host: str, **arguments: Any) -> Any:
        response = self.get(listener, host, **arguments)
        return self.echoed(response)["server"] if response.status == 200 else response.status

    def asked(self, name: str) -> int:
        return sum(1 for query in list(self.server.queries) if query.name == name)

    def logged(self, text: str) -> None:
        wait_until(lambda: text in open(self.log, encoding="utf-8").read(), text)

    def reload(self) -> None:
        with open(self.weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(self.config) + "\n")
        before = self.weir.stat("server.config_reload_success")
        os.kill(self.weir.process.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_success", before + 1)


class HttpTest(DynamicCase):
    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        routes = {"rewritten": [
            route({"prefix": "/literal"}, "rewritten", typed_per_filter_config=per_route(host_rewrite_literal="two.example:%d" % cls.echo_port)),
            route({"prefix": "/header"}, "rewritten", typed_per_filter_config=per_route(host_rewrite_header="x-to")),
            route({"prefix": "/"}, "rewritten")]}
        cls.start({"plain": cls.cache("plain"), "rewritten": cls.cache("rewritten"),
                   "six": cls.cache("six", dns_lookup_family="V6_ONLY")}, routes=routes)

    # field: dynamic_forward_proxy.v3.ClusterConfig.dns_cache_config, dynamic_forward_proxy.v3.FilterConfig.dns_cache_config
    # field: DnsCacheConfig.name, DnsCacheConfig.typed_dns_resolver_config
    def test_requests_go_where_they_say(self) -> None:
        attempts = []
        for _ in range(2):
            for host, server in (("one.example", "1"), ("TWO.example", "2"), ("three.example", "3")):
                with self.subTest(host):
                    self.assertEqual(self.served("plain", host), server)
            attempts.append(self.weir.stat("dns_cache.plain.dns_query_attempt"))
        self.assertEqual(attempts[1], attempts[0], "the second time they are known")
        self.assertGreaterEqual(self.weir.stat("dns_cache.plain.host_added"), 3)
        self.assertGreaterEqual(self.weir.stat("dns_cache.plain.num_hosts"), 3)
        self.assertGreaterEqual(self.weir.stat("dns_cache.plain.dns_query_success"), 3)
        self.assertIn("plain::127.0.0.1:%d::hostname::one.example\n" % self.echo_port, self.weir.admin("/clusters"))

    def test_addresses_need_no_server(self) -> None:
        self.assertEqual(self.served("plain", "127.0.0.2"), "2")
        self.assertEqual(self.asked("127.0.0.2"), 0)

    def test_bodies_wait_with_their_request(self) -> None:
        body = b"x" * 300_000
        self.names["late.example"] = lambda query: (time.sleep(0.3), [pack(query, addresses(query, ["127.0.0.1"]))])[1]
        response = fetch(self.ports["plain"], "/", "POST", host="late.example:%d" % self.echo_port, body=body)
        self.assertEqual(self.echoed(response)["server"], "1")

    def test_a_name_that_does_not_exist(self) -> None:
        response = self.get("plain", "nowhere.example")
        self.assertEqual((response.status, response.text), (503, "DNS resolution failure"))
        self.logged("nowhere.example:%d|503|DF|dns_resolution_failure|-" % self.echo_port)
        self.assertEqual(self.served("plain", "sick.example"), 503)
        self.assertGreaterEqual(self.weir.stat("dns_cache.plain.dns_query_failure"), 2)

    def test_what_is_no_name(self) -> None:
        for host in ("a..example:80", "x_%s.example:80" % ("y" * 70), "1.2.3:80", "one.example:0"):
            with self.subTest(host):
                self.assertEqual(fetch(self.ports["plain"], "/", host=host).status, 400)
        self.logged("|400|DF|dynamic_forward_proxy_invalid_host|")

    # field: dynamic_forward_proxy.v3.PerRouteConfig.host_rewrite_literal
    # field: dynamic_forward_proxy.v3.PerRouteConfig.host_rewrite_header
    def test_routes_say_otherwise(self) -> None:
        self.assertEqual(self.served("rewritten", "one.example", path="/literal"), "2")
        self.assertEqual(self.served("rewritten", "one.example", path="/header", **{"x-to": "three.example:%d" % self.echo_port}), "3")
        self.assertEqual(self.served("rewritten", "one.example", path="/header"), "1")
        response = self.get("rewritten", "one.example", path="/literal")
        self.assertEqual(self.echoed(response)["headers"]["host"], ["two.example:%d" % self.echo_port])

    # field: DnsCacheConfig.dns_lookup_family
    def test_family(self) -> None:
        self.assertEqual(self.served("six", "one.example"), 503)

    def test_many_at_once_are_one_question(self) -> None:
        self.names["slow.example"] = lambda query: (time.sleep(0.3), [pack(query, addresses(query, ["127.0.0.3"]))])[1]
        connections = [Connection(self.ports["plain"]) for _ in range(20)]
        for connection in connections:
            connection.send_request(host="slow.example:%d" % self.echo_port)
        self.assertEqual({self.echoed(connection.read_response())["server"] for connection in connections}, {"3"})
        self.assertEqual(self.asked("slow.example"), 1)

    def test_clients_that_leave_while_they_wait(self) -> None:
        self.names["left.example"] = lambda query: (time.sleep(0.4), [pack(query, addresses(query, ["127.0.0.3"]))])[1]
        for _ in range(10):
            connection = Connection(self.ports["plain"])
            connection.send_request(host="left.example:%d" % self.echo_port)
            connection.reset()
        wait_until(lambda: self.served("plain", "left.example") == "3", "it is resolved")


class CacheTest(DynamicCase):
    """Every setting of a cache."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        cls.start({
            "small": cls.cache("small", max_hosts=2),
            "short": cls.cache("short", host_ttl="0.5s"),
            "quick": cls.cache("quick", dns_refresh_rate="0.05s", dns_min_refresh_rate="1s", host_ttl="60s"),
            "retry": cls.cache("retry", dns_failure_refresh_rate={"base_interval": "0.05s", "max_interval": "0.05s"}),
            "forget": cls.cache("forget", disable_dns_refresh_on_failure=True),
            "patient": cls.cache("patient", dns_query_timeout="0.3s"),
            "narrow": cls.cache("narrow", dns_cache_circuit_breaker={"max_pending_requests": 1}),
            "ready": cls.cache("ready", preresolve_hostnames=[{"address": "two.example", "port_value": cls.echo_port}]),
            "older": {"dns_cache_config": {"name": "older", "dns_lookup_family": "V4_ONLY", "dns_resolution_config": {
                "resolvers": [address(cls.server.port)], "dns_resolver_options": {"use_tcp_for_dns_lookups": True}}}},
        }, concurrency=1)

    # field: DnsCacheConfig.max_hosts
    def test_as_many_names_as_there_is_room_for(self) -> None:
        self.assertEqual(self.served("small", "gone1.example"), 503)  # makes room for the next ones
        self.assertEqual(self.served("small", "one.example"), "1")
        self.assertEqual(self.served("small", "two.example"), "2")
        response = self.get("small", "three.example")
        self.assertEqual((response.status, response.text), (503, "DNS cache overflow"))
        self.logged("three.example:%d|503|UO|dns_cache_overflow|" % self.echo_port)
        self.assertEqual(self.weir.stat("dns_cache.small.host_overflow"), 1)
        self.assertEqual(self.weir.stat("dns_cache.small.num_hosts"), 2)
        self.assertEqual(self.served("small", "one.example"), "1")

    def test_a_storm_of_names_that_do_not_exist_leaves_room(self) -> None:
        for number in range(100):
            self.assertEqual(self.served("retry", "n%d.example" % number), 503)
        self.assertEqual(self.served("retry", "one.example"), "1")

    # field: DnsCacheConfig.host_ttl
    def test_names_that_nobody_uses_are_forgotten(self) -> None:
        self.assertEqual(self.served("short", "one.example"), "1")
        before = self.asked("one.example")
        for _ in range(8):  # used all the time
            time.sleep(0.1)
            self.assertEqual(self.served("short", "one.example"), "1")
        self.assertEqual(self.asked("one.example"), before)
        self.weir.wait_stat_is("dns_cache.short.num_hosts", 0)
        self.assertGreaterEqual(self.weir.stat("dns_cache.short.host_removed"), 1)
        self.assertEqual(self.served("short", "one.example"), "1")
        self.assertEqual(self.asked("one.example"), before + 1)

    # field: DnsCacheConfig.dns_refresh_rate, DnsCacheConfig.dns_min_refresh_rate
    def test_names_follow_the_server(self) -> None:
        """A lifetime of a second or less counts as dns_min_refresh_rate says; without one the rate does."""
        self.names["moves.example"] = lambda query: [pack(query, addresses(query, ["127.0.0.1"], ttl=0))]
        self.names["lives.example"] = lambda query: [pack(query, addresses(query, ["127.0.0.1"], ttl=1))]
        self.assertEqual(self.served("quick", "moves.example"), "1")
        self.assertEqual(self.served("quick", "lives.example"), "1")
        time.sleep(0.5)
        self.assertGreater(self.asked("moves.example"), 3)
        self.assertEqual(self.asked("lives.example"), 1)
        self.names["moves.example"] = ["127.0.0.2"]
        # Where connections go from now on; those that there are stay.
        shown = "quick::127.0.0.2:%d::hostname::moves.example\n" % self.echo_port
        wait_until(lambda: shown in self.weir.admin("/clusters"), "the new address")
        self.assertGreaterEqual(self.weir.stat("dns_cache.quick.host_address_changed"), 3)

    def test_the_last_good_answer_stays(self) -> None:
        self.names["falls.example"] = lambda query: [pack(query, addresses(query, ["127.0.0.1"], ttl=0))]
        self.assertEqual(self.served("quick", "falls.example"), "1")
        for rcode in (SERVFAIL, NXDOMAIN):
            self.names["falls.example"] = rcode
            before = self.weir.stat("dns_cache.quick.dns_query_failure")
            self.weir.wait_stat("dns_cache.quick.dns_query_failure", before + 2)
            self.assertEqual(self.served("quick", "falls.example"), "1")

    # field: DnsCacheConfig.dns_failure_refresh_rate
    def test_failures_are_asked_again(self) -> None:
        self.names["heals.example"] = SERVFAIL
        self.assertEqual(self.served("retry", "heals.example"), 503)
        self.names["heals.example"] = ["127.0.0.2"]
        wait_until(lambda: self.served("retry", "heals.example") == "2", "it is there")

    # field: DnsCacheConfig.disable_dns_refresh_on_failure
    def test_failures_are_forgotten(self) -> None:
        self.names["mends.example"] = NXDOMAIN
        self.assertEqual(self.served("forget", "mends.example"), 503)
        self.weir.wait_stat_is("dns_cache.forget.num_hosts", 0)
        self.names["mends.example"] = ["127.0.0.2"]
        self.assertEqual(self.served("forget", "mends.example"), "2")

    # field: DnsCacheConfig.dns_query_timeout
    def test_a_silent_server_is_not_waited_for(self) -> None:
        """And nobody else waits: names that are known are served meanwhile."""
        self.names["silent.example"] = lambda query: []
        self.assertEqual(self.served("patient", "one.example"), "1")
        with Connection(self.ports["patient"]) as waiting:
            begun = time.monotonic()
            waiting.send_request(host="silent.example:%d" % self.echo_port)
            for _ in range(20):
                self.assertEqual(self.served("patient", "one.example"), "1")
            self.assertEqual(waiting.read_response().status, 503)
            self.assertTrue(0.25 < time.monotonic() - begun < 0.9)
        self.assertGreaterEqual(self.weir.stat("dns_cache.patient.dns_query_timeout"), 1)

    # field: DnsCacheConfig.dns_cache_circuit_breaker, DnsCacheCircuitBreakers.max_pending_requests
    def test_as_many_as_may_wait(self) -> None:
        self.names["waits.example"] = lambda query: (time.sleep(0.5), [pack(query, addresses(query, ["127.0.0.1"]))])[1]
        with Connection(self.ports["narrow"]) as waiting:
            waiting.send_request(host="waits.example:%d" % self.echo_port)
            self.weir.wait_stat("dns_cache.narrow.circuit_breakers.rq_pending_open", 1)
            response = self.get("narrow", "two.example")
            self.assertEqual((response.status, response.text), (503, "Dynamic forward proxy pending request overflow"))
            self.assertEqual(waiting.read_response().status, 200)
        self.assertEqual(self.weir.stat("dns_cache.narrow.dns_rq_pending_overflow"), 1)
        self.logged("|503|UO|dynamic_forward_proxy_pending_request_overflow|")
        self.assertEqual(self.served("narrow", "two.example"), "2")

    # field: DnsCacheConfig.preresolve_hostnames
    def test_names_that_are_known_from_the_start(self) -> None:
        self.weir.wait_stat("dns_cache.ready.num_hosts", 1)
        self.weir.wait_stat("cluster.ready.membership_total", 1)

    # field: DnsCacheConfig.dns_resolution_config
    def test_older_ways_to_name_the_servers(self) -> None:
        before = len(self.server.queries)
        self.assertEqual(self.served("older", "three.example"), "3")
        self.assertTrue(all(query.tcp for query in self.server.queries[before:] if query.name == "three.example"))


class SubClustersTest(DynamicCase):
    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        cls.start({}, concurrency=1)
        cls.weir.stop()
        own = {"dns_lookup_family": "V4_ONLY", "typed_dns_resolver_config": resolver(cls.server.port), "dns_refresh_rate": "0.05s"}
        cls.ports = {name: cls.sandbox.free_port() for name in ("subs", "few")}
        line = "%REQ(:AUTHORITY)%|%RESPONSE_CODE%|%RESPONSE_FLAGS%|%RESPONSE_CODE_DETAILS%\n"
        waits = dynamic_filter(sub_cluster_config={"cluster_init_timeout": "0.3s"})
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.ports[name], [route({"prefix": "/"}, name)], name=name, http_filters=[waits],
                           access_log=[file_access_log(cls.log, line)]) for name in cls.ports],
            [dynamic_cluster("subs", {"sub_clusters_config": {"lb_policy": "ROUND_ROBIN", "preresolve_clusters": [
                {"address": "one.example", "port_value": cls.echo_port}]}}, **own),
             dynamic_cluster("few", {"sub_clusters_config": {"max_sub_clusters": 1, "sub_cluster_ttl": "0.5s"}}, **own)]), concurrency=1)

    # field: dynamic_forward_proxy.v3.ClusterConfig.sub_clusters_config, SubClustersConfig.lb_policy
    # field: dynamic_forward_proxy.v3.FilterConfig.sub_cluster_config
    def test_every_address_of_a_name_is_a_host(self) -> None:
        self.assertEqual({self.served("subs", "both.example") for _ in range(6)}, {"1", "2"})
        self.assertEqual({self.served("subs", "three.example") for _ in range(6)}, {"3"})

    # field: SubClustersConfig.preresolve_clusters
    def test_names_that_are_known_from_the_start(self) -> None:
        self.weir.wait_stat("cluster.subs.membership_total", 1)

    # field: SubClustersConfig.max_sub_clusters, SubClustersConfig.sub_cluster_ttl
    def test_as_many_as_there_is_room_for(self) -> None:
        self.assertEqual(self.served("few", "one.example"), "1")
        self.assertEqual(self.served("few", "two.example"), 503)
        wait_until(lambda: self.served("few", "two.example") == "2", "the first is forgotten")

    # field: SubClusterConfig.cluster_init_timeout
    def test_requests_wait_only_so_long(self) -> None:
        self.names["silent.example"] = lambda query: []
        begun = time.monotonic()
        response = self.get("subs", "silent.example")
        self.assertEqual((response.status, response.text), (503, "Sub cluster warming timeout"))
        self.assertTrue(0.25 < time.monotonic() - begun < 0.9)
        self.logged("|503|DF|sub_cluster_warming_timeout")


class CopiesTest(DynamicCase):
    """Requests of weir's own, for which no filter has resolved the name."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        guard = guarded(resolver(cls.server.port), deny=[{"address_prefix": "127.0.0.3", "prefix_len": 32}])
        policies = [{"cluster": "plain"}, {"cluster": "plain", "host_rewrite_literal": "two.example:%d" % cls.echo_port}]
        port = cls.sandbox.free_port()
        cls.start({"plain": cls.cache("plain", typed_dns_resolver_config=guard)}, clusters=[
            cluster("first", cls.echo_port)], listeners=[http_listener(port, [
                route({"prefix": "/one"}, "first", {"request_mirror_policies": policies[:1]}),
                route({"prefix": "/two"}, "first", {"request_mirror_policies": policies[1:]})], name="copying")])
        cls.ports["copying"] = port

    def copies(self, server: int, path: str) -> list:
        return [request.header("host") for request in self.echoes[server].requests if request.target == path]

    def test_a_copy_goes_to_the_host_of_its_request(self) -> None:
        for path in ("/one", "/one/again"):
            self.assertEqual(self.get("copying", "two.example", path=path).status, 200)
            wait_until(lambda: self.copies(2, path), "a copy for a name that nobody knew, and for one that is known")
            self.assertEqual(self.copies(2, path), ["two.example-shadow:%d" % self.echo_port])
        self.assertEqual(self.get("copying", "one.example", path="/two").status, 200)
        wait_until(lambda: self.copies(2, "/two"), "a copy goes to the host that is written in its policy")

    def test_a_copy_without_a_host_harms_nobody(self) -> None:
        before = self.weir.stat("cluster.plain.upstream_cx_none_healthy")
        for number, host in enumerate(("gone.example", "three.example", "x" * 300 + ".example")):
            self.assertEqual(self.get("copying", host, path="/one/none").status, 200)
            self.weir.wait_stat_is("cluster.plain.upstream_cx_none_healthy", before + number + 1)
        self.assertEqual([self.copies(server, "/one/none") for server in (2, 3)], [[], []])


class GuardTest(DynamicCase):
    """What clients may not reach, by name or by address."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        cls.names["sneaky.example"] = ["169.254.169.254", "127.0.0.1", "10.0.0.1"]
        inner = resolver(cls.server.port)
        own = {"dns_lookup_family": "ALL"}
        cls.start({
            "private": cls.cache("private", typed_dns_resolver_config=guarded(inner, deny_private=True), **own),
            "denied": cls.cache("denied", typed_dns_resolver_config=guarded(inner, deny=[{"address_prefix": "127.0.0.1", "prefix_len": 32}])),
            "allowed": cls.cache("allowed", typed_dns_resolver_config=guarded(
                inner, deny_private=True, allow=[{"address_prefix": "127.0.0.3", "prefix_len": 32}])),
        })

    # field: GuardedDnsResolverConfig.resolver, GuardedDnsResolverConfig.deny_private
    def test_private_addresses(self) -> None:
        before = [len(echo.requests) for echo in self.echoes.values()]
        for host in ("one.example", "sneaky.example", "127.0.0.1", "169.254.169.254", "10.1.2.3", "192.168.0.1", "[::1]", "[::ffff:127.0.0.1]",
                     "[64:ff9b::7f00:1]", "[2002:7f00:1::1]", "[fd00::1]", "[fe80::1]", "0.0.0.0", "localhost"):
            with self.subTest(host):
                self.assertEqual(self.served("private", host), 503)
        self.assertGreaterEqual(self.weir.stat("dns.cares.address_denied"), 10)
        self.assertEqual([len(echo.requests) for echo in self.echoes.values()], before)

    # field: GuardedDnsResolverConfig.deny
    def test_named_addresses(self) -> None:
        self.assertEqual(self.served("denied", "one.example"), 503)
        self.assertEqual(self.served("denied", "127.0.0.1"), 503)
        self.assertEqual({self.served("denied", "both.example") for _ in range(4)}, {"2"})

    # field: GuardedDnsResolverConfig.allow
    def test_exceptions(self) -> None:
        self.assertEqual(self.served("allowed", "three.example"), "3")
        self.assertEqual(self.served("allowed", "one.example"), 503)


class TlsTest(DynamicCase):
    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        cls.start({}, concurrency=1)
        cls.weir.stop()
        cls.ca = Authority(cls.sandbox)
        cls.right = TlsEchoUpstream(cls.sandbox, "right", server_context(cls.ca.issue("right", "DNS:one.example")))
        cls.ports = {name: cls.sandbox.free_port() for name in ("tls", "lax")}
        cache = cls.cache("tls")
        tls = {"transport_socket": client_tls(common=trusts(cls.ca))}
        lax = {"upstream_http_protocol_options": {"auto_sni": True}}
        cls.sni = cls.sandbox.free_port()
        sni_filters = [
            {"name": "sni", "typed_config": {"@type": _SNI_FILTER, **cache, "port_value": cls.right.port}},
            {"name": "tcp", "typed_config": {"@type": _TCP_PROXY, "stat_prefix": "sni", "cluster": "raw", "access_log": [
                file_access_log(cls.log, "sni|%RESPONSE_FLAGS%|%UPSTREAM_HOST%\n")]}}]
        listener = {"name": "sni", "address": address(cls.sni), "listener_filters": [
            {"name": "tls_inspector", "typed_config": {"@type": _INSPECTOR}}], "filter_chains": [{"filters": sni_filters}]}
        # One that no client says; the port is the filter's.
        cls.chosen = cls.sandbox.free_port()
        chosen = tcp_listener(cls.chosen, "raw", name="chosen")
        chosen["filter_chains"][0]["filters"][:0] = [
            {"name": "set_filter_state", "typed_config": {
                "@type": _TYPE + "envoy.extensions.filters.network.set_filter_state.v3.Config",
                "on_new_connection": [{"object_key": "envoy.upstream.dynamic_host",
                                       "format_string": {"text_format_source": {"inline_string": "two.example"}}}]}},
            {"name": "sni", "typed_config": {"@type": _SNI_FILTER, **cache, "port_value": cls.echo_port}}]
        # The name that a client gives in its handshake, and not that of its requests.
        cls.state = cls.sandbox.free_port()
        by_state = http_listener(cls.state, [route({"prefix": "/"}, "raw")], name="state", http_filters=[
            dynamic_filter(**cache, allow_dynamic_host_from_filter_state=True)])
        by_state["listener_filters"] = listener["listener_filters"]
        over_tls(by_state, server_tls(cls.ca.issue("a", "DNS:two.example")))
        by_state["filter_chains"][0]["filters"].insert(0, {"name": "sni", "typed_config": {
            "@type": _SNI_FILTER, **cache, "port_value": cls.echo_port}})
        cls.weir = Weir(cls.sandbox, bootstrap(
            [*(http_listener(cls.ports[name], [route({"prefix": "/"}, name)], name=name, http_filters=[dynamic_filter(**cache)])
               for name in cls.ports), listener, by_state, chosen],
            [dynamic_cluster("tls", cache, **tls), dynamic_cluster("lax", {**cache, "allow_insecure_cluster_options": True}, **tls, **lax),
             dynamic_cluster("raw", cache)]), concurrency=1)

    # field: ClusterConfig.allow_insecure_cluster_options
    def test_certificates_are_those_of_the_name(self) -> None:
        """Who is connected to is asked for by name, and has to prove it, unless the cluster takes that on itself."""
        self.names["other.example"] = ["127.0.0.1"]
        self.assertEqual(self.served("tls", "one.example", port=self.right.port), "right")
        self.assertEqual(self.right.server_names[-1], "one.example")
        self.assertEqual(self.served("tls", "other.example", port=self.right.port), 503)
        self.assertEqual(self.served("lax", "other.example", port=self.right.port), "right")
        self.assertEqual(self.right.server_names[-1], "other.example")

    # field: sni_dynamic_forward_proxy.v3.FilterConfig.dns_cache_config
    # field: sni_dynamic_forward_proxy.v3.FilterConfig.port_value
    def test_connections_go_where_their_client_says(self) -> None:
        with TlsConnection(self.sni, "one.example", client_context(self.ca)) as connection:
            self.assertEqual(self.echoed(connection.request())["server"], "right")
        with Connection(self.sni) as connection:
            connection.send(_hello("nowhere.example"))
            self.assertTrue(connection.closed_within(10))
        self.logged("sni|DF|-")
        with Connection(self.sni) as connection:
            connection.send(b"GET / HTTP/1.1\r\n\r\n")
            self.assertTrue(connection.closed_within(10))
        self.logged("sni|UH|-")

    def test_a_filter_says_where_connections_go(self) -> None:
        self.assertEqual(self.echoed(fetch(self.chosen))["server"], "2")

    # field: FilterConfig.allow_dynamic_host_from_filter_state
    def test_filters_say_where_requests_go(self) -> None:
        with TlsConnection(self.state, "two.example", client_context(self.ca)) as connection:
            self.assertEqual(self.echoed(connection.request(host="nowhere.example"))["server"], "2")


def _hello(name: str) -> bytes:
    import ssl
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class ReloadTest(DynamicCase):
    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        cls.start({"plain": cls.cache("plain")}, concurrency=1)

    def test_names_outlive_a_reload(self) -> None:
        self.assertEqual(self.served("plain", "one.example"), "1")
        before = self.asked("one.example")
        self.config["static_resources"]["clusters"].append(dynamic_cluster("more", self.cache("more")))
        self.reload()
        self.assertEqual(self.served("plain", "one.example"), "1")
        self.assertEqual(self.asked("one.example"), before)
        # Another cache of that name: what is known goes on being served.
        for place in (self.config["static_resources"]["clusters"][0]["cluster_type"]["typed_config"],
                      self.config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][0]
                      ["typed_config"]):
            place["dns_cache_config"] = {**place["dns_cache_config"], "max_hosts": 77}
        self.reload()
        self.assertEqual(self.served("plain", "one.example"), "1")
        self.assertEqual(self.served("plain", "two.example"), "2")


class WaitingReloadTest(DynamicCase):
    """Requests wait for a name server while their cache goes."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        cls.gate = threading.Event()
        patient = resolver(cls.server.port, query_timeout_seconds=30)
        caches = {name: cls.cache(name, typed_dns_resolver_config=patient, dns_query_timeout="30s") for name in ("changes", "goes")}
        cls.start(caches, concurrency=2)

    def setUp(self) -> None:
        self.gate.clear()
        self.addCleanup(self.gate.set)

        def slow(query: Query) -> list[bytes]:
            self.gate.wait(20)
            return [pack(query, addresses(query, ["127.0.0.1"]))]

        self.names["slow.example"] = self.names["slower.example"] = slow

    def waiting(self, listener: str, name: str, count: int = 4) -> list[Connection]:
        connections = [Connection(self.ports[listener]) for _ in range(count)]
        for connection in connections:
            self.addCleanup(connection.close)
            connection.send_request(host="%s:%d" % (name, self.echo_port))
        wait_until(lambda: self.asked(name) > 0, "the server is asked")
        self.weir.wait_stat("http.ingress.downstream_rq_active", count)
        return connections

    def test_its_settings_change(self) -> None:
        connections = self.waiting("changes", "slow.example")
        for place in (self.config["static_resources"]["clusters"][0]["cluster_type"]["typed_config"],
                      self.config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][0]
                      ["typed_config"]):
            place["dns_cache_config"] = {**place["dns_cache_config"], "host_ttl": "40s"}
        self.reload()
        self.gate.set()
        self.assertEqual([self.echoed(connection.read_response())["server"] for connection in connections], ["1"] * 4)
        self.assertEqual(self.asked("slow.example"), 1)
        self.assertEqual(self.served("changes", "slow.example"), "1")

    def test_it_is_removed(self) -> None:
        connections = self.waiting("goes", "slower.example")
        del self.config["static_resources"]["clusters"][1], self.config["static_resources"]["listeners"][1]
        self.reload()
        # The server has not answered yet.
        self.assertEqual([connection.read_response().status for connection in connections], [503] * 4)
        self.logged("slower.example:%d|503|DF|" % self.echo_port)


class ErrorsTest(DynamicCase):
    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()

    def faults(self, clusters: list[dict], filters: list[dict] = []) -> str:
        config = bootstrap([http_listener(1, [route({"prefix": "/"}, clusters[0]["name"])], http_filters=filters)], clusters)
        path = self.sandbox.write("bad.yaml", to_yaml(config))
        run = subprocess.run([weir_binary(), "-c", path, "--mode", "validate"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=20)
        self.assertEqual(run.returncode, 1, run.stdout)
        return run.stdout

    def test_caches_that_do_not_fit(self) -> None:
        one, other = self.cache("a"), self.cache("a", max_hosts=5)
        cluster = dynamic_cluster("c", one)
        self.assertIn('is the cache of no cluster', self.faults([cluster], [dynamic_filter(**self.cache("b"))]))
        self.assertIn('differs from the cache of the same name in cluster "c"', self.faults([cluster], [dynamic_filter(**other)]))
        self.assertIn('differs from the cache of the same name in cluster "c"', self.faults([cluster, dynamic_cluster("d", other)]))
        self.assertIn("one of dns_cache_config, sub_cluster_config must be set", self.faults([cluster], [dynamic_filter()]))
        self.assertIn("one of dns_cache_config, sub_clusters_config must be set", self.faults([dynamic_cluster("c", {})]))

    def test_what_is_not_supported_is_said(self) -> None:
        cache = self.cache("a")
        for field in ({"allow_coalesced_connections": True},):
            self.assertIn("not supported by weir", self.faults([dynamic_cluster("c", {**cache, **field})]))
        self.assertIn("not supported by weir", self.faults([dynamic_cluster("c", self.cache("a", key_value_config={
            "config": {"name": "x", "typed_config": {"@type": _TYPE + "google.protobuf.Struct"}}}))]))
        self.assertIn("save_upstream_address", self.faults([dynamic_cluster("c", cache)], [dynamic_filter(**cache, save_upstream_address=True)]))
        filters = [{"name": "sni", "typed_config": {"@type": _SNI_FILTER, **cache, "save_upstream_address": True}},
                   {"name": "tcp", "typed_config": {"@type": _TCP_PROXY, "stat_prefix": "sni", "cluster": "c"}}]
        listener = {"name": "sni", "address": address(1), "filter_chains": [{"filters": filters}]}
        path = self.sandbox.write("bad.yaml", to_yaml(bootstrap([listener], [dynamic_cluster("c", cache)])))
        run = subprocess.run([weir_binary(), "-c", path, "--mode", "validate"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=20)
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertRegex(run.stdout, "filters\\[0\\].typed_config.save_upstream_address: not supported by weir; %UPSTREAM_REMOTE")

    def test_tls_without_names(self) -> None:
        ca = Authority(self.sandbox)
        cluster = dynamic_cluster("c", self.cache("a"), transport_socket=client_tls(common=trusts(ca)),
                                  upstream_http_protocol_options={"auto_sni": True})
        self.assertIn("auto_san_validation: true", self.faults([cluster]))

    def test_guards_within_guards(self) -> None:
        inner = guarded(resolver(1), deny_private=True)
        cluster = dynamic_cluster("c", self.cache("a", typed_dns_resolver_config=guarded(inner, deny_private=True)))
        self.assertIn("not guarded itself", self.faults([cluster]))


if __name__ == "__main__":
    main()
