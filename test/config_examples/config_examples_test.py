"""Loads every file of config-examples and sends requests through it. Ports are moved, nothing else is changed."""

import collections
import glob
import http.server
import json
import os
import re
import ssl
import threading
import types
import unittest
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc

from harness import Connection, EchoUpstream, Sandbox, ScriptedUpstream, Weir, fetch, main, wait_until, weir_binary
from harness import netns
from harness.dns import Dnsmasq, question
from harness.grpc_service import Service, frame, frames, start_server
from harness.netns import Namespace
from harness.protos import Protos
from harness.tls import Authority, Identity, TlsConnection, TlsEchoUpstream, client_context, server_context, write_atomically
from harness.udp import UdpClient
from harness.upstreams import ServerConnection

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "config-examples")


class ExamplesTest(unittest.TestCase):
    """One test per file; test_none_is_forgotten makes sure of it."""

    def start(self, name: str, upstreams: int = 0, make: Callable[[Sandbox, str], Any] = EchoUpstream) -> None:
        """Starts weir with the example. Of the ports from 10001 on, the first `upstreams` are servers of ours."""
        self.sandbox = Sandbox()
        self.addCleanup(self.sandbox.close)
        self.echoes = {10001 + index: make(self.sandbox, str(10001 + index)) for index in range(upstreams)}
        ports = {9901: 0, **{port: echo.port for port, echo in self.echoes.items()}}
        with open(os.path.join(FOLDER, name + ".yaml"), encoding="utf-8") as file:
            text = file.read()

        def moved(match: re.Match) -> str:
            port = int(match.group(1))
            if port not in ports:
                ports[port] = self.sandbox.free_port()
            return "port_value: %d" % ports[port]

        self.weir = Weir(self.sandbox, self.sandbox.write(name + ".yaml", re.sub(r"port_value: (\d+)", moved, text)))
        self.port = ports[10000]
        self.ports = ports

    def test_none_is_forgotten(self) -> None:
        names = {os.path.basename(path)[:-5].replace("-", "_") for path in glob.glob(os.path.join(FOLDER, "*.yaml"))}
        tests = {name[5:] for name in dir(self) if name.startswith("test_")}
        self.assertEqual(names - tests, set())
        with open(os.path.join(FOLDER, "README.md"), encoding="utf-8") as file:
            index = file.read()
        for path in glob.glob(os.path.join(FOLDER, "*.yaml")):
            self.assertIn("(%s)" % os.path.basename(path), index)

    def test_quickstart(self) -> None:
        self.start("quickstart")
        answers = collections.Counter(fetch(self.port).text for _ in range(30))
        self.assertEqual(set(answers), {"hello from server %d\n" % number for number in (1, 2, 3)})

    def test_static_routing(self) -> None:
        self.start("static-routing", upstreams=4)

        def served(path: str, **headers: str) -> tuple[str, str]:
            account = fetch(self.port, path, host="shop.example", headers=list(headers.items()))
            self.assertEqual(account.status, 200)
            return re.search(r'"server": "(\d+)"', account.text).group(1), re.search(r'"path": "([^"]*)"', account.text).group(1)  # type: ignore[union-attr]

        self.assertEqual(fetch(self.port, "/health", host="www.shop.example").text, "ok\n")
        self.assertEqual(served("/api/cart"), ("10002", "/v1/cart"))
        self.assertEqual(served("/apiary"), ("10001", "/apiary"))
        self.assertEqual(served("/img/7.png"), ("10003", "/img/7.png"))
        self.assertEqual(served("/", **{"x-canary": "yes"}), ("10004", "/"))
        self.assertEqual(fetch(self.port, host="other.example").status, 404)

    def test_dns(self) -> None:
        self.start("dns", upstreams=2)
        self.assertIn('"server": "10001"', fetch(self.port).text)
        self.assertIn('"server": "10002"', fetch(self.port, "/partner").text)
        self.assertEqual(self.echoes[10002].requests[-1].header("host"), "localhost")

    def test_failover(self) -> None:
        self.start("failover", upstreams=2)
        self.assertIn('"server": "10001"', fetch(self.port).text)
        self.echoes[10001].close()
        for _ in range(8):
            self.assertIn('"server": "10002"', fetch(self.port).text)

    def test_forward_proxy(self) -> None:
        self.start("forward-proxy", upstreams=1)
        echo = self.echoes[10001].port
        self.assertIn('"server": "10001"', fetch(self.port, host="localhost:%d" % echo).text)
        self.assertIn('"server": "10001"', fetch(self.port, host="127.0.0.1:%d" % echo).text)
        for host in ("127.0.0.2", "10.0.0.1", "169.254.169.254", "[::1]"):
            self.assertEqual(fetch(self.port, host="%s:%d" % (host, echo)).status, 503, host)

    def test_retries(self) -> None:
        self.start("retries", upstreams=2)
        self.echoes[10001].close()
        for _ in range(8):
            self.assertIn('"server": "10002"', fetch(self.port).text)

    def test_header_manipulation(self) -> None:
        self.start("header-manipulation", upstreams=1)
        response = fetch(self.port, "/old/page", headers=[("x-internal-token", "secret"), ("x-test-header", "x-powered-by=php")])
        self.assertEqual((response.header("x-served-by"), response.header("x-powered-by")), ("weir", None))
        seen = self.echoes[10001].requests[-1]
        self.assertEqual(seen.target, "/new/page")
        self.assertEqual([seen.header(name) for name in ("host", "x-client-ip", "x-was-old", "x-internal-token")],
                         ["backend.internal", "127.0.0.1", "yes", None])

    def test_compression(self) -> None:
        self.start("compression", upstreams=1)

        def coding(path: str, accept: str, size: int = 1000, content_type: str = "text/html") -> str | None:
            return fetch(self.port, path, headers=[
                ("accept-encoding", accept), ("x-test-size", str(size)),
                ("x-test-header", "content-type=" + content_type)]).header("content-encoding")

        self.assertEqual([coding("/", "gzip, deflate, br"), coding("/", "gzip"), coding("/", "identity")], ["br", "gzip", None])
        self.assertEqual([coding("/", "br", content_type="image/png"), coding("/", "br", size=100), coding("/downloads/x", "br")],
                         [None, None, None])

    def test_guarded_api(self) -> None:
        self.start("guarded-api", upstreams=1)
        self.assertEqual(fetch(self.port, "/healthz").status, 200)
        self.assertEqual([fetch(self.port, path).status for path in ("/", "/admin", "/x/../admin")], [200, 403, 403])
        self.assertEqual(fetch(self.port, "/", "POST", body=b"x").status, 403)
        self.assertEqual([fetch(self.port, "/search?q=x").status for _ in range(7)], [200] * 5 + [429] * 2)
        self.assertEqual(fetch(self.port, "/").status, 200)

    def test_ext_authz(self) -> None:
        asked: list[tuple[str, str | None, str | None]] = []

        class Authorization(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked.append((self.path, self.headers["cookie"], self.headers["x-secret"]))
                known = self.headers["authorization"] == "Bearer ann"
                body = b"" if known else b"who are you?\n"
                self.send_response(200 if known else 401)
                for name, value in (("content-length", str(len(body))), ("x-user" if known else "www-authenticate",
                                                                         "ann" if known else "Bearer")):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Service:
            """EchoUpstream's place for the second server."""

            def __init__(self, sandbox: Sandbox, name: str):
                self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Authorization)
                self.server.daemon_threads = True
                self.port = self.server.server_address[1]
                threading.Thread(target=self.server.serve_forever, daemon=True).start()
                sandbox.at_close(self.close)

            def close(self) -> None:
                self.server.shutdown()
                self.server.server_close()

        self.start("ext-authz", upstreams=2, make=lambda sandbox, name: (EchoUpstream if name == "10001" else Service)(sandbox, name))
        denied = fetch(self.port, "/x", headers=[("x-user", "root"), ("cookie", "c=1"), ("x-secret", "s")])
        self.assertEqual((denied.status, denied.text, denied.header("www-authenticate")), (401, "who are you?\n", "Bearer"))
        self.assertEqual(asked, [("/check/x", "c=1", None)])
        allowed = fetch(self.port, "/x", headers=[("x-user", "root"), ("authorization", "Bearer ann")])
        self.assertEqual(dict(json.loads(allowed.text)["headers"])["x-user"], "ann")
        public = fetch(self.port, "/public/x", headers=[("x-user", "root")])
        self.assertNotIn("x-user", dict(json.loads(public.text)["headers"]))
        self.assertEqual(len(asked), 2)

    def test_ext_authz_grpc(self) -> None:
        protos = Protos("envoy/service/auth/v3/external_auth.proto")
        asked: list[Any] = []

        def check(request: Any, _: Any) -> Any:
            asked.append(request.attributes)
            answer = protos("envoy.service.auth.v3.CheckResponse")()
            if request.attributes.request.http.headers.get("authorization") != "Bearer ann":
                answer.status.code = 16
                answer.denied_response.status.code = 401
                answer.denied_response.body = "who are you?\n"
            else:
                option = answer.ok_response.headers.add()
                option.header.key, option.header.value = "x-user", "ann"
            return answer

        class Authorization(grpc.GenericRpcHandler):
            def service(self, _: Any) -> Any:
                return grpc.unary_unary_rpc_method_handler(check, protos("envoy.service.auth.v3.CheckRequest").FromString,
                                                           lambda answer: answer.SerializeToString())

        class Service:
            """EchoUpstream's place for the second server."""

            def __init__(self, sandbox: Sandbox, name: str):
                server = grpc.server(futures.ThreadPoolExecutor(4))
                server.add_generic_rpc_handlers((Authorization(),))
                self.port = server.add_insecure_port("127.0.0.1:0")
                server.start()
                sandbox.at_close(lambda: server.stop(None))

        self.start("ext-authz-grpc", upstreams=2, make=lambda sandbox, name: (EchoUpstream if name == "10001" else Service)(sandbox, name))
        denied = fetch(self.port, "/x", "POST", headers=[("x-user", "root")], body=b"body")
        self.assertEqual((denied.status, denied.text), (401, "who are you?\n"))
        self.assertEqual((asked[0].request.http.path, asked[0].request.http.body), ("/x", "body"))
        self.assertEqual(dict(asked[0].context_extensions), {"area": "private"})
        allowed = fetch(self.port, "/x", headers=[("x-user", "root"), ("authorization", "Bearer ann")])
        self.assertEqual(dict(json.loads(allowed.text)["headers"])["x-user"], "ann")
        public = fetch(self.port, "/public/x", headers=[("x-user", "root")])
        self.assertNotIn("x-user", dict(json.loads(public.text)["headers"]))
        self.assertEqual(len(asked), 2)

    def test_cross_origin(self) -> None:
        self.start("cross-origin", upstreams=1)

        def call(method: str, origin: str, **headers: str) -> tuple[int, str | None]:
            response = fetch(self.port, method=method, headers=[("origin", origin), *headers.items()])
            return response.status, response.header("access-control-allow-origin")

        for origin in ("https://app.example", "https://eu.app.example"):
            self.assertEqual(call("GET", origin), (200, origin))
            self.assertEqual(call("POST", origin), (200, origin))
            self.assertEqual(call("OPTIONS", origin, **{"access-control-request-method": "PUT"}), (200, origin))
        self.assertEqual(call("GET", "https://evil.example"), (200, None))
        self.assertEqual(call("POST", "https://evil.example"), (403, None))

    def test_grpc_web(self) -> None:
        service = Service()

        def grpc_server(sandbox: Sandbox, _: str) -> Any:
            return types.SimpleNamespace(port=start_server(sandbox, service)[1])

        self.start("grpc-web", upstreams=1, make=grpc_server)
        origin = ("origin", "https://shop.example")
        preflight = fetch(self.port, "/shop.Cart/Unary", "OPTIONS", headers=[origin, ("access-control-request-method", "POST")])
        self.assertEqual((preflight.status, preflight.header("access-control-allow-origin")), (200, origin[1]))
        answer = fetch(self.port, "/shop.Cart/Unary", "POST", headers=[origin, ("content-type", "application/grpc-web+proto")],
                       body=frame(b"hello"))
        self.assertEqual(answer.header("content-type"), "application/grpc-web+proto")
        (_, message), (flags, trailers) = frames(answer.body)
        self.assertEqual((message, flags), (b"hello", 0x80))
        self.assertIn(b"grpc-status: 0\r\n", trailers)
        # Programs that know gRPC come in by the same door.
        with grpc.insecure_channel("127.0.0.1:%d" % self.port) as channel:
            self.assertEqual(channel.unary_unary("/shop.Cart/Unary")(b"hello", timeout=10), b"hello")
        self.weir.wait_stat("cluster.servers.grpc.shop.Cart.Unary.success", 2)

    def test_proxy_protocol(self) -> None:
        self.start("proxy-protocol", upstreams=2)

        def served(path: str, source: str) -> tuple[int, str | None, str | None]:
            with Connection(self.port) as connection:
                addresses = bytes(map(int, source.split("."))) + bytes([10, 0, 0, 1, 4, 210, 0, 80])
                connection.send(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + addresses)
                response = connection.request(path=path)
                seen = json.loads(response.text) if response.status == 200 else {}
                return response.status, seen.get("server"), dict(seen.get("headers", [])).get("x-forwarded-for")

        self.assertEqual(served("/", "198.51.100.7"), (200, "10001", "198.51.100.7"))
        self.assertEqual(served("/admin", "198.51.100.7"), (404, None, None))
        self.assertEqual(served("/admin", "10.20.1.1"), (200, "10002", "10.20.1.1"))
        with Connection(self.port) as connection:
            connection.send(b"PROXY TCP4 10.20.1.1 10.0.0.1 1 80\r\n")
            self.assertTrue(connection.closed_within(10))

    def test_edge_tls(self) -> None:
        def prepare(sandbox: Sandbox, name: str) -> EchoUpstream:
            self.ca = Authority(sandbox)
            self.own = {}
            for file, server, kind in (("shop", "shop.example", "ec"), ("www", "www.example", "ec"), ("www-rsa", "www.example", "rsa")):
                self.own[file] = self.ca.issue(server, "DNS:" + server, "DNS:*." + server, key=kind)
                sandbox.write("certs/%s.crt" % file, self.own[file].pem)
                sandbox.write("certs/%s.key" % file, self.own[file].key_pem)
            return EchoUpstream(sandbox, name)

        self.start("edge-tls", 1, prepare)
        for name, file, ciphers in (("shop.example", "shop", ""), ("eu.shop.example", "shop", ""), ("www.example", "www", ""),
                                    ("www.example", "www-rsa", "ECDHE-RSA-AES128-GCM-SHA256")):
            context = client_context(self.ca, ciphers=ciphers, version=ssl.TLSVersion.TLSv1_2 if ciphers else None)
            with TlsConnection(self.port, name, context) as connection:
                self.assertEqual(connection.peer, self.own[file].der)
                response = connection.request(host=name)
                self.assertEqual(response.header("strict-transport-security"), "max-age=31536000")
                self.assertIn('"https"', response.text)
        response = fetch(self.ports[10080], "/a?b", host="shop.example")
        self.assertEqual((response.status, response.header("location")), (308, "https://shop.example/a?b"))
        renewed = self.ca.issue("shop.example")
        write_atomically(self.sandbox.path("certs/shop.crt"), renewed.pem)
        write_atomically(self.sandbox.path("certs/shop.key"), renewed.key_pem)

        def shown() -> bytes:
            with TlsConnection(self.port, "shop.example", client_context(self.ca)) as connection:
                return connection.peer

        wait_until(lambda: shown() == renewed.der, "the new certificate")

    def test_mutual_tls(self) -> None:
        def prepare(sandbox: Sandbox, name: str) -> TlsEchoUpstream:
            self.clients, servers = Authority(sandbox, "Clients"), Authority(sandbox, "Servers")
            self.edge = self.clients.issue("edge.example", client=True)
            sandbox.write("certs/edge.crt", self.edge.pem)
            sandbox.write("certs/edge.key", self.edge.key_pem)
            sandbox.write("certs/clients.ca", self.clients.pem)
            sandbox.write("certs/servers.ca", servers.pem)
            return TlsEchoUpstream(sandbox, name, server_context(servers.issue("app.internal"), clients=self.clients))

        self.start("mutual-tls", 1, prepare)

        def ask(uri: str, path: str) -> Any:
            own = self.clients.issue("me", "URI:" + uri, client=True)
            context = client_context(self.clients, own, version=ssl.TLSVersion.TLSv1_2)
            with TlsConnection(self.port, "edge.example", context) as connection:
                return connection.request(path=path, headers=[("x-forwarded-client-cert", "URI=spiffe://example.org/admin")])

        told = dict(json.loads(ask("spiffe://example.org/shop", "/").text)["headers"])["x-forwarded-client-cert"]
        self.assertTrue(told.startswith("Hash="), told)
        self.assertTrue(told.endswith(';Subject="CN=me";URI=spiffe://example.org/shop'), told)
        self.assertEqual(ask("spiffe://example.org/shop", "/admin").status, 403)
        self.assertEqual(ask("spiffe://example.org/admin", "/admin").status, 200)
        with self.assertRaises(ssl.SSLError):
            ask("spiffe://elsewhere.org/shop", "/")
        with self.assertRaises(ssl.SSLError):
            TlsConnection(self.port, "edge.example", client_context(self.clients, version=ssl.TLSVersion.TLSv1_2))

    def test_sni_passthrough(self) -> None:
        certificates: dict[str, Identity] = {}
        names = {"10001": "shop.example", "10002": "mail.example"}

        def server(sandbox: Sandbox, port: str) -> TlsEchoUpstream:
            own = certificates[names[port]] = Authority(sandbox).issue(names[port])
            return TlsEchoUpstream(sandbox, port, server_context(own))

        self.start("sni-passthrough", 2, server)
        for port, name in names.items():
            with TlsConnection(self.port, name) as connection:
                self.assertEqual(connection.peer, certificates[name].der)
                self.assertIn('"server": "%s"' % port, connection.request(host=name).text)
        with Connection(self.port) as plain:
            plain.send(b"GET / HTTP/1.1\r\n\r\n")
            self.assertEqual(plain.reader.until_closed(), b"TLS is spoken here\n")

    def test_websocket(self) -> None:
        switching = b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"

        def script(connection: ServerConnection) -> None:
            connection.read_head()
            connection.send(switching + b"hello")
            self.assertEqual(connection.reader.until_closed(), b"bye")

        self.start("websocket", 2, lambda sandbox, _: ScriptedUpstream(sandbox, script))
        ask = [("connection", "upgrade"), ("upgrade", "websocket")]
        with Connection(self.port) as connection:
            connection.send_request(path="/chat", headers=ask)
            self.assertEqual(connection.reader.head().status, 101)
            self.assertEqual(connection.reader.exactly(5), b"hello")
            connection.send(b"bye")
            connection.half_close()
            self.assertEqual(connection.reader.until_closed(), b"")
        self.assertEqual(fetch(self.port, headers=ask).status, 403)

    def test_tcp_proxy(self) -> None:
        def script(sandbox: Sandbox, name: str) -> ScriptedUpstream:
            return ScriptedUpstream(sandbox, lambda connection: connection.send(name.encode() + connection.reader.until_closed()))

        self.start("tcp-proxy", 3, script)
        self.echoes[10001].close()
        seen = set()
        for _ in range(300):
            with Connection(self.port) as connection:
                connection.send(b"?")
                connection.half_close()
                seen.add(connection.reader.until_closed())
        self.assertEqual(seen, {b"10002?", b"10003?"})
        line = re.compile(r"\] 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+ - 1 6 \d+\n")
        wait_until(lambda: line.search(self.weir.process.log()), "a line for a connection")

    def test_udp_dns(self) -> None:
        self.start("udp-dns", 2, lambda sandbox, name: Dnsmasq(sandbox, "192.0.2." + name[-1]))

        def ask() -> bytes:
            with UdpClient(self.port) as client:
                answer = client.ask(question("shop.example", 7))
                self.assertEqual(answer[:2], b"\0\7")
                return answer[-4:]

        seen: set[bytes] = set()
        wait_until(lambda: seen.add(ask()) or len(seen) == 2, "answers of both servers")
        self.assertEqual(seen, {bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])})

    def test_l7_behind_l4(self) -> None:
        self.check_l4_in_front_of_l7()

    def test_l4_edge(self) -> None:
        self.check_l4_in_front_of_l7()

    def check_l4_in_front_of_l7(self) -> None:
        self.start("l7-behind-l4", upstreams=1)
        behind, echo = self.weir, self.echoes[10001]
        ports = {9901: 0, 10000: self.sandbox.free_port(), 10001: self.port, 10002: self.port}
        with open(os.path.join(FOLDER, "l4-edge.yaml"), encoding="utf-8") as file:
            text = re.sub(r"port_value: (\d+)", lambda match: "port_value: %d" % ports[int(match.group(1))], file.read())
        edge = Weir(self.sandbox, self.sandbox.write("l4-edge.yaml", text))
        for source in ("127.0.0.1", "127.0.0.77"):
            with Connection(ports[10000], source=source) as connection:
                self.assertEqual(connection.request(path="/of/" + source, headers=[("x-forwarded-for", "1.2.3.4")]).status, 200)
            self.assertEqual(echo.requests[-1].header("x-forwarded-for"), "1.2.3.4," + source)
            wait_until(lambda: "%s over 127.0.0.1 /of/%s 200" % ("", source) in re.sub(r"\S+ over", " over", behind.process.log()),
                       "a line of the log")
            self.assertRegex(behind.process.log(), r"(?m)^%s:\d+ over 127\.0\.0\.1 /of/%s 200$" % (re.escape(source), re.escape(source)))
        # Straight to the second one, without the header.
        with Connection(self.port) as connection:
            connection.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            self.assertTrue(connection.closed_within(10))
        self.assertEqual(edge.stat("cluster.proxies.upstream_cx_total"), 2)

    def test_sidecar(self) -> None:
        reason = netns.missing()
        if reason:
            self.skipTest(reason)
        self.sandbox = Sandbox()
        self.addCleanup(self.sandbox.close)
        pod, outside = Namespace(self.sandbox, "pod"), Namespace(self.sandbox, "out")
        pod.connect(outside, "10.9.1.1/24", "10.9.1.2/24")
        pod.do("""iptables -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 15006
                  iptables -t nat -A OUTPUT -o lo -j RETURN
                  iptables -t nat -A OUTPUT -m owner --uid-owner 0 -j RETURN
                  iptables -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 15001""")
        with outside.entered():
            server = EchoUpstream(self.sandbox, "server", host="10.9.1.2")
        with pod.entered():
            application = EchoUpstream(self.sandbox, "application", host="10.9.1.1", port=8080)
            weir = Weir(self.sandbox, os.path.join(FOLDER, "sidecar.yaml"))
            try:
                with outside.entered(), Connection(8080, host="10.9.1.1") as connection:
                    self.assertIn('"server": "application"', connection.request().text)
                self.assertEqual(application.requests[-1].header("x-forwarded-for"), "10.9.1.2")
                with netns.as_nobody():
                    connection = Connection(server.port, host="10.9.1.2")
                with connection:
                    self.assertIn('"server": "server"', connection.request().text)
                weir.wait_stat("tcp.egress.downstream_cx_total", 1)
                weir.wait_stat("http.ingress.downstream_rq_total", 1)
            finally:
                weir.stop()

    def test_weighted_canary(self) -> None:
        self.start("weighted-canary", upstreams=2)
        self.assertIn('"server": "10002"', fetch(self.port, headers=[("x-version", "canary")]).text)
        versions = collections.Counter(fetch(self.port).header("x-version") for _ in range(300))
        self.assertEqual(set(versions), {"stable", "canary"})
        self.assertGreater(versions["stable"], versions["canary"])

    def test_affinity(self) -> None:
        self.start("affinity", upstreams=3)
        seen = set()
        for number in range(20):
            first = fetch(self.port)
            cookie = (first.header("set-cookie") or "").split(";")[0]
            again = fetch(self.port, headers=[("cookie", cookie)])
            self.assertEqual(json.loads(again.text)["server"], json.loads(first.text)["server"])
            servers = {json.loads(fetch(self.port, "/api/", headers=[("x-customer", str(number))]).text)["server"] for _ in range(3)}
            self.assertEqual(len(servers), 1)
            seen |= servers
        self.assertEqual(len(seen), 3)

    def test_direct_response_redirect(self) -> None:
        self.start("direct-response-redirect")
        for host, path, status, location in (
                ("www.example.com", "/a?b", 301, "http://example.com/a?b"), ("x", "/docs/v1/a", 308, "http://x/docs/v2/a"),
                ("x", "/secure/a?b", 302, "https://x/secure/a")):
            response = fetch(self.port, path, host=host)
            self.assertEqual((response.status, response.header("location")), (status, location))
        self.assertIn("Disallow", fetch(self.port, "/robots.txt").text)
        response = fetch(self.port, "/anything")
        self.assertEqual((response.status, response.header("retry-after")), (503, "300"))

    def test_dynamic_modules(self) -> None:
        os.environ["WEIR_PLUGIN_DIRS"] = os.path.join(os.path.dirname(weir_binary()), "plugins")
        self.start("dynamic-modules", upstreams=2)
        first = min(self.echoes.items(), key=lambda item: "127.0.0.1:%d" % item[1].port)[0]
        for path, delay in (("/", "50"), ("/fast", "0")):
            response = fetch(self.port, path)
            self.assertEqual((response.status, response.header("x-delayed-ms")), (200, delay))
            self.assertIn('"server": "%d"' % first, response.text)


if __name__ == "__main__":
    main()
