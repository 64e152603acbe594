"""TLS towards clients: Python's ssl (OpenSSL), openssl s_client, curl and sslscan against listeners with certificates."""

import datetime
import json
import re
import socket
import ssl
import subprocess
import time
from typing import Any, Optional
from xml.etree import ElementTree

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from harness import (Connection, EchoUpstream, ScriptedUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch,
                     file_access_log, http_listener, main, over_tls, route, tcp_listener, to_yaml, wait_line, wait_until,
                     weir_binary)
from harness.config import TLS_INSPECTOR, certificate, server_tls
from harness.tls import V12, V13, Authority, TlsConnection, client_context, client_hello, openssl
from harness.upstreams import ServerConnection


class TerminationTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        cls.between = Authority(cls.sandbox, "Intermediate", cls.ca)
        cls.ec, cls.rsa = cls.between.issue("a.example"), cls.between.issue("a.example", key="rsa")
        cls.b = cls.ca.issue("b.example", "DNS:b.example", "DNS:*.b.example")
        cls.other = cls.ca.issue("other.example")
        cls.echo = EchoUpstream(cls.sandbox)
        cls.log = cls.sandbox.path("access.log")
        names = ("main", "old", "strict", "fips", "two", "sni", "tcp", "slow", "plain")
        cls.ports = {name: cls.sandbox.free_port() for name in names}
        line = "%REQ(:PATH)% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %REQUESTED_SERVER_NAME% %FILTER_CHAIN_NAME% " \
               "%DOWNSTREAM_LOCAL_SUBJECT% %DOWNSTREAM_TLS_GROUP%\n"

        def http(name: str) -> dict[str, Any]:
            made = http_listener(cls.ports[name], [route({"prefix": "/"}, "echo")], name=name,
                                 access_log=[file_access_log(cls.log, line)])
            made["filter_chains"][0]["name"] = name
            return made

        several = http("main")
        several["listener_filters"] = [TLS_INSPECTOR]
        base = several["filter_chains"][0]
        several["filter_chains"] = [
            {**base, "name": "b", "filter_chain_match": {"server_names": ["b.example", "*.b.example"]},
             "transport_socket": server_tls(cls.b)},
            {**base, "name": "rest", "transport_socket": server_tls(
                cls.ec, cls.rsa, common={"alpn_protocols": ["h2", "http/1.1"]})},
        ]
        cls.weir = Weir(cls.sandbox, bootstrap([
            several,
            over_tls(http("old"), server_tls(cls.rsa, common={"tls_params": {
                "tls_maximum_protocol_version": "TLSv1_2", "cipher_suites": ["ECDHE-RSA-AES256-GCM-SHA384"],
                "ecdh_curves": ["P-384"]}})),
            over_tls(http("strict"), server_tls(cls.ec, common={"tls_params": {"tls_minimum_protocol_version": "TLSv1_3"}})),
            # The policy goes before the rest.
            over_tls(http("fips"), server_tls(cls.ec, cls.rsa, common={"tls_params": {
                "compliance_policies": ["FIPS_202205"], "tls_minimum_protocol_version": "TLSv1_0", "ecdh_curves": ["X25519", "P-256"],
                "cipher_suites": ["ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-CHACHA20-POLY1305"]}})),
            # Names choose among the certificates of one context, without an inspector.
            over_tls(http("two"), server_tls(cls.other, cls.b)),
            over_tls(http("sni"), server_tls(cls.ec, require_sni=True)),
            over_tls(tcp_listener(cls.ports["tcp"], "echo", name="tcp"), server_tls(cls.ec)),
            over_tls(http("slow"), server_tls(cls.ec), transport_socket_connect_timeout="1s"),
            http_listener(cls.ports["plain"], name="plain", virtual_hosts=[
                {"name": "all", "domains": ["*"], "require_tls": "ALL", "routes": [route({"prefix": "/"}, "echo")]}]),
        ], [cluster("echo", cls.echo.port)]))

    def connect(self, listener: str = "main", name: Optional[str] = "a.example", **context: Any) -> TlsConnection:
        return TlsConnection(self.ports[listener], name, client_context(self.ca if name else None, **context))

    def served(self, **arguments: Any) -> bytes:
        """The certificate, after an exchange."""
        with self.connect(**arguments) as connection:
            self.assertEqual(connection.request(host="x").status, 200)
            return connection.peer

    # field: FilterChain.transport_socket, TransportSocket.typed_config, TransportSocket.name
    def test_certificates_by_what_the_client_can(self) -> None:
        self.assertEqual(self.served(), self.ec.der)
        self.assertEqual(self.served(version=V12), self.ec.der)
        self.assertEqual(self.served(version=V12, ciphers="ECDHE-RSA-AES128-GCM-SHA256"), self.rsa.der)
        self.assertEqual(self.served(version=V12, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"), self.ec.der)

    def test_chains_by_server_name(self) -> None:
        for name in ("b.example", "www.b.example"):
            self.assertEqual(self.served(name=name), self.b.der)
        self.assertEqual(self.served(name="a.example"), self.ec.der)
        self.assertEqual(self.served(listener="two", name="other.example"), self.other.der)
        self.assertEqual(self.served(listener="two", name="x.b.example"), self.b.der)

    def test_curl(self) -> None:
        done = subprocess.run(["curl", "-sS", "--cacert", self.ca.path, "--resolve", "a.example:%d:127.0.0.1" % self.ports["main"],
                               "https://a.example:%d/curl" % self.ports["main"]], text=True, capture_output=True, timeout=20)
        self.assertEqual(done.stderr, "")
        self.assertIn('"path": "/curl"', done.stdout)

    def test_openssl(self) -> None:
        shown = openssl(self.ports["main"], "-CAfile", self.ca.path, "-verify_return_error", "-servername", "a.example",
                        "-alpn", "h2,http/1.1", "-tls1_3")
        self.assertIn("Verify return code: 0 (ok)", shown)
        self.assertIn("ALPN protocol: h2", shown)
        self.assertIn("TLSv1.3", shown)

    def test_sslscan_finds_nothing_weak(self) -> None:
        """What is offered by default, seen by a scanner that nobody here has written."""
        done = subprocess.run(["sslscan", "--no-colour", "--xml=-", "--sni-name=a.example", "127.0.0.1:%d" % self.ports["main"]],
                              text=True, capture_output=True, timeout=120)
        found = ElementTree.fromstring(done.stdout)
        enabled = {(one.get("type"), one.get("version")) for one in found.iter("protocol") if one.get("enabled") == "1"}
        self.assertEqual(enabled, {("tls", "1.2"), ("tls", "1.3")})
        ciphers = [one.attrib for one in found.iter("cipher")]
        self.assertEqual({one["sslversion"] for one in ciphers}, {"TLSv1.2", "TLSv1.3"})
        for one in ciphers:
            self.assertIn(one["strength"], ("strong", "acceptable"), one)
            self.assertGreaterEqual(int(one["bits"]), 128, one)
            self.assertRegex(one["cipher"], r"^(TLS_|ECDHE-).*(GCM|CHACHA20)")
        renegotiation = found.find(".//renegotiation")
        self.assertEqual(renegotiation.get("supported") if renegotiation is not None else "", "0")
        self.assertEqual({one.get("vulnerable") for one in found.iter("heartbleed")}, {"0"})

    def test_parameters(self) -> None:
        with self.connect("old") as connection:
            self.assertEqual((connection.tls.version(), connection.tls.cipher()[0]), ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"))
        with self.assertRaises(ssl.SSLError):
            self.connect("old", version=V13)
        with self.assertRaises(ssl.SSLError):
            self.connect("old", version=V12, ciphers="ECDHE-RSA-AES128-GCM-SHA256")
        self.assertIn("secp384r1", openssl(self.ports["old"], "-CAfile", self.ca.path))
        with self.connect("strict") as connection:
            self.assertEqual(connection.tls.version(), "TLSv1.3")
        with self.assertRaises(ssl.SSLError):
            self.connect("strict", version=V12)
        for old in ("-tls1", "-tls1_1"):
            self.assertIn("alert", openssl(self.ports["main"], old, "-cipher", "DEFAULT:@SECLEVEL=0", "-servername", "a.example"))

    # field: TlsParameters.compliance_policies
    def test_fips(self) -> None:
        def meets(*arguments: str) -> Optional[tuple[str, str]]:
            shown = openssl(self.ports["fips"], "-CAfile", self.ca.path, "-verify_return_error", *arguments)
            met = re.search(r"New, (TLSv1\.[23]), Cipher is (\S+)", shown)
            self.assertTrue(met or "alert" in shown, shown)
            return (met[1], met[2]) if met else None

        self.assertEqual(meets(), ("TLSv1.3", "TLS_AES_256_GCM_SHA384"))
        chacha, aes = "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"
        self.assertEqual(meets("-tls1_3", "-ciphersuites", "%s:%s" % (aes, chacha)), ("TLSv1.3", aes))
        # The library would take the client's first.
        self.assertEqual(meets("-ciphersuites", "%s:%s" % (chacha, aes), "-cipher", "ECDHE+CHACHA20:ECDHE-RSA-AES128-GCM-SHA256"),
                         ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"))
        self.assertIsNone(meets("-tls1_3", "-ciphersuites", chacha))
        for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"):
            self.assertEqual(meets("-tls1_2", "-cipher", cipher), ("TLSv1.2", cipher))
        for cipher in ("ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-CHACHA20-POLY1305", "AES128-GCM-SHA256"):
            self.assertIsNone(meets("-tls1_2", "-cipher", cipher))
        for version in ("-tls1_2", "-tls1_3"):
            self.assertIsNone(meets(version, "-groups", "X25519:P-521"))
            self.assertIsNotNone(meets(version, "-groups", "X25519:P-384"))
        self.assertIsNone(meets("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"))

    def test_require_sni(self) -> None:
        self.assertEqual(self.served(listener="sni"), self.ec.der)
        with self.assertRaises(ssl.SSLError):
            self.connect("sni", name=None)

    def test_what_upstreams_and_logs_are_told(self) -> None:
        with self.connect(name="www.b.example") as connection:
            account = json.loads(connection.request(path="/told", host="b.example").text)
        self.assertIn(["x-forwarded-proto", "https"], account["headers"])
        line = wait_line(self.log, "/told ")
        self.assertRegex(line, r"^/told TLSv1.3 TLS_[A-Z0-9_]+ www\.b\.example b CN=b\.example X25519$")
        self.assertGreaterEqual(self.weir.stat("http.ingress.downstream_cx_ssl_total"), 1)
        self.weir.wait_stat_is("http.ingress.downstream_cx_ssl_active", 0)

    def test_names_without_an_inspector(self) -> None:
        with self.connect("two", name="y.b.example") as connection:
            connection.request(path="/own", host="x")
        line = wait_line(self.log, "/own ")
        self.assertIn(" y.b.example two ", line)

    # field: VirtualHost.require_tls
    def test_redirect_to_https(self) -> None:
        response = fetch(self.ports["plain"], "/x?y", host="a.example")
        self.assertEqual((response.status, response.header("location")), (301, "https://a.example/x?y"))

    def test_tcp(self) -> None:
        with self.connect("tcp") as connection:
            self.assertEqual(connection.request(path="/tcp").status, 200)
            big = connection.request(headers=[("x-test-size", "3000000")])
            self.assertEqual(len(big.body), 3000000)

    def test_an_end_that_was_not_said(self) -> None:
        """TLS that is cut off, or whose peer is careless: a server behind tcp_proxy gets all of it, and no orderly end."""
        seen: list[tuple[bytes, str]] = []

        def take(connection: ServerConnection) -> None:
            got = b""
            try:
                while data := connection.sock.recv(1 << 16):
                    got += data
                seen.append((got, "end"))
            except ConnectionResetError:
                seen.append((got, "reset"))

        server = ScriptedUpstream(self.sandbox, take)
        port = self.sandbox.free_port()
        log = self.sandbox.path("ends.log")
        line = "%RESPONSE_FLAGS% %BYTES_RECEIVED% %UPSTREAM_LOCAL_CLOSE_REASON%\n"
        weir = Weir(self.sandbox, bootstrap([over_tls(tcp_listener(port, "server", access_log=[file_access_log(log, line)]),
                                                      server_tls(self.ec))], [cluster("server", server.port)]))
        for careless in (False, True):
            connection = TlsConnection(port, "a.example", client_context(self.ca))
            connection.tls.sendall(b"y" * 300000)
            if careless:
                connection.tls.shutdown(socket.SHUT_WR)  # FIN without close_notify
            else:
                connection.tls.unwrap()
            wait_until(lambda: len(seen) == 1 + careless, "the end")
            connection.close()
            self.assertEqual(len(seen[-1][0]), 300000)
            self.assertEqual(seen[-1][1], "reset" if careless else "end")
            weir.wait_stat_is("tcp.tcp.downstream_cx_truncated", int(careless))
        self.assertEqual(weir.stat("tcp.tcp.upstream_cx_truncated"), 0)
        self.assertEqual(wait_line(log, "DC"), "DC 300000 closing_upstream_tcp_connection_due_to_downstream_truncated_close")
        weir.wait_stat_is("cluster.server.upstream_cx_active", 0)

    def test_bodies_of_any_size(self) -> None:
        with self.connect() as connection:
            for size in (1, 16383, 16384, 16385, 1000000, 5000000):
                self.assertEqual(len(connection.request(headers=[("x-test-size", str(size))]).body), size)
                account = json.loads(connection.request("POST", body=b"z" * size).text)
                self.assertEqual(account["length"], size)

    def test_plain_text_on_a_tls_port(self) -> None:
        before = self.weir.stat("listener.127.0.0.1_%d.ssl.connection_error" % self.ports["strict"])
        with Connection(self.ports["strict"]) as connection:
            connection.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            connection.sock.settimeout(10)
            while connection.sock.recv(4096):
                pass
        self.weir.wait_stat("listener.127.0.0.1_%d.ssl.connection_error" % self.ports["strict"], before + 1)

    # field: FilterChain.transport_socket_connect_timeout
    def test_handshake_timeout(self) -> None:
        name = "listener.127.0.0.1_%d.downstream_cx_transport_socket_connect_timeout" % self.ports["slow"]
        before = self.weir.stat(name)
        with Connection(self.ports["slow"]) as connection:
            connection.send(b"\x16\x03\x01")
            self.assertTrue(connection.closed_within(10))
        self.weir.wait_stat(name, before + 1)
        with self.connect("slow") as connection:
            time.sleep(1.2)  # it is not about what comes behind the handshake
            self.assertEqual(connection.request().status, 200)

    def test_statistics(self) -> None:
        prefix = "listener.127.0.0.1_%d.ssl." % self.ports["main"]
        before = self.weir.stats()
        self.served()
        self.weir.wait_stat(prefix + "handshake", before.get(prefix + "handshake", 0) + 1)
        after = self.weir.stats()
        self.assertTrue(any(name.startswith(prefix + "ciphers.TLS_") for name in after))
        self.assertGreaterEqual(after[prefix + "versions.TLSv1.3"], 1)
        self.assertTrue(any(name.startswith(prefix + "curves.") for name in after))

    def test_hang_ups_in_the_middle(self) -> None:
        hello = client_hello()
        for part in range(1, 600, 23):
            connection = Connection(self.ports["main"])
            connection.send(hello[:part])
            (Connection.reset if part % 2 else Connection.close)(connection)
        self.weir.wait_stat_is("listener.127.0.0.1_%d.downstream_cx_active" % self.ports["main"], 0)


class SessionsTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        cls.own = cls.ca.issue("a.example")
        cls.keys = [cls.sandbox.path("ticket-%d" % i) for i in range(2)]
        for i, path in enumerate(cls.keys):
            with open(path, "wb") as file:
                file.write(bytes([i + 1]) * 80)
        cls.ports = {}
        shared = {"session_ticket_keys": {"keys": [{"filename": path} for path in cls.keys]}}
        listeners = []
        for name, fields in (("default", {}), ("shared", shared), ("stateful", {"disable_stateless_session_resumption": True}),
                             ("none", {"disable_stateless_session_resumption": True, "disable_stateful_session_resumption": True}),
                             ("short", {"session_timeout": "1s"})):
            cls.ports[name] = cls.sandbox.free_port()
            listeners.append(over_tls(http_listener(cls.ports[name], [direct({"prefix": "/"}, name)], name=name),
                                      server_tls(cls.own, **fields)))
        cls.weir = Weir(cls.sandbox, bootstrap(listeners), concurrency=1)
        cls.port_of_other = cls.sandbox.free_port()
        cls.other = Weir(cls.sandbox, bootstrap([over_tls(http_listener(cls.port_of_other, [direct({"prefix": "/"}, "other")]),
                                                          server_tls(cls.own, **shared))]))

    def session(self, port: int, version: ssl.TLSVersion) -> tuple[ssl.SSLContext, Any]:
        context = client_context(self.ca, version=version)
        with TlsConnection(port, "a.example", context) as connection:
            connection.request()
            return context, connection.tls.session

    def resumed(self, context: ssl.SSLContext, session: Any, port: int) -> bool:
        with TlsConnection(port, "a.example", context, session=session) as connection:
            self.assertEqual(connection.request().status, 200)
            return bool(connection.tls.session_reused)

    def test_resumption(self) -> None:
        for name, expected in (("default", True), ("shared", True), ("none", False)):
            for version in (V12, V13):
                port = self.ports[name]
                context, session = self.session(port, version)
                self.assertEqual(self.resumed(context, session, port), expected, (name, version))
        stat = "listener.127.0.0.1_%d.ssl.session_reused" % self.ports["default"]
        self.weir.wait_stat(stat, 2)

    # field: DownstreamTlsContext.disable_stateless_session_resumption, DownstreamTlsContext.disable_stateful_session_resumption
    def test_stateful(self) -> None:
        port = self.ports["stateful"]
        context, session = self.session(port, V12)
        self.assertFalse(session.has_ticket)
        self.assertTrue(self.resumed(context, session, port))
        context, session = self.session(self.ports["none"], V12)
        self.assertFalse(self.resumed(context, session, self.ports["none"]))

    def test_openssl_reconnects(self) -> None:
        path = self.sandbox.path("session")
        port = self.ports["default"]
        self.assertIn("New, TLSv1.3", openssl(port, "-tls1_3", "-sess_out", path, "-ign_eof",
                                              stdin="GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
        self.assertIn("Reused, TLSv1.3", openssl(port, "-tls1_3", "-sess_in", path))
        self.assertEqual(openssl(port, "-tls1_2", "-reconnect").count("Reused, TLSv1.2"), 5)

    # field: DownstreamTlsContext.session_ticket_keys, TlsSessionTicketKeys.keys
    def test_keys_shared_by_processes(self) -> None:
        for version in (V12, V13):
            context, session = self.session(self.ports["shared"], version)
            self.assertTrue(self.resumed(context, session, self.port_of_other))
            context, session = self.session(self.ports["default"], version)
            self.assertFalse(self.resumed(context, session, self.port_of_other))

    # field: DownstreamTlsContext.session_timeout
    def test_timeout(self) -> None:
        context, session = self.session(self.ports["short"], V12)
        time.sleep(2.1)
        self.assertFalse(self.resumed(context, session, self.ports["short"]))

    def test_over_a_reload(self) -> None:
        context, session = self.session(self.ports["default"], V13)
        with open(self.weir.config_path, "a", encoding="utf-8") as file:
            file.write("# another\n")
        self.weir.admin("/reload", "POST")
        self.assertTrue(self.resumed(context, session, self.ports["default"]))


class ManyHandshakesTest(WeirTestCase):
    def test_how_many_are_begun_at_once(self) -> None:
        """By default one with RSA in each turn of a lane; the others have to wait, which is counted."""
        port = self.sandbox.free_port()
        config = bootstrap([over_tls(http_listener(port, [direct({"prefix": "/"}, "ok")]),
                                     server_tls(Authority(self.sandbox).issue("a.example", key="rsa")))])
        config["layered_runtime"] = {"layers": [{"name": "admin", "admin_layer": {}}]}
        weir = Weir(self.sandbox, config, concurrency=1)
        counter = "listener.127.0.0.1_%d.ssl.handshake_deferred" % port

        def many() -> int:
            before = weir.stat(counter)
            sockets = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(30)]
            hellos = [client_hello() for _ in sockets]
            for sock, hello in zip(sockets, hellos):
                sock.sendall(hello)
            for sock in sockets:
                self.assertEqual(sock.recv(1), b"\x16")
                sock.close()
            return weir.stat(counter) - before

        self.assertGreater(many(), 0)
        weir.admin("/runtime_modify?overload.tls_handshakes_per_turn=1000", "POST")
        self.assertEqual(many(), 0)
        weir.admin("/runtime_modify?overload.tls_handshakes_per_turn=0", "POST")  # one, whatever it costs
        self.assertGreater(many(), 0)


class StaplingTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        cls.own = cls.ca.issue("a.example")
        now, hour = datetime.datetime.utcnow().replace(microsecond=0), datetime.timedelta(hours=1)
        cls.good_for = [(now - 2 * hour).isoformat() + "Z", (now + hour).isoformat() + "Z"]

        def response(until: Any, file: str) -> str:
            made = ocsp.OCSPResponseBuilder().add_response(
                cert=cls.own.certificate, issuer=cls.ca.certificate, algorithm=hashes.SHA1(), cert_status=ocsp.OCSPCertStatus.GOOD,
                this_update=now - 2 * hour, next_update=until, revocation_time=None, revocation_reason=None).responder_id(
                    ocsp.OCSPResponderEncoding.HASH, cls.ca.certificate).sign(cls.ca.key, hashes.SHA256())
            path = cls.sandbox.path(file)
            with open(path, "wb") as out:
                out.write(made.public_bytes(serialization.Encoding.DER))
            return path

        good, old = response(now + hour, "good.ocsp"), response(now - hour, "old.ocsp")
        cls.ports = {}
        listeners = []
        for name, staple, policy in (("good", good, "STRICT_STAPLING"), ("old", old, "LENIENT_STAPLING"),
                                     ("strict", old, "STRICT_STAPLING"), ("none", "", "LENIENT_STAPLING")):
            cls.ports[name] = cls.sandbox.free_port()
            one = {**certificate(cls.own), **({"ocsp_staple": {"filename": staple}} if staple else {})}
            listeners.append(over_tls(http_listener(cls.ports[name], [direct({"prefix": "/"}, name)], name=name), server_tls(
                common={"tls_certificates": [one]}, ocsp_staple_policy=policy)))
        cls.weir = Weir(cls.sandbox, bootstrap(listeners))

    def test_when_the_first_response_ends(self) -> None:
        gauge = "server.seconds_until_first_ocsp_response_expiring"
        self.assertEqual(self.weir.stat(gauge), 0)  # one has ended
        one = {**certificate(self.own), "ocsp_staple": {"filename": self.sandbox.path("good.ocsp")}}
        weir = Weir(self.sandbox, bootstrap([over_tls(http_listener(self.sandbox.free_port(), [direct({"prefix": "/"}, "ok")]), server_tls(
            common={"tls_certificates": [one]}))]))
        self.assertTrue(3000 < weir.stat(gauge) <= 3600)
        details = weir.admin_json("/certs")["certificates"][0]["cert_chain"][0]["ocsp_details"]
        self.assertEqual([details["valid_from"], details["expiration"]], self.good_for)

    # field: TlsCertificate.ocsp_staple, DownstreamTlsContext.ocsp_staple_policy
    def test_stapling(self) -> None:
        def status(name: str) -> str:
            return openssl(self.ports[name], "-status", "-CAfile", self.ca.path)

        self.assertIn("OCSP Response Status: successful", status("good"))
        for name in ("old", "none"):
            self.assertIn("OCSP response: no response sent", status(name))
        self.assertIn("alert", status("strict"))
        self.weir.wait_stat("listener.127.0.0.1_%d.ssl.ocsp_staple_responses" % self.ports["good"], 1)
        self.weir.wait_stat("listener.127.0.0.1_%d.ssl.ocsp_staple_failed" % self.ports["strict"], 1)


class BadConfigurationTest(WeirTestCase):
    """What is wrong with certificates is said at once, and where."""

    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        cls.own = cls.ca.issue("a.example")

    def refused(self, socket: dict[str, Any]) -> str:
        config = self.sandbox.write("bad.yaml", to_yaml(bootstrap([over_tls(
            http_listener(self.sandbox.free_port(), [direct({"prefix": "/"}, "ok")]), socket)])) + "\n")
        done = subprocess.run([weir_binary(), "-c", config, "--mode", "validate"], text=True, capture_output=True, timeout=20)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertNotIn("PRIVATE KEY", done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_errors(self) -> None:
        other = self.ca.issue("b.example")
        mixed = {"certificate_chain": {"filename": self.own.cert_path}, "private_key": {"filename": other.key_path}}
        text = self.refused(server_tls(common={"tls_certificates": [mixed]}))
        self.assertRegex(text, r"bad\.yaml:\d+:\d+: error: listeners\[0\]\S*tls_certificates\[0\]\.private_key: " + other.key_path)
        self.assertIn("must not be empty", self.refused(server_tls()))
        # What an unknown secret would have brought is not missed beside it.
        text = self.refused(server_tls(self.own, common={"combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "a"}}]},
            "validation_context_sds_secret_config": {"name": "trust", "sds_config": {"ads": {}}}}}))
        self.assertIn("sds_config.ads: not supported by weir; path_config_source is", text)
        self.assertNotIn("trusted_ca", text)
        self.assertRegex(self.refused(server_tls(self.own, common={"tls_params": {
            "cipher_suites": ["ECDHE-RSA-AES128-GCM-SHA265"]}})), r"tls_params\.cipher_suites\S*: .*ECDHE-RSA-AES128-GCM-SHA265")
        self.assertRegex(self.refused(server_tls(common={"tls_certificate_sds_secret_configs": [{"name": "x"}]})),
                         r"sds_secret_configs\[0\]\.name: .*x.*secret")
        upstream = server_tls(self.own)
        upstream["typed_config"]["@type"] = upstream["typed_config"]["@type"].replace("Downstream", "Upstream")
        self.assertIn("DownstreamTlsContext", self.refused(upstream))
        self.assertRegex(self.refused({"name": "x", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tap.v3.Tap"}}), "no transport socket of this build")


if __name__ == "__main__":
    main()
