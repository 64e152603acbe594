"""Plugins in the real binary: a filter in C++, one in C, one with its own protobuf, and a load balancer."""

import os
import re
import shutil
import subprocess
import threading
import time
import unittest

from harness import EchoUpstream, WeirTestCase, Weir, bootstrap, cluster, fetch, http_listener, main, route, to_yaml, weir_binary
from harness.process import wait_until

BUILD = os.path.dirname(weir_binary())
PLUGINS = os.path.join(BUILD, "plugins")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TYPE = "type.googleapis.com/"


def own(module, config, name="dynamic"):
    return {"name": name, "typed_config": {"@type": TYPE + "weir.extensions.dynamic.v1.HttpFilter", "module": module, "config": config}}


def published(module, config):
    return {"name": "published", "typed_config": {
        "@type": TYPE + "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
        "dynamic_module_config": {"name": module},
        "filter_config": {"@type": TYPE + "google.protobuf.StringValue", "value": config}}}


def lb_policy(config):
    return {"policies": [{"typed_extension_config": {"name": "first", "typed_config": {
        "@type": TYPE + "weir.extensions.dynamic.v1.LoadBalancer", "module": "first_host_lb", "config": config}}}]}


def exported(path):
    """Names in the dynamic symbol table that others may bind to."""
    output = subprocess.run(["nm", "-D", "--defined-only", "-C", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [line.split(" ", 2)[2] for line in output.splitlines()]


class PluginsTest(WeirTestCase):
    """One proxy with everything in it."""

    @classmethod
    def set_up(cls) -> None:
        os.environ["WEIR_PLUGIN_DIRS"] = PLUGINS
        os.environ["WEIR_PLUGIN_COPIES"] = cls.sandbox.path("copies")
        cls.echoes = [EchoUpstream(cls.sandbox, str(index)) for index in range(3)]
        cls.port = cls.sandbox.free_port()
        cls.weir = Weir(cls.sandbox, cls.config("30"))

    @classmethod
    def config(cls, delay):
        route_text = {"delay": {"@type": TYPE + "weir.extensions.dynamic.v1.HttpFilterPerRoute", "config": "0"}}
        limits = {"worker_watchdog": {"miss_timeout": "0.1s", "megamiss_timeout": "0.4s"}}
        return {"watchdogs": limits, **bootstrap(
            [http_listener(cls.port, [route({"prefix": "/fast"}, "all", typed_per_filter_config=route_text), route({"prefix": "/"}, "all")],
                           http_filters=[published("c_filter", "x-bytes"), own("header_delay", delay, "delay"),
                                         own(os.path.join(PLUGINS, "protobuf_user.so"), {"a": 1, "b": [True]}, "pb")])],
            [cluster("all", *[echo.port for echo in cls.echoes], load_balancing_policy=lb_policy(None))])}

    def test_all_filters_at_work(self) -> None:
        begin = time.monotonic()
        response = fetch(self.port, "/", "POST", body=b"12345")
        self.assertGreaterEqual(time.monotonic() - begin, 0.03)
        self.assertEqual([response.header(name) for name in ("x-delayed-ms", "x-bytes", "x-protobuf")], ["30", "5", "google.protobuf.Struct/2"])
        self.assertEqual(self.echoed(response)["headers"]["x-delayed-ms"], ["30"])

    def test_curl(self) -> None:
        for _ in range(20):
            output = subprocess.run(["curl", "-s", "-i", "-m", "10", "-H", "x-delay-ms: 2", "http://127.0.0.1:%d/" % self.port],
                                    check=True, stdout=subprocess.PIPE, text=True).stdout
            self.assertTrue(output.startswith("HTTP/1.1 200"), output)
            self.assertIn("x-delayed-ms: 2\n", output.replace("\r", ""))

    def test_route_text(self) -> None:
        self.assertEqual(fetch(self.port, "/fast").header("x-delayed-ms"), "0")

    def test_reply_of_a_plugin(self) -> None:
        response = fetch(self.port, "/", headers=[("x-c-filter", "stop")])
        self.assertEqual((response.status, response.text, response.header("x-stopped-by")), (403, "stopped\n", "c_filter"))
        self.assertIsNone(response.header("x-delayed-ms"))
        self.weir.wait_stat("http.ingress.dynamic.c_filter.stopped", 1)

    def test_load_balancer_takes_the_first(self) -> None:
        first = min(range(3), key=lambda index: "127.0.0.1:%d" % self.echoes[index].port)
        for _ in range(10):
            self.assertIn('"server": "%d"' % first, fetch(self.port, "/fast").text)

    def test_many_at_once(self) -> None:
        statuses = []

        def ask():
            for index in range(25):
                statuses.append(fetch(self.port, "/", headers=[("x-delay-ms", str(index % 7))]).status)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [200] * 200)

    def test_clients_that_leave_while_paused(self) -> None:
        subprocess.run(["curl", "-s", "-m", "0.01", "http://127.0.0.1:%d/" % self.port], check=False)
        time.sleep(0.1)
        self.assertEqual(fetch(self.port, "/fast").status, 200)

    def test_new_configuration_while_a_request_waits(self) -> None:
        path = self.weir.config_path

        def reload(delay, count):
            with open(path, "w", encoding="utf-8") as file:
                file.write(to_yaml(self.config(delay)) + "\n")
            self.weir.process.popen.send_signal(1)
            self.weir.wait_stat("server.config_reload_success", count)

        before = self.weir.stat("server.config_reload_success")
        reload("800", before + 1)
        wait_until(lambda: fetch(self.port, "/", headers=[("x-delay-ms", "1")]).status == 200, "new configuration")
        answers = []
        slow = threading.Thread(target=lambda: answers.append(fetch(self.port, "/").header("x-delayed-ms")))
        slow.start()
        time.sleep(0.3)
        reload("30", before + 2)
        wait_until(lambda: fetch(self.port, "/").header("x-delayed-ms") == "30", "newer configuration")
        slow.join()
        self.assertEqual(answers, ["800"])

    @unittest.skipIf("thread" in os.environ.get("WEIR_SANITIZE", ""), "the library of ThreadSanitizer keeps signals back while a call waits")
    def test_a_filter_that_hangs_is_named_while_it_does(self) -> None:
        seen = []
        asking = threading.Thread(target=lambda: seen.append(fetch(self.port, "/fast", headers=[("x-c-filter", "hang")]).status))
        asking.start()
        line = "in filter published (envoy.filters.http.dynamic_modules), on_request_headers"
        wait_until(lambda: line in self.weir.process.log(), "the log names the filter and its hook")
        self.assertEqual(seen, [])  # it hangs still
        asking.join()
        self.assertEqual(seen, [200])
        stuck = [text for text in self.weir.process.log().split("\n") if line in text]
        self.assertRegex(stuck[0], r"worker \d is stuck: its turn takes [1-9]\d\d ms by now")
        self.assertIn("called by envoy.filters.network.http_connection_manager", stuck[0])
        wait_until(lambda: " goes on; its turn took" in self.weir.process.log(), "the end of it is told")
        self.weir.wait_stat("workers.watchdog_mega_miss", 1)
        self.assertGreaterEqual(self.weir.stat("workers.watchdog_miss"), 1)
        self.assertEqual(sum(self.weir.stats().get("server.worker_%d.watchdog_mega_miss" % n, 0) for n in range(4)), 1)

    def test_copies_are_private_and_named_by_content(self) -> None:
        folder = os.environ["WEIR_PLUGIN_COPIES"]
        self.assertEqual(os.stat(folder).st_mode & 0o777, 0o700)
        names = sorted(re.sub("^[0-9a-f]{64}-%d-" % self.weir.process.pid, "", name) for name in os.listdir(folder))
        self.assertEqual(names, ["c_filter.so", "first_host_lb.so", "header_delay.so", "protobuf_user.so"])
        with open("/proc/%d/maps" % self.weir.process.pid, encoding="utf-8") as file:
            maps = file.read()
        self.assertIn(folder, maps)
        self.assertNotIn(PLUGINS, maps)


class ErrorsTest(WeirTestCase):
    """What --mode validate says about plugins that cannot be used."""

    @classmethod
    def set_up(cls) -> None:
        cls.folder = cls.sandbox.path("plugins")
        os.mkdir(cls.folder)
        cls.sandbox.write("plugins/text.so", "hello")
        shutil.copy(os.path.join(PLUGINS, "header_delay.so"), cls.folder)

    def errors(self, http_filter, directories=None):
        environment = {**os.environ, "WEIR_PLUGIN_COPIES": self.sandbox.path("copies")}
        environment.pop("WEIR_PLUGIN_DIRS", None)
        if directories != "":
            environment["WEIR_PLUGIN_DIRS"] = directories or self.folder
        path = self.sandbox.write("errors.yaml", to_yaml(bootstrap([http_listener(10000, [], http_filters=[http_filter])])) + "\n")
        done = subprocess.run([weir_binary(), "--mode", "validate", "-c", path], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout

    def test_texts(self) -> None:
        for http_filter, directories, text in (
                (own("header_delay", "5"), "", "start weir with WEIR_PLUGIN_DIRS="),
                (own("nothing", "5"), None, "no nothing.so or libnothing.so in " + self.folder),
                (own("text", "5"), None, "is not a shared library"),
                (own("/etc/passwd", "5"), None, "is not in a directory that WEIR_PLUGIN_DIRS allows"),
                (own("../plugins/text", "5"), None, "is a relative path"),
                (own("header_delay", "soon"), None, "'soon' is no number of milliseconds; allowed are 0 to 60000"),
                (own("header_delay", "5"), "relative", "is not an absolute path")):
            with self.subTest(text):
                code, output = self.errors(http_filter, directories)
                self.assertEqual(code, 1, output)
                self.assertIn(text, output)
                self.assertIn("http_filters[0].typed_config", output)
                self.assertEqual(output.count(": error: "), 1, output)
                if os.path.isdir(self.sandbox.path("copies")):
                    self.assertEqual(os.listdir(self.sandbox.path("copies")), [])

    def test_good(self) -> None:
        code, output = self.errors(own("header_delay", "5"))
        self.assertEqual(code, 0, output)


class SymbolsTest(unittest.TestCase):
    """Nobody's symbols meet anybody else's."""

    def test_weir_exports_nothing_of_its_own(self) -> None:
        if os.environ.get("WEIR_SANITIZE"):
            return  # the sanitizer's run time exports itself
        for name in exported(weir_binary()):
            self.assertNotRegex(name, r"weir|google|protobuf|absl|re2|uv_|yaml_")

    def test_plugins_export_their_entry_only(self) -> None:
        if os.environ.get("WEIR_SANITIZE"):
            return
        for name in ("header_delay", "first_host_lb", "c_filter"):
            self.assertEqual(exported(os.path.join(PLUGINS, name + ".so")), ["weir_plugin_entry"])

    def test_protobuf_is_the_plugins_own(self) -> None:
        needed = subprocess.run(["readelf", "-d", os.path.join(PLUGINS, "protobuf_user.so")], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertIn("libprotobuf.so", needed)
        needed = subprocess.run(["readelf", "-d", weir_binary()], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertNotRegex(needed, "protobuf|libabsl|libre2|libuv")


class OutOfTreeTest(WeirTestCase):
    """The examples build from an installed SDK, with nothing of weir's tree."""

    @classmethod
    def set_up(cls) -> None:
        subprocess.run(["cmake", "--install", BUILD, "--component", "sdk", "--prefix", cls.sandbox.path("prefix")], check=True, stdout=subprocess.DEVNULL)

    def test_headers(self) -> None:
        found = sorted(os.path.join(os.path.relpath(folder, self.sandbox.path("prefix")), name)
                       for folder, _, names in os.walk(self.sandbox.path("prefix")) for name in names)
        self.assertEqual(found[0], "include/weir/plugin.h")
        self.assertTrue(all(path.startswith("include/weir/") for path in found), found)

    def test_examples(self) -> None:
        for name in ("header_delay", "first_host_lb"):
            source, build = self.sandbox.path(name), self.sandbox.path(name + "-build")
            shutil.copytree(os.path.join(ROOT, "api", "sdk", "examples", name), source)
            subprocess.run(["cmake", "-S", source, "-B", build, "-DWEIR_SDK_INCLUDE=" + self.sandbox.path("prefix/include"),
                            "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["cmake", "--build", build], check=True, stdout=subprocess.DEVNULL)
            self.assertEqual(exported(os.path.join(build, name + ".so")), ["weir_plugin_entry"])


if __name__ == "__main__":
    main()
