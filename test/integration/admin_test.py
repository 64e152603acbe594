"""The admin endpoints, asked with curl as people do."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import unittest
from typing import Any

from harness import (Connection, EchoUpstream, Sandbox, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log,
                     http_listener, main, route, sanitized, to_yaml, wait_until, weir_binary)


def refuses_no_more(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


class AdminTest(WeirTestCase):
    """One proxy after a few requests."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(cls.port, [route({"prefix": "/"}, "echo")], name="front")],
                                               [cluster("echo", cls.echo.port)]))
        for _ in range(3):
            fetch(cls.port)
        fetch(cls.port, headers=[("x-test-status", "503")])
        cls.weir.wait_stat("http.ingress.downstream_rq_5xx", 1)

    def curl(self, path: str, *arguments: str) -> tuple[int, str, str]:
        """Status, content type, body."""
        output = subprocess.run(
            ["curl", "-s", "-m", "10", "-w", "\n%{http_code} %{content_type}", *arguments, "http://%s%s" % (self.weir.admin_address, path)],
            check=True, stdout=subprocess.PIPE, text=True).stdout
        body, _, last = output.rpartition("\n")
        status, _, kind = last.partition(" ")
        return int(status), kind, body

    # field: Bootstrap.admin, Admin.address
    def test_ready(self) -> None:
        self.assertEqual(self.curl("/ready")[::2], (200, "LIVE\n"))

    def test_index_lists_the_endpoints(self) -> None:
        status, _, body = self.curl("/")
        self.assertEqual(status, 200)
        for name in ("/ready", "/stats", "/clusters", "/listeners", "/config_dump", "/server_info", "/quitquitquit"):
            self.assertIn(name.lstrip("/"), body)

    def test_server_info(self) -> None:
        status, kind, body = self.curl("/server_info")
        self.assertEqual(status, 200)
        self.assertIn("json", kind)
        info = json.loads(body)
        self.assertEqual(info["state"], "LIVE")
        self.assertIn("0.1.0", info["version"])
        self.assertIn("uptime_current_epoch", info)
        self.assertEqual(info["command_line_options"]["concurrency"], 2)
        version = subprocess.run([weir_binary(), "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertEqual(version, "weir version: %s\n" % info["version"])
        self.assertEqual(info["command_line_options"]["drain_time"], "600s")
        self.assertEqual(info["command_line_options"]["drain_strategy"], "Gradual")
        self.assertIsNone(info["weir"]["last_reload"])

    # field: HttpConnectionManager.stat_prefix
    def test_stats_text(self) -> None:
        status, _, body = self.curl("/stats")
        self.assertEqual(status, 200)
        lines = body.strip().split("\n")
        names = [line.split(": ")[0] for line in lines]
        values = dict(line.split(": ", 1) for line in lines)
        self.assertEqual(len(names), len(set(names)))
        for name, value in (
                ("http.ingress.downstream_rq_total", "4"), ("http.ingress.downstream_rq_2xx", "3"),
                ("http.ingress.downstream_rq_5xx", "1"), ("cluster.echo.upstream_rq_total", "4"),
                ("cluster.echo.upstream_rq_200", "3"), ("cluster.echo.upstream_rq_503", "1"), ("cluster.echo.membership_total", "1"),
                ("cluster_manager.active_clusters", "1"), ("server.live", "1"), ("server.concurrency", "2"),
                ("listener.127.0.0.1_%d.downstream_cx_total" % self.port, "4")):
            with self.subTest(name):
                self.assertEqual(values.get(name), value)

    def test_stats_filter_and_usedonly(self) -> None:
        body = self.curl("/stats?filter=^cluster\\.echo\\.upstream_rq_")[2]
        self.assertTrue(body.strip())
        for line in body.strip().split("\n"):
            self.assertTrue(line.startswith("cluster.echo.upstream_rq_"), line)
        used, everything = self.curl("/stats?usedonly")[2], self.curl("/stats")[2]
        self.assertLess(used.count("\n"), everything.count("\n"))
        self.assertIn("downstream_rq_total", used)
        self.assertEqual(self.curl("/stats?filter=(")[0], 400)

    def test_stats_json(self) -> None:
        status, kind, body = self.curl("/stats?format=json")
        self.assertEqual(status, 200)
        self.assertIn("json", kind)
        stats = {entry["name"]: entry["value"] for entry in json.loads(body)["stats"] if "name" in entry}
        self.assertEqual(stats["cluster.echo.upstream_rq_total"], 4)

    def test_stats_prometheus(self) -> None:
        for path in ("/stats/prometheus", "/stats?format=prometheus"):
            status, kind, body = self.curl(path)
            self.assertEqual(status, 200)
            self.assertTrue(kind.startswith("text/plain"), kind)
            self.assertIn('envoy_cluster_upstream_rq_total{envoy_cluster_name="echo"} 4\n', body)
            self.assertIn("# TYPE envoy_cluster_upstream_rq_total counter\n", body)
            self.assertRegex(body, r'envoy_http_downstream_rq_xx\{[^}]*envoy_response_code_class="2"[^}]*\} 3\n')
            for line in body.split("\n"):
                if line and not line.startswith("#"):
                    self.assertRegex(line, r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="(\\.|[^"\\])*",?)*\})? \S+$')
            types = re.findall(r"^# TYPE (\S+)", body, re.M)
            self.assertEqual(len(types), len(set(types)))

    def test_clusters(self) -> None:
        body = self.curl("/clusters")[2]
        host = "echo::127.0.0.1:%d::" % self.echo.port
        for line in (host + "health_flags::healthy", host + "rq_total::4", host + "rq_error::1", host + "weight::1",
                     "echo::default_priority::max_connections::1024"):
            self.assertIn(line + "\n", body)
        status = json.loads(self.curl("/clusters?format=json")[2])["cluster_statuses"][0]
        self.assertEqual(status["name"], "echo")
        self.assertEqual(status["host_statuses"][0]["address"]["socket_address"]["port_value"], self.echo.port)

    def test_listeners(self) -> None:
        self.assertIn("front::127.0.0.1:%d\n" % self.port, self.curl("/listeners")[2])
        status = json.loads(self.curl("/listeners?format=json")[2])["listener_statuses"][0]
        self.assertEqual(status["name"], "front")
        self.assertEqual(status["local_address"]["socket_address"]["port_value"], self.port)

    def test_config_dump(self) -> None:
        status, kind, body = self.curl("/config_dump")
        self.assertEqual(status, 200)
        self.assertIn("json", kind)
        types = {entry["@type"].rsplit(".", 1)[1]: entry for entry in json.loads(body)["configs"]}
        self.assertIn("BootstrapConfigDump", types)
        listener = types["BootstrapConfigDump"]["bootstrap"]["static_resources"]["listeners"][0]
        self.assertEqual(listener["name"], "front")
        self.assertEqual(types["ClustersConfigDump"]["static_clusters"][0]["cluster"]["name"], "echo")

    def test_every_endpoint_has_json_and_help(self) -> None:
        endpoints = json.loads(self.curl("/help?format=json")[2])["endpoints"]
        text = self.curl("/help")[2]
        for endpoint in endpoints:
            with self.subTest(endpoint["path"]):
                self.assertRegex(text, r"(?m)^  %s +\S" % re.escape(endpoint["path"]))
                if "GET" in endpoint["methods"]:
                    status, kind, body = self.curl(endpoint["path"] + "?format=json")
                    self.assertEqual((status, kind), (200, "application/json"))
                    json.loads(body)
        self.assertLessEqual(max(len(line) for line in text.split("\n")), 120)
        status, kind, body = self.curl("/statz?format=json")
        self.assertEqual((status, kind), (404, "application/json"))
        self.assertIn("/stats", json.loads(body)["error"])

    def test_levels_of_components(self) -> None:
        self.assertIn("  net: info\n", self.curl("/logging")[2])
        self.assertIn("  net: debug\n", self.curl("/logging?net=debug", "-X", "POST")[2])
        self.assertIn("  net: info\n", self.curl("/logging?paths=net:info", "-X", "POST")[2])
        self.assertEqual(self.curl("/logging?net=debug")[0], 405)

    def test_what_changes_state_wants_post(self) -> None:
        self.assertEqual(self.curl("/quitquitquit")[0], 405)
        self.assertEqual(self.curl("/ready")[0], 200)

    def test_what_weir_has_not_got_is_said(self) -> None:
        for path, instead in (("/tap", "tcpdump"), ("/heapprofiler", "/memory")):
            with self.subTest(path):
                status, _, body = self.curl(path, "-X", "POST")
                self.assertEqual(status, 501)
                self.assertIn("not supported by weir", body)
                self.assertIn(instead, body)
        self.assertIn("not enabled", json.loads(self.curl("/contention")[2])["error"])
        self.assertEqual(json.loads(self.curl("/init_dump")[2]), {"unready_targets_dumps": []})

    def test_masks_and_filters_of_the_dump(self) -> None:
        def configs(query: str) -> list[dict[str, Any]]:
            return list(json.loads(self.curl("/config_dump?" + query)[2])["configs"])

        self.assertEqual([one["cluster"]["name"] for one in configs("resource=static_clusters")], ["echo"])
        masked = configs("resource=static_clusters&mask=cluster.name")[0]
        self.assertEqual(masked["cluster"], {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "echo"})
        self.assertNotIn("last_updated", masked)
        names = {one["@type"].rsplit(".", 1)[1]: one for one in configs("name_regex=ec.*")}
        self.assertEqual(len(names["ClustersConfigDump"]["static_clusters"]), 1)
        self.assertNotIn("static_listeners", names["ListenersConfigDump"])
        self.assertIn("EndpointsConfigDump", [one["@type"].rsplit(".", 1)[1] for one in configs("include_eds")])
        for query in ("resource=nothing", "mask=nothing", "name_regex=%5B"):
            with self.subTest(query):
                self.assertIn(self.curl("/config_dump?" + query)[0], (400, 404))

    def test_requests_that_are_too_large(self) -> None:
        body = "x" * 100_000
        for arguments in (["-X", "POST", "-d", body], ["-X", "POST", "-H", "Transfer-Encoding: chunked", "-d", body]):
            self.assertEqual(self.curl("/logging", *arguments)[0], 413)
        self.assertIn(self.curl("/stats?filter=" + "x" * 20_000)[0], (414, 431))
        self.assertIn(self.curl("/stats", "-H", "x-large: " + "x" * 20_000)[0], (414, 431))
        self.assertEqual(self.curl("/ready")[0], 200)

    def test_pages_of_other_sites_cannot_read(self) -> None:
        """What a browser sends that another site has lent its page: a name of that site, or its origin."""
        for headers in (["Host: rebound.example"], ["Origin: http://evil.example"], ["Origin: null"],
                        ["Origin: http://%s.evil.example" % self.weir.admin_address]):
            arguments = [part for header in headers for part in ("-H", header)]
            for path in ("/server_info", "/config_dump", "/stats", "/"):
                with self.subTest(path, headers=headers):
                    self.assertEqual(self.curl(path, *arguments)[0], 403)
        for path in ("/quitquitquit", "/drain_listeners", "/healthcheck/fail", "/runtime_modify?a=b", "/logging?level=debug"):
            with self.subTest(path):
                self.assertEqual(self.curl(path, "-X", "POST", "-H", "Sec-Fetch-Site: cross-site")[0], 403)
        self.assertEqual(self.curl("/ready")[::2], (200, "LIVE\n"))

    def test_unknown_path_suggests(self) -> None:
        status, _, body = self.curl("/statz")
        self.assertEqual(status, 404)
        self.assertIn("/stats", body)

    def test_foreign_pages_cannot_ask(self) -> None:
        self.assertEqual(self.curl("/server_info", "-H", "Host: evil.example")[0], 403)
        self.assertEqual(self.curl("/quitquitquit", "-X", "POST", "-H", "Origin: http://evil.example")[0], 403)
        self.assertEqual(self.curl("/ready")[0], 200)

    def test_head_and_keep_alive(self) -> None:
        output = subprocess.run(["curl", "-s", "-I", "-m", "10", *["http://%s/ready" % self.weir.admin_address] * 2], check=True,
                                stdout=subprocess.PIPE, text=True).stdout
        self.assertEqual(output.count("HTTP/1.1 200"), 2)


class LabelsTest(WeirTestCase):
    """What only names things is shown, and shown as it was written."""

    NODE = {
        "id": "edge-7", "cluster": "edges", "metadata": {"role": "front", "doors": ["left", "right"]},
        "dynamic_parameters": {"type.googleapis.com/envoy.config.cluster.v3.Cluster": {"params": {"version": "blue"}}},
        "locality": {"region": "eu", "zone": "eu-1", "sub_zone": "rack-7"}, "user_agent_name": "tester",
        "user_agent_build_version": {"version": {"major_number": 3, "minor_number": 2, "patch": 1}, "metadata": {"build": "ab12"}},
        "extensions": [{"name": "e", "category": "c", "type_descriptor": "d", "disabled": True, "type_urls": ["t"],
                        "version": {"version": {"major_number": 1}}}],
        "client_features": ["f"], "listening_addresses": [{"socket_address": {"address": "10.0.0.1", "port_value": 80}}]}

    @classmethod
    def set_up(cls) -> None:
        cls.port = cls.sandbox.free_port()
        listener = http_listener(cls.port, [route({"prefix": "/"}, "labelled")], name="front", route_config={"name": "the-table"},
                                 access_log=[{"name": "the-log", "typed_config": {
                                     "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                                     "path": "/dev/null"}}])
        listener["filter_chains"][0]["filters"][0]["name"] = "the-filter"
        labelled = cluster("labelled", 1, load_balancing_policy={"policies": [{"typed_extension_config": {
            "name": "the-policy", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin"}}}]})
        labelled["load_assignment"]["cluster_name"] = "the-assignment"
        cls.weir = Weir(cls.sandbox, {**bootstrap([listener], [labelled]), "node": cls.NODE})

    def assert_has(self, shown: Any, written: Any) -> None:
        """All that was written is shown; fields that were not, with their defaults."""
        if isinstance(written, dict):
            for key, value in written.items():
                self.assertIn(key, shown)
                self.assert_has(shown[key], value)
        elif isinstance(written, list):
            self.assertEqual(len(shown), len(written))
            for one, other in zip(shown, written):
                self.assert_has(one, other)
        else:
            self.assertEqual(shown, written)

    # field: Bootstrap.node, Node.id, Node.cluster, Node.metadata, Node.dynamic_parameters, Node.locality
    # field: Node.user_agent_name, Node.user_agent_build_version, Node.extensions, Node.client_features
    # field: Node.listening_addresses, BuildVersion.version, BuildVersion.metadata, ContextParams.params
    # field: core.v3.Extension.name, Extension.category, Extension.type_descriptor, Extension.version, Extension.disabled
    # field: Extension.type_urls, SemanticVersion.major_number, SemanticVersion.minor_number, SemanticVersion.patch
    def test_node(self) -> None:
        self.assert_has(self.weir.admin_json("/server_info")["node"], self.NODE)

    # field: Node.user_agent_version
    def test_version_of_the_user_agent(self) -> None:
        weir = Weir(self.sandbox, {**bootstrap([]), "node": {"user_agent_version": "7"}})
        node = weir.admin_json("/server_info")["node"]
        self.assertEqual((node["user_agent_name"], node["user_agent_version"]), ("weir", "7"))

    # field: listener.v3.Filter.name, AccessLog.name, RouteConfiguration.name, VirtualHost.name
    # field: envoy.config.core.v3.TypedExtensionConfig.name, ClusterLoadAssignment.cluster_name
    def test_names_in_the_dump(self) -> None:
        dump = {entry["@type"].rsplit(".", 1)[1]: entry for entry in self.weir.admin_json("/config_dump")["configs"]}
        resources = dump["BootstrapConfigDump"]["bootstrap"]["static_resources"]
        network_filter = resources["listeners"][0]["filter_chains"][0]["filters"][0]
        manager = network_filter["typed_config"]
        self.assertEqual(network_filter["name"], "the-filter")
        self.assertEqual(manager["access_log"][0]["name"], "the-log")
        self.assertEqual(manager["route_config"]["name"], "the-table")
        self.assertEqual(manager["route_config"]["virtual_hosts"][0]["name"], "all")
        one = resources["clusters"][0]
        self.assertEqual(one["load_balancing_policy"]["policies"][0]["typed_extension_config"]["name"], "the-policy")
        self.assertEqual(one["load_assignment"]["cluster_name"], "the-assignment")
class ElsewhereTest(WeirTestCase):
    """A node, tags, and an admin on a Unix socket."""

    def test_node_and_tags_of_the_command_line(self) -> None:
        weir = Weir(self.sandbox, {**bootstrap([]), "node": {"id": "file", "cluster": "file", "locality": {"zone": "file"}}},
                    arguments=["--service-node", "n1", "--service-cluster", "shop", "--service-zone", "eu-1a",
                               "--stats-tag", "pod:p7"])
        info = weir.admin_json("/server_info")
        node = info["node"]
        self.assertEqual((node["id"], node["cluster"], node["locality"]["zone"]), ("n1", "shop", "eu-1a"))
        self.assertEqual(info["command_line_options"]["stats_tag"], ["pod:p7"])
        bootstrap_node = weir.admin_json("/config_dump")["configs"][0]["bootstrap"]["node"]
        self.assertEqual(bootstrap_node["id"], "n1")
        self.assertIn('envoy_server_live{pod="p7"} 1\n', weir.admin("/stats/prometheus"))
        self.assertEqual(weir.admin_json("/stats?format=json&filter=server.live")["weir"], {"tags": {"pod": "p7"}})

    # field: Bootstrap.layered_runtime
    def test_runtime_layers_and_overrides(self) -> None:
        weir = Weir(self.sandbox, {**bootstrap([]), "layered_runtime": {"layers": [
            {"name": "file", "static_layer": {"shop": {"share": 5}}}, {"name": "operators", "admin_layer": {}}]}})
        runtime = weir.admin_json("/runtime")
        self.assertEqual(runtime["layers"], ["file", "operators"])
        self.assertEqual(runtime["entries"]["shop.share"], {"final_value": "5", "layer_values": ["5", ""]})
        weir.admin("/runtime_modify?shop.share=7", "POST")
        self.assertEqual(weir.admin_json("/runtime")["entries"]["shop.share"]["final_value"], "7")

    def test_gauges_of_the_process(self) -> None:
        port = self.sandbox.free_port()
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [direct({"prefix": "/"}, "hello")])]))
        with Connection(port) as connection:
            connection.request()
            self.assertEqual(weir.stat("server.total_connections"), 1)
        self.assertEqual(weir.stat("server.state"), 0)
        self.assertEqual(weir.stat("server.parent_connections"), 0)
        self.assertIn("server.initialization_time_ms: P0(", weir.admin("/stats"))
        weir.wait_stat("server.uptime", 1)
        self.assertEqual(weir.stat("listener_manager.workers_started"), 1)
        self.assertGreater(weir.stat("server.memory_physical_size"), 1_000_000)
        if not sanitized():  # a sanitizer's heap is not the C library's, which counts nothing then
            stats = weir.stats()
            self.assertGreater(stats["server.memory_allocated"], 100_000)
            self.assertGreaterEqual(stats["server.memory_heap_size"], stats["server.memory_allocated"])

    def test_unix_socket(self) -> None:
        path = self.sandbox.path("admin.sock")
        address_file = self.sandbox.path("address")
        config = self.sandbox.write("unix.yaml", to_yaml({"admin": {"address": {"pipe": {"path": path}}}}))
        process = self.sandbox.start([weir_binary(), "-c", config, "--admin-address-path", address_file], "weir")

        def ask(page: str, *arguments: str) -> str:
            return subprocess.run(["curl", "-s", "-m", "10", "--unix-socket", path, *arguments, "http://any.example" + page],
                                  check=False, stdout=subprocess.PIPE, text=True).stdout

        wait_until(lambda: ask("/ready") == "LIVE\n", "weir is ready", 20)
        with open(address_file, encoding="ascii") as file:
            self.assertEqual(file.read(), path)
        self.assertEqual(json.loads(ask("/server_info"))["state"], "LIVE")
        ask("/quitquitquit", "-X", "POST")
        self.assertEqual(process.wait(20), 0)
        self.assertFalse(os.path.exists(path))

    # field: Pipe.mode
    def test_mode_of_the_socket_file(self) -> None:
        """The mode says who may use the admin interface, whatever the umask says."""
        path = self.sandbox.path("admin-mode.sock")
        for mode, umask in ((0o600, "000"), (0o660, "022")):
            config = self.sandbox.write("mode.yaml", to_yaml({"admin": {"address": {"pipe": {"path": path, "mode": mode}}}}))
            process = self.sandbox.start(["sh", "-c", 'umask %s; exec "$@"' % umask, "sh", weir_binary(), "-c", config,
                                          "--disable-hot-restart"], "weir-mode")
            wait_until(lambda: os.path.exists(path) and refuses_no_more(path), "weir listens", 20)
            self.assertEqual(oct(os.stat(path).st_mode & 0o777), oct(mode))
            process.signal(signal.SIGTERM)
            self.assertEqual(process.wait(20), 0)

    def test_two_processes_at_one_address(self) -> None:
        """The second does not start: each would get a share of what the other one is asked."""
        weir = Weir(self.sandbox, bootstrap([]))
        config = bootstrap([])
        config["admin"]["address"]["socket_address"]["port_value"] = weir.admin_port
        second = self.sandbox.start([weir_binary(), "-c", self.sandbox.write("second.yaml", to_yaml(config)), "--disable-hot-restart"],
                                    "weir-second")
        self.assertEqual(second.wait(20), 3)
        self.assertIn("held by weir (pid %d)" % weir.process.pid, second.log())

    # field: SocketAddress.ipv4_compat
    def test_ipv4_at_an_ipv6_address(self) -> None:
        for compat in (False, True):
            config = bootstrap([])
            config["admin"]["address"]["socket_address"].update(address="::", ipv4_compat=compat)
            weir = Weir(self.sandbox, config)
            port = int(weir.admin_address.rpartition(":")[2])
            with socket.create_connection(("::1", port), timeout=10):
                pass
            if not compat:
                self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port), 10)
                continue
            with socket.create_connection(("127.0.0.1", port), timeout=10):
                pass

    def test_logs_are_reopened(self) -> None:
        """SIGUSR1 and POST /reopen_logs: what comes later goes to new files."""
        port = self.sandbox.free_port()
        access, log = self.sandbox.path("access.log"), self.sandbox.path("weir.log")
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [direct({"prefix": "/"}, "hello")],
                                                           access_log=[file_access_log(access, "%REQ(:PATH)%\n")])]),
                    arguments=["--log-path", log])

        def has(path: str, text: str) -> bool:
            try:
                with open(path, encoding="utf-8") as file:
                    return text in file.read()
            except FileNotFoundError:
                return False

        def by_signal() -> None:
            weir.process.signal(signal.SIGUSR1)

        def by_admin() -> None:
            weir.admin("/reopen_logs", "POST")

        for number, reopen in enumerate((by_signal, by_admin)):
            fetch(port, "/before-%d" % number)
            wait_until(lambda: has(access, "/before-%d\n" % number), "the line is written")
            for path in (access, log):
                os.rename(path, "%s.%d" % (path, number))
            reopen()
            wait_until(lambda: os.path.exists(access) and os.path.exists(log), "new files")
            fetch(port, "/after-%d" % number)
            wait_until(lambda: has(access, "/after-%d\n" % number), "the line is in the new file")
            self.assertFalse(has(access, "/before-%d\n" % number))
            self.assertTrue(has("%s.%d" % (access, number), "/before-%d\n" % number))


class AdminOfTheFileTest(WeirTestCase):
    """What the bootstrap says of the admin interface beside its address."""

    @classmethod
    def set_up(cls) -> None:
        cls.logs = [os.path.join(cls.sandbox.dir, name) for name in ("admin.log", "older.log")]
        config = bootstrap([])
        config["admin"].update(
            allow_paths=[{"exact": "/ready"}, {"prefix": "/stats"}, {"safe_regex": {"regex": "/(quit){3}"}}],
            access_log=[{**file_access_log(cls.logs[0], "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %BYTES_SENT%\n"),
                         "filter": {"status_code_filter": {"comparison": {"op": "LE", "value": {"default_value": 403, "runtime_key": "x"}}}}}],
            access_log_path=cls.logs[1],
            socket_options=[{"level": socket.IPPROTO_TCP, "name": socket.TCP_MAXSEG, "int_value": 700, "state": "STATE_BOUND"},
                            {"level": 1, "name": 32000, "int_value": 1, "type": {"datagram": {}}}])
        cls.weir = Weir(cls.sandbox, config)

    def line(self, path: str, beginning: str) -> str:
        def found() -> str:
            with open(path, encoding="utf-8") as file:
                return next((line for line in file if beginning in line), "")

        return wait_until(found, "a line with %s" % beginning)

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body."""
        connection = http.client.HTTPConnection(self.weir.admin_address, timeout=10)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode("utf-8")
        connection.close()
        return response.status, body

    def status(self, path: str) -> int:
        return self.ask(path)[0]

    # field: Admin.allow_paths
    def test_paths_that_are_allowed(self) -> None:
        self.assertEqual([self.status(path) for path in ("/ready", "/ready?x=1", "/stats", "/stats/prometheus")], [200] * 4)
        for path in ("/", "/clusters", "/config_dump", "/memory"):
            self.assertEqual(self.status(path), 403, path)
        self.assertIn("admin.allow_paths", self.ask("/clusters")[1])

    # field: Admin.socket_options
    def test_options_of_the_socket(self) -> None:
        host, _, port = self.weir.admin_address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            self.assertLessEqual(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG), 700)  # on loopback else tens of thousands

    # field: Admin.access_log, Admin.access_log_path
    def test_requests_are_logged(self) -> None:
        self.status("/ready?mine")
        self.status("/listeners")
        self.assertEqual(self.line(self.logs[0], "mine"), "GET /ready?mine 200 5\n")
        self.assertRegex(self.line(self.logs[0], "listeners"), r"^GET /listeners 403 \d+$")
        self.assertIn("GET /ready?mine HTTP/1.1", self.line(self.logs[1], "mine"))


class QuitTest(unittest.TestCase):
    """POST /quitquitquit ends the process."""

    def test_quit(self) -> None:
        sandbox = Sandbox()
        try:
            weir = Weir(sandbox, bootstrap([]))
            self.assertIn("OK", weir.admin("/quitquitquit", "POST"))
            self.assertEqual(wait_until(lambda: weir.process.popen.poll() is not None and "ended", "weir ends"), "ended")
            self.assertEqual(weir.process.popen.poll(), 0)
        finally:
            sandbox.close()


if __name__ == "__main__":
    main()
