"""The ways to the end: SIGTERM and SIGINT drain, a second one and /quitquitquit do not wait, /drain_listeners goes half way."""

import contextlib
import ctypes
import os
import signal
import socket
import threading
import urllib.error
from typing import Any

import h2.exceptions

from harness import (Connection, EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch,
                     http_listener, main, refuses, route, tcp_listener, to_yaml, wait_until)
from harness.http2_client import H2
from harness.upstreams import ServerConnection
from harness.wire import Message


def announces_close(response: Message) -> bool:
    return (response.header("connection") or "").lower() == "close"


class DrainTest(WeirTestCase):
    """Each test has a process of its own, because each ends it."""

    def start(self, *arguments: str, concurrency: int = 2) -> tuple[Weir, int, EchoUpstream]:
        echo = EchoUpstream(self.sandbox)
        port = self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "echo", {"timeout": "0s"})])],
                                            [cluster("echo", echo.port)]),
                    concurrency=concurrency, arguments=list(arguments))
        return weir, port, echo

    def ready(self, weir: Weir) -> tuple[int, str]:
        try:
            return 200, weir.admin("/ready").strip()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode().strip()

    def send_held(self, connection: Connection, echo: EchoUpstream) -> None:
        """A request that is answered when echo.gate is set; returns when the upstream has it."""
        before = len(echo.requests)
        connection.send_request(headers=[("x-test-gate", "1")])
        wait_until(lambda: len(echo.requests) > before, "the request is on its way")

    def test_idle_process_ends_at_once(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            weir, port, _ = self.start()
            weir.process.signal(number)
            self.assertEqual(weir.process.wait(10), 0)
            self.assertTrue(refuses(port))

    # field: Listener.drain_type
    def test_failing_health_checks_tells_those_who_are_connected(self) -> None:
        """As published, those of a listener that is to drain only when it changes stay."""
        ports = [self.sandbox.free_port() for _ in range(2)]
        default, modified = (http_listener(port, [direct({"prefix": "/"}, "here")], name="l%d" % port) for port in ports)
        modified["drain_type"] = "MODIFY_ONLY"
        weir = Weir(self.sandbox, bootstrap([default, modified]))
        with Connection(ports[0]) as told, Connection(ports[1]) as stays, H2(ports[0]) as over_h2:
            self.assertIsNone(told.request().header("connection"))
            stream = over_h2.request("/")
            over_h2.until(stream)
            weir.admin("/healthcheck/fail", "POST")
            self.assertEqual(told.request().header("connection"), "close")
            self.assertIsNone(stays.request().header("connection"))
            over_h2.request("/")
            with contextlib.suppress(h2.exceptions.ProtocolError):  # h2 takes a first GOAWAY for the end
                over_h2.pump(0.5)
            weir.wait_stat_is("http2.goaway_sent", 1)
            weir.admin("/healthcheck/ok", "POST")
            self.assertIsNone(stays.request().header("connection"))
        self.assertIsNone(fetch(ports[0]).header("connection"))

    def test_running_requests_are_finished(self) -> None:
        weir, port, echo = self.start("--shutdown-deadline-s", "60")
        with Connection(port) as connection:
            self.send_held(connection, echo)
            weir.process.signal(signal.SIGTERM)
            wait_until(lambda: refuses(port), "the listener is closed")
            self.assertEqual(self.ready(weir), (503, "DRAINING"))
            self.assertEqual(weir.admin("/live"), "OK\n")
            self.assertEqual(weir.admin_json("/server_info")["state"], "DRAINING")
            self.assertEqual((weir.stat("server.live"), weir.stat("server.state")), (0, 1))
            echo.gate.set()
            response = connection.read_response()
            self.assertEqual(response.status, 200)
            self.assertTrue(announces_close(response))
            self.assertTrue(connection.closed_within(10))
        weir.ended_with(0)
        self.assertIn("drained: all connections have ended after", weir.process.log())

    def test_open_connections_are_told_with_their_next_response(self) -> None:
        weir, port, echo = self.start("--shutdown-deadline-s", "60")
        with Connection(port) as connection, Connection(port) as held:
            self.assertFalse(announces_close(connection.request()))
            self.send_held(held, echo)  # so that the process stays
            weir.process.signal(signal.SIGTERM)
            wait_until(lambda: refuses(port), "the listener is closed")
            self.assertTrue(announces_close(connection.request()))
            self.assertTrue(connection.closed_within(10))
            echo.gate.set()
            held.read_response()
        weir.ended_with(0)

    def test_idle_connections_do_not_hold_it_up(self) -> None:
        weir, port, _ = self.start("--shutdown-deadline-s", "60")
        with Connection(port) as connection:
            self.assertEqual(connection.request().status, 200)
            weir.process.signal(signal.SIGTERM)
            weir.ended_with(0)

    def test_its_own_idle_connections_do_not_hold_it_up_either(self) -> None:
        """weir is its own upstream, as in the demo: neither side of a pooled connection waits for the other."""
        front, behind = self.sandbox.free_port(), self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap(
            [http_listener(front, [route({"prefix": "/"}, "own")]),
             http_listener(behind, [direct({"prefix": "/"}, "hello")], name="own", drain_timeout="300s")], [cluster("own", behind)]))
        self.assertEqual(fetch(front).body, b"hello")
        weir.process.signal(signal.SIGTERM)
        weir.ended_with(0, seconds=60)
        self.assertIn("drained: all connections have ended after", weir.process.log())

    def test_listeners_stay_open_during_the_delay(self) -> None:
        weir, port, _ = self.start("--shutdown-delay-s", "5", "--shutdown-deadline-s", "60")
        weir.process.signal(signal.SIGTERM)
        wait_until(lambda: self.ready(weir) == (503, "DRAINING"), "it is not ready any more")
        response = fetch(port)  # from a balancer that has not noticed yet
        self.assertEqual(response.status, 200)
        weir.ended_with(0)
        self.assertIn("listeners close in 5 s", weir.process.log())

    def test_the_deadline_cuts_off(self) -> None:
        weir, port, echo = self.start("--shutdown-deadline-s", "1")
        with Connection(port) as connection:
            self.send_held(connection, echo)
            weir.process.signal(signal.SIGTERM)
            weir.ended_with(4)
        echo.gate.set()
        self.assertIn("drain deadline of 1 s: 1 connections are cut off", weir.process.log())

    def test_tunnels_last_until_the_deadline(self) -> None:
        def run(connection: ServerConnection) -> None:
            connection.read_head()
            connection.send(b"HTTP/1.1 101 Fine\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            while data := connection.sock.recv(100):
                connection.send(data)

        server, port = ScriptedUpstream(self.sandbox, run), self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "server")],
                                                           upgrade_configs=[{"upgrade_type": "websocket"}])],
                                            [cluster("server", server.port)]), arguments=["--shutdown-deadline-s", "2"])
        with Connection(port) as connection:
            connection.send_request(headers=[("connection", "upgrade"), ("upgrade", "websocket")])
            self.assertEqual(connection.reader.head().status, 101)
            weir.process.signal(signal.SIGTERM)
            wait_until(lambda: refuses(port), "the listener is closed")
            connection.send(b"still here")
            self.assertEqual(connection.reader.exactly(10), b"still here")
            weir.ended_with(4)
        self.assertIn("drain deadline of 2 s: 1 connections are cut off", weir.process.log())

    def test_a_second_signal_does_not_wait(self) -> None:
        weir, port, echo = self.start("--shutdown-deadline-s", "600")
        with Connection(port) as connection:
            self.send_held(connection, echo)
            weir.process.signal(signal.SIGTERM)
            wait_until(lambda: refuses(port), "the listener is closed")
            weir.process.signal(signal.SIGTERM)
            weir.ended_with(4)
        echo.gate.set()
        self.assertIn("told to stop a second time: 1 connections are cut off", weir.process.log())

    def test_quit_does_not_wait(self) -> None:
        weir, port, echo = self.start("--shutdown-deadline-s", "600")
        with Connection(port) as connection:
            self.send_held(connection, echo)
            self.assertEqual(weir.admin("/quitquitquit", "POST"), "OK\n")
            weir.ended_with(0)
        echo.gate.set()

    def told(self, *arguments: str) -> int:
        """How many of 40 open connections are told to end with the first response after SIGTERM."""
        weir, port, _ = self.start("--shutdown-deadline-s", "600", *arguments)
        connections = [Connection(port) for _ in range(40)]
        for connection in connections:
            connection.request()
        weir.process.signal(signal.SIGTERM)
        wait_until(lambda: refuses(port), "the listener is closed")
        count = sum(announces_close(connection.request()) for connection in connections)
        weir.process.signal(signal.SIGTERM)
        for connection in connections:
            connection.close()
        weir.ended_with(0, 4)
        return count

    def test_gradual_and_immediate(self) -> None:
        self.assertLess(self.told("--drain-time-s", "300"), 20)
        self.assertEqual(self.told("--drain-time-s", "300", "--drain-strategy", "immediate"), 40)
        # Longer than the deadline: it could not tell everybody in time.
        self.assertEqual(self.told("--drain-time-s", "700"), 40)

    def test_gradually_everybody_is_told(self) -> None:
        weir, port, _ = self.start("--shutdown-deadline-s", "60", "--drain-time-s", "1")
        connections = [Connection(port) for _ in range(20)]
        for connection in connections:
            connection.request()
        weir.process.signal(signal.SIGTERM)
        for connection in connections:
            self.assertTrue(connection.closed_within(20))  # idle ones close after the drain timeout
        weir.ended_with(0)

    def test_whose_response_has_begun_is_told_by_the_next_one(self) -> None:
        """Its head promised that the connection goes on: what the client sends behind it is not lost."""
        rest = threading.Event()

        def serve(connection: ServerConnection) -> None:
            while True:
                slow = connection.read_request().target == "/slow"
                connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
                if slow:
                    rest.wait(10)
                connection.send(b"half")

        upstream = ScriptedUpstream(self.sandbox, serve)
        port, short = self.sandbox.free_port(), {"common_http_protocol_options": {"max_connection_duration": "0.4s"}}
        clusters = [cluster("c", upstream.port)]
        for limits in ({}, short):
            rest.clear()
            weir = Weir(self.sandbox, bootstrap([http_listener(port, [route({"prefix": "/"}, "c")], drain_timeout="2s", **limits)], clusters),
                        arguments=["--drain-strategy", "immediate", "--shutdown-deadline-s", "20"])
            with Connection(port) as busy, Connection(port) as silent:
                for connection in (busy, silent):
                    connection.send_request("GET", "/slow")
                    self.assertTrue(connection.readable_within(10))
                busy.send_request("GET", "/pipelined")
                if limits:
                    weir.wait_stat("http.ingress.downstream_cx_max_duration_reached", 2)
                else:
                    weir.process.signal(signal.SIGTERM)
                    wait_until(lambda: refuses(port), "it drains")
                rest.set()
                for connection in (busy, silent):
                    self.assertFalse(announces_close(connection.read_response()))
                second = busy.read_response()
                self.assertEqual((second.text, announces_close(second)), ("halfhalf", True))
                for connection in (busy, silent):
                    self.assertTrue(connection.closed_within(10))
            weir.stop()

    def test_a_worker_that_is_stuck_does_not_keep_the_process(self) -> None:
        weir, port, _ = self.start("--shutdown-deadline-s", "1", concurrency=1)
        pid = weir.process.pid
        tasks = "/proc/%d/task" % pid
        stuck = next(int(task) for task in os.listdir(tasks) if open("%s/%s/comm" % (tasks, task)).read() == "weir-1\n")
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(16, stuck, 0, 0) != 0:  # PTRACE_ATTACH
            self.skipTest("no ptrace here")
        os.waitpid(stuck, 0x40000000)  # __WALL: it stands still
        weir.process.signal(signal.SIGTERM)
        wait_until(lambda: "worker 1 is stuck and does not end" in weir.process.log(), "it is given up", 20)
        os.waitpid(stuck, 0x40000000)  # its end, which is its tracer's to see
        weir.ended_with(4)

    def test_drain_listeners(self) -> None:
        weir, port, _ = self.start()
        with Connection(port) as connection:
            connection.request()
            self.assertEqual(weir.admin("/drain_listeners", "POST"), "OK\n")
            wait_until(lambda: refuses(port), "the listener is closed")
            self.assertFalse(announces_close(connection.request()))
        self.assertEqual(weir.stat("listener_manager.listener_stopped"), 1)
        self.assertEqual(self.ready(weir), (200, "LIVE"))

    def test_what_drains_is_seen(self) -> None:
        """A chain that changed and a listener that is gone count as long as connections of theirs are left."""
        ports = [self.sandbox.free_port() for _ in range(2)]
        upstream = EchoUpstream(self.sandbox)

        def config(idle: str, count: int) -> dict[str, Any]:
            return bootstrap([tcp_listener(port, "c", name="l%d" % port, **({"idle_timeout": idle} if port == ports[0] else {}))
                              for port in ports[:count]], [cluster("c", upstream.port)])

        def draining(weir: Weir) -> list[int]:
            stats = weir.stats()
            return [stats["listener_manager.total_%s_draining" % kind] for kind in ("listeners", "filter_chains")]

        weir = Weir(self.sandbox, config("60s", 2))

        def update(idle: str, count: int) -> None:
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(config(idle, count)))
            weir.settle()

        self.assertEqual(draining(weir), [0, 0])
        with Connection(ports[0]) as first, Connection(ports[0]) as second, Connection(ports[1]) as third:
            for connection in (first, second, third):
                self.assertEqual(connection.request().status, 200)
            update("50s", 1)
            wait_until(lambda: draining(weir) == [1, 1], "both drain")
            first.close()
            weir.wait_stat_is("listener.127.0.0.1_%d.downstream_cx_active" % ports[0], 1)
            self.assertEqual(draining(weir), [1, 1])
            with Connection(ports[0]) as newer:
                self.assertEqual(newer.request().status, 200)
                update("40s", 1)
                wait_until(lambda: draining(weir) == [1, 2], "another one drains")
            wait_until(lambda: draining(weir) == [1, 1], "and has ended")
            update("40s", 0)
            wait_until(lambda: draining(weir) == [2, 0], "the whole listener drains")
        wait_until(lambda: draining(weir) == [0, 0], "all have ended")

    def test_drain_listeners_gracefully(self) -> None:
        weir, port, _ = self.start("--drain-time-s", "1", "--drain-strategy", "immediate")
        with Connection(port) as connection:
            connection.request()
            weir.admin("/drain_listeners?graceful", "POST")
            wait_until(lambda: announces_close(connection.request()), "it is told")
        wait_until(lambda: refuses(port), "the listener is closed")
        weir, port, _ = self.start("--drain-time-s", "0")
        weir.admin("/drain_listeners?graceful&skip_exit", "POST")
        wait_until(lambda: announces_close(fetch(port)), "everybody is told")

    def test_draining_inbound_ones_at_once_leaves_the_others_their_time(self) -> None:
        ports = [self.sandbox.free_port() for _ in range(2)]
        inbound, other = (http_listener(port, [direct({"prefix": "/"}, "here")], name="l%d" % port) for port in ports)
        inbound["traffic_direction"] = "INBOUND"
        weir = Weir(self.sandbox, bootstrap([inbound, other]), arguments=["--drain-time-s", "2"])
        weir.admin("/drain_listeners?graceful", "POST")
        weir.admin("/drain_listeners?inboundonly", "POST")
        wait_until(lambda: refuses(ports[0]), "the inbound one is closed")
        self.assertFalse(refuses(ports[1]))
        wait_until(lambda: refuses(ports[1]), "the other one when the time is over")
        self.assertEqual(weir.stat("listener_manager.listener_stopped"), 2)

    def test_who_comes_late_may_ask_first(self) -> None:
        """A connection that is opened while all of them are told: GOAWAY before its first request would make it worthless."""
        weir, port, _ = self.start("--drain-time-s", "600", "--drain-strategy", "immediate")
        weir.admin("/drain_listeners?graceful&skip_exit", "POST")
        wait_until(lambda: all(announces_close(fetch(port)) for _ in range(8)), "every worker knows")
        with H2(port, outlives_goaway=True) as client, H2(port, outlives_goaway=True) as idle:
            for one in (client, idle):
                one.pump()
                self.assertEqual(one.goaways, [])
            stream = client.request("/x")
            client.until(stream)
            self.assertEqual((client.headers(stream)[":status"], client.goaways[:1]), ("200", [((1 << 31) - 1, 0)]))
            # The end of the process is another matter.
            weir.process.signal(signal.SIGTERM)
            wait_until(lambda: idle.pump(0.1) or idle.goaways, "it is told")
        weir.ended_with(0)

    def test_clients_under_load_lose_nothing_they_were_promised(self) -> None:
        """Every request sent on an open connection that was not announced to close is answered."""
        weir, port, _ = self.start("--shutdown-deadline-s", "60")
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
                            if announces_close(response):
                                break
            except OSError:
                return  # refused: the drain has begun

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: served[0] > 100, "load")
        weir.process.signal(signal.SIGTERM)
        weir.ended_with(0)
        for thread in threads:
            thread.join(10)
        self.assertEqual(lost, [])


if __name__ == "__main__":
    main()
