"""The fault filter in the process: what clients get, and what the access log says of it."""

import time

from harness import EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, file_access_log, http_listener, main, route, wait_until

FAULT = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
ALWAYS = {"numerator": 100}


class FaultTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port, cls.log = cls.sandbox.free_port(), cls.sandbox.path("access.log")
        on_route = {"fault": {"@type": FAULT, "delay": {"fixed_delay": "0.2s", "percentage": ALWAYS},
                              "abort": {"http_status": 418, "percentage": ALWAYS}}}
        cls.cluster_port = cls.sandbox.free_port()
        of_cluster = http_listener(cls.cluster_port, [
            route({"prefix": "/plain"}, "other"), route({"prefix": "/broken"}, "broken"),
            route({"prefix": "/weighted"}, action={"weighted_clusters": {"clusters": [
                {"name": "other", "weight": 0}, {"name": "broken", "weight": 1}]}}),
            route({"prefix": "/header"}, action={"cluster_header": "x-to"})], name="of_cluster", stat_prefix="of_cluster", http_filters=[
                {"name": "fault", "typed_config": {"@type": FAULT, "upstream_cluster": "broken", "abort": {
                    "http_status": 418, "percentage": ALWAYS}}}])
        cls.weir = Weir(cls.sandbox, bootstrap([of_cluster, http_listener(
            cls.port, [route({"prefix": "/both"}, "echo", typed_per_filter_config=on_route), route({"prefix": "/"}, "echo")],
            http_filters=[{"name": "fault", "typed_config": {"@type": FAULT, "abort": {
                "grpc_status": 14, "percentage": {"numerator": 0}}, "abort_percent_runtime": "break"}}],
            access_log=[file_access_log(cls.log, "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")]),
            cls.telling()],
            [cluster(name, cls.echo.port) for name in ("echo", "other", "broken")]))

    @classmethod
    def telling(cls) -> dict:
        """A listener whose faults say so in the metadata."""
        cls.telling_port, cls.telling_log = cls.sandbox.free_port(), cls.sandbox.path("telling.log")

        def told(**fault: object) -> dict:
            return {"typed_per_filter_config": {"breaks": {"@type": FAULT, "filter_metadata": {"why": "test", "n": {"x": 1}}, **fault}}}

        return http_listener(cls.telling_port, [
            route({"prefix": "/late"}, "echo", **told(delay={"fixed_delay": "0.01s", "percentage": ALWAYS})),
            route({"prefix": "/never"}, "echo", **told(abort={"http_status": 418, "percentage": {"numerator": 0}})),
            route({"prefix": "/own"}, "echo", **told(abort={"http_status": 418, "percentage": ALWAYS})),
            route({"prefix": "/"}, "echo")], name="telling", stat_prefix="telling", http_filters=[{"name": "breaks", "typed_config": {
                "@type": FAULT, "filter_metadata": {"why": "chain"}, "abort": {"http_status": 500, "percentage": ALWAYS}}}],
            access_log=[file_access_log(cls.telling_log, "%REQ(:PATH)% %RESPONSE_CODE% %DYNAMIC_METADATA(breaks)%\n")])

    # field: HTTPFault.filter_metadata
    def test_the_metadata_says_so(self) -> None:
        for path, status, metadata in (("/late", 200, '{"n":{"x":1},"why":"test"}'), ("/never", 200, "-"),
                                       ("/own", 418, '{"n":{"x":1},"why":"test"}'), ("/x", 500, '{"why":"chain"}')):
            self.assertEqual(fetch(self.telling_port, path).status, status)
            line = "%s %d %s\n" % (path, status, metadata)
            wait_until(lambda: line in open(self.telling_log, encoding="ascii").read(), line)

    def test_delay_and_abort(self) -> None:
        start = time.monotonic()
        response = fetch(self.port, "/both")
        self.assertEqual((response.status, response.body), (418, b"fault filter abort"))
        self.assertGreaterEqual(time.monotonic() - start, 0.2)
        wait_until(lambda: "/both 418 DI,FI fault_filter_abort\n" in open(self.log, encoding="ascii").read(), "the log line")
        self.weir.wait_stat_is("http.ingress.fault.active_faults", 0)

    def test_of_one_cluster(self) -> None:
        for path, status in (("/plain", 200), ("/broken", 418), ("/weighted", 418)):
            self.assertEqual(fetch(self.cluster_port, path).status, status, path)
        for name, status in (("broken", 418), ("other", 200)):
            self.assertEqual(fetch(self.cluster_port, "/header", headers=[("x-to", name)]).status, status)

    def test_switched_at_run_time(self) -> None:
        self.assertEqual(fetch(self.port, "/").status, 200)
        self.weir.admin("/runtime_modify?break=100", "POST")
        response = fetch(self.port, "/")
        self.assertEqual((response.status, response.header("grpc-status"), response.body), (200, "14", b""))
        self.weir.admin("/runtime_modify?break=", "POST")
        self.assertEqual(fetch(self.port, "/").status, 200)


if __name__ == "__main__":
    main()
