"""A day of one proxy under load, by its operator's hand: deploy, reload, log rotation, overload, drain. Nobody's request
fails, and every step is seen in the statistics and in one line of the log."""

import os
import signal
import urllib.error
from typing import Any

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, file_access_log, http_listener, main, route,
                     to_yaml, wait_until)
from harness.load import Clients, Wrk

INJECTED = "envoy.resource_monitors.injected_resource"
KEEPALIVE = "envoy.overload_actions.disable_http_keepalive"


class DayTest(WeirTestCase):
    def config(self, port: int, echo: EchoUpstream, version: str, pressure: str, log: str) -> dict[str, Any]:
        config = bootstrap([http_listener(port, [route({"prefix": "/"}, "echo", response_headers_to_add=[
            {"header": {"key": "x-version", "value": version}}])], access_log=[file_access_log(log, "%REQ(:METHOD)%\n")])],
            [cluster("echo", echo.port)])
        config["overload_manager"] = {
            "refresh_interval": "0.01s",
            "resource_monitors": [{"name": INJECTED, "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig",
                "filename": pressure}}],
            "actions": [{"name": KEEPALIVE, "triggers": [{"name": INJECTED, "threshold": {"value": 0.9}}]}]}
        return config

    def version(self, port: int) -> str:
        with Connection(port) as connection:
            return connection.request().header("x-version") or ""

    def one_line(self, weir: Weir, text: str) -> None:
        wait_until(lambda: text in weir.process.log(), "a line with %r" % text)
        self.assertEqual(sum(text in line for line in weir.process.log().split("\n")), 1, text)

    def test_a_day(self) -> None:
        echo, port = EchoUpstream(self.sandbox), self.sandbox.free_port()
        restart, log = self.sandbox.path("restart"), self.sandbox.path("access.log")
        pressure = self.sandbox.write("pressure", "0\n")
        arguments = ["--socket-path", restart, "--drain-strategy", "immediate", "--shutdown-deadline-s", "60"]
        weir = Weir(self.sandbox, self.config(port, echo, "1", pressure, log), arguments=arguments)
        clients = Clients(4, lambda: port)
        clients.wait_for(50)

        # Deploy: another process with another configuration.
        before, weir = weir, Weir(self.sandbox, self.config(port, echo, "2", pressure, log), concurrency=1,
                                  arguments=[*arguments, "--restart"])
        before.ended_with(0)
        self.assertEqual(self.version(port), "2")
        self.assertEqual(weir.stat("server.hot_restart_epoch"), 1)
        self.one_line(before, "restart: process %d serves; this one takes nothing new any more" % weir.process.pid)
        self.one_line(before, "drained: all connections have ended")
        self.one_line(weir, "restart: taken over from process %d, epoch 1" % before.process.pid)
        clients.wait_for(50)

        # Reload: the same process, another configuration.
        with open(weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(self.config(port, echo, "3", pressure, log)) + "\n")
        weir.process.signal(signal.SIGHUP)
        weir.wait_stat_is("server.config_reload_success", 1)
        self.assertEqual(self.version(port), "3")
        self.one_line(weir, "configuration reloaded: ")
        clients.wait_for(50)

        # Rotation: the file that was moved away gets no more lines, the new one all.
        os.rename(log, log + ".1")
        weir.process.signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(log) and os.path.getsize(log) > 0, "the new file has lines")
        self.one_line(weir, "log files are reopened")
        self.assertEqual(weir.stat("filesystem.reopen_failed"), 0)
        clients.wait_for(50)

        # Overload: connections end with their responses while it lasts.
        with open(pressure, "w", encoding="ascii") as file:
            file.write("1\n")
        weir.wait_stat("http.ingress.downstream_cx_overload_disable_keepalive", 10)
        self.assertEqual(weir.stat("overload.%s.active" % KEEPALIVE), 1)
        self.one_line(weir, "overload: %s is in force" % KEEPALIVE)
        with open(pressure, "w", encoding="ascii") as file:
            file.write("0\n")
        weir.wait_stat_is("overload.%s.active" % KEEPALIVE, 0)
        self.one_line(weir, "overload: %s is over" % KEEPALIVE)
        clients.wait_for(50)

        # Drain: another proxy has the traffic before this one ends.
        clients.stop()
        self.assertEqual(clients.failures, [])
        weir.wait_stat("http.ingress.downstream_rq_total", clients.answered)
        weir.process.signal(signal.SIGTERM)
        weir.ended_with(0)
        self.one_line(weir, "drained: all connections have ended")


class LoadTest(WeirTestCase):
    """Reload and SIGTERM under load; restart_test.py has the restart."""

    def config(self, port: int, echo: EchoUpstream, version: str) -> dict[str, Any]:
        return bootstrap([http_listener(port, [route({"prefix": "/"}, "echo", response_headers_to_add=[
            {"header": {"key": "x-version", "value": version}}])])], [cluster("echo", echo.port)])

    def test_reload(self) -> None:
        echo, port = EchoUpstream(self.sandbox), self.sandbox.free_port()
        weir = Weir(self.sandbox, self.config(port, echo, "0"))
        kept = Wrk(self.sandbox, port)
        anew = Clients(2, lambda: port, each_anew=True)
        for number in range(1, 6):
            anew.wait_for(20)
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(self.config(port, echo, str(number))) + "\n")
            weir.process.signal(signal.SIGHUP)
            weir.wait_stat_is("server.config_reload_success", number)
        answered, failures = kept.stop()
        anew.stop()
        self.assertEqual((failures, anew.failures), ("", []))
        self.assertGreater(answered, 100)

    def test_sigterm(self) -> None:
        """Two proxies behind a balancer that asks both whether they are ready before every new connection."""
        echo, ports = EchoUpstream(self.sandbox), [self.sandbox.free_port(), self.sandbox.free_port()]
        weirs = [Weir(self.sandbox, self.config(port, echo, "1"), arguments=[
            "--shutdown-delay-s", "3", "--shutdown-deadline-s", "120", "--drain-strategy", "immediate"]) for port in ports]

        def balance() -> int:
            for weir, port in zip(weirs, ports):
                try:
                    if weir.admin("/ready").strip() == "LIVE":
                        return port
                except (OSError, urllib.error.URLError):
                    pass
            raise AssertionError("nobody is ready")

        clients = Clients(8, balance)
        clients.wait_for(200)
        weirs[0].process.signal(signal.SIGTERM)
        weirs[0].ended_with(0, seconds=60)
        clients.wait_for(200)
        clients.stop()
        self.assertEqual(clients.failures, [])
        self.assertIn("drained: all connections have ended", weirs[0].process.log())
        self.assertGreater(weirs[1].stat("http.ingress.downstream_rq_total"), 0)


if __name__ == "__main__":
    main()
