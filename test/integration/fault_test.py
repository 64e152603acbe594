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
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, [route({"prefix": "/both"}, "echo", typed_per_filter_config=on_route), route({"prefix": "/"}, "echo")],
            http_filters=[{"name": "fault", "typed_config": {"@type": FAULT, "abort": {
                "grpc_status": 14, "percentage": {"numerator": 0}}, "abort_percent_runtime": "break"}}],
            access_log=[file_access_log(cls.log, "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")])],
            [cluster("echo", cls.echo.port)]))

    def test_delay_and_abort(self) -> None:
        start = time.monotonic()
        response = fetch(self.port, "/both")
        self.assertEqual((response.status, response.body), (418, b"fault filter abort"))
        self.assertGreaterEqual(time.monotonic() - start, 0.2)
        wait_until(lambda: "/both 418 DI,FI fault_filter_abort\n" in open(self.log, encoding="ascii").read(), "the log line")
        self.weir.wait_stat_is("http.ingress.fault.active_faults", 0)

    def test_switched_at_run_time(self) -> None:
        self.assertEqual(fetch(self.port, "/").status, 200)
        self.weir.admin("/runtime_modify?break=100", "POST")
        response = fetch(self.port, "/")
        self.assertEqual((response.status, response.header("grpc-status"), response.body), (200, "14", b""))
        self.weir.admin("/runtime_modify?break=", "POST")
        self.assertEqual(fetch(self.port, "/").status, 200)


if __name__ == "__main__":
    main()
