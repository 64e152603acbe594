"""What the router itself is told: which headers are to be right, whose timeout counts; and what the log says of its attempts."""

from harness import (EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, file_access_log, http_listener,
                     main, route, wait_until)
from harness.upstreams import ServerConnection

RETRY = {"retry_policy": {"retry_on": "5xx", "num_retries": 2, "retry_back_off": {"base_interval": "0.001s"}}}


def answer(status: int):
    def serve(connection: ServerConnection) -> None:
        while True:
            connection.read_request()
            connection.respond(status, b"x")
    return serve


class RouterOptionsTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.log = cls.sandbox.path("access.log")
        listener = http_listener(
            cls.port, [route({"prefix": "/"}, "echo", {"timeout": "9s"})], use_remote_address=True,
            access_log=[file_access_log(cls.log, "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")])
        filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        filters[-1]["typed_config"].update({
            "respect_expected_rq_timeout": True,
            "strict_check_headers": ["x-envoy-upstream-rq-timeout-ms", "x-envoy-max-retries", "x-envoy-retry-on"]})
        cls.weir = Weir(cls.sandbox, bootstrap([listener], [cluster("echo", cls.echo.port)]))

    # field: Router.strict_check_headers
    def test_headers_that_are_to_be_right(self) -> None:
        def status(name: str, value: str) -> int:
            return fetch(self.port, headers=[(name, value)]).status

        for name, right, wrong in (("x-envoy-upstream-rq-timeout-ms", "5000", "5s"), ("x-envoy-max-retries", "2", "-1"),
                                   ("x-envoy-max-retries", "0", ""), ("x-envoy-retry-on", "5xx,reset", "5xx,rest")):
            self.assertEqual((status(name, right), status(name, wrong)), (200, 400), (name, wrong))
        self.assertEqual(status("x-envoy-retry-grpc-on", "nonsense"), 200)  # not one of those
        stranger = ("x-forwarded-for", "8.8.8.8")  # whose orders are taken out unread
        self.assertEqual(fetch(self.port, headers=[stranger, ("x-envoy-max-retries", "many")]).status, 200)
        refused = fetch(self.port, headers=[("x-envoy-max-retries", "many")])
        self.assertEqual(refused.text, "invalid header 'x-envoy-max-retries' with value 'many'")
        line = "400 IH request_headers_failed_strict_check{x-envoy-max-retries}"
        wait_until(lambda: line in self.read_log(), line)

    # field: Router.respect_expected_rq_timeout
    def test_the_timeout_that_a_proxy_before_expects(self) -> None:
        def told(*headers: tuple) -> str:
            response = fetch(self.port, headers=list(headers))
            return ",".join(self.echoed(response)["headers"]["x-envoy-expected-rq-timeout-ms"])

        expected = ("x-envoy-expected-rq-timeout-ms", "4000")
        self.assertEqual(told(), "9000")
        self.assertEqual(told(expected), "4000")
        self.assertEqual(told(expected, ("x-envoy-upstream-rq-timeout-ms", "6000")), "4000")
        self.assertEqual(told(("x-envoy-upstream-rq-timeout-ms", "6000")), "6000")
        self.assertEqual(told(("x-envoy-expected-rq-timeout-ms", "soon")), "9000")
        self.assertEqual(told(expected, ("x-forwarded-for", "8.8.8.8")), "9000")  # a stranger

    def read_log(self) -> str:
        with open(self.log, encoding="utf-8") as file:
            return file.read()


class AttemptedHostsTest(WeirTestCase):
    def test_all_hosts_of_a_request_in_the_log(self) -> None:
        bad, good, nobody = (ScriptedUpstream(self.sandbox, answer(503)), ScriptedUpstream(self.sandbox, answer(200)),
                             self.sandbox.free_port())
        port, log = self.sandbox.free_port(), self.sandbox.path("access.log")
        names = ["UPSTREAM_HOSTS_ATTEMPTED", "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_HOST_NAMES_ATTEMPTED",
                 "UPSTREAM_CONNECTION_IDS_ATTEMPTED"]
        Weir(self.sandbox, bootstrap([http_listener(
            port, [route({"prefix": "/one"}, "good", RETRY), route({"prefix": "/"}, "all", RETRY)],
            access_log=[file_access_log(log, " ".join("%%%s%%" % name for name in names) + "\n")])], [
                cluster("good", good.port), cluster("all", bad.port, nobody)]))

        def lines() -> list:
            with open(log, encoding="utf-8") as file:
                return [line.split(" ") for line in file.read().splitlines()]

        # One after the other: they may be of different workers.
        for path, status, count in (("/one", 200, 1), ("/", 503, 2)):
            self.assertEqual(fetch(port, path).status, status)
            wait_until(lambda: len(lines()) == count, "the line")
        one, all_hosts = lines()
        only = "127.0.0.1:%d" % good.port
        self.assertEqual(one[:3], [only, "127.0.0.1", only])
        self.assertRegex(one[3], r"^\d+$")
        tried = all_hosts[0].split(",")
        self.assertEqual((len(tried), set(tried)), (3, {"127.0.0.1:%d" % bad.port, "127.0.0.1:%d" % nobody}))
        self.assertEqual(all_hosts[1], "127.0.0.1,127.0.0.1,127.0.0.1")
        # Only those that were connected to have one.
        self.assertEqual(len(all_hosts[3].split(",")), tried.count("127.0.0.1:%d" % bad.port))


if __name__ == "__main__":
    main()
