"""The filter ext_authz: an HTTP service says which requests may pass."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable

from harness import (Connection, EchoUpstream, Message, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, fetch,
                     file_access_log, http_listener, main, route, to_yaml, wait_lines, wait_until)
from harness.http2_client import H2
from harness.process import Sandbox
from harness.upstreams import ServerConnection

FILTER = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3."


class AuthService(ScriptedUpstream):
    """Keeps what it is asked. The header x-ask of the question says what it answers: a status, "hang" or "break", or
    several by commas, one after another; with x-say (name=value, several by ;) as headers."""

    def __init__(self, sandbox: Sandbox):
        self.asked: list[Message] = []
        self.ended = 0  # connections that weir has closed while it was to hang
        super().__init__(sandbox, self._decide)

    def _decide(self, connection: ServerConnection) -> None:
        while True:
            question = connection.read_request()
            self.asked.append(question)
            answers = (question.header("x-ask") or "200").split(",")
            answer = answers[min(len(self.asked), len(answers)) - 1]
            if answer == "break":
                connection.reset()
                return
            if answer == "hang":
                connection.sock.settimeout(30)
                try:
                    if connection.sock.recv(1) == b"":
                        self.ended += 1
                except ConnectionError:
                    self.ended += 1
                return
            if answer == "slow":
                time.sleep(1)
                answer = "200"
            fields = [tuple(field.split("=", 1)) for field in (question.header("x-say") or "").split(";") if field]
            connection.respond(int(answer), b"the answer is %s\n" % answer.encode() if answer != "200" else b"",
                               fields)  # type: ignore[arg-type]


def names(*exact: str, prefix: str = "") -> dict:
    return {"patterns": [{"exact": name} for name in exact] + ([{"prefix": prefix}] if prefix else [])}


def authz(**fields: object) -> dict:
    """The filter, asking the cluster "auth" with a second's patience and the headers that steer the service."""
    service = {"server_uri": {"uri": "http://auth.example", "cluster": "auth", "timeout": "1s"},
               **fields.pop("http_service", {})}  # type: ignore[dict-item]
    return {"name": "authz", "typed_config": {"@type": FILTER + "ExtAuthz", "http_service": service,
                                              "allowed_headers": names(prefix="x-"), **fields}}


def per_route(**fields: object) -> dict:
    return {"typed_per_filter_config": {"authz": {"@type": FILTER + "ExtAuthzPerRoute", **fields}}}


class ExtAuthzTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.auth = AuthService(cls.sandbox)

    def start(self, *filters: dict, routes: list = [], log: str = "", runtime: dict = {}, clusters: list = [], **manager: object) -> Weir:
        self.port = self.sandbox.free_port()
        config = bootstrap(
            [http_listener(self.port, [*routes, route({"prefix": "/"}, "echo")], http_filters=list(filters), **manager,
                           **({"access_log": [file_access_log(log, "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")]} if log else {}))],
            [cluster("echo", self.echo.port), cluster("auth", self.auth.port), *clusters])
        if runtime:
            config["layered_runtime"] = {"layers": [{"name": "static", "static_layer": runtime}, {"name": "admin", "admin_layer": {}}]}
        self.config = config
        self.auth.asked.clear()
        return Weir(self.sandbox, config)

    def ask(self, answer: str, path: str = "/", say: str = "", method: str = "GET", body: bytes | None = None,
            headers: list = []) -> Message:
        fields = [("x-ask", answer), *headers]
        if say:
            fields.append(("x-say", say))
        return fetch(self.port, path, method, headers=fields, body=body)

    # field: ExtAuthz.http_service, HttpService.server_uri, HttpUri.cluster, ext_authz.v3.ExtAuthz.stat_prefix
    def test_allowed_and_denied(self) -> None:
        log = self.sandbox.path("authz.log")
        weir = self.start(authz(stat_prefix="edge", http_service={"path_prefix": "/check", "authorization_response": {
            "allowed_upstream_headers": names("x-user"), "allowed_client_headers_on_success": names("x-seen")}}), log=log)
        account = self.echoed(self.ask("200", "/a?b=c", "x-user=ann;x-seen=yes;x-other=no", headers=[("authorization", "Basic eA==")]))
        self.assertEqual(account["headers"]["x-user"], ["ann"])
        self.assertNotIn("x-other", account["headers"])
        (question,) = self.auth.asked
        self.assertEqual((question.method, question.target, question.header("host")), ("GET", "/check/a?b=c", "test.example"))
        self.assertEqual((question.header("content-length"), question.header("authorization")), ("0", "Basic eA=="))
        self.assertEqual(self.ask("200", "/a", "x-seen=yes").header("x-seen"), "yes")

        denied = self.ask("401", "/", "www-authenticate=Basic;x-why=because")
        self.assertEqual((denied.status, denied.text), (401, "the answer is 401\n"))
        self.assertEqual((denied.header("www-authenticate"), denied.header("x-why")), ("Basic", "because"))
        redirect = self.ask("302", "/", "location=/login")
        self.assertEqual((redirect.status, redirect.header("location")), (302, "/login"))
        self.assertEqual(self.ask("500").status, 403)

        for name, value in (("ok", 2), ("denied", 2), ("error", 1)):
            weir.wait_stat_is("http.ingress.ext_authz.edge." + name, value)
            weir.wait_stat_is("cluster.echo.ext_authz." + name, value)
        weir.wait_stat_is("cluster.auth.upstream_rq_total", 5)
        weir.wait_stat_is("cluster.auth.upstream_rq_401", 1)

        self.assertEqual(sorted(wait_lines(log, 5)), ["- via_upstream"] * 2 + ["UAEX ext_authz_denied"] * 2 + ["UAEX ext_authz_error"])

    # field: HttpUri.uri
    def test_a_question_about_a_tunnel(self) -> None:
        self.start(authz(http_service={"path_prefix": "/check"}), routes=[route({"connect_matcher": {}}, "echo")],
                   upgrade_configs=[{"upgrade_type": "CONNECT"}])
        with Connection(self.port) as connection:
            connection.send(b"CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\nx-ask: 401\r\n\r\n")
            self.assertEqual(connection.reader.head().status, 401)
        (question,) = self.auth.asked
        self.assertEqual((question.method, question.target, question.header("host")), ("GET", "/check", "a.example:443"))
        self.assertEqual(question.header("x-envoy-original-method"), "CONNECT")

    def test_faults_are_told(self) -> None:
        for service, fault in (({"uri": "", "cluster": "auth", "timeout": "1s"}, "server_uri.uri"),
                               ({"uri": "http://x", "cluster": "auth"}, "server_uri.timeout"),
                               ({"uri": "http://x", "cluster": "aut", "timeout": "1s"},
                                'server_uri.cluster: "aut" is not a cluster of this configuration; nearest: "auth"')):
            with self.subTest(fault), self.assertRaisesRegex(Exception, fault):
                self.start(authz(http_service={"server_uri": service}))

    # field: CheckSettings.http_service
    def test_another_service_for_a_route(self) -> None:
        other = AuthService(self.sandbox)
        asked = {"server_uri": {"uri": "http://other", "cluster": "other", "timeout": "1s"}, "path_prefix": "/other",
                 "authorization_response": {"allowed_upstream_headers": names("x-user")}}
        weir = self.start(authz(), clusters=[cluster("other", other.port)],
                          routes=[route({"prefix": "/there"}, "echo", **per_route(check_settings={"http_service": asked}))])
        account = self.echoed(self.ask("200", "/there/x", "x-user=ann"))
        self.assertEqual(account["headers"]["x-user"], ["ann"])
        self.assertEqual([question.target for question in other.asked], ["/other/there/x"])
        self.assertEqual(self.ask("401", "/there").status, 401)
        self.assertEqual(self.auth.asked, [])
        self.assertEqual(self.ask("401").status, 401)
        self.assertEqual((len(self.auth.asked), len(other.asked)), (1, 2))
        weir.wait_stat_is("http.ingress.ext_authz.denied", 2)

    # field: ext_authz.v3.ExtAuthz.max_denied_response_body_bytes
    def test_a_long_denial_is_cut(self) -> None:
        self.start(authz(max_denied_response_body_bytes=6))
        denied = self.ask("401")
        self.assertEqual((denied.status, denied.text, denied.header("content-length")), (401, "the an", "6"))

    # field: ext_authz.v3.ExtAuthz.charge_cluster_response_stats
    def test_a_denial_is_the_clusters(self) -> None:
        weir = self.start(authz())
        self.assertEqual(self.ask("403").status, 403)
        weir.wait_stat_is("cluster.echo.upstream_rq_403", 1)
        weir = self.start(authz(charge_cluster_response_stats=False))
        self.assertEqual(self.ask("403").status, 403)
        weir.wait_stat_is("cluster.echo.ext_authz.denied", 1)
        self.assertEqual(weir.stats().get("cluster.echo.upstream_rq_403", 0), 0)

    # field: HttpUri.timeout, ext_authz.v3.ExtAuthz.status_on_error
    def test_timeout(self) -> None:
        weir = self.start(authz(status_on_error={"code": "ServiceUnavailable"}, http_service={"server_uri": {
            "uri": "http://auth", "cluster": "auth", "timeout": "0.2s"}}))
        start = time.monotonic()
        self.assertEqual(self.ask("hang").status, 503)
        self.assertLess(time.monotonic() - start, 0.9)
        weir.wait_stat_is("cluster.auth.upstream_rq_timeout", 1)
        weir.wait_stat_is("http.ingress.ext_authz.error", 1)
        wait_until(lambda: self.auth.ended >= 1, "the end of the connection")

    # field: ext_authz.v3.HttpService.retry_policy
    def test_retries(self) -> None:
        policy = {"num_retries": 2, "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.05s"}}
        weir = self.start(authz(http_service={"retry_policy": policy}, with_request_body={"max_request_bytes": 100}))
        self.echoed(self.ask("503,break,200", method="POST", body=b"told"))
        self.assertEqual([question.body for question in self.auth.asked], [b"told"] * 3)
        for answers, status, times in (("503,503,503,200", 403, 3), ("401,200", 401, 1), ("429,200", 429, 1)):
            self.auth.asked.clear()
            self.assertEqual((self.ask(answers).status, len(self.auth.asked)), (status, times), answers)
        weir.wait_stat_is("http.ingress.ext_authz.error", 1)
        weir.wait_stat_is("cluster.auth.upstream_rq_active", 0)
        for name, count in (("", 4), ("_success", 1), ("_limit_exceeded", 1), ("_overflow", 0)):
            weir.wait_stat_is("cluster.auth.upstream_rq_retry" + name, count)
        # The cluster's limit of retries is for these, too.
        narrow = cluster("narrow", self.auth.port, circuit_breakers={"thresholds": [{"max_retries": 0}]})
        weir = self.start(authz(http_service={"retry_policy": policy, "server_uri": {
            "uri": "http://auth", "cluster": "narrow", "timeout": "1s"}}), clusters=[narrow])
        self.assertEqual(self.ask("503,200").status, 403)
        weir.wait_stat_is("cluster.narrow.upstream_rq_retry_overflow", 1)
        # All attempts have one time together; and only what is covered is repeated.
        policy["retry_on"] = "retriable-4xx"
        policy["retry_back_off"] = {"base_interval": "20s"}
        self.start(authz(http_service={"retry_policy": policy}))
        begin = time.monotonic()
        for answers, status in (("409,200", (200, 409)), ("503,200", (403,))):
            self.auth.asked.clear()
            self.assertIn(self.ask(answers).status, status)
        self.assertLess(time.monotonic() - begin, 2.5)
        self.assertEqual(len(self.auth.asked), 1)
        with self.assertRaisesRegex(Exception, "retry_policy.retry_back_off.max_interval: is less than base_interval"):
            self.start(authz(http_service={"retry_policy": {"retry_back_off": {"base_interval": "2s", "max_interval": "1s"}}}))

    def test_an_old_connection_is_no_answer(self) -> None:
        """The service ends connections behind their first answer; it is asked again, by no retry policy."""
        def deny_once(connection: ServerConnection) -> None:
            connection.read_request()
            connection.respond(401)
            connection.read_request()
            connection.close()

        once = ScriptedUpstream(self.sandbox, deny_once)
        weir = self.start(authz(failure_mode_allow=True, http_service={"server_uri": {
            "uri": "http://x", "cluster": "once", "timeout": "5s"}}), clusters=[cluster("once", once.port)])
        self.assertEqual([self.ask("").status for _ in range(6)], [401] * 6)  # on two workers
        weir.wait_stat("cluster.once.upstream_rq_retry", 1)
        self.assertEqual(weir.stat("http.ingress.ext_authz.failure_mode_allowed"), 0)

    # field: ext_authz.v3.ExtAuthz.failure_mode_allow, ext_authz.v3.ExtAuthz.failure_mode_allow_header_add
    def test_failure_mode_allow(self) -> None:
        weir = self.start(authz(failure_mode_allow=True, failure_mode_allow_header_add=True))
        for answer in ("503", "break"):
            account = self.echoed(self.ask(answer))
            self.assertEqual(account["headers"]["x-envoy-auth-failure-mode-allowed"], ["true"])
        self.assertNotIn("x-envoy-auth-failure-mode-allowed", self.echoed(self.ask("200"))["headers"])
        self.assertEqual(self.ask("403").status, 403)
        weir.wait_stat_is("http.ingress.ext_authz.failure_mode_allowed", 2)
        weir.wait_stat_is("cluster.echo.ext_authz.failure_mode_allowed", 2)

    # field: ext_authz.v3.ExtAuthz.with_request_body, BufferSettings.max_request_bytes, BufferSettings.allow_partial_message
    # field: ExtAuthzPerRoute.check_settings, CheckSettings.disable_request_body_buffering, CheckSettings.with_request_body
    # field: ExtAuthzPerRoute.disabled
    def test_bodies(self) -> None:
        self.start(authz(with_request_body={"max_request_bytes": 1000}), routes=[
            route({"prefix": "/part"}, "echo", **per_route(check_settings={"with_request_body": {
                "max_request_bytes": 1000, "allow_partial_message": True}})),
            route({"prefix": "/without"}, "echo", **per_route(check_settings={"disable_request_body_buffering": True})),
            route({"prefix": "/free"}, "echo", **per_route(disabled=True))])

        def told(path: str, size: int) -> tuple[int, int, str | None]:
            body = bytes(index % 251 for index in range(size))
            answer = self.ask("200", path, method="POST", body=body)
            if answer.status != 200:
                return answer.status, -1, None
            self.assertEqual(self.echoed(answer)["length"], size)
            question = self.auth.asked[-1]
            self.assertEqual(question.body, body[:len(question.body)])
            return 200, len(question.body), question.header("x-envoy-auth-partial-body")

        self.assertEqual(told("/", 1000), (200, 1000, "false"))
        self.assertEqual(told("/", 1001), (413, -1, None))
        self.assertEqual(told("/part", 999), (200, 999, "false"))
        self.assertEqual(told("/part", 1000), (200, 1000, "false"))
        self.assertEqual(told("/part", 300000), (200, 1000, "true"))
        self.assertEqual(told("/without", 300000), (200, 0, None))
        self.assertEqual(self.ask("403", "/part", method="POST", body=b"x" * 30000).status, 403)
        asked = len(self.auth.asked)
        self.assertEqual(self.ask("403", "/free", method="POST", body=b"x").status, 200)
        self.assertEqual(len(self.auth.asked), asked)

    # field: ext_authz.v3.ExtAuthz.filter_enabled, ext_authz.v3.ExtAuthz.deny_at_disable
    def test_disabled_at_run_time(self) -> None:
        weir = self.start(authz(filter_enabled={"default_value": {"numerator": 100}, "runtime_key": "authz.share"},
                                deny_at_disable={"default_value": False, "runtime_key": "authz.deny"}),
                          runtime={"unused": 1})
        self.assertEqual(self.ask("401").status, 401)
        weir.admin("/runtime_modify?authz.share=0", "POST")
        self.assertEqual(self.ask("401").status, 200)
        weir.admin("/runtime_modify?authz.deny=true", "POST")
        self.assertEqual(self.ask("401").status, 403)
        weir.wait_stat_is("http.ingress.ext_authz.disabled", 2)

    # field: ext_authz.v3.ExtAuthz.filter_enabled_metadata
    def test_enabled_by_metadata(self) -> None:
        mark = {"name": "mark", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config", "request_rules": [
                {"header": "x-check", "on_header_present": {"metadata_namespace": "ns", "key": "check"}}]}}
        self.start(mark, authz(filter_enabled_metadata={"filter": "ns", "path": [{"key": "check"}],
                                                        "value": {"string_match": {"exact": "yes"}}}))
        self.assertEqual(self.ask("401").status, 200)
        self.assertEqual(self.ask("401", headers=[("x-check", "yes")]).status, 401)

    # field: ext_authz.v3.ExtAuthz.clear_route_cache
    def test_another_route(self) -> None:
        other = EchoUpstream(self.sandbox, "other")
        response = {"authorization_response": {"allowed_upstream_headers": names("x-tier")}}
        for clear, server in ((False, "echo"), (True, "other")):
            self.start(authz(clear_route_cache=clear, http_service=response), clusters=[cluster("other", other.port)], routes=[
                route({"prefix": "/", "headers": [{"name": "x-tier", "string_match": {"exact": "gold"}}]}, "other")])
            self.assertEqual(self.echoed(self.ask("200", say="x-tier=gold"))["server"], server)
            self.assertEqual(self.echoed(self.ask("200", say="x-tier=tin"))["server"], "echo")
            self.assertEqual(self.echoed(self.ask("200"))["server"], "echo")

    def test_a_client_that_leaves(self) -> None:
        log = self.sandbox.path("left.log")
        weir = self.start(authz(http_service={"server_uri": {"uri": "http://auth", "cluster": "auth", "timeout": "20s"}}),
                          log=log)

        def over_http1(leave: Callable[[Connection], None]) -> None:
            with Connection(self.port) as connection:
                connection.send_request(headers=[("x-ask", "hang")])
                wait_until(lambda: len(self.auth.asked) == asked + 1, "the question")
                leave(connection)
                wait_until(lambda: self.auth.ended == ended + 1, "the end of the question")

        def over_http2(leave: Callable[[H2, int], None]) -> None:
            with H2(self.port) as client:
                stream = client.request("/", headers=[("x-ask", "hang")])
                wait_until(lambda: len(self.auth.asked) == asked + 1, "the question")
                leave(client, stream)
                wait_until(lambda: self.auth.ended == ended + 1, "the end of the question")

        def reset_stream(client: H2, stream: int) -> None:
            client.h2.reset_stream(stream, 8)
            client.flush()

        ways = {"reset": lambda: over_http1(Connection.reset), "FIN": lambda: over_http1(Connection.half_close),
                "RST_STREAM": lambda: over_http2(reset_stream),
                "FIN of HTTP/2": lambda: over_http2(lambda client, _: client.sock.shutdown(socket.SHUT_WR))}
        for count, (name, way) in enumerate(ways.items(), 1):
            with self.subTest(name):
                asked, ended = len(self.auth.asked), self.auth.ended
                way()
                weir.wait_stat_is("cluster.auth.upstream_rq_tx_reset", count)
        weir.wait_stat_is("cluster.auth.upstream_rq_active", 0)
        self.assertEqual(weir.stat("http.ingress.ext_authz.error"), 0)
        self.assertEqual(sorted(line.split()[0] for line in wait_lines(log, 4)), ["DC", "DC", "DC", "DR"])

    def test_a_client_that_half_closes_after_the_check(self) -> None:
        """Only while the question runs is it taken for one that has left."""
        self.start(authz())
        before = len(self.echo.requests)
        with Connection(self.port) as connection:
            connection.send_request(headers=[("x-ask", "200"), ("x-test-gate", "1")])
            wait_until(lambda: len(self.echo.requests) == before + 1, "the request has passed")
            connection.half_close()
            time.sleep(0.2)  # it hears of it
            self.echo.gate.set()
            self.assertEqual(connection.read_response().status, 200)

    def test_a_service_that_is_gone(self) -> None:
        gone = self.sandbox.free_port()
        weir = self.start(authz(http_service={"server_uri": {"uri": "http://x", "cluster": "gone", "timeout": "5s"}}),
                          clusters=[cluster("gone", gone)])
        self.assertEqual(self.ask("200").status, 403)
        weir.wait_stat_is("cluster.gone.upstream_cx_connect_fail", 1)
        weir.wait_stat_is("cluster.gone.upstream_rq_503", 1)

    def test_reload_while_it_is_asked(self) -> None:
        """The filter and the cluster that it asks go away; who is being asked about gets an answer all the same."""
        weir = self.start(authz())
        with Connection(self.port) as connection:
            connection.send_request(headers=[("x-ask", "slow")])
            wait_until(lambda: len(self.auth.asked) == 1, "the question")
            listener = http_listener(self.port, [route({"prefix": "/"}, "echo")])
            config = {**self.config, "static_resources": {"listeners": [listener], "clusters": [cluster("echo", self.echo.port)]}}
            self.reload(weir, config)
            self.assertIn(connection.read_response().status, (200, 403))
        self.assertEqual(self.ask("401").status, 200)
        self.reload(weir, self.config)
        self.assertEqual(self.ask("401").status, 401)
        weir.wait_stat_is("cluster.auth.upstream_rq_active", 0)

    def reload(self, weir: Weir, config: dict) -> None:
        done = weir.stat("server.config_reload_success")
        with open(weir.config_path + ".next", "w", encoding="utf-8") as file:
            file.write(to_yaml(config) + "\n")
        os.rename(weir.config_path + ".next", weir.config_path)
        os.kill(weir.process.popen.pid, signal.SIGHUP)
        weir.wait_stat("server.config_reload_success", done + 1)

    def test_metadata_is_logged(self) -> None:
        log = self.sandbox.path("metadata.log")
        weir = self.start(authz(http_service={"authorization_response": {"dynamic_metadata_from_headers": names("x-user")}}),
                          access_log=[file_access_log(log, "%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%\n")])
        self.ask("200", say="x-user=ann")
        self.ask("403", say="x-user=bob")
        allowed, denied = sorted((json.loads(line) for line in wait_lines(log, 2)), key=lambda line: line["x-user"])
        self.assertEqual(allowed["x-user"], "ann")
        self.assertGreaterEqual(allowed["ext_authz_duration"], 0)
        self.assertEqual(denied, {"x-user": "bob"})
        self.assertEqual(weir.stat("http.ingress.ext_authz.ok"), 1)

    # field: ext_authz.v3.ExtAuthz.enable_dynamic_metadata_ingestion
    def test_metadata_is_not_wanted(self) -> None:
        log = self.sandbox.path("unwanted.log")
        weir = self.start(authz(enable_dynamic_metadata_ingestion=False, http_service={
            "authorization_response": {"dynamic_metadata_from_headers": names("x-user")}}),
                          access_log=[file_access_log(log, "%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%\n")])
        self.assertEqual(self.ask("200", say="x-user=ann").status, 200)
        self.assertEqual(self.ask("200").status, 200)
        self.assertEqual(wait_lines(log, 2), ["-", "-"])
        self.assertEqual(weir.stat("http.ingress.ext_authz.ignored_dynamic_metadata"), 1)


if __name__ == "__main__":
    main()
