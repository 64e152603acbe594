"""Circuit breakers over several workers: the limit is the process's, and each worker can use all of it."""

import threading
import time

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, file_access_log, http_listener, main,
                     route, wait_until)
from harness.wire import Message

LOG_LINE = "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"


class TwoWorkersTest(WeirTestCase):
    """max_connections: 2, two workers."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.log_path = cls.sandbox.path("access.log")
        limits = {"thresholds": [{"max_connections": 2}]}
        # The low byte of a connection's number is its worker's.
        number = [{"header": {"key": "x-connection", "value": "%CONNECTION_ID%"}}]
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, [route({"prefix": "/"}, "echo", response_headers_to_add=number)],
            access_log=[file_access_log(cls.log_path, LOG_LINE)])],
            [cluster("echo", cls.echo.port, circuit_breakers=limits)]), concurrency=2)

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

    def at_once(self, connections: list[Connection], path: str, delay: str) -> list[Message]:
        for connection in connections:
            connection.send_request(path=path, headers=[("x-test-delay", delay)])
        return [connection.read_response() for connection in connections]

    def test_each_worker_can_use_both_connections(self) -> None:
        before = self.weir.stats()
        most = 0
        stop = threading.Event()

        def watch() -> None:
            nonlocal most
            while not stop.is_set():
                most = max(most, len(self.echo._open))
                time.sleep(0.002)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for worker in (1, 2, 1, 2, 1, 2):
                responses = self.at_once(self.workers[worker][:2], "/both", "0.1")
                self.assertEqual([response.status for response in responses], [200, 200], worker)
        finally:
            stop.set()
            watcher.join()
        self.assertEqual(most, 2)
        after = self.weir.stats()
        for name in ("upstream_cx_overflow", "upstream_rq_pending_overflow"):
            self.assertEqual(after["cluster.echo." + name], before["cluster.echo." + name], name)

    def test_what_is_in_use_is_not_shared(self) -> None:
        overflows = self.weir.stat("cluster.echo.upstream_cx_overflow")
        for connection in self.workers[1][:2]:
            connection.send_request(path="/held", headers=[("x-test-delay", "0.6")])
        self.weir.wait_stat_is("cluster.echo.upstream_rq_active", 2)
        response = self.workers[2][0].request(path="/refused")
        self.assertEqual((response.status, response.header("x-envoy-overloaded")), (503, "true"))
        for connection in self.workers[1][:2]:
            self.assertEqual(connection.read_response().status, 200)
        self.assertEqual(self.weir.stat("cluster.echo.upstream_cx_overflow"), overflows + 1)

        def line() -> str:
            with open(self.log_path, encoding="utf-8") as file:
                return next((line.strip() for line in file if line.startswith("/refused")), "")

        self.assertEqual(wait_until(line, "the line of /refused"),
                         "/refused 503 UO upstream_reset_before_response_started{overflow}")
        self.weir.wait_stat_is("cluster.echo.upstream_rq_pending_active", 0)


if __name__ == "__main__":
    main()
