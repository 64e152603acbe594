"""Aggregate clusters: the clusters behind them take over from each other by their health, like the priorities of one."""

import collections
import os
import signal
import subprocess
from typing import Any

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, file_access_log, http_listener, main,
                     route, tcp_listener, to_yaml, wait_line, wait_until, weir_binary)
from harness.config import address

_TYPE = "type.googleapis.com/"
_AGGREGATE = _TYPE + "envoy.extensions.clusters.aggregate.v3.ClusterConfig"
_PREVIOUS = _TYPE + "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"


def aggregate(name: str, *members: str, **fields: Any) -> dict:
    return {"name": name, "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": {
        "name": "envoy.clusters.aggregate", "typed_config": {"@type": _AGGREGATE, "clusters": list(members)}}, **fields}


def levels(name: str, *levels: list[tuple[int, str]], **fields: Any) -> dict:
    """A cluster of hosts by priority: port and health."""
    return {"name": name, "connect_timeout": "1s", "load_assignment": {"cluster_name": name, "endpoints": [
        {"priority": priority, "lb_endpoints": [
            {"endpoint": {"address": address(port)}, "health_status": health} for port, health in hosts]}
        for priority, hosts in enumerate(levels)]}, **fields}


class AggregateTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.servers = [EchoUpstream(cls.sandbox, name) for name in "abcdef"]
        cls.a, cls.b, cls.c, cls.d, cls.e, cls.f = (server.port for server in cls.servers)
        cls.dead = cls.sandbox.free_port()
        cls.port, cls.tcp = cls.sandbox.free_port(), cls.sandbox.free_port()
        cls.log = cls.sandbox.path("access.log")
        up, down, degraded = "HEALTHY", "UNHEALTHY", "DEGRADED"
        cls.members = {
            "good": levels("good", [(cls.a, up)]),
            "down": levels("down", [(cls.b, down)]),
            "half": levels("half", [(cls.c, up), (cls.d, down)]),
            "two": levels("two", [(cls.b, down)], [(cls.e, up)]),
            "tired": levels("tired", [(cls.d, degraded)]),
            "dead": levels("dead", [(cls.dead, up)]),
            "narrow": levels("narrow", [(cls.f, up)], circuit_breakers={"thresholds": [{"max_requests": 0}]}),
        }
        cls.aggregates = [
            aggregate("first", "good", "half"), aggregate("second", "down", "good"), aggregate("shares", "half", "good"),
            aggregate("panic", "down", "tired_down"), aggregate("levels", "two", "good"), aggregate("nested", "second", "first"),
            aggregate("degraded", "tired", "good"), aggregate("only_degraded", "down", "tired"),
            aggregate("retried", "dead", "good"), aggregate("limited", "narrow", "good"), aggregate("nobody", "empty"),
        ]
        cls.members["tired_down"] = levels("tired_down", [(cls.d, down)])
        cls.members["empty"] = levels("empty")
        cls.weir = Weir(cls.sandbox, cls.config(), concurrency=1)

    @classmethod
    def config(cls) -> dict:
        policy = {"retry_on": "connect-failure", "num_retries": 3, "retry_back_off": {"base_interval": "0.001s"}, "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities", "typed_config": {"@type": _PREVIOUS, "update_frequency": 1}}}
        routes = [route({"prefix": "/%s/" % one["name"]}, one["name"], {"retry_policy": policy} if one["name"] == "retried" else None)
                  for one in cls.aggregates]
        mirrored = route({"prefix": "/mirrored/"}, "good", {"request_mirror_policies": [{"cluster": "second"}]})
        line = "%REQ(:PATH)%|%UPSTREAM_CLUSTER%|%RESPONSE_FLAGS%\n"
        return bootstrap([http_listener(cls.port, [*routes, mirrored], access_log=[file_access_log(cls.log, line)]),
                          tcp_listener(cls.tcp, "second")], [*cls.aggregates, *cls.members.values()])

    def seen(self, path: str, count: int = 40) -> collections.Counter:
        counts: collections.Counter = collections.Counter()
        with Connection(self.port) as connection:
            for _ in range(count):
                response = connection.request(path="/%s/x" % path)
                counts[self.echoed(response)["server"] if response.status == 200 else response.status] += 1
        return counts

    # field: aggregate.v3.ClusterConfig.clusters
    def test_the_first_that_can_takes_all(self) -> None:
        for name, server in (("first", "a"), ("second", "a"), ("levels", "e")):
            with self.subTest(name):
                self.assertEqual(set(self.seen(name)), {server})

    def test_what_the_first_lacks_goes_to_the_next(self) -> None:
        """One of two healthy hosts takes 70 % (140 % of its half), as in one cluster with priorities."""
        counts = self.seen("shares", 600)
        self.assertEqual(set(counts), {"a", "c"})
        self.assertTrue(350 < counts["c"] < 490, counts)

    def test_nobody_is_healthy(self) -> None:
        """All hosts of the first level are used then."""
        before = self.weir.stat("cluster.down.lb_healthy_panic")
        self.assertEqual(set(self.seen("panic")), {"b"})
        self.assertGreaterEqual(self.weir.stat("cluster.down.lb_healthy_panic"), before + 40)

    def test_nobody_at_all(self) -> None:
        self.assertEqual(set(self.seen("nobody", 1)), {503})
        wait_line(self.log, pattern=r"/nobody/x\|nobody\|UH")

    def test_aggregates_of_aggregates(self) -> None:
        self.assertEqual(set(self.seen("nested")), {"a"})

    def test_degraded_hosts_come_behind_healthy_ones_of_all_members(self) -> None:
        self.assertEqual(set(self.seen("degraded")), {"a"})
        self.assertEqual(set(self.seen("only_degraded")), {"d"})

    def test_a_retry_goes_to_the_next_level(self) -> None:
        before = self.weir.stat("cluster.dead.upstream_cx_connect_fail")
        self.assertEqual(self.seen("retried", 10), {"a": 10})
        self.assertGreaterEqual(self.weir.stat("cluster.dead.upstream_cx_connect_fail"), before + 10)
        self.assertGreaterEqual(self.weir.stat("cluster.retried.upstream_rq_retry"), 10)

    def test_limits_are_those_of_the_member(self) -> None:
        self.assertEqual(set(self.seen("limited", 3)), {503})
        self.assertGreaterEqual(self.weir.stat("cluster.narrow.upstream_rq_pending_overflow"), 3)
        wait_line(self.log, pattern=r"/limited/x\|limited\|UO")

    def test_what_is_counted_where(self) -> None:
        before = {name: self.weir.stat(name) for name in ("cluster.first.upstream_rq_200", "cluster.good.upstream_rq_total")}
        self.seen("first", 5)
        for name, value in before.items():
            self.weir.wait_stat_is(name, value + 5)
        self.assertEqual(self.weir.stat("cluster.first.upstream_cx_total"), 0)
        self.assertEqual(self.weir.stat("cluster.good.upstream_rq_active"), 0)
        self.assertEqual(self.weir.stat("cluster.first.upstream_rq_active"), 0)

    def test_mirrors(self) -> None:
        before = self.weir.stat("cluster.good.upstream_rq_total")
        self.seen("mirrored", 5)
        self.weir.wait_stat("cluster.good.upstream_rq_total", before + 10)

    def test_tcp(self) -> None:
        with Connection(self.tcp) as connection:
            self.assertEqual(self.echoed(connection.request())["server"], "a")

    def test_health_changes_while_it_serves(self) -> None:
        self.assertEqual(set(self.seen("second")), {"a"})
        for health, server in (("HEALTHY", "b"), ("UNHEALTHY", "a")):
            self.members["down"] = levels("down", [(self.b, health)])
            with open(self.weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(self.config()) + "\n")
            before = self.weir.stat("server.config_reload_success")
            os.kill(self.weir.process.pid, signal.SIGHUP)
            self.weir.wait_stat("server.config_reload_success", before + 1)
            wait_until(lambda server=server: set(self.seen("second", 5)) == {server}, server)  # type: ignore[misc]


class ErrorsTest(WeirTestCase):
    def faults(self, *clusters: dict, code: int = 1) -> str:
        path = self.sandbox.write("bad.yaml", to_yaml(bootstrap([], list(clusters))))
        run = subprocess.run([weir_binary(), "-c", path, "--mode", "validate"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, timeout=20)
        self.assertEqual(run.returncode, code, run.stdout)
        return run.stdout

    def test_circles(self) -> None:
        good = cluster("good", 1)
        self.assertIn("is a circle: a -> a", self.faults(aggregate("a", "a")))
        text = self.faults(aggregate("a", "good", "b"), aggregate("b", "c"), aggregate("c", "good", "b"), good)
        self.assertIn("clusters[2].cluster_type.typed_config.clusters[1]", text)
        self.assertIn("is a circle: b -> c -> b", text)
        deep = [aggregate("n%d" % i, "n%d" % (i + 1)) for i in range(20)]
        self.assertIn("is too deep", self.faults(*deep, cluster("n20", 1)))

    # field: Cluster.lb_policy
    def test_what_it_cannot_have(self) -> None:
        good = cluster("good", 1)
        self.assertIn("write CLUSTER_PROVIDED", self.faults({**aggregate("a", "good"), "lb_policy": "ROUND_ROBIN"}, good))
        self.assertIn("must be empty", self.faults({**cluster("a", 1), **aggregate("a", "good")}, good))
        self.assertIn("is clusters[0] too", self.faults(aggregate("a", "good", "good"), good))
        original = {"name": "original", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}
        self.assertIn("is of type ORIGINAL_DST", self.faults(aggregate("a", "original"), original))
        self.assertIn('"missing" is not a cluster of this configuration', self.faults(aggregate("a", "missing"), good, code=0))
        self.assertIn("CLUSTER_PROVIDED is for clusters of a type", self.faults({**good, "lb_policy": "CLUSTER_PROVIDED"}))


if __name__ == "__main__":
    main()
