"""tls_inspector: connections are told apart by what a TLS client says first, and served by whom it means, with no
certificate on weir."""

import collections
import struct
import time
from typing import Any

from harness import (Connection, Nginx, Weir, WeirTestCase, bootstrap, cluster, direct, fetch, file_access_log, http_listener,
                     main, over_tls, read_lines, tcp_listener, to_yaml, wait_line, wait_until)
from harness.config import server_tls
from harness.tls import Authority, TlsConnection, TlsEchoUpstream, client_context, client_hello, server_context

TYPE = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
SNI_CLUSTER = {"name": "sni_cluster", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.sni_cluster.v3.SniCluster"}}
WHY = "%METADATA(LISTENER_FILTER:envoy.filters.listener.tls_inspector:failure_reason)%"


def inspector(**config: Any) -> dict[str, Any]:
    return {"name": "tls_inspector", "typed_config": {"@type": TYPE, **config}}


def in_records(message: bytes, size: int) -> bytes:
    """The same message, cut into records of `size` bytes."""
    content = message[5:]
    return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(content[at:at + size])) + content[at:at + size]
                    for at in range(0, len(content), size))


class PassThroughTest(WeirTestCase):
    """Show 3 of the issue: two servers behind one port, each with its own certificate."""

    @classmethod
    def set_up(cls) -> None:
        cls.ca = Authority(cls.sandbox)
        cls.certificates = {name: cls.ca.issue(name, "DNS:" + name, "DNS:*." + name) for name in ("shop.example", "mail.example")}
        cls.nginx = Nginx(cls.sandbox, "shop", tls=cls.certificates["shop.example"])
        cls.python = TlsEchoUpstream(cls.sandbox, "mail", server_context(cls.certificates["mail.example"],
                                                                         alpn=["acme-tls/1", "http/1.1"]))
        cls.port, cls.by_sni, cls.implied = (cls.sandbox.free_port() for _ in range(3))
        cls.log = cls.sandbox.path("access.log")

        def to(name: str, match: dict[str, Any]) -> dict[str, Any]:
            line = ("%REQUESTED_SERVER_NAME% %FILTER_CHAIN_NAME% %UPSTREAM_CLUSTER% %TLS_JA3_FINGERPRINT% "
                    "%TLS_JA4_FINGERPRINT%\n")
            made = tcp_listener(0, name, access_log=[file_access_log(cls.log, line)])["filter_chains"][0]
            return {**made, "name": name, "filter_chain_match": match}

        plain = http_listener(0, [direct({"prefix": "/"}, "plain")])["filter_chains"][0]
        chains = [
            to("shop", {"server_names": ["shop.example", "*.shop.example"], "transport_protocol": "tls"}),
            to("mail", {"server_names": ["mail.example"]}),
            to("acme", {"server_names": ["mail.example"], "application_protocols": ["acme-tls/1"]}),
            {**plain, "name": "plain", "filter_chain_match": {"transport_protocol": "raw_buffer"}},
        ]
        by_sni = tcp_listener(cls.by_sni, "nobody", name="by_sni", access_log=[file_access_log(cls.log, "sni %UPSTREAM_CLUSTER%\n")])
        by_sni["filter_chains"][0]["filters"].insert(0, SNI_CLUSTER)
        by_sni["listener_filters"] = [inspector()]
        listener = {**tcp_listener(cls.port), "filter_chains": chains, "listener_filters": [
            inspector(enable_ja3_fingerprinting=True, enable_ja4_fingerprinting=True)]}
        implied = {**tcp_listener(cls.implied, name="implied"), "filter_chains": chains}
        cls.weir = Weir(cls.sandbox, bootstrap([listener, by_sni, implied], [
            cluster("shop", cls.nginx.port), cluster("mail", cls.python.port), cluster("acme", cls.python.port),
            cluster("mail.example", cls.python.port)]))

    def ask(self, name: str, port: int = 0, **context: Any) -> tuple[bytes, str]:
        with TlsConnection(port or self.port, name, client_context(self.ca, **context)) as connection:
            return connection.peer, connection.request(path="/who", host=name).text

    # field: FilterChainMatch.server_names, FilterChainMatch.transport_protocol, FilterChainMatch.application_protocols
    # field: TlsInspector.enable_ja3_fingerprinting, TlsInspector.enable_ja4_fingerprinting
    def test_each_server_shows_its_own_certificate(self) -> None:
        for name in ("shop.example", "SHOP.example", "www.shop.example"):
            peer, text = self.ask(name)
            self.assertEqual((peer, text), (self.certificates["shop.example"].der, "shop\n"))
        peer, text = self.ask("mail.example")
        self.assertEqual(peer, self.certificates["mail.example"].der)
        self.assertIn('"server": "mail"', text)
        self.ask("mail.example", alpn=["acme-tls/1"])
        expected = collections.Counter({"shop.example shop shop": 2, "www.shop.example shop shop": 1,
                                        "mail.example mail mail": 1, "mail.example acme acme": 1})
        wait_until(lambda: expected <= collections.Counter(" ".join(line.split()[:3]) for line in read_lines(self.log)), "the lines")
        for line in read_lines(self.log):
            if not line.startswith("sni ") and not line.endswith(" - -"):
                self.assertRegex(line, r" [0-9a-f]{32} t1[23]d\d{4}(00|h1|a1)_[0-9a-f]{12}_[0-9a-f]{12}$")

    def test_it_comes_by_itself_where_chains_need_it(self) -> None:
        """As published. Fingerprints are for those who ask for them."""
        self.assertEqual(self.ask("shop.example", self.implied), (self.certificates["shop.example"].der, "shop\n"))
        self.assertEqual(self.ask("mail.example", self.implied)[0], self.certificates["mail.example"].der)
        self.assertEqual(fetch(self.implied).text, "plain")
        self.assertIn("listeners[2].filter_chains[0].filter_chain_match.transport_protocol: needs the listener filter "
                      "envoy.filters.listener.tls_inspector, which is not in listener_filters; it runs behind those that are",
                      self.weir.process.log())

    def test_names_nobody_serves_are_refused(self) -> None:
        before = self.weir.stat("listener.127.0.0.1_%d.no_filter_chain_match" % self.port)
        for name in ("other.example", None):
            with self.assertRaises(OSError):
                TlsConnection(self.port, name)
        self.weir.wait_stat("listener.127.0.0.1_%d.no_filter_chain_match" % self.port, before + 2)

    def test_others_go_on(self) -> None:
        self.assertEqual(fetch(self.port).text, "plain")

    def test_first_message_in_any_pieces(self) -> None:
        message = client_hello("mail.example")
        for records, pieces in ((1 << 14, 1), (1 << 14, 3), (1, 1 << 14), (40, 1), (200, 7)):
            cut = in_records(message, records)
            with Connection(self.port) as connection:
                for at in range(0, len(cut), pieces):
                    connection.send(cut[at:at + pieces])
                    if pieces > 1 or at % 50 == 0:
                        connection.wait_taken()
                self.assertEqual(connection.sock.recv(1), b"\x16", (records, pieces))  # a ServerHello

    def test_sni_cluster(self) -> None:
        self.assertEqual(self.ask("mail.example", self.by_sni)[0], self.certificates["mail.example"].der)
        with self.assertRaises(OSError):
            TlsConnection(self.by_sni, "unknown.example")


class LimitsTest(WeirTestCase):
    @classmethod
    def set_up(cls) -> None:
        cls.ports = {name: cls.sandbox.free_port() for name in ("lenient", "strict", "small", "slow")}
        cls.log = cls.sandbox.path("access.log")

        def listener(name: str, fields: dict[str, Any] = {}, **config: Any) -> dict[str, Any]:
            made = http_listener(cls.ports[name], [direct({"prefix": "/"}, name)], name=name, access_log=[file_access_log(cls.log, name + " " + WHY + "\n")])
            return {**made, "listener_filters": [inspector(**config)], **fields}

        cls.weir = Weir(cls.sandbox, bootstrap([
            listener("lenient"),
            listener("strict", close_connection_on_client_hello_parsing_errors=True),
            listener("small", max_client_hello_size=256),
            listener("slow", {"listener_filters_timeout": "0.2s", "continue_on_listener_filters_timeout": True})]))

    def stat(self, name: str) -> int:
        return self.weir.stat("tls_inspector." + name)

    # field: TlsInspector.close_connection_on_client_hello_parsing_errors
    def test_what_is_no_tls(self) -> None:
        before = self.stat("tls_not_found")
        self.assertEqual(fetch(self.ports["lenient"]).text, "lenient")
        wait_line(self.log, pattern="lenient ClientHelloNotDetected$")
        for data in (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\x00\x10\x02"):
            with Connection(self.ports["strict"]) as connection:
                connection.send(data)
                self.assertTrue(connection.closed_within(5), data)
        self.weir.wait_stat("tls_inspector.tls_not_found", before + 4)

    # field: TlsInspector.max_client_hello_size
    def test_more_than_is_allowed(self) -> None:
        before = self.stat("client_hello_too_large")
        for data in (client_hello("a.example"), client_hello("a.example")[:9]):  # its size is said at the start
            self.assertGreater(len(client_hello("a.example")), 256)
            with Connection(self.ports["small"]) as connection:
                connection.send(data)
                self.assertTrue(connection.closed_within(5))
        self.weir.wait_stat("tls_inspector.client_hello_too_large", before + 2)

    def test_clients_that_say_nothing(self) -> None:
        with Connection(self.ports["slow"]) as connection:
            connection.send(b"\x16\x03")
            time.sleep(0.4)
            connection.send(b"\x01")  # the chain has it now, and it is no HTTP
            self.assertEqual(connection.read_response().status, 400)

    def test_resets_and_ends_while_it_reads(self) -> None:
        message = client_hello("a.example")
        for size in range(1, len(message), 13):
            for end in (Connection.reset, Connection.close):
                connection = Connection(self.ports["lenient"])
                connection.send(message[:size])
                end(connection)
        gauge = "listener.127.0.0.1_%d.downstream_pre_cx_active" % self.ports["lenient"]
        self.weir.wait_stat_is(gauge, 0)


class GoneTest(WeirTestCase):
    def test_a_listener_goes_before_its_client_has_spoken(self) -> None:
        """It was accepted, and is served like others of a listener that drains; its certificate is no more by then."""
        identity = Authority(self.sandbox).issue("a.example")
        port, other = self.sandbox.free_port(), self.sandbox.free_port()
        secure = over_tls(http_listener(port, [direct({"prefix": "/"}, "served")], name="secure"), server_tls(identity))
        secure["listener_filters"] = [inspector()]
        plain = http_listener(other, [direct({"prefix": "/"}, "plain")])
        weir = Weir(self.sandbox, bootstrap([secure, plain]))
        with Connection(port) as silent:
            weir.wait_stat_is("listener.127.0.0.1_%d.downstream_pre_cx_active" % port, 1)
            with open(weir.config_path, "w", encoding="utf-8") as file:
                file.write(to_yaml(bootstrap([plain])))
            weir.settle()
            silent.sock = client_context().wrap_socket(silent.sock, server_hostname="a.example")
            silent.reader.sock = silent.sock
            self.assertEqual(silent.request().text, "served")


if __name__ == "__main__":
    main()
