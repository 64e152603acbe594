"""A process takes over from the one that runs: sockets, keys and counts, and what becomes of the connections."""

import array
import contextlib
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
from typing import Any, Optional

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, address, bootstrap, cluster, direct, fetch, http_listener,
                     main, over_tls, route, to_yaml, wait_until, weir_binary)
from harness.config import server_tls
from harness.dns import NameServer
from harness.load import Clients, Wrk
from harness.tls import Authority, TlsConnection, client_context
from harness.udp import UdpClient, UdpServer, udp_listener

# Speaks the first words of the protocol as another user.
AS_NOBODY = """
import os, socket, sys
os.setuid(65534)
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.connect(sys.argv[1])
try:
    link.send(b"hello\\nprotocol=1")
except BrokenPipeError:
    pass
print(link.recv(100).decode())
"""


class Successor:
    """The beginning of a take-over, by hand."""

    def __init__(self, path: str, protocol: str = "1"):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(15)
        self.sock.connect(path)
        with contextlib.suppress(BrokenPipeError):  # refused at sight, which can be read
            self.sock.send(b"hello\nprotocol=" + protocol.encode())

    def receive(self, keep: Optional[list[socket.socket]] = None) -> tuple[str, str]:
        """The next message; descriptors are closed, or kept as sockets. Empty texts at the end."""
        data, ancillary, _, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(4))
        for _, _, descriptors in ancillary:
            for fd in array.array("i", descriptors[:4]):
                if keep is None:
                    os.close(fd)
                else:
                    keep.append(socket.socket(fileno=fd))
        kind, _, text = data.decode("latin-1").partition("\n")
        return kind, text

    def until(self, kind: str, keep: Optional[list[socket.socket]] = None) -> list[tuple[str, str]]:
        messages = []
        while not messages or messages[-1][0] != kind:
            messages.append(self.receive(keep))
            if messages[-1] == ("", ""):
                raise AssertionError("ended before %r: %r" % (kind, messages))
        return messages


def late_cluster(name: str, resolver: NameServer) -> dict[str, Any]:
    """Whoever has it waits until the server says something of NAME.example."""
    return {"name": name, "type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "0.1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{
                "endpoint": {"address": address(80, name + ".example")}}]}]},
            "typed_dns_resolver_config": {"name": "cares", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                "resolvers": [address(resolver.port)], "query_timeout_seconds": 1}}}


def announces_close(response: Any) -> bool:
    return (response.header("connection") or "").lower() == "close"


class RestartTest(WeirTestCase):
    """Each test has processes of its own; they find each other by a socket's path."""

    count = 0

    def setUp(self) -> None:
        type(self).count += 1
        self.path = self.sandbox.path("restart-%d" % self.count)
        self.port = self.sandbox.free_port()

    def hello(self, text: str, port: Optional[int] = None, **hcm: Any) -> dict[str, Any]:
        return bootstrap([http_listener(port or self.port, [direct({"prefix": "/"}, text)], **hcm)])

    def echo(self) -> tuple[EchoUpstream, dict[str, Any]]:
        """A server, and the configuration with it behind everything, however long it takes."""
        echo = EchoUpstream(self.sandbox)
        return echo, bootstrap([http_listener(self.port, [route({"prefix": "/"}, "echo", {"timeout": "0s"})])],
                               [cluster("echo", echo.port)])

    def start(self, config: Any, *arguments: str, concurrency: int = 2) -> Weir:
        return Weir(self.sandbox, config, concurrency=concurrency,
                    arguments=["--socket-path", self.path, "--drain-strategy", "immediate", *arguments])

    def restart(self, config: Any, *arguments: str, concurrency: int = 2) -> Weir:
        return self.start(config, "--restart", *arguments, concurrency=concurrency)

    def run_weir(self, config: Any, *arguments: str) -> tuple[int, str]:
        path = self.sandbox.write("run-%d.yaml" % self.count, to_yaml(config) + "\n")
        done = subprocess.run([weir_binary(), "-c", path, "--socket-path", self.path, *arguments], timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode()

    def test_no_datagram_is_lost(self) -> None:
        server = UdpServer(self.sandbox, "s")
        config = bootstrap([udp_listener(self.port, "udp")], [cluster("udp", server.port)])
        first = self.start(config)
        stop = threading.Event()
        sent: list[bytes] = []

        def send(number: int) -> None:
            with UdpClient(self.port) as client:
                for count in range(100_000):
                    if stop.wait(0.001):
                        break
                    if len(sent) - len(server.seen) > 100:
                        continue  # more than sockets hold would be lost on the way
                    data = b"%d-%d" % (number, count)
                    sent.append(data)
                    client.send(data)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            # The only worker reads what came to two.
            second = self.restart(config, concurrency=1)
            first.ended_with(0)
            before = len(sent)
            wait_until(lambda: len(sent) > before + 200, "more datagrams")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        wait_until(lambda: sorted(data for data, _ in server.seen) == sorted(sent), "all of them")
        self.assertEqual(second.stat("listener.127.0.0.1_%d.udp.downstream_rx_datagram_dropped" % self.port), 0)
        with UdpClient(self.port) as client:
            self.assertEqual(client.ask(b"x"), b"s x")

    def test_answers_to_what_was_asked_before_still_come(self) -> None:
        release = threading.Event()
        server = UdpServer(self.sandbox, answer=lambda data: [b"s " + data] if release.wait(20) else [])
        config = bootstrap([udp_listener(self.port, "udp")], [cluster("udp", server.port)])
        first = self.start(config)
        with UdpClient(self.port) as client:
            client.send(b"1")
            wait_until(lambda: len(server.seen) == 1, "the question arrives")
            second = self.restart(config)
            time.sleep(0.5)  # the first has nothing else to do
            self.assertIsNone(first.process.popen.poll())
            release.set()
            self.assertEqual(client.receive(), b"s 1")
            self.assertEqual(client.ask(b"2"), b"s 2")
            first.ended_with(0)
            self.assertEqual(client.ask(b"3"), b"s 3")
        self.assertEqual(second.stat("udp.udp.downstream_sess_total"), 2)
        self.assertEqual(second.stat("udp.udp.downstream_sess_active"), 1)

    def test_listeners_that_the_next_one_has_not_got(self) -> None:
        """While the first waits for an answer nobody is taken in: they are refused, and come back whole."""
        release = threading.Event()
        slow, server = UdpServer(self.sandbox, answer=lambda data: [data] if release.wait(20) else []), UdpServer(self.sandbox, "s")
        at_file = {**http_listener(0, [direct({"prefix": "/"}, "file")], name="file"),
                   "address": {"pipe": {"path": self.sandbox.path("gone.sock")}}}
        udp, clusters = udp_listener(self.port, "udp", name="udp"), [cluster("udp", server.port)]
        first = self.start(bootstrap([udp, at_file], [cluster("udp", slow.port)]))
        with UdpClient(self.port) as client:
            client.send(b"slow")
            wait_until(lambda: slow.seen, "the question arrives")
            second = self.restart(bootstrap([], clusters))
            wait_until(lambda: not os.path.exists(self.sandbox.path("gone.sock")), "the file goes")

            def asks() -> bytes:
                with UdpClient(self.port, timeout=2) as other:
                    return other.ask(b"q")

            with self.assertRaises(ConnectionRefusedError):
                for _ in range(20):
                    asks()
            with open(second.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(bootstrap([udp], clusters)) + "\n")
            second.settle()
            self.assertEqual([asks() for _ in range(40)], [b"s q"] * 40)
            self.assertIsNone(first.process.popen.poll())
            release.set()
            self.assertEqual(client.receive(), b"slow")
        first.ended_with(0)

    def test_it_takes_over_and_the_other_one_drains(self) -> None:
        echo = EchoUpstream(self.sandbox)
        config = bootstrap([http_listener(self.port, [route({"prefix": "/held"}, "echo", {"timeout": "0s"}),
                                                      direct({"prefix": "/"}, "first")])], [cluster("echo", echo.port)])
        first = self.start(config)
        with Connection(self.port) as idle, Connection(self.port) as held:
            self.assertEqual(idle.request().text, "first")
            held.send_request(path="/held", headers=[("x-test-gate", "1")])
            wait_until(lambda: echo.requests, "the request is on its way")
            total = first.stat("http.ingress.downstream_rq_total")
            self.assertEqual(total, 2)
            second = self.restart(self.hello("second"))
            self.assertEqual(second.admin_address, first.admin_address)
            self.assertEqual([fetch(self.port).text for _ in range(20)], ["second"] * 20)
            # What has counted goes on to count, and what goes on there is told here.
            second.wait_stat_is("http.ingress.downstream_rq_total", total + 20)
            second.wait_stat_is("http.ingress.downstream_rq_active", 1)
            self.assertIn('envoy_http_downstream_rq_active{envoy_http_conn_manager_prefix="ingress"} 1',
                          second.admin("/stats/prometheus"))
            self.assertEqual(second.stat("server.hot_restart_epoch"), 1)
            self.assertEqual(second.stat("server.hot_restart_generation"), 2)
            self.assertEqual(second.stat("server.parent_connections"), 2)
            self.assertGreaterEqual(second.stat("server.total_connections"), 2)
            self.assertEqual(second.admin_json("/server_info")["command_line_options"]["restart_epoch"], 1)
            # The old one's connections are told, and end.
            last = idle.request()
            self.assertEqual(last.text, "first")
            self.assertTrue(announces_close(last))
            self.assertTrue(idle.closed_within(10))
            self.assertTrue(first.process.running())
            second.wait_stat_is("http.ingress.downstream_rq_total", total + 21)
            echo.gate.set()
            self.assertEqual(held.read_response().status, 200)
        first.ended_with(0)
        second.wait_stat_is("server.parent_connections", 0)
        second.wait_stat_is("http.ingress.downstream_rq_active", 0)
        second.wait_stat_is("http.ingress.downstream_rq_2xx", total + 21)
        for line in ("restart: process %d takes" % second.process.pid,
                     "restart: process %d serves; this one takes nothing new any more" % second.process.pid,
                     "drained: all connections have ended"):
            self.assertIn(line, first.process.log())
        for line in ("restart: process %d (epoch 0) has given" % first.process.pid,
                     "restart: taken over from process %d, epoch 1" % first.process.pid,
                     "restart: process %d (epoch 0) has ended" % first.process.pid):
            wait_until(lambda: line in second.process.log(), line)

    def test_many_times_under_load(self) -> None:
        """Kept connections and new ones, none of whose clients ever tries twice; more and fewer workers."""
        weir = self.start(self.hello("0"), concurrency=2)
        kept = Wrk(self.sandbox, self.port)
        anew = Clients(4, lambda: self.port, each_anew=True)
        for number, workers in enumerate((1, 4, 2), start=1):
            anew.wait_for(100)
            before, weir = weir, self.restart(self.hello(str(number)), concurrency=workers)
            anew.wait_for(100)
            before.ended_with(0)
        anew.wait_for(100)
        answered, failures = kept.stop()
        anew.stop()
        self.assertEqual((failures, anew.failures), ("", []))
        self.assertGreater(answered, 1000)
        self.assertEqual(anew.bodies, {"0", "1", "2", "3"})
        self.assertEqual(weir.stat("server.hot_restart_epoch"), 3)
        # Every request of every generation is in the last one's count.
        weir.wait_stat("http.ingress.downstream_rq_total", answered + anew.answered)

    def test_a_bad_configuration_changes_nothing(self) -> None:
        first = self.start(self.hello("first"))
        code, output = self.run_weir({"static_resources": {"listeners": [{"name": "x", "address": {}}]}}, "--restart")
        self.assertEqual(code, 1, output)
        wait_until(lambda: "has failed, this one serves on: its configuration cannot be used" in first.process.log(), "told")
        self.assertEqual(fetch(self.port).text, "first")
        self.assertEqual(first.stat("server.restart_failure"), 1)
        # One that cannot bind: the port of a listener that is not among those that were given.
        with socket.create_server(("127.0.0.1", 0)) as taken:
            code, output = self.run_weir(self.hello("second", taken.getsockname()[1]), "--restart")
        self.assertEqual(code, 3, output)
        self.assertEqual(fetch(self.port).text, "first")
        self.assertEqual(first.admin("/ready"), "LIVE\n")
        second = self.restart(self.hello("second"))
        self.assertEqual(fetch(self.port).text, "second")
        first.ended_with(0)
        second.stop()

    def test_an_address_that_is_taken(self) -> None:
        first = self.start(self.hello("first"))
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            config = self.hello("second")
            config["static_resources"]["listeners"].append(http_listener(port, name="more"))
            code, text = self.run_weir(config, "--restart")
        self.assertEqual(code, 3)
        self.assertIn("cannot", text)
        wait_until(lambda: re.search("restart: process [0-9]+ has failed, this one serves on: listener more: .*%d.*exit code 3"
                                     % port, first.process.log()), "what the first one says")
        self.assertNotIn("configuration cannot be used", first.process.log())
        self.assertEqual(fetch(self.port).text, "first")

    def test_who_has_the_address_is_who_serves(self) -> None:
        first = self.start(self.hello("first"))
        second = self.restart(self.hello("second"))
        first.ended_with(0)
        code, text = self.run_weir(self.hello("third"))
        self.assertEqual(code, 3)
        self.assertIn("process %d waits for its successor" % second.process.pid, text)

    def test_a_crash_before_it_serves_changes_nothing(self) -> None:
        first = self.start(self.hello("first"))
        successor = Successor(self.path + "_0")
        messages = successor.until("end")
        kinds = [kind for kind, _ in messages]
        self.assertEqual(kinds.count("socket"), 3, messages)  # of two workers, and the admin's
        successor.sock.close()
        wait_until(lambda: "has failed, this one serves on: it ended before it served" in first.process.log(), "told")
        self.assertEqual([fetch(self.port).text for _ in range(10)], ["first"] * 10)

    def test_the_one_before_ends_while_its_successor_begins(self) -> None:
        """It has been given everything, and serves."""
        echo, config = self.echo()
        first = self.start(config)
        slow = self.hello("second")
        # Waits for a name that nobody answers before it serves.
        slow["static_resources"]["clusters"] = [{
            "name": "slow", "type": "STRICT_DNS", "load_assignment": {"cluster_name": "slow", "endpoints": [{"lb_endpoints": [{
                "endpoint": {"address": address(80, "slow.example")}}]}]},
            "typed_dns_resolver_config": {"name": "cares", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                "resolvers": [address(self.sandbox.free_port())], "query_timeout_seconds": 5}}}]
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        silent.bind(("127.0.0.1", slow["static_resources"]["clusters"][0]["typed_dns_resolver_config"]["typed_config"][
            "resolvers"][0]["socket_address"]["port_value"]))
        with silent:
            path = self.sandbox.write("slow-%d.yaml" % self.count, to_yaml(slow) + "\n")
            second = subprocess.Popen([weir_binary(), "-c", path, "--socket-path", self.path, "--restart"],
                                      stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda: "listening sockets over" in first.process.log(), "it has been given everything")
                first.process.signal(signal.SIGTERM)
                first.ended_with(0)
                self.assertEqual(fetch(self.port).text, "second")
                self.assertIsNone(second.poll())
            finally:
                second.terminate()
                second.wait(20)

    def test_what_it_has_been_given_stays_as_it_is(self) -> None:
        """Also if the process before drains its listeners, or ends, before the new one serves."""
        unix = self.sandbox.path("given-%d" % self.count)
        server = UdpServer(self.sandbox)
        at_file = http_listener(0, [direct({"prefix": "/"}, "here")], name="unix")
        at_file["address"] = {"pipe": {"path": unix}}
        for how in ("drain", "end", "quit"):
            first = self.start(bootstrap([udp_listener(self.port, "c", name="udp"), at_file], [cluster("c", server.port)]))
            given: list[socket.socket] = []
            before = len(os.listdir("/proc/%d/fd" % first.process.pid))
            successor = Successor(self.path + "_0")
            successor.until("end", given)
            if how == "drain":
                first.admin("/drain_listeners", "POST")
                # Of those before one may have been the admin's, from when it was asked whether it is ready.
                wait_until(lambda: len(os.listdir("/proc/%d/fd" % first.process.pid)) <= before + 1 - 3, "three are closed")
            elif how == "end":
                first.process.signal(signal.SIGTERM)
                first.ended_with(0)
            else:
                first.admin("/quitquitquit", "POST")
                first.ended_with(0)
            with UdpClient(self.port) as client:
                client.send(b"question")
                ready = select.select([one for one in given if one.type == socket.SOCK_DGRAM], [], [], 5)[0]
                self.assertEqual([one.recv(100) for one in ready], [b"question"], how)
            with socket.socket(socket.AF_UNIX) as waiting:
                waiting.connect(unix)
            for one in [*given, successor.sock]:
                one.close()
            first.stop()

    def test_one_that_fails_has_changed_no_socket(self) -> None:
        unix, taken = self.sandbox.path("mode-%d" % self.count), socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)

        def config(mode: int, *more: dict[str, Any]) -> dict[str, Any]:
            listener = http_listener(0, [direct({"prefix": "/"}, "here")], name="unix")
            return bootstrap([{**listener, "address": {"pipe": {"path": unix, "mode": mode}}}, *more])

        def mode() -> int:
            return os.stat(unix).st_mode & 0o777

        first = self.start(config(0o600))
        status, text = self.run_weir(config(0o666, http_listener(taken.getsockname()[1], [direct({"prefix": "/"}, "no")], name="no")),
                                     "--restart")
        self.assertEqual((status, mode()), (3, 0o600), text)
        self.assertEqual(fetch(unix).text, "here")
        self.restart(config(0o640))
        wait_until(lambda: mode() == 0o640, "it is as the one that serves wants it")
        first.ended_with(0)

    @staticmethod
    def takes_orders(pid: int) -> bool:
        """Whether SIGTERM does not kill the process any more, as it does while it is not that far."""
        with open("/proc/%d/status" % pid, encoding="ascii") as file:
            masks = [int(line.split()[1], 16) for line in file if line.startswith(("SigBlk", "SigCgt"))]
        return any(mask >> (signal.SIGTERM - 1) & 1 for mask in masks)

    def test_one_that_is_told_to_end_first_leaves_the_files(self) -> None:
        unix, admin = self.sandbox.path("kept-%d" % self.count), self.sandbox.path("admin-%d" % self.count)
        names: dict[str, Any] = {"never.example": lambda query: []}
        resolver = NameServer(self.sandbox, names)
        listener = {**http_listener(0, [direct({"prefix": "/"}, "here")], name="unix"), "address": {"pipe": {"path": unix}}}
        config = {**bootstrap([listener]), "admin": {"address": {"pipe": {"path": admin}}}}
        first = self.sandbox.write("first-%d.yaml" % self.count, to_yaml(config) + "\n")
        config["static_resources"]["clusters"] = [late_cluster("never", resolver)]
        second = self.sandbox.write("second-%d.yaml" % self.count, to_yaml(config) + "\n")
        started = []
        try:
            for path in (first, second):
                started.append(subprocess.Popen([weir_binary(), "-c", path, "--socket-path", self.path, "--restart"], stderr=subprocess.DEVNULL))
                wait_until(lambda: resolver.queries if path == second else os.path.exists(unix), "it has begun")
            wait_until(lambda: self.takes_orders(started[1].pid), "it would end in order")
            started[1].terminate()
            self.assertEqual(started[1].wait(20), 0)
            self.assertEqual((fetch(unix).text, fetch(admin, "/ready").text), ("here", "LIVE\n"))
            started[0].terminate()
            self.assertEqual(started[0].wait(20), 0)
            self.assertFalse(os.path.exists(unix) or os.path.exists(admin))
        finally:
            for one in started:
                one.kill()
                one.wait(20)

    def test_more_workers_get_their_share_when_they_serve(self) -> None:
        names: dict[str, Any] = {"late.example": lambda query: []}
        server, resolver, udp_port = UdpServer(self.sandbox, "a"), NameServer(self.sandbox, names), self.sandbox.free_port()

        def config(text: str, *clusters: dict[str, Any]) -> dict[str, Any]:
            return bootstrap([http_listener(self.port, [direct({"prefix": "/"}, text)], name="tcp"), udp_listener(udp_port, "c", name="udp")],
                             [cluster("c", server.port), *clusters])

        def ask(_: int) -> tuple[str, bytes]:
            with UdpClient(udp_port) as client:
                return fetch(self.port).text, client.ask(b"x")

        first = self.start(config("first"), concurrency=1)
        path = self.sandbox.write("late-%d.yaml" % self.count, to_yaml(config("second", late_cluster("late", resolver))) + "\n")
        second = subprocess.Popen([weir_binary(), "-c", path, "--socket-path", self.path, "--restart", "--concurrency", "4"],
                                  stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: resolver.queries, "it waits for a name")
            self.assertEqual({ask(n) for n in range(20)}, {("first", b"a x")})
            names["late.example"] = ["127.0.0.1"]
            first.ended_with(0)
            self.assertEqual({ask(n) for n in range(20)}, {("second", b"a x")})
            with open("/proc/net/udp", encoding="ascii") as table:
                self.assertEqual(sum(":%04X " % udp_port in line.split(" st ")[0][:30] for line in table), 4)
        finally:
            second.terminate()
            second.wait(20)

    def test_one_at_a_time_and_not_for_ever(self) -> None:
        first = self.start(self.hello("first"), "--restart-timeout-s", "1")
        successor = Successor(self.path + "_0")
        successor.until("end")
        self.assertEqual(Successor(self.path + "_0").receive()[0], "refused")
        # Meanwhile no other configuration comes into force, which the successor would not have.
        self.assertIn("another process is about to take over", self.reload_error(first))
        self.assertEqual(successor.until("refused")[-1][1], "it did not serve within 1 s (--restart-timeout-s)")
        wait_until(lambda: "serves on: it did not serve within 1 s" in first.process.log(), "told")
        first.settle()  # it can be reloaded again
        self.assertEqual(fetch(self.port).text, "first")
        # What comes too late is not taken.
        self.restart(self.hello("second"))
        self.assertEqual(fetch(self.port).text, "second")
        first.ended_with(0)

    def reload_error(self, weir: Weir) -> str:
        try:
            return weir.admin("/reload", "POST")
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def test_who_may_not(self) -> None:
        first = self.start(self.hello("first"), "--socket-mode", "666")
        self.assertEqual(Successor(self.path + "_0", "99").receive(),
                         ("refused", "it speaks version 1 of the restart protocol, not 99"))
        if os.geteuid() == 0:
            os.chmod(self.sandbox.dir, 0o755)
            done = subprocess.run([sys.executable, "-c", AS_NOBODY, self.path + "_0"], stdout=subprocess.PIPE, timeout=20)
            self.assertEqual(done.stdout.decode(), "refused\nit belongs to user 0\n")
            self.assertIn("of user 65534 may not take over", first.process.log())
        self.assertEqual(os.stat(self.path + "_0").st_mode & 0o777, 0o666)
        self.assertEqual(fetch(self.port).text, "first")

    def test_any_number_of_generations(self) -> None:
        echo, config = self.echo()
        generations = [self.start(config)]
        held = []
        for number in range(3):
            held.append(Connection(self.port))
            before = len(echo.requests)
            held[-1].send_request(headers=[("x-test-gate", "1")])
            wait_until(lambda: len(echo.requests) > before, "the request is on its way")
            generations.append(self.restart(config))
            generations[-1].wait_stat_is("server.parent_connections", number + 1)
        last = generations[-1]
        last.wait_stat_is("http.ingress.downstream_rq_active", 3)
        self.assertEqual(last.stat("http.ingress.downstream_rq_total"), 3)
        # The one between ends before the oldest, which goes on to be heard of.
        self.assertEqual([weir.process.running() for weir in generations], [True] * 4)
        generations[1].process.signal(signal.SIGTERM)
        generations[1].process.signal(signal.SIGTERM)
        wait_until(lambda: not generations[1].process.running() or generations[1].process.signal(signal.SIGTERM), "it ends")
        generations[1].ended_with(4)
        last.wait_stat_is("server.parent_connections", 2)
        echo.gate.set()
        self.assertEqual([held[0].read_response().status, held[2].read_response().status], [200, 200])
        for connection in held:
            connection.close()
        generations[0].ended_with(0)
        generations[2].ended_with(0)
        last.wait_stat_is("server.parent_connections", 0)
        last.wait_stat_is("http.ingress.downstream_rq_2xx", 2)

    def test_gauges_of_what_later_generations_have_not_got(self) -> None:
        """A listener and a cluster that are gone are counted once, by the process that still has a connection of them."""
        echo, config = self.echo()
        port = self.sandbox.free_port()
        gone = bootstrap([*config["static_resources"]["listeners"], http_listener(
            port, [route({"prefix": "/"}, "gone", {"timeout": "0s"})], name="gone")],
            [cluster("echo", echo.port), cluster("gone", echo.port)])
        generations = [self.start(gone)]
        with Connection(port) as held:
            held.send_request(headers=[("x-test-gate", "1")])
            wait_until(lambda: echo.requests, "the request is on its way")
            for number in range(3):
                generations.append(self.restart(config))
                generations[-1].wait_stat_is("server.parent_connections", 1)
                generations[-1].wait_stat_is("cluster.gone.upstream_cx_active", 1)
            echo.gate.set()
            self.assertEqual(held.read_response().status, 200)
        for weir in generations[:-1]:
            weir.ended_with(0)
        generations[-1].wait_stat_is("cluster.gone.upstream_cx_active", 0)

    def test_the_end_of_the_last_is_the_end_of_all(self) -> None:
        echo, config = self.echo()
        first = self.start(config)
        with Connection(self.port) as held:
            held.send_request(headers=[("x-test-gate", "1")])
            wait_until(lambda: echo.requests, "the request is on its way")
            second = self.restart(config, "--shutdown-deadline-s", "1")
            second.wait_stat_is("server.parent_connections", 1)
            second.process.signal(signal.SIGTERM)
            first.ended_with(4)
            second.ended_with(0, 4)
        echo.gate.set()
        self.assertIn("told to end: 1 connections are told to end, cut off in 1 s", first.process.log())

    def test_the_parent_is_cut_off_at_its_deadline(self) -> None:
        echo, config = self.echo()
        first = self.start(config)
        with Connection(self.port) as held:
            held.send_request(headers=[("x-test-gate", "1")])
            wait_until(lambda: echo.requests, "the request is on its way")
            second = self.restart(config, "--parent-shutdown-time-s", "1", "--drain-time-s", "0")
            first.ended_with(4)
        echo.gate.set()
        self.assertIn("drain deadline of 1 s: 1 connections are cut off", first.process.log())
        line = "restart: process %d (epoch 0) has ended: 1 connections were cut off" % first.process.pid
        wait_until(lambda: line in second.process.log(), line)

    def test_sockets_of_every_kind(self) -> None:
        unix, extra = self.sandbox.path("unix-%d" % self.count), self.sandbox.free_port()
        abstract = "@weir-test-%d-%d" % (os.getpid(), self.count)

        def config(text: str, gone: bool) -> dict[str, Any]:
            listeners = [http_listener(self.port, [direct({"prefix": "/"}, text)], name="ip"),
                         http_listener(0, [direct({"prefix": "/"}, text)], name="any"),
                         http_listener(0, [direct({"prefix": "/"}, text)], name="unix"),
                         http_listener(0, [direct({"prefix": "/"}, text)], name="abstract")]
            listeners[0]["additional_addresses"] = [{"address": address(extra)}]
            listeners[0]["tcp_backlog_size"] = 1000 if gone else 500
            listeners[2]["address"] = {"pipe": {"path": unix}}
            listeners[3]["address"] = {"pipe": {"path": abstract}}
            return bootstrap(listeners[:3] if gone else listeners)

        first = self.start(config("first", False))
        any_port = int(re.findall(r"any::127.0.0.1:(\d+)", first.admin("/listeners"))[0])
        second = self.restart(config("second", True))
        for place in (self.port, extra, any_port, unix):
            self.assertEqual([fetch(place).text for _ in range(4)], ["second"] * 4, place)
        first.ended_with(0)
        self.assertEqual(fetch(unix).text, "second")
        self.assertIn("restart: nobody listens at %s any more" % abstract, second.process.log())
        with socket.socket(socket.AF_UNIX) as probe:
            self.assertNotEqual(probe.connect_ex("\0" + abstract[1:]), 0)
        second.process.signal(signal.SIGTERM)
        second.ended_with(0)
        self.assertFalse(os.path.exists(unix))

    def test_session_tickets(self) -> None:
        authority = Authority(self.sandbox)
        listener = http_listener(self.port, [direct({"prefix": "/"}, "hello")])
        over_tls(listener, server_tls(authority.issue("a.example")))
        first = self.start(bootstrap([listener]))
        context = client_context(authority, version=ssl.TLSVersion.TLSv1_2)
        with TlsConnection(self.port, "a.example", context) as connection:
            connection.request()
            session = connection.tls.session
        self.restart(bootstrap([listener]))
        first.ended_with(0)
        with TlsConnection(self.port, "a.example", context, session=session) as connection:
            self.assertEqual(connection.request().status, 200)
            self.assertTrue(connection.tls.session_reused)

    def test_by_signal(self) -> None:
        """SIGUSR2 starts the file that weir was started from, as it is now; the service manager hears who is the main process."""
        notify = self.sandbox.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(notify)
            manager.settimeout(20)
            pid_file = self.sandbox.path("pid")
            first = Weir(self.sandbox, self.hello("first"), environment={"NOTIFY_SOCKET": notify},
                         arguments=["--socket-path", self.path, "--pid-file", pid_file])
            self.assertIn("MAINPID=%d" % first.process.pid, manager.recv(4096).decode())
            good = open(first.config_path, encoding="utf-8").read()
            # With a wrong file nothing changes.
            with open(first.config_path, "w", encoding="utf-8") as file:
                file.write("static_resources: {listener: []}\n")
            first.process.signal(signal.SIGUSR2)
            self.assertIn("RELOADING=1", manager.recv(4096).decode())
            self.assertIn("READY=1", manager.recv(4096).decode())
            wait_until(lambda: "has failed, this one serves on: " in first.process.log(), "told")
            self.assertEqual(fetch(self.port).text, "first")
            with open(first.config_path, "w", encoding="utf-8") as file:
                file.write(good.replace("first", "second"))
            first.process.signal(signal.SIGUSR2)
            self.assertIn("RELOADING=1", manager.recv(4096).decode())
            ready = manager.recv(4096).decode()
            pid = int(re.findall(r"MAINPID=(\d+)", ready)[0])
            self.addCleanup(lambda: os.path.exists("/proc/%d" % pid) and os.kill(pid, signal.SIGKILL))
            self.assertNotEqual(pid, first.process.pid)
            self.assertEqual(fetch(self.port).text, "second")
            first.ended_with(0)
            with open(pid_file, encoding="ascii") as file:
                self.assertEqual(file.read(), "%d\n" % pid)
            os.kill(pid, signal.SIGTERM)
            self.assertIn("STOPPING=1", manager.recv(4096).decode())
            wait_until(lambda: not os.path.exists("/proc/%d/exe" % pid), "it ends")

    def test_published_flags(self) -> None:
        code, output = self.run_weir(self.hello("x"), "--restart-epoch", "1")
        self.assertEqual(code, 1, output)
        self.assertIn("restart: no process waits for a successor at %s_0" % self.path, output)
        first = self.start(self.hello("first"), "--restart-epoch", "1", "--skip-hot-restart-on-no-parent")
        self.assertIn("this one just starts", first.process.log())
        self.assertEqual(first.admin("/hot_restart_version"), "weir.1\n")
        code, output = self.run_weir(self.hello("x"), "--restart-epoch", "3")
        self.assertEqual(code, 1, output)
        self.assertIn("--restart-epoch: 3, but the running process has 0", output)
        fetch(self.port)
        second = self.start(self.hello("second"), "--restart-epoch", "1", "--skip-hot-restart-parent-stats")
        self.assertEqual(fetch(self.port).text, "second")
        second.wait_stat_is("http.ingress.downstream_rq_total", 1)
        first.ended_with(0)
        # The name is taken, and was asked for.
        code, output = self.run_weir(self.hello("x", self.sandbox.free_port()))
        self.assertEqual(code, 3, output)
        self.assertIn("waits for its successor at %s_0" % self.path, output)

    def test_base_ids(self) -> None:
        path = self.sandbox.path("base-id-%d" % self.count)
        first = self.start(self.hello("first"), "--use-dynamic-base-id", "--base-id-path", path)
        with open(path, encoding="ascii") as file:
            number = file.read()
        self.assertTrue(os.path.exists("%s_%s" % (self.path, number)))
        second = self.restart(self.hello("second"), "--base-id", number)
        self.assertEqual(fetch(self.port).text, "second")
        first.ended_with(0)
        second.stop()

    def test_a_second_signal_says_who_has_taken_over(self) -> None:
        _, config = self.echo()
        first = self.start(config)
        with Connection(self.port) as connection:  # the first process waits for it
            self.assertEqual(connection.request().status, 200)
            second = self.restart(config)
            wait_until(lambda: "takes nothing new" in first.process.log(), "it is taken over")
            first.process.signal(signal.SIGUSR2)
            wait_until(lambda: "restart: process %d has taken over already" % second.process.pid in first.process.log(), "told")

    def test_nobody_takes_over_from_one_that_does_not_want_it(self) -> None:
        weir = self.start(self.hello("first"), "--disable-hot-restart")
        self.assertEqual(weir.admin("/hot_restart_version"), "disabled\n")
        self.assertFalse(os.path.exists(self.path + "_0"))
        weir.process.signal(signal.SIGUSR2)
        wait_until(lambda: "restart: --disable-hot-restart" in weir.process.log(), "refused")
        self.assertEqual(fetch(self.port).text, "first")


if __name__ == "__main__":
    main()
