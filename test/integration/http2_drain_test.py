"""Connections of HTTP/2 end in two steps, so that no request is lost on the way."""

import signal
import threading

import h2.events

from harness import (EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, http_listener, main, refuses, route,
                     wait_until)
from harness.http2_client import H2

ANY_STREAM = (1 << 31) - 1


class Http2DrainTest(WeirTestCase):
    """Each test has a process of its own, because each ends it."""

    def start(self, drain_timeout: str) -> tuple[Weir, int, EchoUpstream]:
        echo = EchoUpstream(self.sandbox)
        port = self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap(
            [http_listener(port, [direct({"path": "/direct"}, "direct"), route({"prefix": "/"}, "echo", {"timeout": "0s"})],
                           drain_timeout=drain_timeout)], [cluster("echo", echo.port)]),
            concurrency=2, arguments=["--shutdown-deadline-s", "60"])
        return weir, port, echo

    def test_two_steps(self) -> None:
        weir, port, echo = self.start("1s")
        with H2(port) as client:
            held = client.request("/held", headers=[("x-test-gate", "1")])
            wait_until(lambda: echo.requests, "the request is on its way")
            weir.process.signal(signal.SIGTERM)
            first = client.until(0, h2.events.ConnectionTerminated)
            self.assertEqual((first.last_stream_id, first.error_code), (ANY_STREAM, 0))
            # One that was on its way when the client had not read that yet. (h2 would not send it any more.)
            late = client.h2.encoder.encode([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/direct")])
            client.sock.sendall(len(late).to_bytes(3, "big") + b"\x01\x05\x00\x00\x00\x03" + late)
            data = b""
            client.sock.settimeout(10)
            while b"direct" not in data:
                data += client.sock.recv(4096)
            goaway = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00"
            while goaway not in data:
                more = client.sock.recv(4096)
                self.assertTrue(more, "closed without a second GOAWAY")
                data += more
            echo.gate.set()
            rest = data[data.index(goaway) + len(goaway):]
            while more := client.sock.recv(65536):
                rest += more
            self.assertIn(b"/held", rest)  # the echo of the request
            self.assertEqual(held, 1)
        weir.ended_with(0)
        self.assertIn("drained: all connections have ended after", weir.process.log())

    def test_no_request_is_lost(self) -> None:
        """Clients that go on until the second step: whatever it does not refuse is answered."""
        weir, port, _ = self.start("0.5s")
        problems: list[str] = []
        answered = [0] * 4
        steps: list[list[int]] = []
        ready = threading.Barrier(5)

        def run(index: int) -> None:
            try:
                with H2(port, outlives_goaway=True) as client:
                    ready.wait(10)
                    while len(client.goaways) < 2:
                        streams: list[int] = []
                        try:
                            for i in range(5):
                                streams.append(client.request("/x%d" % i))
                        except OSError:
                            pass  # it has been closed
                        for stream in streams:
                            try:
                                client.until(stream)
                            except AssertionError:
                                if len(client.goaways) == 2 and stream > client.goaways[1][0]:
                                    continue  # refused: it would be safe to send it to another
                                raise
                            answered[index] += client.status(stream) == "200"
                        client.events.clear()
                    steps.append([code for _, code in client.goaways])
            except (AssertionError, OSError, IndexError) as problem:
                problems.append(repr(problem))

        threads = [threading.Thread(target=run, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        ready.wait(10)
        wait_until(lambda: min(answered) > 5 or problems, "all of them ask")
        weir.process.signal(signal.SIGTERM)
        for thread in threads:
            thread.join(30)
        self.assertEqual(problems, [])
        self.assertEqual(steps, [[0, 0]] * 4)
        weir.ended_with(0)

    def test_h2load_loses_nothing(self) -> None:
        weir, port, echo = self.start("2s")
        load = self.sandbox.start(["h2load", "-n", "40", "-c", "4", "-m", "10", "-H", "x-test-gate: 1",
                                   "http://127.0.0.1:%d/x" % port], "h2load")
        wait_until(lambda: len(echo.requests) == 40, "all of them are on their way")
        weir.process.signal(signal.SIGTERM)
        wait_until(lambda: refuses(port), "the listener is closed")
        echo.gate.set()
        self.assertEqual(load.wait(30), 0)
        self.assertIn("40 succeeded, 0 failed, 0 errored", load.log())
        weir.ended_with(0)


if __name__ == "__main__":
    main()
