"""Flags, exit codes, --mode validate, and what is said about configurations that are wrong."""

import json
import os
import re
import socket
import subprocess
import unittest
import urllib.error
import urllib.request

from harness import Sandbox, bootstrap, direct, file_access_log, http_listener, main, to_yaml, wait_until, weir_binary

GOOD = to_yaml(bootstrap([http_listener(1, [direct({"prefix": "/"}, "hello")])])) + "\n"

BAD = """\
admin:
  address: {socket_address: {address: 127.0.0.1, port_value: 0}}
static_resources:
  listeners:
  - name: front
    address: {socket_address: {address: 127.0.0.1, port_value: 1}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefx: ingress
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: "/"}
                route: {cluster: one}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ruoter.v3.Router
  clusters:
  - name: one
    lb_policy: ROUND_ROBBIN
    connect_timeout: 5 seconds
    load_assignment:
      cluster_name: one
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 2}}}
"""

MENDED = BAD.replace("stat_prefx", "stat_prefix").replace("ruoter", "router").replace("ROUND_ROBBIN", "ROUND_ROBIN") \
    .replace("5 seconds", "5s")


class CommandLineTest(unittest.TestCase):
    """Each test starts the binary once or twice and reads what it says."""

    def setUp(self) -> None:
        self.sandbox = Sandbox()
        self.addCleanup(self.sandbox.close)

    def run_weir(self, *arguments: str, seconds: float = 20, text: str = "") -> tuple[int, str]:
        """The exit code and everything printed; `text` is its standard input."""
        result = subprocess.run([weir_binary(), *arguments], input=text, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False)
        return result.returncode, result.stdout

    def validate(self, text: str, name: str = "edge.yaml") -> tuple[int, str]:
        return self.run_weir("--mode", "validate", "-c", self.sandbox.write(name, text))

    def test_good_file(self) -> None:
        code, output = self.validate(GOOD)
        self.assertEqual(code, 0, output)
        self.assertIn("OK", output)

    def test_every_mistake_with_its_place(self) -> None:
        code, output = self.validate(BAD)
        self.assertEqual(code, 1, output)
        for place, words in (("edge.yaml:12:11: error: ", ("stat_prefx", "stat_prefix")),
                             ("edge.yaml:26:", ("ROUND_ROBBIN", "ROUND_ROBIN")),
                             ("edge.yaml:27:", ("5 seconds", "5s"))):
            with self.subTest(place):
                line = next((line for line in output.split("\n") if place in line), "")
                for word in words:
                    self.assertIn(word, line, output)
        self.assertIn("ruoter", output)

    def test_the_same_mistakes_never_start(self) -> None:
        code, output = self.run_weir("-c", self.sandbox.write("edge.yaml", BAD))
        self.assertEqual(code, 1, output)
        self.assertIn("stat_prefx", output)

    def test_route_to_an_unknown_cluster(self) -> None:
        code, output = self.validate(MENDED.replace("{cluster: one}", "{cluster: onne}"))
        self.assertEqual(code, 1, output)
        self.assertIn("edge.yaml:19:", output)
        self.assertIn("onne", output)

    def test_broken_yaml(self) -> None:
        code, output = self.validate("admin:\n  address: [1, 2\nstatic_resources: {}\n")
        self.assertEqual(code, 1)
        self.assertIn("edge.yaml:3:", output)

    def test_half_a_file(self) -> None:
        # What stands behind the fault was never read: nothing is said to be missing.
        code, output = self.validate(BAD[:BAD.index("          http_filters:")].replace("prefx", "prefix") + "\t- x\n")
        self.assertEqual(code, 1)
        self.assertEqual(output.count("error:"), 1, output)

    def test_json(self) -> None:
        code, output = self.validate('{"static_resources": {"listeners": []}}', "edge.json")
        self.assertEqual(code, 0, output)
        code, output = self.validate('{\n  "static_resources": {\n    "listners": []\n  }\n}', "edge.json")
        self.assertEqual(code, 1)
        self.assertIn("edge.json:3:5: error: ", output)
        self.assertIn("listeners", output)

    def test_config_yaml_flag(self) -> None:
        code, output = self.run_weir("--mode", "validate", "--config-yaml", GOOD)
        self.assertEqual(code, 0, output)
        code, output = self.run_weir("--mode", "validate", "--config-yaml", "static_resources: {clusterz: []}")
        self.assertEqual(code, 1)
        self.assertIn("clusterz", output)

    def test_config_yaml_over_a_file(self) -> None:
        path = self.sandbox.write("edge.yaml", MENDED)
        code, output = self.run_weir("--mode", "validate", "-c", path, "--config-yaml", "node: {id: edge-1}")
        self.assertEqual(code, 0, output)
        # Lists grow: the cluster of the overlay is the second one, and its mistake is found in the flag.
        code, output = self.run_weir("--mode", "validate", "-c", path, "--config-yaml",
                                     "static_resources: {clusters: [{name: one}]}")
        self.assertEqual(code, 1, output)
        self.assertIn('--config-yaml:1:38: error: clusters[1].name: "one" is the name of clusters[0] (', output)

    def test_standard_input(self) -> None:
        code, output = self.run_weir("--mode", "validate", "-c", "-", text=GOOD)
        self.assertEqual(code, 0, output)
        code, output = self.run_weir("--mode", "validate", "-c", "-", text='{"nod": {}}')
        self.assertEqual(code, 1, output)
        self.assertIn("(standard input):1:2: error: nod: unknown field; did you mean node?", output)

    def test_of_two_alternatives_both_are_checked(self) -> None:
        """For the second the file is read once more; a pipe would be waited for."""
        text = to_yaml(bootstrap([http_listener(1, [{"match": {"prefix": "/"}, "redirect": {"host_redirect": "a.example"},
                                                     "route": {"cluster": "nobody"}}])]))
        for path, mistakes in ((self.sandbox.write("both.yaml", text), 2), ("-", 1), ("/dev/stdin", 1)):
            code, output = self.run_weir("--mode", "validate", "--lint", "off", "-c", path, text=text)
            self.assertEqual((code, output.count(": error: ")), (1, mistakes), output)
            self.assertIn("exclude each other; keep one", output)
            self.assertEqual('"nobody" is not a cluster' in output, mistakes == 2, output)

    def test_standard_input_is_not_read_again(self) -> None:
        """A reload would wait on a terminal for ever."""
        address = self.sandbox.path("admin")
        read_end, write_end = os.pipe()
        with subprocess.Popen([weir_binary(), "-c", "-", "--admin-address-path", address], stdin=read_end,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                os.close(read_end)
                os.write(write_end, to_yaml(bootstrap([])).encode())
                os.close(write_end)
                where = wait_until(lambda: os.path.exists(address) and open(address, encoding="utf-8").read(),
                                   "the admin listens")
                request = urllib.request.Request("http://%s/reload" % where.strip(), method="POST", data=b"")
                with self.assertRaises(urllib.error.HTTPError) as caught:
                    urllib.request.urlopen(request, timeout=30)
                self.assertEqual(caught.exception.code, 400)
                self.assertIn("(standard input): error: cannot be read a second time", caught.exception.read().decode("utf-8"))
            finally:
                process.kill()  # before the end of the block waits for it

    def test_findings_as_json(self) -> None:
        path = self.sandbox.write("edge.yaml", BAD)
        code, output = self.run_weir("--mode", "validate", "--json", "-c", path)
        self.assertEqual(code, 1, output)
        findings = json.loads(output)
        by_path = {finding["path"]: finding for finding in findings}
        policy = by_path["static_resources.clusters[0].lb_policy"]
        self.assertEqual((policy["file"], policy["severity"], policy["found"]), (path, "error", "ROUND_ROBBIN"))
        self.assertIn("ROUND_ROBIN", policy["allowed"])
        self.assertGreater(policy["line"], 0)
        self.assertGreater(policy["column"], 0)
        timeout = by_path["static_resources.clusters[0].connect_timeout"]
        self.assertEqual(timeout["hint"], "write 5s")
        code, output = self.run_weir("--mode", "validate", "--json", "-c", self.sandbox.write("good.yaml", GOOD))
        self.assertEqual((code, json.loads(output)), (0, []))

    def test_start_says_all_that_validate_says(self) -> None:
        path = self.sandbox.write("edge.yaml", BAD.replace("{cluster: one}", "{cluster: onne}"))
        _, validated = self.run_weir("--mode", "validate", "-c", path)
        code, started = self.run_weir("-c", path)
        # Beside the log, which says what starts, and whether another one runs here.
        told = "".join(line for line in started.splitlines(keepends=True) if not line.startswith("["))
        self.assertEqual((code, told), (1, validated))
        self.assertIn("onne", started)

    def test_validating_opens_and_closes_logs(self) -> None:
        """The thread that writes log files must be gone before what it uses is."""
        text = MENDED.replace("stat_prefix: ingress", "stat_prefix: ingress\n          access_log: [{name: "
                              "envoy.access_loggers.stdout}]").replace("port_value: 1}", "port_value: 0}")
        for arguments in (("--mode", "validate"), ("--mode", "init_only")):
            with self.subTest(arguments):
                code, output = self.run_weir(*arguments, "-c", self.sandbox.write("edge.yaml", text))
                self.assertEqual(code, 0, output)
        code, output = self.run_weir("-c", self.sandbox.write("edge.yaml", text.replace("{cluster: one}", "{cluster: two}")))
        self.assertEqual(code, 1, output)

    def test_missing_file(self) -> None:
        code, output = self.run_weir("-c", self.sandbox.path("nowhere.yaml"))
        self.assertEqual(code, 1, output)
        self.assertIn("nowhere.yaml", output)

    def test_bad_flags(self) -> None:
        for arguments in (["--no-such-flag"], ["--mode", "dance"], ["--concurrency", "many"], ["-l", "loud"], ["-c"]):
            with self.subTest(arguments):
                code, output = self.run_weir(*arguments)
                self.assertEqual(code, 2, output)
                self.assertTrue(output.strip())

    def test_a_mistyped_flag_is_guessed(self) -> None:
        code, output = self.run_weir("--drain-tme-s", "3", "-c", "x.yaml")
        self.assertEqual(code, 2)
        self.assertEqual(output, "weir: unknown argument --drain-tme-s; did you mean --drain-time-s?\n")

    def test_no_configuration(self) -> None:
        code, output = self.run_weir()
        self.assertEqual(code, 2)
        self.assertIn("weir -c FILE", output)
        self.assertIn("--help", output)

    def test_what_has_no_effect_is_said(self) -> None:
        config = self.sandbox.write("weir.yaml", to_yaml(bootstrap([])))
        code, output = self.run_weir("-c", config, "--mode", "init_only", "--base-id", "3", "--restart-epoch", "0",
                                     "--parent-shutdown-time-s", "900", "--component-log-level", "misc:error",
                                     "--reject-unknown-dynamic-fields")
        self.assertEqual(code, 0, output)
        lines = [line for line in output.split("\n") if "no effect" in line]
        self.assertEqual(len(lines), 2, output)
        for flag in ("misc:error", "--reject-unknown-dynamic-fields"):
            self.assertTrue(any(flag in line and "[warning]" in line for line in lines), flag)

    def test_log_format(self) -> None:
        config = self.sandbox.write("weir.yaml", to_yaml(bootstrap([])))
        code, output = self.run_weir("-c", config, "--mode", "init_only", "--log-format", '{"at":%E,"level":"%l","text":"%j"}')
        self.assertEqual(code, 0, output)
        lines = [json.loads(line) for line in output.strip().split("\n")]
        self.assertTrue(any(line["text"].startswith("serving: ") for line in lines), output)
        code, output = self.run_weir("-c", config, "--log-format", "%Q %v")
        self.assertEqual(code, 2)
        self.assertIn("--log-format: %Q is not one of %a", output)

    # field: Bootstrap.application_log_config, ApplicationLogConfig.log_format, ApplicationLogConfig.LogFormat.json_format
    # field: ApplicationLogConfig.LogFormat.text_format
    def test_log_format_of_the_bootstrap(self) -> None:
        def run(log_format: dict, *arguments: str) -> tuple[int, str]:
            config = self.sandbox.write("weir.yaml", to_yaml({**bootstrap([]), "application_log_config": {"log_format": log_format}}))
            return self.run_weir("-c", config, "--mode", "init_only", *arguments)

        code, output = run({"json_format": {"text": "%j", "at": "%E", 'a "name" of 100%': "%l %%"}})
        self.assertEqual(code, 0, output)
        lines = [json.loads(line) for line in output.strip().split("\n") if line.startswith("{")]
        (line,) = [line for line in lines if line["text"].startswith("serving: ")]
        self.assertEqual(list(line), ['a "name" of 100%', "at", "text"])
        self.assertEqual(line['a "name" of 100%'], "info %")
        code, output = run({"text_format": "<%l> %v"})
        self.assertEqual(code, 0, output)
        self.assertIn("\n<info> serving: ", output)
        for log_format, fault in (({"json_format": {"a": "%v"}}, "%j is the same text as JSON has it"),
                                  ({"json_format": {"a": 1}}, "must be a text"), ({"text_format": "%Q"}, "%Q is not one of %a")):
            code, output = run(log_format)
            self.assertEqual(code, 1, output)
            self.assertIn(fault, output)
        code, output = run({"text_format": "%v"}, "--log-format", "%v")
        self.assertEqual(code, 1, output)
        self.assertIn("is said twice", output)

    def test_validation_touches_nothing(self) -> None:
        """No log file, no socket, and nothing of the kind although the port is taken and the files could be made."""
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen(1)
            config = bootstrap([http_listener(holder.getsockname()[1], [direct({"prefix": "/"}, "hello")], access_log=[
                file_access_log(self.sandbox.path("access.log"))])])
            config["static_resources"]["listeners"].append(
                {**http_listener(1, [direct({"prefix": "/"}, "hello")], name="pipe"),
                 "address": {"pipe": {"path": self.sandbox.path("socket")}}})
            path = self.sandbox.write("edge.yaml", to_yaml(config))
            before = sorted(os.listdir(self.sandbox.dir))
            code, output = self.run_weir("--mode", "validate", "-c", path, "--log-path", self.sandbox.path("weir.log"),
                                         "--admin-address-path", self.sandbox.path("admin"))
        self.assertEqual(code, 0, output)
        self.assertEqual(sorted(os.listdir(self.sandbox.dir)), before)

    def test_validation_finds_a_log_file_that_cannot_be(self) -> None:
        config = bootstrap([http_listener(1, [direct({"prefix": "/"}, "hello")], access_log=[
            file_access_log("/no/such/directory/access.log")])])
        code, output = self.validate(to_yaml(config))
        self.assertEqual(code, 1, output)
        self.assertIn("access_log[0].typed_config.path: cannot open /no/such/directory/access.log", output)

    def test_unknown_extensions(self) -> None:
        def with_filter(name: str) -> str:
            unknown = {"name": name, "typed_config": {"@type": "type.googleapis.com/acme.%s" % name}}
            return self.sandbox.write(name + ".yaml", to_yaml(bootstrap([http_listener(
                1, [direct({"prefix": "/"}, "hello")], http_filters=[unknown])])))

        code, output = self.run_weir("--mode", "validate", "-c", with_filter("Frob"))
        self.assertEqual(code, 1, output)
        self.assertIn("unknown type acme.Frob", output)
        code, output = self.run_weir("--mode", "validate", "-c", with_filter("Frob"), "--unknown-extensions", "passthrough")
        self.assertEqual(code, 0, output)
        self.assertIn("warning: ", output)
        self.assertIn("this HTTP filter is left out, as --unknown-extensions passthrough allows", output)
        code, output = self.run_weir("--mode", "validate", "-c", with_filter("Rbac"), "--unknown-extensions", "passthrough")
        self.assertEqual(code, 1, output)
        self.assertIn("may decide who or what gets through", output)

    def test_version_and_help(self) -> None:
        code, output = self.run_weir("--version")
        self.assertEqual(code, 0)
        self.assertRegex(output, r"^weir version: [0-9a-f]{40}/0\.1\.0/(Clean|Modified|Distribution)/(DEBUG|RELEASE)/BoringSSL\n$")
        code, output = self.run_weir("--help")
        self.assertEqual(code, 0)
        for flag in ("--config-path", "--config-yaml", "--mode", "--concurrency", "--log-level", "--admin-address-path"):
            self.assertIn(flag, output)
        self.assertLessEqual(output.count("\n"), 80)

    def test_list_extensions(self) -> None:
        code, output = self.run_weir("--list-extensions")
        self.assertEqual(code, 0)
        for name in ("envoy.filters.http.router", "envoy.filters.network.http_connection_manager", "envoy.filters.http.buffer",
                     "envoy.filters.http.header_mutation"):
            self.assertIn(name, output)
        self.assertIn("envoy.extensions.filters.http.buffer.v3.Buffer  (1 of 1 fields)\n", output)
        self.assertRegex(output, r"filters\.http\.router\.v3\.Router  \(\d of \d\d fields\)\n")
        # Three columns, however long a kind or a name is.
        lines = [re.fullmatch(r"(\S+ +)(\S+ +)(\S+)(  \(\d+ of \d+ fields\))?", line) for line in output.splitlines()]
        self.assertEqual(len({(line.end(1), line.end(2)) for line in lines if line is not None}), 1)
        self.assertNotIn(None, lines)

    def test_port_in_use(self) -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen(1)
            port = holder.getsockname()[1]
            config = bootstrap([http_listener(port, [direct({"prefix": "/"}, "hello")])])
            code, output = self.run_weir("-c", self.sandbox.write("weir.yaml", to_yaml(config)))
            self.assertEqual(code, 3, output)
            self.assertIn("cannot bind 127.0.0.1:%d: Address already in use; held by " % port, output)
            self.assertIn("(pid %d)" % os.getpid(), output)
            # The admin's port is no different.
            config = {"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
            code, output = self.run_weir("-c", self.sandbox.write("admin.yaml", to_yaml(config)))
        self.assertEqual(code, 3, output)
        self.assertIn("admin: cannot bind 127.0.0.1:%d" % port, output)

    def test_an_address_file_that_cannot_be_written(self) -> None:
        config = self.sandbox.write("weir.yaml", to_yaml(bootstrap([])))
        code, output = self.run_weir("-c", config, "--admin-address-path", "/no/such/directory/admin")
        self.assertEqual(code, 2, output)
        self.assertIn("--admin-address-path: cannot write /no/such/directory/admin: No such file or directory", output)


if __name__ == "__main__":
    main()
