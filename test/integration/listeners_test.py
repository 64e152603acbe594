"""Where listeners listen, and how: several addresses, abstract sockets, and draining by direction."""

import os
import signal
import socket

from harness import (Connection, Weir, WeirTestCase, address, bootstrap, direct, fetch, http_listener, main, to_yaml)


def listener(name: str, port: int, **fields: object) -> dict:
    return {**http_listener(port, [direct({"prefix": "/"}, name)], name=name), **fields}


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class AddressesTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ports = [cls.sandbox.free_port() for _ in range(5)]
        cls.abstract = "weir-test-%d" % os.getpid()
        cls.weir = Weir(cls.sandbox, bootstrap([cls.listener(cls.ports[1])]))

    @classmethod
    def listener(cls, second: int, **fields: object) -> dict:
        return listener("many", cls.ports[0], additional_addresses=[
            {"address": address(second)}, {"address": {"pipe": {"path": "@" + cls.abstract}}}], **fields)

    def reload(self, *listeners: dict) -> None:
        done = self.weir.stat("server.config_reload_success")
        with open(self.weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(bootstrap(list(listeners))) + "\n")
        os.kill(self.weir.process.popen.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_success", done + 1)

    # field: Listener.additional_addresses, AdditionalAddress.address
    def test_all_of_them(self) -> None:
        for port in (self.ports[0], self.ports[1], "\0" + self.abstract):
            self.assertEqual(fetch(port).text, "many", port)
        listed = self.weir.admin("/listeners")
        for text in ("many::127.0.0.1:%d" % self.ports[0], "127.0.0.1:%d" % self.ports[1], "@" + self.abstract):
            self.assertIn(text, listed)
        # One address goes and one comes; connections of the first one do not notice.
        with Connection(self.ports[0]) as connection, Connection(self.ports[1]) as other:
            self.assertEqual((connection.request().text, other.request().text), ("many", "many"))
            self.reload(self.listener(self.ports[2]))
            self.assertTrue(refuses(self.ports[1]))
            for port in (self.ports[0], self.ports[2], "\0" + self.abstract):
                self.assertEqual(fetch(port).text, "many", port)
            self.assertEqual((connection.request().text, other.request().text), ("many", "many"))
        # With another name it goes on with its sockets.
        self.reload(listener("other", self.ports[2], additional_addresses=[{"address": address(self.ports[0])}]))
        for port in (self.ports[0], self.ports[2]):
            self.assertEqual(fetch(port).text, "other", port)

    def test_shut_doors_stay_shut(self) -> None:
        port = self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap([listener("before", port)]))
        self.assertEqual(weir.admin("/drain_listeners", "POST"), "OK\n")
        weir.settle()
        with open(weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(bootstrap([listener("behind", port)])) + "\n")
        os.kill(weir.process.popen.pid, signal.SIGHUP)
        weir.wait_stat("server.config_reload_success", 1)
        weir.settle()
        self.assertTrue(refuses(port))
        self.assertEqual(weir.stat("server.live"), 1)


class InboundTest(WeirTestCase):
    # field: Listener.traffic_direction
    def test_only_inbound_listeners_drain(self) -> None:
        ports = [self.sandbox.free_port() for _ in range(3)]
        weir = Weir(self.sandbox, bootstrap([
            listener("in", ports[0], traffic_direction="INBOUND"), listener("out", ports[1], traffic_direction="OUTBOUND"),
            listener("any", ports[2])]), arguments=["--drain-time-s", "600", "--drain-strategy", "immediate"])
        with Connection(ports[0]) as inbound, Connection(ports[1]) as outbound:
            inbound.request(), outbound.request()
            self.assertEqual(weir.admin("/drain_listeners?inboundonly&graceful&skip_exit", "POST"), "OK\n")
            weir.settle()
            self.assertEqual(inbound.request().header("connection"), "close")
            self.assertIsNone(outbound.request().header("connection"))
            self.assertEqual(fetch(ports[0]).header("connection"), "close")  # also who comes later
        self.assertEqual(weir.admin("/drain_listeners?inboundonly", "POST"), "OK\n")
        weir.settle()
        self.assertTrue(refuses(ports[0]))
        self.assertEqual((fetch(ports[1]).text, fetch(ports[2]).text), ("out", "any"))


if __name__ == "__main__":
    main()
