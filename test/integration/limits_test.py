"""Circuit breakers over several workers: the limit is the process's, and each worker can use all of it."""

import threading

from harness import (Connection, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, file_access_log, http_listener, main,
                     route, wait_until)
from harness.upstreams import ServerConnection

LOG_LINE = "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"


class TwoWorkersTest(WeirTestCase):
    """max_connections: 2, two workers."""

    @classmethod
    def set_up(cls) -> None:
        cls.gate = threading.Event()
        cls.lock = threading.Lock()
        cls.held = cls.connections = cls.most_connections = 0
        cls.upstream = ScriptedUpstream(cls.sandbox, cls.serve)
        cls.port = cls.sandbox.free_port()
        cls.log_path = cls.sandbox.path("access.log")
        limits = {"thresholds": [{"max_connections": 2}]}
        # The low byte of a connection's number is its worker's.
        number = [{"header": {"key": "x-connection", "value": "%CONNECTION_ID%"}}]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, [route({"prefix": "/"}, "c", response_headers_to_add=number)],
            access_log=[file_access_log(cls.log_path, LOG_LINE)])],
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

    def test_what_is_in_use_is_not_shared(self) -> None:
        overflows = self.weir.stat("cluster.c.upstream_cx_overflow")
        connections = self.hold_two(1)
        response = self.workers[2][0].request(path="/refused")
        self.assertEqual((response.status, response.header("x-envoy-overloaded")), (503, "true"))
        self.gate.set()
        for connection in connections:
            self.assertEqual(connection.read_response().status, 200)
        self.assertEqual(self.weir.stat("cluster.c.upstream_cx_overflow"), overflows + 1)

        def line() -> str:
            with open(self.log_path, encoding="utf-8") as file:
                return next((line.strip() for line in file if line.startswith("/refused")), "")

        self.assertEqual(wait_until(line, "the line of /refused"),
                         "/refused 503 UO upstream_reset_before_response_started{overflow}")
        self.weir.wait_stat_is("cluster.c.upstream_rq_pending_active", 0)


if __name__ == "__main__":
    main()
