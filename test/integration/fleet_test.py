"""A fleet of five servers of which two fail, in each of the ways that `retry_on` names: clients that never try again
themselves see nothing of it, and a fleet that dies altogether is not buried under retries. Says its figures."""

import threading
import time
from typing import Any, Optional

import h2.errors

from harness import (Connection, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, http_listener, main, route)
from harness.clusters import http2
from harness.http2 import Http2Peer, Http2Upstream, Request
from harness.upstreams import ServerConnection
from harness.wire import Fields

GRPC = [("content-type", "application/grpc")]


def answers(status: int, headers: Fields = []):
    def act(connection: ServerConnection) -> None:
        connection.respond(status, headers=headers)

    return act


def says_grpc(code: int):
    return answers(200, [*GRPC, ("grpc-status", str(code))])


def refuse(peer: Http2Peer, request: Request) -> None:
    peer.reset(request, h2.errors.ErrorCodes.REFUSED_STREAM)


# What retry_on names -> what the failing servers do with a request; None: there is no server. Not here is
# http3-post-connect-failure, which is about another protocol.
WAYS: dict[str, Any] = {
    "5xx": answers(500),
    "gateway-error": answers(503),
    "reset": ServerConnection.reset,
    "reset-before-request": None,  # a connection that is refused is one
    "connect-failure": None,
    "envoy-ratelimited": answers(429, [("x-envoy-ratelimited", "true")]),
    "retriable-4xx": answers(409),
    "retriable-status-codes": answers(418),
    "retriable-headers": answers(200, [("x-broken", "yes")]),
    "cancelled": says_grpc(1),
    "deadline-exceeded": says_grpc(4),
    "resource-exhausted": says_grpc(8),
    "internal": says_grpc(13),
    "unavailable": says_grpc(14),
    "refused-stream": refuse,  # a fleet that speaks HTTP/2
}
PER_METHOD = 60
RATE = 100.0  # requests of one client in a second


class Fleet:
    """Servers of one cluster, of which the first `failing` fail."""

    def __init__(self, test: type[WeirTestCase], way: str, failing: int, delay: float = 0):
        self.way = way
        self.delay = delay
        self.lock = threading.Lock()
        self.seen = 0
        act = WAYS[way]
        self.options: dict[str, Any] = {}
        if act is refuse:
            self.options = http2()
            self.ports = [Http2Upstream(test.sandbox, self.refuse if number < failing else Http2Peer.respond).port
                          for number in range(5)]
            return
        self.ports = [test.sandbox.free_port() if act is None else
                      ScriptedUpstream(test.sandbox, lambda connection: self.serve(connection, act)).port
                      for _ in range(failing)]
        good = says_grpc(0) if act is not None and way in ("cancelled", "deadline-exceeded", "resource-exhausted", "internal",
                                                           "unavailable") else answers(200)
        self.ports += [ScriptedUpstream(test.sandbox, lambda connection: self.serve(connection, good)).port
                       for _ in range(5 - failing)]

    def refuse(self, peer: Http2Peer, request: Request) -> None:
        with self.lock:
            self.seen += 1
        refuse(peer, request)

    def serve(self, connection: ServerConnection, act) -> None:
        while True:
            connection.read_request()
            with self.lock:
                self.seen += 1
            if self.delay:
                time.sleep(self.delay)
            act(connection)
            if connection.sock.fileno() < 0:
                return


def policy(way: str, **more: object) -> dict[str, object]:
    return {"retry_policy": {
        "retry_on": way, "num_retries": 3, "retriable_status_codes": [418],
        "retriable_headers": [{"name": "x-broken", "present_match": True}],
        "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}],
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.01s"}, **more}}


class TwoOfFiveFailTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.fleets = {way: Fleet(cls, way, 2) for way in WAYS}
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.port, [route({"prefix": "/%s/" % way}, way, policy(way)) for way in WAYS])],
            [cluster(way, *fleet.ports, **fleet.options) for way, fleet in cls.fleets.items()]))

    def failed(self, way: str) -> dict[str, list[str]]:
        """What each method's requests came to, of those that did not succeed."""
        failures: dict[str, list[str]] = {"GET": [], "POST": []}
        with Connection(self.port, timeout=30) as connection:
            begin = time.monotonic()
            for number in range(2 * PER_METHOD):
                method = ("GET", "POST")[number % 2]
                time.sleep(max(0.0, begin + number / RATE - time.monotonic()))
                response = connection.request(method, "/%s/%d" % (way, number), headers=GRPC,
                                              body=b"x" * 100 if method == "POST" else None)
                if response.status != 200 or response.header("x-broken") or response.header("grpc-status") not in (None, "0"):
                    failures[method].append("%d %s" % (response.status, response.header("grpc-status")))
        return failures

    def test_no_client_notices(self) -> None:
        results: dict[str, Optional[dict[str, list[str]]]] = dict.fromkeys(WAYS)

        def run(way: str) -> None:
            results[way] = self.failed(way)

        threads = [threading.Thread(target=run, args=(way,)) for way in WAYS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = self.weir.stats()
        for way, failures in results.items():
            with self.subTest(way):
                self.assertEqual(failures, {"GET": [], "POST": []})
                # They did fail: about two of five requests met one of the failing servers first.
                retries = stats.get("cluster.%s.upstream_rq_retry" % way, 0)
                self.assertGreater(retries, PER_METHOD // 4)
                print("%s: %d requests, 0 failed, %d retries" % (way, 2 * PER_METHOD, retries))


class DyingFleetTest(WeirTestCase):
    """All five fail. The retry budget keeps what they are offered near what the clients send."""

    CLIENTS = 16  # on one worker: 2 retries beside 14 first tries, 1.14; a third would be too many
    REQUESTS = 30  # the last round of retries, beside which nothing new comes, must not weigh much

    @classmethod
    def set_up(cls) -> None:
        cls.fleets = {way: Fleet(cls, way, 5, delay=0.2) for way in ("5xx", "reset")}
        cls.unconfigured = {way: Fleet(cls, way, 5, delay=0.2) for way in ("5xx", "reset")}
        cls.sequential = {way: Fleet(cls, way, 5) for way in WAYS if WAYS[way] is not None}
        cls.port = cls.sandbox.free_port()
        budget = {"circuit_breakers": {"thresholds": [{"retry_budget": {
            "budget_percent": {"value": 20}, "min_retry_concurrency": 1}}]}}
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.port, [route({"prefix": "/%s%s/" % (kind, way)}, kind + way, policy(way))
                                      for kind in ("", "default_") for way in cls.fleets] +
                           [route({"prefix": "/sequential_%s/" % way}, "sequential_" + way, policy(way)) for way in cls.sequential])],
            [cluster(way, *fleet.ports, **budget) for way, fleet in cls.fleets.items()] +
            [cluster("default_" + way, *fleet.ports) for way, fleet in cls.unconfigured.items()] +
            [cluster("sequential_" + way, *fleet.ports, **fleet.options) for way, fleet in cls.sequential.items()]), concurrency=1)

    def test_load_stays_within_the_budget(self) -> None:
        for way, fleet in self.fleets.items():
            with self.subTest(way):
                self.offer(way, self.CLIENTS)
                sent = self.CLIENTS * self.REQUESTS
                print("%s: %d requests, the dying fleet saw %d (%.2f)" % (way, sent, fleet.seen, fleet.seen / sent))
                self.assertGreater(fleet.seen, sent)  # there are retries
                self.assertLessEqual(fleet.seen, 1.2 * sent)
                self.assertGreater(self.weir.stat("cluster.%s.upstream_rq_retry_overflow" % way), 0)  # held it there

    def test_nor_is_it_more_where_nobody_has_configured_a_budget(self) -> None:
        clients, requests = 34, 45  # so many that what is free at the beginning does not weigh much
        for way, fleet in self.unconfigured.items():
            with self.subTest(way):
                self.offer("default_" + way, clients, requests)
                sent = clients * requests
                print("%s, default budget: %d requests, the dying fleet saw %d (%.2f)" % (way, sent, fleet.seen, fleet.seen / sent))
                self.assertGreater(fleet.seen, sent)
                self.assertLessEqual(fleet.seen, 1.2 * sent)

    def test_nor_with_one_request_at_a_time(self) -> None:
        """Of which the floor, 3 retries at a time, would make four."""
        for way, fleet in self.sequential.items():
            with self.subTest(way):
                self.offer("sequential_" + way, 1, 300)
                print("%s, one at a time: 300 requests, the dying fleet saw %d" % (way, fleet.seen))
                self.assertGreater(fleet.seen, 300)
                self.assertLessEqual(fleet.seen, 1.2 * 300)

    def offer(self, way: str, clients: int, requests: int = REQUESTS) -> None:
        statuses: list[int] = []

        def client() -> None:
            with Connection(self.port, timeout=30) as connection:
                for number in range(requests):
                    statuses.append(connection.request(path="/%s/%d" % (way, number)).status)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(statuses), clients * requests)
        if not way.startswith("sequential_"):
            self.assertEqual(set(statuses), {500} if way.endswith("5xx") else {503})


if __name__ == "__main__":
    main()
