"""Where listeners listen, and how: several addresses, abstract sockets, and draining by direction."""

import os
import signal
import socket
from typing import Any

from harness import Connection, Weir, WeirTestCase, address, bootstrap, direct, fetch, http_listener, main, refuses, to_yaml, wait_until


def listener(name: str, port: int, **fields: object) -> dict:
    return {**http_listener(port, [direct({"prefix": "/"}, name)], name=name), **fields}


def inbound(name: str, port: int) -> dict[str, Any]:
    return {**listener(name, port), "traffic_direction": "INBOUND"}


def reload(weir: Weir, *listeners: dict[str, Any]) -> None:
    reloads = weir.stat("server.config_reload_success")
    with open(weir.config_path, "w", encoding="utf-8") as file:
        file.write(to_yaml(bootstrap(list(listeners))) + "\n")
    os.kill(weir.process.popen.pid, signal.SIGHUP)
    weir.wait_stat("server.config_reload_success", reloads + 1)
    weir.settle()


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

    # field: Listener.additional_addresses, listener.v3.AdditionalAddress.address
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

    def test_those_without_a_name(self) -> None:
        """Several may have the same address: port 0 is a port of its own for each."""
        port = self.sandbox.free_port()

        def config(*texts: str) -> dict:
            unnamed = [listener("", 0, filter_chains=listener(text, 0)["filter_chains"]) for text in texts]
            return bootstrap([*unnamed, listener("", port), listener("127.0.0.1:%d" % port, self.sandbox.free_port())])

        weir = Weir(self.sandbox, config("one", "two"))

        def texts() -> set:
            lines = [line for line in weir.admin("/listeners").splitlines() if line.startswith("127.0.0.1:0")]
            return {fetch(int(line.rsplit(":", 1)[1])).text for line in lines}

        self.assertEqual(texts(), {"one", "two"})
        with open(weir.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(config("one", "other", "more")) + "\n")
        weir.admin("/reload", "POST")
        weir.settle()
        self.assertEqual(texts(), {"one", "other", "more"})
        self.assertEqual(weir.stat("listener_manager.total_listeners_active"), 5)

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

    def test_what_comes_behind_them_is_shut(self) -> None:
        """As published: after /drain_listeners no listener opens, whether it is new or moves."""
        ports = {name: self.sandbox.free_port() for name in ("in", "out", "new", "moved", "new_out")}

        weir = Weir(self.sandbox, bootstrap([inbound("in", ports["in"]), listener("out", ports["out"])]))
        weir.admin("/drain_listeners?inboundonly", "POST")
        wait_until(lambda: refuses(ports["in"]), "the inbound one is closed")
        reload(weir, inbound("in", ports["moved"]), listener("out", ports["out"]), inbound("new", ports["new"]),
               listener("new_out", ports["new_out"]), listener("taker", ports["in"]))
        self.assertTrue(refuses(ports["moved"]) and refuses(ports["new"]))
        self.assertEqual(fetch(ports["out"]).text, "out")
        self.assertEqual(fetch(ports["new_out"]).text, "new_out")
        self.assertEqual(fetch(ports["in"]).text, "taker")  # nobody has that port any more
        weir.admin("/drain_listeners", "POST")
        wait_until(lambda: refuses(ports["out"]), "all are closed")
        reload(weir, listener("out", ports["moved"]), listener("more", ports["out"]))
        self.assertTrue(all(refuses(port) for port in ports.values()))
        self.assertIn("listener more accepts no connections", weir.process.log())

    def test_another_direction_opens_or_closes(self) -> None:
        """What counts is the direction that a listener gets; a restart takes over what is open, and nothing else."""
        ports = {name: self.sandbox.free_port() for name in ("moved", "stays", "turns", "new")}
        arguments = ["--socket-path", self.sandbox.path("direction")]
        first = Weir(self.sandbox, bootstrap([inbound("moved", self.sandbox.free_port()), inbound("stays", ports["stays"]),
                                              listener("turns", ports["turns"])]), arguments=arguments)
        first.admin("/drain_listeners?inboundonly", "POST")
        wait_until(lambda: refuses(ports["stays"]), "the inbound ones are closed")
        reload(first, listener("moved", ports["moved"]), listener("stays", ports["stays"]), inbound("turns", ports["turns"]))
        self.assertEqual([fetch(ports[name]).text for name in ("moved", "stays")], ["moved", "stays"])
        self.assertTrue(refuses(ports["turns"]))
        self.assertEqual(first.stat("listener_manager.listener_stopped"), 3)
        self.assertIn("listener turns accepts no connections", first.process.log())
        # Numbers of descriptors that were closed are others' by now.
        after = [listener("moved", ports["moved"]), listener("stays", ports["stays"]), inbound("turns", ports["turns"]),
                 listener("new", ports["new"])]
        reload(first, *after)
        with Connection(ports["stays"]) as one, Connection(ports["moved"]) as other:
            self.assertEqual((one.request().text, other.request().text), ("stays", "moved"))
            second = Weir(self.sandbox, bootstrap(after), arguments=[*arguments, "--restart"])
            for name, port in ports.items():  # that one was not told to close anything
                self.assertEqual([fetch(port).text for _ in range(4)], [name] * 4)
            self.assertIn("has given 7 listening sockets", second.process.log())  # two workers', and the admin's
            self.assertEqual((one.request().text, other.request().text), ("stays", "moved"))
        first.ended_with(0)


class SocketFileTest(WeirTestCase):
    """The file of a Unix socket is there for as long as somebody listens."""

    def test_it_goes_with_its_listener(self) -> None:
        paths = [self.sandbox.path(name) for name in ("stays", "goes", "moves", "moved", "taken")]
        stays, goes, moves, moved, taken = paths

        def at(path: str) -> dict:
            return listener(os.path.basename(path), 0, address={"pipe": {"path": path}})

        weir = Weir(self.sandbox, bootstrap([at(stays), at(goes), at(moves), at(taken)]))
        self.assertEqual([fetch(path).text for path in (stays, goes, moves, taken)], ["stays", "goes", "moves", "taken"])
        with socket.socket(socket.AF_UNIX) as other:
            os.unlink(taken)
            other.bind(taken)  # somebody else's from here on
            # Another name goes on with the socket; another address does not.
            renamed = {**at(stays), "name": "renamed"}
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(bootstrap([renamed, {**at(moves), "address": {"pipe": {"path": moved}}}])) + "\n")
            os.kill(weir.process.popen.pid, signal.SIGHUP)
            weir.wait_stat("server.config_reload_success", 1)
            self.assertEqual([fetch(stays).text, fetch(moved).text], ["stays", "moves"])
            self.assertEqual([path for path in paths if os.path.exists(path)], [stays, moved, taken])
            os.kill(weir.process.pid, signal.SIGTERM)
            self.assertEqual(weir.process.wait(), 0)
            self.assertEqual([path for path in paths if os.path.exists(path)], [taken])


class ConnectionLimitTest(WeirTestCase):
    """envoy.resource_limits.listener.NAME.connection_limit, which is looked at when a connection comes."""

    def test_it_changes_while_connections_are_open(self) -> None:
        key = "envoy.resource_limits.listener.limited.connection_limit"
        ports = [self.sandbox.free_port() for _ in range(2)]
        config = bootstrap([listener("limited", ports[0]), listener("other", ports[1])])
        config["layered_runtime"] = {"layers": [{"name": "static", "static_layer": {key: 3}}, {"name": "admin", "admin_layer": {}}]}
        weir = Weir(self.sandbox, config, concurrency=2)
        overflow = "listener.127.0.0.1_%d.downstream_cx_overflow" % ports[0]

        def serves(port: int = ports[0]) -> bool:
            with Connection(port) as connection:
                return not connection.closed_within(0.3) and connection.request().status == 200

        def limit(value: str) -> None:
            weir.admin("/runtime_modify?%s=%s" % (key, value), "POST")
            weir.settle()

        with Connection(ports[0]) as first, Connection(ports[0]) as second, Connection(ports[0]) as third:
            for connection in (first, second, third):
                self.assertEqual(connection.request().status, 200)
            self.assertFalse(serves())
            self.assertEqual(weir.stat(overflow), 1)
            self.assertTrue(serves(ports[1]))
            limit("4")
            self.assertTrue(serves())
            limit("1")
            self.assertFalse(serves())
            for connection in (first, second, third):  # who is in stays
                self.assertEqual(connection.request().status, 200)
        weir.wait_stat_is("listener.127.0.0.1_%d.downstream_cx_active" % ports[0], 0)
        self.assertTrue(serves())
        limit("0")
        self.assertFalse(serves())
        limit("")  # the layer below
        self.assertTrue(serves())
        self.assertEqual(weir.stat(overflow), 3)
        # Another version of the listener goes on counting.
        with Connection(ports[0]) as first, Connection(ports[0]) as second, Connection(ports[0]) as third:
            for connection in (first, second, third):
                self.assertEqual(connection.request().status, 200)
            config["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"] = 65536
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(config) + "\n")
            os.kill(weir.process.popen.pid, signal.SIGHUP)
            weir.wait_stat("server.config_reload_success", 1)
            self.assertFalse(serves())


class HandedOverTest(WeirTestCase):
    """One listener takes connections for others, which have no socket. Where they were going to a PROXY header says."""

    # field: Listener.use_original_dst, Listener.bind_to_port
    def test_by_the_restored_destination(self) -> None:
        port, free = self.sandbox.free_port(), self.sandbox.free_port()

        def unbound(name: str, host: str, at: int, **fields: object) -> dict:
            return listener(name, at, address=address(at, host), bind_to_port=False, **fields)

        def filter_of(name: str, type_name: str) -> dict:
            return {"name": name, "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener." + type_name}}

        inspected = unbound("inspected", "10.1.1.2", 80, listener_filters=[filter_of("http", "http_inspector.v3.HttpInspector")])
        inspected["filter_chains"][0]["filter_chain_match"] = {"application_protocols": ["http/1.1"]}
        weir = Weir(self.sandbox, bootstrap([
            listener("front", port, use_original_dst=True,
                     listener_filters=[filter_of("proxy", "proxy_protocol.v3.ProxyProtocol")]),
            unbound("exact", "10.1.1.1", 80), unbound("any", "0.0.0.0", free), inspected]))

        def served(destination: str, at: int) -> str:
            with Connection(port) as connection:
                connection.send(b"PROXY TCP4 10.0.0.9 %s 1234 %d\r\n" % (destination.encode(), at))
                return connection.request().text

        self.assertEqual(served("10.1.1.1", 80), "exact")
        self.assertEqual(served("10.7.7.7", free), "any")
        self.assertEqual(served("10.1.1.2", 80), "inspected")
        self.assertEqual(served("10.1.1.3", 80), "front")
        self.assertEqual(served("127.0.0.1", port), "front")
        self.assertTrue(refuses(free))
        weir.settle()
        for name, total in (("10.1.1.1_80", 1), ("0.0.0.0_%d" % free, 1), ("10.1.1.2_80", 1), ("127.0.0.1_%d" % port, 5)):
            self.assertEqual(weir.stat("listener.%s.downstream_cx_total" % name), total)
            weir.wait_stat_is("listener.%s.downstream_cx_active" % name, 0)
            self.assertEqual(weir.stat("listener.%s.downstream_pre_cx_active" % name), 0)


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
