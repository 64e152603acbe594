"""What a configuration reads while it is in force: files that are watched, variables, secrets; and what many reloads leave behind."""

import json
import os
import re
import time
import unittest
from typing import Any

from harness import (Connection, EchoUpstream, bootstrap, cluster, direct, fetch, http_listener, main, over_tls, route,
                     sanitized, to_yaml, wait_until)
from harness.config import Config, server_tls
from harness.tls import Authority, Identity, TlsConnection, client_context
from harness.updates import UpdateTestCase

FULL = bool(os.environ.get("WEIR_FULL"))


class FilesTest(UpdateTestCase):
    def file(self, name: str, text: str) -> str:
        return self.sandbox.write("files-%d/%s" % (id(self), name), text)

    def test_a_body_from_a_file(self) -> None:
        path = self.file("body", "one\n")
        port = self.sandbox.free_port()
        self.start(bootstrap([http_listener(port, [direct({"prefix": "/"}, "")])]))
        body = self.hcm()["route_config"]["virtual_hosts"][0]["routes"][0]["direct_response"]["body"]
        del body["inline_string"]
        body["filename"] = path
        self.assertTrue(self.reload()["applied"])
        self.assertEqual(fetch(port).text, "one\n")
        # Without watched_directory a reload alone looks again.
        self.file("body", "two\n")
        answer = self.reload()
        self.assert_changes(answer, [("routes", "http/any (routes)", "changed")])
        self.assertEqual(fetch(port).text, "two\n")
        os.remove(path)
        answer = self.reload()
        self.assertFalse(answer["ok"])
        self.assertTrue(answer["findings"][0]["path"].endswith("direct_response.body.filename"), answer)
        self.assertIn("cannot read %s: No such file or directory" % path, answer["findings"][0]["message"])
        self.assertEqual(fetch(port).text, "two\n")

    def test_a_watched_directory_as_a_config_map(self) -> None:
        folder = os.path.dirname(self.file("..v1/body", "one\n"))
        root = os.path.dirname(folder)
        os.symlink("..v1", os.path.join(root, "..data"))
        os.symlink("..data/body", os.path.join(root, "body"))
        port = self.sandbox.free_port()
        listener = http_listener(port, [direct({"prefix": "/"}, "")])
        listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"][0][
            "direct_response"]["body"] = {"filename": os.path.join(root, "body"), "watched_directory": {"path": root}}
        self.start(bootstrap([listener]))
        with Connection(port) as connection:
            self.assertEqual(connection.request().text, "one\n")
            for number in range(2, 5):
                self.file("..v%d/body" % number, "%d\n" % number)
                os.symlink("..v%d" % number, os.path.join(root, "..tmp"))
                os.rename(os.path.join(root, "..tmp"), os.path.join(root, "..data"))
                response = wait_until(lambda: (lambda r: r if r.text == "%d\n" % number else None)(connection.request()),
                                      "the new body")
                self.assertIsNone(response.header("connection"))
            # A version that cannot be read leaves the last one.
            failed = self.weir.stat("server.config_reload_failure")
            os.remove(os.path.join(root, "..v4/body"))
            os.symlink("..v4", os.path.join(root, "..tmp"))
            os.rename(os.path.join(root, "..tmp"), os.path.join(root, "..data"))
            self.weir.wait_stat("server.config_reload_failure", failed + 1)
            self.assertEqual(connection.request().text, "4\n")
            self.assertIn("body: No such file", self.weir.admin_json("/server_info")["weir"]["last_reload"]["error"])

    def test_a_watched_log_format_drains_its_chain(self) -> None:
        path = self.file("format", "first %PROTOCOL%\n")
        log = self.sandbox.path("access-%d.log" % id(self))
        port = self.sandbox.free_port()
        logger = {"name": "log", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": log,
            "log_format": {"text_format_source": {"filename": path, "watched_directory": {"path": os.path.dirname(path)}}}}}
        self.start(bootstrap([http_listener(port, [direct({"prefix": "/"}, "hello")], access_log=[logger])]), "--drain-strategy", "immediate",
                   "--file-flush-interval-msec", "50")
        with Connection(port) as connection:
            connection.request()
            next_path = self.file("next", "second %RESPONSE_CODE%\n")
            os.rename(next_path, path)
            self.weir.wait_stat("server.config_reload_success", 1)
            # The workers follow in their own time.
            wait_until(lambda: connection.request().header("connection") == "close", "the chain drains")
        fetch(port)

        def logged() -> list[str]:
            with open(log, encoding="utf-8") as file:
                return file.readlines()

        wait_until(lambda: logged().count("second 200\n") == 1, "the log follows the format")
        self.assertEqual(set(logged()), {"first HTTP/1.1\n", "second 200\n"})

    def test_variables(self) -> None:
        port = self.sandbox.free_port()
        listener = http_listener(port, [direct({"prefix": "/"}, "")])
        body = listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"][0]["direct_response"]["body"]
        del body["inline_string"]
        body["environment_variable"] = "HOME"
        self.start(bootstrap([listener]))
        self.assertEqual(fetch(port).text, os.environ["HOME"])
        body = self.hcm()["route_config"]["virtual_hosts"][0]["routes"][0]["direct_response"]["body"]
        body["environment_variable"] = "WEIR_NO_SUCH_VARIABLE"
        answer = self.reload()
        self.assertIn('"WEIR_NO_SUCH_VARIABLE" is not set', answer["findings"][0]["message"])


class SecretsTest(UpdateTestCase):
    def test_secrets_are_read_and_never_shown(self) -> None:
        root = os.path.dirname(self.sandbox.write("secrets/token", "FILE-SECRET-1"))
        self.start(bootstrap([http_listener(self.sandbox.free_port(), [direct({"prefix": "/"}, "hello")])]))
        self.config["static_resources"]["secrets"] = [
            {"name": "inline", "generic_secret": {"secret": {"inline_string": "INLINE-SECRET-1"}}},
            {"name": "file", "generic_secret": {"secret": {"filename": root + "/token", "watched_directory": {"path": root}}}}]
        shown = json.dumps(self.reload())
        self.config["static_resources"]["secrets"][0]["generic_secret"]["secret"]["inline_string"] = "INLINE-SECRET-2"
        answer = self.reload("&dry_run")
        self.assert_changes(answer, [("secret", "inline", "changed")])
        self.assertEqual([(field["before"], field["after"]) for field in answer["changes"][0]["fields"]], [('"[redacted]"', '"[redacted]"')])
        shown += json.dumps(answer) + self.post("/reload?dry_run")[1] + json.dumps(self.reload())
        # A file that changes is a change of the secret.
        self.sandbox.write("secrets/next", "FILE-SECRET-2")
        reloads = self.weir.stat("server.config_reload_success")
        os.rename(root + "/next", root + "/token")
        self.weir.wait_stat("server.config_reload_success", reloads + 1)
        wait_until(lambda: "1 secret changed" in self.weir.process.log(), "the log says so")
        dump = self.weir.admin("/config_dump")
        self.assertIn('"name": "inline"', dump)
        self.assertIn(root + "/token", dump)  # where it is from is none
        self.config["static_resources"]["secrets"].append({"name": "inline", "generic_secret": {"secret": {"inline_string": "INLINE-SECRET-3"}}})
        answer = self.reload()
        self.assertIn("is the name of", "".join(one["message"] for one in answer["findings"]))
        shown += dump + json.dumps(answer) + self.weir.process.log() + self.weir.admin("/server_info")
        for secret in ("FILE-SECRET", "INLINE-SECRET"):
            self.assertNotIn(secret, shown)


    def test_what_tls_takes_from_them_changes_with_them(self) -> None:
        """Also where no file does: a rule for names that is added, a certificate that is written into the file."""
        authority = Authority(self.sandbox)
        first, second = authority.issue("a.example"), authority.issue("a.example")
        client = authority.issue("client", client=True)
        port = self.sandbox.free_port()

        def text(path: str) -> dict:
            with open(path, encoding="utf-8") as file:
                return {"inline_string": file.read()}

        def secrets(own: Identity, **rules: object) -> list:
            return [{"name": "x", "tls_certificate": {"certificate_chain": text(own.cert_path), "private_key": text(own.key_path)}},
                    {"name": "x", "validation_context": {"trusted_ca": {"filename": authority.path}, **rules}}]

        def change(own: Identity, **rules: object) -> None:
            self.config["static_resources"]["secrets"] = secrets(own, **rules)
            self.assertTrue(self.reload()["applied"])

        config = bootstrap([over_tls(http_listener(port, [direct({"prefix": "/"}, "x")]), server_tls(
            require_client_certificate=True, common={"tls_certificate_sds_secret_configs": [{"name": "x"}],
                                                     "validation_context_sds_secret_config": {"name": "x"}}))])
        config["static_resources"]["secrets"] = secrets(first)
        self.start(config)

        def served() -> bytes:
            with TlsConnection(port, context=client_context(own=client)) as connection:
                self.assertEqual(connection.request().status, 200)
                return connection.peer

        self.assertEqual(served(), first.der)
        change(second)
        self.assertEqual(served(), second.der)
        change(second, match_typed_subject_alt_names=[{"san_type": "DNS", "matcher": {"exact": "nobody"}}])
        self.assertRaises((OSError, AssertionError), served)


class GrowthTest(UpdateTestCase):
    """Many reloads: nothing is left behind."""

    def test_memory_and_versions(self) -> None:
        echoes = [EchoUpstream(self.sandbox) for _ in range(2)]
        port = self.sandbox.free_port()
        clusters = 300
        reloads = 1000 if FULL else 150

        def configuration(number: int) -> Config:
            listener = http_listener(port, [route({"prefix": "/"}, "cluster-0")])
            typed = listener["filter_chains"][0]["filters"][0]["typed_config"]
            if number % 5 == 4:
                typed["server_name"] = "weir-%d" % number
            typed["route_config"]["virtual_hosts"][0]["routes"][0:0] = [direct({"path": "/%d" % number}, "x")]
            return bootstrap([listener], [cluster("cluster-%d" % index, echoes[number % 2 if index == number % clusters or index == 0 else 0].port)
                                          for index in range(clusters)])

        self.start(configuration(0))
        baseline, start = 0, time.monotonic()
        with self.load(lambda: port):
            for number in range(1, reloads + 1):
                self.config = configuration(number)
                answer = self.reload()
                self.assertTrue(answer["applied"], answer)
                if number == reloads // 3:  # by then caches and pools have their size
                    baseline = self.weir.process.resident_kib()
        grown = self.weir.process.resident_kib() - baseline
        print("%d reloads of %d clusters in %.1f s; resident %d KiB, grown by %d KiB since the first third" %
              (reloads, clusters, time.monotonic() - start, baseline, grown))
        if not sanitized():
            self.assertLess(grown, 4096)
        # Listener, route table; a cluster and a host set each.
        self.weir.wait_stat("http.ingress.downstream_cx_active", 0)
        self.weir.wait_stat("server.config_versions", 2 + 2 * clusters)

    @unittest.skipUnless(FULL and not sanitized(), "WEIR_FULL=1: takes a minute")
    def test_one_endpoint_of_ten_thousand_clusters(self) -> None:
        echoes = [EchoUpstream(self.sandbox) for _ in range(2)]
        port = self.sandbox.free_port()

        def configuration(number: int) -> Config:
            return bootstrap([http_listener(port, [route({"prefix": "/"}, "cluster-0")])],
                             [cluster("cluster-%d" % index, echoes[number % 2 if index == 0 else 0].port) for index in range(10_000)])

        texts = [to_yaml(configuration(number)) + "\n" for number in range(2)]
        self.start(configuration(0))
        built, baseline = [], 0
        rounds = 60
        with self.load(lambda: port):
            for number in range(1, rounds + 1):
                with open(self.weir.config_path, "w", encoding="utf-8") as file:
                    file.write(texts[number % 2])
                status, body = self.post("/reload?format=json")
                self.assertEqual(status, 200, body)
                answer = json.loads(body)
                self.assert_changes(answer, [("cluster", "cluster-0", "changed")])
                built.append(answer["took_ms"]["build"] + answer["took_ms"]["apply"])
                if number == rounds // 3:
                    baseline = self.weir.process.resident_kib()
        grown = self.weir.process.resident_kib() - baseline
        print("10,000 clusters: %.1f ms from parsed to published (median), resident %d KiB, grown by %d KiB" %
              (sorted(built)[rounds // 2], baseline, grown))
        self.assertLess(grown, 8192)


class FilterStatisticsTest(UpdateTestCase):
    """Statistics of filters go with the last configuration that has them."""

    def configuration(self, version: str, body: str = "x") -> Config:
        """Everything that is called by the version, in every kind of filter."""
        bucket = {"max_tokens": 1000, "fill_interval": "1s"}
        rules = {"action": "ALLOW", "policies": {"all": {"permissions": [{"any": True}], "principals": [{"any": True}]}}}
        cache = {"dns_cache_config": {"name": version, "dns_lookup_family": "V4_ONLY"}}

        def plugin(place: str, name: str, message: str, **fields: Any) -> Config:
            typed = {"@type": "type.googleapis.com/envoy.extensions.filters.%s.%s" % (place, message), **fields}
            return {"name": name, "typed_config": typed}

        limited = plugin("http", "limit", "local_ratelimit.v3.LocalRateLimit", stat_prefix=version, token_bucket=bucket,
                         filter_enabled={"default_value": {"numerator": 100}})
        of_route = {**limited["typed_config"], "stat_prefix": "route-" + version}
        http_filters = [
            plugin("http", "rbac", "rbac.v3.RBAC", rules=rules, rules_stat_prefix=version, track_per_rule_stats=True),
            limited,
            plugin("http", "authz", "ext_authz.v3.ExtAuthz", stat_prefix=version, failure_mode_allow=True,
                   http_service={"server_uri": {"uri": "http://127.0.0.1", "cluster": "c", "timeout": "1s"}}),
            plugin("http", "gzip", "compressor.v3.Compressor", compressor_library={"name": version, "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip"}}),
            plugin("http", "fault", "fault.v3.HTTPFault", abort={"http_status": 503, "percentage": {"numerator": 0}}),
            plugin("http", "names", "dynamic_forward_proxy.v3.FilterConfig", **cache),
        ]
        routes = [direct({"path": "/limited"}, body, typed_per_filter_config={"limit": of_route}),
                  direct({"prefix": "/"}, body)]
        listener = http_listener(self.port, routes, http_filters=http_filters, stat_prefix="manager-" + version)
        listener["filter_chains"][0]["filters"][0:0] = [
            plugin("network", "limit", "local_ratelimit.v3.LocalRateLimit", stat_prefix=version, token_bucket=bucket),
            plugin("network", "rbac", "rbac.v3.RBAC", stat_prefix=version, rules=rules),
            plugin("network", "most", "connection_limit.v3.ConnectionLimit", stat_prefix=version, max_connections=100)]
        listener["listener_filters"] = [
            plugin("listener", "limit", "local_ratelimit.v3.LocalRateLimit", stat_prefix=version, token_bucket=bucket),
            plugin("listener", "proxy", "proxy_protocol.v3.ProxyProtocol", stat_prefix=version,
                   allow_requests_without_proxy_protocol=True)]
        tls = over_tls(http_listener(self.tls_port, [direct({"prefix": "/"}, "x")], name="tls"), server_tls(self.leaf))
        tls["stat_prefix"] = "tls-" + version
        names = {"name": "names", "connect_timeout": "2s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": {
            "name": "envoy.clusters.dynamic_forward_proxy", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig", **cache}}}
        return bootstrap([listener, tls], [cluster("c", self.sandbox.free_port()), names])

    def named(self, version: str) -> set[str]:
        return {name for name in self.weir.stats() if re.search(r"\b%s\b" % version, name)}

    def test_they_go_with_what_they_belong_to(self) -> None:
        self.port, self.tls_port = (self.sandbox.free_port() for _ in range(2))
        self.leaf = Authority(self.sandbox).issue("leaf", "DNS:localhost")
        self.start(self.configuration("n0"), "--drain-time-s", "1")
        fetch(self.port, "/limited")
        self.weir.wait_stat("http.manager-n0.downstream_rq_completed", 1)
        of_first = self.named("n0")
        for part in ("n0.http_local_rate_limit.ok", "route-n0.http_local_rate_limit.ok", "local_rate_limit.n0.", "dns_cache.n0.",
                     "connection_limit.n0.", "rbac.n0.policy.all.", ".fault.", "proxy_proto.n0.", "listener_local_ratelimit.n0.",
                     "ssl_context_update_by_sds", "gzip", "ext_authz"):
            self.assertTrue(any(part in name for name in of_first), part)
        for number in range(1, 6):
            self.config = self.configuration("n%d" % number)
            with Connection(self.port) as held:  # of the version before
                held.request()
                self.assertTrue(self.reload()["applied"])
                self.assertEqual(held.request().text, "x")
                before = "n%d.http_local_rate_limit.ok" % (number - 1)
                self.assertGreaterEqual(self.weir.stat(before), 2, "it counts as long as its chain serves")
            fetch(self.port, "/limited")
        wait_until(lambda: not any(self.named("n%d" % number) for number in range(5)), "what was replaced is gone")
        self.weir.wait_stat("http.manager-n5.downstream_rq_completed", 1)
        self.assertEqual({name.replace("n5", "n0") for name in self.named("n5")}, of_first)
        self.assertEqual(self.weir.stat("listener.tls-n5.server_ssl_socket_factory.ssl_context_update_by_sds"), 0)
        # What stays counts on, whatever else of its chain changes; and what comes back begins anew.
        self.config = self.configuration("n5", body="y")
        self.hcm_behind()["server_name"] = "other"
        counted = self.weir.stat("route-n5.http_local_rate_limit.ok")
        self.assertTrue(self.reload()["drains"])
        fetch(self.port, "/limited")
        self.weir.wait_stat_is("route-n5.http_local_rate_limit.ok", counted + 1)
        self.config = self.configuration("n0")
        self.assertTrue(self.reload()["applied"])
        wait_until(lambda: not self.named("n5"), "so is the last one")
        names = set(self.weir.stats())
        self.assertEqual(self.weir.stats()["n0.http_local_rate_limit.ok"], 0)
        # Nothing of a configuration that is refused, or only looked at.
        self.config = self.configuration("n6")
        self.assertFalse(self.reload("&dry_run")["applied"])
        self.config["static_resources"]["clusters"][0]["lb_policy"] = "NO_SUCH"
        self.assertFalse(self.reload()["ok"])
        self.assertEqual(set(self.weir.stats()), names)

    def hcm_behind(self) -> Config:
        return self.listener()["filter_chains"][0]["filters"][-1]["typed_config"]


if __name__ == "__main__":
    main()
