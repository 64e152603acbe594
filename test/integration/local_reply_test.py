"""Answers that weir makes itself, in the operator's shape; and which lines an access log takes, for both ask the same
filters."""

import json
from typing import Any

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log,
                     http_listener, main, route)


FAULT = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
MUTATION = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"


def compare(value: int, op: str = "EQ", key: str = "") -> dict:
    return {"comparison": {"op": op, "value": {"default_value": value, "runtime_key": key or "unset"}}}


def status(value: int, op: str = "EQ") -> dict:
    return {"status_code_filter": compare(value, op)}


def header(name: str, value: str) -> dict:
    return {"header_filter": {"header": {"name": name, "string_match": {"exact": value}}}}


class LocalReplyTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.port, cls.plain, cls.json = (cls.sandbox.free_port() for _ in range(3))
        with open(cls.sandbox.path("body.html"), "w", encoding="ascii") as file:
            file.write("<p>gone</p>")
        replies = {
            "mappers": [
                {"filter": status(404), "status_code": 410, "body": {"filename": cls.sandbox.path("body.html")},
                 "body_format_override": {"text_format_source": {"inline_string": "<b>%LOCAL_REPLY_BODY% %RESPONSE_CODE%</b>"},
                                          "content_type": "text/html"},
                 "headers_to_add": [
                     {"header": {"key": "x-was", "value": "%RESPONSE_CODE%"}},
                     {"header": {"key": "x-kept", "value": "mapper"}, "append_action": "ADD_IF_ABSENT"}]},
                {"filter": header("x-empty", "1"), "body_format_override": {
                    "json_format": {"agent": "%REQ(user-agent)%", "code": "%RESPONSE_CODE%"}, "omit_empty_values": True}},
                {"filter": header("x-type", "1"), "headers_to_add": [
                    {"header": {"key": "content-type", "value": "text/x"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]},
                {"filter": {"response_flag_filter": {"flags": ["DPE"]}}, "status_code": 422},
                {"filter": header("x-none", "1"), "status_code": 204},
                {"filter": header("x-own", "1"), "body": {"inline_string": "own\n"}},
                {"filter": header("x-html", "1"), "body_format_override": {
                    "text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}, "content_type": "text/html"}}],
            "body_format": {"text_format": "%RESPONSE_CODE%: %LOCAL_REPLY_BODY%\n"}}
        routes = [direct({"prefix": "/direct"}, "two\nlines", 503), route({"prefix": "/dead"}, "dead"), direct({"path": "/ok"}, "fine")]
        as_json = {"body_format": {"json_format": {"text": "%LOCAL_REPLY_BODY%", "code": "%RESPONSE_CODE%", "who": ["weir", True]}}}
        code = {"name": "code", "typed_config": {"@type": MUTATION, "mutations": {"response_mutations": [
            {"append": {"header": {"key": "x-code", "value": "%RESPONSE_CODE%"}}}]}}}
        cls.weir = Weir(cls.sandbox, bootstrap(
            [http_listener(cls.port, routes, name="shaped", stat_prefix="shaped", local_reply_config=replies, http_filters=[code]),
             http_listener(cls.plain, routes, name="plain", stat_prefix="plain"),
             http_listener(cls.json, routes, name="json", stat_prefix="json", local_reply_config=as_json)],
            [cluster("dead", cls.sandbox.free_port())]))

    # field: HttpConnectionManager.local_reply_config, LocalReplyConfig.mappers, ResponseMapper.filter, ResponseMapper.status_code
    # field: ResponseMapper.body, ResponseMapper.body_format_override, ResponseMapper.headers_to_add
    # field: SubstitutionFormatString@body.content_type, SubstitutionFormatString@body.text_format_source
    def test_a_mapper(self) -> None:
        response = fetch(self.port, "/nowhere")
        self.assertEqual((response.status, response.body), (410, b"<b><p>gone</p> 410</b>"))
        self.assertEqual([response.header(name) for name in ("content-type", "content-length", "x-was", "x-kept")],
                         ["text/html", str(len(response.body)), "404", "mapper"])
        self.assertEqual(response.header("x-code"), "410")  # what filters see is what is sent
        self.weir.wait_stat_is("http.shaped.downstream_rq_4xx", 1)
        self.assertEqual(fetch(self.plain, "/nowhere").status, 404)

    def test_for_grpc_clients(self) -> None:
        """Headers alone, with 200: the status and what would be the body go where gRPC looks for them."""
        for port, path, status, message in ((self.plain, "/direct", "14", "two%0Alines"), (self.plain, "/nowhere", "12", None),
                                            (self.port, "/nowhere", "2", "<b><p>gone</p> 410</b>")):
            response = fetch(port, path, method="POST", headers=[("content-type", "application/grpc+proto")], body=b"12345")
            self.assertEqual((response.status, response.body), (200, b""))
            self.assertEqual([response.header(name) for name in ("content-type", "grpc-status", "grpc-message")],
                             ["application/grpc", status, message])
        response = fetch(self.plain, "/direct", headers=[("content-type", "application/grpc-web")])
        self.assertEqual((response.status, response.header("grpc-status")), (503, None))

    def test_a_type_alone(self) -> None:
        response = fetch(self.port, "/direct", headers=[("x-html", "1")])
        self.assertEqual((response.body, response.header("content-type")), (b"two\nlines", "text/html"))

    # field: LocalReplyConfig.body_format, SubstitutionFormatString@body.text_format
    def test_the_common_format(self) -> None:
        response = fetch(self.port, "/direct")
        self.assertEqual((response.status, response.body), (503, b"503: two\nlines\n"))
        self.assertEqual(response.header("content-type"), "text/plain")
        self.assertTrue(fetch(self.port, "/dead").body.startswith(b"503: "))
        self.assertEqual(fetch(self.port, "/direct", headers=[("x-own", "1")]).body, b"503: own\n\n")
        head = fetch(self.port, "/direct", "HEAD")
        self.assertEqual((head.body, head.header("content-length")), (b"", "15"))

    # field: SubstitutionFormatString@body.json_format, SubstitutionFormatString@body.omit_empty_values
    def test_json(self) -> None:
        response = fetch(self.json, "/direct")
        self.assertEqual(response.body, b'{"code":503,"text":"two\\nlines","who":["weir",true]}\n')
        self.assertEqual(response.header("content-type"), "application/json")
        self.assertEqual(json.loads(fetch(self.json, "/nowhere").body), {"code": 404, "text": "", "who": ["weir", True]})
        self.assertEqual(fetch(self.port, "/direct", headers=[("x-empty", "1")]).body, b'{"code":503}\n')

    def test_what_a_mapper_leaves_alone(self) -> None:
        response = fetch(self.port, "/direct", headers=[("x-type", "1")])
        self.assertEqual((response.header("content-type"), response.body), ("text/x", b"503: two\nlines\n"))
        nothing = fetch(self.port, "/direct", headers=[("x-none", "1")])
        self.assertEqual((nothing.status, nothing.body, nothing.header("content-length")), (204, b"", None))

    def test_routes_add_and_remove_headers(self) -> None:
        """Of all answers below them, whoever makes them; before a mapper has a look."""
        port = self.sandbox.free_port()
        add = lambda name, value="1": {"header": {"key": name, "value": value}}
        fault = {"name": "fault", "typed_config": {"@type": FAULT, "abort": {
            "http_status": 503, "percentage": {"numerator": 100}}, "headers": [{"name": "x-fault", "present_match": True}]}}
        host = {"name": "all", "domains": ["a.example"], "response_headers_to_add": [add("x-host")], "routes": [
            route({"prefix": "/dead"}, "dead") | {"response_headers_to_add": [add("x-route", "%RESPONSE_CODE%")]},
            direct({"prefix": "/direct"}, "text"), {"match": {"prefix": "/to"}, "redirect": {"path_redirect": "/there"}}]}
        mapper = {"filter": status(503), "headers_to_add": [
            {"header": {"key": "x-host", "value": "mapper"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]}
        listener = http_listener(port, virtual_hosts=[host], http_filters=[fault], local_reply_config={"mappers": [mapper]})
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"]["response_headers_to_add"] = [add("x-table")]
        Weir(self.sandbox, bootstrap([listener], [cluster("dead", self.sandbox.free_port())]))
        names = ("x-table", "x-host", "x-route")

        def seen(path: str, host: str = "a.example", headers: list = []) -> tuple:
            response = fetch(port, path, host=host, headers=headers)
            return (response.status, *(response.all(name) for name in names))

        self.assertEqual(seen("/direct"), (200, ["1"], ["1"], []))
        self.assertEqual(seen("/to"), (301, ["1"], ["1"], []))
        self.assertEqual(seen("/dead"), (503, ["1"], ["mapper"], ["503"]))
        self.assertEqual(seen("/direct", headers=[("x-fault", "1")]), (503, ["1"], ["mapper"], []))
        self.assertEqual(seen("/nowhere"), (404, [], [], []))
        self.assertEqual(seen("/direct", "b.example"), (404, [], [], []))
        response = fetch(port, "/dead", "POST", host="a.example", headers=[("content-type", "application/grpc")])
        self.assertEqual((response.header("grpc-status"), response.header("x-table")), ("14", "1"))

    def test_a_request_that_cannot_be_read(self) -> None:
        with Connection(self.port) as connection:
            connection.send(b"GET / HTTP/1.1\r\nhost: a\r\nbad header: x\r\n\r\n")
            response = connection.read_response()
        self.assertEqual((response.status, response.body), (422, b"422: \n"))


class LogFilterTest(WeirTestCase):
    """One log file for each filter."""

    filters: dict[str, dict[str, Any]] = {
        "status": status(500, "GE"),
        "not-status": status(200, "NE"), "low": status(299, "LE"), "exact": status(404),
        "runtime-status": {"status_code_filter": compare(999, "EQ", "log.status")},
        "slow": {"duration_filter": compare(150, "GE")},
        "checks": {"not_health_check_filter": {}},
        "sample": {"runtime_filter": {"runtime_key": "log.sample", "percent_sampled": {"numerator": 50}}},
        "all": {"runtime_filter": {"runtime_key": "log.none", "percent_sampled": {"numerator": 100}, "use_independent_randomness": True}},
        "dice": {"runtime_filter": {"runtime_key": "log.dice", "percent_sampled": {"numerator": 50}, "use_independent_randomness": True}},
        "and": {"and_filter": {"filters": [status(404), header("x-a", "1")]}},
        "or": {"or_filter": {"filters": [status(404), header("x-a", "1")]}},
        "header": header("x-a", "1"),
        "flag": {"response_flag_filter": {"flags": ["NR"]}}, "any-flag": {"response_flag_filter": {}},
        "grpc": {"grpc_status_filter": {"statuses": ["NOT_FOUND", "UNIMPLEMENTED"]}},
        "not-grpc": {"grpc_status_filter": {"statuses": ["UNIMPLEMENTED"], "exclude": True}},
        "metadata": {"metadata_filter": {"matcher": {"filter": "none", "path": [{"key": "k"}], "value": {"string_match": {"exact": "v"}}},
                                         "match_if_key_not_found": False}},
        "no-metadata": {"metadata_filter": {"matcher": {"filter": "none", "path": [{"key": "k"}], "value": {"string_match": {"exact": "v"}}}}},
        "end": {"log_type_filter": {"types": ["DownstreamEnd"]}},
        "not-end": {"log_type_filter": {"types": ["DownstreamEnd"], "exclude": True}},
    }

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        logs = []
        for name, one in cls.filters.items():
            logs.append({**file_access_log(cls.sandbox.path(name), "%REQ(:PATH)%\n"), "filter": one})
        logs.append(file_access_log(cls.sandbox.path("everything"), "%REQ(:PATH)% %ACCESS_LOG_TYPE%\n"))
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, [route({"prefix": "/echo"}, "echo"), route({"prefix": "/dead"}, "dead")], access_log=logs)],
            [cluster("echo", cls.echo.port), cluster("dead", cls.sandbox.free_port())]), concurrency=1)
        cls.requests = [("/none/1", []), ("/echo/1", []), ("/echo/2", [("x-a", "1")]), ("/echo/3", [("x-test-status", "503")]),
                        ("/none/2", [("x-a", "1")]), ("/echo/4", [("x-test-delay", "0.2")]),
                        ("/echo/5", [("x-test-header", "grpc-status=5")]), ("/dead/1", [])]
        for path, headers in cls.requests:
            fetch(cls.port, path, headers=headers)
        cls.weir.admin("/runtime_modify?log.status=200", "POST")
        fetch(cls.port, "/echo/last")
        low, high = "0000000a-0000-4000-8000-000000000000", "00000060-0000-4000-8000-000000000000"  # 10 and 96 of 100
        for _ in range(40):
            fetch(cls.port, "/sample/low", headers=[("x-request-id", low)])
            fetch(cls.port, "/sample/high", headers=[("x-request-id", high)])
        cls.weir.admin("/runtime_modify?log.sample=0", "POST")
        fetch(cls.port, "/sample/later", headers=[("x-request-id", low)])
        cls.weir.stop()  # which writes what is left

    def lines(self, name: str) -> list[str]:
        with open(self.sandbox.path(name), encoding="ascii") as file:
            return file.read().splitlines()

    def took(self, name: str) -> list[str]:
        """The requests in a log, without the samples."""
        return [line.removeprefix("/") for line in self.lines(name) if not line.startswith("/sample/")]

    # field: AccessLog.filter, AccessLogFilter.status_code_filter, StatusCodeFilter.comparison, ComparisonFilter.op
    # field: ComparisonFilter.value, RuntimeUInt32.default_value, RuntimeUInt32.runtime_key
    def test_status_codes(self) -> None:
        self.assertEqual(self.took("status"), ["echo/3", "dead/1"])
        self.assertEqual(self.took("not-status"), ["none/1", "echo/3", "none/2", "dead/1"])
        self.assertEqual(self.took("low"), ["echo/1", "echo/2", "echo/4", "echo/5", "echo/last"])
        self.assertEqual(self.took("exact"), ["none/1", "none/2"])
        self.assertEqual(self.took("runtime-status"), ["echo/last"])

    # field: AccessLogFilter.duration_filter, DurationFilter.comparison
    def test_duration(self) -> None:
        self.assertIn("echo/4", self.took("slow"))
        self.assertNotIn("none/1", self.took("slow"))

    # field: AccessLogFilter.not_health_check_filter
    def test_requests_that_are_no_health_checks(self) -> None:
        self.assertEqual(len(self.took("checks")), len(self.requests) + 1)

    # field: AccessLogFilter.and_filter, AndFilter.filters, AccessLogFilter.or_filter, OrFilter.filters
    # field: AccessLogFilter.header_filter, HeaderFilter.header
    def test_combinations(self) -> None:
        self.assertEqual(self.took("header"), ["echo/2", "none/2"])
        self.assertEqual(self.took("and"), ["none/2"])
        self.assertEqual(self.took("or"), ["none/1", "echo/2", "none/2"])

    # field: AccessLogFilter.response_flag_filter, ResponseFlagFilter.flags
    def test_flags(self) -> None:
        self.assertEqual(self.took("flag"), ["none/1", "none/2"])
        self.assertEqual(self.took("any-flag"), ["none/1", "none/2", "dead/1"])

    # field: AccessLogFilter.grpc_status_filter, GrpcStatusFilter.statuses, GrpcStatusFilter.exclude
    def test_grpc_status(self) -> None:
        self.assertEqual(self.took("grpc"), ["none/1", "none/2", "echo/5"])
        self.assertEqual(self.took("not-grpc"), ["echo/1", "echo/2", "echo/3", "echo/4", "echo/5", "dead/1", "echo/last"])

    # field: AccessLogFilter.metadata_filter, MetadataFilter.matcher, MetadataFilter.match_if_key_not_found
    def test_metadata_that_is_missing(self) -> None:
        self.assertEqual(self.took("metadata"), [])
        self.assertEqual(len(self.took("no-metadata")), len(self.requests) + 1)

    # field: AccessLogFilter.log_type_filter, LogTypeFilter.types, LogTypeFilter.exclude
    def test_types(self) -> None:
        self.assertEqual(len(self.took("end")), len(self.requests) + 1)
        self.assertEqual(self.took("not-end"), [])

    # field: AccessLogFilter.runtime_filter, RuntimeFilter.runtime_key, RuntimeFilter.percent_sampled
    # field: RuntimeFilter.use_independent_randomness
    def test_samples(self) -> None:
        sampled = self.lines("sample")
        self.assertEqual([sampled.count("/sample/" + each) for each in ("low", "high", "later")], [40, 0, 0])
        self.assertEqual(self.lines("all").count("/sample/high"), 40)
        self.assertTrue(0 < self.lines("dice").count("/sample/high") < 40)

    def test_the_type_of_a_line(self) -> None:
        self.assertIn("/echo/last DownstreamEnd", self.lines("everything"))


if __name__ == "__main__":
    main()
