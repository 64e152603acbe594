"""SIGHUP: endpoints, routes and a listener's filters change under load; nobody notices, and nothing is left behind."""

import os
import re
import signal
import socket

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log,
                     http_listener, main, route, to_yaml, wait_until, weir_binary)
from harness.updates import load

# All of the minute that the project promises only when asked: WEIR_FULL=1.
RELOADS = 1000 if os.environ.get("WEIR_FULL") else 120
MUTATION = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"


class ReloadTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.upstreams = [EchoUpstream(cls.sandbox) for _ in range(3)]
        cls.ports = [upstream.port for upstream in cls.upstreams]
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, cls.configuration(0))

    @classmethod
    def configuration(cls, number: int) -> dict:
        """Every reload changes hosts and a route; every fourth the filters, too."""
        ports = cls.ports[:2] if number % 2 == 0 else cls.ports[1:]
        listener = http_listener(cls.port, [
            route({"prefix": "/old" if number % 3 else "/new"}, "echo"),
            route({"prefix": "/"}, "echo")])
        hcm = listener["filter_chains"][0]["filters"][0]["typed_config"]
        hcm["http_filters"].insert(0, {"name": "mark", "typed_config": {"@type": MUTATION, "mutations": {"response_mutations": [
            {"append": {"header": {"key": "x-generation", "value": str(number // 4)}}}]}}})
        return bootstrap([listener], [cluster("echo", *ports)])

    def apply(self, number: int) -> None:
        """Returns when the configuration is the one of this number."""
        done = self.weir.stat("server.config_reload_success")
        path = self.weir.config_path
        with open(path + ".next", "w", encoding="utf-8") as file:
            file.write(to_yaml(self.configuration(number)) + "\n")
        os.rename(path + ".next", path)
        os.kill(self.weir.process.popen.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_success", done + 1)

    def test_changes_under_load_fail_no_request(self) -> None:
        failed = self.weir.stat("server.config_reload_failure")
        with load(self, lambda: self.port, "/hello"):
            for number in range(1, RELOADS + 1):
                self.apply(number)
        self.assertEqual(self.weir.stat("server.config_reload_failure"), failed)
        # One listener, one route table, one cluster, one host set, one runtime; whatever connections pinned has gone.
        self.weir.wait_stat_is("http.ingress.downstream_cx_active", 0)
        self.weir.wait_stat_is("server.config_versions", 5)
        stats = self.weir.stats()
        for gauge in ("http.ingress.downstream_rq_active", "cluster.echo.upstream_rq_active", "cluster.echo.upstream_rq_pending_active"):
            self.assertEqual(stats.get(gauge, 0), 0, gauge)

    def test_a_broken_file_changes_nothing(self) -> None:
        before = self.weir.stat("server.config_reload_failure")
        with open(self.weir.config_path, encoding="utf-8") as file:
            good = file.read()
        with open(self.weir.config_path, "w", encoding="utf-8") as file:
            file.write(good.replace("filter_chains", "filter_chainz"))
        os.kill(self.weir.process.popen.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_failure", before + 1)
        self.assertEqual(fetch(self.port, "/").status, 200)
        self.assertIn("filter_chainz", self.weir.process.log())
        reload = self.weir.admin_json("/server_info")["weir"]["last_reload"]
        self.assertIs(reload["ok"], False)
        self.assertIn("filter_chainz", reload["error"])
        self.assertRegex(reload["at"], r"^\d{4}-\d\d-\d\dT")
        with open(self.weir.config_path, "w", encoding="utf-8") as file:
            file.write(good)
        os.kill(self.weir.process.popen.pid, signal.SIGHUP)
        wait_until(lambda: self.weir.admin_json("/server_info")["weir"]["last_reload"]["ok"], "the good file is applied")


class ReloadOutcomeTest(WeirTestCase):
    """What else a reload may run into, and what becomes of the connections. Each test has a process of its own."""

    def start(self, **hcm: object) -> tuple[Weir, int]:
        port = self.sandbox.free_port()
        return Weir(self.sandbox, self.configuration(port, "one", **hcm)), port

    def configuration(self, port: int, body: str, **hcm: object) -> dict:
        return bootstrap([http_listener(port, [direct({"prefix": "/"}, body)], **hcm)])

    def reload(self, weir: Weir, configuration: dict) -> dict:
        """What /server_info says came of it."""
        before = weir.admin_json("/server_info")["weir"]["last_reload"]
        with open(weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(configuration) + "\n")
        os.kill(weir.process.pid, signal.SIGHUP)

        def other() -> dict:
            last = weir.admin_json("/server_info")["weir"]["last_reload"]
            return last if last != before else {}

        return wait_until(other, "the reload is over")

    def test_a_port_that_is_taken_leaves_all_as_it_was(self) -> None:
        weir, port = self.start()
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen(1)
            other = http_listener(holder.getsockname()[1], [direct({"prefix": "/"}, "other")], name="other")
            configuration = self.configuration(port, "two")
            configuration["static_resources"]["listeners"].append(other)
            outcome = self.reload(weir, configuration)
        self.assertIs(outcome["ok"], False)
        self.assertIn("(pid %d)" % os.getpid(), outcome["error"])
        self.assertEqual(fetch(port).text, "one")
        self.assertIs(self.reload(weir, configuration)["ok"], True)
        self.assertEqual(fetch(port).text, "two")

    def test_a_log_file_that_cannot_be_opened_leaves_all_as_it_was(self) -> None:
        weir, port = self.start()
        outcome = self.reload(weir, self.configuration(port, "two", access_log=[file_access_log("/no/such/dir/a.log")]))
        self.assertIs(outcome["ok"], False)
        self.assertIn("/no/such/dir/a.log", outcome["error"])
        self.assertEqual(fetch(port).text, "one")

    def test_a_signal_that_comes_while_it_loads_is_not_lost(self) -> None:
        """And does not end the process, as it would without a handler. The configuration comes through a FIFO."""
        fifo, address = self.sandbox.path("fifo"), self.sandbox.path("fifo-address")
        os.mkfifo(fifo)
        process = self.sandbox.start([weir_binary(), "-c", fifo, "--admin-address-path", address], "weir")

        def handles_sighup() -> bool:
            with open("/proc/%d/status" % process.pid, encoding="ascii") as file:
                caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt:"))
            return bool(caught >> (signal.SIGHUP - 1) & 1)

        wait_until(handles_sighup, "the handler")
        process.signal(signal.SIGHUP)
        with open(fifo, "w", encoding="utf-8") as file:  # opening waits until weir reads
            file.write(to_yaml(bootstrap([])))
        wait_until(lambda: os.path.exists(address), "the configuration is read")
        # And nobody waits for who may write a second time.
        wait_until(lambda: "fifo: error: cannot be read a second time" in process.log(), "the reload")
        process.signal(signal.SIGUSR2)  # nor does a process that would stay behind
        wait_until(lambda: re.search("restart: .*fifo cannot be read a second time", process.log()), "the restart")
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)

    def test_the_admin_address_changes_at_the_next_start_only(self) -> None:
        weir, port = self.start()
        configuration = self.configuration(port, "two")
        configuration["admin"]["address"]["socket_address"]["port_value"] = self.sandbox.free_port()
        self.assertIs(self.reload(weir, configuration)["ok"], True)
        self.assertEqual(fetch(port).text, "two")
        self.assertIn("admin differs from what is in force: it is read at start only, and needs a restart", weir.process.log())

    def test_gradually_a_connection_is_not_told_at_once(self) -> None:
        weir, port = self.start(server_name="before")
        with Connection(port) as connection:
            connection.request()
            self.reload(weir, self.configuration(port, "two", server_name="after"))
            # Ten minutes are the default: it goes on as if nothing had happened, under its own filter chain.
            for _ in range(10):
                response = connection.request()
                self.assertEqual((response.header("server"), response.header("connection")), ("before", None))
        self.assertEqual(fetch(port).header("server"), "after")

    def test_immediately_it_is_and_at_the_end_of_the_drain_time_it_is_closed(self) -> None:
        echo = EchoUpstream(self.sandbox)
        port = self.sandbox.free_port()

        def configuration(name: str) -> dict:
            return bootstrap([http_listener(port, [route({"prefix": "/"}, "echo", {"timeout": "0s"})], server_name=name)],
                             [cluster("echo", echo.port)])

        weir = Weir(self.sandbox, configuration("before"), arguments=["--drain-strategy", "immediate", "--drain-time-s", "1"])
        with Connection(port) as told, Connection(port) as running:
            told.request()
            running.send_request(headers=[("x-test-gate", "1")])
            wait_until(lambda: len(echo.requests) == 2, "the request is on its way")
            self.reload(weir, configuration("after"))
            response = told.request()
            self.assertEqual((response.header("server"), response.header("connection")), ("before", "close"))
            self.assertTrue(running.closed_within(10))
        echo.gate.set()


class RenameTest(WeirTestCase):
    """Statistics change their names while requests run: what went up under one name goes down under it."""

    GAUGES = ("cluster.%s.upstream_cx_active", "cluster.%s.upstream_rq_active", "cluster.%s.upstream_rq_pending_active",
              "http.%s.downstream_cx_active", "http.%s.downstream_rq_active", "listener.%s.downstream_cx_active")

    def start(self) -> None:
        self.echo = EchoUpstream(self.sandbox)
        self.port = self.sandbox.free_port()
        self.instance = Weir(self.sandbox, self.configuration("before"), arguments=["--shutdown-deadline-s", "20"])

    def configuration(self, name: str) -> dict:
        listener = http_listener(self.port, [route({"prefix": "/"}, "echo")], stat_prefix=name)
        # One connection, so that requests wait for it.
        limits = {"thresholds": [{"max_connections": 1}]}
        return bootstrap([{**listener, "stat_prefix": name}],
                         [cluster("echo", self.echo.port, alt_stat_name=name, circuit_breakers=limits)])

    def rename(self, name: str) -> None:
        reloads = self.instance.stat("server.config_reload_success")
        with open(self.instance.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(self.configuration(name)) + "\n")
        os.kill(self.instance.process.pid, signal.SIGHUP)
        self.instance.wait_stat_is("server.config_reload_success", reloads + 1)

    def test_gauges(self) -> None:
        self.start()
        with Connection(self.port) as running, Connection(self.port) as waiting, Connection(self.port) as idle:
            self.assertEqual(idle.request().status, 200)
            running.send_request(headers=[("x-test-delay", "1")])
            self.instance.wait_stat_is("cluster.before.upstream_rq_active", 1)
            waiting.send_request()
            self.instance.wait_stat("http.before.downstream_rq_total", 3)
            self.rename("after")
            with Connection(self.port) as fresh:
                fresh.send_request()
                for connection in (running, waiting, fresh):
                    response = connection.read_response()
                    # Two workers, one connection: one of them may have been refused.
                    self.assertIn(response.status, (200, 503))
        for gauge in self.GAUGES:
            for name in ("before", "after"):
                if gauge != "cluster.%s.upstream_cx_active":
                    self.instance.wait_stat_is(gauge % name, 0)
        self.instance.wait_stat_is("cluster.before.upstream_cx_active", 0)
        stats = self.instance.stats()
        self.assertIn(stats["cluster.after.upstream_cx_active"], (0, 1))
        self.assertEqual(stats["cluster.after.membership_total"], 1)
        # Nothing refers to the old names any more, so they are gone.
        self.assertEqual([name for name in stats if ".before." in name], [])
        self.rename("before")
        self.assertEqual(fetch(self.port).status, 200)
        self.instance.wait_stat_is("cluster.before.upstream_cx_active", 1)

    def test_a_drain_waits_for_connections_of_the_old_name(self) -> None:
        self.start()
        with Connection(self.port) as connection:
            connection.send_request(headers=[("x-test-delay", "1.5")])
            self.instance.wait_stat_is("cluster.before.upstream_rq_active", 1)
            self.rename("after")
            self.instance.process.signal(signal.SIGTERM)
            self.assertEqual(connection.read_response().status, 200)
        self.assertEqual(self.instance.process.wait(10), 0)


if __name__ == "__main__":
    main()
