"""TLS towards clients: Python's ssl (OpenSSL), openssl s_client and curl against listeners with certificates."""

import datetime
import json
import os
import re
import ssl
import subprocess
import threading
import time
import urllib.parse
from typing import Any, Optional
from xml.etree import ElementTree

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log,
                     http_listener, main, route, tcp_listener, to_yaml, wait_until, weir_binary)
from harness.config import certificate, server_tls, trusts
from harness.tls import Authority, Identity, TlsConnection, client_context, write_atomically

INSPECTOR = {"name": "tls_inspector", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def over_tls(listener: dict[str, Any], socket: dict[str, Any], **chain: Any) -> dict[str, Any]:
    """The listener, its first chain with this transport socket."""
    listener["filter_chains"][0].update({"transport_socket": socket, **chain})
    return listener


def openssl(port: int, *arguments: str, stdin: str = "") -> str:
    """What openssl s_client prints."""
    done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, *arguments], input=stdin.encode(),
                          capture_output=True, timeout=30)
    return (done.stdout + done.stderr).decode(errors="replace")  # frames, too


def log_lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


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
        names = ("main", "old", "strict", "two", "sni", "tcp", "slow", "plain")
        cls.ports = {name: cls.sandbox.free_port() for name in names}
        line = "%REQ(:PATH)% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %REQUESTED_SERVER_NAME% %FILTER_CHAIN_NAME% " \
               "%DOWNSTREAM_LOCAL_SUBJECT% %DOWNSTREAM_TLS_GROUP%\n"

        def http(name: str) -> dict[str, Any]:
            made = http_listener(cls.ports[name], [route({"prefix": "/"}, "echo")], name=name,
                                 access_log=[file_access_log(cls.log, line)])
            made["filter_chains"][0]["name"] = name
            return made

        several = http("main")
        several["listener_filters"] = [INSPECTOR]
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
            # Names choose among the certificates of one context, without an inspector.
            over_tls(http("two"), server_tls(cls.other, cls.b)),
            over_tls(http("sni"), server_tls(cls.ec, require_sni=True)),
            over_tls(tcp_listener(cls.ports["tcp"], "echo", name="tcp"), server_tls(cls.ec)),
            over_tls(http("slow"), server_tls(cls.ec), transport_socket_connect_timeout="0.3s"),
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

    def test_require_sni(self) -> None:
        self.assertEqual(self.served(listener="sni"), self.ec.der)
        with self.assertRaises(ssl.SSLError):
            self.connect("sni", name=None)

    def test_what_upstreams_and_logs_are_told(self) -> None:
        with self.connect(name="www.b.example") as connection:
            account = json.loads(connection.request(path="/told", host="b.example").text)
        self.assertIn(["x-forwarded-proto", "https"], account["headers"])
        line = wait_until(lambda: next((one for one in log_lines(self.log) if one.startswith("/told ")), None), "the line")
        self.assertRegex(line, r"^/told TLSv1.3 TLS_[A-Z0-9_]+ www\.b\.example b CN=b\.example X25519$")
        self.assertGreaterEqual(self.weir.stat("http.ingress.downstream_cx_ssl_total"), 1)
        self.weir.wait_stat_is("http.ingress.downstream_cx_ssl_active", 0)

    def test_names_without_an_inspector(self) -> None:
        with self.connect("two", name="y.b.example") as connection:
            connection.request(path="/own", host="x")
        line = wait_until(lambda: next((one for one in log_lines(self.log) if one.startswith("/own ")), None), "the line")
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
            self.assertTrue(connection.closed_within(5))
        self.weir.wait_stat(name, before + 1)
        with self.connect("slow") as connection:
            time.sleep(0.5)  # it is not about what comes behind the handshake
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
        context = client_context()
        for part in range(1, 600, 23):
            connection = Connection(self.ports["main"])
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = context.wrap_bio(incoming, outgoing, server_hostname="a.example")
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                pass
            connection.send(outgoing.read()[:part])
            (Connection.reset if part % 2 else Connection.close)(connection)
        self.weir.wait_stat_is("listener.127.0.0.1_%d.downstream_cx_active" % self.ports["main"], 0)


class ClientCertificatesTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca, cls.stranger = Authority(cls.sandbox), Authority(cls.sandbox, "Stranger")
        cls.server = cls.ca.issue("a.example", "DNS:a.example", "URI:spiffe://weir/server")
        cls.client = cls.ca.issue("client", "DNS:c.example", "URI:spiffe://weir/client", client=True, organization="Weir")
        cls.revoked = cls.ca.issue("revoked", client=True)
        cls.foreign = cls.stranger.issue("client", "URI:spiffe://weir/client", client=True)
        crl = cls.ca.revocation_list(cls.revoked)
        cls.echo = EchoUpstream(cls.sandbox)
        cls.log = cls.sandbox.path("access.log")
        line = "%REQ(:PATH)%|" + "|".join("%%DOWNSTREAM_PEER_%s%%" % name for name in (
            "SUBJECT", "ISSUER", "SERIAL", "FINGERPRINT_256", "URI_SAN", "DNS_SAN", "CERT_V_END(%s)")) + "\n"
        cls.ports = {}
        listeners = []

        def add(name: str, tls: dict[str, Any], routes: Optional[list] = None, **hcm: Any) -> None:
            cls.ports[name] = cls.sandbox.free_port()
            listeners.append(over_tls(http_listener(
                cls.ports[name], routes or [route({"prefix": "/"}, "echo")], name=name,
                access_log=[file_access_log(cls.log, line)], **hcm), tls))

        wanted = {"common": trusts(cls.ca, crl={"filename": crl})}
        required = {**wanted, "require_client_certificate": True}
        everything = {"subject": True, "cert": True, "chain": True, "uri": True, "dns": True}
        add("required", server_tls(cls.server, **required), forward_client_cert_details="SANITIZE_SET",
            set_current_client_cert_details=everything)
        add("optional", server_tls(cls.server, **wanted), forward_client_cert_details="APPEND_FORWARD",
            set_current_client_cert_details={"uri": True})
        add("default", server_tls(cls.server, **wanted))
        add("forward", server_tls(cls.server, **wanted), forward_client_cert_details="FORWARD_ONLY")
        add("always", server_tls(cls.server), forward_client_cert_details="ALWAYS_FORWARD_ONLY")
        add("names", server_tls(cls.server, require_client_certificate=True, common=trusts(cls.ca, match_typed_subject_alt_names=[
            {"san_type": "URI", "matcher": {"prefix": "spiffe://other/"}}])))
        add("untrusted", server_tls(cls.server, require_client_certificate=True, common=trusts(
            cls.ca, trust_chain_verification="ACCEPT_UNTRUSTED")), [
                direct({"prefix": "/", "tls_context": {"validated": True}}, "validated"),
                direct({"prefix": "/", "tls_context": {"presented": True}}, "presented"), direct({"prefix": "/"}, "none")])
        add("routes", server_tls(cls.server, **wanted), [
            direct({"prefix": "/", "tls_context": {"presented": True, "validated": True}}, "validated"),
            direct({"prefix": "/", "tls_context": {"presented": False}}, "anonymous")])
        principals = [{"authenticated": {"principal_name": {"exact": "spiffe://weir/client"}}}]
        add("rbac", server_tls(cls.server, **wanted), http_filters=[{"name": "rbac", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"policies": {"client": {"permissions": [{"any": True}], "principals": principals}}}}}])
        cls.weir = Weir(cls.sandbox, bootstrap(listeners, [cluster("echo", cls.echo.port)]))

    def ask(self, listener: str, own: Optional[Identity], path: str = "/", version: Optional[ssl.TLSVersion] = None,
            headers: list[tuple[str, str]] = []) -> Any:
        context = client_context(self.ca, own, version=version)
        with TlsConnection(self.ports[listener], "a.example", context) as connection:
            return connection.request(path=path, headers=headers)

    def told(self, listener: str, own: Optional[Identity], *sent: str) -> Optional[str]:
        """x-forwarded-client-cert as the upstream sees it."""
        response = self.ask(listener, own, headers=[("x-forwarded-client-cert", one) for one in sent])
        return ",".join(value for name, value in json.loads(response.text)["headers"] if name == "x-forwarded-client-cert") or None

    # field: DownstreamTlsContext.require_client_certificate
    def test_required(self) -> None:
        prefix = "listener.127.0.0.1_%d.ssl." % self.ports["required"]
        before = self.weir.stats()
        for version in (V12, V13):
            self.assertEqual(self.ask("required", self.client, version=version).status, 200)
            for bad in (None, self.foreign, self.revoked):
                with self.assertRaises(OSError):
                    self.ask("required", bad, version=version)
        for name, count in (("fail_verify_no_cert", 2), ("fail_verify_error", 4), ("handshake", 2)):
            self.weir.wait_stat(prefix + name, before.get(prefix + name, 0) + count)

    def test_optional(self) -> None:
        self.assertEqual(self.ask("optional", self.client).status, 200)
        self.assertEqual(self.ask("optional", None).status, 200)
        with self.assertRaises(OSError):
            self.ask("optional", self.foreign, version=V12)

    def test_names(self) -> None:
        with self.assertRaises(OSError):
            self.ask("names", self.client, version=V12)
        self.weir.wait_stat("listener.127.0.0.1_%d.ssl.fail_verify_san" % self.ports["names"], 1)

    # field: RouteMatch.tls_context, TlsContextMatchOptions.presented, TlsContextMatchOptions.validated
    def test_routes_by_certificate(self) -> None:
        self.assertEqual(self.ask("routes", self.client).text, "validated")
        self.assertEqual(self.ask("routes", None).text, "anonymous")
        self.assertEqual(self.ask("untrusted", self.client).text, "validated")
        self.assertEqual(self.ask("untrusted", self.foreign).text, "presented")

    # field: HttpConnectionManager.forward_client_cert_details, HttpConnectionManager.set_current_client_cert_details
    def test_forwarded(self) -> None:
        own = "By=spiffe://weir/server;Hash=%s" % self.client.fingerprint
        whole = self.told("required", self.client, "Hash=forged") or ""
        self.assertTrue(whole.startswith(own + ';Cert="'), whole)
        self.assertTrue(whole.endswith(';Subject="CN=client,O=Weir";URI=spiffe://weir/client;DNS=c.example'), whole)
        self.assertEqual(urllib.parse.unquote(re.search('Cert="([^"]*)"', whole).group(1)), self.client.pem)  # type: ignore[union-attr]
        self.assertIn('Chain="', whole)
        self.assertEqual(self.told("optional", self.client, "Hash=1", "Hash=2"), "Hash=1,Hash=2,%s;URI=spiffe://weir/client" % own)
        self.assertIsNone(self.told("optional", None, "Hash=forged"))
        self.assertIsNone(self.told("default", self.client, "Hash=forged"))
        self.assertEqual(self.told("forward", self.client, "Hash=1"), "Hash=1")
        self.assertIsNone(self.told("forward", None, "Hash=1"))
        self.assertEqual(self.told("always", None, "Hash=1"), "Hash=1")

    def test_authenticated(self) -> None:
        self.assertEqual(self.ask("rbac", self.client).status, 200)
        self.assertEqual(self.ask("rbac", None).status, 403)
        self.assertEqual(self.ask("rbac", self.ca.issue("x", "URI:spiffe://weir/other", client=True)).status, 403)

    def test_logged(self) -> None:
        self.ask("required", self.client, "/logged")
        line = wait_until(lambda: next((one for one in log_lines(self.log) if one.startswith("/logged|")), None), "the line")
        end = self.client.certificate.not_valid_after
        self.assertEqual(line.split("|")[1:], [
            "CN=client,O=Weir", "CN=Test CA", self.client.serial_hex, self.client.fingerprint, "spiffe://weir/client", "c.example",
            str(int((end - end.__class__(1970, 1, 1)).total_seconds()))])


class ListenerLogTest(WeirTestCase):
    """A line for each connection, also for those that no filter has heard of."""

    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        cls.own, cls.client = cls.ca.issue("a.example"), cls.ca.issue("client", client=True)
        cls.log = cls.sandbox.path("connections.log")
        cls.port, cls.chosen = cls.sandbox.free_port(), cls.sandbox.free_port()
        line = ("%DOWNSTREAM_LOCAL_PORT%|%FILTER_CHAIN_NAME%|%REQUESTED_SERVER_NAME%|%DOWNSTREAM_TLS_VERSION%|%DOWNSTREAM_PEER_SUBJECT%|"
                "%CONNECTION_TERMINATION_DETAILS%|%RESPONSE_FLAGS%|%BYTES_RECEIVED%|%DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n")
        log = {"access_log": [file_access_log(cls.log, line)]}
        secure = server_tls(cls.own, require_client_certificate=True, common=trusts(cls.ca))
        listener = {**over_tls(http_listener(cls.port, [direct({"prefix": "/"}, "ok")]), secure, name="secure",
                               transport_socket_connect_timeout="0.4s"), **log}
        chosen = {**http_listener(cls.chosen, [direct({"prefix": "/"}, "ok")], name="chosen"), **log, "listener_filters": [INSPECTOR]}
        chosen["filter_chains"][0].update({"name": "b", "filter_chain_match": {"server_names": ["b.example"]}})
        cls.weir = Weir(cls.sandbox, bootstrap([listener, chosen]))

    def wait_line(self, pattern: str) -> None:
        wait_until(lambda: any(re.search(pattern, line) for line in log_lines(self.log)), pattern + " in " + self.log)

    # field: Listener.access_log
    def test_lines(self) -> None:
        with TlsConnection(self.port, "a.example", client_context(self.ca, self.client)) as connection:
            connection.request()
        self.wait_line(r"^%d\|secure\|a\.example\|TLSv1\.3\|CN=client\|-\|-\|[1-9]\d*\|-$" % self.port)
        with self.assertRaises(OSError):
            TlsConnection(self.port, "a.example", client_context(self.ca, version=V12))
        self.wait_line(r"^%d\|secure\|a\.example\|-\|-\|-\|-\|\d+\|TLS_error:.*PEER_DID_NOT_RETURN_A_CERTIFICATE" % self.port)
        with Connection(self.port) as plain:
            plain.send(b"GET / HTTP/1.1\r\n\r\n")
            self.wait_line(r"^%d\|secure\|-\|[^|]*\|-\|-\|-\|\d+\|TLS_error:.*HTTP_REQUEST" % self.port)
        with Connection(self.port) as silent:
            self.assertTrue(silent.closed_within(5))
        self.wait_line(r"\|transport socket timeout was reached\|-\|0\|transport socket timeout was reached$")
        with self.assertRaises(OSError):
            TlsConnection(self.chosen, "c.example")
        self.wait_line(r"^%d\|-\|c\.example\|-\|-\|filter_chain_not_found\|NR\|\d+\|-$" % self.chosen)


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


class StaplingTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        cls.own = cls.ca.issue("a.example")
        now, hour = datetime.datetime.utcnow(), datetime.timedelta(hours=1)

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


class RotationTest(WeirTestCase):
    """Certificates that change while requests run."""

    def set_up_each(self, socket: dict[str, Any], secrets: list = []) -> None:
        self.port = self.sandbox.free_port()
        config = bootstrap([over_tls(http_listener(self.port, [direct({"prefix": "/"}, "ok")]), socket)])
        if secrets:
            config["static_resources"]["secrets"] = secrets
        self.weir = Weir(self.sandbox, config)

    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)

    def issue(self) -> Identity:
        return self.ca.issue("a.example")

    def shown(self) -> bytes:
        with TlsConnection(self.port, "a.example", client_context(self.ca)) as connection:
            self.assertEqual(connection.request().text, "ok")
            return connection.peer

    def wait_shown(self, identity: Identity) -> None:
        wait_until(lambda: self.shown() == identity.der, "the new certificate is shown")

    def put(self, folder: str, identity: Identity) -> dict[str, Any]:
        """The identity in files of this folder, replaced one after the other."""
        os.makedirs(folder, exist_ok=True)
        write_atomically(os.path.join(folder, "tls.crt"), identity.pem)
        write_atomically(os.path.join(folder, "tls.key"), identity.key_pem)
        return {"certificate_chain": {"filename": os.path.join(folder, "tls.crt")},
                "private_key": {"filename": os.path.join(folder, "tls.key")}}

    def test_under_load(self) -> None:
        folder = self.sandbox.path("load")
        first, second = self.issue(), self.issue()
        self.set_up_each(server_tls(common={"tls_certificates": [self.put(folder, first)]}))
        held = TlsConnection(self.port, "a.example", client_context(self.ca))
        held.request()
        stop = threading.Event()
        failures: list[str] = []
        seen: list[bytes] = []

        def load() -> None:
            context = client_context(self.ca)
            while not stop.is_set():
                try:
                    with TlsConnection(self.port, "a.example", context) as connection:
                        for _ in range(5):
                            if connection.request().status != 200:
                                failures.append("status")
                        seen.append(connection.peer)
                except Exception as problem:  # noqa: BLE001
                    failures.append(repr(problem))

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: first.der in seen, "load")
        self.put(folder, second)
        wait_until(lambda: second.der in seen, "the new certificate is served")
        time.sleep(0.3)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(set(seen[-3:]), {second.der})
        self.assertEqual(held.request().status, 200)  # nobody was cut off
        self.assertGreaterEqual(self.weir.stat("listener.127.0.0.1_%d.server_ssl_socket_factory.ssl_context_update_by_sds" % self.port), 1)
        self.assertEqual(held.peer, first.der)
        held.close()

    def test_broken_ones_change_nothing(self) -> None:
        folder = self.sandbox.path("broken")
        first, second, third = self.issue(), self.issue(), self.issue()
        self.set_up_each(server_tls(common={"tls_certificates": [self.put(folder, first)]}))
        failed = self.weir.stat("server.config_reload_failure")
        write_atomically(os.path.join(folder, "tls.crt"), second.pem)  # the key is the old one's
        self.weir.wait_stat("server.config_reload_failure", failed + 1)
        self.assertEqual(self.shown(), first.der)
        log = self.weir.process.log()
        self.assertRegex(log, r"tls_certificates\[0\]\.private_key: \S*tls\.key.*; what was in use goes on")
        self.assertNotIn("PRIVATE KEY", log)
        # Another broken one is another story; the same one again is told once.
        write_atomically(os.path.join(folder, "tls.crt"), "junk")
        self.weir.wait_stat("server.config_reload_failure", failed + 2)
        write_atomically(os.path.join(folder, "unrelated"), "x")
        time.sleep(0.5)
        self.assertEqual(self.weir.stat("server.config_reload_failure"), failed + 2)
        self.assertEqual(self.shown(), first.der)
        self.put(folder, third)
        self.wait_shown(third)

    def test_one_broken_one_does_not_hold_up_the_others(self) -> None:
        folders = [self.sandbox.path("one"), self.sandbox.path("two")]
        old = [self.issue(), self.issue()]
        self.port, other = self.sandbox.free_port(), self.sandbox.free_port()
        listeners = [over_tls(http_listener(port, [direct({"prefix": "/"}, "ok")], name=folder), server_tls(
            common={"tls_certificates": [self.put(folder, identity)]}))
            for port, folder, identity in zip((other, self.port), folders, old)]
        self.weir = Weir(self.sandbox, bootstrap(listeners))
        write_atomically(os.path.join(folders[0], "tls.key"), "junk")
        self.weir.wait_stat("server.config_reload_failure", 1)
        new = self.issue()
        self.put(folders[1], new)
        self.wait_shown(new)
        self.port = other
        self.assertEqual(self.shown(), old[0].der)
        # A reload that somebody asks for is refused as a whole, and says why.
        with self.assertRaises(Exception):
            self.weir.admin("/reload", "POST")

    # field: TlsCertificate.watched_directory
    def test_directory_links(self) -> None:
        first, second = self.issue(), self.issue()
        for version, identity in (("v1", first), ("v2", second)):
            self.put(self.sandbox.path("mount/" + version), identity)
        os.symlink("v1", self.sandbox.path("mount/live"))
        folder = self.sandbox.path("mount/live")
        self.set_up_each(server_tls(common={"tls_certificates": [{
            "certificate_chain": {"filename": folder + "/tls.crt"}, "private_key": {"filename": folder + "/tls.key"},
            "watched_directory": {"path": self.sandbox.path("mount")}}]}))
        self.assertEqual(self.shown(), first.der)
        os.symlink("v2", self.sandbox.path("mount/next"))
        os.rename(self.sandbox.path("mount/next"), folder)
        self.wait_shown(second)

    def test_links_are_followed_unasked(self) -> None:
        first, second = self.issue(), self.issue()
        for version, identity in (("v1", first), ("v2", second)):
            self.put(self.sandbox.path("own/" + version), identity)
        os.symlink("v1", self.sandbox.path("own/..data"))
        for name in ("tls.crt", "tls.key"):  # as mounted secrets have it
            os.symlink("..data/" + name, self.sandbox.path("own/" + name))
        folder = self.sandbox.path("own")
        self.set_up_each(server_tls(common={"tls_certificates": [{
            "certificate_chain": {"filename": folder + "/tls.crt"}, "private_key": {"filename": folder + "/tls.key"}}]}))
        self.assertEqual(self.shown(), first.der)
        os.symlink("v2", self.sandbox.path("own/..next"))
        os.rename(self.sandbox.path("own/..next"), self.sandbox.path("own/..data"))
        self.wait_shown(second)

    # field: Bootstrap.StaticResources.secrets, Secret.tls_certificate, CommonTlsContext.tls_certificate_sds_secret_configs
    def test_named_secret(self) -> None:
        folder = self.sandbox.path("named")
        first, second = self.issue(), self.issue()
        secret = {"name": "own", "tls_certificate": self.put(folder, first)}
        self.set_up_each(server_tls(common={"tls_certificate_sds_secret_configs": [{"name": "own"}]}), [secret])
        self.assertEqual(self.shown(), first.der)
        self.put(folder, second)
        self.wait_shown(second)
        dump = self.weir.admin("/config_dump")
        self.assertIn('"own"', dump)
        self.assertNotIn("PRIVATE KEY", dump)

    # field: SdsSecretConfig.sds_config, PathConfigSource.path
    def test_sds_file(self) -> None:
        first, second = self.issue(), self.issue()

        def sds(identity: Identity) -> str:
            return json.dumps({"resources": [{
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name": "own",
                "tls_certificate": {"certificate_chain": {"inline_string": identity.pem},
                                    "private_key": {"inline_string": identity.key_pem}}}]})

        path = self.sandbox.write("sds/own.json", sds(first))
        self.set_up_each(server_tls(common={"tls_certificate_sds_secret_configs": [
            {"name": "own", "sds_config": {"path_config_source": {"path": path}}}]}))
        self.assertEqual(self.shown(), first.der)
        failed = self.weir.stat("server.config_reload_failure")
        write_atomically(path, "{")
        self.weir.wait_stat("server.config_reload_failure", failed + 1)
        self.assertEqual(self.shown(), first.der)
        write_atomically(path, sds(second))
        self.wait_shown(second)
        self.assertNotIn("PRIVATE KEY", self.weir.process.log())

    # field: DataSource.environment_variable, DataSource.inline_string
    def test_inline_and_environment(self) -> None:
        own = self.issue()
        os.environ["WEIR_TEST_KEY"] = own.key_pem
        try:
            self.set_up_each(server_tls(common={"tls_certificates": [{
                "certificate_chain": {"inline_string": own.pem}, "private_key": {"environment_variable": "WEIR_TEST_KEY"}}]}))
        finally:
            del os.environ["WEIR_TEST_KEY"]
        self.assertEqual(self.shown(), own.der)
        dump = self.weir.admin("/config_dump")
        self.assertNotIn("PRIVATE KEY", dump)

    def test_certs_page(self) -> None:
        folder = self.sandbox.path("page")
        first, second = self.ca.issue("a.example", "DNS:a.example", "URI:spiffe://x", "IP:10.0.0.1", days=30), self.issue()
        self.set_up_each(server_tls(common={"tls_certificates": [self.put(folder, first)], **trusts(self.ca)}))
        (entry,) = self.weir.admin_json("/certs")["certificates"]
        (ca,), (chain,) = entry["ca_cert"], entry["cert_chain"]
        self.assertEqual(ca["path"], self.ca.path)
        self.assertEqual(chain["path"], folder + "/tls.crt")
        self.assertEqual(chain["serial_number"], first.serial_hex)
        self.assertEqual(chain["subject_alt_names"], [{"dns": "a.example"}, {"uri": "spiffe://x"}, {"ip_address": "10.0.0.1"}])
        self.assertIn(int(chain["days_until_expiration"]), (29, 30))
        self.assertEqual(chain["expiration_time"], first.certificate.not_valid_after.strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.put(folder, second)
        self.wait_shown(second)
        (entry,) = self.weir.admin_json("/certs")["certificates"]
        self.assertEqual(entry["cert_chain"][0]["serial_number"], second.serial_hex)

    def test_a_listener_that_goes_takes_its_context_along(self) -> None:
        folder = self.sandbox.path("gone")
        self.set_up_each(server_tls(common={"tls_certificates": [self.put(folder, self.issue())]}))
        held = TlsConnection(self.port, "a.example", client_context(self.ca))
        held.request()
        write_atomically(self.weir.config_path, json.dumps({"admin": {"address": {"socket_address": {
            "address": "127.0.0.1", "port_value": 0}}}, "static_resources": {}}))
        self.weir.admin("/reload", "POST")
        wait_until(lambda: self.weir.admin_json("/certs")["certificates"] == [], "no certificates")
        self.assertEqual(held.request().text, "ok")
        held.close()


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
