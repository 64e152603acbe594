"""Requests and connections that go by a hash: the policies that make it, the balancers that use it, what they tell."""

import collections
import os
import signal
from typing import Any, Optional

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main,
                     route, tcp_listener, to_yaml)
from harness.config import address, http_options

_TYPE = "type.googleapis.com/"
_LB = _TYPE + "envoy.extensions.load_balancing_policies."
BY_HEADER = {"header": {"header_name": "x-user"}}
USERS = ["user-%d" % number for number in range(60)]


def policy(kind: str, **fields: Any) -> dict:
    """load_balancing_policy with one of the published policies, as ring_hash.v3.RingHash."""
    return {"load_balancing_policy": {"policies": [
        {"typed_extension_config": {"name": "p", "typed_config": {"@type": _LB + kind, **fields}}}]}}


def cluster_of(name: str, *localities: dict, **fields: Any) -> dict:
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": list(localities)}, **fields}


def endpoints(*ports: int, **fields: Any) -> dict:
    """A LocalityLbEndpoints; `hostnames` go to its endpoints, `keys` to their metadata."""
    names, keys = fields.pop("hostnames", None), fields.pop("keys", None)
    out = []
    for index, port in enumerate(ports):
        one: dict = {"endpoint": {"address": address(port)}}
        if names:
            one["endpoint"]["hostname"] = names[index]
        if keys:
            one["metadata"] = {"filter_metadata": {"envoy.lb": {"hash_key": keys[index]}}}
        out.append(one)
    return {"lb_endpoints": out, **fields}


class HashCase(WeirTestCase):
    """Servers a to e, and requests that say which of them answered."""

    @classmethod
    def start_servers(cls) -> None:
        cls.servers = [EchoUpstream(cls.sandbox, name) for name in "abcde"]
        cls.ports = [server.port for server in cls.servers]
        cls.port = cls.sandbox.free_port()

    def server(self, path: str, headers: list[tuple[str, str]] = [], port: Optional[int] = None) -> str:
        return self.echoed(fetch(port or self.port, path, headers=headers))["server"]

    def users(self, path: str, users: list[str] = USERS) -> dict[str, str]:
        """Which server each user's request goes to."""
        with Connection(self.port) as connection:
            return {user: self.echoed(connection.request(path=path, headers=[("x-user", user)]))["server"] for user in users}


class PolicyTest(HashCase):
    """What of a request decides."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        cls.tcp_port = cls.sandbox.free_port()
        cookie = {"name": "sid", "ttl": "90s", "path": "/cookie", "attributes": [{"name": "SameSite", "value": "Lax"}, {"name": "Secure"}]}

        def hashed(path: str, *policies: dict, **action: Any) -> dict:
            return route({"prefix": path}, "ring", {"hash_policy": list(policies), **action})

        options = http_options(explicit_http_config={"http_protocol_options": {}},
                               hash_policy=[{"header": {"header_name": "x-other"}}])
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            hashed("/header", BY_HEADER),
            hashed("/rewritten", {"header": {"header_name": "x-user", "regex_rewrite": {
                "pattern": {"regex": "^(.*)-[a-z]*$"}, "substitution": "\\1"}}}),
            hashed("/query", {"query_parameter": {"name": "user"}}, prefix_rewrite="/elsewhere"),
            hashed("/cookie", {"cookie": cookie}),
            hashed("/plain-cookie", {"cookie": {"name": "sid"}}),
            hashed("/source", {"connection_properties": {"source_ip": True}}),
            hashed("/terminal", {"header": {"header_name": "x-first"}, "terminal": True}, BY_HEADER),
            hashed("/both", {"header": {"header_name": "x-first"}}, BY_HEADER),
            route({"prefix": "/none"}, "ring"),
            route({"prefix": "/options"}, "by-options", {"hash_policy": [BY_HEADER]}),
            route({"prefix": "/balancer"}, "by-balancer", {"hash_policy": [BY_HEADER]}),
            route({"prefix": "/weighted"}, action={"hash_policy": [BY_HEADER], "weighted_clusters": {"use_hash_policy": True, "clusters": [
                {"name": "only-a", "weight": 50}, {"name": "only-b", "weight": 50}]}}),
        ], use_remote_address=False), tcp_listener(cls.tcp_port, "ring", hash_policy=[{"source_ip": {}}])], [
            cluster("ring", *cls.ports, lb_policy="RING_HASH"),
            cluster("by-options", *cls.ports, lb_policy="RING_HASH", **options),
            cluster("by-balancer", *cls.ports, **options, **policy("ring_hash.v3.RingHash", consistent_hashing_lb_config={
                "hash_policy": [{"header": {"header_name": "x-third"}}]})),
            cluster("only-a", cls.ports[0]), cluster("only-b", cls.ports[1])]))

    def assert_follows(self, path: str, header: str, values: list[str] = USERS[:12]) -> None:
        """Requests go by this header, whatever the connection and the worker, and not all to one server."""
        seen = set()
        for value in values:
            servers = {self.server(path, [(header, value)]) for _ in range(4)}
            self.assertEqual(len(servers), 1, (path, value))
            seen |= servers
        self.assertGreater(len(seen), 2)

    # field: RouteAction.hash_policy, RouteAction.HashPolicy.header, HashPolicy.Header.header_name
    def test_header(self) -> None:
        self.assert_follows("/header", "x-user")

    def test_without_a_hash_any_server(self) -> None:
        self.assertGreater(len({self.server("/none", [("x-user", "same")]) for _ in range(30)}), 2)
        self.assertGreater(len({self.server("/header") for _ in range(30)}), 2)

    # field: HashPolicy.Header.regex_rewrite
    def test_header_rewritten(self) -> None:
        for number in range(5):
            self.assertEqual(len({self.server("/rewritten", [("x-user", "%d-%s" % (number, end))]) for end in ("a", "b", "c", "d", "e")}), 1)
        self.assertGreater(len({self.server("/rewritten", [("x-user", "%d-a" % number)]) for number in range(12)}), 1)

    # field: RouteAction.HashPolicy.query_parameter, HashPolicy.QueryParameter.name
    def test_query_parameter(self) -> None:
        """Of what the client asked for, not of what it is rewritten to."""
        for number in range(5):
            self.assertEqual(len({self.server("/query?x=%d&user=u%d" % (other, number)) for other in range(6)}), 1)
        self.assertGreater(len({self.server("/query?user=u%d" % number) for number in range(12)}), 1)

    # field: RouteAction.HashPolicy.cookie, HashPolicy.Cookie.name, HashPolicy.Cookie.ttl, HashPolicy.Cookie.path
    # field: HashPolicy.Cookie.attributes, HashPolicy.CookieAttribute.name, HashPolicy.CookieAttribute.value
    def test_a_cookie_is_made_and_brings_the_client_back(self) -> None:
        seen = set()
        for _ in range(12):
            first = fetch(self.port, "/cookie")
            set_cookie = first.header("set-cookie") or ""
            self.assertRegex(set_cookie, r'^sid="[0-9a-f]{16}"; Max-Age=90; Path=/cookie; SameSite=Lax; Secure; HttpOnly$')
            server = self.echoed(first)["server"]
            seen.add(server)
            for _ in range(3):
                again = fetch(self.port, "/cookie", headers=[("cookie", "a=b; " + set_cookie.split(";")[0])])
                self.assertEqual(self.echoed(again)["server"], server)
                self.assertIsNone(again.header("set-cookie"))
        self.assertGreater(len(seen), 1)

    def test_requests_of_a_connection_get_one_cookie(self) -> None:
        with Connection(self.port) as connection:
            self.assertEqual(len({connection.request(path="/cookie").header("set-cookie") for _ in range(4)}), 1)

    def test_without_ttl_no_cookie_is_made(self) -> None:
        self.assertIsNone(fetch(self.port, "/plain-cookie").header("set-cookie"))
        self.assert_follows_cookie()

    def assert_follows_cookie(self) -> None:
        for user in USERS[:5]:
            self.assertEqual(len({self.server("/plain-cookie", [("cookie", "sid=" + user)]) for _ in range(5)}), 1)

    # field: RouteAction.HashPolicy.connection_properties, HashPolicy.ConnectionProperties.source_ip
    def test_source_ip(self) -> None:
        """That of the client, whatever proxy it comes through."""
        self.assertEqual(len({self.server("/source") for _ in range(12)}), 1)
        self.assert_follows("/source", "x-forwarded-for", ["10.0.0.%d" % number for number in range(12)])

    # field: TcpProxy.hash_policy
    def test_connections_go_where_requests_of_the_same_client_go(self) -> None:
        self.assertEqual({self.server("/", port=self.tcp_port) for _ in range(8)}, {self.server("/source")})

    # field: RouteAction.HashPolicy.terminal
    def test_terminal(self) -> None:
        for user in USERS[:5]:
            self.assertEqual(len({self.server("/terminal", [("x-first", user), ("x-user", other)]) for other in USERS[:8]}), 1)
        self.assert_follows("/terminal", "x-user")
        self.assertGreater(len({self.server("/both", [("x-first", "same"), ("x-user", other)]) for other in USERS[:12]}), 1)

    # field: HttpProtocolOptions.hash_policy
    def test_the_clusters_policies_count_more_than_the_routes(self) -> None:
        self.assert_follows("/options", "x-other")
        self.assertGreater(len({self.server("/options", [("x-user", "same")]) for _ in range(30)}), 2)

    # field: ConsistentHashingLbConfig.hash_policy
    def test_the_balancers_policies_count_most(self) -> None:
        self.assert_follows("/balancer", "x-third")
        self.assertGreater(len({self.server("/balancer", [("x-user", "same"), ("x-other", "same")]) for _ in range(30)}), 2)

    # field: WeightedCluster.use_hash_policy
    def test_weighted_clusters_by_the_hash(self) -> None:
        for user in USERS[:12]:
            self.assertEqual(len({self.server("/weighted", [("x-user", user)]) for _ in range(5)}), 1)
        self.assertEqual(set(self.users("/weighted").values()), {"a", "b"})


class BalancerTest(HashCase):
    """Rings and Maglev tables: sizes, keys, weights, load."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        names = ["%s.example" % name for name in "abc"]
        consistent = {"common_lb_config": {"consistent_hashing_lb_config": {"use_hostname_for_hashing": True}}}
        bounded = {"common_lb_config": {"consistent_hashing_lb_config": {"hash_balance_factor": 100}}}
        hostname = {"use_hostname_for_hashing": True}
        a, b, c = cls.ports[:3]
        uneven = [endpoints(a, load_balancing_weight=1, locality={"zone": "one"}),
                  endpoints(b, c, load_balancing_weight=9, locality={"zone": "two"})]
        weighted = {"locality_weighted_lb_config": {}}
        cls.clusters = [
            cluster("ring", a, b, c, lb_policy="RING_HASH"),
            cluster("small", a, b, c, lb_policy="RING_HASH", ring_hash_lb_config={
                "minimum_ring_size": 12, "hash_function": "MURMUR_HASH_2"}),
            cluster("capped", a, b, c, weights=[1, 1, 10], lb_policy="RING_HASH", ring_hash_lb_config={
                "minimum_ring_size": 6, "maximum_ring_size": 8}),
            cluster("typed-ring", a, b, c, **policy("ring_hash.v3.RingHash", minimum_ring_size=30, maximum_ring_size=40)),
            cluster("typed-capped", a, b, c, weights=[1, 1, 10], **policy(
                "ring_hash.v3.RingHash", minimum_ring_size=6, maximum_ring_size=8)),
            cluster("typed-murmur", a, b, c, **policy("ring_hash.v3.RingHash", minimum_ring_size=12, hash_function="MURMUR_HASH_2")),
            cluster("maglev", a, b, c, lb_policy="MAGLEV"),
            cluster("small-maglev", a, b, c, lb_policy="MAGLEV", maglev_lb_config={"table_size": 31}),
            cluster("typed-maglev", a, b, c, **policy("maglev.v3.Maglev", table_size=61)),
            cluster("random", a, b, c, lb_policy="RANDOM"), cluster("typed-random", a, b, c, **policy("random.v3.Random")),
            cluster_of("named", endpoints(a, b, c, hostnames=names), lb_policy="RING_HASH", **consistent),
            cluster_of("named-back", endpoints(c, b, a, hostnames=names), lb_policy="RING_HASH", **consistent),
            cluster_of("typed-named", endpoints(c, b, a, hostnames=names), **policy(
                "ring_hash.v3.RingHash", consistent_hashing_lb_config=hostname)),
            cluster_of("old-named", endpoints(c, b, a, hostnames=names), **policy("ring_hash.v3.RingHash", **hostname)),
            cluster_of("named-maglev", endpoints(a, b, c, hostnames=names), lb_policy="MAGLEV", **consistent),
            cluster_of("typed-named-maglev", endpoints(c, b, a, hostnames=names), **policy(
                "maglev.v3.Maglev", consistent_hashing_lb_config=hostname)),
            cluster_of("keyed", endpoints(a, b, c, keys=names), lb_policy="RING_HASH"),
            cluster_of("ring-places", *uneven, lb_policy="RING_HASH", common_lb_config=weighted),
            cluster_of("typed-ring-places", *uneven, **policy("ring_hash.v3.RingHash", **weighted)),
            cluster_of("typed-maglev-places", *uneven, **policy("maglev.v3.Maglev", **weighted)),
            cluster_of("round-places", *uneven, common_lb_config=weighted),
            *(cluster_of("typed-%s-places" % name, *uneven, **policy(kind, locality_lb_config=weighted)) for name, kind in (
                ("round", "round_robin.v3.RoundRobin"), ("least", "least_request.v3.LeastRequest"), ("random", "random.v3.Random"))),
            cluster_of("no-places", *uneven),
            cluster("bounded", a, b, c, lb_policy="RING_HASH", **bounded),
            cluster("typed-bounded", a, b, c, **policy("maglev.v3.Maglev", consistent_hashing_lb_config={"hash_balance_factor": 100})),
            cluster("old-bounded", a, b, c, **policy("ring_hash.v3.RingHash", hash_balance_factor=100)),
        ]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/%s/" % one["name"]}, one["name"], {"hash_policy": [BY_HEADER]}) for one in cls.clusters])],
            cls.clusters), concurrency=1)

    def ring(self, name: str) -> list[int]:
        return [self.weir.stat("cluster.%s.ring_hash_lb.%s" % (name, what))
                for what in ("size", "min_hashes_per_host", "max_hashes_per_host")]

    def table(self, name: str) -> list[int]:
        return [self.weir.stat("cluster.%s.maglev_lb.%s_entries_per_host" % (name, what)) for what in ("min", "max")]

    def shares(self, name: str) -> collections.Counter:
        return collections.Counter(self.users("/%s/" % name, ["user-%d" % number for number in range(150)]).values())

    # field: Cluster.ring_hash_lb_config, RingHashLbConfig.minimum_ring_size, RingHashLbConfig.maximum_ring_size
    # field: RingHash.minimum_ring_size, RingHash.maximum_ring_size
    def test_sizes_of_rings(self) -> None:
        self.assertEqual(self.ring("ring"), [1026, 342, 342])
        self.assertEqual(self.ring("small"), [12, 4, 4])
        self.assertEqual(self.ring("typed-ring"), [30, 10, 10])
        for name in ("capped", "typed-capped"):
            size, least, most = self.ring(name)
            self.assertEqual((size, least), (8, 0) if least == 0 else (8, 1))
            self.assertGreaterEqual(most, 6)

    # field: RingHashLbConfig.hash_function, RingHash.hash_function
    def test_another_hash_is_another_ring(self) -> None:
        self.assertEqual(self.users("/small/"), self.users("/typed-murmur/"))
        self.assertNotEqual(self.users("/small/"), self.users("/ring/"))

    # field: Cluster.maglev_lb_config, MaglevLbConfig.table_size, Maglev.table_size
    def test_sizes_of_tables(self) -> None:
        self.assertEqual(self.table("maglev"), [21845, 21846])
        self.assertEqual(self.table("small-maglev"), [10, 11])
        self.assertEqual(self.table("typed-maglev"), [20, 21])

    def test_all_balancers_follow_the_hash(self) -> None:
        for name in ("ring", "typed-ring", "maglev", "typed-maglev"):
            self.assertEqual(self.users("/%s/" % name), self.users("/%s/" % name), name)
            self.assertEqual(len(set(self.users("/%s/" % name).values())), 3, name)

    # field: Cluster.lb_policy
    def test_random(self) -> None:
        for name in ("random", "typed-random"):
            shares = collections.Counter(self.users("/%s/" % name, ["same"] * 1)["same"] for _ in range(60))
            self.assertEqual(len(shares), 3, name)

    # field: CommonLbConfig.consistent_hashing_lb_config, CommonLbConfig.ConsistentHashingLbConfig.use_hostname_for_hashing
    # field: RingHash.consistent_hashing_lb_config, Maglev.consistent_hashing_lb_config, RingHash.use_hostname_for_hashing
    # field: common.v3.ConsistentHashingLbConfig.use_hostname_for_hashing
    def test_hostnames_instead_of_addresses(self) -> None:
        """Where names have changed their servers, requests follow the names."""
        swapped = {"a": "c", "b": "b", "c": "a"}
        of_ring = self.users("/named/")
        for name in ("named-back", "typed-named", "old-named"):
            self.assertEqual(self.users("/%s/" % name), {user: swapped[server] for user, server in of_ring.items()}, name)
        of_maglev = self.users("/named-maglev/")
        self.assertEqual(self.users("/typed-named-maglev/"), {user: swapped[server] for user, server in of_maglev.items()})
        self.assertNotEqual(of_ring, self.users("/ring/"))

    def test_keys_of_metadata(self) -> None:
        self.assertEqual(self.users("/keyed/"), self.users("/named/"))

    # field: LocalityLbEndpoints.load_balancing_weight, CommonLbConfig.locality_weighted_lb_config
    # field: RingHash.locality_weighted_lb_config, Maglev.locality_weighted_lb_config
    # field: RoundRobin.locality_lb_config, LeastRequest.locality_lb_config, Random.locality_lb_config
    # field: LocalityLbConfig.locality_weighted_lb_config
    def test_localities_by_weight(self) -> None:
        self.assertEqual(self.shares("no-places")["a"], 50)
        for name in ("ring-places", "typed-ring-places", "typed-maglev-places", "round-places", "typed-round-places",
                     "typed-least-places", "typed-random-places"):
            shares = self.shares(name)
            self.assertLess(shares["a"], 35, (name, shares))
            self.assertGreater(shares["a"], 0, (name, shares))
            self.assertGreater(min(shares["b"], shares["c"]), 35, (name, shares))

    # field: common.v3.ConsistentHashingLbConfig.hash_balance_factor, RingHash.hash_balance_factor
    # field: CommonLbConfig.ConsistentHashingLbConfig.hash_balance_factor
    def test_bounded_load(self) -> None:
        """Requests of one key do not all wait for one server while others have less to do."""
        for name in ("ring", "bounded", "typed-bounded", "old-bounded"):
            before = [len(server.requests) for server in self.servers[:3]]
            connections = [Connection(self.port) for _ in range(6)]
            for count, connection in enumerate(connections):
                connection.send_request(path="/%s/" % name, headers=[("x-user", "same"), ("x-test-delay", "1")])
                self.weir.wait_stat_is("cluster.%s.upstream_rq_active" % name, count + 1)
            servers = collections.Counter(self.echoed(connection.read_response())["server"] for connection in connections)
            for connection in connections:
                connection.close()
            self.assertEqual(sorted(servers.values()), [6] if name == "ring" else [2, 2, 2], name)
            self.assertEqual(sum(len(server.requests) for server in self.servers[:3]), sum(before) + 6)


class UpdateTest(HashCase):
    """Hosts come and go: most requests stay where they were."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()

    def config(self, ports: list[int]) -> dict:
        clusters = [cluster("ring", *ports, lb_policy="RING_HASH"), cluster("maglev", *ports, lb_policy="MAGLEV")]
        return bootstrap([http_listener(self.port, [
            route({"prefix": "/%s/" % one["name"]}, one["name"], {"hash_policy": [BY_HEADER]}) for one in clusters])], clusters)

    def reload(self, weir: Weir, ports: list[int]) -> None:
        done = weir.stat("server.config_reload_success")
        with open(weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(self.config(ports)) + "\n")
        os.kill(weir.process.popen.pid, signal.SIGHUP)
        weir.wait_stat("server.config_reload_success", done + 1)

    def test_a_host_goes_and_comes_back(self) -> None:
        users = ["user-%d" % number for number in range(200)]
        weir = Weir(self.sandbox, self.config(self.ports))
        before = {path: self.users(path, users) for path in ("/ring/", "/maglev/")}
        self.reload(weir, self.ports[:2] + self.ports[3:])
        for path, moved_at_most in (("/ring/", 50), ("/maglev/", 50)):
            now = self.users(path, users)
            self.assertNotIn("c", now.values())
            moved = [user for user in users if before[path][user] != "c" and now[user] != before[path][user]]
            self.assertLessEqual(len(moved), moved_at_most, path)
        self.assertEqual(weir.stat("cluster.ring.ring_hash_lb.size"), 1024)
        self.reload(weir, list(reversed(self.ports)))
        for path in before:
            self.assertEqual(self.users(path, users), before[path])


if __name__ == "__main__":
    main()
