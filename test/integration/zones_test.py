"""Hosts of weir's own zone first: a local cluster says how much of what comes here they can take."""

import os
import signal
from collections import Counter
from typing import Any, Optional

from harness import EchoUpstream, Weir, WeirTestCase, bootstrap, fetch, http_listener, main, route, to_yaml
from harness.config import address

_POLICIES = "type.googleapis.com/envoy.extensions.load_balancing_policies."


def in_zone(zone: str, *ports: int, health: str = "UNKNOWN", weight: int = 1) -> dict[str, Any]:
    return {"locality": {"region": "r", "zone": zone}, "lb_endpoints": [
        {"health_status": health, "load_balancing_weight": weight, "endpoint": {"address": address(port)}} for port in ports]}


def cluster_of(name: str, *localities: dict, **fields: Any) -> dict[str, Any]:
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": list(localities)}, **fields}


def zone_aware(**fields: Any) -> dict[str, Any]:
    return {"common_lb_config": {"zone_aware_lb_config": fields}}


def by_policy(name: str, **fields: Any) -> dict[str, Any]:
    kind = "".join(word.capitalize() for word in name.split("_"))
    return {"load_balancing_policy": {"policies": [{"typed_extension_config": {"name": name, "typed_config": {
        "@type": _POLICIES + "%s.v3.%s" % (name, kind), "locality_lb_config": {"zone_aware_lb_config": fields}}}}]}}


class ZonesTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.a = [EchoUpstream(cls.sandbox, "a%d" % i).port for i in range(2)]
        cls.b = [EchoUpstream(cls.sandbox, "b%d" % i).port for i in range(4)]
        cls.port, cls.crowded, cls.even = (cls.sandbox.free_port() for _ in range(3))
        cls.weir = Weir(cls.sandbox, cls.config(cls.port, here=3, there=6), concurrency=1)
        # Eight of nine instances are here: most requests have to leave, but for what is told to stay.
        cls.weir_crowded = Weir(cls.sandbox, cls.config(cls.crowded, here=8, there=1), concurrency=1)
        # Of "weights" 2/3 of the weights and 1/3 of the hosts are here.
        Weir(cls.sandbox, cls.config(cls.even, here=6, there=4), concurrency=1)

    @classmethod
    def config(cls, port: int, here: int, there: int, local: Optional[str] = "instances") -> dict[str, Any]:
        """Of weir's instances so many are in zone a, where this one is, and so many in zone b."""
        both = (in_zone("a", *cls.a), in_zone("b", *cls.b))
        few = (in_zone("a", *cls.a[:1]), in_zone("b", *cls.b[:1]), in_zone("b", *cls.b[1:], health="UNHEALTHY"))
        clusters = [
            cluster_of("instances", in_zone("a", *range(1000, 1000 + here)), in_zone("b", *range(2000, 2000 + there))),
            cluster_of("plain", *both),
            cluster_of("large", *both, **zone_aware(min_cluster_size=7)),
            cluster_of("off", *both, **zone_aware(routing_enabled={"value": 0})),
            cluster_of("random", *both, lb_policy="RANDOM"),
            cluster_of("least", *both, lb_policy="LEAST_REQUEST"),
            cluster_of("policy_off", *both, **by_policy("round_robin", routing_enabled={"value": 0})),
            cluster_of("policy_large", *both, **by_policy("least_request", min_cluster_size=7)),
            cluster_of("forced", *both, **by_policy("random", force_local_zone={"min_size": 2})),
            cluster_of("forced_not", *both, **by_policy("random", force_local_zone={"min_size": 3})),
            cluster_of("direct", *both, **by_policy("random", force_locality_direct_routing=True)),
            cluster_of("weights", in_zone("a", *cls.a, weight=4), in_zone("b", *cls.b), **by_policy("random", locality_basis="HEALTHY_HOSTS_WEIGHT")),
            cluster_of("panic", *few, **zone_aware()),
            cluster_of("fails", *few, **zone_aware(fail_traffic_on_panic=True)),
            cluster_of("policy_fails", *few, **by_policy("round_robin", fail_traffic_on_panic=True)),
        ]
        routes = [route({"prefix": "/%s/" % one["name"]}, one["name"]) for one in clusters[1:]]
        config = bootstrap([http_listener(port, routes)], clusters)
        config["node"] = {"id": "n", "cluster": "c", "locality": {"region": "r", "zone": "a"}}
        if local:
            config["cluster_manager"] = {"local_cluster_name": local}
        return config

    def zones(self, name: str, count: int = 60, port: Optional[int] = None) -> Counter:
        """How many requests each zone gets; a number: a status of weir's."""
        got: Counter = Counter()
        for _ in range(count):
            response = fetch(port or self.port, "/%s/x" % name)
            got[response.text.split('"server": "')[1][0] if response.status == 200 else str(response.status)] += 1
        return got

    def reload(self, config: dict[str, Any]) -> None:
        done = self.weir.stat("server.config_reload_success")
        with open(self.weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(config) + "\n")
        os.kill(self.weir.process.popen.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_success", done + 1)

    # field: Bootstrap.cluster_manager, ClusterManager.local_cluster_name
    # field: Cluster.CommonLbConfig.zone_aware_lb_config, CommonLbConfig.ZoneAwareLbConfig.min_cluster_size
    # field: CommonLbConfig.ZoneAwareLbConfig.routing_enabled
    def test_own_zone_first(self) -> None:
        for name in ("plain", "random", "least"):
            with self.subTest(name):
                self.assertEqual(self.zones(name), {"a": 60})  # a third of weir, and of the hosts
                self.assertGreaterEqual(self.weir.stat("cluster.%s.lb_zone_routing_all_directly" % name), 60)
        for name in ("large", "off"):
            with self.subTest(name):
                self.assertGreater(self.zones(name)["b"], 20)
        self.assertGreaterEqual(self.weir.stat("cluster.large.lb_zone_cluster_too_small"), 1)

    # field: LocalityLbConfig.zone_aware_lb_config, LocalityLbConfig.ZoneAwareLbConfig.routing_enabled
    # field: LocalityLbConfig.ZoneAwareLbConfig.min_cluster_size
    def test_of_a_policy(self) -> None:
        for name in ("policy_off", "policy_large"):
            with self.subTest(name):
                self.assertGreater(self.zones(name)["b"], 20)

    # field: LocalityLbConfig.ZoneAwareLbConfig.force_local_zone, LocalityLbConfig.ZoneAwareLbConfig.ForceLocalZone.min_size
    # field: LocalityLbConfig.ZoneAwareLbConfig.force_locality_direct_routing
    def test_most_of_weir_is_here(self) -> None:
        for name in ("plain", "forced_not"):
            with self.subTest(name):
                got = self.zones(name, 120, self.crowded)
                self.assertGreater(got["a"], 15)
                self.assertGreater(got["b"], 45)
        for name in ("forced", "direct"):
            with self.subTest(name):
                self.assertEqual(self.zones(name, port=self.crowded), {"a": 60})
        self.assertGreater(self.weir_crowded.stat("cluster.plain.lb_zone_routing_cross_zone"), 0)

    # field: LocalityLbConfig.ZoneAwareLbConfig.locality_basis
    def test_by_weight(self) -> None:
        self.assertEqual(self.zones("weights", port=self.even), {"a": 60})
        self.assertGreater(self.zones("random", port=self.even)["b"], 10)

    def test_as_instances_move(self) -> None:
        try:
            self.reload(self.config(self.port, here=8, there=1))
            self.assertGreater(self.zones("plain")["b"], 10)
            self.reload(self.config(self.port, here=6, there=4, local=None))
            self.assertGreater(self.zones("forced")["b"], 20)  # no cluster says anything of zones
        finally:
            self.reload(self.config(self.port, here=3, there=6))
        self.assertEqual(self.zones("plain"), {"a": 60})

    # field: CommonLbConfig.ZoneAwareLbConfig.fail_traffic_on_panic
    # field: LocalityLbConfig.ZoneAwareLbConfig.fail_traffic_on_panic
    def test_panic(self) -> None:
        self.assertEqual(set(self.zones("panic")), {"a", "b"})
        self.assertEqual(self.zones("fails"), {"503": 60})
        self.assertEqual(self.zones("policy_fails"), {"503": 60})
        self.assertGreaterEqual(self.weir.stat("cluster.fails.lb_healthy_panic"), 60)


if __name__ == "__main__":
    main()
