"""Access log lines: the default format, operators of choice, one line per request however it ends."""

import re
import time

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log,
                     http_listener, main, route, wait_until)

DEFAULT_LINE = re.compile(
    r'^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "(?P<method>\S+) (?P<path>\S+) (?P<protocol>\S+)" (?P<code>\d+) (?P<flags>\S+) '
    r'(?P<received>\d+) (?P<sent>\d+) (?P<duration>\d+) (?P<service>\S+) "(?P<xff>[^"]*)" "(?P<agent>[^"]*)" "(?P<id>[^"]*)" '
    r'"(?P<authority>[^"]*)" "(?P<host>[^"]*)"$')
CUSTOM_LINE = ("%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %BYTES_RECEIVED% "
               "%BYTES_SENT% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %ROUTE_NAME% "
               "%REQ(X-A?X-B):3% %RESP(X-ECHO)% %START_TIME(%Y)% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %FILTER_CHAIN_NAME%\n")


UPSTREAM_LINE = ("%REQ(:PATH)% %UPSTREAM_PROTOCOL% %UPSTREAM_CONNECTION_ID% %UPSTREAM_CONNECTION_POOL_READY_DURATION% "
                 "%REQUEST_TX_DURATION% %COMMON_DURATION(US_TX_BEG:US_TX_END:us)% %COMMON_DURATION(US_CX_BEG:US_CX_END:us)% "
                 "%UPSTREAM_HOST_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW%\n")


class FullDiskTest(WeirTestCase):
    """Logs that cannot be written, as on a disk that is full: what they would have said is lost, and nothing else."""

    def test_requests_go_on(self) -> None:
        port, good = self.sandbox.free_port(), self.sandbox.path("good.log")
        weir = Weir(self.sandbox, bootstrap([http_listener(port, [direct({"prefix": "/"}, "hello")], access_log=[
            file_access_log("/dev/full", "%REQ(:PATH)%\n"), file_access_log(good, "%REQ(:PATH)%\n")])]),
            arguments=["--log-path", "/dev/full", "--log-level", "debug", "--file-flush-interval-msec", "50"])
        for number in range(3):
            self.assertEqual(fetch(port, "/%d" % number).text, "hello")
            weir.wait_stat("filesystem.write_failed", number + 1)
        with open(good, encoding="utf-8") as file:
            self.assertEqual(file.read(), "/0\n/1\n/2\n")
        weir.admin("/reload", "POST")
        weir.admin("/reopen_logs", "POST")
        self.assertEqual(fetch(port).text, "hello")
        weir.stop()


class UpstreamOperatorsTest(WeirTestCase):
    """What lines and headers say of the upstream's side."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.path = cls.sandbox.path("upstream.log")
        named = cluster("named", cls.echo.port, hostname="inner.example", alt_stat_name="shown")
        code = [{"header": {"key": "x-code", "value": "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%"}}]
        listener = http_listener(cls.port, [direct({"prefix": "/direct"}, "x", 418), {"match": {"prefix": "/away"},
                                                                                     "redirect": {"path_redirect": "/there"}},
                                            route({"prefix": "/"}, "named")],
                                 route_config={"response_headers_to_add": code}, access_log=[file_access_log(cls.path, UPSTREAM_LINE)])
        cls.weir = Weir(cls.sandbox, bootstrap([listener], [named]))

    def line_of(self, mark: str) -> list:
        def found() -> str:
            with open(self.path, encoding="utf-8") as file:
                return next((line for line in file if line.startswith(mark) and line.endswith("\n")), "")

        return wait_until(found, "a line of " + mark, 15).split()

    def test_the_connection_is_described(self) -> None:
        with Connection(self.port) as connection:
            connection.request(path="/first")
            connection.request("POST", path="/second", body=b"x" * 1000)
        first, second = self.line_of("/first"), self.line_of("/second")
        for line in (first, second):
            self.assertEqual(line[1], "HTTP/1.1")
            self.assertGreater(int(line[2]), 0)
            for duration in line[3:7]:
                self.assertGreaterEqual(int(duration), 0, line)
            self.assertEqual(line[7:], ["inner.example", "shown", "named"])
        self.assertEqual(first[2], second[2])  # the same connection

    def test_response_headers_know_the_code(self) -> None:
        self.assertEqual(fetch(self.port, "/any").header("x-code"), "200 via_upstream")
        self.assertEqual(fetch(self.port, "/direct").header("x-code"), "418 direct_response")
        self.assertEqual(fetch(self.port, "/away").header("x-code"), "301 direct_response")


class AccessLogTest(WeirTestCase):
    """Two log files of one listener."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        cls.default_path, cls.custom_path = cls.sandbox.path("default.log"), cls.sandbox.path("custom.log")
        listener = http_listener(
            cls.port, [direct({"prefix": "/direct"}, "12345"), route({"prefix": "/echo"}, "echo", name="to-echo"),
                       route({"prefix": "/dead"}, "dead")],
            access_log=[file_access_log(cls.default_path), file_access_log(cls.custom_path, CUSTOM_LINE)])
        listener["filter_chains"][0]["name"] = "the-chain"
        cls.weir = Weir(cls.sandbox, bootstrap([listener], [cluster("echo", cls.echo.port), cluster("dead", cls.sandbox.free_port())]))

    def line_of(self, path: str, mark: str) -> str:
        def found() -> str:
            try:
                with open(path, encoding="utf-8") as file:
                    return next((line.rstrip("\n") for line in file if mark in line and line.endswith("\n")), "")
            except FileNotFoundError:
                return ""

        return wait_until(found, "a line with %s in %s" % (mark, path), 15)

    def test_default_format(self) -> None:
        fetch(self.port, "/echo/default", "POST", headers=[("user-agent", "tester/1"), ("x-request-id", "the-id"),
                                                          ("x-test-size", "77")], body=b"123456789")
        line = self.line_of(self.default_path, "/echo/default")
        match = DEFAULT_LINE.match(line)
        self.assertIsNotNone(match, line)
        for name, value in (("method", "POST"), ("path", "/echo/default"), ("protocol", "HTTP/1.1"), ("code", "200"), ("flags", "-"),
                            ("received", "9"), ("sent", "77"), ("agent", "tester/1"), ("authority", "test.example"),
                            ("xff", "-"), ("host", "127.0.0.1:%d" % self.echo.port)):
            self.assertEqual(match[name], value, name)  # type: ignore[index]

    # field: FilterChain.name
    # field: HttpConnectionManager.access_log, AccessLog.typed_config, FileAccessLog.path, FileAccessLog.log_format
    # field: SubstitutionFormatString.text_format_source, core.v3.DataSource.inline_string, Route.name
    def test_operators(self) -> None:
        fetch(self.port, "/echo/custom", headers=[("x-b", "second"), ("x-test-header", "x-echo=back"), ("x-test-size", "5")])
        self.assertEqual(
            self.line_of(self.custom_path, "/echo/custom"),
            "GET /echo/custom HTTP/1.1 200 via_upstream - 0 5 echo 127.0.0.1:%d 127.0.0.1 to-echo sec back %s 1 the-chain"
            % (self.echo.port, time.gmtime().tm_year))

    def test_local_answers(self) -> None:
        fetch(self.port, "/direct/x")
        self.assertRegex(self.line_of(self.custom_path, "/direct/x"), "^GET /direct/x HTTP/1.1 200 direct_response - 0 5 - - ")
        fetch(self.port, "/nowhere")
        self.assertRegex(self.line_of(self.custom_path, "/nowhere"), "^GET /nowhere HTTP/1.1 404 route_not_found NR 0 0 - - ")
        fetch(self.port, "/dead/x")
        self.assertRegex(self.line_of(self.custom_path, "/dead/x"), "^GET /dead/x HTTP/1.1 503 upstream_reset_before_response_started"
                                                                     r"\{.*connection_failure.*\} UF(,URX)? ")

    def test_a_client_that_goes_away_is_logged(self) -> None:
        with Connection(self.port) as connection:
            connection.send_request(path="/echo/gone", headers=[("x-test-gate", "1")])
            wait_until(lambda: any(request.target == "/echo/gone" for request in self.echo.requests), "the request is on its way")
            connection.reset()  # a mere close could be that of a client that still listens
        line = self.line_of(self.custom_path, "/echo/gone")
        self.echo.gate.set()
        self.assertIn(" DC ", line)

    def test_each_request_has_one_line(self) -> None:
        with Connection(self.port) as connection:
            for index in range(200):
                self.assertEqual(connection.request(path="/echo/one-%d-" % index).status, 200)
        self.line_of(self.custom_path, "/echo/one-199-")
        with open(self.custom_path, encoding="utf-8") as file:
            marks = re.findall(r"/echo/one-(\d+)-", file.read())
        self.assertEqual(sorted(marks, key=int), [str(index) for index in range(200)])

    def test_values_cannot_break_lines(self) -> None:
        fetch(self.port, "/echo/inject%0Afake", headers=[("user-agent", "a\" \"b")])
        self.assertIn("/echo/inject%0Afake", self.line_of(self.default_path, "/echo/inject"))


if __name__ == "__main__":
    main()
