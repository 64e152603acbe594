"""Certificates of clients: who is let in, what upstreams, routes and logs are told of them; and the log of connections."""

import base64
import hashlib
import json
import re
import ssl
import urllib.parse
from typing import Any, Optional

from cryptography.hazmat.primitives import serialization

from harness import (Connection, EchoUpstream, Weir, WeirTestCase, bootstrap, cluster, direct, file_access_log, http_listener,
                     main, over_tls, route, wait_line, wait_until)
from harness.config import TLS_INSPECTOR, server_tls, trusts
from harness.tls import V12, V13, Authority, Identity, TlsConnection, client_context, write_atomically


def bundles_of(domains: dict[str, Authority]) -> str:
    """A map of SPIFFE trust bundles."""
    def key(ca: Authority) -> dict[str, Any]:
        der = ca.certificate.public_bytes(serialization.Encoding.DER)
        return {"kty": "EC", "use": "x509-svid", "x5c": [base64.b64encode(der).decode()]}
    return json.dumps({"trust_domains": {name: {"keys": [key(ca)]} for name, ca in domains.items()}})


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
        # Of one client alone: its certificate, and its key.
        spki = hashlib.sha256(cls.client.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).digest()
        cls.key_log = cls.sandbox.path("keys.log")
        together = cls.sandbox.write("together.pem", cls.ca.pem + open(crl, encoding="ascii").read())
        for name, context in (("pin", {"verify_certificate_hash": [cls.client.fingerprint]}),
                              ("pin-spki", {"verify_certificate_spki": [base64.b64encode(spki).decode()]}),
                              ("expired", {"allow_expired_certificate": True}), ("depth", {"max_verify_depth": 1}),
                              ("together", {"trusted_ca": {"filename": together}})):
            add(name, server_tls(cls.server, require_client_certificate=True, common={
                **trusts(cls.ca, **context), "key_log": {"path": cls.key_log}}))

        def spiffe(**config: Any) -> dict[str, Any]:
            return server_tls(cls.server, require_client_certificate=True, common={"validation_context": {"custom_validator_config": {
                "name": "spiffe", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig", **config}}}})

        # Each authority is good for its own domain alone.
        domains = {"weir": cls.ca, "strange": cls.stranger}
        add("spiffe", spiffe(trust_domains=[{"name": name, "trust_bundle": {"filename": ca.path}} for name, ca in domains.items()]))
        cls.bundles = cls.sandbox.write("bundles.json", bundles_of(domains))
        add("spiffe-bundles", spiffe(trust_domains=[{"name": "none"}], trust_bundles={"filename": cls.bundles}))
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

    # field: CertificateValidationContext.verify_certificate_hash, CertificateValidationContext.verify_certificate_spki
    # field: CertificateValidationContext.allow_expired_certificate, CertificateValidationContext.max_verify_depth
    # field: CertificateValidationContext.trusted_ca, CommonTlsContext.key_log, TlsKeyLog.path
    def test_who_is_let_in(self) -> None:
        another = self.ca.issue("another", client=True)
        old = self.ca.issue("old", client=True, starts=-20, days=-10)
        below = Authority(self.sandbox, "below", self.ca).issue("below", client=True)
        for listener, good, bad in (("pin", [self.client], [another, self.foreign]), ("pin-spki", [self.client], [another]),
                                    ("expired", [old, another], [self.foreign]), ("required", [], [old]),
                                    ("depth", [another], [below]),
                                    ("together", [another], [self.revoked])):
            for own in good:
                self.assertEqual(self.ask(listener, own, version=V12).status, 200, listener)
            for own in bad:
                with self.assertRaises(OSError, msg=listener):
                    self.ask(listener, own, version=V12)
        self.assertEqual(self.ask("always", below).status, 200)  # which asks nobody
        self.assertEqual(self.ask("pin", self.client, version=V13).status, 200)
        with open(self.key_log, encoding="ascii") as file:
            labels = {line.split()[0] for line in file}
        self.assertLessEqual({"CLIENT_RANDOM", "CLIENT_TRAFFIC_SECRET_0"}, labels)

    # field: CertificateValidationContext.custom_validator_config, SPIFFECertValidatorConfig.trust_domains
    # field: SPIFFECertValidatorConfig.trust_bundles, SPIFFECertValidatorConfig.TrustDomain.trust_bundle
    def test_spiffe(self) -> None:
        strange = self.stranger.issue("s", "URI:spiffe://strange/x", client=True)
        nowhere = self.ca.issue("n", "URI:spiffe://nowhere/x", client=True)
        two = self.ca.issue("t", "URI:spiffe://weir/x", "URI:spiffe://weir/y", client=True)
        for listener in ("spiffe", "spiffe-bundles"):
            with self.subTest(listener):
                for good in (self.client, strange):
                    self.assertEqual(self.ask(listener, good, version=V12).status, 200)
                for bad in (self.foreign, nowhere, two, self.revoked, None):
                    with self.assertRaises(OSError):
                        self.ask(listener, bad, version=V12)
        # A domain that is new is known when the file is there.
        write_atomically(self.bundles, bundles_of({"weir": self.ca, "strange": self.stranger, "nowhere": self.ca}))
        wait_until(lambda: self.lets_in("spiffe-bundles", nowhere), "the new domain")
        reloads = self.weir.stat("server.config_reload_failure")
        write_atomically(self.bundles, "{}")
        self.weir.wait_stat("server.config_reload_failure", reloads + 1)
        self.assertTrue(self.lets_in("spiffe-bundles", nowhere))
        write_atomically(self.bundles, bundles_of({"weir": self.ca, "strange": self.stranger}))
        wait_until(lambda: not self.lets_in("spiffe-bundles", nowhere), "the domain is gone")

    def lets_in(self, listener: str, own: Identity) -> bool:
        try:
            return bool(self.ask(listener, own, version=V12).status == 200)
        except OSError:
            return False

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
        line = wait_line(self.log, "/logged|")
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
                               transport_socket_connect_timeout="1s"), **log}
        chosen = {**http_listener(cls.chosen, [direct({"prefix": "/"}, "ok")], name="chosen"), **log, "listener_filters": [TLS_INSPECTOR]}
        chosen["filter_chains"][0].update({"name": "b", "filter_chain_match": {"server_names": ["b.example"]}})
        cls.weir = Weir(cls.sandbox, bootstrap([listener, chosen]))

    # field: Listener.access_log
    def test_lines(self) -> None:
        with TlsConnection(self.port, "a.example", client_context(self.ca, self.client)) as connection:
            connection.request()
        wait_line(self.log, pattern=r"^%d\|secure\|a\.example\|TLSv1\.3\|CN=client\|-\|-\|[1-9]\d*\|-$" % self.port)
        with self.assertRaises(OSError):
            TlsConnection(self.port, "a.example", client_context(self.ca, version=V12))
        wait_line(self.log, pattern=r"^%d\|secure\|a\.example\|-\|-\|-\|-\|\d+\|TLS_error:.*PEER_DID_NOT_RETURN_A_CERTIFICATE" % self.port)
        with Connection(self.port) as plain:
            plain.send(b"GET / HTTP/1.1\r\n\r\n")
            wait_line(self.log, pattern=r"^%d\|secure\|-\|[^|]*\|-\|-\|-\|\d+\|TLS_error:.*HTTP_REQUEST" % self.port)
        with Connection(self.port) as silent:
            self.assertTrue(silent.closed_within(10))
        wait_line(self.log, pattern=r"\|transport socket timeout was reached\|-\|0\|transport socket timeout was reached$")
        with self.assertRaises(OSError):
            TlsConnection(self.chosen, "c.example")
        wait_line(self.log, pattern=r"^%d\|-\|c\.example\|-\|-\|filter_chain_not_found\|NR\|\d+\|-$" % self.chosen)


if __name__ == "__main__":
    main()
