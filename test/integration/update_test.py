"""Changing the configuration in force: POST /reload, what drains and what does not."""

import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from random import Random
from typing import Any

from harness import (Connection, EchoUpstream, ScriptedUpstream, bootstrap, cluster, direct, fetch, http_listener, main, over_tls,
                     refuses, route, to_yaml, wait_until)
from harness.config import Config, address, server_tls, trusts
from harness.tls import Authority, TlsConnection, client_context
from harness.updates import UpdateTestCase

FULL = bool(os.environ.get("WEIR_FULL"))


class ReloadEndpointTest(UpdateTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)

    def setUp(self) -> None:
        self.port = self.sandbox.free_port()
        self.start(bootstrap([http_listener(self.port, [direct({"prefix": "/text"}, "one\n"), route({"prefix": "/"}, "echo")])],
                             [cluster("echo", self.echo.port)]), "--drain-strategy", "immediate")

    def test_a_route_changes_and_nothing_drains(self) -> None:
        with Connection(self.port) as connection:
            self.assertEqual(connection.request(path="/text").text, "one\n")
            self.hcm()["route_config"]["virtual_hosts"][0]["routes"][0]["direct_response"]["body"]["inline_string"] = "two\n"
            answer = self.reload()
            self.assertTrue(answer["applied"])
            self.assert_changes(answer, [("routes", "http/any (routes)", "changed")])
            self.assertEqual(answer["changes"][0]["fields"], [
                {"path": "virtual_hosts[0].routes[0].direct_response.body.inline_string", "before": '"one\\n"', "after": '"two\\n"'}])
            self.assertFalse(answer["drains"])
            response = connection.request(path="/text")
            self.assertEqual((response.text, response.header("connection")), ("two\n", None))
        self.weir.wait_stat("server.config_versions", 4)
        self.assertEqual(self.weir.stat("listener_manager.listener_modified"), 0)

    def test_a_filter_changes_and_its_chain_drains_as_diff_says(self) -> None:
        before = self.weir.config_path + ".before"
        with open(before, "w", encoding="utf-8") as file:
            file.write(to_yaml(self.config) + "\n")
        with Connection(self.port) as connection:
            connection.request(path="/text")
            self.hcm()["server_name"] = "other"
            answer = self.reload()
            self.assert_changes(answer, [("listener", "http", "changed")])
            self.assertEqual(answer["changes"][0]["drains"], ["chain 0"])
            self.assertTrue(answer["drains"])
            # The answer to the reload does not wait for the workers.
            wait_until(lambda: connection.request(path="/text").header("connection") == "close", "the chain drains")
        self.assertEqual(fetch(self.port, "/text").header("server"), "other")
        self.assertEqual(self.weir.stat("listener_manager.listener_in_place_updated"), 1)

    def test_a_dry_run_only_says(self) -> None:
        self.hcm()["server_name"] = "other"
        self.config["static_resources"]["clusters"][0]["connect_timeout"] = "3s"
        answer = self.reload("&dry_run")
        self.assertEqual((answer["ok"], answer["applied"]), (True, False))
        self.assert_changes(answer, [("listener", "http", "changed"), ("cluster", "echo", "changed")])
        self.assertEqual(fetch(self.port, "/text").header("server"), "weir")
        self.assertEqual(self.weir.stat("server.config_reload_success"), 0)
        text = self.post("/reload?dry_run")[1]
        # Who asks for that in other words does not get the opposite.
        self.assertEqual(self.post("/reload?dry-run"), (400, 'unknown parameter "dry-run"; /reload takes dry_run, format\n'))
        self.assertIn("chain 0 drains its connections", text)
        self.assertIn("connect_timeout: 2s -> 3s", text)
        self.assertIn("dry run, nothing was changed", text)

    def test_what_needs_a_restart_is_told_field_by_field(self) -> None:
        self.config["node"] = {"id": "another"}
        self.reload()
        self.assertIn("node: + {id: another}", self.post("/reload")[1])

    def test_a_bad_file_changes_nothing_and_says_why(self) -> None:
        version = self.weir.admin_json("/server_info")["weir"]["config"]["version"]
        self.hcm()["stat_prefx"] = "x"
        self.hcm()["server_name"] = "other"
        answer = self.reload()
        self.assertEqual((answer["ok"], answer["applied"], answer["version"]), (False, False, version))
        finding = answer["findings"][0]
        self.assertEqual(finding["severity"], "error")
        self.assertIn("stat_prefx", finding["path"])
        self.assertGreater(finding["line"], 1)
        status, text = self.post("/reload")
        self.assertEqual(status, 400)
        self.assertIn("did you mean stat_prefix?", text)
        self.assertIn("nothing was changed", text)
        self.assertEqual(fetch(self.port, "/text").header("server"), "weir")
        info = self.weir.admin_json("/server_info")["weir"]
        self.assertEqual((info["config"]["reloads"], info["config"]["failed_reloads"]), (0, 2))
        self.assertFalse(info["last_reload"]["ok"])
        self.assertIn("did you mean stat_prefix?", info["last_reload"]["error"])
        stats = self.weir.stats()
        self.assertEqual((stats["server.config_reload_success"], stats["server.config_reload_failure"]), (0, 2))
        del self.hcm()["stat_prefx"]
        answer = self.reload()
        self.assertTrue(answer["applied"])
        self.assertNotEqual(answer["version"], version)
        info = self.weir.admin_json("/server_info")["weir"]
        self.assertTrue(info["last_reload"]["ok"])
        self.assertEqual(info["config"]["version"], answer["version"])
        self.assertEqual(self.weir.stat("server.config_version"), int(answer["version"], 16))
        self.assertLess(abs(self.weir.stat("server.config_update_time") / 1000 - time.time()), 60)

    def test_reload_wants_post(self) -> None:
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.weir.admin("/reload")
        self.assertEqual(caught.exception.code, 405)
        self.assertEqual(self.post("/reload?format=xml")[0], 400)

    def test_nothing_changed(self) -> None:
        answer = self.reload()
        self.assertEqual((answer["ok"], answer["changes"]), (True, []))
        self.assertIn("a reload changes nothing", self.post("/reload?dry_run")[1])

    def test_what_only_a_start_reads_is_said(self) -> None:
        other = self.sandbox.free_port()
        self.config["admin"]["address"] = address(other)
        self.config["node"] = {"id": "n1"}
        answer = self.reload()
        self.assertTrue(answer["applied"])
        self.assert_changes(answer, [("bootstrap", "admin", "changed"), ("bootstrap", "node", "added")])
        self.assertIn("needs a restart", answer["changes"][0]["effect"])
        self.assertIn("admin differs from what is in force", self.weir.process.log())
        self.assertEqual(self.weir.admin_json("/server_info")["node"]["id"], "")  # what is in force
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(("127.0.0.1", other)), 0)
        # It goes on being said.
        self.assert_changes(self.reload(), [("bootstrap", "admin", "changed"), ("bootstrap", "node", "added")])

    def test_warnings_are_not_repeated_with_every_reload(self) -> None:
        self.config["static_resources"]["clusters"].append(cluster("spare", self.echo.port))
        self.write()
        os.kill(self.weir.process.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_success", 1)
        wait_until(lambda: self.weir.process.log().count("nothing in this file names cluster spare") == 1, "the warning is said")
        self.config["static_resources"]["clusters"][0]["connect_timeout"] = "3s"
        self.write()
        os.kill(self.weir.process.pid, signal.SIGHUP)
        self.weir.wait_stat("server.config_reload_success", 2)
        self.assertEqual(self.weir.process.log().count("nothing in this file names cluster spare"), 1)


class DrainingChainTest(UpdateTestCase):
    """A chain is its filters and its routes together, until the last connection of it has gone."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)

    def test_it_keeps_its_routes_and_their_clusters(self) -> None:
        port = self.sandbox.free_port()
        self.start(bootstrap([http_listener(port, [direct({"prefix": "/text"}, "one"), route({"prefix": "/"}, "echo")])],
                             [cluster("echo", self.echo.port)]))
        before = to_yaml(self.config)
        versions = self.weir.stat("server.config_versions")
        with Connection(port) as first, Connection(port) as second:
            for connection in (first, second):
                self.assertEqual(connection.request(path="/text").text, "one")
            for number in ("two", "three", "two"):
                self.config["static_resources"]["clusters"] = [cluster(number, self.echo.port)]
                self.hcm()["server_name"] = number
                self.hcm()["route_config"]["virtual_hosts"][0]["routes"] = [
                    direct({"prefix": "/text"}, number), direct({"prefix": "/admin"}, number), route({"prefix": "/"}, number)]
                self.assertTrue(self.reload()["drains"])
                self.assertEqual(fetch(port, "/text").text, number)
                for connection in (first, second):
                    self.assertEqual(connection.request(path="/text").text, "one")
                    self.assertEqual(connection.request(path="/admin").status, 200)
                    self.assertIn("/admin", connection.request(path="/admin").text)
            # The routes alone change: that chain does not drain, and the older one does not notice.
            with Connection(port) as third:
                self.assertEqual(third.request(path="/text").text, "two")
                self.hcm()["route_config"]["virtual_hosts"][0]["routes"][0] = direct({"prefix": "/text"}, "four")
                self.assertFalse(self.reload()["drains"])
                self.assertEqual([one.request(path="/text").text for one in (first, third)], ["one", "four"])
        # Nobody is left who asks for the older ones.
        self.weir.wait_stat_is("server.config_versions", versions)
        with open(self.weir.config_path, "w", encoding="utf-8") as file:
            file.write(before + "\n")
        self.post("/reload")
        wait_until(lambda: fetch(port, "/text").text == "one", "every worker has it")
        self.assertEqual(fetch(port, "/").status, 200)
        self.weir.wait_stat_is("server.config_versions", versions)

    def test_random_reloads(self) -> None:
        """Each connection is answered from the routes of its version of the chain, as they were last."""
        random = Random(7)
        ports = [self.sandbox.free_port() for _ in range(2)]
        chains, texts = [0, 0], ["t0", "t0"]
        count = 0

        def config() -> Config:
            listeners = [http_listener(port, [direct({"prefix": "/text"}, text), route({"prefix": "/"}, "c-" + text)],
                                       name=name, server_name="s%d" % chain)
                         for port, text, chain, name in zip(ports, texts, chains, ("a", "a/b"))]
            for listener, chain in zip(listeners, ("b/c", "c")):
                listener["filter_chains"][0]["name"] = chain
            return bootstrap(listeners, [cluster("c-" + text, self.echo.port) for text in sorted(set(texts))])

        self.start(config())
        versions = self.weir.stat("server.config_versions")
        said: dict[tuple[int, int], str] = {}  # last, by listener and version of its chain
        connections: list[tuple[int, int, Connection]] = []
        for number in range(60):
            one = random.randrange(2)
            chain = chains[one]
            if random.random() < 0.45:
                chains[one] = random.choice([0, 1, number])
            if chains[one] == chain or random.random() < 0.5:
                count += 1
                texts[one] = "t%d" % count
            for listener in range(2):
                said[listener, chains[listener]] = texts[listener]
            self.config = config()
            self.reload()
            connections.append((one, chains[one], Connection(ports[one])))
            for entry in list(connections):
                listener, chain, connection = entry
                response = connection.request(path="/text")
                self.assertEqual(response.text, said[listener, chain], number)
                closes = response.header("connection") == "close"
                if not closes:
                    response = connection.request()
                    self.assertEqual(response.status, 200, number)
                    closes = response.header("connection") == "close"
                if closes or random.random() < 0.1:
                    connection.close()
                    connections.remove(entry)
        for _, _, connection in connections:
            connection.close()
        self.weir.wait_stat("server.config_versions", 1)
        wait_until(lambda: self.weir.stat("server.config_versions") <= versions + 2, "nobody asks for older ones")

    def test_a_listener_that_goes_with_its_cluster(self) -> None:
        port = self.sandbox.free_port()
        self.start(bootstrap([http_listener(port, [route({"prefix": "/"}, "echo")])], [cluster("echo", self.echo.port)]))
        with Connection(port) as connection:
            self.assertEqual(connection.request().status, 200)
            self.config["static_resources"] = {}
            self.reload()
            self.assertEqual(connection.request().status, 200)
            # It comes again while it lingers.
            self.config["static_resources"] = bootstrap([], [cluster("echo", self.echo.port)])["static_resources"]
            self.reload()
        wait_until(lambda: self.weir.stat("listener_manager.total_listeners_active") == 0, "the listener is gone")
        self.config["static_resources"]["listeners"] = [http_listener(port, [route({"prefix": "/"}, "echo")])]
        self.reload()
        self.assertEqual(fetch(port).status, 200)


class WaitingTest(UpdateTestCase):
    """A reload that comes while a listener waits for a name server that does not answer."""

    def setUp(self) -> None:
        # Nobody reads there: questions wait.
        self.silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.silent.bind(("127.0.0.1", 0))
        self.addCleanup(self.silent.close)
        self.ports = [self.sandbox.free_port() for _ in range(2)]

    def of(self, *listeners: tuple[str, int, str, bool]) -> Config:
        """Listeners of a name, a port, a text, and whether they wait."""
        clusters = []
        if any(waits for _, _, _, waits in listeners):
            name = "slow%d.invalid" % len(self.sandbox.dir)
            clusters.append({"name": "slow", "type": "STRICT_DNS", "connect_timeout": "1s", "load_assignment": {
                "cluster_name": "slow", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(80, name)}}]}]},
                "typed_dns_resolver_config": {"name": "cares", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                    "resolvers": [address(self.silent.getsockname()[1])]}}})
        return bootstrap([http_listener(port, ([route({"prefix": "/slow"}, "slow")] if waits else []) + [direct({"prefix": "/"}, text)],
                                        name=name) for name, port, text, waits in listeners], clusters)

    def check(self, *steps: list[tuple[str, int, str, bool]]) -> None:
        """Through all of them at once; what serves is what the last one says that does not wait, at once and later on."""
        self.start(self.of(*steps[0]), "--drain-time-s", "1")
        for step in steps[1:]:
            self.config = self.of(*step)
            self.write()
            self.assertEqual(self.post("/reload")[0], 200)
        expected = {port: text for _, port, text, _ in steps[-1]}
        for late in (False, True):
            if late:
                time.sleep(2.5)  # longer than the drain, and the look behind it
            for port in self.ports:
                if port in expected:
                    wait_until(lambda: fetch(port).text == expected[port], "the last configuration")
                else:
                    wait_until(lambda: refuses(port), "nobody listens there")
        self.assertEqual(self.weir.stat("listener_manager.total_listeners_warming"), 0)
        self.assertEqual(self.weir.stat("listener_manager.total_listeners_active"), len(steps[-1]))

    def test_the_answer_says_who_waits(self) -> None:
        one, two = self.ports
        self.start(self.of(("a", one, "v0", False), ("b", two, "v0", False)))
        self.config = self.of(("a", one, "v1", True), ("b", two, "v1", False))
        self.write()
        status, text = self.post("/reload")
        self.assertEqual(status, 200)
        self.assertIn("\nlistener a serves as before for up to 7 s, until there is something to reach in: slow\n", text)
        self.assertEqual((fetch(one).text, fetch(two).text), ("v0", "v1"))
        self.assertIn("listener a serves as before for up to 7 s", self.weir.process.log())
        status, text = self.post("/reload?format=json")
        self.assertEqual(json.loads(text)["waiting"], [{"listener": "a", "clusters": ["slow"]}])

    def test_it_is_taken_back(self) -> None:
        one = self.ports[0]
        self.check([("a", one, "v0", False)], [("a", one, "v1", True)], [("a", one, "v2", False)])

    def test_another_name_and_back(self) -> None:
        one = self.ports[0]
        self.check([("a", one, "v0", False)], [("b", one, "v1", True)], [("a", one, "v2", False)])

    def test_another_name_and_another(self) -> None:
        one = self.ports[0]
        self.check([("a", one, "v0", False)], [("b", one, "v1", True)], [("c", one, "v2", False)])

    def test_another_name_and_gone(self) -> None:
        one, two = self.ports
        self.check([("a", one, "v0", False), ("z", two, "z", False)], [("b", one, "v1", True), ("z", two, "z", False)],
                   [("z", two, "z2", False)])

    def test_addresses_change_places_and_back(self) -> None:
        one, two = self.ports
        self.check([("a", one, "a0", False), ("b", two, "b0", False)], [("a", two, "a1", True), ("b", one, "b1", False)],
                   [("a", one, "a2", False), ("b", two, "b2", False)])

    def test_addresses_change_places_together(self) -> None:
        one, two = self.ports
        self.start(self.of(("a", one, "a0", False), ("b", two, "b0", False)))
        self.config = self.of(("a", two, "a1", True), ("b", one, "b1", False))
        self.write()
        self.assertEqual(self.post("/reload")[0], 200)
        for _ in range(8):  # as they were, the one that does not wait as well
            self.assertEqual((fetch(one).text, fetch(two).text), ("a0", "b0"))
        wait_until(lambda: (fetch(one).text, fetch(two).text) == ("b1", "a1"), "the new places", 12)

    def test_one_that_is_new_comes_and_goes_and_comes(self) -> None:
        one, two = self.ports
        a = ("a", one, "v0", False)
        self.check([a], [a, ("b", two, "v1", True)], [a], [a, ("b", two, "v3", False)])

    def test_at_a_start(self) -> None:
        one = self.ports[0]
        self.check([("a", one, "v0", True)], [("b", one, "v1", False)])


class NamesTest(UpdateTestCase):
    """Names with slashes, as those of resources of Kubernetes, tell things apart as others do."""

    def test_listeners_and_chains(self) -> None:
        ports = [self.sandbox.free_port() for _ in range(2)]
        listeners = [http_listener(port, [direct({"prefix": "/"}, name)], name=name) for port, name in zip(ports, ("a", "a/b"))]
        for listener, chain in zip(listeners, ("b/c", "c")):
            listener["filter_chains"][0]["name"] = chain
        self.start(bootstrap(listeners))
        self.assertEqual([fetch(port).text for port in ports], ["a", "a/b"])
        # One changes, and goes; the other one stays.
        self.hcm()["route_config"]["virtual_hosts"][0]["routes"] = [direct({"prefix": "/"}, "other")]
        self.reload()
        self.assertEqual([fetch(port).text for port in ports], ["other", "a/b"])
        del self.config["static_resources"]["listeners"][0]
        self.reload()
        self.assertEqual(fetch(ports[1]).text, "a/b")

    def test_transport_sockets(self) -> None:
        ca = Authority(self.sandbox)
        ports = [self.sandbox.free_port() for _ in range(2)]
        wanted = {"require_client_certificate": True}
        listeners = [over_tls(http_listener(port, [direct({"prefix": "/"}, name)], name=name), socket)
                     for port, name, socket in zip(ports, ("a", "a/b"), (
                         server_tls(ca.issue("a.example"), common=trusts(ca), **wanted), server_tls(ca.issue("a.example"))))]
        for listener, chain in zip(listeners, ("b/c", "c")):
            listener["filter_chains"][0]["name"] = chain
        self.start(bootstrap(listeners))

        def served(port: int) -> bool:
            try:
                with TlsConnection(port, "a.example", client_context(ca)) as connection:
                    return connection.request().status == 200
            except OSError:
                return False

        self.assertEqual([served(port) for port in ports], [False, True])
        self.config["static_resources"]["listeners"].reverse()
        self.reload()
        self.assertEqual([served(port) for port in ports], [False, True])
        del self.config["static_resources"]["listeners"][1]
        self.reload()
        self.assertTrue(served(ports[1]))


class ListenerChangesTest(UpdateTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)

    def setUp(self) -> None:
        self.port = self.sandbox.free_port()
        self.start(bootstrap([http_listener(self.port, [route({"prefix": "/"}, "echo")])], [cluster("echo", self.echo.port)]))

    def test_another_name_under_load(self) -> None:
        """The sockets are handed over: no connection that waits in them is lost."""
        with self.load(lambda: self.port):
            for number in range(40 if FULL else 10):
                self.listener()["name"] = "http%d" % number
                answer = self.reload()
                self.assertTrue(answer["applied"], answer)
        self.assertEqual(self.weir.stat("listener_manager.total_listeners_active"), 1)
        self.assertEqual(fetch(self.port).status, 200)

    def test_another_name_without_reuse_port(self) -> None:
        self.port = self.sandbox.free_port()
        listener = http_listener(self.port, [route({"prefix": "/"}, "echo")])
        listener["enable_reuse_port"] = False
        self.start(bootstrap([listener], [cluster("echo", self.echo.port)]))
        for number in range(5):
            self.listener()["name"] = "http%d" % number
            answer = self.reload()
            self.assertTrue(answer["applied"], answer)
            self.assertEqual(fetch(self.port).status, 200)

    def test_a_socket_that_holds_its_address_stays(self) -> None:
        self.listener()["enable_reuse_port"] = False
        self.write()
        self.assertIn(": the options of its socket", self.post("/reload?dry_run")[1])
        status, text = self.post("/reload")
        self.assertEqual(status, 400, text)
        self.assertIn("the options of its socket (enable_reuse_port, tcp_backlog_size and the like) cannot change", text)
        self.assertEqual(fetch(self.port).status, 200)
        self.listener()["address"] = address(self.sandbox.free_port())
        self.assertTrue(self.reload()["applied"])

    def test_another_address(self) -> None:
        other = self.sandbox.free_port()
        with Connection(self.port) as connection:
            self.assertEqual(connection.request().status, 200)
            self.listener()["address"] = address(other)
            answer = self.reload()
            self.assertIn("listens on 127.0.0.1:%d anew" % other, answer["changes"][0]["effect"])
            self.assertEqual(answer["changes"][0]["drains"], ["chain 0"])
            self.assertEqual(fetch(other).status, 200)
            # Who came in where nobody listens any more is served until it has drained.
            self.assertEqual(connection.request().status, 200)
        with socket.socket() as probe:
            wait_until(lambda: probe.connect_ex(("127.0.0.1", self.port)) != 0, "the old address is closed")

    def test_an_address_that_is_taken_changes_nothing(self) -> None:
        free = self.sandbox.free_port()
        self.config["static_resources"]["listeners"].append(http_listener(free, [route({"prefix": "/"}, "new")], name="second"))
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen(1)
            taken = http_listener(holder.getsockname()[1], [route({"prefix": "/"}, "new")], name="third")
            self.config["static_resources"]["listeners"].append(taken)
            self.config["static_resources"]["clusters"] = [cluster("echo", self.echo.port), cluster("new", self.echo.port)]
            self.hcm()["server_name"] = "other"
            answer = self.reload()
        self.assertFalse(answer["ok"])
        self.assertIn("listener third: cannot bind", answer["error"])
        self.assertEqual(fetch(self.port).header("server"), "weir")
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(("127.0.0.1", free)), 0)
        stats = self.weir.stats()
        self.assertEqual(stats["cluster_manager.active_clusters"], 1)
        self.assertEqual(stats["listener_manager.total_listeners_active"], 1)
        self.assertNotIn("cluster.new.membership_total", stats)
        self.assertEqual(len(self.weir.admin_json("/config_dump?resource=static_listeners")["configs"]), 1)

    def test_stat_prefix(self) -> None:
        with Connection(self.port) as connection:
            connection.request()
            self.listener()["stat_prefix"] = "front"
            self.assertEqual(self.reload()["changes"][0]["drains"], [])
            connection.request()
            fetch(self.port)
            stats = self.weir.stats()
            self.assertEqual(stats["listener.front.downstream_cx_total"], 1)
            self.assertEqual(stats["listener.127.0.0.1_%d.downstream_cx_active" % self.port], 1)
        wait_until(lambda: "listener.127.0.0.1_%d.downstream_cx_active" % self.port not in self.weir.stats(),
                   "the old statistics go with their last connection")

    def test_a_listener_goes(self) -> None:
        with Connection(self.port) as connection:
            connection.request()
            self.config["static_resources"]["listeners"] = [http_listener(self.sandbox.free_port(), [route({"prefix": "/"}, "echo")],
                                                                          name="other")]
            answer = self.reload()
            self.assert_changes(answer, [("listener", "http", "removed"), ("listener", "other", "added")])
            self.assertEqual(answer["changes"][0]["drains"], ["chain 0"])
            # Gradually: who is connected is served until its turn has come.
            self.assertEqual(connection.request().status, 200)


class ClusterChangesTest(UpdateTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)

    def test_a_cluster_goes_with_a_request_in_flight(self) -> None:
        asked, answer_now = threading.Event(), threading.Event()

        def slow(connection: Any) -> None:
            connection.read_request()
            asked.set()
            answer_now.wait(10)
            connection.respond(200, b"late")

        upstream = ScriptedUpstream(self.sandbox, slow)
        port = self.sandbox.free_port()
        self.start(bootstrap([http_listener(port, [route({"prefix": "/slow"}, "slow"), route({"prefix": "/"}, "echo")])],
                             [cluster("echo", self.echo.port), cluster("slow", upstream.port)]))
        with Connection(port) as connection:
            connection.send_request(path="/slow")
            self.assertTrue(asked.wait(10))
            routes = self.hcm()["route_config"]["virtual_hosts"][0]["routes"]
            routes[0]["route"]["cluster"] = "echo"
            del self.config["static_resources"]["clusters"][1]
            self.assertTrue(self.reload()["applied"])
            answer_now.set()
            response = connection.read_response()
            self.assertEqual((response.status, response.body), (200, b"late"))
            self.assertEqual(connection.request(path="/slow").status, 200)
        # A listener is not translated again while it is the same, unless a cluster goes that it needs.
        del self.config["static_resources"]["clusters"][0]
        answer = self.reload()
        self.assertFalse(answer["ok"])
        self.assertIn("cluster", answer["findings"][0]["path"])
        self.assertEqual(fetch(port).status, 200)


    def test_a_cluster_goes_while_requests_are_on_their_way_to_it(self) -> None:
        """Those that a filter holds, and those that wait for a connection: their cluster stays until they are through."""
        gate = threading.Event()

        def slow(connection: Any) -> None:
            while True:
                connection.read_request()
                gate.wait(10)
                connection.respond(200, b"late")

        upstream = ScriptedUpstream(self.sandbox, slow)
        port = self.sandbox.free_port()
        delay = {"name": "fault", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
                                                   "delay": {"fixed_delay": "1s", "percentage": {"numerator": 100}},
                                                   "headers": [{"name": "x-held", "present_match": True}]}}
        narrow = cluster("slow", upstream.port, circuit_breakers={"thresholds": [{"max_connections": 1}]})
        self.start(bootstrap([http_listener(port, [route({"prefix": "/"}, "slow", {"timeout": "0s"})], http_filters=[delay])],
                             [cluster("echo", self.echo.port), narrow]), concurrency=1)
        connections = [Connection(port) for _ in range(4)]
        for number, connection in enumerate(connections):
            connection.send_request(headers=[("x-held", "1")] if number == 3 else [])
        self.weir.wait_stat("cluster.slow.upstream_rq_pending_active", 2)
        self.weir.wait_stat("http.ingress.fault.delays_injected", 1)
        self.hcm()["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = "echo"
        del self.config["static_resources"]["clusters"][1]
        self.assertFalse(self.reload()["drains"])
        gate.set()
        for connection in connections:
            response = connection.read_response()
            self.assertEqual((response.status, response.body), (200, b"late"))
            connection.close()
        self.assertIn("echo", fetch(port).text)
        wait_until(lambda: "cluster.slow.upstream_rq_total" not in self.weir.stats(), "the cluster has gone")

    def while_many_wait(self, to: dict, clusters: list[dict], clusters_then: list[dict], narrow: str, **headers: str) -> None:
        """Nothing that leads to the cluster `narrow` drains when it goes, and nothing but its requests keeps it. It has one
        connection, which is a worker's; the other workers have requests that wait, too."""
        port = self.sandbox.free_port()
        self.start(bootstrap([http_listener(port, [{"match": {"prefix": "/"}, "route": {**to, "timeout": "0s"}}])], clusters))
        connections = [Connection(port) for _ in range(12)]
        for connection in connections:
            connection.send_request(headers=list(headers.items()))
        self.weir.wait_stat("cluster.%s.upstream_rq_pending_active" % narrow, len(connections) - 1)
        self.config["static_resources"]["clusters"] = clusters_then
        self.assertFalse(self.reload()["drains"])
        self.assertNotIn(narrow + "::", self.weir.admin("/clusters"))
        self.gate.set()
        for connection in connections:
            response = connection.read_response()
            self.assertEqual((response.status, response.body), (200, b"late"))
            connection.close()
        wait_until(lambda: "cluster.%s.upstream_rq_total" % narrow not in self.weir.stats(), "the cluster has gone")

    def narrow_cluster(self, name: str) -> dict:
        gate = self.gate = threading.Event()

        def slow(connection: Any) -> None:
            while True:
                connection.read_request()
                gate.wait(20)
                connection.respond(200, b"late")

        return cluster(name, ScriptedUpstream(self.sandbox, slow).port, circuit_breakers={"thresholds": [{"max_connections": 1}]})

    def test_a_cluster_that_requests_name_goes_while_they_wait(self) -> None:
        echo = cluster("echo", self.echo.port)
        self.while_many_wait({"cluster_header": "x-to"}, [echo, self.narrow_cluster("slow")], [echo], "slow", **{"x-to": "slow"})

    def test_a_member_of_an_aggregate_goes_while_requests_wait(self) -> None:
        def both(member: str) -> dict:
            return {"name": "both", "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": {
                "name": "envoy.clusters.aggregate", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig", "clusters": [member]}}}

        echo = cluster("echo", self.echo.port)
        self.while_many_wait({"cluster": "both"}, [echo, self.narrow_cluster("slow"), both("slow")], [echo, both("echo")], "slow")


if __name__ == "__main__":
    main()
