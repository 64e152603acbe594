"""Requests that fail and are tried elsewhere, without the client noticing."""

import collections
import json
import re
import shutil
import signal
import threading
import time
import unittest

from harness import (Connection, EchoUpstream, Nginx, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch,
                     http_listener, main, route)
from harness.upstreams import ServerConnection


class DyingServerTest(WeirTestCase):
    """Two clusters of two nginx servers; one server dies under load and comes back."""

    @classmethod
    def set_up(cls) -> None:
        cls.servers = [Nginx(cls.sandbox, name) for name in ("a1", "a2", "b1", "b2")]
        ports = [server.port for server in cls.servers]
        cls.port = cls.sandbox.free_port()
        retry = {"retry_policy": {"retry_on": "connect-failure,reset", "num_retries": 3}}
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/a"}, "a", retry), route({"prefix": "/b"}, "b", retry)])], [
                cluster("a", *ports[:2]), cluster("b", *ports[2:])]))

    def test_both_servers_answer(self) -> None:
        with Connection(self.port) as connection:
            for path, names in (("/a", {"a1", "a2"}), ("/b", {"b1", "b2"})):
                self.assertEqual({connection.request(path=path).text.split()[0] for _ in range(8)}, names)

    @unittest.skipUnless(shutil.which("wrk"), "wrk is not installed")
    def test_no_failed_request_under_wrk(self) -> None:
        load = self.sandbox.start(["wrk", "-t", "1", "-c", "32", "-d", "6s", "--timeout", "5s",
                                   "http://127.0.0.1:%d/a" % self.port], "wrk")
        for act in (self.servers[0].kill, self.servers[0].restart) * 2:
            self.weir.wait_stat("cluster.a.upstream_rq_total", self.weir.stat("cluster.a.upstream_rq_total") + 200)
            act()
        self.assertEqual(load.wait(20), 0)
        output = load.log()
        self.assertNotIn("Non-2xx", output)
        self.assertNotIn("Socket errors", output)
        requests = re.search(r"(\d+) requests in", output)
        self.assertIsNotNone(requests, output)
        self.assertGreater(int(requests.group(1)), 100)  # type: ignore[union-attr]
        stats = self.weir.stats()
        self.assertGreater(stats.get("cluster.a.upstream_rq_retry", 0), 0)
        self.assertGreater(stats.get("cluster.a.upstream_rq_retry_success", 0), 0)
        self.assertEqual(stats.get("http.ingress.downstream_rq_5xx", 0), 0)


class HostPredicateTest(WeirTestCase):
    """Retries keep clear of hosts by their metadata."""

    @classmethod
    def set_up(cls) -> None:
        labels: dict = {"plain": {}, "other": {}, "canary": {"canary": True}, "old": {"stage": ["old", "older"]}}
        cls.servers = {name: EchoUpstream(cls.sandbox, name) for name in labels}
        cls.port = cls.sandbox.free_port()
        omit_canaries = {"name": "envoy.retry_host_predicates.omit_canary_hosts", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate"}}
        omit_old = {"name": "envoy.retry_host_predicates.omit_host_metadata", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig",
            "metadata_match": {"filter_metadata": {"envoy.lb": {"stage": "old"}}}}}

        def policy(*predicates: dict, **fields: int) -> dict:
            return {"retry_policy": {"retry_on": "5xx", "retry_host_predicate": list(predicates),
                                     "retry_back_off": {"base_interval": "0.001s"}, **fields}}

        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, virtual_hosts=[{
            "name": "all", "domains": ["*"], "include_request_attempt_count": True, "routes": [
                route({"prefix": "/canary"}, "c", policy(omit_canaries, host_selection_retry_max_attempts=4)),
                route({"prefix": "/old"}, "c", policy(omit_old, host_selection_retry_max_attempts=4)),
                route({"prefix": "/once"}, "c", policy(omit_canaries, omit_old)),
                route({"prefix": "/both"}, "c", policy(omit_canaries, omit_old, host_selection_retry_max_attempts=4)),
                route({"prefix": "/one-left"}, "mixed", policy(omit_canaries, host_selection_retry_max_attempts=4)),
                route({"prefix": "/counted"}, "counted", {
                    "request_mirror_policies": [{"cluster": "copied"}],
                    "retry_policy": {"retry_on": "5xx", "retry_back_off": {"base_interval": "0.001s"}}}),
                route({"prefix": "/all"}, "canaries", policy(omit_canaries, host_selection_retry_max_attempts=4_000_000_000))]}])], [
            {"name": "canaries", "load_assignment": {"cluster_name": "canaries", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": cls.servers[name].port}}},
                 "metadata": {"filter_metadata": {"envoy.lb": {"canary": True}}}} for name in ("plain", "other")]}]}},
            *({"name": cluster_name, "load_assignment": {"cluster_name": cluster_name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": cls.servers[name].port}}},
                 "metadata": {"filter_metadata": {"envoy.lb": labels[name]}}} for name in names]}]}}
              for cluster_name, names in (
                  ("c", list(labels)), ("mixed", ["plain", "canary"]), ("counted", ["plain", "canary"]), ("copied", ["canary"])))]),
            concurrency=1)

    def retried_at(self, path: str) -> set[str]:
        """Where the second attempts of a few requests went."""
        with Connection(self.port) as connection:
            for _ in range(8):
                self.assertEqual(connection.request(path=path, headers=[("x-test-status", "503")]).status, 503)
        return {name for name, server in self.servers.items() for request in server.requests
                if request.target == path and request.header("x-envoy-attempt-count") == "2"}

    # field: route.v3.RetryPolicy.host_selection_retry_max_attempts, OmitHostMetadataConfig.metadata_match
    def test_where_retries_go(self) -> None:
        self.assertNotIn("canary", self.retried_at("/canary"))
        self.assertNotIn("old", self.retried_at("/old"))
        self.assertEqual(self.retried_at("/both") & {"canary", "old"}, set())
        # Where all are to be avoided, looking ends when all have been seen, whatever the limit.
        self.assertTrue(self.retried_at("/all"))
        for name in ("plain", "other"):  # each request went to the one and then to the other
            self.assertEqual(sum(request.target == "/all" for request in self.servers[name].requests), 8)
        # One that was tried is better than one that is to be avoided.
        self.assertEqual(self.retried_at("/one-left"), {"plain"})
        # Looked for once more only: the second in a row is taken as it is.
        self.assertTrue(self.retried_at("/once") & {"canary", "old"})

    def test_what_canaries_answer_is_counted(self) -> None:
        """As published: the answers that clients got of them, beside all others."""
        answers: collections.Counter = collections.Counter()
        with Connection(self.port) as connection:
            # Of two hosts in turn; an error of the one is replaced by that of the other.
            for status in (200, 200, 200, 200, 503, 200, 503):
                response = connection.request(path="/counted", headers=[("x-test-status", str(status))])
                self.assertEqual(response.status, status)
                answers[json.loads(response.body)["server"], status] += 1
        self.weir.wait_stat("cluster.copied.canary.upstream_rq_completed", 7)
        stats = self.weir.stats()
        self.assertEqual(stats["cluster.counted.upstream_rq_completed"], 7)
        canary = "cluster.counted.canary.upstream_rq_"
        good, bad = answers["canary", 200], answers["canary", 503]
        self.assertEqual((good in (2, 3), bad), (True, 1))
        self.assertEqual({name: value for name, value in stats.items() if name.startswith(canary)}, {
            canary + what: value for what, value in {"200": good, "2xx": good, "503": 1, "5xx": 1, "completed": good + 1}.items()})
        page = self.weir.admin("/stats/prometheus")
        for cluster, times in (("counted", good + 1), ("copied", 7)):
            self.assertIn('envoy_cluster_canary_upstream_rq_time_count{envoy_cluster_name="%s"} %d' % (cluster, times), page)
        self.assertNotIn("cluster.mixed.canary", "".join(stats))
        # A server may say so of its own answers: both hosts do.
        for _ in range(2):
            fetch(self.port, "/one-left", headers=[("x-test-header", "x-envoy-upstream-canary=true"), ("x-test-status", "404")])
        self.weir.wait_stat_is("cluster.mixed.canary.upstream_rq_404", 2)


class PriorityTest(WeirTestCase):
    """Retries that move on to other priorities, although the first one is healthy."""

    @classmethod
    def set_up(cls) -> None:
        cls.servers = [EchoUpstream(cls.sandbox, "p%d" % number) for number in range(3)]
        cls.port = cls.sandbox.free_port()

        def policy(frequency: int) -> dict:
            return {"retry_policy": {
                "retry_on": "5xx", "num_retries": 6, "retry_back_off": {"base_interval": "0.001s"}, "retry_priority": {
                    "name": "envoy.retry_priorities.previous_priorities", "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3"
                                 ".PreviousPrioritiesConfig", "update_frequency": frequency}}}}

        own = {"retry_policy": {"retry_on": "5xx", "num_retries": 6, "retry_back_off": {"base_interval": "0.001s"}}}
        endpoints = [{"priority": number, "lb_endpoints": [{"endpoint": {"address": {"socket_address": {
            "address": "127.0.0.1", "port_value": server.port}}}}]} for number, server in enumerate(cls.servers)]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, virtual_hosts=[{
            "name": "all", "domains": ["*"], "include_request_attempt_count": True, "routes": [
                route({"prefix": "/each"}, "c", policy(1)), route({"prefix": "/second"}, "c", policy(2)),
                route({"prefix": "/none"}, "c", own)]}])],
            [{"name": "c", "load_assignment": {"cluster_name": "c", "endpoints": endpoints}}]))

    def priorities(self, path: str) -> list[int]:
        """Of the attempts of a request, in their order."""
        self.assertEqual(fetch(self.port, path, headers=[("x-test-status", "503")]).status, 503)
        attempts = [(int(request.header("x-envoy-attempt-count") or 0), priority)
                    for priority, server in enumerate(self.servers) for request in server.requests if request.target == path]
        return [priority for _, priority in sorted(attempts)]

    # field: route.v3.RetryPolicy.retry_priority, route.v3.RetryPolicy.RetryPriority.name
    # field: route.v3.RetryPolicy.RetryPriority.typed_config, PreviousPrioritiesConfig.update_frequency
    def test_where_attempts_go(self) -> None:
        self.assertEqual(self.priorities("/none"), [0] * 7)
        self.assertEqual(self.priorities("/each"), [0, 1, 2, 0, 1, 2, 0])
        self.assertEqual(self.priorities("/second"), [0, 0, 1, 1, 2, 2, 0])


class ManyDeadHostsTest(WeirTestCase):
    """However many hosts have been tried, none is tried again while there is another."""

    def test_the_one_that_is_left_is_found(self) -> None:
        echo = EchoUpstream(self.sandbox)
        port = self.sandbox.free_port()
        dead = [self.sandbox.free_port() for _ in range(12)]
        policy = {"retry_on": "connect-failure", "num_retries": 12, "retry_back_off": {"base_interval": "0.001s"},
                  "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts"}]}
        Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "c", {"retry_policy": policy})])],
                                     [cluster("c", *dead, echo.port, lb_policy="LEAST_REQUEST")]))
        with Connection(port) as connection:
            for _ in range(30):
                self.assertEqual(connection.request().status, 200)


class DyingServerWithDefaultsTest(WeirTestCase):
    """Nothing but retry_on: one retry, the default limits. Clients that check every byte and never try again themselves."""

    @classmethod
    def set_up(cls) -> None:
        cls.servers = [Nginx(cls.sandbox, name) for name in ("a1", "a2", "b1", "b2")]
        ports = [server.port for server in cls.servers]
        cls.port = cls.sandbox.free_port()
        retry = {"retry_policy": {"retry_on": "connect-failure,reset"}}
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [
            route({"prefix": "/a"}, "a", retry), route({"prefix": "/b"}, "b", retry)])],
            [cluster("a", *ports[:2]), cluster("b", *ports[2:])]))

    def test_servers_that_die_and_come_back(self) -> None:
        stop, failures, counts = threading.Event(), [], {}

        def client(number: int) -> None:
            count = 0
            cluster_name = "ab"[number % 2]
            with Connection(self.port) as connection:
                while not stop.is_set():
                    path = "/%s/%d/%d" % (cluster_name, number, count)
                    try:
                        # Now and then without a pause, now and then with one: pooled connections are idle, too.
                        if count % 7 == 0:
                            time.sleep(0.005)
                        response = connection.request(path=path)
                    except Exception as error:  # noqa: BLE001: every kind of failure is a finding
                        failures.append("%s: %r" % (path, error))
                        return
                    name, _, uri = response.text.rstrip("\n").partition(" ")
                    if response.status != 200 or name not in (cluster_name + "1", cluster_name + "2") or uri != path:
                        failures.append("%s: %s" % (path, response))
                    count += 1
            counts[number] = count

        clients = [threading.Thread(target=client, args=(number,)) for number in range(16)]
        for one in clients:
            one.start()
        time.sleep(0.3)
        ends = (Nginx.kill, lambda server: server.stop(signal.SIGTERM), Nginx.kill, lambda server: server.stop(signal.SIGQUIT))
        for round_number in range(8):
            # One of each cluster, at a moment of its own.
            for index in (round_number % 2, 2 + (round_number // 2) % 2):
                ends[round_number % 4](self.servers[index])
                time.sleep(0.15)
            time.sleep(0.3)
            for server in self.servers:
                if not server.process.running():
                    server.restart()
            time.sleep(0.15)
        stop.set()
        for one in clients:
            one.join()
        self.assertEqual(failures[:5], [])
        self.assertGreater(min(counts.values()), 50)
        stats = self.weir.stats()
        self.assertEqual(stats.get("http.ingress.downstream_rq_5xx", 0), 0)
        for name in ("a", "b"):
            self.assertGreater(stats["cluster.%s.upstream_rq_retry" % name], 0)
            self.assertEqual(stats.get("cluster.%s.upstream_rq_retry_overflow" % name, 0), 0)
            self.weir.wait_stat_is("cluster.%s.upstream_rq_active" % name, 0)


class RetryRulesTest(WeirTestCase):
    """What is retried, how often, and what is not."""

    @classmethod
    def set_up(cls) -> None:
        cls.attempts: list[str] = []
        cls.head_arrived = threading.Event()
        cls.good = EchoUpstream(cls.sandbox, "good")
        cls.resetting = ScriptedUpstream(cls.sandbox, cls.reset)
        cls.failing = ScriptedUpstream(cls.sandbox, cls.answer_503)
        cls.half = ScriptedUpstream(cls.sandbox, cls.answer_half)
        dead = cls.sandbox.free_port()
        cls.port = cls.sandbox.free_port()

        def policy(on: str, retries: int = 1, **fields: object) -> dict:
            return {"retry_policy": {"retry_on": on, "num_retries": retries, "retry_back_off": {"base_interval": "0.005s"}, **fields}}

        routes = [
            route({"prefix": "/dead-or-good"}, "dead_or_good", policy("connect-failure")),
            route({"prefix": "/dead"}, "dead", policy("connect-failure", 2)),
            route({"prefix": "/reset-or-good"}, "reset_or_good", policy("reset")),
            route({"prefix": "/503"}, "failing", policy("5xx", 3)),
            route({"prefix": "/409"}, "good", policy("retriable-status-codes", 2, retriable_status_codes=[409])),
            route({"prefix": "/header"}, "good", policy("retriable-headers", 2, retriable_headers=[{"name": "x-again"}])),
            route({"prefix": "/only-marked"}, "good", policy("5xx", 2, retriable_request_headers=[{"name": "x-may"}])),
            route({"prefix": "/counted"}, "reset_or_good", policy("reset")),
            route({"prefix": "/patient"}, "failing", {"timeout": "0.5s", "retry_policy": {
                "retry_on": "5xx", "retry_back_off": {"base_interval": "3600s"}}}),
            route({"prefix": "/slower"}, "failing", {"timeout": "1s", "retry_policy": {
                "retry_on": "5xx", "num_retries": 24, "retry_back_off": {"base_interval": "0.001s", "max_interval": "3600s"}}}),
            route({"prefix": "/small-buffer"}, "small_buffer", policy("reset")),
            route({"prefix": "/plain-503"}, "failing"),
            route({"prefix": "/full"}, "full"),
            route({"prefix": "/slow"}, "good", policy("5xx", per_try_timeout="0.3s")),
            route({"prefix": "/half"}, "half", policy("5xx,reset", 3))]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, virtual_hosts=[
            {"name": "all", "domains": ["*"], "routes": routes},
            {"name": "counting", "domains": ["counting.example"], "routes": routes, "include_request_attempt_count": True,
             "include_attempt_count_in_response": True, "include_is_timeout_retry_header": True,
             "request_headers_to_add": [{"header": {"key": "x-attempt", "value": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"}}]}]),
            cls.counting_listener(policy("reset")), cls.small_listener(policy("reset"))], [
                cluster("small_buffer", cls.resetting.port, cls.good.port, per_connection_buffer_limit_bytes=4096),
                cluster("full", cls.good.port, circuit_breakers={"thresholds": [{"max_requests": 0, "max_pending_requests": 0}]}),
                cluster("dead_or_good", dead, cls.good.port), cluster("dead", dead),
                cluster("reset_or_good", cls.resetting.port, cls.good.port), cluster("failing", cls.failing.port),
                cluster("good", cls.good.port), cluster("half", cls.half.port)]), concurrency=1)

    @classmethod
    def counting_listener(cls, policy: dict) -> dict:
        """Attempts are told to both sides."""
        cls.counting_port = cls.sandbox.free_port()
        return http_listener(cls.counting_port, name="counting", stat_prefix="counting", virtual_hosts=[{
            "name": "counting", "domains": ["*"], "include_request_attempt_count": True,
            "include_attempt_count_in_response": True, "routes": [route({"prefix": "/"}, "reset_or_good", policy)]}])

    @classmethod
    def small_listener(cls, policy: dict) -> dict:
        """Its connections hold little, so that larger bodies cannot be sent again."""
        cls.small_port = cls.sandbox.free_port()
        return {**http_listener(cls.small_port, [route({"prefix": "/"}, "reset_or_good", policy)], name="small", stat_prefix="small"),
                "per_connection_buffer_limit_bytes": 4096}

    @classmethod
    def reset(cls, connection: ServerConnection) -> None:
        connection.read_request()
        connection.reset()

    @classmethod
    def answer_503(cls, connection: ServerConnection) -> None:
        while True:
            cls.attempts.append(connection.read_request().target)
            connection.respond(503, b"not now")

    @classmethod
    def answer_half(cls, connection: ServerConnection) -> None:
        cls.attempts.append(connection.read_request().target)
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        cls.head_arrived.wait(10)  # the end must not overtake it
        connection.reset()

    def test_another_host_is_preferred(self) -> None:
        for path in ("/dead-or-good", "/reset-or-good"):
            for _ in range(10):
                self.assertEqual(self.echoed(fetch(self.port, path))["server"], "good")
        stats = self.weir.stats()
        self.assertGreaterEqual(stats["cluster.dead_or_good.upstream_cx_connect_fail"], 3)
        self.assertGreaterEqual(stats["cluster.reset_or_good.upstream_rq_retry_success"], 3)

    def test_a_request_body_is_sent_again(self) -> None:
        for _ in range(6):
            account = self.echoed(fetch(self.port, "/reset-or-good", "PUT", body=b"b" * 40_000))
            self.assertEqual(account["length"], 40_000)

    # field: route.v3.RetryPolicy.num_retries
    def test_the_limit_is_kept(self) -> None:
        self.attempts.clear()
        self.assertEqual(fetch(self.port, "/503").status, 503)
        self.assertEqual(len(self.attempts), 4)
        self.weir.wait_stat("cluster.failing.upstream_rq_retry_limit_exceeded", 1)

    def test_the_limit_is_told_of_writes_too(self) -> None:
        """Whose body is not kept for a try that never comes."""
        before = self.weir.stat("cluster.failing.upstream_rq_retry_limit_exceeded")
        self.attempts.clear()
        self.assertEqual(fetch(self.port, "/503", "POST", body=b"body").status, 503)
        self.assertEqual(len(self.attempts), 4)
        self.assertEqual(self.weir.stat("cluster.failing.upstream_rq_retry_limit_exceeded"), before + 1)

    def test_no_policy_no_retry(self) -> None:
        self.attempts.clear()
        response = fetch(self.port, "/plain-503")
        self.assertEqual((response.status, response.text), (503, "not now"))
        self.assertEqual(len(self.attempts), 1)

    # field: RetryPolicy.retriable_status_codes
    def test_status_codes_of_choice(self) -> None:
        before = len(self.good.requests)
        self.assertEqual(fetch(self.port, "/409", headers=[("x-test-status", "409")]).status, 409)
        self.assertEqual(len(self.good.requests) - before, 3)

    # field: RetryPolicy.retriable_headers
    def test_headers_of_choice(self) -> None:
        before = len(self.good.requests)
        self.assertEqual(fetch(self.port, "/header").status, 200)
        self.assertEqual(len(self.good.requests) - before, 1)
        self.assertEqual(fetch(self.port, "/header", headers=[("x-test-header", "x-again=1")]).status, 200)
        self.assertEqual(len(self.good.requests) - before, 4)

    # field: RetryPolicy.retriable_request_headers
    def test_only_requests_that_say_so(self) -> None:
        failing = [("x-test-status", "500")]
        before = len(self.good.requests)
        self.assertEqual(fetch(self.port, "/only-marked", headers=failing).status, 500)
        self.assertEqual(len(self.good.requests) - before, 1)
        self.assertEqual(fetch(self.port, "/only-marked", headers=[*failing, ("x-may", "1")]).status, 500)
        self.assertEqual(len(self.good.requests) - before, 4)
        # Whatever the request says of retries itself.
        wants = ("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "3")
        self.assertEqual(fetch(self.port, "/only-marked", headers=[*failing, *wants]).status, 500)
        self.assertEqual(len(self.good.requests) - before, 5)

    # field: VirtualHost.include_request_attempt_count, VirtualHost.include_attempt_count_in_response
    def test_attempts_are_counted(self) -> None:
        seen = set()
        for _ in range(6):
            response = fetch(self.counting_port)
            told = self.echoed(response)["headers"]["x-envoy-attempt-count"]
            self.assertEqual([response.header("x-envoy-attempt-count")], told)
            seen.update(told)
        self.assertIn("2", seen)
        self.assertLessEqual(seen, {"1", "2"})
        self.assertNotIn("x-envoy-attempt-count", self.echoed(fetch(self.port, "/counted"))["headers"])

    # field: route.v3.RetryPolicy.retry_back_off, RetryBackOff.base_interval
    def test_a_long_back_off(self) -> None:
        """The retry would come within the hour; the route's timeout comes first."""
        self.attempts.clear()
        self.assertEqual(fetch(self.port, "/patient").status, 504)
        self.assertEqual(len(self.attempts), 1)

    # field: RetryBackOff.max_interval
    def test_a_back_off_that_grows(self) -> None:
        """With the default limit, ten times the base, all 24 retries would be made at once."""
        self.attempts.clear()
        self.assertEqual(fetch(self.port, "/slower").status, 504)
        self.assertLess(len(self.attempts), 24)

    # field: Cluster.per_connection_buffer_limit_bytes, Listener.per_connection_buffer_limit_bytes
    def test_a_body_above_the_buffer_limit_is_sent_once(self) -> None:
        for port, path in ((self.port, "/small-buffer"), (self.small_port, "/")):
            statuses = [fetch(port, path, "PUT", body=b"b" * 40_000).status for _ in range(6)]
            self.assertIn(503, statuses)
            self.assertIn(200, statuses)
            self.assertEqual({fetch(port, path, "PUT", body=b"b" * 400).status for _ in range(6)}, {200})
    def test_an_attempt_that_gets_no_connection_counts(self) -> None:
        response = fetch(self.port, "/full", host="counting.example")
        self.assertEqual((response.status, response.header("x-envoy-overloaded")), (503, "true"))
        self.assertEqual(response.header("x-envoy-attempt-count"), "1")

    def test_attempts_are_numbered_where_asked(self) -> None:
        seen = set()
        for _ in range(4):
            response = fetch(self.port, "/dead-or-good", host="counting.example")
            headers = self.echoed(response)["headers"]
            self.assertEqual(headers["x-attempt"], ["1"])  # as it was when headers were added: once
            self.assertEqual(headers["x-envoy-attempt-count"], response.all("x-envoy-attempt-count"))
            retried = headers["x-envoy-attempt-count"] == ["2"]
            self.assertEqual(headers.get("x-envoy-is-timeout-retry"), ["false"] if retried else None)
            seen.add(headers["x-envoy-attempt-count"][0])
        self.assertIn("2", seen)
        response = fetch(self.port, "/dead", host="counting.example")
        self.assertEqual((response.status, response.header("x-envoy-attempt-count")), (503, "3"))
        response = fetch(self.port, "/dead-or-good")
        self.assertIsNone(response.header("x-envoy-attempt-count"))
        self.assertNotIn("x-envoy-attempt-count", self.echoed(response)["headers"])

    # field: VirtualHost.include_is_timeout_retry_header
    def test_retries_after_a_timeout_say_so(self) -> None:
        before = len(self.good.requests)
        self.assertEqual(fetch(self.port, "/slow", host="counting.example", headers=[("x-test-delay", "1")]).status, 504)
        first, second = self.good.requests[before:]
        self.assertIsNone(first.header("x-envoy-is-timeout-retry"))
        self.assertEqual((second.header("x-envoy-is-timeout-retry"), second.header("x-envoy-attempt-count")), ("true", "2"))
        before = len(self.good.requests)
        self.assertEqual(fetch(self.port, "/409", host="counting.example", headers=[("x-test-status", "409")]).status, 409)
        self.assertEqual([one.header("x-envoy-is-timeout-retry") for one in self.good.requests[before:]], [None, "false", "false"])

    def test_nobody_there_is_503(self) -> None:
        self.assertEqual(fetch(self.port, "/dead").status, 503)
        self.weir.wait_stat("cluster.dead.upstream_cx_connect_fail", 3)

    def test_a_response_that_has_begun_is_not_retried(self) -> None:
        self.attempts.clear()
        with Connection(self.port) as connection:
            connection.send_request(path="/half")
            with self.assertRaises((ConnectionError, Exception)) as raised:
                head = connection.reader.head()
                self.head_arrived.set()
                connection.reader.body(head, response=True)
            self.assertNotIsInstance(raised.exception, TimeoutError)
        self.assertEqual(len(self.attempts), 1)


class HedgingTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.servers = [EchoUpstream(cls.sandbox, name) for name in ("one", "two")]
        cls.port = cls.sandbox.free_port()
        retry = {"retry_on": "5xx,retriable-status-codes", "retriable_status_codes": [429], "per_try_timeout": "0.2s",
                 "rate_limited_retry_back_off": {"max_interval": "3s", "reset_headers": [
                     {"name": "x-until", "format": "UNIX_TIMESTAMP"}, {"name": "retry-after"}]}}
        hedge = {"hedge_on_per_try_timeout": True}
        listener = http_listener(cls.port, virtual_hosts=[
            {"name": "all", "domains": ["*"], "hedge_policy": hedge, "routes": [
                route({"prefix": "/hedged"}, "servers", {"retry_policy": retry}),
                route({"prefix": "/own"}, "servers", {"retry_policy": retry, "hedge_policy": hedge}),
                route({"prefix": "/for-other-reasons"}, "servers", {"retry_policy": {**retry, "retry_on": "retriable-status-codes"}}),
                route({"prefix": "/"}, "servers", {"retry_policy": retry, "hedge_policy": {}})]}])
        cls.weir = Weir(cls.sandbox, bootstrap([listener], [cluster("servers", *(server.port for server in cls.servers))]))

    # field: RouteAction.hedge_policy, VirtualHost.hedge_policy, HedgePolicy.hedge_on_per_try_timeout
    def test_both_tries_go_on(self) -> None:
        for path in ("/hedged", "/own", "/for-other-reasons"):
            before = self.weir.stat("cluster.servers.upstream_rq_completed")
            asked = sum(len(server.requests) for server in self.servers)
            self.assertEqual(fetch(self.port, path, headers=[("x-test-delay", "0.6")]).status, 200)
            self.assertEqual(sum(len(server.requests) for server in self.servers), asked + 2)
            # One answer; a try that is given up is none, and with hedging only the one that lost is.
            self.weir.wait_stat_is("cluster.servers.upstream_rq_completed", before + 1)
        # Without it each try is given up in its turn, so nobody has the time that an answer takes.
        self.assertEqual(fetch(self.port, "/plain", headers=[("x-test-delay", "0.6")]).status, 504)

    # field: RetryPolicy.rate_limited_retry_back_off, RateLimitedRetryBackOff.reset_headers
    # field: RateLimitedRetryBackOff.max_interval, ResetHeader.name, ResetHeader.format
    def test_the_server_says_when(self) -> None:
        limited, exponential = ("cluster.servers.upstream_rq_retry_backoff_" + kind for kind in ("ratelimited", "exponential"))
        for field, expected in (("retry-after=1", (1, 0)), ("x-until=", (1, 0)), ("retry-after=9", (0, 1))):
            if field == "x-until=":
                field += "%d" % (time.time() + 3)
            before = [self.weir.stat(limited), self.weir.stat(exponential)]
            fetch(self.port, "/plain", headers=[("x-test-status", "429"), ("x-test-header", field)])
            with self.subTest(field):
                self.weir.wait_stat_is(limited, before[0] + expected[0])
                self.weir.wait_stat_is(exponential, before[1] + expected[1])


if __name__ == "__main__":
    main()
