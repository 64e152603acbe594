"""weir lint, weir diff, and --lint: what is said about files, and with which exit code."""

import json
import os
import re
import subprocess
import unittest

from harness import (Sandbox, bootstrap, cluster, direct, http_listener, main, over_tls, route, tcp_listener, to_yaml,
                     weir_binary)
from harness.config import Config, address, server_tls
from harness.tls import Authority

EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "config-examples")


def configuration() -> Config:
    return bootstrap([http_listener(1, [route({"prefix": "/"}, "one"), direct({"path": "/late"}, "never")])], [cluster("one", 2)])


class LintTestCase(unittest.TestCase):
    def setUp(self) -> None:
        self.sandbox = Sandbox()
        self.addCleanup(self.sandbox.close)

    def run_weir(self, *arguments: str) -> tuple[int, str, str]:
        """The exit code, what was printed, what went to standard error."""
        result = subprocess.run([weir_binary(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        return result.returncode, result.stdout, result.stderr

    def file(self, config: Config, name: str = "edge.yaml") -> str:
        return self.sandbox.write(name, to_yaml(config) + "\n")


class LintTest(LintTestCase):
    def test_warnings_with_their_place(self) -> None:
        path = self.file(configuration())
        code, output, errors = self.run_weir("lint", "-c", path)
        self.assertEqual((code, errors), (1, ""))
        self.assertRegex(output, re.escape(path) + r":\d+:\d+: warning: .*routes\[1\]: no request gets here: routes\[0\] \(prefix /, "
                         + re.escape(path) + r":\d+\) takes all of them first; .* \[unreachable-route\]\n")
        self.assertTrue(output.endswith("1 warning\n"), output)

    def test_ignore(self) -> None:
        path = self.file(configuration())
        code, output, _ = self.run_weir("lint", "--ignore=unreachable-route,weight-zero", path)
        self.assertEqual((code, output), (0, path + ": nothing found\n"))

    def test_errors(self) -> None:
        config = configuration()
        config["static_resources"]["clusters"][0]["name"] = "on"
        code, output, _ = self.run_weir("lint", "-c", self.file(config))
        self.assertEqual(code, 1)
        self.assertIn("one is not a cluster of this file; did you mean on? [unknown-cluster]", output)
        code, output, _ = self.run_weir("lint", "-c", self.sandbox.write("bad.yaml", "static_resources: {listners: []}\n"))
        self.assertEqual(code, 1)
        self.assertIn("did you mean listeners?", output)

    def test_json(self) -> None:
        code, output, _ = self.run_weir("lint", "--json", "-c", self.file(configuration()))
        finding = json.loads(output)[0]
        self.assertEqual((code, finding["rule"], finding["severity"]), (1, "unreachable-route", "warning"))
        self.assertGreater(finding["line"], 0)
        self.assertTrue(finding["hint"])
        code, output, _ = self.run_weir("lint", "--json", "-c", os.path.join(EXAMPLES, "quickstart.yaml"))
        self.assertEqual((code, json.loads(output)), (0, []))

    def test_what_weir_does_not_implement_is_looked_at_too(self) -> None:
        config = configuration()
        config["static_resources"]["clusters"][0].update(
            type="EDS", health_checks=[{"timeout": "1s", "interval": "5s", "unhealthy_threshold": 1, "healthy_threshold": 1,
                                        "tcp_health_check": {}}])
        code, output, _ = self.run_weir("lint", "-c", self.file(config))
        self.assertEqual(code, 1)
        self.assertIn("[health-check-no-traffic]", output)
        self.assertNotIn("not supported", output)

    def test_validate_speaks_of_what_weir_does_not_implement_once(self) -> None:
        config = configuration()
        config["static_resources"]["clusters"][0].update(
            health_checks=[{"timeout": "1s", "interval": "5s", "unhealthy_threshold": 1, "healthy_threshold": 1, "tcp_health_check": {}}])
        code, output, errors = self.run_weir("--mode", "validate", "-c", self.file(config))
        self.assertEqual(code, 1)
        self.assertIn("health_checks: not supported by weir yet", output + errors)
        self.assertNotIn("[health-check-no-traffic]", output + errors)

    def test_arguments(self) -> None:
        for arguments, words in (([], "no configuration"), (["-c"], "needs a value"), (["--no-such"], "unknown argument --no-such"),
                                 (["--ignore", "x", "a.yaml"], '"x" is not a rule')):
            code, _, errors = self.run_weir("lint", *arguments)
            self.assertEqual(code, 2, arguments)
            self.assertIn(words, errors)
        code, output, _ = self.run_weir("lint", "--rules")
        self.assertEqual(code, 0)
        self.assertIn("unreachable-route", output)
        for command in ("lint", "diff"):
            code, output, _ = self.run_weir(command, "--help")
            self.assertEqual(code, 0)
            self.assertIn("usage: weir " + command, output)
            self.assertIn("weir " + command, self.run_weir("--help")[1])

    def test_the_examples_are_clean(self) -> None:
        for name in sorted(os.listdir(EXAMPLES)):
            if name.endswith(".yaml"):
                with self.subTest(name):
                    path = os.path.join(EXAMPLES, name)
                    self.assertEqual(self.run_weir("lint", "-c", path), (0, path + ": nothing found\n", ""))


class StartTest(LintTestCase):
    """The same findings when a configuration is validated or served."""

    def test_validate(self) -> None:
        path = self.file(configuration())
        code, output, errors = self.run_weir("--mode", "validate", "-c", path)
        self.assertEqual(code, 0)
        self.assertIn("[unreachable-route]\n1 warning\n", errors)
        self.assertIn("OK", output)
        self.assertEqual(self.run_weir("--mode", "validate", "--lint=off", "-c", path)[::2], (0, ""))
        self.assertEqual(self.run_weir("--mode", "validate", "--lint=loud", "-c", path)[0], 2)

    def test_beside_errors_nothing_is_said_twice(self) -> None:
        config = configuration()
        config["static_resources"]["clusters"][0]["name"] = "on"
        errors = self.run_weir("--mode", "validate", "-c", self.file(config))[2]
        self.assertEqual(errors.count("route.cluster: "), 1, errors)

    def test_serving(self) -> None:
        config = configuration()
        config["static_resources"]["listeners"][0]["address"] = address(0)
        path = self.file(config)
        code, _, errors = self.run_weir("--mode", "init_only", "-c", path)
        self.assertEqual(code, 0, errors)
        self.assertEqual(errors.count("[unreachable-route]"), 1)
        code, _, errors = self.run_weir("--mode", "init_only", "--lint", "off", "-c", path)
        self.assertEqual(code, 0, errors)
        self.assertNotIn("unreachable", errors)

    def test_findings_that_are_errors(self) -> None:
        """A TLS listener in front of plain text elsewhere, and the switch that forbids it."""
        own = Authority(self.sandbox).issue("a.example")
        config = bootstrap([http_listener(0, [route({"prefix": "/"}, "far")]), tcp_listener(0, "far")], [cluster("far", 2)])
        for listener in config["static_resources"]["listeners"]:
            over_tls(listener, server_tls(own))
        endpoint = config["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"] = address(2, "192.0.2.1")
        path = self.file(config)
        for more, code, kind in (((), 0, "warning"), (("--lint-error", "plaintext-upstream,weight-zero"), 1, "error"),
                                 (("--lint-error=weight-zero",), 0, "warning")):
            for mode in ("validate", "init_only"):
                found, _, errors = self.run_weir("--mode", mode, "-c", path, *more)
                self.assertEqual(found, code, errors)
                self.assertRegex(errors, kind + r".*192\.0\.2\.1:2 in plain text.*\[plaintext-upstream\]")
        del config["static_resources"]["listeners"][0]  # what is only joined is plain text, too
        self.assertEqual(self.run_weir("--mode", "validate", "--lint-error", "plaintext-upstream", "-c", self.file(config))[0], 1)
        self.assertEqual(self.run_weir("--lint-error", "plaintext", "-c", path)[0], 2)

    def test_what_loading_warns_of_may_be_an_error(self) -> None:
        expired = Authority(self.sandbox).issue("a.example", days=-3)
        path = self.file(bootstrap([over_tls(http_listener(0, [direct({"prefix": "/"}, "x")]), server_tls(expired))]))
        self.assertEqual(self.run_weir("--mode", "validate", "-c", path)[0], 0)
        code, _, errors = self.run_weir("--mode", "validate", "--lint-error", "certificate-dates", "-c", path)
        self.assertEqual(code, 1)
        self.assertRegex(errors, r"error: .*has expired on .*\[certificate-dates\]")

    def test_a_start_says_a_few_things_only(self) -> None:
        config = configuration()
        config["static_resources"]["listeners"][0]["address"] = address(0)
        config["static_resources"]["clusters"] += [cluster("spare%d" % i, 2) for i in range(30)]
        path = self.file(config)
        code, _, errors = self.run_weir("--mode", "init_only", "-c", path)
        self.assertEqual(code, 0, errors)
        self.assertEqual(errors.count("nothing in this file names"), 3, errors)
        self.assertIn("and 27 more of this kind [unused-cluster]", errors)
        output = self.run_weir("lint", "-c", path)[1]
        self.assertEqual(output.count("nothing in this file names"), 20)


class DiffTest(LintTestCase):
    def test_text(self) -> None:
        old, new = configuration(), configuration()
        manager = new["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        manager["stream_idle_timeout"] = "10s"
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["timeout"] = "3s"
        new["static_resources"]["clusters"].append(cluster("two", 3))
        new["node"] = {"id": "n"}
        code, output, errors = self.run_weir("diff", self.file(old, "old.yaml"), self.file(new, "new.yaml"))
        self.assertEqual((code, errors), (0, ""))
        self.assertEqual(output, """\
listener   http               changed  chain 0 drains its connections
  filter_chains[0].filters[0].typed_config.stream_idle_timeout: + 10s
routes     http/any (routes)  changed  for new connections, with their chain
  virtual_hosts[0].routes[0].route.timeout: + 3s
cluster    two                added    from now on
bootstrap  node               added    needs a restart: it is read at start only
  node: + {id: n}
3 changes, 1 filter chain drains; 1 needs a restart
""")

    def test_json_and_no_difference(self) -> None:
        old, new = self.file(configuration(), "old.yaml"), self.file(configuration(), "new.yaml")
        self.assertEqual(self.run_weir("diff", old, new), (0, "a reload changes nothing\n", ""))
        code, output, _ = self.run_weir("diff", "--json", old, new)
        self.assertEqual((code, json.loads(output)), (0, {"changes": [], "drains": False, "refused": False}))

    def test_bad_files_and_arguments(self) -> None:
        good = self.file(configuration())
        code, output, errors = self.run_weir("diff", good, self.sandbox.write("bad.yaml", "static_resources: {listners: []}\n"))
        self.assertEqual((code, output), (1, ""))
        self.assertIn("bad.yaml:1:20: error: ", errors)
        self.assertEqual(self.run_weir("diff", good, self.sandbox.path("nowhere.yaml"))[0], 1)
        self.assertEqual(self.run_weir("diff", good)[0], 2)
        self.assertEqual(self.run_weir("diff", good, good, "--loud")[0], 2)
        for command in (("lint", good), ("diff", good, good)):
            self.assertEqual(self.run_weir(*command, "--json=no")[0], 2)  # it takes no value

    def test_rules_that_are_errors_and_what_is_merged_over(self) -> None:
        old, new = configuration(), configuration()
        new["static_resources"]["clusters"].append(cluster("two", 3))
        files = self.file(old, "old.yaml"), self.file(new, "new.yaml")
        code, output, errors = self.run_weir("diff", "--lint-error=unused-cluster", *files)
        self.assertEqual((code, output), (1, ""))
        self.assertIn("[unused-cluster]", errors)
        self.assertEqual(self.run_weir("diff", "--lint-error", "admin-exposed", *files)[0], 0)
        self.assertEqual(self.run_weir("diff", "--lint-error", "no-rule", *files)[0], 2)
        self.assertEqual(self.run_weir("diff", *files, "--lint-error")[0], 2)
        self.assertIn("no_such: unknown field", self.run_weir("diff", *files, "--config-yaml", "no_such: 1")[2])

    def test_the_flags_of_the_weir_that_is_to_reload(self) -> None:
        config = configuration()
        hcm = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        hcm["http_filters"].insert(0, {"name": "acme", "typed_config": {"@type": "type.googleapis.com/acme.coffee.v1.Coffee"}})
        path = self.file(config)
        self.assertEqual(self.run_weir("diff", path, path)[0], 1)
        for flags in (("--unknown-extensions", "passthrough"), ("--unknown-extensions=passthrough",)):
            self.assertEqual(self.run_weir("diff", *flags, path, path)[:2], (0, "a reload changes nothing\n"))
        self.assertEqual(self.run_weir("diff", "--unknown-extensions", "perhaps", path, path)[0], 2)
        self.assertEqual(self.run_weir("diff", path, path, "--unknown-extensions")[0], 2)


if __name__ == "__main__":
    main()
