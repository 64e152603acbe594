"""SIGTERM: no new connections, what runs is finished, then the process ends with 0."""

import signal
import socket
import threading
import time

from harness import Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, http_listener, main, route, wait_until


class DrainTest(WeirTestCase):
    """Each test has a process of its own, because each ends it."""

    def start(self, *arguments: str) -> tuple[Weir, int, EchoUpstream]:
        echo = EchoUpstream(self.sandbox)
        port = self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "echo")])], [cluster("echo", echo.port)]),
                    arguments=list(arguments))
        return weir, port, echo

    def refuses(self, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    def test_idle_process_ends_at_once(self) -> None:
        weir, port, _ = self.start()
        weir.process.signal(signal.SIGTERM)
        self.assertEqual(weir.process.wait(5), 0)
        self.assertTrue(self.refuses(port))

    def test_running_requests_are_finished(self) -> None:
        weir, port, _ = self.start("--shutdown-deadline-s", "10")
        with Connection(port) as connection:
            connection.send_request(headers=[("x-test-delay", "1")])
            time.sleep(0.2)
            weir.process.signal(signal.SIGTERM)
            wait_until(lambda: self.refuses(port), "the listener is closed", 5)
            response = connection.read_response()
            self.assertEqual(response.status, 200)
            self.assertEqual((response.header("connection") or "").lower(), "close")
            self.assertTrue(connection.closed_within(3))
        self.assertEqual(weir.process.wait(5), 0)

    def test_idle_connections_do_not_hold_it_up(self) -> None:
        weir, port, _ = self.start("--shutdown-deadline-s", "10")
        with Connection(port) as connection:
            self.assertEqual(connection.request().status, 200)
            weir.process.signal(signal.SIGTERM)
            self.assertEqual(weir.process.wait(8), 0)

    def test_the_deadline_cuts_off(self) -> None:
        weir, port, _ = self.start("--shutdown-deadline-s", "1")
        with Connection(port) as connection:
            connection.send_request(headers=[("x-test-delay", "30")])
            time.sleep(0.2)
            began = time.monotonic()
            weir.process.signal(signal.SIGTERM)
            self.assertEqual(weir.process.wait(10), 4)
            self.assertLess(time.monotonic() - began, 6)
        weir._stopped = True  # it did not end with 0, as it should

    def test_clients_under_load_lose_nothing_they_were_promised(self) -> None:
        """Every request sent on an open connection that was not announced to close is answered."""
        weir, port, _ = self.start("--shutdown-deadline-s", "10")
        lost: list[str] = []
        served = [0]

        def client() -> None:
            try:
                while True:
                    connection = Connection(port)
                    with connection:
                        while True:
                            try:
                                response = connection.request(headers=[("x-test-delay", "0.01")])
                            except Exception as problem:
                                # A close between two requests is the server's right; one within a response is not.
                                if connection.reader.buffer:
                                    lost.append(repr(problem))
                                break
                            served[0] += 1
                            if (response.header("connection") or "").lower() == "close":
                                break
            except OSError:
                return  # refused: the drain has begun

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        weir.process.signal(signal.SIGTERM)
        self.assertEqual(weir.process.wait(10), 0)
        for thread in threads:
            thread.join(10)
        self.assertEqual(lost, [])
        self.assertGreater(served[0], 50)


if __name__ == "__main__":
    main()
