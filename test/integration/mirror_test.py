"""Copies of requests for other clusters (request_mirror_policies)."""

import hashlib
import json

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, http_listener, main, route,
                     wait_until)


class MirrorTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.server, cls.first, cls.second = (EchoUpstream(cls.sandbox, name) for name in ("server", "first", "second"))
        cls.port = cls.sandbox.free_port()
        routes = [
            route({"prefix": "/two"}, "server", {"request_mirror_policies": [
                {"cluster": "first"},
                {"cluster_header": "x-copy-to", "disable_shadow_host_suffix_append": True,
                 "runtime_fraction": {"default_value": {"numerator": 100}, "runtime_key": "mirror.share"}}]}),
            route({"prefix": "/changed"}, "server", {"request_mirror_policies": [{
                "cluster": "first", "host_rewrite_literal": "copy.example", "request_headers_mutations": [
                    {"append": {"header": {"key": "x-copy-of", "value": "%REQ(x-a)% at %REQ(:PATH)%"}}}, {"remove": "x-a"},
                    {"remove_on_match": {"key_matcher": {"prefix": "x-secret"}}}]}]}),
            route({"prefix": "/host"}, "server")]
        listener = http_listener(cls.port, virtual_hosts=[
            {"name": "own", "domains": ["own.example"], "routes": routes, "request_mirror_policies": [{"cluster": "second"}]},
            {"name": "rest", "domains": ["*"], "routes": [route({"prefix": "/"}, "server")]}])
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"]["request_mirror_policies"] = [{"cluster": "first"}]
        config = bootstrap([listener], [cluster(name, server.port) for name, server in (
            ("server", cls.server), ("first", cls.first), ("second", cls.second))])
        config["layered_runtime"] = {"layers": [{"name": "admin", "admin_layer": {}}]}
        cls.weir = Weir(cls.sandbox, config)

    def copies(self, server: EchoUpstream, path: str, count: int) -> list:
        def found() -> list:
            return [request for request in server.requests if request.target == path]

        wait_until(lambda: len(found()) >= count, "%d copies of %s at %s" % (count, path, server.name))
        return found()

    # field: RouteAction.request_mirror_policies, RequestMirrorPolicy.cluster, RequestMirrorPolicy.cluster_header
    # field: RequestMirrorPolicy.runtime_fraction, RequestMirrorPolicy.disable_shadow_host_suffix_append
    def test_two_copies(self) -> None:
        body = bytes(range(256)) * 4000
        answer = fetch(self.port, "/two/1", method="POST", body=body, host="own.example", headers=[("x-copy-to", "second")])
        self.assertEqual(json.loads(answer.text)["server"], "server")
        for server, host in ((self.first, "own.example-shadow"), (self.second, "own.example")):
            (copy,) = self.copies(server, "/two/1", 1)
            self.assertEqual(copy.header("host"), host)
            self.assertEqual(hashlib.sha256(copy.body).hexdigest(), hashlib.sha256(body).hexdigest())

        self.assertEqual(self.weir.admin("/runtime_modify?mirror.share=0", "POST"), "OK\n")
        fetch(self.port, "/two/2", host="own.example", headers=[("x-copy-to", "second")])
        self.copies(self.first, "/two/2", 1)
        # Somebody who is not there gets nothing, and nobody minds.
        self.assertEqual(self.weir.admin("/runtime_modify?mirror.share=", "POST"), "OK\n")
        self.assertEqual(fetch(self.port, "/two/3", host="own.example", headers=[("x-copy-to", "nobody")]).status, 200)
        self.assertEqual([request.target for request in self.second.requests if request.target.startswith("/two")], ["/two/1"])

    # field: RequestMirrorPolicy.request_headers_mutations, RequestMirrorPolicy.host_rewrite_literal
    def test_headers_of_a_copy(self) -> None:
        headers = [("x-a", "1"), ("x-secret-one", "s"), ("x-secret-two", "s"), ("x-kept", "2")]
        answer = fetch(self.port, "/changed/1", host="own.example", headers=headers)
        original = self.echoed(answer)["headers"]
        self.assertEqual((original["x-a"], original["x-secret-one"], original["host"]), (["1"], ["s"], ["own.example"]))
        self.assertNotIn("x-copy-of", original)
        (copy,) = self.copies(self.first, "/changed/1", 1)
        self.assertEqual((copy.header("x-copy-of"), copy.header("x-kept")), ("1 at /changed/1", "2"))
        self.assertEqual([copy.header(name) for name in ("x-a", "x-secret-one", "x-secret-two")], [None, None, None])
        self.assertEqual(copy.header("host"), "copy.example")

    # field: VirtualHost.request_mirror_policies, RouteConfiguration.request_mirror_policies
    def test_the_most_specific_level_counts(self) -> None:
        fetch(self.port, "/host/1", host="own.example")
        self.copies(self.second, "/host/1", 1)
        fetch(self.port, "/rest/1")
        self.copies(self.first, "/rest/1", 1)
        self.assertEqual([request for request in self.first.requests if request.target == "/host/1"], [])

    def test_slow_and_failing_copies_cost_nothing(self) -> None:
        def held() -> list:
            return [request for request in self.first.requests if request.target.startswith("/rest/slow")]

        self.server.gate.set()
        self.addCleanup(self.first.gate.set)
        with Connection(self.port) as connection:
            for number in range(20):
                answer = connection.request(path="/rest/slow%d" % number, headers=[("x-test-status", "503"), ("x-test-gate", "1")])
                self.assertEqual(answer.status, 503)
        # All answers are here, and not one of the copies has got its own.
        wait_until(lambda: len(held()) == 20, "all copies wait at the gate")
        self.weir.wait_stat_is("cluster.first.upstream_rq_active", 20)
        self.first.gate.set()
        self.weir.wait_stat_is("cluster.first.upstream_rq_active", 0)


if __name__ == "__main__":
    main()
