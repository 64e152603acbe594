"""The filter ext_authz: a gRPC service, which is gRPC's own Python server, says which requests may pass."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
import h2.errors
import hyperframe.frame

from harness import (Connection, EchoUpstream, Message, Weir, WeirTestCase, bootstrap, cluster, fetch, file_access_log,
                     http_listener, main, over_tls, route, to_yaml, wait_lines, wait_until)
from harness.config import HTTP2, client_tls, http_options, server_tls, trusts
from harness.grpc_service import Service, start_server
from harness.http2 import Http2Peer, Http2Upstream, Request
from harness.http2_client import H2
from harness.protos import Protos
from harness.tls import Authority, TlsConnection, client_context, write_atomically

FILTER = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3."
PROTOS = Protos("envoy/service/auth/v3/external_auth.proto")
CheckRequest = PROTOS("envoy.service.auth.v3.CheckRequest")
CheckResponse = PROTOS("envoy.service.auth.v3.CheckResponse")


class Authorization(grpc.GenericRpcHandler):
    """Keeps what it is asked and answers with `answer`."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.remaining: list[float] = []
        self.cancelled = 0
        self.answer: Callable[[Any, Any], Any] = lambda attributes, context: CheckResponse()
        self.lock = threading.Lock()

    def service(self, call: Any) -> Any:
        if call.method == "/envoy.service.auth.v3.Authorization/Check":
            return grpc.unary_unary_rpc_method_handler(self.check, CheckRequest.FromString,
                                                       lambda answer: answer if isinstance(answer, bytes) else answer.SerializeToString())
        return None

    def check(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self.lock:
            self.asked.append(request.attributes)
            self.metadata.append(dict(context.invocation_metadata()))
            self.remaining.append(context.time_remaining())
        return self.answer(request.attributes, context)

    def hang(self, _: Any, context: grpc.ServicerContext) -> Any:
        over = threading.Event()
        context.add_callback(over.set)
        if over.wait(20):
            with self.lock:
                self.cancelled += 1
        return CheckResponse()


def denies(status: int = 403, body: str = "", headers: dict[str, str] = {}, code: int = 7) -> Callable[[Any, Any], Any]:
    answer = CheckResponse()
    answer.status.code = code
    answer.denied_response.status.code = status
    answer.denied_response.body = body
    for name, value in headers.items():
        option = answer.denied_response.headers.add()
        option.header.key, option.header.value = name, value
    return lambda attributes, context: answer


def authz(service: dict = {}, grpc_fields: dict = {}, **fields: Any) -> dict:
    """The filter, asking the cluster "auth" with five seconds' patience."""
    asked = {"envoy_grpc": {"cluster_name": "auth", **grpc_fields}, "timeout": "5s", **service}
    return {"name": "authz", "typed_config": {"@type": FILTER + "ExtAuthz", "grpc_service": asked, **fields}}


def google(target: dict) -> dict:
    """The filter, asking a target that no cluster of the configuration is about."""
    filter_ = authz()
    filter_["typed_config"]["grpc_service"] = {"google_grpc": target, "timeout": "5s"}
    return filter_


def context(**values: str) -> dict:
    return {"typed_per_filter_config": {"authz": {"@type": FILTER + "ExtAuthzPerRoute",
                                                  "check_settings": {"context_extensions": values}}}}


class ExtAuthzGrpcTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.auth = Authorization()
        cls.ca = Authority(cls.sandbox)
        cls.own = cls.ca.issue("a.example", "DNS:a.example")
        server = grpc.server(futures.ThreadPoolExecutor(16))
        server.add_generic_rpc_handlers((cls.auth,))
        cls.auth_port = server.add_insecure_port("127.0.0.1:0")
        with open(cls.own.key_path, "rb") as key, open(cls.own.cert_path, "rb") as chain:
            credentials = grpc.ssl_server_credentials([(key.read(), chain.read())])
        cls.auth_tls_port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        cls.sandbox.at_close(lambda: server.stop(None))

    def setUp(self) -> None:
        super().setUp()
        self.auth.answer = lambda attributes, context: CheckResponse()
        self.auth.asked.clear()
        self.auth.metadata.clear()
        self.auth.remaining.clear()

    def start(self, *filters: dict, routes: list = [], clusters: list = [], tls: Any = None, log: str = "",
              virtual_host: dict = {}, **manager: Any) -> Weir:
        self.port = self.sandbox.free_port()
        hosts = [{"name": "all", "domains": ["*"], "routes": [*routes, route({"prefix": "/"}, "echo")], **virtual_host}]
        if log:
            manager["access_log"] = [file_access_log(log, "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %GRPC_STATUS% "
                                                          "%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%\n")]
        listener = http_listener(self.port, virtual_hosts=hosts, http_filters=list(filters), **manager)
        if tls is not None:
            over_tls(listener, tls)
        return Weir(self.sandbox, bootstrap([listener], [
            cluster("echo", self.echo.port), cluster("auth", self.auth_port, **HTTP2), *clusters]))

    def ask(self, path: str = "/", method: str = "GET", headers: list = [], body: bytes | None = None) -> Message:
        return fetch(self.port, path, method, headers=headers, body=body)

    # field: ext_authz.v3.ExtAuthz.grpc_service, GrpcService.envoy_grpc, EnvoyGrpc.cluster_name
    # field: GrpcService.initial_metadata, CheckSettings.context_extensions
    def test_what_is_asked(self) -> None:
        self.start(authz(service={"initial_metadata": [{"key": "x-token", "value": "secret"}, {"key": "x-of", "value": "%REQ(x-a)%"}]}),
                   routes=[route({"prefix": "/deep"}, "echo", **context(level="route", route="yes"))],
                   virtual_host=context(level="host", host="yes"))
        with Connection(self.port) as connection:
            local = connection.sock.getsockname()
            response = connection.request("PUT", "/deep/x?y=1", headers=[("x-a", "1"), ("x-a", "2"), ("x-forwarded-for", "1.2.3.4")])
        self.assertEqual(self.echoed(response)["method"], "PUT")
        (asked,) = self.auth.asked
        source, destination = asked.source.address.socket_address, asked.destination.address.socket_address
        self.assertEqual((source.address, source.port_value), local)
        self.assertEqual((destination.address, destination.port_value), ("127.0.0.1", self.port))
        http = asked.request.http
        self.assertEqual((http.method, http.path, http.host, http.scheme, http.protocol),
                         ("PUT", "/deep/x?y=1", "test.example", "http", "HTTP/1.1"))
        self.assertEqual((http.headers["x-a"], http.headers[":path"], http.body), ("1,2", "/deep/x?y=1", ""))
        self.assertTrue(http.id)
        self.assertLess(abs(asked.request.time.ToSeconds() - time.time()), 60)
        self.assertEqual(dict(asked.context_extensions), {"level": "route", "host": "yes", "route": "yes"})
        (metadata,) = self.auth.metadata
        self.assertEqual((metadata["x-token"], metadata["x-of"], metadata["x-envoy-internal"]), ("secret", "1", "true"))
        self.assertTrue(3 < self.auth.remaining[0] <= 5.1, self.auth.remaining)

    @staticmethod
    def reload(weir: Weir, configuration: dict) -> None:
        done = weir.stat("server.config_reload_success")
        write_atomically(weir.config_path, to_yaml(configuration) + "\n")
        os.kill(weir.process.popen.pid, signal.SIGHUP)
        weir.wait_stat("server.config_reload_success", done + 1)

    # field: GrpcService.google_grpc, GoogleGrpc.target_uri, GoogleGrpc.stat_prefix
    def test_targets_as_the_library_of_grpc_names_them(self) -> None:
        self.auth.answer = denies(418)
        for target in ("127.0.0.1:%d", "localhost:%d", "dns:localhost:%d", "dns:///localhost:%d", "ipv4:127.0.0.1:%d"):
            with self.subTest(target):
                weir = self.start(google({"target_uri": target % self.auth_port, "stat_prefix": "opa"}))
                self.assertEqual(self.ask().status, 418)
                self.assertEqual(weir.stat("cluster.google_grpc.opa.upstream_rq_total"), 1)
        # Who asks keeps it, through reloads that change what is beside it, and no longer.
        listener = http_listener(self.port, [route({"prefix": "/"}, "echo")],
                                 http_filters=[google({"target_uri": "127.0.0.1:%d" % self.auth_port, "stat_prefix": "opa"})])
        for number in range(3):
            self.reload(weir, bootstrap([listener], [cluster("echo", self.echo.port), cluster("more%d" % number, 1)]))
            self.assertEqual(self.ask().status, 418)
        self.assertIn("google_grpc.opa::", weir.admin("/clusters"))
        self.reload(weir, bootstrap([http_listener(self.port, [route({"prefix": "/"}, "echo")])], [cluster("echo", self.echo.port)]))
        wait_until(lambda: "google_grpc.opa::" not in weir.admin("/clusters"), "the cluster goes")
        self.echoed(self.ask())

    # field: GoogleGrpc.channel_credentials, ChannelCredentials.ssl_credentials, SslCredentials.root_certs
    # field: SslCredentials.private_key, SslCredentials.cert_chain
    def test_a_target_with_certificates(self) -> None:
        own = self.ca.issue("localhost", "DNS:localhost")
        client = self.ca.issue("client", "URI:spiffe://test/client", client=True)
        server = grpc.server(futures.ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers((self.auth,))
        with open(own.key_path, "rb") as key, open(own.cert_path, "rb") as chain, open(self.ca.path, "rb") as roots:
            credentials = grpc.ssl_server_credentials([(key.read(), chain.read())], roots.read(), True)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        self.addCleanup(server.stop, None)
        self.auth.answer = denies(418)
        for target, ssl, status in (
                ("localhost", {}, 418), ("localhost", {"root_certs": None}, 403), ("127.0.0.1", {}, 403),
                ("localhost", {"private_key": None, "cert_chain": None}, 403)):
            ssl = {"root_certs": {"filename": self.ca.path}, "private_key": {"filename": client.key_path},
                   "cert_chain": {"filename": client.cert_path}, **ssl}
            with self.subTest(target=target, ssl=ssl):
                self.start(google({"target_uri": "%s:%d" % (target, port), "stat_prefix": "opa", "channel_credentials": {
                    "ssl_credentials": {name: value for name, value in ssl.items() if value is not None}}}))
                self.assertEqual(self.ask().status, status)

    # field: EnvoyGrpc.authority
    def test_a_service_that_the_authority_names(self) -> None:
        self.start(authz(grpc_fields={"cluster_name": "anywhere", "authority": "127.0.0.1:%d" % self.auth_port}), clusters=[{
            "name": "anywhere", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "2s", **HTTP2}])
        self.auth.answer = denies(418)
        for _ in range(2):
            self.assertEqual(self.ask().status, 418)
        self.assertEqual(len(self.auth.asked), 2)

    # field: EnvoyGrpc.skip_envoy_headers
    def test_what_is_not_told(self) -> None:
        self.start(authz(grpc_fields={"skip_envoy_headers": True}, service={"timeout": "0s"},
                         disallowed_headers={"patterns": [{"prefix": "x-"}]}))
        self.echoed(self.ask(headers=[("x-secret", "1"), ("accept", "a")]))
        self.assertNotIn("x-envoy-internal", self.auth.metadata[0])
        self.assertGreater(self.auth.remaining[0] or 1e9, 1e6)  # no deadline
        self.assertEqual([name for name in self.auth.asked[0].request.http.headers if name.startswith("x-")], [])

    # field: ext_authz.v3.ExtAuthz.include_peer_certificate, ext_authz.v3.ExtAuthz.include_tls_session
    def test_a_client_with_a_certificate(self) -> None:
        client = self.ca.issue("client", "URI:spiffe://test/client", client=True)
        self.start(authz(include_peer_certificate=True, include_tls_session=True),
                   tls=server_tls(self.own, common=trusts(self.ca), require_client_certificate=True))
        with TlsConnection(self.port, context=client_context(self.ca, client)) as connection:
            self.echoed(connection.request())
        (asked,) = self.auth.asked
        self.assertEqual(asked.source.principal, "spiffe://test/client")
        self.assertEqual(asked.destination.principal, "a.example")
        self.assertTrue(asked.source.certificate.startswith("-----BEGIN%20CERTIFICATE-----"), asked.source.certificate)
        self.assertEqual(asked.tls_session.sni, "a.example")
        self.assertEqual(asked.request.http.scheme, "https")

    # field: ext_authz.v3.ExtAuthz.metadata_context_namespaces, ext_authz.v3.ExtAuthz.route_metadata_context_namespaces
    def test_metadata(self) -> None:
        mark = {"name": "mark", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config", "request_rules": [
                {"header": "x-who", "on_header_present": {"metadata_namespace": "ns", "key": "who"}}]}}
        of_route = route({"prefix": "/"}, "echo", metadata={"filter_metadata": {"tier": {"name": "gold"}, "other": {"a": 1}}})
        self.start(mark, authz(metadata_context_namespaces=["ns"], route_metadata_context_namespaces=["tier"]), routes=[of_route])
        self.echoed(self.ask(headers=[("x-who", "ann")]))
        (asked,) = self.auth.asked
        self.assertEqual(asked.metadata_context.filter_metadata["ns"]["who"], "ann")
        self.assertEqual(list(asked.route_metadata_context.filter_metadata), ["tier"])
        self.assertEqual(asked.route_metadata_context.filter_metadata["tier"]["name"], "gold")

    # field: BufferSettings.pack_as_bytes, ext_authz.v3.ExtAuthz.with_request_body
    def test_bodies(self) -> None:
        body = b"\xff\x00" + b"x" * 3000
        for as_bytes in (False, True):
            self.start(authz(with_request_body={"max_request_bytes": 2000, "allow_partial_message": True, "pack_as_bytes": as_bytes}))
            self.assertEqual(self.echoed(self.ask("/", "POST", body=body))["length"], len(body))
            http = self.auth.asked[-1].request.http
            self.assertEqual(http.headers["x-envoy-auth-partial-body"], "true")
            self.assertEqual(http.size, len(body))
            if as_bytes:
                self.assertEqual((http.raw_body, http.body), (body[:2000], ""))
            else:
                self.assertEqual((http.body, http.raw_body), ("!\0" + "x" * 1998, b""))

    def test_what_an_allowed_request_becomes(self) -> None:
        def answer(attributes: Any, _: Any) -> Any:
            message = CheckResponse()
            for name, value, append in (("x-user", "ann", None), ("x-role", "b", True), ("x-fixed", "2", False)):
                option = message.ok_response.headers.add()
                option.header.key, option.header.value = name, value
                if append is not None:
                    option.append.value = append
            message.ok_response.headers_to_remove.append("x-secret")
            added = message.ok_response.response_headers_to_add.add()
            added.header.key, added.header.value = "x-checked", "yes"
            parameter = message.ok_response.query_parameters_to_set.add()
            parameter.key, parameter.value = "q", "new"
            message.ok_response.query_parameters_to_remove.append("token")
            message.dynamic_metadata["user"] = "ann"
            message.dynamic_metadata["age"] = 7
            return message

        self.auth.answer = answer
        log = self.sandbox.path("allowed.log")
        weir = self.start(authz(), log=log)
        response = self.ask("/?token=1&q=old&z=1", headers=[("x-user", "eve"), ("x-role", "a"), ("x-fixed", "1"), ("x-secret", "s")])
        account = self.echoed(response)
        self.assertEqual(account["headers"]["x-user"], ["ann"])
        self.assertEqual(account["headers"]["x-role"], ["a", "b"])
        self.assertEqual(account["headers"]["x-fixed"], ["2"])
        self.assertNotIn("x-secret", account["headers"])
        self.assertEqual(account["path"], "/?q=new&z=1")
        self.assertEqual(response.header("x-checked"), "yes")
        metadata = json.loads(wait_lines(log, 1)[0].split(" ", 4)[4])
        self.assertEqual((metadata["user"], metadata["age"]), ("ann", 7))
        self.assertGreaterEqual(metadata["ext_authz_duration"], 0)
        weir.wait_stat_is("http.ingress.ext_authz.ok", 1)
        weir.wait_stat_is("cluster.echo.ext_authz.ok", 1)

    def test_headers_beside_others(self) -> None:
        """A header of a response comes beside the server's unless the answer says otherwise; one of a request replaces the client's."""
        self.start(authz())

        def told(**said: Any) -> tuple[list[str], list[str]]:
            message = CheckResponse()
            for options, name in ((message.ok_response.response_headers_to_add, "set-cookie"), (message.ok_response.headers, "x-user")):
                option = options.add()
                option.header.key, option.header.value = name, "auth"
                if "append" in said:
                    option.append.value = said["append"]
                elif said:
                    option.append_action = option.DESCRIPTOR.enum_types_by_name["HeaderAppendAction"].values_by_name[said["action"]].number
            self.auth.answer = lambda attributes, context: message
            response = self.ask("/", headers=[("x-test-header", "set-cookie=app"), ("x-user", "client")])
            return response.all("set-cookie"), self.echoed(response)["headers"]["x-user"]

        both, both_requests = ["app", "auth"], ["client", "auth"]
        self.assertEqual(told(), (both, ["auth"]))
        self.assertEqual(told(action="APPEND_IF_EXISTS_OR_ADD"), (both, ["auth"]))
        self.assertEqual(told(action="OVERWRITE_IF_EXISTS_OR_ADD"), (["auth"], ["auth"]))
        self.assertEqual(told(action="OVERWRITE_IF_EXISTS"), (["auth"], ["auth"]))
        self.assertEqual(told(action="ADD_IF_ABSENT"), (["app"], ["client"]))
        self.assertEqual(told(append=True), (both, both_requests))
        self.assertEqual(told(append=False), (["auth"], ["auth"]))

    def test_denied(self) -> None:
        log = self.sandbox.path("denied.log")
        weir = self.start(authz(stat_prefix="edge"), log=log)
        self.auth.answer = denies(401, "who are you?", {"www-authenticate": "Basic", "x-why": "because"}, code=16)
        response = self.ask()
        self.assertEqual((response.status, response.text), (401, "who are you?"))
        self.assertEqual((response.header("www-authenticate"), response.header("x-why")), ("Basic", "because"))
        bare = CheckResponse()
        bare.status.code = 5
        self.auth.answer = lambda attributes, context: bare
        self.assertEqual(self.ask().status, 403)
        self.assertEqual(sorted(line.split()[:3] for line in wait_lines(log, 2)),
                         [["401", "UAEX", "ext_authz_denied"], ["403", "UAEX", "ext_authz_denied"]])
        weir.wait_stat_is("http.ingress.ext_authz.edge.denied", 2)
        weir.wait_stat_is("cluster.echo.upstream_rq_401", 1)

    def test_grpc_through_weir(self) -> None:
        """A client of gRPC that is denied gets a status of gRPC."""
        _, port = start_server(self.sandbox, Service())
        log = self.sandbox.path("grpc.log")
        self.start(authz(), routes=[route({"prefix": "/test.Echo"}, "service")], clusters=[cluster("service", port, **HTTP2)], log=log)
        with grpc.insecure_channel("127.0.0.1:%d" % self.port, options=[("grpc.enable_retries", 0)]) as channel:
            call = channel.stream_stream("/test.Echo/Talk")
            self.assertEqual(list(call(iter([b"a", b"b"]), timeout=10)), [b"A", b"B"])
            self.assertEqual(self.auth.asked[-1].request.http.headers["content-type"], "application/grpc")
            self.assertEqual(self.auth.asked[-1].request.http.headers["te"], "trailers")
            self.assertNotIn("connection", self.auth.asked[-1].request.http.headers)
            self.assertEqual(self.auth.asked[-1].request.http.protocol, "HTTP/2")
            for status, body, code in ((403, "not you", grpc.StatusCode.PERMISSION_DENIED),
                                       (401, "who?", grpc.StatusCode.UNAUTHENTICATED)):
                self.auth.answer = denies(status, body)
                with self.assertRaises(grpc.RpcError) as caught:
                    list(call(iter([b"a"]), timeout=10))
                self.assertEqual((caught.exception.code(), caught.exception.details()), (code, body))
            self.auth.answer = lambda attributes, context: context.abort(grpc.StatusCode.INTERNAL, "broken")
            with self.assertRaises(grpc.RpcError) as caught:
                list(call(iter([b"a"]), timeout=10))
            self.assertEqual(caught.exception.code(), grpc.StatusCode.PERMISSION_DENIED)
        self.assertEqual(sorted(line.split()[1] for line in wait_lines(log, 4)), ["-", "UAEX", "UAEX", "UAEX"])

    # field: ext_authz.v3.ExtAuthz.status_on_error, EnvoyGrpc.max_receive_message_length
    def test_errors(self) -> None:
        def large(*_: Any) -> Any:
            return denies(401, "x" * 2000)(None, None)

        weir = self.start(authz(grpc_fields={"max_receive_message_length": 1000}, status_on_error={"code": "ServiceUnavailable"}))
        answers: list[Callable[[Any, Any], Any]] = [
            lambda attributes, context: context.abort(grpc.StatusCode.UNAVAILABLE, "no"),
            lambda attributes, context: b"\xff\xff\xff",
            large]
        for count, answer in enumerate(answers, 1):
            self.auth.answer = answer
            self.assertEqual(self.ask().status, 503)
            weir.wait_stat_is("http.ingress.ext_authz.error", count)
        said = CheckResponse()
        said.error_response.status.code = 429
        said.error_response.body = "later"
        self.auth.answer = lambda attributes, context: said
        response = self.ask()
        self.assertEqual((response.status, response.text), (429, "later"))
        self.auth.answer = lambda attributes, context: CheckResponse()
        self.echoed(self.ask())

    # field: ext_authz.v3.ExtAuthz.failure_mode_allow, ext_authz.v3.ExtAuthz.failure_mode_allow_header_add
    def test_failure_mode_allow(self) -> None:
        self.auth.answer = lambda attributes, context: context.abort(grpc.StatusCode.INTERNAL, "no")
        weir = self.start(authz(failure_mode_allow=True, failure_mode_allow_header_add=True))
        self.assertEqual(self.echoed(self.ask())["headers"]["x-envoy-auth-failure-mode-allowed"], ["true"])
        self.auth.answer = denies()
        self.assertEqual(self.ask().status, 403)
        weir.wait_stat_is("http.ingress.ext_authz.failure_mode_allowed", 1)

    # field: CheckSettings.grpc_service
    def test_another_service_for_a_route(self) -> None:
        """What is told of a request is the filter's, whoever is asked."""
        asked = {"envoy_grpc": {"cluster_name": "auth"}, "timeout": "5s"}
        check = {"typed_per_filter_config": {"authz": {"@type": FILTER + "ExtAuthzPerRoute", "check_settings": {
            "grpc_service": asked, "context_extensions": {"a": "b"}}}}}
        gone = self.sandbox.free_port()
        self.start(authz(grpc_fields={"cluster_name": "gone"}, disallowed_headers={"patterns": [{"exact": "x-secret"}]}),
                   clusters=[cluster("gone", gone, **HTTP2)], routes=[route({"prefix": "/there"}, "echo", **check)])
        self.assertEqual(self.ask().status, 403)
        self.assertEqual(self.auth.asked, [])
        self.echoed(self.ask("/there", headers=[("x-secret", "1"), ("x-open", "2")]))
        (question,) = self.auth.asked
        self.assertEqual(question.context_extensions["a"], "b")
        self.assertEqual(question.request.http.headers["x-open"], "2")
        self.assertNotIn("x-secret", question.request.http.headers)

    # field: GrpcService.timeout
    def test_timeout(self) -> None:
        self.auth.answer = self.auth.hang
        cancelled = self.auth.cancelled
        for timeout, patience in (("0.8s", 0.8), (None, 0.2)):
            fields = authz(service={"timeout": timeout})
            if timeout is None:
                del fields["typed_config"]["grpc_service"]["timeout"]
            weir = self.start(fields)
            self.assertEqual(self.ask().status, 403)  # the service would take 20 s
            self.assertLessEqual(self.auth.remaining[-1], patience + 0.05)
            if timeout is not None:
                self.assertGreater(self.auth.remaining[-1], 0.25)  # more than there is without one
            weir.wait_stat_is("http.ingress.ext_authz.error", 1)
        # Whoever was first: gRPC's server keeps to the deadline, too.
        wait_until(lambda: self.auth.cancelled == cancelled + 2, "the end of the calls")

    # field: GrpcService.retry_policy, core.v3.RetryPolicy.retry_on, core.v3.RetryPolicy.num_retries
    def test_retries(self) -> None:
        left = [2]

        def fails_twice(attributes: Any, context: grpc.ServicerContext) -> Any:
            if left[0] > 0:
                left[0] -= 1
                context.abort(grpc.StatusCode.INTERNAL, "not now")
            return CheckResponse()

        self.auth.answer = fails_twice
        weir = self.start(authz(service={"retry_policy": {
            "retry_on": "internal", "num_retries": 2, "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.05s"}}}))
        self.echoed(self.ask())
        self.assertEqual(len(self.auth.asked), 3)
        left[0] = 3
        self.assertEqual(self.ask().status, 403)
        self.assertEqual(len(self.auth.asked), 6)
        weir.wait_stat_is("http.ingress.ext_authz.error", 1)
        for name, count in (("", 4), ("_success", 1), ("_limit_exceeded", 1)):
            weir.wait_stat_is("cluster.auth.upstream_rq_retry" + name, count)

    def test_a_question_that_nobody_has_looked_at(self) -> None:
        """Is asked again, once, by no retry policy."""
        ways: list[str] = []

        def serve(peer: Http2Peer, request: Request) -> None:
            way = ways.pop(0) if ways else ""
            if way == "refuse":
                peer.reset(request, h2.errors.ErrorCodes.REFUSED_STREAM)
            elif way == "goaway":
                peer.send_raw(hyperframe.frame.GoAwayFrame(0, last_stream_id=max(0, request.id - 2)).serialize())
            elif way == "close":
                peer.sock.shutdown(socket.SHUT_RDWR)
            else:
                peer.respond(request, 200, b"\0\0\0\0\0", [("content-type", "application/grpc")], [("grpc-status", "0")])

        weir = self.start(authz(grpc_fields={"cluster_name": "own"}),
                          clusters=[cluster("own", Http2Upstream(self.sandbox, serve).port, **HTTP2)])
        for count, way in enumerate(("refuse", "goaway", "close"), 1):
            self.echoed(self.ask())
            ways.append(way)
            self.echoed(self.ask())
            weir.wait_stat_is("cluster.own.upstream_rq_retry", count)
        self.echoed(self.ask())
        ways.extend(["refuse", "refuse"])
        self.assertEqual(self.ask().status, 403)

    def test_clients_that_leave(self) -> None:
        self.auth.answer = self.auth.hang
        weir = self.start(authz(service={"timeout": "20s"}))

        def half_close() -> None:
            with Connection(self.port) as connection:
                connection.send_request()
                wait_until(lambda: len(self.auth.asked) == asked + 1, "the question")
                connection.half_close()
                wait_until(lambda: self.auth.cancelled == cancelled + 1, "the end of the question")

        def reset_stream() -> None:
            with H2(self.port) as client:
                stream = client.request("/")
                wait_until(lambda: len(self.auth.asked) == asked + 1, "the question")
                client.h2.reset_stream(stream, 8)
                client.flush()
                wait_until(lambda: self.auth.cancelled == cancelled + 1, "the end of the question")

        for count, way in enumerate((half_close, reset_stream), 1):
            asked, cancelled = len(self.auth.asked), self.auth.cancelled
            way()
            weir.wait_stat_is("cluster.auth.upstream_rq_tx_reset", count)
        weir.wait_stat_is("cluster.auth.upstream_rq_active", 0)
        self.assertEqual(weir.stat("http.ingress.ext_authz.error"), 0)

    def test_a_service_over_tls(self) -> None:
        """HTTP/2 as ALPN agrees to it."""
        secure = client_tls(sni="a.example", common=trusts(self.ca))
        self.start(authz(grpc_fields={"cluster_name": "secure"}), clusters=[
            cluster("secure", self.auth_tls_port, transport_socket=secure, **http_options(auto_config={"http2_protocol_options": {}}))])
        self.echoed(self.ask())
        self.auth.answer = denies()
        self.assertEqual(self.ask().status, 403)

    def test_services_that_cannot_be_asked(self) -> None:
        gone = self.sandbox.free_port()
        weir = self.start(authz(grpc_fields={"cluster_name": "gone"}), clusters=[cluster("gone", gone, **HTTP2)])
        self.assertEqual(self.ask().status, 403)
        weir.wait_stat_is("cluster.gone.upstream_cx_connect_fail", 1)
        # A cluster of HTTP/1.1 is none for gRPC, and nothing is sent to it.
        weir = self.start(authz(grpc_fields={"cluster_name": "echo"}))
        self.assertEqual(self.ask().status, 403)
        weir.wait_stat_is("http.ingress.ext_authz.error", 1)
        self.assertEqual(weir.stat("cluster.echo.upstream_cx_total"), 0)

    def test_faults_are_told(self) -> None:
        for service, fault in (
                ({"envoy_grpc": {"cluster_name": "aut"}}, 'cluster_name: "aut" is not a cluster of this configuration; nearest: "auth"'),
                ({"google_grpc": {"target_uri": "dns://8.8.8.8/a.example", "stat_prefix": "x"}, "envoy_grpc": None}, "asks a server"),
                ({"initial_metadata": [{"key": "grpc-status", "value": "0"}]}, "is what the call says by itself")):
            filter_ = authz(service=service)
            asked = filter_["typed_config"]["grpc_service"]
            filter_["typed_config"]["grpc_service"] = {name: value for name, value in asked.items() if value is not None}
            with self.subTest(fault), self.assertRaisesRegex(Exception, fault):
                self.start(filter_)


if __name__ == "__main__":
    main()
