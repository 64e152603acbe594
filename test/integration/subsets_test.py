"""Subsets of a cluster's hosts: the metadata that chooses them, and what happens where there is none of that metadata."""

import os
import signal
from typing import Any

from harness import Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route, tcp_listener, to_yaml
from harness.config import address

_TYPE = "type.googleapis.com/"
_LB = _TYPE + "envoy.extensions.load_balancing_policies."
_FILTERS = _TYPE + "envoy.extensions.filters.http."
ROUND_ROBIN = {"policies": [{"typed_extension_config": {"name": "rr", "typed_config": {"@type": _LB + "round_robin.v3.RoundRobin"}}}]}
BY_PLACE = {"policies": [{"typed_extension_config": {"name": "rr", "typed_config": {
    "@type": _LB + "round_robin.v3.RoundRobin", "locality_lb_config": {"locality_weighted_lb_config": {}}}}}]}


def lb(**fields: Any) -> dict:
    """Metadata below envoy.lb."""
    return {"filter_metadata": {"envoy.lb": fields}}


def host(port: int, **fields: Any) -> dict:
    return {"endpoint": {"address": address(port)}, "metadata": lb(**fields)}


def selector(*keys: str, **fields: Any) -> dict:
    return {"keys": list(keys), **fields}


class SubsetCase(WeirTestCase):
    """Servers a to e."""

    @classmethod
    def start_servers(cls) -> None:
        cls.servers = [EchoUpstream(cls.sandbox, name) for name in "abcde"]
        cls.a, cls.b, cls.c, cls.d, cls.e = (server.port for server in cls.servers)
        cls.port = cls.sandbox.free_port()

    def hosts(self, path: str, headers: list[tuple[str, str]] = [], count: int = 12) -> str:
        """The servers that answer, in order: "ab"; "-": none."""
        seen = set()
        with Connection(self.port) as connection:
            for _ in range(count):
                response = connection.request(path=path, headers=headers)
                seen.add(self.echoed(response)["server"] if response.status == 200 else "-")
        return "".join(sorted(seen))


class SubsetTest(SubsetCase):
    """Every setting, in both messages that have it."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        hosts = [host(cls.a, v="1", s="prod"), host(cls.b, v="2", s="prod"), host(cls.c, v="2", s="dev"), host(cls.d, v=["3", "4"])]
        by_version = [selector("v"), selector("s", "v")]
        settings: dict[str, dict] = {
            "plain": {"subset_selectors": by_version},
            "any": {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": by_version},
            "default": {"fallback_policy": "DEFAULT_SUBSET", "default_subset": {"s": "prod"}, "subset_selectors": by_version},
            "panic": {"fallback_policy": "DEFAULT_SUBSET", "default_subset": {"s": "none"}, "subset_selectors": by_version,
                      "panic_mode_any": True},
            "list": {"subset_selectors": by_version, "list_as_any": True},
            "keys": {"subset_selectors": [selector("v", fallback_policy="NO_FALLBACK"), selector(
                "s", "v", fallback_policy="KEYS_SUBSET", fallback_keys_subset=["v"])], "fallback_policy": "ANY_ENDPOINT"},
            "single": {"subset_selectors": [selector("v", single_host_per_subset=True)]},
            "tries": {"subset_selectors": by_version, "metadata_fallback_policy": "FALLBACK_LIST"},
        }
        cls.names = list(settings)
        clusters, routes = [], []
        for name, config in settings.items():
            for form in ("old", "typed"):
                full = "%s-%s" % (form, name)
                division = {"lb_subset_config": config} if form == "old" else {"load_balancing_policy": {"policies": [{
                    "typed_extension_config": {"name": "s", "typed_config": {"@type": _LB + "subset.v3.Subset", **config,
                                                                             "subset_lb_policy": ROUND_ROBIN}}}]}}
                clusters.append({"name": full, "load_assignment": {"cluster_name": full, "endpoints": [{"lb_endpoints": hosts}]}, **division})
                for match in ({"v": "1"}, {"v": "2"}, {"v": "3"}, {"v": "9"}, {"s": "prod", "v": "2"}, {"s": "x", "v": "2"}, {"s": "x", "v": "9"},
                              {"s": "prod"}):
                    path = "/%s/%s" % (full, "".join(match.values()))
                    routes.append(route({"path": path}, full, {"metadata_match": lb(**match)}))
                routes.append(route({"path": "/%s/tries" % full}, full, {"metadata_match": lb(s="prod", v="1", fallback_list=[{"v": "7"}, {"v": "2"}])}))
                routes.append(route({"prefix": "/%s/" % full}, full))
        clusters.append({"name": "redundant", "load_assignment": {"cluster_name": "redundant", "endpoints": [{"lb_endpoints": hosts}]},
                         "load_balancing_policy": {"policies": [{"typed_extension_config": {"name": "s", "typed_config": {
                             "@type": _LB + "subset.v3.Subset", "subset_selectors": by_version, "allow_redundant_keys": True,
                             "subset_lb_policy": ROUND_ROBIN}}}]}})
        more = {"v": "2", "x": "y"}
        routes += [route({"path": "/redundant"}, "redundant", {"metadata_match": lb(**more)}),
                   route({"path": "/redundant/no"}, "typed-plain", {"metadata_match": lb(**more)}),
                   route({"path": "/undivided"}, "undivided", {"metadata_match": lb(v="1")})]
        clusters.append(cluster("undivided", cls.a, cls.b))
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, routes)], clusters), concurrency=1)

    def check(self, name: str, **expected: str) -> None:
        for form in ("old", "typed"):
            for path, hosts in expected.items():
                self.assertEqual(self.hosts("/%s-%s/%s" % (form, name, path.lstrip("_"))), hosts, (form, name, path))

    # field: Cluster.lb_subset_config, LbSubsetConfig.subset_selectors, Cluster.LbSubsetConfig.LbSubsetSelector.keys
    # field: Subset.subset_selectors, Subset.LbSubsetSelector.keys, Subset.subset_lb_policy, RouteAction.metadata_match
    def test_hosts_that_have_what_the_route_asks_for(self) -> None:
        self.check("plain", _1="a", _2="bc", prod2="b", x2="-", _3="-", _9="-", prod="-", none="-")
        self.assertEqual(self.hosts("/undivided"), "ab")

    # field: Cluster.LbSubsetConfig.fallback_policy, Subset.fallback_policy
    def test_any_endpoint(self) -> None:
        self.check("any", _1="a", _9="abcd", prod="abcd", none="abcd")

    # field: Cluster.LbSubsetConfig.default_subset, Subset.default_subset
    def test_default_subset(self) -> None:
        self.check("default", _1="a", _9="ab", prod="ab", none="ab")

    # field: Cluster.LbSubsetConfig.panic_mode_any, Subset.panic_mode_any
    def test_panic_mode(self) -> None:
        self.check("panic", _1="a", _9="abcd")
        self.assertGreater(self.weir.stat("cluster.old-panic.lb_subsets_fallback_panic"), 0)

    # field: Cluster.LbSubsetConfig.list_as_any, Subset.list_as_any
    def test_lists_as_any(self) -> None:
        self.check("list", _3="d", _2="bc")

    # field: Cluster.LbSubsetConfig.LbSubsetSelector.fallback_policy, Cluster.LbSubsetConfig.LbSubsetSelector.fallback_keys_subset
    # field: Subset.LbSubsetSelector.fallback_policy, Subset.LbSubsetSelector.fallback_keys_subset
    def test_fallbacks_of_selectors(self) -> None:
        self.check("keys", _9="-", x2="bc", x9="-", prod="abcd")

    # field: Cluster.LbSubsetConfig.LbSubsetSelector.single_host_per_subset, Subset.LbSubsetSelector.single_host_per_subset
    def test_single_hosts(self) -> None:
        self.check("single", _1="a", _2="b", _9="-")
        for form in ("old", "typed"):
            self.assertEqual(self.weir.stat("cluster.%s-single.lb_subsets_single_host_per_subset_duplicate" % form), 1)
        self.assertEqual(self.weir.stat("cluster.old-plain.lb_subsets_single_host_per_subset_duplicate"), 0)

    # field: Cluster.LbSubsetConfig.metadata_fallback_policy, Subset.metadata_fallback_policy
    def test_lists_of_fallbacks(self) -> None:
        self.check("tries", tries="b", _1="a")
        self.check("plain", tries="-")

    # field: Subset.allow_redundant_keys
    def test_redundant_keys(self) -> None:
        self.assertEqual(self.hosts("/redundant"), "bc")
        self.assertEqual(self.hosts("/redundant/no"), "-")

    def test_statistics(self) -> None:
        before = self.weir.stats()
        self.hosts("/old-default/1", count=3)
        self.hosts("/old-default/9", count=2)
        now = self.weir.stats()

        def grown(name: str) -> int:
            name = "cluster.old-default.lb_subsets_" + name
            return now[name] - before[name]

        self.assertEqual((grown("selected"), grown("fallback"), grown("fallback_panic")), (3, 2, 0))
        # v: 1, 2, ["3", "4"]; s and v: prod 1, prod 2, dev 2.
        self.assertEqual(now["cluster.old-default.lb_subsets_active"], 6)
        self.assertEqual(now["cluster.old-default.lb_subsets_created"], 6)
        self.assertEqual(now["cluster.old-default.lb_subsets_removed"], 0)
        self.assertNotIn("cluster.undivided.lb_subsets_active", now)


class ChoiceTest(SubsetCase):
    """Who says what hosts are to have: routes, weighted clusters, filters, connections."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        cls.tcp, cls.tcp_weighted = (cls.sandbox.free_port() for _ in range(2))
        divided = {"load_assignment": {"cluster_name": "c", "endpoints": [{"lb_endpoints": [
            host(cls.a, v="1", s="x"), host(cls.b, v="2", s="x"), host(cls.c, v="2", s="y"), host(cls.d, s="x")]}]},
            "lb_subset_config": {"subset_selectors": [selector("v"), selector("s"), selector("s", "v")]}}
        from_header = {"name": "meta", "typed_config": {"@type": _FILTERS + "header_to_metadata.v3.Config", "request_rules": [
            {"header": "x-version", "on_header_present": {"metadata_namespace": "envoy.lb", "key": "v"}}]}}
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.port, [
                route({"path": "/none"}, "divided"),
                route({"path": "/x"}, "divided", {"metadata_match": lb(s="x")}),
                route({"path": "/weighted"}, action={"metadata_match": lb(s="x", v="1"), "weighted_clusters": {"clusters": [
                    {"name": "divided", "weight": 1, "metadata_match": lb(v="2")}, {"name": "divided", "weight": 1}]}}),
                route({"path": "/retry"}, "divided", {"metadata_match": lb(v="2"), "retry_policy": {
                    "retry_on": "5xx", "num_retries": 1, "retry_back_off": {"base_interval": "0.001s"}}}),
            ], http_filters=[from_header]),
            tcp_listener(cls.tcp, "divided", metadata_match=lb(v="1")),
            tcp_listener(cls.tcp_weighted, name="weighted", metadata_match=lb(s="y"), weighted_clusters={"clusters": [
                {"name": "divided", "weight": 1, "metadata_match": lb(v="2")}]})],
            [{"name": "divided", **divided}]), concurrency=1)

    # field: route.v3.WeightedCluster.ClusterWeight.metadata_match
    def test_a_weighted_cluster_over_its_route(self) -> None:
        self.assertEqual(self.hosts("/x"), "abd")
        self.assertEqual(self.hosts("/weighted", count=30), "ab")

    def test_filters_count_more_than_routes(self) -> None:
        self.assertEqual(self.hosts("/none"), "-")
        self.assertEqual(self.hosts("/none", [("x-version", "1")]), "a")
        self.assertEqual(self.hosts("/none", [("x-version", "2")]), "bc")
        self.assertEqual(self.hosts("/x", [("x-version", "2")]), "b")
        self.assertEqual(self.hosts("/weighted", [("x-version", "1")], count=30), "a")

    def test_retries_stay_in_the_subset(self) -> None:
        before = [len(server.requests) for server in self.servers]
        for _ in range(4):
            self.assertEqual(fetch(self.port, "/retry", headers=[("x-test-status", "503")]).status, 503)
        self.assertEqual([len(server.requests) - was for server, was in zip(self.servers, before)], [0, 4, 4, 0, 0])

    # field: TcpProxy.metadata_match, TcpProxy.WeightedCluster.ClusterWeight.metadata_match
    def test_connections(self) -> None:
        self.assertEqual({self.echoed(fetch(self.tcp))["server"] for _ in range(6)}, {"a"})
        self.assertEqual({self.echoed(fetch(self.tcp_weighted))["server"] for _ in range(6)}, {"c"})


class LocalityTest(SubsetCase):
    """Localities keep their weights in subsets, or not."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()
        # In zone two 1 of 1 hosts is of version 1, in zone one 1 of 4.
        places = [{"locality": {"zone": "one"}, "load_balancing_weight": 10, "lb_endpoints": [
            host(cls.a, v="1"), host(cls.b, v="2"), host(cls.c, v="2"), host(cls.d, v="2")]},
            {"locality": {"zone": "two"}, "load_balancing_weight": 30, "lb_endpoints": [host(cls.e, v="1")]}]
        base = {"subset_selectors": [selector("v")]}
        aware = {**base, "locality_weight_aware": True}
        scaled = {**aware, "scale_locality_weight": True}
        clusters = []
        for name, config in (("unaware", base), ("aware", aware), ("scaled", scaled)):
            clusters.append({"name": "old-" + name, "lb_subset_config": config, "common_lb_config": {"locality_weighted_lb_config": {}}})
            clusters.append({"name": "typed-" + name, "load_balancing_policy": {"policies": [{"typed_extension_config": {
                "name": "s", "typed_config": {"@type": _LB + "subset.v3.Subset", **config, "subset_lb_policy": BY_PLACE}}}]}})
        for one in clusters:
            one["load_assignment"] = {"cluster_name": one["name"], "endpoints": places}
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"path": "/" + one["name"]}, one["name"], {"metadata_match": lb(v="1")}) for one in clusters])], clusters), concurrency=1)

    # field: Cluster.LbSubsetConfig.locality_weight_aware, Subset.locality_weight_aware
    # field: Cluster.LbSubsetConfig.scale_locality_weight, Subset.scale_locality_weight
    def test_weights(self) -> None:
        for name, low, high in (("unaware", 60, 60), ("aware", 15, 47), ("scaled", 1, 20)):
            for form in ("old", "typed"):
                with Connection(self.port) as connection:
                    servers = [self.echoed(connection.request(path="/%s-%s" % (form, name)))["server"] for _ in range(120)]
                self.assertEqual(set(servers), {"a", "e"})
                self.assertGreaterEqual(servers.count("a"), low, (form, name))
                self.assertLessEqual(servers.count("a"), high, (form, name))


class UpdateTest(SubsetCase):
    """Subsets come and go with their hosts."""

    @classmethod
    def set_up(cls) -> None:
        cls.start_servers()

    def config(self, hosts: list[dict]) -> dict:
        return bootstrap([http_listener(self.port, [
            route({"path": "/" + version}, "divided", {"metadata_match": lb(v=version)}) for version in ("1", "2", "3")])],
            [{"name": "divided", "load_assignment": {"cluster_name": "divided", "endpoints": [{"lb_endpoints": hosts}]},
              "lb_subset_config": {"subset_selectors": [selector("v")]}}])

    def test_updates(self) -> None:
        weir = Weir(self.sandbox, self.config([host(self.a, v="1"), host(self.b, v="2")]))
        self.assertEqual([self.hosts("/" + path) for path in "123"], ["a", "b", "-"])
        done = weir.stat("server.config_reload_success")
        with open(weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(self.config([host(self.a, v="1"), host(self.c, v="1"), host(self.b, v="3")])) + "\n")
        os.kill(weir.process.popen.pid, signal.SIGHUP)
        weir.wait_stat("server.config_reload_success", done + 1)
        self.assertEqual([self.hosts("/" + path) for path in "123"], ["ac", "-", "b"])
        stats = weir.stats()
        self.assertEqual([stats["cluster.divided.lb_subsets_" + name] for name in ("active", "created", "removed")], [2, 3, 1])


if __name__ == "__main__":
    main()
