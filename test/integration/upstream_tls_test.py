"""TLS towards servers: nginx that wants certificates, Python's ssl (OpenSSL), which tells what it was asked for."""

import os
import ssl
from typing import Any, Optional

from harness import (Connection, EchoUpstream, Nginx, Weir, WeirTestCase, bootstrap, cluster, fetch, file_access_log,
                     http_listener, main, over_tls, route, tcp_listener, wait_line, wait_until)
from harness.config import client_tls, http_options, server_tls, trusts
from harness.tls import (Authority, TlsConnection, TlsEchoUpstream, TlsScriptedUpstream, client_context, server_context,
                         write_atomically)
from harness.upstreams import ServerConnection
from harness.wire import Closed


def auto_names(**options: Any) -> dict[str, Any]:
    return http_options(upstream_http_protocol_options=options, explicit_http_config={"http_protocol_options": {}})


class UpstreamTlsTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca, cls.stranger = Authority(cls.sandbox), Authority(cls.sandbox, "Stranger")
        cls.own = cls.ca.issue("weir", "URI:spiffe://weir", client=True)
        cls.server = cls.ca.issue("server.internal", "DNS:server.internal", "DNS:*.wild.internal", "IP:127.0.0.1")
        cls.foreign = cls.stranger.issue("server.internal")
        cls.nginx = Nginx(cls.sandbox, "mutual", tls=cls.server, more="ssl_protocols TLSv1.2 TLSv1.3; ssl_client_certificate %s; ssl_verify_client on;" % cls.ca.path)
        cls.echo = TlsEchoUpstream(cls.sandbox, "echo", server_context(cls.server, alpn=["http/1.1"]))
        cls.second = TlsEchoUpstream(cls.sandbox, "second", server_context(cls.server))
        cls.bad = TlsEchoUpstream(cls.sandbox, "bad", server_context(cls.foreign))
        cls.chacha = Nginx(cls.sandbox, "chacha", tls=cls.server, more="ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;")
        cls.plain = EchoUpstream(cls.sandbox, "plain")
        cls.old = TlsEchoUpstream(cls.sandbox, "old", server_context(cls.server, version=ssl.TLSVersion.TLSv1_2))
        cls.wants = TlsEchoUpstream(cls.sandbox, "wants", server_context(cls.server, clients=cls.ca))
        cls.cut = TlsScriptedUpstream(cls.sandbox, cls.until_close, server_context(cls.server))
        cls.log = cls.sandbox.path("access.log")
        cls.port, cls.tcp, cls.encrypted = (cls.sandbox.free_port() for _ in range(3))
        line = ("%REQ(:PATH)%|%RESPONSE_CODE%|%UPSTREAM_TLS_VERSION%|%UPSTREAM_PEER_SUBJECT%|%UPSTREAM_LOCAL_URI_SAN%|"
                "%UPSTREAM_SERVER_NAME%|%RESPONSE_FLAGS%|%RESPONSE_CODE_DETAILS%|%UPSTREAM_TRANSPORT_FAILURE_REASON%\n")
        cls.clusters = {}
        clusters = []

        def add(name: str, server: Any, socket: Optional[dict[str, Any]], **fields: Any) -> None:
            clusters.append(cluster(name, server if isinstance(server, int) else server.port,
                                    **({"transport_socket": socket} if socket else {}), **fields))

        trust = trusts(cls.ca)
        add("mutual", cls.nginx, client_tls(cls.own, common=trust))
        add("anonymous", cls.wants, client_tls(common=trust))
        add("echo", cls.echo, client_tls(common={**trust, "alpn_protocols": ["http/1.1"]}, sni="server.internal"))
        add("unverified", cls.bad, client_tls())
        add("verified", cls.bad, client_tls(common=trust))
        add("names", cls.echo, client_tls(common=trusts(cls.ca, match_typed_subject_alt_names=[
            {"san_type": "DNS", "matcher": {"exact": "other.internal"}}])))
        add("host_sni", cls.echo, client_tls(auto_host_sni=True), hostname="host.internal")
        add("auto", cls.echo, client_tls(common=trust), **auto_names(auto_sni=True))
        add("auto_san", cls.echo, client_tls(common=trust), **auto_names(auto_sni=True, auto_san_validation=True))
        add("header", cls.echo, client_tls(common=trust), **auto_names(auto_sni=True, override_auto_sni_header="X-Name"))
        add("deprecated", cls.echo, client_tls(common=trust), upstream_http_protocol_options={"auto_sni": True})
        add("sni_san", cls.echo, client_tls(common=trust, sni="wrong.internal", auto_sni_san_validation=True))
        add("auto_sni_san", cls.echo, client_tls(common=trust, auto_sni_san_validation=True), **auto_names(auto_sni=True))
        add("no_sni_san", cls.echo, client_tls(common=trust, auto_sni_san_validation=True, auto_host_sni=True))
        add("to_plain", cls.plain, client_tls())
        add("cut", cls.cut, client_tls(common=trust))
        add("dead", cls.sandbox.free_port(), client_tls())
        add("sessions", cls.old, client_tls(common=trust), max_requests_per_connection=1)
        for name, server in (("fips", cls.second), ("fips_chacha", cls.chacha)):
            add(name, server, client_tls(common={**trust, "tls_params": {"compliance_policies": ["FIPS_202205"]}}))
        add("chacha", cls.chacha, client_tls(common=trust))
        add("no_sessions", cls.second, client_tls(common={**trust, "tls_params": {"tls_maximum_protocol_version": "TLSv1_2"}},
                                                  max_session_keys=0), max_requests_per_connection=1)
        matched = cluster("matched", cls.echo.port, cls.plain.port, transport_socket_matches=[
            {"name": "tls", "match": {"secure": True, "tier": "1"}, "transport_socket": client_tls(common=trust, sni="matched.internal")},
            {"name": "plain", "match": {"secure": False}, "transport_socket": {
                "name": "envoy.transport_sockets.raw_buffer", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}],
            transport_socket=client_tls(common=trusts(cls.stranger)))
        for endpoint, members in zip(matched["load_assignment"]["endpoints"][0]["lb_endpoints"],
                                     ({"secure": True, "tier": "1", "more": "x"}, {"secure": False})):
            endpoint["metadata"] = {"filter_metadata": {"envoy.transport_socket_match": members}}
        clusters.append(matched)
        names = [one["name"] for one in clusters]
        routes = [route({"prefix": "/header/removed"}, "header") | {"request_headers_to_remove": ["x-name"]},
                  route({"prefix": "/auto_san/rewritten"}, "auto_san", {"host_rewrite_literal": "server.internal:1"})]
        routes += [route({"prefix": "/%s/" % name}, name) for name in names]
        scheme = {"scheme_header_transformation": {"match_upstream": True}}
        cls.weir = Weir(cls.sandbox, bootstrap([
            http_listener(cls.port, routes, access_log=[file_access_log(cls.log, line)], **scheme),
            tcp_listener(cls.tcp, "echo", name="tcp", access_log=[file_access_log(cls.log, "tcp|%UPSTREAM_TLS_VERSION%\n")]),
        ], clusters), concurrency=1)

    @staticmethod
    def until_close(connection: ServerConnection) -> None:
        request = connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nthe body, or a part of it")
        if request.target.endswith("whole"):
            connection.sock.unwrap()  # type: ignore[attr-defined]

    def get(self, name: str, path: str = "x", host: str = "test.example", **headers: str) -> Any:
        return fetch(self.port, "/%s/%s" % (name, path), host=host, headers=list(headers.items()))

    def line(self, start: str) -> list[str]:
        return wait_line(self.log, start).split("|", 8)

    def names_asked(self, server: TlsEchoUpstream, name: str, **arguments: Any) -> list[Optional[str]]:
        before = len(server.server_names)
        self.assertEqual(self.get(name, **arguments).status, 200)
        return server.server_names[before:]

    # field: TlsParameters.compliance_policies
    def test_fips(self) -> None:
        self.assertEqual(self.get("fips").status, 200)
        self.assertEqual(self.line("/fips/x|")[2], "TLSv1.3")
        self.assertEqual(self.get("chacha").status, 200)
        self.assertEqual(self.get("fips_chacha").status, 503)
        self.assertIn("WRONG_CIPHER_RETURNED", self.line("/fips_chacha/x|")[8])
        self.assertEqual(self.weir.stat("cluster.fips_chacha.ssl.handshake"), 0)

    # field: Cluster.transport_socket, UpstreamTlsContext.common_tls_context, CommonTlsContext.validation_context
    def test_mutual(self) -> None:
        for _ in range(3):
            self.assertEqual(self.get("mutual").text, "mutual /mutual/x\n")
        self.get("mutual", "logged")
        self.assertEqual(self.line("/mutual/logged|")[1:6], ["200", "TLSv1.3", "CN=server.internal", "spiffe://weir", "-"])
        self.assertGreaterEqual(self.weir.stat("cluster.mutual.ssl.handshake"), 1)

    def test_a_server_that_wants_a_certificate(self) -> None:
        response = self.get("anonymous", "denied")
        self.assertEqual(response.status, 503)
        reason = self.line("/anonymous/denied|")[8]
        self.assertRegex(reason, r"^TLS_error:.*(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|alert)")

    # RFC 9112 9.8: without a length, an end that the server does not announce may be anybody's.
    def test_bodies_until_the_end(self) -> None:
        self.assertEqual(self.get("cut", "whole").text, "the body, or a part of it")
        with self.assertRaises(Closed):
            self.get("cut", "part")
        self.assertEqual(self.line("/cut/part|")[6], "UC")

    # field: UpstreamTlsContext.sni, CommonTlsContext.alpn_protocols
    def test_sni_and_alpn(self) -> None:
        before = len(self.echo.server_names)
        self.assertEqual(self.get("echo", "sni").status, 200)
        self.assertEqual(set(self.echo.server_names[before:]) - {"server.internal"}, set())
        self.assertIn("server.internal", self.echo.server_names)
        self.assertEqual(self.line("/echo/sni|")[5], "server.internal")

    def test_verification(self) -> None:
        self.assertEqual(self.get("unverified").status, 200)
        response = self.get("verified", "bad")
        self.assertEqual(response.status, 503)
        self.assertIn("transport failure reason: TLS_error:", response.text)
        fields = self.line("/verified/bad|")
        self.assertIn("CERTIFICATE_VERIFY_FAILED", fields[8])
        self.assertEqual(fields[6], "UF")
        self.assertTrue(fields[7].startswith("upstream_reset_before_response_started{"), fields[7])
        self.assertGreaterEqual(self.weir.stat("cluster.verified.ssl.fail_verify_error"), 1)
        self.assertGreaterEqual(self.weir.stat("cluster.verified.upstream_cx_connect_fail"), 1)
        self.assertEqual(self.get("names").status, 503)
        self.assertGreaterEqual(self.weir.stat("cluster.names.ssl.fail_verify_san"), 1)

    def test_no_tls_there(self) -> None:
        self.assertEqual(self.get("to_plain").status, 503)
        self.assertEqual(self.get("dead", "x").status, 503)
        self.assertEqual(self.line("/dead/x|")[8], "connection_refused")

    # field: UpstreamTlsContext.auto_host_sni
    def test_sni_of_the_endpoint(self) -> None:
        self.assertEqual(self.names_asked(self.echo, "host_sni"), ["host.internal"])

    # field: UpstreamHttpProtocolOptions.auto_sni, HttpProtocolOptions.upstream_http_protocol_options
    # field: UpstreamHttpProtocolOptions.override_auto_sni_header, Cluster.upstream_http_protocol_options
    def test_sni_of_the_request(self) -> None:
        self.assertEqual(self.names_asked(self.echo, "auto", host="one.internal:81"), ["one.internal"])
        self.assertEqual(self.names_asked(self.echo, "auto", host="two.internal"), ["two.internal"])
        self.assertEqual(self.names_asked(self.echo, "auto", host="one.internal"), [])  # that connection is there
        self.assertEqual(self.names_asked(self.echo, "header", host="a", **{"x-name": "named.internal"}), ["named.internal"])
        self.assertEqual(self.names_asked(self.echo, "deprecated", host="old.internal"), ["old.internal"])
        self.assertEqual(self.names_asked(self.echo, "header", path="removed", **{"x-name": "gone.internal"}), ["gone.internal"])
        self.assertEqual(self.names_asked(self.echo, "auto", host="10.0.0.1"), [None])

    # field: UpstreamHttpProtocolOptions.auto_san_validation, UpstreamTlsContext.auto_sni_san_validation
    def test_certificate_of_the_name(self) -> None:
        for host, status in (("server.internal", 200), ("x.wild.internal", 200), ("127.0.0.1", 200), ("other.internal", 503)):
            self.assertEqual(self.get("auto_san", host=host).status, status, host)
        self.assertEqual(self.get("sni_san").status, 503)

    def test_no_certificate_is_good_for_what_is_no_name(self) -> None:
        """Whoever chooses the name must not be able to switch its check off."""
        for name in ("auto_san", "auto_sni_san"):
            for host in ("a" * 255, "a" * 256, "a.internal." * 100, "[::1]"):
                self.assertEqual(self.get(name, host=host).status, 503, (name, host))
        self.assertEqual(self.get("auto_sni_san", host="server.internal").status, 200)
        self.assertEqual(self.get("auto_sni_san", host="10.1.1.1").status, 503)  # of which no SNI tells
        self.assertEqual(self.get("no_sni_san").status, 503)

    def test_the_host_counts_as_it_goes_to_the_upstream(self) -> None:
        self.assertEqual(self.get("auto_san", "rewritten", host="public.example").status, 200)
        self.assertEqual(self.get("auto_san", host="public.example").status, 503)

    # field: Cluster.transport_socket_matches, TransportSocketMatch.name, TransportSocketMatch.match
    # field: TransportSocketMatch.transport_socket
    def test_by_metadata_of_the_endpoint(self) -> None:
        before = len(self.echo.server_names)
        seen = {self.get("matched").text.split('"server": "')[1].split('"')[0] for _ in range(6)}
        self.assertEqual(seen, {"echo", "plain"})
        self.assertEqual(set(self.echo.server_names[before:]), {"matched.internal"})

    # field: UpstreamTlsContext.max_session_keys
    def test_sessions(self) -> None:
        for _ in range(4):
            self.assertEqual(self.get("sessions").status, 200)
            self.assertEqual(self.get("no_sessions").status, 200)
        self.assertEqual((self.old.sessions_reused, self.second.sessions_reused), (3, 0))
        self.weir.wait_stat("cluster.sessions.ssl.session_reused", 3)

    def test_scheme(self) -> None:
        self.get("echo", "scheme")
        self.assertGreaterEqual(self.echo.handshakes, 1)

    def test_tcp(self) -> None:
        response = fetch(self.tcp, "/tcp", headers=[("x-test-size", "2000000")])
        self.assertEqual(len(response.body), 2000000)
        response = fetch(self.tcp, "/tcp", "POST", body=b"y" * 2000000)
        self.assertIn('"length": 2000000', response.text)
        self.assertEqual(self.line("tcp|"), ["tcp", "TLSv1.3"])

    def test_large_bodies(self) -> None:
        for size in (16384, 3000000):
            self.assertEqual(len(self.get("echo", **{"x-test-size": str(size)}).body), size)
            self.assertIn('"length": %d' % size, fetch(self.port, "/echo/", "POST", body=b"y" * size).text)


def set_state(kind: str, moment: str, **values: Any) -> dict[str, Any]:
    """A set_filter_state filter; a value is a format, or the fields of a FilterStateValue besides."""
    made = []
    for key, value in values.items():
        fields = value if isinstance(value, dict) else {"format": value}
        made.append({"object_key": key.replace("__", "."), "format_string": {
            "text_format_source": {"inline_string": fields.pop("format")}, "omit_empty_values": True}, **fields})
    return {"name": "set_filter_state", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.%s.set_filter_state.v3.Config" % kind, moment: made}}


class FilterStateTest(WeirTestCase):
    """What filters have left in filter state says what an upstream is asked for, whose connections are not shared then."""

    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        own, server = cls.ca.issue("a.example", "DNS:a.example", "DNS:*.shop.example"), cls.ca.issue("up.example")
        context = server_context(server, alpn=["http/1.1", "acme/1"])
        cls.echo = TlsEchoUpstream(cls.sandbox, "echo", context)
        cls.log = cls.sandbox.path("state.log")
        cls.ports = {name: cls.sandbox.free_port() for name in ("http", "tcp", "names")}
        line = "%REQ(:PATH)%|%RESPONSE_CODE%|%FILTER_STATE(mine:PLAIN)%|%UPSTREAM_TLS_VERSION%\n"
        http = http_listener(cls.ports["http"], [route({"prefix": "/host"}, "by_host"), route({"prefix": "/"}, "echo")],
                             access_log=[file_access_log(cls.log, line)], http_filters=[set_state(
                                 "http", "on_request_headers", envoy__network__upstream_server_name={
                                     "format": "%REQ(x-name)%", "skip_if_empty": True, "shared_with_upstream": "NONE"},
                                 envoy__network__upstream_subject_alt_names="%REQ(x-expected)%",
                                 mine={"format": "%REQ(x-mine)%", "factory_key": "envoy.string"})])

        def tcp(name: str, moment: str, **values: Any) -> dict[str, Any]:
            made = tcp_listener(cls.ports[name], "echo", name=name)
            made["filter_chains"][0]["filters"].insert(0, set_state("network", moment, **values))
            over_tls(made, server_tls(own))
            return made

        tls = client_tls(common={**trusts(cls.ca), "alpn_protocols": ["http/1.1"]}, sni="configured.example")
        cls.weir = Weir(cls.sandbox, bootstrap([
            http,
            tcp("tcp", "on_new_connection", envoy__network__upstream_server_name="%REQUESTED_SERVER_NAME%",
                envoy__network__application_protocols="acme/1,spdy/3"),
            tcp("names", "on_downstream_tls_handshake", envoy__network__upstream_subject_alt_names={
                "format": "%REQUESTED_SERVER_NAME%", "read_only": True}),
        ], [cluster("echo", cls.echo.port, transport_socket=tls),
            cluster("by_host", cls.echo.port, transport_socket=tls, **auto_names(auto_sni=True))]), concurrency=1)

    def asked(self, path: str = "/", **headers: str) -> list[Optional[str]]:
        before = len(self.echo.server_names)
        response = fetch(self.ports["http"], path, host="host.example", headers=[(name.replace("_", "-"), value)
                                                                                 for name, value in headers.items()])
        self.assertEqual(response.status, 200)
        return self.echo.server_names[before:]

    # field: http.set_filter_state.v3.Config.on_request_headers, FilterStateValue.object_key, FilterStateValue.format_string
    # field: FilterStateValue.skip_if_empty, FilterStateValue.factory_key, FilterStateValue.shared_with_upstream
    def test_of_requests(self) -> None:
        self.assertEqual(self.asked(), ["configured.example"])
        self.assertEqual(self.asked(x_name="one.example"), ["one.example"])
        self.assertEqual(self.asked(x_name="two.example"), ["two.example"])
        self.assertEqual(self.asked(x_name="one.example"), [])  # the connection that there is
        self.assertEqual(self.asked(), [])
        self.assertEqual(self.asked("/host"), ["host.example"])
        self.assertEqual(self.asked("/host", x_name="one.example"), ["one.example"])
        self.assertEqual(self.asked(x_expected="other.example,up.example"), ["configured.example"])
        response = fetch(self.ports["http"], "/refused", headers=[("x-expected", "other.example")])
        self.assertEqual(response.status, 503)
        self.assertIn("CERTIFICATE_VERIFY_FAILED", response.text)
        for expected in ("x" * 256, ",", ", ,"):
            self.assertEqual(fetch(self.ports["http"], "/refused", headers=[("x-expected", expected)]).status, 503, expected)
        self.asked("/mine", x_mine="own text")
        self.assertEqual(wait_line(self.log, "/mine"), "/mine|200|own text|TLSv1.3")

    # field: network.set_filter_state.v3.Config.on_new_connection, network.set_filter_state.v3.Config.on_downstream_tls_handshake
    # field: FilterStateValue.read_only
    def test_of_connections(self) -> None:
        """The upstream is asked for the name that its client has asked for, and offered other protocols."""
        for name in ("a.example", "x.shop.example"):
            before = len(self.echo.server_names)
            with TlsConnection(self.ports["tcp"], name, client_context(self.ca)) as connection:
                self.assertEqual(connection.request().status, 200)
            self.assertEqual(self.echo.server_names[before:], [name])
            self.assertEqual(self.echo.protocols[-1], "acme/1")
        failures = self.weir.stat("cluster.echo.ssl.fail_verify_san")
        with TlsConnection(self.ports["names"], "a.example", client_context(self.ca)) as connection:
            self.assertEqual(connection.sock.recv(1), b"")  # up.example is not a.example
        self.weir.wait_stat_is("cluster.echo.ssl.fail_verify_san", failures + 1)


class ReencryptionTest(WeirTestCase):
    """TLS on both sides, and what happens when its configuration changes."""

    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        cls.own = cls.ca.issue("a.example")
        cls.echo = TlsEchoUpstream(cls.sandbox, "echo", server_context(cls.ca.issue("server.internal")))

    def test_bodies_both_ways(self) -> None:
        port, tcp = self.sandbox.free_port(), self.sandbox.free_port()
        listeners = [http_listener(port, [route({"prefix": "/"}, "echo")]), tcp_listener(tcp, "echo")]
        for listener in listeners:
            over_tls(listener, server_tls(self.own))
        Weir(self.sandbox, bootstrap(listeners, [cluster("echo", self.echo.port, transport_socket=client_tls(common=trusts(self.ca)))]))
        for one in (port, tcp):
            with TlsConnection(one, "a.example", client_context(self.ca)) as connection:
                for size in (1, 100000, 4000000):
                    self.assertEqual(len(connection.request(headers=[("x-test-size", str(size))]).body), size)
                    self.assertIn('"length": %d' % size, connection.request("POST", body=b"y" * size).text)

    def test_an_end_that_was_not_said(self) -> None:
        """A server whose TLS is cut off: its clients get all that came, and no orderly end."""
        def answer(connection: ServerConnection) -> None:
            polite = connection.sock.recv(10) == b"polite"
            connection.sock.sendall(b"z" * 300000)
            if polite:
                connection.sock.unwrap()  # type: ignore[attr-defined]

        server = TlsScriptedUpstream(self.sandbox, answer, server_context(self.ca.issue("server.internal")))
        tcp, tls = self.sandbox.free_port(), self.sandbox.free_port()
        listeners = [tcp_listener(tcp, "server"), over_tls(tcp_listener(tls, "server", name="over_tls"), server_tls(self.own))]
        weir = Weir(self.sandbox, bootstrap(listeners, [cluster("server", server.port, transport_socket=client_tls(
            common=trusts(self.ca)))]))
        for name, port in (("tcp", tcp), ("over_tls", tls)):
            for polite in (True, False):
                connection = Connection(port) if port == tcp else TlsConnection(port, "a.example", client_context(self.ca))
                if isinstance(connection, TlsConnection):
                    connection.tls.suppress_ragged_eofs = False
                connection.send(b"polite" if polite else b"hasty")
                got, end = b"", "end"
                try:
                    while data := connection.sock.recv(1 << 16):
                        got += data
                except (ConnectionResetError, ssl.SSLEOFError):
                    end = "reset"
                self.assertEqual((len(got), end), (300000, "end" if polite else "reset"), name)
                connection.close()
                weir.wait_stat_is("tcp.%s.upstream_cx_truncated" % name, int(not polite))
        weir.wait_stat_is("cluster.server.upstream_cx_active", 0)

    def test_trust_that_changes(self) -> None:
        """Files that change are for new connections; another configuration is for all requests."""
        other = Authority(self.sandbox, "Other")
        path = self.sandbox.write("trusted.pem", self.ca.pem)
        port = self.sandbox.free_port()

        def config(**tls: Any) -> dict[str, Any]:
            return bootstrap([http_listener(port, [route({"prefix": "/"}, "echo")])], [cluster(
                "echo", self.echo.port, transport_socket=client_tls(common={"validation_context": {"trusted_ca": {"filename": path}}}, **tls))])

        weir = Weir(self.sandbox, config(), concurrency=1)
        self.assertEqual(fetch(port).status, 200)
        before = self.echo.connections
        write_atomically(path, other.pem)
        wait_until(lambda: weir.admin_json("/certs")["certificates"][0]["ca_cert"][0]["serial_number"] ==
                   "%x" % other.certificate.serial_number or "0%x" % other.certificate.serial_number ==
                   weir.admin_json("/certs")["certificates"][0]["ca_cert"][0]["serial_number"], "the new authority")
        self.assertEqual(fetch(port).status, 200)  # the open connection goes on
        self.assertEqual(self.echo.connections, before)
        from harness import to_yaml
        write_atomically(weir.config_path, to_yaml(config(sni="x.internal")) + "\n")
        weir.admin("/reload", "POST")
        weir.settle()
        self.assertEqual(fetch(port).status, 503)


if __name__ == "__main__":
    main()
