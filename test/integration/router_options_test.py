"""What the router itself is told: which headers are to be right, whose timeout counts; and what the log says of its attempts."""

from harness import (EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch, file_access_log, http_listener,
                     main, route, wait_until)
from harness.config import PRIVATE
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
            cls.port, [route({"prefix": "/"}, "echo", {"timeout": "9s"})], use_remote_address=True, internal_address_config=PRIVATE,
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


class UpstreamLogTest(WeirTestCase):
    # field: Router.upstream_log, Router.upstream_log_options, Router.UpstreamAccessLogOptions.flush_upstream_log_on_upstream_stream
    def test_a_line_for_each_attempt(self) -> None:
        bad, good, slow = (ScriptedUpstream(self.sandbox, answer(503)), ScriptedUpstream(self.sandbox, answer(200)),
                           EchoUpstream(self.sandbox))
        nobody = self.sandbox.free_port()
        port, log = self.sandbox.free_port(), self.sandbox.path("upstream.log")
        limited = {"retry_policy": {"retry_on": "", "num_retries": 0, "per_try_timeout": "0.1s"}}
        listener = http_listener(port, [route({"prefix": "/one"}, "good", RETRY), route({"prefix": "/slow"}, "slow", limited),
                                        route({"prefix": "/"}, "all", RETRY)], use_remote_address=True)
        router = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][-1]["typed_config"]
        router["upstream_log"] = [file_access_log(
            log, "%REQ(:PATH)% %ACCESS_LOG_TYPE% %UPSTREAM_HOST% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
                 "%UPSTREAM_WIRE_BYTES_RECEIVED% %BYTES_SENT% %BYTES_RECEIVED%\n")]
        router["upstream_log_options"] = {"flush_upstream_log_on_upstream_stream": True}
        Weir(self.sandbox, bootstrap([listener], [
            cluster("good", good.port), cluster("slow", slow.port), cluster("all", bad.port, nobody)]))

        def lines(path: str) -> list:
            with open(log, encoding="utf-8") as file:
                return [line.split(" ")[1:] for line in file.read().splitlines() if line.startswith(path + " ")]

        host = "127.0.0.1:%d"
        self.assertEqual(fetch(port, "/one", "POST", body=b"abc").status, 200)
        wait_until(lambda: len(lines("/one")) == 2, "two lines")
        ready, end = lines("/one")
        self.assertEqual(ready, ["UpstreamPoolReady", host % good.port, "0", "-", "-", "0", "0", "0"])
        self.assertEqual(end[:5], ["UpstreamEnd", host % good.port, "200", "-", "via_upstream"])
        size = int(end[5])
        self.assertEqual(end[6:], ["3", "1"])  # of the upstream

        self.assertEqual(fetch(port, "/all").status, 503)
        wait_until(lambda: sum(line[0] == "UpstreamEnd" for line in lines("/all")) == 3, "three attempts")
        ends = [line[1:] for line in lines("/all") if line[0] == "UpstreamEnd"]
        for line in ends:
            if line[0] == host % nobody:
                self.assertEqual(line[1:], ["0", "UF", "upstream_reset_before_response_started{connection_failure}", "0", "0", "0"])
            else:
                self.assertEqual(line[:4], [host % bad.port, "503", "-", "via_upstream"])
                self.assertAlmostEqual(int(line[4]), size, delta=40)  # its own bytes, and not those of all
        self.assertEqual({line[0] for line in ends}, {host % nobody, host % bad.port})

        self.assertEqual(fetch(port, "/slow", headers=[("x-test-delay", "1")]).status, 504)
        wait_until(lambda: len(lines("/slow")) == 2, "two lines")
        self.assertEqual(lines("/slow")[1][2:5], ["0", "UT", "upstream_per_try_timeout"])

    # field: Router.UpstreamAccessLogOptions.upstream_log_flush_interval
    def test_lines_of_an_attempt_that_goes_on(self) -> None:
        slow = EchoUpstream(self.sandbox)
        port, log = self.sandbox.free_port(), self.sandbox.path("periodic.log")
        listener = http_listener(port, [route({"prefix": "/"}, "slow")])
        router = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][-1]["typed_config"]
        router["upstream_log"] = [file_access_log(log, "%REQ(:PATH)% %ACCESS_LOG_TYPE% %UPSTREAM_HOST% %RESPONSE_CODE%\n")]
        router["upstream_log_options"] = {"upstream_log_flush_interval": "0.2s"}
        Weir(self.sandbox, bootstrap([listener], [cluster("slow", slow.port)]))

        def lines(path: str) -> list[str]:
            with open(log, encoding="utf-8") as file:
                return [line for line in file.read().splitlines() if line.startswith(path + " ")]

        self.assertEqual(fetch(port, "/slow", headers=[("x-test-delay", "1")]).status, 200)
        wait_until(lambda: any("UpstreamEnd" in line for line in lines("/slow")), "the last line")
        host = "127.0.0.1:%d" % slow.port
        *periodic, end = lines("/slow")
        self.assertEqual(end, "/slow UpstreamEnd %s 200" % host)
        self.assertEqual(set(periodic), {"/slow UpstreamPeriodic %s 0" % host})
        self.assertGreater(len(periodic), 2)
        # One that is over in time has no such line.
        self.assertEqual(fetch(port, "/quick").status, 200)
        wait_until(lambda: lines("/quick"), "the line")
        self.assertEqual(lines("/quick"), ["/quick UpstreamEnd %s 200" % host])


if __name__ == "__main__":
    main()
