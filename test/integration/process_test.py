"""The process and its surroundings: another user, the file with its number, the protocols of service managers."""

import os
import signal
import socket
import sys
import time
import unittest

from harness import (Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log, http_listener, main, wait_line, wait_until,
                     weir_binary)
from harness.udp import UdpClient, UdpServer, udp_listener

# Opens what it is told, as a service manager does, and becomes the program.
ACTIVATE = """
import os, socket, sys
for number, port in enumerate(sys.argv[1].split(",")):
    if port.startswith("udp:"):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("0.0.0.0", int(port[4:])))
    else:
        listener = socket.create_server(("127.0.0.1", int(port)))
    os.dup2(listener.detach(), 10 + number)
for number in range(len(sys.argv[1].split(","))):
    os.dup2(10 + number, 3 + number)
    os.set_inheritable(3 + number, True)
    os.close(10 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sys.argv[1].split(","))))
os.execv(sys.argv[2], sys.argv[2:])
"""


class ProcessTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.port = cls.sandbox.free_port()

    def hello(self, port: int, text: str = "hello") -> dict:
        return bootstrap([http_listener(port, [direct({"prefix": "/"}, text)])])

    def test_sockets_of_a_service_manager(self) -> None:
        port, unused = self.sandbox.free_port(), self.sandbox.free_port()
        weir = Weir(self.sandbox, self.hello(port), through=[sys.executable, "-c", ACTIVATE, "%d,%d" % (port, unused)])
        # The port cannot be bound beside that socket, so it is the one that serves. Both workers do.
        self.assertEqual([fetch(port).text for _ in range(20)], ["hello"] * 20)
        self.assertIn("the service manager listens at 127.0.0.1:%d, and no listener of the configuration does" % unused,
                      weir.process.log())
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(("127.0.0.1", unused)), 0)
        # It stays over a reload.
        weir.admin("/reload", "POST")
        self.assertEqual(fetch(port).text, "hello")
        weir.stop()

    def test_datagrams_of_a_service_manager(self) -> None:
        port, unused, log = self.sandbox.free_port(), self.sandbox.free_port(), self.sandbox.path("udp.log")
        server = UdpServer(self.sandbox, "s")
        weir = Weir(self.sandbox, bootstrap([udp_listener(
            port, "one", host="0.0.0.0", idle_timeout="0.2s", access_log=[file_access_log(log, "at %DOWNSTREAM_LOCAL_ADDRESS%\n")])],
            [cluster("one", server.port)]), through=[sys.executable, "-c", ACTIVATE, "udp:%d,udp:%d" % (port, unused)])
        for host in ("127.0.0.1", "127.0.0.2"):
            with UdpClient(port, host) as client:  # hears that address alone
                self.assertEqual(client.ask(b"x"), b"s x")
            self.assertEqual(wait_line(log, "at " + host), "at %s:%d" % (host, port))
        self.assertIn("listens at UDP 0.0.0.0:%d, and no listener" % unused, weir.process.log())
        # The port is bound once, by somebody who lets nobody else have it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self.assertRaises(OSError, probe.bind, ("127.0.0.1", port))
        weir.stop()

    def test_a_service_manager_is_told(self) -> None:
        path = self.sandbox.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(20)

            def told() -> list[str]:
                while True:
                    lines = manager.recv(4096).decode().split("\n")
                    if lines != ["WATCHDOG=1"]:
                        return lines

            port = self.sandbox.free_port()
            weir = Weir(self.sandbox, self.hello(port), environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
            self.assertEqual(told(), ["READY=1", "STATUS=serving 1 listeners", "MAINPID=%d" % weir.process.pid])
            os.kill(weir.process.pid, signal.SIGHUP)
            first = told()
            self.assertEqual(first[0], "RELOADING=1")
            self.assertLess(abs(int(first[1].partition("MONOTONIC_USEC=")[2]) / 1e6 - time.monotonic()), 20)
            self.assertEqual(told()[:2], ["READY=1", "STATUS=serving"])
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write("nonsense: 1\n")
            os.kill(weir.process.pid, signal.SIGHUP)
            self.assertEqual(told()[0], "RELOADING=1")
            self.assertIn("the new one is wrong", told()[1])
            self.assertEqual([manager.recv(4096) for _ in range(3)], [b"WATCHDOG=1"] * 3)
            os.kill(weir.process.pid, signal.SIGTERM)
            self.assertEqual(told()[0], "STOPPING=1")
            weir.ended_with(0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_another_user(self) -> None:
        port = self.sandbox.free_port()
        os.chmod(self.sandbox.dir, 0o755)
        weir = Weir(self.sandbox, self.hello(port), arguments=["--user", "nobody", "--group", "nogroup"])
        self.assertEqual(fetch(port).text, "hello")
        ids: dict[str, set[str]] = {}
        for thread in os.listdir("/proc/%d/task" % weir.process.pid):
            with open("/proc/%d/task/%s/status" % (weir.process.pid, thread), encoding="ascii") as file:
                for line in file:
                    name, _, rest = line.partition(":")
                    ids.setdefault(name, set()).update(rest.split())
        self.assertEqual((ids["Uid"], ids["Gid"], ids["Groups"]), ({"65534"}, {"65534"}, {"65534"}))
        weir.admin("/reload", "POST")  # the file may be read by all
        weir.stop()

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_log_files_are_the_other_users(self) -> None:
        """Who opens them again after a rotation, and so do its successors; files that were somebody's before stay theirs."""
        os.chmod(self.sandbox.dir, 0o755)
        lines, log = self.sandbox.path("user.access.log"), self.sandbox.path("user.weir.log")
        port = self.sandbox.free_port()
        config = bootstrap([http_listener(port, [direct({"prefix": "/"}, "hello")], access_log=[file_access_log(lines)])])
        weir = Weir(self.sandbox, config, arguments=["--user", "nobody", "--group", "nogroup", "--log-path", log])
        self.assertEqual({os.stat(path).st_uid for path in (lines, log)}, {65534})
        weir.admin("/reopen_logs", "POST")
        wait_until(lambda: "log files are reopened" in open(log, encoding="utf-8").read(), "the log is reopened")
        self.assertEqual(fetch(port).text, "hello")
        self.assertEqual(weir.stat("filesystem.reopen_failed"), 0)
        self.assertNotIn("cannot open", open(log, encoding="utf-8").read())
        weir.stop()

    def test_a_user_that_is_none(self) -> None:
        process = self.sandbox.start([weir_binary(), "--config-yaml", "{}", "--user", "nobody-of-this-name"], "weir")
        self.assertEqual(process.wait(20), 2)
        self.assertIn('--user: there is no user "nobody-of-this-name"', process.log())

    def test_the_file_with_the_number(self) -> None:
        path = self.sandbox.path("weir.pid")
        weir = Weir(self.sandbox, self.hello(self.sandbox.free_port()), arguments=["--pid-file", path])
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "%d\n" % weir.process.pid)
        weir.stop()
        self.assertFalse(os.path.exists(path))
        # Another process has written its own: that one stays.
        weir = Weir(self.sandbox, self.hello(self.sandbox.free_port()), arguments=["--pid-file", path])
        with open(path, "w", encoding="ascii") as file:
            file.write("1\n")
        weir.stop()
        self.assertTrue(os.path.exists(path))


if __name__ == "__main__":
    main()
