"""grpc_stats and grpc_http1_bridge, with gRPC's own client and server, and clients that know HTTP alone."""

import subprocess
from typing import Any

import grpc

from harness import (Connection, Weir, WeirTestCase, bootstrap, cluster, file_access_log, http_listener, main, route, wait_line,
                     wait_until)
from harness.config import HTTP2
from harness.grpc_service import SERVICE, Service, frame, start_server
from harness.http2_client import H2

TYPE = "type.googleapis.com/envoy.extensions.filters.http."
LINE = "%REQ(:PATH)%|%FILTER_STATE(envoy.filters.http.grpc_stats:PLAIN)%|%FILTER_STATE(envoy.filters.http.grpc_stats:TYPED)%|" \
       "%FILTER_STATE(envoy.filters.http.grpc_stats:FIELD:response_message_count)%|%RESPONSE_CODE%|%GRPC_STATUS%\n"


def stats_filter(**fields: Any) -> dict[str, Any]:
    return {"name": "envoy.filters.http.grpc_stats", "typed_config": {"@type": TYPE + "grpc_stats.v3.FilterConfig", **fields}}


def bridge(**fields: Any) -> dict[str, Any]:
    return {"name": "envoy.filters.http.grpc_http1_bridge", "typed_config": {"@type": TYPE + "grpc_http1_bridge.v3.Config", **fields}}


class GrpcFiltersTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.service = Service()
        cls.server, port = start_server(cls.sandbox, cls.service)
        cls.ports = {name: cls.sandbox.free_port() for name in ("listed", "all", "one", "bridge", "upgrade", "web_bridge", "bridge_web")}
        cls.log = cls.sandbox.path("access.log")
        web = {"name": "envoy.filters.http.grpc_web", "typed_config": {"@type": TYPE + "grpc_web.v3.GrpcWeb"}}
        filters = {
            "listed": [stats_filter(emit_filter_state=True, individual_method_stats_allowlist={
                "services": [{"name": SERVICE, "method_names": ["Unary", "Count"]}]})],
            "all": [stats_filter(stats_for_all_methods=True, replace_dots_in_grpc_service_name=True)],
            "one": [stats_filter(enable_upstream_stats=True)],
            "bridge": [bridge()],
            "upgrade": [bridge(upgrade_protobuf_to_grpc=True, ignore_query_parameters=True)],
            "web_bridge": [web, bridge()],
            "bridge_web": [bridge(), web]}
        # A cluster each, so that they count apart.
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.ports[name], [route({"prefix": "/nobody."}, "nobody"), route({"prefix": "/"}, name, {"timeout": "0s"})], name=name,
            http_filters=chain, stat_prefix=name, access_log=[file_access_log(cls.log, LINE)]) for name, chain in filters.items()], [
                *(cluster(name, port, **HTTP2) for name in filters), cluster("nobody", cls.sandbox.free_port(), **HTTP2)]), concurrency=2)

    def channel(self, name: str) -> Any:
        channel = grpc.insecure_channel("127.0.0.1:%d" % self.ports[name])
        self.addCleanup(channel.close)
        return channel

    def counted(self, name: str) -> dict[str, int]:
        start = "cluster.%s.grpc." % name
        return {stat[len(start):]: value for stat, value in self.weir.stats().items() if stat.startswith(start)}

    def line(self, path: str, counted: bool) -> list[str]:
        """`counted`: with counts in the filter state."""
        return wait_line(self.log, path + "|", r"^[^|]*\|[^-]" if counted else r"^[^|]*\|-\|").split("|")

    # field: grpc_stats.v3.FilterConfig.individual_method_stats_allowlist, grpc_stats.v3.FilterConfig.emit_filter_state
    def test_methods_of_a_list(self) -> None:
        channel = self.channel("listed")
        channel.unary_unary("/%s/Unary" % SERVICE)(b"x" * 100_000, timeout=10)
        self.assertEqual(len(list(channel.unary_stream("/%s/Count" % SERVICE)(b"1000", timeout=30))), 1000)
        channel.stream_unary("/%s/Sum" % SERVICE)(iter([b"1"] * 300), timeout=30)
        with self.assertRaises(grpc.RpcError):
            channel.unary_unary("/%s/Fail" % SERVICE)(b"", timeout=10)
        one = SERVICE + ".Unary."
        many = SERVICE + ".Count."
        expected = {
            one + "0": 1, one + "success": 1, one + "total": 1, one + "request_message_count": 1, one + "response_message_count": 1,
            many + "0": 1, many + "success": 1, many + "total": 1, many + "request_message_count": 1,
            many + "response_message_count": 1000,
            "0": 1, "9": 1, "success": 1, "failure": 1, "total": 2, "request_message_count": 301, "response_message_count": 1}
        wait_until(lambda: self.counted("listed") == expected, "the counts; they are %s" % self.counted("listed"))
        self.assertEqual(self.line("/%s/Count" % SERVICE, True)[1:4],
                         ["1,1000", '{"request_message_count":"1","response_message_count":"1000"}', "1000"])
        self.assertEqual(self.line("/%s/Sum" % SERVICE, True)[1:2], ["300,1"])

    # field: grpc_stats.v3.FilterConfig.stats_for_all_methods, grpc_stats.v3.FilterConfig.replace_dots_in_grpc_service_name
    def test_all_methods(self) -> None:
        channel = self.channel("all")
        channel.unary_unary("/a.b.Shop/Unary")(b"x", timeout=10)
        with self.assertRaises(grpc.RpcError):
            channel.unary_unary("/a.b.Shop/Fail")(b"x", timeout=10)
        wait_until(lambda: self.counted("all").get("a_b_Shop.Fail.total") == 1, "it counts")
        self.assertEqual(self.counted("all"), {
            "a_b_Shop.Unary.0": 1, "a_b_Shop.Unary.success": 1, "a_b_Shop.Unary.total": 1, "a_b_Shop.Unary.request_message_count": 1,
            "a_b_Shop.Unary.response_message_count": 1, "a_b_Shop.Fail.9": 1, "a_b_Shop.Fail.failure": 1, "a_b_Shop.Fail.total": 1,
            "a_b_Shop.Fail.request_message_count": 1})
        self.assertIn('envoy_cluster_grpc_success{envoy_grpc_bridge_method="Unary",envoy_grpc_bridge_service="a_b_Shop",'
                      'envoy_cluster_name="all"} 1', self.weir.admin("/stats/prometheus"))

    def test_whoever_makes_methods_up(self) -> None:
        """Names are limited, and nothing else is short of room for it."""
        with H2(self.ports["all"]) as client:
            for at in range(0, 3000, 50):
                streams = [client.request("/made.Up/M%d" % i, "POST", frame(b""), headers=[("content-type", "application/grpc"),
                                                                                       ("te", "trailers")]) for i in range(at, at + 50)]
                for stream in streams:
                    client.until(stream)
                client.events.clear()
        self.assertLessEqual(len(self.counted("all")), 4096)
        stats = self.weir.stats()
        self.assertGreater(stats["stats.overflow"], 1000)
        self.assertGreaterEqual(stats["cluster.all.upstream_rq_200"], 3000)

    # field: grpc_stats.v3.FilterConfig.enable_upstream_stats
    def test_times(self) -> None:
        self.channel("one").unary_unary("/%s/Unary" % SERVICE)(b"x", timeout=10)
        wait_until(lambda: self.counted("one").get("total") == 1, "it counts")
        self.assertRegex(self.weir.admin("/stats/prometheus"), r'envoy_cluster_grpc_upstream_rq_time_count\{envoy_cluster_name="one"\} 1')
        self.assertNotIn('envoy_cluster_grpc_upstream_rq_time_count{envoy_cluster_name="listed"}', self.weir.admin("/stats/prometheus"))

    def post(self, name: str, path: str, body: bytes, kind: str = "application/grpc") -> Any:
        with Connection(self.ports[name]) as client:
            return client.request("POST", path, headers=[("content-type", kind)], body=body)

    def test_unary_calls_over_http1(self) -> None:
        for size in (0, 5, 200_000):
            message = b"m" * size
            response = self.post("bridge", "/%s/Unary" % SERVICE, frame(message))
            self.assertEqual((response.status, response.header("grpc-status"), response.trailers), (200, "0", []))
            self.assertEqual(response.header("content-length"), str(size + 5))
            self.assertEqual(response.body, frame(message))
        response = self.post("bridge", "/%s/Fail" % SERVICE, frame(b""))
        self.assertEqual((response.status, response.header("grpc-status")), (503, "9"))
        self.assertEqual(response.header("grpc-message"), "no, 100%25 sure")
        response = self.post("bridge", "/nobody.A/B", frame(b""))
        self.assertEqual((response.status, response.header("grpc-status")), (503, "14"))
        self.assertEqual(self.line("/%s/Fail" % SERVICE, False)[5:], ["FailedPrecondition"])
        # Over HTTP/2 nothing changes; both are counted.
        answers = list(self.channel("bridge").unary_stream("/%s/Count" % SERVICE)(b"10", timeout=10))
        self.assertEqual(len(answers), 10)
        wait_until(lambda: self.counted("bridge").get(SERVICE + ".Count.success") == 1, "it counts")
        counts = self.counted("bridge")
        self.assertEqual([counts[SERVICE + name] for name in (".Unary.success", ".Unary.total", ".Fail.failure", ".Fail.9")], [3, 3, 1, 1])

    def test_calls_of_grpc_web_pass_the_bridge(self) -> None:
        for name in ("web_bridge", "bridge_web"):
            response = self.post(name, "/%s/Unary" % SERVICE, frame(b"m"), "application/grpc-web+proto")
            self.assertEqual((response.status, response.header("content-type")), (200, "application/grpc-web+proto"))
            self.assertTrue(response.body.startswith(frame(b"m") + b"\x80"), response.body)
            self.assertIn(b"grpc-status: 0\r\n", response.body)
            response = self.post(name, "/%s/Fail" % SERVICE, frame(b""), "application/grpc-web+proto")
            self.assertEqual((response.status, response.header("grpc-status")), (200, "9"))
            # The others are the bridge's.
            response = self.post(name, "/%s/Unary" % SERVICE, frame(b"m"))
            self.assertEqual((response.status, response.header("grpc-status"), response.body), (200, "0", frame(b"m")))

    def test_an_answer_that_is_too_long(self) -> None:
        response = self.post("bridge", "/%s/Unary" % SERVICE, frame(b"x" * (2 << 20)))
        self.assertEqual(response.header("grpc-status"), "2")
        self.assertIn("too large", response.header("grpc-message"))

    # field: grpc_http1_bridge.v3.Config.upgrade_protobuf_to_grpc, grpc_http1_bridge.v3.Config.ignore_query_parameters
    def test_protobuf_becomes_a_call(self) -> None:
        path = "/%s/Unary?x=1" % SERVICE
        for message in (b"", b"abc", b"x" * 100_000):
            response = self.post("upgrade", path, message, "application/x-protobuf")
            self.assertEqual((response.status, response.header("content-type")), (200, "application/x-protobuf"))
            self.assertEqual((response.header("grpc-status"), response.body), ("0", message))
            if len(message) > 16384:
                continue
            with H2(self.ports["upgrade"]) as client:
                stream = client.request(path, "POST", message, headers=[("content-type", "application/x-protobuf")])
                client.until(stream)
                self.assertEqual((client.headers(stream)["grpc-status"], client.body(stream)), ("0", message))
        response = self.post("upgrade", "/%s/Count" % SERVICE, b"2", "application/x-protobuf")
        self.assertEqual((response.status, response.header("grpc-status"), response.body), (503, "13", b""))
        response = self.post("upgrade", "/nobody.A/B", b"2", "application/x-protobuf")
        self.assertEqual((response.status, response.header("grpc-status"), response.header("content-type")), (503, "14", "application/x-protobuf"))

    def test_protobuf_that_is_too_long(self) -> None:
        path, length = "/%s/Unary" % SERVICE, 2 << 20
        answer = self.post("upgrade", path, b"x" * length, "application/x-protobuf")
        self.assertEqual((answer.status, answer.text, answer.header("grpc-status")), (500, "response body too large\n", None))
        with Connection(self.ports["upgrade"]) as client:
            client.send(b"POST %s HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n"
                        % (path.encode(), length))
            client.send(b"x" * length + b"\r\n0\r\n\r\n")
            answer = client.read_response("POST")
        self.assertEqual((answer.status, answer.text, answer.header("grpc-status")), (413, "request body too large\n", None))
        stats = self.weir.stats()
        self.assertEqual([stats.get("http.upgrade.downstream_%s_too_large" % side) for side in ("rq", "rs")], [1, 1])

    def test_curl(self) -> None:
        done = subprocess.run(["curl", "-sS", "-i", "-H", "content-type: application/x-protobuf", "-H", "transfer-encoding: chunked", "--data-binary",
                               "by curl", "http://127.0.0.1:%d/%s/Unary" % (self.ports["upgrade"], SERVICE)],
                              capture_output=True, timeout=30, check=True)
        self.assertTrue(done.stdout.endswith(b"\r\n\r\nby curl"), done.stdout)


if __name__ == "__main__":
    main()
