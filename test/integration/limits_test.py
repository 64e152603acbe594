"""Circuit breakers over several workers: the limit is the process's, and each worker can use all of it."""

import threading

from harness import (Connection, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, http_listener, main, route,
                     wait_until)
from harness.upstreams import ServerConnection


class TwoWorkersTest(WeirTestCase):
    """max_connections: 2, two workers."""

    @classmethod
    def set_up(cls) -> None:
        cls.gate = threading.Event()
        cls.lock = threading.Lock()
        cls.held = cls.connections = cls.most_connections = 0
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.serve)
        cls.port = cls.sandbox.free_port()
        limits = {"thresholds": [{"max_connections": 2}]}
        # The low byte of a connection's number is its worker's.
        number = [{"header": {"key": "x-connection", "value": "%CONNECTION_ID%"}}]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, [route({"prefix": "/"}, "c", response_headers_to_add=number)])],
            [cluster("c", cls.upstream.port, circuit_breakers=limits)]), concurrency=2)

    @classmethod
    def serve(cls, connection: ServerConnection) -> None:
        """Answers; requests for /held when the gate opens."""
        with cls.lock:
            cls.connections += 1
            cls.most_connections = max(cls.most_connections, cls.connections)
        try:
            while True:
                if connection.read_request().target == "/held":
                    with cls.lock:
                        cls.held += 1
                    cls.gate.wait(60)
                connection.respond(200, b"ok")
        finally:
            with cls.lock:
                cls.connections -= 1

    def setUp(self) -> None:
        """Two connections on each worker."""
        self.workers: dict[int, list[Connection]] = {1: [], 2: []}

        def have_both() -> bool:
            connection = Connection(self.port)
            self.addCleanup(connection.close)
            response = connection.request(path="/who")
            if response.status == 200:
                self.workers[int(response.header("x-connection") or 0) & 0xff].append(connection)
            return min(len(connections) for connections in self.workers.values()) >= 2

        wait_until(have_both, "two connections on each worker", 30)

    def hold_two(self, worker: int) -> list[Connection]:
        """Both connections are in use by this worker."""
        type(self).held = 0
        self.gate.clear()
        connections = self.workers[worker][:2]
        for connection in connections:
            connection.send_request(path="/held")
        wait_until(lambda: self.held == 2, "two requests at once from worker %d" % worker)
        return connections

    def test_each_worker_can_use_both_connections(self) -> None:
        before = self.weir.stats()
        for worker in (1, 2, 1, 2, 1, 2):
            connections = self.hold_two(worker)
            self.gate.set()
            self.assertEqual([connection.read_response().status for connection in connections], [200, 200], worker)
        # A server that is slow to see a close counts its connection a little longer; weir's own count is exact.
        self.assertLessEqual(self.weir.stat("cluster.c.upstream_cx_active"), 2)
        self.assertLessEqual(self.most_connections, 4)
        after = self.weir.stats()
        for name in ("upstream_cx_overflow", "upstream_rq_pending_overflow"):
            self.assertEqual(after["cluster.c." + name], before["cluster.c." + name], name)

    def test_what_is_in_use_elsewhere_is_waited_for(self) -> None:
        overflows = self.weir.stat("cluster.c.upstream_cx_overflow")
        connections = self.hold_two(1)
        waiting = self.workers[2][0]
        waiting.send_request(path="/waiting")
        self.weir.wait_stat_is("cluster.c.upstream_rq_pending_active", 1)
        wait_until(lambda: self.weir.stat("cluster.c.upstream_cx_overflow") == overflows + 1, "the overflow is counted")
        self.assertEqual(self.weir.stat("cluster.c.circuit_breakers.default.cx_open"), 1)
        self.gate.set()
        for connection in [*connections, waiting]:
            self.assertEqual(connection.read_response().status, 200)
        self.weir.wait_stat_is("cluster.c.upstream_rq_pending_active", 0)
        self.weir.wait_stat_is("cluster.c.circuit_breakers.default.rq_open", 0)
        self.assertEqual(self.weir.stat("cluster.c.circuit_breakers.high.cx_open"), 0)
        self.assertEqual(self.weir.stat("cluster_manager.cluster_updated"), 1)


class FewerConnectionsThanWorkersTest(WeirTestCase):
    """max_connections: 2, four workers: all of many slow requests are answered."""

    @classmethod
    def set_up(cls) -> None:
        cls.lock = threading.Lock()
        cls.active = cls.most_active = 0
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.serve)
        cls.port = cls.sandbox.free_port()
        limits = {"thresholds": [{"max_connections": 2, "max_pending_requests": 100}]}
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.port, [route({"prefix": "/"}, "c")])],
            [cluster("c", cls.upstream.port, circuit_breakers=limits)]), concurrency=4)

    @classmethod
    def serve(cls, connection: ServerConnection) -> None:
        while True:
            connection.read_request()
            with cls.lock:
                cls.active += 1
                cls.most_active = max(cls.most_active, cls.active)
            threading.Event().wait(0.1)
            with cls.lock:
                cls.active -= 1
            connection.respond(200, b"ok")

    def test_everybody_is_served(self) -> None:
        clients = [Connection(self.port) for _ in range(10)]
        for client in clients:
            self.addCleanup(client.close)
            client.send_request(path="/")
        self.assertEqual([client.read_response().status for client in clients], [200] * 10)
        self.assertLessEqual(self.most_active, 2)
        self.weir.wait_stat_is("cluster.c.upstream_rq_pending_active", 0)


if __name__ == "__main__":
    main()
