"""The filter health_check: 503 while an operator or a drain says so, by clusters, and from its cache."""

import signal

from harness import (EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log, http_listener, main,
                     route, wait_until)

TYPE = "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck"
FAIL = "x-envoy-immediate-health-check-fail"


def check(path: str, **fields) -> dict:
    return {"name": "check " + path, "typed_config": {
        "@type": TYPE, "pass_through_mode": False, "headers": [{"name": ":path", "string_match": {"exact": path}}], **fields}}


class HealthCheckTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)

    def start(self, *arguments: str) -> int:
        port = self.sandbox.free_port()
        self.log = self.sandbox.path("log-%d" % port)
        log = {**file_access_log(self.log, "%REQ(:PATH)%\n"), "filter": {"not_health_check_filter": {}}}
        config = bootstrap([http_listener(port, [route({"prefix": "/through"}, "echo"), direct({"prefix": "/"}, "page")], http_filters=[
            check("/self"), check("/good", cluster_min_healthy_percentages={"echo": {"value": 100}}),
            check("/none", cluster_min_healthy_percentages={"nobody": {"value": 1}}),
            check("/through", pass_through_mode=True, cache_time="3600s")], access_log=[log])], [cluster("echo", self.echo.port)])
        config["node"] = {"id": "n", "cluster": "edge"}
        self.weir = Weir(self.sandbox, config, arguments=list(arguments))
        return port

    def test_answers(self) -> None:
        port = self.start()
        answer = fetch(port, "/self")
        self.assertEqual((answer.status, answer.body, answer.header("x-envoy-upstream-healthchecked-cluster")), (200, b"", "edge"))
        self.assertEqual([fetch(port, path).status for path in ("/good", "/none", "/other")], [200, 503, 200])
        # The log leaves checks out.
        def logged() -> str:
            with open(self.log, encoding="utf-8") as file:
                return file.read()

        wait_until(logged, "a line of the log")
        self.assertEqual(logged(), "/other\n")
        before = len(self.echo.requests)
        self.assertEqual([fetch(port, "/through", headers=[("x-test-status", "418")]).status for _ in range(3)], [418] * 3)
        self.assertEqual(len(self.echo.requests), before + 1)

        self.weir.admin("/healthcheck/fail", "POST")
        wait_until(lambda: fetch(port, "/self").status == 503, "checks fail")
        for path, status in (("/self", 503), ("/good", 503), ("/through", 503), ("/other", 200)):
            answer = fetch(port, path)
            self.assertEqual((answer.status, answer.header(FAIL)), (status, "true"), path)
        self.weir.admin("/healthcheck/ok", "POST")
        wait_until(lambda: fetch(port, "/self").status == 200, "checks succeed")
        self.assertIsNone(fetch(port, "/other").header(FAIL))

    def test_a_drain_fails_checks_before_listeners_close(self) -> None:
        port = self.start("--shutdown-delay-s", "20")
        self.assertEqual(fetch(port, "/self").status, 200)
        self.weir.process.signal(signal.SIGTERM)
        wait_until(lambda: fetch(port, "/self").status == 503, "checks fail")
        self.assertEqual(fetch(port, "/other").body, b"page")
        self.weir.process.signal(signal.SIGTERM)
        self.weir.ended_with(0, 4)


if __name__ == "__main__":
    main()
