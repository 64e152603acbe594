"""What the settings of an HTTP connection manager change: one listener per setting, and one without any beside them."""

import os
import signal
import socket

from harness import (Connection, EchoUpstream, VariantsTestCase, Weir, WeirTestCase, bootstrap, cluster, direct, fetch,
                     http_listener, main, preserve_case, route, wait_until)
from harness.config import to_yaml
from harness.wire import Reader

_TYPE = "type.googleapis.com/"
MUTATION = _TYPE + "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
BUFFER = _TYPE + "envoy.extensions.filters.http.buffer.v3.Buffer"
BUFFER_PER_ROUTE = _TYPE + "envoy.extensions.filters.http.buffer.v3.BufferPerRoute"
FILTER_CONFIG = _TYPE + "envoy.config.route.v3.FilterConfig"


def set_header(name: str, value: str) -> dict:
    return {"append": {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


class PathTest(VariantsTestCase):
    """Paths that mean the same and are written differently."""

    variants = {
        "normalized": {"normalize_path": True}, "merged": {"merge_slashes": True},
        "rejecting": {"path_with_escaped_slashes_action": "REJECT_REQUEST"},
        "redirecting": {"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"},
        "unescaping": {"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"}}

    def test_by_default_paths_stay_as_they_are(self) -> None:
        for path in ("/a/../b", "/a//b", "/a%2Fb"):
            self.assertEqual(self.seen("plain", path=path)["path"], path)

    # field: HttpConnectionManager.normalize_path
    def test_dots_are_resolved(self) -> None:
        self.assertEqual(self.seen("normalized", path="/a/../b/./c?d=/../")["path"], "/b/c?d=/../")

    # field: HttpConnectionManager.merge_slashes
    def test_slashes_are_merged(self) -> None:
        self.assertEqual(self.seen("merged", path="/a//b///c")["path"], "/a/b/c")

    # field: HttpConnectionManager.path_with_escaped_slashes_action
    def test_escaped_slashes(self) -> None:
        self.assertEqual(fetch(self.ports["rejecting"], "/a%2Fb").status, 400)
        response = fetch(self.ports["redirecting"], "/a%2fb")
        self.assertEqual((response.status, response.header("location")), (307, "/a/b"))
        for path in ("/%2fevil.example", "/%5cevil.example"):  # nobody is sent to another host
            location = fetch(self.ports["redirecting"], path).header("location") or ""
            self.assertRegex(location, r"^http://[^/]+/[/\\]evil.example$")
        self.assertEqual(self.seen("unescaping", path="/a%2Fb")["path"], "/a/b")


class NoFiltersTest(WeirTestCase):
    """A connection manager without http_filters, as files have that only answer and redirect by themselves."""

    # field: HttpConnectionManager.http_filters
    def test_the_router_is_meant(self) -> None:
        upstream = EchoUpstream(self.sandbox)
        listeners = []
        ports = [self.sandbox.free_port() for _ in range(2)]
        for port in ports:
            listeners.append(http_listener(port, [direct({"path": "/direct"}, "x"), route({"prefix": "/"}, "echo")], name="n%d" % port))
        manager = listeners[0]["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["http_filters"]
        listeners[1]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"] = []
        weir = Weir(self.sandbox, bootstrap(listeners, [cluster("echo", upstream.port)]))
        for port in ports:
            self.assertEqual(fetch(port, "/direct").text, "x")
            self.assertEqual(fetch(port, "/to-the-server").status, 200)
        self.assertEqual(weir.stat("cluster.echo.upstream_rq_total"), 2)
        self.assertEqual(weir.process.log().count("weir routes as if envoy.filters.http.router was the only one"), 2)


class LimitTest(VariantsTestCase):
    """What a request, a connection and their time may be."""

    variants = {
        "small": {"max_request_headers_kb": 1}, "few": {"common_http_protocol_options": {"max_headers_count": 5}},
        "two": {"common_http_protocol_options": {"max_requests_per_connection": 2}},
        "short-lived": {"common_http_protocol_options": {"max_connection_duration": "0.3s"}},
        "hasty": {"common_http_protocol_options": {"max_stream_duration": "0.3s"}},
        "strict": {"common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
                   "http_protocol_options": {"enable_trailers": True}},
        "dropping": {"common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"}}}

    # field: HttpConnectionManager.max_request_headers_kb
    def test_size_of_headers(self) -> None:
        large = [("x-large", "v" * 2000)]
        self.assertEqual(fetch(self.ports["plain"], headers=large).status, 200)
        self.assertEqual(fetch(self.ports["small"], headers=large).status, 431)

    def test_size_of_trailers(self) -> None:
        """The same limit."""
        head = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-large: "
        for variant, size, status in (("plain", 20000, 200), ("small", 500, 200), ("small", 2000, 431)):
            with Connection(self.ports[variant]) as connection:
                connection.send(head + b"v" * size + b"\r\n\r\n")
                self.assertEqual(connection.read_response().status, status, (variant, size))

    # field: HttpProtocolOptions@downstream.max_headers_count
    def test_number_of_headers(self) -> None:
        many = [("x-%d" % number, "v") for number in range(8)]
        self.assertEqual(fetch(self.ports["plain"], headers=many).status, 200)
        self.assertEqual(fetch(self.ports["few"], headers=many).status, 431)

    # field: HttpProtocolOptions@downstream.max_requests_per_connection
    def test_number_of_requests(self) -> None:
        with Connection(self.ports["two"]) as connection:
            self.assertIsNone(connection.request().header("connection"))
            self.assertEqual(connection.request().header("connection"), "close")
            self.assertTrue(connection.closed_within(3))

    # field: HttpProtocolOptions@downstream.max_connection_duration
    def test_age_of_a_connection(self) -> None:
        with Connection(self.ports["short-lived"]) as connection:
            self.assertEqual(connection.request().status, 200)
            self.assertTrue(connection.closed_within(3))
        self.weir.wait_stat("http.short-lived.downstream_cx_max_duration_reached", 1)

    # field: HttpProtocolOptions@downstream.max_stream_duration
    def test_age_of_a_stream(self) -> None:
        self.assertEqual(fetch(self.ports["hasty"], headers=[("x-test-delay", "5")]).status, 504)
        self.weir.wait_stat("http.hasty.downstream_rq_max_duration_reached", 1)

    # field: HttpProtocolOptions@downstream.headers_with_underscores_action
    def test_names_with_underscores(self) -> None:
        underscored = [("x_a", "1"), ("x-b", "2")]
        self.assertEqual(self.seen("plain", headers=underscored)["headers"].get("x_a"), ["1"])
        self.assertEqual(fetch(self.ports["strict"], headers=underscored).status, 400)
        with Connection(self.ports["strict"]) as connection:
            connection.send(b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx_a: 1\r\n\r\n")
            self.assertEqual(connection.read_response().status, 400)
        kept = self.seen("dropping", headers=underscored)["headers"]
        self.assertNotIn("x_a", kept)
        self.assertEqual(kept["x-b"], ["2"])
        self.assertEqual(self.weir.stat("http.dropping.downstream_rq_dropped_underscore"), 1)


class IdentityTest(VariantsTestCase):
    """Who the client is, and what is told of it."""

    routes = [route({"prefix": "/"}, "echo", response_headers_to_add=[
        {"header": {"key": "x-client", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}])]
    variants = {
        "hop": {"use_remote_address": True, "xff_num_trusted_hops": 1},
        "edge": {"use_remote_address": True}, "silent": {"use_remote_address": True, "skip_xff_append": True},
        "named": {"via": "1.1 edge"}, "telling": {"always_set_request_id_in_response": True},
        "appending": {"server_header_transformation": "APPEND_IF_ABSENT"},
        "passing": {"server_header_transformation": "PASS_THROUGH"},
        "portless": {"strip_any_host_port": True}, "own-port": {"strip_matching_host_port": True}}

    # field: HttpConnectionManager.xff_num_trusted_hops
    def test_trusted_hops(self) -> None:
        told = [("x-forwarded-for", "203.0.113.1, 203.0.113.2")]
        self.assertEqual(fetch(self.ports["edge"], headers=told).header("x-client"), "127.0.0.1")
        self.assertEqual(fetch(self.ports["hop"], headers=told).header("x-client"), "203.0.113.2")

    # field: HttpConnectionManager.skip_xff_append
    def test_a_proxy_that_does_not_add_itself(self) -> None:
        told = [("x-forwarded-for", "203.0.113.1")]
        self.assertEqual(self.seen("silent", headers=told)["headers"]["x-forwarded-for"], ["203.0.113.1"])
        self.assertNotIn("x-forwarded-for", self.seen("silent")["headers"])

    # field: HttpConnectionManager.via
    def test_via(self) -> None:
        response = fetch(self.ports["named"], headers=[("via", "1.0 first"), ("x-test-header", "via=1.1 origin")])
        self.assertEqual(self.echoed(response)["headers"]["via"], ["1.0 first, 1.1 edge"])
        self.assertEqual(response.header("via"), "1.1 origin, 1.1 edge")

    # field: HttpConnectionManager.always_set_request_id_in_response
    def test_request_id_in_the_response(self) -> None:
        response = fetch(self.ports["telling"])
        self.assertEqual([response.header("x-request-id")], self.echoed(response)["headers"]["x-request-id"])
        self.assertIsNone(fetch(self.ports["plain"]).header("x-request-id"))

    # field: HttpConnectionManager.server_header_transformation
    def test_server_header(self) -> None:
        origin = [("x-test-header", "server=origin")]
        for variant, with_origin, without in (("plain", "weir", "weir"), ("appending", "origin", "weir"), ("passing", "origin", None)):
            with self.subTest(variant):
                self.assertEqual(fetch(self.ports[variant], headers=origin).header("server"), with_origin)
                self.assertEqual(fetch(self.ports[variant]).header("server"), without)

    # field: HttpConnectionManager.strip_any_host_port, HttpConnectionManager.strip_matching_host_port
    def test_ports_of_hosts(self) -> None:
        own = "a.example:%d" % self.ports["own-port"]
        for variant, host, expected in (("plain", own, own), ("portless", "a.example:81", "a.example"),
                                        ("own-port", own, "a.example"), ("own-port", "a.example:81", "a.example:81")):
            with self.subTest(variant=variant, host=host):
                self.assertEqual(self.seen(variant, host=host)["headers"]["host"], [expected])


class PipeTest(WeirTestCase):
    """Listeners at Unix sockets: their clients are strangers, whatever they say."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.paths = {name: cls.sandbox.path(name + ".sock") for name in ("replacing", "preserving")}
        listeners = []
        for name, path in cls.paths.items():
            listener = http_listener(0, [route({"prefix": "/"}, "echo")], name=name, stat_prefix=name, use_remote_address=True,
                                     preserve_external_request_id=name == "preserving")
            listener["address"] = {"pipe": {"path": path}}
            listeners.append(listener)
        cls.weir = Weir(cls.sandbox, bootstrap(listeners, [cluster("echo", cls.echo.port)]))

    def request_id_seen(self, name: str) -> str:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(self.paths[name])
            sock.sendall(b"GET / HTTP/1.1\r\nhost: t\r\nx-request-id: theirs\r\n\r\n")
            return self.echoed(Reader(sock).response("GET"))["headers"]["x-request-id"][0]

    # field: HttpConnectionManager.preserve_external_request_id
    def test_request_ids_of_strangers(self) -> None:
        self.assertNotEqual(self.request_id_seen("replacing"), "theirs")
        self.assertEqual(self.request_id_seen("preserving"), "theirs")


# What is found wrong behind the codec.
UNDERSCORES = {"common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"}}


class Http1Test(VariantsTestCase):
    """Settings of the codec."""

    variants = {"origin-form": {"http_protocol_options": {"allow_absolute_url": False}},
                "old": {"http_protocol_options": {"accept_http_10": True}},
                "hosted": {"http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "old.example:81"}},
                "lenient": {"http_protocol_options": {"allow_chunked_length": True}},
                "patient": {**UNDERSCORES, "http_protocol_options": {"override_stream_error_on_invalid_http_message": True}},
                "patient-too": {**UNDERSCORES, "stream_error_on_invalid_http_message": True},
                "impatient": {**UNDERSCORES, "stream_error_on_invalid_http_message": True,
                              "http_protocol_options": {"override_stream_error_on_invalid_http_message": False}},
                "ignoring": {"upgrade_configs": [{"upgrade_type": "websocket"}], "http_protocol_options": {
                    "ignore_http_11_upgrade": [{"prefix": "TLS/", "ignore_case": True}, {"exact": "foo"}]}},
                "preserving": {"http_protocol_options": {"header_key_format": preserve_case()}},
                "preserving-proper": {"http_protocol_options": {
                    "header_key_format": preserve_case(formatter_type_on_envoy_headers="PROPER_CASE")}},
                "proper": {"http_protocol_options": {"header_key_format": {"proper_case_words": {}}}}}

    # field: HttpConnectionManager.http_protocol_options, Http1ProtocolOptions@downstream.allow_absolute_url
    def test_absolute_form(self) -> None:
        for variant, status in (("plain", 200), ("origin-form", 400)):
            with Connection(self.ports[variant]) as connection:
                connection.send(b"GET http://test.example/x HTTP/1.1\r\nhost: test.example\r\n\r\n")
                self.assertEqual(connection.read_response().status, status)

    # field: Http1ProtocolOptions@downstream.accept_http_10
    def test_http_1_0(self) -> None:
        for variant, status in (("plain", 426), ("old", 200)):
            with Connection(self.ports[variant]) as connection:
                connection.send(b"GET / HTTP/1.0\r\nhost: test.example\r\n\r\n")
                self.assertEqual(connection.read_response().status, status)

    # field: Http1ProtocolOptions@downstream.default_host_for_http_10
    def test_http_1_0_without_a_host(self) -> None:
        for variant, hosts in (("old", [""]), ("hosted", ["old.example:81"])):
            with Connection(self.ports[variant]) as connection:
                connection.send(b"GET / HTTP/1.0\r\n\r\n")
                self.assertEqual(self.echoed(connection.read_response())["headers"]["host"], hosts)

    # field: Http1ProtocolOptions@downstream.allow_chunked_length
    def test_chunked_and_a_length(self) -> None:
        both = (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"
                b"3\r\nabc\r\n0\r\n\r\n")
        smuggled = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
        for variant, status in (("plain", 400), ("lenient", 200)):
            before = len(self.echo.requests)
            with Connection(self.ports[variant]) as connection:
                connection.send(both + smuggled)
                response = connection.read_response()
                self.assertEqual((response.status, response.header("connection")), (status, "close"))
                self.assertTrue(connection.closed_within(5))
            self.assertNotIn("/smuggled", [request.target for request in self.echo.requests[before:]])
            if status == 200:
                seen = self.echo.requests[-1]
                self.assertEqual((seen.body, seen.all("content-length")), (b"abc", []))

    # field: Http1ProtocolOptions@downstream.override_stream_error_on_invalid_http_message
    # field: HttpConnectionManager.stream_error_on_invalid_http_message
    def test_after_an_invalid_request(self) -> None:
        for variant, goes_on in (("plain", False), ("impatient", False), ("patient", True), ("patient-too", True)):
            with self.subTest(variant=variant), Connection(self.ports[variant]) as connection:
                connection.send(b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc")
                response = connection.read_response()
                self.assertEqual((response.status, response.header("connection")), (400, None if goes_on else "close"))
                if goes_on:
                    self.assertEqual(connection.request().status, 200)
                    self.assertEqual(self.weir.stat("http.%s.downstream_cx_protocol_error" % variant), 1)
                    connection.send(b"GET / HTTP/1.1\r\nhost : a\r\n\r\n")  # its end is not certain
                    self.assertEqual(connection.read_response().status, 400)
                self.assertTrue(connection.closed_within(5))

    def test_after_a_request_that_is_found_wrong_later(self) -> None:
        for variant, goes_on in (("impatient", False), ("patient", True), ("patient-too", True)):
            with self.subTest(variant=variant), Connection(self.ports[variant]) as connection:
                response = connection.request(headers=[("x_y", "1")])
                self.assertEqual((response.status, response.header("connection")), (400, None if goes_on else "close"))
                if goes_on:
                    self.assertEqual(connection.request().status, 200)
                else:
                    self.assertTrue(connection.closed_within(5))

    # field: Http1ProtocolOptions@downstream.ignore_http_11_upgrade
    def test_ignored_upgrades(self) -> None:
        def ask(variant: str, protocols: str) -> tuple:
            response = fetch(self.ports[variant], headers=[("connection", "upgrade"), ("upgrade", protocols)])
            return response.status, self.echoed(response)["headers"].get("upgrade") if response.status == 200 else None
        self.assertEqual(ask("plain", "tls/1.2"), (403, None))
        self.assertEqual(ask("ignoring", "tls/1.2"), (200, None))
        self.assertEqual(ask("ignoring", "foo, TLS/1.0"), (200, None))
        self.assertEqual(ask("ignoring", "Foo"), (403, None))
        self.assertEqual(ask("ignoring", "TLS/1.0, websocket, foo"), (200, ["websocket"]))
        self.assertEqual(ask("ignoring", "bar, foo"), (403, None))
        self.assertEqual(ask("ignoring", "foo, h2c"), (200, None))  # what is left is the offer of HTTP/2

    # field: HeaderKeyFormat.stateful_formatter, PreserveCaseFormatterConfig.formatter_type_on_envoy_headers
    def test_names_as_they_came(self) -> None:
        sent = [("X-MINE", "1"), ("accePT", "*/*"), ("x-mine", "2")]
        for variant, mine, added in (("plain", ["x-mine", "x-mine"], "x-request-id"),
                                     ("preserving", ["X-MINE", "x-mine"], "x-request-id"),
                                     ("preserving-proper", ["X-MINE", "x-mine"], "X-Request-Id")):
            fetch(self.ports[variant], headers=sent)
            names = [name for name, _ in self.echo.requests[-1].headers]
            self.assertEqual([name for name in names if name.lower() == "x-mine"], mine)
            self.assertEqual("accePT" in names, variant != "plain")
            self.assertIn(added, names)
        with Connection(self.ports["preserving"]) as connection:
            connection.send(b"POST / HTTP/1.1\r\nHOST: a\r\nTransfer-ENCODING: chunked\r\n\r\n0\r\nX-Trailing: 1\r\n\r\n")
            self.assertEqual(connection.read_response().status, 200)
        request = self.echo.requests[-1]
        self.assertEqual(request.headers[0], ("HOST", "a"))
        self.assertIn(("Transfer-ENCODING", "chunked"), request.headers)
        self.assertEqual(request.trailers, [("X-Trailing", "1")])

    # field: Http1ProtocolOptions@downstream.header_key_format, HeaderKeyFormat.proper_case_words
    def test_proper_case(self) -> None:
        names = [name for name, _ in fetch(self.ports["proper"]).headers]
        self.assertIn("Content-Length", names)
        self.assertIn("X-Envoy-Upstream-Service-Time", names)
        self.assertIn("content-length", [name for name, _ in fetch(self.ports["plain"]).headers])


class FiltersTest(WeirTestCase):
    """Filters of the list that are off, unknown or told otherwise by a route."""

    LIMITS = {"filter": 100, "table": 200, "host": 300, "route": 400, "cluster": 500}

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()

        def level(name: str) -> dict:
            return {"buffer": {"@type": BUFFER_PER_ROUTE, "buffer": {"max_request_bytes": cls.LIMITS[name]}}}

        weighted = {"weighted_clusters": {"clusters": [{"name": "echo", "weight": 1, "typed_per_filter_config": level("cluster")}]}}
        buffer = {"name": "buffer", "typed_config": {"@type": BUFFER, "max_request_bytes": cls.LIMITS["filter"]}}
        mark = {"name": "mark", "typed_config": {"@type": MUTATION, "mutations": {"response_mutations": [set_header("x-mark", "on")]}}}
        sleeping = {"name": "sleeping", "disabled": True, "typed_config": {
            "@type": MUTATION, "mutations": {"response_mutations": [set_header("x-sleeping", "awake")]}}}
        unknown = {"name": "unknown", "is_optional": True, "typed_config": {
            "@type": _TYPE + "envoy.extensions.filters.http.on_demand.v3.OnDemand"}}
        cls.weir = Weir(cls.sandbox, bootstrap([http_listener(
            cls.port, route_config={"typed_per_filter_config": level("table")},
            virtual_hosts=[
                {"name": "host", "domains": ["host.example"], "typed_per_filter_config": level("host"), "routes": [
                    route({"prefix": "/route"}, "echo", typed_per_filter_config=level("route")),
                    route({"prefix": "/cluster"}, action=weighted, typed_per_filter_config=level("route")),
                    route({"prefix": "/"}, "echo")]},
                {"name": "any", "domains": ["*"], "routes": [
                    route({"prefix": "/wake"}, "echo", typed_per_filter_config={
                        "sleeping": {"@type": FILTER_CONFIG, "config": {}}}),
                    route({"prefix": "/rouse"}, "echo", typed_per_filter_config={
                        "sleeping": {"@type": FILTER_CONFIG, "config": {}}}),
                    route({"prefix": "/off"}, "echo", typed_per_filter_config={
                        "mark": {"@type": FILTER_CONFIG, "disabled": True}}),
                    route({"prefix": "/"}, "echo")]}],
            http_filters=[unknown, buffer, mark, sleeping])], [cluster("echo", cls.echo.port)]))

    def level_of(self, path: str, host: str) -> str:
        """Whose limit holds: that of the smallest which lets a body of its own size through, as bigger ones are refused."""
        for name, size in self.LIMITS.items():
            statuses = [fetch(self.port, path, method="POST", host=host, body=b"x" * length).status for length in (size, size + 1)]
            if statuses == [200, 413]:
                return name
        return "none"

    # field: RouteConfiguration.typed_per_filter_config, VirtualHost.typed_per_filter_config, HttpFilter.name
    # field: ClusterWeight.typed_per_filter_config
    def test_the_most_specific_level_counts(self) -> None:
        self.assertEqual(self.level_of("/", "other.example"), "table")
        self.assertEqual(self.level_of("/", "host.example"), "host")
        self.assertEqual(self.level_of("/route", "host.example"), "route")
        self.assertEqual(self.level_of("/cluster", "host.example"), "cluster")

    def test_bodies_that_are_too_large_are_counted(self) -> None:
        """As published: those that a filter cannot keep, and not heads."""
        before = self.weir.stat("http.ingress.downstream_rq_too_large")
        self.assertEqual(fetch(self.port, method="POST", body=b"x" * 500).status, 413)
        self.assertEqual(fetch(self.port, headers=[("x-large", "x" * 70000)]).status, 431)
        self.assertEqual(self.weir.stat("http.ingress.downstream_rq_too_large"), before + 1)

    # field: HttpFilter.disabled
    def test_a_disabled_filter_is_woken_by_a_route(self) -> None:
        self.assertIsNone(fetch(self.port).header("x-sleeping"))
        for path in ("/wake", "/rouse"):
            self.assertEqual(fetch(self.port, path).header("x-sleeping"), "awake")

    def test_a_route_turns_a_filter_off(self) -> None:
        self.assertEqual(fetch(self.port).header("x-mark"), "on")
        self.assertIsNone(fetch(self.port, "/off").header("x-mark"))

    # field: HttpFilter.is_optional
    def test_an_unknown_optional_filter_is_left_out(self) -> None:
        self.assertEqual(fetch(self.port).status, 200)
        self.assertRegex(self.weir.process.log(), r"warning: .*http_filters\[0\].*is_optional")


class SuppressTest(WeirTestCase):
    """The router without headers of its own."""

    @classmethod
    def set_up(cls) -> None:
        cls.echo = EchoUpstream(cls.sandbox)
        cls.port = cls.sandbox.free_port()
        listener = http_listener(cls.port, [route({"prefix": "/"}, "echo")])
        listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][-1]["typed_config"]["suppress_envoy_headers"] = True
        cls.weir = Weir(cls.sandbox, bootstrap([listener], [cluster("echo", cls.echo.port)]))

    # field: Router.suppress_envoy_headers
    def test_no_headers_of_the_routers_own(self) -> None:
        response = fetch(self.port)
        self.assertIsNone(response.header("x-envoy-upstream-service-time"))
        self.assertNotIn("x-envoy-expected-rq-timeout-ms", self.echoed(response)["headers"])


class CloseTest(WeirTestCase):
    """How long a connection stays that weir wants to end."""

    # field: HttpConnectionManager.delayed_close_timeout
    def test_waiting_for_the_client_to_close(self) -> None:
        ports = {"patient": self.sandbox.free_port(), "quick": self.sandbox.free_port()}
        one_request = {"max_requests_per_connection": 1}
        weir = Weir(self.sandbox, bootstrap([
            http_listener(ports["patient"], [direct({"prefix": "/"}, "x")], name="patient", stat_prefix="patient",
                          common_http_protocol_options=one_request, delayed_close_timeout="60s"),
            http_listener(ports["quick"], [direct({"prefix": "/"}, "x")], name="quick", stat_prefix="quick",
                          common_http_protocol_options=one_request)]))
        with Connection(ports["patient"]) as patient, Connection(ports["quick"]) as quick:
            for connection in (patient, quick):
                self.assertEqual(connection.request().header("connection"), "close")
            # The default of one second has passed for both of them, then.
            weir.wait_stat("http.quick.downstream_cx_destroy", 1)
            self.assertEqual(weir.stat("http.patient.downstream_cx_active"), 1)

    # field: HttpConnectionManager.drain_timeout
    def test_idle_connections_of_a_chain_that_changed(self) -> None:
        port = self.sandbox.free_port()

        def configuration(value: str) -> dict:
            mark = {"name": "mark", "typed_config": {"@type": MUTATION, "mutations": {"response_mutations": [set_header("x-mark", value)]}}}
            return bootstrap([http_listener(port, [direct({"prefix": "/"}, "x")], http_filters=[mark], drain_timeout="0.2s")])

        weir = Weir(self.sandbox, configuration("old"), arguments=["--drain-strategy", "immediate"])
        with Connection(port) as connection:
            self.assertEqual(connection.request().header("x-mark"), "old")
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(configuration("new")) + "\n")
            os.kill(weir.process.popen.pid, signal.SIGHUP)
            wait_until(lambda: fetch(port).header("x-mark") == "new", "the new filters answer")
            self.assertTrue(connection.closed_within(3))


if __name__ == "__main__":
    main()
