"""Which worker serves a connection: where the kernel's choice is not enough, workers hand connections to each other."""

import threading

from harness import Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, http_listener, main, route
from harness.config import Config

WORKERS = 3


class BalanceTest(WeirTestCase):
    """One listener for each way of spreading connections."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.exact, cls.one_socket, cls.kernel = (cls.sandbox.free_port() for _ in range(3))
        cls.pipe = cls.sandbox.path("weir.sock")
        listeners = [
            cls.listener("exact", cls.exact, connection_balance_config={"exact_balance": {}}),
            cls.listener("one_socket", cls.one_socket, enable_reuse_port=False),
            cls.listener("pipe", 1, address={"pipe": {"path": cls.pipe, "mode": 0o600}}),
            cls.listener("kernel", cls.kernel)]
        cls.weir = Weir(cls.sandbox, bootstrap(listeners, [cluster("echo", cls.echo.port)]), concurrency=WORKERS)

    @classmethod
    def listener(cls, name: str, port: int, **fields: object) -> Config:
        # The low byte of a connection's number is its worker's.
        number = [{"header": {"key": "x-connection", "value": "%CONNECTION_ID%"}}]
        return {**http_listener(port, [route({"prefix": "/"}, "echo", response_headers_to_add=number)], name=name,
                                stat_prefix=name), "stat_prefix": name, **fields}

    def open(self, where: object) -> tuple[Connection, int]:
        """A connection and its worker."""
        connection = Connection(where)  # type: ignore[arg-type]
        self.addCleanup(connection.close)
        response = connection.request()
        self.assertEqual(response.status, 200)
        return connection, int(response.header("x-connection") or 0) & 0xff

    def wait_for_none(self, name: str) -> None:
        self.weir.wait_stat_is("listener.%s.downstream_cx_active" % name, 0)

    # field: Listener.connection_balance_config, ConnectionBalanceConfig.exact_balance
    def test_each_worker_gets_its_part(self) -> None:
        for name, where in (("exact", self.exact), ("one_socket", self.one_socket), ("pipe", self.pipe)):
            with self.subTest(name):
                counts = dict.fromkeys(range(1, WORKERS + 1), 0)
                connections = []
                for _ in range(30):
                    connection, worker = self.open(where)
                    connections.append(connection)
                    counts[worker] += 1
                self.assertEqual(sorted(counts.values()), [10, 10, 10], counts)
                for connection in connections:
                    self.assertEqual(connection.request().status, 200)
                    connection.close()
                self.wait_for_none(name)

    def test_what_closes_makes_room(self) -> None:
        opened = [self.open(self.exact) for _ in range(15)]
        for connection, worker in opened:
            if worker == 2:
                connection.close()
        self.weir.wait_stat_is("listener.exact.downstream_cx_active", 10)
        self.assertEqual([self.open(self.exact)[1] for _ in range(5)], [2] * 5)
        self.doCleanups()
        self.wait_for_none("exact")

    def test_none_is_lost_in_a_burst(self) -> None:
        for name, where in (("exact", self.exact), ("one_socket", self.one_socket), ("pipe", self.pipe)):
            with self.subTest(name):
                before = self.weir.stat("listener.%s.downstream_cx_total" % name)
                problems: list[str] = []

                def client() -> None:
                    try:
                        for _ in range(25):
                            with Connection(where) as connection:
                                response = connection.request()
                                if response.status != 200:
                                    problems.append(str(response))
                    except Exception as problem:  # noqa: BLE001: every kind of failure is a finding
                        problems.append(repr(problem))

                clients = [threading.Thread(target=client) for _ in range(8)]
                for one in clients:
                    one.start()
                for one in clients:
                    one.join()
                self.assertEqual(problems[:3], [])
                self.wait_for_none(name)
                self.assertEqual(self.weir.stat("listener.%s.downstream_cx_total" % name), before + 200)

    def test_gross_imbalance_of_the_kernels_choice(self) -> None:
        """More than 1.25 times the mean and 4: the least loaded worker takes over what the kernel gave to this one."""
        opened = [self.open(self.kernel) for _ in range(150)]
        kept = max(range(1, WORKERS + 1), key=lambda worker: sum(one == worker for _, one in opened))
        for connection, worker in opened:
            if worker != kept:
                connection.close()
        left = sum(worker == kept for _, worker in opened)
        self.assertGreaterEqual(left, 50)
        self.weir.wait_stat_is("listener.kernel.downstream_cx_active", left)
        # All the others together may get 1.2 times as many as this one has before its own share is fair again.
        fresh = [self.open(self.kernel)[1] for _ in range(30)]
        self.assertNotIn(kept, fresh)
        self.doCleanups()
        self.wait_for_none("kernel")


if __name__ == "__main__":
    main()
